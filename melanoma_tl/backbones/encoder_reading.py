"""How images are handed to a network of another library, and vectors taken from what it gives."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._parameters import show
from melanoma_tl.backbones.preprocessing import MEAN_RGB, STD_RGB
from melanoma_tl.errors import ParameterError, UnknownNameError

SCALINGS: dict[str, tuple[tuple[float, ...], ...]] = {
    "imagenet": (MEAN_RGB, STD_RGB),
    "-1 to 1": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "0 to 1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "0 to 255": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}
"""What is subtracted from pixels of 0 to 1, and what they are divided by then."""

TOKENS = ("first", "mean")

_SMALLEST_STD = 1e-6
"""Below the standard deviation that stands for pixels of 16 bits, which 65535 is written with."""

Scaling = str | tuple[Sequence[float], Sequence[float]]


class Reading(NamedTuple):
    """How images are handed to a network, and vectors taken from what it gives.

    Attributes
    ----------
    scaling : str or tuple
        One of `SCALINGS`, or a pair of means and standard deviations of pixels from 0 to 1.
    tokens : {"first", "mean"} or None
        Which vector stands for an image where the network gives tokens (n, n_tokens, n_features).
    """

    scaling: Scaling
    tokens: str | None

    def prepare(self, images: NDArray[np.uint8], dtype: Any, *, channels_first: bool) -> NDArray[Any]:
        """Scale pixels, and arrange them as the network takes them; integers are the pixels themselves."""
        scaled: NDArray[Any] = images
        if _is_real(dtype):
            mean, std = (np.asarray(values, np.float32) for values in self.mean_and_std())
            scaled = (images.astype(np.float32) / 255 - mean) / std
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2) if channels_first else scaled, dtype=dtype)

    def take(self, given: Any) -> Any:
        """Take a vector for each image from tokens; anything else stays as it is."""
        if self.tokens is None or getattr(given, "ndim", 0) != 3:
            return given
        return given[:, 0] if self.tokens == "first" else given.mean(1)

    def check_dtype(self, dtype: Any, kind: str, found: str) -> Any:
        """Return the dtype in which pixels are handed over, if they fit into it.

        Parameters
        ----------
        dtype : dtype or type
            That of the network's input.
        kind, found : str
            What the network is, and what its input is of, for people.

        Returns
        -------
        dtype
            As given.

        Raises
        ------
        ParameterError
            If it holds no numbers, or integers and the pixels are to be scaled.
        """
        is_real, is_integer = _is_real(dtype), np.dtype(dtype).kind in "iu"
        if not is_real and not (is_integer and np.can_cast(np.uint8, dtype)):
            raise ParameterError(f"{kind}: its input is of type {found}, and pixels are numbers from 0 to 255")
        if is_integer and self.mean_and_std() != SCALINGS["0 to 255"]:
            raise ParameterError(
                f"{kind}: its input is of type {found}, and scaled pixels are floating-point numbers: integers are "
                "pixels from 0 to 255 (scaling='0 to 255')"
            )
        return dtype

    def check(self) -> None:
        """Raise an error for an unknown scaling or choice of tokens.

        Raises
        ------
        ParameterError, UnknownNameError
            Which says what there is.
        """
        if self.tokens is not None and self.tokens not in TOKENS:
            raise UnknownNameError("choice of tokens", self.tokens, TOKENS)
        try:
            numbers = np.array(self.mean_and_std(), np.float64)
        except UnknownNameError:
            raise
        except (TypeError, ValueError):
            numbers = np.empty(0)
        usable = numbers.shape == (2, 3) and np.isfinite(numbers).all() and (numbers[1] >= _SMALLEST_STD).all()
        of_255 = usable and (numbers[0] > 1).any()
        if not usable or of_255:
            raise ParameterError(
                f"scaling must be one of {', '.join(map(repr, SCALINGS))}, or a pair of three means and three standard "
                f"deviations of pixels from 0 to 1, got {show(self.scaling)}"
                + (": divide those of pixels from 0 to 255 by 255" if of_255 else "")
            )

    def mean_and_std(self) -> tuple[tuple[float, ...], ...]:
        """Return mean and standard deviation of the channels of pixels from 0 to 1, the same however they are written.

        Raises
        ------
        UnknownNameError
            For an unknown name.
        TypeError, ValueError
            If they are no numbers.
        """
        if not isinstance(self.scaling, str):
            return tuple(tuple(float(value) for value in values) for values in self.scaling)
        if self.scaling not in SCALINGS:
            raise UnknownNameError("scaling", self.scaling, SCALINGS)
        return SCALINGS[self.scaling]


def _is_real(dtype: Any) -> bool:
    """Return whether numbers are floating-point numbers, also those that NumPy knows from TensorFlow alone."""
    return np.dtype(dtype).kind == "f" or np.dtype(dtype).name == "bfloat16"
