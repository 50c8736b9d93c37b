"""A report finds the classifier within what wraps it, and says what it was trained, tuned and judged on."""

from copy import copy

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from melanoma_tl import Ensemble, MetricsReport, Probe, TransferClassifier, cross_validate
from melanoma_tl.errors import LeakageWarning
from melanoma_tl.report.card import fill_card


def assert_concern(report, start):
    assert any(concern.startswith(start) for concern in report.concerns()), report.concerns()


@pytest.fixture(scope="module")
def trained(images, labels):
    settings = {"weights": None, "stages": Probe(), "random_state": 0, "verbose": 0}
    return TransferClassifier("tiny", **settings).fit(images[:16], labels[:16])


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrap",
    [
        lambda clf, X, y: GridSearchCV(clf, {"stages__0__C": [0.1, 1.0]}, cv=2).fit(list(X), y),
        lambda clf, X, y: CalibratedClassifierCV(FrozenEstimator(clf)).fit(list(X), y),
        lambda clf, X, y: Pipeline([("clf", clf)]).fit(list(X), y),
        lambda clf, X, y: VotingClassifier([("a", clf), ("b", clf)], voting="soft").fit(list(X), y),
    ],
)
def test_training_images_are_found_through_what_wraps_a_classifier(trained, images, labels, wrap):
    wrapper = wrap(trained, images[:16], labels[:16])
    with pytest.warns(LeakageWarning, match="16 images have a counterpart"):
        report = MetricsReport.from_estimator(wrapper, list(images), labels, n_resamples=100)
    assert_concern(report, "LEAKAGE: the model was fitted with a counterpart of 16")
    unseen = MetricsReport.from_estimator(wrapper, list(images[16:]), labels[16:], n_resamples=100)
    assert not any("LEAKAGE" in concern for concern in unseen.concerns())
    assert f"What {type(wrapper).__name__} itself was fitted with" in str(fill_card(unseen, {}))


def test_that_nobody_looked_for_leakage_is_a_concern(images, labels):
    flat = images.reshape(len(images), -1)
    report = MetricsReport.from_estimator(LogisticRegression().fit(flat, labels), flat, labels, n_resamples=100)
    assert_concern(report, "LEAKAGE NOT CHECKED")
    assert not any("NOT CHECKED" in concern for concern in MetricsReport.from_scores([0, 1], [0.1, 0.9]).concerns())


@pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")
def test_tuning_on_training_images_is_a_concern(trained, images, labels):
    clf = copy(trained)
    clf.tune_threshold(images[8:], labels[8:], sensitivity=0.5)
    report = MetricsReport.from_estimator(clf, images[16:], labels[16:], n_resamples=100)
    assert any(
        concern.startswith("TUNED ON TRAINING IMAGES") and " 8 have a" in concern for concern in report.concerns()
    )
    clean = copy(trained)
    clean.tune_threshold(images[16:], labels[16:], sensitivity=0.5)
    report = MetricsReport.from_estimator(clean, images[16:], labels[16:], n_resamples=100)
    assert not any("TUNED" in concern for concern in report.concerns())


@pytest.mark.slow
def test_a_report_of_cross_validation_says_how_images_were_held_out(dataset):
    clf = TransferClassifier("tiny", weights=None, stages=Probe(), random_state=0, verbose=0)
    ensemble = cross_validate(clf, dataset, folds=3, groups=None, verbose=0)
    report = ensemble.out_of_fold_report(n_resamples=100)
    card = str(fill_card(report, {}))
    assert "Each image was scored by the one of 3 members that was not trained on it; copies of an image are in" in card
    assert "Not checked" not in card
    assert "is not known to the report" not in card, "the dataset says how its images were chosen"
    assert "which was not tuned" in report.rule
    assert not any("NOT CHECKED" in concern for concern in report.concerns())
    assert "that is no confidence interval" in str(report)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")
def test_held_out_scores_are_calibrated_with_the_ensemble(dataset):
    clf = TransferClassifier("tiny", weights=None, stages=Probe(), random_state=0, verbose=0)
    ensemble = cross_validate(clf, dataset, folds=3, groups=None, verbose=0)
    before = ensemble.out_of_fold_scores_
    calibration = ensemble.calibrate(dataset)
    np.testing.assert_array_equal(ensemble.out_of_fold_scores_, calibration.apply(before))
    assert not np.array_equal(ensemble.out_of_fold_scores_, before)


def test_an_ensemble_of_tuned_members_says_that_their_thresholds_do_not_hold(trained, images, labels):
    tuned = copy(trained)
    tuned.tune_threshold(images[16:], labels[16:], sensitivity=0.5)
    ensemble = Ensemble([tuned, trained], verbose=0)
    with pytest.warns(UserWarning, match=r"thresholds of their own, .*it takes 0.5 until its own tune_threshold"):
        ensemble.predict(images)
    ensemble.tune_threshold(images[16:], labels[16:], sensitivity=0.5)
    assert ensemble.threshold_ == ensemble.operating_point_.threshold
