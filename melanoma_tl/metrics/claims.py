"""Consistency checks: whether published metrics can come from one confusion matrix.

With the class sizes known, a confusion matrix has only two free counts, so that
every possible matrix can be tried. A metric that no matrix gives was not
measured in one run on those images, and metrics that no single matrix gives
together were not measured in the same run. Papers also print means over runs or folds,
metrics that are truncated or rounded up, and averages over both classes: these are
tried before a metric is called impossible. Kovacs and Fazekas [1]_ test other
protocols, such as folds and several data sets; the tests compare this module with
their package mlscorecheck.

References
----------
.. [1] G. Kovacs and A. Fazekas, "mlscorecheck: Testing the consistency of reported
   performance scores and experiments in machine learning", Neurocomputing 583, 2024.
.. [2] B. W. Matthews, "Comparison of the predicted and observed secondary structure of
   T4 phage lysozyme", Biochimica et Biophysica Acta 405, 1975; 0 where it is undefined
   follows D. Chicco and G. Jurman, "The advantages of the Matthews correlation
   coefficient (MCC) over F1 score and accuracy in binary classification evaluation",
   BMC Genomics 21, 2020.
.. [3] J. Cohen, "A coefficient of agreement for nominal scales", Educational and
   Psychological Measurement 20, 1960.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._parameters import TABLE, checked
from melanoma_tl._tables import markdown_table, text_table
from melanoma_tl.errors import DatasetError, ParameterError, UnknownNameError
from melanoma_tl.metrics.confusion import CONFUSION_METRICS, COUNTS, ConfusionCounts, confusion_metric
from melanoma_tl.metrics.metric import LABELS, RANGES, UNBOUNDED

ALIASES = {
    "recall": "sensitivity",
    "tpr": "sensitivity",
    "tnr": "specificity",
    "ppv": "precision",
    "dice": "f1",
    "iou": "iou_melanoma",
    "jaccard": "iou_melanoma",
    "matthews_corrcoef": "mcc",
    "cohen_kappa": "kappa",
    "mean_iou": "macro_iou",
    "miou": "macro_iou",
    "macro_recall": "balanced_accuracy",
    "macro_sensitivity": "balanced_accuracy",
    "macro_specificity": "balanced_accuracy",
    "weighted_recall": "accuracy",
    "weighted_sensitivity": "accuracy",
    "macro_dice": "macro_f1",
    "weighted_dice": "weighted_f1",
}
"""Other names under which papers print the metrics of a confusion matrix."""

_Formula = Callable[..., NDArray[np.float64]]


def _mcc(tn: Any, fp: Any, fn: Any, tp: Any) -> NDArray[np.float64]:
    """Compute Matthews's correlation coefficient; 0 where all predictions are the same, as in scikit-learn."""
    return np.nan_to_num(confusion_metric("mcc", tn, fp, fn, tp))


def _averaged(name: str, weighted: bool, tn: Any, fp: Any, fn: Any, tp: Any) -> NDArray[np.float64]:
    """Average a metric over both classes, by their sizes if weighted; undefined counts as 0, as in scikit-learn."""
    melanoma = np.nan_to_num(confusion_metric(name, tn, fp, fn, tp))
    benign = np.nan_to_num(confusion_metric(name, tp, fn, fp, tn))
    n_melanoma, n_benign = (tp + fn, tn + fp) if weighted else (1, 1)
    return (n_melanoma * melanoma + n_benign * benign) / (n_melanoma + n_benign)


class _Claimed(NamedTuple):
    label: str
    formula: _Formula


_AVERAGES = {
    "precision": ("macro_precision", "weighted_precision"),
    "f1": ("macro_f1", "weighted_f1"),
    "iou_melanoma": ("macro_iou", "weighted_iou"),
    "sensitivity": ("balanced_accuracy", "accuracy"),
    "specificity": ("balanced_accuracy", "weighted_specificity"),
}
"""The macro and the weighted average of each metric over both classes."""

_OF_MATRIX = tuple(name for name in CONFUSION_METRICS if name not in UNBOUNDED)

_METRICS: dict[str, _Claimed] = {
    **{name: _Claimed(LABELS[name], partial(confusion_metric, name)) for name in _OF_MATRIX},
    "mcc": _Claimed("MCC", _mcc),
    **{
        f"{kind}_{short}": _Claimed(f"{kind} average of {short}", partial(_averaged, name, kind == "weighted"))
        for short, name in (("precision", "precision"), ("f1", "f1"), ("iou", "iou_melanoma"))
        for kind in ("macro", "weighted")
    },
    "weighted_specificity": _Claimed("weighted average of specificity", partial(_averaged, "specificity", True)),
}

CLAIMED = tuple(_METRICS)
"""The metrics that can be checked."""

ROUNDINGS = ("nearest", "down", "up")
"""How a published metric may have been rounded; "down" truncates."""

# A grid of float64 then takes at most 40 MB; 2,200 images of each class still fit.
_MAX_MATRICES = 5_000_000
_MAX_LISTED = 5
_MAX_RUNS = 1000
# Floats of the same rational number may differ in their last bits; no published metric has this many digits.
_SLACK = 1e-10


class MatrixFit(NamedTuple):
    """A confusion matrix and the claims that it satisfies."""

    counts: ConfusionCounts
    satisfied: tuple[str, ...]


@dataclass(frozen=True)
class ClaimRow:
    """One claimed metric, compared with a confusion matrix.

    Parameters
    ----------
    name : str
        The metric, one of `CLAIMED`.
    claimed : str
        The claim as given.
    value : float
        The metric of the given matrix, 0 to 1; NaN where undefined.
    agrees : bool
        Whether `value` equals the claim at its printed precision.
    same_as : tuple of str
        Other metrics of the given matrix that equal the claim at its printed precision, including averages over
        both classes.
    rounded : str
        "down" or "up" where the claim is `value` rounded in this way; empty otherwise.
    possible : bool or None
        Whether any matrix with these class sizes gives the claim, rounded to the nearest; None if there are too
        many matrices to try.
    nearest : tuple of float
        For a claim that no matrix gives, the nearest possible values below and above it.
    readings : tuple of str
        For a claim that no matrix gives, what else it could be: an average over runs or folds, a metric
        rounded down or up, or an average over both classes.
    """

    name: str
    claimed: str
    value: float
    agrees: bool
    same_as: tuple[str, ...]
    rounded: str
    possible: bool | None
    nearest: tuple[float, ...]
    readings: tuple[str, ...]


@dataclass(frozen=True)
class ClaimsCheck:
    """What `check_claims` found.

    Parameters
    ----------
    counts : ConfusionCounts
        The given matrix.
    rows : tuple of ClaimRow
        One per claim, in the order given.
    n_matrices : int
        Number of matrices with these class sizes that were tried; 0 if there are too many.
    n_best : int
        Number of matrices that satisfy the largest number of claims.
    best : tuple of MatrixFit
        The first few of these, with the claims that each satisfies.
    rounding : str
        One of `ROUNDINGS`: the rounding that is assumed for all claims. "down" or "up" only if one matrix then
        satisfies more claims than with "nearest".
    """

    counts: ConfusionCounts
    rows: tuple[ClaimRow, ...]
    n_matrices: int
    n_best: int
    best: tuple[MatrixFit, ...]
    rounding: str = "nearest"

    @property
    def consistent(self) -> bool:
        """Whether one matrix gives all claims, all rounded alike; only the given one if there are too many to try."""
        if self.n_matrices:
            return bool(self.best) and len(self.best[0].satisfied) == len(self.rows)
        return all(row.agrees for row in self.rows)

    def __str__(self) -> str:
        tn, fp, fn, tp = self.counts
        notes = [f"{_METRICS[row.name].label}: {self._finding(row)}" for row in self.rows if not row.agrees]
        return "\n".join(
            [
                f"Claims against the matrix TN {tn}, FP {fp}, FN {fn}, TP {tp}",
                text_table(["metric", "claimed", "this matrix", "agrees"], self._cells()),
                *notes,
                self._conclusion(),
            ]
        )

    def to_markdown(self) -> str:
        """Write the check as Markdown.

        Returns
        -------
        str
            A table with one row per claim, and the conclusion.
        """
        rows = [[*cells, self._finding(row)] for cells, row in zip(self._cells(), self.rows, strict=True)]
        header = ["metric", "claimed", "this matrix", "agrees", "finding"]
        return f"{markdown_table(header, rows)}\n\n{self._conclusion()}\n"

    def _cells(self) -> list[list[str]]:
        return [
            [_METRICS[row.name].label, row.claimed, _percent(row.value), "yes" if row.agrees else "NO"]
            for row in self.rows
        ]

    def _finding(self, row: ClaimRow) -> str:
        if row.agrees:
            return ""
        parts = [f"equals this matrix's {_METRICS[other].label}" for other in row.same_as]
        parts += [f"is this matrix's metric rounded {row.rounded}"] if row.rounded else []
        sizes = f"{self.counts.n_melanoma} melanoma and {self.counts.n_benign} benign images"
        if row.possible is False:
            denominator = _fixed_denominator(row.name, self.counts)
            nothing = f"no k/{denominator} equals it" if denominator else f"no matrix of {sizes} gives it"
            nearest = f"; nearest {', '.join(map(_percent, row.nearest))}" if row.nearest else ""
            could = f"could be {' or '.join(row.readings)}" if row.readings else "nor an average or a truncation"
            parts.append(f"not from one run on these images ({nothing}{nearest}); {could}")
        elif row.possible:
            parts.append(f"possible with {sizes}, but not in this matrix")
        else:
            parts.append(f"not in this matrix; others with {sizes} are too many to try")
        return "; ".join(parts)

    def _conclusion(self) -> str:
        if not self.n_matrices:
            return "Only this matrix was tried: with these class sizes there are too many others."
        tried = f"the {self.n_matrices:,} matrices of {self.counts.n_melanoma} melanoma, {self.counts.n_benign} benign"
        if not self.best:
            return f"None of {tried} gives any of the claims."
        fits = [
            f"TN {fit.counts.tn}, FP {fit.counts.fp}, FN {fit.counts.fn}, TP {fit.counts.tp} "
            f"({', '.join(_METRICS[name].label for name in fit.satisfied)})"
            for fit in self.best
        ]
        more = f"; and {self.n_best - len(fits)} more" if self.n_best > len(fits) else ""
        rounded = "" if self.rounding == "nearest" else f", taken as rounded {self.rounding}"
        return (
            f"At most {len(self.best[0].satisfied)} of the {len(self.rows)} claims hold in one matrix{rounded}. "
            f"Of {tried}, {self.n_best:,} {'gives' if self.n_best == 1 else 'give'} so many: {'; '.join(fits)}{more}."
        )


@checked(counts=COUNTS, claims=TABLE)
def check_claims(counts: ConfusionCounts, claims: Mapping[str, float | str]) -> ClaimsCheck:
    """Check whether claimed metrics can come from one confusion matrix, and what else they could be.

    Parameters
    ----------
    counts : ConfusionCounts
        The matrix to compare with; its class sizes determine which other matrices are possible.
    claims : mapping of str to float or str
        Names of metrics (`CLAIMED`), or their `ALIASES`, and their values: a fraction (0.8667,
        "0.8667") or, above 1 or with a per cent sign, a percentage (86.67, "86.67 %").
        A claim holds if it differs by at most half a unit of its last printed digit. Pass a
        string to keep trailing zeros ("0.950"). "macro precision", "weighted_f1"
        or "precision_weighted" name averages over both classes; MCC and kappa may be negative.

    Returns
    -------
    ClaimsCheck
        One row per claim, and the matrices that satisfy the most claims.

    Raises
    ------
    UnknownNameError
        If a name is not a metric of a confusion matrix.
    DatasetError
        If the matrix has no image.
    ParameterError
        If there are no claims, one is given twice, or a value is neither a fraction nor a percentage.

    Examples
    --------
    >>> check = check_claims(ConfusionCounts(tn=72, fp=3, fn=17, tp=58), {"accuracy": "86.67 %", "recall": 82.25})
    >>> [row.agrees for row in check.rows], check.rows[1].possible
    ([True, False], False)
    """
    parsed = _parse_all(claims)
    if not counts.n:
        raise DatasetError("counts has no image: give the class sizes that the claims are about")
    n_melanoma, n_benign = counts.n_melanoma, counts.n_benign
    n_matrices = (n_melanoma + 1) * (n_benign + 1)
    if n_matrices > _MAX_MATRICES:
        return ClaimsCheck(counts, tuple(_row(claim, counts, None) for claim in parsed), 0, 0, ())

    tp, fp = np.ogrid[: n_melanoma + 1, : n_benign + 1]
    every = (n_benign - fp, fp, n_melanoma - tp, tp)
    n_satisfied = np.zeros((len(ROUNDINGS), n_melanoma + 1, n_benign + 1), dtype=np.int8)
    rows = []
    for claim in parsed:
        values = np.broadcast_to(_METRICS[claim.name].formula(*every), n_satisfied.shape[1:])
        for held, rounding in zip(n_satisfied, ROUNDINGS, strict=True):
            held += claim.holds(values, rounding)
        rows.append(_row(claim, counts, every))
    most_of = n_satisfied.max(axis=(1, 2))
    number = int(most_of.argmax())  # the first of equals: to the nearest
    cells = np.argwhere(n_satisfied[number] == most_of[number]) if most_of[number] else np.empty((0, 2), dtype=int)
    best = [
        _fit(ConfusionCounts(n_benign - fp, fp, n_melanoma - tp, tp), parsed, ROUNDINGS[number])
        for tp, fp in cells[:_MAX_LISTED].tolist()
    ]
    return ClaimsCheck(counts, tuple(rows), n_matrices, len(cells), tuple(best), ROUNDINGS[number])


class _Claim(NamedTuple):
    name: str
    claimed: str
    value: float
    unit: float  # of the last printed digit

    def holds(self, values: NDArray[np.float64], rounding: str = "nearest") -> NDArray[np.bool_]:
        """Return which values equal the claim when rounded to its printed digits."""
        above = np.asarray(values) - self.value
        if rounding == "nearest":
            return np.abs(above) <= self.unit / 2 + _SLACK
        cut = above if rounding == "down" else -above
        return (cut >= -_SLACK) & (cut < self.unit - _SLACK)


def _parse_all(claims: Mapping[str, float | str]) -> list[_Claim]:
    if not claims:
        raise ParameterError("There are no claims to check; give some, such as {'accuracy': '86.67 %'}")
    parsed = [_parse(name, given) for name, given in claims.items()]
    names = [claim.name for claim in parsed]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ParameterError(f"{twice} claimed twice under different names, got {list(claims)}; check them one by one")
    return parsed


def _parse(name: str, given: float | str) -> _Claim:
    key = str(name).strip().lower().replace(" ", "_").replace("-", "_")
    key = re.sub(r"^(.+)_(macro|weighted)$", r"\2_\1", key)  # as scikit-learn names its scorers
    key = ALIASES.get(key, key)
    if key not in _METRICS:
        hint = "AUC and average precision need scores: no confusion matrix gives them."
        raise UnknownNameError("metric of a confusion matrix", name, {*_METRICS, *ALIASES}, hint)
    text = str(given).strip()
    try:
        digits = Decimal(text.removesuffix("%").strip())
        # A decimal's exponent is the place of its last printed digit (a letter for NaN and infinity).
        unit = Decimal(1).scaleb(int(digits.as_tuple().exponent))
    except (InvalidOperation, ValueError):
        digits, unit = Decimal(-200), Decimal(1)
    scale = 100 if text.endswith("%") or abs(digits) > 1 else 1
    least = scale * RANGES.get(key, (0, 1))[0]
    if not least <= digits <= scale or (scale == 1 and unit >= 1):
        raise ParameterError(
            f"The claim {name!r} must be a fraction such as 0.8667 or a percentage such as '86.67 %' or 86.67, "
            f"got {given!r}; write all the digits that were printed"
        )
    return _Claim(key, text, float(digits / scale), float(unit / scale))


def _row(claim: _Claim, counts: ConfusionCounts, every: tuple[Any, Any, Any, Any] | None) -> ClaimRow:
    """Check one claim; `every` holds the counts of all matrices, or None if there are too many."""
    value = float(_METRICS[claim.name].formula(*counts))
    agrees = bool(claim.holds(np.asarray(value)))
    others = [name for name in (*_OF_MATRIX, *_AVERAGES.get(claim.name, ())) if name != claim.name]
    held = [name for name in others if claim.holds(_METRICS[name].formula(*counts))]
    rounded = [way for way in ROUNDINGS[1:] if claim.holds(np.asarray(value), way)]
    possible: bool | None = None
    nearest: tuple[float, ...] = ()
    readings: tuple[str, ...] = ()
    if every is not None:
        values = _METRICS[claim.name].formula(*every)
        possible = bool(claim.holds(values).any())
        if not possible:
            nearest, readings = _nearest(claim.value, values), tuple(_readings(claim, values, counts, every))
    return ClaimRow(
        name=claim.name,
        claimed=claim.claimed,
        value=value,
        agrees=agrees,
        same_as=() if agrees else tuple(dict.fromkeys(held)),
        rounded="" if agrees or not rounded else rounded[0],
        possible=possible,
        nearest=nearest,
        readings=readings,
    )


def _nearest(value: float, values: NDArray[np.float64]) -> tuple[float, ...]:
    """Find the nearest values below and above, where there are any."""
    sides = (values[values < value], values[values > value])
    return tuple(float(end(side)) for end, side in zip((np.max, np.min), sides, strict=True) if side.size)


def _readings(
    claim: _Claim, values: NDArray[np.float64], counts: ConfusionCounts, every: tuple[Any, Any, Any, Any]
) -> Iterator[str]:
    """Return what a claim could be if no matrix gives it, rounded to the nearest."""
    if np.nanmin(values) <= claim.value <= np.nanmax(values):
        denominator = _fixed_denominator(claim.name, counts)
        runs = f"at least {_fewest_runs(claim, denominator)} runs" if denominator else "runs"
        yield f"an average over {runs} or over folds"
    for way in ROUNDINGS[1:]:
        if claim.holds(values, way).any():
            yield f"a metric rounded {way}"
    for name in _AVERAGES.get(claim.name, ()):
        if claim.holds(_METRICS[name].formula(*every)).any():
            yield f"the {_averages_label(claim.name, name)}"


def _fewest_runs(claim: _Claim, denominator: int) -> int:
    """Return the smallest number of runs whose mean of k/denominator can equal the claim, at most `_MAX_RUNS`."""
    runs = np.arange(2, _MAX_RUNS + 1)
    held = claim.holds(np.round(claim.value * runs * denominator) / (runs * denominator))
    return int(runs[held.argmax()]) if held.any() else _MAX_RUNS


def _averages_label(name: str, average: str) -> str:
    """Return the label of an average over both classes."""
    kind = "weighted" if average == "accuracy" or average.startswith("weighted") else "macro"
    return f"{kind} average of {LABELS[name].partition(' (')[0].lower() if name != 'iou_melanoma' else 'IoU'}"


def _fit(counts: ConfusionCounts, claims: list[_Claim], rounding: str) -> MatrixFit:
    held = [claim.name for claim in claims if claim.holds(_METRICS[claim.name].formula(*counts), rounding)]
    return MatrixFit(counts, tuple(held))


def _fixed_denominator(name: str, counts: ConfusionCounts) -> int | None:
    """Return the denominator of a metric, where the class sizes determine it."""
    sizes = {"sensitivity": counts.n_melanoma, "specificity": counts.n_benign, "accuracy": counts.n}
    return sizes.get(name)


def _percent(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.2%}".replace("%", " %")
