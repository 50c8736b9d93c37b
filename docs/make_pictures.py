"""Draw the pictures of the documentation anew: each is what its page's example draws, or a script beside the page.

Those of the gallery are of real images: they need the folder of the ISBI images in MELANOMA_TL_DATA, and
ImageNet weights.
"""

import os
import runpy
import sys
import tempfile
from pathlib import Path

import pandas as pd
from PIL import Image

from melanoma_tl import ISBIDataset, TransferClassifier

DOCS = Path(__file__).resolve().parent
EXAMPLES = ("augmenter", "balancer", "classifier", "dataset", "judging", "leaks", "report", "selection", "training")
SCRIPTS = {name: DOCS / "snippets" / f"{name}.py" for name in (*EXAMPLES, "gallery")} | {
    "architecture": DOCS / "architecture_picture.py"
}


def main() -> None:
    """Run the scripts named on the command line, or all, each in a folder of its own, and keep their pictures."""
    for name in sys.argv[1:] or SCRIPTS:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            if name == "gallery":
                score_real_images(Path("scores.csv"))
            runpy.run_path(str(SCRIPTS[name]))
            if name == "gallery":
                for picture in sorted(Path().glob("*.png")):
                    keep(picture, f"gallery_{picture.stem}")
            else:
                keep(Path(f"{name}.png"), name)
            os.chdir(DOCS)


def score_real_images(table: Path) -> None:
    """Fit the recipe `fast` on training images of 2016, calibrate it on others of them, and score the test images."""
    folder = os.environ["MELANOMA_TL_DATA"]
    train = ISBIDataset.from_challenge(folder, year=2016, split="train", on_error="skip")
    test = ISBIDataset.from_challenge(folder, year=2016, split="test")
    fitted, held_out = train.split(0.2, random_state=0)
    clf = TransferClassifier.from_recipe("fast", random_state=0).fit(fitted)
    clf.calibrate(held_out)
    print(clf.tune_threshold(held_out, sensitivity=0.9))
    pd.DataFrame({"label": test.labels, "score": clf.predict_proba(test)[:, 1]}).to_csv(table, index=False)


def keep(picture: Path, name: str) -> None:
    """Save a picture in 256 colours, which are enough to the eye, at a third of the size."""
    image = Image.open(picture).convert("RGB").quantize(256)
    image.save(DOCS / "images" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
