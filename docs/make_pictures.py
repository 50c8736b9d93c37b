"""Draw the pictures of the documentation anew: each is what its page's example draws, or a script beside the page."""

import os
import runpy
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parent
EXAMPLES = ("augmenter", "balancer", "classifier", "dataset", "judging", "leaks", "report", "selection", "training")
SCRIPTS = {name: DOCS / "snippets" / f"{name}.py" for name in EXAMPLES} | {
    "architecture": DOCS / "architecture_picture.py"
}


def main() -> None:
    """Run the scripts named on the command line, or all, each in a folder of its own, and keep their pictures."""
    for name in sys.argv[1:] or SCRIPTS:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            runpy.run_path(str(SCRIPTS[name]))
            # 256 colours are enough to the eye, at a third of the size.
            picture = Image.open(f"{name}.png").convert("RGB").quantize(256)
            picture.save(DOCS / "images" / f"{name}.png", optimize=True)
            os.chdir(DOCS)


if __name__ == "__main__":
    main()
