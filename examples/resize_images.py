"""Resize the images of a challenge, as the published work did before training.

    python examples/resize_images.py --data DIR --year 2016 --split train --out small

Every image is resized with an antialiasing filter and saved under its own id;
labels.csv, written beside them, keeps the labels. Images that are missing or
cannot be read are listed and left out.
"""

import argparse
import logging
from pathlib import Path

from melanoma_tl import ISBIDataset


def main(arguments: list[str] | None = None) -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the challenge's official files")
    parser.add_argument("--year", type=int, required=True, help="2016 or 2017")
    parser.add_argument("--split", required=True, help="train, validation or test")
    parser.add_argument("--out", type=Path, required=True, help="where to write")
    parser.add_argument("--size", type=int, nargs=2, default=(224, 224), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--format", choices=("png", "jpg"), default="png")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")

    dataset = ISBIDataset.from_challenge(options.data, year=options.year, split=options.split, on_error="skip")
    resized = dataset.resize_to(options.out, size=tuple(options.size), format=options.format, on_error="skip")
    print(resized)
    for row in resized.skipped:
        print(f"skipped {row.image_id}: {row.reason}")


if __name__ == "__main__":
    main()
