"""What makes an image blank."""

import numpy as np
from PIL import Image

DARK, BRIGHT, FLAT = 16, 239, 8
"""What makes an image blank: the middle 99.8 % of the values of each channel are all below `DARK` (black), all above
`BRIGHT` (white), or no further apart than `FLAT` (one colour), out of 0 to 255.

So are a lens cap, an empty scan, data of 12 bits read as 16, with the noise of a sensor or of JPEG."""

_IGNORED_SHARE = 0.001  # of the values at either end: dust, dead pixels, a time stamp


def why_blank(image: Image.Image) -> str:
    """Say in what way an image is blank.

    Parameters
    ----------
    image : PIL.Image.Image
        An image in RGB, of 8 bits.

    Returns
    -------
    str
        "black: ...", "white: ..." or "one colour: ...", by the rule of `DARK`, `BRIGHT` and `FLAT`; empty if it is not.
    """
    cumulated = np.array(image.histogram()).reshape(3, 256).cumsum(axis=1) / (image.width * image.height)
    low = (cumulated <= _IGNORED_SHARE).sum(axis=1)
    high = (cumulated < 1 - _IGNORED_SHARE).sum(axis=1)
    if high.max() < DARK:
        return f"black: nearly all values are at most {high.max()} of 255"
    if low.min() > BRIGHT:
        return f"white: nearly all values are at least {low.min()} of 255"
    if (high - low).max() <= FLAT:
        return f"one colour: nearly all values are within {(high - low).max()} of RGB {tuple(low.tolist())}"
    return ""
