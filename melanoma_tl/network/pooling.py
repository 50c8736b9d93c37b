"""Turn a feature map into features: one number or two for each channel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.errors import UnknownNameError

POOLINGS = ("avg", "max", "avg_max", "log_center")

SPREAD = 0.2
"""Standard deviation of the weights of "log_center", in sides of the image.

Chosen by cross-validation on the training images of ISBI 2016, where 0.15 and 0.25 do about as well.
"""


def pool(maps: Any, pooling: str, name: str) -> list[Any]:
    """Pool a feature map.

    Parameters
    ----------
    maps : KerasTensor of shape (n, height, width, channels)
        The feature map.
    pooling : {"avg", "max", "avg_max", "log_center"}
        The mean of each channel, its maximum, both, or ``log(1 + m)``, where m is the mean weighted by a Gaussian about
        the middle of the image, where a photographed lesion lies, and at least 0. The logarithm draws in the few very
        large values of a channel, which a linear score would follow.
    name : str
        Beginning of the names of the layers.

    Returns
    -------
    list of KerasTensor of shape (n, channels)
        The features; two of "avg_max".

    Raises
    ------
    UnknownNameError
        If there is no such pooling.
    """
    from keras import layers, ops

    if pooling not in POOLINGS:
        raise UnknownNameError("pooling", pooling, POOLINGS)
    if pooling == "log_center":
        # In operations that can be exported: LiteRT takes no einsum, and ONNX no log1p.
        weighted = ops.multiply(maps, center_weights(*maps.shape[1:3])[..., np.newaxis])
        return [ops.log(1.0 + ops.relu(ops.sum(weighted, axis=(1, 2))))]
    kinds = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
    return [kinds[kind](name=f"{name}_{kind}")(maps) for kind in pooling.split("_")]


def center_weights(height: int, width: int) -> NDArray[np.float32]:
    """Weigh the places of a feature map by how near they lie to its middle.

    Parameters
    ----------
    height, width : int
        Of the map.

    Returns
    -------
    ndarray of float32 of shape (height, width)
        A Gaussian with the standard deviation `SPREAD`; adds up to 1.
    """
    vertical, horizontal = (((np.arange(length) + 0.5) / length - 0.5) / SPREAD for length in (height, width))
    weights = np.exp(-(vertical[:, np.newaxis] ** 2 + horizontal**2) / 2)
    return (weights / weights.sum()).astype(np.float32)
