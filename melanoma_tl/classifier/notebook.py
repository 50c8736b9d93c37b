"""What a notebook shows of a fitted classifier, below its parameters."""

import contextlib
from collections.abc import Mapping
from typing import Any

from melanoma_tl._tables import html_table
from melanoma_tl.errors import NotFittedError, ParameterError


def fitted_html(classifier: Any) -> str:
    """Write what a classifier was trained on and how it decides.

    Parameters
    ----------
    classifier : TransferClassifier or Ensemble
        Fitted or not.

    Returns
    -------
    str
        A table in HTML; a sentence where it is not fitted.
    """
    try:
        classifier._check_fitted()
    except NotFittedError:
        return "<p>Not fitted.</p>"
    found = classifier.provenance_
    rows = {"Members": str(found["ensemble"]["size"])} if "ensemble" in found else {}
    rows |= {
        title: _data(
            found[key], dict(zip(map(str, classifier.classes_.tolist()), classifier.class_names_, strict=True))
        )
        for key, title in (("training_data", "Trained on"), ("validation_data", "Validated on"))
        if found.get(key)
    }
    if "epochs_run" in found:
        rows["Epochs"] = str(found["epochs_run"])
    with contextlib.suppress(NotFittedError, AttributeError):  # a fixed penalty, or an ensemble
        rows["Penalty"] = classifier.penalty_path_.summary()
    if "interrupted_by" in found:
        rows["Interrupted by"] = str(found["interrupted_by"])
    rows["Weights at the start"] = _weights(found.get("weights"))
    rows["Backbone"] = _backbone(found.get("backbone"))
    rows["Classes"] = ", ".join(
        f"{one} (melanoma)" if one == classifier.pos_label_ and str(one) != "melanoma" else str(one)
        for one in classifier.classes_.tolist()
    )
    if len(classifier.classes_) == 2:
        rows |= _decision(classifier)
    table = html_table(["", "fitted"], [list(row) for row in rows.items() if row[1]])
    return f'<div style="margin-top: .6em">{table}</div>'


def _data(data: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return the number of images of each class, and of folds, in words."""
    counts = ", ".join(f"{count:,} {names.get(name, name)}" for name, count in data["counts"].items())
    folds = f" in {data['folds']} folds" if "folds" in data else ""
    skipped = f"; {data['skipped']:,} left out" if data["skipped"] else ""
    return f"{data['name']}: {sum(data['counts'].values()):,} images ({counts}){folds}{skipped}"


def _weights(weights: Any) -> str:
    if isinstance(weights, Mapping):
        return str(weights.get("path", ""))
    return "" if weights is None else str(weights)


def _backbone(known: Any) -> str:
    """Return license and pre-training data, where a file has them."""
    if not isinstance(known, Mapping):
        return ""
    facts = {"license": known.get("license"), "pre-trained on": known.get("pretrained_on")}
    return "; ".join([str(known.get("name", "")), *(f"{what}: {text or 'not stated'}" for what, text in facts.items())])


def _decision(classifier: Any) -> dict[str, str]:
    """Return threshold and calibration in words."""
    try:
        point = classifier.operating_point_
        threshold = f"{point.threshold:.4g}, chosen by {point.rule} on {point.counts.n:,} images"
    except NotFittedError:
        threshold = f"{classifier.threshold_:.4g}, not chosen on images"
    except ParameterError as error:
        threshold = f"not valid: {error}"
    try:
        found = classifier.calibration_
        calibration = f"{found.method}, slope {found.slope:.3g}, intercept {found.intercept:.3g}"
        if found.n_benign is not None and found.n_melanoma is not None:
            calibration += f", on {found.n_benign + found.n_melanoma:,} images"
    except NotFittedError:
        calibration = "none"
    return {"Threshold": threshold, "Calibration": calibration}
