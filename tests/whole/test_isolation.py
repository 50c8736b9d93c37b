"""Fits share nothing: not a layer, not a seed, not a setting of Keras, and no memory."""

import ctypes
import gc
import random
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest
from conftest import draw_images
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from melanoma_tl import Stage, TransferClassifier, cross_validate, list_backbones, register_backbone
from melanoma_tl._keras.copies import copy_layer
from melanoma_tl._keras.isolation import own_settings
from melanoma_tl.distribution import forget_networks
from melanoma_tl.errors import ParameterError, UnknownNameError, WeightsUnavailableError
from melanoma_tl.metrics.calibration import Calibration
from melanoma_tl.network.scoring_graph import with_tuning
from melanoma_tl.training.replicas import SINGLE_DEVICE
from melanoma_tl.training.run import TrainingRun

layers = keras.layers
X = draw_images(24)
Y = np.arange(24) % 2
OPTIONS = {"weights": None, "epochs": 1, "random_state": 0, "verbose": 0, "precision": "float32"}


def classifier(backbone="tiny", **changes):
    return TransferClassifier(backbone).set_params(**(OPTIONS | changes))


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


@pytest.mark.slow
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
    with pytest.raises(ParameterError, match=r"the head uses the layer 'dense.*', .* made before.*pass the layer"):
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


@keras.saving.register_keras_serializable("tests")
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
    "a lambda layer": (keras.Sequential([layers.Lambda(lambda maps: maps[:, 0, 0])]), "cannot be copied|Lambda"),
    "a lambda in a function": (layers.Lambda(lambda maps: maps[:, 0, 0]), "cannot be copied|Lambda"),
    "not registered": (Unregistered(), "could be trained, but not saved: .*Unregistered"),
    "forgetful": (Forgetful(3), "cannot be copied .*get_config"),
    "forgetful in a function": (lambda maps: Forgetful(3)(maps), "cannot be copied .*get_config"),
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
        ("loss", keras.losses.BinaryCrossentropy),
        ("optimizer", keras.optimizers.Adam),
        ("learning_rate", keras.optimizers.schedules.CosineDecay),
        ("augmenter", layers.RandomFlip()),
    ],
)
def test_other_objects_of_keras_are_refused(name, value):
    with pytest.raises(ParameterError, match=f"{name} must be"):
        classifier(**{name: value}).fit(X, Y) if name != "backbone" else classifier(value).fit(X, Y)


class Waiting(keras.callbacks.Callback):
    """Holds training up until it is told to go on."""

    def __init__(self):
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def on_train_begin(self, logs=None):
        self.begun.set()
        assert self.go_on.wait(60)


def test_a_callback_watches_one_fit_at_a_time():
    callback = Waiting()
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(lambda: classifier().fit(X, Y, callbacks=[callback]))
        assert callback.begun.wait(60)
        with pytest.raises(ParameterError, match="the callback Waiting is used by another fit at this moment"):
            classifier().fit(X, Y, callbacks=[callback])
        callback.go_on.set()
        assert same(weights_of(first.result()), weights_of(classifier().fit(X, Y, callbacks=[callback])))


# -- seeds -------------------------------------------------------------------------------------------------------------


def drawing_head(maps):
    """Draws initial weights, dropout and noise without a seed of its own."""
    features = layers.GaussianNoise(0.1)(layers.GlobalAveragePooling2D()(maps))
    return layers.Dropout(0.3)(layers.Dense(8, activation="relu")(features))


@keras.saving.register_keras_serializable("tests")
class Jitter(layers.Layer):
    """Draws from Keras's own generator, of which there is one for each thread."""

    def call(self, inputs, training=False):
        return inputs + keras.random.normal((8,)) if training else inputs


SEEDED = {
    "own head": {"head": drawing_head, "trainable_from": "conv2"},
    "object": {"head": keras.Sequential([layers.Flatten(), layers.Dense(8), layers.Dropout(0.3)])},
    "mixed": {"mix": "mixup", "trainable_from": "conv1"},
    "stages": {"stages": (Stage(), Stage("conv1"))},
    "two precisions": {"head": drawing_head, "precision": "bfloat16"},
}


def fit_one(name, seed):
    return weights_of(classifier(**SEEDED[name] | {"random_state": seed}).fit(X, Y))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_in_threads_and_after_other_fits():
    tasks = [(name, seed) for name in SEEDED for seed in (0, 1)]
    alone = {task: fit_one(*task) for task in tasks}
    random.seed(5)
    keras.utils.set_random_seed(5)
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda task: fit_one(*task), tasks))
    assert all(same(alone[task], weights) for task, weights in zip(tasks, together, strict=True))
    assert not same(alone["own head", 0], alone["own head", 1])
    again = joblib.Parallel(2, backend="threading")(joblib.delayed(fit_one)(*task) for task in tasks[:2])
    assert all(same(alone[task], weights) for task, weights in zip(tasks, again, strict=False))


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX refuses layers that draw without a seed of their own")
def test_layers_that_draw_without_a_generator_of_their_own_are_seeded():
    def head(maps):
        return Jitter()(layers.GlobalAveragePooling2D()(maps))

    keras.random.normal((3,))  # the user's own draws come from the same place
    first = classifier(head=head, epochs=2).fit(X, Y)
    keras.random.normal((3,))
    assert same(weights_of(first), weights_of(classifier(head=head, epochs=2).fit(X, Y)))
    assert not same(weights_of(first), weights_of(classifier(head=head, epochs=2, random_state=1).fit(X, Y)))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_users_random_state_stays_as_it_is(precision, tmp_path):
    """Whatever makes layers: a fit, a second precision, a file, the graph of an export."""

    def draw():
        keras.utils.set_random_seed(3)
        return lambda: (random.random(), np.random.random(), float(keras.random.normal(())))  # noqa: NPY002

    expected = draw()()
    drawn = draw()
    clf = classifier(head=drawing_head, precision=precision).fit(X, Y)
    clf.save(tmp_path / "model.keras")
    TransferClassifier.load(tmp_path / "model.keras").predict_proba(X)
    with_tuning(clf.model_, 2, Calibration(0.5, 0.1))
    assert drawn() == expected


def names_of_layers(name):
    """Build twice, beside layers of the user's, and after them."""
    found = []
    for _ in range(2):
        clf = classifier(name, weights=None, input_size=(32, 32), random_state=0)
        network = TrainingRun(clf, 0, SINGLE_DEVICE).build()
        found.append([operation.name for operation in network.model.operations])
        layers.Conv2D(1, 1)
        layers.Dense(1)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenetv3small", "tiny"])
def test_names_of_layers_do_not_depend_on_what_was_built_before(name):
    here = [*names_of_layers(name)]
    with ThreadPoolExecutor(1) as thread:
        here += thread.submit(names_of_layers, name).result()
    assert all(names == here[0] for names in here)


def test_layers_that_keras_names_can_be_tapped_and_trained(tmp_path):
    register_backbone("unnamed", preprocess=layers.Rescaling(1 / 255), input_size=(32, 32), overwrite=True)(
        lambda images, weights: keras.Model(
            keras.utils.get_source_inputs(images), layers.Conv2D(4, 3)(layers.Conv2D(4, 3, strides=3)(images))
        )
    )
    for _ in range(2):
        clf = classifier("unnamed", head__feature_layers=["conv2d_1"], trainable_from="conv2d").fit(X, Y)
        names = [layer.name for layer in clf.model_.layers if layer.name.startswith("conv2d")]
        assert sorted(names) == ["conv2d", "conv2d_1"]
        assert clf.model_.get_layer("conv2d").trainable, "the second in the network was made first"
        assert not clf.model_.get_layer("conv2d_1").trainable


def test_names_of_the_users_own_layers_go_on_as_if_nothing_had_been_built():
    numbers = [int(layers.Conv2D(1, 1).name.rpartition("_")[2].replace("conv2d", "0")) for _ in range(2)]
    classifier().fit(X, Y).predict_proba(X)
    assert layers.Conv2D(1, 1).name == f"conv2d_{numbers[1] + 1}"


def fit_in_a_worker(folder, name, seed):
    sys.path.insert(0, folder)
    import tensorflow as tf
    from conftest import register_tiny

    if "tiny" not in list_backbones():
        tf.config.experimental.enable_op_determinism()
        register_tiny()
    return fit_one(name, seed)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_in_other_processes():
    tasks = [("own head", 0), ("stages", 1), ("own head", 1)]
    folder = str(Path(__file__).parents[1])
    found = joblib.Parallel(2)(joblib.delayed(fit_in_a_worker)(folder, *task) for task in tasks)
    for task, weights in zip(tasks, found, strict=True):
        assert all(np.allclose(*pair, atol=1e-6) for pair in zip(weights, fit_one(*task), strict=True))


# -- settings of Keras -------------------------------------------------------------------------------------------------


@pytest.fixture
def settings():
    """Put the user's settings back."""
    before = {name: getattr(keras.config, name)() for name in ("floatx", "epsilon", "image_data_format")}
    policy = keras.config.dtype_policy()
    yield
    for name, value in before.items():
        getattr(keras.config, f"set_{name}")(value)
    keras.config.set_dtype_policy(policy)


SETTINGS = {
    "channels first": {"image_data_format": "channels_first"},
    "bfloat16": {"dtype_policy": "mixed_bfloat16"},
    "float16": {"dtype_policy": "mixed_float16", "floatx": "float16"},
    "float64": {"floatx": "float64", "dtype_policy": "float64"},
    "epsilon": {"epsilon": 0.1},
    "all": {"floatx": "float16", "epsilon": 0.01, "image_data_format": "channels_first", "dtype_policy": "float16"},
}
KINDS = {
    "frozen": {},
    "fine-tuned": {"trainable_from": "conv1", "optimizer": "adamw", "optimizer__weight_decay": 0.01},
    "mixed": {"mix": "cutmix", "trainable_from": "conv2"},
    "object": {"head": "object"},
    "unseeded": {"head": drawing_head},
    "pooled otherwise": {"head__pooling": "log_center", "head__feature_layers": ["relu1"]},
}


def fit_and_use(kind, folder):
    """Fit, score, explain, save and load."""
    from melanoma_tl.explain.explanations import grad_cam

    options = KINDS[kind]
    if options.get("head") == "object":  # made with the user's settings
        options = {"head": keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(4)])}
    clf = classifier(**options).fit(X, Y, validation_data=(draw_images(8, seed=9), Y[:8]))
    clf.save(folder / "model.keras")
    loaded = TransferClassifier.load(folder / "model.keras")
    figures = np.concatenate([np.ravel(values) for values in clf.history_.values()])
    scores = [clf.predict_proba(X), loaded.predict_proba(X), grad_cam(clf, X[:1])]
    return [*weights_of(clf), *weights_of(loaded), *scores, figures]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What comes out with Keras's own settings."""
    return cache(lambda kind: fit_and_use(kind, tmp_path_factory.mktemp("expected")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kinds"), [(name, KINDS if name == "all" else ("object", "fine-tuned")) for name in SETTINGS]
)
def test_the_users_settings_neither_matter_nor_change(name, kinds, settings, tmp_path, expected):
    for kind in kinds:
        expected(kind)
    for setting, value in SETTINGS[name].items():
        getattr(keras.config, f"set_{setting}")(value)
    for kind in kinds:
        assert same(fit_and_use(kind, tmp_path), expected(kind)), kind
    for setting, value in SETTINGS[name].items():
        found = getattr(keras.config, setting)()
        assert getattr(found, "name", found) == value


@pytest.mark.slow
def test_settings_come_back_after_errors_and_when_the_last_thread_is_done(settings):
    keras.config.set_floatx("float64")
    with pytest.raises(ParameterError):
        classifier(head=lambda maps: None).fit(X, Y)
    assert keras.config.floatx() == "float64"
    with own_settings():
        with own_settings():
            assert keras.config.floatx() == "float32"
        assert keras.config.floatx() == "float32"
    assert keras.config.floatx() == "float64"
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda seed: fit_one("object", seed), range(4)))
    assert keras.config.floatx() == "float64"


def test_the_policy_of_a_thread_that_has_none_is_still_open(settings):
    """Keras takes the float type for it when it is first asked, which must not be before the user has set one."""

    def build():
        classifier().fit(X, Y)
        keras.config.set_floatx("float64")
        return layers.Dense(1).compute_dtype

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(build).result() == "float64"


# -- weights files -----------------------------------------------------------------------------------------------------


def build_tiny(input_tensor):
    maps = layers.Conv2D(8, 3, strides=2, name="conv2")(layers.Conv2D(4, 3, strides=2, name="conv1")(input_tensor))
    return keras.Model(keras.utils.get_source_inputs(input_tensor), maps)


def ignore(model, weights):
    pass


def load(model, weights):
    model.load_weights(weights)


def load_half(model, weights):
    source = build_tiny(keras.Input((32, 32, 3)))
    source.load_weights(weights)
    model.get_layer("conv1").set_weights(source.get_layer("conv1").get_weights())


@pytest.fixture
def weights_file(tmp_path):
    with own_settings():
        path = tmp_path / "some.weights.h5"
        build_tiny(keras.Input((32, 32, 3))).save_weights(path)
        return path


def register(read, name="reading"):
    def builder(input_tensor, weights):
        model = build_tiny(input_tensor)
        if weights is not None:
            read(model, weights)
        return model

    register_backbone(name, preprocess=lambda images: images / 255.0, input_size=(32, 32), overwrite=True)(builder)
    return name


def test_weights_that_were_named_must_have_been_read(weights_file, tmp_path, caplog):
    junk = tmp_path / "junk.weights.h5"
    junk.write_bytes(b"no weights")
    for path in (weights_file, junk):
        with pytest.raises(WeightsUnavailableError, match=r"the builder of 'reading' did not read .*with the file and"):
            classifier(register(ignore), weights=path).fit(X, Y)
    with pytest.raises(WeightsUnavailableError, match="does not hold weights for 'reading'"):
        classifier(register(load), weights=junk).fit(X, Y)
    clf = classifier(register(load), weights=weights_file).fit(X, Y)
    assert clf.provenance_["weights"]["path"] == weights_file.name
    assert "does not hold" not in caplog.text
    classifier(register(load_half), weights=weights_file).fit(X, Y)
    assert "does not hold 1 of the 4 weights of 'reading'" in caplog.text


def draw_unseeded(model, weights):
    rng = np.random.default_rng()
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])


def look_and_draw(model, weights):
    assert Path(weights).is_file()
    draw_unseeded(model, weights)


def forgive(model, weights):
    try:
        model.load_weights(weights)
    except Exception:
        draw_unseeded(model, weights)


@pytest.mark.parametrize("seeming", ["unseeded", "looked at", "another file", "forgiving"])
def test_a_builder_that_only_seems_to_read_is_refused(weights_file, tmp_path, caplog, seeming):
    own = tmp_path / "own.weights.h5"
    with own_settings(3):
        build_tiny(keras.Input((32, 32, 3))).save_weights(own)

    def load_own(model, weights):
        model.load_weights(own)

    ways = {"unseeded": draw_unseeded, "looked at": look_and_draw, "another file": load_own, "forgiving": forgive}
    with pytest.raises(WeightsUnavailableError, match=r"did not read .*some.* from a file that holds no weights"):
        classifier(register(ways[seeming]), weights=weights_file).fit(X, Y)
    assert "does not hold" not in caplog.text


def test_a_builder_that_calls_a_network_of_the_users_own_is_refused():
    own = build_tiny(keras.Input((32, 32, 3)))
    before = [weight.copy() for weight in own.get_weights()]

    def builder(input_tensor, weights):
        return keras.Model(keras.utils.get_source_inputs(input_tensor), own(input_tensor))

    register_backbone("own", preprocess=layers.Rescaling(1 / 255), input_size=(32, 32), overwrite=True)(builder)
    with pytest.raises(ParameterError, match=r"the builder of the backbone 'own' uses the layer .* made before"):
        classifier("own", trainable_from=None).fit(X, Y)
    assert same(before, own.get_weights())


def test_a_copy_of_a_network_of_the_users_own_is_a_backbone_as_others():
    own = build_tiny(keras.Input((32, 32, 3)))

    def builder(input_tensor, weights):
        model = build_tiny(input_tensor)
        model.set_weights(own.get_weights())
        return model

    register_backbone("copied", preprocess=lambda images: images / 255.0, input_size=(32, 32), overwrite=True)(builder)
    before = [weight.copy() for weight in own.get_weights()]
    first, second = (classifier("copied", trainable_from="conv1").fit(X, Y) for _ in range(2))
    assert same(weights_of(first), weights_of(second))
    assert same(before, own.get_weights())


@pytest.mark.parametrize("found", [None, 5, "model", [1], keras.Sequential()])
def test_what_is_no_network_is_named(found):
    register_backbone("wrong", preprocess=lambda images: images, overwrite=True)(lambda input_tensor, weights: found)
    with pytest.raises(
        ParameterError, match=r"the builder of 'wrong' must return a keras\.Model whose output is a feature map, "
    ):
        classifier("wrong").fit(X, Y)


@pytest.mark.parametrize("preprocess", [lambda: None, lambda images: None, lambda images: {}["x"]])
def test_what_cannot_scale_pixels_is_named(preprocess):
    register_backbone("wrong", preprocess=preprocess, overwrite=True)(lambda images, weights: build_tiny(images))
    with pytest.raises(ParameterError, match="preprocess of 'wrong' "):
        classifier("wrong").fit(X, Y)


def test_a_layer_that_scales_pixels_is_copied_with_what_it_knows():
    known = layers.Normalization()
    known.adapt(X.astype("float32"))
    register_backbone("adapted", preprocess=known, input_size=(40, 40), overwrite=True)(
        lambda images, weights: build_tiny(images)
    )
    network = classifier("adapted").fit(X, Y).model_
    copied = next(layer for layer in network.layers if isinstance(layer, layers.Normalization))
    assert copied is not known
    assert same(copied.get_weights(), known.get_weights())
    assert np.allclose(copied(X[:2].astype("float32")), known(X[:2].astype("float32")), atol=1e-5)
    assert not known._outbound_nodes


# -- memory ------------------------------------------------------------------------------------------------------------


def count_alive():
    gc.collect()
    gc.collect()
    kinds = Counter(type(found).__name__ for found in gc.get_objects())
    return {kind: kinds[kind] for kind in ("Variable", "FuncGraph", "Functional", "Node")}


@pytest.mark.slow
def test_nothing_of_a_fit_stays_alive(tmp_path):
    from melanoma_tl.explain.explanations import grad_cam

    classifier().fit(X, Y).save(tmp_path / "model.keras")

    def use():
        clf = classifier(trainable_from="conv2", optimizer__ema_momentum=0.9, head=drawing_head)
        clf.fit(X, Y, validation_data=(draw_images(8, seed=3), Y[:8]))
        grad_cam(clf, X[:1])
        TransferClassifier.load(tmp_path / "model.keras").predict_proba(X)

    use()
    before = count_alive()
    for _ in range(2):
        use()
    assert count_alive() == before


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def fit_keras(head):
    return classifier("mobilenetv3small", input_size=(64, 64), head=head).fit(X, Y)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_memory_is_flat_over_fits():
    for head in ("published", "pooled"):
        fit_keras(head)
    gc.collect()
    start = resident()
    for head in 5 * ("published", "pooled"):
        fit_keras(head)
    gc.collect()
    assert resident() < 1.03 * start


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the heap is that of the GNU library")
def test_the_heap_is_flat_over_networks():
    """What TensorFlow keeps for every variable that there ever was is freed when the next network comes."""

    def build_many_layers():
        maps = layers.Input((2, 2, 4))
        network = maps
        for _ in range(50):
            network = layers.BatchNormalization()(network)
        keras.Model(maps, network)
        forget_networks()

    for _ in range(3):
        build_many_layers()
    start = allocated()
    for _ in range(5):
        build_many_layers()
    assert allocated() < start + 2e6, "each would leave 7 MB otherwise"


def allocated():
    """Bytes that are in use on the heap."""

    class Info(ctypes.Structure):
        names = (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
        _fields_ = tuple((name, ctypes.c_size_t) for name in names)

    read = ctypes.CDLL(None).mallinfo2
    read.restype = Info
    found = read()
    return found.uordblks + found.hblkhd


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_memory_is_flat_over_loads_and_scorings(tmp_path):
    fit_keras("published").save(tmp_path / "model.keras")
    for _ in range(3):
        clf = TransferClassifier.load(tmp_path / "model.keras")
        clf.predict_proba(X[:1])
    gc.collect()
    start = resident()
    for _ in range(10):
        clf = TransferClassifier.load(tmp_path / "model.keras")
        clf.predict_proba(X[:1])
    for _ in range(200):
        clf.predict_proba(X[:1])
    gc.collect()
    assert resident() < 1.03 * start


# -- random labels -----------------------------------------------------------------------------------------------------


def calls_a_function(maps):
    return layers.Dense(16, activation="relu")(layers.Flatten()(maps))


def big_sequential():
    return keras.Sequential([layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(16)])


WAYS = {
    "pooled": {},
    "function": {"head": calls_a_function},
    "sequential": {"head": big_sequential()},
    "functional": {"head": functional()},
    "layer": {"head": layers.Flatten()},
    "own layer": {"head": Squeeze(16)},
    "fine-tuned": {"head": big_sequential(), "trainable_from": "conv1"},
    "stages": {"head": big_sequential(), "stages": (Stage(epochs=5), Stage("conv1", epochs=5))},
    "plugin": {"backbone": "plugin", "trainable_from": "conv1"},
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_random_labels_cannot_be_learned(way):
    register(load, "plugin")
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (200, 32, 32, 3), dtype="uint8"), rng.permutation(np.arange(200) % 2)
    options = {"backbone": "tiny"} | OPTIONS | {"epochs": 10} | WAYS[way]
    # Of two folds each is what the other is scored on: what one training learned would show in all scores of the next.
    ensemble = cross_validate(TransferClassifier(**options), images, labels, folds=2, groups=None, verbose=0)
    assert 0.35 < roc_auc_score(labels, ensemble.out_of_fold_scores_) < 0.65


@pytest.mark.parametrize("nested", [False, True])
def test_an_adapted_layer_in_the_preprocessing_stays_adapted(nested):
    norm = keras.layers.Normalization()
    norm.adapt(X.astype("float32"))
    layer = keras.Sequential([keras.Input((None, None, 3)), norm]) if nested else norm
    copied = copy_layer(layer)
    given = X.astype("float32")
    np.testing.assert_allclose(copied(given), layer(given), atol=1e-5)
    assert abs(float(np.asarray(copied(given)).mean())) < 0.1
