"""Losses, optimizers, schedules and metrics that the user passes as objects or functions; each fit uses a copy."""

import hashlib
import json
from typing import Any

from melanoma_tl._parameters import starting_with
from melanoma_tl.errors import ParameterError, in_one_line

_DESCRIPTION_STARTS = ("object ", "function ")
"""The first word of the descriptions that model files hold in place of such objects (see `describe_object`)."""

DESCRIPTION = starting_with(*_DESCRIPTION_STARTS)

_PLAIN = (str, int, float, bool, tuple, dict)


class Template:
    """A Keras object that each fit copies from its configuration, or a function that all fits share.

    Parameters
    ----------
    parameter : str
        The name of the parameter, for error messages.
    given : object
        The user's object or function; it is not modified.
    """

    def __init__(self, parameter: str, given: Any) -> None:
        self.parameter, self.given = parameter, given

    def __repr__(self) -> str:
        return describe_object(self.given)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the object.

        Raises
        ------
        ParameterError
            If its ``get_config`` fails.
        """
        try:
            return dict(self.given.get_config())
        except Exception as error:  # the user's code
            raise ParameterError(self._copy_error(error)) from error

    def make(self, kind: Any = None, **changes: Any) -> Any:
        """Make a copy without any state from training, such as the moments of an optimizer.

        Parameters
        ----------
        kind : type, optional
            A subclass to make the copy of; by default the class of the object.
        **changes : object
            Entries of the configuration to replace.

        Returns
        -------
        object
            The copy; a function is returned unchanged.

        Raises
        ------
        ParameterError
            If ``from_config`` fails on what ``get_config`` returns, or, for a loss, if the copy has other attributes.
        """
        if not hasattr(self.given, "get_config"):
            return self.given
        config = self.config | changes
        try:
            made = (kind or type(self.given)).from_config(config)
        except Exception as error:  # the user's code
            raise ParameterError(self._copy_error(error)) from error
        # For example, get_config of Keras's Huber leaves out delta.
        if self.parameter == "loss" and _plain_attributes(made) != _plain_attributes(self.given):
            raise ParameterError(
                f"loss: the get_config of {type(self.given).__name__} does not return all of "
                f"its settings ({_plain_attributes(self.given)}), so that a copy would give other values: pass a "
                "function that calls it instead"
            )
        return made

    def __deepcopy__(self, memo: Any) -> "Template":
        return self  # never modified, and a copy by Keras may lose settings that get_config leaves out

    def _copy_error(self, error: Exception) -> str:
        return (
            f"{self.parameter}: {type(self.given).__name__} cannot be copied for each fit "
            f"({in_one_line(error, 160)}): give it a get_config that returns all "
            "arguments of its __init__"
        )


def describe_object(given: Any) -> str:
    """Describe a Keras object or a function by a text that is equal in every process if and only if the settings are.

    Parameters
    ----------
    given : object
        An object with ``get_config``, or a function.

    Returns
    -------
    str
        Class and configuration, or the name of the function and a hash of its code, defaults and closure.
    """
    if hasattr(given, "get_config"):
        config = json.dumps(given.get_config() | _plain_attributes(given), sort_keys=True, default=str)
        return f"object {type(given).__name__} {config}"
    name = getattr(given, "__qualname__", type(given).__qualname__)
    if not hasattr(given, "__code__"):
        return f"function {name}"
    values = [given.__defaults__, *(cell.cell_contents for cell in given.__closure__ or ())]
    return f"function {name} {hashlib.sha256(_code_bytes(given.__code__) + repr(values).encode()).hexdigest()[:8]}"


def refuse_description(parameter: str, value: Any) -> None:
    """Raise an error if a parameter is the description of an object, as a model file restores it.

    Parameters
    ----------
    parameter : str
        Name of the parameter.
    value : object
        Its value.

    Raises
    ------
    ParameterError
        If it is such a description.
    """
    if isinstance(value, str) and value.startswith(_DESCRIPTION_STARTS):
        raise ParameterError(
            f"{parameter} was {value:.80} when the model was saved, and model files do not contain "
            f"objects of the user: set it again with set_params({parameter}=...) before fit"
        )


def check_loss(loss: Template, n_scores: int) -> None:
    """Compute a loss for right and for wrong scores, before any image is read.

    Parameters
    ----------
    loss : Template
        The loss of the user.
    n_scores : int
        Number of outputs of the network: 1, or the number of diagnoses.

    Raises
    ------
    ParameterError
        If it raises an error for labels and probabilities, or is not greater for wrong scores than for right ones.
    """
    if getattr(loss.given, "_fn_kwargs", {}).get("from_logits"):
        raise ParameterError(
            f"loss={loss}: it expects logits, but the network outputs probabilities: set from_logits=False"
        )
    right, wrong = (float(_evaluate(loss, n_scores, is_right=is_right).mean()) for is_right in (True, False))
    if not right < wrong:  # NaN too
        raise ParameterError(
            f"loss={loss}: it is {right:.4g} for right scores and {wrong:.4g} for wrong ones, but a loss must be "
            f"greater for wrong ones. Labels (0 or 1) and probabilities both have the shape (n, {n_scores})"
        )


def check_metric(metric: Template, n_scores: int) -> None:
    """Compute a metric once, before any image is read.

    Parameters
    ----------
    metric : Template
        The metric of the user.
    n_scores : int
        Number of outputs of the network: 1, or the number of diagnoses.

    Raises
    ------
    ParameterError
        If it raises an error for labels and probabilities, or is not a single number for all images.
    """
    shape = _evaluate(metric, n_scores, is_right=True).shape
    if shape and hasattr(metric.given, "result"):  # Keras averages what a function gives for each image
        raise ParameterError(
            f"metrics={metric} gives an array of shape {shape}, not a single number: pass one that averages over the "
            "classes, such as keras.metrics.F1Score(average='macro', threshold=0.5)"
        )


def _evaluate(template: Template, n_scores: int, *, is_right: bool) -> Any:
    """Compute a loss or a metric for confident scores that are all right or all wrong."""
    import numpy as np
    from keras import metrics, ops

    n_labels = max(n_scores, 2)
    labels = np.eye(n_labels, dtype=np.float32) if n_scores > 1 else np.array([[0.0], [1.0]], np.float32)
    shown = labels if is_right else np.roll(labels, 1, axis=0)
    scores = 0.1 + 0.8 * shown if n_scores == 1 else (shown + 0.1) / (1 + 0.1 * n_scores)
    made = template.make()
    try:
        result = made(labels, scores.astype(np.float32))
        if isinstance(made, metrics.Metric):
            result = made.result()
        return np.asarray(ops.convert_to_numpy(result))
    except Exception as error:  # the user's code
        raise ParameterError(
            f"{template.parameter}={template} raises an error for labels and probabilities of shape "
            f"({n_labels}, {n_scores}): {in_one_line(error, 160)}"
        ) from error


def _plain_attributes(given: Any) -> dict[str, Any]:
    """Return the attributes of an object that are plain Python values: usually the arguments of its __init__."""
    return {name: value for name, value in vars(given).items() if isinstance(value, _PLAIN)}


def _code_bytes(code: Any) -> bytes:
    """Return the byte code, names and constants of a function, without its file name and line numbers."""
    inner = [constant for constant in code.co_consts if hasattr(constant, "co_code")]
    plain = [constant for constant in code.co_consts if not hasattr(constant, "co_code")]
    return bytes(code.co_code) + repr((code.co_names, plain)).encode() + b"".join(map(_code_bytes, inner))
