"""The transformation of one augmented view: an affine map, a change of colours, then a symmetry."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.transform import warp

from melanoma_tl.images.symmetries import mirror

FILL_MODES = {"constant": "constant", "nearest": "edge", "reflect": "symmetric", "wrap": "wrap"}
"""Fill modes for pixels from outside the image: names in Keras and SciPy, and their names in scikit-image."""


@dataclass(frozen=True)
class ImageTransform:
    """The transformation from an image to one of its views.

    Attributes
    ----------
    rotation : float
        Counter-clockwise rotation of the image, in degrees.
    row_shift, column_shift : float
        Shift of the image up and to the left, before the rotation, as a share of its height and width.
    zoom : float
        Factor of the field of view.
    saturation, contrast : float
        Factors, 1 for no change.
    brightness : float
        Value that is added, as a share of the full range.
    symmetry : int
        Number of a symmetry of the square, as `melanoma_tl.images.symmetries.mirror` takes it.
    """

    rotation: float = 0.0
    row_shift: float = 0.0
    column_shift: float = 0.0
    zoom: float = 1.0
    saturation: float = 1.0
    contrast: float = 1.0
    brightness: float = 0.0
    symmetry: int = 0

    def apply(self, image: NDArray[np.uint8], fill_mode: str) -> NDArray[np.uint8]:
        """Return the view.

        Parameters
        ----------
        image : ndarray of shape (height, width, 3) and dtype uint8
            Raw RGB, 0 to 255; not modified.
        fill_mode : {"nearest", "constant", "reflect", "wrap"}
            Fill mode for pixels from outside the image.

        Returns
        -------
        ndarray of shape (height, width, 3) and dtype uint8
            The view, rounded once after all changes. Transposing symmetries need square images.
        """
        moves = (self.rotation, self.row_shift, self.column_shift, self.zoom) != (0.0, 0.0, 0.0, 1.0)
        colours = (self.saturation, self.contrast, self.brightness) != (1.0, 1.0, 0.0)
        if moves or colours:
            pixels = image.astype(np.float32)
            if moves:
                # Bilinear. A single interpolation for all geometric changes, because each one blurs the image.
                pixels = warp(pixels, self._matrix(image), order=1, mode=FILL_MODES[fill_mode], preserve_range=True)
            if colours:
                pixels = self._colour(pixels)
            image = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        return mirror(image[np.newaxis], self.symmetry)[0]

    def _matrix(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the affine map from (x, y) of the view to (x, y) of the image, in pixels.

        As in Keras's ``ImageDataGenerator``, a view is zoomed, then shifted, then rotated about the centre of the
        image: rotation @ shift @ zoom.
        """
        height, width = image.shape[:2]
        angle = np.deg2rad(self.rotation)
        rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        shift = _translation(self.column_shift * width, self.row_shift * height)
        zoom = np.diag([self.zoom, self.zoom, 1.0])
        centre = (width - 1) / 2, (height - 1) / 2
        return _translation(*centre) @ rotation @ shift @ zoom @ _translation(-centre[0], -centre[1])

    def _colour(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.saturation != 1.0:
            # The S of HSV is (highest - lowest) / highest, and at most 1; hue and value stay.
            highest, lowest = pixels.max(axis=2, keepdims=True), pixels.min(axis=2, keepdims=True)
            largest = np.divide(highest, highest - lowest, out=np.ones_like(highest), where=highest > lowest)
            pixels = highest - (highest - pixels) * np.minimum(self.saturation, largest)
        if self.contrast != 1.0:
            mean = pixels.mean(axis=(0, 1))  # of each colour, as in Keras's RandomContrast
            pixels = (pixels - mean) * self.contrast + mean
        return pixels + 255 * self.brightness


def _translation(right: float, down: float) -> NDArray[np.float64]:
    return np.array([[1.0, 0.0, right], [0.0, 1.0, down], [0.0, 0.0, 1.0]])
