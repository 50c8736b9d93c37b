"""What in an image a score comes from, and whether it comes from the lesion."""

from melanoma_tl._attributes import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
