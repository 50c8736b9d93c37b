"""`Balancer`: undersampling and oversampling of the training rows."""

import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from imblearn.base import BaseSampler
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from imblearn.utils import check_target_type
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import validate_data

from melanoma_tl._estimators import CheckedParameters
from melanoma_tl._parameters import NONE, SEED, checked, choice, real
from melanoma_tl.errors import DatasetError, MelanomaTLError
from melanoma_tl.labels.classes import distinguish
from melanoma_tl.labels.together import check_codes

_PARAMETERS = {
    "undersample": real(at_least=1) | NONE,
    "oversample": real(above=0, at_most=1) | NONE,
    "selection": choice("first", "random"),
    "random_state": SEED,
}

_MOST = 0.5
"""Share of the rows that may be left out without a warning; the published sampling leaves out 0.42."""

_DIGITS = 6
"""Decimals of a number of rows: 0.29 times 100 is 28.999999999999996 in binary fractions."""

_CALLER = 7
"""Stack level of the warning: `checked` and imbalanced-learn lie between `_fit_resample` and the caller."""


class Balancer(CheckedParameters, BaseSampler):
    """Undersample the majority class, then oversample the minority class.

    The defaults are the published sampling: the majority class is reduced to at most
    twice the minority class, and rows of the minority class are then repeated until it is as large
    as the majority class (173 melanomas and 727 benign images become 346 and 346).
    No synthetic rows are made, so that it works with images of any shape,
    with paths and with tables of features. Balance only the training set, as
    `TransferClassifier.fit` does.

    Parameters
    ----------
    undersample : float or None, default=2.0
        Maximum size of any class, as a multiple of the smallest class; None keeps all rows.
    oversample : float or None, default=1.0
        Minimum size of any class after undersampling, as a share of the largest class; None adds no rows.
    selection : {"first", "random"}, default="random"
        Rows of an undersampled class that are kept: the first ones in file order, as published,
        or random ones. File order follows the contributing site, so that "first" trains on images of some cameras only.
    random_state : int or None, default=None
        Seed of the draws.

    Attributes
    ----------
    sample_indices_ : ndarray of int of shape (n_resampled,)
        Position of each chosen row in the input; repeated for oversampled rows.
    sampling_strategy_ : dict
        Number of rows of each class after resampling.

    See Also
    --------
    imblearn.under_sampling.RandomUnderSampler, imblearn.over_sampling.RandomOverSampler :
        The samplers that this class is built on.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([0] * 727 + [1] * 173)
    >>> _, balanced = Balancer(random_state=0).fit_resample(np.arange(900), y)
    >>> np.bincount(balanced)
    array([346, 346])
    """

    _sampling_type = "bypass"

    # Required by the base class; the parameters of this class replace its single strategy.
    sampling_strategy = "auto"
    _parameter_constraints: ClassVar[dict[str, Any]] = {}
    _rules = _PARAMETERS

    @checked()
    def __init__(
        self,
        *,
        undersample: float | None = 2.0,
        oversample: float | None = 1.0,
        selection: str = "random",
        random_state: int | None = None,
    ) -> None:
        self.undersample = undersample
        self.oversample = oversample
        self.selection = selection
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike, **params: Any) -> Self:
        """Check the input and compute the class sizes after resampling.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of any kind.
        y : array-like of shape (n_samples,)
            Classes.
        **params : dict
            None are used.

        Returns
        -------
        Balancer
            Itself.
        """
        self.fit_resample(X, y, **params)
        return self

    @checked()
    def fit_resample(self, X: Any, y: ArrayLike, **params: Any) -> tuple[Any, Any]:
        """Choose the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of any kind: a table, which may have missing values, an array of images, or an array, Series or list
            of paths; a dataset with ``oversample=None`` alone, for it holds each image once.
        y : array-like of shape (n_samples,)
            Classes.
        **params : dict
            None are used.

        Returns
        -------
        X_resampled : same type as X, of shape (n_resampled, ...)
            The chosen rows.
        y_resampled : same type as y, of shape (n_resampled,)
            Their classes.

        Raises
        ------
        DatasetError
            If a label is missing, a class is spelled in several ways, there is only one class, or `X` and `y` are not
            rows and their classes.
        ParameterError, UnknownNameError
            If a parameter cannot be used.

        Warns
        -----
        UserWarning
            If most rows are left out.
        """
        self.check_parameters()
        try:
            if getattr(y, "shape", (0,))[1:] in ((), (1,)):  # imbalanced-learn reads one-hot labels itself
                classes, _ = distinguish(y)
                check_codes(classes.tolist(), "y")
            # imbalanced-learn accepts only tables, and makes one type of all cells of a list: any other input is
            # resampled by its row numbers.
            if not isinstance(X, list | tuple) and _is_table(X):
                X_resampled, y_resampled = super().fit_resample(X, y, **params)
                return X_resampled, _as_given(y, y_resampled)
            rows, y_resampled = super().fit_resample(np.arange(len(X)).reshape(-1, 1), y, **params)
        except MelanomaTLError:
            raise
        except (TypeError, ValueError) as error:
            raise DatasetError(str(error)) from error
        y_resampled = _as_given(y, y_resampled)
        if isinstance(X, list | tuple):
            return _as_given(X, [X[row] for row in rows[:, 0]]), y_resampled
        if _is_dataset(X) and len(np.unique(rows)) < len(rows):
            raise DatasetError(
                "a dataset holds each image once, and Balancer repeats rows of the smaller classes: pass X.paths or "
                "X.image_ids for X, or oversample=None, which repeats none"
            )
        try:
            if hasattr(X, "iloc"):
                return X.iloc[rows[:, 0]].reset_index(drop=True), y_resampled  # as that of a table, and of y
            return X[rows[:, 0]], y_resampled
        except (IndexError, TypeError, ValueError) as error:
            raise DatasetError(
                f"rows of {type(X).__name__} cannot be chosen by their numbers: pass an array or a list, such as "
                "numpy.asarray(X)"
            ) from error

    def _check_X_y(  # noqa: N802 -- the name that imbalanced-learn calls
        self, X: Any, y: ArrayLike, accept_sparse: Any = None
    ) -> tuple[Any, NDArray[Any], bool]:
        """Check the input like the random samplers of imbalanced-learn, which accept cells of any type."""
        labels, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        if not hasattr(X, "iloc"):
            X = check_array(X, dtype=None, accept_sparse=accept_sparse or ["csr", "csc"], ensure_all_finite=False)
        check_consistent_length(X, labels)
        X, labels = validate_data(self, X=X, y=labels, reset=True, skip_check_array=True)
        return X, np.asarray(labels), binarize_y

    def _fit_resample(self, X: Any, y: NDArray[Any], **_params: Any) -> tuple[Any, NDArray[Any]]:
        classes, counts = np.unique(y, return_counts=True)
        rng = check_random_state(self.random_state)
        rows = np.arange(len(y))
        if self.undersample is not None:
            largest = math.floor(round(self.undersample * counts.min(), _DIGITS))
            sizes = {label: largest for label, count in zip(classes, counts, strict=True) if count > largest}
            rows = rows[self._cut(y, sizes, rng)]
            if len(rows) < (1 - _MOST) * len(y):
                warnings.warn(
                    f"Balancer keeps {len(rows)} of {len(y)} rows, because the smallest class has {counts.min()}: "
                    "undersample=None keeps all, and class_weight='balanced' of a classifier weighs them instead",
                    stacklevel=_CALLER,
                )
        if self.oversample is not None:
            classes, counts = np.unique(y[rows], return_counts=True)
            smallest = math.ceil(round(self.oversample * counts.max(), _DIGITS))
            sizes = {label: smallest for label, count in zip(classes, counts, strict=True) if count < smallest}
            sampler = RandomOverSampler(sampling_strategy=sizes, random_state=rng)
            rows = sampler.fit_resample(rows.reshape(-1, 1), y[rows])[0][:, 0]
        self.sample_indices_ = rows
        self.sampling_strategy_ = dict(zip(*np.unique(y[rows], return_counts=True), strict=True))
        return X.iloc[rows].reset_index(drop=True) if hasattr(X, "iloc") else X[rows], y[rows]

    def _cut(self, y: NDArray[Any], sizes: dict[Any, int], rng: np.random.RandomState) -> NDArray[np.intp]:
        """Return the positions of the kept rows, in file order."""
        if self.selection == "random":
            sampler = RandomUnderSampler(sampling_strategy=sizes, random_state=rng)
            sampler.fit_resample(np.arange(len(y)).reshape(-1, 1), y)
            return np.sort(sampler.sample_indices_)
        kept = np.ones(len(y), dtype=bool)
        for label, size in sizes.items():
            kept[np.flatnonzero(y == label)[size:]] = False
        return np.flatnonzero(kept)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.sampler_tags.sample_indices = True
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags

    def class_weight(self, y: ArrayLike) -> dict[Any, float]:
        """Compute weights that balance the classes without resampling.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Classes.

        Returns
        -------
        dict
            n_samples / (n_classes * n_samples_of_the_class) for each class, which
            is scikit-learn's "balanced" (King and Zeng 2001).

        Examples
        --------
        >>> Balancer().class_weight([0, 0, 0, 1])
        {0: 0.6666666666666666, 1: 2.0}
        """
        classes, places = distinguish(y)
        check_codes(classes.tolist(), "y")
        if not len(classes):
            raise DatasetError("y holds no label, and weights are of classes")
        weights = compute_class_weight("balanced", classes=np.arange(len(classes)), y=places)
        return dict(zip(classes.tolist(), weights.tolist(), strict=True))


def _as_given(given: Any, chosen: Any) -> Any:
    """Return chosen rows as a tuple where a tuple was given, of which imbalanced-learn makes an array."""
    if not isinstance(given, tuple):
        return chosen
    return tuple(chosen.tolist() if isinstance(chosen, np.ndarray) else chosen)


def _is_table(X: Any) -> bool:
    """Return whether X is a table of rows with cells, as opposed to a sequence of images or paths."""
    if getattr(X, "shape", ()):
        return len(X.shape) == 2
    is_one = isinstance(X, str | bytes | Mapping | np.generic | np.ndarray)
    if is_one or not hasattr(X, "__len__") or not hasattr(X, "__getitem__"):
        raise DatasetError(f"X must hold rows, such as an array, a table or a list of paths; got {type(X).__name__}")
    return len(X) > 0 and not _is_dataset(X) and np.ndim(X[0]) == 1


def _is_dataset(X: Any) -> bool:
    """Return whether X is an `ISBIDataset`, with images or without."""
    return hasattr(X, "image_ids") and hasattr(X, "labels")
