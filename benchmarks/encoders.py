"""Score real images by one network through each door of `FrozenEncoder`, and compare with the backbone itself.

    python benchmarks/encoders.py --data DIR --weights DIR

The network is VGG19 with the weights of ImageNet from the folder, pooled to 512 numbers an image. Each door has a
process of its own. It trains a `Probe` on all of ISBI 2016 and scores the whole test of that year. Needs the extras
``export``, ``onnx`` and ``torch``, and timm.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from apart import run_apart
from table import publish

SIZE = (224, 224)
MEAN_OF_BLUE_GREEN_RED = (103.939, 116.779, 123.68)
"""What the network was trained to have subtracted, from `keras.applications.vgg19.preprocess_input`."""


def network_of_keras(weights: Path) -> Any:
    """Make a network from RGB images, 0 to 255, to vectors."""
    import keras

    pixels = keras.Input((*SIZE, 3))
    network = keras.applications.VGG19(include_top=False, pooling="avg", weights=str(weights), input_shape=(*SIZE, 3))
    network = keras.Model(pixels, network(pixels[..., ::-1] - np.array(MEAN_OF_BLUE_GREEN_RED, "float32")))
    network(np.zeros((1, *SIZE, 3), "float32"))  # `export` wants it to have been called
    return network


def network_of_timm(weights: Path) -> Any:
    """Make timm's VGG19 from RGB images, of which the mean is subtracted, to vectors, with the weights of Keras."""
    import h5py
    import timm
    import torch

    network = timm.create_model("vgg19", pretrained=False, num_classes=0)
    network.pre_logits = torch.nn.Identity()  # the fully connected layers, whose weights are not in the file
    convolutions = [layer for layer in network.features if isinstance(layer, torch.nn.Conv2d)]
    kernels = []
    with h5py.File(weights) as file:
        for block, layers in enumerate((2, 2, 4, 4, 4), 1):
            for layer in range(1, layers + 1):
                name = f"block{block}_conv{layer}"
                kernels.append((file[name][name]["kernel:0"][:], file[name][name]["bias:0"][:]))
    kernels[0] = kernels[0][0][:, :, ::-1], kernels[0][1]  # it takes red first
    with torch.no_grad():
        for convolution, (kernel, bias) in zip(convolutions, kernels, strict=True):
            convolution.weight.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()))
            convolution.bias.copy_(torch.from_numpy(bias))
    return network.eval()


MEAN_SUBTRACTED = (tuple(mean / 255 for mean in MEAN_OF_BLUE_GREEN_RED[::-1]), (1 / 255,) * 3)


def by_function(weights: Path, folder: Path) -> Any:  # noqa: ARG001 -- as the others
    from melanoma_tl import FrozenEncoder

    network = network_of_keras(weights)
    return FrozenEncoder(
        lambda images: network.predict_on_batch(images.astype("float32")), digest=weights.name, input_size=SIZE
    )


def by_onnx(weights: Path, folder: Path) -> Any:
    from melanoma_tl import FrozenEncoder

    network = network_of_keras(weights)
    network.export(folder / "vgg19.onnx", format="onnx", verbose=False)
    return FrozenEncoder.from_onnx(folder / "vgg19.onnx", scaling="0 to 255", input_size=SIZE)


def by_saved_model(weights: Path, folder: Path) -> Any:
    from melanoma_tl import FrozenEncoder

    network_of_keras(weights).export(folder / "vgg19", verbose=False)
    return FrozenEncoder.from_saved_model(folder / "vgg19", scaling="0 to 255")


def by_torchscript(weights: Path, folder: Path) -> Any:
    import torch

    from melanoma_tl import FrozenEncoder

    torch.jit.trace(network_of_timm(weights), torch.zeros(2, 3, *SIZE)).save(str(folder / "vgg19.pt"))
    return FrozenEncoder.from_torchscript(folder / "vgg19.pt", scaling=MEAN_SUBTRACTED, input_size=SIZE)


def by_module(weights: Path, folder: Path) -> Any:  # noqa: ARG001 -- as the others
    from melanoma_tl import FrozenEncoder

    return FrozenEncoder.from_torch(network_of_timm(weights), scaling=MEAN_SUBTRACTED, input_size=SIZE)


BACKBONE = 'backbone "vgg19"'
DOORS: dict[str, tuple[str, Callable[[Path, Path], Any] | None]] = {
    BACKBONE: ("tensorflow", None),
    "function (Keras)": ("tensorflow", by_function),
    "from_onnx": ("tensorflow", by_onnx),
    "from_saved_model": ("tensorflow", by_saved_model),
    "from_torchscript": ("torch", by_torchscript),
    "from_torch (timm)": ("torch", by_module),
}


def score(door: str, data: str, weights: Path, folder: Path) -> dict[str, Any]:
    """Train and score by one door, in this process."""
    from melanoma_tl import ISBIDataset, MetricsReport, Probe, TransferClassifier, register_encoder

    _, make = DOORS[door]
    settings: dict[str, Any] = {"stages": Probe(C=1e-2), "random_state": 0, "precision": "float32", "verbose": 0}
    train, test = (
        ISBIDataset.from_challenge(data, year=2016, split=split, on_error="skip") for split in ("train", "test")
    )
    if make is None:
        classifier = TransferClassifier("vgg19", weights=weights, **settings)
    else:
        register_encoder("encoder", make(weights, folder))
        classifier = TransferClassifier("encoder", **settings)
    report = MetricsReport.from_estimator(classifier.fit(train), test)
    auc = report.metrics["auc"]
    return {
        "auc": [auc.value, auc.low, auc.high],
        "n_images": [len(train), len(test)],
        "scores": report.y_score.tolist(),
    }


def in_new_process(door: str, options: argparse.Namespace) -> dict[str, Any]:
    arguments = [__file__, "--data", options.data, "--weights", options.weights, "--door", door]
    return run_apart(arguments, KERAS_BACKEND=DOORS[door][0])


def markdown(results: dict[str, Any]) -> str:
    machine, (n_train, n_test) = results["machine"], results["n_images"]
    lines = [
        (
            f"{machine['processor']}, {machine['cores']} cores. VGG19 of ImageNet, a probe on its {n_train} training "
            f"images of ISBI 2016, and the {n_test} of the test."
        ),
        "",
        "| encoder | AUC (95 % interval) | largest difference of a score |",
        "| --- | --- | ---: |",
    ]
    for door, found in results["doors"].items():
        value, low, high = found["auc"]
        difference = f"{found['difference']:.1e}" if found["difference"] else "0"
        lines.append(f"| {door} | {value:.6f} ({low:.3f} to {high:.3f}) | {difference} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    from machine import describe_machine, describe_versions

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the challenge's images")
    parser.add_argument("--weights", required=True, help="folder of vgg19*.h5")
    parser.add_argument("--json", type=Path, default=Path("out/encoders.json"), help="(default: %(default)s)")
    parser.add_argument("--door", choices=DOORS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.door:
        weights = next(Path(options.weights).glob("vgg19*.h5"))
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(score(options.door, options.data, weights, Path(folder))))
        return
    doors = {door: in_new_process(door, options) for door in DOORS}
    of_backbone = np.array(doors[BACKBONE]["scores"])
    n_images = doors[BACKBONE]["n_images"]
    for found in doors.values():
        found["difference"] = float(np.abs(np.array(found.pop("scores")) - of_backbone).max())
        del found["n_images"]
    results = {
        "machine": describe_machine(),
        "versions": describe_versions(),
        "n_images": n_images,
        "doors": doors,
    }
    publish(results, markdown(results), options.json)


if __name__ == "__main__":
    main()
