"""What is measured of each image to compare a subset with the rest."""

import logging
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from PIL.ExifTags import Base

from melanoma_tl._progress import progress
from melanoma_tl.datasets.image_table import ImageTable
from melanoma_tl.errors import DatasetError, ImageError
from melanoma_tl.images.decoding import SkippedRow, load_image, open_image, read_content
from melanoma_tl.images.parallel import map_threaded
from melanoma_tl.images.pixels import shown_size

_logger = logging.getLogger(__name__)

_THUMBNAIL = (32, 32)  # pixels: enough for mean colours and dark corners
_CORNERS = np.r_[0:4, 28:32]  # an eighth of each side


def look_at_images(dataset: ImageTable, *, on_error: str, verbose: int) -> tuple[pd.DataFrame, tuple[SkippedRow, ...]]:
    """Measure every image; give the table, and those that cannot be read."""
    try:
        paths = dataset.paths
    except DatasetError:  # read with labels_only=True
        return pd.DataFrame(index=range(len(dataset))), ()

    def look(path: str) -> dict[str, Any] | ImageError:
        try:
            return _look_at(path)
        except ImageError as error:
            if on_error == "raise":
                raise
            return error

    work = f"Look at {dataset.name}"
    looks = list(progress(map_threaded(look, paths), work, total=len(dataset), verbose=verbose))
    skipped = dataset.failures(looks)
    if skipped:
        _logger.warning("%s: %d of %d images cannot be read; not compared", dataset.name, len(skipped), len(dataset))
    return pd.DataFrame([{} if isinstance(found, ImageError) else found for found in looks]), skipped


def _look_at(path: str) -> dict[str, Any]:
    pixels = load_image(path, _THUMBNAIL).astype(float)
    red, _, blue = pixels.mean(axis=(0, 1))
    with open_image(path) as image:
        camera = _read_camera(image)  # before anything else: Pillow complains of damaged EXIF data once
        width, height = shown_size(image)
        return {
            "width": width,
            "height": height,
            "aspect_ratio": width / height,
            "bytes_per_pixel": len(read_content(path)) / (width * height),
            "file_format": image.format,
            "camera": camera,
            "brightness": pixels.mean(),
            "red_minus_blue": red - blue,
            "corner_brightness": pixels[np.ix_(_CORNERS, _CORNERS)].mean(),
        }


def _read_camera(image: Image.Image) -> str:
    try:
        exif = image.getexif()
        words = [str(exif[tag]).strip("\0 ") for tag in (Base.Make, Base.Model) if tag in exif]
    except Exception:  # damaged EXIF data make Pillow raise SyntaxError, struct.error, …
        return "unreadable"
    return " ".join(filter(None, words)) or "none"
