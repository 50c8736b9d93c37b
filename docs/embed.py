"""Write the code of `docs/snippets` and the tables of `benchmarks/results` into the pages, to be read as files too.

    python docs/embed.py

Above what is shown stands a comment that names where it comes from, such as
``<!-- docs/snippets/recipes.py:fast -->``; it holds for the block of code below it, or else for all lines up to
``<!-- end -->``. A test compares.
"""

import re
import textwrap
from pathlib import Path

DOCS = Path(__file__).resolve().parent

_CODE = re.compile(
    r"^(?P<indent> *)<!-- (?P<path>[\w/.-]+\.\w+)(?::(?P<section>\w+))? -->\n"
    r"(?P<open> *```\w+)\n(?P<shown>.*?)(?P<close>^ *```\n)",
    re.M | re.S,
)
_TABLE = re.compile(
    r"^(?P<indent> *)<!-- (?P<path>[\w/.-]+\.md) -->\n(?P<shown>.*?)(?P<close>^ *<!-- end -->\n)", re.M | re.S
)


def embed(page: str) -> str:
    """Return a page with what it shows as it is now.

    Parameters
    ----------
    page : str
        Markdown.

    Returns
    -------
    str
        Markdown.
    """
    return _CODE.sub(_write_code, _TABLE.sub(_write_table, page))


def _write_code(match: re.Match[str]) -> str:
    shown = textwrap.indent(_read(match["path"], match["section"]), match["indent"])
    return f"{_comment(match)}{match['open']}\n{shown}{match['close']}"


def _write_table(match: re.Match[str]) -> str:
    shown = textwrap.indent(_read(match["path"], None), match["indent"])
    return f"{_comment(match)}\n{shown}\n{match['close']}"


def _comment(match: re.Match[str]) -> str:
    return match[0].partition("\n")[0] + "\n"


def _read(path: str, section: str | None) -> str:
    """Read a file, or the part between two of its marks, without marks inside it and without its indentation."""
    text = (DOCS.parent / path).read_text(encoding="utf-8")
    if section is None:
        return text
    (part,) = re.findall(rf"--8<-- \[start:{section}\]\n(.*?)^[^\n]*--8<-- \[end:{section}\]", text, re.M | re.S)
    return textwrap.dedent("".join(line for line in part.splitlines(keepends=True) if "--8<--" not in line))


if __name__ == "__main__":
    for file in sorted(DOCS.rglob("*.md")):
        file.write_text(embed(file.read_text(encoding="utf-8")), encoding="utf-8")
