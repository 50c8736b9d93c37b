import json
import pickle
import warnings
import zipfile
from copy import copy

import keras
import numpy as np
import pytest
from conftest import only_tensorflow
from model_files import declare_size, edit, overwrite_directory, rewrite
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from melanoma_tl import Ensemble, MetricsReport, TransferClassifier
from melanoma_tl.classifier.members import common_and_own, rank_among
from melanoma_tl.classifier.postprocessing import PostProcessing
from melanoma_tl.errors import (
    DatasetError,
    ExportError,
    ImageError,
    LeakageWarning,
    ModelFileError,
    NotFittedError,
    ParameterError,
    UnknownNameError,
)
from melanoma_tl.metrics.calibration import Calibration
from melanoma_tl.saving.audit import ENSEMBLE_FILE as STATE_FILE
from melanoma_tl.saving.ensemble_file import MAX_STATE_BYTES


def make(**changes):
    options = {"weights": None, "trainable_from": "conv1", "learning_rate": 0.02, "epochs": 2, "verbose": 0}
    return TransferClassifier("tiny", **(options | {"random_state": 0} | changes))


@pytest.fixture(scope="module")
def members(dataset):
    """Three classifiers that were trained on some images in common, and on some of their own."""
    return [make(random_state=seed).fit(dataset[seed * 2 : seed * 2 + 12]) for seed in range(3)]


@pytest.fixture
def ensemble(members):
    return Ensemble(members, verbose=0)


@pytest.fixture
def ranked(members, dataset):
    return Ensemble(members, combine="rank", verbose=0).set_reference(dataset[16:])


def scores_of(members, X):
    return np.array([member.predict_proba(X)[:, 1] for member in members])


# -- scoring --


def test_the_mean_is_that_of_the_members(ensemble, members, dataset):
    probabilities = ensemble.predict_proba(dataset)
    assert np.allclose(probabilities[:, 1], scores_of(members, dataset).mean(axis=0))
    assert np.allclose(probabilities.sum(axis=1), 1)
    ensemble.threshold = float(np.median(probabilities[:, 1]))
    assert np.array_equal(ensemble.predict(dataset), (probabilities[:, 1] > ensemble.threshold).astype(int))
    assert ensemble.score(dataset) == np.mean(ensemble.predict(dataset) == dataset.labels)
    assert ensemble.classes_.tolist() == [0, 1]


def test_views_are_averaged_in_every_member(ensemble, members, dataset):
    by_hand = np.mean([member.predict_proba(dataset, tta=8)[:, 1] for member in members], axis=0)
    assert np.allclose(ensemble.predict_proba(dataset, tta=8)[:, 1], by_hand)
    eight = Ensemble([copy(member).set_params(tta=8) for member in members])
    assert np.allclose(eight.predict_proba(dataset)[:, 1], by_hand)
    assert eight.provenance_["tta"] == 8


@pytest.mark.parametrize("n", [1, 2, 17])
def test_a_rank_among_reference_scores_is_their_rank(n):
    reference = np.random.default_rng(n).integers(1, 9, n) / 10  # with ties
    expected = (rankdata([0, 1, *reference]) - 0.5) / (n + 2)
    assert np.allclose(rank_among(reference, reference), expected[2:])
    assert np.allclose(rank_among(np.array([0.0, 1.0, np.nan]), reference), [*expected[:2], np.nan], equal_nan=True)


def test_a_rank_rises_everywhere():
    grid = np.linspace(0, 1, 1001)
    for reference in ([0.5], [0.0, 0.0, 1.0], [0.1, 0.1, 0.9, 0.90001]):
        ranks = rank_among(grid, np.array(reference))
        assert (np.diff(ranks) > 0).all()
        assert 0 < ranks[0] < ranks[-1] < 1


def test_ranks_are_averaged_among_the_scores_of_the_reference_images(ranked, members, dataset):
    expected = np.mean(
        [
            rank_among(scores, reference)
            for scores, reference in zip(scores_of(members, dataset), scores_of(members, dataset[16:]), strict=True)
        ],
        axis=0,
    )
    assert np.allclose(ranked.predict_proba(dataset)[:, 1], expected)
    assert not np.allclose(expected, scores_of(members, dataset).mean(axis=0), atol=0.01)


def test_a_single_image_has_the_score_that_it_has_among_others(ensemble, ranked, dataset):
    for model in (ensemble, ranked):
        together = model.predict_proba(dataset)
        assert np.allclose(model.predict_proba(dataset[5:6]), together[5:6], atol=1e-5)


def test_ranks_keep_the_order_of_a_single_member(members, dataset):
    alone = Ensemble(members[:1], combine="rank").set_reference(dataset[16:20])
    scores = alone.predict_proba(dataset)[:, 1]
    assert np.array_equal(rankdata(scores), rankdata(members[0].predict_proba(dataset)[:, 1]))


def test_unreadable_images_have_no_score(members, dataset, bad_images):
    paths = [dataset.paths[0], str(bad_images / "empty.jpg"), dataset.paths[1]]
    with pytest.raises(ImageError, match="0 bytes"):
        Ensemble(members).predict_proba(paths)
    lenient = [copy(member).set_params(on_error="skip") for member in members]
    for model in (Ensemble(lenient), Ensemble(lenient, combine="rank").set_reference([*paths, *dataset.paths[16:]])):
        scores = model.predict_proba(paths)
        assert np.isnan(scores).tolist() == [[False, False], [True, True], [False, False]]
        assert np.allclose(scores[[0, 2]], model.predict_proba(dataset[:2]), atol=1e-6)
        with pytest.raises(ImageError, match="1 of 3 images"):
            model.predict(paths)
    with pytest.raises(DatasetError, match="none of the reference images"):
        Ensemble(lenient, combine="rank").set_reference(paths[1:2])


# -- training --


@pytest.mark.slow
def test_fit_trains_clones_on_the_same_images(dataset):
    given = [make(epochs=1), make(epochs=1, random_state=1)]
    model = Ensemble(given, combine="rank", verbose=0)
    with pytest.raises(NotFittedError, match="member 0 of this Ensemble is not fitted"):
        model.predict_proba(dataset)
    model.fit(dataset[:12], validation_data=(dataset.paths[12:], dataset.labels[12:]))
    assert not any(hasattr(classifier, "model_") for classifier in given)
    check_is_fitted(model)
    scores = scores_of(model.members_, dataset)
    assert np.abs(scores[0] - scores[1]).max() > 1e-3
    assert np.allclose(model.reference_scores_, scores[:, 12:], atol=1e-6)
    assert all("val_loss" in member.history_ for member in model.members_)
    alone = make(epochs=1).fit(dataset[:12], validation_data=dataset[12:])
    assert np.allclose(scores[0], alone.predict_proba(dataset)[:, 1], atol=1e-5)


@pytest.mark.slow
def test_the_seed_makes_members_differ(dataset):
    models = [Ensemble([make(epochs=1)] * 2, random_state=seed, verbose=0).fit(dataset[:12]) for seed in (0, 0, None)]
    first, again, same = (scores_of(model.members_, dataset[12:]) for model in models)
    assert np.allclose(first, again, atol=1e-6)
    assert np.abs(first[0] - first[1]).max() > 1e-3
    assert np.allclose(same[0], same[1], atol=1e-6), "without it, each member has its own seed"


def test_clones_are_not_fitted_unless_members_are_frozen(ensemble, members):
    check_is_fitted(ensemble)
    copied = clone(ensemble)
    assert copied.get_params(deep=False).keys() == {
        "classifiers",
        "combine",
        "threshold",
        "random_state",
        "verbose",
    }
    with pytest.raises(NotFittedError):
        copied.classes_  # noqa: B018 -- a property
    assert not copied.__sklearn_is_fitted__()
    check_is_fitted(clone(Ensemble([FrozenEstimator(member) for member in members])))


def test_ranks_need_something_to_compare_with(members, dataset):
    with pytest.raises(ParameterError, match="pass validation_data to fit"):
        Ensemble([make()], combine="rank").fit(dataset)
    with pytest.raises(NotFittedError, match="call set_reference"):
        Ensemble(members, combine="rank").predict_proba(dataset)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"classifiers": []}, ParameterError, "classifiers must be a TransferClassifier, or several in a list"),
        ({"classifiers": None}, ParameterError, r"a list \(.*\), got None"),
        ({"combine": "ranks"}, UnknownNameError, "Did you mean 'rank'"),
        ({"threshold": 50}, ParameterError, "from 0 to 1, got 50"),
    ],
)
def test_wrong_parameters_are_named(ensemble, dataset, changes, error, message):
    ensemble.set_params(**changes)
    for use in (ensemble.fit, ensemble.predict_proba):
        with pytest.raises(error, match=message):
            use(dataset)


@pytest.mark.parametrize("wrap", [lambda one: one, FrozenEstimator, lambda one: CalibratedClassifierCV(one)])
def test_a_classifier_of_another_library_is_refused_and_told_what_to_do(members, dataset, wrap):
    other = wrap(DummyClassifier().fit([[0], [1]], [0, 1]))
    ensemble = Ensemble([members[0], other], verbose=0)
    ask = [ensemble.predict_proba, ensemble.fit, ensemble.set_reference, ensemble.seen_images]
    for use in [*ask, lambda _: ensemble.provenance_, lambda _: ensemble.classes_, lambda _: ensemble.threshold_]:
        with pytest.raises(
            ParameterError, match=r"must be a TransferClassifier, .* and report on them by MetricsReport"
        ):
            use(dataset)


def test_ensembles_are_members_but_for_files(members, dataset, tmp_path):
    inner = Ensemble([copy(member) for member in members[:2]], verbose=0)
    for member in (inner, FrozenEstimator(inner)):
        outer = Ensemble([member, members[2]], verbose=0)
        expected = (inner.predict_proba(dataset) + members[2].predict_proba(dataset)) / 2
        np.testing.assert_allclose(outer.predict_proba(dataset), expected, atol=1e-6)
        assert len(outer.seen_images(dataset)) == 16
        assert outer.provenance_["members"][0]["ensemble"] == {"size": 2, "combine": "mean"}
        with pytest.raises(ModelFileError, match="save each ensemble by itself"):
            outer.save(tmp_path / "outer.zip")
        alone = Ensemble([member], verbose=0).provenance_
        assert (alone["ensemble"]["size"], alone["members"][0]["ensemble"]["size"]) == (1, 2)
        outer.tune_threshold(dataset[16:], youden=True)
        inner.classifiers[0].set_params(tta=4)
        with pytest.raises(ParameterError, match="the threshold was found with ensembles="):
            outer.predict(dataset)
        inner.classifiers[0].set_params(tta=1)
        assert set(outer.predict(dataset)) <= {0, 1}


def test_members_must_agree_on_the_classes(members, dataset):
    words = make(epochs=1).fit(dataset.paths[:12], np.array(["benign", "melanoma"])[dataset.labels[:12]])
    with pytest.raises(ParameterError, match=r"member 1 has \['benign', 'melanoma'\] .*, member 0 has \[0, 1\] "):
        Ensemble([members[0], words]).predict(dataset)


# -- what it remembers --


def test_it_knows_every_image_of_its_members_once(ensemble, dataset):
    assert ensemble.seen_images(dataset).image_ids == tuple(dataset.image_ids[:16])
    assert len(ensemble.fingerprints_["training"]) == 16
    assert len(ensemble.seen_images(dataset).pairs) == 16


def test_a_report_takes_it_names_it_and_warns(ensemble, dataset):
    with pytest.warns(LeakageWarning, match="drawn': 2 images have a counterpart"):
        report = MetricsReport.from_estimator(ensemble, dataset[14:])
    assert "LEAKAGE: the model was fitted with a counterpart of 2 images" in str(report)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LeakageWarning)
        report = MetricsReport.from_estimator(ensemble, dataset[16:])
    assert np.array_equal(report.y_score, ensemble.predict_proba(dataset[16:])[:, 1])
    assert report.provenance["model"]["ensemble"] == {"size": 3, "combine": "mean"}
    told = " ".join(str(report).split())  # its lines are broken anywhere
    assert "model: ensemble: size: 3; combine: mean" in told
    assert "model: members: (parameters: (random state: 0)" in told


def test_the_provenance_says_once_what_members_have_in_common(ensemble, members):
    provenance = ensemble.provenance_
    assert provenance["versions"] == members[0].provenance_["versions"]
    assert provenance["parameters"]["learning_rate"] == 0.02
    assert [own["parameters"] for own in provenance["members"]] == [{"random_state": seed} for seed in range(3)]
    for own, member in zip(provenance["members"], members, strict=True):
        assert {**provenance["parameters"], **own["parameters"]} == member.provenance_["parameters"]
        assert own["trained"] == member.provenance_["trained"] or "trained" in provenance


def test_data_in_which_members_differ_are_never_divided():
    data = [{"name": "one", "counts": {"0": 52, "1": n}, "skipped": 0} for n in (22, 23)]
    parameters = [{"epochs": 3, "random_state": seed} for seed in (0, 1)]
    told = [{"training_data": one, "parameters": own} for one, own in zip(data, parameters, strict=True)]
    shared, own = common_and_own(told)
    assert shared == {"parameters": {"epochs": 3}}
    assert [one["training_data"] for one in own] == data
    assert [one["parameters"] for one in own] == [{"random_state": 0}, {"random_state": 1}]


# -- keeping --


def test_everything_comes_back(ranked, dataset, tmp_path):
    ranked.set_params(threshold=0.7, random_state=np.int64(3))
    ranked.save(tmp_path / "new" / "ensemble.zip")
    ranked.save(tmp_path / "new" / "ensemble.zip")
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["ensemble.zip"]
    loaded = Ensemble.load(tmp_path / "new" / "ensemble.zip")
    assert np.array_equal(loaded.predict_proba(dataset), ranked.predict_proba(dataset))
    assert (loaded.threshold, loaded.combine, loaded.random_state, loaded.verbose) == (0.7, "rank", 3, 0)
    assert loaded.provenance_ == ranked.provenance_
    assert str(loaded.seen_images(dataset)) == str(ranked.seen_images(dataset))


def test_a_member_can_be_taken_out_of_the_file(ensemble, members, dataset, tmp_path):
    ensemble.save(tmp_path / "ensemble.zip")
    with zipfile.ZipFile(tmp_path / "ensemble.zip") as archive:
        archive.extract("member_1.keras", tmp_path)
    alone = TransferClassifier.load(tmp_path / "member_1.keras")
    assert np.allclose(alone.predict_proba(dataset), members[1].predict_proba(dataset), atol=1e-6)


def changed(**entries):
    return lambda parts: parts.update({STATE_FILE: json.dumps(json.loads(parts[STATE_FILE]) | entries).encode()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parts: parts.pop(STATE_FILE), r"not a file that Ensemble\.save wrote"),
        (lambda parts: parts.update({STATE_FILE: b"{"}), "is damaged"),
        (lambda parts: parts.update({STATE_FILE: b"[]"}), "is damaged"),
        (changed(format_version=99), "format version 99"),
        (changed(members=4), "names 4 members and holds 1"),
        (changed(members=0), "names 0 members and holds 1"),
        (changed(parameters={"combine": "mean", "weights": []}), "its document cannot be read .*weights"),
        (changed(parameters={"combine": "median"}), "combine 'median'"),
        (changed(reference_scores=None, cross_validation={}), "reference_scores must be a list"),
        (lambda parts: parts.update({"member_0.keras": b"nothing"}), "not a model file"),
        (lambda parts: parts.pop("member_0.keras"), "names 1 members and holds 0"),
        (lambda parts: parts.update({"member_00.keras": parts.pop("member_0.keras")}), "member_0.keras is missing"),
    ],
)
def test_files_that_are_not_ours_or_damaged(members, tmp_path, change, message):
    path = tmp_path / "ensemble.zip"
    Ensemble(members[:1]).save(path)
    rewrite(path, change)
    with pytest.raises(ModelFileError, match=message) as caught:
        Ensemble.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda path: rewrite(path, lambda parts: parts.update({"../evil.py": b"x"})),
            "refused, it holds '../evil.py'",
        ),
        (lambda path: overwrite_directory(path, STATE_FILE, 8, "<H", 1), "ensemble.json is encrypted"),
        (lambda path: declare_size(path, STATE_FILE, MAX_STATE_BYTES + 1), "ensemble.json unpacks from"),
        (lambda path: declare_size(path, "member_0.keras", 2**31), "member_0.keras unpacks from"),
        (lambda path: rewrite(path, deepen), "nested too deeply"),
        (lambda path: path.write_bytes(pickle.dumps(path)), "a Python pickle"),
    ],
    ids=["a path", "encrypted", "a huge state", "a huge member", "depth", "pickle"],
)
def test_hostile_files_are_refused_before_anything_is_unpacked(members, tmp_path, change, message):
    path = tmp_path / "ensemble.zip"
    Ensemble(members[:1]).save(path)
    change(path)
    with pytest.raises(ModelFileError, match=message) as caught:
        Ensemble.load(path)
    assert str(caught.value).startswith(str(path))
    assert [file.name for file in tmp_path.iterdir()] == ["ensemble.zip"]


def deepen(parts):
    parts[STATE_FILE] = b'{"format_version": 1, "members": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def test_a_file_that_could_unpack_to_anything_is_refused(members, tmp_path):
    path = tmp_path / "ensemble.zip"
    Ensemble(members[:1]).save(path)
    rewrite(path, lambda parts: None, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match="its parts are compressed"):
        Ensemble.load(path)


def test_files_that_are_no_archives(ensemble, tmp_path):
    with pytest.raises(ModelFileError, match="no such file"):
        Ensemble.load(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(ModelFileError, match="not a saved ensemble"):
        Ensemble.load(tmp_path / "text.zip")
    ensemble.save(tmp_path / "both.zip")
    with pytest.raises(ModelFileError, match=r"both\.zip: an ensemble: open it with Ensemble\.load"):
        TransferClassifier.load(tmp_path / "both.zip")
    ensemble.members_[0].save(tmp_path / "one.keras")
    with pytest.raises(ModelFileError, match=r"a single classifier: open it with TransferClassifier\.load"):
        Ensemble.load(tmp_path / "one.keras")
    with pytest.raises(ModelFileError, match=r"ends in \.zip, got 'ensemble\.keras'"):
        ensemble.save(tmp_path / "ensemble.keras")


def test_only_cross_validation_makes_folds(ensemble):
    for ask in (lambda: ensemble.folds_, ensemble.out_of_fold_report, ensemble.fold_metrics):
        with pytest.raises(NotFittedError, match="only cross_validate"):
            ask()


# -- for other runtimes --


def train_two(images, labels):
    return [
        TransferClassifier("tiny", weights=None, random_state=seed, verbose=0, epochs=1, precision="float32")
        .fit(images, labels)
        .set_params(tta=tta)
        for seed, tta in enumerate((1, 4))
    ]


@pytest.mark.slow
@only_tensorflow
def test_an_ensemble_is_exported_as_one_network(images, labels, tmp_path):
    ensemble = Ensemble(train_two(images, labels), verbose=0)
    small = np.ascontiguousarray(images[:5, :32, :32])
    for calibrated in (False, True):
        if calibrated:
            ensemble._post = PostProcessing(calibration=Calibration(slope=0.7, intercept=0.2))
        result = ensemble.export(tmp_path / "model")
        assert result.views == (1, 4)
        assert result.largest_difference <= 1e-4
        assert result.conversion_difference <= 1e-5
        layer = keras.layers.TFSMLayer(str(result.path), call_endpoint="serve")
        scores = keras.ops.convert_to_numpy(layer(small.astype("float32")))[:, 0]
        np.testing.assert_allclose(scores, ensemble.predict_proba(small)[:, 1], atol=1e-5)
        document = json.loads((tmp_path / "model.json").read_text())
        assert document["threshold"] == ensemble.threshold_
        assert document["provenance"]["ensemble"]["size"] == 2
        assert (document["calibration"] is not None) == calibrated


@pytest.mark.slow
@only_tensorflow
def test_an_ensemble_for_several_diagnoses_is_exported(images, tmp_path):
    ensemble = Ensemble(train_two(images, np.array(["melanoma", "nevus", "bcc"] * 8)), verbose=0)
    result = ensemble.export(tmp_path / "model")
    assert result.conversion_difference <= 1e-5
    assert json.loads((tmp_path / "model.json").read_text())["output"]["shape"] == ["n", 3]


@pytest.mark.slow
def test_what_an_ensemble_cannot_export_it_says(images, labels, tmp_path):
    fitted = train_two(images, labels)
    ranked = Ensemble(fitted, combine="rank", verbose=0).set_reference(images)
    with pytest.raises(ExportError, match="take combine='mean', or export the members"):
        ranked.export(tmp_path / "model")
    other = TransferClassifier("tiny", weights=None, input_size=(40, 48), epochs=1, verbose=0).fit(images, labels)
    with pytest.raises(ExportError, match="the members take images of 32x32 and 40x48 pixels"):
        Ensemble([*fitted, other], verbose=0).export(tmp_path / "model")
    with pytest.raises(ExportError, match="only an ensemble of TransferClassifier is exported"):
        Ensemble([*fitted, FrozenEstimator(fitted[0])], verbose=0).export(tmp_path / "model")
    with pytest.raises(NotFittedError):
        Ensemble([TransferClassifier("tiny")], verbose=0).export(tmp_path / "model")
    with pytest.raises(ExportError, match="ends in none of"):
        Ensemble(fitted, verbose=0).export(tmp_path / "model.keras")


# -- a document that was changed --


def in_document(*place, to):
    def change(state):
        for key in place[:-1]:
            state = state[key]
        state[place[-1]] = to

    return change


CROSSED = {"groups": None, "scores": [0.1, None], "folds": [0, 2], "labels": [0, 1], "name": "x", "settings": {}}

SPOILT = {
    "threshold": in_document("parameters", "threshold", to="abc"),
    "threshold out of range": in_document("parameters", "threshold", to=5),
    "combine": in_document("parameters", "combine", to="max"),
    "an unknown parameter": in_document("parameters", "code", to="x"),
    "classifiers": in_document("parameters", "classifiers", to=[1]),
    "parameters that are a list": in_document("parameters", to=[1]),
    "no reference scores": in_document("reference_scores", to=[]),
    "reference scores of one": in_document("reference_scores", to=[[0.5]]),
    "reference scores that are words": in_document("reference_scores", to=[["a"], ["b"], ["c"]]),
    "reference scores out of range": in_document("reference_scores", to=[[2.0], [0.1], [0.2]]),
    "reference scores that are empty": in_document("reference_scores", to=[[], [], []]),
    "a fold of no member": in_document("cross_validation", to=CROSSED | {"folds": [0, 3]}),
    "folds that are words": in_document("cross_validation", to=CROSSED | {"folds": ["a", "b"]}),
    "a fold too many": in_document("cross_validation", to=CROSSED | {"folds": [0, 1, 2]}),
    "labels": in_document("cross_validation", to=CROSSED | {"labels": [0, 2]}),
    "scores": in_document("cross_validation", to=CROSSED | {"scores": [0.1, float("nan")]}),
    "settings": in_document("cross_validation", to=CROSSED | {"settings": "x"}),
    "half a cross-validation": in_document("cross_validation", to={"scores": [0.1]}),
    "tuning": in_document("tuning", to={"calibration": {"slope": "x"}}),
    "tuning that is a list": in_document("tuning", to=[]),
    "members": in_document("members", to=-1),
    "members that are true": in_document("members", to=True),
    "version": in_document("format_version", to=True),
}


@pytest.mark.slow
def test_a_document_out_of_range_is_refused_by_name(members, dataset, tmp_path):
    path = tmp_path / "ensemble.zip"
    Ensemble(members, combine="rank", verbose=0).set_reference(dataset).save(path)
    whole = path.read_bytes()
    edit(path, STATE_FILE, in_document("cross_validation", to=CROSSED))
    assert Ensemble.load(path).folds_.tolist() == [0, 2]
    wrong = []
    for name, change in SPOILT.items():
        path.write_bytes(whole)
        edit(path, STATE_FILE, change)
        try:
            Ensemble.load(path)
        except ModelFileError as error:
            if not str(error).startswith(str(path)):
                wrong.append(f"{name}: {error}")
        except Exception as error:
            wrong.append(f"{name}: {error!r}")
        else:
            wrong.append(f"{name}: loads")
    assert not wrong, "\n".join(wrong)
