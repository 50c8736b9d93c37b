"""The image models of ``keras.applications``, as one table.

Addresses, names and hashes of the weights are those of Keras's own sources, with which a
test compares them. Licenses are those of the weights, as the repositories from which Keras
ported them state them; the code that builds the networks is Keras's own (Apache 2.0).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import Any

from melanoma_tl.backbones.preprocessing import divide_by_128, scale_to_one, standardize, subtract_imagenet_mean
from melanoma_tl.backbones.registry import register_backbone
from melanoma_tl.backbones.spec import PretrainedWeights


def build(constructor: str, input_tensor: Any, weights: str | None, **options: Any) -> Any:
    """Build one of Keras's models without its classifier.

    Parameters
    ----------
    constructor : str
        Its name in ``keras.applications``.
    input_tensor : KerasTensor
        Preprocessed images.
    weights : str or None
        Path of a weights file.
    **options : dict
        What else its constructor takes.

    Returns
    -------
    keras.Model
        From the source of the tensor to the last feature map.
    """
    import keras

    make = getattr(keras.applications, constructor)
    return make(include_top=False, input_tensor=input_tensor, weights=weights, **options)


def build_without_scaling(constructor: str, input_tensor: Any, weights: str | None) -> Any:
    """Build a model that by default scales its input itself, but here does not.

    So no pixel is scaled twice, and ``preprocessing="rescale"`` means the same for every backbone.

    Parameters
    ----------
    constructor, input_tensor, weights : str, KerasTensor, and str or None
        As in `build`.

    Returns
    -------
    keras.Model
        From the source of the tensor to the last feature map.
    """
    return build(constructor, input_tensor, weights, include_preprocessing=False)


def build_efficientnet(constructor: str, input_tensor: Any, weights: str | None) -> Any:
    """Build an EfficientNet of the first version, whose own scaling can only be made to do nothing.

    It would not be right either: the official files hold standard deviations where the layer
    expects variances, which Keras makes good for ``weights="imagenet"``, but not for the path
    of the same file (tensorflow/tensorflow#49930).

    Parameters
    ----------
    constructor, input_tensor, weights : str, KerasTensor, and str or None
        As in `build`.

    Returns
    -------
    keras.Model
        From the source of the tensor to the last feature map.
    """
    from keras.layers import Normalization

    model = build(constructor, input_tensor, weights)
    place = next(place for place, layer in enumerate(model.layers) if isinstance(layer, Normalization))
    rescaling, normalization = model.layers[place - 1 : place + 1]
    rescaling.scale = 1.0
    normalization.adapt_mean.assign([0.0] * 3)
    normalization.adapt_variance.assign([1.0] * 3)
    normalization.finalize_state()
    return model


_IMAGENET_1K = "ImageNet-1k (ILSVRC 2012)"
_IMAGENET_21K = f"ImageNet-21k, then {_IMAGENET_1K}"  # as the docstring of keras.applications.convnext says


@dataclass(frozen=True)
class Model:
    """One of Keras's models.

    Attributes
    ----------
    constructor : str
        Its name in ``keras.applications``; in lower case, the name of the backbone.
    key : str
        What stands for it in the address of its weights.
    side : int
        Default height and width in pixels.
    parameters : int
        Number of its weights, without the classifier.
    file_hash : str or None
        As in `PretrainedWeights`.
    stages, last_convolution : tuple of str, and str or None
        As in `BackboneSpec`; no stages where they are those of the family.
    pretrained_on : str
        As in `BackboneSpec`.
    """

    constructor: str
    key: str
    side: int
    parameters: int
    file_hash: str | None
    stages: tuple[str, ...] = ()
    last_convolution: str | None = None
    pretrained_on: str = _IMAGENET_1K


@dataclass(frozen=True)
class Family:
    """Models of one paper.

    Attributes
    ----------
    source, license, preprocess : str, str, and callable
        As in `BackboneSpec`; the license is one that lets the weights be given on with a notice.
    stated_at : str
        Address of the page that states license and training data.
    url : str
        Address of the weights, with ``{key}`` in it.
    models : tuple of Model
        The models.
    stages : tuple of str
        As in `BackboneSpec`, with ``{key}`` in them.
    file_names : tuple of str
        Names of the weights file on disk, with ``{key}`` in them, if not that of the address.
    build : callable
        ``build(constructor, input_tensor, weights)`` makes a model.
    """

    source: str
    license: str
    stated_at: str
    preprocess: Callable[[Any], Any]
    url: str
    models: tuple[Model, ...]
    stages: tuple[str, ...] = ()
    file_names: tuple[str, ...] = ()
    build: Callable[..., Any] = build


_HUB = "https://storage.googleapis.com/tensorflow/keras-applications"
_SLIM = "https://github.com/tensorflow/models/tree/master/research/slim"
_KERNELS = "weights_tf_dim_ordering_tf_kernels"
_VGG_FILE = f"{{key}}_{_KERNELS}_notop.h5"
_EFFICIENTNET_STAGES = (*(f"block{number}a_expand_conv" for number in (6, 4, 3, 2)), "stem_conv")

# Where the layers have only numbers, which go up from model to model, a stage begins after the last layer with a name.
FAMILIES = (
    Family(
        "Simonyan and Zisserman 2015, arXiv:1409.1556; weights of the Visual Geometry Group, University of Oxford",
        "CC BY 4.0",
        "https://www.robots.ox.ac.uk/~vgg/research/very_deep/",
        subtract_imagenet_mean,
        f"{_HUB}/{{key}}/{_VGG_FILE}",
        (
            Model(
                "VGG16",
                "vgg16",
                224,
                14_714_688,
                "6d6bbae143d832006294945121d1f1fc",
                last_convolution="block5_conv3",
            ),
            Model(
                "VGG19",
                "vgg19",
                224,
                20_024_384,
                "253f8cb515780f3b799900260a226db6",
                last_convolution="block5_conv4",
            ),
        ),
        stages=("block5_conv1", "block4_conv1", "block3_conv1", "block2_conv1", "block1_conv1"),
        file_names=(_VGG_FILE, "{key}_imagenet_notop.h5"),
    ),
    Family(
        "He et al. 2016, arXiv:1512.03385; weights of the authors",
        "MIT",
        "https://github.com/KaimingHe/deep-residual-networks",
        subtract_imagenet_mean,
        f"{_HUB}/resnet/{{key}}_{_KERNELS}_notop.h5",
        (
            Model("ResNet50", "resnet50", 224, 23_587_712, "4d473c1dd8becc155b73f8504c6f6626"),
            Model("ResNet101", "resnet101", 224, 42_658_176, "88cf7a10940856eca736dc7b7e228a21"),
            Model("ResNet152", "resnet152", 224, 58_370_944, "ee4c566cf9a93f14d82f913c2dc6dd0c"),
        ),
        stages=(
            "conv5_block1_1_conv",
            "conv4_block1_1_conv",
            "conv3_block1_1_conv",
            "conv2_block1_1_conv",
            "conv1_conv",
        ),
    ),
    Family(
        "He et al. 2016, arXiv:1603.05027; weights from Facebook's fb.resnet.torch",
        "BSD",
        "https://github.com/facebookarchive/fb.resnet.torch",
        scale_to_one,
        f"{_HUB}/resnet/{{key}}_{_KERNELS}_notop.h5",
        (
            Model("ResNet50V2", "resnet50v2", 224, 23_564_800, "fac2f116257151a9d068a22e544a4917"),
            Model("ResNet101V2", "resnet101v2", 224, 42_626_560, "c0ed64b8031c3730f411d2eb4eea35b5"),
            Model("ResNet152V2", "resnet152v2", 224, 58_331_648, "ed17cf2e0169df9d443503ef94b23b33"),
        ),
        stages=(
            "conv5_block1_preact_bn",
            "conv4_block1_preact_bn",
            "conv3_block1_preact_bn",
            "conv2_block1_preact_bn",
            "conv1_conv",
        ),
    ),
    Family(
        "Szegedy et al. 2016, arXiv:1512.00567; weights from TensorFlow's models",
        "Apache 2.0",
        _SLIM,
        scale_to_one,
        f"{_HUB}/{{key}}/{{key}}_{_KERNELS}_notop.h5",
        (Model("InceptionV3", "inception_v3", 299, 21_802_784, "bcbd6486424b2319ff4ef7d526e38f63"),),
        stages=("mixed7", "mixed2"),
    ),
    Family(
        "Szegedy et al. 2017, arXiv:1602.07261; weights from TensorFlow's models",
        "Apache 2.0",
        _SLIM,
        scale_to_one,
        f"{_HUB}/{{key}}/{{key}}_{_KERNELS}_notop.h5",
        (Model("InceptionResNetV2", "inception_resnet_v2", 299, 54_336_736, "d19885ff4a710c122648d3b5c3b684e4"),),
        stages=("block17_20_ac", "block35_10_ac"),
    ),
    Family(
        "Chollet 2017, arXiv:1610.02357; weights of the author",
        "MIT",
        "https://github.com/fchollet/deep-learning-models",
        scale_to_one,
        f"{_HUB}/{{key}}/{{key}}_{_KERNELS}_notop.h5",
        (Model("Xception", "xception", 299, 20_861_480, "b0042744bf5b25fce3cb969f33bebb97"),),
        stages=("block13_sepconv1", "block4_sepconv1", "block3_sepconv1", "block2_sepconv1", "block1_conv1"),
    ),
    Family(
        "Howard et al. 2017, arXiv:1704.04861; weights from TensorFlow's models",
        "Apache 2.0",
        _SLIM,
        scale_to_one,
        f"{_HUB}/mobilenet/mobilenet_{{key}}_tf_no_top.h5",
        (Model("MobileNet", "1_0_224", 224, 3_228_864, None),),
        stages=("conv_dw_12", "conv_dw_6", "conv_dw_4", "conv_dw_2", "conv1"),
    ),
    Family(
        "Sandler et al. 2018, arXiv:1801.04381; weights from TensorFlow's models",
        "Apache 2.0",
        _SLIM,
        scale_to_one,
        f"{_HUB}/mobilenet_v2/mobilenet_v2_{_KERNELS}_{{key}}_no_top.h5",
        (Model("MobileNetV2", "1.0_224", 224, 2_257_984, None),),
        stages=("block_13_expand", "block_6_expand", "block_3_expand", "block_1_expand", "Conv1"),
    ),
    Family(
        "Howard et al. 2019, arXiv:1905.02244; weights from TensorFlow's models",
        "Apache 2.0",
        _SLIM,
        scale_to_one,
        f"{_HUB}/mobilenet_v3/weights_mobilenet_v3_{{key}}_224_1.0_float_no_top_v2.h5",
        (
            Model(
                "MobileNetV3Small",
                "small",
                224,
                939_120,
                "d3e8ec802a04aa4fc771ee12a9a9b836",
                stages=(
                    "expanded_conv_8_expand",
                    "expanded_conv_3_expand",
                    "expanded_conv_1_expand",
                    "expanded_conv_depthwise",
                    "conv",
                ),
            ),
            Model(
                "MobileNetV3Large",
                "large",
                224,
                2_996_352,
                "07fb09a5933dd0c8eaafa16978110389",
                stages=(
                    "expanded_conv_12_expand",
                    "expanded_conv_6_expand",
                    "expanded_conv_3_expand",
                    "expanded_conv_1_expand",
                    "conv",
                ),
            ),
        ),
        build=build_without_scaling,
    ),
    Family(
        "Huang et al. 2017, arXiv:1608.06993; weights of the authors",
        "BSD 3-Clause",
        "https://github.com/liuzhuang13/DenseNet",
        standardize,
        f"{_HUB}/densenet/{{key}}_{_KERNELS}_notop.h5",
        (
            Model("DenseNet121", "densenet121", 224, 7_037_504, "30ee3e1110167f948a6b9946edeeb738"),
            Model("DenseNet169", "densenet169", 224, 12_642_880, "b8c4d4c20dd625c148057b9ff1c1176b"),
            Model("DenseNet201", "densenet201", 224, 18_321_984, "c13680b51ded0fb44dff2d8f86ac8bb1"),
        ),
        stages=(
            "conv5_block1_0_bn",
            "conv4_block1_0_bn",
            "conv3_block1_0_bn",
            "conv2_block1_0_bn",
            "conv1_conv",
        ),
    ),
    Family(
        "Zoph et al. 2018, arXiv:1707.07012; weights from TensorFlow's models",
        "Apache 2.0",
        _SLIM,
        scale_to_one,
        f"{_HUB}/nasnet/NASNet-{{key}}-no-top.h5",
        (
            Model(
                "NASNetMobile",
                "mobile",
                224,
                4_269_716,
                "1ed92395b5b598bdda52abe5c0dbfd63",
                stages=("normal_concat_8", "normal_concat_3", "reduction_concat_stem_1", "stem_bn1", "stem_conv1"),
            ),
            Model(
                "NASNetLarge",
                "large",
                331,
                84_916_818,
                "d81d89dc07e6e56530c4e77faddd61b5",
                stages=("normal_concat_12", "normal_concat_5", "reduction_concat_stem_1", "stem_bn1", "stem_conv1"),
            ),
        ),
        file_names=("nasnet_{key}_no_top.h5", "NASNet-{key}-no-top.h5"),
    ),
    Family(
        "Tan and Le 2019, arXiv:1905.11946; weights of the authors",
        "Apache 2.0",
        "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet",
        standardize,
        "https://storage.googleapis.com/keras-applications/efficientnet{key}_notop.h5",
        (
            Model("EfficientNetB0", "b0", 224, 4_049_571, "50bc09e76180e00e4465e1a485ddc09d"),
            Model("EfficientNetB1", "b1", 240, 6_575_239, "74c4e6b3e1f6a1eea24c589628592432"),
            Model("EfficientNetB2", "b2", 260, 7_768_569, "111f8e2ac8aa800a7a99e3239f7bfb39"),
            Model("EfficientNetB3", "b3", 300, 10_783_535, "af6d107764bb5b1abb91932881670226"),
            Model("EfficientNetB4", "b4", 380, 17_673_823, "ebc24e6d6c33eaebbd558eafbeedf1ba"),
            Model("EfficientNetB5", "b5", 456, 28_513_527, "38879255a25d3c92d5e44e04ae6cec6f"),
            Model("EfficientNetB6", "b6", 528, 40_960_143, "9ecce42647a20130c1f39a5d4cb75743"),
            Model("EfficientNetB7", "b7", 600, 64_097_687, "cbcfe4450ddf6f3ad90b1b398090fe4a"),
        ),
        stages=_EFFICIENTNET_STAGES,
        build=build_efficientnet,
    ),
    Family(
        "Tan and Le 2021, arXiv:2104.00298; weights of the authors",
        "Apache 2.0",
        "https://github.com/google/automl/tree/master/efficientnetv2",
        standardize,
        f"{_HUB}/efficientnet_v2/efficientnetv2-{{key}}_notop.h5",
        (
            Model("EfficientNetV2B0", "b0", 224, 5_919_312, "893217f2bb855e2983157299931e43ff"),
            Model("EfficientNetV2B1", "b1", 240, 6_931_124, "0e80663031ca32d657f9caa404b6ec37"),
            Model("EfficientNetV2B2", "b2", 260, 8_769_374, "1dfe2e7a5d45b6632553a8961ea609eb"),
            Model("EfficientNetV2B3", "b3", 300, 12_930_622, "f6abf7b5849ac99a89b50dd3fd532856"),
        ),
        stages=_EFFICIENTNET_STAGES,
        build=build_without_scaling,
    ),
    Family(
        "Tan and Le 2021, arXiv:2104.00298; weights of the authors",
        "Apache 2.0",
        "https://github.com/google/automl/tree/master/efficientnetv2",
        divide_by_128,
        f"{_HUB}/efficientnet_v2/efficientnetv2-{{key}}_notop.h5",
        (
            Model("EfficientNetV2S", "s", 384, 20_331_360, "af0682fb74e8c54910f2d4393339c070"),
            Model("EfficientNetV2M", "m", 480, 53_150_388, "1b8dc055df72dde80d614482840fe342"),
            Model("EfficientNetV2L", "l", 480, 117_746_848, "b0b66b5c863aef5b46e8608fe1711615"),
        ),
        stages=_EFFICIENTNET_STAGES,
        build=build_without_scaling,
    ),
    Family(
        "Liu et al. 2022, arXiv:2201.03545; weights of the authors",
        "MIT",
        "https://github.com/facebookresearch/ConvNeXt",
        standardize,
        f"{_HUB}/convnext/convnext_{{key}}_notop.h5",
        (
            Model(
                "ConvNeXtTiny",
                "tiny",
                224,
                27_820_128,
                "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
            ),
            Model(
                "ConvNeXtSmall",
                "small",
                224,
                49_454_688,
                "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
            ),
            Model(
                "ConvNeXtBase",
                "base",
                224,
                87_566_464,
                "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
                pretrained_on=_IMAGENET_21K,
            ),
            Model(
                "ConvNeXtLarge",
                "large",
                224,
                196_230_336,
                "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
                pretrained_on=_IMAGENET_21K,
            ),
            Model(
                "ConvNeXtXLarge",
                "xlarge",
                224,
                348_147_968,
                "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
                pretrained_on=_IMAGENET_21K,
            ),
        ),
        stages=(
            "convnext_{key}_downsampling_block_2",
            "convnext_{key}_downsampling_block_1",
            "convnext_{key}_downsampling_block_0",
            "convnext_{key}_stem",
        ),
        build=build_without_scaling,
    ),
)


def _register(family: Family, model: Model) -> None:
    url = family.url.format(key=model.key)
    names = tuple(name.format(key=model.key) for name in family.file_names) or (url.rsplit("/", 1)[-1],)
    register_backbone(
        model.constructor.lower(),
        preprocess=family.preprocess,
        input_size=(model.side, model.side),
        weights=PretrainedWeights(names, url, model.file_hash),
        stages=model.stages or tuple(stage.format(key=model.key) for stage in family.stages),
        last_convolution=model.last_convolution,
        license=family.license,
        source=family.source,
        parameters=model.parameters,
        pretrained_on=model.pretrained_on,
        may_redistribute=True,
        references=(family.stated_at,),
    )(update_wrapper(partial(family.build, model.constructor), family.build))


for _family in FAMILIES:
    for _model in _family.models:
        _register(_family, _model)
