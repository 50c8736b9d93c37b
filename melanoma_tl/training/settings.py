"""Parameters of training that belong together: of the optimizer, the loss, and what of the machine is used."""

from sklearn.base import BaseEstimator

from melanoma_tl._parameters import NONE, SHARE, TEXT, check, choice, real
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


class Optimizer(BaseEstimator):
    """An optimizer of Keras by its name, and what is done with its gradients and weights.

    The learning rate is a parameter of `TransferClassifier` and of each `Stage`. A `Probe` is solved exactly, without
    an optimizer.

    Parameters
    ----------
    name : str, default="adam"
        Name of a Keras optimizer; not case-sensitive.
    weight_decay : float, default=0.0
        What each step takes off the kernels, as a multiple of the learning rate; biases and normalisations
        are spared (Loshchilov and Hutter 2019, arXiv:1711.05101). It is 0 for "adamw" too, where Keras takes 0.004.
    clip_norm : float or None, default=None
        Largest norm of all gradients together, above 0; None does not clip.
    ema_momentum : float or None, default=None
        Takes the moving average of the weights with this momentum, such as 0.99, for the weights
        (Keras's ``SwapEMAWeights``); None takes the weights themselves.

    Examples
    --------
    >>> from melanoma_tl import TransferClassifier
    >>> clf = TransferClassifier(optimizer=Optimizer("adamw", weight_decay=1e-2))
    >>> clf.set_params(optimizer__clip_norm=1.0).optimizer
    Optimizer(clip_norm=1.0, name='adamw', weight_decay=0.01)
    """

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
        """Check every parameter but the name, which Keras knows.

        Raises
        ------
        ParameterError
            If one cannot be used.
        """
        check(self.get_params() | {"optimizer": self.name}, _OPTIMIZER)


class Loss(BaseEstimator):
    """The loss that training minimises; a `Probe` minimises its own, the penalised cross-entropy.

    Parameters
    ----------
    name : {"crossentropy", "focal"}, default="crossentropy"
        "focal" is Keras's ``BinaryFocalCrossentropy`` with its gamma of 2 (Lin et al. 2017, arXiv:1708.02002),
        of several diagnoses ``CategoricalFocalCrossentropy``.
    label_smoothing : float, default=0.0
        Takes a label of 1 for 1 less half of this and 0 for half of it, 0 up to but not 1.

    Examples
    --------
    >>> Loss("focal", label_smoothing=0.1)
    Loss(label_smoothing=0.1, name='focal')
    """

    def __init__(self, name: str = "crossentropy", *, label_smoothing: float = 0.0) -> None:
        self.name = name
        self.label_smoothing = label_smoothing

    def check_parameters(self) -> None:
        """Check every parameter.

        Raises
        ------
        ParameterError, UnknownNameError
            If one cannot be used.
        """
        check(self.get_params() | {"loss": self.name}, _LOSS)


class Resources(BaseEstimator):
    """What training may use of the machine; it changes how fast, and not what is learned.

    Parameters
    ----------
    feature_cache_bytes : int or None, default=None
        Bytes on disk that stored features of the frozen part may take, those of all runs
        together. None takes half of what is free, 0 stores nothing. What does not fit is
        computed in every epoch.
    distribution : {"auto", "data_parallel"} or None, default="auto"
        On which devices the part that learns is trained: "data_parallel" takes all, each of which sees its
        share of every batch, and so does "auto" where the backend can (TensorFlow and JAX); None takes one.
        With JAX these may be the devices of several hosts. With one device there is no difference.

    Examples
    --------
    >>> Resources(feature_cache_bytes=20 * 2**30)
    Resources(feature_cache_bytes=21474836480)
    """

    def __init__(self, *, feature_cache_bytes: int | None = None, distribution: str | None = "auto") -> None:
        self.feature_cache_bytes = feature_cache_bytes
        self.distribution = distribution

    def check_parameters(self) -> None:
        """Check every parameter.

        Raises
        ------
        ParameterError, UnknownNameError
            If one cannot be used.
        """
        check(self.get_params(), _RESOURCES)
