"""Draw the results: a bar a contestant, with whiskers from the fastest to the slowest repetition."""

from pathlib import Path
from typing import Any

from table import figure

from melanoma_tl.plots import BLUE, GREY, new_axes, style_axes

LOG_FROM = 10
"""Ratio of the longest to the shortest bar from which the axis is logarithmic."""


def draw_tasks(tasks: dict[str, Any], folder: Path) -> None:
    """Draw each task of at least two measured contestants into ``benchmark_TASK.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, task in tasks.items():
        measured = {label: row for label, row in task["contestants"].items() if "median" in row}
        if len(measured) > 1:
            draw(task, measured).figure.savefig(folder / f"benchmark_{name}.png", dpi=150)


def draw(task: dict[str, Any], measured: dict[str, Any]) -> Any:
    """Draw one task: ours in blue, the others in grey."""
    ax = new_axes(8.0, 0.42 * len(measured) + 1.3)
    shortest, longest = min(row["min"] for row in measured.values()), max(row["max"] for row in measured.values())
    logarithmic = longest > LOG_FROM * shortest > 0  # noise can make a difference of two times negative
    for position, (name, row) in enumerate(measured.items()):
        color = BLUE if name in task["ours"] else GREY
        ax.barh(position, row["median"], height=0.62, color=color, linewidth=0)
        ax.plot([row["min"], row["max"]], [position] * 2, color="black", linewidth=1.4, marker="|", markersize=8)
        text = f"  {figure(row['median'])}" + "*" * row["extrapolated"]
        ax.text(row["max"], position, text, va="center", fontsize=9)
    any_extrapolated = any(row["extrapolated"] for row in measured.values())
    note = "; * later epochs extrapolated" * any_extrapolated + "; logarithmic scale" * logarithmic
    style_axes(ax, task["title"], f"{task['unit']} (median, minimum to maximum{note})", "")
    ax.set_yticks(range(len(measured)), measured)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set_xscale("log" if logarithmic else "linear")
    # Room for the figures beside the bars.
    ax.set_xlim((shortest / 2, longest * 2) if logarithmic else (0, longest * 1.15))
    return ax
