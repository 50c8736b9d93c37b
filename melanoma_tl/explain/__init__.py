"""What in an image a score comes from, and whether it comes from the lesion."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
