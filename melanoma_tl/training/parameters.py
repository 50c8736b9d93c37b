"""What training asks of the parameters of a classifier."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._parameters import show
from melanoma_tl.augmentation import Augmenter
from melanoma_tl.backbones import get_backbone
from melanoma_tl.balancing import Balancer
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.labels.classes import Classes
from melanoma_tl.network.graph import resolve_trainable_from
from melanoma_tl.network.heads import Head, PooledHead
from melanoma_tl.training.keras_objects import Template, refuse_description
from melanoma_tl.training.settings import Loss, Optimizer, Resources
from melanoma_tl.training.stages import Probe, Stage, as_stages

PARTS: dict[str, type[Any]] = {
    "head": PooledHead,
    "balancer": Balancer,
    "augmenter": Augmenter,
    "loss": Loss,
    "optimizer": Optimizer,
    "resources": Resources,
}
"""The parameters that may have parameters."""

_DEFAULT_RATE = 1e-3
"""The learning rate of a classifier that was given none."""

BY_NAME = ("loss", "optimizer")
"""Those of them that a word may stand for, which is their first parameter."""


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

    def _tell_classes(self, labels: NDArray[Any]) -> Classes:
        """Return what the labels mean, and which of them is melanoma."""


def open_part(name: str, given: Any) -> Any:
    """Return the object that a word or None stands for.

    Parameters
    ----------
    name : str
        Of the parameter.
    given : object
        What the parameter is.

    Returns
    -------
    object
        `given` itself, if it is an object of that kind; a word and None are made one, with defaults.

    Raises
    ------
    ParameterError
        If it stands for no such object.
    """
    kind = PARTS.get(name)
    if kind is None:
        raise ParameterError(f"{name} has no parameters of its own; {', '.join(PARTS)} have")
    if isinstance(given, kind):
        return given
    if given is None or (name, given) == ("head", "pooled"):
        return kind()
    if name in BY_NAME and isinstance(given, str):
        return kind(given)
    raise ParameterError(f"{name}={show(given)} has no parameters of its own: make it {kind.__name__}(...)")


def own_object(name: str, given: Any) -> Template | None:
    """Return what a user has made of Keras, or programmed, in place of a name or a part.

    Parameters
    ----------
    name : str
        Of the parameter.
    given : object
        What the parameter is.

    Returns
    -------
    Template or None
        None for names, numbers and parts.
    """
    known = (str, int, float, np.number, PARTS.get(name, str))
    return None if given is None or isinstance(given, known) else Template(name, given)


def as_metrics(given: Any) -> tuple[Any, ...]:
    """Return the metrics of a user, one alone as one.

    Parameters
    ----------
    given : str, callable, keras.metrics.Metric or sequence of these
        The parameter `metrics`.

    Returns
    -------
    tuple
        In their order.
    """
    return (given,) if isinstance(given, str) or not isinstance(given, Sequence) else tuple(given)


def metrics_of(parameters: TrainingParameters) -> tuple[Template, ...]:
    """Return the metrics of the user, those with a name too.

    Parameters
    ----------
    parameters : TrainingParameters
        Checked.

    Returns
    -------
    tuple of Template
        In their order.

    Raises
    ------
    UnknownNameError
        If Keras has no metric of that name.
    ParameterError
        If two have the same name, or one has that of a metric which the history has in any case.
    """
    import keras

    metrics, names = [], ["loss", "accuracy", "auc"]
    for metric in as_metrics(parameters.metrics):
        refuse_description("metrics", metric)
        try:
            made = keras.metrics.get(metric)
        except ValueError:
            raise UnknownNameError("metric", metric, _names_of_metrics()) from None
        name = getattr(made, "name", getattr(made, "__name__", type(made).__name__))
        if name in names:
            raise ParameterError(
                f"metrics: the history has {name!r} already; give yours a name of its own, such as "
                f"keras.metrics.Precision(name='precision_2')"
            )
        names.append(name)
        metrics.append(Template("metrics", made))
    return tuple(metrics)


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
        One, where none are given.
    """
    return as_stages(Stage(parameters.trainable_from) if parameters.stages is None else parameters.stages)


def chooses_penalty(parameters: TrainingParameters) -> bool:
    """Tell whether a stage is a ``Probe(C="auto")``.

    Parameters
    ----------
    parameters : TrainingParameters
        Checked.

    Returns
    -------
    bool
        Whether the training images are divided into folds.
    """
    return any(isinstance(stage, Probe) and stage.C == "auto" for stage in stages_of(parameters))


def check_stages(parameters: TrainingParameters) -> None:
    """Stop at stages that cannot be trained, before anything is read or built.

    Parameters
    ----------
    parameters : TrainingParameters
        Each of them checked.

    Raises
    ------
    ParameterError
        If stages and other parameters contradict each other.
    """
    stages, spec = stages_of(parameters), get_backbone(parameters.backbone)
    for stage in stages:
        if isinstance(stage, Stage):
            resolve_trainable_from(spec, stage.trainable_from)
    rate = own_object("learning_rate", parameters.learning_rate)
    if rate is not None:
        from keras.optimizers.schedules import LearningRateSchedule

        if not isinstance(rate.given, LearningRateSchedule):
            raise ParameterError(f"learning_rate must be a number above 0 or a schedule of Keras, got {rate}")
    if own := own_object("optimizer", parameters.optimizer):
        if parameters.learning_rate != _DEFAULT_RATE:
            raise ParameterError(
                f"learning_rate={show(parameters.learning_rate)}, and the optimizer object has its own: leave that of "
                "the classifier out, or name the optimizer"
            )
        from melanoma_tl.training.optimizers import rate_of

        given = rate_of(own)
        rate = given if isinstance(given, Template) else None
    for stage in stages:
        if rate is not None and isinstance(stage, Stage) and (stage.schedule != "constant" or stage.warmup):
            raise ParameterError(
                f"schedule={stage.schedule!r} and warmup={stage.warmup} of a Stage shape a rate that is a number, and "
                f"the learning rate is a schedule already, {rate}"
            )
    probes = [stage for stage in stages if isinstance(stage, Probe)]
    if probes and parameters.augmenter is not None and parameters.augmenter.views is None:
        raise ParameterError("a Probe needs fixed views: pass Augmenter(..., views=8), or no augmenter")
    if len(probes) == len(stages) and parameters.mix is not None:
        raise ParameterError(
            f"mix={parameters.mix!r} mixes images in the steps of a Stage, and there is only a Probe: take mix=None"
        )
