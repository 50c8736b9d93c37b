"""The parameters of a classifier: to JSON and back, and which recipe they are."""

import contextlib
import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from melanoma_tl._parameters import NONE, TABLE, TEXT, check, choice, listed
from melanoma_tl.errors import ModelFileError, ParameterError
from melanoma_tl.labels.classes import Classes, as_labels
from melanoma_tl.network.heads import name_head
from melanoma_tl.recipes import get_recipe, list_recipes
from melanoma_tl.saving.audit import quoted
from melanoma_tl.saving.model_file import version_hint
from melanoma_tl.training.keras_objects import describe_object
from melanoma_tl.training.parameters import NESTED, NESTED_BY_NAME, as_metrics, as_nested, as_template
from melanoma_tl.training.stages import Probe, Stage, as_stages

_FORMER = {
    "taps": "head__feature_layers",
    "feature_layers": "head__feature_layers",
    "pooling": "head__pooling",
    "label_smoothing": "loss__label_smoothing",
    "weight_decay": "optimizer__weight_decay",
    "clip_norm": "optimizer__clip_norm",
    "ema_momentum": "optimizer__ema_momentum",
    "feature_budget": "resources__feature_cache_bytes",
    "feature_cache_bytes": "resources__feature_cache_bytes",
    "distribution": "resources__distribution",
}
"""Where parameters are found now that files of version 0.1 have side by side."""

_STAGES: dict[str, type[Any]] = {"Stage": Stage, "Probe": Probe}

_OF_NO_RECIPE = frozenset({"weights", "random_state", "verbose", "threshold", "precision", "resources", "on_error"})
"""Parameters that say where and how something is run, and not what is trained."""


def describe_parameters(classifier: BaseEstimator) -> dict[str, Any]:
    """Return the parameters of a classifier as JSON can hold them.

    Parameters
    ----------
    classifier : TransferClassifier
        Fitted or not.

    Returns
    -------
    dict
        By the names of the parameters.
    """
    parameters = classifier.get_params(deep=False)
    for name, kind in NESTED.items():
        if isinstance(parameters[name], kind):
            parameters[name] = parameters[name].get_params()
    if parameters["stages"] is not None:
        parameters["stages"] = [
            {"kind": type(stage).__name__} | asdict(stage) for stage in as_stages(parameters["stages"])
        ]
    if callable(parameters["head"]):
        parameters["head"] = f"function {name_head(parameters['head'])}"
    for name in ("loss", "optimizer", "learning_rate"):
        if as_template(name, getattr(classifier, name)):
            parameters[name] = describe_object(parameters[name])
    parameters["metrics"] = [
        metric if isinstance(metric, str) else describe_object(metric) for metric in as_metrics(parameters["metrics"])
    ]
    if isinstance(parameters["weights"], os.PathLike):
        parameters["weights"] = os.fspath(parameters["weights"])
    if isinstance(weights := parameters["class_weight"], Mapping):  # JSON knows no other keys
        labels = as_labels(list(weights), name="class_weight").tolist()
        parameters["class_weight"] = dict(zip(map(str, labels), weights.values(), strict=True))
    described: dict[str, Any] = _as_json(parameters)
    return described


def name_recipe(classifier: BaseEstimator) -> str:
    """Compare the parameters of a classifier, as they are now, with those of the recipes.

    Parameters
    ----------
    classifier : TransferClassifier
        Fitted or not.

    Returns
    -------
    str
        The recipe that it is closest to, and what was changed; "none", where at least half of each recipe was.
    """
    kind = type(classifier)
    mine, usual = _compared(classifier), _compared(kind())
    found = []
    for name in list_recipes():
        theirs = _compared(kind(**_recipe_for(name, classifier.backbone)))
        chosen = {key for key in theirs if theirs[key] != usual.get(key)}
        changed = {key for key in theirs | mine if theirs.get(key) != mine.get(key)}
        if 2 * len(changed & chosen) < len(chosen):
            found.append((len(changed), name, changed))
    if not found:
        return "none"
    _, name, changed = min(found)
    words = [" ".join(filter(None, parameter.split("_"))) for parameter in sorted(changed)]
    return name + (f" except for {', '.join(words)}" if words else "")


def _recipe_for(name: str, backbone: str) -> dict[str, Any]:
    """Return a recipe as it is for a backbone, under the name of its own: a change of that is one."""
    own = get_recipe(name)
    try:
        return get_recipe(name, backbone) | {"backbone": own["backbone"]}
    except ParameterError:  # it has no meaning for that backbone
        return own


def _compared(classifier: BaseEstimator) -> dict[str, Any]:
    """Return what of the parameters says what is trained; those of parts by name, such as ``head__pooling``."""
    parameters = describe_parameters(classifier)
    compared = {name: value for name, value in parameters.items() if name not in _OF_NO_RECIPE}
    for name in ("head", *NESTED_BY_NAME):
        with contextlib.suppress(ParameterError):  # a head without parameters
            part = as_nested(name, getattr(classifier, name))
            del compared[name]
            for key, value in part.get_params().items():
                compared[name if key == "name" else f"{name}__{key}"] = _as_json(value)
    return compared


def weights_by_class(weights: Mapping[str, float], classes: Classes) -> list[float]:
    """Bring weights that are given by label, as a file holds them, into the order of the classes.

    Parameters
    ----------
    weights : mapping of str to float
        Weight of each label.
    classes : Classes
        What the labels are.

    Returns
    -------
    list of float
        One for each class.
    """
    weight_of = dict(zip(classes.encode(list(weights)).tolist(), weights.values(), strict=True))
    return [weight_of[code] for code in classes.codes.tolist()]


def restore_classifier(kind: type[Any], parameters: dict[str, Any], state: dict[str, Any]) -> Any:
    """Make a classifier of what `describe_parameters` gave to a file.

    Parameters
    ----------
    kind : type
        `TransferClassifier`, or a class derived from it.
    parameters : dict
        As they stand in the file; those that it does not name have their defaults.
    state : dict
        The whole document, which says what versions wrote it.

    Returns
    -------
    object
        Not fitted; its parameters are not checked, but those of its stages, balancer and augmenter are known ones.

    Raises
    ------
    ModelFileError
        If there is a parameter that this version does not know.
    ParameterError, UnknownNameError
        If stages, balancer or augmenter are described otherwise than they can be.
    """
    present = {name: value for name, value in parameters.items() if name not in _FORMER}
    former = {_FORMER[name]: value for name, value in parameters.items() if name in _FORMER}
    if present.get("head", "pooled") != "pooled":  # files have what heads that do not pool never looked at
        former = {path: value for path, value in former.items() if not path.startswith("head__")}
    return _make(kind, _unfold(present, state), state).set_params(**_tuples(former))


def _make(kind: type[Any], parameters: dict[str, Any], state: dict[str, Any]) -> Any:
    """Make something from the parameters in a file; those that the file does not name have their defaults."""
    unknown = sorted(parameters.keys() - inspect.signature(kind).parameters.keys())
    if unknown:
        raise ModelFileError(f"{kind.__name__} of this version does not know {quoted(*unknown)}; {version_hint(state)}")
    return kind(**_tuples(parameters))


def _unfold(parameters: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Make the objects that are described among parameters."""
    unfolded = dict(parameters)
    for name, kind in NESTED.items():
        may_be = TABLE | NONE | TEXT if name in ("head", *NESTED_BY_NAME) else TABLE | NONE
        if isinstance(described := check(unfolded, {name: may_be}).get(name), dict):
            unfolded[name] = _make(kind, described, state)
    if unfolded.get("stages") is not None:
        stages = check(unfolded, {"stages": listed(TABLE, at_least=1)})["stages"]
        unfolded["stages"] = tuple(_make_stage(stage, state) for stage in stages)
    return unfolded


def _make_stage(described: dict[str, Any], state: dict[str, Any]) -> Stage | Probe:
    kind = check(described, {"kind": choice(*_STAGES)})["kind"]
    return _make(_STAGES[kind], {key: value for key, value in described.items() if key != "kind"}, state)


def _tuples(parameters: dict[str, Any]) -> dict[str, Any]:
    """Undo what JSON did to tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}


def _as_json(value: Any) -> Any:
    """Return what JSON makes of a value."""
    return json.loads(json.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)
