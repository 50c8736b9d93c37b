"""What is given as labels and is something else, and which labels a dataset's own ones can stand for."""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.errors import DatasetError
from melanoma_tl.labels import vocabulary
from melanoma_tl.labels.meanings import Meaning, is_answer, normalise, read_meaning

logger = logging.getLogger(__name__)

LABELS_THAT_DIFFER = "labels_that_differ_from_the_dataset"
"""Where a classifier remembers, in its training data, how many labels were not those of the dataset."""

_MOST_NUMBERS = 10
"""Numbers that are not codes from 0 or 1, such as grades, may be so many classes."""


def wrong_shape(labels: Any, name: str, shape: tuple[object, ...], hint: str = "") -> DatasetError:
    """Return the error for labels that are no column.

    Parameters
    ----------
    labels : object
        What was given.
    name : str
        What the user calls it.
    shape : tuple
        Its shape.
    hint : str
        What else may have gone wrong.

    Returns
    -------
    DatasetError
        It says how one column is made of it.
    """
    columns = [str(one) for one in getattr(labels, "columns", ())]
    if len(columns) > 1 and not _is_one_hot(np.asarray(labels)):
        return DatasetError(
            f"{name} must be one column of classes, such as the diagnosis, got {len(columns)}: {', '.join(columns)}. A "
            "classifier learns from images only; what else is known of them, such as age and sex, is for "
            "MetricsReport.subgroups"
        )
    # The columns of a table have names, which say what their places do not: official tables begin with melanoma.
    of_one_hot = f"{name}.idxmax(axis=1), the names of the columns" if columns else "argmax(axis=1)"
    one_hot = f"; of one-hot labels pass {of_one_hot}{hint}" if len(shape) == 2 else ""
    return DatasetError(
        f"{name} must have the shape (n,), one label an image, got ({', '.join(map(str, shape))}){one_hot}"
    )


def _is_one_hot(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "biuf" and bool(np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all())


def check_no_measurements(classes: NDArray[Any], name: str) -> None:
    """Stop at numbers that are measured, such as ages, where classes are expected.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        The distinct labels, sorted.
    name : str
        What the user calls the labels.

    Raises
    ------
    DatasetError
        If more than two numbers are no codes, which are from 0 or 1 on without wide gaps: where they are decimal
        numbers, as pandas reads a column with gaps, without 0 and 1 among them, or more than ten.
    """
    if classes.dtype.kind not in "iuf" or len(classes) < 3:
        return
    are_codes = classes[0] in (0, 1) and classes[-1] < 2 * len(classes)
    have_answers = bool(np.isin((0, 1), classes).all())  # a code such as 9 beside them, `check_codes` names
    if not are_codes and ((classes.dtype.kind == "f" and not have_answers) or len(classes) > _MOST_NUMBERS):
        shown = ", ".join(map(str, classes[:3].tolist()))
        raise DatasetError(
            f"{name} has {len(classes)} numbers ({shown}{', …' if len(classes) > 3 else ''}), not classes: pass the "
            "diagnoses, as words or as 0, 1, 2…, such as metadata['diagnosis']; if the numbers are classes, give each "
            "a name, such as 'grade 3'"
        )


def finds_melanoma(classes: Sequence[object], pos_label: object) -> bool:
    """Return whether two classes are melanoma and the rest, as those of a dataset are, as far as their words tell.

    Parameters
    ----------
    classes : sequence of length 2
        The classes, without numbers that put them in order.
    pos_label : object
        The one that is predicted.

    Returns
    -------
    bool
        True for 0 and 1, and other answers to "is it a melanoma?", too.
    """
    if all(map(is_answer, classes)):
        return True
    return read_meaning(pos_label) in (Meaning.MELANOMA, Meaning.MALIGNANT)


def is_positive(label: object) -> bool:
    """Return whether a label is a positive result, without a word of what.

    Parameters
    ----------
    label : object
        A word.

    Returns
    -------
    bool
        If so, it is taken for melanoma with a warning.

    Examples
    --------
    >>> is_positive("Positive"), is_positive("yes"), is_positive("positive for melanoma")
    (True, False, False)
    """
    return normalise(label) in vocabulary.POSITIVE


@cache
def warn_of_positive(positive: object, negative: object) -> None:
    """Warn once that nothing says of what a label is positive.

    Parameters
    ----------
    positive, negative : object
        The labels of two classes.
    """
    logger.warning(
        "%r, beside %r, is taken for melanoma: labels of another finding make another classifier", positive, negative
    )
