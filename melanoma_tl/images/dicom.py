"""Reading of photographs from DICOM files with pydicom."""

import zlib
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from melanoma_tl.errors import ImageError
from melanoma_tl.images.pixels import check_bytes, reduce_to_eight_bits

_INSTALL = "DICOM; reading it needs the package pydicom: pip install 'melanoma_tl[dicom]'"


def is_dicom(head: bytes) -> bool:
    """Return whether a file is DICOM, by its first bytes.

    Parameters
    ----------
    head : bytes
        The first 132 bytes of the file, or all if it is shorter.

    Returns
    -------
    bool
        Whether it has the prefix of DICOM PS3.10, section 7.1.
    """
    return head[128:132] == b"DICM"


def read(file: BinaryIO, name: str) -> Image.Image:
    """Read the picture of a DICOM file.

    Parameters
    ----------
    file : binary file
        The file, at its start.
    name : str
        Name of the image in error messages.

    Returns
    -------
    PIL.Image.Image
        8-bit RGB, or greyscale with black at 0.

    Raises
    ------
    ImageError
        If pydicom is not installed, or the file holds no single picture of unsigned values.
    """
    try:
        from pydicom import dcmread
    except ImportError:
        raise ImageError(name, _INSTALL) from None

    _check_deflated(file, name)
    dataset = dcmread(file, force=True)
    if "PixelData" not in dataset:
        raise ImageError(name, "DICOM without a picture")
    n_frames = int(dataset.get("NumberOfFrames") or 1)
    if n_frames > 1:
        raise ImageError(name, f"holds {n_frames} frames where one image was expected")
    if Image.MAX_IMAGE_PIXELS is not None and dataset.Rows * dataset.Columns > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    if int(dataset.get("HighBit", dataset.BitsStored - 1)) != dataset.BitsStored - 1:
        raise ImageError(name, "DICOM whose highest bit is not the last one stored; save it as 8-bit RGB")
    rescaled = float(dataset.get("RescaleSlope") or 1) != 1 or float(dataset.get("RescaleIntercept") or 0) != 0
    if dataset.get("PixelRepresentation") or rescaled:
        raise ImageError(name, "DICOM with measured values in place of a picture; save it as 8-bit RGB")
    pixels, bits = _read_pixels(dataset)
    picture = Image.fromarray(reduce_to_eight_bits(pixels, bits, name))
    picture.format = "DICOM"
    return picture


_DEFLATED = b"1.2.840.10008.1.2.1.99"
"""Transfer syntax of files that are compressed after the meta information (DICOM PS3.5, A.5)."""

_META, _LONGEST_META = 132, 2**16
"""Offset of the meta information (PS3.10, section 7.1), and its largest accepted size; 200 bytes are usual."""


def _check_deflated(file: BinaryIO, name: str) -> None:
    """Refuse a file that decompresses to more than an image can need; pydicom decompresses it as a whole."""
    head = file.read(_LONGEST_META)
    if _DEFLATED in head:
        if head[_META : _META + 8] != b"\x02\x00\x00\x00UL\x04\x00":
            raise ImageError(name, "deflated DICOM without the length of its meta information; save it as 8-bit RGB")
        file.seek(_META + 12 + int.from_bytes(head[_META + 8 : _META + 12], "little"))
        unpacking, n_bytes = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while packed := unpacking.unconsumed_tail or file.read(_LONGEST_META):
            n_bytes += len(unpacking.decompress(packed, 2**20))
            check_bytes(n_bytes, name)
    file.seek(0)


def _read_pixels(dataset: Any) -> tuple[NDArray[Any], int]:
    """Decode the picture to RGB, or to greyscale with black at 0; return it with its bit depth."""
    from pydicom.pixels.processing import apply_color_lut, apply_voi_lut

    pixels, bits = dataset.pixel_array, int(dataset.BitsStored)  # YBR is converted to RGB
    kind = dataset.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        return pixels.astype(np.uint32), 8 * pixels.itemsize
    if kind.startswith("MONOCHROME"):
        pixels = apply_voi_lut(pixels, dataset).round().astype(np.uint32)
        pixels = (1 << bits) - 1 - pixels if kind == "MONOCHROME1" else pixels
    return pixels.astype(np.uint32), bits
