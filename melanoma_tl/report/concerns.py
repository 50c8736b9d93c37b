"""What speaks against the figures of a report: found by looking, gravest first, in plain sentences."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from melanoma_tl.metrics import COLLAPSED, FEW, LABELS, describe

if TYPE_CHECKING:
    from melanoma_tl.report.metrics_report import MetricsReport

_TARGET = re.compile(r"(sensitivity|specificity) at least ([0-9.e-]+)")
"""How `choose_threshold` writes the rules that name a target."""


class _Check(NamedTuple):
    """Something to look at; what finds nothing gives an empty list, and None where it cannot be looked at."""

    looked_at: str
    find: Callable[["MetricsReport"], list[str] | None]


def list_concerns(report: "MetricsReport") -> list[str]:
    """Say what speaks against the figures, the gravest first.

    Parameters
    ----------
    report : MetricsReport
        The report.

    Returns
    -------
    list of str
        A sentence each; where nothing was found, one that names what was looked at.
    """
    found: list[str] = []
    looked_at = []
    for check in _CHECKS:
        concerns = check.find(report)
        if concerns is not None:
            looked_at.append(check.looked_at)
            found += concerns
    return found or [f"Nothing was found that speaks against these figures; looked at: {', '.join(looked_at)}"]


def _leakage(report: "MetricsReport") -> list[str] | None:
    seen = report.provenance.get("seen_by_the_model")
    if seen is None:
        return None
    if not seen["images"]:
        return []
    by = ", ".join(f"{count} by {kind}" for kind, count in seen["by"].items() if count)
    return [f"LEAKAGE: the model was fitted with a counterpart of {seen['images']} images ({by})"]


def _findings(report: "MetricsReport") -> list[str] | None:
    if not report.findings:
        return None
    return [content.warning for _, content in report.findings if getattr(content, "warning", "")]


def _one_class(report: "MetricsReport") -> list[str]:
    counts = report.counts
    if counts.tp + counts.fp not in (0, counts.n):
        return []
    called = "MELANOMA" if counts.tp else "BENIGN"
    return [f"EVERY IMAGE IS CALLED {called}: figures at this threshold say nothing of the scores"]


def _target(report: "MetricsReport") -> list[str] | None:
    point = report.provenance.get("operating_point")
    target = _TARGET.match(point["rule"]) if point else None
    if target is None:
        return None
    name, aim = target[1], float(target[2])
    reached = report.metrics[name]
    if not reached.value < aim:
        return []
    start = "TARGET MISSED" if reached.high < aim else "Target not reached, which may be chance"
    here = f"here it is {describe(reached, report.confidence)}"
    return [f"{start}: the threshold was chosen for a {name} of at least {aim:g}; {here}"]


def _no_better_than_chance(report: "MetricsReport") -> list[str] | None:
    if "auc" not in report.metrics:
        return None
    auc = report.metrics["auc"]
    told = f"the AUC is {describe(auc, report.confidence)}"
    if auc.high < 0.5:
        return [f"WORSE THAN CHANCE: {told}; check the order of the classes"]
    return [f"The scores may be no better than chance: {told}"] if auc.low <= 0.5 else []


def _few(report: "MetricsReport") -> list[str]:
    counts = report.counts
    few = [f"{n} {name}" for n, name in ((counts.n_melanoma, "melanoma"), (counts.n_benign, "benign")) if n < FEW]
    told = f"Too few to judge by: only {' and '.join(few)}; each single image moves a figure by over a tenth"
    return [told] if few else []


def _miscalibration(report: "MetricsReport") -> list[str] | None:
    if report.y_score is None:
        return None
    intercept, slope = (report.calibration[f"calibration_{name}"] for name in ("intercept", "slope"))
    wrong = []
    if intercept.low > 0 or intercept.high < 0:
        side = "too low" if intercept.value > 0 else "too high"
        wrong.append(f"{side} on the whole (calibration intercept {describe(intercept, report.confidence)})")
    if slope.low > 1 or slope.high < 1:
        side = "too moderate" if slope.value > 1 else "too extreme"
        wrong.append(f"{side} (calibration slope {describe(slope, report.confidence)})")
    told = f"The scores are no probabilities here: they are {' and '.join(wrong)}; calibrate on validation images"
    return [told] if wrong else []


def _prevalence_by_choice(report: "MetricsReport") -> list[str] | None:
    data = report.provenance["test_data"]
    if "history" not in data:
        return None
    chosen = data["prevalence_set_by"]
    return [f"The share of melanomas is not that of the source but of a choice: {chosen}"] if chosen else []


def _without_width(report: "MetricsReport") -> list[str]:
    collapsed = [LABELS[name] for name, metric in report.metrics.items() if metric.low == metric.high]
    return [f"{COLLAPSED} ({', '.join(collapsed)})"] if collapsed else []


_CHECKS = (
    _Check("images that the model was fitted with", _leakage),
    _Check("what was attached", _findings),
    _Check("whether both classes are called", _one_class),
    _Check("the target of the threshold", _target),
    _Check("whether the AUC is above chance", _no_better_than_chance),
    _Check("the number of images of each class", _few),
    _Check("calibration", _miscalibration),
    _Check("how the images were chosen", _prevalence_by_choice),
    _Check("intervals without width", _without_width),
)
