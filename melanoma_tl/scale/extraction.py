"""Compute the features of the images of a shard with the frozen part of a network, as `fit` does before training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes  # noqa: F401 -- tells NumPy what "bfloat16" is
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from melanoma_tl._atomic import scratch
from melanoma_tl._keras.isolation import own_settings
from melanoma_tl.augmentation import Augmenter
from melanoma_tl.backbones import list_backbones
from melanoma_tl.errors import ImageError, JobError
from melanoma_tl.images.decoding import ImageLike, hold, load_image
from melanoma_tl.images.fingerprints import content_of
from melanoma_tl.images.parallel import batched, map_threaded
from melanoma_tl.images.prepared import PreparedStore
from melanoma_tl.network.cutting import FrozenPart, with_precision
from melanoma_tl.network.inference import run_batch
from melanoma_tl.scale.shard_schema import describe_files, schema_with
from melanoma_tl.training.features import LESS_MEMORY, feature_store_name
from melanoma_tl.training.views import ImageViews

_FILE = "frozen.keras"


@dataclass(frozen=True)
class Extraction:
    """The task of extracting features, as it is sent to the workers.

    Attributes
    ----------
    network : bytes
        The frozen part of the network as a Keras file.
    policy : {"float32", "mixed_bfloat16"}
        Its dtype policy.
    augmenter : Augmenter or None
        Creates the augmented views.
    view_keys : tuple of bytes
        Keys of the views, as computed on the machine that will fit.
    recipe : str
        Decoding and resizing of images on the machine that will fit.
    store : str
        Name of the feature store.
    shape : tuple of int
        Shape of the features of a view.
    dtype : str
        Dtype of the stored features.
    batch_size : int
        Images per batch.
    """

    network: bytes
    policy: str
    augmenter: Augmenter | None
    view_keys: tuple[bytes, ...]
    recipe: str
    store: str
    shape: tuple[int, ...]
    dtype: str
    batch_size: int

    @classmethod
    def of(cls, part: FrozenPart, batch_size: int) -> "Extraction":
        """Create the task from the frozen part of a network.

        Parameters
        ----------
        part : FrozenPart
            From `TransferClassifier.frozen_part`.
        batch_size : int
            Images per batch.

        Returns
        -------
        Extraction
            The task, which can be pickled.
        """
        height, width = part.network.inputs[0].shape[1:3]
        recipe = PreparedStore((height, width)).recipe
        (features,) = with_precision(part.network, part.policy).outputs
        with scratch() as folder:
            part.network.save(folder / _FILE)
            network = (folder / _FILE).read_bytes()
        store = feature_store_name(part.network, policy=part.policy, recipe=recipe)
        shape, dtype = tuple(features.shape[1:]), np.dtype(features.dtype).name
        keys = _view_keys(part.augmenter, part.n_views)
        return cls(network, part.policy, part.augmenter, keys, recipe, store, shape, dtype, batch_size)

    def describe(self) -> dict[str, Any]:
        """Return everything that determines the result, serialisable as JSON."""
        views = [key.hex() for key in self.view_keys]
        return {"kind": "extract", "store": self.store, "shape": list(self.shape), "dtype": self.dtype, "views": views}

    @own_settings()
    def prepare(self) -> "Extractor":
        """Load the network.

        Returns
        -------
        Extractor
            Computes any number of shards.

        Raises
        ------
        JobError
            If this machine cannot load the network, or would decode images differently.
        """
        import keras

        with scratch() as folder:
            file = folder / _FILE
            file.write_bytes(self.network)
            list_backbones()  # imports the packages of the backbones, which registers their custom layers
            try:
                network = keras.saving.load_model(file, compile=False, safe_mode=True)
            except Exception as error:  # what is raised depends on the layer
                raise JobError(f"a worker cannot load the frozen part of the network: {error!s:.500}") from error
        height, width = network.inputs[0].shape[1:3]
        recipe = PreparedStore((height, width)).recipe
        if recipe != self.recipe or _view_keys(self.augmenter, len(self.view_keys)) != self.view_keys:
            raise JobError(
                f"a worker decodes images ({recipe}) or draws views differently from this machine ({self.recipe}), "
                "which could not use its features: install the same versions and Keras backend on all machines"
            )
        return Extractor(self, with_precision(network, self.policy), (height, width))


def _view_keys(augmenter: Augmenter | None, n_views: int) -> tuple[bytes, ...]:
    return tuple(b"" if augmenter is None else augmenter.view_key(view) for view in range(n_views))


@dataclass(frozen=True)
class _Image:
    """A decoded image, or the reason why it cannot be read."""

    path: str
    pixels: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    content: bytes = b""
    error: str | None = None


class Extractor:
    """A loaded network that computes the features of shards.

    Parameters
    ----------
    task : Extraction
        The task.
    network : keras.Model
        The network, in the precision of the task.
    size : tuple of int
        (height, width) of its input in pixels.
    """

    def __init__(self, task: Extraction, network: Any, size: tuple[int, int]) -> None:
        self._task, self._network, self._size = task, network, size
        self._length = int(np.prod(task.shape))
        self.schema = schema_with(
            [("view", pa.int32()), ("key", pa.binary()), ("features", pa.list_(pa.float32(), self._length))]
        )
        # bfloat16 is written as float32 without loss; splitting the bytes into streams compresses the zero bytes away.
        self.options = {"use_dictionary": False, "use_byte_stream_split": ["features.list.element"]}

    def compute(self, paths: Sequence[str], images: Sequence[ImageLike]) -> Iterator[pa.Table]:
        """Compute features.

        Parameters
        ----------
        paths : sequence of str
            Paths of the images, for the table.
        images : sequence of path or ImageFile
            The images.

        Yields
        ------
        pyarrow.Table
            One table per batch and view, with one row per image; and one per batch with the images that cannot be read.
        """
        batch_size = self._task.batch_size
        decoded = map_threaded(self._decode, zip(paths, images, strict=True), window=2 * batch_size)
        for batch in batched(decoded, batch_size):
            readable = [image for image in batch if image.error is None]
            if readable:
                yield from self._compute_views(readable)
            if len(readable) < len(batch):
                yield self._list_errors([image for image in batch if image.error is not None])

    def _decode(self, named: tuple[str, ImageLike]) -> _Image:
        path, image = named
        try:
            held = hold(image)
            return _Image(path, load_image(held, self._size), content_of(held))
        except ImageError as error:
            return _Image(path, error=error.reason)

    def _compute_views(self, images: list[_Image]) -> Iterator[pa.Table]:
        contents = [image.content for image in images]
        shown = ImageViews(np.stack([image.pixels for image in images]), contents, self._task.augmenter)
        rows = np.arange(len(images))
        for view, key in enumerate(self._task.view_keys):
            features = run_batch(self._network, shown.batch(rows, np.full(len(rows), view), 0), LESS_MEMORY)
            flat = np.asarray(features, dtype=np.float32).ravel()
            yield self._table(
                images,
                view=pa.array([view] * len(images), pa.int32()),
                key=[content + key for content in contents],
                features=pa.FixedSizeListArray.from_arrays(pa.array(flat), self._length),
            )

    def _list_errors(self, images: list[_Image]) -> pa.Table:
        nothing = {name: pa.nulls(len(images), self.schema.field(name).type) for name in ("view", "key", "features")}
        return self._table(images, **nothing)

    def _table(self, images: list[_Image], **columns: Any) -> pa.Table:
        named = describe_files([image.path for image in images]) | columns
        return pa.table(named | {"error": [image.error for image in images]}, schema=self.schema)
