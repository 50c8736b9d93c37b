"""`Optimizer`, `Loss` and `Resources`: groups of training parameters."""

from typing import ClassVar

from melanoma_tl._estimators import CheckedParameters
from melanoma_tl._parameters import NONE, SHARE, TEXT, checked, choice, real
from melanoma_tl.training.replicas import DISTRIBUTIONS

LOSSES = ("crossentropy", "focal")

_OPTIMIZER = {
    "optimizer": TEXT,
    "weight_decay": real(at_least=0),
    "clip_norm": real(above=0) | NONE,
    "ema_momentum": real(above=0, below=1) | NONE,
}
_LOSS = {"loss": choice(*LOSSES), "label_smoothing": SHARE}
_RESOURCES = {"feature_cache_bytes": real(at_least=0) | NONE, "distribution": choice(*DISTRIBUTIONS) | NONE}


class Optimizer(CheckedParameters):
    """A Keras optimizer with weight decay, gradient clipping and weight averaging.

    The learning rate is a parameter of `TransferClassifier` and of each `Stage`. A `Probe` is solved exactly, without
    an optimizer.

    Parameters
    ----------
    name : str, default="adam"
        Name of a Keras optimizer; not case-sensitive.
    weight_decay : float, default=0.0
        Decoupled weight decay: each step multiplies the kernels by 1 - learning rate * `weight_decay`; biases and
        normalisation layers are exempt (Loshchilov and Hutter 2019, arXiv:1711.05101). The default is 0 for "adamw"
        too, unlike 0.004 in Keras.
    clip_norm : float or None, default=None
        Maximum global norm of the gradients, above 0; None does not clip.
    ema_momentum : float or None, default=None
        Momentum, such as 0.99, of an exponential moving average of the weights, which then replaces the weights
        (Keras's ``SwapEMAWeights``); None does not average.

    Examples
    --------
    >>> from melanoma_tl import TransferClassifier
    >>> clf = TransferClassifier(optimizer=Optimizer("adamw", weight_decay=1e-2))
    >>> clf.set_params(optimizer__clip_norm=1.0).optimizer
    Optimizer(clip_norm=1.0, name='adamw', weight_decay=0.01)
    """

    _rules = _OPTIMIZER
    _called: ClassVar = {"name": "optimizer"}

    @checked()
    def __init__(
        self,
        name: str = "adam",
        *,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        ema_momentum: float | None = None,
    ) -> None:
        self.name = name
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.ema_momentum = ema_momentum

    def check_parameters(self) -> None:
        """Check every parameter, and that Keras has an optimizer of that name."""
        from melanoma_tl.training.optimizers import find_optimizer

        super().check_parameters()
        find_optimizer(self.name)


class Loss(CheckedParameters):
    """The loss that a `Stage` minimises; a `Probe` always minimises the penalised cross-entropy.

    Parameters
    ----------
    name : {"crossentropy", "focal"}, default="crossentropy"
        "focal" is Keras's ``BinaryFocalCrossentropy`` with its gamma of 2 (Lin et al. 2017, arXiv:1708.02002), or
        ``CategoricalFocalCrossentropy`` with several diagnoses.
    label_smoothing : float, default=0.0
        Smoothing s, from 0 to less than 1: the label 1 becomes 1 - s / 2, the label 0 becomes s / 2.

    Examples
    --------
    >>> Loss("focal", label_smoothing=0.1)
    Loss(label_smoothing=0.1, name='focal')
    """

    _rules = _LOSS
    _called: ClassVar = {"name": "loss"}

    @checked()
    def __init__(self, name: str = "crossentropy", *, label_smoothing: float = 0.0) -> None:
        self.name = name
        self.label_smoothing = label_smoothing


class Resources(CheckedParameters):
    """Disk space and devices that training may use; they affect the speed of training only.

    Parameters
    ----------
    feature_cache_bytes : int or None, default=None
        Maximum size on disk of the stored features of frozen layers, over all runs
        together. None means half of the free space, 0 stores nothing. Features that do not fit are
        computed again in every epoch.
    distribution : {"auto", "data_parallel"} or None, default="auto"
        Devices on which the trainable layers are trained. "data_parallel" uses all devices and divides every batch
        among them; "auto" does the same if the backend supports it (TensorFlow and JAX); None uses one device.
        With JAX these may be the devices of several hosts. With one device all choices are the same.

    Examples
    --------
    >>> Resources(feature_cache_bytes=20 * 2**30)
    Resources(feature_cache_bytes=21474836480)
    """

    _rules = _RESOURCES

    @checked()
    def __init__(self, *, feature_cache_bytes: int | None = None, distribution: str | None = "auto") -> None:
        self.feature_cache_bytes = feature_cache_bytes
        self.distribution = distribution
