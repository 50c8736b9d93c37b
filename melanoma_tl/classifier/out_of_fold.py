"""`OutOfFold`: scores of held-out images, and the reports on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from melanoma_tl._parameters import NONE, PROBABILITY, TABLE, TEXT, listed, whole
from melanoma_tl.datasets.history import Step
from melanoma_tl.errors import ModelFileError, ParameterError
from melanoma_tl.images.decoding import SkippedRow
from melanoma_tl.saving.document_rules import take

if TYPE_CHECKING:
    from melanoma_tl.report import MetricsReport

_STATE = {
    "scores": listed(PROBABILITY | NONE, at_least=1),
    "labels": listed(whole(at_least=0, at_most=1), at_least=1),
    "groups": listed(whole(at_least=0), at_least=1) | NONE,
    "name": TEXT,
    "settings": TABLE,
}
"""What a file holds."""

_TOGETHER = {
    "None": "",
    "auto": "the images of a patient or lesion, where these are known",
    "patient": "the images of a patient",
    "lesion": "the images of a lesion",
}
"""What is kept in one fold, by how it was asked for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class OutOfFold:
    """What cross-validation found out about each image, from the one member that was not trained on it.

    Attributes
    ----------
    scores : ndarray of shape (n_images,)
        Probabilities of melanoma as that member gave them; NaN where the image could not be read.
    folds : ndarray of int of shape (n_images,)
        The number of that member, which is the fold that the image was held out in.
    labels : ndarray of int of shape (n_images,)
        0 benign, 1 melanoma.
    name : str
        Name of the images.
    groups : ndarray of int of shape (n_images,), or None
        What each image belongs to: images of one number were kept in one fold, such as those of one patient or
        lesion, and copies.
    settings : dict
        How the images were divided and the members trained.
    image_ids, paths : sequence of str of shape (n_images,), or None
        Ids and files; forgotten when the ensemble is saved.
    skipped : tuple of SkippedRow
        Rows that were no images of the dataset in the first place; forgotten likewise.
    history : sequence of Step, or None
        How the images were chosen, where the dataset remembers; forgotten likewise.
    """

    scores: NDArray[np.float64]
    folds: NDArray[np.intp]
    labels: NDArray[np.int64]
    name: str
    settings: Mapping[str, Any]
    groups: NDArray[np.int64] | None = None
    image_ids: Sequence[str] | None = None
    paths: Sequence[str] | None = None
    skipped: tuple[SkippedRow, ...] = ()
    history: Sequence[Step] | None = None

    @property
    def held_out(self) -> str:
        """How it was made sure that no score is of an image that its member was trained on, for people."""
        kept = _TOGETHER.get(str(self.settings.get("groups")), "the groups that were given")
        told = f"Each image was scored by the one of {self.n_folds} members that was not trained on it"
        return f"{told}; copies of an image are in one fold{kept and ', and so are '}{kept}"

    @property
    def n_folds(self) -> int:
        """How many folds there are."""
        return int(self.folds.max()) + 1

    def describe(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Describe all images, as the training data of the members together.

        Parameters
        ----------
        class_names : sequence of str
            The names of the classes, benign and melanoma.

        Returns
        -------
        dict
            "name", "counts" of the images of each class that could be read, "skipped" and "folds".
        """
        read = ~np.isnan(self.scores)
        counts = np.bincount(self.labels[read], minlength=2).tolist()
        return {
            "name": self.name,
            "counts": dict(zip(class_names, counts, strict=True)),
            "skipped": int((~read).sum()) + len(self.skipped),
            "folds": self.n_folds,
        }

    def report(
        self,
        scores: NDArray[np.float64],
        fold: int | None = None,
        *,
        threshold: float,
        provenance: Mapping[str, Any],
        **options: Any,
    ) -> "MetricsReport":
        """Report on the scores of one fold, or of all.

        Parameters
        ----------
        scores : ndarray of shape (n_images,)
            `scores`, on the scale of the ensemble.
        fold : int, optional
            0 for the first; all images by default.
        threshold : float
            Strictly above which the ensemble says melanoma.
        provenance : mapping of str to object
            What produced the ensemble.
        **options : dict
            `confidence`, `n_resamples` and `random_state` of `MetricsReport.from_scores`.

        Returns
        -------
        MetricsReport
            Of all folds it also says how their AUCs differ.

        Raises
        ------
        DatasetError
            If one of the classes has no image that could be scored.
        ParameterError
            If there is no such fold.
        """
        from melanoma_tl.report import MetricsReport

        if fold is not None and fold not in range(self.n_folds):
            raise ParameterError(f"fold must be a number from 0 to {self.n_folds - 1}, got {fold!r}")
        rows = np.flatnonzero(self.folds == fold) if fold is not None else np.arange(len(self.folds))
        ids, paths = (
            None if column is None else np.asarray(column)[rows].tolist() for column in (self.image_ids, self.paths)
        )
        report = MetricsReport.from_scores(
            self.labels[rows],
            scores[rows],
            threshold=threshold,
            image_ids=ids,
            paths=paths,
            groups=self._groups_of(rows, scores),
            skipped=self.skipped,
            provenance=provenance,
            name=f"{self.name}, out of fold" if fold is None else f"{self.name}, fold {fold}",
            **options,
        )
        return report if fold is not None else report.attach("Pooled and by fold", self._compare_folds(scores, report))

    def _groups_of(self, rows: NDArray[np.intp], scores: NDArray[np.float64]) -> list[int] | None:
        """Return the groups of some images, where one has several of them."""
        if self.groups is None:
            return None
        scored = ~np.isnan(scores)[rows]
        n_groups = len(np.unique(self.groups[rows][scored]))
        return self.groups[rows].tolist() if 1 < n_groups < scored.sum() else None

    def _compare_folds(self, scores: NDArray[np.float64], report: "MetricsReport") -> str:
        """Set the mean AUC of the folds beside the pooled one."""
        from melanoma_tl.metrics.binary import roc_auc

        aucs = []
        for fold in range(self.n_folds):
            rows = (self.folds == fold) & ~np.isnan(scores)
            if len(set(self.labels[rows])) == 2:
                aucs.append(roc_auc(self.labels[rows], scores[rows]))
        text = (
            f"The AUC of {report.metrics['auc'].value:.3f} is pooled: it also compares images of different folds, "
            "which different members have scored."
        )
        if not aucs:
            return f"{text} No fold has both classes."
        return (
            f"{text} The mean of the AUCs within {len(aucs)} folds, each scored by one member, is {np.mean(aucs):.3f} "
            f"(lowest {min(aucs):.3f}, highest {max(aucs):.3f}; that is no confidence interval)."
        )

    def to_state(self) -> dict[str, Any]:
        """Return what JSON can hold of it, without ids and files of images."""
        return {
            "scores": [None if np.isnan(score) else score for score in self.scores.tolist()],
            "folds": self.folds.tolist(),
            "labels": self.labels.tolist(),
            "groups": None if self.groups is None else self.groups.tolist(),
            "name": self.name,
            "settings": dict(self.settings),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], n_members: int) -> Self:
        """Check and read what `to_state` gave to a file.

        Parameters
        ----------
        state : mapping of str to object
            As it stands in the file.
        n_members : int
            Number of members of the ensemble.

        Returns
        -------
        OutOfFold
            Without ids and files of images.

        Raises
        ------
        ModelFileError
            If a part is missing or cannot be used, or parts contradict each other.
        """
        rules = _STATE | {"folds": listed(whole(at_least=0, at_most=n_members - 1), at_least=1)}
        known = take({"groups": None} | dict(state), rules)  # which older files do not have
        columns = [known[name] for name in ("scores", "folds", "labels", "groups") if known[name] is not None]
        if len({len(column) for column in columns}) > 1:
            raise ModelFileError(
                "has another number of scores, folds, labels or groups than images of its cross-validation"
            )
        return cls(
            scores=np.array(known["scores"], dtype=np.float64),
            folds=np.array(known["folds"], dtype=np.intp),
            labels=np.array(known["labels"], dtype=np.int64),
            groups=None if known["groups"] is None else np.array(known["groups"], dtype=np.int64),
            name=known["name"],
            settings=known["settings"],
        )


def tabulate(reports: Sequence["MetricsReport"], epochs: Sequence[int]) -> pd.DataFrame:
    """Set the metrics of the folds below each other.

    Parameters
    ----------
    reports : sequence of MetricsReport
        Of each fold.
    epochs : sequence of int
        Of the training of each member.

    Returns
    -------
    pandas.DataFrame
        As `Ensemble.fold_metrics` describes it.
    """
    rows = []
    for report, n_epochs in zip(reports, epochs, strict=True):
        row: dict[str, float] = {"images": report.counts.n, "melanoma": report.counts.n_melanoma}
        for name in ("auc", "average_precision"):
            metric = report.metrics[name]
            row |= {name: metric.value, f"{name}_low": metric.low, f"{name}_high": metric.high}
        rows.append({**row, "epochs": n_epochs})
    return pd.DataFrame(rows).rename_axis("fold")
