"""Several sites: against published results, statsmodels, and simulated sites."""

import json

import numpy as np
import pytest
from drawn_scores import simulate
from scipy.special import expit, logit
from statsmodels.stats.meta_analysis import combine_effects

from melanoma_tl import MetricsReport
from melanoma_tl.errors import DatasetError, ParameterError, UnknownNameError
from melanoma_tl.metrics.intervals import delong
from melanoma_tl.metrics.sites import combine_sites, random_effects
from melanoma_tl.plots import ForestDisplay

# Thirteen trials of the BCG vaccine (Colditz et al. 1994): with tuberculosis, without; vaccinated, then not.
BCG = np.array(
    [
        (4, 119, 11, 128),
        (6, 300, 29, 274),
        (3, 228, 11, 209),
        (62, 13536, 248, 12619),
        (33, 5036, 47, 5761),
        (180, 1361, 372, 1079),
        (8, 2537, 10, 619),
        (505, 87886, 499, 87892),
        (29, 7470, 45, 7232),
        (17, 1699, 65, 1600),
        (186, 50448, 141, 27197),
        (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ]
)


def bcg():
    ill, well, other_ill, other_well = BCG.T
    effects = np.log(ill / (ill + well) / (other_ill / (other_ill + other_well)))
    return effects, 1 / ill - 1 / (ill + well) + 1 / other_ill - 1 / (other_ill + other_well)


def test_the_published_meta_analysis():
    # Viechtbauer, Journal of Statistical Software 36 (2010), and the help of his package, by REML.
    found = random_effects(*bcg(), 0.95)
    assert (found.mean, found.tau**2) == pytest.approx((-0.7145, 0.3132), abs=5e-5)
    assert (found.q, found.p_value) == pytest.approx((152.2330, 0.0), abs=5e-5)


def test_mean_and_interval_are_those_of_statsmodels_where_the_variance_is_the_same():
    effects, variances = bcg()
    found = random_effects(effects, variances, 0.95)
    # Theirs has no REML: what lies between the sites is added beforehand, so that theirs is the mean of equal effects.
    theirs = combine_effects(effects, variances + found.tau**2, method_re="dl", use_t=True)
    assert found.mean == pytest.approx(theirs.mean_effect_fe)
    # The variance of Hartung and Knapp, with the quantile of Student's distribution.
    assert (found.low, found.high) == pytest.approx(theirs.conf_int()[2], abs=1e-9)
    assert found.i_squared == pytest.approx(combine_effects(effects, variances).i2)


def test_sites_that_do_not_differ_have_no_variance_between_them_and_no_interval_that_is_too_narrow():
    found = random_effects(np.full(4, 1.3), np.full(4, 0.04), 0.95)
    assert (found.tau, found.i_squared, found.p_value) == (0, 0, 1)
    assert found.high - found.low == pytest.approx(2 * 3.1824 * 0.1, rel=1e-4)


def reports(n=4, seed=0, spread=0.5):
    rng = np.random.default_rng(seed)
    made = {}
    for site, shift in enumerate(rng.normal(0, spread, n)):
        y_true, y_score = simulate(60, 200, seed=seed + site)
        y_score = expit(logit(y_score) + shift * y_true)
        made[f"site {site}"] = MetricsReport.from_scores(y_true, y_score, n_resamples=100, name=f"site {site}")
    return made


def test_each_site_enters_with_its_variance_on_the_logit_scale():
    made = reports()
    found = combine_sites(made, "auc")
    first = made["site 0"]
    auc, variance = first.metrics["auc"].value, delong(first.y_true, first.y_score).covariance[0, 0]
    half = 1.959964 * np.sqrt(variance) / (auc * (1 - auc))
    assert (found.sites[0].low, found.sites[0].high) == pytest.approx(
        (expit(logit(auc) - half), expit(logit(auc) + half)), abs=1e-7
    )
    sensitivity = combine_sites(list(made.values()), "sensitivity", confidence=0.9)
    for site, report in zip(sensitivity.sites, made.values(), strict=True):
        assert site.name == report.name
        assert site.value == report.metrics["sensitivity"].value
        assert (site.n_melanoma, site.n_benign) == (60, 200)
    assert sum(site.weight for site in found.sites) == pytest.approx(1)
    assert found.mean.n == 4 * 260
    assert sensitivity.mean.n == 4 * 60
    assert found.new_low < found.mean.low < found.mean.value < found.mean.high < found.new_high


def test_patients_enter_with_the_interval_of_the_report():
    made = {}
    for site in range(3):
        y_true, y_score = (np.repeat(column, 3) for column in simulate(60, 200, seed=site))
        groups = np.arange(len(y_true)) // 3
        made[f"site {site}"] = MetricsReport.from_scores(y_true, y_score, groups=groups, n_resamples=1000)
    together = combine_sites(made, "sensitivity")
    thirds = {name: [count // 3 for count in report.counts] for name, report in made.items()}
    once = combine_sites(
        {name: MetricsReport.from_confusion(*counts) for name, counts in thirds.items()}, "sensitivity"
    )
    width, wanted = (one.sites[0].high - one.sites[0].low for one in (together, once))
    assert width == pytest.approx(wanted, rel=0.15)  # and not narrower by the square root of three


def test_nothing_missed_at_one_site():
    made = {
        "a": MetricsReport.from_confusion(tn=80, fp=20, fn=0, tp=40),
        "b": MetricsReport.from_confusion(tn=80, fp=20, fn=8, tp=40),
    }
    found = combine_sites(made, "sensitivity")
    assert found.sites[0].value == found.sites[0].high == 1
    assert found.sites[0].low < 0.95
    assert found.mean.value < 1
    assert np.isnan(found.new_low)
    assert "needs at least three sites" in str(found)
    assert found.to_dict()["metric"] == "sensitivity"


def test_a_site_where_nothing_is_missed_counts_with_its_patients():
    found = {}
    for name, groups in (("images", None), ("patients", np.arange(80) // 2)):
        y_true = np.arange(80) // 2 % 2
        scores = np.where(y_true, 0.9, 0.1)
        perfect = MetricsReport.from_scores(y_true, scores, groups=groups, n_resamples=100)
        found[name] = combine_sites({"a": perfect, "b": MetricsReport.from_confusion(80, 20, 8, 40)}, "sensitivity")
    # The 40 melanomas are of 20 patients, and all alike: as if they were 20 images.
    twenty = [MetricsReport.from_confusion(80, 20, missed, 20) for missed in (0, 8)]
    of_images = combine_sites(dict(zip("ab", twenty, strict=True)), "sensitivity")
    assert found["patients"].sites[0].low == pytest.approx(of_images.sites[0].low, rel=1e-9)
    assert found["patients"].sites[0].low < found["images"].sites[0].low


@pytest.mark.slow
def test_it_is_told_in_words_and_drawn(tmp_path):
    made = reports()
    found = combine_sites({f"<b>{name} $x$": report for name, report in made.items()}, "auc")
    assert "AUC at 4 sites" in str(found)
    assert "Mean over sites 0." in str(found)
    assert "A new site like these: " in str(found)
    assert "&lt;b&gt;site 0" in found._repr_html_()
    assert "<b>" not in found._repr_html_()
    assert "| <b>site 0" not in found.to_markdown()
    display = ForestDisplay(found).plot()
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels[-2:] == ["Mean over sites", "A new site like these"]
    display.figure_.savefig(tmp_path / "forest.png")
    report = made["site 0"].attach("Sites", found)
    assert json.loads(report.to_json())["findings"]["Sites"]["tau"] == found.tau
    assert "A new site" in report.save(tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("made", "metric", "error", "message"),
    [
        ({}, "auc", ParameterError, "At least two sites are needed, got 0"),
        ([MetricsReport.from_confusion(8, 2, 2, 8)] * 2, "sensitivity", ParameterError, "missing or repeated"),
        ({"a": MetricsReport.from_confusion(8, 2, 2, 8), "b": 5}, "sensitivity", ParameterError, "a mapping of sites"),
        (5, "auc", ParameterError, "a mapping of sites to a MetricsReport each or a list, each a MetricsReport, got 5"),
        ({n: MetricsReport.from_confusion(8, 2, 2, 8) for n in "ab"}, "auc", ParameterError, "no scores, and so no"),
        ({n: MetricsReport.from_confusion(8, 2, 2, 8) for n in "ab"}, "f1", UnknownNameError, "f1"),
        (
            {n: MetricsReport.from_scores([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], n_resamples=100) for n in "ab"},
            "auc",
            DatasetError,
            "the AUC is 1, which has no usable variance",
        ),
    ],
)
def test_sites_that_cannot_be_combined(made, metric, error, message):
    with pytest.raises(error, match=message):
        combine_sites(made, metric)


@pytest.mark.slow
@pytest.mark.parametrize("n_sites", [4, 10])
def test_intervals_of_simulated_sites(n_sites):
    """The mean lies in its interval, and one more site in the prediction interval, as often as they say."""
    rng = np.random.default_rng(0)
    hits, trials = np.zeros(2), 1000
    for _ in range(trials):
        *sensitivities, new = expit(1.5 + rng.normal(0, 0.5, n_sites + 1))
        n = rng.integers(30, 200, n_sites)
        right = rng.binomial(n, sensitivities)
        a, b = right + 0.5 * (right == n), n - right + 0.5 * (right == n)
        found = random_effects(np.log(a / b), 1 / a + 1 / b, 0.95)
        hits += found.low <= 1.5 <= found.high, found.new_low <= logit(new) <= found.new_high
    assert np.all((hits / trials >= 0.91) & (hits / trials <= 0.99)), hits / trials
