"""`TransferClassifier`: learns melanoma from images, on top of a pre-trained backbone."""

import hashlib
import inspect
import json
import logging
import os
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone

from melanoma_tl._keras.isolation import own_settings
from melanoma_tl._parameters import (
    CLASS_WEIGHT,
    COUNT,
    FLAG,
    FUNCTION,
    NONE,
    ON_ERROR,
    PATH,
    PROBABILITY,
    SEED,
    SHARE,
    SIZE,
    TABLE,
    TEXT,
    VERBOSE,
    check,
    checked,
    choice,
    holding,
    instance,
    listed,
    one_of,
    real,
    several,
    whole,
)
from melanoma_tl._versions import library_versions
from melanoma_tl.augmentation import Augmenter
from melanoma_tl.backbones import BackboneSpec, get_backbone, list_backbones
from melanoma_tl.backbones.building import is_foreign
from melanoma_tl.backbones.weights import WeightsFile, find_weights
from melanoma_tl.balancing import Balancer
from melanoma_tl.classifier.scoring import ScoringMixin, describe_scores, scores_of
from melanoma_tl.classifier.tuning import TuningMixin
from melanoma_tl.datasets.leakage import compare
from melanoma_tl.distribution import forget_networks
from melanoma_tl.errors import DatasetError, ModelFileError, NotFittedError, ParameterError, UnknownNameError
from melanoma_tl.images.decoding import SkippedRow
from melanoma_tl.images.loading import PreparedImages, open_source, prepare, read_batches
from melanoma_tl.images.symmetries import COUNTS, check_tta, symmetric_views
from melanoma_tl.labels.classes import Classes, as_labels
from melanoma_tl.metrics.estimators import classes_of
from melanoma_tl.network.cutting import FrozenPart, build_scorer, describe_network
from melanoma_tl.network.graph import (
    PREPROCESSINGS,
    Network,
    build_network,
    first_layer_that_learns,
    freeze,
    uncompiled,
)
from melanoma_tl.network.heads import HEADS, Head, name_head
from melanoma_tl.network.pooling import POOLINGS
from melanoma_tl.network.precision import PRECISIONS, computes_on_gpu, resolve_precision
from melanoma_tl.network.scoring_graph import with_calibration, with_tuning, without_calibration
from melanoma_tl.recipes import get_recipe, list_recipes
from melanoma_tl.saving.audit import Interface, show
from melanoma_tl.saving.document_rules import LABEL, read_parts
from melanoma_tl.saving.export import Exportable, ExportedModel, export_model
from melanoma_tl.saving.model_file import check_can_be_saved, how_to_read, load_model, save_model
from melanoma_tl.training.mixing import MIXES
from melanoma_tl.training.replicas import ALONE, DISTRIBUTIONS, Replicas, find_replicas
from melanoma_tl.training.stages import Probe, Stage

if TYPE_CHECKING:
    from melanoma_tl.training.checkpoints import RunFolder
    from melanoma_tl.training.learning_rate_finder import LearningRateDisplay
    from melanoma_tl.training.loop import Training
    from melanoma_tl.training.plan import TrainingPlan
    from melanoma_tl.training.staged import StagedTraining, TrainingData

logger = logging.getLogger(__name__)

_LOSSES = ("crossentropy", "focal")

_PARAMETERS = {
    "backbone": TEXT,
    "weights": PATH | NONE,
    "preprocessing": choice(*PREPROCESSINGS),
    "input_size": SIZE | NONE,
    "head": choice(*HEADS) | FUNCTION,
    "pooling": choice(*POOLINGS) | NONE,
    "taps": several(TEXT),
    "dropout": SHARE,
    "trainable_from": TEXT | COUNT | NONE,
    "stages": several(instance(Stage, Probe), at_least=1) | NONE,
    "train_batch_norm": FLAG,
    "balancer": instance(Balancer) | NONE,
    "augmenter": instance(Augmenter) | NONE,
    "class_weight": CLASS_WEIGHT,
    "loss": choice(*_LOSSES),
    "label_smoothing": SHARE,
    "mix": choice(*MIXES) | NONE,
    "optimizer": TEXT,
    "learning_rate": real(above=0),
    "weight_decay": real(at_least=0),
    "clip_norm": real(above=0) | NONE,
    "ema_momentum": real(above=0, below=1) | NONE,
    "batch_size": COUNT,
    "epochs": COUNT,
    "steps_per_epoch": COUNT | NONE,
    "early_stopping": COUNT | NONE,
    "restore_best": FLAG,
    "precision": choice("auto", *PRECISIONS),
    "feature_budget": real(at_least=0) | NONE,
    "distribution": choice(*DISTRIBUTIONS) | NONE,
    "threshold": PROBABILITY,
    "tta": one_of(*COUNTS),
    "on_error": ON_ERROR,
    "random_state": SEED,
    "verbose": VERBOSE,
}

_PIXELS_AT_ONCE = 16 * 224 * 224
"""Pixels of the images that go through the network at once: bounds the memory, whatever the size of the images. On two
cores, VGG19 scored 1 % fewer images a second than with twice as many pixels, and took 300 of 1,700 MiB less."""

_TIMES_AS_MANY_ON_GPU = 4
"""An accelerator needs larger batches to be busy."""

_OWN = ("weights", "verbose")
"""Parameters that may be others in each process: weights are compared themselves, not where they lie."""

_OF_NO_RECIPE = frozenset(
    {"weights", "random_state", "verbose", "threshold", "precision", "distribution", "feature_budget", "on_error"}
)
"""Parameters that say where and how something is run, and not what is trained."""

_CALLBACKS = several(holding("set_model", "a callback of Keras"))

_OF_SCORING = {name: _PARAMETERS[name] for name in ("precision", "tta", "on_error", "verbose")}
"""What can be set anew after `fit`."""
_VALIDATION_LABELS = "the validation data"

_PARTS = {"balancer": Balancer, "augmenter": Augmenter}
"""The parameters that have parameters."""


class TransferClassifier(TuningMixin, ScoringMixin, BaseEstimator):
    """A melanoma classifier on a pre-trained backbone, in scikit-learn's grammar.

    Images go in as raw RGB, 0 to 255: the scaling that the backbone needs is part
    of the saved graph. Of two classes, one is melanoma, whatever the order of their names; labels of
    several diagnoses train a network that tells them apart.

    Parameters
    ----------
    backbone : str, default="vgg19"
        One of `list_backbones()`, or "kerashub:" and a preset of KerasHub.
    weights : "imagenet", path or None, default="imagenet"
        Pre-trained weights of the backbone. "imagenet" looks in the folder that
        the environment variable ``MELANOMA_TL_WEIGHTS`` names, then in Keras's
        cache, then downloads; for a preset of KerasHub it means the preset's own weights.
        None starts from random weights.
    preprocessing : {"backbone", "rescale"}, default="backbone"
        What the weights were trained with, or a division by 255 as published.
    input_size : tuple of int or None, default=None
        (height, width) in pixels to which images are resized; None takes the backbone's.
    head : {"pooled", "published"}, callable or keras.Layer, default="pooled"
        What stands between the last feature map and the score: its average; two
        dense layers of 4096 as published; a function from the feature map (a
        Keras tensor of shape (n, h, w, channels)) to a tensor of shape (n, features), which makes new layers
        whenever it is called; or a layer or network of Keras that does so. The latter is a pattern: every `fit`
        makes it again from its configuration, with new weights, and leaves the object as it is.
    pooling : {"avg", "max", "avg_max", "log_center"} or None, default=None
        What the "pooled" head takes of each channel of a feature map: average, maximum or both; or the logarithm of
        an average that counts the middle of the image, where the lesion lies, more than its edges
        (`melanoma_tl.network.pool`). None takes what the backbone recommends, the average for all of Keras's.
    taps : sequence of str, default=()
        Layers of the backbone, such as "block5_conv1", whose feature maps the "pooled" head
        takes beside the last one.
    dropout : float, default=0.0
        Share of the features before the score that each training step leaves out, 0 up to but not 1.
    trainable_from : str, int or None, default=None
        First layer of the backbone that learns, such as "block5_conv2"; or how many of its last
        stages do; None freezes the backbone.
    stages : sequence of Stage or Probe, or None, default=None
        What training goes through, one after the other, such as ``(Probe(), Stage(trainable_from=1))``;
        None is one stage from `trainable_from` on. Each starts with the weights that the one before
        ended with, and from features that are stored up to its first layer that learns.
    train_batch_norm : bool, default=False
        Whether batch normalisation learns where the backbone does. Small medical batches spoil its
        statistics, so that it stays still by default.
    balancer : Balancer or None, default=None
        Chooses the training rows; never applied to validation data.
    augmenter : Augmenter or None, default=None
        Changes the training images; never applied to validation data.
    pos_label : object, default=None
        The label in `y` that means melanoma. None takes what the words say: 1 and not 0, "melanoma" and
        not "nevus", "mel" and not "nv"; where they say nothing, `fit` stops.
    class_weight : "balanced", dict or None, default=None
        Weight of each class in the loss, by its label; an alternative to a balancer.
    loss : {"crossentropy", "focal"}, default="crossentropy"
        What is made small; "focal" is Keras's `BinaryFocalCrossentropy` with its gamma of 2
        (Lin et al. 2017, arXiv:1708.02002).
    label_smoothing : float, default=0.0
        Takes a label of 1 for 1 less half of this and 0 for half of it, 0 up to but not 1.
    mix : {"mixup", "cutmix"} or None, default=None
        Makes training images of two each, with labels in between; nothing can be stored then.
    optimizer : str, default="adam"
        Name of a Keras optimizer.
    learning_rate : float, default=1e-3
        Its learning rate; `find_learning_rate` suggests one.
    weight_decay : float, default=0.0
        What each step takes off the kernels, as a multiple of the learning rate.
    clip_norm : float or None, default=None
        Largest norm of all gradients together.
    ema_momentum : float or None, default=None
        Takes the moving average of the weights with this momentum, such as 0.99, for the weights
        (Keras's `SwapEMAWeights`); None takes the weights themselves.
    batch_size : int, default=32
        Images a training step.
    epochs : int, default=20
        Largest number of epochs, of each stage that does not say otherwise.
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
    distribution : {"auto", "data_parallel"} or None, default="auto"
        On which devices the part that learns is trained: "data_parallel" takes all, each of which sees its
        share of every batch, and so does "auto" where the backend can (TensorFlow and JAX); None takes one.
        With JAX these may be the devices of several hosts. With one device there is no difference.
    threshold : float, default=0.5
        `predict` says melanoma strictly above it, unless `tune_threshold` chose another one.
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
    classes_ : ndarray of shape (n_classes,)
        The classes as they stood in `y`, sorted.
    pos_label_ : object
        Which of them is melanoma; None where they are more than two, and none or several are.
    history_ : dict of str to list of float
        loss, accuracy and auc after each epoch of each stage, and with the prefix ``val_`` those of the
        validation data. A `Probe` counts as one epoch; mixed images count as what most of them is.
    model_ : keras.Model
        The flat graph, from raw images (n, height, width, 3) to scores (n, 1), or (n, n_classes) of several diagnoses.
    threshold_ : float
        What `predict` compares with: the threshold of `tune_threshold`, else the parameter.
    calibration_ : Calibration
        Only after `calibrate`.
    operating_point_ : OperatingPoint
        Only after `tune_threshold`.
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
        head: Head = "pooled",
        pooling: str | None = None,
        taps: Sequence[str] = (),
        dropout: float = 0.0,
        trainable_from: str | int | None = None,
        stages: Sequence[Stage | Probe] | None = None,
        train_batch_norm: bool = False,
        balancer: Balancer | None = None,
        augmenter: Augmenter | None = None,
        pos_label: Any = None,
        class_weight: str | Mapping[Any, float] | None = None,
        loss: str = "crossentropy",
        label_smoothing: float = 0.0,
        mix: str | None = None,
        optimizer: str = "adam",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        ema_momentum: float | None = None,
        batch_size: int = 32,
        epochs: int = 20,
        steps_per_epoch: int | None = None,
        early_stopping: int | None = None,
        restore_best: bool = True,
        precision: str = "auto",
        feature_budget: int | None = None,
        distribution: str | None = "auto",
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
        self.pooling = pooling
        self.taps = taps
        self.dropout = dropout
        self.trainable_from = trainable_from
        self.stages = stages
        self.train_batch_norm = train_batch_norm
        self.balancer = balancer
        self.augmenter = augmenter
        self.pos_label = pos_label
        self.class_weight = class_weight
        self.loss = loss
        self.label_smoothing = label_smoothing
        self.mix = mix
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.ema_momentum = ema_momentum
        self.batch_size = batch_size
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.early_stopping = early_stopping
        self.restore_best = restore_best
        self.precision = precision
        self.feature_budget = feature_budget
        self.distribution = distribution
        self.threshold = threshold
        self.tta = tta
        self.on_error = on_error
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    @checked(name=TEXT)
    def from_recipe(cls, name: str, **changes: Any) -> Self:
        """Make a classifier from a named, complete set-up.

        Parameters
        ----------
        name : str
            One of `list_recipes()`; "paper" is the published network and training, "fast" takes minutes,
            "best" four times as long.
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
        return cls(**(get_recipe(name) | changes))

    # -- training --------------------------------------------------------------------------------------------------

    @checked(callbacks=_CALLBACKS, resume=FLAG)
    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        validation_data: Any = None,
        callbacks: Sequence[Any] = (),
        resume: bool = False,
    ) -> Self:
        """Train.

        Every image that was never used at this size is decoded once, into the cache folder
        (`melanoma_tl.cache`), before training starts. So is what the frozen part of the network
        makes of it: epochs, and later runs with the same frozen part, read it from there. Where
        validation data share images, near-duplicates, lesions or patients with training data,
        a `LeakageWarning` says so.

        Where a callback raises, or the user interrupts training (Ctrl-C), after an epoch has
        finished, the classifier is left with the weights it had reached, the best ones where
        `restore_best` says so, and the exception goes on.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Training images, raw RGB.
        y : array-like of shape (n_images,), optional
            Their classes, where `X` has none; two, or several diagnoses.
        validation_data : ISBIDataset, tf.data.Dataset or (X, y), optional
            Watched after each epoch; never balanced nor augmented. Its labels are in the words of the
            training labels, or 0 and 1, where 1 is melanoma.
        callbacks : sequence of keras.callbacks.Callback, default=()
            Called while each stage is trained, on the part of the network that learns; epochs are counted on from
            stage to stage. What ``model.save`` writes in a callback, and so ``ModelCheckpoint``, is the whole network,
            which plain Keras opens; a ``CSVLogger`` has the rows of all stages.
        resume : bool, default=False
            Keep each finished epoch in the cache folder until training is over. The same call,
            made again after the process was killed, then goes on after the last finished epoch and
            ends with the weights of an unbroken run. What Keras's own callbacks remember is kept with it, what
            callbacks of yours remember is not, and the log says so. Needs a `random_state`; nothing is kept
            where the first call did not ask for it.

        Returns
        -------
        TransferClassifier
            Itself.

        Raises
        ------
        DatasetError
            If a label is missing, there is only one class, nothing says which of two is melanoma, or `X` and
            `y` do not fit; before any image is read, unless labels come with the images one by one.
        ImageError
            If an image cannot be read and `on_error` is "raise".
        ParameterError
            If a parameter or a callback cannot be used.
        UnknownNameError
            If a validation label is none of the training labels.
        TrainingError
            If the loss is no number any more, or the memory is full.
        WeightsUnavailableError
            If the weights cannot be found or fetched.
        """
        from melanoma_tl.training.callbacks import check_callbacks

        self.check_parameters(validated=validation_data is not None)
        check_callbacks(callbacks, resume=resume)
        replicas = find_replicas(self.distribution)
        if self.random_state is None and (resume or replicas.n_processes > 1):
            what = "resume=True finds a run again" if resume else "processes that train together begin alike"
            raise ParameterError(f"{what} by its seed: give a random_state")
        self._check_labels(X, y, validation_data)
        seed = self._draw_seed()
        with own_settings(seed):
            return self._fit(X, y, validation_data, callbacks, replicas, seed, resume=resume)

    def _fit(
        self,
        X: Any,
        y: ArrayLike | None,
        validation_data: Any,
        callbacks: Sequence[Any],
        replicas: Replicas,
        seed: int,
        *,
        resume: bool,
    ) -> Self:
        """Train, when what can be checked without a network has been."""
        from melanoma_tl.training.loop import held

        forget_networks()
        spec = get_backbone(self.backbone)
        weights = find_weights(spec, self.weights)
        network = self._build(spec, weights, seed)
        data, classes = self._read_data(X, y, validation_data, seed)
        if data.n_classes > 2:
            network = self._build(spec, weights, seed, n_classes=data.n_classes)
        plans = self._plan(classes, data, seed)
        replicas.check_same(self._describe_process(network, data))
        with held(callbacks):
            training = self._train(self._open(network, spec, data, seed, replicas), plans, callbacks, resume=resume)
        self.model_, self.history_ = uncompiled(network.model), training.history
        self.classes_, self.pos_label_ = classes.labels, classes.pos_label
        images = data.training.identity.fingerprints[np.unique(data.rows)]
        self.fingerprints_ = {"training": images} | (
            {} if data.validation is None else {"validation": data.validation.identity.fingerprints}
        )
        self.skipped_ = data.training.skipped + (() if data.validation is None else data.validation.skipped)
        self.provenance_ = self._describe_training(weights, seed, data, classes, X, validation_data)
        self._forget_tuning()
        if training.interruption is not None:
            n_epochs = len(training.history["loss"])
            logger.warning("fit was interrupted after epoch %d; the classifier holds what it had reached", n_epochs)
            self.provenance_["interrupted_by"] = repr(training.interruption)
            raise training.interruption
        return self

    @checked(lowest=real(above=0), highest=real(above=0), steps=whole(at_least=2))
    @own_settings()
    def find_learning_rate(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        lowest: float = 1e-7,
        highest: float = 1.0,
        steps: int = 100,
    ) -> "LearningRateDisplay":
        """Try ever larger learning rates, one training step each (Smith 2017, arXiv:1506.01186).

        The rate is that of the first `Stage`; a `Probe` before it is solved first. The classifier
        itself is not changed.

        Parameters
        ----------
        X, y : object
            Training images, as for `fit`.
        lowest, highest : float, default=1e-7 and 1.0
            Between which rates; the search ends before where the loss explodes.
        steps : int, default=100
            How many rates.

        Returns
        -------
        LearningRateDisplay
            With ``suggestion`` and ``plot()``.

        Raises
        ------
        ParameterError
            If no stage is trained by steps, or the rates are in the wrong order.
        TrainingError
            If the loss is no number from the first step on.
        """
        from melanoma_tl.training.learning_rate_finder import search

        self.check_parameters(validated=True)
        if not lowest < highest:
            raise ParameterError(f"lowest must be below highest, got {lowest!r} and {highest!r}")
        self._check_labels(X, y)
        seed = self._draw_seed()
        spec = get_backbone(self.backbone)
        data, classes = self._read_data(X, y, None, seed)
        network = self._build(spec, find_weights(spec, self.weights), seed, n_classes=data.n_classes)
        training = self._open(network, spec, data, seed, ALONE)
        for stage, plan in zip(self._stages(), self._plan(classes, data, seed), strict=True):
            if isinstance(stage, Probe):
                training.solve(stage, plan)
                continue
            flat = replace(plan, stage=replace(stage, schedule="constant", warmup=0.0))
            opened = training.open(flat, train_batch_norm=self.train_batch_norm)
            return search(opened, np.geomspace(lowest, highest, steps), class_weight=plan.class_weight)
        raise ParameterError("find_learning_rate needs a Stage among the stages: a Probe has no learning rate")

    @own_settings()
    def frozen_part(self) -> FrozenPart:
        """Build the part of the network that `fit` runs once for each image and view before its first stage.

        `melanoma_tl.scale.extract` runs it elsewhere. The classifier itself is not changed.

        Returns
        -------
        FrozenPart
            What it is and what it is shown.

        Raises
        ------
        ParameterError
            If there is nothing to store: no weight is frozen, images are mixed, views never end, or every `fit`
            would draw other ones.
        WeightsUnavailableError
            If the weights cannot be found or fetched.
        """
        from melanoma_tl.training.staged import cut_for_stage

        self.check_parameters(validated=True)
        seed, spec = self._draw_seed(), get_backbone(self.backbone)
        weights, augmenter = find_weights(spec, self.weights), _seeded(self.augmenter, seed)
        n_views = 1 if augmenter is None else augmenter.views
        if self.mix is not None or n_views is None:
            raise ParameterError(
                "nothing can be stored: mixed images and endless views are new in every step; "
                "take mix=None and Augmenter(..., views=8), or no augmenter"
            )
        draws_views = n_views > 1 and getattr(self.augmenter, "random_state", None) is None
        if self.random_state is None and (weights is None or draws_views):
            raise ParameterError("every fit draws other weights or views: give a random_state")
        network = self._build(spec, weights, seed)
        parts = cut_for_stage(network, spec, self._stages()[0], train_batch_norm=self.train_batch_norm)
        if parts.frozen is None:
            raise ParameterError("nothing is frozen: the first stage trains the backbone from its first layer on")
        return FrozenPart(parts.frozen, resolve_precision(self.precision).frozen, augmenter, n_views)

    def _draw_seed(self) -> int:
        return int(np.random.SeedSequence(self.random_state).generate_state(1)[0] >> 1)

    def _stages(self) -> Sequence[Stage | Probe]:
        stages = Stage(self.trainable_from) if self.stages is None else self.stages
        return (stages,) if isinstance(stages, Stage | Probe) else stages

    def _build(self, spec: BackboneSpec, weights: WeightsFile | None, seed: int, *, n_classes: int = 2) -> Network:
        """Build the network, and try what depends on its layers before any image is read."""
        from melanoma_tl.training.optimizers import find_optimizer
        from melanoma_tl.training.staged import cut_for_stage

        find_optimizer(self.optimizer)
        network = build_network(
            spec,
            weights=weights,
            input_size=self._size(),
            preprocessing=self.preprocessing,
            head=self.head,
            pooling=self.pooling or spec.pooling,
            taps=(self.taps,) if isinstance(self.taps, str) else self.taps,
            dropout=self.dropout,
            random_state=seed,
            n_classes=n_classes,
        )
        check_can_be_saved(network.model)
        for stage in self._stages():
            if isinstance(stage, Stage):
                freeze(network, first_layer_that_learns(spec, stage.trainable_from))
        if callable(self.head) or is_foreign(spec):  # layers that nobody has tried in this precision
            for stage in self._stages():
                cut_for_stage(network, spec, stage, train_batch_norm=self.train_batch_norm)
                build_scorer(network.model, resolve_precision(self.precision))
        return network

    def _check_labels(self, X: Any, y: ArrayLike | None, validation_data: Any = None) -> Classes | None:
        """Give the classes before images are read, where they are known beforehand; stop at what cannot be used."""
        training = open_source(X, y)
        labels = training.known_labels()
        if training.is_stream:
            return None
        classes = self._tell_classes(labels)
        self._weights_of_classes(classes)
        if validation_data is not None:
            validation = open_source(*_pair(validation_data))
            labels = validation.known_labels()
            if not validation.is_stream:
                classes.encode(labels, name=_VALIDATION_LABELS)
        return classes

    def _tell_classes(self, labels: NDArray[Any]) -> Classes:
        return Classes.of(labels, pos_label=self.pos_label)

    def _read_data(
        self, X: Any, y: ArrayLike | None, validation_data: Any, seed: int
    ) -> tuple["TrainingData", Classes]:
        """Prepare all images, and return them with the classes."""
        from melanoma_tl.training.staged import TrainingData

        training = self._prepare(X, y, "training images")
        classes = self._tell_classes(training.labels)
        labels, n_classes = classes.encode(training.labels), len(classes.labels)
        rows, augmenter = self._choose_rows(labels, seed), _seeded(self.augmenter, seed)
        if validation_data is None:
            return TrainingData(training, n_classes, labels, rows, augmenter), classes
        validation = self._prepare(*_pair(validation_data), "validation images")
        validation_labels = classes.encode(validation.labels, name=_VALIDATION_LABELS)
        compare(validation.identity, training.identity).warn_if_any(
            "The validation figures, and what is chosen by them, are too good: "
            "take the images out with valid.overlap(train).remove_from(valid)",
            stacklevel=5,
        )
        known = TrainingData(training, n_classes, labels, rows, augmenter, validation, validation_labels)
        return known, classes

    def _plan(self, classes: Classes, data: "TrainingData", seed: int) -> list["TrainingPlan"]:
        """Plan each stage."""
        from melanoma_tl.training.plan import TrainingPlan

        balanced = self.class_weight == "balanced"
        class_weight = (
            Balancer().class_weight(data.labels[data.rows]) if balanced else self._weights_of_classes(classes)
        )
        stages = [stage if isinstance(stage, Stage) else Stage() for stage in self._stages()]
        return [
            TrainingPlan(
                stage=stage,
                batch_size=self.batch_size,
                epochs=stage.epochs or self.epochs,
                steps_per_epoch=self.steps_per_epoch,
                early_stopping=self.early_stopping,
                restore_best=self.restore_best,
                class_weight=class_weight,
                optimizer=self.optimizer,
                learning_rate=float(stage.learning_rate or self.learning_rate),  # Keras refuses the int 1
                weight_decay=self.weight_decay,
                clip_norm=self.clip_norm,
                ema_momentum=self.ema_momentum,
                loss=self.loss,
                label_smoothing=self.label_smoothing,
                mix=self.mix,
                seed=seed,
                verbose=self.verbose,
            )
            for stage in stages
        ]

    def _open(
        self, network: Network, spec: BackboneSpec, data: "TrainingData", seed: int, replicas: Replicas
    ) -> "StagedTraining":
        from melanoma_tl.training.staged import ComputingOptions, StagedTraining

        options = ComputingOptions(
            precision=resolve_precision(self.precision),
            feature_budget=self.feature_budget,
            batch_size=count_images_at_once(self._size()),
            verbose=self.verbose,
            replicas=replicas,
        )
        return StagedTraining(network, spec, data, options, seed)

    def _train(
        self, training: "StagedTraining", plans: list["TrainingPlan"], callbacks: Sequence[Any], *, resume: bool
    ) -> "Training":
        """Go through the stages, and put their histories one after the other."""
        from melanoma_tl.training.checkpoints import RunFolder

        if not resume:
            return self._train_stages(training, plans, callbacks, None)
        with RunFolder(self._describe_run(training, plans), training.options.replicas).held() as run:
            return self._train_stages(training, plans, callbacks, run)

    def _train_stages(
        self,
        training: "StagedTraining",
        plans: list["TrainingPlan"],
        callbacks: Sequence[Any],
        run: "RunFolder | None",
    ) -> "Training":
        from melanoma_tl.training.callbacks import UserCallbacks
        from melanoma_tl.training.keras_errors import naming_full_memory
        from melanoma_tl.training.loop import Training

        whole, has_begun = Training(), False
        for number, (stage, plan) in enumerate(zip(self._stages(), plans, strict=True)):
            logger.info("stage %d of %d: %s", number + 1, len(plans), stage)
            with naming_full_memory(plan):
                if isinstance(stage, Probe):
                    part = training.solve(stage, plan)
                else:
                    part = training.learn(
                        plan,
                        train_batch_norm=self.train_batch_norm,
                        callbacks=UserCallbacks(callbacks, len(whole.history.get("loss", ())), has_begun),
                        run=run,
                        number=number,
                    )
                    has_begun = True
            for name, values in part.history.items():
                whole.history.setdefault(name, []).extend(values)
            if part.interruption is not None:
                if not whole.history:
                    raise part.interruption
                whole.interruption = part.interruption
                return whole
        if run is not None:
            run.delete()
        return whole

    def _describe_run(self, training: "StagedTraining", plans: list["TrainingPlan"]) -> dict[str, Any]:
        """Give everything that decides how training goes."""
        data = training.data
        sides = [(data.training, data.labels), (data.validation, data.validation_labels)]
        return {
            "network": describe_network(training.network.model).hex(),
            "stages": [repr(stage) for stage in self._stages()],
            "plans": [asdict(plan) | {"verbose": 0} for plan in plans],
            "images": [
                None if images is None or labels is None else [images.recipe, list(images.contents), labels.tolist()]
                for images, labels in sides
            ],
            "rows": data.rows.tolist(),
            "augmenter": data.augmenter and [data.augmenter.views, data.augmenter.view_key(1).hex()],
            "computing": [*resolve_precision(self.precision), self.train_batch_norm],
            "versions": library_versions(),
        }

    def _describe_process(self, network: Network, data: "TrainingData") -> dict[str, Any]:
        """Give what processes that train together must have in common, by names that people understand."""
        sides = {"training": (data.training, data.labels), "validation": (data.validation, data.validation_labels)}
        digests = {
            f"number and digest of {name} images": [
                len(images.contents),
                hashlib.sha256(b"".join(images.contents) + np.ascontiguousarray(labels).tobytes()).hexdigest()[:8],
            ]
            for name, (images, labels) in sides.items()
            if images is not None and labels is not None
        }
        parameters = {name: value for name, value in self._describe_parameters().items() if name not in _OWN}
        weights = {"digest of the initial network": describe_network(network.model).hex()[:8]}
        versions = {f"version of {package}": version for package, version in library_versions().items()}
        return digests | parameters | weights | versions

    def check_parameters(self, *, validated: bool = True) -> None:
        """Check every parameter, before any image is read.

        Parameters
        ----------
        validated : bool, default=True
            Whether there will be validation data.

        Raises
        ------
        ParameterError, UnknownNameError
            If one cannot be used.
        """
        check(self.get_params(deep=False), _PARAMETERS)
        if self.early_stopping is not None and not validated:
            raise ParameterError("early_stopping watches the validation loss: pass validation_data to fit")
        if self.stages is not None and self.trainable_from is not None:
            raise ParameterError(
                f"trainable_from={self.trainable_from!r} is for training without stages: "
                "give it to a Stage, such as Stage(trainable_from=...)"
            )
        if self.balancer is not None:
            self.balancer.check_parameters()
        self._check_views()

    def _check_views(self) -> None:
        check_tta(self.tta, self._size())
        if self.augmenter is not None:
            self.augmenter.check_parameters()
            if self.augmenter.transpose and len(set(self._size())) > 1:
                raise ParameterError("transpose=True of the augmenter needs a square input_size")

    def _size(self) -> tuple[int, int]:
        given = get_backbone(self.backbone).input_size if self.input_size is None else self.input_size
        height, width = map(int, given)
        return height, width

    def _prepare(self, X: Any, y: ArrayLike | None, what: str) -> PreparedImages:
        return prepare(X, y, self._size(), on_error=self.on_error, desc=f"Read {what}", verbose=self.verbose)

    def _choose_rows(self, encoded: NDArray[np.int64], seed: int) -> NDArray[np.intp]:
        rows = np.arange(len(encoded))
        if self.balancer is None:
            return rows
        return _seeded(self.balancer, seed).fit_resample(rows.reshape(-1, 1), encoded)[0][:, 0]

    def _weights_of_classes(self, classes: Classes) -> dict[int, float] | None:
        """Give the weights that are given by label to what stands for the labels in the network."""
        if self.class_weight is None or self.class_weight == "balanced":
            return None
        if isinstance(self.class_weight, Mapping):
            try:
                codes = classes.encode(list(self.class_weight), name="class_weight").tolist()
            except (DatasetError, UnknownNameError):
                codes = []
            if sorted(codes) == list(range(len(classes.labels))):
                return {code: float(weight) for code, weight in zip(codes, self.class_weight.values(), strict=True)}
        raise ParameterError(
            f"class_weight must be None, 'balanced' or a weight for each of {classes.labels.tolist()}, "
            f"got {self.class_weight!r}"
        )

    # -- prediction ------------------------------------------------------------------------------------------------

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
            Number of views to average; that of the constructor by default.
        batch_size : int, optional
            Images that go through the network at once; by default as many as keep the processor busy in
            little memory, 16 of 224x224, and 64 on a GPU.

        Returns
        -------
        ndarray of shape (n_images, n_classes) and dtype float64
            Probabilities in the order of `classes_`, those of two classes calibrated if `calibrate` was called;
            NaN where an image could not be read and `on_error` is "skip". Melanoma is the column of `pos_label_`.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        ImageError
            If an image cannot be read and `on_error` is "raise".
        ParameterError
            If `tta` is none of these numbers, 8 and the images are not square, or not that of `calibrate`, or if
            `batch_size` is below 1.

        Notes
        -----
        Views are averaged as probabilities, as the winners of ISIC 2020 did (Ha, Liu and Liu 2020,
        arXiv:2010.05351), not as logits: a single view whose score rounds to 0 or 1 would decide a
        mean of logits. By Jensen's inequality neither log loss nor Brier score of the mean is
        worse than their means over the views. A calibration is applied to the mean.
        """
        scores = self._score_images(X, tta, batch_size)
        if scores.shape[1] > 1:
            return scores
        return classes_of(self).to_columns(self._calibrated(scores[:, 0], tta))

    def _raw_scores(self, X: Any, tta: int | None) -> NDArray[np.float64]:
        """Give the probabilities of melanoma before calibration."""
        return self._score_images(X, tta)[:, 0]

    def _scored_with(self, tta: int | None) -> dict[str, Any]:
        """Say what can be set anew after `fit` and makes other scores of the same images."""
        return {"tta": int(self.tta if tta is None else tta)}

    @own_settings()
    def _score_images(self, X: Any, tta: int | None, batch_size: int | None = None) -> NDArray[np.float64]:
        """Give what the network gives, of shape (n_images, n_scores), as a mean over views."""
        self._check_fitted()
        check(self.get_params(deep=False), _OF_SCORING)
        network = self._scorer()
        size = tuple(network.inputs[0].shape[1:3])
        n_views = self.tta if tta is None else tta
        check_tta(n_views, size)
        scores: list[NDArray[np.float64]] = []
        skipped: list[SkippedRow] = []
        for batch in read_batches(
            open_source(X),
            size,
            batch_size=batch_size or count_images_at_once(size),
            on_error=self.on_error,
            desc="Score images",
            verbose=self.verbose,
        ):
            of_batch = np.full((len(batch.readable), network.outputs[0].shape[-1]), np.nan)
            if len(batch.pixels):
                of_batch[batch.readable] = _mean_score(network, batch.pixels, n_views)
            scores.append(of_batch)
            skipped += batch.skipped
        for row in skipped:
            logger.warning("no score for %s: %s", row.path or row.image_id, row.reason)
        return np.concatenate(scores)

    def _prevalence_of_scores(self) -> float:
        """Give the share of melanomas in the loss that the classifier was trained with."""
        known, weights = classes_of(self), self.provenance_["parameters"]["class_weight"]
        if weights == "balanced":
            return 0.5
        counts = np.array(self.provenance_["training_data"]["rows_of_each_class_in_a_pass"], dtype=float)
        if weights is not None:
            counts *= _by_class(weights, known)
        return float(counts[known.melanoma] / counts.sum())

    def _scorer(self) -> Any:
        """Return the network that scores, made again if the model or the precision is another."""
        precision = resolve_precision(self.precision)
        model, of_precision, network = self.__dict__.get("_scorer_of", (None, None, None))
        if model is not self.model_ or of_precision != precision:
            network = build_scorer(self.model_, precision)
            self._scorer_of = (self.model_, precision, network)
        return network

    def __sklearn_clone__(self) -> Self:
        # The head is a pattern, which no fit changes; Keras copies objects by saving them, and cannot save all.
        bare = copy(self)
        bare.head = "pooled"
        cloned: Self = BaseEstimator.__sklearn_clone__(bare)
        cloned.head = self.head
        return cloned

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_scorer_of"}

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise NotFittedError("this TransferClassifier is not fitted: call fit, or TransferClassifier.load")

    # -- keeping ---------------------------------------------------------------------------------------------------

    @checked(path=PATH)
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, its classes, threshold, calibration, history and provenance into one file.

        Parameters
        ----------
        path : path
            Must end in ``.keras``. Plain Keras opens the file too, in its safe mode: a network that scores one view
            of an image, in float32, calibrated if `calibrate` was called.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        ModelFileError
            If the path does not end in ``.keras``, or the network holds what `load` would refuse:
            a ``Lambda``, or a layer of your own that is not registered with
            ``keras.saving.register_keras_serializable``.
        """
        self._check_fitted()
        save_model(
            with_calibration(self.model_, getattr(self, "_calibration", None)),
            {
                "parameters": self._describe_parameters(),
                "classes": self.classes_.tolist(),
                "pos_label": self.pos_label_,
                "history": self.history_,
                "skipped": [list(row) for row in self.skipped_],
                "fingerprints": {role: images.to_state() for role, images in self.fingerprints_.items()},
                "provenance": self.provenance_,
                "tuning": self._tuning_to_state(),
            },
            Path(path),
            self._read,
        )

    @classmethod
    @checked(path=PATH)
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a model that `save` wrote, also from somebody you do not know: no code from the file is run.

        Files of older versions load too; parameters that they do not name have their defaults.

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
            If the file is missing, damaged, not one of ours, from a newer version, or could do harm.
        """
        list_backbones()  # loads the packages that backbones come from: layers of theirs are registered by that
        saved = load_model(Path(path), cls._read)
        saved.content.model_ = without_calibration(saved.model)
        return saved.content

    @classmethod
    def _read(cls, state: dict[str, Any], interface: Interface) -> Self:
        """Make a classifier of the document of a model file; it has everything but the network."""
        parts = read_parts(state, interface.n_scores)
        classifier = _make(cls, _unfold(parts["parameters"], state), state)
        # The backbone and the function that made the head need not be known here: both are in the graph.
        check(classifier.get_params(deep=False), _PARAMETERS | {"head": TEXT, "pos_label": LABEL | NONE})
        for part in filter(None, (classifier.balancer, classifier.augmenter)):
            part.check_parameters()
        check_tta(classifier.tta, interface.size)
        classes = parts["classes"]
        classifier.classes_, classifier.pos_label_ = np.array(state["classes"]), classes.pos_label
        if isinstance(classifier.class_weight, dict):  # JSON turned its keys into words
            weights = _by_class(classifier.class_weight, classes)
            classifier.class_weight = dict(zip(state["classes"], weights, strict=True))
        classifier.history_, classifier.provenance_ = state["history"], state["provenance"]
        classifier.skipped_ = tuple(SkippedRow(*row) for row in parts["skipped"])
        classifier.fingerprints_ = parts["fingerprints"]
        classifier._restore_tuning(parts["tuning"])
        return classifier

    @checked(path=PATH)
    @own_settings()
    def export(self, path: str | os.PathLike[str], *, format: str | None = None) -> ExportedModel:  # noqa: A002
        """Write the network for other runtimes, and check there that it gives the same scores.

        Raw RGB of 0 to 255 goes in as float32, of shape (n, height, width, 3) and the size that
        ``NAME.json`` beside it states; the probability of melanoma comes out, of shape (n, 1): the mean over
        the views that `tta` says, calibrated if `calibrate` was called. That file names the class of each score, the
        label of melanoma and the threshold, says how image files are decoded and resized, and holds images with their
        scores to check a program by. The exported network computes in float32, whatever `precision` is.

        Parameters
        ----------
        path : path
            Where to: a file that ends in ``.tflite`` or ``.onnx``, or a folder for a SavedModel.
        format : {"saved_model", "litert", "onnx"}, optional
            TensorFlow's SavedModel, LiteRT (once TensorFlow Lite) or ONNX; by default what the suffix says. The last
            two need ``pip install 'melanoma_tl[export]'``.

        Returns
        -------
        ExportedModel
            Path, format, largest difference from `predict_proba` as this classifier is set, and bytes.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        ExportError
            If path and format contradict each other, packages are missing, the network cannot be exported, or the
            exported one gives other scores; what stood at the path is still there.
        UnknownNameError
            If there is no such format.
        """
        self._check_fitted()
        return export_model(self._exportable(), Path(path), format)

    def _exportable(self) -> Exportable:
        """Give the graph that scores as `predict_proba` does, and what is to be known of its scores."""
        size = tuple(self.model_.inputs[0].shape[1:3])
        check_tta(self.tta, size)
        if hasattr(self, "_calibration"):
            self._check_tuned_with("calibration", None)
        precision = resolve_precision(self.precision)
        return Exportable(
            with_tuning(self.model_, self.tta, getattr(self, "_calibration", None)),
            scores_of(self),
            (self.tta,),
            next(name for name, known in PRECISIONS.items() if known == precision),
            describe_scores(self),
        )

    def _describe_parameters(self) -> dict[str, Any]:
        """Give the parameters as JSON can hold them."""
        parameters = self.get_params(deep=False)
        for name in _PARTS:
            if parameters[name] is not None:
                parameters[name] = parameters[name].get_params()
        if self.stages is not None:
            parameters["stages"] = [{"kind": type(stage).__name__} | asdict(stage) for stage in self._stages()]
        if callable(self.head):
            parameters["head"] = f"function {name_head(self.head)}"
        if isinstance(self.weights, os.PathLike):
            parameters["weights"] = os.fspath(self.weights)
        if isinstance(self.class_weight, Mapping):  # JSON knows no other keys
            labels = as_labels(list(self.class_weight), name="class_weight").tolist()
            parameters["class_weight"] = dict(zip(map(str, labels), self.class_weight.values(), strict=True))
        return json.loads(json.dumps(parameters, default=_plain))

    def _name_recipe(self) -> str:
        """Compare the parameters, as they are now, with those of the recipes."""
        mine = self._describe_parameters()
        found = []
        for name in list_recipes():
            set_up = get_recipe(name)
            theirs = type(self)(**set_up)._describe_parameters()
            changed = [key for key in theirs if theirs[key] != mine[key] and key not in _OF_NO_RECIPE]
            if 2 * len(set(changed) & set(set_up)) < len(set_up):
                found.append((len(changed), name, changed))
        if not found:
            return "none"
        _, name, changed = min(found)
        return name + (f" with {', '.join(sorted(changed))} changed" if changed else "")

    def _describe_training(
        self,
        weights: WeightsFile | None,
        seed: int,
        data: "TrainingData",
        classes: Classes,
        X: Any,
        validation_data: Any,
    ) -> dict[str, Any]:
        chosen = np.bincount(data.labels[data.rows], minlength=data.n_classes)[classes.codes].tolist()
        return {
            "recipe": self._name_recipe(),
            "parameters": self._describe_parameters(),
            "seed": seed if self.random_state is None else int(self.random_state),
            "weights": "random" if weights is None else asdict(weights) | {"path": Path(weights.path).name},
            "precision": resolve_precision(self.precision)._asdict(),
            "training_data": _describe_data(X, data.training) | {"rows_of_each_class_in_a_pass": chosen},
            "validation_data": None if data.validation is None else _describe_data(validation_data, data.validation),
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
        At least 1; at 224x224, 16 on a processor and 64 on a GPU.
    """
    pixels = _PIXELS_AT_ONCE * (_TIMES_AS_MANY_ON_GPU if computes_on_gpu() else 1)
    return max(1, pixels // (size[0] * size[1]))


def _mean_score(network: Any, images: NDArray[np.uint8], n_views: int) -> NDArray[np.float64]:
    views = symmetric_views(images, n_views)
    return np.mean([network.predict_on_batch(view) for view in views], axis=0, dtype=np.float64)


def _pair(validation_data: Any) -> tuple[Any, Any]:
    """Give the images and the labels of validation data."""
    pair = validation_data if isinstance(validation_data, tuple) else (validation_data, None)
    if len(pair) != 2:
        raise DatasetError(f"validation_data must be a dataset or (X, y), got a tuple of {len(pair)}")
    return pair


def _by_class(weights: Mapping[str, float], classes: Classes) -> list[float]:
    """Bring weights that are given by label, as a file holds them, into the order of the classes."""
    weight_of = dict(zip(classes.encode(list(weights)).tolist(), weights.values(), strict=True))
    return [weight_of[code] for code in classes.codes.tolist()]


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


def _make(kind: type[Any], parameters: dict[str, Any], state: dict[str, Any]) -> Any:
    """Make something from the parameters in a file; those that the file does not name have their defaults."""
    unknown = sorted(parameters.keys() - inspect.signature(kind).parameters.keys())
    if unknown:
        raise ModelFileError(f"{kind.__name__} of this version does not know {show(*unknown)}; {how_to_read(state)}")
    return kind(**_tuples(parameters))


def _unfold(parameters: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Make the objects that are described among parameters."""
    unfolded = dict(parameters)
    for name, kind in _PARTS.items():
        if unfolded.get(name) is not None:
            unfolded[name] = _make(kind, check(unfolded, {name: TABLE})[name], state)
    if unfolded.get("stages") is not None:
        stages = check(unfolded, {"stages": listed(TABLE, at_least=1)})["stages"]
        unfolded["stages"] = tuple(_make_stage(stage, state) for stage in stages)
    return unfolded


def _make_stage(described: dict[str, Any], state: dict[str, Any]) -> Stage | Probe:
    kinds: dict[str, type[Any]] = {"Stage": Stage, "Probe": Probe}
    kind = check(described, {"kind": choice(*kinds)})["kind"]
    return _make(kinds[kind], {key: value for key, value in described.items() if key != "kind"}, state)


def _tuples(parameters: dict[str, Any]) -> dict[str, Any]:
    """Undo what JSON did to tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)
