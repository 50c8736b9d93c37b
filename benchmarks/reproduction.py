"""Draw the course of the published training: the accuracy on each set after each epoch that was measured.

    python benchmarks/reproduction.py out/reproduction/course.json

The file comes from ``examples/reproduce_paper.py --keep-epochs``. It is kept under ``benchmarks/results/reproduction``,
and the picture and the tables go into ``docs/reproduction.md``.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from melanoma_tl.plots.style import BLUE, GREY, ORANGE, dress, new_axes
from melanoma_tl.tables import markdown_table

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "benchmarks" / "results" / "reproduction" / "course.json"
PICTURE = ROOT / "docs" / "images" / "reproduction_course.png"
PANELS = (
    (
        "ISBI 2016 test",
        81.33,
        {
            "validation, first": "first 75 of each class, as published",
            "validation, random": "random 75 of each class, 50 draws",
        },
    ),
    ("ISIC 2017 test", 86.67, {"2017 test set, first": "first 75 of each class, as published"}),
    ("ISIC 2017 training: all seen", 86.67, {"2017 training set, first": "first 75 of each class, as published"}),
)
"""Title, published accuracy in per cent, and the sets of each panel by how their names begin."""


def main(path: str) -> None:
    course = json.loads(Path(path).read_text(encoding="utf-8"))
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(json.dumps(course, indent=1), encoding="utf-8")
    draw(course).savefig(PICTURE, dpi=150)
    print(training_table(course), metrics_table(course), comparison(course), sep="\n\n")


def draw(course: list[dict[str, Any]]) -> Any:
    """Draw accuracy by epoch, one panel a way to choose the images, the published figure as a line."""
    axes = new_axes(11.0, 4.0, columns=len(PANELS))
    epochs = [after["epoch"] for after in course]
    for ax, (title, published, sets) in zip(axes, PANELS, strict=True):
        for (name, label), colour in zip(sets.items(), (BLUE, ORANGE), strict=False):
            metrics = [_metrics(after, name)["accuracy"] for after in course]
            value, low, high = (np.array([100 * metric[key] for metric in metrics]) for key in ("value", "low", "high"))
            # Side by side, so that no interval hides another.
            places = np.array(epochs) + (0.1 if colour == ORANGE else -0.1) * (len(sets) > 1)
            ax.errorbar(places, value, [value - low, high - value], marker="o", color=colour, capsize=3, label=label)
        ax.axhline(published, color="black", linestyle="--", linewidth=1.2, label="published, epoch 35")
        ax.axhline(50, color=GREY, linestyle=":", linewidth=1.2, label="chance")
        dress(ax, title, "epoch", "accuracy in %" if ax is axes[0] else "")
        ax.set(ylim=(30, 100), xticks=epochs, xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
    figure = axes[0].figure
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=10)
    return figure


def _metrics(after: dict[str, Any], start: str) -> dict[str, dict[str, float]]:
    return next(metrics for name, metrics in after["metrics"].items() if name.startswith(start))


def training_table(course: list[dict[str, Any]]) -> str:
    """Write loss and accuracy after each epoch."""
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    rows = [[str(after["epoch"]), *(f"{after['training'][name]:.4f}" for name in names)] for after in course]
    return markdown_table(["epoch", *names], rows)


def metrics_table(course: list[dict[str, Any]]) -> str:
    """Write accuracy and AUC on every set after each epoch."""
    rows = [
        [name, metric, *(_cell(metric, after["metrics"][name][metric]) for after in course)]
        for name, metrics in course[-1]["metrics"].items()
        for metric in ("accuracy", "auc")
        if metric in metrics
    ]
    return markdown_table(["set", "metric", *(f"epoch {after['epoch']}" for after in course)], rows)


def comparison(course: list[dict[str, Any]]) -> str:
    """Write the published figures beside those after the last epoch."""
    rows = course[-1]["rows"]
    return markdown_table(list(rows[0]), [[str(cell) for cell in row.values()] for row in rows])


def _cell(metric: str, cell: dict[str, float]) -> str:
    if metric == "auc":
        return f"{cell['value']:.3f} ({cell['low']:.3f} to {cell['high']:.3f})"
    return f"{100 * cell['value']:.1f} % ({100 * cell['low']:.1f} to {100 * cell['high']:.1f})"


if __name__ == "__main__":
    main(sys.argv[1])
