"""`Augmenter`: random views of the training images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._estimators import CheckedParameters
from melanoma_tl._parameters import (
    COUNT,
    FLAG,
    NONE,
    PROBABILITY,
    SEED,
    SHARE,
    SIZE,
    check,
    checked,
    choice,
    real,
    several,
    span,
    whole,
)
from melanoma_tl.errors import ImageError, ParameterError
from melanoma_tl.images.decoding import load_image
from melanoma_tl.images.parallel import map_threaded, take
from melanoma_tl.images.pixels import how_to_make_raw, how_to_make_three
from melanoma_tl.images.symmetries import LEFT_RIGHT, TRANSPOSED, UP_DOWN
from melanoma_tl.images.transforms import FILL_MODES, ImageTransform

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Range = float | tuple[float, float]

_PARAMETERS = {
    "horizontal_flip": FLAG,
    "vertical_flip": FLAG,
    "transpose": FLAG,
    "rotation_range": real(at_least=0, at_most=180),
    "width_shift_range": SHARE,
    "height_shift_range": SHARE,
    "shear_range": real(at_least=0, at_most=60),
    "zoom_range": span(0, 2),
    "brightness_range": span(
        -1,
        1,
        around=0,
        note=": shares that are added (ImageDataGenerator multiplies; its (0.8, 1.2) is about 0.2)",
    ),
    "contrast_range": real(at_least=0, at_most=1),
    "saturation_range": span(0, 10),
    "hue_range": real(at_least=0, at_most=0.5),
    "channel_shift_range": real(at_least=0, at_most=255),
    "cutout": PROBABILITY,
    "fill_mode": choice(*FILL_MODES),
    "views": COUNT | NONE,
    "random_state": SEED,
}

_SEEDS = several(whole(at_least=0), at_least=1)

_DRAWING = 4
"""Version of the algorithm that draws views: stored views and features of another version are not used."""


class Augmenter(CheckedParameters):
    """Random flips, shifts, rotations, shears, zooms, colour changes and squares without detail.

    The parameters have the names of Keras's ``ImageDataGenerator``, which the
    published work and most notebooks of the field use, and the transformations are
    composed in the same way: zoom, shear, shift, rotation and flips are one affine map with one bilinear
    interpolation. All values are drawn uniformly, and the same seed
    gives the same views with every Keras backend. By default images are not changed. The published code is
    ``Augmenter(rotation_range=20, width_shift_range=0.2, height_shift_range=0.2, horizontal_flip=True)``,
    the published prose ``Augmenter(horizontal_flip=True, saturation_range=(1.0, 1.5))``
    (it says "increased" and gives no amount).

    Parameters
    ----------
    horizontal_flip, vertical_flip : bool, default=False
        Mirror each image with probability 1/2.
    transpose : bool, default=False
        Exchange rows and columns of each image with probability 1/2; images must be square. With both flips,
        this gives all eight symmetries of the square.
    rotation_range : float, default=0.0
        Maximum rotation in either direction, in degrees, 0 to 180.
    width_shift_range, height_shift_range : float, default=0.0
        Maximum shift in either direction, as a share of the side of the image, 0 to below 1. (1 and more are
        pixels in ``ImageDataGenerator``.)
    shear_range : float, default=0.0
        Maximum angle of the shear in either direction, in degrees, 0 to 60.
    zoom_range : float or tuple of float, default=0.0
        Range of the factor by which the field of view is scaled: above 1 zooms out, below 1
        zooms in. A number z means (1 - z, 1 + z).
    brightness_range : float or tuple of float, default=0.0
        Range of the value that is added to the pixels, as a share of the full range, -1 to 1. A number b means (-b, b).
        (``ImageDataGenerator`` multiplies instead: its (0.8, 1.2) is about 0.2 here.)
    contrast_range : float, default=0.0
        The distance from the image's mean is scaled by a factor between 1 - c and 1 + c; 0 to 1.
    saturation_range : float or tuple of float, default=0.0
        Range of the factor of the saturation, where 0 is grey. A number s means (1 - s, 1 + s).
    hue_range : float, default=0.0
        Maximum turn of the hue in either direction, as a share of the colour circle, 0 to 0.5, as in torchvision's
        ``ColorJitter``.
    channel_shift_range : float, default=0.0
        Maximum value that is added to all colours in either direction, 0 to 255. No pixel becomes lighter than the
        lightest of the image, or darker than the darkest, as in ``ImageDataGenerator``.
    cutout : float, default=0.0
        Side of a square in the mean colour of the image, as a share of the shorter side, 0 to 1. Its centre is drawn
        anywhere in the image, so that part of it may lie outside [1]_.
    fill_mode : {"nearest", "constant", "reflect", "wrap"}, default="nearest"
        How pixels outside the original image are filled.
    views : int or None, default=None
        None draws a new random view of every image in every epoch. A number k
        draws k fixed views of each image, of which the first is the unchanged image, and
        uses them in turn, one per epoch. The features of fixed views from a frozen backbone are
        computed once; those of new views must be computed in every epoch. Fixed views use the symmetries
        in turn instead of drawing them: both flips and `transpose` alone give exactly 8 different views.
    random_state : int or None, default=None
        Seed of the views; None uses that of the classifier in training, and 0 elsewhere.

    References
    ----------
    .. [1] T. DeVries and G. W. Taylor, "Improved regularization of convolutional neural networks with Cutout",
       arXiv:1708.04552, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype="uint8")
    >>> Augmenter(horizontal_flip=True, rotation_range=20).augment(images, seed=1).shape
    (2, 32, 32, 3)
    """

    _rules = _PARAMETERS

    @checked()
    def __init__(
        self,
        *,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        transpose: bool = False,
        rotation_range: float = 0.0,
        width_shift_range: float = 0.0,
        height_shift_range: float = 0.0,
        shear_range: float = 0.0,
        zoom_range: Range = 0.0,
        brightness_range: Range = 0.0,
        contrast_range: float = 0.0,
        saturation_range: Range = 0.0,
        hue_range: float = 0.0,
        channel_shift_range: float = 0.0,
        cutout: float = 0.0,
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
        self.shear_range = shear_range
        self.zoom_range = zoom_range
        self.brightness_range = brightness_range
        self.contrast_range = contrast_range
        self.saturation_range = saturation_range
        self.hue_range = hue_range
        self.channel_shift_range = channel_shift_range
        self.cutout = cutout
        self.fill_mode = fill_mode
        self.views = views
        self.random_state = random_state

    @checked(seed=_SEEDS)
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
        ImageError
            If the images are of another shape or dtype.
        ParameterError
            If a parameter of the augmenter cannot be used.
        """
        self.check_parameters()
        images = _check_images(images)
        if not self._changes() and len(self._symmetries()) == 1:
            return images
        rng = np.random.default_rng(seed)
        return self._transform(images, [self._draw(rng) for _ in images])

    def _draw(self, rng: np.random.Generator, symmetry: int | None = None) -> ImageTransform:
        """Draw one view; the symmetry too, unless it is given."""
        ranges = self._ranges()
        lowest, highest = np.array([range_ for range_, _ in ranges.values()]).T
        drawn = dict(zip(ranges, rng.uniform(lowest, highest).tolist(), strict=True))
        return ImageTransform(**drawn, symmetry=int(rng.choice(self._symmetries())) if symmetry is None else symmetry)

    def _transform(self, images: NDArray[np.uint8], views: Sequence[ImageTransform]) -> NDArray[np.uint8]:
        if self.transpose and images.shape[1] != images.shape[2]:
            raise ParameterError(f"transpose=True needs square images, got {images.shape[1]}x{images.shape[2]}")
        pairs = zip(views, images, strict=True)
        changed = list(map_threaded(lambda pair: pair[0].apply(pair[1], self.fill_mode), pairs))
        return np.stack(changed) if changed else images

    def _symmetries(self) -> list[int]:
        """Return the numbers of the symmetries that images are shown in, the untouched image first."""
        wanted = {LEFT_RIGHT: self.horizontal_flip, UP_DOWN: self.vertical_flip, TRANSPOSED: self.transpose}
        return [number for number in range(8) if all(wanted[part] for part in wanted if number & part)]

    @checked(keys=several(whole(at_least=0)), views=several(whole(at_least=0)))
    def fixed_views(self, images: NDArray[np.uint8], keys: Sequence[int], views: Sequence[int]) -> NDArray[np.uint8]:
        """Return one of the fixed views of each image.

        Parameters
        ----------
        images : ndarray of shape (n_images, height, width, 3) and dtype uint8
            Raw RGB, 0 to 255; left as they are.
        keys : sequence of int of length n_images
            A number of at least 0 for each image, which seeds its views. The classifier
            computes it from the pixels, so that an image has the same views in any dataset and any batch.
        views : sequence of int of length n_images
            Number of the view of each image; 0 is the untouched image.

        Returns
        -------
        ndarray of shape (n_images, height, width, 3) and dtype uint8
            Raw RGB, 0 to 255.

        Raises
        ------
        ImageError
            If the images are of another shape or dtype.
        ParameterError
            If a parameter of the augmenter cannot be used, or `images`, `keys` and `views` differ in length.
        """
        self.check_parameters()
        images = _check_images(images)
        if not len(images) == len(keys) == len(views):
            raise ParameterError(f"give one key and one view an image: {len(images)}, {len(keys)} and {len(views)}")
        symmetries = self._symmetries()
        transforms = [
            self._draw(
                np.random.default_rng((self.random_state or 0, int(key), int(view))), symmetries[view % len(symmetries)]
            )
            if view
            else ImageTransform()
            for key, view in zip(keys, views, strict=True)
        ]
        return self._transform(images, transforms)

    @checked(view=whole(at_least=0))
    def view_key(self, view: int) -> bytes:
        """Compute a key that identifies a fixed view among all views of the same image.

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
        drawn_by = [_DRAWING, self.random_state or 0, view]
        parameters = check(self.get_params(), _PARAMETERS)
        parameters = {name: value for name, value in parameters.items() if name not in ("views", "random_state")}
        return hashlib.sha256(json.dumps([parameters, drawn_by], default=float).encode()).digest()[:16]

    @checked(n=COUNT, views=whole(at_least=0), size=SIZE, seed=SEED)
    def preview(
        self, dataset: Any, *, n: int = 4, views: int = 6, size: tuple[int, int] = (224, 224), seed: int | None = None
    ) -> Figure:
        """Draw a contact sheet: some images, each untouched and in some views.

        Parameters
        ----------
        dataset : ISBIDataset, or sequence of paths, PIL images or uint8 arrays
            Source of the images.
        n : int, default=4
            Number of images, spread evenly over the dataset.
        views : int, default=6
            Number of views of each image, in addition to the unchanged image.
        size : tuple of int, default=(224, 224)
            (height, width) in pixels to which images are resized before augmentation.
        seed : int, optional
            Seed of the views; `random_state` by default.

        Returns
        -------
        matplotlib.figure.Figure
            One row per image; save it with ``figure.savefig``.
        """
        from melanoma_tl.images.loading import open_source
        from melanoma_tl.plots.contact_sheets import draw_views

        source = open_source(dataset)
        shown = None
        if source.length is not None and not source.is_stream:
            shown = set(np.linspace(0, source.length - 1, min(n, source.length)).round().astype(int).tolist())
        pairs = zip(source.items, source.names, strict=False)
        chosen = list(take((pair for row, pair in enumerate(pairs) if shown is None or row in shown), n))
        images = np.stack([load_image(item, size) for item, _ in chosen])
        start = (self.random_state or 0) if seed is None else seed
        columns = [images] + [self.augment(images, (start, view)) for view in range(1, views + 1)]
        return draw_views(
            list(np.stack(columns, axis=1)),
            titles=["untouched", *(f"view {view}" for view in range(1, views + 1))],
            names=[str(name) for _, name in chosen],
            side=1.5,
        )

    def _ranges(self) -> dict[str, tuple[tuple[float, float], float]]:
        """Return the range of each part of an `ImageTransform`, and its neutral value."""
        return {
            "rotation": (_as_range(self.rotation_range, around=0.0), 0.0),
            "row_shift": (_as_range(self.height_shift_range, around=0.0), 0.0),
            "column_shift": (_as_range(self.width_shift_range, around=0.0), 0.0),
            "shear": (_as_range(self.shear_range, around=0.0), 0.0),
            "zoom": (_as_range(self.zoom_range, around=1.0), 1.0),
            "saturation": (_as_range(self.saturation_range, around=1.0), 1.0),
            "contrast": (_as_range(self.contrast_range, around=1.0), 1.0),
            "brightness": (_as_range(self.brightness_range, around=0.0), 0.0),
            "hue": (_as_range(self.hue_range, around=0.0), 0.0),
            "channel_shift": (_as_range(self.channel_shift_range / 255, around=0.0), 0.0),
            "cutout": ((self.cutout, self.cutout), 0.0),
            "cutout_row": ((0.0, 1.0) if self.cutout else (0.5, 0.5), 0.5),
            "cutout_column": ((0.0, 1.0) if self.cutout else (0.5, 0.5), 0.5),
        }

    def _changes(self) -> bool:
        """Return whether views differ by more than a symmetry."""
        return any(range_ != (unchanged, unchanged) for range_, unchanged in self._ranges().values())

    def check_parameters(self) -> None:
        """Check every parameter, and that there are as many different views as asked for."""
        super().check_parameters()
        n_symmetries = len(self._symmetries())
        if self.views is not None and self.views > n_symmetries and not self._changes():
            raise ParameterError(
                f"views={self.views}, but flips and transposition give {n_symmetries} different views of an image: "
                f"take views={n_symmetries}, or change more, such as rotation_range=20"
            )


def _as_range(value: Range, *, around: float) -> tuple[float, float]:
    if isinstance(value, Sequence | np.ndarray):
        return (float(value[0]), float(value[1]))
    return (around - value, around + value)


def _check_images(images: Any) -> NDArray[np.uint8]:
    """Raise an error for an array whose content could be misinterpreted."""
    try:
        pixels = np.asarray(images)
    except ValueError as error:  # of several sizes
        raise ImageError("images", f"expected one array (n, height, width, 3): {error}") from error
    if pixels.dtype != np.uint8:
        is_number = pixels.dtype.kind in "biuf"
        hint = how_to_make_raw(pixels, "images") if is_number else "decode images first, as with images.load_image"
        raise ImageError("images", f"expected raw RGB of dtype uint8, 0 to 255, got {pixels.dtype}; {hint}")
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        raise ImageError("images", f"expected (n, height, width, 3), got one image {pixels.shape}: pass image[None]")
    if pixels.ndim != 4 or pixels.shape[3] != 3 or 0 in pixels.shape[1:]:
        hint = how_to_make_three(pixels.shape, "images")
        raise ImageError("images", f"expected the shape (n, height, width, 3), got {pixels.shape}{hint}")
    return pixels
