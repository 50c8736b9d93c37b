"""What a trained classifier takes from validation images: what its scores mean, which of them it calls melanoma."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._parameters import INSIDE, NONE, checked, choice, show
from melanoma_tl.classifier.scoring import check_two_classes, remembered
from melanoma_tl.datasets.leakage import compare
from melanoma_tl.errors import NotFittedError, ParameterError
from melanoma_tl.images.fingerprints import Fingerprints
from melanoma_tl.images.loading import identify, open_source
from melanoma_tl.metrics.calibration import METHODS, Calibration, fit_calibration
from melanoma_tl.metrics.estimators import classes_of, score_labelled
from melanoma_tl.metrics.thresholds import OperatingPoint, choose_threshold
from melanoma_tl.metrics.validation import check_classes
from melanoma_tl.saving.document_rules import read_tuning

_TUNED = {"calibration": ("calibration", "calibrate"), "operating_point": ("threshold", "tune_threshold")}
"""What is tuned, with what people call it and what does so."""


class TuningMixin:
    """Calibration and threshold from validation images, for whatever has scores.

    The class needs `threshold`, `classes_`, `pos_label_`, `verbose`, `fingerprints_`, `_check_fitted`,
    `_raw_scores(X, tta)`, which scores images before calibration, `_scored_with(tta)`, which says what can be set anew
    and makes other scores of the same images, and `_prevalence_of_scores()`, at which those scores would be
    probabilities.
    """

    _calibration: Calibration
    _raw_point: OperatingPoint
    _tuned_on: Fingerprints
    _tuned_with: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    @checked(method=choice(*METHODS), prevalence=INSIDE | NONE)
    def calibrate(
        self: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        method: str = "sigmoid",
        prevalence: float | None = None,
    ) -> Calibration:
        """Make probabilities of the scores, on validation images.

        From then on `predict_proba` gives calibrated scores, and so do saved and exported models. The
        order of the images, and so the AUC, stays as it is; a threshold of `tune_threshold` moves along, so that
        the same images are called melanoma. `fit` forgets the calibration.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Validation images: not those of training, and not those of the test.
        y : array-like of shape (n_images,), optional
            Their classes, where `X` has none: in the words of `classes_`, or 0 and 1, where 1 is melanoma.
        method : {"sigmoid", "temperature"}, default="sigmoid"
            Platt's slope and intercept; or the slope alone, after a shift from the prevalence in training, which
            supposes that nothing else makes the scores too high or too low on the whole.
        prevalence : float, optional
            How frequent melanoma is where the probabilities shall hold, between 0 and 1; as among these
            images by default.

        Returns
        -------
        Calibration
            Also in `calibration_`.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        DatasetError
            If there are no labels, only one class, the scores do not rise with melanoma, or no temperature is
            the best.
        UnknownNameError
            If a label is none of the classes.
        ParameterError
            If the prevalence is not between 0 and 1, or the method is unknown.

        Warns
        -----
        LeakageWarning
            If the classifier was trained with some of the images.
        """
        self._check_fitted()
        prevalence_of_scores = self._prevalence_of_scores()  # first of all: of ranks there is none
        truth, scores, images = self._score_for_tuning(X, y)
        self._calibration = fit_calibration(
            truth,
            scores,
            method=method,
            from_prevalence=prevalence_of_scores if method == "temperature" else None,
            to_prevalence=float(truth.mean()) if prevalence is None else prevalence,
        )
        self._remember_tuning(images, "calibration")
        return self._calibration

    @checked(confidence=INSIDE)
    def tune_threshold(
        self: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        sensitivity: float | None = None,
        specificity: float | None = None,
        cost_ratio: float | None = None,
        prevalence: float | None = None,
        youden: bool = False,
        assurance: float | None = None,
        confidence: float = 0.95,
    ) -> OperatingPoint:
        """Choose the threshold on validation images, by exactly one of four rules.

        From then on `predict` and reports take it instead of the parameter `threshold`, and saved and
        exported models know it. `fit` forgets it. It holds for scores that come about as these do: with another `tta`,
        or when the parameter `threshold` is set, there is none until it is chosen anew.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Validation images: not those of training, and not those of the test.
        y : array-like of shape (n_images,), optional
            Their classes, where `X` has none: in the words of `classes_`, or 0 and 1, where 1 is melanoma.
        sensitivity, specificity, cost_ratio, prevalence, youden, assurance, confidence
            As `melanoma_tl.metrics.choose_threshold`.

        Returns
        -------
        OperatingPoint
            The threshold, and what it reaches on these images; also in `operating_point_`.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        DatasetError
            If there are no labels, only one class, or too few images to assure what is asked for.
        UnknownNameError
            If a label is none of the classes.
        ParameterError
            If not exactly one rule is given, it cannot be followed, or scores come about otherwise than in `calibrate`.

        Warns
        -----
        LeakageWarning
            If the classifier was trained with some of the images.
        """
        if hasattr(self, "_calibration"):
            self._check_tuned_with("calibration", None)
        truth, scores, images = self._score_for_tuning(X, y)
        self._raw_point = choose_threshold(
            truth,
            scores,
            sensitivity=sensitivity,
            specificity=specificity,
            cost_ratio=cost_ratio,
            prevalence=prevalence,
            youden=youden,
            assurance=assurance,
            confidence=confidence,
        )
        self._remember_tuning(images, "operating_point")
        return self.operating_point_

    @property
    def calibration_(self) -> Calibration:
        """What `calibrate` found; a NotFittedError before."""
        if not hasattr(self, "_calibration"):
            raise NotFittedError("this classifier is not calibrated: call calibrate with validation images")
        return self._calibration

    @property
    def operating_point_(self) -> OperatingPoint:
        """What `tune_threshold` found, on the scale of `predict_proba`; a NotFittedError before.

        A ParameterError, if scores come about otherwise by now.
        """
        if not hasattr(self, "_raw_point"):
            raise NotFittedError("no threshold was tuned: call tune_threshold with validation images")
        self._check_tuned_with("operating_point", None)
        (threshold,) = self._calibrated(np.array([self._raw_point.threshold]), None)
        return replace(self._raw_point, threshold=float(threshold))

    @property
    def threshold_(self: Any) -> float:
        """Strictly above which a score is called melanoma: that of `tune_threshold`, else the parameter."""
        return self.operating_point_.threshold if hasattr(self, "_raw_point") else self.threshold

    def _calibrated(self, scores: NDArray[np.float64], tta: int | None) -> NDArray[np.float64]:
        if not hasattr(self, "_calibration"):
            return scores
        self._check_tuned_with("calibration", tta)
        return self._calibration.apply(scores)

    def _settings_of(self: Any, what: str, tta: int | None) -> dict[str, Any]:
        """Say what may have been set anew since something was tuned, as JSON holds it."""
        settings: dict[str, Any] = self._scored_with(tta)
        return settings | {"threshold": float(self.threshold)} if what == "operating_point" else settings

    def _check_tuned_with(self: Any, what: str, tta: int | None) -> None:
        """Stop where scores come about otherwise than those that something was tuned on."""
        now = self._settings_of(what, tta)
        then = self._tuned_with.get(what, now)
        changed = [name for name in now if name not in then or then[name] != now[name]]
        if changed:
            name, call = _TUNED[what]
            told = ", ".join(f"{key}={show(then.get(key))}, and now is {show(now[key])}" for key in changed)
            raise ParameterError(
                f"the {name} was found with {told}, which it does not fit: call {call} with validation images once "
                "more, or set it back"
            )

    def _score_for_tuning(
        self: Any, X: Any, y: ArrayLike | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], Fingerprints]:
        """Give labels and raw scores of the images that can be read, and what they can be recognised by."""
        self._check_fitted()
        check_two_classes(self, "tuning")
        open_source(X, y).known_labels()  # stops where there are none, before anything is computed
        validation = identify(X, verbose=self.verbose)
        trained_with = remembered("what this model was trained with", {"training": self.fingerprints_["training"]})
        compare(validation, trained_with).warn_if_any(
            "Their scores are too good to tune by: take validation images", stacklevel=4
        )
        truth, scores = score_labelled(lambda images: self._raw_scores(images, None), classes_of(self).encode, X, y)
        readable = ~np.isnan(scores)
        n_melanoma = int(truth[readable].sum())
        check_classes(n_melanoma, int(readable.sum()) - n_melanoma)
        return truth[readable], scores[readable], validation.fingerprints

    def _remember_tuning(self, images: Fingerprints, what: str) -> None:
        """Keep how the scores came about, and what the images can be recognised by: a test on them would be no test."""
        self._tuned_with = {**self._tuned_with, what: self._settings_of(what, None)}
        known = [self._tuned_on] if hasattr(self, "_tuned_on") else []
        self._tuned_on = Fingerprints.concatenate([*known, images]).distinct()

    def _forget_tuning(self) -> None:
        for name in ("_calibration", "_raw_point", "_tuned_on", "_tuned_with"):
            self.__dict__.pop(name, None)

    def _describe_tuning(self) -> dict[str, Any]:
        """Give what was tuned, for people and for programs that load exported models."""
        return {
            "calibration": asdict(self._calibration) if hasattr(self, "_calibration") else None,
            "operating_point": self.operating_point_.to_dict() if hasattr(self, "_raw_point") else None,
        }

    def _tuning_to_state(self) -> dict[str, Any] | None:
        """Give what a model file keeps."""
        if not hasattr(self, "_tuned_on"):
            return None
        return {
            **self._describe_tuning(),
            "operating_point": self._raw_point.to_dict() if hasattr(self, "_raw_point") else None,
            "fingerprints": self._tuned_on.to_state(),
            "tuned_with": dict(self._tuned_with),
        }

    def _restore_tuning(self, state: dict[str, Any] | None) -> None:
        """Take up what a file holds, once it was checked."""
        if state is None:
            return
        calibration, point, self._tuned_on, tuned_with = read_tuning(state)
        self._tuned_with = {what: self._settings_of(what, None) for what in _TUNED} | tuned_with
        if calibration is not None:
            self._calibration = calibration
        if point is not None:
            self._raw_point = point
