"""Shared data of the tests: real images where they are, small drawn ones everywhere."""

import atexit
import contextlib
import gc
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from PIL import Image

from melanoma_tl import ISBIDataset, _progress

OWN_FOLDERS = {
    # Read once, when Keras is imported: downloads of the tests must not land among the user's.
    "KERAS_HOME": tempfile.mkdtemp(prefix="keras_home_"),
    "MELANOMA_TL_CACHE": tempfile.mkdtemp(prefix="melanoma_tl_"),
    # So is this, when huggingface_hub is: the user's token must not go anywhere.
    "HF_HOME": tempfile.mkdtemp(prefix="hf_home_"),
}
os.environ |= OWN_FOLDERS | {
    # And these, when their packages are: nothing is told to others.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}
os.environ.pop("HF_TOKEN", None)


def _remove_own_folders(process: int = os.getpid()) -> None:
    if os.getpid() == process:  # forks share the folders with who made them
        for folder in OWN_FOLDERS.values():
            shutil.rmtree(folder, ignore_errors=True)


atexit.register(_remove_own_folders)  # of scripts that take something from this file


def pytest_unconfigure() -> None:
    _remove_own_folders()  # workers of pytest do not always come to the end of Python


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give real images three times as long: what a processor without bfloat16 needs for a real network."""
    for item in items:
        if item.get_closest_marker("real_data") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1800))


# How long an example takes says more of what else the machine does than of the example.
hypothesis.settings.register_profile("melanoma_tl", deadline=None)
hypothesis.settings.load_profile("melanoma_tl")

BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")
only_tensorflow = pytest.mark.skipif(
    BACKEND != "tensorflow",
    reason="Keras exports with its TensorFlow backend; that the others say so has a test",
)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real ISIC images."""
    return _folder_of("MELANOMA_TL_DATA", "the ISIC images")


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """File of the real VGG19 weights."""
    return next(_folder_of("MELANOMA_TL_WEIGHTS", "VGG19 weights").glob("vgg19*.h5"))


def _folder_of(variable: str, what: str) -> Path:
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is not set: {what} cannot be found")
    return Path(folder)


def draw_images(n: int, side: int = 40, seed: int = 0) -> np.ndarray:
    """Draw noise on two colours: class 1 is darker, so that a small network can learn it."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    return np.clip(rng.normal(170 - 80 * labels[:, None, None, None], 25, (n, side, side, 3)), 0, 255).astype("uint8")


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return draw_images(24)


@pytest.fixture(scope="session")
def labels() -> np.ndarray:
    return np.arange(24) % 2


@pytest.fixture(scope="session")
def dataset(tmp_path_factory, images, labels) -> ISBIDataset:
    """The drawn images as files."""
    folder = tmp_path_factory.mktemp("drawn")
    for position, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"IMG_{position:03}.png")
    ids = [f"IMG_{position:03}" for position in range(len(images))]
    return ISBIDataset(ids, [folder / f"{image_id}.png" for image_id in ids], labels, name="drawn")


@pytest.fixture(scope="session")
def bad_images(tmp_path_factory) -> Path:
    """One file for each way in which an image can be bad."""
    folder = tmp_path_factory.mktemp("bad")
    noise = draw_images(2, side=64)[1]
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not an image")
    Image.fromarray(noise).save(folder / "whole.jpg")
    whole = (folder / "whole.jpg").read_bytes()
    (folder / "whole.jpg").unlink()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(noise).save(folder / "corrupt.png")
    content = bytearray((folder / "corrupt.png").read_bytes())
    content[200:260] = bytes(60)
    (folder / "corrupt.png").write_bytes(content)
    frames = [Image.fromarray(np.roll(noise, 9 * i, axis=0)) for i in range(3)]
    frames[0].save(folder / "animated.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(noise[:1, :1]).save(folder / "dot.png")
    Image.fromarray(np.ones((32, 32), "float32")).save(folder / "float.tif")
    (folder / "folder.jpg").mkdir()
    return folder


@pytest.fixture(scope="session", autouse=True)
def tiny_backbone() -> str:
    if BACKEND == "tensorflow":
        import tensorflow as tf

        # Else parallel sums round differently from run to run, and "the same seed" could not be tested exactly.
        tf.config.experimental.enable_op_determinism()
    name = register_tiny()
    # Each training collects garbage first: what the imports made stays, and need not be looked through every time.
    gc.collect()
    gc.freeze()
    return name


def register_tiny() -> str:
    """Register a backbone that trains in a second; with batch normalisation, as the larger ones have."""
    import keras

    from melanoma_tl import register_backbone

    def build(input_tensor, weights):
        layers = keras.layers
        x = layers.Conv2D(4, 3, strides=2, name="conv1")(input_tensor)
        x = layers.BatchNormalization(name="norm1")(x)
        x = layers.Activation("relu", name="relu1")(x)
        x = layers.Conv2D(8, 3, strides=2, activation="relu", name="conv2")(x)
        model = keras.Model(keras.utils.get_source_inputs(input_tensor), x)
        if weights:
            model.load_weights(weights)
        return model

    register_backbone("tiny", preprocess=keras.layers.Rescaling(1 / 127.5, offset=-1), input_size=(32, 32))(build)
    return "tiny"


@pytest.fixture
def quick_vgg19(monkeypatch, tmp_path, own_table):
    """One convolution under the name of VGG19: the examples are about the library, not about the network."""
    import keras

    from melanoma_tl.backbones import PretrainedWeights
    from melanoma_tl.recipes import get_recipe

    def build(input_tensor, weights):
        x = input_tensor
        for name in get_recipe("fast")["head"].feature_layers:
            convolution = keras.layers.Conv2D(4, 3, strides=4, name=name)
            x = convolution(x) if name == "block5_conv1" else keras.layers.Activation("relu", name=name)(x)
        x = keras.layers.Activation("relu", name="block5_pool")(x)
        model = keras.Model(keras.utils.get_source_inputs(input_tensor), x)
        if weights is not None:
            model.load_weights(weights)
        return model

    tiny, rng = build(keras.Input((32, 32, 3)), None), np.random.default_rng(0)  # whatever other tests have drawn
    tiny.set_weights([rng.uniform(-0.3, 0.3, weight.shape) for weight in tiny.get_weights()])
    tiny.save_weights(tmp_path / "tiny.weights.h5")
    monkeypatch.setenv("MELANOMA_TL_WEIGHTS", str(tmp_path))
    weights = PretrainedWeights(("tiny.weights.h5",), "", None)
    quick = {"builder": build, "weights": weights, "input_size": (32, 32)}
    own_table["vgg19"] = replace(own_table["vgg19"], **quick, stages=())
    own_table["vgg16"] = replace(own_table["vgg16"], **quick, stages=("block5_conv1", "block5_pool"))


@pytest.fixture(scope="module", autouse=True)
def no_backbone_left_behind(tiny_backbone):
    """Forget what a file registered: which files share a process, and in what order, is left to chance."""
    from melanoma_tl.backbones import registry

    registry.list_backbones()  # plugins that are installed on this machine stay
    before = dict(registry._BACKBONES)
    yield
    registry._BACKBONES.clear()
    registry._BACKBONES.update(before)


@contextlib.contextmanager
def terminal(shortest: float = 0, columns: int = 120) -> Iterator[list[str]]:
    """Let progress bars be shown on a real terminal; what was written there stands in the list at the end."""
    pty, termios = map(pytest.importorskip, ("pty", "termios"))  # of Unix
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    shown: list[str] = []

    def collect() -> None:
        with contextlib.suppress(OSError):  # what Linux raises at the end
            while chunk := os.read(ours, 4096):
                written.append(chunk)

    written: list[bytes] = []
    reader = threading.Thread(target=collect, daemon=True)  # where the test fails, nobody may end what it reads
    reader.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_progress, "SHORTEST", shortest)
        patch.setattr(_progress, "REDRAWN", 0)
        with os.fdopen(theirs, "w") as stream:
            patch.setattr("sys.stderr", stream)
            yield shown
    reader.join(60)
    os.close(ours)
    shown.append(b"".join(written).decode())


@pytest.fixture
def own_table(monkeypatch) -> dict:
    """A table of backbones that is thrown away after the test, plugins included."""
    from melanoma_tl.backbones import registry

    registry.list_backbones()  # so that plugins that are installed on this machine are in both tables
    monkeypatch.setattr(registry, "_BACKBONES", dict(registry._BACKBONES))
    return registry._BACKBONES


NETWORK_OPTIONS = {
    "weights": None,
    "input_size": (32, 32),
    "preprocessing": "backbone",
    "head": "pooled",
    "dropout": 0.0,
    "random_state": 0,
}


def build(backbone="tiny", *, trainable_from=None, **changes):
    """Build a classifier's network, frozen up to a layer."""
    from melanoma_tl.backbones import get_backbone
    from melanoma_tl.network.graph import build_network, freeze

    spec = get_backbone(backbone) if isinstance(backbone, str) else backbone
    network = build_network(spec, **(NETWORK_OPTIONS | changes))
    freeze(network, trainable_from)
    return network.model


def training_plan(**changes):
    """Plan one epoch of ten images a batch."""
    from melanoma_tl.training.plan import TrainingPlan
    from melanoma_tl.training.stages import Stage

    options = {
        "stage": Stage(),
        "batch_size": 10,
        "epochs": 1,
        "steps_per_epoch": None,
        "early_stopping": None,
        "restore_best": False,
        "class_weight": None,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "clip_norm": None,
        "ema_momentum": None,
        "loss": "crossentropy",
        "metrics": (),
        "label_smoothing": 0.0,
        "mix": None,
        "seed": 0,
        "verbose": 0,
    }
    return TrainingPlan(**(options | changes))
