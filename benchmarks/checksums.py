"""Measure what the checksums of stored features cost in an epoch that reads them.

    python benchmarks/checksums.py [--epochs N]

Features of drawn numbers lie in a store, and a head learns from them, in one process: an epoch in which each array is
compared with its checksum, one in which none is, and so on in turn. The table that is printed has a line a head, with
medians of the processor's seconds, which other work on the machine disturbs least; the share is what is spent in the
checksums themselves. Up to 32 MiB of features are read once and kept in memory; here there are more.
"""

import argparse
import os
import statistics
import tempfile
import time
import zlib
from types import SimpleNamespace
from typing import Any, NamedTuple
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


class Timed:
    """`zlib` that adds up what it takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def crc32(self, data: Any, seed: int) -> int:
        """Give the checksum of bytes."""
        start = time.perf_counter()
        found = zlib.crc32(data, seed)
        self.seconds += time.perf_counter() - start
        return found


class Epochs(NamedTuple):
    """Seconds of the processor: an epoch with checksums, what they took of it, and an epoch without."""

    verified: float
    checksums: float
    unverified: float


def measure(shape: tuple[int, ...], n: int, units: list[int], epochs: int) -> list[Epochs]:
    """Train on features with and without a look at their checksums, in turn."""
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

    def epoch(checksums: Any) -> float:
        with mock.patch.object(array_store, "zlib", checksums):
            start = time.process_time()
            network.fit(batches, verbose=0)
            return time.process_time() - start

    epoch(zlib)  # traces the network
    found = []
    for _ in range(epochs):
        timed = Timed()
        found.append(Epochs(epoch(timed), timed.seconds, epoch(UNVERIFIED)))
    return found


def line(name: str, epochs: list[Epochs], n: int, n_bytes: int) -> str:
    """Give a line of the table."""
    verified, checksums, unverified = (statistics.median(seconds) for seconds in zip(*epochs, strict=True))
    return (
        f"| {name} | {n:,} x {n_bytes / 1000:.0f} kB | {unverified:.2f} | {verified:.2f} | {checksums:.3f} "
        f"| {checksums / verified:.2%} |"
    )


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5, help="epochs of each kind (default %(default)s)")
    epochs = parser.parse_args(arguments).epochs
    machine = describe_machine()
    print(f"{machine['cores']} cores of {machine['processor']}\n")
    print("| head | features | seconds an epoch without | with checksums | in the checksums | share |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (shape, n, units) in HEADS.items():
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, MELANOMA_TL_CACHE=folder):
            print(line(name, measure(shape, n, units, epochs), n, 4 * int(np.prod(shape))), flush=True)


if __name__ == "__main__":
    main()
