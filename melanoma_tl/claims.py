"""Whether the figures that somebody printed can come from one confusion matrix.

With the class sizes known, a confusion matrix has only two free counts, so that
every possible one can be tried. A figure that none of them gives was not
measured on those images; figures that no single matrix gives together were not
measured in one run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.metrics import CONFUSION_METRICS, LABELS, UNBOUNDED, ConfusionCounts, confusion_metric
from melanoma_tl.parameters import TABLE, checked, instance
from melanoma_tl.tables import markdown_table, text_table

ALIASES = {
    "recall": "sensitivity",
    "tpr": "sensitivity",
    "tnr": "specificity",
    "ppv": "precision",
    "dice": "f1",
    "iou": "iou_melanoma",
    "jaccard": "iou_melanoma",
}
"""Other names under which papers print the figures of a confusion matrix."""

_KNOWN = tuple(name for name in CONFUSION_METRICS if name not in UNBOUNDED)

# A grid of one float64 an entry is then at most 40 MB; 2,200 images of each class still fit.
_MAX_MATRICES = 5_000_000
_MAX_LISTED = 5
# Floats of the same rational number may differ in their last bits; no printed figure has this many digits.
_SLACK = 1e-10


class MatrixFit(NamedTuple):
    """A confusion matrix and the claims that it satisfies."""

    counts: ConfusionCounts
    satisfied: tuple[str, ...]


@dataclass(frozen=True)
class ClaimRow:
    """One claimed figure, held against a confusion matrix.

    Parameters
    ----------
    name : str
        The figure, one of ``melanoma_tl.metrics.CONFUSION_METRICS``.
    claimed : str
        The claim as it was given.
    value : float
        The figure of the matrix at hand, 0 to 1; NaN where undefined.
    agrees : bool
        Whether `value` is the claim at its printed precision.
    same_as : tuple of str
        Other figures of the matrix at hand that are the claim at its printed precision.
    possible : bool or None
        Whether any matrix with these class sizes gives the claim; None when they are too many to try.
    nearest : tuple of float
        For an impossible claim, the nearest values below and above it that are possible.
    """

    name: str
    claimed: str
    value: float
    agrees: bool
    same_as: tuple[str, ...]
    possible: bool | None
    nearest: tuple[float, ...]


@dataclass(frozen=True)
class ClaimsCheck:
    """What `check_claims` found.

    Parameters
    ----------
    counts : ConfusionCounts
        The matrix at hand.
    rows : tuple of ClaimRow
        One a claim, in the order given.
    n_matrices : int
        How many matrices with these class sizes were tried; 0 when they are too many.
    n_best : int
        How many of them satisfy as many claims as any does.
    best : tuple of MatrixFit
        The first few of those, with the claims that each satisfies.
    """

    counts: ConfusionCounts
    rows: tuple[ClaimRow, ...]
    n_matrices: int
    n_best: int
    best: tuple[MatrixFit, ...]

    @property
    def consistent(self) -> bool:
        """Whether one matrix gives every claim (only the matrix at hand is asked when they are too many to try)."""
        if self.n_matrices:
            return bool(self.best) and len(self.best[0].satisfied) == len(self.rows)
        return all(row.agrees for row in self.rows)

    def __str__(self) -> str:
        tn, fp, fn, tp = self.counts
        notes = [f"{LABELS[row.name]}: {self._finding(row)}" for row in self.rows if not row.agrees]
        return "\n".join(
            [
                f"Claims against the matrix TN {tn}, FP {fp}, FN {fn}, TP {tp}",
                text_table(["figure", "claimed", "this matrix", "agrees"], self._cells()),
                *notes,
                self._conclusion(),
            ]
        )

    def to_markdown(self) -> str:
        """Write the check as Markdown.

        Returns
        -------
        str
            A table with one row a claim, and the conclusion.
        """
        rows = [[*cells, self._finding(row)] for cells, row in zip(self._cells(), self.rows, strict=True)]
        header = ["figure", "claimed", "this matrix", "agrees", "finding"]
        return f"{markdown_table(header, rows)}\n\n{self._conclusion()}\n"

    def _cells(self) -> list[list[str]]:
        return [
            [LABELS[row.name], row.claimed, _percent(row.value), "yes" if row.agrees else "NO"] for row in self.rows
        ]

    def _finding(self, row: ClaimRow) -> str:
        if row.agrees:
            return ""
        parts = [f"equals this matrix's {LABELS[other]}" for other in row.same_as]
        sizes = f"{self.counts.n_melanoma} melanoma and {self.counts.n_benign} benign images"
        if row.possible is False:
            denominator = _fixed_denominator(row.name, self.counts)
            nothing = f"no k/{denominator} equals it" if denominator else f"no matrix of {sizes} gives it"
            parts.append(f"impossible: {nothing}; nearest {', '.join(map(_percent, row.nearest))}")
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
            f"({', '.join(LABELS[name] for name in fit.satisfied)})"
            for fit in self.best
        ]
        more = f"; and {self.n_best - len(fits)} more" if self.n_best > len(fits) else ""
        return (
            f"At most {len(self.best[0].satisfied)} of the {len(self.rows)} claims hold in one matrix. "
            f"Of {tried}, {self.n_best:,} {'gives' if self.n_best == 1 else 'give'} so many: {'; '.join(fits)}{more}."
        )


@checked(counts=instance(ConfusionCounts), claims=TABLE)
def check_claims(counts: ConfusionCounts, claims: Mapping[str, float | str]) -> ClaimsCheck:
    """Find which claimed figures cannot come from one confusion matrix.

    Parameters
    ----------
    counts : ConfusionCounts
        The matrix at hand; its class sizes say which other matrices are possible.
    claims : mapping of str to float or str
        Names of figures, or their `ALIASES`, and their values: a fraction (0.8667,
        "0.8667") or, above 1 or with a per cent sign, a percentage (86.67, "86.67 %").
        A claim holds when it differs by at most half a unit of its last printed
        digit; a string keeps the zeros at its end ("0.950").

    Returns
    -------
    ClaimsCheck
        A row a claim, and the matrices that satisfy the most of them.

    Raises
    ------
    UnknownNameError
        If a name is not that of a figure of a confusion matrix.
    ParameterError
        If there are no claims, one is given twice, or a value is no fraction and no percentage.

    Examples
    --------
    >>> check = check_claims(ConfusionCounts(tn=72, fp=3, fn=17, tp=58), {"accuracy": "86.67 %", "recall": 82.25})
    >>> [row.agrees for row in check.rows], check.rows[1].possible
    ([True, False], False)
    """
    parsed = _parse_all(claims)
    here = {name: float(confusion_metric(name, *counts)) for name in _KNOWN}
    n_melanoma, n_benign = counts.n_melanoma, counts.n_benign
    n_matrices = (n_melanoma + 1) * (n_benign + 1)
    if n_matrices > _MAX_MATRICES:
        return ClaimsCheck(counts, tuple(_row(claim, here, None) for claim in parsed), 0, 0, ())

    tp, fp = np.ogrid[: n_melanoma + 1, : n_benign + 1]
    n_satisfied = np.zeros((n_melanoma + 1, n_benign + 1), dtype=np.int8)
    rows = []
    for claim in parsed:
        values = confusion_metric(claim.name, n_benign - fp, fp, n_melanoma - tp, tp)
        n_satisfied += claim.holds(values)
        rows.append(_row(claim, here, values))
    most = n_satisfied.max()
    cells = np.argwhere(n_satisfied == most) if most else np.empty((0, 2), dtype=int)
    best = [
        _fit(ConfusionCounts(n_benign - fp, fp, n_melanoma - tp, tp), parsed) for tp, fp in cells[:_MAX_LISTED].tolist()
    ]
    return ClaimsCheck(counts, tuple(rows), n_matrices, len(cells), tuple(best))


class _Claim(NamedTuple):
    name: str
    claimed: str
    value: float
    tolerance: float

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.abs(values - self.value) <= self.tolerance + _SLACK


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
    key = ALIASES.get(key, key)
    if key not in _KNOWN:
        hint = "AUC and average precision need scores: no confusion matrix gives them."
        raise UnknownNameError("figure of a confusion matrix", name, {*_KNOWN, *ALIASES}, hint)
    text = str(given).strip()
    try:
        digits = Decimal(text.removesuffix("%").strip())
        # A decimal's exponent is the place of its last printed digit (a letter for NaN and infinity).
        unit = Decimal(1).scaleb(int(digits.as_tuple().exponent))
    except (InvalidOperation, ValueError):
        digits, unit = Decimal(-1), Decimal(1)
    scale = 100 if text.endswith("%") or digits > 1 else 1
    if not 0 <= digits <= scale or (scale == 1 and unit >= 1):
        raise ParameterError(
            f"The claim {name!r} must be a fraction such as 0.8667 or a percentage such as '86.67 %' or 86.67, "
            f"got {given!r}; write all the digits that were printed"
        )
    return _Claim(key, text, float(digits / scale), float(unit / 2 / scale))


def _row(claim: _Claim, here: dict[str, float], values: NDArray[np.float64] | None) -> ClaimRow:
    """Judge one claim; `values` are those that its figure takes over all matrices, if they were tried."""
    agreeing = [name for name, value in here.items() if claim.holds(np.asarray(value))]
    possible = None if values is None else bool(claim.holds(values).any())
    nearest: tuple[float, ...] = ()
    if values is not None and not possible:
        sides = (values[values < claim.value], values[values > claim.value])
        nearest = tuple(float(end(side)) for end, side in zip((np.max, np.min), sides, strict=True) if side.size)
    agrees = claim.name in agreeing
    same_as = () if agrees else tuple(agreeing)
    return ClaimRow(claim.name, claim.claimed, here[claim.name], agrees, same_as, possible, nearest)


def _fit(counts: ConfusionCounts, claims: list[_Claim]) -> MatrixFit:
    held = [claim.name for claim in claims if claim.holds(confusion_metric(claim.name, *counts))]
    return MatrixFit(counts, tuple(held))


def _fixed_denominator(name: str, counts: ConfusionCounts) -> int | None:
    sizes = {"sensitivity": counts.n_melanoma, "specificity": counts.n_benign, "accuracy": counts.n}
    return sizes.get(name)


def _percent(value: float) -> str:
    return "undefined" if np.isnan(value) else f"{value:.2%}".replace("%", " %")
