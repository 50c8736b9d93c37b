"""The model card: what reporting guidelines ask for, filled in where the library knows it.

The headings are those under which three guidelines ask for something that concerns a
classifier and its test: STARD-AI (diagnostic accuracy), TRIPOD+AI (prediction models)
and CLAIM (artificial intelligence in medical imaging). A card is no substitute for
their checklists, which also ask for what belongs into a paper.

References
----------
.. [1] V. Sounderajah et al., "The STARD-AI reporting guideline for diagnostic accuracy
   studies using artificial intelligence", Nature Medicine, 2025.
.. [2] G. S. Collins et al., "TRIPOD+AI statement: updated guidance for reporting
   clinical prediction models that use regression or machine learning methods", BMJ
   385, 2024.
.. [3] A. S. Tejani et al., "Checklist for Artificial Intelligence in Medical Imaging
   (CLAIM): 2024 update", Radiology: Artificial Intelligence 6(4), 2024.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from melanoma_tl.corpora import is_listed
from melanoma_tl.errors import UnknownNameError
from melanoma_tl.metrics.metric import describe
from melanoma_tl.report.content import ReportContent
from melanoma_tl.report.provenance import known_backbones
from melanoma_tl.report.text import NOTICE
from melanoma_tl.report.wording import describe_known, one_line

CARD = MappingProxyType(
    {
        "intended_use": "Intended use and users",
        "not_for": "What it is not for",
        "test_images": "Test images: source, dates, places, eligibility",
        "reference_standard": "Reference standard: how melanoma was confirmed",
        "missing_data": "Missing and excluded images",
        "image_preparation": "Image preparation",
        "model": "Model",
        "training": "Training data and class imbalance",
        "threshold_and_calibration": "Threshold and calibration",
        "independence": "Independence of training and test images",
        "sample_size": "Sample size and precision",
        "performance": "Performance",
        "fairness": "Fairness: performance in subgroups",
        "explainability": "Explainability and failure analysis",
        "limitations": "Limitations",
        "ethics": "Ethics, consent and funding",
        "availability": "Availability of model, code and data",
    }
)
"""The keys of a model card and the headings that they stand for."""

NOT_STATED = "Not stated."

IMAGENET_TERMS = (
    "ImageNet gives its images for non-commercial research and education (https://www.image-net.org/download.php)."
)
"""What the backbone was trained on has terms of its own, whatever the license of its weights says."""


class CardEntry(NamedTuple):
    """One heading of a model card.

    Attributes
    ----------
    heading : str
        What it is about.
    text : str
        What is stated.
    stated : bool
        Whether anything is.
    """

    heading: str
    text: str
    stated: bool


def fill_card(report: ReportContent, card: Mapping[str, str]) -> list[CardEntry]:
    """Fill in a model card.

    Parameters
    ----------
    report : Report
        What is known of model and test.
    card : mapping of str to str
        What the library cannot know, by the keys of `CARD`; it is added to what the library knows.

    Returns
    -------
    list of CardEntry
        One for each heading, in their order.

    Raises
    ------
    UnknownNameError
        If the card has another key.
    """
    for key in card:
        if key not in CARD:
            raise UnknownNameError("heading of the model card", key, CARD)
    entries = []
    for key, heading in CARD.items():
        known = _KNOWN[key](report) if key in _KNOWN else ""
        text = " ".join(part.strip() for part in (card.get(key, ""), known) if part.strip())
        entries.append(CardEntry(heading, text or NOT_STATED, bool(text)))
    return entries


def _model(report: ReportContent) -> Mapping[str, Any]:
    return report.provenance["model"]


def _parameters(report: ReportContent, *names: str) -> str:
    known = _model(report).get("parameters", {})
    return one_line({name: known[name] for name in names if name in known})


def _describe_images(report: ReportContent) -> str:
    size = _model(report).get("image_size")  # files of earlier versions have only the parameter
    others = _parameters(report, *(() if size else ("input_size",)), "preprocessing", "augmenter", "tta")
    return f"Image size: {size}; {others}" if size else others


def _sentence(start: str, text: str) -> str:
    return f"{start}: {text}." if text else ""


def _test_images(report: ReportContent) -> str:
    data = report.provenance["test_data"]
    return f"{data['name']}: {data['images']} images, {_classes(report)}."


def _missing_data(report: ReportContent) -> str:
    history = report.provenance["test_data"].get("history")
    chosen = "How the images were chosen is not known to the report."
    if history:
        chosen = f"How the images were chosen (kept of what there was before): {'; '.join(history)}."
    n_skipped = len(report.skipped)
    left_out = f"{n_skipped} that could not be used are listed under Data" if n_skipped else "Each has a score"
    return f"{chosen} {left_out}."


def _describe_model(report: ReportContent) -> str:
    model = _model(report)
    if "estimator" in model:
        return f"{model['estimator']}."
    names = ("backbone", "head", "pooling", "feature_layers", "trainable_from", "stages")
    sentences = [_sentence("Recipe", str(model.get("recipe", ""))), _sentence("Network", _parameters(report, *names))]
    sentences += [_sentence("Backbone", one_line(backbone)) for backbone in known_backbones(report)]
    if "ensemble" in model:
        sentences.append(_sentence("Ensemble", one_line(model["ensemble"])))
    return " ".join(part for part in sentences if part)


def _training(report: ReportContent) -> str:
    model = _model(report)
    sentences = [
        _sentence(title, describe_known(key, model[key]))
        for key, title in (("training_data", "Training data"), ("validation_data", "Validation data"))
        if model.get(key) is not None
    ]
    return " ".join([*sentences, _sentence("Balance", _parameters(report, "balancer", "class_weight"))]).strip()


def _threshold_and_calibration(report: ReportContent) -> str:
    sentences, known = [report.rule] if report.rule else [], report.provenance
    if known.get("calibration"):
        sentences.append(f"Calibrated: {describe_known('calibration', known['calibration'])}.")
    elif "calibration" in known:
        sentences.append("The scores were not calibrated.")
    return " ".join(sentences)


def _independence(report: ReportContent) -> str:
    return " ".join([_seen(report), *filter(None, map(_unlisted, known_backbones(report)))])


def _unlisted(backbone: Mapping[str, Any]) -> str:
    """Return a warning if it is unknown whether test images were among those of the pre-training."""
    stated = one_line(backbone.get("pretrained_on") or "")
    if is_listed(stated):
        return ""
    name = one_line(backbone.get("name") or "the backbone")
    return f"Pre-training of {name}: {stated or 'not stated'}; whether test images were among it is not known."


def _seen(report: ReportContent) -> str:
    if held_out := report.provenance.get("held_out"):
        return f"{one_line(held_out)}."
    seen = report.provenance.get("seen_by_the_model")
    if seen is None:
        return "Not checked: the model does not remember its training images."
    return describe_known("seen_by_the_model", seen)


def _sample_size(report: ReportContent) -> str:
    metrics = ", ".join(f"{name} {describe(metric, report.confidence)}" for name, metric in report.headlines.items())
    return f"{sum(report.class_sizes.values())} images ({_classes(report)}) give {metrics}."


def _availability(report: ReportContent) -> str:
    """Describe whether the pre-trained weights may be redistributed, if that is known."""
    backbones = known_backbones(report)
    sentences = [_redistribution(backbone) for backbone in backbones]
    if any("imagenet" in str(backbone.get("pretrained_on")).lower() for backbone in backbones):
        sentences.append(IMAGENET_TERMS)
    return " ".join(filter(None, sentences))


def _redistribution(backbone: Mapping[str, Any]) -> str:
    whose = f"The weights of {one_line(backbone.get('name') or 'the backbone')}"
    terms = one_line(backbone.get("license") or "not stated here")
    match backbone.get("may_redistribute"):
        case True:
            return f"{whose} may be given on under their license ({terms})."
        case False:
            return f"{whose} may not be given on, or only under terms that bind the recipient ({terms})."
    return ""


def _classes(report: ReportContent) -> str:
    """List the number of images of each class."""
    *most, last = (f"{n} {name}" for name, n in report.class_sizes.items())
    return f"{', '.join(most)} and {last}"


def _see(report: ReportContent, *kinds: str) -> str:
    """Point at what was attached of some types, by their names: the report does not know who makes them."""
    titles = [title for title, content in report.findings if type(content).__name__ in kinds]
    return f"See {', '.join(titles)}." if titles else ""


_KNOWN: Mapping[str, Callable[[ReportContent], str]] = {
    "not_for": lambda _: f"{NOTICE} No diagnosis, no advice to a patient, no decision about a lesion may rest on it.",
    "test_images": _test_images,
    "missing_data": _missing_data,
    "image_preparation": _describe_images,
    "model": _describe_model,
    "training": _training,
    "threshold_and_calibration": _threshold_and_calibration,
    "independence": _independence,
    "sample_size": _sample_size,
    "performance": lambda _: "See the numbers, tables and plots above; each metric has an interval and its n.",
    "fairness": lambda report: _see(report, "Subgroups"),
    "explainability": lambda report: _see(report, "Explanations", "ShortcutCheck"),
    "availability": _availability,
}
