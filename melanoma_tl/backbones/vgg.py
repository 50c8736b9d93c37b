"""VGG16 and VGG19 (Simonyan and Zisserman 2015, arXiv:1409.1556), from ``keras.applications``."""

from typing import Any

from melanoma_tl.backbones.registry import PretrainedWeights, register_backbone

_LICENCE = "Visual Geometry Group, University of Oxford, CC BY 4.0"
_HUB = "https://storage.googleapis.com/tensorflow/keras-applications"


def subtract_imagenet_mean(images: Any) -> Any:
    """Turn RGB into BGR and subtract ImageNet's mean, as the Caffe models were trained.

    Parameters
    ----------
    images : KerasTensor of shape (n, height, width, 3)
        Raw RGB, 0 to 255.

    Returns
    -------
    KerasTensor of the same shape
        Centred BGR. The means are those of ``keras.applications.imagenet_utils``, mode "caffe".
    """
    from keras import layers, ops

    return layers.Rescaling(1.0, offset=[-103.939, -116.779, -123.68], name="subtract_mean")(ops.flip(images, axis=-1))


@register_backbone(
    "vgg19",
    preprocess=subtract_imagenet_mean,
    stages=tuple(f"block{number}_conv1" for number in (5, 4, 3, 2, 1)),
    weights=PretrainedWeights(
        file_names=("vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5", "vgg19_imagenet_notop.h5"),
        url=f"{_HUB}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        md5="253f8cb515780f3b799900260a226db6",
        licence=_LICENCE,
    ),
)
def vgg19(input_tensor: Any, weights: str | None) -> Any:
    """Build VGG19 without its classifier.

    Parameters
    ----------
    input_tensor : KerasTensor
        Preprocessed images.
    weights : str or None
        Path of a weights file.

    Returns
    -------
    keras.Model
        Sixteen convolutions in five blocks; 20.0 million parameters.
    """
    from keras.applications import VGG19

    return VGG19(include_top=False, input_tensor=input_tensor, weights=weights)


@register_backbone(
    "vgg16",
    preprocess=subtract_imagenet_mean,
    stages=tuple(f"block{number}_conv1" for number in (5, 4, 3, 2, 1)),
    weights=PretrainedWeights(
        file_names=("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",),
        url=f"{_HUB}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        md5="6d6bbae143d832006294945121d1f1fc",
        licence=_LICENCE,
    ),
)
def vgg16(input_tensor: Any, weights: str | None) -> Any:
    """Build VGG16 without its classifier.

    Parameters
    ----------
    input_tensor : KerasTensor
        Preprocessed images.
    weights : str or None
        Path of a weights file.

    Returns
    -------
    keras.Model
        Thirteen convolutions in five blocks; 14.7 million parameters.
    """
    from keras.applications import VGG16

    return VGG16(include_top=False, input_tensor=input_tensor, weights=weights)
