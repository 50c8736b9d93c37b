"""Gradients of a score with respect to feature maps, on every backend of Keras."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from melanoma_tl.network.feature_maps import is_feature_map
from melanoma_tl.network.graph import SCORE_LAYER
from melanoma_tl.training.optimizers import build_optimizer


class _Offset(keras.layers.Layer):
    """Adds a weight to feature maps; one training step of the weight gives the gradient."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.offset = self.add_weight(shape=(1, *shape[1:]), initializer="zeros", name="offset")

    def call(self, maps: Any) -> Any:
        return maps + self.offset


class _FixedNetwork(keras.layers.Layer):
    """Calls a network without training its weights, and with dropout off."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        # Behind a function, Keras does not track the network, whose layers belong to a classifier.
        self._call: Callable[[Any], Any] = lambda inputs: network(inputs, training=False)

    def call(self, inputs: Any) -> Any:
        return self._call(inputs)


class MapGradient:
    """Computes feature maps and the gradient of the logit with respect to each, in one backward pass.

    Keras has no function for gradients that works with every backend, but training does: one step of gradient
    descent on the negative logit, with the learning rate 1 and from an offset of 0, gives the gradient.

    Parameters
    ----------
    model : keras.Model
        The network of a classifier; it is not changed.
    maps : sequence of KerasTensor of shape (n, h, w, channels)
        Feature maps in it. The gradient with respect to each is that with all the others fixed.
    column : int, default=0
        Index of the score.
    """

    def __init__(self, model: Any, maps: Sequence[Any], column: int = 0) -> None:
        score = model.get_layer(SCORE_LAYER)
        linear = keras.layers.Dense(1, name="logit", dtype="float32")
        logit = linear(score.input)
        linear.set_weights([weights[..., column : column + 1] for weights in score.get_weights()])
        self._look = keras.Model(model.inputs[0], list(maps))
        # If the head uses other features as well, these are computed from the image.
        rest = keras.Model([*model.inputs, *maps], logit)
        images, *seen = (keras.Input(tensor.shape[1:]) for tensor in (model.inputs[0], *maps))
        self._offsets = [_Offset() for _ in maps]
        moved = [offset(one) for offset, one in zip(self._offsets, seen, strict=True)]
        self._step = keras.Model([images, *seen], _FixedNetwork(rest)([images, *moved]))
        descent = build_optimizer("sgd", learning_rate=1.0, weight_decay=0.0, clip_norm=None, ema_momentum=None)
        self._step.compile(optimizer=descent, loss=lambda _, logits: -logits, jit_compile=False)

    def measure(self, image: NDArray[np.uint8]) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Compute maps and gradients of one image.

        Parameters
        ----------
        image : ndarray of shape (height, width, 3) and dtype uint8
            Raw RGB.

        Returns
        -------
        list of (maps, gradient), each an ndarray of shape (h, w, channels) and dtype float32
            Each feature map of the image, and the gradient of the logit with respect to it.
        """
        images = image[np.newaxis].astype(np.float32)
        seen = keras.tree.flatten(self._look(images, training=False))  # of a single map Keras makes no list
        maps = [ops.convert_to_numpy(one) for one in seen]
        for offset, one in zip(self._offsets, maps, strict=True):
            offset.offset.assign(np.zeros_like(one))
        self._step.train_on_batch([images, *maps], np.zeros((1, 1), np.float32))
        return [
            (one[0], ops.convert_to_numpy(offset.offset)[0]) for offset, one in zip(self._offsets, maps, strict=True)
        ]


def pooled_maps(model: Any) -> list[Any]:
    """Find the feature maps that the head reads, each once.

    Parameters
    ----------
    model : keras.Model
        The network of a classifier.

    Returns
    -------
    list of KerasTensor of shape (n, h, w, channels)
        What is reached from the score through vectors alone; maps that the head has weighted are returned as such.
    """
    found: list[Any] = []
    seen: set[int] = set()
    waiting = [model.get_layer(SCORE_LAYER).input]
    while waiting:
        tensor = waiting.pop(0)
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if is_feature_map(tensor):
            found.append(tensor)
        elif len(tensor.shape) == 2:
            waiting += keras.tree.flatten(tensor._keras_history.operation.input)
    return [tensor for tensor in found if tensor is not model.inputs[0]]
