"""Images decoded and resized once, on disk, for every run that needs them at that size."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl import cache
from melanoma_tl.arrays import ArrayStore, StoredArrays
from melanoma_tl.errors import ImageError
from melanoma_tl.fingerprints import Fingerprint, fingerprint_images
from melanoma_tl.images import RECIPE, ImageLike, load_image, map_threaded


class PreparedStore:
    """All images of one size.

    Parameters
    ----------
    size : tuple of int
        (height, width) in pixels.

    Attributes
    ----------
    recipe : str
        How their pixels were made: whatever changes a pixel is part of it.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        height, width = size
        self.size = size
        self.recipe = f"{height}x{width}_{RECIPE}"
        self._arrays = ArrayStore(cache.folder() / "prepared" / self.recipe, (height, width, 3), np.uint8)
        self.folder = self._arrays.folder

    def prepare(self, images: Sequence[ImageLike]) -> list[tuple[int, Fingerprint] | ImageError]:
        """Decode and resize those of a few images that are not there yet, in threads.

        Parameters
        ----------
        images : sequence of path, PIL.Image.Image or ndarray
            As many as fit into memory.

        Returns
        -------
        list of (int, Fingerprint) or ImageError
            Slot and fingerprint of each; what is wrong, where one cannot be decoded.

        Raises
        ------
        CacheError
            If the disk is full or the folder cannot be written.
        """
        fingerprints = dict(enumerate(fingerprint_images(images)))
        results: dict[int, Any] = {row: found for row, found in fingerprints.items() if isinstance(found, ImageError)}
        known = {row: found for row, found in fingerprints.items() if isinstance(found, Fingerprint)}
        contents = [fingerprint.content for fingerprint in known.values()]
        slots = self._arrays.find(contents)
        missing = {known[row].content: row for row, slot in zip(known, slots, strict=True) if slot < 0}
        decoded = dict(zip(missing, map_threaded(self._decode, [images[row] for row in missing.values()]), strict=True))
        if missing:
            self._arrays.add({content: it for content, it in decoded.items() if not isinstance(it, ImageError)})
            slots = self._arrays.find(contents)
        for row, slot in zip(known, slots.tolist(), strict=True):
            results[row] = decoded[known[row].content] if slot < 0 else (slot, known[row])
        return [results[row] for row in range(len(images))]

    def _decode(self, image: ImageLike) -> NDArray[np.uint8] | ImageError:
        try:
            return load_image(image, self.size)
        except ImageError as error:
            return error

    def open(self, slots: NDArray[np.int64]) -> StoredArrays:
        """Open some of the images.

        Parameters
        ----------
        slots : ndarray of shape (n_images,) and dtype int64
            From `prepare`.

        Returns
        -------
        StoredArrays of shape (n_images, height, width, 3) and dtype uint8
            Raw RGB, 0 to 255, in the order of the slots.
        """
        return self._arrays.open(slots)
