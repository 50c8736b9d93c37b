"""Opening, decoding and resizing of images, in one place for the whole library.

All images (files, PIL images, arrays) become raw RGB, ``uint8``, 0 to 255, so that
every way into the library gives the same pixels.
"""

import errno
import os
import re
import reprlib
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from melanoma_tl._parameters import NONE, SIZE, check
from melanoma_tl.errors import ImageError, ParameterError, in_one_line
from melanoma_tl.images import dicom, hdf5
from melanoma_tl.images.pixels import as_shown, check_bytes, how_to_make_raw, how_to_make_three, shown_size

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG2000", "AVIF", "PPM", "HEIF")
"""Pillow's names of the formats that are read. Other formats are refused, because some decoders start programs.

HEIF (.heic) needs the decoder of pillow-heif, registered by the user; DICOM needs pydicom."""

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".jp2", ".j2k", ".avif"),
    *(".ppm", ".pgm", ".pnm", ".heic", ".heif", ".dcm", ".dicom"),
)
"""Suffixes of image files; not case-sensitive."""

MIN_SIDE = 16
"""Shortest side in pixels that can still show a lesion; smaller files are placeholders or damage."""

REDUCING_GAP = 3
"""A JPEG is decoded at a reduced size that is at least this many times the requested size; the filter does the rest.

A JPEG can be decoded at a half, a quarter or an eighth of its size at a fraction of the cost. With 3, which Pillow's
documentation of `Image.resize` calls close to the filter alone, no pixel of the full-size photographs measured for
`docs/objects/dataset.md` differs by more than 6 of 255."""

RECIPE = f"shown_lanczos_gap{REDUCING_GAP}_pillow{PIL.__version__}"
"""Everything that determines the pixels that `load_image` returns; stored pixels are named by it."""

_FILE_ERRORS = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.EISDIR: "is a folder",
    errno.ELOOP: "is a link that leads back to itself",
    errno.EACCES: "there is no permission to read it",
    errno.ENAMETOOLONG: "the name is longer than a file's can be",
}

_OTHER_CONTENT = {
    b"%!PS": "a PostScript document",
    b"%PDF": "a PDF document",
    b"<": "a web page or other text in XML",
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file itself with 'git lfs pull'",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"8BPS": "a Photoshop document",
}
"""File types that are mistaken for images, by their first bytes."""

_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{100,}={0,2}\s*")

_RAW_SUFFIXES = (".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".pef", ".rw2", ".raf", ".srw")
"""Suffixes of raw camera files, of which Pillow would read only the preview."""


@dataclass(frozen=True)
class ImageFile:
    """An image file without a path on this machine: in a bucket, an archive, a database or in memory.

    Attributes
    ----------
    name : str
        Name of the image in error messages.
    read : callable
        Function that reads and returns its content; nothing is kept in memory.
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
        except ImageError:
            raise
        except Exception as error:  # whatever the library behind it raises
            raise ImageError(self.name, _why_not_read(error)) from error


ImageLike = str | os.PathLike[str] | bytes | ImageFile | Image.Image | NDArray[np.uint8]

_WHAT_AN_IMAGE_IS = "a path, the bytes of a file, an ImageFile, a PIL image, or a uint8 array (height, width, 3)"

_LOCKS = tuple(threading.Lock() for _ in range(64))
"""For PIL images: two threads that decode the same image would disturb each other's reads of its file."""


class SkippedRow(NamedTuple):
    """A row of a table of images that cannot be used, with the reason."""

    image_id: str
    path: str
    reason: str


def decode(source: ImageLike, *, at_least: tuple[int, int] | None = None) -> Image.Image:
    """Decode one image to 8-bit RGB, as viewers show it.

    Greyscale, palette, CMYK and Lab images are converted; transparent pixels are blended with
    white. The EXIF orientation is applied, also to PIL images, as by Pillow's
    ``ImageOps.exif_transpose``: remove the tag from a PIL image that you have rotated yourself.
    Of more than eight bits the upper eight are kept, by the bit depth that the file declares
    (TIFF MaxSampleValue or BitsPerSample, DICOM BitsStored, 16 for PNG). If no value uses the
    highest bit, the file is refused, because it may hold data of a smaller bit depth.

    Parameters
    ----------
    source : path, bytes, ImageFile, PIL.Image.Image or ndarray of shape (height, width, 3) and dtype uint8
        The image; a file of one of the formats in `melanoma_tl.images.FORMATS`, or DICOM where pydicom is installed.
    at_least : tuple of int, optional
        Sufficient (height, width) in pixels: a larger JPEG may be decoded at a
        half, a quarter or an eighth of its size, as long as it is not smaller than this.

    Returns
    -------
    PIL.Image.Image
        An image of mode "RGB".

    Raises
    ------
    ImageError
        If the file is missing, empty, damaged, truncated, animated, not an image, of
        unknown value range, above Pillow's pixel limit, or has a side shorter than
        `MIN_SIDE`; or if `source` is anything else.

    Examples
    --------
    >>> import numpy as np
    >>> decode(np.zeros((20, 30, 3), dtype="uint8")).size
    (30, 20)
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    with open_image(source) as image:
        if at_least is not None and image.format in ("JPEG", "MPO") and not isinstance(source, Image.Image):
            height, width = at_least if shown_size(image) == image.size else at_least[::-1]
            image.draft(None, (width, height))
        return as_shown(image, _name(source))


@contextmanager
def open_image(source: str | os.PathLike[str] | bytes | ImageFile | Image.Image) -> Iterator[Image.Image]:
    """Open an image to read its header, or to decode it.

    Parameters
    ----------
    source : path, bytes, ImageFile or PIL.Image.Image
        The image.

    Yields
    ------
    PIL.Image.Image
        The image, not yet decoded if Pillow allows; closed at the end, unless `source` is a PIL image.

    Raises
    ------
    ImageError
        As `decode`, also for errors that the image causes within the context.
    """
    name = _name(source)
    try:
        with _opened(source, name) as image:
            _check_pixel_limit(image)
            _check_side(image, name)
            _check_single(image, name)
            yield image
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # the latter where warnings are errors
        limit = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise ImageError(
            name, f"more pixels than Pillow's limit of {limit}; raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
        ) from None
    except MemoryError as error:
        raise ImageError(name, "there is not enough memory to decode it") from error
    # Pillow's decoders raise SyntaxError, ValueError, struct.error and others on damaged files.
    except Exception as error:
        closed = " or closed" if isinstance(source, Image.Image) else ""
        raise ImageError(name, f"damaged or truncated{closed} ({error})") from error


def _name(source: object) -> str:
    """Return the name of an image in error messages."""
    if isinstance(source, ImageFile):
        return source.name
    if isinstance(source, str | os.PathLike):
        return printable(os.fsdecode(source)) or "''"
    return "PIL image" if isinstance(source, Image.Image) else reprlib.repr(source)


def printable(path: str) -> str:
    r"""Escape the bytes of a path that are not UTF-8, so that it can be printed and stored.

    Parameters
    ----------
    path : str
        A path from the operating system.

    Returns
    -------
    str
        The path; bytes that are not UTF-8 become ``\udc..``.
    """
    return path.encode(errors="backslashreplace").decode()


@contextmanager
def _opened(source: object, name: str) -> Iterator[Image.Image]:
    if isinstance(source, Image.Image):
        if source.format not in (None, "MPO", *FORMATS):  # its decoder may not have run yet
            raise ImageError(name, f"the format {source.format} is not supported; convert the image to RGB first")
        with _LOCKS[id(source) // 64 % len(_LOCKS)]:
            yield source
        return
    with _open_file(source, name) as file, _identified(file, name) as image:
        yield image


def read_content(source: ImageLike) -> bytes:
    """Read the file of an image.

    Parameters
    ----------
    source : path, bytes or ImageFile
        The image.

    Returns
    -------
    bytes
        The content of its file.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    name = _name(source)
    try:
        with _open_file(source, name) as file:
            return file.read()
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(name, _why_not_read(error)) from error
    except (MemoryError, AttributeError, RuntimeError, TypeError, ValueError) as error:  # h5py, of damaged files
        raise ImageError(name, f"cannot be read ({in_one_line(error)})") from error


def hold(source: ImageLike) -> ImageLike:
    """Read the file of an image into memory, so that all later steps use the same bytes.

    Parameters
    ----------
    source : path, bytes, ImageFile, PIL.Image.Image or ndarray
        The image.

    Returns
    -------
    ImageFile
        The file in memory; a source that is already in memory is returned unchanged.

    Raises
    ------
    ImageError
        If it cannot be read.
    """
    if not isinstance(source, str | os.PathLike | ImageFile):
        return source
    content = read_content(source)
    return ImageFile(_name(source), lambda: content)


def _open_file(source: object, name: str) -> BinaryIO:
    if isinstance(source, ImageFile):
        return source.open()
    if isinstance(source, bytes):
        return BytesIO(source)
    if isinstance(source, str | os.PathLike):
        return _open_path(source, name)
    raise ImageError(name, f"{type(source).__name__} is no image; expected {_WHAT_AN_IMAGE_IS}")


def _open_path(path: str | os.PathLike[str], name: str) -> BinaryIO:
    if name.lower().endswith(_RAW_SUFFIXES):
        raise ImageError(name, "raw data of a camera; develop it to JPEG, PNG or TIFF first")
    try:
        if member := hdf5.split_member(os.fsdecode(path)):
            return BytesIO(hdf5.read_member(*member))
        status = os.stat(path)  # noqa: PTH116 -- Path("") would be the working directory
        kind = status.st_mode
        if stat.S_ISREG(kind):
            check_bytes(status.st_size, name)
            return Path(path).open("rb")
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(name, _what_a_text_is(os.fsdecode(path)) or _why_not_read(error)) from None
    except ValueError as error:  # NUL, or half a character
        raise ImageError(name, f"no file can have such a name ({error})") from None
    # Opening a pipe would wait for ever.
    raise ImageError(name, "is a folder" if stat.S_ISDIR(kind) else "is no file but a device, a pipe or a socket")


def _what_a_text_is(text: str) -> str:
    """Say what a text is that is often given in the place of a path, and what to do with it; nothing of others."""
    start = text[:8].lower()
    if start.startswith(("http://", "https://")):
        return "an address: download it first, or pass its bytes"
    if start.startswith("data:"):
        return "a data URL: pass its bytes, base64.b64decode(X.partition(',')[2])"
    if _BASE64.fullmatch(text):
        return "text that looks like base64: pass base64.b64decode(X)"
    return ""


def _why_not_read(error: Exception) -> str:
    return _FILE_ERRORS.get(getattr(error, "errno", None) or 0, "") or f"cannot be read ({error})"


def _identified(file: BinaryIO, name: str) -> Image.Image:
    """Open a file with the allowed decoders; if none recognises it, name its type in the error."""
    Image.init()
    try:
        return Image.open(file, formats=[known for known in FORMATS if known in Image.OPEN])
    except UnidentifiedImageError:
        file.seek(0)
        head = file.read(256)
        if dicom.is_dicom(head) or name.lower().endswith((".dcm", ".dicom")):
            file.seek(0)
            return dicom.read(file, name)
        raise ImageError(name, _what_it_is(head)) from None


def _what_it_is(head: bytes) -> str:
    if not head:
        return "the file is empty (0 bytes)"
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        return "HEIF (.heic); install pillow-heif and call pillow_heif.register_heif_opener(), or save it as JPEG"
    for start, what in _OTHER_CONTENT.items():
        if head.lstrip().startswith(start):
            return f"not an image but {what}"
    return f"not an image in a format that is read ({', '.join(FORMATS)}, DICOM)"


_SIZE = {"size": SIZE | NONE}


def load_image(source: ImageLike, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Decode one image and resize it with an antialiasing filter.

    The filter is Lanczos with support scaled to the reduction (Pillow's
    ``Image.Resampling.LANCZOS``, formerly named ``ANTIALIAS``); the aspect
    ratio is not kept, as in the published work. JPEG files at least twice
    `REDUCING_GAP` times as large as `size` are decoded smaller in the first place.

    Parameters
    ----------
    source : path, bytes, ImageFile, PIL.Image.Image or ndarray of shape (height, width, 3) and dtype uint8
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
    ParameterError
        If the size is invalid.
    """
    size = check({"size": size}, _SIZE)["size"]
    image = decode(source, at_least=None if size is None else (REDUCING_GAP * size[0], REDUCING_GAP * size[1]))
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.LANCZOS)
    return np.array(image)


def _check_pixel_limit(image: Image.Image) -> None:
    # Up to twice its limit Pillow only warns. The warning is not turned into an error, because warning filters are
    # shared by all threads.
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


def _from_array(pixels: NDArray[Any]) -> Image.Image:
    if pixels.dtype != np.uint8:
        raise ImageError(
            "array",
            f"expected raw RGB of dtype uint8, 0 to 255, got {pixels.dtype}; {how_to_make_raw(pixels, 'image')}",
        )
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        hint = how_to_make_three(pixels.shape, "image")
        raise ImageError("array", f"expected the shape (height, width, 3), got {pixels.shape}{hint}")
    image = Image.fromarray(pixels)
    _check_side(image, "array")
    return image


def _check_side(image: Image.Image, name: str) -> None:
    if min(image.size) < MIN_SIDE:
        raise ImageError(name, f"{image.size[0]}x{image.size[1]} pixels; the shortest side must be at least {MIN_SIDE}")


def _check_single(image: Image.Image, name: str) -> None:
    # Cameras write "MPO": a photograph and its preview in one file.
    n_frames = getattr(image, "n_frames", 1)
    if n_frames == 1 or image.format == "MPO":
        return
    moves = image.format in ("GIF", "PNG", "WEBP", "AVIF")
    what = f"animated: {n_frames} frames" if moves else f"holds {n_frames} pages"
    raise ImageError(name, f"{what} where one image was expected")


def check_on_error(on_error: str) -> None:
    """Check the parameter `on_error`.

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
