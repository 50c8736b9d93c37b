"""Heads of the user's own: what is trained is what was given, or the head is refused before an image is read."""

import threading

import keras
import numpy as np
import pytest
from conftest import draw_images
from sklearn.base import clone

from melanoma_tl import Probe, Stage, TransferClassifier, cache
from melanoma_tl.errors import ImageError, ParameterError

layers, ops = keras.layers, keras.ops
X = draw_images(24)
Y = np.arange(24) % 2
OPTIONS = {"weights": None, "epochs": 1, "random_state": 0, "verbose": 0, "precision": "float32"}


def classifier(head, **changes):
    return TransferClassifier("tiny", head=head, **(OPTIONS | changes))


def fit(head, **changes):
    return classifier(head, **changes).fit(X, Y)


def names_of(clf):
    return [layer.name for layer in clf.model_.layers]


def same(first, second):
    return len(first) == len(second) and all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


def maps():
    return keras.Input((None, None, 8))


# -- networks with a call of their own ---------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("tests")
class Negated(keras.Sequential):
    """Does something else than its layers one after the other."""

    def call(self, inputs, training=None, mask=None):
        return -super().call(inputs, training=training, mask=mask)


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.Model):
    """A graph with more to it."""

    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """No graph at all."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.pool, self.dense = layers.GlobalAveragePooling2D(), layers.Dense(units)

    def call(self, inputs):
        return self.dense(self.pool(inputs))

    def get_config(self):
        return {"units": self.units, "name": self.name}


class Unregistered(keras.Sequential):
    def call(self, inputs, training=None, mask=None):
        return -super().call(inputs)


def doubled():
    inputs = maps()
    return Doubled(inputs, layers.GlobalAveragePooling2D()(inputs))


OWN = {
    "sequential": (lambda: Negated([layers.GlobalAveragePooling2D()]), -1),
    "functional": (doubled, 2),
    "within a network": (lambda: keras.Sequential([Negated([layers.GlobalAveragePooling2D()]), layers.ReLU()]), 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN)
def test_a_network_with_a_call_of_its_own_does_what_that_says(kind, tmp_path):
    make, factor = OWN[kind]
    clf = fit(make())
    score = clf.model_.get_layer("melanoma")
    features = keras.Model(clf.model_.inputs[0], score.input)(X[:, :32, :32].astype("float32"))
    plain = keras.Model(clf.model_.inputs[0], clf.model_.get_layer("conv2").output)(X[:, :32, :32].astype("float32"))
    expected = factor * np.mean(ops.convert_to_numpy(plain), axis=(1, 2))
    assert np.allclose(ops.convert_to_numpy(features), expected, atol=1e-5)
    clf.save(tmp_path / "model.keras")
    loaded = TransferClassifier.load(tmp_path / "model.keras")
    assert np.allclose(loaded.predict_proba(X), clf.predict_proba(X), atol=1e-6)


def test_a_subclassed_network_is_a_pattern_as_others(tmp_path):
    head = Subclassed(3)
    first, second = (fit(head, trainable_from="conv2") for _ in range(2))
    assert not head.built, "it is left alone"
    assert same(first.model_.get_weights(), second.model_.get_weights())
    assert not {id(one) for one in first.model_.variables} & {id(one) for one in second.model_.variables}
    first.save(tmp_path / "model.keras")
    loaded = TransferClassifier.load(tmp_path / "model.keras")
    assert np.allclose(loaded.predict_proba(X), first.predict_proba(X), atol=1e-6)


# -- what is shared, and what is not -----------------------------------------------------------------------------------


def twice_in_a_row():
    dense, inputs = layers.Dense(8), maps()
    return keras.Model(inputs, dense(dense(layers.GlobalAveragePooling2D()(inputs))))


def inside_and_outside():
    dense, inputs, within = layers.Dense(8), maps(), keras.Input((8,))
    inner = keras.Model(within, dense(within))
    pooled = layers.GlobalAveragePooling2D()(inputs)
    return keras.Model(inputs, layers.Add()([inner(pooled), dense(pooled)]))


def in_two_networks():
    dense, inputs = layers.Dense(8), maps()
    parts = [keras.Sequential([keras.Input((8,)), layers.ReLU(), dense]) for _ in range(2)]
    pooled = layers.GlobalAveragePooling2D()(inputs)
    return keras.Model(inputs, layers.Concatenate()([part(pooled) for part in parts]))


def one_network_twice():
    inputs, inner = maps(), keras.Sequential([keras.Input((8,)), layers.Dense(8)])
    return keras.Model(inputs, inner(inner(layers.GlobalAveragePooling2D()(inputs))))


@pytest.mark.slow
@pytest.mark.parametrize("make", [twice_in_a_row, inside_and_outside, in_two_networks, one_network_twice])
def test_what_a_head_uses_twice_is_one_layer(make):
    head = make()
    clf = fit(head, trainable_from="conv2")
    dense = [layer for layer in clf.model_.layers if isinstance(layer, layers.Dense)]
    assert [layer.count_params() for layer in dense if layer.name != "melanoma"] == [72]
    assert not any(isinstance(layer, keras.Model) for layer in clf.model_.layers), "graphs are flat"


def test_an_intermediate_value_may_be_the_output():
    inputs = maps()
    parts = layers.Reshape((-1, 8))(inputs)
    first, _ = ops.split(ops.mean(parts, axis=1), 2, axis=-1)
    clf = fit(keras.Model(inputs, first))
    assert clf.model_.get_layer("melanoma").kernel.shape == (4, 1)


@pytest.mark.parametrize("make", [inside_and_outside, lambda: Subclassed(3), twice_in_a_row])
def test_a_clone_shares_the_pattern(make):
    clf = classifier(make())
    assert clone(clf).head is clf.head
    assert clone(clf).set_params(dropout=0.1).dropout != clf.dropout


# -- what comes with a layer -------------------------------------------------------------------------------------------


def adapted():
    normal = layers.Normalization()
    normal.adapt(np.random.default_rng(0).normal(3, 2, (50, 8)))
    return normal


def test_an_adapted_layer_stays_adapted(tmp_path):
    normal = adapted()
    clf = fit(keras.Sequential([layers.GlobalAveragePooling2D(), normal, layers.Dense(3)]))
    clf.save(tmp_path / "model.keras")
    for fitted in (clf, TransferClassifier.load(tmp_path / "model.keras")):
        (copied,) = [layer for layer in fitted.model_.layers if isinstance(layer, layers.Normalization)]
        assert copied is not normal
        assert np.allclose(ops.convert_to_numpy(copied.mean), ops.convert_to_numpy(normal.mean))
        assert np.allclose(ops.convert_to_numpy(copied.variance), ops.convert_to_numpy(normal.variance))


def test_an_operation_keeps_its_type():
    inputs = maps()
    whole = ops.cast(ops.cast(100 * layers.GlobalAveragePooling2D()(inputs), "int32"), "float32")
    clf = fit(keras.Model(inputs, whole))
    features = keras.Model(clf.model_.inputs[0], clf.model_.get_layer("melanoma").input)(X[:2, :32, :32])
    assert np.array_equal(features, np.trunc(features))


@pytest.fixture
def settings():
    """Set back what a test sets."""
    before = keras.config.image_data_format(), keras.config.dtype_policy()
    yield
    keras.config.set_image_data_format(before[0])
    keras.config.set_dtype_policy(before[1])


@pytest.mark.usefixtures("settings")
def test_what_comes_from_the_users_settings_is_not_meant_for_the_layer():
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_bfloat16")
    clf = fit(keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(3)]))
    assert {layer.dtype_policy.name for layer in clf.model_.layers if hasattr(layer, "dtype_policy")} == {"float32"}
    assert clf.model_.get_layer("melanoma").kernel.shape == (3, 1)


@keras.saving.register_keras_serializable("tests")
class Noisy(layers.Layer):
    """Draws from a generator, and says nothing of what it is made with."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(3)

    def call(self, inputs, training=None):
        pooled = ops.mean(inputs, axis=(1, 2))
        return pooled + keras.random.normal(ops.shape(pooled), seed=self.generator) if training else pooled


@pytest.mark.slow
def test_a_layer_that_draws_from_a_generator_of_its_own(tmp_path):
    head = Noisy()
    first, second = (fit(head, trainable_from="conv2") for _ in range(2))
    assert same(first.model_.get_weights(), second.model_.get_weights())
    first.save(tmp_path / "model.keras")
    loaded = TransferClassifier.load(tmp_path / "model.keras")
    assert np.allclose(loaded.predict_proba(X), first.predict_proba(X), atol=1e-6)
    resumed = classifier(head, trainable_from="conv2").fit(X, Y, resume=True)
    assert same(first.model_.get_weights(), resumed.model_.get_weights())
    assert cache.size("runs") == 0


@pytest.mark.slow
@pytest.mark.parametrize("head", ["published", lambda maps: layers.Dense(4, name="own")(layers.Flatten()(maps))])
def test_a_head_learns_after_a_probe(head):
    clf = fit(head, stages=(Probe(), Stage()), input_size=(16, 16), batch_size=24)
    probed = fit(head, stages=(Probe(),), input_size=(16, 16))
    for name in [name for name in names_of(clf) if name in ("fc1", "fc2", "own")]:
        assert clf.model_.get_layer(name).trainable
        assert not same(*(fitted.model_.get_layer(name).get_weights() for fitted in (clf, probed)))


# -- refused before an image is read -----------------------------------------------------------------------------------


def two_outputs():
    inputs = maps()
    return keras.Model(inputs, [layers.GlobalAveragePooling2D()(inputs), layers.GlobalMaxPooling2D()(inputs)])


def two_inputs():
    inputs, more = maps(), keras.Input((3,))
    return keras.Model([inputs, more], layers.Concatenate()([layers.GlobalAveragePooling2D()(inputs), more]))


def decompose(maps):
    return ops.svd(ops.mean(maps, axis=2), compute_uv=False)


def mixes_types(maps):
    return MixesTypes()(layers.GlobalAveragePooling2D()(maps))


@keras.saving.register_keras_serializable("tests")
class MixesTypes(layers.Layer):
    """Was written with float32 in mind, and says nothing of it until it computes."""

    def call(self, inputs):
        return inputs if inputs.dtype == "float32" else undefined_in_bfloat16(inputs)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def undefined_in_bfloat16(inputs):
    raise TypeError(f"{inputs.dtype} is not float32")


@pytest.mark.slow
@pytest.mark.parametrize("head", [decompose, mixes_types])
@pytest.mark.parametrize(
    ("precision", "stages"),
    [
        ("bfloat16", Probe()),
        ("mixed_bfloat16", Stage()),
        ("mixed_bfloat16", Stage("conv2")),
        ("bfloat16", (Stage("conv2"), Probe())),
    ],
)
def test_a_head_that_cannot_compute_in_bfloat16_is_refused_before_an_image_is_read(head, precision, stages):
    clf = classifier(head, precision=precision, stages=stages)
    with pytest.raises(ParameterError, match=r"cannot compute in bfloat16 .*: set precision='float32'"):
        clf.fit(["there_is_no_such_file.png"] * 4, [0, 1, 0, 1])
    assert fit(head, stages=stages).set_params(precision="float32").predict_proba(X).shape == (len(X), 2)


def test_a_model_that_cannot_compute_in_bfloat16_says_so_where_it_scores(tmp_path):
    fit(mixes_types, stages=Probe()).save(tmp_path / "model.keras")
    loaded = TransferClassifier.load(tmp_path / "model.keras").set_params(precision="bfloat16")
    with pytest.raises(ParameterError, match=r"cannot compute in bfloat16 .*: set precision='float32'"):
        loaded.predict_proba(X)


def called_as_in_scoring():
    inputs, inner = maps(), keras.Sequential([keras.Input((8,)), layers.Dropout(0.5)])
    return keras.Model(inputs, inner(layers.GlobalAveragePooling2D()(inputs), training=False))


def replaced():
    layer = layers.GlobalAveragePooling2D()
    layer.call = lambda inputs: ops.max(inputs, axis=(1, 2))
    return layer


def replaced_in_a_network():
    network = keras.Sequential([layers.GlobalAveragePooling2D()])
    network.call = lambda inputs, **_: ops.max(inputs, axis=(1, 2))
    return network


@keras.saving.register_keras_serializable("tests")
class Scaling(layers.Layer):
    """Has a part that was adapted."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.normal = adapted()

    def call(self, inputs):
        return self.normal(ops.mean(inputs, axis=(1, 2)))

    def get_config(self):
        return super().get_config()


def with_variable(**options):
    variable = keras.Variable(np.full(8, 2.0, "float32"), name="captured", **options)
    return lambda maps: layers.GlobalAveragePooling2D()(maps) * variable


def pooled(*more):
    return keras.Sequential([layers.GlobalAveragePooling2D(), *more])


REFUSED = {
    "two outputs": (two_outputs, "one input and one output, got 1 and 2"),
    "two inputs": (two_inputs, "one input and one output, got 2 and 1"),
    "other maps": (lambda: keras.Sequential([keras.Input((5, 5, 8)), layers.Flatten()]), "made for inputs of shape"),
    "other channels": (lambda: keras.Sequential([keras.Input((None, None, 3)), layers.Flatten()]), "made for inputs"),
    "features": (lambda: keras.Sequential([keras.Input((8,)), layers.Dense(3)]), "made for inputs of shape"),
    "training=False": (called_as_in_scoring, "is called with training within another"),
    "a call put in place": (replaced, "its call was replaced"),
    "a call put in place of a network's": (replaced_in_a_network, "its call was replaced"),
    "unregistered": (lambda: Unregistered([layers.GlobalMaxPooling2D()]), "not saved: .*Unregistered"),
    "a part that was adapted": (Scaling, "was adapted, which no get_config tells"),
    "channels first": (lambda: layers.GlobalAveragePooling2D(data_format="channels_first"), "data_format='channels_f"),
    "float16": (lambda: pooled(layers.Dense(3, dtype="float16")), "dtype='float16', .*precision"),
    "bfloat16": (lambda: pooled(layers.Dense(3, dtype="mixed_bfloat16")), "dtype='mixed_bfloat16'"),
    "frozen": (lambda: pooled(layers.Dense(3, trainable=False)), "'dense.*' of the head has trainable=False"),
    "statistics": (lambda: pooled(layers.BatchNormalization(trainable=False)), "of the head has trainable=False"),
    "frozen in a function": (
        lambda: lambda maps: layers.Dense(3, trainable=False)(layers.Flatten()(maps)),
        "'dense.*' of the head has trainable=False",
    ),
    "a variable": (with_variable, "computes with the variable 'captured', which is no layer's"),
    "a variable that does not learn": (lambda: with_variable(trainable=False), "the variable 'captured'"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_another_network_is_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(ParameterError, match=message):
        classifier(make(), on_error="raise").fit(["there_is_no_such_file.png"] * 4, [0, 1, 0, 1])


@pytest.mark.timeout(60)
def test_a_head_of_many_joined_paths_is_checked_in_no_time():
    def residual(maps):
        for _ in range(40):  # a trillion paths from the score to the image
            maps = layers.Add()([maps, layers.ReLU()(maps)])
        return layers.GlobalMaxPooling2D()(maps)

    assert fit(residual).predict_proba(X).shape == (len(X), 2)


def test_a_head_of_too_many_layers_is_refused():
    def endless(maps):
        maps = layers.GlobalMaxPooling2D()(maps)
        for _ in range(1100):
            maps = -maps
        return maps

    with pytest.raises(ParameterError, match="more layers one after another than Keras can connect"):
        fit(endless)


@pytest.mark.slow
def test_numbers_that_a_head_draws_from_numpy_are_those_of_the_seed():
    def scaled(maps):
        return layers.GlobalMaxPooling2D()(maps) * float(np.random.random())  # noqa: NPY002

    state = np.random.get_state()  # noqa: NPY002
    scores = [fit(scaled).predict_proba(X) for _ in range(2)]
    assert np.array_equal(*scores)
    assert all(np.array_equal(*pair) for pair in zip(np.random.get_state(), state, strict=True))  # noqa: NPY002
    assert not np.array_equal(scores[0], fit(scaled, random_state=1).predict_proba(X))


def chain(n):
    def head(maps):
        maps = layers.GlobalMaxPooling2D()(maps)
        for _ in range(n):
            maps = layers.ReLU()(maps)
        return maps

    return head


@pytest.mark.slow
def test_a_network_of_too_many_layers_is_refused_whatever_part_of_it_is(tmp_path):
    """A head that Keras can connect may be too long together with its backbone."""
    accepted, refused = 700, 1000
    while refused - accepted > 4:
        n = (accepted + refused) // 2
        with pytest.raises((ImageError, ParameterError), match=r"no such file|more layers one after another") as found:
            classifier(chain(n), on_error="raise").fit(["there_is_no_such_file.png"] * 4, [0, 1, 0, 1])
        accepted, refused = (n, refused) if isinstance(found.value, ImageError) else (accepted, n)
    clf = classifier(chain(accepted)).fit(X, Y)
    clf.save(tmp_path / "model.keras")
    assert np.array_equal(TransferClassifier.load(tmp_path / "model.keras").predict_proba(X), clf.predict_proba(X))


class Generated(keras.initializers.Initializer):
    def __init__(self):
        self.generator = np.random.default_rng(0)

    def __call__(self, shape, dtype=None):
        return self.generator.normal(size=shape).astype("float32")

    def get_config(self):
        return {"generator": self.generator}


class Untold(keras.regularizers.Regularizer):
    def __call__(self, weights):
        return 0.0


@keras.saving.register_keras_serializable("heads")
class Holding(layers.Layer):
    def __init__(self, what, **options):
        super().__init__(**options)
        self.what = what

    def call(self, maps):
        return ops.mean(maps, axis=(1, 2))

    def get_config(self):
        return super().get_config() | {"what": self.what}


def dense(**options):
    return lambda maps: layers.Dense(3, **options)(layers.GlobalAveragePooling2D()(maps))


UNWRITABLE = {
    "a generator": dense(kernel_initializer=Generated()),
    "a regularizer without get_config": dense(kernel_regularizer=Untold()),
    "a generator in a layer": lambda maps: Holding(np.random.default_rng(0))(maps),
    "a generator in a list": lambda maps: Holding({"all": [np.random.default_rng(0)]})(maps),
    "an object": lambda maps: Holding(object())(maps),
    "a set": lambda maps: Holding({1, 2})(maps),
    "a lock": Holding(threading.Lock()),
}


@pytest.mark.parametrize("name", ["image", "conv1", "melanoma", "dropout"])
def test_a_layer_with_the_name_of_another_is_refused(name):
    with pytest.raises(ParameterError, match=f'"{name}" is used 2 times'):
        classifier(dense(name=name), dropout=0.1, on_error="raise").fit(["there_is_no_such_file.png"] * 4, [0, 1, 0, 1])


UNREADABLE = {
    "an activation": dense(activation=lambda values: values),
    "an activation layer": lambda maps: layers.Activation(lambda values: values)(layers.GlobalMaxPooling2D()(maps)),
    "in a layer of layers": lambda maps: layers.TimeDistributed(layers.Dense(3, activation=lambda values: values))(
        layers.Reshape((1, -1))(maps)
    )[:, 0],
    "in a network": keras.Sequential([layers.Flatten(), layers.Dense(3, activation=lambda values: values)]),
}


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize("case", UNREADABLE)
def test_a_lambda_that_could_be_saved_but_not_loaded_is_refused_before_an_image_is_read(case):
    with pytest.raises(ParameterError, match=r"cannot be copied (from a file|for each fit)"):
        classifier(UNREADABLE[case], on_error="raise").fit(["there_is_no_such_file.png"] * 4, [0, 1, 0, 1])


@pytest.mark.parametrize("case", UNWRITABLE)
def test_what_no_file_can_hold_is_refused_before_an_image_is_read(case):
    with pytest.raises(ParameterError, match=r"could be trained, but not saved \(.*get_config"):
        classifier(UNWRITABLE[case], on_error="raise").fit(["there_is_no_such_file.png"] * 4, [0, 1, 0, 1])
