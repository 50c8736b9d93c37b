"""The transformation of one augmented view: an affine map, changes of colour, a patch without detail, a symmetry."""

from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from melanoma_tl.images.symmetries import LEFT_RIGHT, TRANSPOSED, UP_DOWN, mirror

FILL_MODES = {
    "constant": cv2.BORDER_CONSTANT,
    "nearest": cv2.BORDER_REPLICATE,
    "reflect": cv2.BORDER_REFLECT,
    "wrap": cv2.BORDER_WRAP,
}
"""Fill modes for pixels from outside the image: names in Keras and SciPy, and OpenCV's numbers of them."""


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
    shear : float
        Angle of the shear, in degrees.
    hue : float
        Turn of the hue, as a share of the colour circle.
    channel_shift : float
        Value that is added where it leads to no value outside those of the image, as a share of the full range.
    cutout : float
        Side of a square that gets the mean colour of the image, as a share of the shorter side; 0 for none.
    cutout_row, cutout_column : float
        Centre of the square, as a share of height and width.
    """

    rotation: float = 0.0
    row_shift: float = 0.0
    column_shift: float = 0.0
    zoom: float = 1.0
    saturation: float = 1.0
    contrast: float = 1.0
    brightness: float = 0.0
    symmetry: int = 0
    shear: float = 0.0
    hue: float = 0.0
    channel_shift: float = 0.0
    cutout: float = 0.0
    cutout_row: float = 0.5
    cutout_column: float = 0.5

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
        moves = (self.rotation, self.row_shift, self.column_shift, self.shear, self.zoom) != (0.0, 0.0, 0.0, 0.0, 1.0)
        colours = (self.saturation, self.hue, self.contrast, self.brightness) != (1.0, 0.0, 1.0, 0.0)
        if not moves:
            image = mirror(image[np.newaxis], self.symmetry)[0]
        if not (moves or colours or self.channel_shift or self.cutout):
            return image
        pixels: MatLike = image.astype(np.float32)
        if moves:
            pixels = self._move(pixels, FILL_MODES[fill_mode])
        if self.channel_shift:
            pixels = np.clip(pixels + np.float32(255 * self.channel_shift), pixels.min(), pixels.max())
        if colours:
            pixels = self._colour(pixels)
        if self.cutout:
            self._cut_out(pixels)
        return cv2.convertScaleAbs(np.maximum(pixels, 0)).astype(np.uint8, copy=False)  # rounded, at most 255

    def _move(self, pixels: MatLike, border: int) -> MatLike:
        """Move and mirror: a single bilinear interpolation, because each one blurs the image."""
        height, width = pixels.shape[:2]
        matrix = (self._affine(height, width) @ _mirrored(self.symmetry, height, width))[:2]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(pixels, matrix, (width, height), flags=flags, borderMode=border)

    def _affine(self, height: int, width: int) -> NDArray[np.float64]:
        """Return the affine map from (x, y) of the view, before it is mirrored, to (x, y) of the image, in pixels.

        As in Keras's ``ImageDataGenerator``, a view is zoomed, then sheared, then shifted, then rotated about the
        centre of the image: rotation @ shift @ shear @ zoom.
        """
        angle, shear = np.deg2rad([self.rotation, self.shear])
        rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        shift = _translation(self.column_shift * width, self.row_shift * height)
        sheared = np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1]])
        zoom = np.diag([self.zoom, self.zoom, 1.0])
        centre = (width - 1) / 2, (height - 1) / 2
        return _translation(*centre) @ rotation @ shift @ sheared @ zoom @ _translation(-centre[0], -centre[1])

    def _colour(self, pixels: MatLike) -> MatLike:
        if (self.saturation, self.hue) != (1.0, 0.0):
            hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
            hsv[..., 0] = hsv[..., 0] + np.float32(360 * (self.hue % 1))  # OpenCV takes off 360 degrees
            hsv[..., 1] = np.minimum(hsv[..., 1] * np.float32(self.saturation), 1)
            pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
        if (self.contrast, self.brightness) != (1.0, 0.0):
            # The distance from the mean of each colour is scaled, as in Keras's RandomContrast.
            added = (1 - self.contrast) * _mean_colour(pixels) + 255 * self.brightness
            pixels = cv2.transform(pixels, np.column_stack([np.eye(3) * self.contrast, added]))
        return pixels

    def _cut_out(self, pixels: MatLike) -> None:
        height, width = pixels.shape[:2]
        half = self.cutout * min(height, width) / 2
        (top, bottom), (left, right) = (
            np.rint(np.clip([centre * side - half, centre * side + half], 0, side)).astype(int)
            for centre, side in ((self.cutout_row, height), (self.cutout_column, width))
        )
        pixels[top:bottom, left:right] = _mean_colour(pixels)


def _translation(right: float, down: float) -> NDArray[np.float64]:
    return np.array([[1.0, 0.0, right], [0.0, 1.0, down], [0.0, 0.0, 1.0]])


def _mirrored(symmetry: int, height: int, width: int) -> NDArray[np.float64]:
    """Return the map from (x, y) of a mirrored view to (x, y) of what `mirror` was given."""
    matrix = np.eye(3)
    if symmetry & LEFT_RIGHT:
        matrix = matrix @ np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]])
    if symmetry & UP_DOWN:
        matrix = matrix @ np.array([[1, 0, 0], [0, -1, height - 1], [0, 0, 1]])
    if symmetry & TRANSPOSED:
        matrix = matrix @ np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    return matrix


def _mean_colour(pixels: MatLike) -> NDArray[np.float64]:
    return np.array(cv2.mean(pixels)[:3])
