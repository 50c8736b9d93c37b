"""What training asks of the parameters of a classifier."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from melanoma_tl._parameters import show
from melanoma_tl.augmentation import Augmenter
from melanoma_tl.backbones import get_backbone
from melanoma_tl.balancing import Balancer
from melanoma_tl.errors import ParameterError
from melanoma_tl.labels.classes import Classes
from melanoma_tl.network.graph import resolve_trainable_from
from melanoma_tl.network.heads import Head, PooledHead
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
    loss: str | Loss
    optimizer: str | Optimizer
    learning_rate: float
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
    probes = [stage for stage in stages if isinstance(stage, Probe)]
    if probes and parameters.augmenter is not None and parameters.augmenter.views is None:
        raise ParameterError("a Probe needs fixed views: pass Augmenter(..., views=8), or no augmenter")
    if len(probes) == len(stages) and parameters.mix is not None:
        raise ParameterError(
            f"mix={parameters.mix!r} mixes images in the steps of a Stage, and there is only a Probe: take mix=None"
        )
