"""What two classes are called where their labels are numbers."""

from collections.abc import Sequence

from melanoma_tl.labels.vocabulary import ANSWERS

CLASS_NAMES = ("benign", "melanoma")
"""What class 0 and class 1 are, where nothing else is said."""


def name_classes(labels: Sequence[object], melanoma: object) -> list[str]:
    """Name classes for people.

    Parameters
    ----------
    labels : sequence of object
        A classifier's ``classes_``.
    melanoma : object
        The label of melanoma, or None.

    Returns
    -------
    list of str
        The labels as text. Of two that only answer whether it is a melanoma (0 and 1, "no" and "yes"), `CLASS_NAMES`.

    Examples
    --------
    >>> name_classes([0, 1], 1), name_classes(["mel", "nv"], "mel"), name_classes([0, 1, 2], 1)
    (['benign', 'melanoma'], ['mel', 'nv'], ['0', '1', '2'])
    """
    if len(labels) == 2 and melanoma in labels and all(map(_only_answers, labels)):
        return [CLASS_NAMES[label == melanoma] for label in labels]
    return [str(label) for label in labels]


def _only_answers(label: object) -> bool:
    return not isinstance(label, str) or label.strip().casefold() in ANSWERS
