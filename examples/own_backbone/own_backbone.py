"""A small residual network, which registers itself as a backbone of melanoma_tl."""

# --8<-- [start:example]
from melanoma_tl import register_backbone


def scale(images):
    """Scale raw RGB, 0 to 255, to -1 to 1, in the graph."""
    from keras import layers

    return layers.Rescaling(1 / 127.5, offset=-1, name="scale")(images)


@register_backbone(
    "small_resnet",
    preprocess=scale,
    input_size=(128, 128),
    stages=("block3_conv1", "block2_conv1", "block1_conv1", "stem"),
    last_convolution="block3_out",
    license="MIT",
    source="He et al. 2016, arXiv:1512.03385, in small; no weights",
)
def small_resnet(input_tensor, weights):
    """Build a convolution and three residual blocks, halving the map."""
    import keras

    stem = keras.layers.Conv2D(16, 3, strides=2, padding="same", name="stem")
    features = stem(input_tensor)
    for number, filters in enumerate((32, 64, 128), start=1):
        features = add_block(features, filters, f"block{number}")
    source = keras.utils.get_source_inputs(input_tensor)
    model = keras.Model(source, features)
    if weights is not None:
        model.load_weights(weights)
    return model


def add_block(x, filters, name):
    """Add two convolutions, and a shortcut around them."""
    from keras import layers

    def convolve(x, name, size, strides):
        options = {"padding": "same", "use_bias": False, "name": name}
        x = layers.Conv2D(filters, size, strides, **options)(x)
        return layers.BatchNormalization(name=f"{name}_norm")(x)

    shortcut = convolve(x, f"{name}_shortcut", 1, 2)
    y = convolve(x, f"{name}_conv1", 3, 2)
    y = layers.Activation("relu", name=f"{name}_relu")(y)
    y = convolve(y, f"{name}_conv2", 3, 1)
    y = layers.Add(name=f"{name}_add")([y, shortcut])
    return layers.Activation("relu", name=f"{name}_out")(y)


# --8<-- [end:example]
