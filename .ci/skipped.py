"""Name the tests that were skipped in each of some runs, from the JUnit files that pytest wrote of them.

python .ci/skipped.py FILE...        their ids, for `pytest @FILE`
python .ci/skipped.py --why FILE...  with their reasons, for people
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree


def read(path: Path) -> Iterator[tuple[str, str | None]]:
    """Return the id of each test of a run, and why it was skipped; None if it was not."""
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - pytest wrote it
        module, name = case.get("classname"), case.get("name", "")
        # A module that skips itself as a whole has no class.
        of = f"{module.replace('.', '/')}.py::{name}" if module else f"{name.replace('.', '/')}.py"
        skipped = case.find("skipped")
        is_skipped = skipped is not None and skipped.get("type") == "pytest.skip"
        yield of, skipped.get("message", "") if is_skipped else None


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--why", action="store_true")
    options = parser.parse_args()
    seen = [one for path in options.files for one in read(path)]
    ran = {test.split("::")[0] for test, why in seen if why is None} | {test for test, why in seen if why is None}
    skipped = {test: why for test, why in seen if why is not None and test not in ran}
    print(*([f"{test}: {why}" for test, why in skipped.items()] if options.why else skipped), sep="\n")


if __name__ == "__main__":
    main()
