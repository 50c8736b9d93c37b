"""The loss, the metrics and the optimizer of a stage."""

from typing import Any

import keras
from keras import ops

from melanoma_tl.network.precision import jit_compile
from melanoma_tl.training.keras_objects import Template
from melanoma_tl.training.optimizers import build_optimizer, schedule_rate
from melanoma_tl.training.plan import TrainingPlan


class _Hard:
    """A metric for which a mixed image (MixUp, CutMix) has the label of its larger part."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002
        """Update the state with a batch."""
        return super().update_state(ops.round(y_true), y_pred, _not_padding(y_true))  # type: ignore[misc]


class HardAccuracy(_Hard, keras.metrics.BinaryAccuracy):
    """Accuracy; a mixed image has the label of its larger part."""


class HardAUC(_Hard, keras.metrics.AUC):
    """Area under the ROC curve; a mixed image has the label of its larger part."""


class ClassAccuracy(keras.metrics.CategoricalAccuracy):
    """Accuracy of the class with the highest score."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002
        """Update the state with a batch."""
        return super().update_state(y_true, y_pred, _not_padding(y_true))


def _not_padding(y_true: Any) -> Any:
    """Return the weight 0 for images that only pad a batch, and 1 for all others."""
    return ops.cast(ops.all(y_true >= 0, axis=-1, keepdims=True), "float32")


def compile_network(
    model: keras.Model, plan: TrainingPlan, *, steps: int = 1, stage_depths: dict[str, int] | None = None
) -> None:
    """Compile a network with its loss, its optimizer and the metrics of the history.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    plan : TrainingPlan
        Loss, optimizer, rate and schedule.
    steps : int, default=1
        Training steps that the schedule is spread over.
    stage_depths : dict of str to int, optional
        How many stages each layer lies below the head; 0 for those that are not named.

    Raises
    ------
    UnknownNameError
        If Keras has no such optimizer.
    """
    n_scores = model.outputs[0].shape[-1]
    model.compile(
        optimizer=build_optimizer(
            plan.optimizer,
            learning_rate=schedule_rate(plan.stage, plan.learning_rate, steps),
            weight_decay=plan.weight_decay,
            clip_norm=plan.clip_norm,
            ema_momentum=plan.ema_momentum,
            rates=_layer_rates(model, plan.stage.layer_decay, stage_depths or {}),
        ),
        loss=_loss(plan, n_scores),
        metrics=[*_metrics(n_scores), *(metric.make() for metric in plan.metrics)],
        jit_compile=jit_compile(),
    )
    # If the first training step built the optimizer, TensorFlow would trace that step twice.
    model.optimizer.build(model.trainable_variables)


_LOSSES = {
    ("crossentropy", False): keras.losses.BinaryCrossentropy,
    ("crossentropy", True): keras.losses.CategoricalCrossentropy,
    ("focal", False): keras.losses.BinaryFocalCrossentropy,
    ("focal", True): keras.losses.CategoricalFocalCrossentropy,
}
"""By name, and by whether there are several diagnoses."""


def _loss(plan: TrainingPlan, n_scores: int) -> Any:
    if isinstance(plan.loss, Template):
        return plan.loss.make()
    return _LOSSES[plan.loss, n_scores > 1](label_smoothing=plan.label_smoothing)


def _metrics(n_scores: int) -> list[keras.metrics.Metric]:
    """Return the metrics of the history; for several diagnoses the AUC is the mean of the one-against-rest AUCs."""
    if n_scores == 1:
        return [HardAccuracy(name="accuracy"), HardAUC(name="auc")]
    one_against_rest = HardAUC(name="auc", multi_label=True, num_labels=n_scores)
    return [ClassAccuracy(name="accuracy"), one_against_rest]


def _layer_rates(model: keras.Model, decay: float, stage_depths: dict[str, int]) -> list[float] | None:
    """Return the factor of the learning rate of each trainable variable; None where all are 1."""
    if decay == 1:
        return None
    rates = {
        id(variable): decay ** stage_depths.get(layer.name, 0)
        for layer in model.layers
        for variable in layer.trainable_variables
    }
    return [rates[id(variable)] for variable in model.trainable_variables]
