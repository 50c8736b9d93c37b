"""Intervals of which drawn scores show that they hold the truth too seldom are marked, by one rule on every face."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from drawn_scores import simulate

from melanoma_tl import MetricsReport, MulticlassReport
from melanoma_tl.metrics.comparisons import compare
from melanoma_tl.metrics.confusion import CONFUSION_METRICS
from melanoma_tl.metrics.few import FACT, FEW
from melanoma_tl.metrics.multiclass_comparisons import compare_classes
from melanoma_tl.report.card import fill_card
from melanoma_tl.report.text import list_facts

COVERAGE = Path(__file__).parents[2] / "benchmarks" / "results" / "coverage" / "epyc_2_cores.json"
ALWAYS_HOLD = {"sensitivity", "specificity", "accuracy", "precision", "npv", "average_precision"}
"""Which intervals held the truth in 93 % and more, however few the images."""


def report_on(n_melanoma, n_benign, **options):
    return MetricsReport.from_scores(*simulate(n_melanoma, n_benign), n_resamples=100, **options)


def marked(report):
    at = {f"at {one.sensitivity}": one.interpolated for one in report.specificity_at_sensitivity}
    return {name for name, metric in (report.metrics | dict(report.calibration) | at).items() if metric.few}


def everything(report):
    at = {f"at {one.sensitivity}" for one in report.specificity_at_sensitivity}
    return set(report.metrics) | set(report.calibration) | at


@pytest.mark.parametrize(("n_melanoma", "n_benign"), [(FEW, 300), (300, FEW), (5, 5)])
def test_with_few_images_all_are_marked_but_those_that_hold(n_melanoma, n_benign):
    report = report_on(n_melanoma, n_benign)
    undefined = {name for name, metric in report.metrics.items() if np.isnan(metric.value)}
    assert marked(report) == everything(report) - ALWAYS_HOLD - undefined
    matrix = MetricsReport.from_confusion(*report.counts, n_resamples=100)
    assert {name for name, one in matrix.metrics.items() if one.few} == set(CONFUSION_METRICS) - ALWAYS_HOLD - undefined


def test_with_enough_images_none_is_marked():
    report = report_on(FEW + 1, FEW + 1)
    assert marked(report) == {"partial_auc"}, "it rests on a fifth of the melanomas"
    report = report_on(5 * FEW + 1, FEW + 1)
    assert not marked(report)
    assert not re.search(r"\(few\)|, few\)|marked few", f"{report}{report.to_markdown()}{report._repr_html_()}")
    assert not any(metric.few for metric in MetricsReport.from_confusion(21, 3, 4, 17).metrics.values())


def test_patients_are_counted_and_not_their_images():
    many = np.repeat(np.arange(60), 10)
    report = report_on(300, 300, groups=many)
    assert marked(report) == {"partial_auc"}
    of_few = np.where(np.arange(600) < 300, np.arange(600) % FEW, 1000 + np.arange(600))
    report = report_on(300, 300, groups=of_few)
    assert marked(report) == everything(report) - {"average_precision", "specificity"}, "benign: each its own patient"


def test_every_face_says_it():
    report = report_on(15, 200)
    text, markdown, fragment = str(report), report.to_markdown(), report._repr_html_()
    for page in (text, markdown, fragment):
        assert len(re.findall(r"\(few\)|, few\)", page)) >= 12
        assert FACT in page
    assert any(fact.startswith(FACT) for fact in list_facts(report))
    card = {entry.heading: entry.text for entry in fill_card(report, {})}
    assert re.search(r"AUC \S+ \(95 % CI \S+, n = 215, few\)", card["Sample size and precision"])
    document = json.loads(report.to_json())
    assert document["auc"]["few"] is True
    assert document["sensitivity"]["few"] is False
    assert document["calibration"]["brier"]["few"] is True
    assert document["specificity_at_sensitivity"][0]["challenge"]["few"] is True
    frame = report.to_frame().set_index("metric")
    assert frame.loc["auc", "few"]
    assert not frame.loc["sensitivity", "few"]


def test_the_page_says_it(tmp_path):
    page = report_on(15, 200).save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert FACT in page
    assert re.search(r"CI \S+, n\s=\s215, few", page), "among the headlines"


def test_net_benefits_and_subgroups_are_marked():
    report = report_on(60, 60)
    assert "few" not in str(report.net_benefit())
    groups = report.subgroups({"side": ["left", "right"] * 60, "size": ["small"] * 30 + ["large"] * 90}, by="size")
    frame = groups.to_frame().set_index("value")
    assert frame["auc_few"].to_dict() == {"large": False, "small": False}, "undefined: the small ones have one class"
    left = report.subgroups({"part": ["a"] * 15 + ["b"] * 90 + ["a"] * 15})
    assert left.to_frame().set_index("value")["auc_few"].to_dict() == {"a": True, "b": False}
    assert FACT in str(left)
    few = report_on(15, 200)
    assert FACT in str(few.net_benefit())
    assert few.net_benefit().rows[0].over_all.few


def test_the_rarest_of_several_classes_counts():
    rng = np.random.default_rng(0)
    for rarest, is_few in ((FEW, True), (FEW + 1, False)):
        words = np.repeat(["mel", "nv", "bkl"], [rarest, 50, 60])
        scores = rng.dirichlet([1, 1, 1], len(words))
        report = MulticlassReport.from_scores(words, scores, classes=("bkl", "mel", "nv"), n_resamples=100)
        assert report.balanced_accuracy.few == is_few
        assert report.macro["auc"].few == is_few
        assert not report.accuracy.few
        assert ("few" in str(report)) == is_few


def test_what_was_measured_below_93_per_cent_is_marked():
    """Of independent images, on average over the settings of a number of melanomas; 600 images at 20 % are 120."""
    settings = json.loads(COVERAGE.read_text(encoding="utf-8"))["settings"]
    below = {}
    for setting in (one for one in settings if not one["patients"]):
        n_melanoma = round(setting["n"] * setting["prevalence"])
        for name, found in setting["coverage"].items():
            below.setdefault((n_melanoma, name), []).append(found["held"])
    for (n_melanoma, name), held in below.items():
        if np.mean(held) < 0.93 - 2 * np.sqrt(0.95 * 0.05 / 120) and n_melanoma < 100:  # beyond what chance explains
            assert n_melanoma <= (5 * FEW if name == "partial_auc" else FEW), name
            assert name not in ALWAYS_HOLD, name


@pytest.mark.parametrize(("n_melanoma", "n_benign"), [(FEW, 300), (300, FEW), (5, 5), (FEW + 1, FEW + 1)])
def test_differences_are_marked_as_their_figures_are(n_melanoma, n_benign):
    truth, first = simulate(n_melanoma, n_benign)
    second = np.clip(first + np.random.default_rng(1).normal(0, 0.3, len(truth)), 0, 1)
    found = compare(truth, first, second, n_resamples=100)
    rests_on = {"sensitivity": n_melanoma, "specificity": n_benign}
    for name, row in found.differences.items():
        units = rests_on.get(name, min(n_melanoma / 5 if name == "partial_auc" else n_melanoma, n_benign))
        few = units <= FEW and row.method != "wilson"
        assert row.few is (few and not np.isnan(row.value)), name
    marked = sum(row.few for row in found.differences.values())
    for page in (str(found), found.to_markdown(), found._repr_html_()):
        assert page.count("(few)") == marked
        assert (FACT in page) == bool(marked)
    assert found.to_frame()["few"].sum() == marked


def test_differences_of_few_patients_are_marked():
    truth, first = simulate(300, 300)
    patients = np.where(truth == 1, np.arange(600) % 15, 1000 + np.arange(600))
    found = compare(truth, first, first[::-1].copy(), groups=patients, n_resamples=100)
    assert found.differences["auc"].few
    assert found.differences["sensitivity"].few
    assert not found.differences["specificity"].few


def test_differences_of_several_diagnoses_are_marked():
    truth, rng = np.repeat([0, 1, 2], [60, 40, 8]), np.random.default_rng(0)
    first, second = (rng.dirichlet(np.ones(3), len(truth)) for _ in range(2))
    found = compare_classes(truth, first, second, classes=["nv", "bkl", "mel"], n_resamples=100)
    assert all(row.few for row in found.differences.values())
    assert found.against_rest["mel"]["auc"].few
    assert not found.against_rest["bkl"]["auc"].few
    assert FACT in str(found)


def test_the_plot_of_all_figures_says_it():
    import matplotlib.pyplot as plt

    few = report_on(15, 200).plot_metrics()
    told = {
        text.get_text() for axis in few.ax_.child_axes for text in axis.get_yticklabels() if "few" in text.get_text()
    }
    assert len(told) >= 8
    many = report_on(120, 200).plot_metrics()
    assert not any("few" in text.get_text() for axis in many.ax_.child_axes for text in axis.get_yticklabels())
    plt.close("all")
