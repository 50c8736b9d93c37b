"""Losses, optimizers, schedules and metrics of the user: the same training as by name, anew in each fit."""

import json
from dataclasses import asdict

import keras
import numpy as np
import pytest
from conftest import training_plan
from keras import ops
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from melanoma_tl import Optimizer, Probe, Stage, TransferClassifier
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.training.keras_objects import Template, describe_object
from melanoma_tl.training.parameters import metrics_of

schedules = keras.optimizers.schedules


def make(**parameters):
    settings = {"trainable_from": "conv2", "epochs": 2, "random_state": 0, "precision": "float32", "weights": None}
    return TransferClassifier("tiny", **(settings | {"verbose": 0} | parameters))


def focal(labels, scores):
    return keras.losses.binary_focal_crossentropy(labels, scores)


COSINE = {"trainable_from": None, "stages": Stage("conv2", schedule="cosine", layer_decay=0.5)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"loss": keras.losses.BinaryFocalCrossentropy()}, {"loss": "focal"}),
        ({"loss": focal}, {"loss": "focal"}),
        ({"optimizer": keras.optimizers.RMSprop(0.5)}, {"optimizer": "rmsprop", "learning_rate": 0.5}),
        ({"learning_rate": schedules.ExponentialDecay(0.5, 10, 1.0)}, {"learning_rate": 0.5}),
        ({"optimizer": keras.optimizers.SGD(schedules.ExponentialDecay(0.5, 10, 1.0))}, {"optimizer": "sgd"}),
        ({"optimizer": keras.optimizers.Adam(0.5)} | COSINE, {"learning_rate": 0.5} | COSINE),
        (
            {"optimizer": keras.optimizers.Adam(0.5, global_clipnorm=0.1, use_ema=True, ema_momentum=0.5)},
            {"optimizer": Optimizer("adam", clip_norm=0.1, ema_momentum=0.5), "learning_rate": 0.5},
        ),
    ],
)
def test_an_object_trains_as_its_name_does_and_stays_as_it_is(images, labels, own, named):
    if named == {"optimizer": "sgd"}:
        named = {"optimizer": "sgd", "learning_rate": 0.5}
    clf, by_name = make(**own).fit(images, labels), make(**named).fit(images, labels)
    for one, other in zip(clf.model_.get_weights(), by_name.model_.get_weights(), strict=True):
        assert np.allclose(one, other, atol=1e-6)
    once = clf.predict_proba(images)
    assert np.array_equal(clone(clf).fit(images, labels).predict_proba(images), once)
    assert np.array_equal(clf.fit(images, labels).predict_proba(images), once)
    for given in own.values():
        if isinstance(given, keras.optimizers.Optimizer):
            assert not given.built


@pytest.mark.slow
def test_biases_that_an_optimizer_spares_are_spared(images, labels):
    spares = keras.optimizers.SGD(0.1, weight_decay=0.5)
    spares.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    named = make(optimizer=Optimizer("sgd", weight_decay=0.5), learning_rate=0.1).fit(images, labels)
    for clf, is_same in (
        (make(optimizer=spares), True),
        (make(optimizer=keras.optimizers.SGD(0.1, weight_decay=0.5)), False),
    ):
        same = np.allclose(clf.fit(images, labels).predict_proba(images), named.predict_proba(images), atol=1e-6)
        assert same is is_same


@pytest.mark.slow
def test_a_search_goes_over_objects_and_over_what_is_inside_a_stage(images, labels):
    grid = [{"loss": [keras.losses.BinaryCrossentropy(), focal]}, {"optimizer": [keras.optimizers.SGD(0.1)]}]
    search = GridSearchCV(make(epochs=1), grid, cv=2, error_score="raise").fit(images, labels)
    assert len(search.cv_results_["params"]) == 3
    grid = {"stages__0__C": [1e-3, 10.0], "stages__1__learning_rate": [1e-2]}
    two = make(trainable_from=None, stages=(Probe(), Stage(epochs=1)))
    search = GridSearchCV(two, grid, cv=2, error_score="raise").fit(images, labels)
    assert search.best_params_["stages__0__C"] == search.best_estimator_.stages[0].C
    assert two.stages == (Probe(), Stage(epochs=1))


def test_parameters_of_stages_are_set_by_their_number():
    clf = make(trainable_from=None, stages=(Probe(), Stage()))
    assert clf.get_params()["stages__0__C"] == 1.0
    clf.set_params(stages__0__C=2.0, stages__1__epochs=3)
    assert clf.stages == (Probe(C=2.0), Stage(epochs=3))
    assert make(trainable_from=None, stages=Probe()).set_params(stages__0__C=3.0).stages == (Probe(C=3.0),)
    before = clf.get_params()
    for wrong, message in (
        ({"stages__2__C": 1.0}, "stages has 2 entries, 0 to 1"),
        ({"stages__0__epochs": 1}, "Unknown parameter of Probe 'epochs'"),
        ({"stages__C": 1.0}, "stages__0__C"),
        ({"stages__0__C": -1.0}, "C must be"),
    ):
        with pytest.raises((ParameterError, UnknownNameError), match=message):
            clf.set_params(**wrong, epochs=7)
        assert clf.get_params() == before
    with pytest.raises(ParameterError, match="stages=None"):
        make().set_params(stages__0__C=1.0)


@pytest.mark.slow
def test_the_history_has_the_metrics_of_each_epoch(images, labels):
    def brier(y, scores):
        return ops.mean(ops.square(y - scores))

    chosen = [keras.metrics.Precision(thresholds=0.3, name="precision_30"), "mse", brier]
    clf = make(metrics=chosen).fit(images[8:], labels[8:], validation_data=(images[:8], labels[:8]))
    for name in ("precision_30", "mean_squared_error", "brier"):
        assert len(clf.history_[name]) == len(clf.history_[f"val_{name}"]) == 2, clf.history_.keys()
    scores = clf.predict_proba(images[:8])[:, 1]
    best = int(np.argmin(clf.history_["val_loss"]))
    assert clf.history_["val_brier"][best] == pytest.approx(np.mean((scores - labels[:8]) ** 2), abs=1e-6)
    assert len(make(trainable_from=None, stages=Probe(), metrics="mse").fit(images, labels).history_) == 4


@pytest.mark.slow
def test_a_file_names_the_objects_and_training_again_asks_for_them(images, labels, tmp_path):
    own = {"loss": focal, "optimizer": keras.optimizers.SGD(0.1), "metrics": [keras.metrics.Precision()]}
    clf = make(**own).fit(images, labels)
    clf.save(tmp_path / "model.keras")
    loaded = TransferClassifier.load(tmp_path / "model.keras")
    assert np.allclose(loaded.predict_proba(images), clf.predict_proba(images), atol=1e-6)
    assert loaded.optimizer.startswith("object SGD {")
    assert loaded.provenance_["parameters"]["loss"].startswith("function focal ")
    for name, value in own.items():
        with pytest.raises(ParameterError, match=rf"{name} was .* set_params\({name}=...\)"):
            loaded.fit(images, labels)
        loaded.set_params(**{name: value})
    assert np.allclose(loaded.fit(images, labels).predict_proba(images), clf.predict_proba(images), atol=1e-6)


class NoConfig(keras.optimizers.SGD):
    def __init__(self, power):
        super().__init__(10.0**power)


LAMBDA = {"loss": lambda labels, scores: -ops.mean(ops.abs(labels - scores))}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": keras.losses.BinaryCrossentropy(from_logits=True)}, "expects logits"),
        ({"loss": keras.losses.CategoricalCrossentropy()}, "loss=object CategoricalCrossentropy"),
        ({"loss": keras.losses.Huber(delta=2.0)}, "does not return all of its settings"),
        (LAMBDA, "must be greater"),
        ({"loss": lambda labels, scores: labels @ scores}, "raises an error for labels"),
        ({"optimizer": NoConfig(-2)}, "optimizer: NoConfig cannot be copied"),
        ({"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())}, "only wraps others"),
        ({"optimizer": keras.losses.Huber()}, "optimizer must be"),
        ({"optimizer": keras.optimizers.SGD(), "learning_rate": 0.1}, "has a learning rate of its own"),
        ({"learning_rate": schedules.CosineDecay(0.1, 9)} | COSINE, "but it is a schedule"),
        ({"optimizer": keras.optimizers.SGD(schedules.CosineDecay(0.1, 9))} | COSINE, "but it is a schedule"),
        ({"learning_rate": keras.optimizers.SGD()}, "learning_rate must be"),
        ({"metrics": ["precison"]}, "Unknown metric 'precison'"),
        ({"metrics": [keras.metrics.AUC()]}, "already contains .auc."),
        ({"metrics": [keras.metrics.Precision]}, "metrics must be"),
        ({"metrics": [lambda labels, scores: labels @ scores]}, "raises an error for labels"),
        ({"metrics": "f1_score"}, r"gives an array of shape \(1,\).*F1Score\(average='macro', threshold=0.5\)"),
    ],
)
def test_what_cannot_be_trained_with_is_refused_before_any_image_is_read(parameters, message):
    with pytest.raises((ParameterError, UnknownNameError), match=message):
        make(**parameters).fit(["no such image.jpg", "nor this.jpg"], [0, 1])


@pytest.mark.slow
def test_losses_of_several_diagnoses_are_given_a_column_for_each(images):
    diagnoses = np.arange(24) % 3
    own = make(loss=keras.losses.CategoricalCrossentropy()).fit(images, diagnoses)
    assert np.allclose(own.predict_proba(images), make().fit(images, diagnoses).predict_proba(images), atol=1e-6)
    with pytest.raises(ParameterError, match=r"shape \(3, 3\)"):
        make(loss=keras.losses.SparseCategoricalCrossentropy()).fit(["gone.jpg"] * 3, [0, 1, 2])


def test_a_changed_loss_is_another_run():
    def describe(loss):
        return json.dumps(asdict(training_plan(loss=Template("loss", loss))), default=str)

    def other(power):
        return lambda labels, scores: ops.mean(ops.abs(labels - scores) ** power)

    assert describe(keras.losses.Huber()) == describe(keras.losses.Huber())
    assert describe(keras.losses.Huber()) != describe(keras.losses.Huber(delta=2.0))
    assert describe(other(1)) == describe(other(1))
    assert describe(other(1)) != describe(other(2))
    assert describe_object(focal).startswith("function focal ")


@pytest.mark.slow
def test_a_resumed_run_takes_objects(images, labels):
    own = {"loss": focal, "optimizer": keras.optimizers.SGD(0.1), "metrics": [keras.metrics.Precision()]}
    kept = make(**own).fit(images, labels, resume=True)
    assert np.array_equal(kept.predict_proba(images), make(**own).fit(images, labels).predict_proba(images))
    assert make(**own).find_learning_rate(images, labels, steps=3).losses.shape == (3,)


@pytest.mark.parametrize("metrics", ["auc", ["auc"], ("AUC",), ["mse", "Accuracy"], "MeanIoU", ["IoU"]])
def test_metrics_that_cannot_be_are_refused_before_an_image_is_read(metrics):
    keras.metrics.AUC()  # after which Keras would call the next one auc_1
    with pytest.raises((ParameterError, UnknownNameError), match=r"already contains|cannot be made by"):
        make(metrics=metrics).check_parameters()


def test_metrics_have_the_same_name_in_each_training():
    for _ in range(2):
        (first, second) = metrics_of(make(metrics=["Precision", "recall"]))
        assert (first.given.name, second.given.name) == ("precision", "recall")
    with pytest.raises(ParameterError, match="the history already contains 'precision'"):
        make(metrics=["Precision", "precision"]).check_parameters()
    make(metrics=["Precision", keras.metrics.Precision(name="precision_2")]).check_parameters()
