"""Draw the pictures of the documentation anew: each is what its page's example draws, or a script beside the page.

Those of the gallery, and those in REAL, are of real images: they need the folder of the ISBI images in
MELANOMA_TL_DATA, and ImageNet weights.
"""

import os
import runpy
import sys
import tempfile
from pathlib import Path

from PIL import Image
from real_pictures import draw_history, draw_judging, draw_learning_rates, score_2016

DOCS = Path(__file__).resolve().parent
EXAMPLES = ("augmenter", "balancer", "dataset", "leaks", "selection")
REAL = {"classifier": draw_history, "judging": draw_judging, "training": draw_learning_rates}
SHEETS = ("examples",)  # of many photographs: 64 colours keep it below 100 kB
SCRIPTS = {name: DOCS / "snippets" / f"{name}.py" for name in (*EXAMPLES, "gallery")} | {
    "architecture": DOCS / "architecture_picture.py"
}


def main() -> None:
    """Run the scripts named on the command line, or all, each in a folder of its own, and keep their pictures."""
    for name in sys.argv[1:] or (*SCRIPTS, *REAL):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            if name == "gallery":
                score_2016(Path("scores.csv"))
                runpy.run_path(str(SCRIPTS[name]))
                for picture in sorted(Path().glob("*.png")):
                    keep(picture, f"gallery_{picture.stem}", colours=64 if picture.stem in SHEETS else 256)
            elif name in REAL:
                REAL[name](Path(f"{name}.png"))
                keep(Path(f"{name}.png"), name)
            else:
                runpy.run_path(str(SCRIPTS[name]))
                keep(Path(f"{name}.png"), name)
            os.chdir(DOCS)


def keep(picture: Path, name: str, *, colours: int = 256) -> None:
    """Save a picture in few colours, which are enough to the eye, at a third of the size.

    By an octree: cutting at the median leaves none of them to what is small, such as a bar of colours.
    """
    image = Image.open(picture).convert("RGB").quantize(colours, method=Image.Quantize.FASTOCTREE)
    image.save(DOCS / "images" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
