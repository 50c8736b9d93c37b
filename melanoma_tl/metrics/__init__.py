"""Every number about labels and scores, with its interval and its n."""

from melanoma_tl._attributes import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
