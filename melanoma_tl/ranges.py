"""What the numbers among the parameters may be."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from melanoma_tl.errors import ParameterError


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 1)


def _is_share(value: Any) -> bool:
    return 0 <= value < 1


def _or_none(is_possible: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_possible(value)


_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "batch_size": (_is_count, "a whole number of at least 1"),
    "epochs": (_is_count, "a whole number of at least 1"),
    "steps_per_epoch": (_or_none(_is_count), "None or a whole number of at least 1"),
    "early_stopping": (_or_none(_is_count), "None or a whole number of at least 1"),
    "input_size": (_or_none(lambda size: len(size) == 2 and min(size) >= 1), "None or (height, width) in pixels"),
    "dropout": (_is_share, "a share, 0 up to but not 1"),
    "label_smoothing": (_is_share, "a share, 0 up to but not 1"),
    "learning_rate": (lambda value: value > 0, "above 0"),
    "weight_decay": (lambda value: value >= 0, "at least 0"),
    "clip_norm": (_or_none(lambda value: value > 0), "None or above 0"),
    "ema_momentum": (_or_none(lambda value: 0 < value < 1), "None or between 0 and 1"),
    "feature_budget": (_or_none(lambda value: value >= 0), "None or bytes, at least 0"),
    "threshold": (lambda value: 0 <= value <= 1, "a probability, 0 to 1"),
    "actors": (_or_none(_is_count), "None or a whole number of at least 1"),
    "cpus": (_or_none(_is_count), "None or a whole number of at least 1"),
    "gpus": (_or_none(lambda value: value >= 0), "None or at least 0"),
    "shard_size": (_is_count, "a whole number of at least 1"),
}
"""What tells a possible value, and what one must be."""


def check_ranges(parameters: Mapping[str, Any]) -> None:
    """Stop at a number that cannot be used.

    Parameters
    ----------
    parameters : mapping of str to object
        Parameters by the names that they have throughout the library; those that are no numbers are passed over.

    Raises
    ------
    ParameterError
        If one is of another kind or out of its range.

    Examples
    --------
    >>> check_ranges({"dropout": "half"})
    Traceback (most recent call last):
    ...
    melanoma_tl.errors.ParameterError: dropout must be a share, 0 up to but not 1, got 'half'
    """
    for name, (is_possible, expected) in _RANGES.items():
        if name in parameters and not _holds(is_possible, parameters[name]):
            raise ParameterError(f"{name} must be {expected}, got {parameters[name]!r}")


def _holds(is_possible: Callable[[Any], bool], value: Any) -> bool:
    try:
        return is_possible(value)
    except TypeError:  # what cannot be compared with a number is none
        return False
