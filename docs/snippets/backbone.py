"""A backbone of one's own, shown on the page on backbones."""

# --8<-- [start:example]
import keras

from melanoma_tl import register_backbone


@register_backbone(
    "one_convolution",
    preprocess=keras.layers.Rescaling(1 / 255),
    overwrite=True,
)
def one_convolution(input_tensor, weights):
    features = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(
        input_tensor
    )
    source = keras.utils.get_source_inputs(input_tensor)
    model = keras.Model(source, features)
    if weights is not None:
        model.load_weights(weights)
    return model


# --8<-- [end:example]
