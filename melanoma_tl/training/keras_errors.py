"""What to change when memory is full, the device is gone, or the loss is not a number."""

from melanoma_tl.training.plan import TrainingPlan

NOT_A_NUMBER = (
    "the loss became NaN or infinite in epoch {epoch}, with learning rate {plan.learning_rate} and {plan.optimizer}: "
    "lower learning_rate (find_learning_rate suggests one), or clip the gradients with Optimizer(clip_norm=1.0)"
)
EPOCHS_KEPT = "the finished epochs are kept: the same call of fit goes on after the last"
EPOCHS_NOT_KEPT = "fit(resume=True) keeps each finished epoch"


def less_memory(plan: TrainingPlan) -> str:
    """Say what makes a stage take less memory.

    Parameters
    ----------
    plan : TrainingPlan
        The settings of the stage.

    Returns
    -------
    str
        The parameters to change.
    """
    return (
        f"lower batch_size (now {plan.batch_size}) or input_size, or train fewer layers (trainable_from nearer to the "
        f"output, now {plan.stage.trainable_from!r})"
    )


def is_no_number(error: Exception) -> bool:
    """Recognise PyTorch's error for scores that are NaN; with the other backends the loss becomes NaN."""
    return "elements of input should be between 0 and 1" in str(error)
