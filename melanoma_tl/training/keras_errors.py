"""Explanations of Keras's errors for full memory and for a loss that is not a number."""

from collections.abc import Iterator
from contextlib import contextmanager

from melanoma_tl.errors import TrainingError
from melanoma_tl.training.plan import TrainingPlan

NOT_A_NUMBER = (
    "the loss became NaN or infinite in epoch {epoch}, with learning rate {plan.learning_rate} and {plan.optimizer}: "
    "lower learning_rate (find_learning_rate suggests one), or clip the gradients with Optimizer(clip_norm=1.0)"
)
_OUT_OF_MEMORY = (
    "out of memory: lower batch_size (now {plan.batch_size}) or input_size, or train fewer layers "
    "(trainable_from nearer to the output, now {plan.stage.trainable_from!r})"
)


@contextmanager
def explain_out_of_memory(plan: TrainingPlan) -> Iterator[None]:
    """Raise a TrainingError that names the settings to lower if the backend runs out of memory.

    Parameters
    ----------
    plan : TrainingPlan
        The settings.

    Yields
    ------
    None
        Out-of-memory errors of this block are converted.

    Raises
    ------
    TrainingError
        In place of the backend's error.
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise TrainingError(_OUT_OF_MEMORY.format(plan=plan)) from error
        raise


def is_out_of_memory(error: Exception) -> bool:
    """Recognise out-of-memory errors of TensorFlow, JAX, PyTorch and Python without importing the backends."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ResourceExhaustedError", "OutOfMemoryError", "MemoryError"}) or any(
        words in str(error) for words in ("RESOURCE_EXHAUSTED", "can't allocate memory")
    )


def is_no_number(error: Exception) -> bool:
    """Recognise PyTorch's error for scores that are NaN; with the other backends the loss becomes NaN."""
    return "elements of input should be between 0 and 1" in str(error)
