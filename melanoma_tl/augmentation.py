"""`Augmenter`: which views of an image the classifier learns from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from melanoma_tl.errors import ParameterError
from melanoma_tl.images import load_image
from melanoma_tl.symmetries import LEFT_RIGHT, TRANSPOSED, UP_DOWN, mirror

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Range = float | tuple[float, float]

FILL_MODES = ("constant", "nearest", "reflect", "wrap")

_DRAWING = 2
"""Number of the way in which views are drawn: views and features that were stored in another way are not taken."""


class Augmenter(BaseEstimator):
    """Random flips, shifts, rotations, zooms and colour changes, made by Keras layers.

    The parameters are named as in Keras's ``ImageDataGenerator``, in which the
    published work and most of the field's notebooks are written. Nothing is
    changed by default. The published code is
    ``Augmenter(rotation_range=20, width_shift_range=0.2, height_shift_range=0.2, horizontal_flip=True)``,
    the published prose ``Augmenter(horizontal_flip=True, saturation_range=(1.0, 1.5))``
    (it says "increased" and gives no amount).

    Parameters
    ----------
    horizontal_flip, vertical_flip : bool, default=False
        Mirror half of the images.
    transpose : bool, default=False
        Exchange rows and columns of half of the images, which must be square. With both flips,
        images are shown in all eight symmetries of the square.
    rotation_range : float, default=0.0
        Largest rotation to either side, in degrees, 0 to 180.
    width_shift_range, height_shift_range : float, default=0.0
        Largest shift to either side, as a share of the image, 0 to 1.
    zoom_range : float or tuple of float, default=0.0
        Factor by which the field of view is scaled: above 1 shows more, below 1
        less. A number z means (1 - z, 1 + z).
    brightness_range : float or tuple of float, default=0.0
        What is added to the pixels, as a share of the full range, -1 to 1. A number b means (-b, b).
    contrast_range : float, default=0.0
        The distance from the image's mean is scaled by a factor between 1 - c and 1 + c; 0 to 1.
    saturation_range : float or tuple of float, default=0.0
        Factor of the saturation, 0 is grey. A number s means (1 - s, 1 + s).
    fill_mode : {"nearest", "constant", "reflect", "wrap"}, default="nearest"
        What fills the pixels that move in from outside.
    views : int or None, default=None
        None draws a new random view of every image in every epoch. A number k
        draws k fixed views of each image, the first untouched, and goes
        through them from epoch to epoch; what a frozen backbone makes of
        these is computed once, of new ones in every epoch. Symmetries are gone through
        in turn, not drawn: with both flips and `transpose`, 8 views are all there are.
    random_state : int or None, default=None
        Seed of the views; None takes the classifier's in training and 0 elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype="uint8")
    >>> Augmenter(horizontal_flip=True, rotation_range=20).augment(images, seed=1).shape
    (2, 32, 32, 3)
    """

    def __init__(
        self,
        *,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        transpose: bool = False,
        rotation_range: float = 0.0,
        width_shift_range: float = 0.0,
        height_shift_range: float = 0.0,
        zoom_range: Range = 0.0,
        brightness_range: Range = 0.0,
        contrast_range: float = 0.0,
        saturation_range: Range = 0.0,
        fill_mode: str = "nearest",
        views: int | None = None,
        random_state: int | None = None,
    ) -> None:
        self.horizontal_flip = horizontal_flip
        self.vertical_flip = vertical_flip
        self.transpose = transpose
        self.rotation_range = rotation_range
        self.width_shift_range = width_shift_range
        self.height_shift_range = height_shift_range
        self.zoom_range = zoom_range
        self.brightness_range = brightness_range
        self.contrast_range = contrast_range
        self.saturation_range = saturation_range
        self.fill_mode = fill_mode
        self.views = views
        self.random_state = random_state

    def augment(self, images: NDArray[np.uint8], seed: int | Sequence[int]) -> NDArray[np.uint8]:
        """Draw one random view of each image.

        Parameters
        ----------
        images : ndarray of shape (n_images, height, width, 3) and dtype uint8
            Raw RGB, 0 to 255; left as they are.
        seed : int or sequence of int
            The same seed gives the same views of the same batch.

        Returns
        -------
        ndarray of shape (n_images, height, width, 3) and dtype uint8
            Raw RGB, 0 to 255.

        Raises
        ------
        ParameterError
            If a parameter of the augmenter cannot be used.
        """
        self.check_parameters()
        symmetries = self._symmetries()
        if len(symmetries) > 1:
            images = _mirror_each(images, np.random.default_rng(seed).choice(symmetries, len(images)))
        return self._change(images, seed)

    def _change(self, images: NDArray[np.uint8], seed: int | Sequence[int]) -> NDArray[np.uint8]:
        """Apply what Keras's layers do."""
        layers = self._layers()
        if not layers:
            return images
        from keras import ops, random

        seeds = np.random.SeedSequence(seed).generate_state(len(layers)) >> 1  # Keras takes signed 32-bit seeds
        # On 0 to 1, where the saturation that Keras computes has its bounds.
        pixels = ops.convert_to_tensor(images.astype(np.float32) / 255.0)
        for layer, layer_seed in zip(layers, seeds.tolist(), strict=True):
            # A generator and not the number itself, which would give both axes of a shift the same value.
            generator = random.SeedGenerator(layer_seed)
            transformation = layer.get_random_transformation(pixels, training=True, seed=generator)
            pixels = layer.transform_images(pixels, transformation, training=True)
        return _to_uint8(pixels)

    def _symmetries(self) -> list[int]:
        """Give the numbers of the symmetries that images are shown in, the untouched image first."""
        wanted = {LEFT_RIGHT: self.horizontal_flip, UP_DOWN: self.vertical_flip, TRANSPOSED: self.transpose}
        return [number for number in range(8) if all(wanted[part] for part in wanted if number & part)]

    def fixed_views(self, images: NDArray[np.uint8], keys: Sequence[int], views: Sequence[int]) -> NDArray[np.uint8]:
        """Return one of the fixed views of each image.

        Parameters
        ----------
        images : ndarray of shape (n_images, height, width, 3) and dtype uint8
            Raw RGB, 0 to 255; left as they are.
        keys : sequence of int of length n_images
            A number for each image, not below 0, which seeds its views: what the classifier
            takes from its content, so that an image has the same views in any dataset and any batch.
        views : sequence of int of length n_images
            Number of the view of each image; 0 is the untouched image.

        Returns
        -------
        ndarray of shape (n_images, height, width, 3) and dtype uint8
            Raw RGB, 0 to 255.
        """
        self.check_parameters()
        symmetries = self._symmetries()
        changed = _mirror_each(images, np.take(symmetries, np.asarray(views, dtype=int) % len(symmetries)))
        for position, (key, view) in enumerate(zip(keys, views, strict=True)):
            if view and self._layers():
                seed = (self.random_state or 0, int(key), int(view))
                changed[position] = self._change(changed[position : position + 1], seed)[0]
        return changed

    def view_key(self, view: int) -> bytes:
        """Compute what tells a fixed view apart from all others of the same image.

        Parameters
        ----------
        view : int
            Number of the view.

        Returns
        -------
        bytes
            Empty for the untouched image.
        """
        if view == 0:
            return b""
        import keras

        # Another version or backend of Keras may draw otherwise from the same seed.
        drawn_by = [_DRAWING, keras.__version__, keras.backend.backend(), self.random_state or 0, view]
        parameters = {name: value for name, value in self.get_params().items() if name not in ("views", "random_state")}
        return hashlib.sha256(json.dumps([parameters, drawn_by], default=float).encode()).digest()[:16]

    def preview(
        self, dataset: Any, *, n: int = 4, views: int = 6, size: tuple[int, int] = (224, 224), seed: int | None = None
    ) -> Figure:
        """Draw a contact sheet: some images, each untouched and in some views.

        Parameters
        ----------
        dataset : ISBIDataset, or sequence of paths, PIL images or uint8 arrays
            Where the images come from.
        n : int, default=4
            How many images, spread evenly over the dataset.
        views : int, default=6
            How many views of each beside the untouched one.
        size : tuple of int, default=(224, 224)
            (height, width) in pixels at which the augmenter sees them.
        seed : int, optional
            Seed of the views; `random_state` by default.

        Returns
        -------
        matplotlib.figure.Figure
            One row an image; save it with ``figure.savefig``.
        """
        from melanoma_tl.plots.sheets import draw_views

        sources = getattr(dataset, "paths", dataset)
        names = getattr(dataset, "image_ids", [f"image {i}" for i in range(len(sources))])
        chosen = np.unique(np.linspace(0, len(sources) - 1, min(n, len(sources))).round().astype(int))
        images = np.stack([load_image(sources[position], size) for position in chosen])
        start = (self.random_state or 0) if seed is None else seed
        columns = [images] + [self.augment(images, (start, view)) for view in range(1, views + 1)]
        return draw_views(
            list(np.stack(columns, axis=1)),
            titles=["untouched", *(f"view {view}" for view in range(1, views + 1))],
            names=[str(names[position]) for position in chosen],
            side=1.5,
        )

    def _layers(self) -> tuple[Any, ...]:
        return _build_layers(
            rotation=self.rotation_range,
            shifts=(self.height_shift_range, self.width_shift_range),
            zoom=_as_range(self.zoom_range, around=1.0),
            brightness=_as_range(self.brightness_range, around=0.0),
            contrast=self.contrast_range,
            saturation=_as_range(self.saturation_range, around=1.0),
            fill_mode=self.fill_mode,
        )

    def check_parameters(self) -> None:
        """Check every parameter, without drawing anything.

        Raises
        ------
        ParameterError
            If one cannot be used.
        """
        bounds: dict[str, tuple[float, float]] = {
            "rotation_range": (0.0, 180.0),
            "width_shift_range": (0.0, 1.0),
            "height_shift_range": (0.0, 1.0),
            "zoom_range": (0.0, 2.0),
            "brightness_range": (-1.0, 1.0),
            "contrast_range": (0.0, 1.0),
            "saturation_range": (0.0, 10.0),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            numbers = np.ravel(value)
            if numbers.size > 2 or not ((numbers >= low) & (numbers <= high)).all() or (np.diff(numbers) < 0).any():
                raise ParameterError(f"{name} must be within {low:g} to {high:g}, lower bound first, got {value!r}")
        if self.fill_mode not in FILL_MODES:
            raise ParameterError(f"fill_mode must be one of {', '.join(FILL_MODES)}, got {self.fill_mode!r}")
        if self.views is not None and self.views < 1:
            raise ParameterError(f"views must be None (endless) or at least 1, got {self.views!r}")
        n_symmetries = len(self._symmetries())
        if self.views is not None and self.views > n_symmetries and not self._layers():
            raise ParameterError(
                f"views={self.views}, but flips and transposition give {n_symmetries} different views of an image: "
                f"take views={n_symmetries}, or change more, such as rotation_range=20"
            )


def _as_range(value: Range, *, around: float) -> tuple[float, float]:
    if isinstance(value, int | float):
        return (around - value, around + value)
    return (float(value[0]), float(value[1]))


@lru_cache(maxsize=16)
def _build_layers(
    *,
    rotation: float,
    shifts: tuple[float, float],
    zoom: tuple[float, float],
    brightness: tuple[float, float],
    contrast: float,
    saturation: tuple[float, float],
    fill_mode: str,
) -> tuple[Any, ...]:
    from keras import layers

    built = []
    if rotation:
        built.append(layers.RandomRotation(rotation / 360, fill_mode=fill_mode))
    if any(shifts):
        built.append(layers.RandomTranslation(*shifts, fill_mode=fill_mode))
    if zoom != (1.0, 1.0):
        built.append(layers.RandomZoom((zoom[0] - 1, zoom[1] - 1), fill_mode=fill_mode))
    if saturation != (1.0, 1.0):
        # Keras counts from 0 (grey) over 0.5 (unchanged) to 1, and multiplies by s / (1 - s).
        built.append(layers.RandomSaturation(tuple(s / (1 + s) for s in saturation), value_range=(0, 1)))
    if contrast:
        built.append(layers.RandomContrast(contrast, value_range=(0, 1)))
    if brightness != (0.0, 0.0):
        built.append(layers.RandomBrightness(brightness, value_range=(0, 1)))
    return tuple(built)


def _mirror_each(images: NDArray[np.uint8], numbers: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return each image under a symmetry of its own."""
    if (numbers >= TRANSPOSED).any() and images.shape[1] != images.shape[2]:
        raise ParameterError(f"transpose=True needs square images, got {images.shape[1]}x{images.shape[2]}")
    changed = np.array(images)
    for number in np.unique(numbers[numbers > 0]).tolist():
        chosen = numbers == number
        changed[chosen] = mirror(images[chosen], number)
    return changed


def _to_uint8(pixels: Any) -> NDArray[np.uint8]:
    from keras import ops

    return np.clip(np.rint(ops.convert_to_numpy(pixels) * 255.0), 0, 255).astype(np.uint8)
