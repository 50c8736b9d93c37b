"""Draw the pictures of the documentation anew: each is what its page's example draws."""

import os
import runpy
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parent
PICTURES = ("augmenter", "balancer", "classifier", "dataset", "judging", "leaks", "report", "selection", "training")


def main() -> None:
    """Run the examples named on the command line, or all, each in a folder of its own, and keep their pictures."""
    for name in sys.argv[1:] or PICTURES:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            runpy.run_path(str(DOCS / "snippets" / f"{name}.py"))
            # 256 colours are enough to the eye, at a third of the size.
            picture = Image.open(f"{name}.png").convert("RGB").quantize(256)
            picture.save(DOCS / "images" / f"{name}.png", optimize=True)
            os.chdir(DOCS)


if __name__ == "__main__":
    main()
