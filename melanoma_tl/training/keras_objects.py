"""Losses, optimizers, schedules and metrics that are objects or functions of the user: one for each fit."""

import hashlib
import json
from typing import Any

from melanoma_tl._parameters import beginning
from melanoma_tl.errors import ParameterError, in_one_line

_FORMERLY = ("object ", "function ")
"""What the descriptions begin with that stand in model files in place of objects."""

DESCRIPTION = beginning(*_FORMERLY)

_PLAIN = (str, int, float, bool, tuple, dict)


class Template:
    """An object of Keras from whose configuration each training makes its own, or a function.

    Parameters
    ----------
    parameter : str
        What errors call it.
    given : object
        As the user made it; stays as it is.
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
            If it does not tell.
        """
        try:
            return dict(self.given.get_config())
        except Exception as error:  # the user's code
            raise ParameterError(self._failure(error)) from error

    def make(self, kind: Any = None, **changes: Any) -> Any:
        """Make the object once more, without what it has learned.

        Parameters
        ----------
        kind : type, optional
            A class derived from its own.
        **changes : object
            Entries of the configuration that are others.

        Returns
        -------
        object
            A function is returned as it is.

        Raises
        ------
        ParameterError
            If it cannot be made from what its ``get_config`` gives.
        """
        if not hasattr(self.given, "get_config"):
            return self.given
        config = self.config | changes
        try:
            made = (kind or type(self.given)).from_config(config)
        except Exception as error:  # the user's code
            raise ParameterError(self._failure(error)) from error
        if self.parameter == "loss" and _settings(made) != _settings(self.given):  # as that of Keras's Huber
            raise ParameterError(
                f"loss: the get_config of {type(self.given).__name__} leaves out how it was made "
                f"({_settings(self.given)}), so that a copy computes otherwise: pass a function that calls it"
            )
        return made

    def __deepcopy__(self, memo: Any) -> "Template":
        return self  # what it holds is never changed, and a copy by Keras may lose what get_config leaves out

    def _failure(self, error: Exception) -> str:
        return (
            f"{self.parameter}: {type(self.given).__name__} cannot be made again for each fit "
            f"({in_one_line(error, 160)}): give it a get_config that names what its "
            "__init__ takes"
        )


def describe_object(given: Any) -> str:
    """Say what an object of Keras or a function is: the same in every process, and another where it computes otherwise.

    Parameters
    ----------
    given : object
        With ``get_config``, or a function.

    Returns
    -------
    str
        Class and configuration, or name and digest of the code.
    """
    if hasattr(given, "get_config"):
        told = json.dumps(given.get_config() | _settings(given), sort_keys=True, default=str)
        return f"object {type(given).__name__} {told}"
    name = getattr(given, "__qualname__", type(given).__qualname__)
    if not hasattr(given, "__code__"):
        return f"function {name}"
    values = [given.__defaults__, *(cell.cell_contents for cell in given.__closure__ or ())]
    return f"function {name} {hashlib.sha256(_code(given.__code__) + repr(values).encode()).hexdigest()[:8]}"


def refuse_description(parameter: str, value: Any) -> None:
    """Stop where a model file has left a description in place of an object.

    Parameters
    ----------
    parameter : str
        Its name.
    value : object
        What it is now.

    Raises
    ------
    ParameterError
        If it is such a description.
    """
    if isinstance(value, str) and value.startswith(_FORMERLY):
        raise ParameterError(
            f"{parameter} was {value:.80} when the model was saved, and a model file holds no such object: "
            f"set_params({parameter}=...) before fit"
        )


def check_loss(loss: Template, n_scores: int) -> None:
    """Try a loss on two scores, before anything is read.

    Parameters
    ----------
    loss : Template
        The user's.
    n_scores : int
        1, or the number of diagnoses.

    Raises
    ------
    ParameterError
        If it cannot be computed of labels and probabilities, or is not larger for the wrong labels.
    """
    if getattr(loss.given, "_fn_kwargs", {}).get("from_logits"):
        raise ParameterError(
            f"loss={loss}: it takes logits, and is given probabilities: make it with from_logits=False"
        )
    right, wrong = (_try(loss, n_scores, is_right=is_right) for is_right in (True, False))
    if not right < wrong:  # NaN too
        raise ParameterError(
            f"loss={loss}: it is {right:.4g} for right scores and {wrong:.4g} for wrong ones, and must be larger for "
            f"these. It is given labels and probabilities of shape (n, {n_scores}), 0 to 1, not the numbers of classes"
        )


def check_metric(metric: Template, n_scores: int) -> None:
    """Try a metric on two scores, before anything is read.

    Parameters
    ----------
    metric : Template
        The user's.
    n_scores : int
        1, or the number of diagnoses.

    Raises
    ------
    ParameterError
        If it cannot be computed of labels and probabilities.
    """
    _try(metric, n_scores, is_right=True)


def _try(template: Template, n_scores: int, *, is_right: bool) -> float:
    """Compute a loss or a metric of scores that are right, or wrong."""
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
        return float(np.mean(ops.convert_to_numpy(result)))
    except Exception as error:  # the user's code
        raise ParameterError(
            f"{template.parameter}={template} cannot be computed of labels and probabilities of shape "
            f"({n_labels}, {n_scores}): {in_one_line(error, 160)}"
        ) from error


def _settings(given: Any) -> dict[str, Any]:
    """Return what an object was made with, as far as it keeps that in plain kinds."""
    return {name: value for name, value in vars(given).items() if isinstance(value, _PLAIN)}


def _code(code: Any) -> bytes:
    """Return what a function does, without where it stands."""
    inner = [constant for constant in code.co_consts if hasattr(constant, "co_code")]
    plain = [constant for constant in code.co_consts if not hasattr(constant, "co_code")]
    return bytes(code.co_code) + repr((code.co_names, plain)).encode() + b"".join(map(_code, inner))
