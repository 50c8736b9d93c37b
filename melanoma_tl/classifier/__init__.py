"""What is fitted, predicts, is tuned and kept."""

from melanoma_tl._attributes import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, __file__)
