"""`Balancer`: which rows to train on, so that neither class drowns the other."""

from typing import Any, ClassVar, Self

import numpy as np
from imblearn.base import BaseSampler
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight

from melanoma_tl.errors import ParameterError
from melanoma_tl.labels import distinguish


class Balancer(BaseSampler):
    """Cut the majority class, then oversample the minority class.

    The defaults are the published sampling: the majority is cut to at most
    twice the minority, and the minority is then repeated until it is as large
    as the majority (173 melanomas and 727 benign images become 346 and 346).
    Rows are chosen, never made up, so that it works on images of any shape,
    on their paths and on tables of features. Balance the training set only:
    inside `TransferClassifier.fit` this is seen to.

    Parameters
    ----------
    undersample : float or None, default=2.0
        Largest size of any class, as a multiple of the smallest class; None leaves all rows.
    oversample : float or None, default=1.0
        Smallest size of any class after that, as a share of the largest class; None adds no rows.
    selection : {"first", "random"}, default="random"
        Which rows of a cut class stay: the first ones in file order, as published,
        or random ones. File order follows the contributing site, so "first" trains on some cameras only.
    random_state : int, RandomState or None, default=None
        Seed of the draws.

    Attributes
    ----------
    sample_indices_ : ndarray of int of shape (n_resampled,)
        Position of each chosen row in what was given; repeated for oversampled rows.
    sampling_strategy_ : dict
        Number of rows of each class after resampling.

    See Also
    --------
    imblearn.under_sampling.RandomUnderSampler, imblearn.over_sampling.RandomOverSampler :
        The samplers this one is built on.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([0] * 727 + [1] * 173)
    >>> _, balanced = Balancer(random_state=0).fit_resample(np.arange(900), y)
    >>> np.bincount(balanced)
    array([346, 346])
    """

    _sampling_type = "bypass"

    # Asked for by the base class, whose single strategy the parameters of this one replace.
    sampling_strategy = "auto"
    _parameter_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        *,
        undersample: float | None = 2.0,
        oversample: float | None = 1.0,
        selection: str = "random",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.undersample = undersample
        self.oversample = oversample
        self.selection = selection
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike, **params: Any) -> Self:
        """Check the input and count what resampling would give.

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

    def fit_resample(self, X: Any, y: ArrayLike, **params: Any) -> tuple[Any, Any]:
        """Choose the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of any kind: a table, an array of images, an array or list of paths.
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
            If a label is missing, or a class is spelled in several ways.
        ValueError
            If there is one class only, or a parameter cannot be used.
        """
        if getattr(y, "shape", (0,))[1:] in ((), (1,)):  # imbalanced-learn reads one-hot labels itself
            distinguish(y)
        # scikit-learn's validation knows tables only: anything else is resampled through its row numbers.
        if getattr(X, "ndim", 1) == 2 or np.ndim(X[0]) == 1:
            return super().fit_resample(X, y, **params)
        rows, y_resampled = super().fit_resample(np.arange(len(X)).reshape(-1, 1), y, **params)
        if isinstance(X, list):
            return [X[row] for row in rows[:, 0]], y_resampled
        return getattr(X, "iloc", X)[rows[:, 0]], y_resampled

    def _fit_resample(self, X: Any, y: NDArray[Any], **_params: Any) -> tuple[Any, NDArray[Any]]:
        self._check_parameters()
        classes, counts = np.unique(y, return_counts=True)
        rng = check_random_state(self.random_state)
        rows = np.arange(len(y))
        if self.undersample is not None:
            largest = int(self.undersample * counts.min())
            sizes = {label: largest for label, count in zip(classes, counts, strict=True) if count > largest}
            rows = rows[self._cut(y, sizes, rng)]
        if self.oversample is not None:
            classes, counts = np.unique(y[rows], return_counts=True)
            smallest = int(self.oversample * counts.max())
            sizes = {label: smallest for label, count in zip(classes, counts, strict=True) if count < smallest}
            sampler = RandomOverSampler(sampling_strategy=sizes, random_state=rng)
            rows = sampler.fit_resample(rows.reshape(-1, 1), y[rows])[0][:, 0]
        self.sample_indices_ = rows
        self.sampling_strategy_ = dict(zip(*np.unique(y[rows], return_counts=True), strict=True))
        return X[rows], y[rows]

    def _cut(self, y: NDArray[Any], sizes: dict[Any, int], rng: np.random.RandomState) -> NDArray[np.intp]:
        """Return the positions that stay, in file order."""
        if self.selection == "random":
            sampler = RandomUnderSampler(sampling_strategy=sizes, random_state=rng)
            sampler.fit_resample(np.arange(len(y)).reshape(-1, 1), y)
            return np.sort(sampler.sample_indices_)
        kept = np.ones(len(y), dtype=bool)
        for label, size in sizes.items():
            kept[np.flatnonzero(y == label)[size:]] = False
        return np.flatnonzero(kept)

    def _check_parameters(self) -> None:
        if self.undersample is not None and not self.undersample >= 1:
            raise ParameterError(
                f"undersample must be None or at least 1 (times the minority), got {self.undersample!r}"
            )
        if self.oversample is not None and not 0 < self.oversample <= 1:
            raise ParameterError(f"oversample must be None or in (0, 1] (of the majority), got {self.oversample!r}")
        if self.selection not in ("first", "random"):
            raise ParameterError(f"selection must be 'first' or 'random', got {self.selection!r}")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.sampler_tags.sample_indices = True
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
        weights = compute_class_weight("balanced", classes=np.arange(len(classes)), y=places)
        return dict(zip(classes.tolist(), weights.tolist(), strict=True))
