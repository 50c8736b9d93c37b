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
    return keras.Model(keras.utils.get_source_inputs(input_tensor), features)


# --8<-- [end:example]
