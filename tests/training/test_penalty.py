"""The penalty of a probe, chosen by cross-validation: that of scikit-learn on the same folds, kept with the model."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from melanoma_tl import Augmenter, Ensemble, Probe, TransferClassifier, cross_validate
from melanoma_tl.errors import DatasetError, MelanomaTLError, NotFittedError, ParameterError, UnknownNameError
from melanoma_tl.training import penalty
from melanoma_tl.training.linear_probe import ProbeData
from melanoma_tl.training.penalty import choose_penalty, divide_to_choose, penalty_grid
from melanoma_tl.training.penalty_path import PenaltyPath
from melanoma_tl.training.replicas import SINGLE_DEVICE
from melanoma_tl.training.run import TrainingRun

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")


def make(**parameters):
    settings = {"stages": Probe(C="auto"), "random_state": 0, "precision": "float32", "weights": None, "verbose": 0}
    return TransferClassifier("tiny", **(settings | parameters))


class Views:
    """Features at hand, of shape (n_images, n_views, n_features)."""

    def __init__(self, features):
        self.features = features

    def batch(self, rows, repeats, step):
        return self.features[rows, repeats]


def draw(n_features, n_views=1, n_classes=2):
    rng = np.random.default_rng(0)
    truth = np.arange(60) % n_classes
    features = rng.normal(size=(60, 1, n_features)) + 0.3 * rng.normal(size=(60, n_views, n_features))
    features[:, :, :5] += 0.6 * truth[:, np.newaxis, np.newaxis]
    targets = truth[:, np.newaxis] if n_classes == 2 else np.eye(n_classes)[truth]
    return features, truth, targets.astype("float32")


def folds_of(truth, groups=None):
    groups = np.arange(len(truth)) if groups is None else groups
    return divide_to_choose(truth, truth, groups, np.arange(len(truth)), seed=0)


def peer(C):
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, tol=1e-9, max_iter=10_000))


# Fewer features than images, more, so that they are written in as many coordinates as images, and read batch by batch.
@pytest.mark.slow
@pytest.mark.parametrize(("n_features", "in_memory"), [(10, 2**28), (200, 2**28), (200, 0)])
def test_the_penalty_is_the_one_that_scikit_learn_chooses(n_features, in_memory, monkeypatch):
    monkeypatch.setattr(penalty, "IN_MEMORY", in_memory)
    features, truth, targets = draw(n_features)
    folds = folds_of(truth)
    path = choose_penalty(ProbeData(Views(features), targets, 1, np.ones(60)), np.arange(60), folds, verbose=0)
    splits = [(np.setdiff1d(np.arange(60), fold), fold) for fold in folds]
    grid = {"logisticregression__C": penalty_grid(n_features)}
    search = GridSearchCV(peer(1.0), grid, cv=splits, scoring=["neg_log_loss", "roc_auc"], refit="neg_log_loss")
    search.fit(features[:, 0], truth)
    assert path.chosen == search.best_params_["logisticregression__C"]
    assert penalty_grid(n_features)[0] < path.chosen < penalty_grid(n_features)[-1]
    assert np.allclose(path.losses, -search.cv_results_["mean_test_neg_log_loss"], atol=2e-5)
    assert np.allclose(path.aucs, search.cv_results_["mean_test_roc_auc"], atol=1e-9)
    # GridSearchCV divides by the number of folds, a standard error by one less.
    assert np.allclose(path.standard_errors, search.cv_results_["std_test_neg_log_loss"] / 2, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 3])
def test_weights_repeated_rows_views_and_diagnoses_count_as_in_training(n_classes):
    features, truth, targets = draw(30, n_views=2, n_classes=n_classes)
    own, of_class = np.random.default_rng(1).uniform(0.5, 2, 60), np.array([1.0, 3.0, 0.5])[truth]
    rows = np.concatenate([np.arange(60), np.arange(10)])
    folds = folds_of(truth)
    path = choose_penalty(ProbeData(Views(features), targets, 2, own * of_class, own), rows, folds, verbose=0)
    place = 7
    losses, aucs = [], []
    for fold in folds:
        held, learned = rows[np.isin(rows, fold)], rows[~np.isin(rows, fold)]
        seen, weights = np.concatenate([features[learned, 0], features[learned, 1]]), np.tile(own[learned], 2)
        model = peer(penalty_grid(30)[place]).fit(
            seen,
            np.tile(truth[learned], 2),
            standardscaler__sample_weight=weights,
            logisticregression__sample_weight=weights * np.tile(of_class[learned], 2),
        )
        scores, weight = model.predict_proba(features[held, 0]), (own * of_class)[held]
        losses.append(log_loss(truth[held], scores, sample_weight=weight, labels=range(n_classes)))
        ones = range(n_classes) if n_classes > 2 else [1]
        aucs.append(np.mean([roc_auc_score(truth[held] == k, scores[:, k], sample_weight=weight) for k in ones]))
    assert np.isclose(path.losses[place], np.mean(losses), atol=2e-5)
    assert np.isclose(path.aucs[place], np.mean(aucs), atol=1e-9)


def test_of_equal_losses_the_strongest_penalty_is_chosen():
    equal = PenaltyPath.of_folds(
        np.array([0.1, 1.0, 10.0]), np.array([[0.5, 0.4, 0.4], [0.5, 0.4, 0.4]]), np.ones((2, 3))
    )
    assert equal.chosen == 1.0
    assert equal.to_frame()["chosen"].tolist() == [False, True, False]
    alone = PenaltyPath.of_folds(
        np.array([0.1, 1.0]), np.full((2, 2), 0.4), np.array([[np.nan, np.nan], [0.5, np.nan]])
    )
    assert alone.chosen == 0.1
    assert alone.aucs[0] == 0.5
    assert np.isnan(alone.aucs[1])
    assert np.isnan(PenaltyPath.from_state(alone.to_state()).aucs[1])
    assert alone.to_state()["auc"] == [0.5, None]


# -- a classifier --


@pytest.fixture(scope="module")
def chosen(images, labels):
    return make().fit(images, labels)


@pytest.mark.slow
def test_the_probe_is_that_of_the_chosen_penalty(chosen, images, labels):
    path = chosen.penalty_path_
    assert path.chosen in penalty_grid(8)
    fixed = make(stages=Probe(C=path.chosen)).fit(images, labels)
    assert np.allclose(chosen.predict_proba(images), fixed.predict_proba(images), atol=1e-7)
    assert make().fit(images, labels).penalty_path_.to_state() == path.to_state(), "the seed decides"
    assert chosen.stages == Probe(C="auto")
    with pytest.raises(NotFittedError, match="only a Probe"):
        _ = fixed.penalty_path_
    with pytest.raises(NotFittedError, match="call fit"):
        _ = make().penalty_path_


def test_a_model_file_keeps_the_path(chosen, images, tmp_path):
    chosen.save(tmp_path / "model.keras")
    loaded = TransferClassifier.load(tmp_path / "model.keras")
    assert loaded.penalty_path_.to_frame().equals(chosen.penalty_path_.to_frame())
    assert loaded.stages == (Probe(C="auto"),)
    assert np.allclose(loaded.predict_proba(images), chosen.predict_proba(images), atol=1e-6)
    shown = loaded._repr_html_()
    assert f"C = {chosen.penalty_path_.chosen:.3g}, chosen of 13 values" in shown
    for wrong in ({"chosen": 7.0}, {"C": ["x"]}, {"loss": [0.1]}, {"auc": None}, {"folds": 0}):
        with pytest.raises(MelanomaTLError):
            PenaltyPath.from_state(chosen.penalty_path_.to_state() | wrong)


def test_the_path_is_drawn(chosen):
    path = chosen.penalty_path_
    ax = path.plot().ax_
    assert ax.get_xscale() == "log"
    assert np.array_equal(ax.lines[0].get_ydata(), path.losses)
    assert f"C = {path.chosen:.3g}" in ax.get_legend().get_texts()[1].get_text()
    assert repr(path).startswith("PenaltyPath(C = ")


@pytest.mark.slow
def test_a_search_may_try_it(images, labels):
    search = GridSearchCV(make(), {"stages__0__C": ["auto", 1e-9]}, cv=2, scoring="neg_log_loss").fit(images, labels)
    assert search.best_params_ == {"stages__0__C": "auto"}


def test_no_group_is_divided(images, labels):
    copies = np.concatenate([images, images[:6]])  # and near-duplicates of these, in one fold with them
    copies[24:, 0, 0] += 1
    of = np.concatenate([labels, labels[:6]])
    patients = np.concatenate([np.repeat(np.arange(6), 4), np.full(6, -1)])
    run = TrainingRun(make(), 0, SINGLE_DEVICE)
    (data, _), (by_patient, _) = (
        run.read(copies, of, None, None, None if groups is None else groups.astype("uint64"))
        for groups in (None, np.where(patients < 0, 0, patients + 1))
    )
    for folds in (data.folds, by_patient.folds):
        place = np.empty(30, dtype=int)
        for number, fold in enumerate(folds):
            place[fold] = number
        assert np.array_equal(place[24:], place[:6])
        assert sorted(np.concatenate(folds)) == list(range(30))
    assert all(len(set(place[patients == patient])) == 1 for patient in range(6))
    assert len(folds) == 5


@pytest.mark.slow
def test_cross_validation_hands_its_groups_down(images, labels):
    groups = np.repeat(np.arange(12), 2)
    whole = cross_validate(make(), images, labels, folds=2, groups=groups, verbose=0)
    for fold, member in enumerate(whole.members_):
        rest = whole.folds_ != fold
        alone = make(random_state=member.random_state).fit(images[rest], labels[rest], groups=groups[rest])
        assert np.allclose(alone.penalty_path_.losses, member.penalty_path_.losses, atol=1e-9)
        apart = make(random_state=member.random_state).fit(images[rest], labels[rest])
        assert not np.allclose(apart.penalty_path_.losses, member.penalty_path_.losses, atol=1e-9)


@pytest.mark.slow
def test_an_ensemble_hands_groups_to_the_members_that_choose(images, labels):
    groups = np.repeat(np.arange(12), 2)
    fixed = make(stages=Probe())
    whole = Ensemble([make(), fixed], verbose=0).fit(images, labels, groups=groups)
    alone = make().fit(images, labels, groups=groups)
    assert np.allclose(alone.penalty_path_.losses, whole.members_[0].penalty_path_.losses, atol=1e-9)
    with pytest.raises(ParameterError, match="no member has one: leave them out"):
        Ensemble([fixed], verbose=0).fit(images, labels, groups=groups)


@pytest.mark.parametrize(
    ("changes", "of", "options", "error", "message"),
    [
        ({}, np.arange(24) < 4, {}, DatasetError, r"there are 4 of True \(4 images\). Give more images, or C as a num"),
        ({}, None, {"groups": np.arange(24) // 6}, DatasetError, "there are 4 of 0 .12 images"),
        ({}, None, {"groups": [1, 2]}, DatasetError, "one entry an image .24"),
        ({"stages": Probe()}, None, {"groups": np.arange(24)}, ParameterError, "leave them out"),
    ],
)
def test_what_cannot_be_divided_is_refused(changes, of, options, error, message, images, labels):
    with pytest.raises(error, match=message):
        make(**changes).fit(images, labels if of is None else of, **options)


def test_groups_and_words_that_mean_nothing_are_refused(images, labels):
    stream = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    with pytest.raises(ParameterError, match="another order each time"):
        make().fit(stream, groups=np.arange(24))
    with pytest.raises(UnknownNameError, match="C must be a number above 0 or one of 'auto'"):
        Probe(C="best")


@pytest.mark.slow
def test_all_views_of_the_images_learned_from_count(images, labels):
    views = make(augmenter=Augmenter(brightness_range=0.4, views=3)).fit(images, labels)
    assert not np.allclose(views.penalty_path_.losses, make().fit(images, labels).penalty_path_.losses, atol=1e-4)
