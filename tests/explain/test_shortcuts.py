"""The alarm rings for a classifier that judges the surroundings, and not for one that judges the lesion."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import expit
from scipy.stats import norm

from melanoma_tl import ISBIDataset, MetricsReport, TransferClassifier
from melanoma_tl.errors import DatasetError, NotFittedError, ParameterError
from melanoma_tl.explain import shortcuts
from melanoma_tl.explain.shortcuts import (
    SMALLEST_AUC,
    Box,
    ShortcutCheck,
    _measure,
    _measure_groups,
    check_shortcuts,
    cover,
    find_lesion,
)
from melanoma_tl.metrics.comparisons import delong
from melanoma_tl.metrics.metric import Metric

N = 60
LABELS = np.arange(N) % 2


def draw_lesions(shortcut, n=N, side=32, seed=0):
    """Draw round lesions on skin; what tells the classes apart is the lesion's tint, or a mark in the corner."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    images = rng.normal((215, 170, 150), 6, (n, side, side, 3))
    for image, label in zip(images, LABELS[:n], strict=True):
        lesion = (rows - 16) ** 2 + (columns - 16) ** 2 < rng.integers(36, 64)
        image[lesion] = (120, 70, 60) if shortcut or not label else (60, 40, 90)
        if shortcut and label:
            image[:5, :8] = (40, 60, 160)
    return np.clip(images, 0, 255).astype("uint8")


class Judge:
    """Scores by the colour of one place, and has what `check_shortcuts` asks a classifier for."""

    classes_ = np.array([0, 1])
    verbose = 0

    def __init__(self, place, channel=2):
        self.place, self.channel = place, channel
        self.model_ = type("Network", (), {"inputs": [np.zeros((1, 32, 32, 3))]})

    def _check_fitted(self):
        pass

    def predict_proba(self, X):
        noise = np.random.default_rng(len(X)).normal(0, 4, len(X))
        blue = np.asarray(X, float)[:, *self.place, self.channel].mean(axis=(1, 2)) + noise
        scores = 1 / (1 + np.exp((blue - 100) / 30))
        return np.column_stack([1 - scores, scores])


LESION = (slice(12, 20), slice(12, 20))
CORNER = (slice(0, 5), slice(0, 8))


def test_a_judge_of_lesions_raises_no_alarm():
    images = draw_lesions(shortcut=False)
    check = check_shortcuts(Judge(LESION, channel=0), images, LABELS)
    assert check.auc["whole"].value > 0.95
    assert check.auc["covered"].low <= 0.5 <= check.auc["covered"].high
    assert check.survives["alone"].value == pytest.approx(1, abs=0.1)
    assert not check
    assert str(check).startswith("No shortcut was found")
    assert not check.warning


def test_less_than_chance_is_not_called_chance():
    check = check_shortcuts(Judge(LESION, channel=0), draw_lesions(shortcut=False), LABELS)
    below = replace(check.auc["covered"], value=0.42, low=0.37, high=0.48)
    check = replace(check, auc=check.auc | {"covered": below})
    assert not check
    assert "is below chance" in str(check)
    assert "cannot be told" not in str(check)


def test_a_judge_of_corners_raises_the_alarm():
    check = check_shortcuts(Judge(CORNER, channel=0), draw_lesions(shortcut=True), LABELS)
    assert check.auc["covered"].value > 0.95
    assert check.survives["covered"].value == pytest.approx(1, abs=0.1)
    assert check.survives["alone"].value == pytest.approx(0, abs=0.4)
    assert check
    assert str(check).startswith("SHORTCUT")


def test_a_network_that_learned_a_mark_is_caught():
    clf = TransferClassifier(
        "tiny", weights=None, trainable_from="conv1", epochs=20, learning_rate=0.02, random_state=0, verbose=0
    ).fit(draw_lesions(shortcut=True, seed=1), LABELS)
    check = check_shortcuts(clf, draw_lesions(shortcut=True, seed=2), LABELS)
    assert check.auc["whole"].value > 0.9
    assert check


def test_the_figures_are_delongs():
    images = draw_lesions(shortcut=False)
    check = check_shortcuts(Judge(LESION, channel=0), images, LABELS, confidence=0.9)
    scores = Judge(LESION, channel=0).predict_proba(images)[:, 1]
    whole = delong(LABELS[:32], scores[:32])  # not the same noise in another batch: compare the value alone
    assert 0 <= whole.aucs[0] <= 1
    assert check.confidence == 0.9
    assert check.auc["whole"].method == "delong"
    assert (check.n_melanoma, check.n_benign) == (30, 30)


def test_images_without_surroundings_are_left_out_and_counted():
    images, rows = draw_lesions(shortcut=True), np.arange(N)
    whole, lesion = np.full((32, 32, 3), 255, "uint8"), np.zeros((32, 32, 3), "uint8")
    lesion[10:22, 10:22] = 255
    masks = [whole if row in (0, 1, 3) else lesion for row in rows]
    check = check_shortcuts(Judge(CORNER, channel=0), images, LABELS, masks=masks, groups=rows // 4)
    assert (check.n_melanoma, check.n_benign) == (28, 29)
    assert (check.n_melanoma_left_out, check.n_benign_left_out) == (2, 1)
    assert check.auc["covered"].n == 57
    assert np.array_equal(check.shown[0][0], images[2])
    assert "2 melanoma and 1 benign images were left out: the box around the lesion is more than 90%" in str(check)
    assert check.to_dict()["n_melanoma_left_out"] == 2
    with pytest.raises(DatasetError, match="in 60 of 60 images the box"):
        check_shortcuts(Judge(CORNER), images, LABELS, masks=[whole] * N)


def test_few_melanomas_are_marked_and_the_shares_written_alike():
    images = draw_lesions(shortcut=True)
    kept = np.r_[1:13:2, 0:N:2]
    check = check_shortcuts(Judge(CORNER, channel=0), images[kept], LABELS[kept])
    assert check.auc["covered"].few
    assert check.survives["alone"].few
    assert "n = 36, few)" in check.warning
    assert "Intervals marked few" in str(check)
    assert all(" to " in row[2] for row in check._table()[1][1:])
    assert "few" not in str(check_shortcuts(Judge(CORNER, channel=0), images, LABELS))


def test_its_progress_is_one_line_with_its_name(capsys, monkeypatch):
    monkeypatch.setattr("melanoma_tl._progress.LOGGED", 0)
    judge = Judge(CORNER)
    judge.verbose = 1
    check_shortcuts(judge, draw_lesions(shortcut=True), LABELS)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("Check shortcuts") for line in lines), lines
    assert lines[-1].startswith("Check shortcuts: 60 images")


def test_masks_are_taken_where_they_are_given(tmp_path):
    images = draw_lesions(shortcut=False)
    corner = np.zeros((32, 32, 3), "uint8")
    corner[:6, :6] = 255
    check = check_shortcuts(Judge(LESION, channel=0), images, LABELS, masks=[corner] * N)
    assert check.auc["covered"].value > 0.95, "what was covered was not the lesion"
    empty = np.zeros((32, 32, 3), "uint8")
    assert check_shortcuts(Judge(LESION, channel=0), images, LABELS, masks=[empty] * N).n_not_found == N
    with pytest.raises(ParameterError, match="one for each of 60"):
        check_shortcuts(Judge(LESION), images, LABELS, masks=[corner])


def test_a_lesion_is_found_inside_a_round_field_of_view():
    rows, columns = np.mgrid[:200, :260]
    image = np.full((200, 260, 3), (220, 175, 155), "uint8")
    lesion = ((rows - 110) / 40) ** 2 + ((columns - 120) / 55) ** 2 < 1
    image[lesion] = (110, 70, 60)
    image[(rows - 100) ** 2 + (columns - 130) ** 2 > 125**2] = 5
    found = find_lesion(image)
    assert (found & lesion).sum() / (found | lesion).sum() > 0.8


def test_nothing_is_found_where_nothing_is():
    assert find_lesion(np.full((64, 64, 3), 200, "uint8")) is None
    assert find_lesion(np.zeros((64, 64, 3), "uint8")) is None


def test_covering_takes_the_colour_of_the_skin():
    image = np.full((10, 10, 3), (200, 150, 140), "uint8")
    image[3:6, 3:6] = 10
    covered, alone = cover(image, Box(3, 6, 3, 6))
    assert (covered == (200, 150, 140)).all()
    assert np.array_equal(alone, image)
    covered, alone = cover(image, Box(0, 10, 0, 10))
    assert np.array_equal(alone, image)


@pytest.mark.slow
def test_the_check_is_written_drawn_and_attached(tmp_path):
    images = draw_lesions(shortcut=True)
    check = check_shortcuts(Judge(CORNER, channel=0), images, LABELS)
    assert json.loads(json.dumps(check.to_dict()))["alarm"] is True
    assert len([ax for ax in check.plot().axes if ax.images]) == 12
    report = MetricsReport.from_scores(LABELS, np.linspace(0, 1, N)).attach("Shortcuts", check)
    page = report.save(tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("Most serious concern:</strong> SHORTCUT") == 1, "the page says so first"
    assert check.warning in report.to_markdown()
    assert '<th scope="row">lesion covered</th>' in page
    assert "<pre>" not in page
    assert json.loads(report.to_json())["findings"]["Shortcuts"]["alarm"] is True


def test_mistakes_get_an_answer():
    images = draw_lesions(shortcut=False)
    with pytest.raises(DatasetError, match="no labels"):
        check_shortcuts(Judge(LESION), images)
    with pytest.raises(NotFittedError):
        check_shortcuts(TransferClassifier("tiny"), images, LABELS)
    with pytest.raises(DatasetError, match="two images of each class"):
        check_shortcuts(Judge(LESION), images[:3], LABELS[:3])


@pytest.mark.real_data
def test_lesions_are_found_in_most_real_images(real_data):
    from melanoma_tl import ISBIDataset
    from melanoma_tl.images.decoding import load_image

    test = ISBIDataset.from_challenge(real_data, year=2016, split="test").sample(per_class=60, random_state=0)
    found = [find_lesion(load_image(path, (224, 224))) for path in test.paths]
    assert sum(lesion is not None for lesion in found) > 50


def test_an_effect_too_small_to_matter_is_said_and_rings_no_alarm():
    check = check_shortcuts(Judge(CORNER, channel=0), draw_lesions(shortcut=True), LABELS)
    small = replace(check, auc=check.auc | {"covered": Metric(0.51, 0.503, 0.517, 40_000, "delong")})
    assert not small
    assert not small.warning
    assert "above chance, but below 0.556" in str(small)
    assert replace(check, auc=check.auc | {"covered": Metric(0.556, 0.501, 0.6, 400, "delong")})
    assert norm.cdf(0.2 / np.sqrt(2)) == pytest.approx(SMALLEST_AUC, abs=5e-4), "a small effect: d = 0.2"


def test_patients_of_a_dataset_are_drawn_whole(tmp_path):
    images, patient = draw_lesions(shortcut=True), [f"p{row // 4}" for row in range(N)]
    paths = [str(tmp_path / f"{row}.png") for row in range(N)]
    for image, path in zip(images, paths, strict=True):
        Image.fromarray(image).save(path)
    dataset = ISBIDataset(
        [str(row) for row in range(N)], paths, LABELS, name="mine", metadata=pd.DataFrame({"patient_id": patient})
    )
    by_dataset = check_shortcuts(Judge(CORNER, channel=0), dataset)
    given = check_shortcuts(Judge(CORNER, channel=0), images, LABELS, groups=patient)
    assert by_dataset.auc["covered"].method == by_dataset.survives["alone"].method == "cluster bootstrap"
    assert by_dataset.auc == given.auc
    assert by_dataset
    with pytest.raises(ParameterError, match="groups"):
        check_shortcuts(Judge(CORNER), images, LABELS, groups=patient[:5])


def draw_patients(rng, n_patients=120, each=4):
    """Three scores of images that tell nothing of melanoma in the second view, where those of a patient are alike."""
    patient = np.repeat(np.arange(n_patients), each)
    truth = ((rng.random(n_patients) < 0.45)[patient] & (rng.random(len(patient)) < 0.55)).astype(np.int64)
    scores = rng.normal(0, 0.7, (3, len(patient))) + rng.normal(0, 0.7, n_patients)[patient]
    return truth, expit(scores + 1.5 * np.array([1, 0, 1])[:, None] * truth), patient


@pytest.mark.slow
def test_the_alarm_is_false_as_often_as_its_interval_says(monkeypatch):
    """Two and a half per cent lie above an interval of 95 %; images taken for themselves give far more."""
    monkeypatch.setattr(shortcuts, "_N_RESAMPLES", 500)
    rng, n_draws = np.random.default_rng(0), 600
    by_patient = by_image = independent = 0
    for _ in range(n_draws):
        truth, scores, patient = draw_patients(rng)
        by_patient += rings(_measure_groups(truth, scores, patient, 0.95, 0))
        by_image += rings(_measure(truth, scores, 0.95))
        truth, scores, patient = draw_patients(rng, n_patients=480, each=1)
        independent += rings(_measure(truth, scores, 0.95))
    for false_alarms in (by_patient, independent):
        assert 0.01 <= false_alarms / n_draws <= 0.05
    assert by_image > 1.5 * by_patient


def rings(measured):
    return bool(ShortcutCheck(*measured, 0, 0, 0, 0, 0, 0.95, ()))


@pytest.mark.parametrize("seed", range(20))
def test_what_survives_whole_has_an_interval_however_it_is_rounded(seed):
    scores = np.random.default_rng(seed).random(40)
    truth = np.arange(40) % 2
    _, survives = _measure(truth, np.stack([scores, scores, scores / 3]), 0.95)
    for metric in survives.values():
        assert [metric.value, metric.low, metric.high] == pytest.approx([1, 1, 1], abs=1e-6)


def test_of_nothing_no_share_survives():
    truth = np.arange(40) % 2
    _, survives = _measure(truth, np.stack([np.ones(40), np.linspace(0, 1, 40), np.ones(40)]), 0.95)
    assert all(np.isnan([metric.value, metric.low, metric.high]).all() for metric in survives.values())
