"""Whatever a constructor or a function is given, the answer is a result or an error of the library's own."""

import warnings
from collections import Counter
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import draw_images
from PIL import Image

import melanoma_tl as mt
from melanoma_tl import explain, metrics, scale
from melanoma_tl.backbones import get_backbone
from melanoma_tl.datasets.selection_bias import measure_selection_bias
from melanoma_tl.errors import MelanomaTLError
from melanoma_tl.metrics.claims import check_claims
from melanoma_tl.plots import decision_curves as plots

N_CALLS = 2500

JUNK = [
    *(
        None,
        True,
        False,
        0,
        1,
        2,
        -1,
        3,
        10**30,
        -(10**30),
        2**63,
        0.5,
        -0.5,
        1e308,
        float("nan"),
        float("inf"),
        1 + 1j,
    ),
    *(
        "",
        "x",
        "auto",
        "20",
        "images",
        "a\0b",
        "é" * 1000,
        b"x",
        Path("no/such/folder"),
        Decimal("0.5"),
        Fraction(1, 2),
    ),
    *([], (), {}, set(), [1, 2], (0.9, 0.1), ["a"], [None], [[1], [2, 3]], {"a": 1}, {0: -1.0, 1: 2.0}, {True: 1.0}),
    *(
        range(3),
        np.int64(3),
        np.float32(0.5),
        np.bool_(True),
        np.str_("x"),
        np.array(3),
        np.zeros((2, 2)),
        np.array([]),
    ),
    *(np.array(["a", None], dtype=object), np.array([np.nan, 1.0]), np.zeros((2, 3, 4), "uint8"), np.datetime64("NaT")),
    *(pd.NA, pd.NaT, pd.Series([1, 2]), pd.DataFrame({"a": [1]}), datetime(2020, 1, 1), np.random.RandomState(0)),
    *(
        np.random.default_rng(0),
        Image.new("RGB", (8, 8)),
        object(),
        object,
        int,
        len,
        lambda x: x,
        mt.Stage(),
        mt.Probe(),
    ),
    *(mt.Balancer(), mt.Augmenter(), mt.Augmenter, slice(None), Exception("x"), NotImplemented, ...),
]


def generator():
    yield 1


def parameters_of(kind):
    """Give each parameter of an estimator with its default."""
    return {name: value for name, value in kind().get_params(deep=False).items() if name != "verbose"}


def targets(folder, images, labels):
    """List what is called: name, function and arguments that it understands, some of which are then replaced."""
    dataset = mt.ISBIDataset([f"i{n}" for n in range(24)], [str(folder / f"i{n}.png") for n in range(24)], labels)
    scores = np.random.default_rng(0).uniform(size=24)
    scored = {"y_true": labels, "y_score": scores}
    report = mt.MetricsReport.from_scores(labels, scores, n_resamples=100, paths=dataset.paths)
    interval = {"confidence": 0.9, "n_resamples": 100, "random_state": 0}
    classifier = mt.TransferClassifier("tiny", weights=None, verbose=0)
    augmenter = mt.Augmenter(horizontal_flip=True)

    def fitted_to_nothing(**parameters):
        return mt.TransferClassifier(**({"backbone": "tiny", "weights": None, "verbose": 0} | parameters)).fit(
            ["no such file.jpg", "nor this.jpg"], [0, 1]
        )

    def call(method, *names):
        """Let arguments that are positional stand in front."""
        return lambda **given: method(*[given.pop(name) for name in names], **given)

    jobs = {"actors": 1, "cpus": 1, "gpus": 0, "shard_size": 5, "batch_size": 2}
    return [
        (10, "TransferClassifier", lambda **given: mt.TransferClassifier(**given).check_parameters(),
         parameters_of(mt.TransferClassifier)),
        (2, "TransferClassifier.fit", fitted_to_nothing,
         parameters_of(mt.TransferClassifier) | {"backbone": "tiny", "weights": None, "input_size": (32, 32)}),
        (1, "find_learning_rate", call(classifier.find_learning_rate, "X", "y"),
         {"X": ["nothing.jpg"], "y": [1], "lowest": 1e-5, "highest": 1.0, "steps": 3}),
        (3, "Ensemble", lambda **given: mt.Ensemble(given.pop("classifiers"), **given).fit(["no such file.jpg"], [0]),
         {"classifiers": [classifier], "combine": "mean", "threshold": 0.5, "random_state": 0, "verbose": 0}),
        (3, "cross_validate", lambda **given: mt.cross_validate(given.pop("classifier"), [], [], **given),
         {"classifier": classifier, "folds": 2, "groups": None, "validation": None, "combine": "mean", "verbose": 0}),
        (3, "Stage", mt.Stage, {"trainable_from": 1, "epochs": 1, "learning_rate": 0.1, "schedule": "cosine",
                                "warmup": 0.1, "layer_decay": 0.5}),
        (1, "Probe", mt.Probe, {"C": 1.0}),
        (6, "Augmenter", lambda **given: mt.Augmenter(**given).augment(images[:2], 0), parameters_of(mt.Augmenter)),
        (3, "augment", augmenter.augment, {"images": images[:2], "seed": 0}),
        (3, "fixed_views", augmenter.fixed_views, {"images": images[:2], "keys": [1, 2], "views": [0, 1]}),
        (1, "view_key", augmenter.view_key, {"view": 1}),
        (1, "preview", augmenter.preview, {"dataset": images, "n": 1, "views": 1, "size": (32, 32), "seed": 0}),
        (4, "Balancer", lambda **given: mt.Balancer(**given).fit_resample(images, labels), parameters_of(mt.Balancer)),
        (5, "fit_resample", mt.Balancer().fit_resample, {"X": images, "y": labels}),
        (2, "class_weight", mt.Balancer().class_weight, {"y": labels}),
        (3, "from_challenge", mt.ISBIDataset.from_challenge,
         {"root": folder, "year": 2016, "split": "train", "image_dirs": None, "on_error": "skip"}),
        (2, "from_folder", mt.ISBIDataset.from_folder, {"root": folder, "label_map": None, "on_error": "skip"}),
        (2, "first", dataset.first, {"n": 2, "per_class": None}),
        (2, "sample", dataset.sample, {"n": 2, "per_class": None, "random_state": 0}),
        (3, "split", dataset.split, {"test_size": 0.2, "groups": None, "random_state": 0, "verbose": 0}),
        (3, "folds", dataset.folds, {"k": 2, "groups": None, "stratify": True, "random_state": 0, "verbose": 0}),
        (2, "overlap", dataset.overlap, {"other": dataset, "by": "id", "verbose": 0}),
        (2, "identify", dataset.identify, {"kinds": "id", "verbose": 0}),
        (1, "verify", dataset.verify, {"verbose": 0}),
        (3, "selection_bias", dataset.selection_bias, {"subset": dataset[:8], "alpha": 0.05, "random_state": 0,
                                                       "verbose": 0, "on_error": "skip"}),
        (2, "measure_selection_bias", measure_selection_bias, {"dataset": dataset, "subset": dataset[:8]}),
        (2, "images", dataset.images, {"size": (16, 16), "verbose": 0}),
        (2, "resize_to", dataset.resize_to, {"folder": folder / "resized", "size": (16, 16), "format": "png",
                                             "on_error": "raise", "verbose": 0}),
        (6, "from_scores", mt.MetricsReport.from_scores,
         scored | interval | {"pos_label": None, "threshold": 0.5, "image_ids": None, "paths": None, "groups": None,
                              "history": None, "provenance": None, "skipped": (), "name": "x"}),
        (4, "from_confusion", mt.MetricsReport.from_confusion,
         {"tn": 3, "fp": 1, "fn": 1, "tp": 3, "threshold": 0.5, "name": "x", "provenance": None} | interval),
        (2, "compare", report.compare, {"other": report, "names": ("a", "b"), "margins": {"auc": 0.05}}),
        (2, "net_benefit", report.net_benefit,
         {"thresholds": (0.1, 0.2), "other": report, "prevalence": 0.02, "names": ("a", "b")}),
        (2, "net_benefit of scores", metrics.net_benefit,
         scored | interval | {"thresholds": 0.1, "other_score": scores, "prevalence": None}),
        (1, "combine_sites", metrics.combine_sites,
         {"reports": {"a": report, "b": report}, "metric": "sensitivity", "confidence": 0.9}),
        (3, "subgroups", report.subgroups, {"table": {"sex": ["f", "m"] * 12}, "by": ["sex"], "bands": None}),
        (2, "check_claims", report.check_claims, {"claims": {"recall": 0.5}}),
        (1, "check_claims of counts", check_claims, {"counts": report.counts, "claims": {"recall": 0.5}}),
        (2, "examples", report.examples, {"n": 2}),
        (1, "save", report.save, {"path": folder / "report.md", "card": None}),
        (1, "to_submission", report.to_submission, {"path": folder / "report.csv", "category": "melanoma"}),
        (1, "attach", report.attach, {"title": "x", "content": pd.DataFrame({"a": [1]})}),
        (1, "save_figures", report.save_figures, {"folder": folder, "formats": "bmp"}),
        (2, "plot_calibration", report.plot_calibration, {"strategy": "quantile"}),
        (3, "MulticlassReport", mt.MulticlassReport.from_scores,
         {"y_true": [0, 1, 2] * 2, "y_score": np.eye(3)[[0, 1, 2] * 2], "classes": [0, 1, 2], "name": ""} | interval),
        (4, "choose_threshold", metrics.choose_threshold,
         scored | {"sensitivity": 0.9, "specificity": None, "cost_ratio": None, "prevalence": None, "youden": False,
                   "assurance": None, "confidence": 0.95}),
        (2, "specificity_at_sensitivity", metrics.specificity_at_sensitivity, dict(scored)),
        (3, "images_needed", metrics.images_needed, {"width": 0.1, "prevalence": 0.2, "sensitivity": 0.9,
                                                         "specificity": None, "auc": None, "confidence": 0.95}),
        (3, "images_needed_to_compare", metrics.images_needed_to_compare,
         {"prevalence": 0.2, "correlation": 0.5, "sensitivity": (0.9, 0.8), "specificity": None, "auc": None,
          "margin": None, "confidence": 0.95, "power": 0.8}),
        (3, "expected_intervals", metrics.expected_intervals,
         {"n_melanoma": 10, "n_benign": 20, "sensitivity": 0.9, "specificity": None, "auc": 0.8, "confidence": 0.9}),
        (3, "score_metrics", metrics.score_metrics, scored | interval | {"threshold": 0.5, "groups": None}),
        (2, "confusion_counts", metrics.confusion_counts, scored | {"threshold": 0.5}),
        (1, "wilson_interval", metrics.wilson_interval, {"successes": 1, "n": 2, "confidence": 0.9}),
        (1, "roc_auc", metrics.roc_auc, dict(scored)),
        (1, "average_precision", metrics.average_precision, dict(scored)),
        (1, "partial_auc", metrics.partial_auc, dict(scored)),
        (2, "delong", lambda **given: metrics.delong(*given.values()), scored | {"other": scores}),
        (1, "delong_interval", metrics.delong_interval, scored | {"confidence": 0.9}),
        (1, "mcnemar", metrics.mcnemar, {"first_right": labels, "second_right": labels}),
        (2, "calibration_metrics", metrics.calibration_metrics, scored | interval),
        (2, "reliability_curve", metrics.reliability_curve, scored | {"n_bins": 5, "strategy": "uniform"}),
        (
            2,
            "Calibration",
            metrics.Calibration,
            {"slope": 1.0, "intercept": 0.0, "from_prevalence": 0.5, "to_prevalence": 0.2, "method": "sigmoid"},
        ),
        (2, "decision_curve", metrics.decision_curve, scored | interval | {"thresholds": (0.1, 0.2)}),
        (1, "score_histogram", metrics.score_histogram, scored | {"n_bins": 5}),
        (1, "predictive_values", metrics.predictive_values,
         {"counts": report.counts, "prevalence": 0.1, "confidence": 0.9}),
        (2, "measure_subgroups", metrics.measure_subgroups, scored | interval | {"table": {"sex": ["f", "m"] * 12}}),
        (2, "DecisionCurveDisplay", plots.DecisionCurveDisplay.from_predictions, scored | interval),
        (2, "occlusion", explain.occlusion, {"classifier": classifier, "X": images, "grid": 2, "target": None}),
        (1, "grad_cam", explain.grad_cam, {"classifier": classifier, "X": images, "layer": None, "target": None}),
        (1, "explain", explain.explain, {"classifier": classifier, "X": images, "captions": None, "target": None}),
        (1, "explain_errors", explain.explain_errors, {"classifier": classifier, "report": report, "n": 1}),
        (2, "scale.score", scale.score, {"images": ["x.png"], "model": "no such.keras", "out": folder} | jobs),
        (2, "scale.extract", scale.extract, {"images": ["x.png"], "classifier": None, "out": folder} | jobs),
        (1, "get_backbone", get_backbone, {"name": "tiny"}),
        (1, "list_backbones", mt.list_backbones, {"pattern": "tin*"}),
        (1, "from_recipe", mt.TransferClassifier.from_recipe, {"name": "paper"}),
        (1, "load", mt.TransferClassifier.load, {"path": "no such.keras"}),
        (1, "Ensemble.load", mt.Ensemble.load, {"path": "no such.keras"}),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    for number, image in enumerate(draw_images(24)):
        Image.fromarray(image).save(folder / f"i{number}.png")
    return folder


def call_at_random(seed, chosen):
    """Call something with one, two or three arguments that it does not expect; return what went wrong."""
    rng = np.random.default_rng(seed)
    weights = np.array([weight for weight, *_ in chosen], dtype=float)
    _, name, function, arguments = chosen[rng.choice(len(chosen), p=weights / weights.sum())]
    replaced = rng.choice(list(arguments), size=min(len(arguments), rng.integers(1, 4)), replace=False).tolist()
    junk = {
        key: generator() if (place := rng.integers(len(JUNK) + 1)) == len(JUNK) else JUNK[place] for key in replaced
    }
    try:
        function(**(arguments | junk))
    except MelanomaTLError:
        return None
    except Exception as error:
        return f"{seed}: {name}({', '.join(f'{key}={value!r:.60}' for key, value in junk.items())}) -> {error!r:.200}"
    return None


@pytest.mark.slow
def test_every_answer_is_a_result_or_an_error_of_the_library(folder, images, labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a str may be a path
    chosen = targets(folder, images, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = list(filter(None, (call_at_random(seed, chosen) for seed in range(N_CALLS))))
    by_function = Counter(line.split("(")[0].split(": ")[1] for line in wrong)
    assert not wrong, f"{len(wrong)} of {N_CALLS}: {by_function}\n" + "\n".join(wrong)
