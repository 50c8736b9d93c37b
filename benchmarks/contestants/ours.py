"""`melanoma_tl`, as its users call it."""

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
from stopwatch import Stopwatch

import melanoma_tl.training.loop  # noqa: F401 -- with Keras, so that no import is timed
from melanoma_tl import ISBIDataset, TransferClassifier


def hidden_layer(features: Any) -> Any:
    """Stand between feature map and score: another head than the one the cache was filled with."""
    return keras.layers.Dense(64, activation="relu")(keras.layers.GlobalAveragePooling2D()(features))


HEADS = {"hidden_layer": hidden_layer}


def classifier(*, head: str = "pooled", **parameters: Any) -> TransferClassifier:
    return TransferClassifier(
        "vgg19", head=HEADS.get(head, head), restore_best=False, random_state=0, verbose=0, **parameters
    )


def fit(train: str, valid: str, **parameters: Any) -> dict[str, Any]:
    """Train from two folders to a fitted classifier."""
    watch = Stopwatch()
    clf = classifier(**parameters)
    clf.fit(ISBIDataset.from_folder(train), validation_data=ISBIDataset.from_folder(valid))
    return {"value": watch.seconds(), "precision": clf.provenance_["precision"]}


def noise(n: int, size: list[int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *size, 3), dtype=np.uint8)


def ready(input_size: list[int], **parameters: Any) -> TransferClassifier:
    """Make a classifier that has scored before: as with every peer, tracing the graph is not timed."""
    clf = classifier(input_size=input_size, epochs=1, **parameters).fit(noise(2, input_size), [0, 1])
    clf.predict_proba(noise(32, input_size))
    return clf


def score(folder: str, **parameters: Any) -> dict[str, Any]:
    """Score the JPEGs of a folder."""
    clf = ready(**parameters)
    watch = Stopwatch()
    clf.predict_proba(sorted(Path(folder).iterdir()))
    return {"value": watch.seconds(), "precision": clf.provenance_["precision"]}


def infer(n: int, repetitions: int, input_size: list[int], **parameters: Any) -> dict[str, Any]:
    """Score arrays in the steady state: GFLOP/s of the convolutions."""
    clf = ready(input_size, **parameters)
    images = noise(n, input_size)
    seconds = []
    for _ in range(repetitions):
        watch = Stopwatch()
        clf.predict_proba(images)
        seconds.append(watch.seconds())
    gflop = vgg19_gflop(input_size)
    return {"value": n * gflop / min(seconds), "gflop_an_image": gflop, "precision": clf.provenance_["precision"]}


def vgg19_gflop(input_size: list[int]) -> float:
    """Count a multiplication and an addition for each weight and place of each convolution."""
    layers = keras.applications.VGG19(include_top=False, weights=None, input_shape=(*input_size, 3)).layers
    return sum(
        2 * np.prod(layer.kernel.shape) * np.prod(layer.output.shape[1:3]) / 1e9
        for layer in layers
        if isinstance(layer, keras.layers.Conv2D)
    )


def peak_memory(folder: str, n: int, **parameters: Any) -> dict[str, Any]:
    """Score n images: the most memory this process ever held, in MiB (on Linux)."""
    watch = Stopwatch()
    ready(**parameters).predict_proba(sorted(Path(folder).iterdir())[:n])
    # getrusage would count what the parent process held when it started this one.
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return {"value": int(peak.split()[1]) / 1024, "seconds": watch.seconds()}


def epoch_per_image(folder: str, n: int, epochs: list[int], **parameters: Any) -> dict[str, Any]:
    """Train for few and for more epochs from a filled cache: their difference is the epochs alone, in ms an image."""
    paths = sorted(Path(folder).iterdir())[:n]
    labels = [label for _, label in zip(paths, itertools.cycle((0, 1)), strict=False)]
    classifier(epochs=1, **parameters).fit(paths, labels)  # what only the first fit of a process pays for
    seconds = []
    for number in epochs:
        watch = Stopwatch()
        classifier(epochs=number, **parameters).fit(paths, labels)
        seconds.append(watch.seconds())
    few, more = seconds
    return {"value": 1000 * (more - few) / (epochs[1] - epochs[0]) / n, "seconds": seconds}
