"""What a notebook shows of a dataset."""

from typing import Any

from melanoma_tl._escaping import in_html
from melanoma_tl._tables import html_list, html_table

_MOST_LINES, _MOST_ROWS = 10, 5


def dataset_html(dataset: Any) -> str:
    """Write counts, origin, left-out rows and the first images.

    Parameters
    ----------
    dataset : ImageTable
        Any.

    Returns
    -------
    str
        HTML; ids, names and paths are escaped.
    """
    parts = [f"<p><b>{in_html(dataset.name)}</b></p>", _counts(dataset)]
    if dataset.history:
        parts.append(_listed("How it was made", [str(step) for step in dataset.history]))
    if dataset.skipped and not dataset._is_part:
        reasons = [f"{row.image_id}: {row.reason}" for row in dataset.skipped]
        parts.append(_listed(f"{len(reasons):,} row{'' if len(reasons) == 1 else 's'} skipped", reasons))
    if len(dataset):
        frame = dataset[:_MOST_ROWS].to_frame()
        rows = [["" if one is None or one != one else str(one) for one in row] for row in frame.to_numpy().tolist()]
        title = f"The first {len(rows)} of {len(dataset):,} images"
        parts.append(f"<p>{title}</p>{html_table([str(column) for column in frame.columns], rows)}")
    return "".join(parts)


def _counts(dataset: Any) -> str:
    """Write how many images, lesions and patients there are of each class, in all, and of each diagnosis."""
    frame, classes = dataset.to_frame(), list(dataset.class_counts)
    kinds = {kind: f"{kind[:-3]}s" for kind in ("lesion_id", "patient_id") if kind in frame}

    def table(of: str, groups: list[tuple[str, Any]]) -> str:
        rows = [[name, f"{len(part):,}", *(f"{part[kind].nunique():,}" for kind in kinds)] for name, part in groups]
        return html_table([of, "images", *kinds.values()], rows)

    of_classes = [(name, frame[frame["label"] == code]) for code, name in enumerate(classes)]
    told, diagnoses = table("class", [*of_classes, ("all", frame)]), list(dataset._diagnosis_counts)
    if not diagnoses:
        return told
    words = frame["diagnosis"].astype(str)
    shown, others = diagnoses[:_MOST_LINES], diagnoses[_MOST_LINES:]
    of_diagnoses = [(name, frame[words == name]) for name in shown]
    rest = [(f"{len(others)} others", frame[words.isin(others)])] if others else []
    return told + table("diagnosis", [*of_diagnoses, *rest])


def _listed(title: str, lines: list[str]) -> str:
    more = [f"and {len(lines) - _MOST_LINES:,} more"] if len(lines) > _MOST_LINES else []
    return f"<p>{in_html(title)}:</p>{html_list(lines[:_MOST_LINES] + more)}"
