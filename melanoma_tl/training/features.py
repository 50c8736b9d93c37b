"""What the frozen part of a network makes of each image: computed once, and kept on disk."""

import logging
import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 -- tells NumPy what "bfloat16" is
import numpy as np
from numpy.typing import DTypeLike, NDArray

from melanoma_tl import cache
from melanoma_tl._keras.host_call import naming_host_errors
from melanoma_tl._progress import progress
from melanoma_tl.errors import CacheError
from melanoma_tl.images.array_store import ArrayStore, StoredArrays, StoreReplacedError
from melanoma_tl.images.parallel import batched, map_threaded
from melanoma_tl.network.cutting import network_digest, with_precision
from melanoma_tl.network.precision import BFLOAT16, FLOAT32
from melanoma_tl.training.views import ImageViews, InputSource

logger = logging.getLogger(__name__)

SHARE_OF_FREE_DISK = 0.5
"""What stored features may take of the disk's free space where the user says nothing."""

LARGEST_ERROR = {FLOAT32: 1e-3, BFLOAT16: 5e-2}
"""Relative root mean square error up to which features computed twice count as the same: above what rounding to
24 and 8 bits adds up to through a deep network, below what another network would give."""


class StoredFeatures:
    """Features on disk.

    Parameters
    ----------
    arrays : StoredArrays of shape (n_rows * n_views, ...)
        The views of the first image, of the second, and so on.
    rows : ndarray of int of shape (n_rows,)
        Which images they are of, in ascending order.
    """

    def __init__(self, arrays: StoredArrays, rows: NDArray[np.intp]) -> None:
        self._arrays, self._rows = arrays, rows
        self._n_views = len(arrays) // len(rows)

    def batch(self, rows: NDArray[np.intp], repeats: NDArray[np.intp], step: int) -> NDArray[Any]:  # noqa: ARG002
        """Return features, as `InputSource.batch` says."""
        return self._arrays[np.searchsorted(self._rows, rows) * self._n_views + repeats % self._n_views]


class ComputedFeatures:
    """Features computed anew each time.

    Parameters
    ----------
    network : keras.Model
        The frozen part.
    images : ImageViews
        What it is shown.
    """

    def __init__(self, network: Any, images: ImageViews) -> None:
        self._network, self._images = network, images

    def batch(self, rows: NDArray[np.intp], repeats: NDArray[np.intp], step: int) -> NDArray[Any]:
        """Return features, as `InputSource.batch` says."""
        return _run(self._network, self._images.batch(rows, repeats, step))


class FeatureExtractor:
    """The frozen part of a network and the store of what it computes.

    A store is shared by all runs whose frozen parts have the same layers and weights, work in the
    same precision, and see images that were decoded in the same way; within it, features are found
    by the content of the image and its view.

    Parameters
    ----------
    frozen : keras.Model
        The frozen part, in float32.
    policy : {"float32", "mixed_bfloat16"}
        What it computes with.
    recipe : str
        How the images are decoded and resized.
    budget : int or None
        Bytes that all stored features may take together; 0 stores nothing; None takes
        what they take already and half of the disk's free space.
    batch_size : int
        Images computed at once.
    verbose : int
        0 shows no progress bar.

    Attributes
    ----------
    store : ArrayStore
        Where the features lie.
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
        """Make the features of some images available: stored if they can be, else computed each time.

        What is interrupted goes on where it stopped: features are kept batch by batch.

        Parameters
        ----------
        images : ImageViews
            The images.
        rows : ndarray of int of shape (n_rows,)
            Which of them will be asked for.
        repeats : int
            How often each will be shown at most; views beyond that are not computed.
        desc : str
            What the progress bar and the log call the images.

        Returns
        -------
        StoredFeatures or ComputedFeatures
            Which of the two, and why, is logged.
        """
        if self.budget == 0:
            logger.info("%s: features are not stored, because feature_cache_bytes is 0", desc)
            return ComputedFeatures(self.network, images)
        if images.n_views is None:
            logger.warning(
                "%s: the augmenter draws endless views, so the frozen part of the network is computed anew in every "
                "epoch; with fixed views, as in Augmenter(..., views=8), each would be computed once and stored",
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
                if isinstance(error, StoreReplacedError) and not is_last:  # the cache was cleared meanwhile
                    self.store.reopen()
                    continue
                logger.warning("%s: features cannot be stored and are computed anew in every epoch: %s", desc, error)
                break
        return ComputedFeatures(self.network, images)

    def _make(self, wanted: "_Wanted", positions: Sequence[int]) -> tuple[list[bytes], NDArray[Any]]:
        """Compute features, and give them with their keys."""
        batches = batched(positions, self.batch_size)
        features = [np.asarray(_run(self.network, wanted.batch(batch))) for batch in batches]
        return wanted.keys(positions), np.concatenate(features).astype(self.store.dtype)

    def _fill(self, wanted: "_Wanted", desc: str) -> bool:
        """Compute what is not stored yet; False, having said so, if it would not fit."""
        keys = wanted.keys(range(len(wanted)))
        slots = self.store.find(keys)["slot"]
        known = np.flatnonzero(slots >= 0)
        if len(known) and not self._are_right(wanted, known[[0, -1]]):
            logger.warning("%s: does not hold what this network computes: started anew", self.store.folder)
            self.store.forget()
            slots[:] = -1
        missing = {keys[position]: position for position in np.flatnonzero(slots < 0).tolist()}
        logger.info("%s: %d of %d features are stored already", desc, np.count_nonzero(slots >= 0), len(keys))
        if missing and not self._fits(len(missing), desc):
            return False
        work = f"Compute features of {desc}"
        with progress(work=work, total=len(missing), unit="view", verbose=self.verbose) as bar:
            batches = batched(missing.values(), self.batch_size)
            # Batches are read, and views drawn, while the network computes those before.
            for batch, pixels in map_threaded(lambda batch: (batch, wanted.batch(batch)), batches, window=2):
                features = np.asarray(_run(self.network, pixels), dtype=self.store.dtype)
                self.store.add(dict(zip(wanted.keys(batch), features, strict=True)))
                bar.update(len(pixels))
        return True

    def _are_right(self, wanted: "_Wanted", positions: NDArray[np.intp]) -> bool:
        """Compute some of the features again, and compare: the code of a layer may have changed under its name."""
        from keras import ops

        keys, pixels = wanted.keys(positions.tolist()), wanted.batch(positions.tolist())
        computed = ops.convert_to_numpy(self.network(pixels, training=False)).astype(np.float32)
        again = computed.astype(self.store.dtype)
        places = self.store.find(keys)
        stored = self.store.open(places, lambda damaged: ([keys[n] for n in damaged], again[damaged]))[:]
        error = np.sqrt(np.mean((stored.astype(np.float32) - computed) ** 2) / max(np.mean(computed**2), 1e-30))
        return bool(error <= LARGEST_ERROR[self.policy])

    def _fits(self, n_missing: int, desc: str) -> bool:
        """Compare what is to be stored with the budget, and say what came out."""
        needed, used = n_missing * self.store.bytes_each, cache.size("features")
        free = shutil.disk_usage(_existing(self.store.folder)).free
        budget = used + int(SHARE_OF_FREE_DISK * free) if self.budget is None else self.budget
        limit = f"{SHARE_OF_FREE_DISK:.0%} of the free disk" if self.budget is None else "feature_cache_bytes"
        metrics = (
            f"{needed / 2**20:,.1f} MiB to store beside {used / 2**20:,.1f} MiB, where {budget / 2**20:,.1f} MiB may "
            f"be used ({limit})"
        )
        if used + needed <= budget:
            logger.info("%s: %s, in %s", desc, metrics, self.store.folder)
            return True
        logger.warning(
            "%s: features are computed anew in every epoch, because they do not fit: %s; give a larger "
            "Resources(feature_cache_bytes=...), or make room with melanoma_tl.cache.clear('features')",
            desc,
            metrics,
        )
        return False


def _run(network: Any, pixels: NDArray[np.uint8]) -> Any:
    with naming_host_errors():
        return network.predict_on_batch(pixels)


def feature_store_name(frozen: Any, *, policy: str, recipe: str) -> str:
    """Name the store of what a frozen network makes of images.

    Parameters
    ----------
    frozen : keras.Model
        The frozen part, in float32.
    policy : {"float32", "mixed_bfloat16"}
        What it computes with.
    recipe : str
        How the images are decoded and resized.

    Returns
    -------
    str
        The same for networks of the same layers and weights.
    """
    return f"{frozen.name}_{policy}_{recipe}_{network_digest(frozen).hex()[:32]}"


def open_feature_store(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> ArrayStore:
    """Open a store of features in the cache folder.

    Parameters
    ----------
    name : str
        From `feature_store_name`.
    shape : tuple of int
        Shape of the features of one view.
    dtype : numpy.dtype
        Their data type.

    Returns
    -------
    ArrayStore
        Made when it is first used.
    """
    return ArrayStore(cache.folder() / "features" / name, shape, dtype)


class _Wanted:
    """The views of some images: those of the first image, of the second, and so on."""

    def __init__(self, images: ImageViews, rows: NDArray[np.intp], n_views: int) -> None:
        self._images, self._rows, self._n_views = images, rows, n_views
        self._view_keys = [images.view_key(view) for view in range(n_views)]

    def __len__(self) -> int:
        return len(self._rows) * self._n_views

    def keys(self, positions: Iterable[int]) -> list[bytes]:
        """Name views by the content of the image and what is done with it."""
        pairs = (divmod(position, self._n_views) for position in positions)
        return [self._images.contents[self._rows[row]] + self._view_keys[view] for row, view in pairs]

    def batch(self, positions: Sequence[int]) -> NDArray[np.uint8]:
        """Draw views."""
        rows, views = np.divmod(positions, self._n_views)
        return self._images.batch(self._rows[rows], views, 0)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
