"""Add to a graph what `predict_proba` does after the network: views, calibration, and the mean over members."""

from collections.abc import Callable, Sequence
from typing import Any

from melanoma_tl._keras.isolation import named_beside, seeded_building
from melanoma_tl.images.symmetries import LEFT_RIGHT, TRANSPOSED, UP_DOWN
from melanoma_tl.metrics.calibration import Calibration
from melanoma_tl.network.graph import IMAGE, SCORE_LAYER


def with_tuning(model: Any, n_views: int, calibration: Calibration | None) -> Any:
    """Return a network that scores an image by the mean over its symmetries, calibrated.

    Parameters
    ----------
    model : keras.Model
        From images to the scores of its layer `SCORE_LAYER`.
    n_views : {1, 2, 4, 8}
        How many symmetries, in the order of `melanoma_tl.images.symmetries.COUNTS`.
    calibration : Calibration or None
        Is applied to the mean.

    Returns
    -------
    keras.Model
        Shares all layers but the last with `model`; the same for one view that is not calibrated.

    Notes
    -----
    What is calibrated are log odds that come from the layer itself, and not from a probability: one near 1 float32
    cannot tell from 1, and a calibration would make one score of it in this runtime and another in that.
    """
    import keras

    if calibration is None:
        return _with_views(model, n_views)
    layer = model.get_layer(SCORE_LAYER)
    with seeded_building(0):
        linear = keras.layers.Dense.from_config(layer.get_config() | {"activation": "linear", "name": "log_odds"})
    network = keras.Model(model.inputs[0], linear(layer.input), name=model.name)
    linear.set_weights(layer.get_weights())
    network = _with_views(network, n_views, _log_odds_of_mean)
    with named_beside(network):
        calibrated = keras.ops.sigmoid(network.outputs[0] * calibration.slope + calibration.shift)
    return keras.Model(network.inputs[0], calibrated, name=network.name)


def _log_odds_of_mean(log_odds: Any, axis: int) -> Any:
    """Return the log odds of the mean of probabilities, from their own log odds, without leaving logarithms."""
    return _log_of_mean(log_odds, axis) - _log_of_mean(-log_odds, axis)


def _log_of_mean(log_odds: Any, axis: int) -> Any:
    """Return the logarithm of the sum of probabilities, in operations that every runtime has."""
    from keras import ops

    logs = ops.minimum(log_odds, 0.0) - ops.log(1.0 + ops.exp(-ops.abs(log_odds)))
    largest = ops.max(logs, axis=axis, keepdims=True)
    return ops.squeeze(largest, axis) + ops.log(ops.sum(ops.exp(logs - largest), axis=axis))


def _with_views(model: Any, n_views: int, average: Callable[..., Any] | None = None) -> Any:
    """Apply a network to all views of an image in one batch, and average its outputs."""
    import keras

    if n_views == 1:
        return model
    images = keras.Input(model.inputs[0].shape[1:], name=IMAGE)
    views = keras.ops.concatenate([_mirror(images, number) for number in range(n_views)], axis=0)
    scores = keras.ops.reshape(model(views), (n_views, -1, model.outputs[0].shape[-1]))
    return keras.Model(images, (average or keras.ops.mean)(scores, axis=0), name=f"{model.name}_views")


def _mirror(images: Any, number: int) -> Any:
    """Return images under one of the symmetries that `melanoma_tl.images.symmetries.mirror` counts."""
    import keras

    if number & LEFT_RIGHT:
        images = keras.ops.flip(images, axis=2)
    if number & UP_DOWN:
        images = keras.ops.flip(images, axis=1)
    if number & TRANSPOSED:
        images = keras.ops.transpose(images, (0, 2, 1, 3))
    return images


def with_calibration(model: Any, calibration: Calibration | None) -> Any:
    """Return a network that scores as another one does after calibration.

    Parameters
    ----------
    model : keras.Model
        From images to probabilities of melanoma.
    calibration : Calibration or None
        Is applied to the probabilities, as `Calibration.apply` does; 0 stays 0 and 1 stays 1.

    Returns
    -------
    keras.Model
        Shares all layers with `model`; the same without a calibration.
    """
    import keras

    if calibration is None:
        return model
    scores = model.outputs[0]
    with named_beside(model):
        log_odds = keras.ops.log(scores) - keras.ops.log(1.0 - scores)
        calibrated = keras.ops.sigmoid(log_odds * calibration.slope + calibration.shift)
    return keras.Model(model.inputs[0], calibrated, name=model.name)


def for_inference(model: Any) -> Any:
    """Return a network that computes as in scoring, whoever calls it.

    Some layers of Keras that change images at random, such as ``RandomTranslation``, do so unless they are called with
    ``training=False``, as ``predict`` does; a function that is traced for another runtime does not.

    Parameters
    ----------
    model : keras.Model
        From images to scores.

    Returns
    -------
    keras.Model
        Shares all layers with `model`.
    """
    import keras

    images = keras.Input(model.inputs[0].shape[1:], name=IMAGE)
    within = keras.Model(model.inputs[0], model.outputs[0], name="network")
    return keras.Model(images, within(images, training=False), name=model.name)


def without_calibration(model: Any) -> Any:
    """Take off what `with_calibration` put on.

    Parameters
    ----------
    model : keras.Model
        Flat.

    Returns
    -------
    keras.Model
        Ends with the layer that scores.
    """
    import keras

    score = model.get_layer(SCORE_LAYER).output
    return model if model.outputs[0] is score else keras.Model(model.inputs[0], score, name=model.name)


def average(models: Sequence[Any]) -> Any:
    """Return a network that gives the mean of the scores of several.

    Parameters
    ----------
    models : sequence of keras.Model
        From images of one size to scores of one meaning.

    Returns
    -------
    keras.Model
        Shares all layers with them.
    """
    import keras

    images = keras.Input(models[0].inputs[0].shape[1:], name=IMAGE)
    members = [keras.Model(model.inputs[0], model.outputs[0], name=f"member_{n}") for n, model in enumerate(models)]
    scores = keras.ops.stack([member(images) for member in members], axis=0)
    return keras.Model(images, keras.ops.mean(scores, axis=0), name="ensemble")
