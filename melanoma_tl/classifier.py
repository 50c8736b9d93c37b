"""`TransferClassifier`: learns melanoma from images, on top of a pre-trained backbone."""

import json
import logging
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone

from melanoma_tl.augmentation import Augmenter
from melanoma_tl.backbones import get_backbone
from melanoma_tl.backbones.weights import WeightsFile, find_weights
from melanoma_tl.balancing import Balancer
from melanoma_tl.datasets.leakage import Side, compare
from melanoma_tl.errors import DatasetError, LeakageWarning, NotFittedError, ParameterError
from melanoma_tl.features import FeatureExtractor
from melanoma_tl.fingerprints import Fingerprints
from melanoma_tl.images import SkippedRow, check_on_error
from melanoma_tl.network import build_network
from melanoma_tl.parts import NetworkParts, build_scorer, cut_network, with_precision
from melanoma_tl.persistence import load_model, save_model
from melanoma_tl.precision import Precision, resolve_precision
from melanoma_tl.recipes import get_recipe
from melanoma_tl.scoring import ScoringMixin, encode_labels
from melanoma_tl.sources import PreparedImages, open_source, prepare, read_batches
from melanoma_tl.symmetries import check_tta, symmetric_views
from melanoma_tl.versions import library_versions
from melanoma_tl.views import ImageViews, Inputs

logger = logging.getLogger(__name__)

_PIXELS_AT_ONCE = 32 * 224 * 224
"""Pixels of the images that go through the network at once: bounds the memory, whatever the size of the images."""


class TransferClassifier(ScoringMixin, BaseEstimator):
    """A melanoma classifier on a pre-trained backbone, in scikit-learn's grammar.

    Images go in as raw RGB, 0 to 255: the scaling that the backbone needs is part
    of the saved graph. Class 1 is melanoma.

    Parameters
    ----------
    backbone : str, default="vgg19"
        One of `list_backbones()`.
    weights : "imagenet", path or None, default="imagenet"
        Pre-trained weights of the backbone. "imagenet" looks in the folder that
        the environment variable ``MELANOMA_TL_WEIGHTS`` names, then in Keras's
        cache, then downloads. None starts from random weights.
    preprocessing : {"backbone", "rescale"}, default="backbone"
        What the weights were trained with, or a division by 255 as published.
    input_size : tuple of int or None, default=None
        (height, width) in pixels to which images are resized; None takes the backbone's.
    head : {"pooled", "published"} or callable, default="pooled"
        What stands between the last feature map and the score: its average; two
        dense layers of 4096 as published; or a function from the feature map (a
        Keras tensor of shape (n, h, w, channels)) to a tensor of shape (n, features).
    trainable_from : str or None, default=None
        First layer of the backbone that learns, such as "block5_conv2"; None freezes the backbone.
    balancer : Balancer or None, default=None
        Chooses the training rows; never applied to validation data.
    augmenter : Augmenter or None, default=None
        Changes the training images; never applied to validation data.
    class_weight : "balanced", dict or None, default=None
        Weight of each class in the loss; an alternative to a balancer.
    optimizer : str, default="adam"
        Name of a Keras optimizer.
    learning_rate : float, default=1e-3
        Its learning rate.
    batch_size : int, default=32
        Images a training step.
    epochs : int, default=20
        Largest number of epochs.
    steps_per_epoch : int or None, default=None
        Training steps an epoch; None makes an epoch one pass over the chosen rows.
    early_stopping : int or None, default=None
        Epochs without a smaller validation loss after which training stops.
    restore_best : bool, default=True
        Go back to the epoch of the smallest validation loss, where there is validation data.
    precision : {"auto", "float32", "bfloat16", "mixed_bfloat16"}, default="auto"
        What the network computes with; its weights are float32 in any case. "bfloat16" is for the
        frozen part alone, "mixed_bfloat16" for the part that learns too. "auto" is "bfloat16" where
        the processor multiplies it natively (a CPU with AVX512-BF16 or AMX, a GPU from NVIDIA's
        Ampere on), and "float32" elsewhere.
    feature_budget : int or None, default=None
        Bytes on disk that stored features of the frozen part may take, those of all runs
        together. None takes half of what is free, 0 stores nothing. What does not fit is
        computed in every epoch.
    threshold : float, default=0.5
        `predict` says melanoma strictly above it.
    tta : {1, 2, 4, 8}, default=1
        Test-time augmentation: how many views of an image are scored, the mean of whose
        probabilities is its score. 2 are the image and its left-right mirror image; 4 are these
        upside down as well; 8 are these turned by 90 degrees as well, which needs a square
        `input_size`. Training is not concerned.
    on_error : {"raise", "skip"}, default="raise"
        What to do with images that cannot be read: stop, or leave them out of
        training and give them NaN as scores.
    random_state : int or None, default=None
        Seed of initial weights, order, balancing and augmentation. The same seed,
        data and backend give the same result up to the rounding of parallel sums;
        ``tf.config.experimental.enable_op_determinism()`` removes that too, on one machine.
    verbose : int, default=1
        0 shows no progress.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The classes as they stood in `y`; the second is melanoma.
    history_ : dict of str to list of float
        loss, accuracy and auc after each epoch, and with the prefix ``val_`` those of the validation data.
    model_ : keras.Model
        The flat graph, from raw images (n, height, width, 3) to scores (n, 1).
    fingerprints_ : dict of str to Fingerprints
        What the images of "training" (those the balancer chose) and "validation" can be
        recognised by, but not restored from.
    skipped_ : tuple of SkippedRow
        Training and validation images that could not be read.
    provenance_ : dict
        What produced this model: parameters, recipe, seed, weights, data and versions.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype="uint8")
    >>> clf = TransferClassifier(weights=None, input_size=(32, 32), epochs=1, random_state=0, verbose=0)
    >>> clf.fit(images, [0, 1] * 4).predict_proba(images).shape
    (8, 2)
    """

    def __init__(
        self,
        backbone: str = "vgg19",
        *,
        weights: str | os.PathLike[str] | None = "imagenet",
        preprocessing: str = "backbone",
        input_size: tuple[int, int] | None = None,
        head: str | Callable[[Any], Any] = "pooled",
        trainable_from: str | None = None,
        balancer: Balancer | None = None,
        augmenter: Augmenter | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        optimizer: str = "adam",
        learning_rate: float = 1e-3,
        batch_size: int = 32,
        epochs: int = 20,
        steps_per_epoch: int | None = None,
        early_stopping: int | None = None,
        restore_best: bool = True,
        precision: str = "auto",
        feature_budget: int | None = None,
        threshold: float = 0.5,
        tta: int = 1,
        on_error: str = "raise",
        random_state: int | None = None,
        verbose: int = 1,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.preprocessing = preprocessing
        self.input_size = input_size
        self.head = head
        self.trainable_from = trainable_from
        self.balancer = balancer
        self.augmenter = augmenter
        self.class_weight = class_weight
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.early_stopping = early_stopping
        self.restore_best = restore_best
        self.precision = precision
        self.feature_budget = feature_budget
        self.threshold = threshold
        self.tta = tta
        self.on_error = on_error
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def from_recipe(cls, name: str, **changes: Any) -> Self:
        """Make a classifier from a named, complete set-up.

        Parameters
        ----------
        name : str
            One of `list_recipes()`; "paper" is the published network and training.
        **changes : dict
            Parameters that differ from the recipe.

        Returns
        -------
        TransferClassifier
            Not fitted.

        Raises
        ------
        UnknownNameError
            If there is no such recipe.

        Examples
        --------
        >>> TransferClassifier.from_recipe("paper", epochs=1).trainable_from
        'block5_conv2'
        """
        classifier = cls(**(get_recipe(name) | changes))
        classifier._recipe = name + (f" with {', '.join(sorted(changes))} changed" if changes else "")
        return classifier

    # What `clone` does not know about: a clone is described by its parameters alone.
    _recipe = "none"

    # -- training --------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: ArrayLike | None = None, *, validation_data: Any = None) -> Self:
        """Train.

        Every image that was never used at this size is decoded once, into the cache folder
        (`melanoma_tl.cache`), before training starts. So is what the frozen part of the network
        makes of it: epochs, and later runs with the same frozen part, read it from there. Where
        validation data share images, near-duplicates, lesions or patients with training data,
        a `LeakageWarning` says so.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Training images, raw RGB.
        y : array-like of shape (n_images,), optional
            Their classes, where `X` has none.
        validation_data : ISBIDataset, tf.data.Dataset or (X, y), optional
            Watched after each epoch; never balanced nor augmented.

        Returns
        -------
        TransferClassifier
            Itself.

        Raises
        ------
        DatasetError
            If there are not two classes, or `X` and `y` do not fit.
        ImageError
            If an image cannot be read and `on_error` is "raise".
        ParameterError
            If a parameter cannot be used.
        WeightsUnavailableError
            If the weights cannot be found or fetched.
        """
        from melanoma_tl.training import TrainingBatches, TrainingPlan, compile_network, train

        self._check_parameters(validated=validation_data is not None)
        seed = int(np.random.SeedSequence(self.random_state).generate_state(1)[0] >> 1)
        spec = get_backbone(self.backbone)
        weights = find_weights(spec, self.weights)
        model = build_network(
            spec,
            weights=weights,
            input_size=self._size(),
            preprocessing=self.preprocessing,
            head=self.head,
            trainable_from=self.trainable_from,
            random_state=seed,
        )
        parts = cut_network(model)
        precision = resolve_precision(self.precision)
        learner = with_precision(parts.trained, precision.trained)
        compile_network(learner, self.optimizer, self.learning_rate)
        training = self._prepare(X, y, "training images")
        classes, encoded = _encode(training.labels)
        validation = None if validation_data is None else self._prepare_validation(validation_data)
        rows = self._choose_rows(encoded, seed)
        if validation is not None:
            _warn_of_leakage(validation.identity, training.identity)
        plan = TrainingPlan(
            batch_size=self.batch_size,
            epochs=self.epochs,
            steps_per_epoch=self.steps_per_epoch,
            early_stopping=self.early_stopping,
            restore_best=self.restore_best,
            class_weight=self._weights_of_classes(classes, encoded[rows]),
            seed=seed,
            verbose=self.verbose,
        )
        extract = self._feature_source(parts, precision, training.recipe)
        shown = ImageViews(training.pixels, training.contents, _seeded(self.augmenter, seed))
        inputs = extract(shown, rows, plan.count_turns(rows), "training images")
        watched = None
        if validation is not None:
            shown = ImageViews(validation.pixels, validation.contents, None)
            every_row = np.arange(len(validation.labels))
            watched = extract(shown, every_row, 1, "validation images"), _encode(validation.labels, classes)[1]
        history = train(learner, TrainingBatches(inputs, encoded, rows, plan), watched, plan)
        if learner is not parts.trained:
            parts.trained.set_weights(learner.get_weights())
        self.model_, self.classes_, self.history_ = model, classes, history
        self.fingerprints_ = {"training": training.identity.fingerprints[np.unique(rows)]} | (
            {} if validation is None else {"validation": validation.identity.fingerprints}
        )
        self.skipped_ = training.skipped + (() if validation is None else validation.skipped)
        self.provenance_ = self._describe_training(
            weights, seed, (X, training, encoded[rows]), None if validation is None else (validation_data, validation)
        )
        return self

    def _check_parameters(self, *, validated: bool) -> None:
        check_on_error(self.on_error)
        for name in ("batch_size", "epochs", "steps_per_epoch", "early_stopping"):
            value = getattr(self, name)
            optional = name in ("steps_per_epoch", "early_stopping")
            if not (optional and value is None) and not (isinstance(value, int | np.integer) and value >= 1):
                raise ParameterError(
                    f"{name} must be {'None or ' * optional}a whole number of at least 1, got {value!r}"
                )
        if self.input_size is not None and (len(np.ravel(self.input_size)) != 2 or min(self.input_size) < 1):
            raise ParameterError(f"input_size must be None or (height, width) in pixels, got {self.input_size!r}")
        if self.augmenter is not None:
            self.augmenter.check_parameters()
        if self.early_stopping is not None and not validated:
            raise ParameterError("early_stopping watches the validation loss: pass validation_data to fit")
        resolve_precision(self.precision)
        if self.feature_budget is not None and not self.feature_budget >= 0:
            raise ParameterError(f"feature_budget must be None or bytes, at least 0, got {self.feature_budget!r}")
        if not self.learning_rate > 0:
            raise ParameterError(f"learning_rate must be above 0, got {self.learning_rate!r}")
        if not 0 <= self.threshold <= 1:
            raise ParameterError(f"threshold must be a probability, 0 to 1, got {self.threshold!r}")
        check_tta(self.tta, self._size())

    def _size(self) -> tuple[int, int]:
        height, width = self.input_size or get_backbone(self.backbone).input_size
        return height, width

    def _prepare(self, X: Any, y: ArrayLike | None, what: str) -> PreparedImages:
        return prepare(X, y, self._size(), on_error=self.on_error, desc=f"Read {what}", verbose=self.verbose)

    def _prepare_validation(self, validation_data: Any) -> PreparedImages:
        pair = validation_data if isinstance(validation_data, tuple) else (validation_data, None)
        if len(pair) != 2:
            raise DatasetError(f"validation_data must be a dataset or (X, y), got a tuple of {len(pair)}")
        return self._prepare(*pair, "validation images")

    def _feature_source(self, parts: NetworkParts, precision: Precision, recipe: str) -> Callable[..., Inputs]:
        """Return what turns views of images into what the learning part of the network reads."""
        if parts.frozen is None:
            return lambda images, *_: images
        extractor = FeatureExtractor(
            parts.frozen,
            policy=precision.frozen,
            recipe=recipe,
            budget=self.feature_budget,
            batch_size=count_images_at_once(self._size()),
            verbose=self.verbose,
        )
        return extractor.extract

    def _choose_rows(self, encoded: NDArray[np.int64], seed: int) -> NDArray[np.intp]:
        rows = np.arange(len(encoded))
        if self.balancer is None:
            return rows
        return _seeded(self.balancer, seed).fit_resample(rows.reshape(-1, 1), encoded)[0][:, 0]

    def _weights_of_classes(self, classes: NDArray[Any], encoded: NDArray[np.int64]) -> dict[int, float] | None:
        if self.class_weight is None:
            return None
        if self.class_weight == "balanced":
            return Balancer().class_weight(encoded)
        if not isinstance(self.class_weight, Mapping) or set(self.class_weight) != set(classes.tolist()):
            raise ParameterError(
                f"class_weight must be None, 'balanced' or a weight for each of {classes.tolist()}, "
                f"got {self.class_weight!r}"
            )
        return {position: float(self.class_weight[label]) for position, label in enumerate(classes.tolist())}

    # -- prediction ------------------------------------------------------------------------------------------------

    def predict_proba(self, X: Any, tta: int | None = None) -> NDArray[np.float64]:
        """Score images.

        Images are decoded, resized and scored batch by batch: memory does not grow with their
        number. Each is decoded once, however many views of it are scored.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Images, raw RGB.
        tta : {1, 2, 4, 8}, optional
            Number of views to average; that of the constructor by default.

        Returns
        -------
        ndarray of shape (n_images, 2) and dtype float64
            Probabilities of benign and melanoma; NaN where an image could not be
            read and `on_error` is "skip".

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        ImageError
            If an image cannot be read and `on_error` is "raise".
        ParameterError
            If `tta` is none of these numbers, or 8 and the images are not square.

        Notes
        -----
        Views are averaged as probabilities, as the winners of ISIC 2020 did (Ha, Liu and Liu 2020,
        arXiv:2010.05351), not as logits: a single view whose score rounds to 0 or 1 would decide a
        mean of logits. By Jensen's inequality neither log loss nor Brier score of the mean is
        worse than their means over the views.
        """
        self._check_fitted()
        check_on_error(self.on_error)
        network = self._scorer()
        size = tuple(network.inputs[0].shape[1:3])
        n_views = self.tta if tta is None else tta
        check_tta(n_views, size)
        scores: list[NDArray[np.float64]] = []
        skipped: list[SkippedRow] = []
        for batch in read_batches(
            open_source(X),
            size,
            batch_size=count_images_at_once(size),
            on_error=self.on_error,
            desc="Score images",
            verbose=self.verbose,
        ):
            of_batch = np.full(len(batch.readable), np.nan)
            if len(batch.pixels):
                of_batch[batch.readable] = _mean_score(network, batch.pixels, n_views)
            scores.append(of_batch)
            skipped += batch.skipped
        for row in skipped:
            logger.warning("no score for %s: %s", row.path or row.image_id, row.reason)
        melanoma = np.concatenate(scores)
        return np.column_stack([1 - melanoma, melanoma])

    def _scorer(self) -> Any:
        """Return the network that scores, made again if the model or the precision is another."""
        precision = resolve_precision(self.precision)
        model, of_precision, network = self.__dict__.get("_scorer_of", (None, None, None))
        if model is not self.model_ or of_precision != precision:
            network = build_scorer(self.model_, precision)
            self._scorer_of = (self.model_, precision, network)
        return network

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_scorer_of"}

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise NotFittedError("this TransferClassifier is not fitted: call fit, or TransferClassifier.load")

    # -- keeping ---------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, its classes, threshold, history and provenance into one file.

        Parameters
        ----------
        path : path
            Must end in ``.keras``; plain Keras opens the file too, in its safe mode.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        ModelFileError
            If the path does not end in ``.keras``.
        """
        self._check_fitted()
        save_model(
            self.model_,
            {
                "parameters": self._describe_parameters(),
                "classes": self.classes_.tolist(),
                "history": self.history_,
                "skipped": [list(row) for row in self.skipped_],
                "fingerprints": {role: images.to_state() for role, images in self.fingerprints_.items()},
                "provenance": self.provenance_,
            },
            Path(path),
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model that `save` wrote; no code from the file is run.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        TransferClassifier
            Fitted. A head that was a function is in the graph, but cannot be fitted anew.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, not one of ours, or from a newer version.
        """
        saved = load_model(Path(path))
        state = saved.state
        parameters = dict(state["parameters"])
        for name, kind in (("balancer", Balancer), ("augmenter", Augmenter)):
            if parameters[name] is not None:
                parameters[name] = kind(**_tuples(parameters[name]))
        if isinstance(parameters["class_weight"], dict):  # JSON turned its keys into words
            parameters["class_weight"] = {label: parameters["class_weight"][str(label)] for label in state["classes"]}
        classifier = cls(**_tuples(parameters))
        classifier.model_ = saved.model
        classifier.classes_ = np.array(state["classes"])
        classifier.history_ = state["history"]
        classifier.skipped_ = tuple(SkippedRow(*row) for row in state["skipped"])
        classifier.provenance_ = state["provenance"]
        classifier.fingerprints_ = {role: Fingerprints.from_state(kept) for role, kept in state["fingerprints"].items()}
        return classifier

    def _describe_parameters(self) -> dict[str, Any]:
        """Give the parameters as JSON can hold them."""
        parameters = self.get_params(deep=False)
        for name in ("balancer", "augmenter"):
            if parameters[name] is not None:
                parameters[name] = parameters[name].get_params()
        if callable(self.head):
            parameters["head"] = f"function {getattr(self.head, '__name__', type(self.head).__name__)}"
        if isinstance(self.weights, os.PathLike):
            parameters["weights"] = os.fspath(self.weights)
        return json.loads(json.dumps(parameters, default=_plain))

    def _describe_training(
        self,
        weights: WeightsFile | None,
        seed: int,
        training: tuple[Any, PreparedImages, NDArray[np.int64]],
        validation: tuple[Any, PreparedImages] | None,
    ) -> dict[str, Any]:
        X, prepared, chosen = training
        return {
            "recipe": self._recipe,
            "parameters": self._describe_parameters(),
            "seed": seed if self.random_state is None else self.random_state,
            "weights": "random" if weights is None else asdict(weights) | {"path": Path(weights.path).name},
            "precision": resolve_precision(self.precision)._asdict(),
            "training_data": _describe_data(X, prepared)
            | {"rows_of_each_class_in_a_pass": np.bincount(chosen, minlength=2).tolist()},
            "validation_data": None if validation is None else _describe_data(*validation),
            "epochs_run": len(self.history_.get("loss", [])),
            "versions": library_versions(),
            "trained": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def count_images_at_once(size: tuple[int, int]) -> int:
    """Tell how many images go through the network at once where nothing else decides.

    Parameters
    ----------
    size : tuple of int
        (height, width) in pixels.

    Returns
    -------
    int
        At least 1; 32 at 224x224.
    """
    return max(1, _PIXELS_AT_ONCE // (size[0] * size[1]))


def _mean_score(network: Any, images: NDArray[np.uint8], n_views: int) -> NDArray[np.float64]:
    views = symmetric_views(images, n_views)
    return np.mean([network.predict_on_batch(view)[:, 0] for view in views], axis=0, dtype=np.float64)


def _encode(labels: NDArray[Any], classes: NDArray[Any] | None = None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the two classes, melanoma second, and each label's position among them."""
    if classes is None:
        return encode_labels(labels)
    found = np.unique(labels)
    if not np.isin(found, classes).all():
        raise DatasetError(f"validation classes {found.tolist()} are not those of training, {classes.tolist()}")
    return classes, np.searchsorted(classes, labels).astype(np.int64)


def _warn_of_leakage(validation: Side, training: Side) -> None:
    overlap = compare(validation, training)
    if len(overlap):
        warnings.warn(
            f"{overlap}. The validation figures, and what is chosen by them, are too good: "
            "take the images out with valid.overlap(train).remove_from(valid)",
            LeakageWarning,
            stacklevel=3,
        )


def _seeded(part: Any, seed: int) -> Any:
    """Give a balancer or an augmenter without a seed of its own the classifier's."""
    if part is None or getattr(part, "random_state", None) is not None:
        return part
    return clone(part).set_params(random_state=seed)


def _describe_data(X: Any, prepared: PreparedImages) -> dict[str, Any]:
    classes, counts = np.unique(prepared.labels, return_counts=True)
    return {
        "name": prepared.identity.name,
        "counts": dict(zip(map(str, classes.tolist()), counts.tolist(), strict=True)),
        "skipped": len(prepared.skipped) + len(getattr(X, "skipped", ())),
    }


def _tuples(parameters: dict[str, Any]) -> dict[str, Any]:
    """Undo what JSON did to tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
