"""Features of VGG19 at ten depths by Keras alone, kept in files: what the frozen rows of `recipes.py` are solved on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from tqdm.auto import tqdm

from melanoma_tl.images.decoding import load_image
from melanoma_tl.images.parallel import batched, map_threaded
from melanoma_tl.images.symmetries import mirror
from melanoma_tl.network.cutting import with_precision
from melanoma_tl.network.pooling import center_weights
from melanoma_tl.recipes import fast

DEPTHS = (*fast()["head"].feature_layers, "block5_pool")
STATISTICS = ("center", "mean", "maximum", "deviation")
"""The first is the mean weighted about the middle of the image, as the pooling "log_center" weighs it."""
BATCH = 32


@dataclass(frozen=True)
class View:
    """How images are shown to the frozen network."""

    size: int = 224
    mirrored: int = 0
    constant_colours: bool = False

    def __str__(self) -> str:
        return f"{self.size}_{self.mirrored}{'_constant_colours' * self.constant_colours}"


@dataclass(frozen=True)
class ImageSet:
    """Images in the order of their files."""

    paths: Sequence[Path]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Some images of a set."""

    name: str
    rows: NDArray[np.intp]


@dataclass(frozen=True)
class FeatureFiles:
    """Features of all images, computed when they are first asked for."""

    sets: dict[str, ImageSet]
    weights: Path
    folder: Path
    networks: dict[int, Any] = field(default_factory=dict)

    def read(self, rows: Rows, view: View, depths: Sequence[str], statistics: Sequence[str]) -> NDArray[np.float32]:
        """Return features of shape (n_rows, n_features)."""
        path = self.folder / f"{rows.name}_{view}.npz"
        if not path.exists():
            self._compute(self.sets[rows.name], view, path)
        chosen = [STATISTICS.index(name) for name in statistics]
        with np.load(path) as stored:
            parts = [stored[depth][rows.rows][:, chosen].reshape(len(rows.rows), -1) for depth in depths]
        return np.concatenate(parts, axis=1)

    def _compute(self, images: ImageSet, view: View, path: Path) -> None:
        if view.size not in self.networks:
            self.networks[view.size] = self._build(view.size)
        network = self.networks[view.size]
        batches = map_threaded(lambda paths: read_pixels(paths, view), batched(images.paths, BATCH), window=2)
        n_batches = -(-len(images.paths) // BATCH)
        computed = [network.predict_on_batch(pixels) for pixels in tqdm(batches, path.stem, n_batches)]
        features = {depth: np.concatenate([batch[depth] for batch in computed]) for depth in DEPTHS}
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, **features)
        part.replace(path)

    def _build(self, size: int) -> Any:
        pixels = keras.Input((size, size, 3))
        scaled = keras.applications.vgg19.preprocess_input(ops.cast(pixels, "float32"))
        vgg = keras.applications.VGG19(include_top=False, weights=self.weights, input_tensor=scaled)
        maps = {depth: Statistics(name=f"{depth}_statistics")(vgg.get_layer(depth).output) for depth in DEPTHS}
        # Faster, and no less exact for this purpose; where the processor has no bfloat16, it is emulated.
        return with_precision(keras.Model(pixels, maps), "mixed_bfloat16")


def read_pixels(paths: Sequence[Path], view: View) -> NDArray[np.uint8]:
    images = np.stack([load_image(path, (view.size, view.size)) for path in paths])
    return mirror(make_colours_constant(images) if view.constant_colours else images, view.mirrored)


def make_colours_constant(images: NDArray[np.uint8], power: int = 6) -> NDArray[np.uint8]:
    """Shades of grey (Finlayson and Trezzi 2004): a Minkowski mean of the same size for each channel."""
    means = np.mean(images.astype(np.float64) ** power, axis=(1, 2), keepdims=True) ** (1 / power)
    gains = means.mean(axis=-1, keepdims=True) / np.maximum(means, 1.0)
    return np.clip(images * gains, 0, 255).round().astype(np.uint8)


@keras.saving.register_keras_serializable("benchmarks")
class Statistics(keras.layers.Layer):
    """The `STATISTICS` of each channel of a feature map, in float32."""

    def call(self, maps: Any) -> Any:
        """From (n, height, width, channels) to (n, 4, channels)."""
        maps = ops.cast(maps, "float32")
        axes = (1, 2)
        center = ops.einsum("nhwc,hw->nc", maps, center_weights(*maps.shape[1:3]))
        return ops.stack([center, ops.mean(maps, axes), ops.max(maps, axes), ops.std(maps, axes)], axis=1)
