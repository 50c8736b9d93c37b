"""Features of images: the output of the frozen part of a network, computed once and stored on disk."""

import logging
import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 -- registers the dtype "bfloat16" with NumPy
import numpy as np
from numpy.typing import DTypeLike, NDArray

from melanoma_tl import cache
from melanoma_tl._keras.device_errors import explaining_device_errors
from melanoma_tl._keras.host_call import naming_host_errors
from melanoma_tl._progress import progress
from melanoma_tl.errors import CacheError
from melanoma_tl.images.array_store import ArrayStore, StoredArrays, StoreReplacedError
from melanoma_tl.images.parallel import batched, map_threaded
from melanoma_tl.network.cutting import network_digest, with_precision
from melanoma_tl.network.inference import run_batch
from melanoma_tl.network.precision import BFLOAT16, FLOAT32
from melanoma_tl.training.views import ImageViews, InputSource

logger = logging.getLogger(__name__)

LESS_MEMORY = "lower input_size, or set precision='bfloat16', to compute the features of frozen layers"
"""What to do where the frozen part does not fit into memory."""

SHARE_OF_FREE_DISK = 0.5
"""Share of the free disk space that stored features may use by default."""

LARGEST_ERROR = {FLOAT32: 1e-3, BFLOAT16: 5e-2}
"""Largest relative root mean square difference of features that count as the same, for each precision. It is above
the rounding errors of a deep network with 24 and 8 bits of mantissa, and below the difference of another network."""

_LARGEST_OF_CHANNEL = 0.25
"""The same for one channel, in either precision: above what rounding does to a channel that is a small difference of
large numbers."""

_ROUNDING = 0.2
"""What rounding leaves in a channel that is nearly zero, as a share of the largest difference, relative to the median
channel."""

_MOST_THAT_DIFFER = 0.1
"""Share of the channels that may differ by more."""


class StoredFeatures:
    """Features on disk.

    Parameters
    ----------
    arrays : StoredArrays of shape (n_rows * n_views, ...)
        Features of the views of the first image, of the second, and so on.
    rows : ndarray of int of shape (n_rows,)
        The images, in ascending order.
    """

    def __init__(self, arrays: StoredArrays, rows: NDArray[np.intp]) -> None:
        self._arrays, self._rows = arrays, rows
        self._n_views = len(arrays) // len(rows)

    def batch(self, rows: NDArray[np.intp], repeats: NDArray[np.intp], step: int) -> NDArray[Any]:  # noqa: ARG002
        """Return features, as `InputSource.batch`."""
        return self._arrays[np.searchsorted(self._rows, rows) * self._n_views + repeats % self._n_views]


class ComputedFeatures:
    """Features that are computed each time they are read.

    Parameters
    ----------
    network : keras.Model
        The frozen part.
    images : ImageViews
        Its inputs.
    """

    def __init__(self, network: Any, images: ImageViews) -> None:
        self._network, self._images = network, images

    def batch(self, rows: NDArray[np.intp], repeats: NDArray[np.intp], step: int) -> NDArray[Any]:
        """Return features, as `InputSource.batch`."""
        return run_batch(self._network, self._images.batch(rows, repeats, step), LESS_MEMORY)


class FeatureExtractor:
    """The frozen part of a network and the store of its features.

    All runs share a store if their frozen parts have the same layers, weights and precision, and
    their images are decoded and resized in the same way. In the store, the key of a feature is the
    SHA-256 of the image and its view.

    Parameters
    ----------
    frozen : keras.Model
        The frozen part, in float32.
    policy : {"float32", "mixed_bfloat16"}
        Precision of the frozen part, as a Keras dtype policy.
    recipe : str
        How the images are decoded and resized.
    budget : int or None
        Maximum size in bytes of all stored features together. 0 stores nothing; None means the space
        they use already and half of the free disk space.
    batch_size : int
        Images per batch of the frozen part.
    verbose : int
        0 shows no progress bar.

    Attributes
    ----------
    store : ArrayStore
        The features on disk.
    """

    def __init__(
        self, frozen: Any, *, policy: str, recipe: str, budget: int | None, batch_size: int, verbose: int
    ) -> None:
        self.network = with_precision(frozen, policy)
        self.budget = budget
        self.batch_size = batch_size
        self.policy = policy
        self.verbose = verbose
        (features,) = self.network.outputs
        name = feature_store_name(frozen, policy=policy, recipe=recipe)
        self.store = open_feature_store(name, features.shape[1:], np.dtype(features.dtype))

    def extract(self, images: ImageViews, rows: NDArray[np.intp], repeats: int, desc: str) -> InputSource:
        """Return the features of images: stored features if possible, else features that are computed each time.

        Each batch is stored when it is computed, so that an interrupted extraction can be resumed.

        Parameters
        ----------
        images : ImageViews
            The images.
        rows : ndarray of int of shape (n_rows,)
            The images whose features are needed.
        repeats : int
            Maximum number of times that each image is used; more views than that are not computed.
        desc : str
            Name of the images in the progress bar and in the log.

        Returns
        -------
        StoredFeatures or ComputedFeatures
            The log says which of the two, and why.
        """
        if self.budget == 0:
            logger.info("%s: features are not stored, because feature_cache_bytes is 0", desc)
            return ComputedFeatures(self.network, images)
        if images.n_views is None:
            logger.warning(
                "%s: the augmenter draws endless random views, so the features of frozen layers are computed again in "
                "every epoch; fixed views, as with Augmenter(..., views=8), are computed once and stored",
                desc,
            )
            return ComputedFeatures(self.network, images)
        rows = np.unique(rows)
        wanted = _Wanted(images, rows, min(images.n_views, repeats))
        for is_last in (False, False, True):
            try:
                if not self._fill(wanted, desc):
                    break
                places = self.store.find(wanted.keys(range(len(wanted))))
                return StoredFeatures(self.store.open(places, partial(self._make, wanted)), rows)
            except CacheError as error:
                if isinstance(error, StoreReplacedError) and not is_last:  # the cache was cleared in the meantime
                    self.store.reopen()
                    continue
                logger.warning("%s: features cannot be stored and are computed again in every epoch: %s", desc, error)
                break
        return ComputedFeatures(self.network, images)

    def _make(self, wanted: "_Wanted", positions: Sequence[int]) -> tuple[list[bytes], NDArray[Any]]:
        """Compute features and return them with their keys."""
        batches = batched(positions, self.batch_size)
        features = [run_batch(self.network, wanted.batch(batch), LESS_MEMORY) for batch in batches]
        return wanted.keys(positions), np.concatenate(features).astype(self.store.dtype)

    def _fill(self, wanted: "_Wanted", desc: str) -> bool:
        """Compute the features that are not stored yet; log and return False if they would not fit."""
        keys = wanted.keys(range(len(wanted)))
        slots = self.store.find(keys)["slot"]
        known = np.flatnonzero(slots >= 0)
        if len(known) and not self._are_right(wanted, known[[0, -1]]):
            logger.warning("%s: stored features differ from those of this network: computed again", self.store.folder)
            self.store.forget()
            slots[:] = -1
        missing = {keys[position]: position for position in np.flatnonzero(slots < 0).tolist()}
        logger.info("%s: %d of %d features are stored already", desc, np.count_nonzero(slots >= 0), len(keys))
        if missing and not self._fits(len(missing), desc):
            return False
        work = f"Compute features of {desc}"
        with progress(work=work, total=len(missing), unit="view", verbose=self.verbose) as bar:
            batches = batched(missing.values(), self.batch_size)
            # The next batches are read and augmented while the network computes.
            for batch, pixels in map_threaded(lambda batch: (batch, wanted.batch(batch)), batches, window=2):
                features = run_batch(self.network, pixels, LESS_MEMORY).astype(self.store.dtype, copy=False)
                self.store.add(dict(zip(wanted.keys(batch), features, strict=True)))
                bar.update(len(pixels))
        return True

    def _are_right(self, wanted: "_Wanted", positions: NDArray[np.intp]) -> bool:
        """Compute some features again and compare: the code of a layer may have changed while its name has not."""
        from keras import ops

        keys, pixels = wanted.keys(positions.tolist()), wanted.batch(positions.tolist())
        with explaining_device_errors(LESS_MEMORY), naming_host_errors():
            computed = ops.convert_to_numpy(self.network(pixels, training=False)).astype(np.float32)
        again = computed.astype(self.store.dtype)
        places = self.store.find(keys)
        stored = self.store.open(places, lambda damaged: ([keys[n] for n in damaged], again[damaged]))[:]
        return _agree(stored.astype(np.float32), computed, LARGEST_ERROR[self.policy])

    def _fits(self, n_missing: int, desc: str) -> bool:
        """Return whether the missing features fit into the budget, and log it."""
        needed, used = n_missing * self.store.bytes_each, cache.size("features")
        free = shutil.disk_usage(_existing(self.store.folder)).free
        budget = used + int(SHARE_OF_FREE_DISK * free) if self.budget is None else self.budget
        limit = f"{SHARE_OF_FREE_DISK:.0%} of the free disk" if self.budget is None else "feature_cache_bytes"
        sizes = (
            f"{needed / 2**20:,.1f} MiB needed, {used / 2**20:,.1f} MiB stored already, "
            f"{budget / 2**20:,.1f} MiB allowed ({limit})"
        )
        if used + needed <= budget:
            logger.info("%s: %s, in %s", desc, sizes, self.store.folder)
            return True
        logger.warning(
            "%s: features are computed again in every epoch, because they do not fit on disk: %s; increase "
            "Resources(feature_cache_bytes=...), or free space with melanoma_tl.cache.clear('features')",
            desc,
            sizes,
        )
        return False


def feature_store_name(frozen: Any, *, policy: str, recipe: str) -> str:
    """Return the name of the feature store of a frozen network.

    Parameters
    ----------
    frozen : keras.Model
        The frozen part, in float32.
    policy : {"float32", "mixed_bfloat16"}
        Precision of the frozen part, as a Keras dtype policy.
    recipe : str
        How the images are decoded and resized.

    Returns
    -------
    str
        The same for networks with the same layers and weights.
    """
    return f"{frozen.name}_{policy}_{recipe}_{network_digest(frozen).hex()[:32]}"


def open_feature_store(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> ArrayStore:
    """Open a store of features in the cache folder.

    Parameters
    ----------
    name : str
        The name from `feature_store_name`.
    shape : tuple of int
        Shape of the features of one view.
    dtype : numpy.dtype
        Data type of the features.

    Returns
    -------
    ArrayStore
        The store; it is created on disk when it is first used.
    """
    return ArrayStore(cache.folder() / "features" / name, shape, dtype)


class _Wanted:
    """The requested views of images: those of the first image, of the second, and so on."""

    def __init__(self, images: ImageViews, rows: NDArray[np.intp], n_views: int) -> None:
        self._images, self._rows, self._n_views = images, rows, n_views
        self._view_keys = [images.view_key(view) for view in range(n_views)]

    def __len__(self) -> int:
        return len(self._rows) * self._n_views

    def keys(self, positions: Iterable[int]) -> list[bytes]:
        """Return the keys of views: the SHA-256 of the image and the key of its view."""
        pairs = (divmod(position, self._n_views) for position in positions)
        return [self._images.contents[self._rows[row]] + self._view_keys[view] for row, view in pairs]

    def batch(self, positions: Sequence[int]) -> NDArray[np.uint8]:
        """Return the pixels of views."""
        rows, views = np.divmod(positions, self._n_views)
        return self._images.batch(self._rows[rows], views, 0)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _agree(stored: NDArray[np.float32], computed: NDArray[np.float32], largest_error: float) -> bool:
    """Return whether features are the same: together, and nearly each channel, which larger ones could hide."""
    others = tuple(range(computed.ndim - 1))
    errors = np.mean((stored - computed) ** 2, axis=others, dtype=np.float64)
    levels = np.mean(computed**2, axis=others, dtype=np.float64)
    if errors.mean() > largest_error**2 * max(levels.mean(), 1e-30):
        return False
    rounding = (_ROUNDING * largest_error) ** 2 * np.median(levels)
    differing = errors > np.maximum(_LARGEST_OF_CHANNEL**2 * levels, rounding)
    return bool(differing.sum() <= _MOST_THAT_DIFFER * len(differing))
