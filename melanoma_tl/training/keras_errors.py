"""Explain what Keras raises when memory is full or a loss is no number."""

from collections.abc import Iterator
from contextlib import contextmanager

from melanoma_tl.errors import TrainingError
from melanoma_tl.training.plan import TrainingPlan

NOT_A_NUMBER = (
    "the loss is no number any more in epoch {epoch}, at the learning rate {plan.learning_rate} of {plan.optimizer}: "
    "lower learning_rate (find_learning_rate suggests one), or bound the gradients with Optimizer(clip_norm=1.0)"
)
_OUT_OF_MEMORY = (
    "the memory is full: lower batch_size (now {plan.batch_size}) or input_size, or let fewer layers learn "
    "(trainable_from nearer to the output, now {plan.stage.trainable_from!r})"
)


@contextmanager
def explain_out_of_memory(plan: TrainingPlan) -> Iterator[None]:
    """Turn an error of full memory into a TrainingError that names the settings to lower.

    Parameters
    ----------
    plan : TrainingPlan
        The settings.

    Yields
    ------
    None
        Whatever is done in this block.

    Raises
    ------
    TrainingError
        In place of what the backend raises.
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise TrainingError(_OUT_OF_MEMORY.format(plan=plan)) from error
        raise


def is_out_of_memory(error: Exception) -> bool:
    """Recognise what TensorFlow, JAX, PyTorch and Python raise, without importing the first three."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ResourceExhaustedError", "OutOfMemoryError", "MemoryError"}) or any(
        words in str(error) for words in ("RESOURCE_EXHAUSTED", "can't allocate memory")
    )


def is_no_number(error: Exception) -> bool:
    """Recognise how PyTorch's loss refuses scores that are no numbers; the other backends count with them."""
    return "elements of input should be between 0 and 1" in str(error)
