"""Join networks on one frozen part, which then computes each image once for all of them."""

from collections.abc import Sequence
from typing import Any

from melanoma_tl.network.cutting import network_digest, split_network


def frozen_digest(model: Any) -> bytes:
    """Hash the frozen part of a network.

    Parameters
    ----------
    model : keras.Model
        From raw images to scores.

    Returns
    -------
    bytes
        SHA-256 of its layers, connections and weights; empty if there is none.
    """
    frozen = split_network(model).frozen
    return b"" if frozen is None else network_digest(frozen)


def join_networks(models: Sequence[Any]) -> Any:
    """Make one network of several with the same frozen part.

    Parameters
    ----------
    models : sequence of keras.Model
        From raw images to scores (n, n_scores); `frozen_digest` is the same for all, and not empty.

    Returns
    -------
    keras.Model
        From raw images to the scores of all, side by side (n, n_models * n_scores); shares layers with them.
    """
    import keras

    parts = [split_network(model) for model in models]
    features = parts[0].frozen.outputs[0]
    scores = [
        keras.Model(part.trained.inputs[0], part.trained.outputs[0], name=f"member_{number}")(features)
        for number, part in enumerate(parts)
    ]
    joined = keras.ops.concatenate(scores, axis=-1)
    return keras.Model(parts[0].frozen.inputs[0], joined, name="members")
