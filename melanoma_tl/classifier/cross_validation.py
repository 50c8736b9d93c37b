"""`cross_validate`: train a classifier on all but one fold, for each fold, and keep what it says of that fold."""

import logging
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from melanoma_tl._parameters import NONE, SEED, VERBOSE, checked, choice, instance, whole
from melanoma_tl._progress import progress
from melanoma_tl.classifier.ensemble import COMBINATIONS, Ensemble
from melanoma_tl.classifier.members import draw_seeds
from melanoma_tl.classifier.out_of_fold import OutOfFold
from melanoma_tl.classifier.scoring import needs_two
from melanoma_tl.classifier.transfer import TransferClassifier
from melanoma_tl.datasets.splitting import assign_groups, divide_into_folds, find_groups, number_own_groups
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.images.image_lists import Part, is_table
from melanoma_tl.images.loading import identify, name_of, open_source
from melanoma_tl.metrics.estimators import score_melanoma
from melanoma_tl.training.labels import read_sample_weight, weights_of_classes
from melanoma_tl.training.parameters import chooses_penalty

logger = logging.getLogger(__name__)

_VALIDATIONS = {
    None: "none",
    "next_fold": "next_fold, which no member was trained on",
    "held_out": "held_out: the epoch was chosen on the images that are scored, and out-of-fold metrics are too good",
}
"""Choices of `validation`, and the description of each in a report."""


@checked(
    classifier=instance(TransferClassifier, a="a TransferClassifier"),
    folds=whole(at_least=2),
    validation=choice("next_fold", "held_out") | NONE,
    combine=choice(*COMBINATIONS),
    random_state=SEED,
    verbose=VERBOSE,
)
def cross_validate(
    classifier: TransferClassifier,
    X: Any,
    y: ArrayLike | None = None,
    *,
    folds: int = 5,
    groups: str | ArrayLike | None = "auto",
    validation: str | None = None,
    combine: str = "mean",
    sample_weight: ArrayLike | None = None,
    random_state: int | None = None,
    verbose: int = 1,
) -> Ensemble:
    """Train a clone of a classifier on all but one fold, for each fold, and score that fold with it.

    Folds are stratified and grouped: images of the same lesion or patient, as far as these are known, and
    copies and near-duplicates in any case, are in the same fold. Every image is scored by the member
    that was trained on neither it nor images of its group. The members form an ensemble.

    Parameters
    ----------
    classifier : TransferClassifier
        It is not changed, and need not be fitted. Set its `pos_label` if melanoma cannot be inferred from the labels.
    X : ISBIDataset, sequence of paths or PIL images, or uint8 array (n, height, width, 3)
        Images, raw RGB.
    y : array-like of shape (n_images,), optional
        Their classes, if `X` does not contain labels.
    folds : int, default=5
        Number of folds, at least 2.
    groups : {"auto", "patient", "lesion"}, array-like of shape (n_images,) or None, default="auto"
        Images of a group are kept in one fold, as in `ISBIDataset.split`. Only an ISBIDataset contains patients and
        lesions: for other images pass an array; an image with a missing value is a group of its own.
    validation : {"next_fold", "held_out"} or None, default=None
        Validation data for early stopping and for restoring the best epoch:

        - None: none. Each member is trained for all its epochs. Out-of-fold scores are unbiased.
        - "next_fold": another fold, which is then not used for training. Out-of-fold scores
          are unbiased, but members have fewer training images (3 folds of 5 instead of 4).
        - "held_out": the held-out fold itself. The epoch is then chosen on the same images that
          the metrics are computed from: members are as good as with "next_fold" or better, but the
          out-of-fold metrics are optimistically biased; reports state this.
    combine : {"mean", "rank"}, default="mean"
        How the ensemble combines its members; "rank" uses the scores of each member's held-out fold as
        reference scores.
    sample_weight : array-like of shape (n_images,), optional
        How much each image counts where members are trained on it, as in `TransferClassifier.fit`. Metrics are not
        weighted.
    random_state : int or None, default=None
        Seed from which the seed of the folds and a different seed for each member are drawn; by default the
        `random_state` of the classifier.
    verbose : int, default=1
        0 shows no progress over the folds.

    Returns
    -------
    Ensemble
        The members in the order of their folds, with the `threshold` of the classifier. It has
        `out_of_fold_scores_` and `folds_` of shape (n_images,), `out_of_fold_report` and `fold_metrics`.

    Raises
    ------
    DatasetError
        If there are no labels, one is missing, there are more than two classes, it is unknown which is melanoma, there
        are too few groups for the folds, or `X` cannot be divided.
    ParameterError
        If a parameter cannot be used, or the classifier has `early_stopping` and `validation` is None.
    ImageError, WeightsUnavailableError
        As in `TransferClassifier.fit`.
    UnknownNameError
        If `validation`, `groups` or `combine` is none of the listed values.

    Examples
    --------
    >>> from melanoma_tl import TransferClassifier
    >>> images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype="uint8")
    >>> classifier = TransferClassifier(weights=None, input_size=(32, 32), epochs=1, random_state=0, verbose=0)
    >>> ensemble = cross_validate(classifier, images, [0, 1] * 6, folds=3, verbose=0)
    >>> ensemble.out_of_fold_scores_.shape, ensemble.fold_metrics(n_resamples=100)["images"].tolist()
    ((12,), [4, 4, 4])
    """
    _check(classifier, folds, validation)
    labels, encoded = _read_labels(classifier, X, y)
    weights = read_sample_weight(sample_weight, X, y)
    numbers = _assign_groups(X, len(labels), groups, verbose=verbose)
    seed = classifier.random_state if random_state is None else random_state
    if seed is None:
        (seed,) = draw_seeds(None, 1)  # so that the report names it
    held_out = divide_into_folds(encoded, numbers, folds, stratify=True, seed=draw_seeds(seed, 1)[0])
    _, *seeds = draw_seeds(seed, folds + 1)
    everything = np.arange(len(labels))
    scores, of_fold = np.full(len(labels), np.nan), np.empty(len(labels), dtype=np.intp)
    members = []
    for fold, rows in enumerate(progress(held_out, "Cross-validate", unit="fold", verbose=verbose, delay=0)):
        watched = {None: None, "next_fold": held_out[(fold + 1) % folds], "held_out": rows}[validation]
        rest = np.setdiff1d(everything, rows if watched is None else np.union1d(rows, watched))
        member = clone(classifier).set_params(random_state=seeds[fold])
        member.fit(
            _take(X, rest),
            labels[rest],
            validation_data=None if watched is None else (_take(X, watched), labels[watched]),
            sample_weight=None if weights is None else weights[rest],
            groups=numbers[rest] if chooses_penalty(classifier) else None,
        )
        scores[rows], of_fold[rows] = score_melanoma(member, _take(X, rows)), fold
        members.append(member)
        logger.info("fold %d of %d: trained on %d images, scored %d", fold + 1, folds, len(rest), len(rows))
    ensemble = Ensemble(members, combine=combine, threshold=classifier.threshold, verbose=verbose)
    readable = ~np.isnan(scores)
    ensemble.reference_scores_ = [scores[readable & (of_fold == fold)] for fold in range(folds)]
    ensemble.cross_validation_ = OutOfFold(
        scores=scores,
        folds=of_fold,
        labels=encoded,
        groups=numbers,
        name=name_of(X),
        settings={
            "folds": folds,
            "groups": groups if groups is None or isinstance(groups, str) else "given",
            "validation": _VALIDATIONS[validation],
            "random_state": seed,
        },
        image_ids=getattr(X, "image_ids", None),
        paths=getattr(X, "paths", None),
        skipped=tuple(getattr(X, "skipped", ())),
        history=getattr(X, "history", None),
    )
    return ensemble


def _check(classifier: TransferClassifier, folds: int, validation: str | None) -> None:
    if validation == "next_fold" and folds < 3:
        raise ParameterError(f"folds must be at least 3 with validation='next_fold', got {folds}")
    if classifier.early_stopping is not None and validation is None:
        raise ParameterError(
            "early_stopping watches the validation loss: pass validation='next_fold', which takes a fold from the "
            "training images for it, or set early_stopping=None and train each member for all its epochs"
        )
    classifier.check_parameters(validated=validation is not None)


def _read_labels(classifier: TransferClassifier, X: Any, y: ArrayLike | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the original labels, and the labels as 0 and 1."""
    if hasattr(X, "as_numpy_iterator"):
        raise DatasetError(
            "a tf.data.Dataset cannot be divided into folds: pass an ISBIDataset, paths, PIL images or an array"
        )
    labels = open_source(X, y).known_labels()
    classes = classifier._resolve_classes(labels)
    if len(classes.labels) > 2:
        raise DatasetError(
            f"{needs_two('cross_validate', classes)}. To cross-validate several diagnoses, score each fold with a "
            "classifier of the others: for train, test in X.folds(5): ..., or cross_val_predict(classifier, X, y, "
            "groups=patients, cv=StratifiedGroupKFold(5), method='predict_proba') of scikit-learn, and report with "
            "MulticlassReport.from_scores(y, scores, classes=classes, groups=patients)"
        )
    weights_of_classes(classifier.class_weight, classes)  # before images are read
    return labels, classes.encode(labels)


def _assign_groups(X: Any, n_images: int, groups: str | ArrayLike | None, *, verbose: int) -> NDArray[np.int64]:
    """Assign a number to each of the groups of images, in whatever form they are given."""
    if hasattr(X, "identify"):
        return assign_groups(X, groups, verbose=verbose)
    if isinstance(groups, str) and groups != "auto":
        raise DatasetError(
            f"only an ISBIDataset can be divided by {groups!r}: with other images pass groups=[...], one entry an image"
        )
    together = None if groups is None or isinstance(groups, str) else number_own_groups(groups, n_images)
    return find_groups(identify(X, verbose=verbose).fingerprints, together)


def _take(X: Any, rows: NDArray[np.intp]) -> Any:
    """Take some of the images; images without ids keep their original positions in messages."""
    return X[rows] if is_table(X) else Part(X, rows, name=name_of(X))
