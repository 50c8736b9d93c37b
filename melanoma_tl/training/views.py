"""What the network is shown of each image: itself, one of its fixed views, or ever new random ones."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.augmentation import Augmenter
from melanoma_tl.images.array_store import StoredArrays


class InputSource(Protocol):
    """What a network learns from, wherever it comes from."""

    def batch(self, rows: NDArray[np.intp], repeats: NDArray[np.intp], step: int) -> NDArray[Any]:
        """Return what the network gets to see.

        Parameters
        ----------
        rows : ndarray of int of shape (n,)
            Which images.
        repeats : ndarray of int of shape (n,)
            How often each was shown before.
        step : int
            Number of the batch; seeds what is random.

        Returns
        -------
        ndarray of shape (n, ...)
            Raw RGB, 0 to 255, or features.
        """
        ...


class ImageViews:
    """Images, and what becomes of them from pass to pass.

    Parameters
    ----------
    pixels : StoredArrays or ndarray of shape (n_images, height, width, 3) and dtype uint8
        Raw RGB, 0 to 255.
    contents : sequence of bytes of length n_images
        SHA-256 of each image.
    augmenter : Augmenter or None
        With a seed of its own; None shows every image as it is.

    Attributes
    ----------
    n_views : int or None
        How many different views there are of each image; None if they never end.
    """

    def __init__(
        self, pixels: StoredArrays | NDArray[np.uint8], contents: Sequence[bytes], augmenter: Augmenter | None
    ) -> None:
        self.pixels, self.contents, self.augmenter = pixels, contents, augmenter
        self.n_views = 1 if augmenter is None else augmenter.views

    def batch(self, rows: NDArray[np.intp], repeats: NDArray[np.intp], step: int) -> NDArray[np.uint8]:
        """Return pixels, as `InputSource.batch` says."""
        images = self.pixels[rows]
        if self.augmenter is None or self.n_views == 1:
            return images
        if self.n_views is None:
            return self.augmenter.augment(images, (self.augmenter.random_state or 0, step))
        keys = [int.from_bytes(self.contents[row][:8], "little") for row in rows]
        return self.augmenter.fixed_views(images, keys, (repeats % self.n_views).tolist())

    def view_key(self, view: int) -> bytes:
        """Compute what tells a view apart from all others of the same image.

        Parameters
        ----------
        view : int
            Its number; 0 is the untouched image.

        Returns
        -------
        bytes
            Empty for the untouched image.
        """
        return b"" if self.augmenter is None else self.augmenter.view_key(view)
