"""Time what a contestant does."""

import time
from typing import Any


class Stopwatch:
    """Runs from the moment it is made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._laps: list[float] = []

    def seconds(self) -> float:
        """Tell how long it has been running."""
        return time.perf_counter() - self._start

    def lap(self) -> None:
        """Note the end of an epoch."""
        self._laps.append(self.seconds())

    def training(self, epochs: int) -> dict[str, Any]:
        """Tell how long training took, or would have taken for more epochs than were run.

        The first epoch comes with everything before it: reading images, tracing the graph. Those after it are alike.
        """
        first, *rest = self._laps
        later = [end - start for start, end in zip(self._laps, rest, strict=False)]
        return {
            "value": first + (epochs - 1) * sum(later) / len(later),
            "epoch_ends": self._laps,
            "extrapolated": epochs > len(self._laps),
        }
