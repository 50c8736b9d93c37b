"""What reports on two classes and on several have in common: how they are written, drawn and added to."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from melanoma_tl._atomic import atomic_write_once
from melanoma_tl._parameters import NONE, PATH, TABLE, TEXT, check, checked, choice, several
from melanoma_tl.errors import ParameterError
from melanoma_tl.plots import HistoryDisplay
from melanoma_tl.report.concerns import list_concerns
from melanoma_tl.report.content import DrawnFigure, ReportContent
from melanoma_tl.report.documents import save_text, write_dict, write_json
from melanoma_tl.report.page import write_page
from melanoma_tl.report.text import write_html_fragment, write_markdown, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Report(ReportContent):
    """Everything that is written and drawn in the same way, whatever the kind of report."""

    # -- reading ---------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return write_text(self)

    def _repr_html_(self) -> str:
        return write_html_fragment(self)

    def concerns(self) -> list[str]:
        """Return what speaks against the metrics, the gravest first: what the text begins with.

        Returns
        -------
        list of str
            A sentence each; where nothing was found, one that names what was looked at.

        Examples
        --------
        >>> from melanoma_tl import MetricsReport
        >>> MetricsReport.from_scores([0, 1], [0.1, 0.7]).concerns()[1][:51]
        'Too few to judge by: only 1 melanoma and 1 benign; '
        """
        return list_concerns(self)

    def to_markdown(self) -> str:
        """Write the report as Markdown.

        Returns
        -------
        str
            What speaks against the metrics, all tables, the skipped images, what was attached, and
            the provenance.
        """
        return write_markdown(self)

    def to_dict(self) -> dict[str, Any]:
        """Write the report as plain Python objects.

        Returns
        -------
        dict
            The metrics, each a dict of value, low, high, n and few; "schema_version", "confidence", "name",
            "skipped", "findings", "history", "provenance" and "notice". Undefined metrics are None.
        """
        return write_dict(self)

    def to_json(self) -> str:
        """Write the report as strict JSON: an undefined metric is null, never NaN.

        Returns
        -------
        str
            What `to_dict` returns.
        """
        return write_json(self.to_dict())

    @checked(path=PATH, card=TABLE | NONE)
    def save(self, path: str | os.PathLike[str], *, card: Mapping[str, str] | None = None) -> Path:
        """Write the report into a file, whole or not at all.

        Parameters
        ----------
        path : path-like
            Its suffix says how: ``.html`` a page of one file, with figures, model card and all that was
            attached; ``.md`` Markdown, ``.json`` JSON, ``.txt`` plain text.
        card : mapping of str to str, optional
            For the page: what the model card says under the headings that the library cannot know,
            such as ``{"intended_use": "..."}``; the keys are those of `melanoma_tl.report.CARD`.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ParameterError
            If the suffix is another one, or a card is given for what is no page.
        UnknownNameError
            If the card has no such heading.
        """
        path = Path(path)
        if card is not None and path.suffix.lower() != ".html":
            raise ParameterError(f"Only a page has a model card: save as .html, got {str(path)!r}")
        return save_text(
            path,
            {
                ".html": lambda: write_page(self, card or {}),
                ".md": self.to_markdown,
                ".json": self.to_json,
                ".txt": lambda: f"{self}\n",
            },
        )

    @checked(folder=PATH, formats=several(TEXT))
    def save_figures(self, folder: str | os.PathLike[str], formats: Sequence[str] = ("png",)) -> list[Path]:
        """Write every figure that this report can draw.

        Parameters
        ----------
        folder : path-like
            Made if it does not exist.
        formats : sequence of str, default=("png",)
            Suffixes that matplotlib writes, such as ``"svg"`` or ``"pdf"``.

        Returns
        -------
        list of Path
            The files, named after what `draw_all` yields.

        Raises
        ------
        ParameterError
            If matplotlib does not write a format.
        WriteError
            If a file cannot be written; it says what to do.
        """
        from matplotlib.figure import Figure

        known = set(Figure().canvas.get_supported_filetypes())
        check({"formats": formats}, {"formats": several(choice(*known))})
        folder = Path(folder)
        written = []
        for drawn in self.draw_all():
            for suffix in formats:
                path = folder / f"{drawn.name}.{suffix}"
                with atomic_write_once(path) as temporary:
                    drawn.figure.savefig(temporary, format=suffix, dpi=150, facecolor="white")
                written.append(path)
        return written

    def plot_history(self, axes: "Sequence[Axes] | None" = None) -> HistoryDisplay:
        """Draw loss and accuracy of training and validation, an epoch at a time.

        Parameters
        ----------
        axes : sequence of Axes, optional
            Where to draw the loss and, if the history has it, the accuracy; a new figure by default.

        Returns
        -------
        HistoryDisplay
            Its ``figure_`` shows and saves; ``axes_`` has the loss, then the accuracy.

        Raises
        ------
        ParameterError
            If the report has no training history.
        """
        if not self.history:
            raise ParameterError(
                "This report has no training history; pass history={'loss': [...], ...} to from_scores, "
                "or an estimator with history_ to from_estimator"
            )
        return HistoryDisplay(self.history).plot(axes)

    @checked(title=TEXT)
    def attach(self, title: str, content: Any) -> Self:
        """Return a report that also holds something else that was found out about the images or the model.

        Parameters
        ----------
        title : str
            What it is, such as "Subgroups", "Overlap with the training images" or "Explanations".
        content : object
            Anything with a text (``str``): `subgroups`, a `compare`, an `Overlap`, a `SelectionBias`,
            explanations. The page also takes its ``_repr_html_`` and its ``plot()``, the JSON report
            its ``to_dict()``; a matplotlib figure, or a display, is drawn on the page.

        Returns
        -------
        Report
            A copy, of the same kind; this one stays as it is.

        Raises
        ------
        ParameterError
            If something with this title is attached already.

        Examples
        --------
        >>> from melanoma_tl import MetricsReport
        >>> report = MetricsReport.from_scores([0, 1, 0, 1], [0.1, 0.9, 0.7, 0.8])
        >>> groups = report.subgroups({"sex": ["female", "male", "male", "female"]})
        >>> report.attach("Subgroups", groups).findings[0][0]
        'Subgroups'
        """
        if title in dict(self.findings):
            raise ParameterError(f"something called {title!r} is attached already; choose another title")
        return replace(self, findings=(*self.findings, (title, content)))

    def _draw_history(self) -> Iterator[DrawnFigure]:
        """Draw the training history, where there is one of several epochs."""
        if self.history and len(self.history.get("loss", ())) > 1:
            yield DrawnFigure(
                "history",
                "Training history",
                f"Loss and accuracy over {len(self.history['loss'])} epochs of training.",
                self.plot_history().figure_,
            )

    def _check_complete(self) -> None:
        """Stop before a file for the challenges' scorer where images have no score."""
        if self.skipped:
            raise ParameterError(
                f"{len(self.skipped)} images have no score, such as {self.skipped[0].image_id!r} "
                f"({self.skipped[0].reason}): the scorer of the challenges takes complete files only"
            )
