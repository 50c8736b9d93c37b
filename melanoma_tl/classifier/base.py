"""`BaseClassifier`: prediction, calibration and threshold, shared by all classifiers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import estimator_html_repr

from melanoma_tl._attributes import IN_CLASSIFIERS, ExplainsAttributes
from melanoma_tl._parameters import COUNT, INSIDE, NONE, PROBABILITY, check, checked, choice, one_of
from melanoma_tl._progress import progress
from melanoma_tl.classifier.notebook import fitted_html
from melanoma_tl.classifier.postprocessing import PostProcessing
from melanoma_tl.classifier.scoring import check_two_classes, quiet_copy, training_identity
from melanoma_tl.classifier.sharing import Shareable
from melanoma_tl.datasets.leakage import Overlap, compare
from melanoma_tl.errors import DatasetError, ImageError, NotFittedError
from melanoma_tl.images.fingerprints import Fingerprints, IdentifiedImages
from melanoma_tl.images.image_lists import is_stream
from melanoma_tl.images.loading import identify, open_source
from melanoma_tl.images.symmetries import COUNTS
from melanoma_tl.labels.class_names import name_classes
from melanoma_tl.metrics.calibration import METHODS, Calibration, fit_calibration
from melanoma_tl.metrics.estimators import check_dataset_labels, classes_of, of_both, score_labelled
from melanoma_tl.metrics.thresholds import OperatingPoint, check_rule, choose_threshold
from melanoma_tl.metrics.validation import check_classes


class BaseClassifier(ExplainsAttributes, Shareable, ClassifierMixin, BaseEstimator, ABC):
    """Base class: probabilities, classes, calibration and threshold from the scores that a subclass computes."""

    threshold: float
    verbose: int
    _post: PostProcessing = PostProcessing()
    _elsewhere = IN_CLASSIFIERS

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "threshold" and self._post.operating_point is not None:
            self._post = replace(self._post, operating_point=None)  # what the user says last holds
        super().__setattr__(name, value)

    if TYPE_CHECKING:  # set by `fit`, or properties of a subclass: an unfitted classifier must not have them

        @property
        def classes_(self) -> NDArray[Any]:
            """The classes, sorted."""

        @property
        def pos_label_(self) -> Any:
            """Which of them is melanoma."""

        @property
        def fingerprints_(self) -> Mapping[str, Fingerprints]:
            """Fingerprints of the images of "training", "validation" and so on."""

        @property
        def provenance_(self) -> dict[str, Any]:
            """What produced the classifier."""

    @property
    def class_names_(self) -> list[str]:
        """The classes in words: where they are 0 and 1, "benign" and "melanoma"."""
        return name_classes(self.classes_.tolist(), self.pos_label_)

    def _html_repr(self) -> str:
        """Return scikit-learn's HTML, and what `fit` and what follows it have set."""
        return estimator_html_repr(self) + fitted_html(self)

    @abstractmethod
    def _check_fitted(self) -> None:
        """Raise a NotFittedError where there are no scores yet."""

    @abstractmethod
    def _score(self, X: Any, tta: int | None = None, batch_size: int | None = None) -> NDArray[np.float64]:
        """Return scores before calibration: of melanoma (n_images,), or of several diagnoses (n_images, n_classes)."""

    @abstractmethod
    def _scored_with(self, tta: int | None) -> dict[str, Any]:
        """Return the settings, as JSON values, that may be changed after `fit` and that change the scores."""

    @abstractmethod
    def _prevalence_of_scores(self) -> float:
        """Return the prevalence at which the scores would be probabilities."""

    @checked(tta=one_of(*COUNTS) | NONE, batch_size=COUNT | NONE)
    def predict_proba(self, X: Any, tta: int | None = None, *, batch_size: int | None = None) -> NDArray[np.float64]:
        """Score images.

        Images are decoded, resized and scored batch by batch: memory does not grow with their
        number. Each is decoded once, however many views of it are scored.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Images, raw RGB.
        tta : {1, 2, 4, 8}, optional
            Number of views to average; by default the `tta` of the classifier, or of each member of an ensemble.
        batch_size : int, optional
            Images per forward pass; by default 16 of 224x224, or 64 on a GPU, which keep the processor busy with
            little memory.

        Returns
        -------
        ndarray of shape (n_images, n_classes) and dtype float64
            Probabilities in the order of `classes_`; each row sums to 1. The column of `pos_label_` is melanoma.
            With two classes they are calibrated if `calibrate` was called. NaN where an image could not be read and
            `on_error` is "skip". An ensemble with ``combine="rank"`` gives mean ranks instead of probabilities.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`, or if "rank" has no reference scores.
        ImageError
            If an image cannot be read and `on_error` is "raise".
        ParameterError
            If `tta` is not 1, 2, 4 or 8, is 8 with images that are not square, or differs from the `tta` at which
            the classifier was calibrated; or if `batch_size` is below 1.
        DeviceError
            If memory runs out, or the device fails.

        Notes
        -----
        Views are averaged as probabilities, as the winners of ISIC 2020 did (Ha, Liu and Liu 2020,
        arXiv:2010.05351), not as logits: a single view whose score rounds to 0 or 1 would decide a
        mean of logits. By Jensen's inequality neither log loss nor Brier score of the mean is
        worse than their means over the views. A calibration is applied to the mean.
        """
        return self._as_probabilities(self._score(X, tta, batch_size), tta)

    def _as_probabilities(self, scores: NDArray[np.float64], tta: int | None) -> NDArray[np.float64]:
        """Calibrate what `_score` gave, and return a column each class."""
        if len(self.classes_) > 2:
            return scores
        if self._post.calibration is not None:
            self._check_calibration_fits(tta)
            scores = self._post.calibration.apply(scores)
        return classes_of(self).to_columns(scores)

    @checked()
    def predict(self, X: Any) -> NDArray[Any]:
        """Classify images.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Images, raw RGB.

        Returns
        -------
        ndarray of shape (n_images,)
            Labels from `classes_`: melanoma if its predicted probability is strictly greater than `threshold_`, else
            benign; with more than two classes, the class with the highest probability.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        ImageError
            If an image cannot be read, even with ``on_error="skip"``: there is no label for a missing prediction.
        """
        scores = self.predict_proba(X)
        unread = np.flatnonzero(np.isnan(scores[:, 0]))
        if len(unread):
            raise ImageError(
                f"{len(unread)} of {len(scores)} images (positions {', '.join(map(str, unread[:5]))})",
                "cannot be read, so they have no class; predict_proba gives them NaN",
            )
        if len(self.classes_) > 2:
            return self.classes_[scores.argmax(axis=1)]
        known = classes_of(self)
        benign_and_melanoma = self.classes_[np.argsort(known.codes)]
        return benign_and_melanoma[(scores[:, known.melanoma] > self.threshold_).astype(int)]

    @checked()
    def score(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy, as every scikit-learn classifier does; for other metrics see `MetricsReport`.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Images, raw RGB.
        y : array-like of shape (n_images,), optional
            Their classes, if `X` does not contain labels: values of `classes_`, or 0 and 1, where 1 is melanoma.
        sample_weight : array-like of shape (n_images,), optional
            Weights of the images.

        Returns
        -------
        float
            Share of images classified correctly, 0 to 1.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        DatasetError, UnknownNameError
            If a label is missing, or none of the classes.
        ImageError
            As `predict`.
        """
        self._check_fitted()
        known = classes_of(self)
        source = open_source(X, y)
        if source.is_stream and sample_weight is not None:
            raise DatasetError("the order of a tf.data.Dataset may be another each time: it cannot have sample_weight")
        source.known_labels()
        truth, predicted = score_labelled(self, self.predict, known.encode, X, y)
        return float(accuracy_score(truth, known.encode(predicted), sample_weight=sample_weight))

    # -- calibration and threshold ---------------------------------------------------------------------------------

    @checked(method=choice(*METHODS), prevalence=INSIDE | NONE)
    def calibrate(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        method: str = "sigmoid",
        prevalence: float | None = None,
    ) -> Calibration:
        """Calibrate the scores on validation images, so that they are probabilities.

        Afterwards `predict_proba`, saved models and exported models give calibrated probabilities. The
        ranking of the images, and so the AUC, does not change. A threshold chosen by `tune_threshold` is
        transformed too, so that `predict` gives the same labels. `fit` discards the calibration.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Validation images, which are in neither the training data nor the test data.
        y : array-like of shape (n_images,), optional
            Their classes, if `X` does not contain labels: values of `classes_`, or 0 and 1, where 1 is melanoma.
        method : {"sigmoid", "temperature"}, default="sigmoid"
            "sigmoid" fits Platt's slope and intercept. "temperature" fits the slope only, after correcting the
            scores for the prevalence in training; it assumes that there is no other cause of scores that are too
            high or too low on average.
        prevalence : float, optional
            Prevalence of melanoma where the probabilities will be used, between 0 and 1; by default that of
            these images.

        Returns
        -------
        Calibration
            Also in `calibration_`.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        DatasetError
            If there are no labels, only one class, the scores are not higher for melanoma than for benign images, or
            the likelihood has no maximum at a finite temperature.
        UnknownNameError
            If a label is none of the classes.
        ParameterError
            If the prevalence is not between 0 and 1, the method is unknown, there are more than two classes, or the
            tuned threshold cannot be told from scores above it after the calibration, as near to 1.

        Warns
        -----
        LeakageWarning
            If the classifier was trained with some of the images.
        """
        check_two_classes(self, "calibrate")
        prevalence_of_scores = self._prevalence_of_scores()  # before scoring: raises an error for ranks
        truth, scores, images = self._score_for_tuning("Calibrate", X, y)
        calibration = fit_calibration(
            truth,
            scores,
            method=method,
            from_prevalence=prevalence_of_scores if method == "temperature" else None,
            to_prevalence=float(truth.mean()) if prevalence is None else prevalence,
        )
        self._post = self._post.with_calibration(calibration, self._scored_with(None), images)
        return calibration

    @checked(confidence=INSIDE)
    def tune_threshold(
        self,
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

        Afterwards `predict` and reports use it instead of the parameter `threshold`, and saved and
        exported models contain it. `fit` discards it, and so does a parameter `threshold` that is set afterwards. It is
        valid only for scores computed with the same settings: after a change of `tta` it must be chosen again.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Validation images, which are in neither the training data nor the test data.
        y : array-like of shape (n_images,), optional
            Their classes, if `X` does not contain labels: values of `classes_`, or 0 and 1, where 1 is melanoma.
        sensitivity, specificity, cost_ratio, prevalence, youden, assurance, confidence
            As `melanoma_tl.metrics.choose_threshold`.

        Returns
        -------
        OperatingPoint
            The threshold, and the metrics at it on these images; also in `operating_point_`.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        DatasetError
            If there are no labels, only one class, or too few images for the requested assurance.
        UnknownNameError
            If a label is none of the classes.
        ParameterError
            If not exactly one rule is given, no threshold satisfies it, there are more than two classes, the settings
            of scoring have changed since `calibrate`, or calibrated scores above the threshold cannot be told from it.

        Warns
        -----
        LeakageWarning
            If the classifier was trained with some of the images.
        """
        check_two_classes(self, "tune_threshold")
        self._check_calibration_fits()
        rule: dict[str, Any] = {
            "sensitivity": sensitivity,
            "specificity": specificity,
            "cost_ratio": cost_ratio,
            "prevalence": prevalence,
            "youden": youden,
            "assurance": assurance,
            "confidence": confidence,
        }
        check_rule(**rule)  # before images are scored
        truth, scores, images = self._score_for_tuning("Choose a threshold", X, y)
        point = choose_threshold(truth, scores, **rule)
        self._post = self._post.with_operating_point(point, self._scored_with(None), images)
        return self.operating_point_

    @property
    def calibration_(self) -> Calibration:
        """The result of `calibrate`; a NotFittedError if it was not called."""
        if self._post.calibration is None:
            raise NotFittedError("this classifier is not calibrated: call calibrate with validation images")
        return self._post.calibration

    @property
    def operating_point_(self) -> OperatingPoint:
        """The result of `tune_threshold`, on the scale of `predict_proba`; a NotFittedError if it was not called.

        A ParameterError if the settings of scoring have changed since.
        """
        if self._post.operating_point is None:
            raise NotFittedError("no threshold was tuned: call tune_threshold with validation images")
        self._check_threshold_fits()
        return self._post.calibrated_point(self._post.operating_point)

    @property
    def threshold_(self) -> float:
        """The threshold of `predict`: that of `tune_threshold` or the parameter `threshold`, whichever came last."""
        if self._post.operating_point is not None:
            return self.operating_point_.threshold
        threshold: float = check({"threshold": self.threshold}, {"threshold": PROBABILITY})["threshold"]
        return threshold

    def _check_threshold_fits(self) -> None:
        """Raise an error if the settings of scoring have changed since the threshold was chosen."""
        self._post.check("operating_point", self._scored_with(None))
        self._check_calibration_fits()

    def _check_calibration_fits(self, tta: int | None = None) -> None:
        """Raise an error if the settings of scoring have changed since calibration."""
        if self._post.calibration is not None:
            self._post.check("calibration", self._scored_with(tta))

    def _score_for_tuning(
        self, work: str, X: Any, y: ArrayLike | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], Fingerprints]:
        """Return labels, raw scores and fingerprints of the images that can be read."""
        check_dataset_labels(self, X, y)  # before anything is computed
        open_source(X, y).known_labels()
        with progress(work=work, unit="", verbose=self.verbose) as shown:
            validation = identify(X, verbose=self.verbose)
            self._shared_with_training(validation).warn_if_any(
                "Their scores are too good to tune by: take validation images", stacklevel=4
            )
            score = self._score if is_stream(X) else partial(self._score_once, validation.fingerprints.keys["bytes"])
            truth, scores = score_labelled(self, score, of_both(classes_of(self).encode), X, y)
            readable = ~np.isnan(scores)
            n_melanoma = int(truth[readable].sum())
            n_benign = int(readable.sum()) - n_melanoma
            check_classes(n_melanoma, n_benign)
            shown.say(f"{n_melanoma:,} melanoma and {n_benign:,} benign images")
            return truth[readable], scores[readable], validation.fingerprints

    def _score_once(self, contents: NDArray[np.uint64], X: Any) -> NDArray[np.float64]:  # noqa: ARG002
        """Score images whose contents are known; a classifier may remember the scores."""
        return self._score(X)

    def _describe_post(self) -> dict[str, Any]:
        """Return calibration and operating point for the description of an exported model."""
        calibration, point = self._post.calibration, self._post.operating_point
        return {
            "calibration": None if calibration is None else asdict(calibration),
            "operating_point": None if point is None else self.operating_point_.to_dict(),
        }

    def _post_to_state(self) -> dict[str, Any] | None:
        """Return calibration and operating point for a model file, after a check that the threshold is valid."""
        if self._post.operating_point is not None:
            self._check_threshold_fits()
        return self._post.to_state()

    def _restore_post(self, state: Mapping[str, Any] | None) -> None:
        """Restore calibration and operating point from a file; settings that the file lacks are taken as unchanged."""
        if state is not None:
            now = dict.fromkeys(("calibration", "operating_point"), self._scored_with(None))
            self._post = PostProcessing.from_state(state, now)

    # -- images that the model has seen ----------------------------------------------------------------------------

    def seen_images(self, X: Any) -> Overlap:
        """Find which images this model was fitted or tuned with: in training, as validation data, or to tune it.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Images to look for; an ISBIDataset without image files is compared by its ids.

        Returns
        -------
        Overlap
            Pairs of an image of `X` and the number of a training, validation or tuning image, found by
            id, bytes, near-duplicate, lesion or patient, as `ISBIDataset.overlap` does.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        """
        self._check_fitted()
        known = dict(self.fingerprints_)
        if self._post.images is not None:
            known["tuning"] = self._post.images
        return compare(
            identify(X, verbose=self.verbose), training_identity("what this model was fitted or tuned with", known)
        )

    @property
    def _n_tuned_on_training(self) -> int:
        """How many of the images that calibration and threshold were found on have a counterpart in training."""
        if self._post.images is None:
            return 0
        tuned = training_identity("what this model was tuned with", {"tuning": self._post.images})
        return len(self._shared_with_training(tuned))

    def _shared_with_training(self, images: IdentifiedImages) -> Overlap:
        """Find which images have a counterpart among those of training."""
        known = {"training": self.fingerprints_["training"]}
        return compare(images, training_identity("what this model was trained with", known))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Inputs are paths; scikit-learn has no tag for images of shape (n, height, width, 3).
        tags.input_tags.one_d_array, tags.input_tags.two_d_array, tags.input_tags.string = True, False, True
        return tags


def describe_scores(classifier: BaseClassifier) -> dict[str, Any]:
    """Return what the scores of a classifier mean, for programs that load it exported.

    Parameters
    ----------
    classifier : TransferClassifier or Ensemble
        Fitted.

    Returns
    -------
    dict
        Classes, label of melanoma, class of each score and provenance; with two classes also the threshold,
        calibration and operating point.
    """
    classes, melanoma, is_binary = classifier.classes_.tolist(), classifier.pos_label_, len(classifier.classes_) == 2
    tuning = {"threshold": classifier.threshold_, **classifier._describe_post()} if is_binary else {}
    scores = [melanoma] if is_binary else classes
    return {"classes": classes, "melanoma": melanoma, "scores": scores, **tuning, "provenance": classifier.provenance_}


def scores_of(classifier: BaseClassifier) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    """Return the function whose scores an exported classifier must reproduce.

    Parameters
    ----------
    classifier : TransferClassifier or Ensemble
        Fitted.

    Returns
    -------
    callable
        From images to the columns of `predict_proba`; with two classes, only the column of melanoma.
    """
    quiet = quiet_copy(classifier)
    columns = [classes_of(classifier).melanoma] if len(classifier.classes_) == 2 else slice(None)
    return lambda images: quiet.predict_proba(images)[:, columns]
