"""What speaks against the figures of a report: found by looking, gravest first, in plain sentences."""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from melanoma_tl.metrics import COLLAPSED, FEW, LABELS, describe

if TYPE_CHECKING:
    from melanoma_tl.report.metrics_report import MetricsReport

_TARGET = re.compile(r"(sensitivity|specificity) at least ([0-9.e-]+)")
"""How `choose_threshold` writes the rules that name a target."""


class _Check(NamedTuple):
    looked_at: str
    find: Callable[["MetricsReport"], Iterator[str] | None]


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


def _leakage(report: "MetricsReport") -> Iterator[str] | None:
    seen = report.provenance.get("seen_by_the_model")
    if seen is None:
        return None
    by = ", ".join(f"{count} by {kind}" for kind, count in seen["by"].items() if count)
    told = f"LEAKAGE: the model was fitted with a counterpart of {seen['images']} images ({by})"
    return iter([told] if seen["images"] else [])


def _findings(report: "MetricsReport") -> Iterator[str] | None:
    if not report.findings:
        return None
    return (content.warning for _, content in report.findings if getattr(content, "warning", ""))


def _one_class(report: "MetricsReport") -> Iterator[str]:
    counts = report.counts
    if counts.tp + counts.fp in (0, counts.n):
        called = "melanoma" if counts.tp else "benign"
        yield f"EVERY IMAGE IS CALLED {called.upper()}: figures at this threshold say nothing of the scores"


def _target(report: "MetricsReport") -> Iterator[str] | None:
    point = report.provenance.get("operating_point")
    target = _TARGET.match(point["rule"]) if point else None
    if target is None:
        return None
    return _missed(report, target[1], float(target[2]))


def _missed(report: "MetricsReport", name: str, aim: float) -> Iterator[str]:
    reached = report.metrics[name]
    if reached.value < aim:
        start = "TARGET MISSED" if reached.high < aim else "Target not reached, which may be chance"
        yield (
            f"{start}: the threshold was chosen for a {name} of at least {aim:g}; "
            f"here it is {describe(reached, report.confidence)}"
        )


def _no_better_than_chance(report: "MetricsReport") -> Iterator[str] | None:
    if "auc" not in report.metrics:
        return None
    return _compare_with_chance(report)


def _compare_with_chance(report: "MetricsReport") -> Iterator[str]:
    auc = report.metrics["auc"]
    told = f"the AUC is {describe(auc, report.confidence)}"
    if auc.high < 0.5:
        yield f"WORSE THAN CHANCE: {told}; check the order of the classes"
    elif auc.low <= 0.5:
        yield f"The scores may be no better than chance: {told}"


def _few(report: "MetricsReport") -> Iterator[str]:
    counts = report.counts
    few = [f"{n} {name}" for n, name in ((counts.n_melanoma, "melanoma"), (counts.n_benign, "benign")) if n < FEW]
    if few:
        yield f"Too few to judge by: only {' and '.join(few)}; each single image moves a figure by over a tenth"


def _miscalibration(report: "MetricsReport") -> Iterator[str] | None:
    return None if report.y_score is None else _misread_scores(report)


def _misread_scores(report: "MetricsReport") -> Iterator[str]:
    intercept, slope = (report.calibration[f"calibration_{name}"] for name in ("intercept", "slope"))
    wrong = []
    if intercept.low > 0 or intercept.high < 0:
        side = "too low" if intercept.value > 0 else "too high"
        wrong.append(f"{side} on the whole (calibration intercept {describe(intercept, report.confidence)})")
    if slope.low > 1 or slope.high < 1:
        side = "too moderate" if slope.value > 1 else "too extreme"
        wrong.append(f"{side} (calibration slope {describe(slope, report.confidence)})")
    if wrong:
        yield f"The scores are no probabilities here: they are {' and '.join(wrong)}; calibrate on validation images"


def _prevalence_by_choice(report: "MetricsReport") -> Iterator[str] | None:
    chosen = report.provenance["test_data"].get("prevalence_set_by")
    if "history" not in report.provenance["test_data"]:
        return None
    return iter([f"The share of melanomas is not that of the source but of a choice: {chosen}"] if chosen else [])


def _without_width(report: "MetricsReport") -> Iterator[str]:
    collapsed = [LABELS[name] for name, metric in report.metrics.items() if metric.low == metric.high]
    if collapsed:
        yield f"{COLLAPSED} ({', '.join(collapsed)})"


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
