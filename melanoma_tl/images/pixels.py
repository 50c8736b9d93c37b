"""From what an image file holds to the picture that viewers show: 8-bit RGB, upright, on white."""

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
"""What brings a picture upright, by its EXIF orientation (Exif 2.32, table 6, "Orientation")."""

_MAX_SAMPLE_VALUES = (341, 281)  # SMaxSampleValue and MaxSampleValue of TIFF 6.0
_UNSIGNED, _WHITE_IS_ZERO = 1, 0
_BRIGHT = 99
"""Per cent of the values up to which a picture must use its range: a hot pixel or white letters do not count."""

_OF_MOST = f"{_BRIGHT} % of its values are at most"

_SEE_THROUGH = ("RGBA", "LA", "PA", "RGBa", "La")


_BYTES_A_PIXEL = 8
"""Red, green, blue and opacity of 16 bits: no format that is read needs more."""

_BYTES_BESIDE = 2**24
"""What else may stand in a file: EXIF data, colour profiles, previews."""


def check_bytes(n_bytes: int, name: str) -> None:
    """Stop at what takes more memory than an image can need, before it is read or unpacked.

    Parameters
    ----------
    n_bytes : int
        What it says that it takes.
    name : str
        What errors call it.

    Raises
    ------
    ImageError
        If it is more than Pillow's limit of pixels takes.
    """
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and n_bytes > limit * _BYTES_A_PIXEL + _BYTES_BESIDE:
        raise ImageError(
            name,
            f"{n_bytes:,} bytes, more than an image of Pillow's limit of {limit:,} pixels needs; raise "
            "PIL.Image.MAX_IMAGE_PIXELS if you trust the file",
        )


def read_orientation(image: Image.Image) -> int:
    """Read the EXIF orientation of an image, as it stands there.

    Parameters
    ----------
    image : PIL.Image.Image
        Decoded or not.

    Returns
    -------
    int
        1 to 8; 1 (upright) where nothing, nonsense or damaged EXIF data stand there, as viewers do.
    """
    try:
        orientation = image.getexif().get(Base.Orientation, 1)
    except Exception:  # damaged EXIF data make Pillow raise SyntaxError, struct.error, …
        return 1
    return orientation if orientation in TURNS else 1


def as_stored(picture: Image.Image, orientation: int) -> Image.Image:
    """Turn a picture back to how its pixels lie in the file.

    Parameters
    ----------
    picture : PIL.Image.Image
        Upright.
    orientation : int
        From `read_orientation`, 2 to 8.

    Returns
    -------
    PIL.Image.Image
        What a copy shows that has lost its EXIF data.
    """
    turn = TURNS[orientation]
    back = {Turn.ROTATE_90: Turn.ROTATE_270, Turn.ROTATE_270: Turn.ROTATE_90}
    return picture.transpose(back.get(turn, turn))


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Return the size that an image is shown at, without decoding it.

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
    # Pillow turns TIFF files itself, and knows their size upright from the start.
    on_its_side = image.format != "TIFF" and read_orientation(image) >= 5
    return (height, width) if on_its_side else (width, height)


def as_shown(image: Image.Image, name: str) -> Image.Image:
    """Decode an image to the picture that viewers show.

    Parameters
    ----------
    image : PIL.Image.Image
        Decoded or not.
    name : str
        What errors call it.

    Returns
    -------
    PIL.Image.Image
        Mode "RGB"; never the same object.

    Raises
    ------
    ImageError
        If the file does not say which values are black and white.
    """
    rgb = _on_white(_to_eight_bits(image, name))
    turn = TURNS.get(read_orientation(image))  # after decoding, for Pillow's TIFF reader turns its images by itself
    return rgb if turn is None else rgb.transpose(turn)


def _to_eight_bits(image: Image.Image, name: str) -> Image.Image:
    bits = _declared_bits(image)  # before decoding: afterwards a PNG does not know any more
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
    """Check the range of a colour image of which Pillow keeps the upper eight bits: the uppermost is among them."""
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
    if "transparency" in image.info:  # one colour of 16 bits, which has no counterpart among those of 8
        image = image.copy()
        del image.info["transparency"]
    return image


def _declared_bits(image: Image.Image) -> int | None:
    """Return how many bits a channel has, as the file says; None where it does not say what is black and white."""
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
    if image.format == "PPM":  # a largest value of its own, to which Pillow scales
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
        Of any shape.
    bits : int
        How many bits a value has, as the file says; fewer than 8 are spread.
    name : str
        What errors call the image.

    Returns
    -------
    ndarray of uint8
        Of the same shape, 0 to 255.

    Raises
    ------
    ImageError
        If a value does not fit, or the uppermost of more than eight bits is never used.
    """
    check_range(int(values.max(initial=0)), bits, name)
    if bits > 8 and values.size:
        check_range(int(np.percentile(values, _BRIGHT, method="lower")), bits, name, of=_OF_MOST)
    return (values >> (bits - 8) if bits >= 8 else values * 255 // ((1 << bits) - 1)).astype(np.uint8)


def check_range(highest: int, bits: int, name: str, *, shift: int = 0, of: str = "its largest value is") -> None:
    """Stop at an image that may use a smaller range than its file says: read as it stands, it would be nearly black.

    A picture in which no value reaches the upper half of what more than eight bits can hold is either very dark, or
    holds data of fewer bits. Nothing in the file tells which; photographs of skin reach the upper half.

    Parameters
    ----------
    highest : int
        The largest value.
    bits : int
        How many bits it has.
    name : str
        What errors call the image.
    shift : int, default=0
        How many further bits were cut off before.
    of : str, default="its largest value is"
        What `highest` is, for a message.

    Raises
    ------
    ImageError
        If it does.
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
    """Convert to RGB; what is transparent lies on white, as on a page."""
    if image.mode not in _SEE_THROUGH and "transparency" not in image.info:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
