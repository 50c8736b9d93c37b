"""Stop a release whose tag, version, changelog and citation do not agree: python .ci/check_release.py vX.Y.Z."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def find_mistakes(tag: str) -> list[str]:
    """Say what does not fit to the tag."""
    text = {
        name: (ROOT / name).read_text(encoding="utf-8")
        for name in ("melanoma_tl/__init__.py", "CHANGELOG.md", "CITATION.cff")
    }
    if not (match := re.fullmatch(r"v(\d+\.\d+\.\d+)", tag)):
        return [f"the tag {tag!r} is not of the form vX.Y.Z"]
    version = match[1]
    mistakes = []
    for name, pattern in (("melanoma_tl/__init__.py", r'^__version__ = "(.+)"$'), ("CITATION.cff", r"^version: (.+)$")):
        found = re.search(pattern, text[name], flags=re.M)
        if found is None or found[1] != version:
            mistakes.append(f"{name} has the version {found[1] if found else None}, the tag {version}")
    section = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$(.*?)(?=^## |\Z)", text["CHANGELOG.md"], flags=re.M | re.S
    )
    if section is None:
        mistakes.append(f'CHANGELOG.md has no heading "## [{version}] - YYYY-MM-DD"')
    elif not section[1].strip():
        mistakes.append(f"the section {version} of CHANGELOG.md is empty")
    return mistakes


if __name__ == "__main__":
    sys.exit("\n".join(find_mistakes(sys.argv[1])) or 0)
