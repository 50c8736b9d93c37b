"""Measure decoding, copying and computing apart, and what training and scoring make of them, on the device at hand.

    python benchmarks/accelerator.py --data DIR --weights FILE --backends tensorflow jax torch --json accelerator.json

Runs on a GPU, where the backend of Keras has one, and on the processor elsewhere, and says on what, each backend in a
process of its own. The network is VGG19. "Bare" is the compiled network alone, on a batch that lies on the device
already. Each rate is the best of several runs, in images a second.
"""

import argparse
import json
import logging
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from apart import run_apart
from table import publish

SIZE = (224, 224)
TRAINED_FROM = "block5_conv1"
PARTS = ("decoding of JPEGs", "random views", "copy to the device")


def rate(work: Callable[[], Any], n_images: int, n_runs: int) -> float:
    """Return images a second, of the fastest of several runs after one that is not counted."""
    work()
    seconds = []
    for _ in range(n_runs):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return n_images / min(seconds)


def finish(result: Any) -> None:
    """Wait until the device is done."""
    from keras import ops

    ops.convert_to_numpy(ops.reshape(result, (-1,))[:1])


def on_device(images: np.ndarray) -> Any:
    from keras import ops

    return ops.convert_to_tensor(images)


def name_device() -> str:
    """Name the device that the backend computes on, as its maker does where it is a GPU."""
    import keras

    from melanoma_tl.distribution import list_devices

    device = list_devices()[0]
    if device.startswith("cpu"):
        return "the processor"
    match keras.backend.backend():
        case "jax":
            import jax

            return jax.devices()[0].device_kind
        case "torch":
            import torch

            return torch.cuda.get_device_name()
    import tensorflow as tf

    return tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])["device_name"]


def bare_forward(network: Any) -> Callable[[Any], Any]:
    """Compile the network alone, as the backend does it."""
    import keras

    match keras.backend.backend():
        case "jax":
            import jax

            @jax.jit
            def compute(learning: Any, frozen: Any, images: Any) -> Any:
                return network.stateless_call(learning, frozen, images, training=False)[0]

            learning = [variable.value for variable in network.trainable_variables]
            frozen = [variable.value for variable in network.non_trainable_variables]
            return lambda images: compute(learning, frozen, images)
        case "torch":
            import torch

            def infer(images: Any) -> Any:
                with torch.inference_mode():
                    return network(images, training=False)

            return infer
    import tensorflow as tf

    return tf.function(lambda images: network(images, training=False), jit_compile=False)


def measure_parts(paths: list[Path], network: Any, batch_size: int, n_runs: int) -> dict[str, float]:
    """Measure decoding, random views, copying and the bare network, each alone."""
    from melanoma_tl.images.loading import open_source, read_batches
    from melanoma_tl.recipes import get_recipe

    def decode() -> list[np.ndarray]:
        batches = read_batches(
            open_source(paths), SIZE, batch_size=batch_size, on_error="raise", desc="Decode", verbose=0
        )
        return [batch.pixels for batch in batches]

    batch = np.concatenate(decode())[:batch_size]
    pixels = batch.astype(np.float32)
    augmenter = get_recipe("paper")["augmenter"]
    seeds = iter(range(10**9))
    forward, there = bare_forward(network), on_device(pixels)
    decoding, views, copying = PARTS
    return {
        decoding: rate(decode, len(paths), n_runs),
        views: rate(lambda: augmenter.augment(batch, next(seeds)), len(batch), n_runs),
        copying: rate(lambda: finish(on_device(pixels)), len(batch), n_runs),
        "bare forward pass": rate(lambda: finish(forward(there)), len(batch), n_runs),
    }


def measure_step(learner: Any, batch_size: int, n_runs: int) -> float:
    """Measure the bare training step: Keras's own, on a batch that lies on the device, in the same precision."""
    import keras

    from melanoma_tl.network.precision import jit_compile

    network = learner._scorer().network
    frozen, _ = network.layers[1:]  # the input is the first; both compute in precisions of their own
    frozen.trainable = False
    network.compile(keras.optimizers.SGD(1e-4), "binary_crossentropy", jit_compile=jit_compile())
    images = on_device(np.random.default_rng(0).uniform(0, 255, (batch_size, *SIZE, 3)).astype(np.float32))
    labels = on_device(np.arange(batch_size, dtype=np.float32)[:, np.newaxis] % 2)
    return rate(lambda: network.train_on_batch(images, labels), batch_size, n_runs)


class Waiting(logging.Handler):
    """Keeps what the library's log says of the share of time in which training waited."""

    percent = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Read one line of the log."""
        if found := re.match(r"([\d.]+) % of the time of training was spent waiting", record.getMessage()):
            self.percent = float(found[1])


def measure_whole(data: str, weights: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the parts, and scoring, extraction and training as users call them."""
    from melanoma_tl import ISBIDataset, Probe, TransferClassifier
    from melanoma_tl.recipes import get_recipe

    n_runs, batch_size = options.runs, options.batch_size
    train = ISBIDataset.from_challenge(data, year=2016, split="train", on_error="skip")
    train = train.first(per_class=options.images // 2)
    settings = {"weights": weights, "random_state": 0, "verbose": 0, "precision": options.precision}
    begun = time.perf_counter()
    probe = TransferClassifier("vgg19", stages=Probe(C=1e-2), **settings).fit(train)
    extraction = len(train) / (time.perf_counter() - begun)
    paths = [Path(path) for path in train.paths]
    scorer = probe._scorer()
    rates = measure_parts(paths, scorer.network, batch_size, n_runs)
    rates["predict_proba"] = rate(lambda: probe.predict_proba(paths, batch_size=batch_size), len(paths), n_runs)
    rates["extraction of features, with its fit"] = extraction

    import keras

    ends: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 -- as Keras calls it
            """Note the end of a step."""
            ends.append(time.perf_counter())

    log, waiting = logging.getLogger("melanoma_tl"), Waiting()
    log.addHandler(waiting)
    log.setLevel(logging.INFO)
    learner = TransferClassifier(
        "vgg19",
        trainable_from=TRAINED_FROM,
        augmenter=get_recipe("paper")["augmenter"],
        batch_size=batch_size,
        epochs=1,
        steps_per_epoch=2 + 2 * n_runs,
        **settings,
    ).fit(train, callbacks=[Clock()])
    rates["bare training step"] = measure_step(learner, batch_size, n_runs)
    rates["fit"] = batch_size * (len(ends) - 2) / (ends[-1] - ends[1])
    return {"rates": rates, "waiting_percent": waiting.percent}


OF_BARE = {
    "predict_proba": "bare forward pass",
    "extraction of features, with its fit": "bare forward pass",
    "fit": "bare training step",
}


def markdown(results: dict[str, Any]) -> str:
    machine, found = results["machine"], results["backends"]
    backends = [f"{name}, {one['precision']}, on {one['device']}" for name, one in found.items()]
    lines = [
        (
            f"{machine['processor']}, {machine['cores']} cores. VGG19 at 224x224, batches of {results['batch_size']}; "
            f"`fit` trains from `{TRAINED_FROM}` on. Images a second, and in brackets the share of the bare network's."
        ),
        "",
        f"| | {' | '.join(backends)} |",
        f"| --- |{' ---: |' * len(backends)}",
    ]
    for name in next(iter(found.values()))["rates"]:
        cells = [_cell(one["rates"], name) for one in found.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    bounds = [min(one["rates"][part] for part in PARTS) for one in found.values()]
    lines += [
        "",
        (
            f"Computed, not measured: however fast the device, {machine['cores']} such cores decode, draw views and "
            f"copy at most {max(bounds):,.0f} images a second."
        ),
    ]
    return "\n".join(lines) + "\n"


def _cell(rates: dict[str, float], name: str) -> str:
    rate = f"{rates[name]:,.0f}" if rates[name] >= 100 else f"{rates[name]:.1f}"
    return f"{rate} ({100 * rates[name] / rates[OF_BARE[name]]:.0f} %)" if name in OF_BARE else rate


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure on the backend of this process."""
    from melanoma_tl.network.precision import name_precision

    found = measure_whole(options.data, options.weights, options)
    return found | {"device": name_device(), "precision": name_precision(options.precision)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the challenge's images")
    parser.add_argument("--weights", required=True, help="file of VGG19's weights without its top")
    parser.add_argument("--backends", nargs="+", default=["tensorflow"], help="of Keras (default: %(default)s)")
    parser.add_argument("--images", type=int, default=320, help="images to decode and score (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=16, help="(default: %(default)s)")
    parser.add_argument("--precision", default="auto", help="(default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each part (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=Path("out/accelerator.json"), help="(default: %(default)s)")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(measure(options)))
        return
    from machine import describe_machine, describe_versions

    results = {
        "machine": describe_machine(),
        "versions": describe_versions(),
        "batch_size": options.batch_size,
        "backends": {backend: run_apart([*sys.argv, "--alone"], KERAS_BACKEND=backend) for backend in options.backends},
    }
    publish(results, markdown(results), options.json)


if __name__ == "__main__":
    main()
