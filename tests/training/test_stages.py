"""Stages, probes and the ways of training do what they say."""

import keras
import numpy as np
import pytest
from conftest import training_plan
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from melanoma_tl import Augmenter, Balancer, Probe, Stage, TransferClassifier, register_backbone
from melanoma_tl.backbones import get_backbone
from melanoma_tl.errors import DeviceError, ParameterError, TrainingError, UnknownNameError
from melanoma_tl.training import LearningRateDisplay
from melanoma_tl.training.optimizers import build_optimizer, schedule_rate

pytestmark = pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")


@pytest.fixture(scope="module", autouse=True)
def staged_backbone(tiny_backbone):
    """The tiny backbone, with its stages named."""
    spec = get_backbone("tiny")
    register_backbone("staged", preprocess=spec.preprocess, input_size=(32, 32), stages=("conv2", "conv1"))(
        spec.builder
    )


def make(**changes):
    options = {"weights": None, "epochs": 2, "batch_size": 8, "random_state": 0, "verbose": 0, "precision": "float32"}
    return TransferClassifier("staged").set_params(**(options | changes))


def weights_of(clf, layer):
    return np.concatenate([array.ravel() for array in clf.model_.get_layer(layer).get_weights()])


# -- stages --


@pytest.mark.slow
def test_each_stage_trains_what_it_names_and_starts_where_the_last_one_ended(images, labels):
    head = make(stages=(Stage(epochs=3),)).fit(images, labels)
    both = make(stages=(Stage(epochs=3), Stage(trainable_from=1, epochs=2))).fit(images, labels)
    start = make(stages=(Stage(epochs=1, learning_rate=1e-12),)).fit(images, labels)
    assert np.array_equal(weights_of(head, "conv2"), weights_of(start, "conv2"))
    assert not np.array_equal(weights_of(both, "conv2"), weights_of(start, "conv2"))
    assert np.array_equal(weights_of(both, "conv1"), weights_of(start, "conv1")), "above the last stage nothing learns"
    assert len(both.history_["loss"]) == 5
    assert np.allclose(both.history_["loss"][:3], head.history_["loss"], atol=1e-6)
    assert both.history_["loss"][3] < both.history_["loss"][0]


def test_a_stage_is_the_same_as_training_without_stages(images, labels):
    plain = make(trainable_from="conv2", learning_rate=0.01).fit(images, labels)
    staged = make(stages=[Stage(trainable_from=1, learning_rate=0.01, epochs=2)]).fit(images, labels)
    assert np.allclose(plain.predict_proba(images), staged.predict_proba(images), atol=1e-6)


def test_fit_names_parameters_that_a_probe_does_not_use(images, labels, caplog):
    make(stages=(Probe(),), epochs=20).fit(images, labels)
    assert "without effect" not in caplog.text
    make(stages=(Probe(),), epochs=3, optimizer="rmsprop").fit(images, labels)
    assert "every stage is a Probe, which is solved exactly: optimizer='rmsprop', epochs=3" in caplog.text


def test_stages_survive_the_model_file(images, labels, tmp_path):
    stages = (Probe(C=0.5), Stage(trainable_from="conv2", epochs=1, schedule="cosine", warmup=0.5, layer_decay=0.5))
    clf = make(stages=stages, head__pooling="avg_max", head__feature_layers=("relu1",), dropout=0.2).fit(images, labels)
    clf.save(tmp_path / "staged.keras")
    loaded = TransferClassifier.load(tmp_path / "staged.keras")
    assert loaded.stages == stages
    assert loaded.head.get_params() == {"pooling": "avg_max", "feature_layers": ("relu1",)}
    assert np.allclose(loaded.predict_proba(images), clf.predict_proba(images), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"stages": ()}, ParameterError, "a Stage or a Probe, or several"),
        ({"stages": ["head"]}, ParameterError, "a Stage or a Probe, or several"),
        ({"stages": (Stage(),), "trainable_from": "conv2"}, ParameterError, "give it to a Stage"),
        ({"stages": (Stage(trainable_from="conv9"),)}, UnknownNameError, "Did you mean 'conv[12]'"),
        ({"stages": (Stage(trainable_from=3),)}, ParameterError, "has 2 .conv2, conv1."),
        ({"trainable_from": 3}, ParameterError, "has 2"),
        ({"stages": (Probe(),), "augmenter": Augmenter(zoom_range=0.1)}, ParameterError, r"Augmenter\(..., views=8\)"),
        (
            {"stages": (Probe(),), "resources__feature_cache_bytes": 0},
            ParameterError,
            "increase Resources.feature_cache_bytes=",
        ),
        ({"loss": "hinge"}, UnknownNameError, "Unknown loss 'hinge'"),
        ({"mix": "mixip"}, UnknownNameError, "Did you mean 'mixup'"),
        ({"dropout": 1.0}, ParameterError, "dropout must be a number of at least 0 and below 1"),
        ({"loss__label_smoothing": -0.1}, ParameterError, "label_smoothing must be a number of at least 0 and below 1"),
        ({"optimizer__weight_decay": -1}, ParameterError, "weight_decay must be a number of at least 0"),
        ({"optimizer__clip_norm": 0}, ParameterError, "clip_norm must be a number above 0 or None"),
        ({"optimizer__ema_momentum": 1}, ParameterError, "ema_momentum must be a number between 0 and 1"),
    ],
)
def test_wrong_parameters_are_named(images, labels, changes, error, message):
    with pytest.raises(error, match=message):
        make(**changes).fit(images, labels)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs must be"),
        ({"learning_rate": 0}, "learning_rate must be"),
        ({"warmup": 1.0}, "warmup must be"),
        ({"layer_decay": 0}, "layer_decay must be"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
    ],
)
def test_a_wrong_stage_cannot_be_made(wrong, message):
    with pytest.raises((ParameterError, UnknownNameError), match=message):
        Stage(**wrong)
    with pytest.raises(ParameterError, match="C must be a number above 0"):
        Probe(C=0)


# -- probes --


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_a_probe_is_scikit_learns_logistic_regression(images, labels, class_weight):
    few = np.flatnonzero((labels == 0) | (np.arange(24) < 12))
    clf = make(stages=(Probe(C=0.03),), head__pooling="avg_max", class_weight=class_weight).fit(
        images[few], labels[few]
    )
    model = clf.model_
    features = keras.Model(model.inputs[0], model.get_layer("melanoma").input).predict(resize(images[few]), verbose=0)
    peer = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.03, class_weight=class_weight, tol=1e-8, max_iter=9999)
    )
    expected = peer.fit(features, labels[few]).predict_proba(features)
    assert np.allclose(clf.predict_proba(images[few]), expected, atol=2e-4)
    assert {name: len(values) for name, values in clf.history_.items()} == {"loss": 1, "accuracy": 1, "auc": 1}


def test_a_probe_takes_all_views_and_chosen_rows_into_account(images, labels):
    shown = {"augmenter": Augmenter(brightness_range=0.2, views=3), "balancer": Balancer(random_state=1)}
    plain, viewed = (make(stages=(Probe(),), **changes).fit(images[:15], labels[:15]) for changes in ({}, shown))
    assert not np.allclose(plain.predict_proba(images), viewed.predict_proba(images), atol=1e-3)


@pytest.mark.slow
def test_the_stage_after_a_probe_starts_from_it(images, labels):
    probe = make(stages=(Probe(),)).fit(images, labels)
    tuned = make(stages=(Probe(), Stage(trainable_from=1, learning_rate=1e-9, epochs=1))).fit(images, labels)
    assert np.allclose(probe.predict_proba(images), tuned.predict_proba(images), atol=1e-5)


def resize(images):
    from melanoma_tl.images.decoding import load_image

    return np.stack([load_image(image, (32, 32)) for image in images]).astype("float32")


# -- optimizers --


def test_the_rate_warms_up_and_falls():
    rate = schedule_rate(Stage(schedule="cosine", warmup=0.2), 0.1, 100)
    values = [float(rate(step)) for step in (0, 10, 20, 60, 100)]
    assert values == pytest.approx([0.0, 0.05, 0.1, 0.05, 0.0], abs=1e-6)
    rate = schedule_rate(Stage(warmup=0.5), 0.1, 100)
    assert [float(rate(step)) for step in (0, 25, 50, 90)] == pytest.approx([0.0, 0.05, 0.1, 0.1])
    assert schedule_rate(Stage(), 0.1, 100) == 0.1
    assert float(schedule_rate(Stage(schedule="cosine"), 0.1, 100)(0)) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_deeper_layers_step_less_far(name):
    options = {"learning_rate": 0.1, "weight_decay": 0.0, "clip_norm": None, "ema_momentum": None}
    variables = [keras.Variable(np.ones(3)) for _ in range(2)]
    optimizer = build_optimizer(name, rates=[1.0, 0.25], **options)
    optimizer.apply([keras.ops.ones(3)] * 2, variables)
    steps = [1 - keras.ops.convert_to_numpy(variable) for variable in variables]
    assert np.allclose(0.25 * steps[0], steps[1], rtol=1e-4)
    assert steps[0].max() > 0


def test_layer_decay_reaches_the_layers(images, labels):
    """Adam's first step has the length of the rate, whatever the gradient."""
    start, moved = (
        make(
            optimizer="adam",
            epochs=1,
            batch_size=24,
            stages=(Stage(trainable_from=2, learning_rate=rate, layer_decay=0.1),),
        ).fit(images, labels)
        for rate in (1e-12, 1e-2)
    )
    lengths = {
        layer: np.abs(weights_of(moved, layer) - weights_of(start, layer)).max()
        for layer in ("conv1", "conv2", "melanoma")
    }
    assert lengths["melanoma"] == pytest.approx(1e-2, rel=0.05)
    assert lengths["conv2"] == pytest.approx(1e-3, rel=0.05)
    assert lengths["conv1"] == pytest.approx(1e-4, rel=0.05)


def test_weights_decay_and_biases_do_not():
    options = {"learning_rate": 0.1, "weight_decay": 0.5, "clip_norm": None, "ema_momentum": None}
    layer = keras.layers.Dense(2, bias_initializer="ones")
    layer.build((None, 3))
    before = layer.get_weights()
    optimizer = build_optimizer("sgd", **options)
    optimizer.apply(
        [keras.ops.zeros(variable.shape) for variable in layer.trainable_variables], layer.trainable_variables
    )
    kernel, bias = layer.get_weights()
    assert np.allclose(kernel, 0.95 * before[0])
    assert np.allclose(bias, 1.0)


def test_gradients_are_clipped(images, labels):
    """Of plain gradient descent, clipped gradients take steps of a known length."""
    options = {"optimizer": "sgd", "learning_rate": 1.0, "epochs": 1, "batch_size": 24}
    start, moved = (
        make(**(options | change)).fit(images, labels)
        for change in ({"learning_rate": 1e-12}, {"optimizer__clip_norm": 1e-3})
    )
    assert np.linalg.norm(weights_of(moved, "melanoma") - weights_of(start, "melanoma")) == pytest.approx(
        1e-3, rel=0.02
    )


# -- one seed --


@pytest.mark.slow
def test_one_seed_gives_the_same_weights(images, labels):
    """Initial weights, order, sampling, views, dropout and mixing: all are drawn from it, and from nothing else."""
    everything = {
        "balancer": Balancer(),
        "augmenter": Augmenter(horizontal_flip=True, rotation_range=20),
        "stages": (Stage(epochs=1), Stage(trainable_from=1)),
        "dropout": 0.5,
        "mix": "cutmix",
        "optimizer__ema_momentum": 0.5,
        "precision": "mixed_bfloat16",
        "head": lambda features: keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(features)),
    }
    fitted = []
    for seed in (1, 1, 2):
        np.random.seed(len(fitted))  # noqa: NPY002 -- the user's own random state must not matter
        keras.utils.set_random_seed(len(fitted))
        fitted.append(make(**everything, random_state=seed).fit(images[:15], labels[:15]).model_.get_weights())
    assert all(np.array_equal(*pair) for pair in zip(fitted[0], fitted[1], strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(fitted[0], fitted[2], strict=True))


# -- losses and mixing --


@pytest.mark.slow
def test_focal_loss_and_smoothing_are_kerass(images, labels):
    for loss, kind in (("crossentropy", "BinaryCrossentropy"), ("focal", "BinaryFocalCrossentropy")):
        for smoothing in (0.0, 0.2):
            clf = make(loss=loss, loss__label_smoothing=smoothing, epochs=1, batch_size=24, learning_rate=1e-12)
            clf.fit(images, labels)
            scores = clf.predict_proba(images)[:, 1:].astype("float32")
            expected = getattr(keras.losses, kind)(label_smoothing=smoothing)(labels[:, None].astype("float32"), scores)
            assert clf.history_["loss"][0] == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixed_images_have_labels_in_between(mix):
    from melanoma_tl.training.mixing import mix_batch

    pixels = np.zeros((64, 64, 64, 3), "uint8")
    pixels[32:] = 200
    labels = np.repeat([[0.0], [1.0]], 32, axis=0).astype("float32")
    mixed, shares = mix_batch(mix, pixels, labels, seed=3)
    assert np.allclose(mixed.mean(axis=(1, 2, 3)), 200 * shares[:, 0], atol=8), "the label is the share of the pixels"
    assert ((shares > 0.05) & (shares < 0.95)).any()
    again, _ = mix_batch(mix, pixels, labels, seed=3)
    other, _ = mix_batch(mix, pixels, labels, seed=4)
    assert np.array_equal(mixed, again)
    assert not np.array_equal(mixed, other)


def test_training_on_mixed_images(images, labels, caplog):
    clf = make(mix="mixup", trainable_from="conv1", learning_rate=0.02, epochs=8).fit(images, labels)
    assert clf.score(images, labels) > 0.8
    assert "no features can be stored" in caplog.text


def test_averaged_weights_lag_behind(images, labels):
    options = {"epochs": 3, "learning_rate": 0.05}
    raw, averaged = (make(optimizer__ema_momentum=momentum, **options).fit(images, labels) for momentum in (None, 0.9))
    start = make(epochs=1, learning_rate=1e-12).fit(images, labels)
    far, near = (np.linalg.norm(weights_of(clf, "melanoma") - weights_of(start, "melanoma")) for clf in (raw, averaged))
    assert 0 < near < 0.9 * far


def test_averaged_weights_are_those_that_were_validated(images, labels):
    clf = make(optimizer__ema_momentum=0.9, epochs=4, learning_rate=0.05, restore_best=True)
    clf.fit(images, labels, validation_data=(images, labels))
    scores = clf.predict_proba(images)[:, 1]
    loss = -np.mean(np.log(np.where(labels, scores, 1 - scores)))
    assert loss == pytest.approx(min(clf.history_["val_loss"]), rel=1e-3)


# -- when training goes wrong --


def test_a_loss_that_is_no_number_names_the_rate(images, labels):
    with pytest.raises(TrainingError, match=r"epoch 1, with learning rate 1e\+30 and sgd: lower learning_rate"):
        make(optimizer="sgd", learning_rate=1e30, trainable_from="conv1", epochs=3).fit(images, labels)


@pytest.mark.slow
def test_full_memory_names_the_settings(images, labels):
    def greedy(features):
        @keras.saving.register_keras_serializable("tests")
        class Greedy(keras.layers.Layer):
            def call(self, x):
                # Sorted, because XLA would find the maximum without ever holding the whole.
                return x + keras.ops.sort(keras.ops.tile(x[:, None], (1, 2**20, 2**20)))[:, 0, -1:]

        return Greedy()(keras.layers.GlobalAveragePooling2D()(features))

    with pytest.raises(DeviceError, match="out of memory: lower input_size"):
        make(head=greedy).fit(images, labels)


class Raises(keras.callbacks.Callback):
    def __init__(self, at, error):
        super().__init__()
        self.at, self.error = at, error

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.at:
            raise self.error


@pytest.mark.slow
@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_a_callback_that_raises_leaves_the_weights_in_place(images, labels, error):
    clf = make(epochs=5, learning_rate=0.02, trainable_from="conv1")
    with pytest.raises(type(error)):
        clf.fit(images, labels, callbacks=[Raises(2, error)])
    unbroken = make(epochs=3, learning_rate=0.02, trainable_from="conv1").fit(images, labels)
    assert np.allclose(clf.predict_proba(images), unbroken.predict_proba(images), atol=1e-6)
    assert len(clf.history_["loss"]) == 3
    assert type(error).__name__ in clf.provenance_["interrupted_by"]


def test_a_callback_that_raises_at_once_leaves_the_classifier_as_it_was(images, labels):
    clf = make(epochs=1).fit(images, labels)
    before = clf.predict_proba(images)

    class AtOnce(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        clf.fit(images, labels, callbacks=[AtOnce()])
    assert np.array_equal(clf.predict_proba(images), before)


# -- the search for a learning rate --


@pytest.mark.slow
def test_a_learning_rate_is_found(images, labels, tmp_path):
    clf = make(trainable_from="conv1")
    found = clf.find_learning_rate(images, labels, lowest=1e-6, highest=10.0, steps=60)
    assert not hasattr(clf, "model_")
    assert 1e-5 < found.suggestion < 1
    assert np.all(np.diff(np.log(found.rates)) > 0)
    assert found.plot().figure_ is found.ax_.figure
    found.figure_.savefig(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 5000
    better, worse = (
        make(trainable_from="conv1", epochs=6, learning_rate=rate).fit(images, labels).history_["loss"][-1]
        for rate in (found.suggestion, 1e-6)
    )
    assert better < worse


@pytest.mark.slow
def test_a_search_in_which_the_first_step_goes_too_far_says_where_to_begin(images, labels):
    with pytest.raises(TrainingError, match=r"after one step at the lowest learning rate, 1e\+38: lower `lowest`"):
        make(trainable_from="conv1").find_learning_rate(images, labels, lowest=1e38, highest=3e38, steps=4)
    with pytest.raises(TrainingError, match="before the first step, at any learning rate: look at the loss"):
        make(loss=keras.losses.BinaryCrossentropy(label_smoothing=float("nan"))).find_learning_rate(images, labels)


def test_one_learning_rate_suggests_none():
    with pytest.raises(TrainingError, match="two learning rates or more, got 1"):
        LearningRateDisplay(np.array([1e-7]), np.array([0.7]), np.array([0.7]))
    falls = np.array([0.7, 0.5])
    assert LearningRateDisplay(np.array([1e-3, 1e-2]), falls, falls).suggestion == pytest.approx(1e-3)


def test_a_probe_has_no_learning_rate(images, labels):
    with pytest.raises(ParameterError, match="a Probe has no learning rate"):
        make(stages=(Probe(),)).find_learning_rate(images, labels)
    with pytest.raises(ParameterError, match="lowest must be below highest"):
        make().find_learning_rate(images, labels, lowest=1.0, highest=0.1)
    assert make(stages=(Probe(), Stage())).find_learning_rate(images, labels, steps=20).suggestion > 0


def test_depths_count_stages_from_the_head():
    from melanoma_tl.network.graph import stage_depths

    spec = get_backbone("vgg19")
    backbone = keras.applications.VGG19(include_top=False, weights=None, input_shape=(32, 32, 3))
    found = stage_depths(spec, backbone)
    assert (found["block5_pool"], found["block5_conv1"], found["block4_pool"], found["block1_conv1"]) == (1, 1, 2, 5)
    assert training_plan().stage.layer_decay == 1


def test_a_step_is_traced_once(images, labels):
    """Tracing is what a short training spends most of its time on; TensorFlow traces again what makes variables."""
    traced = []

    @keras.saving.register_keras_serializable("tests")
    class Counts(keras.layers.Dense):
        def call(self, x, training=False):
            traced.append(training)
            return super().call(x)

    make(head=keras.Sequential([keras.layers.GlobalAveragePooling2D(), Counts(2)])).fit(images, labels)
    assert traced.count(True) == 1
