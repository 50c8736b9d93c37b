"""The parts that training goes through, one after the other."""

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
    """Training by gradient steps, of the head and of the backbone from some layer on.

    Parameters
    ----------
    trainable_from : str, int or None, default=None
        First layer of the backbone that learns, such as "block5_conv2"; or how many of the last
        stages of the backbone learn, as `BackboneSpec` counts them; None trains the head alone.
    epochs : int or None, default=None
        Largest number of epochs; None takes the classifier's.
    learning_rate : float or None, default=None
        Largest learning rate; None takes the classifier's.
    schedule : {"constant", "cosine"}, default="constant"
        What the rate does after the warm-up: stay, or fall to 0 along half a cosine
        (Loshchilov and Hutter 2017, arXiv:1608.03983).
    warmup : float, default=0.0
        Share of the steps, 0 up to but not 1, in which the rate rises linearly from 0.
    layer_decay : float, default=1.0
        The rate of each stage of the backbone is this times the rate of the stage above it,
        the head being uppermost; above 0, at most 1 (Howard and Ruder 2018, arXiv:1801.06146,
        divide by 2.6).

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
    """The exact solution for the last layer alone: logistic regression on standardised features.

    Everything before the score stays as it is. With few images a probe is hard to beat, takes
    seconds from stored features, and is a good start for fine-tuning, which distorts pre-trained
    features less from there than from a random head (Kumar et al. 2022, arXiv:2202.10054).

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
        One may stand alone.

    Returns
    -------
    sequence of Stage or Probe
        In the order of training.
    """
    return (stages,) if isinstance(stages, Stage | Probe) else stages
