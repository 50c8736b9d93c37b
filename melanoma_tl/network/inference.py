"""`NetworkScorer`: what a network gives for images, batch by batch, as a mean over views."""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from melanoma_tl._keras.device_errors import explaining_device_errors
from melanoma_tl._keras.forward import keep_weights
from melanoma_tl._keras.host_call import naming_host_errors
from melanoma_tl.errors import MelanomaTLError
from melanoma_tl.images.blank import why_blank
from melanoma_tl.images.decoding import SkippedRow
from melanoma_tl.images.loading import open_source, read_batches
from melanoma_tl.images.symmetries import check_tta, symmetric_views
from melanoma_tl.network.cutting import build_scorer, explain_precision_errors
from melanoma_tl.network.precision import Precision, computes_on_gpu

logger = logging.getLogger(__name__)

_PIXELS_AT_ONCE = 16 * 224 * 224
"""Pixels of the images that go through the network at once: bounds the memory, whatever the size of the images. On two
cores, VGG19 scored 1 % fewer images a second than with twice as many pixels, and took 300 of 1,700 MiB less."""

_TIMES_AS_MANY_ON_GPU = 4
"""An accelerator needs larger batches to be busy."""


_LESS_MEMORY = "pass a lower batch_size (now {}), or end other programs that use the memory"


class NetworkScorer:
    """A network in the precision that it scores in.

    Parameters
    ----------
    model : keras.Model
        From raw images (n, height, width, 3) to scores (n, n_scores).
    precision : Precision
        What it computes in.

    Attributes
    ----------
    network : keras.Model
        The same network in that precision.
    size : tuple of int
        (height, width) of its images, in pixels.
    """

    def __init__(self, model: Any, precision: Precision) -> None:
        self.model, self.precision = model, precision
        self.network = build_scorer(model, precision)
        self.size: tuple[int, int] = tuple(self.network.inputs[0].shape[1:3])

    def check(self) -> None:
        """Score one black image, which tells whether each layer computes in the precision.

        Raises
        ------
        ParameterError
            If one does not. Only running it tells: it may be of the user's own, and not all of TensorFlow's operations
            exist in bfloat16.
        """
        if self.network is not self.model:
            with explain_precision_errors():
                self.network(np.zeros((1, *self.network.inputs[0].shape[1:]), dtype=np.float32), training=False)

    def score(
        self, X: Any, n_views: int, *, batch_size: int | None, on_error: str, verbose: int
    ) -> NDArray[np.float64]:
        """Decode, resize and score images batch by batch; memory does not grow with their number.

        Parameters
        ----------
        X : object
            Images, as `melanoma_tl.images.loading.open_source` knows them.
        n_views : {1, 2, 4, 8}
            Number of views to average.
        batch_size : int or None
            Images that go through the network at once; None takes `count_images_at_once`.
        on_error : {"raise", "skip"}
            What an image that cannot be read does.
        verbose : int
            0 shows no progress.

        Returns
        -------
        ndarray of shape (n_images, n_scores) and dtype float64
            NaN where an image was skipped; the log says why, and warns of blank images.

        Raises
        ------
        ImageError
            If an image cannot be read and `on_error` is "raise".
        ParameterError
            If there are 8 views and the images are not square.
        DeviceError
            If memory is full, or the device fails.
        """
        check_tta(n_views, self.size)
        scores: list[NDArray[np.float64]] = []
        skipped: list[SkippedRow] = []
        n_blank = 0
        for batch in read_batches(
            open_source(X),
            self.size,
            batch_size=batch_size or count_images_at_once(self.size),
            on_error=on_error,
            desc="Score images",
            verbose=verbose,
        ):
            of_batch = np.full((len(batch.readable), self.network.outputs[0].shape[-1]), np.nan)
            if len(batch.pixels):
                of_batch[batch.readable] = self._mean_score(batch.pixels, n_views)
                n_blank += sum(bool(why_blank(Image.fromarray(pixels))) for pixels in batch.pixels)
            scores.append(of_batch)
            skipped += batch.skipped
        for row in skipped:
            logger.warning("no score for %s: %s", row.path or row.image_id, row.reason)
        found = np.concatenate(scores)
        if n_blank:
            logger.warning(
                "%d of %d images %s blank (black, white or of one colour): look at them, their scores mean nothing",
                n_blank,
                len(found),
                "is" if n_blank == 1 else "are",
            )
        return found

    def _mean_score(self, images: NDArray[np.uint8], n_views: int) -> NDArray[np.float64]:
        views = symmetric_views(images, n_views)
        try:
            scores = [run_batch(self.network, view, _LESS_MEMORY.format(len(images))) for view in views]
        except MelanomaTLError:
            raise
        except Exception:
            self.check()  # which says so, if the precision is the cause
            raise
        return np.mean(scores, axis=0, dtype=np.float64)


def run_batch(network: Any, images: NDArray[np.uint8], advice: str) -> NDArray[Any]:
    """Run a network on some images.

    Parameters
    ----------
    network : keras.Model
        From raw images to anything.
    images : ndarray of shape (n_images, height, width, 3) and dtype uint8
        Raw RGB, 0 to 255.
    advice : str
        What takes less memory, if it is full.

    Returns
    -------
    ndarray of shape (n_images, ...)
        What the network gives.

    Raises
    ------
    DeviceError
        If memory is full, or the device fails.
    """
    keep_weights(network)
    with explaining_device_errors(advice), naming_host_errors():
        return np.asarray(network.predict_on_batch(images))


def count_images_at_once(size: tuple[int, int]) -> int:
    """Return how many images go through the network at once where nothing else decides.

    Parameters
    ----------
    size : tuple of int
        (height, width) in pixels.

    Returns
    -------
    int
        At least 1; at 224x224, 16 on a processor and 64 on a GPU.
    """
    pixels = _PIXELS_AT_ONCE * (_TIMES_AS_MANY_ON_GPU if computes_on_gpu() else 1)
    return max(1, pixels // (size[0] * size[1]))
