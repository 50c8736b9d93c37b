"""Calibration: corrections after which a score of 0.3 means melanoma in three of ten images.

All three corrections are increasing functions of the score, so that the ranking of the
images, and so the AUC, does not change:

** Platt's sigmoid [1]_ is the logistic regression of the class on the log odds of the
  score: a slope, which corrects overconfidence, and an intercept, which corrects
  scores that are too high or too low on average.
* Temperature scaling [2]_ fits the slope only; its inverse is the temperature.
* The prior shift [3]_ [4]_ moves probabilities from one prevalence to another, such as
  from validation images with 20 % melanomas to patients with 2 %. It assumes that the
  images of each class have the same distribution in both places.

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
"""

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit

from melanoma_tl._attributes import ExplainsAttributes
from melanoma_tl._escaping import in_html
from melanoma_tl._parameters import COUNT, INSIDE, NONE, check_fields, checked, choice, real
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.metrics.few import FEW
from melanoma_tl.metrics.validation import check_scored, check_scores

logger = logging.getLogger(__name__)

METHODS = ("sigmoid", "temperature")
"""Calibration methods, with the names of scikit-learn's ``CalibratedClassifierCV``."""

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
# A network scores in float32; no float32 below 1 is much nearer to 1 than this.
EDGE = float(np.finfo(np.float32).eps)
# A correlation of scores and classes below this is rounding error.
_NOTHING = 1e-9
# Beyond all log odds: those of EDGE are 16, and a share of 1 in 1e9 needs no more than 40.
FAR = 40.0

_INSTEAD = {"plot": "plot_calibration() of a MetricsReport of the calibrated classifier"}


@dataclass(frozen=True)
class Calibration(ExplainsAttributes):
    """An increasing function from scores to calibrated probabilities.

    Parameters
    ----------
    slope : float, default=1.0
        Above 0; multiplies the log odds of each score.
    intercept : float, default=0.0
        Added to the log odds afterwards.
    from_prevalence, to_prevalence : float, optional
        Prevalence of melanoma for which the probabilities are valid before and after
        calibration, each between 0 and 1; both or neither.
    method : {"sigmoid", "temperature"}, default="sigmoid"
        How slope and intercept were fitted.
    n_benign, n_melanoma : int, optional
        Images on which they were fitted.

    Raises
    ------
    ParameterError, UnknownNameError
        If a parameter is out of its range, or only one prevalence is given.

    Notes
    -----
    To store it, write ``dataclasses.asdict(calibration)`` as JSON; to load it, call
    ``Calibration(**stored)``.

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

    _elsewhere = _INSTEAD

    def __post_init__(self) -> None:
        check_fields(self, _FIELDS)
        if (self.from_prevalence is None) != (self.to_prevalence is None):
            raise ParameterError(
                "A prior shift goes from one prevalence to another; give both, such as from_prevalence=0.5 and "
                f"to_prevalence=0.02, got {self.from_prevalence!r} and {self.to_prevalence!r}"
            )

    @property
    def shift(self) -> float:
        """Total offset of the log odds: the intercept plus the prior shift."""
        if self.from_prevalence is None:
            return self.intercept
        return self.intercept + float(logit(self.to_prevalence) - logit(self.from_prevalence))

    def apply(self, y_score: ArrayLike) -> NDArray[np.float64]:
        """Calibrate scores.

        Parameters
        ----------
        y_score : array-like of shape (n,)
            Uncalibrated probabilities of melanoma, 0 to 1; NaN stays NaN.

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

    def _repr_html_(self) -> str:
        return f"<p>{in_html(str(self))}</p>"

    def __str__(self) -> str:
        """Describe it in one sentence."""
        intercept = f" and intercept {self.intercept:+.3f}" if self.method == "sigmoid" else ""
        text = f"{_METHOD_NAMES[self.method]}, slope {self.slope:.3f}{intercept}"
        if self.n_benign is not None and self.n_melanoma is not None:
            text += f", fitted on {self.n_benign + self.n_melanoma} images ({self.n_melanoma} melanomas)"
        if self.from_prevalence != self.to_prevalence:
            text += f", moved from a prevalence of {self.from_prevalence:.3g} to {self.to_prevalence:.3g}"
        return text


@checked(method=choice(*METHODS), from_prevalence=INSIDE | NONE, to_prevalence=INSIDE | NONE)
def fit_calibration(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    method: str = "sigmoid",
    from_prevalence: float | None = None,
    to_prevalence: float | None = None,
) -> Calibration:
    """Fit the calibration of scores on validation images.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        0 or False benign, 1 or True melanoma; both must occur. Use validation images, neither
        training nor test images.
    y_score : array-like of shape (n,)
        Uncalibrated probabilities of melanoma, 0 to 1.
    method : {"sigmoid", "temperature"}, default="sigmoid"
        Platt's slope and intercept [1]_; or the slope with the lowest log loss and no
        intercept [2]_, which assumes that the scores are correct on average.
    from_prevalence : float, optional
        With "temperature": prevalence of melanoma in training, 0.5 in a balanced set.
        The temperature is then fitted after a prior shift to the prevalence of the
        validation images, so that it does not compensate for a difference in prevalence.
        The sigmoid does not need this value, because it fits an intercept.
    to_prevalence : float, optional
        Prevalence of melanoma where the probabilities will be used; that of the
        validation images by default. "temperature" needs both or neither.

    Returns
    -------
    Calibration
        Slope, intercept, and the two prevalences.

    Raises
    ------
    DatasetError
        If only one class occurs, the scores are not positively associated with melanoma, or the
        log loss has no minimum at a finite temperature above 0: it falls towards 0 where the scores
        make no error at 0.5, and towards infinity where they carry no information on the class.
    ParameterError, UnknownNameError
        If lengths differ, labels are not 0 and 1, scores are no probabilities, the method is
        unknown, or a prevalence is out of its range or not used.

    Notes
    -----
    Log odds are computed in float64, as in `Calibration.apply`. Scores of 0 and 1 have no finite log odds: they are
    replaced by values 1.2e-7 inside (the resolution of float32), or by the nearest other score if that is nearer.

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
    if min(n_benign, n_melanoma) <= FEW:
        logger.warning(
            "calibrated on %d melanoma and %d benign images: with %d or fewer of a class, probabilities are uncertain",
            n_melanoma,
            n_benign,
            FEW,
        )
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
    """Regress the class on the log odds, with Platt's smoothed targets in place of 0 and 1 (Platt 1999)."""
    n_melanoma = int(truth.sum())
    targets = np.where(truth == 1, (n_melanoma + 1) / (n_melanoma + 2), 1 / (len(truth) - n_melanoma + 2))
    covariance = float(np.mean((odds - odds.mean()) * targets))
    if covariance <= _NOTHING * np.abs(odds - odds.mean()).mean() or np.ptp(odds) <= EDGE:
        raise DatasetError(
            "No calibration can be fitted: the scores do not rise from benign images to melanomas. Check the labels "
            "and the order of the classes"
        )
    slope, intercept = regress(np.stack([odds, np.ones_like(odds)], axis=1), targets)
    return float(slope), float(intercept)


def _fit_inverse_temperature(
    truth: NDArray[np.int64], odds: NDArray[np.float64], from_prevalence: float | None
) -> float:
    """Find the zero of the derivative of the log loss, which is convex in the inverse temperature."""
    offset = 0.0 if from_prevalence is None else float(logit(truth.mean()) - logit(from_prevalence))

    def derivative(inverse: float) -> float:
        return float(np.mean(odds * (expit(inverse * odds + offset) - truth)))

    if np.all(odds * (2 * truth - 1) >= -EDGE) and np.abs(odds).max() > EDGE:
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


def log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log odds of scores, clipped to `EDGE` inside 0 and 1."""
    return logit(np.clip(scores, EDGE, 1 - EDGE))


def _log_odds_inside(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log odds of scores; 0 and 1 are replaced by values at or beyond all other scores."""
    inside = scores[(scores > 0) & (scores < 1)]
    low, below_one = (float(distances.min(initial=EDGE)) for distances in (inside, 1 - inside))
    return logit(np.clip(scores, low, 1 - below_one))


def regress(design: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
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
    # Where the classes are almost separated the loss is flat: one more Newton step makes up for the tolerance.
    return fitted - np.linalg.solve(hessian(fitted), gradient(fitted))
