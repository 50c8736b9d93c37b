"""Measure what is done with tables of up to 401,059 images, as many as ISIC 2024 has.

    python benchmarks/large_tables.py

The table is drawn: ids, patients with about 385 images each, as there, one melanoma in a thousand, age, sex, site and
lesion. Each operation has a process of its own, which reads the table first; what is timed is the operation alone, and
the memory is the most that the process ever took. No image is opened.
"""

import argparse
import json
import logging
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from apart import run_apart
from table import publish

N_CORES = 2
SIZES = (50_000, 100_000, 200_000, 401_059)
SIZE_OF_PATIENT = 385
OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "a half, by a slice": lambda dataset: dataset[: len(dataset) // 2],
    "the benign, by a mask": lambda dataset: dataset[dataset.labels == 0],
    "to_frame": lambda dataset: dataset.to_frame(),
    "sample(1000)": lambda dataset: dataset.sample(1000, random_state=0),
    "overlap of the halves by id": lambda dataset: compare_halves(dataset, "id"),
    "overlap of the halves by patient": lambda dataset: compare_halves(dataset, "patient"),
    "near-duplicates in the halves, by drawn hashes": lambda dataset: compare_drawn_hashes(len(dataset)),
    "split(0.2) by patient": lambda dataset: dataset.split(0.2, groups="patient", random_state=0, verbose=0),
    "split(0.2) by image": lambda dataset: dataset.split(0.2, groups=None, random_state=0, verbose=0),
    "5 folds by patient": lambda dataset: list(dataset.folds(5, groups="patient", random_state=0, verbose=0)),
}
READ = "from_csv"


def compare_halves(dataset: Any, by: str) -> Any:
    half = len(dataset) // 2
    return dataset[:half].overlap(dataset[half:], by=by, verbose=0)


def compare_drawn_hashes(n_images: int) -> Any:
    """Compare the halves as `overlap` does when the files have been read."""
    import numpy as np

    from melanoma_tl.datasets.near_duplicates import find_near_duplicates
    from melanoma_tl.images.fingerprints import HASH_WORDS

    hashes = np.random.default_rng(0).integers(2**64, size=(n_images, HASH_WORDS), dtype=np.uint64)
    return find_near_duplicates(*np.array_split(hashes, 2))


def draw_table(path: Path, n_images: int) -> None:
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    numbers = np.arange(15_657, 15_657 + n_images)
    patients = rng.choice(max(n_images // SIZE_OF_PATIENT, 20), n_images)
    pd.DataFrame(
        {
            "isic_id": [f"ISIC_{number:07d}" for number in numbers],
            "target": (rng.random(n_images) < 0.001).astype(int),
            "patient_id": [f"IP_{number:07d}" for number in patients],
            "age_approx": rng.integers(20, 85, n_images),
            "sex": rng.choice(["male", "female"], n_images),
            "anatom_site_general": rng.choice(["torso", "leg", "arm"], n_images),
            "lesion_id": [f"IL_{number:07d}" for number in numbers],
        }
    ).to_csv(path, index=False)


def run_one(table: str, operation: str) -> None:
    """Print seconds of an operation and the peak memory of this process in GiB."""
    from melanoma_tl import ISBIDataset

    logging.disable()
    begun = time.perf_counter()
    columns = {"patient_column": "patient_id", "label_column": "target"}
    dataset = ISBIDataset.from_csv(table, **columns, labels_only=True)
    if operation != READ:
        begun = time.perf_counter()
        OPERATIONS[operation](dataset)
    seconds = time.perf_counter() - begun
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))


def markdown(results: dict[str, Any]) -> str:
    machine, load = results["machine"], results["load_average"]
    sizes = results["sizes"]
    lines = [
        (
            f"{machine['processor']}, {machine['cores']} cores; load average {load['before']:.1f} before, "
            f"{load['after']:.1f} after. Seconds, and the memory of the whole process at {sizes[-1]:,} images."
        ),
        "",
        f"| operation | {' | '.join(f'{size:,}' for size in sizes)} | GiB |",
        f"| --- | {'---: | ' * len(sizes)}---: |",
    ]
    for operation, found in results["operations"].items():
        seconds = " | ".join(f"{one[0]:.2f}" for one in found)
        lines.append(f"| {operation} | {seconds} | {found[-1][1]:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    from machine import describe_machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("out/large_tables.json"), help="(default: %(default)s)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of images (default: %(default)s)")
    parser.add_argument("--run", nargs=2, metavar=("TABLE", "OPERATION"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:N_CORES])
    if options.run:
        run_one(*options.run)
        return
    before = os.getloadavg()
    found: dict[str, list[list[float]]] = {operation: [] for operation in (READ, *OPERATIONS)}
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            table = Path(folder) / f"{size}.csv"
            draw_table(table, size)
            for operation, measured in found.items():
                measured.append(run_apart([__file__, "--run", str(table), operation]))
    results = {
        "machine": describe_machine(),
        "load_average": {"before": before[0], "after": os.getloadavg()[0]},
        "sizes": [*options.sizes],
        "operations": found,
    }
    publish(results, markdown(results), options.json)


if __name__ == "__main__":
    main()
