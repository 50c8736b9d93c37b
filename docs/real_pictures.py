"""Pictures of the documentation that are of real images and ImageNet weights: plots only, no photograph.

They need the folder of the ISBI images in MELANOMA_TL_DATA, and take minutes on two cores, where
the examples beside them take seconds on drawn lesions.
"""

import json
import os
from pathlib import Path

import pandas as pd

from melanoma_tl import ISBIDataset, MetricsReport, TransferClassifier
from melanoma_tl.plots import HistoryDisplay
from melanoma_tl.plots.style import new_axes

COURSE = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "reproduction" / "course.json"


def read_real(year: int, split: str) -> ISBIDataset:
    """Read one of the challenges' sets, without the images that are missing."""
    return ISBIDataset.from_challenge(os.environ["MELANOMA_TL_DATA"], year=year, split=split, on_error="skip")


def score_2016(table: Path) -> None:
    """Fit the recipe `fast` on training images of 2016, calibrate it on others of them, and score the test images."""
    test = read_real(2016, "test")
    fitted, held_out = read_real(2016, "train").split(0.2, random_state=0)
    clf = TransferClassifier.from_recipe("fast", random_state=0).fit(fitted)
    clf.calibrate(held_out)
    print(clf.tune_threshold(held_out, sensitivity=0.9))
    pd.DataFrame({"label": test.labels, "score": clf.predict_proba(test)[:, 1]}).to_csv(table, index=False)


def draw_judging(picture: Path) -> None:
    """Draw reliability and net benefit on another year's test images, as *Getting started* scores them."""
    train, valid, test = read_real(2016, "train"), read_real(2016, "test"), read_real(2017, "test")
    valid = train.overlap(valid).remove_from(valid)
    test = (train + valid).overlap(test).remove_from(test)
    clf = TransferClassifier.from_recipe("fast", random_state=0).fit(train)
    clf.calibrate(valid)
    plot_judging(MetricsReport.from_estimator(clf, test), picture)


def plot_judging(report: MetricsReport, picture: Path) -> None:
    """Draw both plots side by side."""
    left, right = new_axes(11.0, 5.2, columns=2)
    report.plot_calibration(ax=left)
    report.plot_decision_curve(right)
    left.figure.savefig(picture, dpi=82)


def draw_history(picture: Path) -> None:
    """Draw the first epochs of the published training, as `benchmarks/reproduction.py` keeps its course."""
    course = json.loads(COURSE.read_text(encoding="utf-8"))
    epochs = [after["training"] for number, after in enumerate(course, 1) if after["epoch"] == number]
    history = {key: [after[key] for after in epochs] for key in ("loss", "accuracy", "val_loss", "val_accuracy")}
    HistoryDisplay(history).plot().figure_.savefig(picture, dpi=90)


def draw_learning_rates(picture: Path) -> None:
    """Draw the search of a learning rate for a head on a frozen network."""
    found = TransferClassifier(random_state=0).find_learning_rate(read_real(2016, "train"))
    found.plot().figure_.savefig(picture, dpi=110)
