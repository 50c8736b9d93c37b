"""What parameters may be: the rules, and that each class and function asks for them before anything is done."""

import copy
import pickle
import re
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import melanoma_tl
from melanoma_tl import (
    Augmenter,
    Balancer,
    Ensemble,
    ISBIDataset,
    Loss,
    MetricsReport,
    MulticlassReport,
    Optimizer,
    PooledHead,
    Probe,
    Resources,
    Stage,
    TransferClassifier,
    cross_validate,
)
from melanoma_tl._parameters import (
    FLAG,
    NONE,
    PATH,
    SEED,
    SIZE,
    TEXT,
    check,
    checked,
    choice,
    mapping,
    real,
    several,
    span,
    whole,
)
from melanoma_tl.errors import DatasetError, ImageError, MelanomaTLError, ParameterError, UnknownNameError
from melanoma_tl.metrics import Calibration, combine_sites, compare
from melanoma_tl.training.optimizers import build_optimizer, find_optimizer
from melanoma_tl.training.parameters import warn_of_unused


def make(**parameters):
    defaults = {"backbone": "tiny", "weights": None, "epochs": 1, "verbose": 0}
    return TransferClassifier().set_params(**(defaults | parameters))


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (
            whole(at_least=1),
            {np.int64(3): 3, 1: 1},
            [True, np.bool_(True), 0, 1.0, "1", None, float("nan"), np.array(1)],
        ),
        (real(above=0, at_most=1), {np.float32(0.5): 0.5, 1: 1}, [0, 1.1, float("nan"), float("inf"), True, "0.5"]),
        (real(), {10**30: 10**30}, [10**400, 1j]),
        (FLAG, {np.bool_(True): True, False: False}, [0, 1, "x", None, 1.0]),
        (TEXT, {np.str_("x"): "x"}, [b"x", 1, None]),
        (PATH, {Path("x"): Path("x")}, [b"x", 1, None, "a\0b"]),
        (
            SEED,
            {None: None, np.uint32(7): 7},
            [-1, 2**32, np.random.RandomState(0), np.random.default_rng(0), 1.0, True],
        ),
        (SIZE, {(np.int64(3), 4): (3, 4)}, [32, (32,), (32, 0), "32", (32, 32, 3), {32, 33}, (32.0, 32.0), None]),
        (several(TEXT), {"ab": ("ab",), ("a", "b"): ("a", "b")}, [1, ["a", 1], None, {"a": 1}]),
        (several(PATH), {Path("x"): (Path("x"),)}, [3, [3]]),
        (span(0, 2), {0.5: 0.5, (0.8, 1.2): (0.8, 1.2)}, [1.5, -0.1, (1.2, 0.8), (0.5, 2.5), (1, 1, 1), "0.5", True]),
        (whole() | NONE, {None: None, 3: 3}, ["", 0.5]),
    ],
)
def test_rules_take_what_fits_in_plain_kinds_and_refuse_the_rest(rule, good, bad):
    for given, expected in good.items():
        read = check({"p": given}, {"p": rule})["p"]
        assert (type(read), read) == (type(expected), expected)
    for given in bad:
        with pytest.raises(ParameterError, match=r"^p must be "):
            check({"p": given}, {"p": rule})


def test_a_word_that_is_none_of_them_gets_the_nearest():
    rule = choice("cosine", "constant") | NONE
    with pytest.raises(UnknownNameError, match=r"Unknown schedule 'cosin'\. Did you mean 'cosine'\?"):
        check({"schedule": "cosin"}, {"schedule": rule})
    with pytest.raises(ParameterError, match="schedule must be one of 'cosine', 'constant' or None, got 3"):
        check({"schedule": 3}, {"schedule": rule})


def test_keys_of_a_mapping_become_plain():
    read = check({"w": {np.int64(1): np.float32(2)}}, {"w": mapping(real(above=0), "a mapping")})["w"]
    assert {type(key): type(value) for key, value in read.items()} == {int: float}


def test_a_checked_function_gets_plain_kinds_and_keeps_its_signature():
    @checked(n=whole(at_least=1), names=several(TEXT))
    def function(n, names=("a",)):
        """Say something."""
        return n, names

    assert function(np.int64(2), "bc") == (2, ("bc",))
    assert function(3) == (3, ("a",))
    assert function.__doc__ == "Say something."
    with pytest.raises(TypeError, match="function"):
        function(1, 2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: TransferClassifier.from_recipe(epochs=3),
            r"missing .* 'name'\. It has: name; by name further changes\.",
        ),
        (
            lambda: TransferClassifier(epoch=3),
            r"TransferClassifier\(\) .* 'epoch'\. Did you mean 'epochs'",
        ),
        (
            lambda: TransferClassifier("vgg16", "imagenet"),
            r"too many positional arguments\. It has: backbone; by name weights=, pre",
        ),
        (
            lambda: TransferClassifier().fit([], epochs=3),
            r"fit\(\) .*'epochs'\. It is one of TransferClassifier\(epochs=",
        ),
        (
            lambda: TransferClassifier().predict([], threshold=0.3),
            r"predict\(\) has no .*TransferClassifier\(threshold=",
        ),
        (lambda: TransferClassifier(callbacks=[]), r"has no parameter 'callbacks'\. It is one of fit\(callbacks="),
        (lambda: TransferClassifier.fit([]), r"called on an object, as in TransferClassifier\(\.\.\.\)\.fit"),
        (lambda: Ensemble([], combin="mean"), "Did you mean 'combine'"),
        (lambda: Augmenter(flip=True), "Did you mean 'horizontal_flip'"),
        (lambda: Balancer("smote"), r"Balancer\(\): too many positional arguments\. It has: by name undersample="),
        (lambda: PooledHead(pool="avg"), "Did you mean 'pooling'"),
        (lambda: Optimizer(decay=0.1), "Did you mean 'weight_decay'"),
        (lambda: Stage(epoch=3), "Did you mean 'epochs'"),
        (lambda: Probe(penalty=3), r"Probe\(\) has no parameter 'penalty'\. It has: C"),
        (lambda: ISBIDataset("photos"), r"ISBIDataset\(\): missing .* 'paths'.* read files: ISBIDataset\.from_folder"),
        (lambda: ISBIDataset("photos", year=2016), r"ISBIDataset\(\) has no parameter 'year'.*from_challenge"),
        (
            lambda: ISBIDataset(["a"], None, [0]).split(seed=1),
            r"ISBIDataset\.split\(\) .*'seed'\. Did you mean 'random_state'\? It has: test_size; by name groups=, ",
        ),
        (lambda: ISBIDataset.from_csv("a.csv", image_dir="b"), "'image_dir'. Did you mean 'image_dirs'"),
        (
            lambda: ISBIDataset.from_csv("a.csv", pos_label="mel"),
            r"ISBIDataset\.from_csv\(\) .*'pos_label'\. Did you mean 'positive'\? It has: path; .*sep=.*positive",
        ),
        (lambda: cross_validate(TransferClassifier(), [], cv=5), r"cross_validate\(\) .*'cv'\. Did you mean 'folds'"),
        (lambda: TransferClassifier(lr=1), "Did you mean 'learning_rate'"),
        (lambda: TransferClassifier(image_size=1), "Did you mean 'input_size'"),
        (lambda: TransferClassifier().tune_threshold([], recall=0.9), "Did you mean 'sensitivity'"),
        (lambda: ISBIDataset.concat(1, 2), "Pass the datasets in a list"),
        (lambda: MetricsReport(TransferClassifier(), []), r"MetricsReport\.from_estimator or from_scores"),
        (lambda: MulticlassReport(1), r"MulticlassReport\.from_estimator or from_scores"),
    ],
)
def test_a_call_that_does_not_fit_names_what_was_meant(call, message, monkeypatch):
    monkeypatch.setattr("melanoma_tl.datasets.isbi.read_table", lambda *_, **__: pd.DataFrame())
    with pytest.raises(TypeError, match=message):
        call()


def test_a_parameter_of_fit_is_not_one_of_a_recipe():
    with pytest.raises(UnknownNameError, match=r"'callbacks'\..* It is one of fit\(callbacks=\.\.\.\)"):
        TransferClassifier.from_recipe("fast", callbacks=[])


def test_a_parameter_of_a_part_is_named_by_its_path():
    with pytest.raises(UnknownNameError, match=r"'C'\..* It is stages__0__C\."):
        TransferClassifier(stages=Probe()).set_params(C=0.01)


def test_a_recipe_that_does_not_exist_names_the_one_to_begin_with():
    with pytest.raises(UnknownNameError, match=r"'recommended'\. Known: .* Begin with 'fast'"):
        TransferClassifier.from_recipe("recommended")


@pytest.mark.parametrize(
    ("parameters", "unused"),
    [
        ({"stages": Probe(), "epochs": 3, "learning_rate": 10.0}, "learning_rate=10.0, epochs=3"),
        ({"stages": (Probe(), Stage()), "epochs": 3}, None),
        ({"epochs": 3}, None),
        ({"stages": Probe(), "epochs": 20}, None),
    ],
)
def test_parameters_without_effect_on_probes_are_named(parameters, unused, caplog):
    warn_of_unused(TransferClassifier(**parameters))
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == ([] if unused is None else [unused])


@pytest.mark.parametrize(
    "thing",
    [
        TransferClassifier(),
        Ensemble([TransferClassifier()]),
        ISBIDataset(["a"], None, [0]),
        MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58),
        MulticlassReport.from_scores([0, 1, 2], np.eye(3), classes=[0, 1, 2], n_resamples=100),
        Calibration(),
        combine_sites(
            dict.fromkeys(("a", "b"), MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58)), "sensitivity"
        ),
        compare([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], [0.1, 0.3, 0.2, 0.4]),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_an_attribute_of_another_library_is_answered_with_ours(thing):
    for name, instead in type(thing)._elsewhere.items():
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; use {re.escape(instead)}$"):
            getattr(thing, name)
    assert not hasattr(thing, "__array__")
    assert not hasattr(copy.copy(thing), "something_else")
    pickle.loads(pickle.dumps(thing))


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: ISBIDataset(["a"], None, [0]).labls, "'labls'. Did you mean 'labels'"),
        (lambda: ISBIDataset(["a"], None, [0]).labels_, "Did you mean 'labels'"),
        (lambda: TransferClassifier().predict_prob, "Did you mean 'predict_proba'"),
        (lambda: TransferClassifier().history_, r"'history_'; use fit\(\) first"),
        (lambda: TransferClassifier().penalty_path_, "is not fitted"),
    ],
)
def test_an_attribute_that_does_not_exist_names_what_was_meant(read, message):
    with pytest.raises(AttributeError, match=message):
        read()


@pytest.mark.parametrize(
    ("package", "name", "advice"),
    [
        (melanoma_tl, "ISBIDatset", ". Did you mean 'ISBIDataset'?"),
        (melanoma_tl, "read_csv", "; use ISBIDataset.from_csv"),
        (melanoma_tl.metrics, "score_metric", ". Did you mean 'score_metrics'?"),
        (melanoma_tl, "zzz", ""),
    ],
)
def test_a_name_that_a_package_lacks_is_answered_with_the_one_that_was_meant(package, name, advice):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'{re.escape(advice)}$"):
        getattr(package, name)
    assert not hasattr(package, "__path_of_something_else__")


@pytest.mark.parametrize("call", ["load", "from_recipe", "from_pretrained"])
def test_what_makes_a_classifier_is_not_called_on_one(call):
    classifier = TransferClassifier()
    with pytest.raises(
        TypeError, match=rf"TransferClassifier\.{call} makes a new object.*= TransferClassifier\.{call}"
    ):
        getattr(classifier, call)("fast")


WRONG = {
    "augmenter": ["flip", Augmenter, 8],
    "balancer": ["smote", Balancer, True],
    "trainable_from": [True, 0, 1.5, ["conv2"]],
    "random_state": [np.random.RandomState(0), np.random.default_rng(0), "0", -1, 1.5],
    "optimizer": ["optimizer", "lossscaleoptimizer", None, keras.optimizers.Adam, Optimizer, Optimizer("optimizer")],
    "optimizer__name": [None, 3, keras.optimizers.Adam],
    "optimizer__weight_decay": [-1, "0.1", True, float("nan")],
    "optimizer__clip_norm": [0, "1", float("inf")],
    "optimizer__ema_momentum": [0, 1, "0.9"],
    "restore_best": ["x", 1, None],
    "train_batch_norm": ["no", 0],
    "head__pooling": [0, "mean", "av", True],
    "head__feature_layers": [1, [1], {"conv1": 1}, "conv0"],
    "stages": ["probe", Stage, [], ["x"], (Probe(), None)],
    "class_weight": [{0: 0, 1: 1}, {0: -1.0, 1: 2.0}, {0: "1", 1: 2}, {0: True, 1: 2}, [1, 2], "balance", 1.0],
    "input_size": [32, "32", (32,), (32, 32, 3), (32.0, 32.0)],
    "dropout": ["0.5", True, 1, float("nan")],
    "learning_rate": ["0.1", 0, float("nan"), float("inf"), True],
    "batch_size": [8.0, "8", True, 0],
    "epochs": [None, 1.0, "1"],
    "head": ["pool", 3, None, PooledHead],
    "loss": ["mse", None, Loss, keras.losses.BinaryCrossentropy],
    "loss__name": ["mse", None],
    "loss__label_smoothing": [1, -0.1, "0.1", True],
    "resources": [Resources, 3, "auto"],
    "mix": ["mix", True],
    "preprocessing": [None, "imagenet"],
    "precision": ["float16", 16],
    "resources__distribution": ["all", True],
    "resources__feature_cache_bytes": [-1, "1 GB", float("nan")],
    "threshold": ["0.5", 2, True, float("nan")],
    "tta": [3, True, "2", 2.0],
    "on_error": ["ignore", True],
    "weights": [3, True],
    "backbone": [19, None, "vgg"],
    "verbose": ["no", -1],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_classifier_names_the_wrong_parameter_before_any_image_is_read(name):
    for value in WRONG[name]:
        with pytest.raises((ParameterError, UnknownNameError), match=name.removesuffix("__name").rpartition("__")[2]):
            make(**{name: value}).fit(["no such image.jpg", "nor this.jpg"], [0, 1])


def test_parameters_of_parts_are_set_by_their_names():
    clf = make()
    clf.set_params(optimizer="sgd", optimizer__weight_decay=0.1, loss__label_smoothing=0.2, head__pooling="max")
    clf.set_params(resources__distribution=None, augmenter__horizontal_flip=True, balancer__undersample=3.0)
    assert clf.optimizer.get_params() == Optimizer("sgd", weight_decay=0.1).get_params()
    assert clf.loss.get_params() == Loss(label_smoothing=0.2).get_params()
    assert clf.head.get_params() == PooledHead(pooling="max").get_params()
    assert clf.resources.get_params() == Resources(distribution=None).get_params()
    assert clf.augmenter.get_params() == Augmenter(horizontal_flip=True).get_params()
    assert clf.balancer.get_params() == Balancer(undersample=3.0).get_params()
    assert clf.get_params()["optimizer__weight_decay"] == 0.1
    clf.set_params(optimizer__clip_norm=1.0, learning_rate=0.5)
    assert (clf.optimizer.weight_decay, clf.optimizer.clip_norm, clf.learning_rate) == (0.1, 1.0, 0.5)


def test_parts_of_a_clone_are_its_own():
    clf = make(optimizer__clip_norm=1.0, head__pooling="max", loss__label_smoothing=0.2, resources__distribution=None)
    copied = clone(clf).set_params(
        optimizer__clip_norm=2.0, head__pooling="avg", loss__label_smoothing=0.0, resources__distribution="auto"
    )
    assert (clf.optimizer.clip_norm, copied.optimizer.clip_norm) == (1.0, 2.0)
    assert (clf.head.pooling, copied.head.pooling) == ("max", "avg")
    assert (clf.loss.label_smoothing, copied.loss.label_smoothing) == (0.2, 0.0)
    assert (clf.resources.distribution, copied.resources.distribution) == (None, "auto")


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"head": "published", "head__pooling": "max"}, ParameterError, "head='published' .* make it PooledHead"),
        ({"head": lambda features: features, "head__pooling": "max"}, ParameterError, "make it PooledHead"),
        ({"optimizer": 3, "optimizer__clip_norm": 1.0}, ParameterError, "make it Optimizer"),
        ({"resources": "all", "resources__distribution": None}, ParameterError, "make it Resources"),
        ({"optimizer__momentum": 0.9}, UnknownNameError, "parameter of Optimizer 'momentum'. Did you mean 'ema_mom"),
        ({"balancer__oversampled": 0.9}, UnknownNameError, "Did you mean 'oversample'"),
        ({"epoch": 3}, UnknownNameError, "Unknown parameter of TransferClassifier 'epoch'. Did you mean 'epochs'"),
        ({"optimiser__name": "sgd"}, UnknownNameError, "Did you mean 'optimizer'"),
        ({"learning_rate": 1.0, "augmenter__flip": True}, UnknownNameError, "parameter of Augmenter 'flip'"),
        ({"epochs__most": 3}, ParameterError, "epochs has no parameters of its own; head, balancer"),
    ],
)
def test_what_has_no_such_parameter_says_so_and_nothing_is_changed(parameters, error, message):
    clf = make()
    before = clf.get_params()
    with pytest.raises(error, match=message):
        clf.set_params(**parameters)
    assert clf.get_params() == before


class Own(Optimizer):
    """A part of one's own, which no file could hold."""


def test_nothing_of_a_part_is_changed_where_another_part_is_wrong():
    clf = make(optimizer=Optimizer(), loss=Loss())
    for wrong in ({"loss__nope": 1}, {"epochs__x": 1}, {"head__pooling": "max", "head": "published"}):
        with pytest.raises((UnknownNameError, ParameterError)):
            clf.set_params(**{"optimizer__weight_decay": 0.5, "loss__label_smoothing": 0.1} | wrong)
        assert (clf.optimizer.weight_decay, clf.loss.label_smoothing) == (0.0, 0.0)


def test_a_part_of_ones_own_class_is_refused_before_training(images, labels):
    with pytest.raises(ParameterError, match=r"optimizer must be Optimizer\(...\), got Own"):
        make(optimizer=Own("sgd")).fit(images, labels)


def test_a_class_of_ones_own_with_fewer_parameters_is_refused_before_training():
    class Quick(TransferClassifier):
        def __init__(self, random_state=0):
            super().__init__("tiny", weights=None, random_state=random_state, verbose=0)

    with pytest.raises(ParameterError, match=r"Quick has an __init__ without 'augmenter'.*write a function"):
        Quick().fit(["no such image.jpg"] * 2, [0, 1])


def test_a_layer_is_taken_once(images, labels):
    with pytest.raises(ParameterError, match="must name each layer once, got 'conv1', 'conv1'"):
        make(head=PooledHead(feature_layers=["conv1", "conv1"])).fit(images, labels)


@pytest.mark.slow
def test_a_grid_goes_over_parameters_of_parts(images, labels):
    grid = {"head__pooling": ["avg", "max"], "optimizer__weight_decay": [0.0, 0.1]}
    search = GridSearchCV(make(random_state=0), grid, cv=2).fit(images, labels)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_estimator_.head.pooling == search.best_params_["head__pooling"]


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"rotation_range": "20"}, "rotation_range"),
        ({"views": "8"}, "views"),
        ({"views": True}, "views"),
        ({"horizontal_flip": "yes"}, "horizontal_flip"),
        ({"saturation_range": 2.0}, "saturation_range"),
        ({"brightness_range": float("nan")}, "brightness_range"),
        ({"zoom_range": (1, 1, 1)}, "zoom_range"),
        ({"fill_mode": 0}, "fill_mode"),
        ({"random_state": np.random.RandomState(0)}, "random_state"),
    ],
)
def test_so_does_an_augmenter_also_inside_a_classifier(images, labels, parameters, name):
    for call in (
        lambda: Augmenter(**parameters).augment(images, 0),
        lambda: make(augmenter=Augmenter(**parameters)).fit(["no such image.jpg", "nor this.jpg"], [0, 1]),
    ):
        with pytest.raises((ParameterError, UnknownNameError), match=name):
            call()


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"undersample": "2"}, "undersample"),
        ({"oversample": True}, "oversample"),
        ({"selection": "last"}, "selection"),
        ({"random_state": np.random.RandomState(0)}, "random_state"),
    ],
)
def test_so_does_a_balancer_also_inside_a_classifier(images, labels, parameters, name):
    for call in (
        lambda: Balancer(**parameters).fit_resample(images, labels),
        lambda: make(balancer=Balancer(**parameters)).fit(["no such image.jpg", "nor this.jpg"], [0, 1]),
    ):
        with pytest.raises((ParameterError, UnknownNameError), match=name):
            call()


@pytest.mark.parametrize(
    ("make_it", "name"),
    [
        (lambda: Stage(epochs=True), "epochs"),
        (lambda: Stage(epochs="3"), "epochs"),
        (lambda: Stage(learning_rate="1e-3"), "learning_rate"),
        (lambda: Stage(warmup="0"), "warmup"),
        (lambda: Stage(layer_decay=float("nan")), "layer_decay"),
        (lambda: Stage(trainable_from=True), "trainable_from"),
        (lambda: Stage(schedule=None), "schedule"),
        (lambda: Probe(C="1"), "C must be"),
        (lambda: Probe(C=float("inf")), "C must be"),
        (lambda: Ensemble([]).members_, "classifiers"),
        (lambda: Ensemble([make()], combine="median").members_, "combine"),
        (lambda: Ensemble([make()], threshold="0.5").members_, "threshold"),
        (lambda: cross_validate("vgg19", [], []), "classifier"),
        (lambda: cross_validate(make(), [], [], folds=True), "folds"),
        (lambda: cross_validate(make(), [], [], validation="held"), "validation"),
        (lambda: cross_validate(make(), [], [], random_state=np.random.RandomState(0)), "random_state"),
        (lambda: cross_validate(make(epochs=0), ["x.jpg"] * 4, [0, 1] * 2), "epochs"),
    ],
)
def test_so_do_stages_ensembles_and_cross_validation(make_it, name):
    with pytest.raises(MelanomaTLError, match=name):
        make_it()


def test_numbers_of_numpy_are_numbers_and_go_through_training_and_files(images, labels, tmp_path):
    clf = make(
        input_size=np.array([32, 32]),
        dropout=np.float32(0.25),
        batch_size=np.int64(8),
        epochs=np.int32(1),
        learning_rate=np.float64(1e-3),
        class_weight={np.int64(0): np.float32(1), np.int64(1): np.float64(2)},
        stages=Stage(epochs=np.int64(1), warmup=np.float32(0.5)),
        head=PooledHead(feature_layers=np.str_("conv1")),
        optimizer=Optimizer(np.str_("sgd"), weight_decay=np.float32(0.5), clip_norm=np.int64(1)),
        loss=Loss(label_smoothing=np.float32(0.25)),
        resources=Resources(feature_cache_bytes=np.int64(2**30)),
        augmenter=Augmenter(rotation_range=np.float32(20), horizontal_flip=np.bool_(True), views=np.int64(2)),
        balancer=Balancer(undersample=np.float32(2)),
        restore_best=np.bool_(True),
        tta=np.int64(2),
        random_state=np.int64(0),
        verbose=np.int64(0),
    )
    clf.fit(images, labels, callbacks=keras.callbacks.LambdaCallback()).save(tmp_path / "model.keras")
    loaded = TransferClassifier.load(tmp_path / "model.keras")
    assert loaded.class_weight == {0: 1.0, 1: 2.0}
    assert (loaded.head.feature_layers, loaded.stages) == ("conv1", (Stage(epochs=1, warmup=0.5),))
    assert loaded.optimizer.get_params() == Optimizer("sgd", weight_decay=0.5, clip_norm=1).get_params()
    assert (loaded.loss.label_smoothing, loaded.resources.feature_cache_bytes) == (0.25, 2**30)
    assert np.array_equal(loaded.predict_proba(images), clf.predict_proba(images))


def test_class_weights_are_for_the_classes(images, labels):
    for weights in ({0: 1.0}, {0: 1.0, 1: 1.0, 2: 1.0}, {"a": 1.0, "b": 2.0}):
        with pytest.raises(ParameterError, match="class_weight"):
            make(class_weight=weights).fit(images, labels)


def test_a_function_is_no_callback(images, labels):
    for callbacks in (print, [print], "early", [None]):
        with pytest.raises(ParameterError, match="callbacks must be a callback of Keras, or several in a list"):
            make().fit(images, labels, callbacks=callbacks)


def test_every_optimizer_that_is_named_trains_with_the_defaults():
    with pytest.raises(UnknownNameError) as error:
        find_optimizer("adamm")
    assert "adamw" in error.value.valid
    for name in error.value.valid:
        optimizer = build_optimizer(name, learning_rate=0.1, weight_decay=0.0, clip_norm=None, ema_momentum=None)
        weight = keras.Variable(np.ones((2, 2), "float32"))
        optimizer.apply([keras.ops.convert_to_tensor(np.ones((2, 2), "float32"))], [weight])
        assert not np.allclose(keras.ops.convert_to_numpy(weight), 1.0), name


def test_adamw_without_decay_is_adam():
    steps = {}
    for name in ("adam", "adamw"):
        weight = keras.Variable(np.ones((2, 2), "float32"))
        optimizer = build_optimizer(name, learning_rate=0.1, weight_decay=0.0, clip_norm=None, ema_momentum=None)
        optimizer.apply([keras.ops.convert_to_tensor(np.ones((2, 2), "float32"))], [weight])
        steps[name] = keras.ops.convert_to_numpy(weight)
    assert np.array_equal(steps["adam"], steps["adamw"])


@pytest.fixture(scope="module")
def table(tmp_path_factory, images, labels):
    folder = tmp_path_factory.mktemp("table")
    (folder / "images").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / "images" / f"i{number}.png")
    pd.DataFrame({"image_id": [f"i{n}" for n in range(24)], "label": labels}).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def test_one_folder_is_a_folder(table):
    folder = table.parent / "images"
    for given in (folder, str(folder), [folder], (str(folder),), np.array([str(folder)])):
        assert len(ISBIDataset.from_csv(table, image_dirs=given)) == 24
    for wrong in (3, [3], {"images": 1}, b"images"):
        with pytest.raises(ParameterError, match="image_dirs must be a path, or several in a list"):
            ISBIDataset.from_csv(table, image_dirs=wrong)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda data: data.images(32), "size"),
        (lambda data: data.images((32.0, 32.0)), "size"),
        (lambda data: data.images("32"), "size"),
        (lambda data: data.resize_to("out", size=32), "size"),
        (lambda data: data.resize_to("out", format="gif"), "format"),
        (lambda data: data.resize_to(3), "folder"),
        (lambda data: data.split("0.2"), "test_size"),
        (lambda data: data.split(1), "test_size"),
        (lambda data: data.split(stratify="yes"), "stratify"),
        (lambda data: data.split(random_state=np.random.RandomState(0)), "random_state"),
        (lambda data: data.sample(3, random_state=np.random.default_rng(0)), "random_state"),
        (lambda data: data.folds(True), "k must be"),
        (lambda data: data.folds("5"), "k must be"),
        (lambda data: data.overlap("other"), "other"),
        (lambda data: data.overlap(data, by="byte"), "Unknown by 'byte'. Did you mean 'bytes'"),
        (lambda data: data.overlap(data, by=3), "by must be"),
        (lambda data: data.selection_bias(alpha="0.05"), "alpha"),
        (lambda data: data.selection_bias(data[:4], on_error="stop"), "on_error"),
        (lambda data: data.verify(verbose="yes"), "verbose"),
    ],
)
def test_a_dataset_names_the_wrong_parameter(table, call, name):
    with pytest.raises((ParameterError, UnknownNameError), match=name):
        call(ISBIDataset.from_csv(table, image_dirs=table.parent / "images"))


def test_one_column_is_a_column_and_a_word_is_no_pair_of_names():
    report = MetricsReport.from_scores([0, 1, 0, 1], [0.1, 0.9, 0.7, 0.8], n_resamples=100)
    table = {"sex": ["female", "male", "female", "male"]}
    assert str(report.subgroups(table, "sex")) == str(report.subgroups(table, ["sex"]))
    for names in ("ab", ("a",), ("a", 1), None):
        with pytest.raises(ParameterError, match="names must be"):
            report.compare(report, names=names)
    with pytest.raises(ParameterError, match="by must be"):
        report.subgroups(table, 3)


def test_one_classifier_is_an_ensemble_of_one(images, labels):
    scores = Ensemble(make(random_state=0), verbose=0).fit(images, labels).predict_proba(images)
    assert scores.shape == (24, 2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda image: image[0], r"got one image \(40, 40, 3\): pass image\[None\]"),
        (lambda image: image / 255, "dtype uint8, 0 to 255, got float64"),
        (lambda image: image.astype("float32"), "got float32"),
        (lambda image: image.astype("int16") - 300, "got int16"),
        (
            lambda image: image.transpose(0, 3, 1, 2),
            r"expected the shape \(n, height, width, 3\), got \(24, 3, 40, 40\)",
        ),
        (lambda image: image[..., 0], r"got \(24, 40, 40\)"),
        (lambda image: Image.fromarray(image[0]), "got one image"),
        (lambda image: [image[0], image[1][:30]], "one array"),
        (lambda image: ["a.jpg"], "got <U5"),
        (lambda image: None, "got object"),
    ],
)
def test_an_augmenter_takes_uint8_images_and_nothing_else(images, wrong, message):
    given = wrong(images)
    augmenter = Augmenter(horizontal_flip=True, rotation_range=20, views=2)
    for call in (lambda: augmenter.augment(given, 0), lambda: augmenter.fixed_views(given, [1] * 24, [1] * 24)):
        with pytest.raises(ImageError, match=message):
            call()


def test_a_list_of_images_is_an_array_of_them(images):
    augmenter = Augmenter(horizontal_flip=True, rotation_range=20)
    expected = augmenter.augment(images[:3], 1)
    for given in (list(images[:3]), [Image.fromarray(image) for image in images[:3]]):
        assert np.array_equal(augmenter.augment(given, 1), expected)
    assert np.array_equal(augmenter.augment(images[:3], (1,)), expected)


def test_each_image_needs_a_key_and_a_view(images):
    for keys, views in (([1], [1, 1]), ([1, 2, 3], [1, 1]), ([1, -2], [1, 1]), ([1, 2], [1, -1]), ([1, "2"], [1, 1])):
        with pytest.raises(ParameterError, match=r"keys|view"):
            Augmenter(horizontal_flip=True, views=2).fixed_views(images[:2], keys, views)


PATHS = [f"image_{row}.jpg" for row in range(12)]
Y = np.array([0] * 9 + [1] * 3)


@pytest.mark.parametrize(
    "rows",
    [
        pd.Series(PATHS).iloc[1:],
        pd.Series(PATHS, index=list("lkjihgfedcba")).iloc[1:],
        pd.DataFrame({"path": PATHS}).iloc[1:],
        pd.DataFrame({"path": PATHS, "age": [np.nan, 1.0] * 6}).iloc[1:],
        np.array(PATHS)[1:, None],
        np.array(PATHS, dtype=object)[1:, None],
        np.array([[np.nan, row] for row in range(12)])[1:],
        tuple(PATHS[1:]),
        [[path, path] for path in PATHS][1:],
    ],
    ids=["series", "named series", "column", "table", "n by 1", "objects", "gaps", "tuple", "list of rows"],
)
def test_rows_are_rows_for_a_balancer(rows):
    balancer = Balancer(random_state=0)
    chosen, labels = balancer.fit_resample(rows, Y[1:])
    table = isinstance(rows, pd.Series | pd.DataFrame)
    expected = rows.iloc[balancer.sample_indices_] if table else np.array(rows, dtype=object)[balancer.sample_indices_]
    pd.testing.assert_frame_equal(
        pd.DataFrame(np.asarray(chosen, dtype=object)),
        pd.DataFrame(np.asarray(expected, dtype=object)),
        check_dtype=False,
    )
    assert len(chosen) == len(labels) == 12


def test_rows_that_cannot_be_chosen_are_refused():
    with pytest.raises(DatasetError, match=r"rows of EagerTensor cannot be chosen.*numpy\.asarray\(X\)"):
        Balancer().fit_resample(keras.ops.convert_to_tensor(np.zeros((6, 4, 4, 3), "uint8")), [0, 1] * 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda report: report.subgroups({"sex": ["f", "m"] * 12}, by=[]),
            "by must be a Series or an array .* the name of a column, or a list of several or a function of the table",
        ),
        (lambda _: MetricsReport.from_scores([0, 1], [0.1, 0.9], history={"loss": 5}), "one number an epoch"),
        (lambda _: MetricsReport.from_scores([0, 1], [0.1, 0.9], history={"loss": "low"}), "one number an epoch"),
        (lambda _: MetricsReport.from_scores([0, 1], [0.1, 0.9], history={"loss": [[1, 2]]}), "one number an epoch"),
        (lambda _: MetricsReport.from_scores([0, 1], [0.1, 0.9], history={3: [1, 2]}), "one number an epoch"),
    ],
)
def test_what_a_report_cannot_use_is_refused(call, message):
    report = MetricsReport.from_scores([0, 1] * 12, [0.2, 0.8] * 12, n_resamples=100)
    with pytest.raises(ParameterError, match=message):
        call(report)


def test_datasets_are_compared_by_something():
    data = ISBIDataset([f"i{n}" for n in range(4)], None, [0, 1] * 2)
    with pytest.raises(ParameterError, match=r"by must be one of .*, or several in a list"):
        data.overlap(data, by=[])


def test_a_balancer_says_so_where_it_leaves_most_rows_out():
    with pytest.warns(UserWarning, match="keeps 3 of 501 rows, because the smallest class has 1") as warned:
        Balancer().fit_resample(np.arange(501), np.arange(501) == 0)
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Balancer().fit_resample(np.arange(900), np.arange(900) < 173)
        Balancer(undersample=None).fit_resample(np.arange(501), np.arange(501) == 0)


@pytest.mark.parametrize("rows", [None, 3, "paths", {"path": PATHS}, set(PATHS), iter(PATHS), np.float64(1)])
def test_what_is_no_sequence_of_rows_is_refused(rows):
    with pytest.raises(DatasetError):
        Balancer().fit_resample(rows, Y)
