"""`Ensemble`: several classifiers that score as one."""

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from melanoma_tl._keras.isolation import own_settings
from melanoma_tl._parameters import (
    FLAG,
    NONE,
    PATH,
    PROBABILITY,
    SEED,
    TABLE,
    VERBOSE,
    called_on_class,
    check,
    checked,
    choice,
    having,
    listed,
    several,
)
from melanoma_tl._progress import progress
from melanoma_tl.classifier.base import BaseClassifier, describe_scores, scores_of
from melanoma_tl.classifier.members import common_and_own, draw_seeds, rank_among
from melanoma_tl.classifier.out_of_fold import OutOfFold, tabulate
from melanoma_tl.classifier.postprocessing import PostProcessing
from melanoma_tl.classifier.scoring_together import ScorerOfMembers
from melanoma_tl.classifier.transfer import TransferClassifier
from melanoma_tl.errors import DatasetError, ExportError, ModelFileError, NotFittedError, ParameterError
from melanoma_tl.images.fingerprints import Fingerprints
from melanoma_tl.images.loading import open_source
from melanoma_tl.metrics.estimators import classes_of, score_melanoma
from melanoma_tl.network.precision import name_precision
from melanoma_tl.network.scoring_graph import average, with_calibration
from melanoma_tl.saving.document_rules import take
from melanoma_tl.saving.ensemble_file import load_ensemble, save_ensemble
from melanoma_tl.saving.export import Exportable, ExportedModel, export_model
from melanoma_tl.training.parameters import chooses_penalty

if TYPE_CHECKING:
    from melanoma_tl.report import MetricsReport

COMBINATIONS = ("mean", "rank")

_MEMBER = having("_post", "a TransferClassifier")  # or what has its attributes, such as a FrozenEstimator of one

_PARAMETERS = {
    "classifiers": replace(
        several(_MEMBER, at_least=1),
        expected=f"{_MEMBER.expected}, or several in a list (average the scores of others yourself, and report on them "
        "by MetricsReport.from_scores)",
    ),
    "combine": choice(*COMBINATIONS),
    "threshold": PROBABILITY,
    "random_state": SEED,
    "verbose": VERBOSE,
}

_PARTS = {
    "parameters": TABLE,
    "reference_scores": listed(listed(PROBABILITY, at_least=1)),
    "cross_validation": TABLE | NONE,
    "tuning": TABLE | NONE,
}
"""Contents of the part of a file that describes the ensemble itself."""

_AT_ONCE = 256
"""Number of images of a stream that are held in memory at the same time."""


_SCORERS: "WeakKeyDictionary[Ensemble, ScorerOfMembers]" = WeakKeyDictionary()
"""What scores the members of each ensemble: no attribute of it, since scikit-learn wants no change by scoring."""


class Ensemble(BaseClassifier):
    """Several classifiers that score as one, in scikit-learn's grammar.

    An ensemble of fitted classifiers can score without `fit`; `fit` trains clones of the classifiers.
    `cross_validate` returns an ensemble with out-of-fold scores.

    Parameters
    ----------
    classifiers : sequence of TransferClassifier
        The members, which must agree on their classes and on which of them is melanoma. Fitted ones in a
        `FrozenEstimator` of scikit-learn are not trained again; ensembles as members score, but are not saved.
    combine : {"mean", "rank"}, default="mean"
        Take the mean of the members' probabilities, or of their ranks among reference scores (see Notes).
    threshold : float, default=0.5
        `predict` returns melanoma if the score is strictly greater. With ``combine="rank"`` scores are not
        probabilities: choose the threshold on validation data.
    random_state : int or None, default=None
        Seed from which `fit` draws a different seed for each member, so that members with the
        same parameters differ; with None each member keeps its own `random_state`.
    verbose : int, default=1
        0 shows no progress over the members; each member has its own `verbose`.

    Attributes
    ----------
    members_ : list of TransferClassifier
        The classifiers whose scores are combined: those that `fit` trained, or else `classifiers`.
    classes_ : ndarray of shape (n_classes,)
        The classes of the members, sorted.
    pos_label_ : object
        The class that is melanoma, as `TransferClassifier.pos_label_`.
    class_names_ : list of str
        `classes_` in words, as `TransferClassifier.class_names_`.
    reference_scores_ : list of ndarray
        For each member, the scores among which "rank" ranks a new score: those of the images of `set_reference`, or
        of the validation data of `fit`; after `cross_validate`, those of the member's held-out fold.
    cross_validation_ : OutOfFold
        Only of an ensemble that `cross_validate` made.
    fingerprints_ : dict of str to Fingerprints
        Fingerprints of the "training", "validation" and "member tuning" images of all members.
    provenance_ : dict
        The provenance that all members share, and under "members" the entries in which they differ, such as their
        training data. After `cross_validate`, "training_data" are the images of all folds.

    Notes
    -----
    In a mean of probabilities, a member with more extreme probabilities has more influence. A mean of
    ranks uses only how each member orders the images:

        score(x) = mean of F_m(p_m(x)) over the members m

    where p_m is the probability that member m gives and F_m the distribution of its n reference
    scores, with 0 and 1 added: at the i-th smallest of these n + 2 it is (i - 0.5) / (n + 2)
    (Hazen's plotting position; tied scores share the mean of their i), and linear in between. F_m
    is strictly increasing, so that a single member keeps exactly its order of the images, and its AUC.

    Averaging ranks is an old way to combine classifiers (Ho, Hull and Srihari 1994, "Decision
    combination in multiple classifier systems"), and won ISIC 2020 (Ha, Liu and Liu 2020,
    arXiv:2010.05351). There the ranks were those within the test set, so that a score depends on which
    other images are scored with it, and a single image cannot be scored. Ranks among reference scores avoid
    this. They have three drawbacks: reference images are needed; members are compared fairly only if their
    reference images come from the same distribution; and with few reference scores, ranks are mostly interpolated.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype="uint8")
    >>> members = [
    ...     TransferClassifier(weights=None, input_size=(32, 32), epochs=1, random_state=seed, verbose=0)
    ...     for seed in range(2)
    ... ]
    >>> Ensemble(members, verbose=0).fit(images, [0, 1] * 4).predict_proba(images).shape
    (8, 2)
    """

    _file_name = "ensemble.zip"

    @checked()
    def __init__(
        self,
        classifiers: Sequence[TransferClassifier],
        *,
        combine: str = "mean",
        threshold: float = 0.5,
        random_state: int | None = None,
        verbose: int = 1,
    ) -> None:
        self.classifiers = classifiers
        self.combine = combine
        self.threshold = threshold
        self.random_state = random_state
        self.verbose = verbose

    # -- training --------------------------------------------------------------------------------------------------

    @checked()
    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        validation_data: Any = None,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Train a clone of each classifier, all on the same images.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Training images, raw RGB.
        y : array-like of shape (n_images,), optional
            Their classes, if `X` does not contain labels.
        validation_data : ISBIDataset, tf.data.Dataset or (X, y), optional
            As in `TransferClassifier.fit`; "rank" takes its reference scores from these images.
        sample_weight : array-like of shape (n_images,), optional
            How much each training image counts in the loss, as in `TransferClassifier.fit`.
        groups : array-like of shape (n_images,), optional
            Patients, for the members with a ``Probe(C="auto")``, as in `TransferClassifier.fit`.

        Returns
        -------
        Ensemble
            Itself.

        Raises
        ------
        ParameterError
            If a parameter cannot be used, "rank" has no validation data, or no member has a use for `groups`.
        DatasetError, ImageError, UnknownNameError, WeightsUnavailableError
            As in `TransferClassifier.fit`.
        """
        classifiers = self._check_parameters()
        if self.combine == "rank" and validation_data is None:
            raise ParameterError(
                "combine='rank' compares with scores of validation images: pass validation_data to fit"
            )
        members = [clone(classifier) for classifier in classifiers]
        _check_agreement(members, X, y, validation_data)
        divided = [isinstance(member, TransferClassifier) and chooses_penalty(member) for member in members]
        if groups is not None and not any(divided):
            raise ParameterError("groups divide the images for Probe(C='auto'), and no member has one: leave them out")
        if self.random_state is not None:
            for member, seed in zip(members, draw_seeds(self.random_state, len(members)), strict=True):
                if "random_state" in member.get_params(deep=False):  # not in a frozen one
                    member.set_params(random_state=seed)
        pairs = list(zip(members, divided, strict=True))
        for member, is_divided in progress(pairs, "Train members", unit="member", verbose=self.verbose, delay=0):
            own = {"groups": groups} if groups is not None and is_divided else {}
            member.fit(X, y, validation_data=validation_data, sample_weight=sample_weight, **own)
        self._trained = members
        for of_earlier_members in ("reference_scores_", "cross_validation_"):
            self.__dict__.pop(of_earlier_members, None)
        self._post = PostProcessing()
        if self.combine == "rank":
            self.set_reference(validation_data[0] if isinstance(validation_data, tuple) else validation_data)
        return self

    def set_reference(self, X: Any) -> Self:
        """Compute the reference scores of ``combine="rank"``: each member scores the images with its own `tta`.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Images, raw RGB, that no member was trained on, such as validation images. Their classes
            are not needed.

        Returns
        -------
        Ensemble
            Itself.

        Raises
        ------
        NotFittedError
            If a member is not fitted.
        DatasetError
            If a member can read none of the images.
        """
        scores = [score_melanoma(member, X) for member in self.members_]
        readable = [of_member[~np.isnan(of_member)] for of_member in scores]
        if not all(len(of_member) for of_member in readable):
            raise DatasetError("none of the reference images can be read")
        self.reference_scores_ = readable
        return self

    @property
    def members_(self) -> list[TransferClassifier]:
        """The classifiers whose scores are combined."""
        members = list(getattr(self, "_trained", self._check_parameters()))
        for number, member in enumerate(members):
            if not hasattr(member, "classes_"):
                raise NotFittedError(
                    f"member {number} of this Ensemble is not fitted: call fit, or give fitted classifiers"
                )
            here, first = _describe_classes(member), _describe_classes(members[0])
            if here != first:
                raise ParameterError(
                    f"the members of an Ensemble must have the same classes: member {number} has {here}, "
                    f"member 0 has {first}"
                )
        return members

    def _check_parameters(self) -> tuple[TransferClassifier, ...]:
        """Check every parameter, and return the classifiers as a tuple, also if a single one was given."""
        return tuple(check(self.get_params(deep=False), _PARAMETERS)["classifiers"])

    def _check_fitted(self) -> None:
        _ = self.members_

    def __sklearn_is_fitted__(self) -> bool:
        members = getattr(self, "_trained", self._check_parameters())
        return all(hasattr(member, "classes_") for member in members)

    # -- prediction ------------------------------------------------------------------------------------------------

    def _score(self, X: Any, tta: int | None = None, batch_size: int | None = None) -> NDArray[np.float64]:
        """Combine the scores of the members, after the calibration of each calibrated member."""
        members = self.members_
        if len(self.classes_) > 2:
            if self.combine == "rank":
                raise ParameterError(
                    "ranks are of one score, that of melanoma: take combine='mean' for several diagnoses"
                )
            return np.mean(self._score_members(X, tta, batch_size), axis=0)
        if self.combine == "rank" and len(getattr(self, "reference_scores_", ())) != len(members):
            raise NotFittedError(
                "combine='rank' has no scores to compare with: call set_reference with images that no member was "
                "trained on, or fit with validation_data"
            )
        melanoma = classes_of(self).melanoma
        scores = self._score_members(X, tta, batch_size)
        return np.mean([self._rescale(number, of_one[:, melanoma]) for number, of_one in enumerate(scores)], axis=0)

    def _scored_with(self, tta: int | None) -> dict[str, Any]:
        """Return the settings that may be changed after `fit` and that change the scores."""
        members = self.members_
        ensembles = [member for member in members if _is_ensemble(member)]
        single = [member for member in members if not _is_ensemble(member)]
        settings: dict[str, Any] = {
            "combine": self.combine,
            "tta": [int(member.tta if tta is None else tta) for member in single],
            "precision": [name_precision(member.precision) for member in single],
            "calibration of members": [
                None if calibration is None else asdict(calibration)
                for calibration in (member._post.calibration for member in members)
            ],
        }
        if ensembles:
            settings["ensembles"] = [member._scored_with(tta) for member in ensembles]
        if self.combine == "rank":
            joined = b"".join(scores.tobytes() for scores in getattr(self, "reference_scores_", ()))
            settings["reference scores"] = hashlib.sha256(joined).hexdigest()
        return settings

    def _score_members(self, X: Any, tta: int | None, batch_size: int | None) -> list[NDArray[np.float64]]:
        """Compute the scores of each member for the same images in the same order; a stream is read only once."""
        source, members = open_source(X), self.members_
        scorer = _SCORERS.get(self)
        if scorer is None or not scorer.is_of(members):
            scorer = _SCORERS[self] = ScorerOfMembers(members)
        parts = source.parts(_AT_ONCE) if source.is_stream else [X]
        scores = [scorer.predict_proba(part, tta, batch_size) for part in parts]
        return [np.concatenate(of_member) for of_member in zip(*scores, strict=True)]

    @property
    def threshold_(self) -> float:
        """The threshold of `predict`: that of `tune_threshold` or the parameter `threshold`, whichever came last."""
        if self._post.operating_point is None and any(member._post.operating_point for member in self.members_):
            warnings.warn(
                f"members were tuned to thresholds of their own, which do not hold for the ensemble: it takes "
                f"{self.threshold:g} until its own tune_threshold is called",
                stacklevel=2,
            )
        return super().threshold_

    def _prevalence_of_scores(self) -> float:
        """Return the prevalence at which the members' scores would be probabilities, on average."""
        if self.combine == "rank":
            raise ParameterError("ranks are no probabilities and cannot be calibrated; take combine='mean'")
        prevalences: list[float] = []
        for member in self.members_:
            known = getattr(member._post.calibration, "to_prevalence", None)
            prevalences.append(member._prevalence_of_scores() if known is None else known)
        return float(np.mean(prevalences))

    def _rescale(self, number: int, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn the probabilities of a member into the values that are averaged: themselves, or ranks."""
        return scores if self.combine == "mean" else rank_among(scores, self.reference_scores_[number])

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes, sorted."""
        return self.members_[0].classes_

    @property
    def pos_label_(self) -> Any:
        """Which of the classes is melanoma."""
        return self.members_[0].pos_label_

    @property
    def fingerprints_(self) -> dict[str, Fingerprints]:
        """Fingerprints of the images of all members, without repetitions."""
        of_members = [
            member.fingerprints_ | ({} if (images := member._post.images) is None else {"member tuning": images})
            for member in self.members_
        ]
        return {
            role: Fingerprints.concatenate([known[role] for known in of_members if role in known]).unique()
            for role in dict.fromkeys(role for known in of_members for role in known)
        }

    @property
    def provenance_(self) -> dict[str, Any]:
        """What produced the members, and how they are combined."""
        members = self.members_
        shared, own = common_and_own([{**member.provenance_, **_views_of(member)} for member in members])
        ensemble: dict[str, Any] = {"size": len(members), "combine": self.combine}
        if hasattr(self, "cross_validation_"):
            ensemble["cross_validation"] = dict(self.cross_validation_.settings)
            by_code = np.array(self.class_names_)[np.argsort(classes_of(self).codes)]
            shared["training_data"] = self.cross_validation_.describe(by_code.tolist())
        return {"ensemble": ensemble, **shared, "members": own}

    # -- cross-validation ------------------------------------------------------------------------------------------

    @property
    def out_of_fold_scores_(self) -> NDArray[np.float64]:
        """The score of each image from the member that was not trained on it, on the scale of `predict_proba`."""
        scores = np.full(len(self.folds_), np.nan)
        for number in range(len(self.members_)):
            rows = self.folds_ == number
            scores[rows] = self._rescale(number, self.cross_validation_.scores[rows])
        return scores if self._post.calibration is None else self._post.calibration.apply(scores)

    @property
    def folds_(self) -> NDArray[np.intp]:
        """The number of the member that was not trained on an image, for each image."""
        return self._out_of_fold().folds

    def _out_of_fold(self) -> OutOfFold:
        if not hasattr(self, "cross_validation_"):
            raise NotFittedError("this Ensemble has no folds: only cross_validate makes one that has")
        return self.cross_validation_

    def out_of_fold_report(self, fold: int | None = None, **options: Any) -> "MetricsReport":
        """Report on the out-of-fold scores.

        They are scores of single members, each trained on part of the images. The ensemble is usually better
        than its members; its own performance can be measured only on images that no member has seen.

        Parameters
        ----------
        fold : int, optional
            Report on one fold, 0 for the first; all images by default.
        **options : dict
            `confidence`, `n_resamples` and `random_state` of `MetricsReport.from_scores`.

        Returns
        -------
        MetricsReport
            Of the images of the cross-validation, at the threshold of the ensemble.

        Raises
        ------
        NotFittedError
            If the ensemble was not made by `cross_validate`.
        DatasetError
            If one of the classes has no image that could be scored.
        ParameterError
            If there is no such fold.
        """
        from melanoma_tl.report.provenance import tell_origin

        found = self._out_of_fold()
        report = found.report(
            self.out_of_fold_scores_, fold, threshold=self.threshold_, provenance=self.provenance_, **options
        )
        return tell_origin(report, self, found, None, threshold=report.threshold, held_out=found.held_out)

    def fold_metrics(self, **options: Any) -> pd.DataFrame:
        """Show how much the metrics differ from fold to fold.

        Parameters
        ----------
        **options : dict
            As in `out_of_fold_report`.

        Returns
        -------
        pandas.DataFrame
            A row each fold: ``images`` and ``melanoma`` that were scored, then ``auc`` and
            ``average_precision`` with the ends of their intervals, ``_low`` and ``_high``, and
            ``epochs`` of training.

        Raises
        ------
        NotFittedError, DatasetError
            As in `out_of_fold_report`.
        """
        members = self.members_
        reports = [self.out_of_fold_report(fold, **options) for fold in range(len(members))]
        return tabulate(reports, [member.provenance_["epochs_run"] for member in members])

    # -- keeping ---------------------------------------------------------------------------------------------------

    @checked(path=PATH, include_backbone=FLAG | NONE)
    def save(self, path: str | os.PathLike[str], *, include_backbone: bool | None = None) -> None:
        """Write the members, how they are combined, and what cross-validation found, into one file.

        Parameters
        ----------
        path : path
            Must end in ``.zip``. It holds a file for each member, ``member_0.keras`` and so on, which
            `TransferClassifier.load` opens as well.
        include_backbone : bool or None, default=None
            As `TransferClassifier.save`, for each member.

        Raises
        ------
        NotFittedError
            If a member is not fitted.
        ModelFileError
            If the path does not end in ``.zip``, or a member is an ensemble; or as `TransferClassifier.save`.
        """
        if any(map(_is_ensemble, self.members_)):
            raise ModelFileError(
                "a member is an ensemble itself: save each ensemble by itself, and put them together anew"
            )
        cross_validation = getattr(self, "cross_validation_", None)
        state = {
            "parameters": {name: value for name, value in self.get_params(deep=False).items() if name != "classifiers"},
            "reference_scores": [scores.tolist() for scores in getattr(self, "reference_scores_", ())],
            "cross_validation": None if cross_validation is None else cross_validation.to_state(),
            "tuning": self._post_to_state(),
        }

        def save_member(member: Any, file: Path) -> None:
            options = {"include_backbone": include_backbone} if isinstance(member, TransferClassifier) else {}
            member.save(file, **options)

        save_ensemble(self.members_, state, Path(path), save_member)

    @checked(path=PATH)
    @own_settings()
    def export(self, path: str | os.PathLike[str], *, format: str | None = None) -> ExportedModel:  # noqa: A002
        """Write the members as one network for other runtimes, and check there that it gives the same scores.

        Parameters
        ----------
        path, format
            As `TransferClassifier.export`.

        Returns
        -------
        ExportedModel
            As of `TransferClassifier.export`; `views` holds the number of views of each member.

        Raises
        ------
        NotFittedError
            If a member is not fitted.
        ExportError
            As `TransferClassifier.export`; or if ``combine="rank"``, a member is no `TransferClassifier`, or the
            members take images of different sizes.
        UnknownNameError
            If there is no such format.
        """
        members = self.members_
        if self.combine == "rank":
            raise ExportError(
                "ranks among reference scores turn the rounding of other runtimes into other ranks: "
                "take combine='mean', or export the members"
            )
        if not all(isinstance(member, TransferClassifier) for member in members):
            raise ExportError("only an ensemble of TransferClassifier is exported: export such members by themselves")
        sizes = sorted({tuple(member.model_.inputs[0].shape[1:3]) for member in members})
        if len(sizes) > 1:
            raise ExportError(
                f"the members take images of {' and '.join(f'{height}x{width}' for height, width in sizes)} pixels, "
                "resized from the file for each: export the members, and take the mean of their scores"
            )
        parts = [member._exportable() for member in members]
        precisions = {part.precision for part in parts}
        exportable = Exportable(
            with_calibration(average([part.network for part in parts]), self._post.calibration),
            scores_of(self),
            tuple(part.views[0] for part in parts),
            "float32" if precisions == {"float32"} else max(precisions - {"float32"}),
            describe_scores(self),
        )
        return export_model(exportable, Path(path), format)

    @called_on_class
    @classmethod
    @checked(path=PATH, weights=PATH | NONE)
    def load(cls, path: str | os.PathLike[str], *, weights: str | os.PathLike[str] | None = None) -> Self:
        """Read an ensemble that `save` wrote; no code from the file is run.

        Parameters
        ----------
        path : path
            The file.
        weights : "imagenet" or path, optional
            As `TransferClassifier.load`, for the members that need them.

        Returns
        -------
        Ensemble
            An ensemble of fitted classifiers. The ids and file names of the images of a cross-validation are not
            stored in the file.

        Raises
        ------
        ModelFileError
            If the file or one of its members is missing, damaged, not written by this library, or from a newer
            version.
        """
        return load_ensemble(
            Path(path),
            lambda file: TransferClassifier._load(file, weights)[0],
            lambda members, state: cls(members, **state["parameters"])._restore(state),
        )

    def _restore(self, state: Mapping[str, Any]) -> Self:
        """Restore the content of a file, after checking each part."""
        self._check_parameters()
        self._check_fitted()
        parts = {"tuning": None} | take(state, _PARTS)  # files of the first version have no "tuning"
        scores = parts["reference_scores"]
        if (scores or self.combine == "rank") and len(scores) != len(self.members_):
            raise ModelFileError(f"has reference scores of {len(scores)} members, and {len(self.members_)} members")
        if scores:
            self.reference_scores_ = [np.array(of_member, dtype=np.float64) for of_member in scores]
        self._restore_post(parts["tuning"])
        if parts["cross_validation"] is not None:
            self.cross_validation_ = OutOfFold.from_state(parts["cross_validation"], len(self.members_))
        return self


def _check_agreement(members: Sequence[Any], X: Any, y: ArrayLike | None, validation_data: Any) -> None:
    """Raise an error before training if any member cannot be trained, or members disagree about melanoma."""
    learning = [member for member in members if isinstance(member, TransferClassifier)]  # not frozen ones
    found = [member._check_labels(X, y, validation_data) for member in learning]
    melanoma = list(dict.fromkeys(classes.pos_label for classes in found if classes is not None))
    if len(melanoma) > 1:
        raise ParameterError(f"the members of an Ensemble take different labels for melanoma: {melanoma}")


def _is_ensemble(member: Any) -> bool:
    return not hasattr(member, "tta")  # nor has one in a FrozenEstimator


def _views_of(member: Any) -> dict[str, Any]:
    return {} if _is_ensemble(member) else {"tta": member.tta}


def _describe_classes(member: TransferClassifier) -> str:
    return f"{member.classes_.tolist()} (melanoma: {member.pos_label_!r})"
