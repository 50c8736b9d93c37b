"""What stands around a score: which class it means, and whether the image was known."""

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score

from melanoma_tl.datasets.leakage import Overlap, compare
from melanoma_tl.errors import DatasetError, ImageError, ParameterError
from melanoma_tl.images.fingerprints import Fingerprints, IdentifiedImages
from melanoma_tl.images.loading import identify, open_source
from melanoma_tl.metrics.estimators import classes_of, score_labelled

_MAX_LABELS_SHOWN = 5


def check_two_classes(classifier: Any, what: str) -> None:
    """Stop where something is made for benign and melanoma alone.

    Parameters
    ----------
    classifier : object
        With `classes_`.
    what : str
        What is asked for.

    Raises
    ------
    ParameterError
        If there are more than two classes.
    """
    if len(classifier.classes_) > 2:
        raise ParameterError(
            f"{what} is for two classes, and this classifier tells {len(classifier.classes_)} apart: "
            f"{', '.join(map(str, classifier.classes_[:_MAX_LABELS_SHOWN]))}, …"
        )


def remembered(name: str, known: Mapping[str, Fingerprints]) -> IdentifiedImages:
    """Give the images that a model remembers a form in which others can be compared with them.

    Parameters
    ----------
    name : str
        What they are, for people.
    known : mapping of str to Fingerprints
        What they can be recognised by, such as those of "training" and of "validation".

    Returns
    -------
    IdentifiedImages
        Without files.
    """
    rows = [f"{role} image {row}" for role, images in known.items() for row in range(len(images))]
    return IdentifiedImages(name, rows, None, Fingerprints.concatenate(list(known.values())))


def silent(classifier: Any) -> Any:
    """Give a classifier that shows no progress, for scoring within something that does.

    Parameters
    ----------
    classifier : object
        With `verbose`.

    Returns
    -------
    object
        A copy that shares the network.
    """
    quiet = copy(classifier)
    quiet.verbose = 0
    return quiet


def describe_scores(classifier: Any) -> dict[str, Any]:
    """Say what the scores of a classifier mean, for programs that load it exported.

    Parameters
    ----------
    classifier : TransferClassifier or Ensemble
        Fitted.

    Returns
    -------
    dict
        Classes, melanoma, the class of each score; of two classes the threshold and how it was tuned; the provenance.
    """
    classes, is_binary = classifier.classes_.tolist(), len(classifier.classes_) == 2
    tuning = {"threshold": classifier.threshold_, **classifier._describe_tuning()} if is_binary else {}
    return {
        "classes": classes,
        "melanoma": classifier.pos_label_,
        "scores": [classifier.pos_label_] if is_binary else classes,
        **tuning,
        "provenance": classifier.provenance_,
    }


def scores_of(classifier: Any) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    """Give what an exported classifier is compared with.

    Parameters
    ----------
    classifier : TransferClassifier or Ensemble
        Fitted.

    Returns
    -------
    callable
        From images to what `predict_proba` gives, without the probabilities of benign where there are two classes.
    """
    quiet = silent(classifier)
    columns = [classes_of(classifier).melanoma] if len(classifier.classes_) == 2 else slice(None)
    return lambda images: quiet.predict_proba(images)[:, columns]


class ScoringMixin(ClassifierMixin):
    """Classes, accuracy and seen images, for whatever has scores.

    The class needs `predict_proba`, `classes_`, `pos_label_`, `threshold_`, `verbose`, `fingerprints_`, and
    `_check_fitted`, which raises where there are none yet.
    """

    def predict(self: Any, X: Any) -> NDArray[Any]:
        """Classify images.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Images, raw RGB.

        Returns
        -------
        ndarray of shape (n_images,)
            Melanoma where its score is strictly above `threshold_`, else benign; of several
            diagnoses the one with the highest score. As in `classes_`.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        ImageError
            If an image cannot be read: an unread image has no class, whatever `on_error` says.
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

    def score(self: Any, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy, as every scikit-learn classifier does; `MetricsReport` says more.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Images, raw RGB.
        y : array-like of shape (n_images,), optional
            Their classes, where `X` has none: in the words of `classes_`, or 0 and 1, where 1 is melanoma.
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
        truth, predicted = score_labelled(self.predict, known.encode, X, y)
        return float(accuracy_score(truth, known.encode(predicted), sample_weight=sample_weight))

    def seen_images(self: Any, X: Any) -> Overlap:
        """Find which images this model was fitted or tuned with: in training, as validation data, or to tune it.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Images to look for; an ISBIDataset without images is compared by its ids.

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
        if hasattr(self, "_tuned_on"):
            known["tuning"] = self._tuned_on
        return compare(identify(X, verbose=self.verbose), remembered("what this model was fitted or tuned with", known))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Paths: scikit-learn has no word for images of shape (n, height, width, 3).
        tags.input_tags.one_d_array, tags.input_tags.two_d_array, tags.input_tags.string = True, False, True
        return tags
