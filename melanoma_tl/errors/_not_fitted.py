"""The error of this library that is scikit-learn's too."""

from sklearn.exceptions import NotFittedError as _SklearnNotFittedError

from melanoma_tl.errors._base import MelanomaTLError


class NotFittedError(MelanomaTLError, _SklearnNotFittedError):
    """A classifier is asked for predictions before ``fit`` or ``load``."""
