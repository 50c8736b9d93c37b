"""Heads: the layers between the last feature map and the output layer."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from melanoma_tl._estimators import CheckedParameters
from melanoma_tl._keras.copies import Copies, make_again, rebuild, statistics_of, with_own_settings
from melanoma_tl._parameters import NONE, TEXT, check, checked, choice, several, show
from melanoma_tl.errors import MelanomaTLError, ParameterError, UnknownNameError, in_one_line
from melanoma_tl.network.feature_maps import FeatureMap
from melanoma_tl.network.pooling import POOLINGS, pool

HEADS = ("pooled", "published")

STAGES = "stages"
"""What `feature_layers` may be in place of names: the last map of each stage of the backbone."""

_MOST_WEIGHTS = 2**31
"""Weights of a layer that are no mistake: 8 GiB, 20 times as many as those of the published head at 224 pixels."""

_PARAMETERS = {"pooling": choice(*POOLINGS) | NONE, "feature_layers": several(TEXT)}


class PooledHead(CheckedParameters):
    """Pool each channel of one feature map, or of several, into one number or two.

    Parameters
    ----------
    pooling : {"avg", "max", "avg_max", "log_center"} or None, default=None
        Average or maximum of each channel, or both; "log_center" is the logarithm of an average in which the
        middle of the image, where the lesion lies, has more weight than the edges (`melanoma_tl.network.pool`).
        None uses the recommendation of the backbone, which is the average for all backbones of Keras.
    feature_layers : sequence of str or "stages", default=()
        Layers of the backbone, such as "block5_conv1", whose feature maps are pooled in addition to the last one.
        "stages" takes the last map of each stage (`BackboneSpec.stages`), whatever their layers are called: what the
        first layer of the next stage is given, and of a layer that joins several maps, what it gives.

    Examples
    --------
    >>> from melanoma_tl import TransferClassifier
    >>> clf = TransferClassifier(head=PooledHead(pooling="avg_max"))
    >>> clf.set_params(head__feature_layers=["block4_pool"]).head
    PooledHead(feature_layers=['block4_pool'], pooling='avg_max')
    """

    _rules = _PARAMETERS

    @checked()
    def __init__(self, *, pooling: str | None = None, feature_layers: Sequence[str] = ()) -> None:
        self.pooling = pooling
        self.feature_layers = feature_layers

    def check_parameters(self) -> None:
        """Check every parameter except the names of layers, which are checked against the backbone."""
        super().check_parameters()
        self.layer_names()

    @property
    def takes_stages(self) -> bool:
        """Whether the feature maps are those of the stages."""
        return isinstance(self.feature_layers, str) and self.feature_layers == STAGES

    def layer_names(self) -> tuple[str, ...]:
        """Return `feature_layers` as a tuple, also if a single name was given.

        Returns
        -------
        tuple of str
            The names in the given order; none where the maps are those of the stages.

        Raises
        ------
        ParameterError
            If an entry is not a string, or a name occurs twice.
        """
        names: tuple[str, ...] = check(self.get_params(), _PARAMETERS)["feature_layers"]
        if len(set(names)) < len(names):
            raise ParameterError(f"feature_layers must name each layer once, got {', '.join(map(repr, names))}")
        return () if self.takes_stages else names


Head = str | PooledHead | Callable[[Any], Any]
"""A name; a pooled head; a function from a feature map to features; or a Keras layer or model as a template."""


def apply_head(head: Head, maps: list[FeatureMap], pooling: str, taken: set[str]) -> Any:
    """Turn feature maps into features.

    Parameters
    ----------
    head : {"pooled", "published"}, PooledHead, callable or keras.Layer
        The head. A Keras layer or model is rebuilt from its configuration, with new weights;
        the object itself is not changed, and its weights are not used.
    maps : list of FeatureMap
        The last feature map of the backbone first; heads that do not pool use only this one, without its vector.
    pooling : {"avg", "max", "avg_max", "log_center"}
        Pooling of a pooled head that does not set its own.
    taken : set of str
        Names of the existing layers, which new layers must not have.

    Returns
    -------
    KerasTensor of shape (n, features)
        The features.

    Raises
    ------
    ParameterError
        If the head cannot be used.
    UnknownNameError
        If there is no such head.
    """
    from keras import layers

    if head == "pooled" or isinstance(head, PooledHead):
        pooling = pooling if isinstance(head, str) else head.pooling or pooling
        pooled = [features for one in maps for features in _pool(one, pooling)]
        return layers.Concatenate(name="features")(pooled) if len(pooled) > 1 else pooled[0]
    features = maps[0].maps
    if callable(head):
        return _apply_own(head, features, taken)
    if head == "published":
        features = layers.Flatten(name="flatten")(features)
        if (n_weights := 4096 * features.shape[-1]) > _MOST_WEIGHTS:
            raise ParameterError(
                f"head='published' would have {n_weights / 1e9:.1f} billion weights on a feature map of "
                f"{maps[0].maps.shape[1:]}: take a smaller input_size, or another head"
            )
        features = layers.Dense(4096, activation="relu", name="fc1")(features)
        return layers.Dense(4096, activation="relu", name="fc2")(features)
    raise UnknownNameError("head", head, HEADS, "Or pass a function from the feature map to a tensor (n, features).")


def _pool(given: FeatureMap, pooling: str) -> list[Any]:
    pooled = pool(given.maps, pooling, given.name)
    return pooled if given.vector is None else [*pooled, given.vector]


def name_head(head: Callable[[Any], Any]) -> str:
    """Return the name of a user-defined head.

    Parameters
    ----------
    head : callable or keras.Layer
        The head.

    Returns
    -------
    str
        Display name.
    """
    return str(getattr(head, "__name__", type(head).__name__))


def _apply_own(head: Callable[[Any], Any], features: Any, taken: set[str]) -> Any:
    import keras

    what = f"the head {name_head(head)!r}"
    try:
        result = _apply_object(head, features, set(taken)) if isinstance(head, keras.Layer) else head(features)
    except MelanomaTLError:
        raise
    except Exception as error:  # the user's code
        raise ParameterError(
            f"{what} cannot be applied to the feature map of shape {features.shape}: {in_one_line(error)}"
        ) from error
    if not isinstance(result, keras.KerasTensor):
        raise ParameterError(
            f"{what} must return a tensor of shape (n, features) that it computes from the feature map, "
            f"got {show(result)}"
        )
    if len(result.shape) != 2 or not result.shape[1]:
        raise ParameterError(f"{what} must return a tensor of shape (n, features), got {tuple(result.shape)}")
    try:
        keras.Function(features, result)  # visits each tensor once, where get_source_inputs walks along every path
    except ValueError as error:
        raise ParameterError(
            f"{what} must compute its features from the feature map alone, and has another input"
        ) from error
    return result


def _apply_object(head: Any, features: Any, taken: set[str]) -> Any:
    """Rebuild a layer or a model, without nesting, and call it."""
    inputs, outputs = (getattr(head, ends, None) or () for ends in ("inputs", "outputs"))
    if len(inputs) > 1 or len(outputs) > 1:
        raise ParameterError(
            f"the head {head.name!r} must be a network of one input and one output, got {len(inputs)} and "
            f"{len(outputs)}"
        )
    if inputs and not _fits(inputs[0].shape, features.shape):
        raise ParameterError(
            f"the head {head.name!r} is made for inputs of shape {inputs[0].shape}, and the feature map has the shape "
            f"{features.shape}: make it with this one, or with None where it may differ"
        )
    return rebuild(head, Copies(partial(_make_anew, taken=taken)), features)


def _fits(declared: tuple[int | None, ...], shape: tuple[int | None, ...]) -> bool:
    return len(declared) == len(shape) and all(
        one is None or other is None or one == other for one, other in zip(declared, shape, strict=True)
    )


def _make_anew(operation: Any, taken: set[str]) -> Any:
    import keras

    is_layer = isinstance(operation, keras.Layer)  # an operation such as a cast may have a dtype that it is about
    config = with_own_settings(operation.get_config(), operation.name) if is_layer else operation.get_config()
    name = operation.name
    while name in taken:
        name = f"head_{name}"
    taken.add(name)
    if "name" in config:
        config["name"] = name
    config |= statistics_of(operation)
    return make_again(operation, "for each fit", "pass a function that makes it", **config)
