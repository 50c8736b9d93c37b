"""Conversion of image files to the picture that viewers show: 8-bit RGB, upright, on white."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT

from melanoma_tl.errors import ImageError

Turn = Image.Transpose

TURNS = {
    2: Turn.FLIP_LEFT_RIGHT,
    3: Turn.ROTATE_180,
    4: Turn.FLIP_TOP_BOTTOM,
    5: Turn.TRANSPOSE,
    6: Turn.ROTATE_270,
    7: Turn.TRANSVERSE,
    8: Turn.ROTATE_90,
}
"""The operation that turns a picture upright, by its EXIF orientation (Exif 2.32, table 6, "Orientation")."""

_MAX_SAMPLE_VALUES = (341, 281)  # SMaxSampleValue and MaxSampleValue of TIFF 6.0
_UNSIGNED, _WHITE_IS_ZERO = 1, 0
_BRIGHT = 99
"""Percentile of the values that must use the range of the file; hot pixels or white letters lie above it."""

_OF_MOST = f"{_BRIGHT} % of its values are at most"

_SEE_THROUGH = ("RGBA", "LA", "PA", "RGBa", "La")


_WHITE, _WHITE_OF_16_BITS = 255, 65535

_BYTES_A_PIXEL = 8
"""Red, green, blue and opacity with 16 bits: no supported format needs more."""

_BYTES_BESIDE = 2**24
"""Allowance for other contents of a file: EXIF data, colour profiles, previews."""


def check_bytes(n_bytes: int, name: str) -> None:
    """Raise an error for a file that needs more memory than an image can, before it is read or decompressed.

    Parameters
    ----------
    n_bytes : int
        Declared size.
    name : str
        Name of the image in error messages.

    Raises
    ------
    ImageError
        If the size exceeds that of an image at Pillow's pixel limit.
    """
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and n_bytes > limit * _BYTES_A_PIXEL + _BYTES_BESIDE:
        raise ImageError(
            name,
            f"{n_bytes:,} bytes, more than an image of Pillow's limit of {limit:,} pixels needs; raise "
            "PIL.Image.MAX_IMAGE_PIXELS if you trust the file",
        )


def read_orientation(image: Image.Image) -> int:
    """Read the EXIF orientation of an image.

    Parameters
    ----------
    image : PIL.Image.Image
        Decoded or not.

    Returns
    -------
    int
        1 to 8; 1 (upright) if it is missing, invalid or damaged, as in viewers.
    """
    try:
        orientation = image.getexif().get(Base.Orientation, 1)
    except Exception:  # damaged EXIF data make Pillow raise SyntaxError, struct.error, …
        return 1
    return orientation if orientation in TURNS else 1


def as_stored(picture: Image.Image, orientation: int) -> Image.Image:
    """Rotate or mirror a picture back to its pixels as stored in the file.

    Parameters
    ----------
    picture : PIL.Image.Image
        The upright picture.
    orientation : int
        From `read_orientation`, 2 to 8.

    Returns
    -------
    PIL.Image.Image
        The picture that a copy without EXIF data shows.
    """
    turn = TURNS[orientation]
    back = {Turn.ROTATE_90: Turn.ROTATE_270, Turn.ROTATE_270: Turn.ROTATE_90}
    return picture.transpose(back.get(turn, turn))


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Return the size of an image as shown, without decoding it.

    Parameters
    ----------
    image : PIL.Image.Image
        Decoded or not.

    Returns
    -------
    tuple of int
        (width, height) in pixels.
    """
    width, height = image.size
    # Pillow applies the orientation of TIFF files itself; their size is that of the upright picture.
    on_its_side = image.format != "TIFF" and read_orientation(image) >= 5
    return (height, width) if on_its_side else (width, height)


def as_shown(image: Image.Image, name: str) -> Image.Image:
    """Decode an image to the picture that viewers show.

    Parameters
    ----------
    image : PIL.Image.Image
        Decoded or not.
    name : str
        Name of the image in error messages.

    Returns
    -------
    PIL.Image.Image
        A new image of mode "RGB".

    Raises
    ------
    ImageError
        If the file does not define the values of black and white.
    """
    rgb = _on_white(_to_eight_bits(image, name))
    turn = TURNS.get(read_orientation(image))  # after decoding, because Pillow's TIFF reader turns images itself
    return rgb if turn is None else rgb.transpose(turn)


def _to_eight_bits(image: Image.Image, name: str) -> Image.Image:
    bits = _declared_bits(image)  # before decoding, which removes it from a PNG
    image.load()
    if image.mode == "F" or bits is None:
        kind = "floating-point pixels" if image.mode == "F" else f"integers of mode {image.mode!r}"
        raise ImageError(name, f"{kind} have no known range; save the image as 8-bit RGB")
    if not image.mode.startswith("I"):
        return image if bits <= 8 else _checked(image, bits, name)
    values = np.asarray(image)
    grey = reduce_to_eight_bits(values.view(np.uint32) if values.dtype == np.int32 else values, bits, name)
    white_is_zero = _tags(image).get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO
    return Image.fromarray(255 - grey if white_is_zero else grey)


def _checked(image: Image.Image, bits: int, name: str) -> Image.Image:
    """Check that a colour image of which Pillow keeps the upper eight bits uses its range."""
    highest = max(_highest(image))
    if not highest:
        raise ImageError(
            name,
            f"no value reaches the upper eight of its {bits} bits: it is black, or holds 8-bit data; "
            "save it as 8-bit RGB",
        )
    check_range(highest, 8, name, shift=bits - 8)
    upper = np.asarray(image.convert("RGB") if image.mode in _SEE_THROUGH else image)
    check_range(int(np.percentile(upper, _BRIGHT, method="lower")), 8, name, shift=bits - 8, of=_OF_MOST)
    if "transparency" in image.info:  # a 16-bit colour without an 8-bit equivalent
        image = image.copy()
        del image.info["transparency"]
    return image


def _declared_bits(image: Image.Image) -> int | None:
    """Return the declared bits per channel; None if the file does not define the values of black and white."""
    tags = _tags(image)
    if tags:
        highest = next((tags[tag] for tag in _MAX_SAMPLE_VALUES if tag in tags), None)
        if highest is not None and image.mode.startswith("I"):
            return max(int(np.max(highest)).bit_length(), 8)
        if np.max(tags.get(SAMPLEFORMAT, _UNSIGNED)) != _UNSIGNED:
            return None
        return int(np.max(tags.get(BITSPERSAMPLE, 1)))
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return 16
    if image.mode == "I":
        return None
    arguments = [tile[3] for tile in getattr(image, "tile", ())]
    if image.format == "PPM":  # declares its own largest value, and Pillow scales by it
        return max([8, *(one[1].bit_length() for one in arguments if isinstance(one, tuple))])
    return 16 if image.format == "PNG" and any(";16" in str(one) for one in arguments) else 8


def _tags(image: Image.Image) -> Any:
    return getattr(image, "tag_v2", {})


def _highest(image: Image.Image) -> list[int]:
    extrema: Any = image.getextrema() if len(image.getbands()) > 1 else (image.getextrema(),)
    return [high for band, (_, high) in zip(image.getbands(), extrema, strict=True) if band not in "Aa"]


def reduce_to_eight_bits(values: NDArray[Any], bits: int, name: str) -> NDArray[np.uint8]:
    """Keep the upper eight bits of each value, as Pillow does with the channels of colour images.

    Parameters
    ----------
    values : ndarray of unsigned integers
        Values of any shape.
    bits : int
        Declared bits per value; fewer than 8 are scaled up.
    name : str
        Name of the image in error messages.

    Returns
    -------
    ndarray of uint8
        Values of the same shape, 0 to 255.

    Raises
    ------
    ImageError
        If a value exceeds the declared range, or the highest of more than eight bits is never used.
    """
    check_range(int(values.max(initial=0)), bits, name)
    if bits > 8 and values.size:
        check_range(int(np.percentile(values, _BRIGHT, method="lower")), bits, name, of=_OF_MOST)
    return (values >> (bits - 8) if bits >= 8 else values * 255 // ((1 << bits) - 1)).astype(np.uint8)


def check_range(highest: int, bits: int, name: str, *, shift: int = 0, of: str = "its largest value is") -> None:
    """Raise an error for an image that may use a smaller range than declared, and so would become nearly black.

    If no value of an image of more than eight bits reaches the upper half of the range, the image is either very dark,
    or holds data of a smaller bit depth. The file does not tell which; photographs of skin reach the upper half.

    Parameters
    ----------
    highest : int
        The largest value.
    bits : int
        Bits per value.
    name : str
        Name of the image in error messages.
    shift : int, default=0
        Number of lower bits that were dropped before.
    of : str, default="its largest value is"
        Description of `highest` in the message.

    Raises
    ------
    ImageError
        If the upper half of the range is never reached.
    """
    used = highest.bit_length()
    if used > bits:
        raise ImageError(name, f"its largest value is {highest:,}, more than the {bits} bits that the file declares")
    if bits + shift > 8 and 0 < used < bits:
        about, top = ("about " if shift else "", (1 << bits + shift) - 1)
        raise ImageError(
            name,
            f"{of} {about}{highest << shift:,} of {top:,}: either it holds data of {used + shift} bits "
            f"in a file of {bits + shift}, or it is very dark, and the file does not say which; "
            "save it as 8-bit RGB, as bright as it should look",
        )


def _on_white(image: Image.Image) -> Image.Image:
    """Convert to RGB; transparent pixels are blended with white."""
    if image.mode not in _SEE_THROUGH and "transparency" not in image.info:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def how_to_make_raw(pixels: Any, name: str = "X") -> str:
    """Say how numbers that are no uint8 become raw RGB.

    Parameters
    ----------
    pixels : array-like
        One image, or a sequence of several, which are read one by one.
    name : str, default="X"
        What the user calls it.

    Returns
    -------
    str
        What is true of its values, and what to do.

    Examples
    --------
    >>> how_to_make_raw(np.array([[0, 255]]))
    "its numbers are whole and from 0 to 255: pass X.astype('uint8')"
    >>> how_to_make_raw(np.array([[0, 0.5]]))
    "its numbers are from 0 to 1: where they were divided by 255, pass (X * 255).round().astype('uint8')"
    """
    undo = "undo any scaling first: the classifier scales inside its graph, and scaling twice spoils scores silently"
    try:
        low, high, is_whole, is_float = _extremes(pixels if getattr(pixels, "ndim", 1) else [pixels])
    except Exception:  # whatever numbers another library has that NumPy does not know, or cannot reach
        return undo
    if not (low >= 0 and np.isfinite(high)):
        return undo
    if is_float and high <= 1:
        by = f"({name} * 255).round().astype('uint8')"
        return f"its numbers are from 0 to 1: where they were divided by 255, pass {by}"
    if is_whole and high <= _WHITE:
        return f"its numbers are whole and from 0 to 255: pass {name}.astype('uint8')"
    if is_whole and high <= _WHITE_OF_16_BITS:
        by = f"({name} / 257).round().astype('uint8')"
        return f"its numbers reach {int(high)}: where 65535 is white, as in images of 16 bits, pass {by}"
    return undo


def _extremes(parts: Any) -> tuple[float, float, bool, bool]:
    """Return the lowest and the highest number, whether all are whole, and whether any is of a type of fractions."""
    low, high, is_whole, is_float = np.inf, -np.inf, True, False
    for part in parts:
        values = np.asarray(part)
        if values.dtype.kind not in "iuf":
            raise TypeError
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            is_float = is_float or values.dtype.kind == "f"
            is_whole = is_whole and (values.dtype.kind != "f" or bool((values % 1 == 0).all()))
    return low, high, is_whole, is_float


def how_to_make_three(shape: tuple[int, ...], name: str = "X") -> str:
    """Say how an array of four channels becomes one of three; nothing of others.

    Parameters
    ----------
    shape : tuple of int
        Its shape, channels last.
    name : str, default="X"
        What the user calls it.

    Returns
    -------
    str
        To be put behind what was expected.

    Examples
    --------
    >>> how_to_make_three((40, 40, 4)), how_to_make_three((40, 40))
    (': leave out the fourth channel, the transparency, X[..., :3]', '')
    """
    return f": leave out the fourth channel, the transparency, {name}[..., :3]" if shape[-1:] == (4,) else ""
