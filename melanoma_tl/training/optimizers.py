"""Optimizers by name, with warm-up, schedules and a rate for each layer."""

from collections.abc import Sequence
from typing import Any

import keras

from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.training.keras_objects import Template
from melanoma_tl.training.stages import Stage

_NO_RULES = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer", "OptimizerMap")
"""Optimizers of Keras that have no rule of their own: their base class, and those made of others."""


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
    """Stop at an optimizer that cannot be made again for each fit.

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
    """Make the learning rate of each step.

    Parameters
    ----------
    stage : Stage
        Its schedule and warm-up.
    learning_rate : float or Template
        The largest rate, or a schedule of the user's.
    steps : int
        Training steps of the whole stage.

    Returns
    -------
    float or keras.optimizers.schedules.LearningRateSchedule
        A number where the rate stays the same.
    """
    if isinstance(learning_rate, Template):
        return learning_rate.make()
    schedules = keras.optimizers.schedules
    warmup = round(stage.warmup * steps)
    if stage.schedule == "cosine":
        if warmup:
            return schedules.CosineDecay(0.0, steps - warmup, warmup_target=learning_rate, warmup_steps=warmup)
        return schedules.CosineDecay(learning_rate, steps)
    # A polynomial of degree 1 that stays where it arrives.
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
    """Make an optimizer.

    Parameters
    ----------
    name : str or Template
        Name of a Keras optimizer; or one of the user's, which has its own weight decay, clipping and averaging.
    learning_rate : float or LearningRateSchedule
        Its rate.
    weight_decay : float
        What every step takes off the kernels, as a multiple of the rate; biases and
        normalisations are spared (Loshchilov and Hutter 2019, arXiv:1711.05101).
    clip_norm : float or None
        Largest norm of all gradients together.
    ema_momentum : float or None
        Momentum of the moving average of the weights; None keeps none.
    rates : sequence of float, optional
        What the rate is multiplied by for each trainable variable of the network, in its order.

    Returns
    -------
    keras.optimizers.Optimizer
        Not yet built.
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
        # Of Keras's, AdamW alone must be told that there is none.
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
    """Derive an optimizer that is freed with its network.

    TensorFlow keeps what adds up the gradients of all devices in a table for as long as the process lives, and with it
    the weights. Of one device there is nothing to add up; the other backends do not ask.
    """

    class Freed(kind):
        def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[Any]:
            if self._distribution_strategy.num_replicas_in_sync == 1:
                return list(grads_and_vars)
            return super()._all_reduce_sum_gradients(grads_and_vars)

    Freed.__name__ = kind.__name__  # callbacks see it
    return Freed


def _with_rates(kind: Any, rates: Sequence[float]) -> Any:
    """Derive an optimizer that steps further for some variables than for others.

    Scaling gradients would not do: what Adam and its kind make of a gradient does not depend on its scale.
    """

    class LayerRates(kind):
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient, variable, learning_rate * rates[self._get_variable_index(variable)])

    return LayerRates
