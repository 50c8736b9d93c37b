"""Honest melanoma classification of dermoscopy images by transfer learning.

Five objects, in the order in which data passes through them:
`ISBIDataset`, `Balancer`, `Augmenter`, `TransferClassifier` and `MetricsReport`.
Each is loaded when it is first used, so that ``import melanoma_tl`` stays light.
"""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
