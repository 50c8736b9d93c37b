"""A report as one self-contained page: no network, no script, readable on a phone, on paper, in the dark."""

import base64
import html
import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from melanoma_tl._escaping import lines_visible, visible
from melanoma_tl._tables import html_table
from melanoma_tl.metrics.metric import describe
from melanoma_tl.report.card import fill_card
from melanoma_tl.report.concerns import NOTHING_FOUND, list_concerns
from melanoma_tl.report.content import ReportContent
from melanoma_tl.report.text import (
    NOTICE,
    is_drawing,
    list_facts,
    list_methods,
    list_skipped,
    list_sources,
    state_test,
    write_title,
)
from melanoma_tl.report.wording import describe_known

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
"""In the language of the page: Python writes them in that of the process, which `locale.setlocale` changes."""

_WIDEST_CHART = 6.5  # inches: the letters of a wider one cannot be read on a phone
_BESIDE = 4  # columns of a table that has room beside another
_FIRST = 4  # plots that stand beside the key numbers: a report draws the most important ones first


class Picture(NamedTuple):
    """A figure as a page holds it.

    Attributes
    ----------
    title : str
        What it is; the drawing itself has a title too, and so it is not written above it.
    alt : str
        What it shows, for those who cannot see it.
    source : str
        The image itself, as a ``data:`` address.
    least_width : int or None
        Pixels below which nobody could read it: it then is scrolled sideways. None where it may shrink with the screen.
    """

    title: str
    alt: str
    source: str
    least_width: int | None = None


class Section(NamedTuple):
    """Something that was attached.

    Attributes
    ----------
    title : str
        What it is.
    html : str
        Itself.
    picture : Picture or None
        Its drawing.
    """

    title: str
    html: str
    picture: Picture | None


def write_page(report: ReportContent, card: Mapping[str, str]) -> str:
    """Write a report as HTML.

    Parameters
    ----------
    report : Report
        The report.
    card : mapping of str to str
        What the model card says beside what the library knows.

    Returns
    -------
    str
        The page, with all images inside.

    Raises
    ------
    UnknownNameError
        If the card has a key that is not one of `melanoma_tl.report.CARD`.
    """
    import jinja2

    first_concern, *further_concerns = list_concerns(report)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, finalize=_show_text
    )
    template = environment.from_string(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    entries = fill_card(report, card)  # a typing error in the card shall not cost the time of the figures
    pictures = list(_pictures(report))
    # The matrix of several diagnoses is wide, and yet belongs to what is looked at first.
    first = [one for one in pictures if one.least_width is None or one.title == "Confusion matrix"][:_FIRST]
    return template.render(
        title=write_title(report),
        notice=NOTICE,
        created=report.provenance["created"],
        written=_in_words(report.provenance["created"]),
        verdict=f"{state_test(report)} {report.outcome}",
        concern=first_concern,
        n_further=len(further_concerns),
        is_concern=not first_concern.startswith(NOTHING_FOUND),
        numbers=list(_key_numbers(report)),
        first_pictures=first,
        facts=[fact for fact in list_facts(report) if fact != first_concern],
        tables=[
            (table.title, html_table(table.header, table.rows, caption=table.title), len(table.header) > _BESIDE)
            for table in report.tables()
        ],
        methods=list_methods(report),
        pictures=[picture for picture in pictures if picture not in first],
        sections=[_section(title, content) for title, content in report.findings],
        data=html_table(["images", "what is known"], list(_data_rows(report)), caption="Images of test and training"),
        skipped=list_skipped(report),
        card=entries,
        provenance=html_table(
            ["what", "value"], [list(line) for line in list_sources(report)], caption="How the scores were made"
        ),
    )


def _in_words(moment: str) -> str:
    """Write a time as people read it."""
    when = datetime.fromisoformat(moment).astimezone(UTC)
    return f"{when.day} {_MONTHS[when.month - 1]} {when:%Y, %H:%M} UTC"


def _show_text(value: Any) -> Any:
    """Make control characters of texts visible; jinja then escapes the text, unless it is HTML already."""
    return visible(value) if type(value) is str else value


def _key_numbers(report: ReportContent) -> Iterator[tuple[str, str, str]]:
    """Name, value and interval of what to look at first."""
    for name, metric in report.key_numbers.items():
        value, _, interval = describe(metric, report.confidence).partition(" (")
        yield name, value, interval.rstrip(")").replace("n = ", "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")


def _pictures(report: ReportContent) -> Iterator[Picture]:
    for drawn in report.draw_all():
        if drawn.name == "examples":
            yield _photographs(drawn.title, drawn.alt, drawn.figure)
        else:
            wide = drawn.figure.get_figwidth() > _WIDEST_CHART
            alt = f"{drawn.title}. {drawn.alt}"
            yield Picture(drawn.title, alt, _embed(drawn.figure, "svg"), _points(drawn.figure) if wide else None)


def _photographs(title: str, alt: str, figure: "Figure") -> Picture:
    return Picture(title, alt, _embed(figure, "jpg"), _points(figure))


def _points(figure: "Figure") -> int:
    """Return the width at which letters have as many pixels as they have points."""
    return round(72 * figure.get_figwidth())


def _embed(figure: "Figure", suffix: str) -> str:
    """Write a figure into an address: lines as SVG, which stays sharp, photographs as JPEG, which stays small."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"pil_kwargs": {"quality": 88}} if suffix == "jpg" else {}
    figure.savefig(buffer, format=suffix, dpi=120, facecolor="white", **options)
    kind = {"svg": "image/svg+xml", "jpg": "image/jpeg"}[suffix]
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _section(title: str, content: Any) -> Section:
    """Write what was attached, with its drawing where it has one."""
    figure = _draw(content)
    if is_drawing(content):
        return Section(title, "", _photographs(title, title, figure))
    as_html = content._repr_html_() if hasattr(content, "_repr_html_") else None
    text = as_html or f"<pre>{html.escape(lines_visible(str(content)))}</pre>"
    if figure is None:
        return Section(title, text, None)
    return Section(title, text, _photographs(title, str(content).partition("\n")[0], figure))


def _draw(content: Any) -> Any:
    """Find the figure of a figure, of a display, or of what has a `plot`; None where there is none."""
    if hasattr(content, "savefig"):
        return content
    has_nothing = hasattr(content, "__len__") and not len(content)
    if not hasattr(content, "plot") or has_nothing:
        return None
    drawn = content if hasattr(content, "figure_") else content.plot()
    return getattr(drawn, "figure_", getattr(drawn, "figure", drawn))


def _data_rows(report: ReportContent) -> Iterator[list[str]]:
    """Return what is known of the images that the model was made with and judged on."""
    yield ["test images", describe_known("test_data", report.provenance["test_data"])]
    for key in ("training_data", "validation_data"):
        known = report.provenance["model"].get(key)
        if known is not None:
            yield [key.replace("_data", " images"), describe_known(key, known)]
    if "seen_by_the_model" in report.provenance:
        seen = report.provenance["seen_by_the_model"]
        yield ["test images seen before", describe_known("seen_by_the_model", seen)]
