"""Measure what each part of the recipes adds: by cross-validation, on another site, and on two test sets.

    python benchmarks/recipes.py --data DIR --weights FILE --cache DIR --json FILE [--rows NAME ...] [--quick]

DIR of --data holds the ISBI 2016 and ISIC 2017 images under their official names, FILE of --weights the weights of
VGG19 without top. Every row is trained on the training images of ISBI 2016 alone. Features and scores are kept in the
folder of --cache, and a later call goes on with them. The table that is printed lies beside the JSON file. All rows
take some hours on two cores; --quick takes every twentieth image, which shows that it runs, and nothing else.

Frozen rows are solved by scikit-learn on features of Keras's VGG19, which is what the library computes too; rows that
fine-tune are trained by the library.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from frozen_features import FeatureFiles, ImageSet, Rows
from machine import describe_machine, describe_versions
from numpy.typing import NDArray
from recipe_rows import DIVISIONS, ROWS, Frozen, Together, Tuned
from recipe_table import REFERENCE, TESTS, markdown
from sklearn.metrics import average_precision_score, roc_auc_score
from tqdm.auto import tqdm

from melanoma_tl import ISBIDataset, MetricsReport
from melanoma_tl.datasets.splitting import assign_groups, divide_into_folds

FOLDS = 5
FIRST_ID_OF_OTHER_SITE = 9000  # ids of the training images follow the contributing site


@dataclass(frozen=True)
class Divisions:
    """The ways in which the training images are divided."""

    folds: Sequence[Sequence[NDArray[np.intp]]]
    sites: Sequence[NDArray[np.intp]]


def open_data(folder: Path, step: int = 1) -> tuple[dict[str, ImageSet], Divisions]:
    datasets = {
        "train": ISBIDataset.from_challenge(folder, year=2016, split="train", on_error="skip"),
        "2016": ISBIDataset.from_challenge(folder, year=2016, split="test"),
        "2017": ISBIDataset.from_challenge(folder, year=2017, split="test"),
    }
    datasets = {name: dataset[::step] for name, dataset in datasets.items()}
    train = datasets["train"]
    groups = assign_groups(train, "auto", verbose=1)
    folds = [divide_into_folds(train.labels, groups, FOLDS, stratify=True, seed=seed) for seed in range(DIVISIONS)]
    ids = np.array([int(re.sub(r"\D", "", name)) for name in train.image_ids])
    sites = [np.flatnonzero(ids < FIRST_ID_OF_OTHER_SITE), np.flatnonzero(ids >= FIRST_ID_OF_OTHER_SITE)]
    sets = {name: ImageSet(dataset.paths, np.asarray(dataset.labels)) for name, dataset in datasets.items()}
    return sets, Divisions(folds, sites)


def score_row(name: str, features: FeatureFiles, divisions: Divisions) -> dict[str, NDArray[np.float64]]:
    """Score all images with the models of a row: a line a division or a seed."""
    row = ROWS[name]
    if isinstance(row, Together):
        members = [score_row(member, features, divisions) for member in row.members]
        # A row that was divided once, or trained with one seed, is the same for the others.
        return {key: np.mean(np.broadcast_arrays(*(scores[key] for scores in members)), axis=0) for key in members[0]}
    path = features.folder / "scores" / f"{re.sub('[^a-z0-9]+', '_', name.lower())}.npz"
    if path.exists():
        with np.load(path) as stored:
            return dict(stored)
    scores = {key: np.array(lines) for key, lines in compute_scores(row, features, divisions, name)}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **scores)
    return scores


def compute_scores(
    row: Frozen | Tuned, features: FeatureFiles, divisions: Divisions, name: str
) -> Iterator[tuple[str, list[NDArray[np.float64]]]]:
    n_images = len(features.sets["train"].labels)
    everything = np.arange(n_images)

    def cross_score(held_out: Sequence[NDArray[np.intp]], seed: int) -> NDArray[np.float64]:
        scores = np.empty(n_images)
        for rows in tqdm(held_out, f"{name}: {len(held_out)} parts", leave=False):
            (scores[rows],) = row.score(features, np.setdiff1d(everything, rows), [Rows("train", rows)], seed)
        return scores

    yield "folds", [cross_score(folds, seed) for seed, folds in enumerate(divisions.folds[: row.divisions])]
    yield "sites", [cross_score(divisions.sites, 0)]
    tests = [Rows(year, np.arange(len(features.sets[year].labels))) for year in TESTS]
    models = [row.score(features, everything, tests, seed) for seed in range(row.seeds)]
    for test, lines in zip(tests, zip(*models, strict=True), strict=True):
        yield test.name, list(lines)


def measure(
    scores: dict[str, NDArray[np.float64]],
    reference: dict[str, NDArray[np.float64]],
    sets: dict[str, ImageSet],
    divisions: Divisions,
) -> dict[str, Any]:
    """Compute the figures of a row; those of the tests have the interval of the first seed."""
    truth = sets["train"].labels
    figures: dict[str, Any] = {
        "folds": {
            "auc": [roc_auc_score(truth, line) for line in scores["folds"]],
            "average_precision": [average_precision_score(truth, line) for line in scores["folds"]],
        },
        # Each site is scored by what was trained on the other.
        "sites": {"auc": [roc_auc_score(truth[rows], scores["sites"][0][rows]) for rows in divisions.sites]},
    }
    for year in TESTS:
        reports = [MetricsReport.from_scores(sets[year].labels, line) for line in scores[year]]
        compared = reports[0].compare(MetricsReport.from_scores(sets[year].labels, reference[year][0]))
        figures[year] = {
            name: {
                "seeds": [report.metrics[name].value for report in reports],
                **asdict(reports[0].metrics[name]),
                "difference": asdict(compared.differences[name]),
            }
            for name in ("auc", "average_precision")
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    sets, divisions = open_data(options.data, step=20 if options.quick else 1)
    features = FeatureFiles(sets, options.weights, options.cache / ("quick" if options.quick else "whole"))
    reference = score_row(REFERENCE, features, divisions)
    results: dict[str, Any] = {"machine": describe_machine(), "versions": describe_versions(), "rows": {}}
    for name in options.rows:
        results["rows"][name] = measure(score_row(name, features, divisions), reference, sets, divisions)
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    table = markdown(results)
    options.json.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
