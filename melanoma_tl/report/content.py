"""What a report holds, and what it must say of itself, before anything is written or drawn."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._attributes import IN_REPORTS, ExplainsAttributes
from melanoma_tl.images.decoding import SkippedRow
from melanoma_tl.metrics.confusion import ConfusionCounts
from melanoma_tl.metrics.metric import Metric
from melanoma_tl.metrics.sensitivity_specificity import SensitivityAtSpecificity, SpecificityAtSensitivity
from melanoma_tl.report.matching import Matched, shared_groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INSTEAD = IN_REPORTS | {"metrics": "to_frame(), or against_rest[diagnosis].metrics"}


class Table(NamedTuple):
    """A table of a report.

    Attributes
    ----------
    title : str
        What it shows.
    header : list of str
        One title a column.
    rows : list of list of str
        The cells.
    """

    title: str
    header: list[str]
    rows: list[list[str]]


class DrawnFigure(NamedTuple):
    """A figure of a report.

    Attributes
    ----------
    name : str
        Of its file, without suffix.
    title : str
        For people.
    alt : str
        What it shows, for those who cannot see it.
    figure : Figure
        The figure.
    """

    name: str
    title: str
    alt: str
    figure: "Figure"


class ScoredReport(Protocol):
    """What is read of a report on one diagnosis against the others.

    Attributes
    ----------
    name : str
        For people.
    confidence : float
        Of every interval.
    class_names : tuple of str
        What the two classes are called.
    counts : ConfusionCounts
        How many images of each class are predicted to be of each.
    named_metrics : mapping of str to Metric
        Every metric, by its name for readers.
    metrics, calibration : mapping of str to Metric
        What the calls are worth, and what the scores are worth as probabilities.
    specificity_at_sensitivity : sequence of SpecificityAtSensitivity
        At each target.
    sensitivity_at_specificity : sequence of SensitivityAtSpecificity
        At each target.
    y_score : ndarray of float of shape (n_images,), or None
        The scores; None where only a confusion matrix is known.
    y_pred : ndarray of bool of shape (n_images,), or None
        Which images are predicted to be of the diagnosis, where that was given; None where a threshold decides.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def confidence(self) -> float: ...  # noqa: D102

    @property
    def class_names(self) -> tuple[str, str]: ...  # noqa: D102

    @property
    def counts(self) -> ConfusionCounts: ...  # noqa: D102

    @property
    def named_metrics(self) -> Mapping[str, Metric]: ...  # noqa: D102

    @property
    def metrics(self) -> Mapping[str, Metric]: ...  # noqa: D102

    @property
    def calibration(self) -> Mapping[str, Metric]: ...  # noqa: D102

    @property
    def specificity_at_sensitivity(self) -> Sequence[SpecificityAtSensitivity]: ...  # noqa: D102

    @property
    def sensitivity_at_specificity(self) -> Sequence[SensitivityAtSpecificity]: ...  # noqa: D102

    @property
    def y_score(self) -> NDArray[np.float64] | None: ...  # noqa: D102

    @property
    def y_pred(self) -> NDArray[np.bool_] | None: ...  # noqa: D102


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ReportContent(ExplainsAttributes, ABC):
    """What each kind of report holds beside its metrics, and what it says of itself."""

    confidence: float
    name: str
    skipped: tuple[SkippedRow, ...]
    provenance: Mapping[str, Any]
    history: Mapping[str, Sequence[float]] | None = None
    image_ids: tuple[str, ...] = ()
    paths: tuple[str, ...] | None = None
    groups: tuple[Any, ...] | None = None
    findings: tuple[tuple[str, Any], ...] = ()

    _elsewhere = _INSTEAD

    # -- what each kind says of itself -----------------------------------------------------------------------------

    @property
    @abstractmethod
    def class_sizes(self) -> Mapping[str, int]:
        """How many images are of each class."""

    @property
    @abstractmethod
    def class_calls(self) -> Mapping[str, int]:
        """How many images are predicted to be of each class."""

    @property
    @abstractmethod
    def two_class_reports(self) -> Mapping[str, ScoredReport]:
        """The reports on one class against the other images, by what is said of them: " of mel"."""

    @property
    @abstractmethod
    def named_metrics(self) -> Mapping[str, Metric]:
        """Every metric, by its name for readers."""

    @property
    @abstractmethod
    def headlines(self) -> Mapping[str, Metric]:
        """The metrics to look at first, by their names for readers."""

    @property
    @abstractmethod
    def key_numbers(self) -> Mapping[str, Metric]:
        """The six or fewer that open the page, each by a name that says what it holds for."""

    @property
    @abstractmethod
    def outcome(self) -> str:
        """What the classifier got right and wrong, in a sentence or two of plain numbers."""

    @property
    @abstractmethod
    def rule(self) -> str:
        """Which class is predicted when, and where that rule is from; empty where it is not known."""

    @abstractmethod
    def statements(self) -> list[str]:
        """Return what the metrics rest on: the images, and which class is predicted when.

        Returns
        -------
        list of str
            A sentence each.
        """

    @abstractmethod
    def tables(self) -> list[Table]:
        """Return the metrics as tables of text.

        Returns
        -------
        list of Table
            Each with a title, a header and rows.
        """

    @abstractmethod
    def figures_to_dict(self) -> dict[str, Any]:
        """Return the metrics as plain Python objects.

        Returns
        -------
        dict
            The part of `to_dict` that is not the same in each kind of report.
        """

    @abstractmethod
    def draw_all(self) -> Iterator[DrawnFigure]:
        """Draw every figure that this report can draw, one by one, so that only one is held at a time.

        Yields
        ------
        DrawnFigure
            With its name, its title and its text alternative.
        """

    @property
    def _bootstrap(self) -> dict[str, Any]:
        return {"confidence": self.confidence, **self.provenance["intervals"], "groups": self.groups}

    def _bootstrap_with(self, other: "ReportContent", images: Matched) -> dict[str, Any]:
        """Return the options of the bootstrap for the images that another report shares."""
        return self._bootstrap | {"groups": shared_groups(self.groups, other.groups, images)}
