"""The symmetries of the square: a lesion mirrored or turned is the same lesion, and should get the same score."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.errors import ParameterError

LEFT_RIGHT, UP_DOWN, TRANSPOSED = 1, 2, 4
"""What the number of a symmetry is the sum of."""

COUNTS = (1, 2, 4, 8)
"""How many symmetries form a group: the image itself; and its left-right mirror image; and upside down and turned by
180 degrees; and the transposes of these four, which are the turns by 90 degrees and the mirror images at the diagonals.

In a group, a view of a view is another view of the image, so that the mean over the views is the same for each."""


def check_tta(tta: int, size: tuple[int, int]) -> None:
    """Check how many symmetries are asked for.

    Parameters
    ----------
    tta : {1, 2, 4, 8}
        How many.
    size : tuple of int
        (height, width) of the images in pixels.

    Raises
    ------
    ParameterError
        If transposes are asked for and the images are not square.
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
        How many symmetries, in the order of `COUNTS`.

    Yields
    ------
    ndarray of shape (n_images, height, width, channels)
        One view of all images at a time, the untouched images first.

    Examples
    --------
    >>> image = np.array([[1, 2], [3, 4]], dtype="uint8").reshape(1, 2, 2, 1)
    >>> [view.ravel().tolist() for view in symmetric_views(image, 4)]
    [[1, 2, 3, 4], [2, 1, 4, 3], [3, 4, 1, 2], [4, 3, 2, 1]]
    """
    for number in range(count):
        yield mirror(images, number)


def mirror(images: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Return images under one of the eight symmetries.

    Parameters
    ----------
    images : ndarray of shape (n_images, height, width, channels)
        The images; square for numbers of 4 and more.
    number : int
        The sum of 1 for left and right exchanged, 2 for up and down, and 4 for rows and columns, in this order.

    Returns
    -------
    ndarray of shape (n_images, height, width, channels)
        The untouched images for 0.
    """
    if number & LEFT_RIGHT:
        images = images[:, :, ::-1]
    if number & UP_DOWN:
        images = images[:, ::-1]
    if number & TRANSPOSED:
        images = images.swapaxes(1, 2)
    return np.ascontiguousarray(images)  # PyTorch takes no negative strides
