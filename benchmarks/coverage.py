"""How often the intervals of a report hold the truth, on drawn scores of which the truth is known.

    python benchmarks/coverage.py results/coverage/epyc_2_cores.json

Scores are calibrated and binormal; with patients each has one to seven images (four on average), which share half of
the variance of the score and are melanomas together more often than chance has it. The class sizes are drawn with the
images or held fixed. `coverage_table` writes what is shown in the documentation.
"""

import argparse
import json
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from melanoma_tl.metrics.binary import score_metrics
from melanoma_tl.metrics.confusion import confusion_counts, proportion_metrics, threshold_metrics
from melanoma_tl.metrics.decision_curves import decision_curve
from melanoma_tl.metrics.intervals import auc_interval, average_precision_interval
from melanoma_tl.metrics.reliability import calibration_metrics
from melanoma_tl.metrics.sensitivity_specificity import specificity_at_sensitivity

SIZES, PREVALENCES, AUCS = (100, 150, 600), (0.2, 0.05), (0.75, 0.85, 0.97)
SENSITIVITIES = (0.8, 0.9, 0.95)
N_RESAMPLES = 200
"""Fewer than a report takes: what counts is the mean over many sets."""

_SHARED = 0.5  # of the variance of the score, within a patient
_PATIENTS_DIFFER = 3.0  # sum of the beta parameters of a patient's share of melanomas
_NET_BENEFIT_AT = 0.1

Interval = tuple[float, float]


class Setting(NamedTuple):
    """What is drawn."""

    n: int
    prevalence: float
    auc: float
    drawn: bool
    patients: bool

    @property
    def distance(self) -> float:
        """Between the classes, in standard deviations."""
        return float(np.sqrt(2) * norm.ppf(self.auc))


def list_settings() -> Iterator[Setting]:
    """All settings, with patients last."""
    for patients, n, prevalence, auc, drawn in product((False, True), SIZES, PREVALENCES, AUCS, (True, False)):
        yield Setting(n, prevalence, auc, drawn, patients)


def draw_design(setting: Setting, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Draw classes and patients, with two of each class at least."""
    while True:
        if setting.patients:
            sizes = rng.integers(1, 8, setting.n)
            patient = np.repeat(np.arange(setting.n), sizes)[: setting.n]
            alpha = setting.prevalence * _PATIENTS_DIFFER
            share = rng.beta(alpha, _PATIENTS_DIFFER - alpha, setting.n)[patient]
        else:
            patient, share = np.arange(setting.n), np.full(setting.n, setting.prevalence)
        truth = (rng.random(setting.n) < share).astype(np.int64)
        wanted = round(setting.n * setting.prevalence)
        if not setting.patients and not setting.drawn:
            truth = (np.arange(setting.n) < wanted).astype(np.int64)
        enough = len(np.unique(patient[truth == 1])) > 1
        if enough and (setting.drawn or truth.sum() == wanted):
            return truth, patient if setting.patients else None


def draw_scores(
    setting: Setting, truth: NDArray[np.int64], patient: NDArray[np.int64] | None, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw calibrated scores."""
    noise = rng.normal(size=setting.n)
    if patient is not None:
        noise = np.sqrt(_SHARED) * rng.normal(size=setting.n)[patient] + np.sqrt(1 - _SHARED) * noise
    d = setting.distance
    return expit(logit(setting.prevalence) + d * (d * truth + noise) - d**2 / 2)


def find_truth(setting: Setting) -> dict[str, float]:
    """Compute what the figures would be on endlessly many images; the threshold is the prevalence."""
    d, share = setting.distance, setting.prevalence
    x = np.linspace(-9, 9 + d, 40_001)
    density = share * norm.pdf(x - d) + (1 - share) * norm.pdf(x)
    score = expit(logit(share) + d * x - d**2 / 2)
    precision = share * norm.sf(x - d) / (share * norm.sf(x - d) + (1 - share) * norm.sf(x) + 1e-300)
    right, million = norm.cdf(d / 2), 1_000_000
    counts = [(1 - share) * right, (1 - share) * (1 - right), share * (1 - right), share * right]
    figures = threshold_metrics(*(round(million * count) for count in counts))
    figures |= {"auc": setting.auc, "average_precision": float(np.trapezoid(precision * norm.pdf(x - d), x))}
    figures |= {f"specificity at {q}": float(norm.cdf(d + norm.ppf(1 - q))) for q in SENSITIVITIES}
    sensitivities = np.linspace(0.8, 1, 20_001)
    figures["partial_auc"] = float(np.trapezoid(norm.cdf(d + norm.ppf(1 - sensitivities)), sensitivities))
    entropy = -score * np.log(score) - (1 - score) * np.log1p(-score)
    figures |= {
        "brier": float(np.trapezoid(density * score * (1 - score), x)),
        "log_loss": float(np.trapezoid(density * entropy, x)),
        "ece_quantile": 0.0,
        "ece_uniform": 0.0,
        "calibration_intercept": 0.0,
        "calibration_slope": 1.0,
    }
    at = (logit(_NET_BENEFIT_AT) - logit(share) + d**2 / 2) / d
    odds = _NET_BENEFIT_AT / (1 - _NET_BENEFIT_AT)
    figures["net benefit"] = float(share * norm.sf(at - d) - (1 - share) * norm.sf(at) * odds)
    return figures


def by_formula(setting: Setting, truth: Any, scores: Any, patient: Any) -> Iterator[tuple[str, Interval]]:
    """Intervals that need no resamples."""
    for name, interval in (("auc", auc_interval), ("average_precision", average_precision_interval)):
        _, low, high, _ = interval(truth, scores, patient, 0.95)
        yield name, (low, high)
    found = specificity_at_sensitivity(truth, scores, SENSITIVITIES, n_resamples=N_RESAMPLES, groups=patient)
    for at in found:
        yield f"specificity at {at.sensitivity}", (at.interpolated.low, at.interpolated.high)
    if patient is None:
        for name, metric in proportion_metrics(confusion_counts(truth, scores, setting.prevalence)).items():
            yield name, (metric.low, metric.high)


def by_resampling(setting: Setting, truth: Any, scores: Any, patient: Any) -> Iterator[tuple[str, Interval]]:
    """Intervals that need resamples."""
    options = {"n_resamples": N_RESAMPLES, "groups": patient}
    figures = score_metrics(truth, scores, threshold=setting.prevalence, **options)
    figures |= calibration_metrics(truth, scores, **options)
    for name, metric in figures.items():
        if metric.method not in ("wilson", "newcombe") and "logit" not in metric.method:
            yield name, (metric.low, metric.high)
    curve = decision_curve(truth, scores, [_NET_BENEFIT_AT], **options)
    yield "net benefit", (float(curve.low[0]), float(curve.high[0]))


def measure(setting: Setting, n_sets: int, n_resampled: int, seed: int = 0) -> dict[str, Any]:
    """Count how often each interval holds the truth."""
    rng, truth = np.random.default_rng(seed), find_truth(setting)
    held: dict[str, list[int]] = {}
    design = draw_design(setting, rng)
    for number in range(n_sets):
        design = draw_design(setting, rng) if setting.drawn else design
        scores = draw_scores(setting, *design, rng)
        found = list(by_formula(setting, design[0], scores, design[1]))
        if number < n_resampled:
            found += by_resampling(setting, design[0], scores, design[1])
        for name, (low, high) in found:
            if not np.isnan(low):
                held.setdefault(name, []).append(int(low - 1e-9 <= truth[name] <= high + 1e-9))
    coverage = {name: {"sets": len(hits), "held": round(float(np.mean(hits)), 4)} for name, hits in held.items()}
    return {**setting._asdict(), "coverage": coverage}


_COLUMNS = {
    "AUC": ("auc",),
    "AP": ("average_precision",),
    "sp. at 80 %": ("specificity at 0.8",),
    "sp. at 90 %": ("specificity at 0.9",),
    "sp. at 95 %": ("specificity at 0.95",),
    "sens., spec.": ("sensitivity", "specificity"),
    "acc., PPV, NPV": ("accuracy", "precision", "npv"),
    "bal. acc., F1, IoU": ("balanced_accuracy", "f1", "iou_melanoma", "iou_benign"),
    "Brier, log loss": ("brier", "log_loss"),
    "intercept, slope": ("calibration_intercept", "calibration_slope"),
    "net benefit at 10 %": ("net benefit",),
}


def coverage_table(measured: list[dict[str, Any]]) -> str:
    """Write mean coverage in per cent as Markdown, "few" where it is below 93 %."""
    lines = ["| images | melanoma | patients | " + " | ".join(_COLUMNS) + " |", "| --- " * (3 + len(_COLUMNS)) + "|"]
    for patients, n, prevalence in product((False, True), SIZES, PREVALENCES):
        rows = [
            row["coverage"]
            for row in measured
            if (row["patients"], row["n"], row["prevalence"]) == (patients, n, prevalence)
        ]
        cells = []
        for names in _COLUMNS.values():
            values = [100 * row[name]["held"] for row in rows for name in names if name in row]
            mean = float(np.mean(values)) if values else float("nan")
            cells.append("-" if not values else f"{mean:.1f}{' few' if mean < 93 else ''}")
        lines.append(f"| {n} | {100 * prevalence:g} % | {'yes' if patients else 'no'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure all settings, and write JSON and the table beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--sets", type=int, default=2000, help="of each setting, for intervals by formula")
    parser.add_argument("--resampled", type=int, default=400, help="of these, for intervals by resampling")
    arguments = parser.parse_args()
    measured, start = [], time.monotonic()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    kept = {"n_resamples": N_RESAMPLES, "sets": arguments.sets, "resampled_sets": arguments.resampled}
    for seed, setting in enumerate(list_settings()):
        measured.append(measure(setting, arguments.sets, arguments.resampled, seed))
        # Written each time: what is measured when somebody stops it is not lost.
        arguments.output.write_text(json.dumps({**kept, "settings": measured}, indent=1) + "\n")
        arguments.output.with_suffix(".md").write_text(coverage_table(measured) + "\n")
        print(f"{time.monotonic() - start:6.0f} s  {setting}", flush=True)


if __name__ == "__main__":
    main()
