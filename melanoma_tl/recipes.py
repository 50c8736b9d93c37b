"""Named, complete set-ups."""

from collections.abc import Callable
from typing import Any

from melanoma_tl.augmentation import Augmenter
from melanoma_tl.balancing import Balancer
from melanoma_tl.errors import UnknownNameError
from melanoma_tl.network.heads import PooledHead
from melanoma_tl.training.stages import Probe

__all__ = ["best", "fast", "get_recipe", "list_recipes", "paper"]


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


def fast() -> dict[str, Any]:
    """Set up a frozen VGG19 and an exact logistic regression on pooled feature maps of ten layers.

    Each image passes through VGG19 once, which takes minutes on two cores. Layers, pooling and penalty were chosen
    by five-fold cross-validation on the training images of ISBI 2016 only.

    Returns
    -------
    dict
        Parameters of `TransferClassifier`.
    """
    return {
        "backbone": "vgg19",
        "head": PooledHead(
            pooling="log_center",
            feature_layers=(
                "block2_pool",
                "block3_conv4",
                "block4_conv1",
                "block4_conv2",
                "block4_conv4",
                "block5_conv1",
                "block5_conv2",
                "block5_conv3",
                "block5_conv4",
            ),
        ),
        "stages": (Probe(C=2e-3),),
        "class_weight": "balanced",
    }


def best() -> dict[str, Any]:
    """Set up `fast` with larger images and four views of each image, in training and in scoring.

    It takes several times as long as `fast`, and had the best metrics in cross-validation on the training
    images of ISBI 2016.

    Returns
    -------
    dict
        Parameters of `TransferClassifier`.
    """
    return fast() | {
        "input_size": (320, 320),
        "augmenter": Augmenter(horizontal_flip=True, vertical_flip=True, views=4),
        "tta": 4,
    }


RECIPES: dict[str, Callable[[], dict[str, Any]]] = {"paper": paper, "fast": fast, "best": best}


def get_recipe(name: str) -> dict[str, Any]:
    """Look up a recipe.

    Parameters
    ----------
    name : str
        Its name.

    Returns
    -------
    dict
        Parameters of `TransferClassifier`, in new objects.

    Raises
    ------
    UnknownNameError
        If there is no such recipe; the message lists all.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]()


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
