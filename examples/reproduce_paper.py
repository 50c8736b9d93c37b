"""Run the published VGG19 work on the real images and set its figures beside ours.

    python examples/reproduce_paper.py --data DIR --weights FILE --epochs 35 --out out/reproduction

DIR holds the ISBI 2016 Part 3 and ISIC 2017 Part 3 files under their official
names; FILE is VGG19's ImageNet weights without the top. On two cores one published
epoch (692 steps of 16 images) takes a quarter of an hour with bfloat16 and 1.8 hours
without: see --epochs. A run that was stopped goes on after its last epoch when the
same command is given again.

With --keep-epochs the weights of some epochs stay in OUT/epochs, and every figure of
the table is measured after each of them too: OUT/course.json. With --course this is
all that is done, from the epochs kept so far, while training goes on elsewhere.
"""

import argparse
import copy
import json
import logging
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from melanoma_tl import ISBIDataset, MetricsReport, TransferClassifier
from melanoma_tl.metrics import LABELS

logger = logging.getLogger("reproduce_paper")

PUBLISHED_TEST = {
    "accuracy": "86.67 %",
    "precision": "95.08 %",
    "sensitivity": "82.25 %",
    "iou_melanoma": "78.26 %",
    "f1": "85.29 %",
}
PUBLISHED_VALIDATION = {"accuracy": "81.33 %"}
PUBLISHED_TRAINING = {"loss": 0.1033, "accuracy": 0.9872, "val_loss": 0.1170, "val_accuracy": 0.8133}
# The only matrix of 75 + 75 images with the published accuracy, precision and Dice.
PUBLISHED_MATRIX = {"tn": 72, "fp": 3, "fn": 17, "tp": 58}


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure as published, as measured here, and what that means."""

    images: str
    figure: str
    published: str
    ours: str
    n: int
    verdict: str


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the challenges' official files")
    parser.add_argument("--weights", default="imagenet", help="file of VGG19 weights, 'imagenet' (default) or 'none'")
    parser.add_argument("--epochs", type=int, default=35, help="epochs to train (published: 35)")
    parser.add_argument("--steps-per-epoch", type=int, default=692, help="steps an epoch (published: 692)")
    parser.add_argument("--out", type=Path, default=Path("out/reproduction"), help="where to write")
    parser.add_argument("--keep-epochs", type=int, nargs="*", default=[], help="epochs whose weights are kept")
    parser.add_argument("--course", action="store_true", help="measure the epochs kept so far, without training")
    parser.add_argument("--model", type=Path, help="score this model of an earlier run instead of training one")
    parser.add_argument("--per-class", type=int, default=75, help="first images of each class (published: 75)")
    parser.add_argument("--draws", type=int, default=50, help="random draws of validation images (default: 50)")
    parser.add_argument("--input-size", type=int, default=224, help="side of the images (published: 224)")
    parser.add_argument("--seed", type=int, default=0, help="seed of training and draws (default: 0)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    started = time.perf_counter()

    train = ISBIDataset.from_challenge(options.data, year=2016, split="train", on_error="skip")
    valid = ISBIDataset.from_challenge(options.data, year=2016, split="test")
    test = ISBIDataset.from_challenge(options.data, year=2017, split="test")
    # The images of the 2017 training set are looked for under the 2016 folders too: most of them came from there.
    test_from_training_set = ISBIDataset.from_challenge(
        options.data,
        year=2017,
        split="train",
        image_dirs=[path.parent for path in map(Path, (train.paths[0], valid.paths[0]))],
        on_error="skip",
    ).first(per_class=options.per_class)
    n_melanoma = train.class_counts["melanoma"]
    published_training_set = train.first(per_class={"benign": 2 * n_melanoma, "melanoma": n_melanoma})
    published_validation_set = valid.first(per_class=options.per_class)
    seen = warn_of_contamination(test_from_training_set, published_training_set, valid)

    first = f"first {options.per_class} + {options.per_class}"
    sets = {
        f"validation, {first}": (published_validation_set, PUBLISHED_VALIDATION),
        f"validation, all {len(valid)}": (valid, {}),
        f"2017 test set, {first}": (test.first(per_class=options.per_class), PUBLISHED_TEST),
        f"2017 test set, all {len(test)}": (test, {}),
        f"2017 training set, {first} ({seen})": (test_from_training_set, PUBLISHED_TEST),
    }
    if not options.course:
        classifier = get_classifier(options, published_training_set, published_validation_set)
        table, reports, _ = measure(classifier, sets, valid, options)
        write(options, table, classifier, reports, seconds=time.perf_counter() - started)
    if options.course or options.keep_epochs:
        write_course(options, published_training_set, sets, valid)


def get_classifier(options: argparse.Namespace, train: ISBIDataset, valid: ISBIDataset) -> TransferClassifier:
    if options.model is not None:
        return TransferClassifier.load(options.model)
    classifier = make_classifier(options, epochs=options.epochs, steps_per_epoch=options.steps_per_epoch)
    logger.info("training on %r, watching %r", train, valid)
    keep = KeepEpochs(options.out / "epochs", options.keep_epochs)
    classifier.fit(train, validation_data=valid, callbacks=[keep] if options.keep_epochs else [], resume=True)
    classifier.save(options.out / "model.keras")
    return classifier


def make_classifier(options: argparse.Namespace, **length: int) -> TransferClassifier:
    return TransferClassifier.from_recipe(
        "paper",
        weights=None if options.weights == "none" else options.weights,
        input_size=(options.input_size, options.input_size),
        random_state=options.seed,
        **length,
    )


class KeepEpochs(keras.callbacks.Callback):
    """Keeps what the layers that learn have learned after some epochs, and the figures of each."""

    def __init__(self, folder: Path, epochs: Sequence[int]) -> None:
        super().__init__()
        self.folder, self.epochs = folder, set(epochs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the weights of an epoch, counted from 1 in the name of the file."""
        if epoch + 1 not in self.epochs:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / "unfinished.npz"
        weights = {
            f"{layer.name}/{number}": array
            for layer in self.model.layers
            for number, array in enumerate(layer.get_weights())
        }
        np.savez(unfinished, training=json.dumps(logs), **weights)
        unfinished.rename(self.folder / f"epoch_{epoch + 1:03}.npz")


def measure(
    classifier: TransferClassifier,
    sets: dict[str, tuple[ISBIDataset, dict[str, str]]],
    valid: ISBIDataset,
    options: argparse.Namespace,
) -> tuple[list[Row], dict[str, MetricsReport], dict[str, dict[str, Any]]]:
    """Score every set, and compare each figure with the published one."""
    reports = {name: MetricsReport.from_estimator(classifier, images) for name, (images, _) in sets.items()}
    # How the network was made is said elsewhere.
    metrics = {name: numbers_of(report) for name, report in reports.items()}
    published = {name: figures for name, (_, figures) in sets.items()}
    name = f"validation, random {options.per_class} + {options.per_class}, {options.draws} draws"
    of_all = next(
        report for report, (images, _) in zip(reports.values(), sets.values(), strict=True) if images is valid
    )
    metrics[name], published[name] = {"accuracy": random_draws(valid, of_all, options)}, PUBLISHED_VALIDATION
    return [row for name in metrics for row in compare(name, metrics[name], published[name])], reports, metrics


def numbers_of(report: MetricsReport) -> dict[str, Any]:
    return {name: value for name, value in report.to_dict().items() if isinstance(value, dict) and "low" in value}


def write_course(
    options: argparse.Namespace,
    train: ISBIDataset,
    sets: dict[str, tuple[ISBIDataset, dict[str, str]]],
    valid: ISBIDataset,
) -> None:
    """Measure the table after every epoch that was kept."""
    kept = sorted((options.out / "epochs").glob("epoch_*.npz"))
    # One step makes the network; all that it learns is replaced.
    network = make_classifier(options, epochs=1, steps_per_epoch=1).fit(train)
    course = []
    for path in kept:
        with np.load(path, allow_pickle=False) as weights:
            for layer in network.model_.layers:
                names = [f"{layer.name}/{number}" for number in range(len(layer.get_weights()))]
                if names and names[0] in weights:
                    layer.set_weights([weights[name] for name in names])
            training = json.loads(str(weights["training"]))
        # A copy, since a classifier that has scored keeps its network in the precision in which it scores.
        rows, _, metrics = measure(copy.copy(network), sets, valid, options)
        epoch = int(path.stem.removeprefix("epoch_"))
        course.append({"epoch": epoch, "training": training, "rows": [asdict(row) for row in rows], "metrics": metrics})
        logger.info("measured after epoch %d", course[-1]["epoch"])
        (options.out / "course.json").write_text(json.dumps(course, indent=2), encoding="utf-8")


def warn_of_contamination(test: ISBIDataset, train: ISBIDataset, valid: ISBIDataset) -> str:
    """Say how much of the second reading's test set the published work had seen already."""
    in_train, in_valid = (len(test.overlap(seen, by="id")) for seen in (train, valid))
    seen = f"{in_train + in_valid} of {len(test)} seen"
    logger.warning(
        "the first images of the 2017 training set are no test: %d of %d were trained on, and %d more belong to the "
        "validation pool; figures from them say nothing about new images",
        in_train,
        len(test),
        in_valid,
    )
    return seen


def compare(name: str, figures: dict[str, Any], published: dict[str, str]) -> list[Row]:
    names = [*published, *(figure for figure in ("auc", "average_precision") if figure in figures)]
    rows = []
    for figure in names:
        ours = figures[figure]
        rows.append(
            Row(
                name,
                LABELS[figure],
                published.get(figure, "not given"),
                show(figure, ours["value"], ours["low"], ours["high"]),
                ours["n"],
                judge(published.get(figure), ours),
            )
        )
    return rows


def judge(published: str | None, ours: dict[str, float]) -> str:
    if published is None:
        return "nothing to compare"
    if ours["low"] is None:
        return "undefined here"
    value = float(published.rstrip(" %")) / 100
    if value > ours["high"]:
        return "published is above our interval"
    return "published is below our interval" if value < ours["low"] else "published is within our interval"


def random_draws(valid: ISBIDataset, report: MetricsReport, options: argparse.Namespace) -> dict[str, float]:
    """Score random validation subsets, to see what the order of the published one did."""
    correct = dict(zip(report.image_ids, (report.y_score > report.threshold) == report.y_true, strict=True))
    draws = [
        valid.sample(per_class=options.per_class, random_state=options.seed + draw) for draw in range(options.draws)
    ]
    accuracies = [np.mean([correct[image_id] for image_id in drawn.image_ids]) for drawn in draws]
    low, high = np.percentile(accuracies, [2.5, 97.5])
    return {"value": float(np.mean(accuracies)), "low": float(low), "high": float(high), "n": 2 * options.per_class}


def show(figure: str, value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "undefined"
    if figure in ("auc", "average_precision"):  # no proportions: the field gives them as decimals
        return f"{value:.3f} ({low:.3f} to {high:.3f})"
    return f"{value:.1%} ({low:.1%} to {high:.1%})".replace("%", " %")


def write(
    options: argparse.Namespace,
    rows: list[Row],
    classifier: TransferClassifier,
    reports: dict[str, MetricsReport],
    seconds: float,
) -> None:
    folder = options.out
    folder.mkdir(parents=True, exist_ok=True)
    claims = MetricsReport.from_confusion(**PUBLISHED_MATRIX).check_claims(PUBLISHED_TEST)
    provenance = classifier.provenance_
    settings = provenance["parameters"]
    training = {name: values[-1] for name, values in classifier.history_.items() if name in PUBLISHED_TRAINING}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    lines = [
        "# The published figures and ours",
        "",
        (
            f"Trained for {provenance['epochs_run']} epoch(s) of {settings['steps_per_epoch']} steps of "
            f"{settings['batch_size']} images (published: 35 of 692). Recipe: {provenance['recipe']}. "
            f"Seed: {provenance['seed']}. Weights: {describe_weights(provenance['weights'])}. "
            f"{'Training and scoring' if options.model is None else 'Scoring'} took {seconds / 60:.0f} minutes; "
            f"peak memory {peak:.1f} GiB. Intervals are 95 %; that of the random draws holds 95 % of the draws."
        ),
        "",
        "| images | figure | published | ours (95 % interval) | n | verdict |",
        "| --- | --- | --- | --- | --- | --- |",
        *(f"| {row.images} | {row.figure} | {row.published} | {row.ours} | {row.n} | {row.verdict} |" for row in rows),
        "",
        "## End of training",
        "",
        "| figure | published | ours |",
        "| --- | --- | --- |",
        *(f"| {name} | {PUBLISHED_TRAINING[name]} | {value:.4f} |" for name, value in training.items()),
        "",
        "## Can the published test figures come from one confusion matrix?",
        "",
        claims.to_markdown(),
        "",
    ]
    (folder / "reproduction.md").write_text("\n".join(lines), encoding="utf-8")
    document = {
        "rows": [asdict(row) for row in rows],
        "training": training,
        "provenance": provenance,
        "peak_memory_gib": peak,
        "reports": {name: report.to_dict() for name, report in reports.items()},
    }
    (folder / "reproduction.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    for name, report in reports.items():
        report.save_figures(folder / "figures" / name.split("(")[0].strip().replace(",", "").replace(" ", "_"))
    print("\n".join(lines))


def describe_weights(weights: str | dict[str, str | bool]) -> str:
    if isinstance(weights, str):
        return weights
    return f"{weights['path']}, md5 {weights['md5']}, {'official' if weights['official'] else 'not the official file'}"


if __name__ == "__main__":
    main()
