"""`Stage` and `Probe`: the consecutive stages of training."""

from collections.abc import Sequence
from dataclasses import dataclass

from melanoma_tl._parameters import COUNT, NONE, SHARE, TEXT, check_fields, choice, real

SCHEDULES = ("constant", "cosine")

_STAGE = {
    "trainable_from": COUNT | TEXT | NONE,
    "epochs": COUNT | NONE,
    "learning_rate": real(above=0) | NONE,
    "schedule": choice(*SCHEDULES),
    "warmup": SHARE,
    "layer_decay": real(above=0, at_most=1),
}
_PROBE = {"C": real(above=0)}


@dataclass(frozen=True)
class Stage:
    """Training by gradient descent, of the head and, optionally, of the upper layers of the backbone.

    Parameters
    ----------
    trainable_from : str, int or None, default=None
        First trainable layer of the backbone, such as "block5_conv2", or the number of its last stages
        that are trainable, as numbered in `BackboneSpec`; None trains only the head.
    epochs : int or None, default=None
        Maximum number of epochs; None uses that of the classifier.
    learning_rate : float or None, default=None
        Maximum learning rate; None uses the `learning_rate` of the classifier.
    schedule : {"constant", "cosine"}, default="constant"
        Learning rate after the warm-up: constant, or cosine decay to 0
        (Loshchilov and Hutter 2017, arXiv:1608.03983).
    warmup : float, default=0.0
        Share of the steps, from 0 to less than 1, in which the learning rate rises linearly from 0.
    layer_decay : float, default=1.0
        Ratio, above 0 and at most 1, of the learning rate of each stage of the backbone to that of the stage above
        it, or of the head above the last stage (Howard and Ruder 2018, arXiv:1801.06146, use 1 / 2.6).

    Examples
    --------
    >>> Stage(trainable_from=1, epochs=10, learning_rate=1e-5, schedule="cosine", warmup=0.1).schedule
    'cosine'
    """

    trainable_from: str | int | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    schedule: str = "constant"
    warmup: float = 0.0
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, _STAGE)


@dataclass(frozen=True)
class Probe:
    """The exact solution for the last layer only: logistic regression on standardised features.

    All layers before the output layer keep their weights. With few images a probe is hard to beat. It takes
    seconds with stored features, and is a good start for fine-tuning: pre-trained features are
    distorted less than when fine-tuning starts from a random head (Kumar et al. 2022, arXiv:2202.10054).

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the L2 penalty, above 0, as in ``sklearn.linear_model.LogisticRegression``.
        With thousands of features and hundreds of images, values around 1e-4 are usual.

    Examples
    --------
    >>> Probe(C=1e-4).C
    0.0001
    """

    C: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, _PROBE)


def as_stages(stages: Stage | Probe | Sequence[Stage | Probe]) -> Sequence[Stage | Probe]:
    """Return stages as a sequence.

    Parameters
    ----------
    stages : Stage, Probe or sequence of them
        A single stage may be passed without a sequence.

    Returns
    -------
    sequence of Stage or Probe
        In the order of training.
    """
    return (stages,) if isinstance(stages, Stage | Probe) else stages
