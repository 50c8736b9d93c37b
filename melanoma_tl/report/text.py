"""A report in words: as text, as Markdown, as plain objects that JSON can hold."""

import json
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from melanoma_tl._atomic import publishing
from melanoma_tl._escaping import fenced, in_csv, in_html, in_markdown, lines_visible, visible
from melanoma_tl._tables import html_list, html_table, markdown_list, markdown_table, text_table
from melanoma_tl.errors import ParameterError
from melanoma_tl.metrics.metric import MARK, NO_WIDTH, Metric
from melanoma_tl.metrics.reliability import CALIBRATION_LABELS
from melanoma_tl.metrics.resampling import number_groups
from melanoma_tl.report.concerns import list_concerns
from melanoma_tl.report.content import ReportContent, ScoredReport, Table

NOTICE = "Research use only; not a medical device."

TIED_TO_PREVALENCE = "precision, NPV, accuracy, F1, IoU, average precision, MCC and kappa"
"""The figures that change with the share of the classes, for readers."""

SCHEMA_VERSION = 1
"""Of the JSON report; ``report.schema.json`` beside this file describes it."""

_MAX_SKIPPED_SHOWN = 10


def write_title(report: ReportContent) -> str:
    """Name the report.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    str
        For people.
    """
    return f"Test figures: {report.name}" if report.name else "Test figures"


def list_facts(report: ReportContent) -> list[str]:
    """State what speaks against trusting the figures, and what they rest on.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    list of str
        A sentence each, concerns first.
    """
    facts = [*list_concerns(report), *report.statements()]
    if report.groups is not None:
        n_groups = int(number_groups(report.groups, len(report.groups)).max()) + 1
        facts.append(f"The images are of {n_groups} patients or lesions, which the intervals take as drawn whole")
    return facts


def list_tables(report: ScoredReport) -> list[Table]:
    """Give the figures of two classes as tables.

    Parameters
    ----------
    report : MetricsReport
        The report.

    Returns
    -------
    list of Table
        All figures and the confusion matrix; with scores, also the specificity at given sensitivities, the
        sensitivity at given specificities and the calibration.
    """
    header = figures_header(report.confidence)
    interval = header[2]
    tn, fp, fn, tp = map(str, report.counts)
    benign, melanoma = report.class_names
    tables = [
        Table("All figures", header, rows_of(report.figures)),
        Table(
            "Confusion matrix",
            ["truth", f"predicted {benign}", f"predicted {melanoma}"],
            [[benign, f"TN {tn}", f"FP {fp}"], [melanoma, f"FN {fn}", f"TP {tp}"]],
        ),
    ]
    if report.y_score is None:
        return tables
    at_sensitivities = [
        [f"at sensitivity {at.sensitivity:.2f}", *cells(at.challenge), *cells(at.interpolated)]
        for at in report.specificity_at_sensitivity
    ]
    at_specificities = [
        [f"at specificity {at.specificity:.2f}", *cells(at.reached), *cells(at.interpolated)]
        for at in report.sensitivity_at_specificity
    ]
    return [
        *tables,
        Table(
            "Specificity at a given sensitivity",
            ["specificity", "challenge's way", interval, "interpolated", interval],
            at_sensitivities,
        ),
        Table(
            "Sensitivity at a given specificity",
            ["sensitivity", "at a threshold", interval, "interpolated", interval],
            at_specificities,
        ),
        Table(
            "Calibration",
            header,
            rows_of({CALIBRATION_LABELS[name]: metric for name, metric in report.calibration.items()}),
        ),
    ]


def list_sources(report: ReportContent) -> Iterator[tuple[str, str]]:
    """Give the provenance line by line: the report's own first, then that of the model.

    Parameters
    ----------
    report : Report
        The report.

    Yields
    ------
    tuple of str
        What, and its value.
    """
    for key, value in report.provenance.items():
        if key != "model":
            yield key, inline(value)
    for key, value in report.provenance["model"].items():
        yield f"model {key}".replace("_", " "), inline(value)


def list_skipped(report: ReportContent) -> list[str]:
    """Give the first images that no figure counts, with the reasons.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    list of str
        A line each, and one that says how many more there are.
    """
    lines = [f"{row.image_id}: {row.reason}" for row in report.skipped[:_MAX_SKIPPED_SHOWN]]
    hidden = len(report.skipped) - len(lines)
    return [*lines, f"and {hidden} more, all listed in the JSON report"] if hidden else lines


def write_text(report: ReportContent) -> str:
    """Write the report for a terminal.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    str
        Without a final newline.
    """
    skipped = [f"  {visible(line)}" for line in list_skipped(report)]
    blocks = [
        "\n".join(map(visible, [write_title(report), *list_facts(report)])),
        *(f"{visible(table.title)}\n{text_table(table.header, table.rows)}" for table in report.tables()),
        *(["\n".join(["Skipped", *skipped])] if skipped else []),
        *(f"{visible(title)}\n{textwrap.indent(_words(content), '  ')}" for title, content in report.findings),
        "\n".join(["Provenance", *(_wrap(f"{key}: {value}") for key, value in list_sources(report))]),
        NOTICE,
    ]
    return "\n\n".join(blocks)


def write_markdown(report: ReportContent) -> str:
    """Write the report as Markdown.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    str
        With a final newline.
    """
    skipped = list_skipped(report)
    blocks = [
        f"# {in_markdown(write_title(report))}",
        markdown_list(list_facts(report)),
        *(f"## {in_markdown(table.title)}\n\n{markdown_table(table.header, table.rows)}" for table in report.tables()),
        *(["## Skipped", markdown_list(skipped)] if skipped else []),
        *(f"## {in_markdown(title)}\n\n{fenced(_words(content))}" for title, content in report.findings),
        "## Provenance",
        markdown_table(["what", "value"], [[key, value] for key, value in list_sources(report)]),
        f"*{NOTICE}*",
    ]
    return "\n\n".join(blocks) + "\n"


def write_fragment(report: ReportContent) -> str:
    """Write the report as a piece of HTML for a notebook.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    str
        Title, facts and tables.
    """
    tables = "".join(
        f"<h4>{in_html(table.title)}</h4>{html_table(table.header, table.rows)}" for table in report.tables()
    )
    return f"<h3>{in_html(write_title(report))}</h3>{html_list(list_facts(report))}{tables}<p><em>{NOTICE}</em></p>"


def write_dict(report: ReportContent) -> dict[str, Any]:
    """Write the report as plain Python objects; undefined figures become None.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    dict
        As ``report.schema.json`` describes it.
    """
    return plain(
        {
            "schema_version": SCHEMA_VERSION,
            **report.figures_to_dict(),
            "confidence": report.confidence,
            "name": report.name,
            "skipped": [row._asdict() for row in report.skipped],
            "findings": {title: _finding(content) for title, content in report.findings},
            "history": report.history,
            "provenance": report.provenance,
            "notice": NOTICE,
        }
    )


def figures_header(confidence: float) -> list[str]:
    """Title the columns of `rows_of`.

    Parameters
    ----------
    confidence : float
        Coverage of the intervals.

    Returns
    -------
    list of str
        One a column.
    """
    return ["figure", "value", f"{100 * confidence:g} % interval", "n", "interval by"]


def rows_of(figures: Mapping[str, Metric]) -> list[list[str]]:
    """Write figures as the rows of a table.

    Parameters
    ----------
    figures : mapping of str to Metric
        By their names for readers.

    Returns
    -------
    list of list of str
        Name, value, interval, n, and how the interval was made.
    """
    return [[name, *cells(metric), str(metric.n), metric.method] for name, metric in figures.items()]


def cells(metric: Metric) -> tuple[str, str]:
    """Write a figure and its interval for a table.

    Parameters
    ----------
    metric : Metric
        The figure.

    Returns
    -------
    tuple of str
        Value and interval.
    """
    if np.isnan(metric.value):
        return "undefined", "-"
    marks = [mark for mark, given in ((NO_WIDTH, metric.low == metric.high), (MARK, metric.few)) if given]
    marked = f" ({', '.join(marks)})" if marks else ""
    return f"{metric.value:.3f}", f"{metric.low:.3f} to {metric.high:.3f}{marked}"


def write_json(document: dict[str, Any]) -> str:
    """Write plain objects as strict JSON.

    Parameters
    ----------
    document : dict
        As `plain` makes it.

    Returns
    -------
    str
        With a final newline.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    # Half a letter is no letter of UTF-8: it stands as JSON can write it, and is read back as it was.
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text) + "\n"


def save_text(path: Path, writers: Mapping[str, Callable[[], str]], *, otherwise: str = "change the suffix") -> Path:
    """Write a report as its suffix says, whole or not at all.

    Parameters
    ----------
    path : Path
        Where to.
    writers : mapping of str to callable
        What writes the text, by suffix.
    otherwise : str, default="change the suffix"
        What to do about another suffix.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ParameterError
        If the suffix is another one.
    """
    write = writers.get(path.suffix.lower())
    if write is None:
        raise ParameterError(f"A report is saved as one of {', '.join(writers)}, got {str(path)!r}; {otherwise}")
    text = write()
    with publishing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def save_submission(path: Path, image_ids: Sequence[str], columns: Mapping[str, Any]) -> Path:
    """Write scores as the challenges take them, whole or not at all.

    Parameters
    ----------
    path : Path
        Must end in ``.csv``.
    image_ids : sequence of str of shape (n,)
        One line each.
    columns : mapping of str to ndarray of shape (n,)
        Scores by the title of their column.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ParameterError
        If ids are repeated or the path does not end in ``.csv``.

    Warns
    -----
    UserWarning
        If an id is one that a spreadsheet would run, and so stands in the file with an apostrophe before it.
    """
    if path.suffix.lower() != ".csv":
        raise ParameterError(f"A submission ends in .csv, got {str(path)!r}")
    if len(set(image_ids)) < len(image_ids):
        raise ParameterError("Some image ids occur twice: a submission has one line an image")
    written = [in_csv(image_id) for image_id in image_ids]
    changed = [image_id for image_id, cell in zip(image_ids, written, strict=True) if image_id != cell]
    if changed:
        warnings.warn(
            f"{len(changed)} image ids are no plain text, such as {changed[0]!r:.100}: a spreadsheet would run them as "
            f"formulas, or no file can hold them. They are written as {in_csv(changed[0])!r:.100}",
            UserWarning,
            stacklevel=4,
        )
    with publishing(path) as temporary:
        pd.DataFrame({"image": written, **{in_csv(title): scores for title, scores in columns.items()}}).to_csv(
            temporary, index=False
        )
    return path


def is_drawing(content: Any) -> bool:
    """Tell whether something that was attached is a drawing and nothing else.

    Parameters
    ----------
    content : object
        Anything.

    Returns
    -------
    bool
        True of matplotlib's figures and of displays, which scikit-learn names so.
    """
    return hasattr(content, "savefig") or type(content).__name__.endswith("Display")


def plain(value: Any) -> Any:
    """Turn a value into what strict JSON can hold; NaN and infinities become None.

    Parameters
    ----------
    value : object
        What JSON knows, arrays, and anything else, which is written as text.

    Returns
    -------
    object
        Of dict, list, str, int, float, bool and None alone.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def inline(value: Any) -> str:
    """Write a value in one line.

    Parameters
    ----------
    value : object
        Mappings and lists are written out.

    Returns
    -------
    str
        For people.
    """
    if isinstance(value, Mapping):
        entries = ((key, inline(entry), isinstance(entry, Mapping)) for key, entry in value.items())
        return ", ".join(f"{key}=({text})" if nested else f"{key}={text}" for key, text, nested in entries)
    if isinstance(value, list | tuple):
        return f"[{', '.join(f'({inline(one)})' if isinstance(one, Mapping) else inline(one) for one in value)}]"
    return "none" if value is None else " ".join(str(value).split())


def figures_of_scores(report: ScoredReport) -> dict[str, Any]:
    """Give the figures that need scores as plain Python objects.

    Parameters
    ----------
    report : MetricsReport
        The report.

    Returns
    -------
    dict
        "specificity_at_sensitivity", "sensitivity_at_specificity" and "calibration"; nothing for a confusion matrix
        alone.
    """
    if report.y_score is None:
        return {}
    at_sensitivity = [
        {
            "sensitivity": at.sensitivity,
            "challenge": at.challenge.to_dict(),
            "interpolated": at.interpolated.to_dict(),
        }
        for at in report.specificity_at_sensitivity
    ]
    calibration = {name: metric.to_dict() for name, metric in report.calibration.items()}
    at_specificity = [
        {
            "specificity": at.specificity,
            "reached": at.reached.to_dict(),
            "interpolated": at.interpolated.to_dict(),
        }
        for at in report.sensitivity_at_specificity
    ]
    return {
        "specificity_at_sensitivity": at_sensitivity,
        "sensitivity_at_specificity": at_specificity,
        "calibration": calibration,
    }


def _finding(content: Any) -> Any:
    """Give what JSON can hold of something that was attached."""
    return content.to_dict() if hasattr(content, "to_dict") else _words(content)


def _words(content: Any) -> str:
    return "A drawing: see the page." if is_drawing(content) else lines_visible(str(content))


def _wrap(line: str) -> str:
    return textwrap.fill(
        visible(line), width=100, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
    )
