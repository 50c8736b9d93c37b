"""`PenaltyPath`: what a probe is worth for each strength of its penalty, as numbers and as a plot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from melanoma_tl._parameters import COUNT, NONE, NUMBER_OR_NAN, listed, real
from melanoma_tl.errors import ModelFileError
from melanoma_tl.plots.display import Display
from melanoma_tl.plots.style import BLUE, GREEN, ORANGE, SMALL_SIZE, TEXT_SIZE, shade, style_axes
from melanoma_tl.saving.document_rules import take

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TIE = 1e-6
"""Difference of two mean losses that the tolerance of the solver leaves."""

_STATE = {
    "C": listed(real(above=0), at_least=1),
    "loss": listed(NUMBER_OR_NAN, at_least=1),
    "standard_error": listed(NUMBER_OR_NAN, at_least=1),
    "auc": listed(NUMBER_OR_NAN | NONE, at_least=1),
    "chosen": real(above=0),
    "folds": COUNT,
}


@dataclass(eq=False, repr=False)
class PenaltyPath(Display):
    """Held-out log loss and AUC of a `Probe` for each penalty that ``Probe(C="auto")`` has tried.

    Parameters
    ----------
    C : ndarray of shape (n_values,)
        Inverse strengths of the L2 penalty, ascending.
    losses : ndarray of shape (n_values,)
        Mean over the folds of the log loss of the images held out, in nats, weighted as in training.
    standard_errors : ndarray of shape (n_values,)
        Standard error of that mean: standard deviation over the folds / square root of their number.
    aucs : ndarray of shape (n_values,)
        Mean over the folds of the AUC of the images held out, 0 to 1; of several diagnoses the mean over the
        classes, each against the rest. NaN where no fold has both classes.
    chosen : float
        The C of the lowest loss; of equal ones the smallest, which is the strongest penalty.
    n_folds : int
        Number of folds.

    Attributes
    ----------
    ax_, figure_ : matplotlib.axes.Axes, matplotlib.figure.Figure
        Where it was drawn.
    """

    C: NDArray[np.float64]
    losses: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    aucs: NDArray[np.float64]
    chosen: float
    n_folds: int

    @classmethod
    def of_folds(cls, C: NDArray[np.float64], losses: NDArray[np.float64], aucs: NDArray[np.float64]) -> Self:
        """Take the means over the folds, and choose.

        Parameters
        ----------
        C : ndarray of shape (n_values,)
            Ascending.
        losses, aucs : ndarray of shape (n_folds, n_values)
            Log loss and AUC of the images held out; NaN for an AUC that does not exist.

        Returns
        -------
        PenaltyPath
            With the chosen value.
        """
        n_folds, mean = len(losses), losses.mean(axis=0)
        known = ~np.isnan(aucs)
        with np.errstate(invalid="ignore"):
            auc = np.where(known, aucs, 0.0).sum(axis=0) / known.sum(axis=0)
        first = int(np.flatnonzero(mean <= mean.min() + _TIE)[0])
        return cls(C, mean, losses.std(axis=0, ddof=1) / np.sqrt(n_folds), auc, float(C[first]), n_folds)

    def __repr__(self) -> str:
        return f"PenaltyPath({self.summary()})"

    def summary(self) -> str:
        """Describe in words what was chosen, and how.

        Returns
        -------
        str
            One line.
        """
        at = int(np.argmin(np.abs(self.C - self.chosen)))
        loss = f"{self.losses[at]:.4f} (standard error {self.standard_errors[at]:.4f})"
        return (
            f"C = {self.chosen:.3g}, chosen of {len(self.C)} values from {self.C[0]:.3g} to {self.C[-1]:.3g} by the "
            f"log loss in {self.n_folds} folds: {loss}"
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the path as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            A row for each "C", ascending, with "loss", "standard_error", "auc", and "chosen", which is True for one.
        """
        columns = {"C": self.C, "loss": self.losses, "standard_error": self.standard_errors, "auc": self.aucs}
        return pd.DataFrame(columns).assign(chosen=self.chosen == self.C)

    def to_state(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        return {
            "chosen": self.chosen,
            "folds": self.n_folds,
            "C": self.C.tolist(),
            "loss": self.losses.tolist(),
            "standard_error": self.standard_errors.tolist(),
            "auc": [None if np.isnan(auc) else auc for auc in self.aucs.tolist()],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Check and read what `to_state` gave to a file.

        Parameters
        ----------
        state : mapping of str to object
            As it stands in the file.

        Returns
        -------
        PenaltyPath
            As it was.

        Raises
        ------
        ModelFileError, ParameterError
            If a part is missing or cannot be used, or parts contradict each other.
        """
        known = take(state, _STATE)
        columns = [np.array(known[name], dtype=np.float64) for name in ("C", "loss", "standard_error", "auc")]
        if len({len(column) for column in columns}) > 1 or known["chosen"] not in known["C"]:
            raise ModelFileError("has a path of penalties whose parts contradict each other")
        C, losses, errors, aucs = columns
        return cls(C, losses, errors, aucs, known["chosen"], known["folds"])

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw held-out log loss, with its standard error, and AUC over C.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        PenaltyPath
            Itself, with ``ax_`` and ``figure_``; the AUC has an axis of its own on the right.
        """
        ax = self._begin(ax)
        ax.plot(self.C, self.losses, color=BLUE, marker="o", markersize=4, label="log loss, ± 1 standard error")
        shade(ax, self.C, self.losses - self.standard_errors, self.losses + self.standard_errors, BLUE)
        ax.axvline(self.chosen, color=ORANGE, linestyle=":", label=f"chosen: C = {self.chosen:.3g}")
        ax.set_xscale("log")
        style_axes(ax, f"Penalty, {self.n_folds} folds", "C (a stronger penalty on the left)", "Log loss, held out")
        right = ax.twinx()
        (auc,) = right.plot(self.C, self.aucs, color=GREEN, linestyle="--", label="AUC")
        right.set_ylabel("AUC, held out", fontsize=TEXT_SIZE, color=GREEN)
        right.tick_params(labelsize=TEXT_SIZE, colors=GREEN)
        right.spines[["top", "left"]].set_visible(False)
        lines, names = ax.get_legend_handles_labels()
        ax.legend([*lines, auc], [*names, "AUC"], fontsize=SMALL_SIZE, loc="best")
        return self
