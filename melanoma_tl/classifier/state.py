"""The parameters of a classifier: to JSON and back, and which recipe they are."""

import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from melanoma_tl._parameters import TABLE, check, choice, listed
from melanoma_tl.augmentation import Augmenter
from melanoma_tl.balancing import Balancer
from melanoma_tl.errors import ModelFileError
from melanoma_tl.labels.classes import Classes, as_labels
from melanoma_tl.network.heads import name_head
from melanoma_tl.recipes import get_recipe, list_recipes
from melanoma_tl.saving.audit import quoted
from melanoma_tl.saving.model_file import version_hint
from melanoma_tl.training.stages import Probe, Stage, as_stages

_NESTED = {"balancer": Balancer, "augmenter": Augmenter}
"""The parameters that have parameters."""

_RENAMED = {"taps": "feature_layers", "feature_budget": "feature_cache_bytes"}
"""Parameters under the names that files of version 0.1 have for them."""

_STAGES: dict[str, type[Any]] = {"Stage": Stage, "Probe": Probe}

_OF_NO_RECIPE = frozenset(
    {"weights", "random_state", "verbose", "threshold", "precision", "distribution", "feature_cache_bytes", "on_error"}
)
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
    for name in _NESTED:
        if parameters[name] is not None:
            parameters[name] = parameters[name].get_params()
    if parameters["stages"] is not None:
        parameters["stages"] = [
            {"kind": type(stage).__name__} | asdict(stage) for stage in as_stages(parameters["stages"])
        ]
    if callable(parameters["head"]):
        parameters["head"] = f"function {name_head(parameters['head'])}"
    if isinstance(parameters["weights"], os.PathLike):
        parameters["weights"] = os.fspath(parameters["weights"])
    if isinstance(weights := parameters["class_weight"], Mapping):  # JSON knows no other keys
        labels = as_labels(list(weights), name="class_weight").tolist()
        parameters["class_weight"] = dict(zip(map(str, labels), weights.values(), strict=True))
    return json.loads(json.dumps(parameters, default=_plain))


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
    mine = describe_parameters(classifier)
    found = []
    for name in list_recipes():
        set_up = get_recipe(name)
        theirs = describe_parameters(type(classifier)(**set_up))
        changed = [key for key in theirs if theirs[key] != mine[key] and key not in _OF_NO_RECIPE]
        if 2 * len(set(changed) & set(set_up)) < len(set_up):
            found.append((len(changed), name, changed))
    if not found:
        return "none"
    _, name, changed = min(found)
    return name + (f" with {', '.join(sorted(changed))} changed" if changed else "")


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
    named = {_RENAMED.get(name, name): value for name, value in parameters.items()}
    return _make(kind, _unfold(named, state), state)


def _make(kind: type[Any], parameters: dict[str, Any], state: dict[str, Any]) -> Any:
    """Make something from the parameters in a file; those that the file does not name have their defaults."""
    unknown = sorted(parameters.keys() - inspect.signature(kind).parameters.keys())
    if unknown:
        raise ModelFileError(f"{kind.__name__} of this version does not know {quoted(*unknown)}; {version_hint(state)}")
    return kind(**_tuples(parameters))


def _unfold(parameters: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Make the objects that are described among parameters."""
    unfolded = dict(parameters)
    for name, kind in _NESTED.items():
        if unfolded.get(name) is not None:
            unfolded[name] = _make(kind, check(unfolded, {name: TABLE})[name], state)
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


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)
