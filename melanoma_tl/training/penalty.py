"""Choose the penalty of a probe by cross-validation on its features."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.special import expit, softmax
from sklearn.metrics import roc_auc_score

from melanoma_tl._progress import progress
from melanoma_tl.datasets.splitting import divide_into_folds
from melanoma_tl.errors import DatasetError
from melanoma_tl.training.linear_probe import (
    LinearScore,
    ProbeBatch,
    ProbeData,
    loss_of_one,
    loss_of_several,
    minimise,
)
from melanoma_tl.training.penalty_path import PenaltyPath

N_FOLDS = 5

IN_MEMORY = 2**28
"""Bytes up to which the features of a fold are held in memory, as float64; more are read again in each step."""

_STEPS = np.arange(-6, 7) / 2
"""Powers of ten: how far the grid reaches to either side of 1 / number of features."""

_Read = Callable[[], Iterable[ProbeBatch]]


def penalty_grid(n_features: int) -> NDArray[np.float64]:
    """Lay out the values of C that are compared.

    Parameters
    ----------
    n_features : int
        At least 1.

    Returns
    -------
    ndarray of shape (13,)
        Ascending, each a whole or a half power of ten; why these, `Probe` says.

    Examples
    --------
    >>> penalty_grid(1000)[[0, 1, 6, -1]].round(8).tolist()
    [1e-06, 3.16e-06, 0.001, 1.0]
    """
    middle = round(-2 * np.log10(n_features)) / 2
    return np.asarray(10.0 ** (middle + _STEPS))


def divide_to_choose(
    labels: NDArray[np.int64], names: NDArray[Any], groups: NDArray[np.int64], rows: NDArray[np.intp], seed: int
) -> list[NDArray[np.intp]]:
    """Deal the images that a probe learns from into folds, whole groups at a time.

    Parameters
    ----------
    labels : ndarray of shape (n_images,)
        Classes, from 0.
    names : ndarray of shape (n_images,)
        The same in the words of the user.
    groups : ndarray of shape (n_images,)
        Images of one number stay together.
    rows : ndarray of int of shape (n_rows,)
        Which images are learned from, repeated ones included.
    seed : int
        Seed of the deal.

    Returns
    -------
    list of ndarray of int
        Positions of the images of each fold.

    Raises
    ------
    DatasetError
        If a class has fewer groups than there are folds.
    """
    rows = np.unique(rows)
    for code in np.unique(labels[rows]):
        of_class = rows[labels[rows] == code]
        n_groups = len(np.unique(groups[of_class]))
        if n_groups < N_FOLDS:
            raise DatasetError(
                f"Probe(C='auto') holds out one of {N_FOLDS} folds at a time, and images of one patient or lesion, and "
                f"near-duplicates, stay together: it needs {N_FOLDS} such groups of each class, and there are "
                f"{n_groups} of {names[of_class[0]]!s} ({len(of_class)} images). Give more images, or C as a number, "
                "such as Probe(C=1e-3)"
            )
    folds = divide_into_folds(labels[rows], groups[rows], N_FOLDS, stratify=True, seed=seed)
    return [rows[fold] for fold in folds]


def choose_penalty(
    data: ProbeData, rows: NDArray[np.intp], folds: Sequence[NDArray[np.intp]], *, verbose: int
) -> PenaltyPath:
    """Solve a probe without each fold, for each penalty, and score the fold.

    Features are standardised by what is learned from. All views of these images are learned from, as in
    `fit_logistic`; those of the fold are scored as they are. Losses and AUC are weighted as in training.

    Parameters
    ----------
    data : ProbeData
        Features and targets.
    rows : ndarray of int of shape (n_rows,)
        Which images, repeated ones included.
    folds : sequence of ndarray of int
        Positions of the images of each fold.
    verbose : int
        0 shows no progress.

    Returns
    -------
    PenaltyPath
        The penalty of the lowest loss, and all others.
    """
    grid = penalty_grid(data.inputs.batch(rows[:1], np.zeros(1, dtype=np.intp), 0).shape[1])
    losses, aucs = np.empty((2, len(folds), len(grid)))
    bar = progress(folds, "Choose the penalty of the probe", unit="fold", verbose=verbose)
    for number, fold in enumerate(bar):
        held_out = np.isin(rows, fold)
        learned, held, width = _open_fold(data, rows[~held_out], rows[held_out])
        found = np.zeros((width + 1, data.targets.shape[1]))
        for place, C in enumerate(grid):  # from the strongest penalty on, each from the solution of the one before
            score = minimise(learned, found, float(C))
            losses[number, place], aucs[number, place] = _judge(held(), score)
            found = np.vstack(score)
    return PenaltyPath.of_folds(grid, losses, aucs)


def _open_fold(data: ProbeData, learned: NDArray[np.intp], held: NDArray[np.intp]) -> tuple[_Read, _Read, int]:
    """Return what is learned from and what is held out, standardised, and how many features it has."""
    mean, scale = data.standardisation(learned)
    read = partial(data.standardised, learned, mean, scale, n_views=data.n_views)
    judge = partial(data.standardised, held, mean, scale, n_views=1)
    n_rows, n_features = len(learned) * data.n_views + len(held), len(mean)
    if n_rows * n_features * np.dtype(np.float64).itemsize > IN_MEMORY:
        return read, judge, n_features
    of_learned, of_held = (_join(list(batches)) for batches in (read(), judge()))
    if 2 * n_rows <= n_features:
        of_learned, of_held = _rotate(of_learned, of_held)
    return lambda: (of_learned,), lambda: (of_held,), of_learned.features.shape[1]


def _join(batches: list[ProbeBatch]) -> ProbeBatch:
    return ProbeBatch(*map(np.concatenate, zip(*batches, strict=True)))


def _rotate(learned: ProbeBatch, held: ProbeBatch) -> tuple[ProbeBatch, ProbeBatch]:
    """Write images in as many coordinates as there are images to learn from.

    The kernel of least norm is a sum of these images, so that nothing is lost: a rotation (the Q of a QR
    decomposition) changes neither products of features and kernels nor norms of kernels.
    """
    n = len(learned.features)
    (upper,) = qr(np.concatenate([learned.features, held.features]).T, mode="r", check_finite=False)
    turned = upper[:n].T
    return learned._replace(features=turned[:n].copy()), held._replace(features=turned[n:].copy())


def _judge(batches: Iterable[ProbeBatch], score: LinearScore) -> tuple[float, float]:
    """Return weighted log loss and AUC of the images held out; NaN for the AUC where one class is alone."""
    found = [(features @ score.kernel + score.bias, y, weights) for features, y, weights in batches]
    logits, y, weights = (np.concatenate(column) for column in zip(*found, strict=True))
    is_one = y.shape[1] == 1
    losses, _ = (loss_of_one if is_one else loss_of_several)(logits, y)
    scores = expit(logits) if is_one else softmax(logits, axis=1)
    aucs = [
        roc_auc_score(y[:, k], scores[:, k], sample_weight=weights)
        for k in range(y.shape[1])
        if 0 < y[:, k].sum() < len(y)
    ]
    return float(np.average(losses, weights=weights)), float(np.mean(aucs)) if aucs else float("nan")
