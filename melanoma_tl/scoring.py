"""What stands around a score: which label is melanoma, which class a score means, and whether the image was known."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import type_of_target

from melanoma_tl.datasets.leakage import Overlap, Side, compare
from melanoma_tl.errors import DatasetError, ImageError
from melanoma_tl.fingerprints import Fingerprints
from melanoma_tl.sources import identify, open_source

_MAX_LABELS_SHOWN = 5


def encode_labels(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Tell the two classes apart.

    Parameters
    ----------
    labels : ndarray of shape (n_images,)
        Labels of any kind; the second in sorted order is taken for melanoma.

    Returns
    -------
    classes : ndarray of shape (2,)
        Benign and melanoma, as they stand in the labels.
    encoded : ndarray of shape (n_images,) and dtype int64
        0 for benign, 1 for melanoma.

    Raises
    ------
    DatasetError
        If there are not two classes, labels are missing, or the first is called melanoma.

    Examples
    --------
    >>> encode_labels(np.array(["benign", "melanoma", "benign"]))[1].tolist()
    [0, 1, 0]
    """
    missing = pd.isna(labels)
    if missing.any():
        raise DatasetError(f"{missing.sum()} of {len(labels)} labels are missing: leave those images out")
    classes, encoded = np.unique(labels, return_inverse=True)
    if len(classes) != 2:
        kind = f"{len(classes)} classes ({type_of_target(labels)})" if len(classes) > 1 else "1 class"
        shown = ", ".join(map(repr, classes[:_MAX_LABELS_SHOWN].tolist()))
        raise DatasetError(
            "Only binary classification is supported: training needs images of two classes, benign and melanoma; "
            f"got {kind}: {shown}{', …' if len(classes) > _MAX_LABELS_SHOWN else ''}"
        )
    if str(classes[0]).lower() in ("melanoma", "malignant", "mel"):
        raise DatasetError(
            f"the second of the sorted classes is taken for melanoma, but they are {classes.tolist()}: "
            "give 0 for benign and 1 for melanoma"
        )
    return classes, encoded.astype(np.int64)


class ScoringMixin(ClassifierMixin):
    """Classes, accuracy and seen images, for whatever has scores.

    The class needs `predict_proba`, `classes_`, `threshold`, `verbose`, `fingerprints_`, and
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
            Melanoma where its score is strictly above `threshold`, else benign; as in `classes_`.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        ImageError
            If an image cannot be read: an unread image has no class, whatever `on_error` says.
        """
        melanoma = self.predict_proba(X)[:, 1]
        unread = np.flatnonzero(np.isnan(melanoma))
        if len(unread):
            raise ImageError(
                f"{len(unread)} of {len(melanoma)} images (positions {', '.join(map(str, unread[:5]))})",
                "cannot be read, so they have no class; predict_proba gives them NaN",
            )
        return self.classes_[(melanoma > self.threshold).astype(int)]

    def score(self: Any, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy, as every scikit-learn classifier does; `MetricsReport` says more.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, or uint8 array (n, height, width, 3)
            Images, raw RGB.
        y : array-like of shape (n_images,), optional
            Their classes, where `X` has none.
        sample_weight : array-like of shape (n_images,), optional
            Weights of the images.

        Returns
        -------
        float
            Share of images classified correctly, 0 to 1.
        """
        labels = open_source(X, y).labels
        if labels is None:
            raise DatasetError("score needs labels: pass y, or an X that has them")
        return float(accuracy_score(labels, self.predict(X), sample_weight=sample_weight))

    def seen_images(self: Any, X: Any) -> Overlap:
        """Find which images this model was fitted with, in training or as validation data.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Images to look for; an ISBIDataset without images is compared by its ids.

        Returns
        -------
        Overlap
            Pairs of an image of `X` and the number of a training or validation image, found by
            id, bytes, near-duplicate, lesion or patient, as `ISBIDataset.overlap` does.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        """
        self._check_fitted()
        known = self.fingerprints_
        seen = [f"{role} image {row}" for role, images in known.items() for row in range(len(images))]
        return compare(
            identify(X, verbose=self.verbose),
            Side("what this model was fitted with", seen, None, Fingerprints.concatenate(list(known.values()))),
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        # Paths: scikit-learn has no word for images of shape (n, height, width, 3).
        tags.input_tags.one_d_array, tags.input_tags.two_d_array, tags.input_tags.string = True, False, True
        return tags
