"""Whether a score of 0.3 means melanoma in three of ten, and what to do when it does not.

Three corrections, all increasing functions of the score, so that no image overtakes
another (the AUC stays as it is):

* Platt's sigmoid [1]_ is the logistic regression of the class on the log odds of the
  score: a slope, which takes back overconfidence, and an intercept, which takes back
  scores that are too high or too low on the whole.
* Temperature scaling [2]_ is the slope alone; its inverse is the temperature.
* The prior shift [3]_ [4]_ moves probabilities from one prevalence to another, such as
  from validation images with melanoma in a fifth to patients with melanoma in a fiftieth.
  It supposes that melanomas look alike in both places, and benign lesions too.

scikit-learn's ``CalibratedClassifierCV`` finds the same slope, intercept and temperature, but takes
an estimator rather than scores.

References
----------
.. [1] J. Platt, "Probabilistic outputs for support vector machines and comparisons to
   regularized likelihood methods", in "Advances in large margin classifiers", MIT
   Press, 1999; its targets keep a slope finite where the scores separate the classes.
.. [2] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern
   neural networks", ICML 2017.
.. [3] C. Elkan, "The foundations of cost-sensitive learning", IJCAI 2001, theorem 2.
.. [4] M. Saerens, P. Latinne and C. Decaestecker, "Adjusting the outputs of a
   classifier to new a priori probabilities", Neural Computation 14, 2002, equation 4.
.. [5] G. W. Brier, "Verification of forecasts expressed in terms of probability",
   Monthly Weather Review 78, 1950.
.. [6] M. P. Naeini, G. F. Cooper and M. Hauskrecht, "Obtaining well calibrated
   probabilities using Bayesian binning", AAAI 2015: the expected calibration error.
.. [7] D. R. Cox, "Two further applications of a model for binary regression",
   Biometrika 45, 1958; E. W. Steyerberg, "Clinical Prediction Models", 2nd edition,
   2019, section 15.3: calibration intercept and slope.
.. [8] T. Dimitriadis, T. Gneiting and A. I. Jordan, "Stable reliability diagrams for
   probabilistic classifiers", PNAS 118(8), 2021: the decomposition.
.. [9] K.-Y. Liang and S. L. Zeger, "Longitudinal data analysis using generalized
   linear models", Biometrika 73, 1986: the variance when images belong together; with
   every image by itself it is that of H. White, "Maximum likelihood estimation of
   misspecified models", Econometrica 50, 1982, which needs no right model.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit
from scipy.stats import norm

from melanoma_tl._parameters import (
    BOOTSTRAP,
    COLUMN,
    COUNT,
    INSIDE,
    NONE,
    check_fields,
    checked,
    choice,
    real,
    whole,
)
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.metrics.binary import Metric
from melanoma_tl.metrics.few import count_units, mark_few
from melanoma_tl.metrics.intervals import effective_size, wilson_interval
from melanoma_tl.metrics.resampling import Resampling, Tally, method_name, number_groups, percentile_interval
from melanoma_tl.metrics.validation import check_bootstrap, check_fraction, check_lengths, check_scored, check_scores

CALIBRATION_LABELS = MappingProxyType(
    {
        "brier": "Brier score",
        "log_loss": "Log loss",
        "ece_quantile": "Calibration error, equal-mass bins",
        "ece_uniform": "Calibration error, equal-width bins",
        "calibration_intercept": "Calibration intercept",
        "calibration_slope": "Calibration slope",
    }
)
"""Every figure of `calibration_metrics`, in the order in which it is shown, with its name for readers."""

STRATEGIES = ("quantile", "uniform")
"""How scores are put into bins, as scikit-learn's ``calibration_curve`` names it: equal mass, equal width."""

METHODS = ("sigmoid", "temperature")
"""How scores are calibrated, as scikit-learn's ``CalibratedClassifierCV`` names it."""

_METHOD_NAMES = {"sigmoid": "Platt's sigmoid", "temperature": "temperature scaling"}

_FIELDS = {
    "slope": real(above=0),
    "intercept": real(),
    "from_prevalence": INSIDE | NONE,
    "to_prevalence": INSIDE | NONE,
    "method": choice(*METHODS),
    "n_benign": COUNT | NONE,
    "n_melanoma": COUNT | NONE,
}

_N_BINS = 10
# A network scores in float32, which knows no probability nearer to 0 and 1 without being 0 or 1.
_EDGE = float(np.finfo(np.float32).eps)
# A correlation of scores and classes that is nothing but the rounding of its sum.
_NOTHING = 1e-9
# Further than any log odds: those of _EDGE are 16, and no more is needed to match a share of 1 in 1e9.
_FAR = 40.0


@dataclass(frozen=True)
class Calibration:
    """An increasing function from scores to calibrated probabilities.

    Parameters
    ----------
    slope : float, default=1.0
        Above 0; multiplies the log odds of each score.
    intercept : float, default=0.0
        What is added to them then.
    from_prevalence, to_prevalence : float, optional
        How frequent melanoma is where the probabilities hold so far, and is where they
        shall hold, each between 0 and 1; both or neither.
    method : {"sigmoid", "temperature"}, default="sigmoid"
        How slope and intercept were found.
    n_benign, n_melanoma : int, optional
        Images on which they were found.

    Raises
    ------
    ParameterError, UnknownNameError
        If a parameter is out of its range, or only one prevalence is given.

    Notes
    -----
    It is kept as ``dataclasses.asdict(calibration)``, which JSON can hold, and read
    back as ``Calibration(**kept)``.

    Examples
    --------
    >>> rarer = Calibration(from_prevalence=0.5, to_prevalence=0.02)
    >>> rarer.apply([0.0, 0.5, 0.9]).round(3).tolist()
    [0.0, 0.02, 0.155]
    """

    slope: float = 1.0
    intercept: float = 0.0
    from_prevalence: float | None = None
    to_prevalence: float | None = None
    method: str = "sigmoid"
    n_benign: int | None = None
    n_melanoma: int | None = None

    def __post_init__(self) -> None:
        check_fields(self, _FIELDS)
        if (self.from_prevalence is None) != (self.to_prevalence is None):
            raise ParameterError(
                "A prior shift goes from one prevalence to another; give both, such as from_prevalence=0.5 and "
                f"to_prevalence=0.02, got {self.from_prevalence!r} and {self.to_prevalence!r}"
            )

    @property
    def shift(self) -> float:
        """What is added to the log odds in all: the intercept and the prior shift."""
        if self.from_prevalence is None:
            return self.intercept
        return self.intercept + float(logit(self.to_prevalence) - logit(self.from_prevalence))

    def apply(self, y_score: ArrayLike) -> NDArray[np.float64]:
        """Calibrate scores.

        Parameters
        ----------
        y_score : array-like of shape (n,)
            Probabilities of melanoma as the classifier gave them, 0 to 1; NaN stays NaN.

        Returns
        -------
        ndarray of float64 of shape (n,)
            Calibrated probabilities, 0 to 1, in the same order; 0 stays 0 and 1 stays 1.

        Raises
        ------
        ParameterError
            If the scores are no probabilities.
        """
        return expit(logit(check_scores(y_score)) * self.slope + self.shift)

    def __str__(self) -> str:
        """Describe it in one sentence."""
        intercept = f" and intercept {self.intercept:+.3f}" if self.method == "sigmoid" else ""
        told = f"{_METHOD_NAMES[self.method]}, slope {self.slope:.3f}{intercept}"
        if self.n_benign is not None and self.n_melanoma is not None:
            told += f", fitted on {self.n_benign + self.n_melanoma} images ({self.n_melanoma} melanomas)"
        if self.from_prevalence != self.to_prevalence:
            told += f", moved from a prevalence of {self.from_prevalence:.3g} to {self.to_prevalence:.3g}"
        return told


@checked(method=choice(*METHODS), from_prevalence=INSIDE | NONE, to_prevalence=INSIDE | NONE)
def fit_calibration(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    method: str = "sigmoid",
    from_prevalence: float | None = None,
    to_prevalence: float | None = None,
) -> Calibration:
    """Find the function that makes probabilities of scores, on validation images.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur. Validation images: not seen in
        training, and not those of the test.
    y_score : array-like of shape (n,)
        Probabilities of melanoma as the classifier gave them, 0 to 1.
    method : {"sigmoid", "temperature"}, default="sigmoid"
        Platt's slope and intercept [1]_; or the slope with the lowest log loss and no
        intercept [2]_, which supposes that the scores are right on the whole.
    from_prevalence : float, optional
        With "temperature": how frequent melanoma was in training, 0.5 in a balanced set.
        The temperature is then the best one after a shift to the validation images' own
        prevalence, so that it does not have to make up for melanoma being rarer among
        them. The sigmoid needs no such number: it starts from the validation images.
    to_prevalence : float, optional
        How frequent melanoma is where the probabilities shall hold; as among the
        validation images by default. "temperature" needs both or neither.

    Returns
    -------
    Calibration
        Slope, intercept, and the two prevalences.

    Raises
    ------
    DatasetError
        If only one class occurs, the scores do not rise with melanoma, or no temperature is
        the best: the scores make no error at 0.5 (the log loss falls all the way to the
        temperature 0) or say nothing of the class (it falls all the way to infinity).
    ParameterError, UnknownNameError
        If lengths differ, labels are not 0 and 1, scores are no probabilities, the method is
        unknown, or a prevalence is out of its range or not used.

    Notes
    -----
    Log odds are computed in float64, as `Calibration.apply` does, of scores as they are. Only 0 and 1 have none: they
    count as the nearest that float32 can tell from them, 1.2e-7 away, or as the nearest other score if that is nearer.

    Examples
    --------
    >>> y_true, y_score = [0, 1, 0, 1] * 20, [0.6, 0.8, 0.9, 0.95] * 20
    >>> print(fit_calibration(y_true, y_score))
    Platt's sigmoid, slope 1.044 and intercept -1.820, fitted on 80 images (40 melanomas)
    >>> calibration = fit_calibration([0, 0, 1, 1, 1], [0.01, 0.99, 0.99, 0.99, 0.99], method="temperature")
    >>> round(1 / calibration.slope, 2)  # four of five right, at log odds of 4.6 instead of 1.39
    3.31
    """
    truth, scores = check_scored(y_true, y_score)
    n_benign, n_melanoma = int((truth == 0).sum()), int(truth.sum())
    if method == "temperature":
        given = Calibration(1.0, 0.0, from_prevalence, to_prevalence, method, n_benign, n_melanoma)
        return replace(given, slope=_fit_inverse_temperature(truth, _log_odds_inside(scores), from_prevalence))
    if from_prevalence is not None:
        raise ParameterError(
            "from_prevalence belongs to method='temperature': the sigmoid starts from the prevalence of the "
            "validation images"
        )
    slope, intercept = _fit_sigmoid(truth, _log_odds_inside(scores))
    start = None if to_prevalence is None else float(truth.mean())
    return Calibration(slope, intercept, start, to_prevalence, method, n_benign, n_melanoma)


def _fit_sigmoid(truth: NDArray[np.int64], odds: NDArray[np.float64]) -> tuple[float, float]:
    """Regress the class on the log odds, with targets that lie a little inside 0 and 1 (Platt 1999)."""
    n_melanoma = int(truth.sum())
    targets = np.where(truth == 1, (n_melanoma + 1) / (n_melanoma + 2), 1 / (len(truth) - n_melanoma + 2))
    covariance = float(np.mean((odds - odds.mean()) * targets))
    if covariance <= _NOTHING * np.abs(odds - odds.mean()).mean() or np.ptp(odds) <= _EDGE:
        raise DatasetError(
            "No calibration can be fitted: the scores do not rise from benign images to melanomas. Check the labels "
            "and the order of the classes"
        )
    slope, intercept = _regress(np.stack([odds, np.ones_like(odds)], axis=1), targets)
    return float(slope), float(intercept)


def _fit_inverse_temperature(
    truth: NDArray[np.int64], odds: NDArray[np.float64], from_prevalence: float | None
) -> float:
    """Find the zero of the derivative of the log loss, which is convex in the inverse temperature."""
    offset = 0.0 if from_prevalence is None else float(logit(truth.mean()) - logit(from_prevalence))

    def derivative(inverse: float) -> float:
        return float(np.mean(odds * (expit(inverse * odds + offset) - truth)))

    if np.all(odds * (2 * truth - 1) >= -_EDGE) and np.abs(odds).max() > _EDGE:
        raise DatasetError(
            f"No temperature is the best: all {len(truth)} validation images are on the right side of 0.5; "
            "use more of them, method='sigmoid', or leave the scores as they are"
        )
    if derivative(0.0) >= -_NOTHING * np.abs(odds).mean():
        raise DatasetError(
            "No temperature is the best: the log loss falls as every score goes to 0.5. Check the labels and the order "
            "of the classes; method='sigmoid' corrects scores that are too high or too low on the whole"
        )
    low = 1.0
    while derivative(low) >= 0:
        low /= 2
    while derivative(2 * low) < 0:
        low *= 2
    return float(brentq(derivative, low, 2 * low, xtol=1e-14 * low))


class ReliabilityCurve(NamedTuple):
    """What scores promise and what came true, in bins; empty bins are left out.

    Attributes
    ----------
    mean_score : ndarray of shape (n_bins,)
        Mean score of the images in each bin.
    melanoma_share : ndarray of shape (n_bins,)
        How many of them are melanomas, 0 to 1.
    low, high : ndarray of shape (n_bins,)
        Ends of Wilson's interval of the share.
    n : ndarray of int of shape (n_bins,)
        Images in each bin.
    """

    mean_score: NDArray[np.float64]
    melanoma_share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: NDArray[np.int64]


@checked(
    n_bins=whole(at_least=1, at_most=10_000), strategy=choice(*STRATEGIES), confidence=INSIDE, groups=COLUMN | NONE
)
def reliability_curve(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    n_bins: int = _N_BINS,
    strategy: str = "quantile",
    confidence: float = 0.95,
    groups: ArrayLike | None = None,
) -> ReliabilityCurve:
    """Compare mean score and share of melanomas in bins of scores.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.
    n_bins : int, default=10
        At least 1.
    strategy : {"quantile", "uniform"}, default="quantile"
        Bins with equally many images, or of equal width. Images with the same score are
        never torn apart, so that equal mass holds up to ties; a score on the edge of two
        bins of equal width belongs to the lower one.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.
    groups : array-like of shape (n,), optional
        What each image belongs to, such as its patient: Wilson's intervals then are those of as many
        independent images as those of each bin are worth (`melanoma_tl.metrics.intervals.effective_size`).

    Returns
    -------
    ReliabilityCurve
        From the lowest scores to the highest.

    Raises
    ------
    DatasetError, ParameterError
        As `fit_calibration`, or if a parameter is out of its range.

    Examples
    --------
    >>> curve = reliability_curve([0, 0, 0, 1], [0.1, 0.2, 0.6, 0.7], n_bins=2)
    >>> curve.mean_score.round(2).tolist(), curve.melanoma_share.tolist()
    ([0.15, 0.65], [0.0, 0.5])
    """
    check_fraction("confidence", confidence)
    truth, scored = check_scored(y_true, y_score)
    check_lengths(len(scored), groups=groups)
    tally = Tally.of(truth, scored)
    edges = _edges(tally, n_bins, strategy)
    bins = np.searchsorted(edges, tally.scores)
    n, melanomas, scores = (
        np.bincount(bins, weights=weights, minlength=n_bins)
        for weights in (tally.melanoma + tally.benign, tally.melanoma, (tally.melanoma + tally.benign) * tally.scores)
    )
    filled = n > 0
    n, melanomas, scores = n[filled], melanomas[filled], scores[filled]
    worth = n
    if groups is not None:
        belongs, bin_of_image = np.asarray(groups, dtype=object), np.searchsorted(edges, scored)
        inside = [bin_of_image == number for number in np.flatnonzero(filled)]
        worth = np.array([effective_size(truth[rows], belongs[rows]) for rows in inside])
    low, high = wilson_interval(melanomas / n * worth, worth, confidence)
    return ReliabilityCurve(scores / n, melanomas / n, low, high, n.astype(np.int64))


@checked(n_bins=whole(at_least=1, at_most=10_000), groups=COLUMN | NONE, **BOOTSTRAP)
def calibration_metrics(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    n_bins: int = _N_BINS,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int = 0,
    groups: ArrayLike | None = None,
) -> dict[str, Metric]:
    """Measure how far scores are from being probabilities.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.
    n_bins : int, default=10
        Bins of the calibration errors, at least 1.
    confidence, n_resamples, random_state, groups
        As `melanoma_tl.metrics.score_metrics`.

    Returns
    -------
    dict of str to Metric
        One entry for each name in `CALIBRATION_LABELS`. Slope and intercept are NaN where the
        scores separate the classes, or do not vary: no regression has a solution there.

    Raises
    ------
    DatasetError, ParameterError
        As `fit_calibration`, or if a parameter is out of its range.

    Notes
    -----
    Brier score [5]_: mean of ``(score - truth) ** 2``. Log loss: mean of
    ``-log(probability of the true class)``, with scores no nearer to 0 and 1 than
    float32 can tell, 1.2e-7. Both have percentile bootstrap intervals.

    Expected calibration error [6]_: ``sum over bins of (images in the bin / n) * |mean
    score - share of melanomas|``, of the probability of melanoma (many papers take
    that of the predicted class). Chance alone keeps it above 0, and every resample adds
    more of it, so that a percentile interval would miss the truth. It is a sum of
    distances, though, and so differs from its true value by at most the sum of the
    distances by which chance moves the bins (the triangle inequality). The interval is
    the figure plus and minus what that sum stays below in `confidence` of the
    resamples, cut at 0 and 1; it is wide, but holds what it says.

    Intercept and slope [7]_ are 0 and 1 for calibrated scores. The intercept is that of
    ``logit P(melanoma) = a + logit(score)``: below 0 the scores are too high on the
    whole. The slope is that of ``a + b * logit(score)``: below 1 they are too extreme.
    Their intervals are Wald's, with the sandwich variance between images, or between groups
    where there are some [9]_: where the slope is not 1, the model of the intercept is wrong,
    and the variance from its likelihood too small.

    All of these depend on the prevalence, so that the resamples do not keep the class
    sizes.

    Examples
    --------
    >>> figures = calibration_metrics([0, 1, 0, 1, 1], [0.1, 0.3, 0.4, 0.8, 0.9])
    >>> round(figures["brier"].value, 4)
    0.142
    """
    truth, scores = check_scored(y_true, y_score)
    check_bootstrap(confidence, n_resamples)
    check_lengths(len(scores), groups=groups)
    tally = Tally.of(truth, scores)
    edges = [_edges(tally, n_bins, strategy) for strategy in STRATEGIES]
    resampling = Resampling.of(truth, scores, groups, n_resamples, random_state, cuts=np.concatenate(edges))
    values, resampled = resampling.measure(
        lambda scores, melanoma, benign: np.concatenate(
            [_losses(scores, melanoma, benign), *(_gaps(scores, melanoma, benign, of) for of in edges)]
        ),
        stratified=False,
    )
    n, method = len(truth), method_name(groups)
    figures = {}
    for row, name in enumerate(("brier", "log_loss")):
        low, high = percentile_interval(values[[row]], resampled[[row]], confidence)[:, 0]
        figures[name] = Metric(float(values[row]), float(low), float(high), n, method)
    gaps = zip(*(np.split(rows[2:], [len(edges[0]) + 1]) for rows in (values, resampled)), strict=True)
    for strategy, (here, drawn) in zip(STRATEGIES, gaps, strict=True):
        value = float(np.abs(here).sum())
        reach = float(np.quantile(np.abs(drawn - here[:, np.newaxis]).sum(axis=0), confidence))
        figures[f"ece_{strategy}"] = Metric(
            value, max(value - reach, 0.0), min(value + reach, 1.0), n, f"{method} bound"
        )
    numbers = None if groups is None else number_groups(groups, len(truth))
    figures["calibration_intercept"] = _fit_intercept(truth, _log_odds(scores), numbers, confidence)
    figures["calibration_slope"] = _fit_slope(truth, _log_odds(scores), numbers, confidence)
    return mark_few(figures, count_units(truth, groups))


class BrierDecomposition(NamedTuple):
    """The Brier score as ``miscalibration - discrimination + uncertainty``.

    Attributes
    ----------
    miscalibration : float
        What the best increasing recalibration would gain; 0 for calibrated scores.
    discrimination : float
        What the recalibrated scores gain over always saying the prevalence.
    uncertainty : float
        The Brier score of always saying the prevalence: ``prevalence * (1 - prevalence)``.
    """

    miscalibration: float
    discrimination: float
    uncertainty: float


def decompose_brier(y_true: ArrayLike, y_score: ArrayLike) -> BrierDecomposition:
    """Split the Brier score into what is lost by miscalibration and what is gained by telling classes apart.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur.
    y_score : array-like of shape (n,)
        Probabilities of melanoma, 0 to 1.

    Returns
    -------
    BrierDecomposition
        Exact, and without bins: the recalibration is the isotonic regression of the
        labels on the scores [8]_.

    Raises
    ------
    DatasetError, ParameterError
        As `fit_calibration`.

    Examples
    --------
    >>> parts = decompose_brier([0, 1, 0, 1, 1], [0.1, 0.3, 0.4, 0.8, 0.9])
    >>> [round(part, 3) for part in parts]
    [0.042, 0.14, 0.24]
    """
    from sklearn.isotonic import IsotonicRegression

    truth, scores = check_scored(y_true, y_score)
    recalibrated = IsotonicRegression().fit(scores, truth).predict(scores)
    given, best = (float(np.mean((values - truth) ** 2)) for values in (scores, recalibrated))
    uncertainty = float(truth.mean() * (1 - truth.mean()))
    return BrierDecomposition(given - best, uncertainty - best, uncertainty)


def _log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return logit(np.clip(scores, _EDGE, 1 - _EDGE))


def _log_odds_inside(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the log odds of scores, as they are but for 0 and 1, which no other score overtakes."""
    inside = scores[(scores > 0) & (scores < 1)]
    low, below_one = (float(distances.min(initial=_EDGE)) for distances in (inside, 1 - inside))
    return logit(np.clip(scores, low, 1 - below_one))


def _edges(tally: Tally, n_bins: int, strategy: str) -> NDArray[np.float64]:
    """Say where the bins of scores end, but the last: a score on an edge is in the lower bin."""
    if not isinstance(n_bins, int | np.integer) or n_bins < 1:
        raise ParameterError(f"n_bins must be a whole number of at least 1, got {n_bins!r}")
    if strategy not in STRATEGIES:
        raise ParameterError(f"strategy must be one of {', '.join(map(repr, STRATEGIES))}, got {strategy!r}")
    if strategy == "uniform":
        return np.linspace(0, 1, n_bins + 1)[1:-1]
    images = (tally.melanoma + tally.benign)[::-1]
    # Twice the rank of the middle image of each score, in whole numbers.
    middle = 2 * images.cumsum() - images
    ends = np.flatnonzero(np.diff(n_bins * middle // (2 * images.sum())))
    return tally.scores[::-1][ends]


def _losses(scores: NDArray[np.float64], melanoma: NDArray[np.int64], benign: NDArray[np.int64]) -> NDArray[np.float64]:
    """Brier score and log loss of one or many tallies, as rows."""
    inside = np.clip(scores, _EDGE, 1 - _EDGE)
    brier = melanoma @ (1 - scores) ** 2 + benign @ scores**2
    log_loss = -(melanoma @ np.log(inside) + benign @ np.log1p(-inside))
    return np.stack([brier, log_loss]) / (melanoma.sum(axis=-1) + benign.sum(axis=-1))


def _gaps(
    scores: NDArray[np.float64],
    melanoma: NDArray[np.int64],
    benign: NDArray[np.int64],
    edges: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Share of melanomas less mean score in each bin of one or many tallies, times the bin's share of the images."""
    n = melanoma.sum(axis=-1) + benign.sum(axis=-1)
    in_bin = np.searchsorted(edges, scores) == np.arange(len(edges) + 1)[:, np.newaxis]
    # In a bin, this times n is a sum over its images.
    return in_bin @ (melanoma * (1 - scores) - benign * scores).T / n


def _fit_intercept(
    truth: NDArray[np.int64], odds: NDArray[np.float64], groups: NDArray[np.int64] | None, confidence: float
) -> Metric:
    def excess(intercept: float) -> float:
        return float(np.sum(expit(intercept + odds) - truth))

    intercept = brentq(excess, -_FAR, _FAR, xtol=1e-12)
    design = np.ones((len(odds), 1))
    return _wald(intercept, design, truth - expit(intercept + odds), expit(intercept + odds), groups, confidence)


def _fit_slope(
    truth: NDArray[np.int64], odds: NDArray[np.float64], groups: NDArray[np.int64] | None, confidence: float
) -> Metric:
    melanoma, benign = odds[truth == 1], odds[truth == 0]
    # Log odds nearer to each other than scores of float32 can tell do not vary.
    if melanoma.min() > benign.max() - _EDGE or benign.min() > melanoma.max() - _EDGE:
        return Metric(np.nan, np.nan, np.nan, len(truth), "sandwich")
    design = np.stack([odds, np.ones_like(odds)], axis=1)
    fitted = _regress(design, truth)
    probability = expit(design @ fitted)
    return _wald(float(fitted[0]), design, truth - probability, probability, groups, confidence)


def _regress(design: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
    """Fit a logistic regression without penalty; the last column of the design is 1."""

    def loss(coefficients: NDArray[np.float64]) -> float:
        logits = design @ coefficients
        return float(np.mean(np.logaddexp(0, logits) - targets * logits))

    def gradient(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        return design.T @ (expit(design @ coefficients) - targets) / len(targets)

    def hessian(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        probability = expit(design @ coefficients)
        return design.T @ (design * (probability * (1 - probability))[:, None]) / len(targets)

    start = np.zeros(design.shape[1])
    start[-1] = logit(targets.mean())
    fitted = minimize(loss, start, jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-10}).x
    # Where the classes are all but separated the loss is flat: one step of Newton's makes up for the tolerance.
    return fitted - np.linalg.solve(hessian(fitted), gradient(fitted))


def _wald(
    value: float,
    design: NDArray[np.float64],
    residual: NDArray[np.float64],
    probability: NDArray[np.float64],
    groups: NDArray[np.int64] | None,
    confidence: float,
) -> Metric:
    """Interval of the first coefficient of a logistic regression."""
    bread = np.linalg.inv(design.T @ (design * (probability * (1 - probability))[:, None]))
    scores = design * residual[:, None]
    if groups is not None:
        of_image, scores = scores, np.zeros((groups.max() + 1, design.shape[1]))
        np.add.at(scores, groups, of_image)
    covariance = bread @ (scores.T @ scores) @ bread
    half = norm.isf((1 - confidence) / 2) * np.sqrt(covariance[0, 0])
    return Metric(value, float(value - half), float(value + half), len(residual), "sandwich")
