"""Draw one lesion: skin, pigment, structures, hairs, as a dermatoscope shows them."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import fft, ndimage
from scipy.special import expit, ndtr

from melanoma_tl._parameters import checked, whole

_Field = NDArray[np.float32]
"""One value per pixel, shape (size, size). A colour image in the making is (3, size, size): four times faster here."""


def _rgb(red: float, green: float, blue: float) -> _Field:
    return np.array([red, green, blue], dtype=np.float32)[:, None, None]


# Optical density of one unit of pigment in red, green and blue light. Chosen by eye, in the order that the absorption
# spectra give: melanin takes ever more towards the blue, haemoglobin takes green and blue and lets red pass.
_MELANIN = _rgb(0.44, 0.73, 1.0)
_BLOOD = _rgb(0.08, 1.0, 0.78)
_BARE_SKIN = _rgb(0.97, 0.93, 0.90)
_BLUE_WHITE = _rgb(0.40, 0.42, 0.49)
_SCAR_WHITE = _rgb(0.90, 0.80, 0.78)
_DARK_HAIR = _rgb(0.22, 0.14, 0.10)
_LIGHT_HAIR = _rgb(0.82, 0.76, 0.66)
_PRINT = _rgb(0.10, 0.10, 0.10)
_GLINT = _rgb(1.0, 1.0, 1.0)

WIDTH = whole(at_least=16)
_SMALLEST_CANVAS = 128  # finer structures than its pixels cannot be drawn: smaller images are reduced from it


class _Traits(NamedTuple):
    """How suspicious a lesion looks, each from 0 (harmless) to 1 (suspicious)."""

    asymmetry: float
    border: float
    colour: float
    structures: float
    diameter: float


# How far the two classes stand apart in each trait, in standard deviations: all that a melanoma changes in the drawing.
_SEPARATION = _Traits(asymmetry=1.5, border=1.3, colour=1.7, structures=1.3, diameter=1.0)


@checked(size=WIDTH)
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
    the means, by 1.5, 1.3, 1.7, 1.3 and 1.0 standard deviations. Skin, light, hairs, rulers, bubbles and the place in
    the image are drawn alike for both. So the classes overlap: by construction no classifier can be expected to exceed
    an AUC of ``Phi(sqrt(sum(d**2)) / sqrt(2))`` = 0.985.

    For comparison, logistic regression on 1,000 drawings of 256 pixels, half of them melanomas, reached these AUCs in
    five-fold cross-validation: 0.55 from the mean colour, 0.67 from the area, 0.74 from the colours inside a threshold
    outline, and 0.84 from these with the spread of colour, the outline's length and the mirror symmetry. The size of
    the JPEG file alone gives 0.57.

    The drawings teach how to use the library. A model trained on them knows nothing about patients.

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
    rng = np.random.default_rng(random_state)
    canvas = max(size, _SMALLEST_CANVAS)
    melanin, blood = _draw_skin(rng, canvas)
    reflectance = _draw_pigment(rng, melanin, blood, _draw_traits(rng, melanoma))
    image = _photograph(rng, _lay_on_top(rng, reflectance))
    if size < canvas:
        image = np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BOX))
    return image


def _cloud(rng: np.random.Generator, size: int, wavelength: float, roughness: float = 2.5) -> _Field:
    """Return fractal noise of mean 0 and deviation 1, whose largest features measure `wavelength` image widths.

    The amplitude falls as the `roughness`-th power of the frequency: 2 is rugged, 4 is smooth.
    """
    squared_frequency = _squared_frequency(size)
    amplitude = np.exp(-roughness / 2 * np.log(1 + wavelength**2 * squared_frequency))
    amplitude[0, 0] = 0
    # Uniform coefficients are drawn four times faster than normal ones; their sum, the field, is near to normal too.
    noise = (rng.random((*amplitude.shape, 2), dtype=np.float32) - np.float32(0.5)).view(np.complex64)[..., 0]
    field: _Field = fft.irfft2(noise * amplitude, (size, size))
    return field / field.std()


@lru_cache(maxsize=4)
def _squared_frequency(size: int) -> _Field:
    """Return the squared frequencies of a real Fourier transform, in periods per image."""
    down, across = fft.fftfreq(size, 1 / size), fft.rfftfreq(size, 1 / size)
    return (down[:, None] ** 2 + across**2).astype(np.float32)


def _honeycomb(rng: np.random.Generator, size: int, period: float, disorder: float) -> _Field:
    """Return a bent honeycomb from -1 (on the lines) to 2 (in the middle of the cells).

    Three plane waves at 60 degrees add up to it. A cloud bends them by `disorder` periods.
    """
    x, y = _grid(size)
    bend = disorder * period * _cloud(rng, size, 6 * period)
    x, y = x + bend, y + np.roll(bend, size // 3, (0, 1))  # a cloud shifted that far is as good as another cloud
    turn = rng.uniform(0, math.pi)
    field = np.zeros((size, size), dtype=np.float32)
    for angle in (turn, turn + math.pi / 3, turn + 2 * math.pi / 3):
        field += np.cos((math.cos(angle) * x + math.sin(angle) * y) * (2 * math.pi / period))
    return field * np.float32(2 / 3)


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


def _draw_traits(rng: np.random.Generator, melanoma: bool) -> _Traits:
    shift = 0.5 if melanoma else -0.5
    return _Traits(*(float(ndtr(rng.normal(shift * separation))) for separation in _SEPARATION))


def _draw_skin(rng: np.random.Generator, size: int) -> tuple[_Field, _Field]:
    """Return the melanin and the blood of healthy skin."""
    tone = rng.beta(1.0, 3.2)  # most skin in the challenges is light
    furrows = np.maximum(-_honeycomb(rng, size, rng.uniform(0.03, 0.06), 0.35), 0)
    grain = _cloud(rng, size, 0.03, 1.6)
    mottle = _cloud(rng, size, rng.uniform(0.1, 0.4), 2.2)
    melanin = 0.05 + 1.1 * tone + rng.uniform(0.0, 0.035) * mottle + 0.012 * grain + rng.uniform(0, 0.06) * furrows
    flush = _cloud(rng, size, rng.uniform(0.08, 0.4), 2.2)
    blood = rng.uniform(0.02, 0.17) + rng.uniform(0.005, 0.03) * flush + 0.01 * grain
    if rng.random() < 0.25:  # freckles and sun damage around the lesion
        melanin += rng.uniform(0.1, 0.3) * _patches(_cloud(rng, size, rng.uniform(0.04, 0.12), 3.0), 1.9)
    if rng.random() < 0.25:  # dilated vessels: the narrow bands where a smooth cloud changes its sign
        vessels = np.exp(-np.abs(_cloud(rng, size, 0.12, 3.2)) / 0.03) * _patches(mottle, 0.6)
        blood += rng.uniform(0.15, 0.35) * vessels
    return np.maximum(melanin, 0), np.maximum(blood, 0)


class _Lesion(NamedTuple):
    """Where the lesion is.

    `extent` goes from 0 on skin to 1 on the lesion, `depth` is the distance to the border in radii (negative outside),
    `angle` is in radians around the middle, and `radius` in image widths.
    """

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
    distance = np.minimum(np.hypot(along, across) / np.float32(radius), 2.5)  # all skin from there
    angle = np.arctan2(across, along)
    lopsided = (0.04 + 0.30 * traits.asymmetry**1.3) * _cloud(rng, size, 2.0 * radius, 4.0)
    ragged = (0.04 + 0.16 * traits.border**1.3) * _cloud(rng, size, 0.5 * radius, 2.3)
    # Noise far outside would draw other lesions, and ragged noise deep inside would eat holes.
    nearby = np.exp(-3 * np.maximum(distance - 1, 0))
    depth = 1 - distance + nearby * (lopsided + ragged * np.minimum(distance, 1))
    # A naevus fades evenly into the skin; the pigment of a melanoma stops abruptly in some of the segments.
    fade = rng.uniform(0.05, 0.13) * np.exp(
        -0.9 * traits.border * _cloud(rng, size, 1.5 * radius, 4.0) - 0.4 * traits.border
    )
    return _Lesion(expit(depth / np.maximum(fade, 0.02)), depth, angle, radius)


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
        return 0.85 + rng.uniform(0.3, 0.8) * _patches(
            cells + 0.5 * traits.structures * _cloud(rng, size, 0.08), 1.0, 0.2
        )

    def dots() -> _Field:
        return 1 + rng.uniform(0.5, 1.5) * _patches(_cloud(rng, size, 0.025, 3.5), rng.uniform(1.8, 2.6), 0.15)

    def smooth() -> _Field:
        return np.ones((size, size), dtype=np.float32)

    kinds = [network, globules, smooth, dots]
    count = 1 + int(rng.binomial(3, 0.1 + 0.8 * traits.structures))
    factor = np.ones((size, size), dtype=np.float32)
    for kind in rng.permutation(len(kinds))[:count]:
        place = 1.0 if count == 1 else _patches(_cloud(rng, size, 2 * lesion.radius, 4.0), 0.0)
        factor *= 1 + place * (kinds[kind]() - 1)
    extent = lesion.extent
    if rng.random() < 0.1 + 0.5 * traits.structures:
        extent = np.maximum(extent, _streaks(rng, lesion, traits))
    return factor, extent


def _streaks(rng: np.random.Generator, lesion: _Lesion, traits: _Traits) -> _Field:
    """Draw radial streaks across the border: all around (harmless) or in some sectors (suspicious)."""
    phase = lesion.angle * int(rng.integers(24, 45)) + 1.5 * _cloud(rng, len(lesion.angle), 0.1)
    sector = expit((np.cos(lesion.angle - rng.uniform(0, 2 * math.pi)) + 1.2 - 1.6 * traits.structures) * 4)
    reach = rng.uniform(0.1, 0.3)
    return expit((lesion.depth + reach * sector * np.cos(phase)) / 0.05) * sector


def _draw_pigment(rng: np.random.Generator, melanin: _Field, blood: _Field, traits: _Traits) -> _Field:
    """Return the reflectance of skin with the lesion on it, shape (3, size, size), from 0 to 1.

    The six colours of the dermoscopic rule: light brown, dark brown and black are amounts of melanin, red is blood,
    and blue-grey and white are the veil and the scar of regression, which scatter light and so cover what is below.
    """
    size = len(melanin)
    lesion = _draw_outline(rng, size, traits)
    structures, extent = _draw_structures(rng, size, lesion, traits)

    def region(threshold: float) -> _Field:
        return _patches(_cloud(rng, size, 1.2 * lesion.radius, 3.0), threshold, 0.3)

    def present(at_most: float) -> bool:
        return rng.random() < 0.03 + at_most * traits.colour**1.5

    variegation = 0.12 + 0.45 * traits.colour
    shade = np.exp(variegation * _cloud(rng, size, 1.2 * lesion.radius, 2.6)) * (
        1 + rng.uniform(-0.2, 0.9) * (lesion.depth - 0.4)
    )
    pigment = rng.uniform(0.4, 1.7) * np.maximum(shade, 0) * structures
    scar = veil = np.zeros((size, size), dtype=np.float32)
    if present(0.7):
        pigment += rng.uniform(0.8, 2.0) * region(0.9)
    if present(0.5):
        scar = rng.uniform(0.5, 0.9) * region(0.9)
    if present(0.5):
        veil = rng.uniform(0.25, 0.65) * region(1.0) * expit((lesion.depth - 0.2) / 0.1) / structures
    redness = rng.uniform(0.0, 0.12) + (rng.uniform(0.15, 0.4) * region(0.6) if present(0.6) else 0.0)
    melanin = melanin + extent * pigment * (1 - scar)
    blood = blood + extent * redness
    reflectance = _BARE_SKIN * np.exp(-(melanin * _MELANIN + blood * _BLOOD))
    reflectance = _cover(reflectance, 0.5 * scar * extent, _SCAR_WHITE)
    return _cover(reflectance, np.minimum(veil, 0.8) * extent, _BLUE_WHITE)


def _cover(reflectance: _Field, share: _Field, colour: _Field) -> _Field:
    return reflectance + share * (colour - reflectance)


def _lay_on_top(rng: np.random.Generator, reflectance: _Field) -> _Field:
    """Add hairs, gel bubbles and ruler marks to some images."""
    size = reflectance.shape[-1]
    if rng.random() < 0.55:
        hairs = _ink(size, lambda pen, side: _draw_hairs(rng, pen, side))
        colour = _LIGHT_HAIR if rng.random() < 0.2 else _DARK_HAIR
        reflectance = _cover(reflectance, rng.uniform(0.5, 0.95) * hairs, colour)
    if rng.random() < 0.2:
        ruler = _ink(size, lambda pen, side: _draw_ruler(rng, pen, side))
        reflectance = _cover(reflectance, 0.85 * ruler, _PRINT)
    if rng.random() < 0.35:
        bubbles = _ink(size, lambda pen, side: _draw_bubbles(rng, pen, side))
        reflectance = _cover(reflectance, rng.uniform(0.4, 0.8) * bubbles, _GLINT)
    return reflectance


def _draw_hairs(rng: np.random.Generator, pen: ImageDraw.ImageDraw, side: int) -> None:
    """Draw curved hairs that taper to their tips and mostly lie along one direction."""
    direction, spread = rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 0.8)
    t = np.linspace(0, 1, 20)[:, None]
    for _ in range(1 + int(rng.exponential(7))):
        root = rng.uniform(-0.1, 1.1, 2)
        lean = direction + rng.normal(0, spread)
        span = rng.uniform(0.25, 1.0) * np.array([math.cos(lean), math.sin(lean)])
        side_step = np.array([-span[1], span[0]])
        bow = root + 0.5 * span + rng.normal(0, 0.25) * side_step
        curve = (1 - t) ** 2 * root + 2 * t * (1 - t) * bow + t**2 * (root + span)
        half_width = rng.uniform(0.0012, 0.003) * (1 - 0.8 * t) * side_step / np.linalg.norm(side_step)
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
        pen.ellipse(
            [x - radius, y - radius, x + radius, y + radius], outline=int(rng.uniform(90, 200)), width=side // 300
        )
        glint, r = rng.uniform(0, 360), 0.7 * radius
        pen.arc([x - r, y - r, x + r, y + r], glint, glint + 70, fill=255, width=side // 200)
    for _ in range(rng.poisson(12)):
        (x, y), (a, b) = rng.uniform(0, side, 2), side * rng.uniform(0.001, 0.004, 2)
        pen.ellipse([x - a, y - b, x + a, y + b], fill=int(rng.uniform(120, 255)))


def _photograph(rng: np.random.Generator, reflectance: _Field) -> NDArray[np.uint8]:
    """Light the scene unevenly, look at it through a lens and digitise it: raw RGB, 0-255."""
    size = reflectance.shape[-1]
    x, y = _grid(size)
    towards, slope = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.25)
    light = 1 + slope * (math.cos(towards) * x + math.sin(towards) * y) - rng.uniform(0, 0.7) * (x**2 + y**2)
    if rng.random() < 0.15:  # the round end of the dermatoscope is in view
        rim = rng.uniform(0.48, 0.66)
        light = light * expit(
            (rim - np.hypot(x - rng.normal(0, 0.02), y - rng.normal(0, 0.02))) / rng.uniform(0.004, 0.02)
        )
    warmth, tint = rng.normal(0, 0.06), rng.normal(0, 0.03)
    balance = rng.uniform(0.88, 1.15) * np.exp(_rgb(warmth, tint, -1.4 * warmth))
    blur = rng.uniform(0.15, 0.9) * size / 256
    photo = ndimage.gaussian_filter(reflectance * balance, (0, blur, blur)) * (255 * light)
    photo += rng.uniform(0.5, 5.0) * rng.standard_normal((size, size), dtype=np.float32)  # JPEG drops noise of colour
    return np.ascontiguousarray(np.clip(photo, 0, 255).astype(np.uint8).transpose(1, 2, 0))
