"""What stands around a score: which class it means, and whether the image was known."""

from collections.abc import Mapping
from copy import copy
from typing import Any

from melanoma_tl.errors import ParameterError
from melanoma_tl.images.fingerprints import Fingerprints, IdentifiedImages
from melanoma_tl.labels.classes import Classes
from melanoma_tl.metrics.estimators import classes_of

_MOST_LABELS = 8


def check_two_classes(classifier: Any, what: str) -> None:
    """Raise an error if a function for benign and melanoma is used with other classes.

    Parameters
    ----------
    classifier : object
        One of this library.
    what : str
        What is asked for.

    Raises
    ------
    NotFittedError
        Before `fit` or `load`.
    ParameterError
        If there are more than two classes.
    """
    classifier._check_fitted()
    if len(classifier.classes_) > 2:
        raise ParameterError(f"{needs_two(what, classes_of(classifier))}, and fit again")


def needs_two(what: str, classes: Classes) -> str:
    """Return the error message for several diagnoses, where melanoma against the rest is asked for.

    Parameters
    ----------
    what : str
        What is asked for.
    classes : Classes
        The diagnoses.

    Returns
    -------
    str
        What there is, and how two classes are made of it.
    """
    labels = [repr(label) for label in classes.labels.tolist()]
    shown = ", ".join(labels[:_MOST_LABELS]) + f" and {len(labels) - _MOST_LABELS} more" * (len(labels) > _MOST_LABELS)
    melanoma = "the label of melanoma" if classes.melanoma is None else repr(classes.pos_label)
    return (
        f"{what} is for two classes, melanoma and all else; here are {len(labels)}: {shown}. Several diagnoses can be "
        "fitted, predicted and reported on (MulticlassReport). For melanoma against the rest leave y out where X is an "
        f"ISBIDataset, or pass y=(numpy.asarray(y) == {melanoma})"
    )


def training_identity(name: str, known: Mapping[str, Fingerprints]) -> IdentifiedImages:
    """Return the fingerprints of the images that a model remembers, for comparisons with others.

    Parameters
    ----------
    name : str
        What they are, for people.
    known : mapping of str to Fingerprints
        What they can be recognised by, such as those of "training" and of "validation".

    Returns
    -------
    IdentifiedImages
        Without files.
    """
    rows = [f"{role} image {row}" for role, images in known.items() for row in range(len(images))]
    return IdentifiedImages(name, rows, None, Fingerprints.concatenate(list(known.values())))


def quiet_copy(classifier: Any) -> Any:
    """Return a copy that shows no progress, for scoring within a step that shows its own.

    Parameters
    ----------
    classifier : object
        With `verbose`.

    Returns
    -------
    object
        A copy that shares the network.
    """
    quiet = copy(classifier)
    quiet.verbose = 0
    return quiet
