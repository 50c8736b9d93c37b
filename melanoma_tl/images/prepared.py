"""The store of decoded and resized images on disk, shared by all runs that need the same size."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl import cache
from melanoma_tl.errors import CacheError, ImageError
from melanoma_tl.images.array_store import ArrayStore, Make, StoredArrays
from melanoma_tl.images.decoding import RECIPE, ImageLike, hold, load_image
from melanoma_tl.images.fingerprints import Fingerprint, content_of, fingerprint_image, fingerprint_images
from melanoma_tl.images.parallel import map_threaded


class PreparedStore:
    """The store of all images of one size.

    Parameters
    ----------
    size : tuple of int
        (height, width) in pixels.

    Attributes
    ----------
    recipe : str
        Everything that determines the pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        height, width = size
        self.size = size
        self.recipe = f"{height}x{width}_{RECIPE}"
        self._arrays = ArrayStore(cache.folder() / "prepared" / self.recipe, (height, width, 3), np.uint8)
        self.folder = self._arrays.folder

    def prepare(self, images: Sequence[ImageLike]) -> list[tuple[Any, Fingerprint] | ImageError]:
        """Decode and resize, in threads, those images that are not yet stored.

        Parameters
        ----------
        images : sequence of path, PIL.Image.Image or ndarray
            Images that fit into memory together.

        Returns
        -------
        list of (tuple, Fingerprint) or ImageError
            Place and fingerprint of each image, or the error if it cannot be decoded.

        Raises
        ------
        CacheError
            If the disk is full or the folder cannot be written.
        """
        found = list(fingerprint_images(images))
        before: list[int] = []
        while True:
            contents = {row: one.content for row, one in enumerate(found) if isinstance(one, Fingerprint)}
            places = dict(zip(contents, self._arrays.find([*contents.values()]), strict=True))
            missing = {content: row for row, content in contents.items() if places[row]["slot"] < 0}  # one of each
            if not missing:
                return [(places[row], one) if isinstance(one, Fingerprint) else one for row, one in enumerate(found)]
            rows = [*missing.values()]
            if rows == before:
                raise CacheError(f"{self.folder}: does not return what was stored; it is damaged: delete it")
            self._add(images, found, rows)
            before = rows

    def _add(self, images: Sequence[ImageLike], found: list[Fingerprint | ImageError], rows: list[int]) -> None:
        """Decode and store some of the images; results that differ from `found` replace its entries."""
        new = {}
        decoded = map_threaded(self._decode, [(images[row], found[row]) for row in rows])
        for row, result in zip(rows, decoded, strict=True):
            if isinstance(result, ImageError):
                found[row] = result
            else:
                found[row], pixels = result
                new[result[0].content] = pixels
        self._arrays.add(new)

    def _decode(self, pair: tuple[ImageLike, Any]) -> tuple[Fingerprint, NDArray[np.uint8]] | ImageError:
        """Decode an image; return it with the fingerprint of the same bytes, because the file may change meanwhile."""
        image, fingerprint = pair
        try:
            held = hold(image)
            pixels = load_image(held, self.size)
            if held is not image and content_of(held) != fingerprint.content:
                fingerprint = fingerprint_image(held)
        except ImageError as error:
            return error
        return fingerprint, pixels

    def open(self, places: NDArray[Any], make: Make | None = None) -> StoredArrays:
        """Open some of the images.

        Parameters
        ----------
        places : ndarray of shape (n_images,) and dtype PLACE
            Places from `prepare`.
        make : callable, optional
            Function that decodes damaged images again.

        Returns
        -------
        StoredArrays of shape (n_images, height, width, 3) and dtype uint8
            Raw RGB, 0 to 255, in the order of the places.
        """
        return self._arrays.open(places, make)
