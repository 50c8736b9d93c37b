"""Measure what calibration does on real images: fitted on one half of a test set, judged on the other.

    python benchmarks/calibration.py --data DIR --weights FILE

DIR holds the ISBI 2016 and ISIC 2017 images under their official names, FILE the weights of VGG19 without top. The
recipe `fast` is trained on the training images of ISBI 2016, and scores both test sets. Each is then divided 200
times; the table that is printed has a line a test set, a kind of division and a method.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from melanoma_tl import ISBIDataset, TransferClassifier
from melanoma_tl.metrics.calibration import METHODS, fit_calibration
from melanoma_tl.metrics.reliability import calibration_metrics

DIVISIONS = 200
FEWEST_RESAMPLES = 100
"""The intervals of intercept and slope need no resamples."""


def score(data: Path, weights: Path) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Train the recipe, and score both test sets: labels and scores by year."""
    train = ISBIDataset.from_challenge(data, year=2016, split="train", on_error="skip")
    classifier = TransferClassifier.from_recipe("fast", weights=weights, random_state=0).fit(train)
    tests = {year: ISBIDataset.from_challenge(data, year=year, split="test") for year in (2016, 2017)}
    return {year: (np.asarray(test.labels), classifier.predict_proba(test)[:, 1]) for year, test in tests.items()}


def judge(truth: NDArray[np.int64], scores: NDArray[np.float64], splitter: type, method: str) -> str:
    """Give a line of the table."""
    intercepts, slopes, brier = [], [], []
    divisions = splitter(DIVISIONS, test_size=0.5, random_state=0)
    for fitted_on, judged_on in divisions.split(scores[:, None], truth):
        # Class weights balance the training set of the recipe.
        of_training = {"from_prevalence": 0.5, "to_prevalence": float(truth[fitted_on].mean())}
        calibration = fit_calibration(
            truth[fitted_on], scores[fitted_on], method=method, **(of_training if method == "temperature" else {})
        )
        calibrated = calibration.apply(scores[judged_on])
        figures = calibration_metrics(truth[judged_on], calibrated, n_resamples=FEWEST_RESAMPLES)
        intercepts.append(figures["calibration_intercept"])
        slopes.append(figures["calibration_slope"].value)
        brier.append(brier_score_loss(truth[judged_on], calibrated))
    held = np.mean([figure.low <= 0 <= figure.high for figure in intercepts])
    mean = np.mean([figure.value for figure in intercepts])
    return f"{mean:+.3f} | {held:.1%} | {np.nanmean(slopes):.2f} | {np.mean(brier):.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()
    print("| test set | halves | method | mean intercept | interval holds 0 | mean slope | mean Brier score |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for year, (truth, scores) in score(options.data, options.weights).items():
        for halves, splitter in (("same prevalence", StratifiedShuffleSplit), ("at random", ShuffleSplit)):
            for method in METHODS:
                print(f"| {len(truth)} of {year} | {halves} | {method} | {judge(truth, scores, splitter, method)} |")


if __name__ == "__main__":
    main()
