"""The only place where an image is decoded and resized.

Whatever an image comes from (a file, a PIL image, an array), it leaves this
module as raw RGB, ``uint8``, 0 to 255, so that every route into the library
gives the same pixels.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from melanoma_tl.errors import ImageError, ParameterError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

MIN_SIDE = 16
"""Shortest side in pixels that can still show a lesion; smaller files are placeholders or damage."""

REDUCING_GAP = 3
"""How many times larger than asked for a JPEG is decoded at least before the antialiasing filter takes over.

A JPEG can be decoded at a half, a quarter or an eighth of its size at a fraction of the cost. At 3, the factor that
Pillow's documentation of `Image.resize` calls close to the filter alone, no pixel of the full-size photographs measured
for `docs/objects/dataset.md` differs by more than 6 of 255."""


@dataclass(frozen=True)
class ImageFile:
    """An image file that has no path on this machine: in a bucket, an archive or a database.

    Attributes
    ----------
    name : str
        What errors call it.
    read : callable
        Returns its content, each time anew, so that a list of many takes no memory.
    """

    name: str
    read: Callable[[], bytes]

    def open(self) -> BytesIO:
        """Read the file.

        Returns
        -------
        BytesIO
            Its content.

        Raises
        ------
        ImageError
            If it cannot be read.
        """
        try:
            return BytesIO(self.read())
        except FileNotFoundError:
            raise ImageError(self.name, _MISSING) from None
        except OSError as error:
            raise ImageError(self.name, f"cannot be read ({error})") from error


ImageLike = str | os.PathLike[str] | ImageFile | Image.Image | NDArray[np.uint8]

_MISSING = "no such file"

_T = TypeVar("_T")
_R = TypeVar("_R")


class SkippedRow(NamedTuple):
    """A row of a table of images that cannot be used, and why."""

    image_id: str
    path: str
    reason: str


def decode(source: ImageLike, *, at_least: tuple[int, int] | None = None) -> Image.Image:
    """Decode one image to 8-bit RGB.

    Greyscale, palette, CMYK and 16-bit images are converted; transparency is dropped.

    Parameters
    ----------
    source : path, ImageFile, PIL.Image.Image or ndarray of shape (height, width, 3) and dtype uint8
        The image.
    at_least : tuple of int, optional
        (height, width) in pixels that suffice: a larger JPEG may be decoded at a
        half, a quarter or an eighth of its size, whichever is still that large.

    Returns
    -------
    PIL.Image.Image
        Mode "RGB".

    Raises
    ------
    ImageError
        If the file is missing, empty, damaged, truncated, animated, no image at
        all, over Pillow's pixel limit, or has a side shorter than `MIN_SIDE`.

    Examples
    --------
    >>> import numpy as np
    >>> decode(np.zeros((20, 30, 3), dtype="uint8")).size
    (30, 20)
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        _check_side(source, "PIL image")
        return _to_rgb(source, "PIL image")
    name = source.name if isinstance(source, ImageFile) else os.fspath(source)
    try:
        with Image.open(source.open() if isinstance(source, ImageFile) else name) as image:
            _check_pixel_limit(image)
            _check_side(image, name)
            if at_least is not None:
                image.draft(None, (at_least[1], at_least[0]))
            return _to_rgb(image, name)
    except FileNotFoundError:
        raise ImageError(name, _MISSING) from None
    except UnidentifiedImageError:
        empty = not source.read() if isinstance(source, ImageFile) else Path(name).stat().st_size == 0
        raise ImageError(name, "the file is empty (0 bytes)" if empty else "not an image that Pillow reads") from None
    except Image.DecompressionBombError:
        limit = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise ImageError(
            name, f"more pixels than Pillow's limit of {limit}; raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
        ) from None
    except ImageError:
        raise
    # Pillow's decoders raise SyntaxError, ValueError, struct.error, … on damaged files: all mean the same here.
    except Exception as error:
        raise ImageError(name, f"damaged or truncated ({error})") from error


def load_image(source: ImageLike, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Decode one image and resize it with an antialiasing filter.

    The filter is Lanczos with support scaled to the reduction (Pillow's
    ``Image.Resampling.LANCZOS``, formerly named ``ANTIALIAS``); the aspect
    ratio is not kept, as in the published work. JPEG files at least twice
    `REDUCING_GAP` times as large as `size` are decoded smaller in the first place.

    Parameters
    ----------
    source : path, ImageFile, PIL.Image.Image or ndarray of shape (height, width, 3) and dtype uint8
        The image.
    size : tuple of int, optional
        (height, width) in pixels; the image's own size by default.

    Returns
    -------
    ndarray of shape (height, width, 3) and dtype uint8
        Raw RGB, 0 to 255.

    Raises
    ------
    ImageError
        As `decode`.
    """
    image = decode(source, at_least=None if size is None else (REDUCING_GAP * size[0], REDUCING_GAP * size[1]))
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.LANCZOS)
    return np.array(image)


def _check_pixel_limit(image: Image.Image) -> None:
    # Pillow only warns up to twice its limit; here the limit is the limit. Turning the warning into an error instead
    # would change filters that all threads share.
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


def _from_array(pixels: NDArray[Any]) -> Image.Image:
    if pixels.dtype != np.uint8:
        raise ImageError(
            "array",
            f"expected raw RGB of dtype uint8, 0 to 255, got {pixels.dtype}; undo any scaling first: "
            "the classifier scales inside its graph, and scaling twice spoils the scores silently",
        )
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ImageError("array", f"expected the shape (height, width, 3), got {pixels.shape}")
    image = Image.fromarray(pixels)
    _check_side(image, "array")
    return image


def _check_side(image: Image.Image, name: str) -> None:
    if min(image.size) < MIN_SIDE:
        raise ImageError(name, f"{image.size[0]}x{image.size[1]} pixels; the shortest side must be at least {MIN_SIDE}")


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    # Cameras write "MPO": a photograph and its preview in one file. Anything else with frames is an animation.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise ImageError(name, f"animated: {getattr(image, 'n_frames', 1)} frames where one image was expected")
    if image.mode == "F":
        raise ImageError(name, "floating-point pixels have no known range; save the image as 8-bit RGB")
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit grey at 255 and turn the photograph white.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def find_images(folders: Iterable[Path]) -> dict[str, Path]:
    """Index the images that lie directly in some folders.

    Parameters
    ----------
    folders : iterable of Path
        Existing folders; where two hold the same name, the earlier one wins.

    Returns
    -------
    dict of str to Path
        The file for each file name without its suffix.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                found.setdefault(path.stem, path)
    return found


def map_threaded(function: Callable[[_T], _R], items: Iterable[_T], *, window: int = 64) -> Iterator[_R]:
    """Apply a function to items in threads, in order, with a bounded number in flight.

    Pillow decodes and resizes outside the interpreter lock, so threads use every
    core; the window keeps memory constant however many items there are.

    Parameters
    ----------
    function : callable
        Called with one item.
    items : iterable
        The items, consumed as they are needed.
    window : int, default=64
        How many items may be waiting or done but not yet taken.

    Yields
    ------
    object
        What the function returned for each item, in the order of the items.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        pending = [pool.submit(function, item) for item in islice(iterator, window)]
        try:
            while pending:
                yield pending.pop(0).result()
                pending += [pool.submit(function, item) for item in islice(iterator, 1)]
        finally:
            for future in pending:
                future.cancel()


def batched(items: Iterable[_T], batch_size: int) -> Iterator[list[_T]]:
    """Cut items into lists, the last of which may be shorter.

    Parameters
    ----------
    items : iterable
        The items, consumed as they are needed.
    batch_size : int
        Items a list.

    Yields
    ------
    list
        The next items.
    """
    iterator = iter(items)
    while batch := list(islice(iterator, batch_size)):
        yield batch


def check_on_error(on_error: str) -> None:
    """Check the parameter that says what becomes of bad rows.

    Parameters
    ----------
    on_error : str
        ``"raise"`` or ``"skip"``.

    Raises
    ------
    ParameterError
        If it is anything else.
    """
    if on_error not in ("raise", "skip"):
        raise ParameterError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
