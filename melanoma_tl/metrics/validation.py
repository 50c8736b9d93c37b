"""Checks of labels and scores that users pass."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import BOOTSTRAP, check
from melanoma_tl._row_order import check_row_order
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.labels.classes import as_binary, distinguish
from melanoma_tl.labels.meanings import Meaning, are_mixed_answers, is_answer, normalise, read_meaning
from melanoma_tl.labels.together import as_read

_ROUNDING = 8 * float(np.finfo(np.float32).eps)
"""Tolerance for probabilities outside 0 to 1: the rounding error of a network that computes in float32."""


_MOST_SHOWN = 5

_NO_NUMBERS = "USmMc"
"""Kinds of arrays that NumPy would convert to floats without an error: text, times, complex numbers."""


def check_scores(y_score: ArrayLike, *, probabilities: bool = True) -> NDArray[np.float64]:
    """Convert scores to float64; NaN marks an image without a score.

    Parameters
    ----------
    y_score : array-like of shape (n,)
        Probabilities of melanoma.
    probabilities : bool, default=True
        Whether they must lie between 0 and 1. Use False where only the order of the scores matters.

    Returns
    -------
    ndarray of float64 of shape (n,)
        The scores.

    Raises
    ------
    ParameterError
        If they are not numeric, the shape is wrong, or a score is infinite or not a probability.
    """
    try:
        given = np.asarray(y_score)
        scores = given if given.dtype.kind in _NO_NUMBERS else given.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"y_score must hold numbers, the probability of melanoma: {error}") from error
    if scores.dtype.kind in _NO_NUMBERS:
        raise ParameterError(f"y_score must hold numbers, the probability of melanoma; got {scores.dtype}")
    if isinstance(y_score, np.ma.MaskedArray):
        scores = np.where(np.ma.getmaskarray(y_score), np.nan, scores)
    if scores.ndim != 1:
        raise ParameterError(f"y_score must have the shape (n,), the probability of melanoma, got {scores.shape}")
    if probabilities:
        return check_probabilities(scores)
    infinite = int(np.isinf(scores).sum())
    if infinite:
        raise ParameterError(f"y_score must hold finite numbers, got {infinite} that are infinite")
    return scores


def check_probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raise an error for scores that are no probabilities.

    Parameters
    ----------
    scores : ndarray of any shape
        Scores; NaN is allowed.

    Returns
    -------
    ndarray of float64 of the same shape
        The scores, clipped to 0 and 1: values outside by a rounding error of float32 are accepted.

    Raises
    ------
    ParameterError
        If one lies outside 0 to 1.
    """
    outside = scores[(scores < -_ROUNDING) | (scores > 1 + _ROUNDING)]
    if outside.size:
        raise ParameterError(
            f"y_score must hold probabilities, 0 to 1, got {outside.size} outside, such as {float(outside[0])!r}; "
            "pass predict_proba(X), the column of melanoma, not logits, per cents or decision_function"
        )
    return np.clip(scores, 0, 1)


def check_scored(
    y_true: ArrayLike, y_score: ArrayLike, *, probabilities: bool = True, both: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Check labels and scores of one set of images; none may be missing.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma, or names of the classes.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, without NaN.
    probabilities : bool, default=True
        As `check_scores`.
    both : bool, default=True
        Whether both classes must occur.

    Returns
    -------
    truth : ndarray of int64 of shape (n,)
        0 or 1.
    scores : ndarray of float64 of shape (n,)
        The scores.

    Raises
    ------
    DatasetError
        If a class has no image, unless that is allowed, or as `melanoma_tl.labels.classes.as_binary`.
    ParameterError
        If lengths differ, a score is NaN, or as `check_scores`.
    """
    check_row_order({"y_true": y_true, "y_score": y_score})
    truth, scores = as_binary(y_true), check_scores(y_score, probabilities=probabilities)
    check_lengths(len(scores), y_true=truth)
    n_missing = int(np.isnan(scores).sum())
    if n_missing:
        raise ParameterError(
            f"y_score is NaN for {n_missing} of {len(scores)} images; leave these out, "
            "or use MetricsReport.from_scores, which leaves them out and lists them"
        )
    if both:
        check_classes(int(truth.sum()), int(len(truth) - truth.sum()))
    return truth, scores


def check_predictions(
    y_pred: ArrayLike | None, y_true: ArrayLike, truth: NDArray[np.int64]
) -> NDArray[np.bool_] | None:
    """Read which images are predicted melanoma, if that is given.

    Parameters
    ----------
    y_pred : array-like of shape (n,) or None
        Labels in the words of `y_true`; or in other words that are clear by themselves, such as 0 and 1.
    y_true : array-like of shape (n,)
        The labels as they were given.
    truth : ndarray of int64 of shape (n,)
        What they were read as: 1 melanoma, 0 benign.

    Returns
    -------
    ndarray of bool of shape (n,) or None
        None where nothing was given.

    Raises
    ------
    DatasetError, ParameterError
        If the length differs, or there are other labels.
    """
    if y_pred is None:
        return None
    check_lengths(len(truth), y_pred=y_pred)
    code_of = list_codes(y_true, truth)
    calls, of_call = distinguish(y_pred, name="y_pred")
    by_word = {normalise(label): bool(code) for label, code in code_of.items()}
    known = [by_word.get(normalise(call)) for call in calls.tolist()]
    called = known if None not in known else _read_calls(calls.tolist(), known, code_of)
    return np.array(called, dtype=bool)[of_call]


def list_codes(y_true: ArrayLike, truth: NDArray[np.int64]) -> dict[Any, int]:
    """List the labels that occur, and what each was read as.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        The labels as they were given.
    truth : ndarray of int64 of shape (n,)
        What they were read as: 1 melanoma, 0 benign.

    Returns
    -------
    dict of object to int
        0 or 1 for each label.
    """
    classes, places = distinguish(y_true, name="y_true")
    return dict(zip(classes.tolist(), truth[np.unique(places, return_index=True)[1]].tolist(), strict=True))


def _read_calls(calls: list[Any], known: list[bool | None], code_of: Mapping[Any, int]) -> list[bool]:
    """Read predictions in other words than the labels, by the meaning of the words; all must agree with the labels."""
    answers = [is_answer(call) for call in calls]
    # What 1 says beside words is not known. Where melanoma is called 0, or is a naevus, words mean something else.
    others = [label for label, code in code_of.items() if code and read_meaning(label) is Meaning.OTHER]
    turned = any(is_answer(label) or not all(answers) for label in others)
    read = [read_meaning(word) for word in as_read(calls)]
    is_clear = set(read) <= {Meaning.MELANOMA, Meaning.OTHER} or set(read) == {Meaning.MALIGNANT, Meaning.OTHER}
    called = [meaning is not Meaning.OTHER for meaning in read]
    agrees = all(one in (None, other) for one, other in zip(known, called, strict=True))
    if turned or not is_clear or not agrees or any(answers) != all(answers) or are_mixed_answers(calls):
        strange = [call for call, one in zip(calls, known, strict=True) if one is None]
        raise DatasetError(
            f"y_pred holds {_list(strange)}, but the labels in y_true are {_list(list(code_of))}: give these labels, "
            "or True where melanoma is predicted and False elsewhere"
        )
    return called


def _list(labels: list[Any]) -> str:
    return ", ".join(map(repr, labels[:_MOST_SHOWN])) + ", …" * (len(labels) > _MOST_SHOWN)


def not_binary(got: str) -> str:
    """Return the error message for probabilities that are not those of two classes."""
    return (
        f"predict_proba must return the shape (n, 2), benign and melanoma, got {got}; "
        "for several diagnoses there is MulticlassReport"
    )


def check_column_order(y_score: Any, classes: Sequence[Any], name: str = "y_score") -> None:
    """Raise an error for a table of scores whose columns are called as the classes, and stand in another order.

    Parameters
    ----------
    y_score : array-like of shape (n, n_classes)
        Only the columns of a table have names. They may share a word, as "p_mel" and "p_nv" do. The numbers that pandas
        gives to columns without names say nothing.
    classes : sequence of length n_classes
        The class of each column.
    name : str, default="y_score"
        What the user calls the table, for the message.

    Raises
    ------
    ParameterError
        It says how to put them in order.

    Examples
    --------
    >>> import pandas as pd
    >>> check_column_order(pd.DataFrame([[0.2, 0.8]], columns=["nv", "mel"]), ["mel", "nv"])
    Traceback (most recent call last):
    ...
    melanoma_tl.errors.ParameterError: the columns of y_score are 'nv', 'mel' and the classes 'mel', 'nv', but columns \
are taken by position: pass y_score[['mel', 'nv']], or y_score.to_numpy() if they are in the right order
    """
    columns = getattr(y_score, "columns", None)
    places = {normalise(one): place for place, one in enumerate(classes)}
    if columns is None or type(columns).__name__ == "RangeIndex" or len(places) < len(classes):
        return
    named, labels = list(columns), [one.item() if isinstance(one, np.generic) else one for one in classes]
    words = list(map(normalise, named))
    for compared in (words, _without_shared(words)):
        found = [places.get(word) for word in compared]
        # A number may count the columns: it is a class only if all of them are.
        if None in found and any(map(str.isdecimal, compared)):
            continue
        if any(place not in (None, here) for here, place in enumerate(found)):
            right = [] if None in found else [named[found.index(place)] for place in range(len(found))]
            way = f"pass {name}[{right}]" if right else "put them in the order of the classes"
            raise ParameterError(
                f"the columns of {name} are {_list(named)} and the classes {_list(labels)}, but columns are taken by "
                f"position: {way}, or {name}.to_numpy() if they are in the right order"
            )


def _without_shared(words: list[str]) -> list[str]:
    """Take away the parts that all words have, such as the "p" of "p mel" and "p nv"."""
    shared = set.intersection(*(set(word.split()) for word in words)) if words else set()
    return [" ".join(part for part in word.split() if part not in shared) for word in words]


def check_lengths(n_scores: int, **columns: Any) -> None:
    """Raise an error unless each column has one entry per score.

    Parameters
    ----------
    n_scores : int
        Number of scores.
    **columns : sequence or None
        The columns, by the names that the user knows; None is ignored.

    Raises
    ------
    ParameterError
        If a length differs.
    """
    for name, column in columns.items():
        if column is not None and len(column) != n_scores:
            raise ParameterError(f"y_score has {n_scores} rows, but {name} has {len(column)}; give one per image")


def check_classes(n_melanoma: int, n_benign: int) -> None:
    """Raise an error if one of the classes has no image.

    Parameters
    ----------
    n_melanoma, n_benign : int
        Number of images of each class.

    Raises
    ------
    DatasetError
        If one of them is 0.
    """
    if not n_melanoma or not n_benign:
        raise DatasetError(
            f"Metrics need images of both classes, got {n_melanoma} melanoma and {n_benign} benign; "
            "add images of the missing class (AUC, sensitivity and specificity do not exist without them)"
        )


def check_fraction(name: str, value: object, *, ends: bool = False) -> None:
    """Raise an error unless a parameter is a fraction.

    Parameters
    ----------
    name : str
        The parameter.
    value : object
        The given value.
    ends : bool, default=False
        Whether 0 and 1 are allowed.

    Raises
    ------
    ParameterError
        If it is not a number, or not between 0 and 1.

    Examples
    --------
    >>> check_fraction("confidence", 95)
    Traceback (most recent call last):
    ...
    melanoma_tl.errors.ParameterError: confidence must lie between 0 and 1 (both excluded), got 95
    """
    good = (
        isinstance(value, int | float | np.number)
        and not isinstance(value, bool)
        and (0 <= value <= 1 if ends else 0 < value < 1)
    )
    if not good:
        which = "included" if ends else "excluded"
        raise ParameterError(f"{name} must lie between 0 and 1 (both {which}), got {value!r}")


def check_bootstrap(confidence: object, n_resamples: object) -> None:
    """Check the parameters of the bootstrap.

    Parameters
    ----------
    confidence : object
        Must lie between 0 and 1.
    n_resamples : object
        Must be at least 100: with fewer the ends of an interval are too noisy.

    Raises
    ------
    ParameterError
        If one of them is out of its range.
    """
    check_fraction("confidence", confidence)
    check({"n_resamples": n_resamples}, BOOTSTRAP)
