"""Divide images so that what belongs together stays on one side."""

import logging
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import GroupKFold, GroupShuffleSplit

from melanoma_tl._parameters import COLUMN, check
from melanoma_tl.datasets.dealing import deal_stratified
from melanoma_tl.datasets.relations import find_relations
from melanoma_tl.errors import DatasetError, ParameterError, UnknownNameError
from melanoma_tl.images.fingerprints import GROUP_KINDS, IMAGE_KINDS, Fingerprints, IdentifiedImages, number_values
from melanoma_tl.labels.cells import read_given_ids

logger = logging.getLogger(__name__)

_FINEST_SHARE = 20  # a stratified share is a number of folds out of at most so many


class Divisible(Protocol):
    """Images of which is known what they can be recognised by, and which belong together: an `ISBIDataset`."""

    @property
    def name(self) -> str:
        """Name for people."""

    @property
    def relations(self) -> tuple[str, ...]:
        """What the images can be compared by."""

    @property
    def metadata(self) -> pd.DataFrame:
        """What else is known of each image."""

    def __len__(self) -> int: ...

    def identify(self, kinds: Iterable[str] | None = None, *, verbose: int = 1) -> IdentifiedImages:
        """Compute what the images can be recognised by."""


def find_groups(fingerprints: Fingerprints, together: NDArray[np.uint64] | None = None) -> NDArray[np.int64]:
    """Assign a number to each of the groups of images that must not be divided.

    Two images are in one group if they are related, or if both are related to a third
    one, and so on.

    Parameters
    ----------
    fingerprints : Fingerprints
        Of one dataset; every relation that they show counts.
    together : ndarray of shape (n_images,) and dtype uint64, optional
        Equal numbers for what belongs together in place of patients, 0 where nothing is known.

    Returns
    -------
    ndarray of shape (n_images,) and dtype int64
        The number of the group of each.
    """
    n_images = len(fingerprints)
    if together is not None:
        fingerprints = Fingerprints({**fingerprints.keys, "patient": together}, fingerprints.perceptual_hashes)
    pairs = find_relations(fingerprints, fingerprints, fingerprints.kinds)
    related = (np.ones(len(pairs)), (pairs["left"].to_numpy(int), pairs["right"].to_numpy(int)))
    return connected_components(coo_array(related, shape=(n_images, n_images)), directed=False)[1].astype(np.int64)


def assign_groups(dataset: Divisible, groups: str | ArrayLike | None, *, verbose: int) -> NDArray[np.int64]:
    """Assign each image of a dataset the number of its group; groups are not divided by a split.

    Parameters
    ----------
    dataset : ISBIDataset
        The images; copies and near-duplicates are kept together in any case, where there are files.
    groups : {"auto", "patient", "lesion"}, array-like of shape (n_images,) or None
        As in `ISBIDataset.split`.
    verbose : int
        0 shows no progress bar.

    Returns
    -------
    ndarray of shape (n_images,) and dtype int64
        The number of the group of each.

    Raises
    ------
    DatasetError
        If the dataset does not know such groups, or the array has another length.
    UnknownNameError
        If `groups` is no known word.
    """
    of_images = {kind for kind in dataset.relations if kind in IMAGE_KINDS}
    if groups is not None and not isinstance(groups, str):
        together = number_own_groups(groups, len(dataset))
        return find_groups(dataset.identify(of_images, verbose=verbose).fingerprints, together)
    if groups not in (None, "auto", *GROUP_KINDS):
        raise UnknownNameError("grouping", groups, ("auto", *GROUP_KINDS))
    if groups in GROUP_KINDS and groups not in dataset.relations:
        raise DatasetError(
            f"{dataset.name} cannot be divided by {groups}: its metadata has no column {groups}_id, only "
            f"{', '.join(dataset.metadata.columns) or 'none'}"
        )
    if groups in ("auto", "patient") and "patient_id" in dataset.metadata:
        n_alone = int(dataset.metadata["patient_id"].isna().sum())
        if 0 < n_alone < len(dataset):
            logger.warning("%s: %d images have no patient; each counts as its own", dataset.name, n_alone)
    asked = set(GROUP_KINDS if groups == "auto" else () if groups is None else (groups,))
    return find_groups(dataset.identify(of_images | asked, verbose=verbose).fingerprints)


def number_own_groups(groups: ArrayLike, n_images: int) -> NDArray[np.uint64]:
    """Assign a number to each of the groups that the user has given.

    Parameters
    ----------
    groups : array-like of shape (n_images,)
        Equal values for what belongs together, whatever their case and blanks; missing ones, negative numbers and
        dashes stand alone, and are warned of where they are words.
    n_images : int
        How many there should be.

    Returns
    -------
    ndarray of shape (n_images,) and dtype uint64
        The number of the group of each, 0 where the value is missing.

    Raises
    ------
    DatasetError
        If there is not one entry an image.
    """
    values = np.asarray(check({"groups": groups}, {"groups": COLUMN})["groups"], dtype=object)
    if values.shape != (n_images,):
        raise DatasetError(
            f"groups must have one entry an image ({n_images}), got {len(values)} of the shape {values.shape}"
        )
    return number_values(read_given_ids(values, name="groups", what="group"))


def divide_into_folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], k: int, *, stratify: bool, seed: int
) -> list[NDArray[np.intp]]:
    """Deal groups into folds of about equal size.

    Parameters
    ----------
    labels : ndarray of shape (n_images,)
        Classes.
    groups : ndarray of shape (n_images,)
        From `find_groups`.
    k : int
        Number of folds, at least 2.
    stratify : bool
        Whether each fold should hold about the same share of each class.
    seed : int
        Seed of the deal.

    Returns
    -------
    list of k ndarrays of int
        Positions of the images of each fold, sorted.

    Raises
    ------
    DatasetError
        If there are fewer groups than folds, in all or, stratified, in one class.
    """
    counts = {"": len(np.unique(groups))}
    if stratify:
        counts |= {f" of class {label}": len(np.unique(groups[labels == label])) for label in np.unique(labels)}
    for of_class, n_groups in counts.items():
        if n_groups < k:
            raise DatasetError(
                f"{k} folds need at least as many groups{of_class}, there are {n_groups}: ask for fewer folds or "
                "another share, pass stratify=False, or keep fewer images together"
            )
    if stratify:
        return deal_stratified(labels, groups, k, seed=seed)
    splitter = GroupKFold(k, shuffle=True, random_state=seed)
    return [test for _, test in splitter.split(labels, labels, groups)]


def divide_in_two(
    labels: NDArray[np.int64], groups: NDArray[np.int64], test_size: float, *, stratify: bool, seed: int
) -> NDArray[np.intp]:
    """Choose groups for a test set of about the size asked for.

    scikit-learn divides groups in shares of one's choice or stratified, not both: a
    stratified share is made of some of several stratified folds, such as 3 of 10.

    Parameters
    ----------
    labels, groups, stratify, seed
        As `divide_into_folds`.
    test_size : float
        Share of the test set, between 0 and 1.

    Returns
    -------
    ndarray of int
        Positions of the test images, sorted.

    Raises
    ------
    DatasetError
        If there are too few groups.
    ParameterError
        If the share is no share, or finer than twentieths where `stratify` is true.
    """
    if not 0 < test_size < 1:
        raise ParameterError(f"test_size must be a share between 0 and 1, got {test_size!r}")
    if not stratify:
        n_groups = len(np.unique(groups))
        if math.ceil(test_size * n_groups) in (0, n_groups):  # what scikit-learn would take for the test
            raise DatasetError(
                f"{n_groups} groups cannot be divided with a test_size of {test_size:g}: one of the two sides would be "
                "empty; ask for another share, or keep fewer images together"
            )
        splitter = GroupShuffleSplit(1, test_size=test_size, random_state=seed)
        return np.sort(next(splitter.split(labels, labels, groups))[1])
    share = Fraction(test_size).limit_denominator(_FINEST_SHARE)
    if share.numerator in (0, share.denominator):
        raise ParameterError(
            f"a stratified test_size must be from 0.05 to 0.95, got {test_size!r}; or pass stratify=False"
        )
    folds = divide_into_folds(labels, groups, share.denominator, stratify=True, seed=seed)
    return np.sort(np.concatenate(folds[: share.numerator]))
