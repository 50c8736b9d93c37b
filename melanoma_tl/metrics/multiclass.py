"""Metrics of a classifier of several diagnoses: one-against-rest metrics and their means.

References
----------
.. [1] N. C. F. Codella et al., "Skin lesion analysis toward melanoma detection 2018: a
   challenge hosted by the International Skin Imaging Collaboration", 2019
   (arXiv:1902.03368): balanced multi-class accuracy, the mean of the sensitivities.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import BOOTSTRAP, COLUMN, NONE, checked, whole
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.labels.classes import as_labels, unmasked
from melanoma_tl.metrics.binary import by_resampling, tally_metrics
from melanoma_tl.metrics.confusion import CONFUSION_METRICS
from melanoma_tl.metrics.few import count_units, mark_few
from melanoma_tl.metrics.intervals import effective_wilson
from melanoma_tl.metrics.metric import LABELS, UNBOUNDED, Metric
from melanoma_tl.metrics.resampling import ScoreCounts, draw_classes, method_name, percentile_interval
from melanoma_tl.metrics.validation import check_column_order, check_lengths, check_probabilities

NO_CLASS = -1
"""Predicted class where several classes share the highest score; it is never correct."""

_MOST_NAMED = 5

AVERAGED = tuple(name for name in LABELS if name not in UNBOUNDED)
"""The one-against-rest metrics that are averaged over the classes: all but the likelihood ratios."""


class MulticlassMetrics(NamedTuple):
    """Metrics over all classes.

    Attributes
    ----------
    balanced_accuracy : Metric
        Mean over the classes of the share of their images that are classified correctly [1]_.
    accuracy : Metric
        Share of all images that are classified correctly.
    macro : dict of str to Metric
        For each name in `AVERAGED`, the mean over the classes of the one-against-rest metric; NaN where it is
        undefined for one of them. That of the sensitivity is the balanced accuracy.
    """

    balanced_accuracy: Metric
    accuracy: Metric
    macro: dict[str, Metric]


def predict_classes(scores: ArrayLike) -> NDArray[np.int64]:
    """Predict for each image the class with the highest score.

    Parameters
    ----------
    scores : array-like of shape (n, n_classes)
        Probabilities, without NaN.

    Returns
    -------
    ndarray of int64 of shape (n,)
        Number of the class; `NO_CLASS` where several classes share the highest score, as in the scoring program of the
        challenges.

    Raises
    ------
    ParameterError
        If the shape is another one, or a score is no number.

    Examples
    --------
    >>> predict_classes(np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])).tolist()
    [1, -1]
    """
    known = _read_matrix(scores, "scores")
    _check_none_missing(known, "scores")
    highest = known == known.max(axis=1, keepdims=True)
    return np.where(highest.sum(axis=1) == 1, known.argmax(axis=1), NO_CLASS)


def call_each(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each image and class whether the class is the predicted one.

    Parameters
    ----------
    scores : ndarray of shape (n, n_classes)
        Probabilities.

    Returns
    -------
    ndarray of bool of shape (n, n_classes)
        As `predict_classes`: a row without True where several classes share the highest score.
    """
    return np.equal(predict_classes(scores)[:, np.newaxis], np.arange(scores.shape[1]))


def read_class_scores(y_score: ArrayLike, classes: Sequence[Any]) -> NDArray[np.float64]:
    """Convert the scores of several classes to float64; NaN marks an image without a score.

    Parameters
    ----------
    y_score : array-like of shape (n, n_classes)
        Probabilities, 0 to 1.
    classes : sequence of length n_classes
        The class of each column; at least two.

    Returns
    -------
    ndarray of float64 of shape (n, n_classes)
        The scores.

    Raises
    ------
    ParameterError
        If the shape is wrong, scores are no probabilities, or the columns of a table are the classes in another order.
    """
    scores = _read_matrix(y_score, "y_score")
    if scores.shape[1] != len(classes):
        raise ParameterError(
            f"y_score must have the shape (n, {len(classes)}), one column per class, got {scores.shape}"
        )
    check_column_order(y_score, classes)
    return check_probabilities(scores)


def _read_matrix(scores: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        matrix = np.asarray(unmasked(scores), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} must hold numbers, one per class for each image: {error}") from error
    if matrix.ndim != 2 or not matrix.shape[1]:
        raise ParameterError(f"{name} must have the shape (n, n_classes), one column per class, got {matrix.shape}")
    return matrix


def _check_none_missing(scores: NDArray[np.float64], name: str) -> None:
    n_missing = int(np.isnan(scores).any(axis=1).sum())
    if n_missing:
        raise ParameterError(f"{name} is NaN for {n_missing} of {len(scores)} images; leave these out")


def check_class_scores(
    truth: ArrayLike, y_score: ArrayLike, classes: Sequence[Any]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Check numbers of classes, and scores of several classes; none may be missing.

    Parameters
    ----------
    truth : array-like of int of shape (n,)
        Number of the class of each image, from 0.
    y_score, classes
        As `read_class_scores`; without NaN.

    Returns
    -------
    truth : ndarray of int64 of shape (n,)
        The numbers.
    scores : ndarray of float64 of shape (n, n_classes)
        The scores.

    Raises
    ------
    DatasetError
        If a class has no image, or a number is missing or no whole one.
    ParameterError
        As `read_class_scores`; also if lengths differ, a score is NaN, or there are other numbers.
    """
    numbers, scores = as_labels(truth, name="truth"), read_class_scores(y_score, classes)
    check_lengths(len(scores), truth=numbers)
    outside = numbers if numbers.dtype.kind == "U" else numbers[(numbers < 0) | (numbers >= len(classes))]
    if len(outside):
        raise ParameterError(
            f"truth must hold the number of each image's class, 0 to {len(classes) - 1}, got {outside[0].item()!r}; "
            "names of classes are for MulticlassReport.from_scores"
        )
    _check_none_missing(scores, "y_score")
    check_all_occur(numbers.astype(np.int64), classes)
    return numbers.astype(np.int64), scores


def check_all_occur(truth: NDArray[np.int64], classes: Sequence[Any]) -> None:
    """Stop where a class has no image.

    Parameters
    ----------
    truth : ndarray of int of shape (n,)
        Number of the class of each image.
    classes : sequence of length n_classes
        What the classes are called.

    Raises
    ------
    DatasetError
        If there is one; its metrics would not exist.
    """
    missing = np.flatnonzero(np.bincount(truth, minlength=len(classes)) == 0)
    if len(missing):
        names = [str(classes[number]) for number in missing[:_MOST_NAMED]] + ["…"] * (len(missing) > _MOST_NAMED)
        raise DatasetError(
            f"there is no image of {len(missing)} of the {len(classes)} classes ({', '.join(names)}): their metrics do "
            "not exist"
        )


@checked(n_classes=whole(at_least=2), groups=COLUMN | NONE, **BOOTSTRAP)
def multiclass_metrics(
    truth: ArrayLike,
    y_score: ArrayLike,
    *,
    n_classes: int,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> MulticlassMetrics:
    """Compute the overall metrics of a classifier of several classes.

    Parameters
    ----------
    truth : array-like of int of shape (n,)
        Number of the class of each image, 0 to ``n_classes - 1``; each must occur.
    y_score : array-like of shape (n, n_classes)
        Probabilities.
    n_classes : int
        At least 2.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    MulticlassMetrics
        Accuracy has Wilson's interval (at the effective sample size where there are groups); all others have
        percentile bootstrap intervals. Metrics that depend on the class frequencies
        (`melanoma_tl.metrics.OF_PREVALENCE`) are resampled from all images, the others within each class. The
        predicted class is the one with the highest score, in one-against-rest metrics too.

    Raises
    ------
    DatasetError, ParameterError
        As `check_class_scores`.

    Examples
    --------
    >>> found = multiclass_metrics(np.array([0, 1, 2, 2]), np.eye(3)[[0, 1, 2, 1]], n_classes=3)
    >>> round(found.balanced_accuracy.value, 4), found.accuracy.value
    (0.8333, 0.75)
    """
    numbers, scores = check_class_scores(truth, y_score, range(n_classes))
    check_lengths(len(scores), groups=groups)
    (value,), (resampled,) = measure_classes(numbers, [scores], groups, n_resamples, random_state)
    n, method = len(numbers), method_name(groups)
    lows, highs = percentile_interval(value, resampled, confidence)
    metrics = [
        Metric(float(one), float(low), float(high), n, method)
        for one, low, high in zip(value, lows, highs, strict=True)
    ]
    balanced, accuracy, *macro = metrics
    right = predict_classes(scores) == numbers
    ends = effective_wilson(right, groups, confidence)
    accuracy = Metric(accuracy.value, *ends, n, "wilson" if groups is None else "clustered wilson")
    units = (min(count_units(numbers, groups)),)  # all of these metrics depend on each class
    whole = mark_few({"balanced_accuracy": balanced, "accuracy": accuracy}, units)
    return MulticlassMetrics(**whole, macro=mark_few(dict(zip(AVERAGED, macro, strict=True)), units))


def measure_classes(
    truth: NDArray[np.int64],
    scores_of: Sequence[NDArray[np.float64]],
    groups: ArrayLike | None,
    n_resamples: int,
    random_state: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the metrics of one or several classifiers on the same images and the same resamples.

    Parameters
    ----------
    truth : ndarray of int of shape (n,)
        Number of the class of each image; each class must occur.
    scores_of : sequence of ndarray of shape (n, n_classes)
        The scores of each classifier.
    groups, n_resamples, random_state
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    values : ndarray of shape (n_classifiers, n_figures)
        Balanced accuracy, accuracy, and the macro means in the order of `AVERAGED`.
    resampled : ndarray of shape (n_classifiers, n_figures, n_resamples)
        The same metrics of each resample; NaN where a metric is undefined.
    """
    n_columns = 2 * scores_of[0].shape[1]
    sets = [slice(start, start + n_columns) for start in range(0, n_columns * len(scores_of), n_columns)]
    # A prediction is a score of two values, so that one resampling serves both kinds of metrics.
    columns = np.concatenate(
        [part for scores in scores_of for part in (scores, call_each(scores).astype(np.float64))], axis=1
    )
    n_classes = n_columns // 2
    tallies = [ScoreCounts.of((truth == c % n_classes).astype(np.int64), column) for c, column in enumerate(columns.T)]
    here = [(tally.melanoma, tally.benign) for tally in tallies]
    n_above = [int((tally.scores > 0.5).sum()) for tally in tallies]
    values = np.stack([_over_classes(AVERAGED, here[of], n_above[of]) for of in sets])
    resampled = np.empty((*values.shape, n_resamples))
    for stratified, names in by_resampling(AVERAGED):
        draws = draw_classes(truth, columns, groups, n_resamples, random_state, stratified=stratified)
        found = np.concatenate(
            [np.stack([_over_classes(names, drawn[of], n_above[of]) for of in sets]) for drawn in draws], axis=-1
        )
        of_calls = 0 if stratified else 1  # the accuracy depends on the class frequencies, the balanced accuracy not
        macro = [2 + AVERAGED.index(name) for name in names]
        resampled[:, [of_calls, *macro]] = found[:, [of_calls, *range(2, found.shape[1])]]
    return values, resampled


def _over_classes(
    names: Iterable[str], drawn: list[tuple[NDArray[np.int64], NDArray[np.int64]]], n_above: list[int]
) -> NDArray[np.float64]:
    """Compute balanced accuracy, accuracy and some macro means of one or many resamples, as rows."""
    n_classes = len(drawn) // 2
    names = list(names)
    means: dict[str, NDArray[np.float64]] = {}
    # Of the order of the scores, and of the predictions.
    for counts, of in ((False, slice(n_classes)), (True, slice(n_classes, None))):
        if chosen := [name for name in names if (name in CONFUSION_METRICS) == counts]:
            each = [tally_metrics(chosen, *pair, above) for pair, above in zip(drawn[of], n_above[of], strict=True)]
            means |= dict(zip(chosen, np.mean(each, axis=0), strict=True))
    against_rest = np.stack([means[name] for name in names])
    right = np.stack(
        [own[..., :above].sum(axis=-1) for (own, _), above in zip(drawn[n_classes:], n_above[n_classes:], strict=True)]
    )
    of_class = np.stack([own.sum(axis=-1) for own, _ in drawn[n_classes:]])
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample may lack a class
        balanced = (right / of_class).mean(axis=0)
    return np.concatenate([balanced[np.newaxis], (right.sum(axis=0) / of_class.sum(axis=0))[np.newaxis], against_rest])
