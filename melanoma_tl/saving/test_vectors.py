"""An image that every language can draw for itself, to check what it makes of images."""

import numpy as np
from numpy.typing import NDArray

FORMULA = "pixel[y][x][c] = (7 * (c + 1) * x + 13 * y + (x * y) div 16) mod 256, in whole numbers from 0"
"""The formula of `draw_texture`, for people who have no Python."""


def draw_texture(height: int, width: int) -> NDArray[np.uint8]:
    """Draw an image that looks different in each mirror and in each colour.

    Parameters
    ----------
    height, width : int
        In pixels.

    Returns
    -------
    ndarray of shape (height, width, 3) and dtype uint8
        Raw RGB, as `FORMULA` says.

    Examples
    --------
    >>> draw_texture(2, 3)[1].tolist()
    [[13, 13, 13], [20, 27, 34], [27, 41, 55]]
    """
    y, x, c = np.ogrid[:height, :width, :3]
    return ((7 * (c + 1) * x + 13 * y + x * y // 16) % 256).astype(np.uint8)
