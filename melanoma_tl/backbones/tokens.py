"""Tokens of a transformer as a feature map and a vector."""

import math
from typing import Any, NamedTuple

from melanoma_tl.errors import ParameterError


class ReadTokens(NamedTuple):
    """What a sequence of tokens holds.

    Attributes
    ----------
    maps : KerasTensor of shape (n, height, width, channels)
        The tokens of the patches, each where its patch lies in the image.
    class_token : KerasTensor of shape (n, channels) or None
        The first of the tokens before them; None where there is none.
    """

    maps: Any
    class_token: Any


def read_tokens(tokens: Any, prefix_tokens: int, image_size: tuple[int, int], name: str) -> ReadTokens:
    """Separate the tokens of the patches from the prefix tokens, and arrange them as a feature map.

    Parameters
    ----------
    tokens : KerasTensor of shape (n, n_tokens, channels)
        The patches row by row, after the others.
    prefix_tokens : int
        How many others there are: class token, registers.
    image_size : tuple of int
        (height, width) of the image in pixels, of which the map has the aspect ratio.
    name : str
        Of the map; layers that are added are named after it.

    Returns
    -------
    ReadTokens
        Map and class token.

    Raises
    ------
    ParameterError
        If the patches do not fill a rectangle with the aspect ratio of the image.
    """
    from keras import layers

    _, n_tokens, channels = tokens.shape
    n_patches = n_tokens - prefix_tokens
    height = round(math.sqrt(n_patches * image_size[0] / image_size[1]))
    width = n_patches // max(height, 1)
    if height * width != n_patches:
        raise ParameterError(
            f"{n_patches} tokens of patches do not fill a map of an image of {image_size[0]}x{image_size[1]} pixels: "
            "give an input_size that is a multiple of the size of a patch"
        )
    patches = layers.Cropping1D((prefix_tokens, 0), name=f"{name}_patches")(tokens) if prefix_tokens else tokens
    maps = layers.Reshape((height, width, channels), name=name)(patches)
    if not prefix_tokens:
        return ReadTokens(maps, None)
    first = layers.Cropping1D((0, n_tokens - 1), name=f"{name}_first")(tokens)
    return ReadTokens(maps, layers.Reshape((channels,), name=f"{name}_class_token")(first))
