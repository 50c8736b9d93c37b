"""What training asks of the parameters of a classifier."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from melanoma_tl.augmentation import Augmenter
from melanoma_tl.backbones import get_backbone
from melanoma_tl.balancing import Balancer
from melanoma_tl.labels.classes import Classes
from melanoma_tl.network.heads import Head
from melanoma_tl.training.stages import Probe, Stage, as_stages


class TrainingParameters(Protocol):
    """Parameters of training, by the names that `TransferClassifier` documents."""

    backbone: str
    weights: str | os.PathLike[str] | None
    preprocessing: str
    input_size: tuple[int, int] | None
    head: Head
    pooling: str | None
    feature_layers: Sequence[str]
    dropout: float
    trainable_from: str | int | None
    stages: Sequence[Stage | Probe] | None
    train_batch_norm: bool
    balancer: Balancer | None
    augmenter: Augmenter | None
    pos_label: Any
    class_weight: str | Mapping[Any, float] | None
    loss: str
    label_smoothing: float
    mix: str | None
    optimizer: str
    learning_rate: float
    weight_decay: float
    clip_norm: float | None
    ema_momentum: float | None
    batch_size: int
    epochs: int
    steps_per_epoch: int | None
    early_stopping: int | None
    restore_best: bool
    precision: str
    feature_cache_bytes: int | None
    on_error: str
    random_state: int | None
    verbose: int

    def _tell_classes(self, labels: NDArray[Any]) -> Classes:
        """Return what the labels mean, and which of them is melanoma."""


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
