"""What speaks against the metrics of a report: found by looking, gravest first, in plain sentences."""

import re
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.stats import norm

from melanoma_tl.corpora import find_contamination, is_listed
from melanoma_tl.metrics.binary import roc_auc
from melanoma_tl.metrics.few import FACT, FEW
from melanoma_tl.metrics.metric import COLLAPSED, LABELS, Metric, describe
from melanoma_tl.report.content import ReportContent
from melanoma_tl.report.provenance import TWO_SEXES, how_seen, known_backbones, names_of_test_data

NOTHING_FOUND = "Nothing was found that speaks against these metrics"
"""How the only sentence begins where there is no concern."""

_TARGET = re.compile(r"(sensitivity|specificity) at least ([0-9.e-]+)")
"""How `choose_threshold` writes the rules that name a target."""


_MOST_NAMED = 5
"""Metrics that one sentence names; of more it gives the number."""

_OTHER_THRESHOLD = "; the AUC is above chance, so that another threshold, chosen on validation images, can help"

_CONTRADICTING = 0.5
"""Predictions say the contrary of scores if fewer pairs of an image predicted melanoma and another are in order."""

_Key = TypeVar("_Key", bound=Hashable)


class _Check(NamedTuple):
    """Something to look at; what finds nothing gives an empty list, and None where it cannot be looked at."""

    looked_at: str
    find: Callable[[ReportContent], list[str] | None]


def list_concerns(report: ReportContent) -> list[str]:
    """Return what speaks against the metrics, the gravest first.

    Parameters
    ----------
    report : Report
        The report.

    Returns
    -------
    list of str
        A sentence each; where nothing was found, one that names what was looked at.
    """
    found: list[str] = []
    looked_at = []
    for check in _CHECKS:
        concerns = check.find(report)
        if concerns is not None:
            looked_at.append(check.looked_at)
            found += concerns
    return found or [f"{NOTHING_FOUND}; looked at: {', '.join(looked_at)}"]


def _leakage(report: ReportContent) -> list[str] | None:
    if report.provenance.get("held_out"):
        return []
    seen = report.provenance.get("seen_by_the_model")
    if seen is None:
        return _not_checked(report)
    if not seen["images"]:
        return []
    by = ", ".join(f"{count} by {kind}" for kind, count in seen["by"].items() if count)
    roles = ", ".join(f"{count} of {role}" for role, count in seen.get("role", {}).items())
    found = f"{by}; {roles}" if roles else by
    images = "1 image" if seen["images"] == 1 else f"{seen['images']} images"
    return [f"LEAKAGE: the model was {how_seen(seen)} with a counterpart of {images} ({found})"]


def _not_checked(report: ReportContent) -> list[str] | None:
    """Point out that nobody has looked for leakage, where a classifier was reported on."""
    if "seen_by_the_model" not in report.provenance:
        return None  # scores alone
    return ["LEAKAGE NOT CHECKED: the model does not remember which images it was fitted with"]


def _tuned_on_training(report: ReportContent) -> list[str] | None:
    n_seen = report.provenance.get("tuned_on_training_images", 0)
    have = "has" if n_seen == 1 else "have"
    text = f"TUNED ON TRAINING IMAGES: of the images that calibration and threshold were chosen on, {n_seen:,} {have} a"
    return [f"{text} counterpart in training, where scores are better than on new images"] if n_seen else []


def _pretraining(report: ReportContent) -> list[str] | None:
    """Name what is known; of a corpus that is no open list, that nothing was found says nothing."""
    stated = list(dict.fromkeys(str(backbone.get("pretrained_on") or "") for backbone in known_backbones(report)))
    found = [
        one
        for pretrained_on in stated
        for one in find_contamination(pretrained_on, names_of_test_data(report), report.image_ids)
    ]
    if found:
        return [_tell_contamination(*one) for one in found]
    return [] if stated and all(map(is_listed, stated)) else None


def _tell_contamination(corpus: str, source: str, tested: str, citation: str) -> str:
    holds = f"{corpus}, which holds images of {source} ({citation})" if citation else f"images of {source}"
    part = f", of which {tested} is a part" if tested != source else ""
    return (
        f"POSSIBLE LEAKAGE: the backbone was pre-trained on {holds}{part}; whether these test images are among them is "
        "not known"
    )


def _findings(report: ReportContent) -> list[str] | None:
    if not report.findings:
        return None
    return [content.warning for _, content in report.findings if getattr(content, "warning", "")]


def _two_sexes(report: ReportContent) -> list[str] | None:
    n_patients = report.provenance["test_data"].get(TWO_SEXES)
    if not n_patients:
        return None  # nothing says whether there are none, or sex and patient are not known
    who = "1 patient is" if n_patients == 1 else f"{n_patients:,} patients are"
    text = f"PATIENTS CONTRADICT THEMSELVES: {who} female in some images and male in others, so that intervals and the"
    return [f"{text} search for leakage may rest on wrong patients; verify() of the dataset lists the images"]


def _one_class(report: ReportContent) -> list[str]:
    calls = report.class_calls
    called = [name for name, n in calls.items() if n]
    if len(called) > 1:
        never = [name for name in calls if name not in called]
        return [f"No image is predicted {' or '.join(never)}: the sensitivity for it is 0"] if never else []
    what = f"PREDICTED {called[0].upper()}" if called else "WITHOUT A PREDICTED CLASS"
    return [f"EVERY IMAGE IS {what}: metrics that count predictions say nothing of the scores"]


def _target(report: ReportContent) -> list[str] | None:
    point = report.provenance.get("operating_point")
    target = _TARGET.match(point["rule"]) if point else None
    if target is None:
        return None
    name, aim = target[1], float(target[2])
    reached = report.headlines[LABELS[name]]
    if not reached.value < aim:
        return []
    start = "TARGET MISSED" if reached.high < aim else "Target not reached, which may be chance"
    here = f"here it is {describe(reached, report.confidence)}"
    return [f"{start}: the threshold was chosen for a {name} of at least {aim:g}; {here}"]


def _no_better_than_chance(report: ReportContent) -> list[str] | None:
    of_all = {of: one.metrics["auc"] for of, one in report.two_class_reports.items() if "auc" in one.metrics}
    if not of_all:
        return None
    found = []
    for of, auc in of_all.items():
        text = f"the AUC{of} is {describe(auc, report.confidence)}"
        if auc.high < 0.5:
            found.append(f"WORSE THAN CHANCE: {text}; check the order of the classes")
        elif auc.low <= 0.5:
            found.append(f"The scores may be no better than chance: {text}")
    return found


def _calls_no_better_than_chance(report: ReportContent) -> list[str]:
    """Find predictions that chance could explain, where the AUC is above chance and each class is predicted."""
    found = []
    for of, one in report.two_class_reports.items():
        auc, balanced, counts = one.metrics.get("auc"), one.metrics["balanced_accuracy"], one.counts
        of_one_class = counts.tp + counts.fp in (0, counts.n)
        if of_one_class or not balanced.low <= 0.5 or (auc is not None and auc.low <= 0.5):
            continue
        verdict = "are worse than chance" if balanced.high < 0.5 else "may be no better than chance"
        text = f"The predictions{of} {verdict}: the balanced accuracy is {describe(balanced, report.confidence)}"
        by_threshold = auc is not None and one.y_pred is None
        found.append(text + (_OTHER_THRESHOLD if by_threshold else ""))
    return found


def _predictions_as_scores(report: ReportContent) -> list[str]:
    """Find classes that were given as scores: AUC, curves and calibration need to know how sure the model was."""
    for of, one in report.two_class_reports.items():
        if one.y_score is not None and set(np.unique(one.y_score)) == {0.0, 1.0}:
            way = "pass predict_proba(X)" if of else "pass predict_proba(X)[:, 1]"
            return [f"THE SCORES HAVE TWO VALUES ONLY, 0 and 1, as predict gives them: {way}"]
    return []


def _predictions_against_scores(report: ReportContent) -> list[str] | None:
    """Find predictions that were given beside scores, and say the contrary."""
    found = None
    for of, one in report.two_class_reports.items():
        if one.y_pred is None or one.y_score is None or one.y_pred.all() or not one.y_pred.any():
            continue
        found = found or []
        if roc_auc(one.y_pred.astype(int), one.y_score) < _CONTRADICTING:
            others = f"images predicted {one.class_names[1]} have lower scores{of} than the others"
            found.append(f"PREDICTIONS CONTRADICT SCORES: {others}")
    return found


def _few(report: ReportContent) -> list[str]:
    few = [f"{n} {name}" for name, n in report.class_sizes.items() if n <= FEW]
    text = f"Too few to judge by: only {' and '.join(few)}; each single image moves a metric by {1 / FEW:.2f} or more"
    return [text] if few else []


def _miscalibration(report: ReportContent) -> list[str] | None:
    with_scores = {of: one for of, one in report.two_class_reports.items() if one.y_score is not None}
    if not with_scores:
        return None
    tested = {
        (of, name): (one.calibration[f"calibration_{name}"], perfect)
        for of, one in with_scores.items()
        for name, perfect in (("intercept", 0), ("slope", 1))
    }
    off = _beyond_chance(tested, report.confidence)
    found = []
    for of in with_scores:
        (intercept, _), (slope, _) = tested[of, "intercept"], tested[of, "slope"]
        wrong = []
        if (of, "intercept") in off:
            side = "too low" if intercept.value > 0 else "too high"
            wrong.append(f"{side} on the whole (calibration intercept {describe(intercept, report.confidence)})")
        if (of, "slope") in off:
            side = "too moderate" if slope.value > 1 else "too extreme" if slope.value > 0 else "in reverse order"
            wrong.append(f"{side} (calibration slope {describe(slope, report.confidence)})")
        if wrong:
            text = f"The scores{of} are no probabilities here: they are {' and '.join(wrong)}"
            found.append(text if of else f"{text}; {_remedy(report)}")
    return found


def _remedy(report: ReportContent) -> str:
    """Return what to do about scores that are no probabilities."""
    if report.provenance.get("calibration"):
        return "the calibration that was found on other images does not hold here; find it on more images like these"
    return "calibrate on validation images"


def _beyond_chance(tested: Mapping[_Key, tuple[Metric, float]], confidence: float) -> set[_Key]:
    """Find the metrics with normal intervals that are not the given value, with Holm's correction (1979).

    Each interval alone leaves its value out in 5 % where all is well: of intercept and slope one did in 9.8 % of
    calibrated sets, and more of several diagnoses.
    """
    reach = norm.isf((1 - confidence) / 2)
    p = {
        key: 2 * norm.sf(reach * abs(metric.value - value) / ((metric.high - metric.low) / 2))
        for key, (metric, value) in tested.items()
        if metric.high > metric.low
    }
    beyond: set[_Key] = set()
    for left, key in zip(range(len(p), 0, -1), sorted(p, key=p.__getitem__), strict=True):
        if p[key] * left >= 1 - confidence:
            break
        beyond.add(key)
    return beyond


def _prevalence_by_choice(report: ReportContent) -> list[str] | None:
    data = report.provenance["test_data"]
    if "history" not in data:
        return None
    chosen = data["prevalence_set_by"]
    text = "The share of melanomas was set by how the images were chosen, and is not that of the source"
    return [f"{text}: {chosen}"] if chosen else []


def _without_width(report: ReportContent) -> list[str]:
    collapsed = [name for name, metric in report.named_metrics.items() if metric.low == metric.high]
    return [f"{COLLAPSED} ({', '.join(collapsed)})"] if collapsed else []


def _few_intervals(report: ReportContent) -> list[str]:
    marked = [name for name, metric in report.named_metrics.items() if metric.few]
    if not marked:
        return []
    beyond = len(marked) - _MOST_NAMED
    named = "; ".join(marked[:_MOST_NAMED]) + (f"; and {beyond} more" if beyond > 0 else "")
    return [f"{FACT} ({named})"]


_CHECKS = (
    _Check("images that the model was fitted or tuned with", _leakage),
    _Check("images that the model was both trained and tuned with", _tuned_on_training),
    _Check("what the backbone was pre-trained on", _pretraining),
    _Check("what was attached", _findings),
    _Check("whether the scores are predicted classes", _predictions_as_scores),
    _Check("whether predictions go with the scores", _predictions_against_scores),
    _Check("whether each class is predicted", _one_class),
    _Check("the target of the threshold", _target),
    _Check("whether the AUC is above chance", _no_better_than_chance),
    _Check("whether the predictions are above chance", _calls_no_better_than_chance),
    _Check("patients of two sexes", _two_sexes),
    _Check("the number of images of each class", _few),
    _Check("calibration", _miscalibration),
    _Check("whether intervals rest on few images", _few_intervals),
    _Check("how the images were chosen", _prevalence_by_choice),
    _Check("intervals without width", _without_width),
)
