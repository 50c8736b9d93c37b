"""Drawn lesions in the layout of the ISBI challenges: a first run without any download, and data for tests.

Every pixel comes from a formula; no photograph is copied or sampled. Skin and lesion are layers of two pigments,
melanin and blood, which take light away as the Beer-Lambert law says (Anderson and Parrish, 1981,
J Invest Dermatol 77:13): this alone turns a little melanin into tan, more into brown and much into black. Lengths are
shares of the image's width, so that a lesion looks alike at every size.
"""

import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import fft, ndimage
from scipy.special import expit, ndtr
from tqdm.auto import tqdm

from melanoma_tl.datasets.challenges import get_challenge
from melanoma_tl.errors import ParameterError, UnknownNameError

__all__ = ["draw_lesion", "write_challenge", "write_isbi"]

_Field = NDArray[np.float32]
"""One value per pixel, or three per pixel for colours."""

_logger = logging.getLogger(__name__)

# Optical density of one unit of pigment in red, green and blue light. Chosen by eye, in the order that the absorption
# spectra give: melanin takes ever more towards the blue, haemoglobin takes green and blue and lets red pass.
_MELANIN = np.array([0.40, 0.76, 1.0], dtype=np.float32)
_BLOOD = np.array([0.08, 1.0, 0.78], dtype=np.float32)
_BARE_SKIN = np.array([0.97, 0.93, 0.90], dtype=np.float32)
_BLUE_WHITE = np.array([0.48, 0.54, 0.64], dtype=np.float32)
_SCAR_WHITE = np.array([0.90, 0.80, 0.78], dtype=np.float32)

_SMALLEST_SIZE = 16
_SMALLEST_CANVAS = 128  # finer structures than its pixels cannot be drawn: smaller images are reduced from it
_JPEG_QUALITY = 92
_MELANOMA_SHARE = 0.2  # 173 of 900, 75 of 379 and 117 of 600 in the three sets that `write_isbi` stands in for
_SPLIT_DIGIT = {"train": 0, "validation": 1, "test": 2}
_MOST_IMAGES = 100_000  # one block of ids


class _Traits(NamedTuple):
    """How suspicious a lesion looks, each from 0 (harmless) to 1 (suspicious)."""

    asymmetry: float
    border: float
    colour: float
    structures: float
    diameter: float


# How far the two classes stand apart in each trait, in standard deviations: all that a melanoma changes in the drawing.
_SEPARATION = _Traits(asymmetry=1.2, border=1.0, colour=1.3, structures=1.0, diameter=0.7)


def draw_lesion(
    melanoma: bool, *, size: int = 256, random_state: int | np.random.Generator | None = None
) -> NDArray[np.uint8]:
    """Draw a dermoscopy image of a naevus or a melanoma.

    Parameters
    ----------
    melanoma : bool
        The class: True for a melanoma, False for a benign naevus.
    size : int, default=256
        Height and width in pixels, at least 16.
    random_state : int, numpy.random.Generator or None, default=None
        The same seed draws the same image; None draws another one at each call.

    Returns
    -------
    numpy.ndarray of shape (size, size, 3), uint8
        Raw RGB, 0-255.

    Raises
    ------
    ParameterError
        If `size` is not a whole number of at least 16.

    Notes
    -----
    The traits are those of the ABCD rules: asymmetry, border, colour and dermoscopic structures [1]_, and the diameter
    of the older clinical rule [2]_. A trait is normal with the same spread in both classes, and a melanoma moves only
    the means, by 1.2, 1.0, 1.3, 1.0 and 0.7 standard deviations. Skin, light, hairs, rulers, bubbles and the place in
    the image are drawn alike for both. So the classes overlap: by construction no classifier can exceed an AUC of
    ``Phi(sqrt(sum(d**2)) / sqrt(2))`` = 0.95.

    References
    ----------
    .. [1] Nachbar et al., 1994, J Am Acad Dermatol 30:551.
    .. [2] Friedman, Rigel and Kopf, 1985, CA Cancer J Clin 35:130.

    Examples
    --------
    >>> from melanoma_tl.datasets.synthetic import draw_lesion
    >>> image = draw_lesion(melanoma=True, size=128, random_state=0)
    >>> image.shape, image.dtype
    ((128, 128, 3), dtype('uint8'))
    """
    _check_whole("size", size, at_least=_SMALLEST_SIZE)
    rng = np.random.default_rng(random_state)
    canvas = max(size, _SMALLEST_CANVAS)
    melanin, blood = _draw_skin(rng, canvas)
    reflectance = _draw_pigment(rng, melanin, blood, _draw_traits(rng, melanoma))
    image = _photograph(rng, _lay_on_top(rng, reflectance))
    if size < canvas:
        image = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BOX))
    return image


def _draw_traits(rng: np.random.Generator, melanoma: bool) -> _Traits:
    shift = 0.5 if melanoma else -0.5
    return _Traits(*(float(ndtr(rng.normal(shift * separation))) for separation in _SEPARATION))


# --- fields: the pencils of the drawing -------------------------------------------------------------------------------


def _cloud(rng: np.random.Generator, size: int, wavelength: float, roughness: float = 2.5) -> _Field:
    """Return fractal noise of mean 0 and deviation 1, whose largest features measure `wavelength` image widths.

    The amplitude falls as the `roughness`-th power of the frequency: 2 is rugged, 4 is smooth.
    """
    frequency = np.hypot(fft.fftfreq(size, 1 / size)[:, None], fft.rfftfreq(size, 1 / size)[None])
    real, imaginary = rng.standard_normal((2, *frequency.shape), dtype=np.float32)
    spectrum = (real + 1j * imaginary) * ((frequency * wavelength) ** 2 + 1).astype(np.float32) ** (-roughness / 2)
    spectrum[0, 0] = 0
    field = fft.irfft2(spectrum, (size, size))
    return (field / field.std()).astype(np.float32)


def _honeycomb(rng: np.random.Generator, size: int, period: float, disorder: float) -> _Field:
    """Return a bent honeycomb from -1 (on the lines) to 2 (in the middle of the cells).

    Three plane waves at 60 degrees add up to it. A cloud bends them by `disorder` periods.
    """
    x, y = _grid(size)
    bend = disorder * period
    x = x + bend * _cloud(rng, size, 6 * period)
    y = y + bend * _cloud(rng, size, 6 * period)
    turn = rng.uniform(0, math.pi)
    waves = [np.cos((math.cos(a) * x + math.sin(a) * y) * (2 * math.pi / period)) for a in turn + _SIXTY_DEGREES]
    return (waves[0] + waves[1] + waves[2]) * np.float32(2 / 3)


_SIXTY_DEGREES = np.array([0, math.pi / 3, 2 * math.pi / 3])


def _grid(size: int) -> tuple[_Field, _Field]:
    """Return x and y, from -0.5 to 0.5 across the image."""
    axis = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size) - np.float32(0.5)
    return axis[None, :], axis[:, None]


def _patches(cloud: _Field, threshold: float, softness: float = 0.35) -> _Field:
    """Return 1 where the cloud is above the threshold and 0 elsewhere, with soft edges."""
    return expit((cloud - np.float32(threshold)) / np.float32(softness))


def _ink(size: int, draw: Callable[[ImageDraw.ImageDraw, int], None]) -> _Field:
    """Return what `draw` paints, smoothed: it gets a pen and the side of a canvas of three times the size."""
    canvas = Image.new("L", (3 * size, 3 * size))
    draw(ImageDraw.Draw(canvas), 3 * size)
    return np.asarray(canvas.reduce(3), dtype=np.float32) / np.float32(255)


# --- the skin and the lesion ------------------------------------------------------------------------------------------


def _draw_skin(rng: np.random.Generator, size: int) -> tuple[_Field, _Field]:
    """Return the melanin and the blood of healthy skin."""
    tone = rng.beta(1.3, 4.0)  # most skin in the challenges is light
    furrows = np.maximum(-_honeycomb(rng, size, rng.uniform(0.03, 0.06), 0.35), 0)
    grain = _cloud(rng, size, 0.03, 1.6)
    mottle = _cloud(rng, size, rng.uniform(0.1, 0.4), 2.2)
    melanin = 0.06 + 0.85 * tone + rng.uniform(0.0, 0.05) * mottle + 0.012 * grain + rng.uniform(0, 0.06) * furrows
    flush = _cloud(rng, size, rng.uniform(0.08, 0.4), 2.2)
    blood = rng.uniform(0.05, 0.22) + rng.uniform(0.01, 0.05) * flush + 0.01 * grain
    if rng.random() < 0.25:  # freckles and sun damage around the lesion
        melanin += rng.uniform(0.1, 0.3) * _patches(_cloud(rng, size, rng.uniform(0.04, 0.12), 3.0), 1.9)
    if rng.random() < 0.25:  # dilated vessels: the narrow bands where a smooth cloud changes its sign
        vessels = np.exp(-np.abs(_cloud(rng, size, 0.12, 3.2)) / 0.03) * _patches(mottle, 0.6)
        blood += rng.uniform(0.15, 0.35) * vessels
    return np.maximum(melanin, 0), np.maximum(blood, 0)


class _Lesion(NamedTuple):
    """Where the lesion is: `extent` from 0 (skin) to 1 (lesion), `depth` below its border in radii, and its polar frame."""

    extent: _Field
    depth: _Field
    angle: _Field
    radius: float


def _draw_outline(rng: np.random.Generator, size: int, traits: _Traits) -> _Lesion:
    """Draw the shape: an ellipse (harmless) that slow noise makes lopsided and fast noise makes ragged."""
    radius = 0.10 + 0.22 * traits.diameter + rng.uniform(-0.02, 0.02)
    x, y = _grid(size)
    x, y = x - rng.normal(0, 0.05), y - rng.normal(0, 0.05)
    turn, stretch = rng.uniform(0, math.pi), rng.uniform(1.0, 1.2 + 0.2 * traits.asymmetry)
    along = (math.cos(turn) * x + math.sin(turn) * y) / stretch
    across = (math.cos(turn) * y - math.sin(turn) * x) * stretch
    distance = np.hypot(along, across) / np.float32(radius)
    angle = np.arctan2(across, along)
    lopsided = (0.04 + 0.34 * traits.asymmetry**1.3) * _cloud(rng, size, 2.0 * radius, 4.0)
    ragged = (0.04 + 0.20 * traits.border**1.3) * _cloud(rng, size, 0.5 * radius, 2.3)
    nearby = np.exp(-3 * np.maximum(distance - 1, 0))  # noise far from the lesion would draw others
    depth = 1 - distance + nearby * (lopsided + ragged)
    # A naevus fades evenly into the skin; the pigment of a melanoma stops abruptly in some of the segments.
    fade = rng.uniform(0.05, 0.13) * np.exp(-0.9 * traits.border * _cloud(rng, size, 1.5 * radius, 4.0) - 0.4 * traits.border)
    return _Lesion(expit(depth / fade), depth, angle, radius)


def _draw_structures(rng: np.random.Generator, size: int, lesion: _Lesion, traits: _Traits) -> tuple[_Field, _Field]:
    """Return the factor by which dermoscopic structures change the pigment, and the extent with streaks.

    A naevus shows one or two structures all over, a melanoma several, each in its own corner and irregular.
    """
    fine = rng.uniform(0.016, 0.030)
    disorder = 0.25 + 0.5 * traits.structures

    def network() -> _Field:
        return np.exp(-rng.uniform(0.15, 0.4) * _honeycomb(rng, size, fine, disorder))

    def globules() -> _Field:
        cells = _honeycomb(rng, size, rng.uniform(1.2, 1.8) * fine, disorder)
        return 0.85 + rng.uniform(0.3, 0.8) * _patches(cells + 0.5 * traits.structures * _cloud(rng, size, 0.08), 1.0, 0.2)

    def dots() -> _Field:
        return 1 + rng.uniform(0.5, 1.5) * _patches(_cloud(rng, size, 0.025, 3.5), 1.9, 0.15)

    def smooth() -> _Field:
        return np.ones((size, size), dtype=np.float32)

    kinds = [network, globules, smooth, dots]
    count = 1 + int(rng.binomial(3, 0.1 + 0.8 * traits.structures))
    factor = np.ones((size, size), dtype=np.float32)
    for kind in rng.permutation(len(kinds))[:count]:
        place = 1.0 if count == 1 else _patches(_cloud(rng, size, 2 * lesion.radius, 4.0), 0.0)
        factor *= kinds[kind]() ** place
    extent = lesion.extent
    if rng.random() < 0.1 + 0.5 * traits.structures:
        extent = np.maximum(extent, _streaks(rng, lesion, traits))
    return factor, extent


def _streaks(rng: np.random.Generator, lesion: _Lesion, traits: _Traits) -> _Field:
    """Draw radial streaks across the border: all around (harmless) or in some sectors (suspicious)."""
    phase = lesion.angle * rng.integers(24, 45) + 1.5 * _cloud(rng, len(lesion.angle), 0.1)
    sector = expit((np.cos(lesion.angle - rng.uniform(0, 2 * math.pi)) + 1.2 - 1.6 * traits.structures) * 4)
    reach = rng.uniform(0.1, 0.3)
    return expit((lesion.depth + reach * sector * np.cos(phase)) / 0.05) * sector


def _draw_pigment(rng: np.random.Generator, melanin: _Field, blood: _Field, traits: _Traits) -> _Field:
    """Return the reflectance of skin with the lesion on it, shape (size, size, 3), from 0 to 1.

    The six colours of the dermoscopic rule: light brown, dark brown and black are amounts of melanin, red is blood,
    and blue-grey and white are the veil and the scar of regression, which scatter light and so cover what is below.
    """
    size = len(melanin)
    lesion = _draw_outline(rng, size, traits)
    structures, extent = _draw_structures(rng, size, lesion, traits)

    def region(threshold: float) -> _Field:
        return _patches(_cloud(rng, size, 1.2 * lesion.radius, 3.0), threshold, 0.3)

    def present() -> bool:
        return rng.random() < 0.04 + 0.7 * traits.colour**1.5

    variegation = 0.12 + 0.45 * traits.colour
    shade = np.exp(variegation * _cloud(rng, size, 1.2 * lesion.radius, 2.6)) * (0.75 + 0.35 * np.minimum(lesion.depth, 1))
    pigment = rng.uniform(0.35, 1.3) * shade * structures
    scar = veil = np.zeros((size, size), dtype=np.float32)
    if present():
        pigment += rng.uniform(0.8, 2.0) * region(0.9)
    if present():
        scar = rng.uniform(0.5, 0.9) * region(0.9)
    if present():
        veil = rng.uniform(0.4, 0.8) * region(0.8) * expit((lesion.depth - 0.15) / 0.08)
    redness = rng.uniform(0.05, 0.25) + (rng.uniform(0.2, 0.5) * region(0.6) if present() else 0.0)
    melanin = melanin + extent * pigment * (1 - scar)
    blood = blood + extent * redness
    reflectance = _BARE_SKIN * np.exp(-melanin[..., None] * _MELANIN - blood[..., None] * _BLOOD)
    reflectance = _cover(reflectance, 0.5 * scar * extent, _SCAR_WHITE)
    return _cover(reflectance, veil * extent, _BLUE_WHITE)


def _cover(reflectance: _Field, share: _Field, colour: _Field) -> _Field:
    return reflectance + share[..., None] * (colour - reflectance)


# --- what lies between the lesion and the camera, and the camera ------------------------------------------------------


def _lay_on_top(rng: np.random.Generator, reflectance: _Field) -> _Field:
    """Add hairs, gel bubbles and ruler marks to some images."""
    size = len(reflectance)
    if rng.random() < 0.55:
        hairs = _ink(size, lambda pen, side: _draw_hairs(rng, pen, side))
        colour = np.array([0.82, 0.76, 0.66] if rng.random() < 0.2 else [0.22, 0.14, 0.10], dtype=np.float32)
        reflectance = _cover(reflectance, rng.uniform(0.5, 0.95) * hairs, colour)
    if rng.random() < 0.3:
        ruler = _ink(size, lambda pen, side: _draw_ruler(rng, pen, side))
        reflectance = _cover(reflectance, 0.85 * ruler, np.full(3, 0.1, dtype=np.float32))
    if rng.random() < 0.35:
        bubbles = _ink(size, lambda pen, side: _draw_bubbles(rng, pen, side))
        reflectance = _cover(reflectance, rng.uniform(0.4, 0.8) * bubbles, np.ones(3, dtype=np.float32))
    return reflectance


def _draw_hairs(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    """Draw curved hairs that taper to their tips and mostly lie along one direction."""
    direction, spread = rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 0.8)
    t = np.linspace(0, 1, 20)[:, None]
    for _ in range(1 + int(rng.exponential(7))):
        root = rng.uniform(-0.1, 1.1, 2)
        lean = direction + rng.normal(0, spread)
        span = rng.uniform(0.2, 0.7) * np.array([math.cos(lean), math.sin(lean)])
        side_step = np.array([-span[1], span[0]])
        bow = root + 0.5 * span + rng.normal(0, 0.25) * side_step
        curve = (1 - t) ** 2 * root + 2 * t * (1 - t) * bow + t**2 * (root + span)
        half_width = rng.uniform(0.0012, 0.0035) * (1 - 0.8 * t) * side_step / np.linalg.norm(side_step)
        outline = np.concatenate([curve + half_width, (curve - half_width)[::-1]]) * side
        pen.polygon([(float(x), float(y)) for x, y in outline], fill=255)


def _draw_ruler(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    """Draw the millimetre marks of a contact plate, straight or round, along one side of the image."""
    spacing, centre = rng.uniform(0.03, 0.07), 0.5 + rng.uniform(0.45, 2.0)
    middle, edge = rng.uniform(0, 2 * math.pi), centre - rng.uniform(0.01, 0.06)
    for mark in range(-12, 13):
        towards = middle + mark * spacing / edge
        away = np.array([math.cos(towards), math.sin(towards)])
        start = 0.5 + (0.46 - edge) * np.array([math.cos(middle), math.sin(middle)]) + edge * away
        end = start - (0.05 if mark % 5 == 0 else 0.025) * away
        pen.line([*(float(v) for v in start * side), *(float(v) for v in end * side)], fill=255, width=side // 250)


def _draw_bubbles(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    """Draw rings of air in the gel, each with a highlight, and specks of reflected light."""
    for _ in range(rng.poisson(2)):
        (x, y), radius = rng.uniform(0, side, 2), side * rng.uniform(0.006, 0.025)
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline=int(rng.uniform(90, 200)), width=side // 300)
        glint, r = rng.uniform(0, 360), 0.7 * radius
        pen.arc([x - r, y - r, x + r, y + r], glint, glint + 70, fill=255, width=side // 200)
    for _ in range(rng.poisson(12)):
        (x, y), (a, b) = rng.uniform(0, side, 2), side * rng.uniform(0.001, 0.004, 2)
        pen.ellipse([x - a, y - b, x + a, y + b], fill=int(rng.uniform(120, 255)))


def _photograph(rng: np.random.Generator, reflectance: _Field) -> NDArray[np.uint8]:
    """Light the scene unevenly, look at it through a lens and digitise it: raw RGB, 0-255."""
    size = len(reflectance)
    x, y = _grid(size)
    towards, slope = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.25)
    light = 1 + slope * (math.cos(towards) * x + math.sin(towards) * y) - rng.uniform(0, 0.7) * (x**2 + y**2)
    if rng.random() < 0.15:  # the round end of the dermatoscope is in view
        rim = rng.uniform(0.48, 0.66)
        light = light * expit((rim - np.hypot(x - rng.normal(0, 0.02), y - rng.normal(0, 0.02))) / rng.uniform(0.004, 0.02))
    warmth, tint = rng.normal(0, 0.05), rng.normal(0, 0.02)
    balance = np.exp(np.array([warmth, tint, -1.4 * warmth], dtype=np.float32))
    exposure = rng.uniform(0.88, 1.15)
    photo = ndimage.gaussian_filter(reflectance, (rng.uniform(0.15, 0.9) * size / 256,) * 2 + (0,))
    photo = 255 * np.float32(exposure) * balance * photo * light[..., None]
    photo += rng.uniform(0.5, 3.0) * rng.standard_normal(photo.shape, dtype=np.float32)
    return np.clip(photo, 0, 255).astype(np.uint8)


def _check_whole(name: str, value: int, *, at_least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < at_least:
        raise ParameterError(f"{name}={value!r}: expected a whole number of at least {at_least}.")
