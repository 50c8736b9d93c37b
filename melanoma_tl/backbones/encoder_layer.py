"""A frozen encoder as a layer of the network, and as an entry in the table of backbones."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from melanoma_tl._keras.host_call import call_on_host
from melanoma_tl.backbones.encoder import FrozenEncoder, is_same
from melanoma_tl.backbones.preprocessing import require_raw_pixels
from melanoma_tl.errors import ParameterError, WeightsUnavailableError

ENCODERS: dict[str, tuple[str, FrozenEncoder]] = {}
"""The encoders that are registered, with their names, by their digests."""


@keras.saving.register_keras_serializable(package="melanoma_tl")
class EncoderLayer(keras.Layer):
    """Gives the vectors of a registered encoder as maps of one place. A file keeps its identity, not the encoder.

    Parameters
    ----------
    encoder : str
        Its name.
    digest : str
        Identifies the encoder, also among several of the same name.
    n_features : int
        Length of a vector.
    **kwargs : object
        As for every layer of Keras; it computes in float32 in any case.
    """

    def __init__(self, encoder: str, digest: str, n_features: int, **kwargs: Any) -> None:
        super().__init__(**(kwargs | {"dtype": "float32", "trainable": False, "autocast": False}))
        self.encoder, self.digest, self.n_features = encoder, digest, n_features
        self.supports_jit = False
        self._has_changed = False

    def build(self, input_shape: Any) -> None:
        """Keep the vectors of drawn images, by which another encoder is found out."""
        found = find_encoder(self.encoder, self.digest)
        if found.n_features != self.n_features:
            raise ParameterError(
                f"the encoder {self.encoder!r} gives vectors of {found.n_features} numbers, not {self.n_features}"
            )
        if tuple(input_shape[1:3]) != found.input_size:
            height, width = found.input_size
            raise ParameterError(
                f"the encoder {self.encoder!r} takes images of {height}x{width} pixels: leave input_size out"
            )
        self.reference = self.add_weight(
            name="reference", shape=found.reference.shape, initializer=lambda *_, **__: found.reference, trainable=False
        )

    def call(self, inputs: Any) -> Any:
        """Encode images (n, height, width, 3) as maps (n, 1, 1, n_features)."""
        vectors = call_on_host(self._encode, inputs, self.n_features)
        return keras.ops.reshape(vectors, (-1, 1, 1, self.n_features))

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the shape of the output without running the encoder."""
        return keras.KerasTensor((inputs.shape[0], 1, 1, self.n_features), "float32")

    def load_own_variables(self, store: Any) -> None:
        """Compare the encoder with that of the file; what is wrong is raised where it is used, in words of its own."""
        super().load_own_variables(store)
        kept = keras.ops.convert_to_numpy(self.reference)
        self._has_changed = not is_same(find_encoder(self.encoder, self.digest).reference, kept)

    def _encode(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._has_changed:
            raise WeightsUnavailableError(
                f"the encoder {self.encoder!r} gives other vectors than it did when the model was trained: it has "
                "changed, although its digest has not"
            )
        return find_encoder(self.encoder, self.digest).vectors_of(images)

    def get_config(self) -> dict[str, Any]:
        """Return what `__init__` takes."""
        return super().get_config() | {
            "encoder": self.encoder,
            "digest": self.digest,
            "n_features": self.n_features,
        }


def find_encoder(name: str, digest: str) -> FrozenEncoder:
    """Look up an encoder by its digest.

    Parameters
    ----------
    name : str
        Under which it was registered when the model was trained, for people.
    digest : str
        Its digest.

    Returns
    -------
    FrozenEncoder
        The very one.

    Raises
    ------
    WeightsUnavailableError
        If it is not registered here.
    """
    if digest in ENCODERS:
        return ENCODERS[digest][1]
    others = [other for known, other in ENCODERS.values() if known == name]
    there = f"; the one that is registered under this name is another ({others[-1]})" if others else ""
    raise WeightsUnavailableError(
        f"the model scores with the encoder {name!r} (sha256 {digest[:12]}…), which it does not hold{there}: register "
        f"that encoder first, with melanoma_tl.register_encoder({name!r}, ...)"
    )


def encoders_of(model: Any) -> list[str]:
    """Name the encoders that a network needs.

    Parameters
    ----------
    model : keras.Model
        The network.

    Returns
    -------
    list of str
        Empty for a network that holds all that it computes with.
    """
    return [layer.encoder for layer in model.layers if isinstance(layer, EncoderLayer)]


def build_encoder(name: str, encoder: FrozenEncoder) -> Callable[[Any, Any], Any]:
    """Return the builder of the backbone that an encoder is.

    Parameters
    ----------
    name : str
        Under which it is registered.
    encoder : FrozenEncoder
        The encoder.

    Returns
    -------
    callable
        As `BackboneSpec.builder`.
    """

    def build(input_tensor: Any, weights: Any) -> Any:  # noqa: ARG001 -- it has its own
        images = require_raw_pixels(input_tensor, f"the encoder {name!r} scales pixels itself")
        layer = EncoderLayer(name, encoder.digest, encoder.n_features, name="encoder")
        return keras.Model(images, layer(images))

    return build
