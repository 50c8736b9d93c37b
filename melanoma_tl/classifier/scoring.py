"""What stands around a score: which class it means, and whether the image was known."""

from collections.abc import Mapping
from copy import copy
from typing import Any

from melanoma_tl.errors import ParameterError
from melanoma_tl.images.fingerprints import Fingerprints, IdentifiedImages

_MAX_LABELS_SHOWN = 5


def check_two_classes(classifier: Any, what: str) -> None:
    """Raise an error if a function for benign and melanoma is used with other classes.

    Parameters
    ----------
    classifier : object
        With `classes_`.
    what : str
        What is asked for.

    Raises
    ------
    ParameterError
        If there are more than two classes.
    """
    if len(classifier.classes_) > 2:
        raise ParameterError(
            f"{what} is for two classes, and this classifier tells {len(classifier.classes_)} apart: "
            f"{', '.join(map(str, classifier.classes_[:_MAX_LABELS_SHOWN]))}, …"
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
