"""MixUp and CutMix: training images that combine two images, with mixed labels."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._keras.isolation import own_settings

MIXES = ("mixup", "cutmix")


@own_settings()
def mix_batch(
    mix: str, images: NDArray[np.uint8], labels: NDArray[np.float32], seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mix each image of a batch with another image of the same batch.

    Parameters
    ----------
    mix : {"mixup", "cutmix"}
        Blend the pixels with a weight from Beta(0.2, 0.2) (Zhang et al. 2018, arXiv:1710.09412), or
        paste a rectangle of one image into the other (Yun et al. 2019, arXiv:1905.04899).
    images : ndarray of shape (n, height, width, 3) and dtype uint8
        Raw RGB, 0 to 255.
    labels : ndarray of shape (n, n_scores) and dtype float32
        0 or 1.
    seed : int
        Seed of the mixing.

    Returns
    -------
    images : ndarray of shape (n, height, width, 3) and dtype float32
        0 to 255.
    labels : ndarray of shape (n, n_scores) and dtype float32
        0 to 1: the share of melanoma, or of each diagnosis.
    """
    from keras import ops, random

    layer = _layer(mix)
    batch = {"images": images.astype(np.float32), "labels": labels}
    # A SeedGenerator, because a plain seed gives all random draws of a transformation the same values.
    transformation = layer.get_random_transformation(batch, training=True, seed=random.SeedGenerator(seed))
    mixed = (
        layer.transform_images(batch["images"], transformation, training=True),
        layer.transform_labels(labels, transformation, training=True),
    )
    return ops.convert_to_numpy(mixed[0]), ops.convert_to_numpy(mixed[1])


@cache
def _layer(mix: str) -> Any:
    from keras import layers

    return {"mixup": layers.MixUp, "cutmix": layers.CutMix}[mix]()
