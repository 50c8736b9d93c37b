"""Honest melanoma classification of dermoscopy images by transfer learning.

Five objects, in the order in which data passes through them:
`ISBIDataset`, `Balancer`, `Augmenter`, `TransferClassifier` and `MetricsReport`.
Each is loaded when it is first used, so that ``import melanoma_tl`` stays light.
"""

from melanoma_tl._attributes import IN_PACKAGE as _IN_PACKAGE
from melanoma_tl._attributes import attach as _attach

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _attach(__name__, __file__, _IN_PACKAGE)
