"""Tables as aligned text, as Markdown and as HTML, and what stands in and beside them."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import pandas as pd

from melanoma_tl._attributes import ExplainsAttributes
from melanoma_tl._escaping import in_column, in_html, in_markdown, visible

Row = Sequence[str]

# Bounded, so that a cell of many digits takes no longer than one of many letters.
_DIGITS = r"[+-]?\d[\d.,]{0,20}"
_NUMBER = re.compile(
    rf"-|undefined|(?:[A-Z]{{2}} |< )?{_DIGITS}(?: ?%)?(?: {_DIGITS})?(?:(?: to |-){_DIGITS})?(?: \([^()]{{1,80}}\))?"
)
_WHOLE = re.compile(r"\b[\d.]{1,12}-\d[^\s&]{0,12}|to [+-]?\d[^\s&]{0,12}|&lt; [^\s&]{1,12}")

MANY = 6
"""Columns from which on a table is too wide for a phone."""

_ROLES = {
    "<table": ' class="many" role="table"',
    "<thead": ' role="rowgroup"',
    "<tbody": ' role="rowgroup"',
    "<tr": ' role="row"',
    '<th scope="col"': ' role="columnheader"',
    '<th scope="row"': ' role="rowheader"',
    "<td": ' role="cell"',
}
_OPENING = re.compile("|".join(_ROLES))  # a "<" of a cell is written as an entity

_LONG_WORD = re.compile(r"[^\s&-]{16}(?=[^\s&-])")  # from there on at every 16th letter; entities are shorter


def text_table(header: Row, rows: Sequence[Row], *, indent: str = "  ") -> str:
    """Align the columns of a table with spaces; the first column reads from the left, the others end flush right.

    Parameters
    ----------
    header : sequence of str
        One title a column.
    rows : sequence of sequence of str
        The cells; of one longer than 200 letters, the middle is left out.
    indent : str, default="  "
        Set before every line.

    Returns
    -------
    str
        Lines without a final newline.

    Examples
    --------
    >>> print(text_table(["metric", "value"], [["AUC", "0.9"]], indent=""))
    metric  value
    AUC       0.9
    """
    lines = [[in_column(cell) for cell in line] for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        indent + "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
    )


def markdown_table(header: Row, rows: Sequence[Row]) -> str:
    """Write a table as GitHub-flavoured Markdown.

    Parameters
    ----------
    header : sequence of str
        One title a column.
    rows : sequence of sequence of str
        The cells; they are escaped.

    Returns
    -------
    str
        Lines without a final newline.

    Examples
    --------
    >>> print(markdown_table(["metric", "value"], [["AUC", "0.9"]]))
    | metric | value |
    | --- | --- |
    | AUC | 0.9 |
    """
    # A dash alone stands for nothing; no list begins in a cell.
    lines = [["-" if cell == "-" else in_markdown(cell) for cell in line] for line in (header, *rows)]
    lines.insert(1, ["---"] * len(header))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown_list(lines: Sequence[str]) -> str:
    r"""Write lines as Markdown, with a bullet each.

    Parameters
    ----------
    lines : sequence of str
        They are escaped.

    Returns
    -------
    str
        Without a final newline.

    Examples
    --------
    >>> print(markdown_list(["# 1"]))
    - \# 1
    """
    return "\n".join(f"- {in_markdown(line)}" for line in lines)


def html_table(header: Row, rows: Sequence[Row], *, caption: str = "") -> str:
    """Write a table as HTML; the first cell of a row is its heading, and columns of numbers end flush right.

    A table of six columns or more is of the class ``many``, and its cells name their columns, so that a page can set
    the cells of a row below each other where there is no room. The roles keep it a table for screen readers even so.

    Parameters
    ----------
    header : sequence of str
        One title a column.
    rows : sequence of sequence of str
        The cells; they are escaped.
    caption : str, default=""
        What it shows, set above; escaped too.

    Returns
    -------
    str
        A ``table`` element.

    Examples
    --------
    >>> html_table(["metric", "value"], [["AUC", "<0.5"]])[:49]
    '<table><thead><tr><th scope="col">metric</th><th '
    """
    styles = ["", *map(_alignment, list(zip(*rows, strict=True))[1:] or [()] * (len(header) - 1))]
    titles = "".join(f'<th scope="col"{style}>{_text(title)}</th>' for title, style in zip(header, styles, strict=True))
    many = len(header) >= MANY
    named = [f' data-column="{in_html(title)}"' if many else "" for title in header]
    lines = []
    for first, *others in rows:
        cells = "".join(
            f"<td{style}{name}>{_cell(cell)}</td>"
            for cell, style, name in zip(others, styles[1:], named[1:], strict=True)
        )
        lines.append(f'<tr><th scope="row">{_text(first)}</th>{cells}</tr>')
    titled = f"<caption>{in_html(caption)}</caption>" if caption else ""
    table = f"<table>{titled}<thead><tr>{titles}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return _OPENING.sub(lambda tag: tag[0] + _ROLES[tag[0]], table) if many else table


def _alignment(column: Row) -> str:
    """Return the attribute of a column: points stand below each other where there are as many decimals."""
    return ' style="text-align: right"' if column and all(map(_NUMBER.fullmatch, column)) else ""


def _cell(text: str) -> str:
    """Escape a cell, and keep each interval and each p-value in one line."""
    return _WHOLE.sub(r'<span style="white-space: nowrap">\g<0></span>', _text(text))


def _text(text: str) -> str:
    """Escape a text, and let words be broken that no column has room for."""
    return _LONG_WORD.sub(r"\g<0><wbr>", in_html(text))


def html_frame(frame: pd.DataFrame) -> str:
    """Write a table of pandas as HTML.

    Parameters
    ----------
    frame : pandas.DataFrame
        Without its index; what is missing is a dash.

    Returns
    -------
    str
        A ``table`` element.

    Examples
    --------
    >>> html_frame(pd.DataFrame({"p": [0.5, None]}))[-47:]
    '<tr><th scope="row">-</th></tr></tbody></table>'
    """
    rows = [["-" if pd.isna(value) else _plainly(value) for value in line] for line in frame.itertuples(index=False)]
    return html_table(list(map(str, frame.columns)), rows)


def _plainly(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def html_list(lines: Sequence[str]) -> str:
    """Write lines as HTML, with a bullet each.

    Parameters
    ----------
    lines : sequence of str
        They are escaped.

    Returns
    -------
    str
        A ``ul`` element.

    Examples
    --------
    >>> html_list(["n < 10"])
    '<ul><li>n &lt; 10</li></ul>'
    """
    return f"<ul>{''.join(f'<li>{in_html(line)}</li>' for line in lines)}</ul>"


def format_p(p_value: float) -> str:
    """Write a p-value.

    Parameters
    ----------
    p_value : float
        0 to 1.

    Returns
    -------
    str
        Three digits; below 0.001 only that.

    Examples
    --------
    >>> format_p(0.0391), format_p(1e-9)
    ('0.039', '< 0.001')
    """
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def equals_p(p_value: float) -> str:
    """Write a p-value behind a "p" in a sentence.

    Parameters
    ----------
    p_value : float
        0 to 1.

    Returns
    -------
    str
        With the sign between the two.

    Examples
    --------
    >>> equals_p(0.0391), equals_p(1e-9)
    ('= 0.039', '< 0.001')
    """
    text = format_p(p_value)
    return text if text.startswith("<") else f"= {text}"


class TitledTable(ExplainsAttributes, ABC):
    """A result that prints itself as a title, a few facts and a table, whatever it is written in."""

    _elsewhere: ClassVar[Mapping[str, str]] = {"plot": "print() or to_markdown(): it is a table"}

    @abstractmethod
    def _title(self) -> str:
        """Return what it is, in one line."""

    @abstractmethod
    def _facts(self) -> list[str]:
        """Return what the table rests on, a sentence each."""

    @abstractmethod
    def _table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows."""

    def __str__(self) -> str:
        lines = [visible(self._title()), *(f"  {visible(fact)}" for fact in self._facts())]
        return "\n\n".join(["\n".join(lines), text_table(*self._table())])

    def _repr_html_(self) -> str:
        return f"<p>{in_html(self._title())}</p>{html_list(self._facts())}{html_table(*self._table())}"

    def to_markdown(self) -> str:
        """Write it as Markdown.

        Returns
        -------
        str
            A heading, the facts as a list, and the table.
        """
        table = markdown_table(*self._table())
        return f"## {in_markdown(self._title())}\n\n{markdown_list(self._facts())}\n\n{table}\n"
