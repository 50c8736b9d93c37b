"""Deal groups of images into folds that hold about the same share of each class."""

import math

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state


def deal_stratified(
    labels: NDArray[np.int64], groups: NDArray[np.int64], k: int, *, seed: int
) -> list[NDArray[np.intp]]:
    """Deal groups into folds as scikit-learn's `StratifiedGroupKFold` does, for hundreds of thousands of groups too.

    In a random order, those that are most of one class first, each group goes to the fold in which it leaves the shares
    of the classes most alike; of several that are equal in this, to the one with the fewest images. The folds are those
    of scikit-learn 1.8 and later, number by number: it compares one fold after the other, which takes a minute for
    400,000 groups.

    Parameters
    ----------
    labels : ndarray of shape (n_images,)
        Classes.
    groups : ndarray of shape (n_images,)
        The number of the group of each image.
    k : int
        Number of folds, at least 2 and at most the number of groups.
    seed : int
        Seed of the order.

    Returns
    -------
    list of k ndarrays of int
        Positions of the images of each fold, sorted.
    """
    _, classes, class_sizes = np.unique(labels, return_inverse=True, return_counts=True)
    distinct, numbers = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(distinct), len(class_sizes)))
    np.add.at(counts, (numbers, classes), 1)
    order = check_random_state(seed).permutation(len(distinct))
    order = order[np.argsort(-counts[order].std(axis=1), kind="stable")]
    fold_of = np.empty(len(distinct), dtype=np.intp)
    fold_of[order] = _choose_folds(counts[order], class_sizes, k)
    return [np.flatnonzero(fold_of[numbers] == fold) for fold in range(k)]


def _choose_folds(counts: NDArray[np.float64], class_sizes: NDArray[np.int64], k: int) -> list[int]:
    """Choose a fold for each group in turn, by its number of images of each class."""
    kinds, kind_of = np.unique(counts, axis=0, return_inverse=True)
    n_images = kinds.sum(axis=1).tolist()
    # What a group adds to each fold, if it goes to the first, the second...
    added = [np.eye(k)[:, :, np.newaxis] * kind for kind in kinds]
    in_folds = np.zeros((k, 1, len(class_sizes)))
    sizes = [0.0] * k
    chosen = []
    for kind in kind_of.ravel().tolist():  # NumPy 2.0 gives it a second axis
        shares = (in_folds + added[kind]) / class_sizes
        shares -= np.add.reduce(shares) / k  # the standard deviation as np.std computes it, without what that checks
        shares *= shares
        spread = np.sqrt(np.add.reduce(shares) / k)
        fold = _find_best((np.add.reduce(spread, axis=1) / len(class_sizes)).tolist(), sizes)
        in_folds[fold, 0] += kinds[kind]
        sizes[fold] += n_images[kind]
        chosen.append(fold)
    return chosen


def _find_best(spreads: list[float], sizes: list[float]) -> int:
    """Find the smallest spread; where one is as small but for rounding, as `np.isclose` says, the smallest fold."""
    best, least, fewest = 0, math.inf, math.inf
    for fold, (spread, size) in enumerate(zip(spreads, sizes, strict=True)):
        if spread < least or (size < fewest and abs(spread - least) <= 1e-8 + 1e-5 * least):
            best, least, fewest = fold, spread, size
    return best
