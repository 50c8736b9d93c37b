"""Tables as aligned text, as Markdown and as HTML, and what stands in and beside them."""

import html
import re
from collections.abc import Sequence

Row = Sequence[str]


def text_table(header: Row, rows: Sequence[Row], *, indent: str = "  ") -> str:
    """Align the columns of a table with spaces; the first column reads from the left, the others end flush right.

    Parameters
    ----------
    header : sequence of str
        One title a column.
    rows : sequence of sequence of str
        The cells.
    indent : str, default="  "
        Set before every line.

    Returns
    -------
    str
        Lines without a final newline.

    Examples
    --------
    >>> print(text_table(["figure", "value"], [["AUC", "0.9"]], indent=""))
    figure  value
    AUC       0.9
    """
    lines = [header, *rows]
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
        The cells; vertical bars in them are escaped.

    Returns
    -------
    str
        Lines without a final newline.

    Examples
    --------
    >>> print(markdown_table(["figure", "value"], [["AUC", "0.9"]]))
    | figure | value |
    | --- | --- |
    | AUC | 0.9 |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def html_table(header: Row, rows: Sequence[Row]) -> str:
    """Write a table as HTML; the first cell of a row is its heading.

    Parameters
    ----------
    header : sequence of str
        One title a column.
    rows : sequence of sequence of str
        The cells; they are escaped.

    Returns
    -------
    str
        A ``table`` element.

    Examples
    --------
    >>> html_table(["figure", "value"], [["AUC", "<0.5"]])[:49]
    '<table><thead><tr><th scope="col">figure</th><th '
    """
    titles = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in header)
    lines = []
    for first, *others in rows:
        cells = "".join(f"<td>{_cell(cell)}</td>" for cell in others)
        lines.append(f'<tr><th scope="row">{html.escape(first)}</th>{cells}</tr>')
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _cell(text: str) -> str:
    """Escape a cell, and keep each interval and each p-value in one line."""
    whole = r"\S*\d-\d\S*|to [+-]?\d\S*|&lt; \S+"
    return re.sub(whole, r'<span style="white-space: nowrap">\g<0></span>', html.escape(text))


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
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"


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
