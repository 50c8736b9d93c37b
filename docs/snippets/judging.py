"""The examples of the page on statistics, on scores that are drawn."""

import numpy as np

rng = np.random.default_rng(0)


def draw(n_benign, n_melanoma):
    """Log odds of two classifiers, the first better, both overconfident."""
    y = np.repeat([0, 1], [n_benign, n_melanoma])
    odds = rng.normal(2 * y - 2.4, 1.1)
    first = odds + rng.normal(0, 0.4, len(y))
    second = odds + rng.normal(0, 1.3, len(y))
    return y, 1 / (1 + np.exp(-2 * first)), 1 / (1 + np.exp(-2 * second))


# as many as the validation images of 2016 and the test images of 2017
y_valid, valid_scores, _ = draw(304, 75)
y_test, test_scores, other_scores = draw(483, 117)
sex = rng.choice(["female", "male", None], 600, p=[0.45, 0.45, 0.1])
age = np.where(rng.random(600) < 0.1, np.nan, rng.integers(10, 90, 600))

# --8<-- [start:choose]
from melanoma_tl import MetricsReport
from melanoma_tl.metrics import choose_threshold, fit_calibration

# on validation images only
calibration = fit_calibration(y_valid, valid_scores)
point = choose_threshold(
    y_valid, calibration.apply(valid_scores), sensitivity=0.9
)
print(calibration)
print(point)

# frozen, and used on the test images once
report = MetricsReport.from_scores(
    y_test,
    calibration.apply(test_scores),
    threshold=point.threshold,
    name="600 test images",
)
print(report)
# --8<-- [end:choose]

# --8<-- [start:compare]
other = MetricsReport.from_scores(
    y_test,
    calibration.apply(other_scores),
    threshold=point.threshold,
)
comparison = report.compare(other, names=("new", "old"))
print(comparison)
# --8<-- [end:compare]

# --8<-- [start:subgroups]
groups = report.subgroups(
    {"sex": sex, "age": age}, bands={"age": (20, 50, 70)}
)
print(groups)
# --8<-- [end:subgroups]

# --8<-- [start:elsewhere]
from melanoma_tl.metrics import Calibration, predictive_values

elsewhere = predictive_values(report.counts, [0.195, 0.02])
print(elsewhere.ppv.round(3), elsewhere.npv.round(4))

# probabilities for a place where 2 % of the lesions are melanomas
rarer = Calibration(
    calibration.slope,
    calibration.intercept,
    from_prevalence=0.198,
    to_prevalence=0.02,
)
print(rarer.apply([0.1, 0.5, 0.9]).round(3))
# --8<-- [end:elsewhere]

# --8<-- [start:plan]
from melanoma_tl.metrics import (
    expected_intervals,
    images_needed,
    images_needed_to_compare,
)

foreseen = expected_intervals(117, 483, sensitivity=0.9, auc=0.87)
interval = foreseen["sensitivity"]
print(f"{interval.low:.2f} to {interval.high:.2f} with 117 melanomas")
n = images_needed(0.1, prevalence=0.2, sensitivity=0.9)
print(n)  # 825 images, 165 of them melanomas
n_of_both = images_needed_to_compare(
    prevalence=0.2, correlation=0.5, sensitivity=(0.9, 0.8)
)
print(n_of_both)  # 538 images to show which of the two is better
# --8<-- [end:plan]
