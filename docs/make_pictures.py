"""Draw the pictures of the documentation anew: each is what its page's example draws."""

import os
import runpy
import shutil
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PICTURES = ("augmenter", "balancer", "classifier", "dataset", "report")


def main() -> None:
    """Run every example in a folder of its own and keep its picture."""
    for name in PICTURES:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            runpy.run_path(str(DOCS / "snippets" / f"{name}.py"))
            shutil.copy(f"{name}.png", DOCS / "images")
            os.chdir(DOCS)


if __name__ == "__main__":
    main()
