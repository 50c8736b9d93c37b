"""Write the tables of the page on the architecture as the code has them; a test compares the page with them.

The packages and what each may import are those of the table in tests/project/test_architecture.py. Which modules an
image passes is traced: `sys.setprofile` sees every call of a Python function, in all threads. What is traced is the
second `fit`, with an empty cache, so that no module is on the list for having been imported only.
"""

import os
import runpy
import sys
import tempfile
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import melanoma_tl

DOCS = Path(__file__).resolve().parent
PACKAGE = Path(melanoma_tl.__file__).parent
RULES = runpy.run_path(str(DOCS.parent / "tests" / "project" / "test_architecture.py"))
GROUND = frozenset(RULES["GROUND"].split())
"""What all others may import."""

MAY_IMPORT: dict[str, set[str]] = {
    package: others - GROUND - {package} for package, others in RULES["MAY_IMPORT"].items()
}


def level(package: str) -> int:
    """Count the packages of the longest way down from a package to the ground."""
    return 0 if package in GROUND else 1 + max((level(other) for other in MAY_IMPORT[package]), default=0)


def purpose(module: str) -> str:
    """Return the first sentence of a module's docstring, for a cell of a table."""
    text = (import_module(f"melanoma_tl.{module}").__doc__ or "").split("\n\n")[0]
    return " ".join(text.split()).replace("|", "\\|")


def list_packages() -> str:
    """List all packages, and modules beside them, from the highest to the ground."""
    rows = ["| package | what it is for | may import |", "| --- | --- | --- |"]
    for package in sorted(MAY_IMPORT, key=lambda package: (-level(package), package)):
        below = ", ".join(f"`{other}`" for other in sorted(MAY_IMPORT[package]))
        rows.append(
            f"| `{package}` | {purpose(package)} | {'' if package in GROUND else below or 'the lowest row alone'} |"
        )
    return "\n".join(rows)


def list_modules(passed: dict[str, str]) -> str:
    """List the modules that a call passed, in the order in which each was first called."""
    rows = ["| module | first called | what the module is for |", "| --- | --- | --- |"]
    rows += [f"| `{module}` | `{function}` | {purpose(module)} |" for module, function in passed.items()]
    return "\n".join(rows)


def trace(call: Callable[..., Any], *arguments: Any) -> dict[str, str]:
    """Call a function; return the modules of the library that it passed, and the function first called in each."""
    passed: dict[str, str] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            passed.setdefault(module, frame.f_code.co_qualname.replace("<locals>.", ""))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        call(*arguments)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return passed


def trace_fit_and_predict_proba() -> tuple[dict[str, str], dict[str, str]]:
    """Trace both on drawn images and a backbone of one convolution, with features that are stored."""
    from melanoma_tl import Augmenter, Balancer, ISBIDataset, TransferClassifier, cache
    from melanoma_tl.datasets import write_challenge

    runpy.run_path(str(DOCS / "snippets" / "backbone.py"))
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"MELANOMA_TL_CACHE": f"{folder}/cache"}):
        write_challenge(folder, year=2016, split="train", n_benign=12, n_melanoma=6, size=48)
        train = ISBIDataset.from_challenge(folder, year=2016, split="train")
        clf = TransferClassifier(
            "one_convolution",
            weights=None,
            input_size=(32, 32),
            balancer=Balancer(),
            augmenter=Augmenter(horizontal_flip=True, rotation_range=20, views=2),
            epochs=1,
            precision="bfloat16",  # what "auto" is depends on the processor: the page must not
            verbose=0,
        )
        clf.fit(train).predict_proba(train)
        cache.clear()
        return trace(clf.fit, train), trace(clf.predict_proba, train)


def main() -> None:
    """Put the tables between their marks on the page."""
    page = DOCS / "architecture.md"
    text = page.read_text(encoding="utf-8")
    fit, predict_proba = trace_fit_and_predict_proba()
    tables = {"packages": list_packages(), "fit": list_modules(fit), "predict_proba": list_modules(predict_proba)}
    for name, table in tables.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        text = before + mark + table + "\n" + rest[rest.index("<!-- end -->") :]
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
