"""Draw the course of the published training: accuracy, AUC and loss after each epoch that was measured.

    python benchmarks/reproduction.py out/reproduction/course.json

The file comes from ``examples/reproduce_paper.py --keep-epochs``. It is kept under ``benchmarks/results/reproduction``,
and the pictures and the tables go into ``docs/reproduction.md``.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from melanoma_tl._tables import markdown_table
from melanoma_tl.plots.style import BLUE, GREY, ORANGE, new_axes, style_axes

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "benchmarks" / "results" / "reproduction" / "course.json"
RECIPES = ROOT / "benchmarks" / "results" / "recipes" / "epyc_2_cores.json"
PICTURES = ROOT / "docs" / "images"
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
    fast = json.loads(RECIPES.read_text(encoding="utf-8"))["rows"]["fast"]
    draw_accuracy(course).savefig(PICTURES / "reproduction_course.png", dpi=150)
    draw_learning(course, fast).savefig(PICTURES / "reproduction_learning.png", dpi=150)
    print(training_table(course), metrics_table(course), comparison(course), sep="\n\n")


def draw_accuracy(course: list[dict[str, Any]]) -> Any:
    """Draw accuracy by epoch, one panel a way to choose the images, the published figure as a line."""
    axes = new_axes(11.0, 4.0, columns=len(PANELS))
    epochs = [after["epoch"] for after in course]
    for ax, (title, published, sets) in zip(axes, PANELS, strict=True):
        for (name, label), colour in zip(sets.items(), (BLUE, ORANGE), strict=False):
            _draw_intervals(
                ax, course, name, "accuracy", scale=100, side_by_side=len(sets) > 1, color=colour, label=label
            )
        ax.axhline(published, color="black", linestyle="--", linewidth=1.2, label="published, epoch 35")
        ax.axhline(50, color=GREY, linestyle=":", linewidth=1.2, label="chance")
        style_axes(ax, title, "epoch", "accuracy in %" if ax is axes[0] else "")
        ax.set(ylim=(30, 100), xticks=epochs, xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
    figure = axes[0].figure
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=10)
    return figure


def draw_learning(course: list[dict[str, Any]], fast: dict[str, Any]) -> Any:
    """Draw the loss on seen and unseen images by epoch, and the AUC on whole test sets beside that of a recipe."""
    losses, aucs = new_axes(11.0, 4.0, columns=2)
    epochs = [after["epoch"] for after in course]
    for key, label, colour in (("loss", "training images", BLUE), ("val_loss", "validation images", ORANGE)):
        losses.plot(epochs, [after["training"][key] for after in course], marker="o", color=colour, label=label)
    style_axes(losses, "Loss", "epoch", "cross-entropy")
    losses.set(ylim=(0, None), xticks=epochs)
    losses.legend(fontsize=10)
    sets = (
        ("validation, all", "2016", "ISBI 2016 test, all 379", BLUE),
        ("2017 test set, all", "2017", "ISIC 2017 test, all 600", ORANGE),
    )
    for name, year, label, colour in sets:
        _draw_intervals(aucs, course, name, "auc", side_by_side=True, color=colour, label=label)
        beside = "" if colour == ORANGE else "recipe fast, on the same images"
        aucs.axhline(fast[year]["auc"]["value"], color=colour, linestyle="--", linewidth=1.2, label=beside)
    aucs.axhline(0.5, color=GREY, linestyle=":", linewidth=1.2, label="chance")
    style_axes(aucs, "AUC on whole test sets", "epoch", "AUC")
    aucs.set(ylim=(0.4, 0.95), xticks=epochs)
    aucs.legend(fontsize=9, loc="upper center", ncols=2)
    return losses.figure


def _draw_intervals(
    ax: Any, course: list[dict[str, Any]], name: str, metric: str, *, scale: float = 1, side_by_side: bool, **style: Any
) -> None:
    found = [_metrics(after, name)[metric] for after in course]
    value, low, high = (np.array([scale * one[key] for one in found]) for key in ("value", "low", "high"))
    # IdentifiedImages by side, so that no interval hides another.
    shift = (0.1 if style["color"] == ORANGE else -0.1) * side_by_side
    places = np.array([after["epoch"] for after in course]) + shift
    ax.errorbar(places, value, [value - low, high - value], marker="o", capsize=3, **style)


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
