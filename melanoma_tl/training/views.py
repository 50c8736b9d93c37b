"""The inputs of a network: images as they are, fixed augmented views, or endless random views."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.augmentation import Augmenter
from melanoma_tl.images.array_store import StoredArrays


class InputSource(Protocol):
    """A source of inputs for training, whatever it reads them from."""

    def batch(self, rows: NDArray[np.intp], repeats: NDArray[np.intp], step: int) -> NDArray[Any]:
        """Return a batch of inputs.

        Parameters
        ----------
        rows : ndarray of int of shape (n,)
            The images.
        repeats : ndarray of int of shape (n,)
            How often each image was used before.
        step : int
            Number of the batch; the seed of random views.

        Returns
        -------
        ndarray of shape (n, ...)
            Raw RGB, 0 to 255, or features.
        """
        ...


class ImageViews:
    """Images and their augmented views.

    Parameters
    ----------
    pixels : StoredArrays or ndarray of shape (n_images, height, width, 3) and dtype uint8
        Raw RGB, 0 to 255.
    contents : sequence of bytes of length n_images
        SHA-256 of each image.
    augmenter : Augmenter or None
        An augmenter with a seed; None uses every image as it is.

    Attributes
    ----------
    n_views : int or None
        Number of views of each image; None if they are endless.
    """

    def __init__(
        self, pixels: StoredArrays | NDArray[np.uint8], contents: Sequence[bytes], augmenter: Augmenter | None
    ) -> None:
        self.pixels, self.contents, self.augmenter = pixels, contents, augmenter
        self.n_views = 1 if augmenter is None else augmenter.views

    def batch(self, rows: NDArray[np.intp], repeats: NDArray[np.intp], step: int) -> NDArray[np.uint8]:
        """Return pixels, as `InputSource.batch`."""
        images = self.pixels[rows]
        if self.augmenter is None or self.n_views == 1:
            return images
        if self.n_views is None:
            return self.augmenter.augment(images, (self.augmenter.random_state or 0, step))
        keys = [int.from_bytes(self.contents[row][:8], "little") for row in rows]
        return self.augmenter.fixed_views(images, keys, (repeats % self.n_views).tolist())

    def view_key(self, view: int) -> bytes:
        """Return the key of a view, which differs for all views of an image.

        Parameters
        ----------
        view : int
            Number of the view; 0 is the original image.

        Returns
        -------
        bytes
            Empty for the original image.
        """
        return b"" if self.augmenter is None else self.augmenter.view_key(view)
