"""The contract of backbones, and a check of it for the tests of your own backbone."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._atomic import scratch
from melanoma_tl._keras.isolation import own_settings, seeded_building
from melanoma_tl._parameters import show
from melanoma_tl.backbones import BackboneSpec, get_backbone
from melanoma_tl.backbones.building import check_file_is_needed, check_weights_were_read
from melanoma_tl.backbones.weights import WeightsFile, find_weights
from melanoma_tl.errors import ContractError, MelanomaTLError, UnknownNameError, in_one_line
from melanoma_tl.network.cutting import split_network
from melanoma_tl.network.graph import IMAGE, Network, build_network, freeze, scaled_images
from melanoma_tl.saving.model_file import load_model, save_model

__all__ = ["CONTRACT", "Clause", "check_backbone"]


@own_settings()
def check_backbone(
    name: str, *, weights: str | os.PathLike[str] | None = None, input_size: tuple[int, int] = (96, 96)
) -> None:
    """Check that a backbone fulfils the contract; this takes seconds for a small one.

    Parameters
    ----------
    name : str
        Name of the backbone; not case-sensitive.
    weights : "imagenet", path or None, default=None
        As in `TransferClassifier`; random weights by default.
    input_size : tuple of int, default=(96, 96)
        (height, width) in pixels of the test images.

    Raises
    ------
    ContractError
        If it does not; an ``AssertionError`` with the clause, what was found, and what is required.
    UnknownNameError
        If there is no such backbone.

    Examples
    --------
    >>> check_backbone("mobilenetv3small", input_size=(64, 64))
    """
    spec = get_backbone(name)
    subject = _Subject(spec, find_weights(spec, weights), input_size)
    for clause in CONTRACT:
        try:
            clause.check(subject)
        # Whatever a builder or a layer of somebody else's raises is a broken clause.
        except Exception as error:
            found = str(error) if isinstance(error, MelanomaTLError) else in_one_line(error)
            raise ContractError(
                f"the backbone {spec.name!r} breaks the contract, clause {clause.name!r}: {found.rstrip('.')}. "
                f"Required: {clause.requirement}"
            ) from error


_SEED = 1_795_853_641
"""Of networks that are compared with the weights in a file, which may well have been drawn from 0."""


class _Bare(NamedTuple):
    """What a builder gives, with random weights and not checked."""

    images: Any
    scaled: Any
    backbone: Any


@dataclass
class _Subject:
    """The backbone that is checked, and the networks that the clauses share."""

    spec: BackboneSpec
    weights: WeightsFile | None
    input_size: tuple[int, int]

    def build(self, input_size: tuple[int, int] | None = None) -> Network:
        import keras

        def head(features: Any) -> Any:
            # Normalised, so that no score is certain and every weight has a gradient, whatever random weights give.
            return keras.layers.LayerNormalization()(keras.layers.GlobalAveragePooling2D()(features))

        network = build_network(
            self.spec,
            weights=self.weights,
            input_size=input_size or self.input_size,
            preprocessing="backbone",
            head=head,
            dropout=0.0,
            random_state=0 if self.weights is None else _SEED,
        )
        if self.weights is None and input_size is None:
            _settle_statistics(network.backbone, self.images)
        return network

    def begin(self) -> tuple[Any, Any]:
        """Begin a graph: raw images, and what the backbone is shown of them."""
        return scaled_images(self.spec, self.input_size, "backbone")

    def build_bare(self, weights: WeightsFile | None = None) -> _Bare:
        with seeded_building(_SEED):
            images, scaled = self.begin()
            return _Bare(images, scaled, self.spec.builder(scaled, None if weights is None else weights.path))

    @cached_property
    def bare(self) -> _Bare:
        return self.build_bare()

    @cached_property
    def again(self) -> _Bare:
        """The same once more, for what two networks must share or must not."""
        return self.build_bare()

    @cached_property
    def frozen(self) -> Network:
        return self.build()

    @contextmanager
    def learning_from(self, first: str | None) -> Iterator[Network]:
        """Unfreeze the network from a layer on; its weights are restored afterwards."""
        network, weights = self.frozen, self.frozen.model.get_weights()
        freeze(network, first)
        try:
            yield network
        finally:
            freeze(network, None)
            network.model.set_weights(weights)

    @cached_property
    def resized(self) -> Network:
        """The same for images of another size, if it takes any."""
        height, width = self.input_size
        others = {"any": (height, width + 32), "square": (2 * height, 2 * width), "one": self.input_size}
        return self.build(others[self.spec.image_sizes])

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """Of the images, from the frozen network."""
        return _run(self.frozen.backbone, self.images)

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """Of the images, from the frozen network."""
        return _run(self.frozen.model, self.images)

    @cached_property
    def images(self) -> NDArray[np.float32]:
        return np.random.default_rng(0).integers(0, 256, (2, *self.input_size, 3)).astype(np.float32)


def _settle_statistics(backbone: Any, images: NDArray[np.float32]) -> None:
    """Set the statistics of batch normalisation from some images.

    With those that it starts with, the signal fades on its way through random weights: to 1e-18 in MobileNet.
    """
    from keras.layers import BatchNormalization

    layers = [layer for layer in _sublayers(backbone) if isinstance(layer, BatchNormalization)]
    before = [(layer.trainable, layer.momentum) for layer in layers]
    for layer in layers:
        layer.trainable, layer.momentum = True, 0.0
    backbone(images, training=True)
    for layer, (trainable, momentum) in zip(layers, before, strict=True):
        layer.trainable, layer.momentum = trainable, momentum


def _require(condition: Any, found: str) -> None:
    if not condition:
        raise ContractError(found)


def _check_model(subject: _Subject) -> None:
    import keras

    backbone = subject.bare.backbone
    _require(isinstance(backbone, keras.Model), f"the builder returns {show(backbone)}")


def _check_outputs(subject: _Subject) -> None:
    outputs = list(getattr(subject.bare.backbone, "outputs", None) or ())
    _require(1 <= len(outputs) <= 2, f"the network has {len(outputs)} outputs")
    _require(all(len(vector.shape) == 2 for vector in outputs[1:]), f"the second output has {outputs[-1].shape}")


def _check_own_layers(subject: _Subject) -> None:
    earlier = {id(layer) for layer in _sublayers(subject.bare.backbone)}
    shared = [layer.name for layer in _sublayers(subject.again.backbone) if id(layer) in earlier and layer.variables]
    _require(not shared, f"two networks share layers: {', '.join(shared[:3])}{', …' * (len(shared) > 3)}")


def _check_weights(subject: _Subject) -> None:
    if subject.weights is not None:
        read = subject.build_bare(subject.weights).backbone
        check_weights_were_read(subject.spec, read, subject.bare.backbone, subject.weights)
    with seeded_building(_SEED):
        _, scaled = subject.begin()
        named = subject.weights or WeightsFile("some.weights.h5", None, official=False)
        check_file_is_needed(subject.spec, scaled, named)


def _check_seed(subject: _Subject) -> None:
    drawn, once_more = (network.backbone.get_weights() for network in (subject.bare, subject.again))
    differ = sum(not np.array_equal(*pair) for pair in zip(drawn, once_more, strict=True))
    _require(not differ, f"{differ} of its {len(drawn)} weights are others when it is built again from the same seed")


def _check_scaling(subject: _Subject) -> None:
    import keras

    images, scaled, backbone = subject.bare
    seen = next((operation.input for operation in backbone.operations if hasattr(operation, "kernel")), scaled)
    once, now = (_run(keras.Model(images, tensor), subject.images) for tensor in (scaled, seen))
    spread, shift = now.std() / once.std(), abs(now.mean() - once.mean()) / once.std()
    _require(
        0.5 < spread < 2 and shift < _LARGEST_SHIFT,
        f"preprocess gives {once.mean():.3g} ± {once.std():.3g}, and the first kernel sees {now.mean():.3g} ± "
        f"{now.std():.3g}",
    )


_LARGEST_SHIFT = 0.75
"""Of the mean, in standard deviations of the pixels: above what a border of zeros makes."""


def _check_feature_map(subject: _Subject) -> None:
    channels = [network.backbone.outputs[0].shape[-1] for network in (subject.frozen, subject.resized)]
    _require(channels[0] == channels[1], f"the number of channels depends on the size of the image: {channels}")
    promised, given = subject.frozen.backbone.outputs[0].shape[1:], subject.features.shape[1:]
    _require(given == promised, f"it promises maps of shape {promised} and gives {given}")


def _check_preprocessing(subject: _Subject) -> None:
    from keras.layers import Lambda

    model, backbone = subject.frozen
    lambdas = [layer.name for layer in _sublayers(model) if isinstance(layer, Lambda)]
    _require(not lambdas, f"there are Lambda layers, which do not reload: {', '.join(lambdas)}")
    _require(np.isfinite(subject.features).all(), "raw images give features that are not finite")
    image = subject.images[0]
    negatives = [np.where(channel, 255 - image, image) for channel in np.eye(3, dtype=bool)]
    features, *changed = _run(backbone, np.stack([image, *negatives]))
    for colour, others in zip(("red", "green", "blue"), changed, strict=True):
        depends = np.abs(others - features).max() > _ROUNDING * np.abs(features).max()
        _require(depends, f"the features do not depend on the {colour} of the image")


_ROUNDING = 1e-5
"""Of features, relative to the largest: the same image differs by less at another place of the batch."""


def _check_freezing(subject: _Subject) -> None:
    with subject.learning_from(None) as (model, backbone):
        learning = [weight for weight in model.weights if not any(weight is frozen for frozen in backbone.weights)]
        before, before_head = _values(backbone.weights), _values(learning)
        _train(model, subject.images)
        changed = _name_changed(backbone.weights, before)
        _require(not changed, f"weights of a frozen backbone changed in training: {changed}")
        _require(_name_changed(learning, before_head), "the head did not learn")


def _check_statistics(subject: _Subject) -> None:
    with subject.learning_from(IMAGE) as (model, backbone):
        _check_unfrozen(model, backbone, subject.images)


def _check_unfrozen(model: Any, backbone: Any, images: NDArray[np.float32]) -> None:
    still, learning = backbone.non_trainable_weights, backbone.trainable_weights
    before, before_learning = _values(still), _values(learning)
    _train(model, images)
    changed = _name_changed(still, before)
    _require(not changed, f"statistics changed in training: {changed}")
    _require(not learning or _name_changed(learning, before_learning), "nothing in the unfrozen backbone learned")


def _check_saving(subject: _Subject) -> None:
    model = subject.frozen.model
    with scratch() as folder:
        path = folder / "model.keras"
        save_model(model, {}, path)
        reloaded = load_model(path).model
    _require_same(_run(reloaded, subject.images), subject.scores, "the reloaded model gives other scores")


def _check_grad_cam(subject: _Subject) -> None:
    import keras

    model, backbone = subject.frozen
    name = subject.spec.last_convolution
    layer = backbone.get_layer(backbone.output_names[0] if name is None else _find_layer(backbone, name))
    shape = tuple(layer.output.shape)
    _require(len(shape) == 4 and min(shape[1:]) > 0, f"the layer {layer.name!r} gives no map, but the shape {shape}")
    maps, scores = keras.Model(model.inputs[0], [layer.output, model.outputs[0]])(subject.images, training=False)
    _require(tuple(maps.shape[1:]) == shape[1:], f"the layer {layer.name!r} gives {maps.shape} instead of {shape}")
    _require_same(keras.ops.convert_to_numpy(scores), subject.scores, "the scores beside the map differ")


def _check_stages(subject: _Subject) -> None:
    names, again = ([layer.name for layer in network.backbone.layers] for network in (subject.frozen, subject.resized))
    for stage in subject.spec.stages:
        _find_layer(subject.frozen.backbone, stage)
        _require(stage in again, f"the layer {stage!r} has another name in the next network")
    places = [names.index(stage) for stage in subject.spec.stages]
    _require(places == sorted(set(places), reverse=True), f"the stages stand at the places {places} of the network")
    weights = [sum(len(layer.weights) for layer in subject.frozen.backbone.layers[place:]) for place in places]
    _require(weights == sorted(set(weights)), f"from the stages on, {weights} weights can learn")


def _check_cut(subject: _Subject) -> None:
    for first in (None, next(iter(subject.spec.stages), IMAGE)):
        with subject.learning_from(first) as network:
            parts = split_network(network.model)
            features = subject.images if parts.frozen is None else _run(parts.frozen, subject.images)
            scores = _run(parts.trained, features)
        _require_same(scores, subject.scores, "the parts of the network give other scores than the whole")


@dataclass(frozen=True)
class Clause:
    """A clause of the contract.

    Attributes
    ----------
    name : str
        What it is about.
    requirement : str
        What a backbone must do.
    check : callable
        Raises where it does not.
    """

    name: str
    requirement: str
    check: Callable[[_Subject], None]


CONTRACT = (
    Clause("model", "the builder returns a keras.Model", _check_model),
    Clause(
        "outputs",
        "the first output of the network is its last feature map; an optional second one is a vector for the whole "
        "image",
        _check_outputs,
    ),
    Clause(
        "own layers",
        "builder and preprocess create new layers in each call, so that training one network does not change another",
        _check_own_layers,
    ),
    Clause(
        "weights",
        "the builder loads the given weights file, for example with model.load_weights(weights), and raises an error "
        "if the file does not fit",
        _check_weights,
    ),
    Clause(
        "seed",
        "random weights come from Keras's initializers without a seed, which the library seeds, or from a fixed seed, "
        "so that the same random_state gives the same weights",
        _check_seed,
    ),
    Clause(
        "feature map",
        "the builder returns keras.Model(keras.utils.get_source_inputs(input_tensor), features), where features have "
        "the shape (n, height, width, channels); it accepts images of any size, unless image_sizes of its BackboneSpec "
        "says otherwise",
        _check_feature_map,
    ),
    Clause(
        "preprocessing",
        "preprocess converts raw RGB, 0 to 255, to the input of the network with operations and layers of Keras in the "
        "graph, without a Lambda layer; the features depend on all three colour channels",
        _check_preprocessing,
    ),
    Clause(
        "one scaling",
        "pixels are scaled only in preprocess, which preprocessing='rescale' replaces; the builder does not scale them "
        "again (include_preprocessing=False)",
        _check_scaling,
    ),
    Clause("freezing", "training does not change the weights of a frozen backbone", _check_freezing),
    Clause(
        "statistics",
        "training changes the weights of an unfrozen backbone, but not the moving statistics of its batch "
        "normalisation, which small batches would distort",
        _check_statistics,
    ),
    Clause(
        "saving",
        "a saved model can be loaded in Keras's safe mode and gives the same scores; custom layers need "
        "keras.saving.register_keras_serializable and get_config",
        _check_saving,
    ),
    Clause(
        "Grad-CAM",
        "the layer last_convolution, or the last layer if it is not given, has an output of shape (n, height, width, "
        "channels) on which the score depends",
        _check_grad_cam,
    ),
    Clause(
        "stages",
        "each stage is the name of a layer, which is the same in every build; stages are listed from the output to the "
        "input; unfreezing from each makes more weights trainable than from the one before",
        _check_stages,
    ),
    Clause(
        "cut",
        "split before the first trained layer, the two parts of the network give the same scores as the whole",
        _check_cut,
    ),
)
"""What `check_backbone` checks, in this order."""


def _run(model: Any, images: Any) -> NDArray[np.float32]:
    from keras import ops

    # Layer by layer: compiling a deep network takes longer than running it once.
    results = model(images, training=False)
    return ops.convert_to_numpy(results[0] if isinstance(results, list | tuple) else results)


def _train(model: Any, images: Any) -> None:
    """Take one step, in which every weight with a gradient changes by its sign."""
    import keras

    model.compile(keras.optimizers.Lion(1e-3), "binary_crossentropy", run_eagerly=True, jit_compile=False)
    model.train_on_batch(images, np.array([[0.0], [1.0]], dtype=np.float32))


def _values(weights: list[Any]) -> list[NDArray[Any]]:
    return [weight.numpy() for weight in weights]


def _name_changed(weights: list[Any], before: list[NDArray[Any]]) -> str:
    """Name the weights that have another value than before; empty if none has."""
    changed = [
        weight.path.partition("/")[2]
        for weight, old in zip(weights, before, strict=True)
        if not np.array_equal(weight.numpy(), old)
    ]
    return ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")


def _require_same(given: NDArray[Any], expected: NDArray[Any], found: str) -> None:
    _require(np.allclose(given, expected, rtol=1e-4, atol=1e-5), f"{found}: {given.ravel()} and {expected.ravel()}")


def _find_layer(backbone: Any, name: str) -> str:
    names = [layer.name for layer in backbone.layers]
    if name not in names:
        raise UnknownNameError("layer of the backbone", name, names)
    return name


def _sublayers(model: Any) -> list[Any]:
    return [part for layer in model.layers for part in layer._flatten_layers()]
