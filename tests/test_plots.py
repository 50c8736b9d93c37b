"""Every figure is drawn, and shows what it must."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from melanoma_tl import ISBIDataset, MetricsReport
from melanoma_tl.errors import ParameterError
from melanoma_tl.metrics import LABELS

HISTORY = {
    "loss": [0.7, 0.4, 0.2],
    "accuracy": [0.6, 0.8, 0.9],
    "val_loss": [0.6, 0.5, 0.8],
    "val_accuracy": [0.6, 0.7, 0.7],
}
OUTCOMES = ["True positives", "True negatives", "False negatives", "False positives"]


@pytest.fixture(scope="module")
def report(dataset):
    """Ten true positives and eight true negatives, two false negatives, four false positives; one file is gone."""
    scores = np.where(dataset.labels == 1, 0.9, 0.1) + np.linspace(0, 0.05, len(dataset))
    scores[[1, 3]] = 0.2, 0.1
    scores[[0, 2, 4, 6]] = 0.6, 0.7, 0.8, 0.95
    paths = list(dataset.paths)
    paths[23] = "gone.png"
    return MetricsReport.from_scores(
        dataset.labels, scores, image_ids=dataset.image_ids, paths=paths, history=HISTORY, n_resamples=200
    )


@pytest.fixture(scope="module")
def matrix():
    return MetricsReport.from_confusion(tn=72, fp=3, fn=17, tp=58)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_roc_shows_auc_with_interval_and_the_operating_point(report):
    display = report.plot_roc()
    auc = report.metrics["auc"]
    assert legend(display.ax_)[0] == f"AUC {auc.value:.3f} (95 % CI {auc.low:.3f}-{auc.high:.3f}, n = 24)"
    assert display.roc_auc == pytest.approx(auc.value)
    point = display.ax_.lines[-1].get_xydata()[0]
    assert point == pytest.approx([1 - report.metrics["specificity"].value, report.metrics["sensitivity"].value])
    assert "specificity" in display.ax_.get_xlabel()
    assert "threshold 0.5" in legend(display.ax_)[-1]


def test_precision_recall_shows_average_precision_and_prevalence(report):
    display = report.plot_precision_recall()
    texts = legend(display.ax_)
    assert texts[0].startswith(f"AP {report.metrics['average_precision'].value:.3f} (95 % CI ")
    assert "chance, the prevalence 0.500" in texts
    point = display.ax_.lines[-1].get_xydata()[0]
    assert point == pytest.approx([report.metrics["sensitivity"].value, report.metrics["precision"].value])


def test_without_positive_predictions_there_is_no_point_on_the_precision_curve():
    display = MetricsReport.from_scores([0, 0, 1], [0.1, 0.2, 0.3]).plot_precision_recall()
    assert not any("threshold" in text for text in legend(display.ax_))


def test_confusion_matrix_shows_counts_and_shares_of_each_class(matrix):
    display = matrix.plot_confusion_matrix()
    cells = [text.get_text() for text in display.text_.flat]
    assert cells == ["72\n96.0 %", "3\n4.0 %", "17\n22.7 %", "58\n77.3 %"]
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["benign\n(n = 75)", "melanoma\n(n = 75)"]
    assert "n = 150" in display.ax_.get_title()


def test_metrics_are_bars_with_intervals(report):
    ax = report.plot_metrics()
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [f"{LABELS[name]}  (n = {metric.n})" for name, metric in report.metrics.items()]
    for metric, bar, interval in zip(report.metrics.values(), ax.patches, ax.lines, strict=True):
        assert [bar.get_width(), *interval.get_xdata()] == [metric.value, metric.low, metric.high]
    assert "95 % intervals" in ax.get_title()


def test_an_undefined_figure_says_so():
    ax = MetricsReport.from_scores([0, 0, 1], [0.1, 0.2, 0.3]).plot_metrics()
    values = [label.get_text() for label in ax.child_axes[0].get_yticklabels()]
    assert values.count("undefined") == 1


def test_history_marks_the_epoch_of_the_lowest_validation_loss(report):
    loss, accuracy = report.plot_history()
    assert [loss.get_title(), accuracy.get_title()] == ["Loss", "Accuracy"]
    for ax in (loss, accuracy):
        assert legend(ax) == ["training", "validation", "lowest validation loss: epoch 2"]
        assert list(ax.lines[0].get_xdata()) == [1, 2, 3]
        assert ax.get_xlabel() == "Epoch"
    assert list(accuracy.lines[1].get_ydata()) == HISTORY["val_accuracy"]


@pytest.mark.parametrize(
    ("history", "titles", "texts"),
    [
        ({"loss": [0.5, 0.4]}, ["Loss"], ["training"]),
        (
            {"loss": [1.0], "val_loss": [float("nan")], "accuracy": [0.5]},
            ["Loss", "Accuracy"],
            ["training", "validation"],
        ),
    ],
    ids=["loss alone", "diverged"],
)
def test_a_history_shows_what_it_has(history, titles, texts):
    panels = MetricsReport.from_scores([0, 1], [0.2, 0.7], history=history).plot_history()
    assert [ax.get_title() for ax in panels] == titles
    assert legend(panels[0]) == texts


@pytest.mark.parametrize("n", [1, 4])
def test_examples_are_the_most_confident_of_each_outcome(report, n):
    figure = report.plot_examples(n)
    rows = [figure.axes[start : start + n] for start in range(0, 4 * n, n)]
    counts = (report.counts.tp, report.counts.tn, report.counts.fn, report.counts.fp)
    assert [row[0].get_ylabel() for row in rows] == [f"{name} ({k})" for name, k in zip(OUTCOMES, counts, strict=True)]
    scores = dict(zip(report.image_ids, report.y_score, strict=True))
    for row, count, descending in zip(rows, counts, (True, False, False, True), strict=True):
        titles = [ax.get_title().split("\n") for ax in row if ax.get_title()]
        assert len(titles) == min(n, count)
        shown = [scores[image_id] for image_id, _ in titles]
        assert shown == sorted(shown, reverse=descending)
        assert [text for _, text in titles] == [f"score {score:.3f}" for score in shown]
    assert rows[2][0].get_title().startswith("IMG_003"), "the melanoma with the lowest score"
    assert rows[3][0].get_title().startswith("IMG_006"), "the benign lesion with the highest score"


def test_an_image_that_is_gone_says_so(report):
    first = report.plot_examples(2).axes[0]
    assert first.get_title().startswith("IMG_023")
    assert [text.get_text() for text in first.texts] == ["cannot be read:\nno such file"]
    assert not first.images


def test_images_are_shown_as_the_files_have_them(report):
    from melanoma_tl.images import load_image

    second = report.plot_examples(2).axes[1]
    path = report.paths[report.image_ids.index(second.get_title().split("\n")[0])]
    np.testing.assert_array_equal(second.images[0].get_array(), load_image(path, (224, 224)))


def test_an_empty_outcome_says_none(dataset):
    report = MetricsReport.from_scores(dataset.labels, dataset.labels * 0.8 + 0.1, paths=dataset.paths, n_resamples=100)
    figure = report.plot_examples(2)
    assert [[text.get_text() for text in ax.texts] for ax in figure.axes[4::2]] == [["none"], ["none"]]
    assert sum(len(ax.images) for ax in figure.axes) == 4


@pytest.mark.real_data
def test_real_images_are_shown(real_data):
    dataset = ISBIDataset.from_challenge(real_data, year=2017, split="test")
    scores = np.random.default_rng(0).random(len(dataset))
    report = MetricsReport.from_scores(
        dataset.labels, scores, image_ids=dataset.image_ids, paths=dataset.paths, n_resamples=100
    )
    figure = report.plot_examples()
    assert [len(ax.images) for ax in figure.axes] == [1] * 16


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda matrix: matrix.plot_roc(), "needs scores"),
        (lambda matrix: matrix.plot_precision_recall(), "needs scores"),
        (lambda matrix: matrix.plot_examples(), "needs scores"),
        (lambda matrix: matrix.plot_examples(0), "at least 1"),
        (lambda matrix: matrix.plot_history(), "no training history; pass history="),
        (lambda matrix: matrix.save_figures("nowhere", formats="png"), "sequence of some of .*png.*, got 'png'"),
        (lambda matrix: matrix.save_figures("nowhere", formats=["bmpx"]), r"got \['bmpx'\]"),
    ],
)
def test_a_figure_that_cannot_be_drawn_says_why(matrix, draw, message):
    with pytest.raises(ParameterError, match=message):
        draw(matrix)


def test_examples_need_paths():
    with pytest.raises(ParameterError, match="needs the image files; pass paths="):
        MetricsReport.from_scores([0, 1], [0.2, 0.7]).plot_examples()


def test_history_needs_one_axes_a_panel(report):
    with pytest.raises(ParameterError, match=r"axes must be 2, for loss and accuracy, got the shape \(1,\)"):
        report.plot_history([Figure().subplots()])


def test_given_axes_are_drawn_on(report):
    axes = Figure().subplots(2, 3).ravel()
    assert report.plot_roc(axes[0]).ax_ is axes[0]
    assert report.plot_precision_recall(axes[1]).ax_ is axes[1]
    assert report.plot_confusion_matrix(axes[2]).ax_ is axes[2]
    assert report.plot_metrics(axes[3]) is axes[3]
    assert list(report.plot_history(axes[4:])) == list(axes[4:])


def test_every_figure_that_can_be_drawn_is_saved(report, matrix, tmp_path):
    names = ["roc", "precision_recall", "confusion_matrix", "metrics", "history", "examples"]
    written = report.save_figures(tmp_path / "new")
    assert [path.name for path in written] == [f"{name}.png" for name in names]
    assert sorted(written) == sorted((tmp_path / "new").iterdir())
    assert all(path.stat().st_size > 1000 for path in written)
    drawn = matrix.save_figures(tmp_path, formats=("svg", "pdf"))
    assert [path.name for path in drawn] == [f"{name}.{suffix}" for name in names[2:4] for suffix in ("svg", "pdf")]


def test_figures_need_no_display_and_leave_nothing_open(tmp_path):
    code = (
        "import matplotlib, sys; before = dict(matplotlib.rcParams);"
        "from melanoma_tl import MetricsReport as R;"
        "R.from_scores([0, 1, 0, 1], [.1, .6, .7, .9], n_resamples=100).save_figures(sys.argv[1]);"
        "import matplotlib.pyplot as plt; print(plt.get_fignums(), before == dict(matplotlib.rcParams))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, env={"MPLCONFIGDIR": str(tmp_path)}
    )
    assert (run.stdout, run.stderr) == ("[] True\n", "")
    assert (tmp_path / "roc.png").exists()
