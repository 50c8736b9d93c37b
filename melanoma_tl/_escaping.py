"""Any text in any format: ids, names, labels and notes are shown as they are, and are never code.

There is one function for each format, which everything that writes this format uses. All
begin with `visible`, take one time step a letter, and leave plain words as they are.

References
----------
.. [1] N. Boucher and R. Anderson, "Trojan source: invisible vulnerabilities", USENIX
   Security 2023: what marks of the direction of writing do to the text around them.
.. [2] CommonMark 0.31, section 2.4, and GitHub Flavored Markdown 0.29, sections 4.10, 6.5 and 6.9:
   a backslash before a sign of punctuation makes it a sign.
.. [3] OWASP, "CSV injection": spreadsheets run a cell that begins with one of four signs.
"""

import html
import re

_NO_LETTERS = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters, among them NUL, tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks of the direction of writing
    "\u2028\u2029\ufeff"  # separators of lines and paragraphs, byte order mark
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"  # halves of letters and what never is a letter, which no file can hold
    "]"
)
_MARKDOWN = re.compile(
    r"[\\`*\[\]<>|~$]"  # signs that mean something anywhere
    r"|(?<![^\W_])_|_(?![^\W_])"  # at the edge of a word, not inside ISIC_0000000
    r"|&(?=[#\w])"  # entities
    r"|^(?:[#=]|[+-](?=[\s-]|$)|\d{1,9}(?=[.)](?:\s|$)))"  # what begins a heading, a list or a rule
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_FORMULA = ("=", "+", "-", "@")

SHORT = 24
"""Letters of a name in a figure, where it stands beside something else: a longer one would leave that no room."""

MOST_IN_LABEL = 40
"""Letters of a label beside an axis: a longer one is shortened, or it would leave the axes no room."""

MOST_IN_COLUMN = 200
"""Letters of a cell in a table of text: a longer one is shortened, or it would push all columns out of sight."""


def visible(text: str) -> str:
    r"""Show the characters that are no letters.

    Parameters
    ----------
    text : str
        Anything.

    Returns
    -------
    str
        One line that UTF-8 can hold; control characters, line breaks, marks of the direction of writing [1]_ and
        unpaired surrogates are written as in Python.

    Examples
    --------
    >>> visible("lesion\n\u202e7")
    'lesion\\n\\u202e7'
    """
    return _NO_LETTERS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def shorten(text: str, most: int) -> str:
    """Leave out the middle of a long text: ids often differ at their ends.

    Parameters
    ----------
    text : str
        Anything.
    most : int
        Letters to keep, at least 3.

    Returns
    -------
    str
        The text where it is not longer.

    Examples
    --------
    >>> shorten("ISIC_0000001", 9)
    'ISIC…0001'
    """
    kept = most - 1
    return text if len(text) <= most else f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"


def in_column(text: str) -> str:
    """Write a text into a column of plain text.

    Parameters
    ----------
    text : str
        Anything.

    Returns
    -------
    str
        One line of at most 200 letters.
    """
    return visible(shorten(text, MOST_IN_COLUMN))


def in_html(text: str) -> str:
    """Write a text into HTML, as content or as an attribute.

    Parameters
    ----------
    text : str
        Anything.

    Returns
    -------
    str
        Escaped.

    Examples
    --------
    >>> in_html("<b> & 'c'")
    '&lt;b&gt; &amp; &#x27;c&#x27;'
    """
    return html.escape(visible(text))


def in_markdown(text: str) -> str:
    r"""Write a text into one line of Markdown, or into a cell of its tables [2]_.

    Parameters
    ----------
    text : str
        Anything.

    Returns
    -------
    str
        With backslashes where signs would be read as markup.

    Examples
    --------
    >>> print(in_markdown("ISIC_0000000: 1.5 *bold* | # 2"))
    ISIC_0000000: 1.5 \*bold\* \| # 2
    """
    return _MARKDOWN.sub(_behind_backslash, visible(text).strip())


def _behind_backslash(found: re.Match[str]) -> str:
    # "1." begins a list: there it is the point that is escaped, as a digit cannot be.
    return f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}"


def fenced(text: str) -> str:
    """Write lines as a block of code in Markdown, whatever they hold.

    Parameters
    ----------
    text : str
        Lines.

    Returns
    -------
    str
        Between fences that are longer than any in the text.
    """
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{lines_visible(text)}\n{fence}"


def lines_visible(text: str) -> str:
    """Show the characters that are no letters in several lines.

    Parameters
    ----------
    text : str
        Lines.

    Returns
    -------
    str
        As many lines, each as by `visible`.
    """
    return "\n".join(map(visible, text.split("\n")))


def in_csv(text: str) -> str:
    """Write a text into a cell of a table that spreadsheets open.

    Parameters
    ----------
    text : str
        Anything; quotes, commas and line breaks are left to the writer of the file.

    Returns
    -------
    str
        With an apostrophe before what a spreadsheet would run as a formula [3]_; a plain number is none.

    Examples
    --------
    >>> in_csv("=1+2"), in_csv("-7"), in_csv("ISIC_0000000")
    ("'=1+2", '-7', 'ISIC_0000000')
    """
    shown = "\n".join(map(visible, text.replace("\r\n", "\n").split("\n")))
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) and not _NUMBER.fullmatch(shown) else shown


def in_figure(text: str, most: int = 60) -> str:
    r"""Write a text into a figure of matplotlib, which takes what stands between dollars for a formula.

    Parameters
    ----------
    text : str
        Anything.
    most : int, default=60
        Letters that have room.

    Returns
    -------
    str
        One line. An underscore at its start, which would keep it out of a legend, has a space before it.

    Examples
    --------
    >>> print(in_figure(r"cost $\foo{$ x"))
    cost \$\foo{\$ x
    """
    shown = visible(shorten(text, most)).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
