"""`Stage` and `Probe`: the consecutive stages of training."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from melanoma_tl._parameters import COUNT, NONE, SHARE, TEXT, check_fields, checked_call, choice, real, show
from melanoma_tl.errors import ParameterError, UnknownNameError

SCHEDULES = ("constant", "cosine")

_STAGE = {
    "trainable_from": COUNT | TEXT | NONE,
    "epochs": COUNT | NONE,
    "learning_rate": real(above=0) | NONE,
    "schedule": choice(*SCHEDULES),
    "warmup": SHARE,
    "layer_decay": real(above=0, at_most=1),
}
_PROBE = {"C": real(above=0) | choice("auto")}


@checked_call()
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


@checked_call()
@dataclass(frozen=True)
class Probe:
    """The exact solution for the last layer only: logistic regression on standardised features.

    All layers before the output layer keep their weights. With few images a probe is hard to beat. It takes
    seconds with stored features, and is a good start for fine-tuning: pre-trained features are
    distorted less than when fine-tuning starts from a random head (Kumar et al. 2022, arXiv:2202.10054).

    Parameters
    ----------
    C : float or "auto", default=1.0
        Inverse strength of the L2 penalty, above 0, as in ``sklearn.linear_model.LogisticRegression``.
        With thousands of features and hundreds of images, values around 1e-4 are usual. "auto" chooses it in `fit` by
        five-fold cross-validation on the features, and takes seconds for hundreds of images; see Notes.

    Notes
    -----
    ``C="auto"`` compares 13 values, two for each factor of ten, centred on 1 / number of features. With standardised
    features, C times their number is about the variance of the log odds that the penalty allows: the grid reaches from
    0.001, where all images score nearly the same, to 1000, where nearly nothing is penalised. It is logarithmic, since
    the loss changes little when C is doubled.

    Folds are stratified and grouped like those of `melanoma_tl.classifier.cross_validate`: images of one lesion or
    patient, copies and near-duplicates are in one fold. Each fold is standardised and solved anew, as exactly as the
    probe itself. The chosen C has the lowest mean log loss of the images held out; of equal ones, it is the smallest,
    which is the strongest penalty. Log loss is what a probe minimises, and judges the probabilities: the AUC judges
    their order alone, hardly changes over several factors of ten, and is noisier with few melanomas.
    Losses are weighted as in training. `TransferClassifier.penalty_path_` holds what came out for each value.

    Examples
    --------
    >>> Probe(C=1e-4).C
    0.0001
    """

    C: float | str = 1.0

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


def name_parameters(stages: Any) -> dict[str, Any]:
    """List the parameters of stages under their numbers.

    Parameters
    ----------
    stages : object
        What the parameter `stages` of a classifier is.

    Returns
    -------
    dict
        Such as ``{"0__C": 1.0}``; empty where there are no stages.
    """
    if not isinstance(stages, Stage | Probe | list | tuple):
        return {}
    return {
        f"{number}__{field.name}": getattr(stage, field.name)
        for number, stage in enumerate(as_stages(stages))
        if isinstance(stage, Stage | Probe)
        for field in fields(stage)
    }


def change_stages(stages: Any, changes: dict[str, Any]) -> tuple[Stage | Probe, ...]:
    """Make stages with other parameters.

    Parameters
    ----------
    stages : object
        What the parameter `stages` of a classifier is; it stays as it is.
    changes : dict
        As `name_parameters` names them.

    Returns
    -------
    tuple of Stage or Probe
        New where they have changed.

    Raises
    ------
    ParameterError, UnknownNameError
        If there is no such stage or parameter, or it cannot be used.
    """
    known = name_parameters(stages)
    if not known:
        raise ParameterError(f"stages={show(stages)} has no parameters of its own: make it (Probe(), Stage(...))")
    changed = list(as_stages(stages))
    for path, value in changes.items():
        number, _, name = path.partition("__")
        if not number.isdecimal() or not name:
            raise ParameterError(f"stages__{path}: name a stage by its number, as in stages__0__C")
        if int(number) >= len(changed):
            raise ParameterError(f"stages__{path}: stages has {len(changed)} entries, 0 to {len(changed) - 1}")
        stage = changed[int(number)]
        if path not in known:
            names = [field.name for field in fields(stage)]
            raise UnknownNameError(f"parameter of {type(stage).__name__}", name, names)
        changed[int(number)] = replace(stage, **{name: value})
    return tuple(changed)
