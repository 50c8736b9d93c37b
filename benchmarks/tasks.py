"""What is measured: the tasks, and in each the contestants with their settings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from images import link, link_classes, multiply

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.image_files import find_images


@dataclass(frozen=True)
class Contestant:
    """One way of doing a task.

    Attributes
    ----------
    name : str
        As it stands in the table.
    function : str
        ``module.function`` of `contestants`.
    settings : dict
        Its arguments.
    package : str
        What must be installed.
    warmed_by : str or None
        The contestant before it whose cache it goes on with; None starts with an empty cache.
    """

    name: str
    function: str
    settings: dict[str, Any]
    package: str = "melanoma_tl"
    warmed_by: str | None = None

    @property
    def ours(self) -> bool:
        """Whether it is this library."""
        return self.function.startswith(("ours.", "package_import."))

    @property
    def needs_bfloat16(self) -> bool:
        """Whether it would be pointless where the processor has no bfloat16."""
        return "bfloat16" in self.settings.get("precision", "")


@dataclass(frozen=True)
class Task:
    """Contestants that are measured in turn.

    Attributes
    ----------
    title : str
        What they do.
    unit : str
        Of what they measure.
    contestants : list of Contestant
        In the order of the table.
    reference : str
        The contestant that the others are compared with.
    repeated : bool
        Whether one measurement is not enough.
    """

    title: str
    unit: str
    contestants: list[Contestant]
    reference: str = ""
    repeated: bool = True


@dataclass(frozen=True)
class Scale:
    """How much is done. The defaults are the published run."""

    size: tuple[int, int] = (224, 224)
    train: dict[str, int] = field(default_factory=lambda: {"benign": 346, "melanoma": 173})
    valid: dict[str, int] = field(default_factory=lambda: {"benign": 75, "melanoma": 75})
    score: int = 600
    epochs: int = 10
    matrix_edge: int = 4096
    inferred: int = 128
    memory: tuple[int, int] = (600, 6000)
    growth: tuple[int, int] = (500, 2000)
    growth_epochs: tuple[int, int] = (1, 3)


QUICK = Scale(
    size=(64, 64),
    train={"benign": 16, "melanoma": 8},
    valid={"benign": 16, "melanoma": 16},
    score=64,
    epochs=2,
    matrix_edge=1024,
    inferred=64,
    memory=(100, 200),
    growth=(64, 256),
    growth_epochs=(1, 11),  # few images take long enough only in many epochs
)


class Inputs:
    """Images and weights, laid out in a folder before anything is timed."""

    def __init__(self, data: Path, weights: Path, scale: Scale, peer_epochs: int, folder: Path) -> None:
        train = ISBIDataset.from_challenge(data, year=2016, split="train", on_error="skip")
        test = ISBIDataset.from_challenge(data, year=2016, split="test")
        scored = find_images(data / "ISIC-2017_Test_v2_Data")
        self.scale = scale
        self.peer_epochs = min(peer_epochs, scale.epochs)
        self.weights = str(weights.resolve())
        self.folders = {
            "train": link_classes(train, scale.train, folder / "train"),
            "valid": link_classes(test, scale.valid, folder / "valid"),
        }
        self.scored = link(scored[: scale.score], folder / "score")
        self.many = multiply(scored, max(scale.memory + scale.growth), folder / "many")

    def ours(self, **parameters: Any) -> dict[str, Any]:
        """Give the parameters of a `TransferClassifier`."""
        return {"weights": self.weights, "input_size": self.scale.size} | parameters

    def peer(self, precision: str = "float32") -> dict[str, Any]:
        """Give the settings of a contestant that pushes every image through the whole network in each epoch."""
        return self.scoring_peer(precision) | {"epochs": self.scale.epochs, "run_epochs": self.peer_epochs}

    def scoring_peer(self, precision: str = "float32") -> dict[str, Any]:
        """Give the settings of a contestant that only scores."""
        return {"weights": self.weights, "size": self.scale.size, "precision": precision}


def frozen(inputs: Inputs) -> Task:
    peer = inputs.folders | inputs.peer()
    mixed = inputs.folders | inputs.peer("mixed_bfloat16")
    ours = inputs.folders | inputs.ours(epochs=inputs.scale.epochs, learning_rate=1e-3, batch_size=32)
    second = ours | {"precision": "float32", "head": "hidden_layer", "learning_rate": 3e-4}
    features = {key: value for key, value in peer.items() if key != "run_epochs"}
    return Task(
        f"Frozen VGG19, {inputs.scale.epochs} epochs",
        "s",
        [
            Contestant("ours, float32", "ours.fit", ours | {"precision": "float32"}),
            Contestant("ours, bfloat16", "ours.fit", ours | {"precision": "bfloat16"}),
            Contestant("ours, warm, second head", "ours.fit", second, warmed_by="ours, float32"),
            Contestant("Keras guide", "keras_guide.frozen", peer),
            Contestant("Keras guide, mixed_bfloat16", "keras_guide.frozen", mixed),
            Contestant("Keras guide, features once", "keras_guide.features", features),
            Contestant("KerasHub", "keras_hub_classifier.frozen", peer, "keras_hub"),
            Contestant("PyTorch", "pytorch_loop.frozen", peer, "torch"),
            Contestant("PyTorch, bfloat16", "pytorch_loop.frozen", peer | {"precision": "bfloat16"}, "torch"),
        ],
        "Keras guide",
    )


def fine_tune(inputs: Inputs) -> Task:
    peer = inputs.folders | inputs.peer()
    mixed = inputs.folders | inputs.peer("mixed_bfloat16")
    ours = inputs.folders | inputs.ours(
        epochs=inputs.scale.epochs,
        preprocessing="rescale",
        trainable_from="block5_conv2",
        head="published",
        optimizer="rmsprop",
        learning_rate=1e-4,
        batch_size=16,
    )
    warm = ours | {"learning_rate": 3e-5}
    half = warm | {"precision": "mixed_bfloat16"}
    return Task(
        f"VGG19 from block5_conv2 on, published head, {inputs.scale.epochs} epochs",
        "s",
        [
            Contestant("ours, float32", "ours.fit", ours | {"precision": "float32"}),
            Contestant("ours, bfloat16", "ours.fit", ours | {"precision": "bfloat16"}),
            Contestant("ours, warm, float32", "ours.fit", warm | {"precision": "float32"}, warmed_by="ours, float32"),
            Contestant("ours, warm, mixed_bfloat16", "ours.fit", half, warmed_by="ours, bfloat16"),
            Contestant("published script", "published_script.fine_tune", peer),
            Contestant("published script, mixed_bfloat16", "published_script.fine_tune", mixed),
            Contestant("PyTorch", "pytorch_loop.fine_tune", peer, "torch"),
            Contestant("PyTorch, bfloat16", "pytorch_loop.fine_tune", peer | {"precision": "bfloat16"}, "torch"),
        ],
        "published script",
    )


def score(inputs: Inputs) -> Task:
    folder = {"folder": inputs.scored}
    ours = folder | inputs.ours()
    peer = folder | inputs.scoring_peer()
    return Task(
        f"Score {inputs.scale.score} JPEGs",
        "s",
        [
            Contestant("ours, float32", "ours.score", ours | {"precision": "float32"}),
            Contestant("ours, bfloat16", "ours.score", ours | {"precision": "bfloat16"}),
            Contestant("Keras", "keras_guide.score", peer),
            Contestant("Keras, mixed_bfloat16", "keras_guide.score", peer | {"precision": "mixed_bfloat16"}),
            Contestant("PyTorch", "pytorch_loop.score", peer, "torch"),
            Contestant("PyTorch, bfloat16", "pytorch_loop.score", peer | {"precision": "bfloat16"}, "torch"),
        ],
        "Keras",
    )


def ceiling(inputs: Inputs) -> Task:
    product = {"edge": inputs.scale.matrix_edge, "repetitions": 10}
    ours = inputs.ours(n=inputs.scale.inferred, repetitions=3)
    return Task(
        "VGG19 in steady state against a plain matrix product",
        "GFLOP/s",
        [
            Contestant(f"{name}, {precision}", function, settings | {"precision": precision})
            for precision in ("float32", "bfloat16")
            for name, function, settings in (
                ("matrix product", "matmul.multiply", product),
                ("ours", "ours.infer", ours),
            )
        ],
    )


def package_import(_: Inputs) -> Task:
    return Task("Import the library", "s", [Contestant("import melanoma_tl", "package_import.load", {})])


def memory(inputs: Inputs) -> Task:
    few, many = inputs.scale.memory
    settings = inputs.ours(folder=inputs.many, precision="auto")
    return Task(
        "Peak memory of scoring",
        "MiB",
        [Contestant(f"{n} images", "ours.peak_memory", settings | {"n": n}) for n in (few, many)],
        repeated=False,
    )


def growth(inputs: Inputs) -> Task:
    settings = inputs.ours(
        folder=inputs.many,
        epochs=inputs.scale.growth_epochs,
        preprocessing="rescale",
        trainable_from="block5_conv2",
        optimizer="rmsprop",
        learning_rate=1e-4,
        batch_size=16,
        precision="auto",
    )
    return Task(
        "An epoch from the filled cache, VGG19 from block5_conv2 on, pooled head",
        "ms an image",
        [Contestant(f"{n} images", "ours.epoch_per_image", settings | {"n": n}) for n in inputs.scale.growth],
    )


TASKS: dict[str, Callable[[Inputs], Task]] = {
    "frozen": frozen,
    "fine_tune": fine_tune,
    "score": score,
    "ceiling": ceiling,
    "import": package_import,
    "memory": memory,
    "growth": growth,
}
