"""The band of the precision-recall curve holds the precision of the source of the images."""

import numpy as np
import pytest
from scipy.stats import norm

from melanoma_tl.metrics.curve_bands import precision_band

PREVALENCE, AUC = 0.2, 0.8
ROUNDS = 200


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("drawn", [True, False], ids=["drawn", "fixed"])
@pytest.mark.parametrize("n", [100, 379])
def test_the_precision_band_holds_the_truth_at_each_point(n, drawn):
    """Normal scores, so that the true precision is known; the number of melanomas is drawn, or one in five."""
    rng = np.random.default_rng(n)
    distance = np.sqrt(2) * norm.ppf(AUC)
    held = 0
    for _ in range(ROUNDS):
        n_melanoma = rng.binomial(n, PREVALENCE) if drawn else round(PREVALENCE * n)
        truth = np.repeat([1, 0], [n_melanoma, n - n_melanoma])
        scores = norm.cdf(rng.normal(distance * truth, 1))
        band = precision_band(truth, scores, n_resamples=300)
        false_alarms = norm.sf(norm.isf(band.x, distance))
        precision = PREVALENCE * band.x / (PREVALENCE * band.x + (1 - PREVALENCE) * false_alarms)
        held += (band.low <= precision) & (precision <= band.high)
    assert held.mean() >= 0.95 * ROUNDS
    # Of 200 rounds of an interval that holds the truth in 95 %, 181 hold it in all but 1 case of 500.
    assert held.min() >= 181, dict(zip(band.x.round(2), held, strict=True))
