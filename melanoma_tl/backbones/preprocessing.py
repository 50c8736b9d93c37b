"""What pre-trained weights expect of pixels, as layers of the graph.

The constants are those of ``keras.applications.imagenet_utils``.
"""

from typing import Any

from melanoma_tl.errors import ParameterError

MEAN_RGB = (0.485, 0.456, 0.406)
STD_RGB = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's pixels, divided by 255."""


def subtract_imagenet_mean(images: Any) -> Any:
    """Turn RGB into BGR and subtract ImageNet's mean, as the Caffe models were trained.

    Parameters
    ----------
    images : KerasTensor of shape (n, height, width, 3)
        Raw RGB, 0 to 255.

    Returns
    -------
    KerasTensor of the same shape
        Centred BGR; mode "caffe" of Keras.
    """
    from keras import layers, ops

    return layers.Rescaling(1.0, offset=[-103.939, -116.779, -123.68], name="subtract_mean")(ops.flip(images, axis=-1))


def standardize(images: Any) -> Any:
    """Subtract ImageNet's mean and divide by its standard deviation, as PyTorch's models were trained.

    Parameters
    ----------
    images : KerasTensor of shape (n, height, width, 3)
        Raw RGB, 0 to 255.

    Returns
    -------
    KerasTensor of the same shape
        Standardised RGB, about -2.1 to 2.6; mode "torch" of Keras.
    """
    from keras import layers

    scale = [1 / (255 * std) for std in STD_RGB]
    offset = [-mean / std for mean, std in zip(MEAN_RGB, STD_RGB, strict=True)]
    return layers.Rescaling(scale, offset=offset, name="standardize")(images)


def scale_to_one(images: Any) -> Any:
    """Scale to -1 to 1, as TensorFlow's models were trained.

    Parameters
    ----------
    images : KerasTensor of shape (n, height, width, 3)
        Raw RGB, 0 to 255.

    Returns
    -------
    KerasTensor of the same shape
        RGB, -1 to 1; mode "tf" of Keras.
    """
    from keras import layers

    return layers.Rescaling(1 / 127.5, offset=-1.0, name="scale_to_one")(images)


def divide_by_128(images: Any) -> Any:
    """Scale to -1 to just below 1, as EfficientNetV2-S, -M and -L were trained.

    Parameters
    ----------
    images : KerasTensor of shape (n, height, width, 3)
        Raw RGB, 0 to 255.

    Returns
    -------
    KerasTensor of the same shape
        RGB, -1 to 0.992.
    """
    from keras import layers

    return layers.Rescaling(1 / 128, offset=-1.0, name="divide_by_128")(images)


def keep_pixels(images: Any) -> Any:
    """Leave the pixels to the builder of a backbone, which scales them itself.

    Parameters
    ----------
    images : KerasTensor of shape (n, height, width, 3)
        Raw RGB, 0 to 255.

    Returns
    -------
    KerasTensor
        The same one.
    """
    return images


def require_raw_pixels(input_tensor: Any, what: str) -> Any:
    """Raise an error unless a builder that scales the pixels itself is given them as they are.

    Parameters
    ----------
    input_tensor : KerasTensor of shape (n, height, width, 3)
        What the builder is given.
    what : str
        What it builds, with its verb.

    Returns
    -------
    KerasTensor
        The raw images.

    Raises
    ------
    ParameterError
        If they were scaled before.
    """
    import keras

    (images,) = keras.utils.get_source_inputs(input_tensor)
    if images is not input_tensor:
        raise ParameterError(f"{what}: leave preprocessing out")
    return images
