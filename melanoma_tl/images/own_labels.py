"""Labels that are given beside a dataset, compared with its own."""

from typing import Any

from numpy.typing import ArrayLike

from melanoma_tl.images.image_lists import is_table
from melanoma_tl.labels.checks import finds_melanoma
from melanoma_tl.labels.classes import Classes, as_binary
from melanoma_tl.labels.together import as_read


def count_differing(X: Any, y: ArrayLike | None, classes: Classes | None) -> int:
    """Count the images of a dataset that are given another label than its own, melanoma or not.

    Parameters
    ----------
    X, y : object
        Images and their labels, as many as there are images.
    classes : Classes or None
        What these are; None where they come with the images one by one.

    Returns
    -------
    int
        0 where there is nothing to compare: no `y`, no dataset, or classes of which none is melanoma.
    """
    own = getattr(X, "labels", None)
    if y is None or classes is None or classes.melanoma is None or not is_table(X) or own is None:
        return 0
    words = as_read(classes.labels.tolist())
    if not finds_melanoma(words, words[classes.melanoma]):
        return 0
    melanoma = classes.codes[classes.melanoma]
    return int(((classes.encode(y) == melanoma) != as_binary(own)).sum())
