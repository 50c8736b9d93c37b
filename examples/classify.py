"""Score images with a saved model.

    python examples/classify.py out/melanoma.keras lesion.jpg folder/of/images

Prints one line an image: its probability of melanoma, its class, its file.
Images that cannot be read are named on standard error, and the exit status is
then 1. Research use only; not a medical device.
"""

import argparse
import logging
import sys
from pathlib import Path

import numpy as np

from melanoma_tl import TransferClassifier
from melanoma_tl.datasets import find_images
from melanoma_tl.errors import MelanomaTLError


def main(arguments: list[str] | None = None) -> int:
    """Run the example.

    Returns
    -------
    int
        0, or 1 if anything could not be read.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="file that TransferClassifier.save wrote")
    parser.add_argument("images", type=Path, nargs="+", help="image files, or folders of them")
    parser.add_argument("--threshold", type=float, help="say melanoma above this probability (default: the model's)")
    options = parser.parse_args(arguments)
    if options.threshold is not None and not 0 <= options.threshold <= 1:
        parser.error(f"--threshold must lie between 0 and 1, got {options.threshold:g}")
    # What cannot be read is logged, by file and reason.
    logging.basicConfig(level=logging.WARNING, format="%(message)s")

    try:
        classifier = TransferClassifier.load(options.model).set_params(on_error="skip", verbose=0)
    except MelanomaTLError as error:
        print(error, file=sys.stderr)
        return 1
    threshold = classifier.threshold_ if options.threshold is None else options.threshold

    files = [file for path in options.images for file in (find_images(path) if path.is_dir() else [path])]
    if not files:
        print("no images in the folders given", file=sys.stderr)
        return 1
    (melanoma,) = np.flatnonzero(classifier.classes_ == classifier.pos_label_)
    scores = classifier.predict_proba(files)[:, melanoma]
    for file, score in zip(files, scores, strict=True):
        if not np.isnan(score):
            name = classifier.class_names_[melanoma if score > threshold else 1 - melanoma]
            print(f"{score:.4f}  {name:8}  {file}")
    return int(np.isnan(scores).any())


if __name__ == "__main__":
    sys.exit(main())
