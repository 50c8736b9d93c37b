"""What the document in a model file may hold: rules for each part, read before any network is built."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from melanoma_tl._parameters import (
    CLASS_WEIGHT,
    FLAG,
    INSIDE,
    NONE,
    NUMBER_OR_NAN,
    PROBABILITY,
    TABLE,
    TEXT,
    Rules,
    check,
    group,
    listed,
    mapping,
    real,
    whole,
)
from melanoma_tl.errors import ModelFileError
from melanoma_tl.images.fingerprints import Fingerprints
from melanoma_tl.labels.classes import Classes
from melanoma_tl.metrics.calibration import Calibration
from melanoma_tl.metrics.thresholds import OperatingPoint

LABEL = TEXT | FLAG | real()
"""What one class may be called."""

_METRICS = mapping(listed(NUMBER_OR_NAN), "a dict with a list of numbers for each metric")
_FINGERPRINTS = mapping(TEXT, "a dict of base64")
_COUNT = whole(at_least=0, at_most=2**53)

_PARTS = {
    "parameters": TABLE,
    "classes": listed(LABEL, at_least=2),
    "pos_label": LABEL | NONE,
    "history": _METRICS,
    "skipped": listed(group(TEXT, 3, "id, path and reason")),
    "fingerprints": mapping(_FINGERPRINTS, "a dict of fingerprints"),
    "provenance": TABLE,
    "tuning": TABLE | NONE,
    "left_out": TABLE | NONE,
}
_OPTIONAL = {"tuning", "tuned_with", "left_out"}
"""What files of the first version do not have."""

_PROVENANCE = {"parameters": TABLE, "training_data": TABLE, "versions": mapping(TEXT, "a dict of versions")}
_TRAINED_WITH = {"class_weight": CLASS_WEIGHT}
_TUNING = {
    "calibration": TABLE | NONE,
    "operating_point": TABLE | NONE,
    "fingerprints": _FINGERPRINTS,
    "tuned_with": mapping(TABLE, "a dict with the settings for each"),
}
_POINT = {"threshold": PROBABILITY, "rule": TEXT, "confidence": INSIDE, "confusion_matrix": mapping(_COUNT, "counts")}
_CALIBRATION = tuple(field.name for field in fields(Calibration))


def read_parts(state: Mapping[str, Any], n_scores: int) -> dict[str, Any]:
    """Check the document of a classifier, but for its parameters, which have a table of their own.

    Parameters
    ----------
    state : mapping of str to object
        As it stands in the file.
    n_scores : int
        What the network gives: 1 of two classes, else one for each.

    Returns
    -------
    dict
        Each part by its name; "classes" as `Classes`, "fingerprints" as those of each role.

    Raises
    ------
    ModelFileError
        If a part is missing, or does not fit the network.
    MelanomaTLError
        If a value is of another kind or out of its range.
    """
    parts: dict[str, Any] = dict.fromkeys(_OPTIONAL) | take(state, _PARTS)
    labels, pos_label = parts["classes"], parts["pos_label"]
    if len(labels) != (2 if n_scores == 1 else n_scores):
        raise ModelFileError(f"has {len(labels)} classes, but {n_scores} scores")
    if pos_label not in labels and (n_scores == 1 or pos_label is not None):
        raise ModelFileError(f"takes {pos_label!r:.40} for melanoma, which is none of its classes")
    classes = Classes.of(labels, pos_label=pos_label, name="the classes of the file", are_learned=True)
    if classes.labels.tolist() != labels:
        raise ModelFileError(f"has the classes {labels!s:.100}, which are not distinct and sorted")
    _check_provenance(parts["provenance"], len(labels))
    take(parts["fingerprints"], {"training": _FINGERPRINTS})
    return parts | {
        "classes": classes,
        "fingerprints": {role: Fingerprints.from_state(kept) for role, kept in parts["fingerprints"].items()},
    }


def take(state: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """Check values that must all be there.

    Parameters
    ----------
    state : mapping of str to object
        As it stands in the file.
    rules : mapping of str to Rule
        The table.

    Returns
    -------
    dict
        The values that have a rule.

    Raises
    ------
    ModelFileError
        If one is missing.
    MelanomaTLError
        As `check`.
    """
    missing = sorted(rules.keys() - _OPTIONAL - state.keys())
    if missing:
        raise ModelFileError(f"incomplete, its document lacks {', '.join(missing)}")
    return check(state, rules)


def _check_provenance(provenance: Mapping[str, Any], n_classes: int) -> None:
    """Check what of the provenance scores are computed with."""
    known = take(provenance, _PROVENANCE)
    take(known["parameters"], _TRAINED_WITH)
    rows = {"rows_of_each_class_in_a_pass": listed(_COUNT, at_least=n_classes)}
    if len(take(known["training_data"], rows)["rows_of_each_class_in_a_pass"]) != n_classes:
        raise ModelFileError(f"counts the training images of other than {n_classes} classes")


def read_tuning(
    state: Mapping[str, Any],
) -> tuple[Calibration | None, OperatingPoint | None, Fingerprints, dict[str, dict[str, Any]]]:
    """Check what was tuned on validation images.

    Parameters
    ----------
    state : mapping of str to object
        As it stands in the file.

    Returns
    -------
    tuple
        Calibration, operating point, what the images can be recognised by, and what was set when each was found.

    Raises
    ------
    ModelFileError, MelanomaTLError
        As `read_parts`.
    """
    parts = take(state, _TUNING)
    calibration, point = parts["calibration"], parts["operating_point"]
    if calibration is not None and set(calibration) != set(_CALIBRATION):
        raise ModelFileError(f"its calibration has other fields than {', '.join(_CALIBRATION)}")
    return (
        None if calibration is None else Calibration(**calibration),
        None if point is None else OperatingPoint.from_dict(point | take(point, _POINT)),
        Fingerprints.from_state(parts["fingerprints"]),
        parts.get("tuned_with", {}),
    )
