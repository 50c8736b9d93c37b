"""Draw the picture of the page on the architecture, from the table that the tests hold the imports to."""

import runpy
from pathlib import Path

from matplotlib.patches import FancyBboxPatch

from melanoma_tl.plots import BLUE, GREY, ORANGE, new_figure

WORDS = {
    "explain": "maps, shortcuts",
    "scale": "jobs on Ray",
    "classifier": "TransferClassifier",
    "recipes": "named set-ups",
    "testing": "contract of backbones",
    "training": "stages, checkpoints",
    "augmentation": "Augmenter",
    "datasets": "ISBIDataset, leaks",
    "report": "MetricsReport",
    "saving": "files audited, exported",
    "network": "graph, head, pooling",
    "plots": "displays",
    "balancing": "Balancer",
    "metrics": "numbers, intervals, n",
    "images": "pixels, fingerprints",
    "backbones": "table of networks",
    "cache": "what is computed once",
    "_atomic": "whole files or none",
    "_keras": "settings, copies",
    "distribution": "devices, processes",
    "labels": "what labels mean",
    "corpora": "known contamination",
    "_checksums": "of files",
    "_escaping": "text in any format",
    "_attributes": "what else is meant",
    "_estimators": "base of objects",
    "_onnxruntime": "without telemetry",
    "_parameters": "what is accepted",
    "_row_order": "columns of pandas",
    "_progress": "one bar",
    "_tables": "text, Markdown, HTML",
    "_versions": "behind a result",
    "_zip": "untrusted archives",
    "errors": "all that is raised",
}
FIVE_OBJECTS = {"datasets", "balancing", "augmentation", "classifier", "report"}
WIDTH, HEIGHT = 2.2, 0.72


def draw() -> None:
    """Draw a row for each level, the packages of a level side by side."""
    tables = runpy.run_path(str(Path(__file__).with_name("architecture_tables.py")))
    rows: dict[int, list[str]] = {}
    for package in tables["MAY_IMPORT"]:
        rows.setdefault(tables["level"](package), []).append(package)
    widest = max(map(len, rows.values()))
    figure = new_figure(1.7 * widest, 0.54 * len(rows) + 0.3)
    ax = figure.add_subplot()
    for row, packages in rows.items():
        for place, package in enumerate(sorted(packages)):
            x = (place - (len(packages) - 1) / 2) * (WIDTH + 0.12)
            edge = ORANGE if package in FIVE_OBJECTS else GREY if row == 0 else BLUE
            box = (x - WIDTH / 2, row - HEIGHT / 2), WIDTH, HEIGHT
            ax.add_patch(FancyBboxPatch(*box, boxstyle="round,pad=0,rounding_size=0.08", fc="white", ec=edge, lw=1.6))
            ax.text(x, row + 0.15, package, ha="center", va="center", fontsize=10.5, weight="bold")
            ax.text(x, row - 0.17, WORDS[package], ha="center", va="center", fontsize=8.5, color="#444444")
    side = -widest / 2 * (WIDTH + 0.12) - 0.35
    ax.annotate("", (side, -0.3), (side, max(rows) + 0.3), arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 1.6})
    ax.text(
        side - 0.12, max(rows) / 2, "imports run down", rotation=90, ha="right", va="center", fontsize=10, color=GREY
    )
    ax.text(-side - 0.1, max(rows), "orange: the five objects", ha="right", va="center", fontsize=9, color=ORANGE)
    ax.set(xlim=(side - 0.6, -side), ylim=(-0.6, max(rows) + 0.6))
    ax.axis("off")
    figure.savefig("architecture.png", dpi=120)


draw()
