"""The eight symmetries of the square, under which the score of a lesion should not change."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.errors import ParameterError

LEFT_RIGHT, UP_DOWN, TRANSPOSED = 1, 2, 4
"""Summands of the number of a symmetry."""

COUNTS = (1, 2, 4, 8)
"""Sizes of the groups of symmetries: 1, the identity; 2, with the left-right mirror image; 4, with the upside-down
mirror image and the rotation by 180 degrees; 8, with the transposes of these four (rotations by 90 degrees and mirror
images at the diagonals).

In a group, a view of a view is another view of the same image, so that all views have the same mean score."""


def check_tta(tta: int, size: tuple[int, int]) -> None:
    """Check the number of views for test-time augmentation.

    Parameters
    ----------
    tta : {1, 2, 4, 8}
        Number of views.
    size : tuple of int
        (height, width) of the images in pixels.

    Raises
    ------
    ParameterError
        If the number is 8 and the images are not square.
    """
    if tta == 8 and size[0] != size[1]:
        raise ParameterError(
            f"tta=8 turns images by 90 degrees, which needs a square input_size, got {size[0]}x{size[1]}; take tta=4"
        )


def symmetric_views(images: NDArray[np.uint8], count: int) -> Iterator[NDArray[np.uint8]]:
    """Mirror and turn images.

    Parameters
    ----------
    images : ndarray of shape (n_images, height, width, channels)
        The images; square for 8 views.
    count : {1, 2, 4, 8}
        Number of symmetries, one of `COUNTS`.

    Yields
    ------
    ndarray of shape (n_images, height, width, channels)
        One view of all images at a time, the unchanged images first.

    Examples
    --------
    >>> image = np.array([[1, 2], [3, 4]], dtype="uint8").reshape(1, 2, 2, 1)
    >>> [view.ravel().tolist() for view in symmetric_views(image, 4)]
    [[1, 2, 3, 4], [2, 1, 4, 3], [3, 4, 1, 2], [4, 3, 2, 1]]
    """
    for number in range(count):
        yield mirror(images, number)


def mirror(images: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Apply one of the eight symmetries to images.

    Parameters
    ----------
    images : ndarray of shape (n_images, height, width, channels)
        The images; square for numbers of 4 and more.
    number : int
        The sum of 1 (exchange left and right), 2 (exchange up and down) and 4 (transpose), applied in this order.

    Returns
    -------
    ndarray of shape (n_images, height, width, channels)
        The transformed images; for 0 the unchanged images.
    """
    if number & LEFT_RIGHT:
        images = images[:, :, ::-1]
    if number & UP_DOWN:
        images = images[:, ::-1]
    if number & TRANSPOSED:
        images = images.swapaxes(1, 2)
    return np.ascontiguousarray(images)  # PyTorch does not support negative strides
