"""Write what `recipes.py` measured as Markdown."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from melanoma_tl._tables import format_p

REFERENCE = "fast"
TESTS = ("2016", "2017")


def markdown(results: dict[str, Any]) -> str:
    """Write the figures as a table."""
    lines = [
        "| row | AUC in cross-validation | AP | other site, AUC | 2016 test, AUC | AP | p | 2017 test, AUC | AP | p |",
        "| --- " * 10 + "|",
    ]
    for name, row in results["rows"].items():
        cells = [f"**{name}**" if name == REFERENCE else name, spread(row["folds"]["auc"])]
        cells += [f"{np.mean(row['folds']['average_precision']):.3f}"]
        cells += [", ".join(f"{value:.3f}" for value in row["sites"]["auc"])]
        for year in TESTS:
            p_value = row[year]["auc"]["difference"]["p_value"]
            cells += [with_interval(row[year]["auc"]), of_seeds(row[year]["average_precision"]["seeds"])]
            cells += ["" if name == REFERENCE else format_p(p_value)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    ends = f" ({min(values):.3f}-{max(values):.3f})" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{ends}"


def of_seeds(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def with_interval(figure: dict[str, Any]) -> str:
    first, *others = figure["seeds"]
    return ", ".join([f"{first:.3f} ({figure['low']:.3f}-{figure['high']:.3f})", *(f"{other:.3f}" for other in others)])
