"""What the plots have in common: they hold what was computed, and draw it as often as asked."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from numpy.typing import ArrayLike

from melanoma_tl._parameters import CLASSIFIER, checked
from melanoma_tl.metrics.estimators import score_with_truth, threshold_of
from melanoma_tl.plots.style import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Display:
    """A plot in scikit-learn's manner: the object holds what was computed, and its `plot` draws it.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where `plot` drew last.
    figure_ : matplotlib.figure.Figure
        What these axes belong to; it shows and saves.
    """

    ax_: "Axes"
    figure_: "Figure"

    _size: ClassVar[tuple[float, float]] = (5.6, 5.2)  # inches of a figure of its own

    def _repr_png_(self) -> bytes | None:
        """Return the picture that a notebook shows; None before `plot`, and where pyplot shows it."""
        from melanoma_tl.plots.pictures import draw_png

        return draw_png(getattr(self, "figure_", None))

    def _begin(self, ax: "Axes | None", size: tuple[float, float] | None = None) -> "Axes":
        """Remember where it is drawn: on the axes given, or on a figure of its own, in inches."""
        self.ax_ = axes_or_new(ax, *(size or self._size))
        self.figure_ = cast("Figure", self.ax_.figure)
        return self.ax_


class ScoresDisplay(Display, ABC):
    """A plot of labels and scores."""

    _has_threshold: ClassVar[bool] = False  # whether `from_predictions` takes one

    @classmethod
    @abstractmethod
    def from_predictions(
        cls, y_true: ArrayLike, y_score: ArrayLike, *, ax: "Axes | None" = None, **options: Any
    ) -> Self:
        """Compute it from labels and scores, and draw it.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            0 or False benign, 1 or True melanoma.
        y_score : array-like of shape (n,)
            Probabilities of melanoma, 0 to 1.
        ax : Axes, optional
            Where to draw; a new figure by default.
        **options : object
            How to compute it, and what to draw otherwise.

        Returns
        -------
        Display
            With ``ax_`` and ``figure_``.
        """

    @classmethod
    @checked(estimator=CLASSIFIER)
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike | None = None, *, pos_label: object = None, **options: Any
    ) -> Self:
        """Score images with a classifier, compute it from the scores, and draw it.

        Parameters
        ----------
        estimator : object
            Anything with ``predict_proba(X)`` of shape (n, 2), in the order of its `classes_`.
        X : ISBIDataset or whatever the estimator takes
            Images that the estimator has not seen.
        y : array-like of shape (n,), optional
            Their classes, in the estimator's words or as 0 and 1; ``X.labels`` by default.
        pos_label : object, optional
            The label that means melanoma, where neither the estimator nor the words say so.
        **options : object
            As `from_predictions`. A threshold is that of the estimator by default.

        Returns
        -------
        Display
            With ``ax_`` and ``figure_``.

        Raises
        ------
        ParameterError
            If there are no labels, or the scores are not of shape (n, 2); further as `from_predictions`.
        DatasetError, UnknownNameError
            If nothing says which class is melanoma, or a label is none of the estimator's.
        """
        truth, scores = score_with_truth(estimator, X, y, pos_label)
        if cls._has_threshold and "threshold" not in options:
            options["threshold"] = threshold_of(estimator)
        return cls.from_predictions(truth, scores, **options)
