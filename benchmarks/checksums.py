"""Measure what the checksums of stored features cost in an epoch that reads them.

    python benchmarks/checksums.py [--epochs N]

Features of drawn numbers lie in a store, and a head learns from them, in one process: an epoch in which each array is
compared with its checksum, one in which none is, and so on in turn. The table that is printed has a line a head, with
medians. Up to 32 MiB of features are read once and kept in memory; here there are more.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from machine import describe_machine

from melanoma_tl.images import array_store
from melanoma_tl.training.batches import OrderedBatches
from melanoma_tl.training.features import StoredFeatures, open_feature_store

BATCH = 32
AT_ONCE = 512

HEADS: dict[str, tuple[tuple[int, ...], int, list[int]]] = {
    "pooled, of VGG19": ((512,), 20_000, []),
    "published, of VGG19": ((7, 7, 512), 519, [4096, 4096]),
}
"""The shape of the features, how many there are, and the units of the dense layers before the score."""

UNVERIFIED = SimpleNamespace(crc32=lambda _data, _seed: mock.ANY)
"""In place of `zlib` in the store: equals every checksum, at no cost."""


def measure(shape: tuple[int, ...], n: int, units: list[int], epochs: int) -> tuple[list[float], list[float]]:
    """Give the seconds of epochs with and without a look at the checksums."""
    store, keys = open_feature_store("drawn", shape, np.dtype("float32")), [number.to_bytes(32) for number in range(n)]
    rng = np.random.default_rng(0)
    for start in range(0, n, AT_ONCE):
        some = keys[start : start + AT_ONCE]
        store.add(dict(zip(some, rng.random((len(some), *shape), dtype=np.float32), strict=True)))
    features = StoredFeatures(store.open(store.find(keys)), np.arange(n))
    batches = OrderedBatches(features, rng.integers(0, 2, (n, 1)).astype(np.float32), batch_size=BATCH)
    hidden = [keras.layers.Dense(width, activation="relu") for width in units]
    network = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), *hidden, keras.layers.Dense(1, "sigmoid")])
    network.compile("adam", "binary_crossentropy")

    def epoch() -> float:
        start = time.perf_counter()
        network.fit(batches, verbose=0)
        return time.perf_counter() - start

    epoch()  # traces the network
    pairs = [_in_turn(epoch, number) for number in range(epochs)]
    return [verified for verified, _ in pairs], [unverified for _, unverified in pairs]


def _in_turn(epoch: Callable[[], float], number: int) -> tuple[float, float]:
    """Run one epoch of each kind, now this one first, now that one."""
    seconds = {}
    for verified in (True, False) if number % 2 else (False, True):
        with mock.patch.object(array_store, "zlib", array_store.zlib if verified else UNVERIFIED):
            seconds[verified] = epoch()
    return seconds[True], seconds[False]


def line(name: str, verified: list[float], unverified: list[float], n: int, n_bytes: int) -> str:
    """Give a line of the table."""
    medians = statistics.median(verified), statistics.median(unverified)
    share = statistics.median([one / other - 1 for one, other in zip(verified, unverified, strict=True)])
    return f"| {name} | {n:,} x {n_bytes / 1000:.0f} kB | {medians[1]:.2f} | {medians[0]:.2f} | {share:+.1%} |"


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=9, help="epochs of each kind (default %(default)s)")
    epochs = parser.parse_args(arguments).epochs
    machine = describe_machine()
    print(f"{machine['cores']} cores of {machine['processor']}\n")
    print("| head | features | seconds an epoch without | with checksums | median of the ratios |")
    print("| --- | --- | --- | --- | --- |")
    for name, (shape, n, units) in HEADS.items():
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, MELANOMA_TL_CACHE=folder):
            print(line(name, *measure(shape, n, units, epochs), n, 4 * int(np.prod(shape))), flush=True)


if __name__ == "__main__":
    main()
