"""Forward passes that leave a network its weights, whatever happens."""

from typing import Any


def keep_weights(network: Any) -> None:
    """Let the forward passes of a network with JAX read its weights, where Keras gives them away.

    Keras donates them to each compiled pass, and takes them back from its results: after a pass that fails, because
    memory is full or a function on the host raises an error, the network would have none.

    Parameters
    ----------
    network : keras.Model
        Changed in place, once; unchanged with other backends.
    """
    import keras

    if keras.backend.backend() != "jax" or network.predict_function is not None or not network.jit_compile:
        return
    import jax

    @jax.jit
    def forward(trainable: Any, others: Any, images: Any) -> Any:
        scores, _ = network.stateless_call(trainable, others, images, training=False)
        return scores

    def predict(state: tuple[Any, Any], batches: Any) -> tuple[Any, tuple[Any, Any]]:
        images, _, _ = keras.utils.unpack_x_y_sample_weight(next(batches))
        return forward(*state, images), state

    network.predict_function = predict
