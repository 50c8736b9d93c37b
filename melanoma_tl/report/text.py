"""A report in words: as text, as Markdown, and in a notebook."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from melanoma_tl._escaping import fenced, in_html, in_markdown, lines_visible, visible
from melanoma_tl._tables import html_list, html_table, markdown_list, markdown_table, text_table
from melanoma_tl.metrics.metric import INTERVAL_METHODS, MARK, NO_WIDTH, Metric
from melanoma_tl.metrics.reliability import CALIBRATION_LABELS
from melanoma_tl.metrics.resampling import number_groups
from melanoma_tl.report.concerns import list_concerns
from melanoma_tl.report.content import ReportContent, ScoredReport, Table
from melanoma_tl.report.wording import describe_known, key_in_words, one_line

NOTICE = "Research use only; not a medical device."

TIED_TO_PREVALENCE = "precision, NPV, accuracy, F1, IoU, average precision, MCC, kappa, Brier score and log loss"
"""The metrics that change with the share of the classes, for readers."""

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
    return f"Test metrics: {report.name}" if report.name else "Test metrics"


def state_test(report: ReportContent) -> str:
    """Describe which classifier was tested on which images.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    str
        A sentence, with the number of images of each class.
    """
    model = report.provenance["model"]
    parts = {"recipe": model.get("recipe"), "backbone": model.get("parameters", {}).get("backbone")}
    known = ", ".join(f"{what} {one_line(part)}" for what, part in parts.items() if part)
    *most, last = (f"{n} {name}" for name, n in report.class_sizes.items())
    images = f"{sum(report.class_sizes.values())} images{f' of {report.name}' if report.name else ''}"
    return f"A classifier{f' ({known})' if known else ''} was tested on {images}: {', '.join(most)} and {last}."


def list_facts(report: ReportContent) -> list[str]:
    """State what speaks against trusting the metrics, and what they rest on.

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
        facts.append(f"The images are of {n_groups} patients or lesions: intervals take these as units, not images")
    return facts


def list_tables(report: ScoredReport) -> list[Table]:
    """Return the metrics of two classes as tables.

    Parameters
    ----------
    report : MetricsReport
        The report.

    Returns
    -------
    list of Table
        All metrics and the confusion matrix; with scores, also the specificity at given sensitivities, the
        sensitivity at given specificities and the calibration.
    """
    header = figures_header(report.confidence)
    interval = header[2]
    tn, fp, fn, tp = map(str, report.counts)
    benign, melanoma = report.class_names
    tables = [
        Table("All metrics", header, rows_of(report.named_metrics)),
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
    """Return the provenance line by line: the report's own first, then that of the model.

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
            yield key_in_words(key), describe_known(key, value)
    model = report.provenance["model"]
    for key, value in model.items():
        if key == "parameters" and isinstance(value, Mapping) and isinstance(model.get("encoder"), Mapping):
            value = {name: given for name, given in value.items() if name != "weights"}  # an encoder has its own
        yield f"model: {key_in_words(key)}", describe_known(key, value)


def list_methods(report: ReportContent) -> list[tuple[str, str]]:
    """Explain how the intervals of the tables were computed.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    list of (str, str)
        Each method as the tables name it, and its explanation with the source.
    """
    metrics = [*report.named_metrics.values()]
    alone = report.two_class_reports.get("")
    if alone is not None and alone.y_score is not None:
        metrics += alone.calibration.values()
        metrics += (at.interpolated for at in alone.specificity_at_sensitivity)
    used = {metric.method for metric in metrics}
    return [(name, explained) for name, explained in INTERVAL_METHODS.items() if name in used]


def list_skipped(report: ReportContent) -> list[str]:
    """Return the first images that no metric counts, with the reasons.

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
        *(f"{visible(title)}\n{textwrap.indent(in_words(content), '  ')}" for title, content in report.findings),
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
        "## Methods of the intervals",
        markdown_list([f"{name}: {explained}" for name, explained in list_methods(report)]),
        *(["## Skipped", markdown_list(skipped)] if skipped else []),
        *(f"## {in_markdown(title)}\n\n{fenced(in_words(content))}" for title, content in report.findings),
        "## Provenance",
        markdown_table(["what", "value"], [[key, value] for key, value in list_sources(report)]),
        f"*{NOTICE}*",
    ]
    return "\n\n".join(blocks) + "\n"


def write_html_fragment(report: ReportContent) -> str:
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
    return ["metric", "value", f"{100 * confidence:g} % interval", "n", "interval by"]


def rows_of(metrics: Mapping[str, Metric]) -> list[list[str]]:
    """Write metrics as the rows of a table.

    Parameters
    ----------
    metrics : mapping of str to Metric
        By their names for readers.

    Returns
    -------
    list of list of str
        Name, value, interval, n, and how the interval was made.
    """
    return [[name, *cells(metric), str(metric.n), metric.method] for name, metric in metrics.items()]


def cells(metric: Metric) -> tuple[str, str]:
    """Write a metric and its interval for a table.

    Parameters
    ----------
    metric : Metric
        The metric.

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


def is_drawing(content: Any) -> bool:
    """Return whether something that was attached is a drawing and nothing else.

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


def in_words(content: Any) -> str:
    """Return what was attached as text, its lines wrapped."""
    return "A drawing: see the page." if is_drawing(content) else lines_visible(str(content))


def _wrap(line: str) -> str:
    return textwrap.fill(
        visible(line), width=100, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
    )
