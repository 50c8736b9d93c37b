"""Check the challenges in a folder: bad files, duplicates, what they share with each other, biased order.

    python examples/check_data.py --data data/isbi --out out

Reads every challenge whose labels lie in the folder, with or without its images, and writes ``data.md`` and a contact
sheet for each two sets that share near-duplicates.
"""

import argparse
import logging
from itertools import combinations
from pathlib import Path

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets import CHALLENGES, Challenge, Overlap
from melanoma_tl.errors import DatasetError

logger = logging.getLogger("check_data")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the official files, unpacked")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where to write (default: ./out)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")

    datasets = [dataset for entry in CHALLENGES if (dataset := read(options.data, entry)) is not None]
    if not datasets:
        parser.error(f"{options.data} holds no ground truth of a challenge under its official name")
    options.out.mkdir(parents=True, exist_ok=True)
    overlaps = [left.overlap(right) for left, right in combinations(datasets, 2)]
    for overlap in overlaps:
        if overlap.counts.get("near-duplicate"):
            name = f"{overlap.left} and {overlap.right}.png".replace(" ", "_")
            overlap.plot(24).savefig(options.out / name, dpi=90)
    text = "\n\n".join(["# Images", describe(datasets), "# What they share", share(overlaps)]) + "\n"
    (options.out / "data.md").write_text(text, encoding="utf-8")
    print(text)


def read(folder: Path, entry: Challenge) -> ISBIDataset | None:
    """Read a challenge with its images, or its labels alone, or nothing."""
    for labels_only in (False, True):
        try:
            return ISBIDataset.from_challenge(
                folder, year=entry.year, split=entry.split, labels_only=labels_only, on_error="skip"
            )
        except DatasetError as error:
            logger.debug("%s", error)
    return None


def describe(datasets: list[ISBIDataset]) -> str:
    rows = []
    for dataset in datasets:
        problems, bias = "no images at hand", ""
        if dataset.to_frame()["path"].any():
            found = {problem: n for problem, n in dataset.verify().counts.items() if n}
            problems = ", ".join(f"{n} {problem}" for problem, n in found.items()) or "none"
            bias = compare_first_images(dataset)
        counts = [str(n) for n in (*dataset.class_counts.values(), len(dataset.skipped))]
        rows.append([dataset.name, *counts, problems, bias])
    header = ["set", "benign", "melanoma", "left out", "problems", "the first images differ in"]
    return write_table(header, rows)


def compare_first_images(dataset: ISBIDataset) -> str:
    try:
        return ", ".join(dataset.selection_bias().differing) or "nothing"
    except DatasetError as error:  # a class of a few images cannot be compared
        logger.warning("%s", error)
        return "too few to tell"


def share(overlaps: list[Overlap]) -> str:
    kinds = ("id", "bytes", "near-duplicate", "lesion", "patient")
    rows = [
        [overlap.left, overlap.right, *(str(overlap.counts.get(kind, "-")) for kind in kinds)] for overlap in overlaps
    ]
    return write_table(["images of", "that are in", *(f"by {kind}" for kind in kinds)], rows)


def write_table(header: list[str], rows: list[list[str]]) -> str:
    """Write a table as Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows))


if __name__ == "__main__":
    main()
