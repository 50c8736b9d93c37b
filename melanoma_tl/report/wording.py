"""What a report knows of its model and its images, in words."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from melanoma_tl.errors import MelanomaTLError
from melanoma_tl.metrics.calibration import Calibration
from melanoma_tl.metrics.thresholds import OperatingPoint
from melanoma_tl.report.provenance import how_seen

_COUNTED = ("counts", "classes")  # keys of provenance whose values are numbers of images by class
_OF_BACKBONES = ("license", "pretrained_on", "may_redistribute", "references")  # keys where nothing is not "none"


def one_line(value: Any) -> str:
    """Write a value in one line.

    Parameters
    ----------
    value : object
        Mappings and lists are written out.

    Returns
    -------
    str
        For people.
    """
    if isinstance(value, Mapping):
        return "; ".join(f"{key_in_words(key)}: {_inside(entry, key)}" for key, entry in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_inside, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"  # the JSON has every digit
    return "none" if value is None else " ".join(str(value).split())


def key_in_words(key: Any) -> str:
    """Write the name of a parameter as words.

    Parameters
    ----------
    key : object
        A name of Python, or anything else, which stays as it is.

    Returns
    -------
    str
        For people.
    """
    words = one_line(key)
    return words.replace("_", " ") if words.isidentifier() and words != "melanoma_tl" else words


def describe_known(key: str, value: Any) -> str:
    """Write an entry of the provenance as a reader wants it.

    Parameters
    ----------
    key : str
        Its name.
    value : object
        What is known. It may be what a caller wrote.

    Returns
    -------
    str
        Sentences for what has a form of its own; everything else as `one_line` writes it.
    """
    if value is None or key not in _DESCRIBED:
        return "not known" if value is None and key == "seen_by_the_model" else one_line(value)
    try:
        return _DESCRIBED[key](value)
    except (MelanomaTLError, AttributeError, KeyError, TypeError, ValueError):
        return one_line(value)  # what somebody else wrote


def describe_images(images: Mapping[str, Any]) -> str:
    """Describe the images of a test or of a training.

    Parameters
    ----------
    images : mapping
        Name, numbers of images by class, and what else is known.

    Returns
    -------
    str
        The name and the numbers first.
    """
    rest = dict(images)
    name, classes = rest.pop("name", None), {**rest.pop("counts", {}), **rest.pop("classes", {})}
    n_images = rest.pop("images", sum(classes.values()))
    if rest.get("rows_of_each_class_in_a_pass") == list(classes.values()):
        del rest["rows_of_each_class_in_a_pass"]  # each once, as everybody expects
    said = [f"{one_line(name)}: " if name else "", f"{n_images} images ({_inside(classes, 'classes')})"]
    if n_skipped := rest.pop("skipped", 0):
        said.append(f"; {n_skipped} skipped")
    if history := rest.pop("history", None):
        said.append(f"; {'; '.join(map(one_line, history))}")
    if (chosen := rest.pop("prevalence_set_by", None)) is not None:
        said.append(f"; prevalence set by: {one_line(chosen)}")
    return "".join(said) + (f"; {one_line(rest)}" if rest else "")


def describe_seen(seen: Mapping[str, Any]) -> str:
    """Describe which test images a model had seen before.

    Parameters
    ----------
    seen : mapping
        As `find_seen` returns it.

    Returns
    -------
    str
        A sentence, and a second one where only a part of the model remembers.
    """
    if seen["images"]:
        have = "1 test image has" if seen["images"] == 1 else f"{seen['images']} test images have"
        return f"{have} a counterpart among those the model was {how_seen(seen)} with."
    compared = ", ".join(seen["by"])
    within = seen.get("within")
    also = f" What {one_line(within)} itself was fitted with, it does not remember." if within else ""
    told = f"No test image has a counterpart among those the model was {how_seen(seen)} with; compared by {compared}."
    return f"{told}{also}"


def _describe_point(point: Mapping[str, Any]) -> str:
    chosen = OperatingPoint.from_dict(point)
    return f"{chosen}, on the {chosen.counts.n:,} images that it was chosen on"


def _inside(value: Any, key: Any = "") -> str:
    """Write a value inside another: numbers of images of each class as a list, other mappings in brackets."""
    if key in _OF_BACKBONES and value in (None, "", []):
        return "not known" if key == "may_redistribute" else "not stated"
    if not isinstance(value, Mapping):
        return one_line(value)
    if key in _COUNTED:
        classes = ((f"class {name}" if one_line(name).isdigit() else one_line(name), n) for name, n in value.items())
        return ", ".join(f"{one_line(n)} {name}" for name, n in classes) or "none"
    return f"({one_line(value)})"


_DESCRIBED: Mapping[str, Callable[[Any], str]] = MappingProxyType(
    {
        "test_data": describe_images,
        "training_data": describe_images,
        "validation_data": describe_images,
        "seen_by_the_model": describe_seen,
        "calibration": lambda known: str(Calibration(**known)),
        "operating_point": _describe_point,
    }
)
