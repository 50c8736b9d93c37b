"""Comparisons of two classifiers of several diagnoses on the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import BOOTSTRAP, COLUMN, NAMES, NONE, TEXT, checked, listed
from melanoma_tl._tables import TitledTable
from melanoma_tl.errors import DatasetError
from melanoma_tl.metrics.comparisons import Comparison, McNemar, compare, mcnemar
from melanoma_tl.metrics.confusion import CONFUSION_METRICS
from melanoma_tl.metrics.differences import Difference, difference_table, explain_p
from melanoma_tl.metrics.few import FACT, count_units, mark_few
from melanoma_tl.metrics.metric import COLLAPSED, LABELS
from melanoma_tl.metrics.multiclass import (
    AVERAGED,
    call_each,
    check_class_scores,
    measure_classes,
    predict_classes,
)
from melanoma_tl.metrics.resampling import method_name, percentile_interval
from melanoma_tl.metrics.validation import check_lengths

_OF_EACH = ("auc", "average_precision", "sensitivity", "specificity")


@dataclass(frozen=True, eq=False)
class MulticlassComparison(TitledTable):
    """Two classifiers of several diagnoses compared on the same images.

    Made by `compare_classes` or `MulticlassReport.compare`.

    Attributes
    ----------
    names : tuple of str
        Names of the two classifiers.
    class_sizes : mapping of str to int
        Number of images of each class that both have scored.
    left_out : int
        Number of images that only one of them has scored.
    confidence : float
        Coverage of the intervals.
    differences : mapping of str to Difference
        First minus second: "balanced_accuracy", "accuracy", and "macro_" with each name in
        `melanoma_tl.metrics.AVERAGED`.
    against_rest : mapping of str to mapping of str to Difference
        For each class, the differences of all its one-against-rest metrics.
    disagreement : McNemar
        Images that only one of the two predicts correctly, with McNemar's test.
    """

    names: tuple[str, str]
    class_sizes: Mapping[str, int]
    left_out: int
    confidence: float
    differences: Mapping[str, Difference]
    against_rest: Mapping[str, Mapping[str, Difference]]
    disagreement: McNemar

    def __repr__(self) -> str:
        one = self.differences["balanced_accuracy"]
        return f"MulticlassComparison({self._title()}, balanced accuracy {one.value:+.3f})"

    def to_frame(self) -> pd.DataFrame:
        """Return the comparison as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row per metric: "metric", "class" (empty for all classes together), then the columns of `Difference`.
        """
        parts = {"": self.differences, **self.against_rest}
        return pd.DataFrame(
            [
                {"metric": metric, "class": name, **asdict(row)}
                for name, rows in parts.items()
                for metric, row in rows.items()
            ]
        )

    def _title(self) -> str:
        return f"{self.names[0]} against {self.names[1]}"

    def _facts(self) -> list[str]:
        classes = ", ".join(f"{n} {name}" for name, n in self.class_sizes.items())
        n, (first, second), alone = sum(self.class_sizes.values()), self.names, self.disagreement
        facts = [
            f"{n} images scored by both: {classes}; {self.left_out} scored by one alone are left out",
            f"Images that one alone calls right: {alone.only_first} {first}, {alone.only_second} {second}",
            *explain_p(self._labelled()),
        ]
        facts += [FACT] * any(row.few for row in self._labelled().values())
        collapsed = [name for name, row in self._labelled().items() if row.low == row.high]
        return [*facts, f"{COLLAPSED} ({', '.join(collapsed)})"] if collapsed else facts

    def _labelled(self) -> dict[str, Difference]:
        together = {
            "Balanced accuracy": self.differences["balanced_accuracy"],
            "Accuracy": self.differences["accuracy"],
            **{f"{LABELS[name]}, mean of the classes": self.differences[f"macro_{name}"] for name in _OF_EACH},
        }
        of_each = {
            f"{LABELS[metric]} of {name}": rows[metric]
            for name, rows in self.against_rest.items()
            for metric in _OF_EACH
        }
        return together | of_each

    def _table(self) -> tuple[list[str], list[list[str]]]:
        return difference_table(self._labelled(), names=self.names, confidence=self.confidence)


@checked(classes=listed(TEXT, at_least=2), names=NAMES, groups=COLUMN | NONE, **BOOTSTRAP)
def compare_classes(
    truth: ArrayLike,
    first_score: ArrayLike,
    second_score: ArrayLike,
    *,
    classes: Sequence[str],
    names: tuple[str, str] = ("first", "second"),
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
    left_out: int = 0,
) -> MulticlassComparison:
    """Compare two classifiers of several diagnoses on the same images.

    Parameters
    ----------
    truth : array-like of int of shape (n,)
        Number of the class of each image; two images of each class at least.
    first_score, second_score : array-like of shape (n, n_classes)
        Probabilities by each classifier, in the same order of images and classes.
    classes : sequence of str of length n_classes
        Names of the classes.
    names : tuple of str, default=("first", "second")
        Names of the two classifiers.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.
    left_out : int, default=0
        Number of images that were left out; the result only repeats it.

    Returns
    -------
    MulticlassComparison
        Overall metrics have percentile bootstrap intervals of their difference, with the same resamples for both
        classifiers; accuracy also has McNemar's mid-p test. One-against-rest metrics are compared as by
        `melanoma_tl.metrics.compare`, with the predicted class of each classifier instead of a threshold. With
        `groups`, patients are resampled, and McNemar's test is left out, because it assumes independent images.

    Raises
    ------
    DatasetError
        If a class has fewer than two images.
    ParameterError
        If lengths or shapes differ, scores are no probabilities, or a parameter is out of its range.

    Examples
    --------
    >>> truth = np.repeat([0, 1, 2], 4)
    >>> first, second = np.eye(3)[truth], np.eye(3)[(truth + (np.arange(12) % 4 == 0)) % 3]
    >>> compare_classes(truth, first, second, classes=["bkl", "mel", "nv"])
    MulticlassComparison(first against second, balanced accuracy +0.250)
    """
    numbers, first = check_class_scores(truth, first_score, classes)
    scores = [first, check_class_scores(truth, second_score, classes)[1]]
    check_lengths(len(numbers), groups=groups)
    sizes = dict(zip(classes, np.bincount(numbers, minlength=len(classes)).tolist(), strict=True))
    rare = [name for name, n in sizes.items() if n < 2]
    if rare:
        raise DatasetError(f"A comparison needs two images of each class; there is only one of {', '.join(rare)}")
    bootstrap: dict[str, Any] = {"confidence": confidence, "n_resamples": n_resamples, "random_state": random_state}
    first_right, second_right = (predict_classes(one) == numbers for one in scores)
    called = [call_each(one) for one in scores]
    disagreement = mcnemar(first_right, second_right)
    together = _differences(numbers, scores, groups, disagreement, **bootstrap)
    return MulticlassComparison(
        names=names,
        class_sizes=sizes,
        left_out=left_out,
        confidence=confidence,
        differences=mark_few(together, [min(count_units(numbers, groups))]),
        against_rest={
            name: compare_predicted(
                (numbers == number).astype(np.int64),
                (scores[0][:, number], scores[1][:, number]),
                (called[0][:, number], called[1][:, number]),
                names=names,
                groups=groups,
                **bootstrap,
            ).differences
            for number, name in enumerate(classes)
        },
        disagreement=disagreement,
    )


def compare_predicted(
    truth: NDArray[np.int64],
    scores: tuple[NDArray[np.float64], NDArray[np.float64]],
    called: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    *,
    margins: Mapping[str, float] | None = None,
    **options: Any,
) -> Comparison:
    """Compare two classifiers of one class against the rest whose predictions do not come from a threshold.

    Parameters
    ----------
    truth : ndarray of int of shape (n,)
        1 the class, 0 the rest.
    scores : tuple of ndarray of shape (n,)
        Probabilities of the class by each classifier.
    called : tuple of ndarray of bool of shape (n,)
        Which images each predicts to be of the class.
    margins, **options
        As `melanoma_tl.metrics.compare`.

    Returns
    -------
    Comparison
        That of the scores, with the metrics that count predictions, and their tests, from `called`.
    """
    ranked = {name: margin for name, margin in (margins or {}).items() if name not in CONFUSION_METRICS}
    counted = {name: margin for name, margin in (margins or {}).items() if name in CONFUSION_METRICS}
    of_scores = compare(truth, *scores, margins=ranked, **options)
    # A prediction is a score of two values.
    of_calls = compare(truth, *(one.astype(np.float64) for one in called), margins=counted, **options)
    return replace(
        of_scores,
        differences={name: (of_calls if name in CONFUSION_METRICS else of_scores).differences[name] for name in LABELS},
        disagreements=of_calls.disagreements,
        margins={name: {**of_scores.margins, **of_calls.margins}[name] for name in margins or {}},
    )


def _differences(
    truth: NDArray[np.int64],
    scores: Sequence[NDArray[np.float64]],
    groups: ArrayLike | None,
    disagreement: McNemar,
    *,
    confidence: float,
    n_resamples: int,
    random_state: int,
) -> dict[str, Difference]:
    """Return the differences of the overall metrics."""
    (first, second), resampled = measure_classes(truth, scores, groups, n_resamples, random_state)
    lows, highs = percentile_interval(first - second, resampled[0] - resampled[1], confidence)
    found = {}
    for place, name in enumerate(("balanced_accuracy", "accuracy", *(f"macro_{name}" for name in AVERAGED))):
        one, other = float(first[place]), float(second[place])
        tested: dict[str, Any] = {}
        if name == "accuracy" and groups is None:
            tested = {"p_value": disagreement.mid_p, "test": "McNemar mid-p"}
        found[name] = Difference(
            one, other, one - other, float(lows[place]), float(highs[place]), method_name(groups), **tested
        )
    return found
