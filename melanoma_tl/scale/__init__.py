"""Score, or extract features of, more images than one machine takes, on Ray Data."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
