"""Labels as they come from outside: an array of classes, and which of them is melanoma."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl.errors import DatasetError, ParameterError, UnknownNameError
from melanoma_tl.labels.checks import check_no_measurements, is_positive, warn_of_positive, wrong_shape
from melanoma_tl.labels.meanings import (
    Meaning,
    are_mixed_answers,
    is_answer,
    is_missing,
    is_undecided,
    names_other_cancer,
    normalise,
    read_meaning,
)
from melanoma_tl.labels.spellings import check_spellings
from melanoma_tl.labels.together import as_read, check_codes, check_two_known

logger = logging.getLogger(__name__)

_N_SHOWN = 5

_SCORES_SECOND = {"y_true": "; the labels come first, then the scores"}  # where they may have been swapped

_KINDS: Mapping[str, tuple[type, ...]] = {
    "words": (str, bytes),
    "truth values": (bool, np.bool_),
    "numbers": (int, float, np.integer, np.floating),
}
"""What a label may be; a truth value is an int for Python, so that it stands before the numbers."""

_MISSING_TYPES = (type(None), type(pd.NA), type(pd.NaT))

# -- labels of images --------------------------------------------------------------------------------------------------


def as_labels(labels: ArrayLike, *, name: str = "y") -> NDArray[Any]:
    """Convert labels in any container to an array, and raise an error if one is missing.

    Parameters
    ----------
    labels : array-like of shape (n,)
        A list, an array, a Series, a Categorical…; a column of shape (n, 1) counts as one.
    name : str, default="y"
        What the user calls them, for messages.

    Returns
    -------
    ndarray of shape (n,)
        The labels as they are given: words, whole numbers or truth values.

    Raises
    ------
    DatasetError
        If the shape is another one, a label is missing, or they are no classes.

    Examples
    --------
    >>> as_labels(pd.Series([1, 0, 1], dtype="Int64"))
    array([1, 0, 1])
    >>> as_labels(["nevus", "", "melanoma"])
    Traceback (most recent call last):
    ...
    melanoma_tl.errors.DatasetError: 1 of 3 labels are missing (row 1 is ''): leave those images out, or label them
    """
    array = _to_column(labels, name)
    if array.dtype.kind in "biu" or not len(array):
        return array
    if array.dtype.kind == "O":
        _check_kinds(set(map(type, array.tolist())), name)
    rows, distinct = pd.factorize(array)  # -1 where pandas sees that it is missing
    missing = (rows < 0) | np.isin(rows, [row for row, label in enumerate(distinct.tolist()) if is_missing(label)])
    if missing.any():
        where = np.flatnonzero(missing)
        raise DatasetError(
            f"{len(where)} of {len(array)} labels are missing (row {where[0]} is {_show(array[where[:1]])}): "
            "leave those images out, or label them"
        )
    if any(isinstance(label, bytes) for label in distinct):  # as TensorFlow gives words
        words = (label.decode("utf-8", "replace") if isinstance(label, bytes) else label for label in distinct)
        array = np.fromiter(words, dtype=object, count=len(distinct))[rows]
    if array.dtype.kind == "O":
        _check_kinds(set(map(type, array.tolist())), name, of_one_kind=True)
        array = array.astype(str) if isinstance(array[0], str) else np.array(array.tolist())
    if array.dtype.kind == "f" and not all(float(label).is_integer() for label in distinct):
        raise DatasetError(
            f"Unknown label type: continuous. {name} must hold classes, which are words or whole numbers, "
            f"got {len(distinct)} values: {_show(np.sort(array))}{_SCORES_SECOND.get(name, '')}"
        )
    return array


def unmasked(values: Any) -> Any:
    """Return an array with None in place of the masked entries of a masked array.

    Parameters
    ----------
    values : object
        Anything; only a masked array is converted.

    Returns
    -------
    object
        An ndarray of dtype object for a masked array, otherwise `values`.
    """
    if not isinstance(values, np.ma.MaskedArray):
        return values
    filled = np.ma.getdata(values).astype(object)
    filled[np.ma.getmaskarray(values)] = None  # np.ma.filled(..., None) would take the fill value
    return filled


def _to_column(labels: Any, name: str) -> NDArray[Any]:
    """Return an array of one dimension, of objects where NumPy would make the word "nan" of what is missing."""
    labels = unmasked(labels)
    if isinstance(labels, np.ndarray):
        array = labels
    elif hasattr(labels, "__array__"):
        plain = isinstance(getattr(labels, "dtype", None), np.dtype)
        array = np.asarray(labels) if plain else np.asarray(labels, dtype=object)
    elif isinstance(labels, Collection) and not isinstance(labels, str | bytes | Mapping | set | frozenset):
        array = np.fromiter(labels, dtype=object, count=len(labels))
        if len(array) and all(isinstance(label, list | tuple | np.ndarray) for label in array):
            array = _unwrap(array, name)
    else:
        raise DatasetError(f"{name} must be a sequence of labels, one an image, got {type(labels).__name__}")
    if array.dtype.kind not in "biufUO":
        array = array.astype(object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise wrong_shape(labels, name, array.shape, _SCORES_SECOND.get(name, ""))
    return array


def _unwrap(rows: NDArray[np.object_], name: str) -> NDArray[np.object_]:
    """Take the labels out of a list of rows."""
    sizes = {np.size(row) for row in rows}
    if sizes != {1}:
        shape = (len(rows), *(sizes if len(sizes) == 1 else {"…"}))
        raise wrong_shape(rows, name, shape, _SCORES_SECOND.get(name, ""))
    return np.fromiter((np.asarray(row, dtype=object).item() for row in rows), dtype=object, count=len(rows))


def _check_kinds(types: Iterable[type], name: str, *, of_one_kind: bool = False) -> None:
    """Raise an error for values that cannot be labels, and for labels of several types if none is missing."""
    kinds = set()
    for one in types:
        kind = next((kind for kind, known in _KINDS.items() if issubclass(one, known)), None)
        if kind is None and not issubclass(one, _MISSING_TYPES):
            raise DatasetError(f"{name} must hold words, whole numbers or truth values, got {one.__name__}")
        kinds.add(kind)
    if of_one_kind and len(kinds) > 1:
        raise DatasetError(f"{name} must hold labels of one kind, got {' and '.join(sorted(filter(None, kinds)))}")


def distinguish(labels: ArrayLike, *, name: str = "y") -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Find the classes in labels.

    Parameters
    ----------
    labels : array-like of shape (n,)
        As `as_labels`.
    name : str, default="y"
        What the user calls them, for messages.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Those that occur, sorted.
    places : ndarray of int of shape (n,)
        The place of each label among them.

    Raises
    ------
    DatasetError
        As `as_labels`; also if classes are spelled in several ways, or are measured numbers, such as ages.
    """
    classes, places, counts = np.unique(as_labels(labels, name=name), return_inverse=True, return_counts=True)
    check_no_measurements(classes, name)
    check_spellings(dict(zip(classes.tolist(), counts.tolist(), strict=True)), name)
    return classes, places


# -- which of them is melanoma -----------------------------------------------------------------------------------------


def find_melanoma(classes: Sequence[object], *, pos_label: object = None, name: str = "y") -> int | None:
    """Find melanoma among classes; their order has no say.

    Parameters
    ----------
    classes : sequence
        Distinct labels.
    pos_label : object, optional
        The label that means melanoma, where the words do not say so.
    name : str, default="y"
        What the user calls the labels, for messages.

    Returns
    -------
    int or None
        Its place. None where there are more than two classes, and not exactly one of them is melanoma.

    Raises
    ------
    DatasetError
        If nothing says which of two classes is melanoma.
    ParameterError
        If `pos_label` is none of the classes, or the words say that another one is melanoma.

    Examples
    --------
    >>> find_melanoma(["melanoma", "nevus"]), find_melanoma([0, 1]), find_melanoma(["cat", "dog"], pos_label="dog")
    (0, 1, 1)
    """
    words = as_read(classes)
    meanings = [read_meaning(word) for word in words]
    answers = [is_answer(word) for word in words]
    if any(answers) and not (all(answers) and len(words) == 2 and not are_mixed_answers(words)):
        meanings = [Meaning.UNKNOWN if answer else meaning for answer, meaning in zip(answers, meanings, strict=True)]
    named = meanings.index(Meaning.MELANOMA) if meanings.count(Meaning.MELANOMA) == 1 else None
    if pos_label is not None:
        return _find_given(classes, pos_label, named, name)
    if named is not None and len(classes) == 2:
        _check_other(words[1 - named], meanings[1 - named], name)
        if is_positive(words[named]):
            warn_of_positive(classes[named], classes[1 - named])
    if named is not None or len(classes) != 2:
        return named
    if set(meanings) == {Meaning.MALIGNANT, Meaning.OTHER} and not any(map(names_other_cancer, words)):
        place = meanings.index(Meaning.MALIGNANT)
        _warn_of_malignant(classes[place], classes[1 - place])
        return place
    both = "both mean melanoma" if meanings == [Meaning.MELANOMA] * 2 else "do not say which of them is melanoma"
    raise DatasetError(
        f"the labels in {name} ({_show(classes)}) {both}: pass pos_label={classes[0]!r} or pos_label={classes[1]!r}, "
        "or give 0 and 1, where 1 is melanoma"
    )


def _check_other(label: object, meaning: Meaning, name: str) -> None:
    """Raise an error if the other of two classes may be melanoma as well."""
    if meaning is Meaning.MALIGNANT or is_undecided(label):
        raise DatasetError(
            f"the label {label!r} in {name} stands beside melanoma and may hold melanomas too: leave those images out, "
            "or pass pos_label= if they are none"
        )


def _find_given(classes: Sequence[object], pos_label: object, named: int | None, name: str) -> int:
    words = [normalise(label) for label in classes]
    if normalise(pos_label) not in words:
        raise ParameterError(f"pos_label must be one of the labels in {name}, {_show(classes)}; got {pos_label!r}")
    place = words.index(normalise(pos_label))
    if named is not None and named != place:
        raise ParameterError(
            f"pos_label names melanoma: pos_label={pos_label!r} would call {classes[named]!r} benign; "
            "give other labels where they mean something else"
        )
    return place


@cache
def _warn_of_malignant(malignant: object, benign: object) -> None:
    """Warn once that nothing distinguishes melanomas from other cancers."""
    logger.warning(
        "%r, beside %r, is taken for melanoma: labels that count other cancers too make another classifier",
        malignant,
        benign,
    )


def as_binary(labels: ArrayLike, *, pos_label: object = None, name: str = "y_true") -> NDArray[np.int64]:
    """Turn labels of two classes into 0 for benign and 1 for melanoma; one class alone will do.

    Parameters
    ----------
    labels : array-like of shape (n,)
        As `as_labels`.
    pos_label : object, optional
        The label that means melanoma; every other label is then benign.
    name : str, default="y_true"
        What the user calls the labels, for messages.

    Returns
    -------
    ndarray of int64 of shape (n,)
        0 or 1.

    Raises
    ------
    DatasetError
        If a label is missing, or there are several and nothing says which is melanoma.
    ParameterError
        If `pos_label` is none of the labels.

    Examples
    --------
    >>> as_binary(["nevus", "mel", "nevus"]).tolist()
    [0, 1, 0]
    """
    classes, places = distinguish(labels, name=name)
    if pos_label is None and len(classes) < 2:
        meanings = {read_meaning(label) for label in classes.tolist()}
        if meanings <= {Meaning.MELANOMA} or meanings <= {Meaning.OTHER}:
            return np.full(len(places), int(Meaning.MELANOMA in meanings), dtype=np.int64)
    if pos_label is None and len(classes) != 2:
        raise DatasetError(
            f"{name} must hold two classes, benign and melanoma, got {_show(classes.tolist())}; say which of them is "
            "melanoma with pos_label, and every other counts as benign"
        )
    return (places == find_melanoma(classes.tolist(), pos_label=pos_label, name=name)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes that a classifier tells apart, and which of them is melanoma.

    Attributes
    ----------
    labels : ndarray of shape (n_classes,)
        As the user gave them; scikit-learn's ``classes_``.
    melanoma : int or None
        The place of melanoma among them; None where no class is it, or several are.
    """

    labels: NDArray[Any]
    melanoma: int | None

    @classmethod
    def of(cls, labels: ArrayLike, *, pos_label: object = None, name: str = "y", are_learned: bool = False) -> Self:
        """Learn the classes from labels of training images.

        Parameters
        ----------
        labels : array-like of shape (n,)
            As `as_labels`.
        pos_label : object, optional
            The label that means melanoma, where the words do not say so.
        name : str, default="y"
            What the user calls the labels, for messages.
        are_learned : bool, default=False
            Whether a classifier has learned all of them, so that none marks what is missing.

        Returns
        -------
        Classes
            Sorted.

        Raises
        ------
        DatasetError
            If a label is missing, one class is spelled in several ways, there is only one, nothing says which of
            two is melanoma, or words that say nothing stand beside melanoma and one other class, or codes such as -1
            and 9 beside 0 and 1: without `pos_label` they are taken for gaps, and not for further diagnoses.
        ParameterError
            If `pos_label` is none of the labels, or the words say that another one is melanoma.
        """
        classes, _ = distinguish(labels, name=name)
        if len(classes) < 2:
            raise DatasetError(
                "Training needs images of two classes, benign and melanoma, or of several diagnoses; "
                f"got {len(classes)} class{'' if len(classes) == 1 else 'es'}: {_show(classes.tolist())}"
            )
        if pos_label is None and not are_learned:
            check_codes(classes.tolist(), name)
            check_two_known(classes.tolist(), name)
        return cls(classes, find_melanoma(classes.tolist(), pos_label=pos_label, name=name))

    @property
    def pos_label(self) -> Any:
        """The label of melanoma, or None."""
        return None if self.melanoma is None else self.labels.tolist()[self.melanoma]

    @property
    def codes(self) -> NDArray[np.int64]:
        """What a network calls each class: of two, melanoma is 1 and the other 0; of several each is its place."""
        places = np.arange(len(self.labels))
        return (places == self.melanoma).astype(np.int64) if self._is_binary else places

    @property
    def _is_binary(self) -> bool:
        return len(self.labels) == 2 and self.melanoma is not None

    def encode(self, labels: ArrayLike, *, name: str = "y") -> NDArray[np.int64]:
        """Find labels among the classes.

        They are read in the classes' own words. Where one side says 0 and 1 (or no and yes), which is the library's
        own word for the two classes, the other may say it in any words that are clear by themselves.

        Parameters
        ----------
        labels : array-like of shape (n,)
            As `as_labels`; not all classes need occur.
        name : str, default="y"
            What the user calls the labels, for messages.

        Returns
        -------
        ndarray of int64 of shape (n,)
            As `codes`.

        Raises
        ------
        DatasetError
            If a label is missing, or a class is spelled in several ways.
        UnknownNameError
            If a label is none of the classes.

        Examples
        --------
        >>> classes = Classes.of(["mel", "nv"])
        >>> classes.encode(["nv", "MEL"]).tolist(), classes.encode([0, 1]).tolist()
        ([0, 1], [0, 1])
        """
        distinct, places = distinguish(labels, name=name)
        code_of = {normalise(label): code for label, code in zip(self.labels.tolist(), self.codes, strict=True)}
        given = {normalise(label): label for label in distinct.tolist()}
        unknown = [label for word, label in given.items() if word not in code_of]
        one_side_answers = all(map(is_answer, given)) or all(map(is_answer, code_of))
        if self._is_binary and len(unknown) == len(given) and one_side_answers:
            return as_binary(labels, name=name)
        if unknown:
            hint = f"It stands in {name}."
            if len(self.labels) > 2 and all(map(is_answer, given)):
                hint += " 0 and 1 are benign and melanoma: give the diagnoses, such as dataset.metadata['diagnosis']."
            raise UnknownNameError("class", unknown[0], map(str, self.labels.tolist()), hint)
        return np.array([code_of[word] for word in given], dtype=np.int64)[places]

    def to_columns(self, melanoma: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of two classes, of which that of melanoma is known.

        Parameters
        ----------
        melanoma : ndarray of shape (n,)
            Probabilities of melanoma.

        Returns
        -------
        ndarray of shape (n, 2)
            In the order of the classes.
        """
        columns = [1 - melanoma, melanoma]
        return np.column_stack([columns[code] for code in self.codes])


def _show(labels: Iterable[object]) -> str:
    """Write the first few of some labels."""
    shown = [repr(label.item() if isinstance(label, np.generic) else label) for label in labels]
    return ", ".join(shown[:_N_SHOWN]) + ", …" * (len(shown) > _N_SHOWN)
