"""Fits share nothing: not a layer, not a seed, not a setting of Keras, and no memory."""

import gc
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest
from conftest import draw_images, register_tiny
from sklearn.base import clone

from melanoma_tl import Stage, TransferClassifier, cross_validate, register_backbone
from melanoma_tl.backbones import get_backbone
from melanoma_tl.errors import ParameterError, UnknownNameError, WeightsUnavailableError
from melanoma_tl.isolation import own_settings

layers = keras.layers
X = draw_images(24)
Y = np.arange(24) % 2
OPTIONS = {"weights": None, "epochs": 1, "random_state": 0, "verbose": 0, "precision": "float32"}


def classifier(backbone="tiny", **changes):
    return TransferClassifier(backbone, **(OPTIONS | changes))


def weights_of(clf):
    return clf.model_.get_weights()


def same(first, second):
    return len(first) == len(second) and all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


# -- objects of Keras --------------------------------------------------------------------------------------------------


def sequential():
    return keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dropout(0.1), layers.Dense(4, activation="relu")])


def functional():
    maps = keras.Input((None, None, 8))
    average, maximum = layers.GlobalAveragePooling2D()(maps), layers.GlobalMaxPooling2D()(maps)
    return keras.Model(maps, layers.Dense(4)(layers.Concatenate()([average, maximum])))


def nested():
    return keras.Sequential([functional(), keras.Sequential([layers.Dense(4), layers.BatchNormalization()])])


@keras.saving.register_keras_serializable("tests")
class Squeeze(layers.Layer):
    """A layer of the user's own."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units, self.dense = units, layers.Dense(units)

    def build(self, shape):
        self.dense.build((shape[0], shape[-1]))

    def call(self, maps):
        return self.dense(keras.ops.mean(maps, axis=(1, 2)))

    def compute_output_shape(self, shape):
        return shape[0], self.units

    def get_config(self):
        return super().get_config() | {"units": self.units}


def trained():
    """A network that has learned already, and of these very images."""
    model = keras.Sequential([keras.Input((7, 7, 8)), layers.Flatten(), layers.Dense(4)])
    model.set_weights([np.full(weight.shape, 3.0) for weight in model.get_weights()])
    return model


OBJECTS = {
    "sequential": sequential,
    "functional": functional,
    "nested": nested,
    "layer": layers.GlobalMaxPooling2D,
    "own layer": lambda: Squeeze(3),
    "trained": trained,
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_of_keras_is_a_pattern_and_learns_nothing_itself(kind, tmp_path):
    head = OBJECTS[kind]()
    before = [weight.copy() for weight in head.get_weights()]
    first = classifier(head=head, trainable_from="conv2").fit(X, Y)
    scores = first.predict_proba(X)
    second = classifier(head=head, trainable_from="conv2").fit(X[::-1], Y[::-1])
    assert same(weights_of(first), weights_of(classifier(head=head, trainable_from="conv2").fit(X, Y)))
    assert np.array_equal(first.predict_proba(X), scores), "a finished classifier stays as it is"
    assert same(before, head.get_weights()), "the object stays as it was"
    assert not {id(v) for v in first.model_.variables} & {id(v) for v in [*second.model_.variables, *head.variables]}
    assert not any(isinstance(layer, keras.Model) for layer in first.model_.layers), "graphs are flat"
    first.save(tmp_path / "model.keras")
    assert np.allclose(TransferClassifier.load(tmp_path / "model.keras").predict_proba(X), scores, atol=1e-6)


def test_an_object_and_the_same_in_a_function_give_the_same_weights():
    def function(maps):
        return layers.Dense(4, name="squeezed")(layers.GlobalAveragePooling2D(name="means")(maps))

    as_object = keras.Sequential([layers.GlobalAveragePooling2D(name="means"), layers.Dense(4, name="squeezed")])
    assert same(*(weights_of(classifier(head=head).fit(X, Y)) for head in (function, as_object)))


def test_a_clone_has_learned_nothing():
    fitted = classifier(head=sequential()).fit(X, Y)
    copied = clone(fitted)
    assert not hasattr(copied, "model_")
    assert same(weights_of(copied.fit(X, Y)), weights_of(fitted))


def test_names_that_the_backbone_has_already_do_not_matter():
    head = keras.Sequential([layers.GlobalAveragePooling2D(name="conv2"), layers.Dense(3, name="conv1")])
    names = [layer.name for layer in classifier(head=head).fit(X, Y).model_.layers]
    assert names[-3:] == ["head_conv2", "head_conv1", "melanoma"]


def made_before():
    """A function that calls the same layer whenever it is called."""
    dense = layers.Dense(4)
    dense.build((None, 8))
    return lambda maps: dense(layers.GlobalAveragePooling2D()(maps))


def made_at_first():
    made = []

    def head(maps):
        made.append(layers.Dense(4)) if not made else None
        return made[0](layers.GlobalAveragePooling2D()(maps))

    return head


def test_a_function_that_calls_a_layer_made_before_is_refused():
    with pytest.raises(ParameterError, match=r"the head uses the layer 'dense.*', which was made before.*pass the layer"):
        classifier(head=made_before()).fit(X, Y)


def test_a_function_that_calls_the_layer_of_another_fit_is_refused():
    head = made_at_first()
    first = classifier(head=head).fit(X, Y)
    scores = first.predict_proba(X)
    with pytest.raises(ParameterError, match="was made before"):
        classifier(head=head).fit(X, Y)
    assert np.array_equal(first.predict_proba(X), scores)


class Unregistered(layers.Layer):
    def call(self, maps):
        return keras.ops.mean(maps, axis=(1, 2))


class Forgetful(Squeeze):
    """Does not say what it is made with."""

    def get_config(self):
        return layers.Layer.get_config(self)


def two_inputs(maps):
    return layers.Concatenate()([layers.Flatten()(maps), keras.Input((5,))])


REFUSED = {
    "a number": (lambda maps: 5, "must return a tensor .* got 5"),
    "nothing": (lambda maps: None, "must return a tensor .* got None"),
    "an object": (lambda maps: sequential(), "must return a tensor .* got <Sequential"),
    "a list": (lambda maps: [layers.Flatten()(maps)], r"must return a tensor .* got \["),
    "an array": (lambda maps: np.zeros((1, 4)), "must return a tensor .* got array"),
    "numbers of its own": (lambda maps: keras.ops.ones((1, 4)), "must return a tensor"),
    "no argument": (lambda: None, "cannot be applied to the feature map .*TypeError"),
    "two arguments": (lambda maps, more: None, "cannot be applied to the feature map .*TypeError"),
    "raises": (lambda maps: {}["x"], "cannot be applied to the feature map .*KeyError"),
    "maps": (layers.Dense(1), r"\(n, features\), got \(None, 7, 7, 1\)"),
    "other units": (lambda maps: trained()(layers.GlobalMaxPooling2D()(maps)), "cannot be applied"),
    "no units": (lambda maps: layers.Flatten()(maps)[:, :0], r"got \(None, 0\)"),
    "another input": (lambda maps: keras.Input((4,)), "another input"),
    "two inputs": (two_inputs, "another input"),
    "a class": (keras.Sequential, "not its class, got <class"),
    "a class of a layer": (layers.Flatten, "not its class, got <class"),
    "a class of an optimizer": (keras.optimizers.Adam, "not its class, got <class"),
    "an optimizer": (keras.optimizers.Adam(), "head must be"),
    "a lambda layer": (keras.Sequential([layers.Lambda(lambda maps: maps[:, 0, 0])]), "cannot be made again|Lambda"),
    "a lambda in a function": (layers.Lambda(lambda maps: maps[:, 0, 0]), "cannot be made again|Lambda"),
    "not registered": (Unregistered(), "could be trained, but not saved: .*Unregistered"),
    "forgetful": (Forgetful(3), "cannot be made again .*get_config"),
    "forgetful in a function": (lambda maps: Forgetful(3)(maps), "cannot be made again .*get_config"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_head_that_cannot_be_used_is_refused_before_an_image_is_read(case):
    head, message = REFUSED[case]
    with pytest.raises((ParameterError, UnknownNameError), match=message):
        classifier(head=head, on_error="raise").fit(["there_is_no_such_file.png"] * 4, [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backbone", keras.Sequential()),
        ("backbone", keras.Sequential),
        ("loss", keras.losses.BinaryCrossentropy()),
        ("optimizer", keras.optimizers.Adam()),
        ("optimizer", keras.optimizers.Adam),
        ("learning_rate", keras.optimizers.schedules.CosineDecay(0.1, 3)),
        ("augmenter", layers.RandomFlip()),
    ],
)
def test_other_objects_of_keras_are_refused(name, value):
    with pytest.raises(ParameterError, match=f"{name} must be"):
        classifier(**{name: value}).fit(X, Y) if name != "backbone" else classifier(value).fit(X, Y)
