"""Pooling: turn each channel of a feature map into one number or two."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.errors import UnknownNameError

POOLINGS = ("avg", "max", "avg_max", "log_center")

SPREAD = 0.2
"""Standard deviation of the weights of "log_center", as a share of the side of the image.

Chosen by cross-validation on the training images of ISBI 2016, where 0.15 and 0.25 do about as well.
"""


def pool(maps: Any, pooling: str, name: str) -> list[Any]:
    """Pool a feature map.

    Parameters
    ----------
    maps : KerasTensor of shape (n, height, width, channels)
        The feature map.
    pooling : {"avg", "max", "avg_max", "log_center"}
        The mean of each channel, its maximum, both, or ``sign(m) * log(1 + abs(m))``, where m is the mean weighted by a
        Gaussian around the middle of the image, where a photographed lesion lies. The logarithm compresses the few very
        large values of a channel, which would otherwise dominate a linear score. Maps of ReLU have no negative means.
    name : str
        Prefix of the names of the layers.

    Returns
    -------
    list of KerasTensor of shape (n, channels)
        The features; two tensors with "avg_max".

    Raises
    ------
    UnknownNameError
        If there is no such pooling.
    """
    from keras import layers, ops

    if pooling not in POOLINGS:
        raise UnknownNameError("pooling", pooling, POOLINGS)
    if pooling == "log_center":
        # Only operations that can be exported: LiteRT does not support einsum, and ONNX does not support log1p.
        weighted = ops.multiply(maps, center_weights(*maps.shape[1:3])[..., np.newaxis])
        mean = ops.sum(weighted, axis=(1, 2))
        # Not sign(mean) * log: Keras takes a product with constants for sparse, which PyTorch's inputs cannot be.
        logarithm = ops.log(1.0 + ops.abs(mean))
        return [ops.where(mean < 0, -logarithm, logarithm)]
    kinds = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
    return [kinds[kind](name=f"{name}_{kind}")(maps) for kind in pooling.split("_")]


def center_weights(height: int, width: int) -> NDArray[np.float32]:
    """Compute weights that decrease with the distance from the middle of a feature map.

    Parameters
    ----------
    height, width : int
        Size of the feature map.

    Returns
    -------
    ndarray of float32 of shape (height, width)
        A Gaussian with the standard deviation `SPREAD`; the weights sum to 1.
    """
    vertical, horizontal = (((np.arange(length) + 0.5) / length - 0.5) / SPREAD for length in (height, width))
    weights = np.exp(-(vertical[:, np.newaxis] ** 2 + horizontal**2) / 2)
    return (weights / weights.sum()).astype(np.float32)
