"""A report in data: plain objects, JSON, and the file that the scorer of the challenges takes."""

import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from melanoma_tl._atomic import atomic_write_once
from melanoma_tl._escaping import in_csv
from melanoma_tl.errors import ParameterError
from melanoma_tl.report.content import ReportContent, ScoredReport
from melanoma_tl.report.text import NOTICE, SCHEMA_VERSION, in_words


def write_dict(report: ReportContent) -> dict[str, Any]:
    """Write the report as plain Python objects; undefined metrics become None.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    dict
        As ``report.schema.json`` describes it.
    """
    return to_jsonable(
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


def write_json(document: dict[str, Any]) -> str:
    """Write plain objects as strict JSON.

    Parameters
    ----------
    document : dict
        As `to_jsonable` makes it.

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
    with atomic_write_once(path) as temporary:
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
    with atomic_write_once(path) as temporary:
        pd.DataFrame({"image": written, **{in_csv(title): scores for title, scores in columns.items()}}).to_csv(
            temporary, index=False
        )
    return path


def to_jsonable(value: Any) -> Any:
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
        return {str(key): to_jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_jsonable(entry) for entry in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def figures_of_scores(report: ScoredReport) -> dict[str, Any]:
    """Return the metrics that need scores as plain Python objects.

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
    """Return what JSON can hold of an attachment."""
    return content.to_dict() if hasattr(content, "to_dict") else in_words(content)
