"""Keras optimizers by name, with warm-up, schedules and a learning rate for each layer."""

from collections.abc import Sequence
from typing import Any

import keras

from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.training.keras_objects import Template
from melanoma_tl.training.stages import Stage

_NO_RULES = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer", "OptimizerMap")
"""Optimizers of Keras without an update rule of their own: the base class and wrappers."""


def find_optimizer(name: str) -> type:
    """Look up an optimizer of Keras.

    Parameters
    ----------
    name : str
        Its name; not case-sensitive.

    Returns
    -------
    type
        A subclass of ``keras.optimizers.Optimizer``.

    Raises
    ------
    UnknownNameError
        If Keras has none of that name.
    """
    known = {
        key.lower(): value
        for key, value in vars(keras.optimizers).items()
        if isinstance(value, type) and issubclass(value, keras.optimizers.Optimizer) and key not in _NO_RULES
    }
    if str(name).lower() not in known:
        raise UnknownNameError("optimizer", name, known)
    return known[name.lower()]


def check_optimizer(optimizer: Template) -> None:
    """Raise an error for an optimizer that cannot be copied for each fit.

    Parameters
    ----------
    optimizer : Template
        The user's.

    Raises
    ------
    ParameterError
        If it is no optimizer, wraps others, or spares variables that belong to another network.
    """
    given = optimizer.given
    if not isinstance(given, keras.optimizers.Optimizer):
        raise ParameterError(f"optimizer must be an optimizer of Keras, got {type(given).__name__}")
    if type(given).__name__ in _NO_RULES:
        raise ParameterError(f"optimizer: {type(given).__name__} only wraps others; pass the optimizer that it wraps")
    if getattr(given, "_exclude_from_weight_decay", None):
        raise ParameterError(
            "optimizer: exclude_from_weight_decay(var_list=...) names variables of another network; pass var_names"
        )
    optimizer.make()


def rate_of(optimizer: Template) -> float | Template:
    """Return the learning rate that an optimizer was made with.

    Parameters
    ----------
    optimizer : Template
        The user's.

    Returns
    -------
    float or Template
        A number, or its schedule.
    """
    rate = optimizer.given._learning_rate
    is_schedule = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
    return Template("learning_rate", rate) if is_schedule else float(rate)


def schedule_rate(stage: Stage, learning_rate: float | Template, steps: int) -> Any:
    """Return the learning rate, or its schedule over the steps.

    Parameters
    ----------
    stage : Stage
        The stage, with its schedule and warm-up.
    learning_rate : float or Template
        The peak learning rate, or a schedule of the user's.
    steps : int
        Number of training steps of the whole stage.

    Returns
    -------
    float or keras.optimizers.schedules.LearningRateSchedule
        A number for a constant rate.
    """
    if isinstance(learning_rate, Template):
        return learning_rate.make()
    schedules = keras.optimizers.schedules
    warmup = round(stage.warmup * steps)
    if stage.schedule == "cosine":
        if warmup:
            return schedules.CosineDecay(0.0, steps - warmup, warmup_target=learning_rate, warmup_steps=warmup)
        return schedules.CosineDecay(learning_rate, steps)
    # A linear ramp (a polynomial of degree 1), constant after its end.
    return schedules.PolynomialDecay(0.0, warmup, end_learning_rate=learning_rate) if warmup else learning_rate


def build_optimizer(
    name: str | Template,
    *,
    learning_rate: Any,
    weight_decay: float,
    clip_norm: float | None,
    ema_momentum: float | None,
    rates: Sequence[float] | None = None,
) -> Any:
    """Build an optimizer.

    Parameters
    ----------
    name : str or Template
        Name of a Keras optimizer; or one of the user's, which has its own weight decay, clipping and averaging.
    learning_rate : float or LearningRateSchedule
        The learning rate or its schedule.
    weight_decay : float
        Decoupled weight decay of the kernels, relative to the learning rate; biases and normalisation
        parameters are excluded (Loshchilov and Hutter 2019, arXiv:1711.05101).
    clip_norm : float or None
        Largest global norm of the gradients; None does not clip.
    ema_momentum : float or None
        Momentum of the exponential moving average of the weights; None does not average.
    rates : sequence of float, optional
        Factor of the learning rate for each trainable variable of the network, in their order.

    Returns
    -------
    keras.optimizers.Optimizer
        The optimizer; its variables are not yet built.
    """
    if isinstance(name, Template):
        kind = _freed(type(name.given))
        own = name.make(kind if rates is None else _with_rates(kind, rates), learning_rate=learning_rate)
        if pattern := getattr(name.given, "_exclude_from_weight_decay_pattern", None):
            own.exclude_from_weight_decay(var_names=[pattern.pattern])
        return own
    kind = find_optimizer(name)
    optimizer = (_freed(kind) if rates is None else _with_rates(_freed(kind), rates))(
        learning_rate=learning_rate,
        # None means no decay, except in AdamW, which does not accept it.
        weight_decay=float(weight_decay) or (0.0 if issubclass(kind, keras.optimizers.AdamW) else None),
        # TensorFlow multiplies float32 by a float of Python, and not by a number of NumPy.
        global_clipnorm=None if clip_norm is None else float(clip_norm),
        use_ema=ema_momentum is not None,
        **({} if ema_momentum is None else {"ema_momentum": float(ema_momentum)}),
    )
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return optimizer


def _freed(kind: Any) -> Any:
    """Derive an optimizer class whose instances can be garbage-collected with their network.

    TensorFlow stores the function that sums gradients over devices in a table that lives as long as the process, and
    the function refers to the weights. On a single device it is not needed; other backends do not call it.
    """

    class Freed(kind):
        def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[Any]:
            if self._distribution_strategy.num_replicas_in_sync == 1:
                return list(grads_and_vars)
            return super()._all_reduce_sum_gradients(grads_and_vars)

    Freed.__name__ = kind.__name__  # visible to callbacks
    return Freed


def _with_rates(kind: Any, rates: Sequence[float]) -> Any:
    """Derive an optimizer class with a learning rate for each variable.

    Gradients cannot be scaled instead, because the steps of Adam and similar optimizers do not depend on their scale.
    """

    class LayerRates(kind):
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient, variable, learning_rate * rates[self._get_variable_index(variable)])

    return LayerRates
