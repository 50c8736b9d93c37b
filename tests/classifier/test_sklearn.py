"""scikit-learn's and imbalanced-learn's tools work on arrays of paths, and scikit-learn's own checks pass."""

import pickle

import keras
import numpy as np
import pytest
import sklearn
from imblearn.pipeline import make_pipeline
from sklearn.base import ClassifierMixin, clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict, cross_val_score
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version
from sklearn.utils.validation import validate_data

from melanoma_tl import Augmenter, Balancer, Ensemble, MetricsReport, TransferClassifier, register_backbone
from melanoma_tl.errors import LeakageWarning
from melanoma_tl.labels.classes import Classes

# -- scikit-learn's checks, which know only tables --


def draw(table):
    """Turn each row of a table into an image: a grid of squares, as bright as the features are large."""
    brightness = (127.5 * (1 + table / (1 + np.abs(table)))).astype("uint8")
    grid = np.resize(np.arange(table.shape[1]), (4, 4, 3))
    return brightness[:, grid].repeat(4, axis=1).repeat(4, axis=2)


class AnyLabels(TransferClassifier):
    """Takes the second class for melanoma where nothing says which it is: the checks' labels are "one" and "two"."""

    def _resolve_classes(self, labels):
        distinct = np.unique(labels)
        return Classes.of(labels, pos_label=distinct[1] if len(distinct) == 2 else None)


class TableMixin:
    """Takes tables in place of images, and checks them as every classifier of tables does."""

    def predict_proba(self, X, tta=None):
        self._check_fitted()
        scores = super().predict_proba(draw(validate_data(self, X, reset=False)), tta)
        return scores.astype("float32")  # what the network computes in: the checks then compare that exactly

    def score(self, X, y, sample_weight=None):
        return ClassifierMixin.score(self, X, y, sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array, tags.input_tags.string = False, True, False
        return tags


class TableClassifier(TableMixin, AnyLabels):
    def fit(self, X, y):
        X, y = validate_data(self, X, y)
        return super().fit(draw(X), y)


class TableEnsemble(TableMixin, Ensemble):
    def fit(self, X, y):
        X, y = validate_data(self, X, y)
        return super().fit(draw(X), y)


class Flat:
    """A head with a name that is the same in every process, as the names of tests must be."""

    def __call__(self, features):
        return keras.layers.Flatten()(features)

    def __repr__(self):
        return "Flat()"


@pytest.fixture(scope="module", autouse=True)
def backbone_of_tables():
    """Register a backbone that finds the features in the image again: what is learned is a logistic regression."""

    @register_backbone("table", preprocess=keras.layers.Rescaling(1 / 127.5, offset=-1), input_size=(16, 16))
    def build(input_tensor, weights):
        squares = keras.layers.AveragePooling2D(4)(input_tensor)
        return keras.Model(keras.utils.get_source_inputs(input_tensor), squares)


OPTIONS = {
    "weights": None,
    "head": Flat(),
    "optimizer": "sgd",
    "learning_rate": 0.3,
    "batch_size": 8,
    "epochs": 2,
    "verbose": 0,
}

EXPECTED_FAILURES = {
    "check_dict_unchanged": "the network that scores, in the precision asked for, is built at the first prediction "
    "and kept in a private attribute",
}
if keras.backend.backend() != "tensorflow":
    EXPECTED_FAILURES["check_class_weight_classifiers"] = (
        "a weight of 1000 drives scores to exactly 0 and 1, where Keras's loss has a gradient with TensorFlow alone: "
        "there it finds the logits again"
    )


@pytest.fixture
def in_float32(monkeypatch):
    """Compare as exactly as float32 can: the place of a row in a batch decides how a processor rounds it."""
    compare = estimator_checks.assert_allclose_dense_sparse
    monkeypatch.setattr(
        estimator_checks,
        "assert_allclose_dense_sparse",
        lambda *arrays, atol=0.0, **options: compare(*arrays, atol=max(atol, np.finfo("float32").eps), **options),
    )


@pytest.mark.usefixtures("in_float32")
@parametrize_with_checks(
    [TableClassifier("table", **OPTIONS)], expected_failed_checks=lambda estimator: EXPECTED_FAILURES
)
def test_the_classifier_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.usefixtures("in_float32")
@parametrize_with_checks([TableEnsemble([AnyLabels("table", **OPTIONS)], verbose=0)])
def test_the_ensemble_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "estimator",
    [TransferClassifier(), Ensemble([TransferClassifier(), TransferClassifier("vgg16")]), Augmenter()],
    ids=["classifier", "ensemble", "augmenter"],
)
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_valid_tag_types,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_set_params,
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        estimator_checks.check_mixin_order,
    ],
    ids=lambda check: check.__name__,
)
def test_parameters_are_those_of_a_scikit_learn_estimator(estimator, check):
    check(type(estimator).__name__, estimator)


def test_tags_say_what_goes_in_and_comes_out():
    for estimator in (TransferClassifier(), Ensemble([TransferClassifier()])):
        tags = get_tags(estimator)
        assert is_classifier(estimator)
        assert tags.classifier_tags.multi_class
        assert (tags.input_tags.two_d_array, tags.input_tags.one_d_array, tags.input_tags.string) == (False, True, True)
        assert tags.target_tags.required


# -- tools on an array of paths --


def make(**changes):
    options = {"weights": None, "trainable_from": "conv1", "learning_rate": 0.02, "epochs": 1, "verbose": 0}
    return TransferClassifier("tiny", **(options | {"random_state": 0} | changes))


@pytest.fixture(scope="module")
def fitted(dataset):
    return make(epochs=4).fit(dataset[:12])


def test_clones_have_the_parameters_and_nothing_else(fitted):
    fitted.set_params(balancer=Balancer(undersample=3.0), tta=4)
    copied = clone(fitted)
    assert {name: value for name, value in copied.get_params().items() if name != "balancer"} == {
        name: value for name, value in fitted.get_params().items() if name != "balancer"
    }
    assert copied.balancer is not fitted.balancer
    assert not [name for name in vars(copied) if name.endswith("_")]
    fitted.set_params(balancer=None, tta=1)


def test_a_fitted_classifier_can_be_pickled(fitted, dataset):
    expected = fitted.predict_proba(dataset)
    assert np.allclose(pickle.loads(pickle.dumps(fitted)).predict_proba(dataset), expected, atol=1e-6)


@pytest.mark.slow
def test_grid_search_tries_parameters_of_parts_too(dataset):
    search = GridSearchCV(
        make(balancer=Balancer(), epochs=3),
        [{"balancer__undersample": [1.0], "tta": [1, 8]}],
        cv=2,
        scoring=["roc_auc", "neg_log_loss"],
        refit="roc_auc",
        error_score="raise",
    )
    search.fit(dataset.paths[:16], dataset.labels[:16])
    assert search.cv_results_["mean_test_roc_auc"].shape == (2,)
    losses = search.cv_results_["mean_test_neg_log_loss"]
    assert np.isfinite(losses).all()
    assert losses[0] != losses[1], "the views change the scores"
    assert search.best_estimator_.tta == search.best_params_["tta"]
    assert search.best_estimator_.balancer.undersample == 1
    assert search.predict(dataset.paths[16:]).shape == (8,)


@pytest.mark.slow
def test_cross_val_predict_scores_what_was_held_out(dataset):
    groups = np.arange(24) // 2
    folds = list(StratifiedGroupKFold(2).split(dataset.paths, dataset.labels, groups))
    scores = cross_val_predict(make(), dataset.paths, dataset.labels, cv=folds, method="predict_proba")
    train, test = folds[1]
    alone = make().fit(dataset.paths[train], dataset.labels[train])
    assert np.allclose(scores[test], alone.predict_proba(dataset.paths[test]), atol=1e-5)
    accuracies = cross_val_score(Ensemble([make()], verbose=0), dataset.paths, dataset.labels, cv=folds)
    assert accuracies[1] == alone.score(dataset.paths[test], dataset.labels[test])


def test_calibration_trains_on_a_part_and_calibrates_on_the_rest(dataset):
    calibrated = CalibratedClassifierCV(make(epochs=3), cv=2).fit(dataset.paths, dataset.labels)
    assert len(calibrated.calibrated_classifiers_) == 2
    assert calibrated.score(dataset.paths, dataset.labels) > 0.9


@pytest.mark.parametrize(
    "method",
    [
        "sigmoid",
        "isotonic",
        pytest.param(
            "temperature",
            marks=pytest.mark.skipif(
                parse_version(sklearn.__version__) < parse_version("1.8"), reason="new in scikit-learn 1.8"
            ),
        ),
    ],
)
def test_calibration_of_what_is_fitted_already(fitted, dataset, method):
    valid, test = dataset[12:], dataset[:12]
    for model in (fitted, Ensemble([fitted, fitted]), Ensemble([fitted], combine="rank").set_reference(valid)):
        calibrated = CalibratedClassifierCV(FrozenEstimator(model), method=method).fit(valid.paths, valid.labels)
        before, after = model.predict_proba(valid)[:, 1], calibrated.predict_proba(valid.paths)[:, 1]
        assert (np.diff(after[np.argsort(before)]) >= 0).all(), "the order stays"
        if method == "temperature":
            assert log_loss(valid.labels, after) <= log_loss(valid.labels, before) + 1e-6
        with pytest.warns(LeakageWarning, match="12 images have a counterpart"):  # found within what calibrates it
            report = MetricsReport.from_estimator(calibrated, test.paths, test.labels, n_resamples=100)
        assert report.counts.n == 12


@pytest.mark.slow
def test_a_balancer_and_a_classifier_make_a_pipeline(dataset):
    some = dataset.first(per_class={"benign": 12, "melanoma": 3})
    pipeline = make_pipeline(Balancer(random_state=0), make(epochs=3)).fit(some.paths, some.labels)
    assert pipeline[-1].provenance_["training_data"]["counts"] == {"benign": 6, "melanoma": 6}
    assert len(pipeline.predict_proba(dataset.paths)) == 24, "what is scored is not resampled"
    assert pipeline.score(dataset.paths, dataset.labels) == pipeline[-1].score(dataset)
    search = GridSearchCV(pipeline, {"transferclassifier__epochs": [1, 2]}, cv=2, error_score="raise")
    search.fit(dataset.paths, dataset.labels)
    assert len(search.best_estimator_[-1].history_["loss"]) == search.best_params_["transferclassifier__epochs"]
