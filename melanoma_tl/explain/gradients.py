"""Gradients of a score with respect to the feature maps of a layer, on every backend of Keras."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

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
    """Computes the feature maps of a layer and the gradient of the logit with respect to them.

    Keras has no function for gradients that works with every backend, but training does: one step of gradient
    descent on the negative logit, with the learning rate 1 and from an offset of 0, gives the gradient.

    Parameters
    ----------
    model : keras.Model
        The network of a classifier; it is not changed.
    layer : keras.Layer
        One of its layers, with feature maps of shape (n, h, w, channels).
    column : int, default=0
        Index of the score.
    """

    def __init__(self, model: Any, layer: Any, column: int = 0) -> None:
        maps, score = layer.output, model.get_layer(SCORE_LAYER)
        linear = keras.layers.Dense(1, name="logit", dtype="float32")
        logit = linear(score.input)
        linear.set_weights([weights[..., column : column + 1] for weights in score.get_weights()])
        self._look = keras.Model(model.inputs[0], maps)
        # If the head uses other feature layers as well, their maps are computed from the image.
        rest = keras.Model([*model.inputs, maps], logit)
        images, seen = keras.Input(model.inputs[0].shape[1:]), keras.Input(maps.shape[1:])
        self._offset = _Offset()
        self._step = keras.Model([images, seen], _FixedNetwork(rest)([images, self._offset(seen)]))
        descent = build_optimizer("sgd", learning_rate=1.0, weight_decay=0.0, clip_norm=None, ema_momentum=None)
        self._step.compile(optimizer=descent, loss=lambda _, logits: -logits, jit_compile=False)

    def measure(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compute maps and gradient of one image.

        Parameters
        ----------
        image : ndarray of shape (height, width, 3) and dtype uint8
            Raw RGB.

        Returns
        -------
        maps, gradient : ndarray of shape (h, w, channels) and dtype float32
            The feature maps of the image, and the gradient of the logit with respect to them.
        """
        images = image[np.newaxis].astype(np.float32)
        maps = ops.convert_to_numpy(self._look(images, training=False))
        self._offset.offset.assign(np.zeros_like(maps))
        self._step.train_on_batch([images, maps], np.zeros((1, 1), np.float32))
        return maps[0], ops.convert_to_numpy(self._offset.offset)[0]
