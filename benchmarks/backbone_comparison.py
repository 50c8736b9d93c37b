"""Compare VGG19 and VGG16, alone, side by side and as an ensemble, by cross-validation on the images of ISBI 2016.

    python benchmarks/backbone_comparison.py --data DIR --weights DIR --json vgg.json

All by the recipe `fast`, on the same five folds. Writes the table beside the JSON, and prints it. Takes about ten
minutes on two cores.
"""

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from table import publish

from melanoma_tl import ISBIDataset, MetricsReport, TransferClassifier, compare_backbones
from melanoma_tl.classifier import BackboneComparison

STAGES = {"vgg19": "VGG19", "vgg16": "VGG16", "vgg19+vgg16": "VGG19 and VGG16 side by side"}
PUBLISHED = "VGG19, ten maps that were chosen for it"
METRICS = ("auc", "average_precision")


def compare(data: str) -> BackboneComparison:
    train = ISBIDataset.from_challenge(data, year=2016, split="train", on_error="skip")
    classifiers = {PUBLISHED: TransferClassifier.from_recipe("fast", random_state=0, verbose=0)}
    for backbone, name in STAGES.items():
        classifier = TransferClassifier.from_recipe("fast", backbone=backbone, random_state=0, verbose=0)
        classifiers[f"{name}, a map of each stage"] = classifier.set_params(head__feature_layers="stages")
    return compare_backbones(classifiers, train)


def average(found: BackboneComparison) -> MetricsReport:
    """Report on the mean of the out-of-fold scores of VGG19 and VGG16, which is what an `Ensemble` of both gives."""
    vgg19, vgg16 = (one.report for one in found.results[1:3])
    scores = np.mean([vgg19.y_score, vgg16.y_score], axis=0)
    return MetricsReport.from_scores(vgg19.y_true, scores, image_ids=vgg19.image_ids)


def tabulate(found: BackboneComparison) -> list[dict[str, Any]]:
    reports = {one.name: one.report for one in found.results} | {"an Ensemble of the two": average(found)}
    first = reports[PUBLISHED]
    rows = []
    for name, report in reports.items():
        row: dict[str, Any] = {"name": name}
        for metric in METRICS:
            row[metric] = report.metrics[metric].to_dict()
            if report is not first:
                row[f"{metric}_difference"] = asdict(report.compare(first).differences[metric])
        rows.append(row)
    return rows


def markdown(rows: list[dict[str, Any]], found: BackboneComparison) -> str:
    measured = (
        f"{found.n_images} training images of ISBI 2016, {found.n_melanoma} of them melanoma; out-of-fold scores of "
        f"{found.folds} folds, the same for each."
    )
    lines = [
        measured,
        "",
        "| backbone | AUC | average precision | difference of the AUC to the first |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [_interval(row[name]) for name in METRICS]
        difference = row.get("auc_difference")
        cells.append("" if difference is None else f"{_interval(difference, '+')}, p = {difference['p_value']:.2f}")
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _interval(found: dict[str, Any], sign: str = "") -> str:
    return f"{found['value']:{sign}.3f} ({found['low']:{sign}.3f} to {found['high']:{sign}.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("MELANOMA_TL_DATA"), help="folder of the challenges")
    parser.add_argument("--weights", default=os.environ.get("MELANOMA_TL_WEIGHTS"), help="folder of the weights")
    parser.add_argument("--json", type=Path, default=Path("out/vgg.json"), help="(default: %(default)s)")
    options = parser.parse_args()
    if options.weights:
        os.environ["MELANOMA_TL_WEIGHTS"] = options.weights
    write(compare(options.data), options.json)


def write(found: BackboneComparison, path: Path) -> None:
    rows = tabulate(found)
    publish(rows, markdown(rows, found), path)


if __name__ == "__main__":
    main()
