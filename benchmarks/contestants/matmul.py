"""The machine itself: what a plain matrix product reaches."""

from typing import Any

import tensorflow as tf
from stopwatch import Stopwatch


def multiply(edge: int, repetitions: int, precision: str) -> dict[str, Any]:
    """Multiply two square matrices: the best GFLOP/s."""
    left, right = (tf.cast(tf.random.normal((edge, edge)), precision) for _ in range(2))
    tf.linalg.matmul(left, right)
    seconds = []
    for _ in range(repetitions):
        watch = Stopwatch()
        tf.linalg.matmul(left, right)
        seconds.append(watch.seconds())
    return {"value": 2 * edge**3 / min(seconds) / 1e9}
