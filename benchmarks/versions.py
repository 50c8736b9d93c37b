"""Measure two versions of this library on the same tasks, in turns.

    python benchmarks/versions.py --before DIR --after DIR --data DIR --weights FILE --json versions.json

DIR are two source trees, such as one of ``git worktree add``. Each run has a process of its own, in the environment
that this script runs in. Tasks: random views of photographs in memory; a drawn table of as many rows as ISIC 2024 has;
steps of the published training; and scoring by four members on one frozen VGG19.
"""

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from apart import run_apart
from table import figure, publish

N_ROWS, N_PHOTOGRAPHS, BATCH, N_STEPS = 401_059, 128, 16, 8


def views(options: argparse.Namespace, **colours: float) -> list[float]:
    """Return milliseconds a view."""
    from PIL import Image

    from melanoma_tl import Augmenter, ISBIDataset

    train = ISBIDataset.from_challenge(options.data, year=2016, split="train", on_error="skip")
    paths = train.first(per_class=N_PHOTOGRAPHS // 2).paths
    images = np.stack([np.asarray(Image.open(path).convert("RGB").resize((224, 224))) for path in paths])
    augmenter = Augmenter(
        rotation_range=20, width_shift_range=0.2, height_shift_range=0.2, horizontal_flip=True, **colours
    )

    def draw() -> None:
        for start in range(0, len(images), 32):
            augmenter.augment(images[start : start + 32], start)

    draw()
    return [1000 * seconds / len(images) for seconds in timed(draw, 3)]


def table(options: argparse.Namespace, work: Callable[[Any], Any] | None) -> list[float]:
    from melanoma_tl import ISBIDataset

    columns = {"patient_column": "patient_id", "label_column": "target"}
    begun = time.perf_counter()
    dataset = ISBIDataset.from_csv(options.table, **columns, labels_only=True)
    return [time.perf_counter() - begun] if work is None else timed(lambda: work(dataset), 1)


def step(options: argparse.Namespace) -> list[float]:
    import keras

    from melanoma_tl import ISBIDataset, TransferClassifier

    ends: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 -- as Keras calls it
            """Note the end of a step."""
            ends.append(time.perf_counter())

    train = ISBIDataset.from_challenge(options.data, year=2016, split="train", on_error="skip").first(per_class=40)
    settings = {"epochs": 1, "steps_per_epoch": N_STEPS + 2, "precision": "float32", "random_state": 0, "verbose": 0}
    TransferClassifier.from_recipe("paper", weights=options.weights, **settings).fit(train, callbacks=[Clock()])
    return np.diff(ends[1:]).tolist()


def ensemble(options: argparse.Namespace) -> list[float]:
    from melanoma_tl import Ensemble, ISBIDataset, Probe, TransferClassifier

    train = ISBIDataset.from_challenge(options.data, year=2016, split="train", on_error="skip").first(per_class=8)
    settings = {"weights": options.weights, "random_state": 0, "verbose": 0}
    members = [TransferClassifier("vgg19", stages=Probe(C=C), **settings) for C in (1e-1, 1e-2, 1e-3, 1e-4)]
    whole = Ensemble(members, random_state=0, verbose=0).fit(train)
    whole.predict_proba(train)
    return timed(lambda: whole.predict_proba(train), 3)


def timed(work: Callable[[], Any], n_runs: int) -> list[float]:
    seconds = []
    for _ in range(n_runs):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return seconds


COLOURS = {"saturation_range": 0.3, "contrast_range": 0.2, "brightness_range": 0.1}
TASKS: dict[str, tuple[str, Callable[[argparse.Namespace], list[float]]]] = {
    "a random view, published augmentation": ("ms", views),
    "a random view, and colours": ("ms", lambda options: views(options, **COLOURS)),
    f"read a table of {N_ROWS:,} images": ("s", lambda options: table(options, None)),
    "split it by patient": ("s", lambda options: table(options, lambda it: it.split(0.2, groups="patient"))),
    "5 folds of it by patient": ("s", lambda options: table(options, lambda it: list(it.folds(5, groups="patient")))),
    f"a step of the published training, {BATCH} images": ("s", step),
    f"score {BATCH} images by 4 members on one frozen VGG19": ("s", ensemble),
}


def in_new_process(tree: Path, task: str, options: argparse.Namespace) -> list[float]:
    arguments = [__file__, *sys.argv[1:], "--table", options.table, "--task", task]
    return run_apart(arguments, PYTHONPATH=str(tree.resolve()))


def markdown(results: dict[str, Any]) -> str:
    machine = results["machine"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores. Median (minimum to maximum; number of measurements).",
        "",
        "| | before | after | times as fast |",
        "| --- | ---: | ---: | ---: |",
    ]
    for task, found in results["tasks"].items():
        medians = [statistics.median(found[which]) for which in ("before", "after")]
        cells = [
            f"{figure(median)} {found['unit']} ({figure(min(runs))} to {figure(max(runs))}; {len(runs)})"
            for median, runs in zip(medians, (found["before"], found["after"]), strict=True)
        ]
        lines.append(f"| {task} | {cells[0]} | {cells[1]} | {medians[0] / medians[1]:.3g} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="source tree of one version")
    parser.add_argument("--after", type=Path, required=True, help="source tree of the other")
    parser.add_argument("--data", required=True, help="folder of the challenge's images")
    parser.add_argument("--weights", required=True, help="file of VGG19's weights without its top")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each version (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=Path("out/versions.json"), help="(default: %(default)s)")
    parser.add_argument("--table", help=argparse.SUPPRESS)
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        logging.disable()
        print(json.dumps(TASKS[options.task][1](options)))
        return
    from large_tables import draw_table
    from machine import describe_machine, describe_versions

    tasks: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        options.table = str(Path(folder) / "table.csv")
        draw_table(Path(options.table), N_ROWS)
        for task, (unit, _) in TASKS.items():
            tasks[task] = {"unit": unit, "before": [], "after": []}
            for _ in range(options.rounds):
                for which in ("before", "after"):
                    tasks[task][which] += in_new_process(getattr(options, which), task, options)
    results = {"machine": describe_machine(), "versions": describe_versions(), "tasks": tasks}
    publish(results, markdown(results), options.json)


if __name__ == "__main__":
    main()
