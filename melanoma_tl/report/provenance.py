"""What a report says of where its metrics come from: asked of classifier and images, never of the caller's memory."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import pandas as pd

from melanoma_tl._progress import Progress, progress
from melanoma_tl._versions import library_versions
from melanoma_tl.errors import ParameterError
from melanoma_tl.images.loading import name_of
from melanoma_tl.labels.contradictions import count_sexes
from melanoma_tl.metrics.estimators import patients_of
from melanoma_tl.report.content import ReportContent

# What a model does with the images of each role that it remembers.
_DONE_WITH = {"training": "fitted", "validation": "fitted", "tuning": "tuned", "member tuning": "tuned"}

TWO_SEXES = "patients_of_two_sexes"
"""Where a report keeps how many patients are female in some of its images and male in others."""

_AnyReport = TypeVar("_AnyReport", bound=ReportContent)


def describe_report(
    name: str,
    class_sizes: Mapping[str, int],
    n_skipped: int,
    bootstrap: tuple[int, int],
    model: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what a report rests on.

    Parameters
    ----------
    name : str
        Of the test data.
    class_sizes : mapping of str to int
        Images of each class.
    n_skipped : int
        Images that no metric counts.
    bootstrap : tuple of int
        Number of resamples and seed.
    model : mapping or None
        What the classifier says of itself.

    Returns
    -------
    dict
        The provenance of the report.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": library_versions(),
        "test_data": {
            "name": name or "unnamed",
            "images": sum(class_sizes.values()),
            "classes": dict(class_sizes),
            "skipped": n_skipped,
        },
        "intervals": dict(zip(("n_resamples", "random_state"), bootstrap, strict=True)),
        "model": dict(model or {}),
    }


def known_of(estimator: Any, X: Any, name: str | None) -> dict[str, Any]:
    """Take what classifier and images know of themselves, as `from_scores` takes it.

    Parameters
    ----------
    estimator : object
        Any classifier.
    X : object
        What it scored.
    name : str or None
        Of the test data, where it is not that of the images.

    Returns
    -------
    dict
        Options of `from_scores`.
    """
    return {
        "image_ids": getattr(X, "image_ids", None),
        "paths": getattr(X, "paths", None),
        "groups": patients_of(X),
        "history": getattr(estimator, "history_", None),
        "provenance": getattr(estimator, "provenance_", {"estimator": str(estimator)}),
        "skipped": getattr(X, "skipped", ()),
        "name": getattr(X, "name", "") if name is None else name,
    }


def scoring(estimator: Any, X: Any, name: str | None) -> Progress:
    """Show the work of a report in one line; a classifier of another library shows its own.

    Parameters
    ----------
    estimator, X, name : object
        As for `from_estimator`.

    Returns
    -------
    Progress
        To be used in a ``with`` statement.
    """
    verbose = estimator.verbose if hasattr(estimator, "seen_images") and hasattr(estimator, "verbose") else 0
    return progress(work=f"Report on {name or name_of(X)}", unit="", verbose=verbose)


def find_seen(estimator: Any, X: Any) -> dict[str, Any] | None:
    """Find the images that a classifier was fitted or tuned with, and warn; to be called by `from_estimator` itself.

    Parameters
    ----------
    estimator : object
        Any classifier; only one with `seen_images` remembers.
    X : object
        What it scores.

    Returns
    -------
    dict or None
        How many "images", "by" what they were found, and how many each "role" of the model's images has of them; also
        "within", if a classifier within another one remembers. None where none does.

    Warns
    -----
    LeakageWarning
        If there are some.
    """
    found = [one.seen_images(X) for one in _remembering(estimator)]
    if not found:
        return None
    pairs = pd.concat([overlap.pairs for overlap in found])
    together = replace(found[0], pairs=pairs)
    together.warn_if_any("Its metrics say little about new images", stacklevel=4)
    here, there = pairs["left_id"], pairs["right_id"].astype(str)
    of_role = {name: int(here[there.str.startswith(f"{name} image ")].nunique()) for name in _DONE_WITH}
    seen = {
        "images": len(together),
        "by": together.counts,
        "role": {name: n for name, n in of_role.items() if n},
    }
    return seen if hasattr(estimator, "seen_images") else seen | {"within": type(estimator).__name__}


def _remembering(estimator: Any) -> list[Any]:
    """Return the fitted classifiers that remember their images: itself, or those within one of scikit-learn's."""
    if hasattr(estimator, "seen_images"):
        return [estimator] if hasattr(estimator, "classes_") else []  # a search keeps one that was never fitted
    within: list[Any] = []
    for value in vars(estimator).values() if hasattr(estimator, "__dict__") else ():
        for part in value if isinstance(value, list | tuple) else [value]:
            owner = part[1] if isinstance(part, tuple) and len(part) == 2 else part  # a step of a pipeline has a name
            if hasattr(owner, "predict_proba") or hasattr(owner, "estimator"):
                within += _remembering(owner)
    return within


def known_backbones(report: ReportContent) -> list[Mapping[str, Any]]:
    """Return what is stated of the backbones that a model starts from.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    list of mappings of str to object
        "name", "license", "source", "pretrained_on", "may_redistribute" and "references" of each, once; several of an
        ensemble whose members differ, none where nothing is stated. A model file may hold anything there.
    """
    model = report.provenance["model"]
    members = model.get("members")
    parts = [part for part in members if isinstance(part, Mapping)] if isinstance(members, list | tuple) else []
    stated: list[Mapping[str, Any]] = []
    for part in parts or [{}]:  # members have what they do not share
        known = [owner.get("backbone") for owner in (model, part)]
        whole = {key: value for one in known if isinstance(one, Mapping) for key, value in one.items()}
        if whole and whole not in stated:
            stated.append(whole)
    return stated


def names_of_test_data(report: ReportContent) -> list[str]:
    """Return what the test images are called, and how they were read.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    list of str
        Names first; the source of a dataset stands in its first step.
    """
    data = report.provenance["test_data"]
    return [report.name, str(data.get("name", "")), *map(str, data.get("history", ()))]


def how_seen(seen: Mapping[str, Any]) -> str:
    """Return what a model did with the images that it has seen.

    Parameters
    ----------
    seen : mapping
        As `find_seen` returns it; without "role" where somebody else wrote it.

    Returns
    -------
    str
        "fitted", "tuned", or "fitted or tuned" where both are true, or it is not known.
    """
    done = dict.fromkeys(_DONE_WITH[role] for role in seen.get("role", ()))
    return " or ".join(done or dict.fromkeys(_DONE_WITH.values()))


def tell_origin(
    report: _AnyReport,
    estimator: Any,
    X: Any,
    seen: Mapping[str, Any] | None,
    *,
    threshold: float | None = None,
    held_out: str = "",
) -> _AnyReport:
    """Add how the images were chosen, which of them the classifier has seen, and how its scores are made.

    Parameters
    ----------
    report : Report
        Of either kind.
    estimator, X : object
        Classifier and images.
    seen : mapping or None
        As `find_seen` returns it.
    threshold : float, optional
        Where the report calls melanoma, if it may be the classifier's.
    held_out : str, optional
        Why no image can have been seen by what scored it, in place of `seen`.

    Returns
    -------
    Report
        A copy that says so.
    """
    # What the classifier says of itself was written in training, and may have been set otherwise since.
    known = {
        "test_data": {**report.provenance["test_data"], **_choice_of(X), **_contradictions_of(X)},
        **_tuning_of(estimator, threshold),
        **({"held_out": held_out} if held_out else {"seen_by_the_model": seen}),
    }
    return replace(report, provenance={**report.provenance, **known})


def _choice_of(X: Any) -> dict[str, Any]:
    """Return how the images of a dataset were chosen, where it remembers."""
    history = getattr(X, "history", None)
    if history is None:
        return {}
    chosen = [step.what for step in history if step.sets_prevalence]
    return {"history": [str(step) for step in history], "prevalence_set_by": chosen[-1] if chosen else None}


def _contradictions_of(X: Any) -> dict[str, int]:
    """Return how many patients of a dataset have two sexes, if any have."""
    metadata = getattr(X, "metadata", None)
    n_patients = len(count_sexes(metadata)) if isinstance(metadata, pd.DataFrame) else 0
    return {TWO_SEXES: n_patients} if n_patients else {}


def _tuning_of(estimator: Any, threshold: float | None) -> dict[str, Any]:
    """Return how a classifier turns views into a score, and a score into a class."""
    tuning: dict[str, Any] = {"tta": estimator.tta} if hasattr(estimator, "tta") else {}
    if n_seen := getattr(estimator, "_n_tuned_on_training", 0):
        tuning["tuned_on_training_images"] = n_seen
    if hasattr(estimator, "calibration_"):
        tuning["calibration"] = asdict(estimator.calibration_)
    elif hasattr(estimator, "calibrate") and not any(
        hasattr(member, "calibration_") for member in getattr(estimator, "members_", ())
    ):
        tuning["calibration"] = None
    if threshold is None:
        return tuning
    try:
        point = getattr(estimator, "operating_point_", None)
    except ParameterError:  # it was found with other settings, and so is not where this threshold is from
        point = None
    if point is not None and point.threshold == threshold:
        tuning["operating_point"] = point.to_dict()
    elif getattr(estimator, "threshold", None) == threshold:
        tuning["threshold_from"] = "the classifier's parameter, which was not tuned"
    return tuning
