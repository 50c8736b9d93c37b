"""Tests of non-inferiority and equivalence of two classifiers.

A difference that is not significant does not prove that there is none. These tests show
that the difference is smaller than a margin that was chosen beforehand.

References
----------
.. [1] T. Tango, "Equivalence test and confidence interval for the difference in
   proportions for the paired-sample design", Statistics in Medicine 17, 1998.
.. [2] J. P. Liu, M. C. Ma, C. Y. Wu and J. Y. Tai, "Tests of equivalence and
   non-inferiority for diagnostic accuracy based on the paired areas under ROC curves",
   Statistics in Medicine 25, 2006.
.. [3] D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the power
   approach for assessing the equivalence of average bioavailability", Journal of
   Pharmacokinetics and Biopharmaceutics 15, 1987.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from melanoma_tl._tables import equals_p
from melanoma_tl.metrics.metric import LABELS

MARGIN_METRICS = ("auc", "sensitivity", "specificity")
"""The metrics that a margin can be stated for."""

_Statistic = Callable[[float], float]

# A score statistic divides by 0 at a difference of exactly 1.
_EDGE = 1 - 1e-9


@dataclass(frozen=True)
class MarginTest:
    """The difference of two classifiers in one metric, tested against a margin.

    Made by `melanoma_tl.metrics.compare`.

    Parameters
    ----------
    metric : str
        One of `MARGIN_METRICS`.
    margin : float
        The smallest relevant loss, above 0 and below 1.
    value : float
        First minus second, -1 to 1.
    low, high : float
        Ends of the interval of the difference by the same test.
    confidence : float
        Coverage of the interval, such as 0.95; each one-sided test then has the level 2.5 %.
    test : str
        "delong" or "clustered delong" [2]_, "tango" [1]_ or "cluster bootstrap".
    p_non_inferiority : float
        One-sided p-value of the hypothesis that the first is worse by the margin or more.
    p_equivalence : float
        The larger of the two one-sided p-values [3]_ of the hypothesis that they differ by the margin or more.
    """

    metric: str
    margin: float
    value: float
    low: float
    high: float
    confidence: float
    test: str
    p_non_inferiority: float
    p_equivalence: float

    @property
    def non_inferior(self) -> bool:
        """Whether the first is shown to be worse by less than the margin."""
        return self.p_non_inferiority <= (1 - self.confidence) / 2

    @property
    def equivalent(self) -> bool:
        """Whether the two are shown to differ by less than the margin."""
        return self.p_equivalence <= (1 - self.confidence) / 2

    def sentence(self, first: str = "first", second: str = "second") -> str:
        """Return the result as a sentence.

        Parameters
        ----------
        first, second : str
            Names of the two classifiers.

        Returns
        -------
        str
            One sentence, with the difference, its interval and the p-values.
        """
        if self.non_inferior:
            verdict = "is equivalent to" if self.equivalent else "is not inferior to"
        else:
            verdict = "is not shown to be non-inferior to"
        alpha = (1 - self.confidence) / 2
        worse, unlike = (
            f"{equals_p(p)} for {what} ({'at most' if p <= alpha else 'above'} {alpha:.3g})"
            for p, what in ((self.p_non_inferiority, "non-inferiority"), (self.p_equivalence, "equivalence"))
        )
        interval = f"{100 * self.confidence:g} % interval {self.low:+.3f} to {self.high:+.3f}, {self.test}"
        return (
            f"{LABELS[self.metric]}: {first} {verdict} {second} by the margin {self.margin:g}: difference "
            f"{self.value:+.3f} ({interval}), one-sided p {worse}, {unlike}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Write the test as plain Python objects.

        Returns
        -------
        dict
            The fields, "non_inferior" and "equivalent".
        """
        return asdict(self) | {"non_inferior": self.non_inferior, "equivalent": self.equivalent}


def margin_of_normal(
    metric: str, margin: float, value: float, error: float, confidence: float, test: str
) -> MarginTest:
    """Test a difference with a known standard error against a margin.

    Parameters
    ----------
    metric, margin, value, confidence, test
        As `MarginTest`.
    error : float
        Standard error of the difference; if it is 0, neither hypothesis is rejected.

    Returns
    -------
    MarginTest
        The test by the normal distribution.
    """

    def statistic(delta: float) -> float:
        return (value - delta) / error if error else 0.0

    half = float(norm.isf((1 - confidence) / 2)) * error if error else np.inf
    low, high = max(value - half, -1.0), min(value + half, 1.0)
    return _judge(metric, margin, value, (low, high), confidence, test, statistic)


def margin_of_paired(
    metric: str, margin: float, only_first: int, only_second: int, n: int, confidence: float
) -> MarginTest:
    """Test the difference of two paired proportions against a margin, by Tango's score test [1]_.

    Parameters
    ----------
    metric, margin, confidence
        As `MarginTest`.
    only_first, only_second : int
        Number of images that only one of the two predicts correctly.
    n : int
        Number of images of the class.

    Returns
    -------
    MarginTest
        The test, with the interval of all differences that it does not reject.
    """
    value = (only_first - only_second) / n

    def statistic(delta: float) -> float:
        # The maximum likelihood estimate of the share that only the second predicts correctly, given the difference.
        b = (2 * n - only_first + only_second) * delta - only_first - only_second
        c = -only_second * delta * (1 - delta)
        share = (np.sqrt(b * b - 8 * n * c) - b) / (4 * n)
        variance = n * (2 * share + delta * (1 - delta))
        return float((n * (value - delta)) / np.sqrt(variance)) if variance > 0 else 0.0

    def end(side: int) -> float:
        """Find the largest difference on one side that is not rejected."""
        bound = -side * float(norm.isf((1 - confidence) / 2))
        outermost = side * _EDGE
        if side * (statistic(outermost) - bound) >= 0:
            return float(side)
        return float(brentq(lambda delta: statistic(delta) - bound, value, outermost))

    return _judge(metric, margin, value, (end(-1), end(1)), confidence, "tango", statistic)


def _judge(
    metric: str,
    margin: float,
    value: float,
    ends: tuple[float, float],
    confidence: float,
    test: str,
    statistic: _Statistic,
) -> MarginTest:
    worse, better = float(norm.sf(statistic(-margin))), float(norm.cdf(statistic(margin)))
    return MarginTest(metric, margin, value, *ends, confidence, test, worse, max(worse, better))
