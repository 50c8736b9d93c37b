"""What the sidecar of an exported model says of preparation is all that is done: written anew in NumPy, same pixels."""

import io

import numpy as np
import pytest
from conftest import draw_images
from PIL import Image

from melanoma_tl.images import REDUCING_GAP, load_image

HEIGHT, WIDTH = 24, 32

UPRIGHT = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels.swapaxes(0, 1)[::-1, ::-1],
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}
"""EXIF tag 274, by row and column of what is stored (Exif 2.32)."""


def lanczos(pixels, n_out):
    """Resize the first axis: Lanczos with a = 3, its support scaled to the reduction, in 8 bits."""
    scale = len(pixels) / n_out
    stretch = max(scale, 1)
    centers = (np.arange(n_out) + 0.5) * scale
    distance = (np.arange(len(pixels)) + 0.5 - centers[:, np.newaxis]) / stretch
    weights = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(np.round(np.tensordot(weights, pixels.astype(float), axes=1)), 0, 255).astype(np.uint8)


def resize(pixels):
    if pixels.shape[:2] == (HEIGHT, WIDTH):
        return pixels
    along_rows = lanczos(pixels.swapaxes(0, 1), WIDTH).swapaxes(0, 1)
    return lanczos(along_rows, HEIGHT)


def prepare(content):
    """Follow the sidecar, with a decoder that does nothing else."""
    with Image.open(io.BytesIO(content)) as image:
        orientation = image.getexif().get(274, 1)
        if image.format == "JPEG":
            high, wide = (image.width, image.height) if orientation >= 5 else (image.height, image.width)
            fits = [s for s in (8, 4, 2, 1) if high >= s * REDUCING_GAP * HEIGHT and wide >= s * REDUCING_GAP * WIDTH]
            scale = max(fits, default=1)
            image.draft(None, (image.width // scale, image.height // scale))
        pixels = to_rgb(image)
    return resize(UPRIGHT[orientation](pixels))


def to_rgb(image):
    if image.mode == "I;16":
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    if image.mode == "RGBA":
        pixels = np.asarray(image).astype(float)
        opacity = pixels[..., 3:] / 255
        return np.round(pixels[..., :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)
    if image.mode == "L":
        return np.repeat(np.asarray(image)[..., np.newaxis], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def encode(picture, kind, orientation=1):
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    picture.save(file, kind, exif=exif)
    return file.getvalue()


def draw(height, width):
    small = Image.fromarray(draw_images(2, side=40)[1])
    return np.array(small.resize((width, height), Image.Resampling.BICUBIC))


def check(content):
    found, expected = load_image(content, (HEIGHT, WIDTH)).astype(int), prepare(content).astype(int)
    assert found.shape == expected.shape == (HEIGHT, WIDTH, 3)
    assert np.ptp(found) > 50, "so that equal pixels mean something"
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (16, 20), (61, 47), (240, 100), (300, 500)])
def test_the_filter_is_the_one_that_is_told(size):
    check(encode(Image.fromarray(draw(*size)), "PNG"))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_orientation_is_followed_before_resizing(kind, orientation):
    check(encode(Image.fromarray(draw(70, 110)), kind, orientation))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("n", [1.9, 2, 3.9, 4, 8, 17])
def test_a_jpeg_is_decoded_at_the_scale_that_is_told(n, orientation):
    wide, high = int(n * REDUCING_GAP * WIDTH), int(n * REDUCING_GAP * HEIGHT)
    stored = (wide, high) if orientation == 6 else (high, wide)
    check(encode(Image.fromarray(draw(*stored)), "JPEG", orientation))


def test_colours_become_those_that_are_told():
    pixels = draw(60, 90)
    check(encode(Image.fromarray(pixels[..., 0]), "PNG"))
    check(encode(Image.fromarray(np.dstack([pixels, pixels[..., 1]])), "PNG"))
    check(encode(Image.fromarray(pixels[..., 0].astype("uint16") * 257), "PNG"))
    check(encode(Image.fromarray(pixels).quantize(32), "PNG"))
    check(encode(Image.fromarray(pixels).convert("CMYK"), "JPEG"))
