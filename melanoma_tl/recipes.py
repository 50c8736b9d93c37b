"""Named, complete set-ups."""

from collections.abc import Callable
from typing import Any

from melanoma_tl._parameters import NONE, TEXT, checked
from melanoma_tl.augmentation import Augmenter
from melanoma_tl.backbones import get_backbone, is_backbone
from melanoma_tl.balancing import Balancer
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.network.heads import STAGES, PooledHead
from melanoma_tl.training.stages import Probe

__all__ = ["best", "fast", "get_recipe", "list_recipes", "paper"]


_LAYERS_OF_VGG19 = (
    "block2_pool",
    "block3_conv4",
    "block4_conv1",
    "block4_conv2",
    "block4_conv4",
    "block5_conv1",
    "block5_conv2",
    "block5_conv3",
    "block5_conv4",
)
"""Chosen by cross-validation on the training images of ISBI 2016."""


def paper() -> dict[str, Any]:
    """Set up the published network and training, exactly.

    VGG19, trainable from block5_conv2 on, two dense layers of 4096, images divided by 255,
    RMSprop at 1e-4, 35 epochs of 692 batches of 16, no early stopping, the
    augmentation of the published code, and only the first benign images, twice as many
    as there are melanomas.

    Returns
    -------
    dict
        Parameters of `TransferClassifier`.
    """
    return {
        "backbone": "vgg19",
        "preprocessing": "rescale",
        "trainable_from": "block5_conv2",
        "head": "published",
        "balancer": Balancer(undersample=2.0, oversample=1.0, selection="first"),
        "augmenter": Augmenter(
            rotation_range=20,
            width_shift_range=0.2,
            height_shift_range=0.2,
            horizontal_flip=True,
            fill_mode="nearest",
        ),
        "optimizer": "rmsprop",
        "learning_rate": 1e-4,
        "batch_size": 16,
        "epochs": 35,
        "steps_per_epoch": 692,
        "restore_best": False,
    }


def fast(backbone: str = "vgg19") -> dict[str, Any]:
    """Set up a frozen backbone and an exact logistic regression on pooled feature maps of many depths.

    Each image passes through the backbone once, which takes minutes on two cores. The ten layers of VGG19, pooling and
    penalty were chosen by five-fold cross-validation on the training images of ISBI 2016 only. Of another backbone
    the last map of each stage is pooled, with the same pooling and the same penalty; of one without stages, such as a
    frozen encoder, the last map or the vector, as the backbone recommends.

    Parameters
    ----------
    backbone : str, default="vgg19"
        As for `TransferClassifier`.

    Returns
    -------
    dict
        Parameters of `TransferClassifier`.
    """
    spec = get_backbone(backbone)
    layers = _LAYERS_OF_VGG19 if spec.name == "vgg19" else STAGES if spec.stages else ()
    return {
        "backbone": backbone,
        "head": PooledHead(pooling="log_center", feature_layers=layers) if layers else "pooled",
        "stages": (Probe(C=2e-3),),
        "class_weight": "balanced",
    }


def best(backbone: str = "vgg19") -> dict[str, Any]:
    """Set up `fast` with larger images and four views of each image, in training and in scoring.

    It takes several times as long as `fast`, and had the best metrics in cross-validation on the training
    images of ISBI 2016. Images are ten sevenths as high and wide as the backbone's own, to the nearest multiple of 32,
    or of the patches that a transformer divides them into: 320 pixels a side for VGG19.

    Parameters
    ----------
    backbone : str, default="vgg19"
        As for `TransferClassifier`.

    Returns
    -------
    dict
        Parameters of `TransferClassifier`.
    """
    spec = get_backbone(backbone)
    height, width = spec.input_size
    if spec.image_sizes != "one":
        step = 32 if 32 % spec.size_multiple == 0 else spec.size_multiple
        height, width = (step * round(side * 10 / 7 / step) for side in spec.input_size)
    return fast(backbone) | {
        "input_size": (height, width),
        "augmenter": Augmenter(horizontal_flip=True, vertical_flip=True, views=4),
        "tta": 4,
    }


RECIPES: dict[str, Callable[..., dict[str, Any]]] = {"paper": paper, "fast": fast, "best": best}


@checked(name=TEXT, backbone=TEXT | NONE)
def get_recipe(name: str, backbone: str | None = None) -> dict[str, Any]:
    """Look up a recipe.

    Parameters
    ----------
    name : str
        Its name.
    backbone : str or None, default=None
        Another backbone, for which "fast" and "best" choose feature maps and image size; None keeps VGG19.

    Returns
    -------
    dict
        Parameters of `TransferClassifier`, in new objects.

    Raises
    ------
    UnknownNameError
        If there is no such recipe or backbone; the message lists all.
    ParameterError
        If the recipe has a meaning for its own backbone only.

    Examples
    --------
    >>> get_recipe("best", "efficientnetb3")["input_size"]
    (416, 416)
    """
    if name not in RECIPES:
        hint = "Begin with 'fast': it trains in minutes."
        if is_backbone(name):
            hint = f"{name!r} is a backbone: TransferClassifier({name!r}), or from_recipe('fast', backbone={name!r})."
        raise UnknownNameError("recipe", name, RECIPES, hint)
    if backbone is None:
        return RECIPES[name]()
    if name != "paper":
        return RECIPES[name](backbone)
    if get_backbone(backbone).name not in ("vgg16", "vgg19"):
        raise ParameterError(
            "the recipe 'paper' is the published VGG19, which learns from its layer 'block5_conv2' on: for "
            f"{backbone!r} take 'fast' or 'best', or say what learns, such as trainable_from=1"
        )
    return paper() | {"backbone": backbone}


def refuse_recipe(backbone: str) -> None:
    """Stop where a recipe is named in place of a backbone.

    Parameters
    ----------
    backbone : str
        What was given as the name of a backbone.

    Raises
    ------
    ParameterError
        If it is the name of a recipe, and of no backbone.
    """
    if backbone in RECIPES and not is_backbone(backbone):
        raise ParameterError(f"backbone={backbone!r} is a recipe: TransferClassifier.from_recipe({backbone!r})")


def list_recipes() -> list[str]:
    """List the names of the recipes.

    Returns
    -------
    list of str
        Sorted.

    Examples
    --------
    >>> list_recipes()
    ['best', 'fast', 'paper']
    """
    return sorted(RECIPES)
