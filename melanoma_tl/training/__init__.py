"""From images and a network to a trained network."""

from melanoma_tl._attributes import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
