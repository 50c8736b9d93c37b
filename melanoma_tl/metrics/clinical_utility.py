"""Net benefit at given thresholds, compared with cutting out all lesions, none, or with another model.

References
----------
.. [1] A. J. Vickers and E. B. Elkin, "Decision curve analysis: a novel method for
   evaluating prediction models", Medical Decision Making 26, 2006.
.. [2] K. F. Kerr, M. D. Brown, K. Zhu and H. Janes, "Assessing the clinical impact of risk
   prediction models with decision curves: guidance for correct interpretation and
   appropriate use", Journal of Clinical Oncology 34, 2016: the standardised net benefit, and
   the net benefit at another prevalence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import BOOTSTRAP, COLUMN, INSIDE, NAMES, NONE, checked, several
from melanoma_tl._tables import TitledTable
from melanoma_tl.metrics.decision_curves import benefit
from melanoma_tl.metrics.few import FACT, count_units, mark_few
from melanoma_tl.metrics.metric import COLLAPSED, MARK, Metric
from melanoma_tl.metrics.resampling import ScoreCounts, draw_groups, method_name, percentile_interval
from melanoma_tl.metrics.validation import check_bootstrap, check_lengths, check_scored

NAMED_THRESHOLDS = (0.05, 0.1, 0.2)
"""Default threshold probabilities: one melanoma is worth cutting out 20, 10 or 5 lesions."""


@dataclass(frozen=True)
class NetBenefit:
    """The net benefit of acting on the scores at one threshold probability.

    Parameters
    ----------
    threshold : float
        The probability of melanoma above which a lesion would be cut out.
    value : Metric
        Net benefit [1]_, compared with cutting out none: melanomas found per image, minus the false alarms per image
        weighted by the odds of the threshold. At most the prevalence.
    standardised : Metric
        Net benefit divided by its maximum, the prevalence [2]_: at most 1.
    over_all : Metric
        Net benefit minus that of cutting out all lesions.
    over_other : Metric or None
        Net benefit minus that of another model.
    """

    threshold: float
    value: Metric
    standardised: Metric
    over_all: Metric
    over_other: Metric | None = None


_COLUMNS = {
    "value": "net benefit",
    "standardised": "standardised",
    "over_all": "more than by cutting out all",
    "over_other": "more than by {other}",
}


@dataclass(frozen=True, eq=False)
class NetBenefits(TitledTable):
    """The net benefit of acting on the scores at several thresholds.

    Made by `net_benefit` or `MetricsReport.net_benefit`.

    Attributes
    ----------
    rows : tuple of NetBenefit
        One per threshold, in the order given.
    prevalence : float
        Prevalence of melanoma for which the net benefits hold.
    stated : bool
        Whether the prevalence was stated, and so is taken as known; otherwise it is that of the images, and is
        resampled with them.
    names : tuple of str
        Names of the model and of the other model.
    confidence : float
        Coverage of the intervals.
    """

    rows: tuple[NetBenefit, ...]
    prevalence: float
    stated: bool
    names: tuple[str, str]
    confidence: float

    def __repr__(self) -> str:
        return f"NetBenefits({self._title()}, {len(self.rows)} thresholds)"

    def to_dict(self) -> dict[str, Any]:
        """Write the net benefits as plain Python objects.

        Returns
        -------
        dict
            "rows" (each with "threshold", and the value, low, high, n and few of each metric), "prevalence", "stated",
            "names" and "confidence".
        """
        rows = [
            {"threshold": row.threshold} | {name: metric.to_dict() for name, metric in _metrics_of(row).items()}
            for row in self.rows
        ]
        return {key: value for key, value in asdict(self).items() if key != "rows"} | {"rows": rows}

    def to_frame(self) -> pd.DataFrame:
        """Return the net benefits as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row per threshold and metric: "threshold", "metric", "value", "low", "high", "n", "few".
        """
        return pd.DataFrame(
            [
                {"threshold": row.threshold, "metric": name} | metric.to_dict()
                for row in self.rows
                for name, metric in _metrics_of(row).items()
            ]
        )

    def _title(self) -> str:
        return f"Net benefit of acting on the scores of {self.names[0]}"

    def _facts(self) -> list[str]:
        origin = "as stated; the scores must be probabilities at it" if self.stated else "as among these images"
        facts = [
            f"Prevalence of melanoma {100 * self.prevalence:.3g} %, {origin}",
            "Cutting out none has the net benefit 0; the greatest there can be is the prevalence, or 1 standardised",
        ]
        if any(metric.few for row in self.rows for metric in _metrics_of(row).values()):
            facts.append(FACT)
        flat = [
            f"{row.threshold:g}" for row in self.rows if any(one.low == one.high for one in _metrics_of(row).values())
        ]
        return [*facts, f"{COLLAPSED} (at {', '.join(flat)})"] if flat else facts

    def _table(self) -> tuple[list[str], list[list[str]]]:
        interval = f"{100 * self.confidence:g} % interval"
        shown = [name for name in _COLUMNS if name in _metrics_of(self.rows[0])]
        header = ["threshold"]
        for name in shown:
            header += [_COLUMNS[name].format(other=self.names[1]), interval]
        rows = []
        for row in self.rows:
            cells = [f"{row.threshold:g}"]
            for name in shown:
                metric = _metrics_of(row)[name]
                mark = f" ({MARK})" if metric.few else ""
                cells += [f"{metric.value:.4f}", f"{metric.low:+.4f} to {metric.high:+.4f}{mark}"]
            rows.append(cells)
        return header, rows


@checked(
    thresholds=several(INSIDE, at_least=1), prevalence=INSIDE | NONE, names=NAMES, groups=COLUMN | NONE, **BOOTSTRAP
)
def net_benefit(
    y_true: ArrayLike,
    y_score: ArrayLike,
    thresholds: Sequence[float] = NAMED_THRESHOLDS,
    *,
    other_score: ArrayLike | None = None,
    prevalence: float | None = None,
    names: tuple[str, str] = ("this model", "the other"),
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> NetBenefits:
    """Compute the net benefit of acting on the scores at several thresholds.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Calibrated probabilities of melanoma, 0 to 1; thresholds on other scores have no meaning.
    thresholds : sequence of float, default=NAMED_THRESHOLDS
        Threshold probabilities, each between 0 and 1.
    other_score : array-like of shape (n,), optional
        Probabilities by another model, in the same order of images.
    prevalence : float, optional
        Prevalence of melanoma where the model will be used, between 0 and 1; that of these images by default. The
        scores are not converted: they must be calibrated for this prevalence.
    names : tuple of str, default=("this model", "the other")
        Names of the two models.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    NetBenefits
        All strategies are evaluated on the same resamples.

    Raises
    ------
    DatasetError
        If only one class occurs.
    ParameterError
        If lengths differ, or a parameter is out of its range.

    Notes
    -----
    ``net benefit = prevalence * sensitivity - (1 - prevalence) * (1 - specificity) * threshold / (1 - threshold)``
    [1]_ [2]_. All images are resampled together, or within each class where the prevalence is stated.

    Examples
    --------
    >>> found = net_benefit([0, 0, 0, 1], [0.1, 0.3, 0.6, 0.7], [0.2], n_resamples=100)
    >>> found.rows[0].value.value, round(found.rows[0].over_all.value, 4)
    (0.125, 0.0625)
    """
    truth, scores = check_scored(y_true, y_score)
    models = [scores] if other_score is None else [scores, check_scored(truth, other_score)[1]]
    check_bootstrap(confidence, n_resamples)
    check_lengths(len(truth), groups=groups)
    at = np.asarray(thresholds, dtype=np.float64)
    # Only the number of thresholds that a score exceeds matters: it replaces the score, which leaves few distinct ones.
    cuts = np.sort(at)
    levels = [np.searchsorted(cuts, values, side="left").astype(np.float64) for values in models]
    tallies = [ScoreCounts.of(truth, level) for level in levels]
    above = [tally.scores > np.searchsorted(cuts, at, side="left")[:, None] for tally in tallies]

    def measure(sides: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> NDArray[np.float64]:
        """Return net benefits per threshold, as rows: absolute, standardised, over all, over the other model."""
        return _gains(sides, above, at, prevalence)

    drawn = draw_groups(truth, levels, groups, n_resamples, random_state, stratified=prevalence is not None)
    resampled = np.concatenate([measure(sides) for sides in drawn], axis=-1)
    values = measure([(tally.melanoma[None], tally.benign[None]) for tally in tallies])[..., 0]
    ends = percentile_interval(values.ravel(), resampled.reshape(-1, n_resamples), confidence)
    low, high = ends.reshape(2, *values.shape)
    units = count_units(truth, groups)

    def told(i: int) -> Iterable[Metric]:
        """Return all metrics at one threshold."""
        metrics = {
            k: Metric(float(values[k, i]), float(low[k, i]), float(high[k, i]), len(truth), method_name(groups))
            for k in range(len(values))
        }
        return mark_few(metrics, units).values()

    rows = tuple(NetBenefit(float(threshold), *told(i)) for i, threshold in enumerate(at))
    shown = float(truth.mean()) if prevalence is None else float(prevalence)
    return NetBenefits(rows, shown, prevalence is not None, names, confidence)


def _gains(
    sides: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    above: Sequence[NDArray[np.bool_]],
    at: NDArray[np.float64],
    prevalence: float | None,
) -> NDArray[np.float64]:
    """Compute all metrics of the resamples: an array of shape (metrics, thresholds, resamples)."""
    at = at[:, None]
    melanoma, benign = sides[0]
    n_melanoma, n_benign = melanoma.sum(axis=-1), benign.sum(axis=-1)
    share = n_melanoma / (n_melanoma + n_benign) if prevalence is None else np.full(len(n_melanoma), prevalence)
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample may lack a class
        benefits = [
            benefit(share * (calls @ side[0].T / n_melanoma), (1 - share) * (calls @ side[1].T / n_benign), at)
            for side, calls in zip(sides, above, strict=True)
        ]
        of_all = benefit(share, 1 - share, at)
        own, *others = benefits
        return np.stack([own, own / share, own - of_all, *(own - other for other in others)])


def _metrics_of(row: NetBenefit) -> dict[str, Metric]:
    named = {name: getattr(row, name) for name in _COLUMNS}
    return {name: metric for name, metric in named.items() if metric is not None}
