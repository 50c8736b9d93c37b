"""What lies beside an exported model: how images are prepared for it, what its scores mean, and how to check both."""

import base64
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

from melanoma_tl._checksums import hash_of
from melanoma_tl.images.decoding import MIN_SIDE, RECIPE, REDUCING_GAP, load_image
from melanoma_tl.saving.test_vectors import FORMULA, draw_texture

NOTICE = "For research. Not a medical device: do not diagnose with it."

_TURNED = 6
"""EXIF's number for a picture that is shown turned by 90 degrees: the commonest of telephones."""

Scorer = Callable[[NDArray[np.float32]], Any]
"""From images (1, height, width, 3) to scores (1, n_scores)."""


def describe_preparation(height: int, width: int) -> dict[str, str]:
    """Return how an image file becomes what the model takes.

    Parameters
    ----------
    height, width : int
        What the model takes, in pixels.

    Returns
    -------
    dict of str to str
        What is done, in its order.
    """
    least = f"{REDUCING_GAP * height} pixels high and {REDUCING_GAP * width} wide"
    return {
        "jpeg": f"decoded at a half, a quarter or an eighth of its size by scaled inverse DCT (libjpeg), the smallest "
        f"that is at least {least} as shown; at its full size if none is, and every other format always",
        "colours": "to RGB of 8 bits a channel; of more bits the upper eight; transparent pixels lie on white",
        "orientation": "turned and mirrored as EXIF tag 274 says, before resizing",
        "resize": f"to {height} x {width} pixels (height x width) with the Lanczos filter (a=3), its support scaled "
        "to the reduction (antialiased), in 8 bits a channel, first along rows, then along columns: Pillow's "
        "Image.Resampling.LANCZOS; the aspect ratio is not kept and nothing is cut off; a picture of this size stays "
        "as it is",
        "values": "raw RGB as float32, 0 to 255, rows from the top; scaling is part of the model",
        "recipe": RECIPE,
    }


def check_vectors(height: int, width: int, score: Scorer) -> list[dict[str, Any]]:
    """Return test vectors (image, prepared pixels, score), by which a program in another language can check itself.

    Parameters
    ----------
    height, width : int
        What the model takes, in pixels.
    score : callable
        The exported model.

    Returns
    -------
    list of dict
        An image of the model's own size, one that is resized, and a large JPEG that is shown turned.
    """
    vectors = []
    for what, image, source in _vector_images(height, width):
        pixels = load_image(image, (height, width))
        vectors.append(
            {
                "image": what | source,
                "sha256_of_prepared_pixels": hashlib.sha256(pixels.tobytes()).hexdigest(),
                "mean_of_prepared_channels": pixels.mean(axis=(0, 1)).round(4).tolist(),
                "scores": np.asarray(score(pixels[np.newaxis].astype(np.float32)), dtype=np.float64)[0].tolist(),
            }
        )
    return vectors


def _vector_images(height: int, width: int) -> Iterator[tuple[dict[str, str], Any, dict[str, Any]]]:
    sizes = {"of the model's own size": (height, width), "that is resized": (height * 3 // 2 + 1, width * 2 + 1)}
    for what, size in sizes.items():
        rows, columns = (max(side, MIN_SIDE) for side in size)  # no smaller image is taken
        drawn = {"formula": FORMULA, "height": rows, "width": columns}
        yield {"what": f"an image {what}"}, draw_texture(rows, columns), drawn
    content = _turned_jpeg(height, width)
    text = base64.b64encode(content).decode()
    yield {"what": "a JPEG that is decoded at half its size and shown turned"}, content, {"base64": text}


def _turned_jpeg(height: int, width: int) -> bytes:
    """Draw a soft picture, large enough to be decoded at half its size, and store it lying on its side."""
    stored_size = (2 * REDUCING_GAP * height + 8, 2 * REDUCING_GAP * width + 16)  # (width, height) of what is turned
    soft = Image.fromarray(draw_texture(9, 12) // 2 + 64).resize(stored_size, Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[Base.Orientation] = _TURNED
    stored = io.BytesIO()
    soft.save(stored, "JPEG", quality=75, exif=exif)
    return stored.getvalue()


def digest(path: Path) -> str | dict[str, str]:
    """Return what a model is recognised by.

    Parameters
    ----------
    path : Path
        Its file, or the folder of a SavedModel.

    Returns
    -------
    str or dict of str to str
        SHA-256 in hexadecimal; of a folder, that of each file by its path within it.
    """
    if path.is_file():
        return hash_of(path)
    return {file.relative_to(path).as_posix(): hash_of(file) for file in sorted(path.rglob("*")) if file.is_file()}


def describe_model(
    shape: tuple[int, int], n_scores: int, vectors: list[dict[str, Any]], described: dict[str, Any]
) -> dict[str, Any]:
    """Write what users of an exported model need beside it.

    Parameters
    ----------
    shape : tuple of int
        (height, width) of what the model takes, in pixels.
    n_scores : int
        What it gives.
    vectors : list of dict
        From `check_vectors`.
    described : dict
        What else there is to say, of anything JSON can hold.

    Returns
    -------
    dict
        Of anything JSON can hold.
    """
    return {
        "notice": NOTICE,
        "input": {
            "shape": ["n", *shape, 3],
            "dtype": "float32",
            "values": "raw RGB, 0 to 255; scaling is part of the model",
        },
        "output": {
            "shape": ["n", n_scores],
            "dtype": "float32",
            "values": "probability of melanoma" if n_scores == 1 else "probability of each class",
        },
        "preparation": describe_preparation(*shape),
        **described,
        "check_vectors": vectors,
    }
