"""Every figure is drawn, and shows what it must."""

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
from contrasts import contrast
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from matplotlib.text import Text

from melanoma_tl import ISBIDataset, MetricsReport, MulticlassReport
from melanoma_tl.errors import DatasetError, ParameterError, WriteError
from melanoma_tl.metrics.confusion import ConfusionCounts
from melanoma_tl.metrics.curve_bands import precision_band, roc_band
from melanoma_tl.metrics.decision_curves import cumulative_gain, decision_curve, predictive_values
from melanoma_tl.metrics.metric import LABELS, Metric
from melanoma_tl.metrics.reliability import reliability_curve
from melanoma_tl.plots import (
    DecisionCurveDisplay,
    GainCurveDisplay,
    HistoryDisplay,
    MetricsDisplay,
    PredictiveValuesDisplay,
    ScoreHistogramDisplay,
)
from melanoma_tl.plots.matrices import draw_confusion_matrix

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
    assert legend(display.ax_)[0] == f"AUC {auc.value:.3f} (95 % CI {auc.low:.3f}-{auc.high:.3f}, few)"
    assert display.roc_auc == pytest.approx(auc.value)
    point = display.ax_.lines[-1].get_xydata()[0]
    assert point == pytest.approx([1 - report.metrics["specificity"].value, report.metrics["sensitivity"].value])
    assert "specificity" in display.ax_.get_xlabel()
    sensitivity, specificity = report.metrics["sensitivity"].value, report.metrics["specificity"].value
    words = f"threshold 0.5\nsensitivity {sensitivity:.2f}\nspecificity {specificity:.2f}"
    assert [text.get_text() for text in display.ax_.texts] == [words]
    assert display.ax_.get_title() == "ROC curve\n24 images, 12 melanomas (50.0 %)"


@pytest.mark.parametrize(
    ("plot", "find", "n"), [("plot_roc", roc_band, 51), ("plot_precision_recall", precision_band, 49)]
)
def test_a_curve_has_its_band(report, plot, find, n):
    ax = getattr(report, plot)().ax_
    band = find(report.y_true, report.y_score, n_resamples=200)
    corners = ax.collections[0].get_paths()[0].vertices
    assert len(band.x) == n
    assert {*band.low.round(9), *band.high.round(9)} <= set(corners[:, 1].round(9))
    assert "95 % band, point by point" in legend(ax)


def test_a_precision_recall_curve_is_dotted_where_few_are_predicted_melanoma():
    """The three highest scores are benign: the curve of all points begins at precision 0."""
    truth = np.r_[0, 0, 0, np.ones(17), np.zeros(30)].astype(int)
    display = MetricsReport.from_scores(truth, np.linspace(1, 0, 50), n_resamples=100).plot_precision_recall()
    dotted = next(line for line in display.ax_.lines if line.get_linestyle() == ":")
    recall, precision = display.line_.get_data()
    np.testing.assert_allclose([recall[-1], precision[-1]], [7 / 17, 7 / 10])
    np.testing.assert_allclose(dotted.get_xydata()[0], [7 / 17, 7 / 10])
    assert max(dotted.get_ydata()) < 1, "no point where nothing is predicted melanoma"


@pytest.mark.parametrize("seed", range(3))
def test_a_band_contains_its_curve(seed):
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1], [40, 15])
    scores = rng.normal(truth, 1)
    band = roc_band(truth, scores, n_resamples=200)
    found = np.array([(scores[truth == 1] > np.quantile(scores[truth == 0], 1 - x)).mean() for x in band.x[1:-1]])
    assert (band.low[1:-1] <= found + 1 / 15).all()
    assert (found - 1 / 15 <= band.high[1:-1]).all()
    assert (band.low[-1], band.high[-1]) == (1, 1)
    precision = precision_band(truth, scores, n_resamples=200)
    assert (precision.low <= precision.high).all()
    assert precision.x[-1] < 1, "where all melanomas are found the interval would not hold the truth"


def test_the_chance_of_precision_is_the_prevalence():
    truth = np.arange(100) % 5 == 0
    display = MetricsReport.from_scores(truth, np.linspace(0, 1, 100), n_resamples=100).plot_precision_recall()
    assert display.chance_level_.get_ydata() == pytest.approx([0.2, 0.2])
    assert display.prevalence_pos_label == pytest.approx(0.2)


def test_precision_recall_shows_average_precision_and_prevalence(report):
    display = report.plot_precision_recall()
    texts = legend(display.ax_)
    assert texts[0].startswith(f"average precision {report.metrics['average_precision'].value:.3f} (95 % CI ")
    assert "chance, the prevalence 0.500" in texts
    point = display.ax_.lines[-1].get_xydata()[0]
    assert point == pytest.approx([report.metrics["sensitivity"].value, report.metrics["precision"].value])


def test_without_positive_predictions_there_is_no_point_on_the_precision_curve():
    display = MetricsReport.from_scores([0, 0, 1], [0.1, 0.2, 0.3]).plot_precision_recall()
    assert not display.ax_.texts


def test_confusion_matrix_shows_counts_and_shares_of_each_class(matrix):
    display = matrix.plot_confusion_matrix()
    cells = [text.get_text() for text in display.text_.flat]
    assert cells == ["72\n96.0 %", "3\n4.0 %", "17\n22.7 %", "58\n77.3 %"]
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["benign\n(n = 75)", "melanoma\n(n = 75)"]
    assert "150 images, 75 melanomas" in display.ax_.get_title()


@pytest.fixture(scope="module")
def of_three():
    """A report on three diagnoses, one of a long name, and on few images."""
    rng = np.random.default_rng(0)
    truth = rng.choice(3, 60, p=[0.2, 0.65, 0.15])
    scores = np.exp(rng.normal(size=(60, 3)) + 1.3 * np.eye(3)[truth])
    classes = ["melanoma", "nevus", "seborrheic keratosis"]
    named = [classes[one] for one in truth]
    return MulticlassReport.from_scores(named, scores / scores.sum(1, keepdims=True), classes=classes, n_resamples=100)


def test_the_matrix_of_several_classes_shows_shares_as_that_of_two(of_three):
    display = of_three.plot_confusion_matrix()
    sizes = of_three.confusion_matrix.sum(axis=1)
    for text, count, n in zip(display.text_.flat, of_three.confusion_matrix.flat, np.repeat(sizes, 3), strict=True):
        assert text.get_text() == f"{count}\n{100 * count / n:.1f} %"
    assert display.ax_.get_yticklabels()[2].get_text() == f"seborrheic keratosis\n(n = {sizes[2]})"


def test_reliability_diagrams_side_by_side_are_read_whole(of_three):
    figure = of_three.plot_each("calibration")
    figure.draw_without_rendering()
    boxes = [ax.get_legend().get_window_extent() for ax in figure.axes]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    for ax, box in zip(figure.axes, boxes, strict=True):
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0
        assert not box.overlaps(ax.xaxis.label.get_window_extent())
        (counts,) = (patch for patch in ax.patches if isinstance(patch, StepPatch))
        (words,) = (text for text in ax.texts if text.get_text() == "images with this score")
        assert words.get_window_extent().y0 > counts.get_window_extent().y1


def test_a_long_name_of_a_class_is_wrapped_and_not_cut(of_three):
    labels = [label.get_text() for label in of_three.plot_classes().ax_.get_yticklabels()]
    assert "Average precision of seborrheic\nkeratosis  (n = 60)" in labels
    metric = Metric(0.5, 0.4, 0.6, 9, "wilson")
    (label,) = MetricsDisplay({"AUC of " + "very " * 30: metric}).plot().ax_.get_yticklabels()
    assert label.get_text().startswith("AUC of very")
    assert len(label.get_text()) < 100


def test_counts_can_be_read_on_every_shade():
    """4.5 to 1, as WCAG 2 asks for; both colours of letters occur."""
    inks = set()
    for tp in (0, 30, 50, 60, 68, 70, 71, 72, 73, 74, 76, 80, 100):
        display = draw_confusion_matrix(ConfusionCounts(tn=50, fp=50, fn=100 - tp, tp=tp), threshold=None)
        for text, share in zip(display.text_.flat, (0.5, 0.5, 1 - tp / 100, tp / 100), strict=True):
            assert contrast(to_hex(text.get_color()), to_hex(display.im_.cmap(share))) >= 4.5, share
            inks.add(text.get_color())
    assert inks == {"black", "white"}


def test_metrics_are_bars_with_intervals(report):
    display = report.plot_metrics()
    ax = display.ax_
    labels = [label.get_text() for label in ax.get_yticklabels()]
    shown = {name: metric for name, metric in report.metrics.items() if not name.startswith("lr_")}
    assert labels == [f"{LABELS[name]}  (n = {metric.n})" for name, metric in shown.items()]
    for metric, bar, interval in zip(shown.values(), display.bars_, ax.lines, strict=True):
        assert [bar.get_width(), *interval.get_xdata()] == [metric.value, metric.low, metric.high]
    assert "95 % intervals" in ax.get_title()


def test_a_bar_below_zero_is_seen():
    report = MetricsReport.from_scores([0, 0, 0, 1, 1, 1], [0.6, 0.7, 0.2, 0.1, 0.3, 0.8])
    assert report.metrics["mcc"].value < 0
    ax = report.plot_metrics().ax_
    assert ax.get_xlim()[0] == min(metric.low for metric in report.metrics.values()) < 0


def test_an_undefined_figure_says_so():
    ax = MetricsReport.from_scores([0, 0, 1], [0.1, 0.2, 0.3]).plot_metrics().ax_
    values = [label.get_text() for label in ax.child_axes[0].get_yticklabels()]
    assert values.count("undefined") == 2  # precision and MCC


def test_reliability_shows_bins_with_intervals(report):
    display = report.plot_calibration("uniform")
    curve = reliability_curve(report.y_true, report.y_score, strategy="uniform")
    np.testing.assert_array_equal(
        display.line_.get_xydata(), np.stack([curve.mean_score, curve.melanoma_share], axis=1)
    )
    intervals = [line.get_ydata() for line in display.ax_.lines[1 : 1 + len(curve.n)]]
    np.testing.assert_allclose(intervals, np.stack([curve.low, curve.high], axis=1))
    texts = legend(display.ax_)
    assert texts[:2] == ["perfectly calibrated", f"{len(curve.n)} bins of 1 to {curve.n.max()}, 95 % CI"]
    assert texts[2].startswith(f"Brier {report.calibration['brier'].value:.3f} (")
    assert [text.split()[0] for text in texts[3:]] == ["intercept", "slope"]
    assert display.figure_ is display.ax_.figure


def test_scores_that_are_all_zero_are_drawn():
    """As those of a classifier whose sigmoid has no digits left, or of a class that is never predicted."""
    report = MetricsReport.from_scores(np.arange(40) % 2, np.zeros(40), n_resamples=100)
    assert report.plot_calibration().line_.get_xydata().tolist() == [[0, 0.5]]


def test_decision_curve_shows_both_extremes(report):
    ax = report.plot_decision_curve().ax_
    curve = decision_curve(report.y_true, report.y_score, n_resamples=200)
    by_score, treat_all, none = ax.lines
    np.testing.assert_allclose(by_score.get_ydata(), curve.net_benefit)
    np.testing.assert_allclose(treat_all.get_ydata(), curve.treat_all)
    assert set(none.get_ydata()) == {0}
    assert legend(ax) == ["by the score, 95 % band, point by point", "all lesions cut out", "none cut out"]
    assert ax.get_title() == "Decision curve\n24 images, 12 melanomas (50.0 %)"
    assert ax.get_xlim() == (0, 0.5)
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(curve.low.min())
    assert band[:, 1].max() == pytest.approx(curve.high.max())


def test_gain_shows_the_best_and_a_random_order(report):
    ax = report.plot_gain().ax_
    curve = cumulative_gain(report.y_true, report.y_score, n_resamples=200)
    by_score, best, random = ax.lines
    np.testing.assert_allclose(by_score.get_xydata(), np.stack([curve.examined, curve.found], axis=1))
    assert best.get_xydata().tolist() == [[0, 0], [0.5, 1], [1, 1]]
    assert random.get_xydata().tolist() == [[0, 0], [1, 1]]


def test_scores_are_drawn_as_shares_of_each_class(report):
    display = report.plot_scores()
    assert legend(display.ax_) == ["benign (n = 12)", "melanoma (n = 12)", "threshold 0.5"]
    for outline in display.steps_:
        assert outline.get_data().values.sum() == pytest.approx(1)


def test_predictive_values_are_drawn_from_rare_to_frequent(matrix):
    display = matrix.plot_predictive_values()
    ax, (ppv, npv), here = display.ax_, display.lines_, display.ax_.lines[-1]
    values = predictive_values(matrix.counts, [0.001, 0.5])
    assert ppv.get_ydata()[[0, -1]] == pytest.approx(values.ppv)
    assert npv.get_ydata()[[0, -1]] == pytest.approx(values.npv)
    assert set(here.get_xdata()) == {0.5}
    assert ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()][:2] == ["0.1 %", "0.2 %"]


def test_a_predictive_value_that_does_not_exist_says_so():
    ax = MetricsReport.from_scores([0, 0, 1], [0.1, 0.2, 0.3]).plot_predictive_values().ax_
    assert legend(ax)[0] == "PPV: undefined"


def test_history_marks_the_epoch_of_the_lowest_validation_loss(report):
    loss, accuracy = report.plot_history().axes_
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
            {"loss": [1.0, 2.0], "val_loss": [float("nan")] * 2, "accuracy": [0.5, 0.5]},
            ["Loss", "Accuracy"],
            ["training", "validation"],
        ),
    ],
    ids=["loss alone", "diverged"],
)
def test_a_history_shows_what_it_has(history, titles, texts):
    panels = MetricsReport.from_scores([0, 1], [0.2, 0.7], history=history).plot_history().axes_
    assert [ax.get_title() for ax in panels] == titles
    assert legend(panels[0]) == texts


def test_one_epoch_is_said_in_words_and_not_drawn_in_a_report(tmp_path):
    report = MetricsReport.from_scores([0, 1], [0.2, 0.7], history={"loss": [0.4], "val_loss": [0.5]})
    (panel,) = report.plot_history().axes_
    assert [text.get_text() for text in panel.texts] == ["one epoch:\ntraining 0.400\nvalidation 0.500"]
    assert not panel.lines
    assert "history" not in [drawn.name for drawn in report.draw_all()]


def test_no_letters_are_smaller_than_eight_points(report):
    for drawn in report.draw_all():
        sizes = {text.get_fontsize() for text in drawn.figure.findobj(Text) if text.get_text()}
        assert min(sizes) >= 8, drawn.name


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


def test_the_rule_of_given_predictions_is_not_made_up():
    arguments = {"y_true": [0, 1, 0, 1], "y_score": [0.1, 0.9, 0.7, 0.8], "paths": list("abcd"), "n_resamples": 100}
    given = MetricsReport.from_scores(**arguments, y_pred=[0, 1, 1, 1]).plot_examples(1)
    assert given.get_suptitle().endswith("(predicted melanoma: as given)")
    part = MulticlassReport.from_scores(
        list("xyxy"), np.eye(2)[[0, 1, 1, 1]], classes=list("xy"), paths=list("abcd"), n_resamples=100
    ).against_rest["y"]
    assert "(predicted y: where none of the other classes has a score as high)" in part.plot_examples(1).get_suptitle()


def test_an_image_that_is_gone_says_so(report):
    first = report.plot_examples(2).axes[0]
    assert first.get_title().startswith("IMG_023")
    assert [text.get_text() for text in first.texts] == ["cannot be read:\nno such file"]
    assert not first.images


def test_images_are_shown_as_the_files_have_them(report):
    from melanoma_tl.images.decoding import load_image

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
        (lambda matrix: matrix.plot_calibration(), "needs scores"),
        (lambda matrix: matrix.plot_decision_curve(), "needs scores"),
        (lambda matrix: matrix.plot_gain(), "needs scores"),
        (lambda matrix: matrix.plot_scores(), "needs scores"),
        (lambda matrix: matrix.plot_examples(0), "at least 1"),
        (lambda matrix: matrix.plot_history(), "no training history; pass history="),
        (lambda matrix: matrix.save_figures("nowhere", formats=["bmpx"]), r"'png'.* got \('bmpx',\)"),
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


@pytest.mark.parametrize("given", ["axes", Figure(), Figure().subplots(1, 2)], ids=["word", "figure", "array"])
@pytest.mark.parametrize("plot", ["roc", "metrics", "confusion_matrix", "scores"])
def test_what_is_not_axes_is_refused(report, plot, given):
    with pytest.raises(ParameterError, match=f"ax must be one axes of matplotlib, .* got {type(given).__name__}"):
        getattr(report, f"plot_{plot}")(ax=given)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [0.5, 1.0, 1.4, 2.0, 3.0])
@pytest.mark.parametrize("n_melanoma", [20, 75, 190])
def test_the_legend_of_precision_and_recall_hides_little_of_the_curve(parts, n_melanoma):
    y_true = np.arange(379) < n_melanoma
    scores = 1 / (1 + np.exp(-np.random.default_rng(0).normal(size=379) - parts * y_true + 1))
    display = MetricsReport.from_scores(y_true.astype(int), scores, n_resamples=100).plot_precision_recall()
    display.figure_.savefig(io.BytesIO())
    recall = np.linspace(0, 1, 100)
    precision = np.interp(recall, display.recall[::-1], display.precision[::-1])
    curve = display.ax_.transData.transform(np.column_stack([recall, precision]))
    assert display.ax_.get_legend().get_window_extent().count_contains(curve) <= 6


def test_given_axes_are_drawn_on(report):
    axes = Figure().subplots(3, 4).ravel()
    assert report.plot_roc(axes[0]).ax_ is axes[0]
    assert report.plot_precision_recall(axes[1]).ax_ is axes[1]
    assert report.plot_confusion_matrix(axes[2]).ax_ is axes[2]
    assert report.plot_metrics(axes[3]).ax_ is axes[3]
    assert list(report.plot_history(axes[4:6]).axes_) == list(axes[4:6])
    assert report.plot_calibration(ax=axes[6]).ax_ is axes[6]
    for ax, plot in zip(
        axes[7:11],
        (report.plot_decision_curve, report.plot_gain, report.plot_scores, report.plot_predictive_values),
        strict=True,
    ):
        assert plot(ax).ax_ is ax


# -- displays ----------------------------------------------------------------------------------------------------------

OF_SCORES = {
    DecisionCurveDisplay: lambda display: display.line_.get_xydata(),
    GainCurveDisplay: lambda display: display.line_.get_xydata(),
    MetricsDisplay: lambda display: [[bar.get_width() for bar in display.bars_]],
    PredictiveValuesDisplay: lambda display: [line.get_ydata() for line in display.lines_],
    ScoreHistogramDisplay: lambda display: [steps.get_data().values for steps in display.steps_],
}
WORDS = np.array(["nevus", "melanoma"])
TRUTH = (np.arange(30) % 3 == 0).astype(int)
SCORES = np.clip(TRUTH * 0.3 + np.linspace(0.1, 0.6, 30), 0, 1)


class Table:
    """A classifier of rows that hold the scores, with a threshold of its own."""

    threshold = 0.55

    def __init__(self, classes=(0, 1)):
        self.classes_ = classes

    def predict_proba(self, X):
        return np.column_stack([1 - X, X])


@pytest.mark.parametrize("kind", OF_SCORES)
def test_a_display_is_the_same_from_labels_words_and_estimators(kind):
    drawn = OF_SCORES[kind]
    at_threshold = {} if kind in (DecisionCurveDisplay, GainCurveDisplay) else {"threshold": 0.55}
    expected = drawn(kind.from_predictions(TRUTH, SCORES, **at_threshold))
    from_words = kind.from_predictions(WORDS[TRUTH], SCORES, pos_label="melanoma", **at_threshold)
    from_estimator = kind.from_estimator(Table(["nevus", "melanoma"]), SCORES, WORDS[TRUTH], pos_label="melanoma")
    for display in (from_words, from_estimator):
        np.testing.assert_array_equal(drawn(display), expected)
    if kind in (MetricsDisplay, PredictiveValuesDisplay):
        assert not np.array_equal(drawn(kind.from_predictions(TRUTH, SCORES)), expected), "the threshold matters"


@pytest.mark.parametrize("kind", OF_SCORES)
def test_a_display_can_be_drawn_again(kind):
    display = kind.from_predictions(TRUTH, SCORES)
    first, data = display.ax_, np.array(OF_SCORES[kind](display))
    assert display.figure_ is first.figure
    second = Figure().subplots()
    assert display.plot(second, alpha=0.9) is display
    assert display.ax_ is second
    assert display.figure_ is second.figure
    np.testing.assert_array_equal(OF_SCORES[kind](display), data)
    assert second.get_title() == first.get_title()


def test_curves_know_how_frequent_melanoma_is():
    assert "10 melanomas (33.3 %)" in DecisionCurveDisplay.from_predictions(TRUTH, SCORES).ax_.get_title()
    lines = {line.get_label(): line for line in GainCurveDisplay.from_predictions(TRUTH, SCORES).ax_.lines}
    np.testing.assert_allclose(lines["all melanomas first"].get_xydata(), [[0, 0], [1 / 3, 1], [1, 1]])


@pytest.mark.parametrize("kind", [DecisionCurveDisplay, GainCurveDisplay])
def test_two_classifiers_share_axes(kind):
    first = kind.from_predictions(TRUTH, SCORES, label="new")
    second = kind.from_predictions(TRUTH, SCORES / 2, ax=first.ax_, ref_line=False, label="old", c="black", lw=1)
    texts = legend(first.ax_)
    assert texts.count("new") == texts.count("old") == 1
    assert len(texts) == len(set(texts)) == 4
    assert (second.line_.get_color(), second.line_.get_linewidth()) == ("black", 1)
    bands = [band.get_facecolor()[0][:3].tolist() for band in first.ax_.collections]
    assert bands == [list(to_rgb(line.get_color())) for line in (first.line_, second.line_)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DecisionCurveDisplay.from_estimator(Table(), SCORES), "ndarray without labels; pass them as y"),
        (lambda: MetricsDisplay.from_estimator(Table(["cat", "dog"]), SCORES, TRUTH), "pass pos_label='cat'"),
        (lambda: PredictiveValuesDisplay.from_predictions(TRUTH, SCORES[:-1]), "y_score has 29 rows"),
        (lambda: ScoreHistogramDisplay.from_predictions(np.array(["cat", "dog"])[TRUTH], SCORES), "pos_label='cat'"),
        (lambda: GainCurveDisplay.from_predictions(TRUTH, SCORES, n_resamples=5), "from 100 to"),
        (lambda: HistoryDisplay({"accuracy": [0.5]}).plot(), r"got the keys \['accuracy'\]"),
    ],
)
def test_a_display_that_cannot_be_made_says_why(make, message):
    with pytest.raises((DatasetError, ParameterError), match=message):
        make()


@pytest.mark.slow
def test_every_figure_that_can_be_drawn_is_saved(report, matrix, tmp_path):
    of_scores = ["roc", "precision_recall", "calibration", "decision_curve", "gain", "scores"]
    of_counts = ["confusion_matrix", "metrics", "predictive_values"]
    names = [*of_scores, *of_counts, "history", "examples"]
    written = report.save_figures(tmp_path / "new")
    assert [path.name for path in written] == [f"{name}.png" for name in names]
    assert sorted(written) == sorted((tmp_path / "new").iterdir())
    assert all(path.stat().st_size > 1000 for path in written)
    drawn = matrix.save_figures(tmp_path, formats=("svg", "pdf"))
    assert [path.name for path in drawn] == [f"{name}.{suffix}" for name in of_counts for suffix in ("svg", "pdf")]


def test_figures_are_not_saved_into_a_file(matrix, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"file.* cannot be written .*: delete the file that has this name"):
        matrix.save_figures(tmp_path / "file")


@pytest.mark.slow
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
