"""Measure decoding, copying and computing apart, and what training and scoring make of them, on the device at hand.

    KERAS_BACKEND=jax python benchmarks/accelerator.py --data DIR --weights FILE --json accelerator.json

Runs on a GPU, where the backend of Keras has one, and on the processor elsewhere, and says on what. The network is
VGG19. "Bare" is the compiled network alone, on a batch that lies on the device already. Each rate is the best of
several runs, in images a second.
"""

import argparse
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from table import publish

SIZE = (224, 224)
TRAINED_FROM = "block5_conv1"


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
    return {
        "decoding of JPEGs": rate(decode, len(paths), n_runs),
        "random views": rate(lambda: augmenter.augment(batch, next(seeds)), len(batch), n_runs),
        "copy to the device": rate(lambda: finish(on_device(pixels)), len(batch), n_runs),
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
    return {"rates": rates, "waiting_percent": waiting.percent, "batch_size": batch_size}


def markdown(results: dict[str, Any]) -> str:
    machine, rates = results["machine"], results["rates"]
    ratios = {"predict_proba": "bare forward pass", "extraction of features, with its fit": "bare forward pass"}
    ratios |= {"fit": "bare training step"}
    lines = [
        (
            f"{results['device']}, Keras on {results['backend']}, {results['precision']}; {machine['processor']}, "
            f"{machine['cores']} cores. VGG19 at 224x224, batches of {results['batch_size']}; `fit` trains from "
            f"`{TRAINED_FROM}` on. It waited {results['waiting_percent']:.1f} % of its time for views and what the "
            "frozen layers make of them, the first batch included."
        ),
        "",
        "| | images a second | of the bare network |",
        "| --- | ---: | ---: |",
    ]
    for name, found in rates.items():
        of_bare = f"{found / rates[ratios[name]]:.0%}" if name in ratios else ""
        lines.append(f"| {name} | {found:,.4g} | {of_bare} |")
    bound = min(rates["decoding of JPEGs"], rates["copy to the device"])
    lines += [
        "",
        (
            f"Computed, not measured: however fast the device, {machine['cores']} such cores decode and copy at most "
            f"{bound:,.0f} images a second, and {min(bound, rates['random views']):,.0f} with random views."
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the challenge's images")
    parser.add_argument("--weights", required=True, help="file of VGG19's weights without its top")
    parser.add_argument("--images", type=int, default=320, help="images to decode and score (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=16, help="(default: %(default)s)")
    parser.add_argument("--precision", default="auto", help="(default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each part (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=Path("out/accelerator.json"), help="(default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MELANOMA_TL_CACHE"] = folder  # features of an earlier run would be found
        from machine import describe_machine, describe_versions

        from melanoma_tl.distribution import list_devices
        from melanoma_tl.network.precision import name_precision

        found = measure_whole(options.data, options.weights, options)
        import keras

        results = found | {
            "machine": describe_machine(),
            "versions": describe_versions(),
            "device": ", ".join(list_devices()),
            "backend": keras.backend.backend(),
            "precision": name_precision(options.precision),
        }
    publish(results, markdown(results), options.json)


if __name__ == "__main__":
    main()
