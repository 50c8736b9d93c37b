"""The parameters of training: their types, their checks, and the defaults that follow from other parameters."""

import inspect
import logging
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._parameters import show
from melanoma_tl.augmentation import Augmenter
from melanoma_tl.backbones import get_backbone
from melanoma_tl.balancing import Balancer
from melanoma_tl.errors import ParameterError, UnknownNameError, in_one_line
from melanoma_tl.labels.classes import Classes
from melanoma_tl.network.graph import resolve_trainable_from
from melanoma_tl.network.heads import Head, PooledHead
from melanoma_tl.training.keras_objects import Template, refuse_description
from melanoma_tl.training.settings import Loss, Optimizer, Resources
from melanoma_tl.training.stages import Probe, Stage, as_stages

logger = logging.getLogger(__name__)

NESTED: dict[str, type[Any]] = {
    "head": PooledHead,
    "balancer": Balancer,
    "augmenter": Augmenter,
    "loss": Loss,
    "optimizer": Optimizer,
    "resources": Resources,
}
"""Parameters that are objects with parameters of their own, as in ``set_params(head__units=64)``."""

_OF_STAGES = (
    "dropout",
    "train_batch_norm",
    "loss",
    "optimizer",
    "learning_rate",
    "epochs",
    "steps_per_epoch",
    "early_stopping",
    "restore_best",
)
"""Parameters without effect on a `Probe`, which is solved exactly."""

_DEFAULT_RATE = 1e-3
"""The default of the parameter `learning_rate` of a classifier."""

NESTED_BY_NAME = ("loss", "optimizer")
"""Nested parameters that may be given as a word, the first parameter of the object: "adam" is ``Optimizer("adam")``."""


class TrainingParameters(Protocol):
    """Parameters of training, by the names that `TransferClassifier` documents."""

    backbone: str
    weights: str | os.PathLike[str] | None
    preprocessing: str
    input_size: tuple[int, int] | None
    head: Head
    dropout: float
    trainable_from: str | int | None
    stages: Sequence[Stage | Probe] | None
    train_batch_norm: bool
    balancer: Balancer | None
    augmenter: Augmenter | None
    pos_label: Any
    class_weight: str | Mapping[Any, float] | None
    mix: str | None
    loss: Any
    optimizer: Any
    metrics: Any
    learning_rate: Any
    batch_size: int
    epochs: int
    steps_per_epoch: int | None
    early_stopping: int | None
    restore_best: bool
    precision: str
    resources: Resources | None
    on_error: str
    random_state: int | None
    verbose: int

    def _resolve_classes(self, labels: NDArray[Any]) -> Classes:
        """Return the classes of the labels, and which of them is melanoma."""


def as_nested(name: str, given: Any) -> Any:
    """Return a nested parameter as an object, also where a word or None was given for it.

    Parameters
    ----------
    name : str
        Name of the parameter.
    given : object
        Its value.

    Returns
    -------
    object
        `given` itself, or an object with default parameters, made for a word or None.

    Raises
    ------
    ParameterError
        If the parameter cannot be nested, or `given` is an object of the user such as an optimizer of Keras.
    """
    kind = NESTED.get(name)
    if kind is None:
        raise ParameterError(f"{name} has no parameters of its own; {', '.join(NESTED)} have")
    if isinstance(given, kind):
        return given
    if given is None or (name, given) == ("head", "pooled"):
        return kind()
    if name in NESTED_BY_NAME and isinstance(given, str):
        return kind(given)
    raise ParameterError(f"{name}={show(given)} has no parameters of its own: make it {kind.__name__}(...)")


def as_template(name: str, given: Any) -> Template | None:
    """Wrap a Keras object or a function of the user.

    Parameters
    ----------
    name : str
        Name of the parameter.
    given : object
        Its value.

    Returns
    -------
    Template or None
        None if the value is None, a name, a number or one of this library's own objects (`NESTED`).
    """
    known = (str, int, float, np.number, NESTED.get(name, str))
    return None if given is None or isinstance(given, known) else Template(name, given)


def as_metrics(given: Any) -> tuple[Any, ...]:
    """Return the parameter `metrics` as a tuple.

    Parameters
    ----------
    given : str, callable, keras.metrics.Metric or sequence of these
        The parameter `metrics`.

    Returns
    -------
    tuple
        The metrics in the order given; a single one becomes a tuple of one.
    """
    return (given,) if isinstance(given, str) or not isinstance(given, Sequence) else tuple(given)


def metrics_of(parameters: TrainingParameters) -> tuple[Template, ...]:
    """Return the metrics of the user as Keras objects or functions; names are looked up in Keras.

    Parameters
    ----------
    parameters : TrainingParameters
        Checked.

    Returns
    -------
    tuple of Template
        The metrics in the order given.

    Raises
    ------
    UnknownNameError
        If Keras has no metric of that name.
    ParameterError
        If two have the same name, one is called "loss", "accuracy" or "auc", which the history always contains, or one
        cannot be made by its name alone.
    """
    import keras

    metrics, names = [], ["loss", "accuracy", "auc"]
    for metric in as_metrics(parameters.metrics):
        refuse_description("metrics", metric)
        made = _make_metric(metric) if isinstance(metric, str) else keras.metrics.get(metric)
        name = getattr(made, "name", getattr(made, "__name__", type(made).__name__))
        if name in names:
            raise ParameterError(
                f"metrics: the history already contains {name!r}; give the metric another name, such as "
                "keras.metrics.Precision(name='precision_2')"
            )
        names.append(name)
        metrics.append(Template("metrics", made))
    return tuple(metrics)


def _make_metric(word: str) -> Any:
    """Make the metric that Keras knows by a name; a function stays one."""
    import keras

    try:
        made = keras.metrics.get(word)
    except ValueError:
        raise UnknownNameError("metric", word, _names_of_metrics()) from None
    except TypeError as error:  # it has parameters without a default
        told = f"metrics={word!r} cannot be made by its name alone ({in_one_line(error, 160)})"
        raise ParameterError(f"{told}: pass it as an object, as keras.metrics.{word}(...)") from None
    if not isinstance(made, keras.metrics.Metric):
        return made
    # Keras counts the metrics that it has named in this process: the second AUC is called "auc_1".
    return type(made).from_config(made.get_config() | {"name": re.sub(r"_\d+$", "", made.name)})


def _names_of_metrics() -> list[str]:
    import keras

    return [name for name, kind in vars(keras.metrics).items() if isinstance(kind, type)]


def image_size(parameters: TrainingParameters) -> tuple[int, int]:
    """Return the size that images are resized to.

    Parameters
    ----------
    parameters : TrainingParameters
        Checked.

    Returns
    -------
    tuple of int
        (height, width) in pixels.
    """
    given = get_backbone(parameters.backbone).input_size if parameters.input_size is None else parameters.input_size
    height, width = map(int, given)
    return height, width


def stages_of(parameters: TrainingParameters) -> Sequence[Stage | Probe]:
    """Return the stages of training.

    Parameters
    ----------
    parameters : TrainingParameters
        Checked.

    Returns
    -------
    sequence of Stage or Probe
        By default a single `Stage`, which starts at `trainable_from`.
    """
    return as_stages(Stage(parameters.trainable_from) if parameters.stages is None else parameters.stages)


def chooses_penalty(parameters: TrainingParameters) -> bool:
    """Return whether a stage is a ``Probe(C="auto")``.

    Parameters
    ----------
    parameters : TrainingParameters
        Checked.

    Returns
    -------
    bool
        True if the training images are divided into folds to choose the penalty.
    """
    return any(isinstance(stage, Probe) and stage.C == "auto" for stage in stages_of(parameters))


def check_stages(parameters: TrainingParameters) -> None:
    """Raise an error for stages that cannot be trained, before any image is read or a network is built.

    Parameters
    ----------
    parameters : TrainingParameters
        Checked one by one, but not yet against each other.

    Raises
    ------
    ParameterError
        If stages and other parameters contradict each other.
    """
    stages, spec = stages_of(parameters), get_backbone(parameters.backbone)
    for stage in stages:
        if isinstance(stage, Stage):
            resolve_trainable_from(spec, stage.trainable_from)
    rate = as_template("learning_rate", parameters.learning_rate)
    if rate is not None:
        from keras.optimizers.schedules import LearningRateSchedule

        if not isinstance(rate.given, LearningRateSchedule):
            raise ParameterError(f"learning_rate must be a number above 0 or a schedule of Keras, got {rate}")
    if own := as_template("optimizer", parameters.optimizer):
        if parameters.learning_rate != _DEFAULT_RATE:
            raise ParameterError(
                f"learning_rate={show(parameters.learning_rate)}, but the optimizer object has a learning rate of its "
                "own: omit learning_rate, or give the optimizer by name"
            )
        from melanoma_tl.training.optimizers import rate_of

        given = rate_of(own)
        rate = given if isinstance(given, Template) else None
    for stage in stages:
        if rate is not None and isinstance(stage, Stage) and (stage.schedule != "constant" or stage.warmup):
            raise ParameterError(
                f"schedule={stage.schedule!r} and warmup={stage.warmup} of a Stage need a learning rate that is a "
                f"number, but it is a schedule: {rate}"
            )
    probes = [stage for stage in stages if isinstance(stage, Probe)]
    if probes and parameters.augmenter is not None and parameters.augmenter.views is None:
        raise ParameterError("a Probe needs fixed views: pass Augmenter(..., views=8), or no augmenter")
    if len(probes) == len(stages) and parameters.mix is not None:
        raise ParameterError(
            f"mix={parameters.mix!r} mixes images in the batches of a Stage, but all stages are a Probe: set mix=None"
        )


def warn_of_unused(parameters: TrainingParameters) -> None:
    """Warn of parameters of gradient descent that were set, although all stages are a `Probe`.

    Parameters
    ----------
    parameters : TrainingParameters
        Checked.
    """
    if not all(isinstance(stage, Probe) for stage in stages_of(parameters)):
        return
    defaults = {name: one.default for name, one in inspect.signature(type(parameters)).parameters.items()}
    given = {name: getattr(parameters, name) for name in _OF_STAGES}
    unused = [f"{name}={show(value)}" for name, value in given.items() if value != defaults[name]]
    if unused:
        logger.warning("without effect, since every stage is a Probe, which is solved exactly: %s", ", ".join(unused))
