"""Train a network in stages, each on the stored features of its frozen part."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._keras.host_call import naming_host_errors
from melanoma_tl._keras.isolation import seeded_building
from melanoma_tl.augmentation import Augmenter
from melanoma_tl.backbones.spec import BackboneSpec
from melanoma_tl.errors import ParameterError
from melanoma_tl.images.loading import PreparedImages
from melanoma_tl.network.cutting import SplitNetwork, split_network, with_precision
from melanoma_tl.network.graph import (
    SCORE_LAYER,
    Network,
    freeze,
    resolve_trainable_from,
    stage_depths,
    without_optimizer,
)
from melanoma_tl.network.precision import Precision
from melanoma_tl.training.batches import OrderedBatches, TrainingBatches, using
from melanoma_tl.training.callbacks import NO_CALLBACKS, UserCallbacks
from melanoma_tl.training.checkpoints import RunFolder
from melanoma_tl.training.compiling import compile_network
from melanoma_tl.training.features import ComputedFeatures, FeatureExtractor
from melanoma_tl.training.linear_probe import ProbeData, fit_logistic
from melanoma_tl.training.loop import TrainingResult, train
from melanoma_tl.training.penalty import choose_penalty
from melanoma_tl.training.plan import TrainingPlan
from melanoma_tl.training.replicas import Replicas
from melanoma_tl.training.stages import Probe, Stage
from melanoma_tl.training.views import ImageViews, InputSource

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """The training images and the validation images.

    Attributes
    ----------
    training : PreparedImages
        All images that were given for training.
    n_classes : int
        Number of classes.
    labels : ndarray of shape (n_images,)
        Classes of the training images, from 0.
    rows : ndarray of int of shape (n_rows,)
        The images of one pass, including repeated ones.
    augmenter : Augmenter or None
        The augmenter of the training images, with a seed.
    weights : ndarray of shape (n_images,) or None
        Weight of each image; None for equal weights.
    validation : PreparedImages or None
        The validation images.
    validation_labels : ndarray or None
        Classes of the validation images, from 0.
    folds : sequence of ndarray of int
        Positions of the images that are held out together where a penalty is chosen; empty where none is.
    """

    training: PreparedImages
    n_classes: int
    labels: NDArray[np.int64]
    rows: NDArray[np.intp]
    augmenter: Augmenter | None
    weights: NDArray[np.float64] | None = None
    validation: PreparedImages | None = None
    validation_labels: NDArray[np.int64] | None = None
    folds: Sequence[NDArray[np.intp]] = ()

    @property
    def views(self) -> ImageViews:
        """The augmented views of the training images."""
        return ImageViews(self.training.pixels, self.training.contents, self.augmenter)

    def targets(self, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return classes as the targets of the network.

        Parameters
        ----------
        labels : ndarray of int of shape (n_images,)
            Classes, from 0.

        Returns
        -------
        ndarray of shape (n_images, 1) or (n_images, n_classes)
            1 for melanoma, else 0; with several diagnoses their one-hot encoding.
        """
        if self.n_classes == 2:
            return labels[:, np.newaxis].astype(np.float32)
        return np.eye(self.n_classes, dtype=np.float32)[labels]


@dataclass(frozen=True)
class ComputingOptions:
    """Options for the computation and storage of features.

    Attributes
    ----------
    precision : Precision
        Precision of the frozen and of the trainable part.
    feature_cache_bytes : int or None
        Maximum size in bytes of all stored features together.
    batch_size : int
        Images per batch of the frozen part.
    verbose : int
        0 shows no progress bar.
    replicas : Replicas
        The devices on which the trainable part is trained.
    """

    precision: Precision
    feature_cache_bytes: int | None
    batch_size: int
    verbose: int
    replicas: Replicas


class PreparedStage(NamedTuple):
    """A stage that is ready to be trained.

    Attributes
    ----------
    parts : SplitNetwork
        The frozen and the trainable part of the network.
    learner : keras.Model
        The trainable part, compiled, in the precision of training.
    batches : TrainingBatches
        The training data.
    watched : tuple or None
        Inputs and targets of the validation images.
    """

    parts: SplitNetwork
    learner: Any
    batches: TrainingBatches
    watched: tuple[InputSource, NDArray[np.float32]] | None


class StagedTraining:
    """The training of one network in several stages.

    Parameters
    ----------
    network : Network
        The network to train; changed in place.
    spec : BackboneSpec
        The backbone of the network.
    data : TrainingData
        The training and validation images.
    options : ComputingOptions
        Options for the computation of features.
    seed : int
        Seed of layers that are rebuilt in another precision.
    """

    def __init__(
        self, network: Network, spec: BackboneSpec, data: TrainingData, options: ComputingOptions, seed: int
    ) -> None:
        self.network, self.spec, self.data, self.options, self.seed = network, spec, data, options, seed

    def fit_probe(self, probe: Probe, plan: TrainingPlan) -> TrainingResult:
        """Fit the output layer by logistic regression.

        Parameters
        ----------
        probe : Probe
            The penalty.
        plan : TrainingPlan
            Class weights and batch size.

        Returns
        -------
        TrainingResult
            The metrics as a history of one epoch, on images without augmentation.

        Raises
        ------
        ParameterError
            If features cannot be stored.
        """
        views = self.data.views
        n_views = cast("int", views.n_views)  # `check_stages` refuses endless views
        model = self.network.model
        parts = cut_for_stage(self.network, self.spec, probe, train_batch_norm=False)
        inputs, watched = self._inputs(parts, views, n_views)
        if isinstance(inputs, ComputedFeatures):
            raise ParameterError(
                "a Probe reads the features some hundred times, so they must be stored, which is not possible (the log "
                "says why): increase Resources(feature_cache_bytes=...), or free space with "
                "melanoma_tl.cache.clear('features')"
            )
        targets = self.data.targets(self.data.labels)
        probed = ProbeData(inputs, targets, n_views, self._weights(plan.class_weight), self.data.weights)
        if probe.C == "auto":
            paths = [choose_penalty(probed, self.data.rows, self.data.folds, verbose=self.options.verbose)]
            logger.info("%s", paths[0].summary())
        else:
            paths = []
        C = paths[0].chosen if paths else float(probe.C)
        kernel, bias = fit_logistic(probed, self.data.rows, C)
        model.get_layer(SCORE_LAYER).set_weights([kernel, bias])
        compile_network(parts.trained, plan)
        seen = OrderedBatches(inputs, targets, batch_size=plan.batch_size, rows=self.data.rows)
        metrics = _evaluate(parts.trained, seen)
        if watched is not None:
            validated = _evaluate(parts.trained, OrderedBatches(*watched, batch_size=plan.batch_size))
            metrics |= {f"val_{name}": value for name, value in validated.items()}
        return TrainingResult({name: [float(value)] for name, value in metrics.items()}, penalty_paths=paths)

    def fit_stage(
        self,
        plan: TrainingPlan,
        *,
        train_batch_norm: bool,
        callbacks: UserCallbacks = NO_CALLBACKS,
        run: RunFolder | None = None,
        number: int = 0,
    ) -> TrainingResult:
        """Train a stage by gradient descent.

        Parameters
        ----------
        plan : TrainingPlan
            The settings of the stage.
        train_batch_norm : bool
            Whether batch normalisation is trained in trainable layers of the backbone.
        callbacks : UserCallbacks, optional
            The user's callbacks.
        run : RunFolder, optional
            The folder that stores each finished epoch, and from which training is resumed.
        number : int, default=0
            Number of the stage, from 0.

        Returns
        -------
        TrainingResult
            The history, and what ended training early.
        """
        checkpoint = None if run is None else run.stage(number)
        finished = None if checkpoint is None else checkpoint.read_finished()
        if finished is not None and checkpoint is not None:
            self._cut(plan, train_batch_norm=train_batch_norm).trained.set_weights(finished)
            return TrainingResult(checkpoint.history)
        stage = self.prepare_stage(
            plan, train_batch_norm=train_batch_norm, first_epoch=0 if checkpoint is None else checkpoint.epochs
        )

        def whole() -> Any:
            if stage.learner is not stage.parts.trained:
                stage.parts.trained.set_weights(stage.learner.get_weights())
            return without_optimizer(self.network.model)

        training = train(
            stage.learner,
            stage.batches,
            stage.watched,
            plan,
            whole=whole,
            callbacks=callbacks,
            checkpoint=checkpoint,
        )
        stage.parts.trained.set_weights(stage.learner.get_weights())
        if checkpoint is not None and training.interruption is None:
            checkpoint.finish(stage.learner.get_weights(), training.history)
        return training

    def prepare_stage(self, plan: TrainingPlan, *, train_batch_norm: bool, first_epoch: int = 0) -> PreparedStage:
        """Freeze and split the network, compute the features, and compile the trainable part.

        Parameters
        ----------
        plan : TrainingPlan
            The settings of the stage.
        train_batch_norm : bool
            Whether batch normalisation is trained in trainable layers of the backbone.
        first_epoch : int, default=0
            Number of finished epochs.

        Returns
        -------
        PreparedStage
            Ready for `train`.
        """
        parts = self._cut(plan, train_batch_norm=train_batch_norm)
        rows, replicas = self.data.rows, self.options.replicas
        with replicas.build_scope():
            with seeded_building(self.seed):
                precision = self.options.precision.trained
                learner = with_precision(parts.trained, precision, copy=replicas.are_several)
            compile_network(
                learner,
                plan,
                steps=plan.epochs * plan.count_steps(len(rows)),
                stage_depths=stage_depths(self.spec, self.network.backbone) if plan.stage.layer_decay != 1 else {},
            )
        inputs, watched = self._inputs(parts, self.data.views, plan.count_repeats(rows))
        targets = self.data.targets(self.data.labels)
        batches = TrainingBatches(
            inputs, targets, rows, plan, first_epoch=first_epoch, weights=self.data.weights, replicas=replicas
        )
        return PreparedStage(parts, learner, batches, watched)

    def _weights(self, class_weight: dict[int, float] | None) -> NDArray[np.float64]:
        """Return the weight of each image: its sample weight times its class weight."""
        own = np.ones(len(self.data.labels)) if self.data.weights is None else self.data.weights
        if class_weight is None:
            return own
        of_class: NDArray[np.float64] = np.vectorize(class_weight.__getitem__)(self.data.labels)
        return own * of_class

    def _cut(self, plan: TrainingPlan, *, train_batch_norm: bool) -> SplitNetwork:
        parts = cut_for_stage(self.network, self.spec, plan.stage, train_batch_norm=train_batch_norm)
        if plan.mix is None:
            return parts
        logger.warning("mix=%r mixes new images in every step, so no features can be stored", plan.mix)
        return SplitNetwork(None, self.network.model)

    def _inputs(
        self, parts: SplitNetwork, views: ImageViews, repeats: int
    ) -> tuple[InputSource, tuple[InputSource, NDArray[np.float32]] | None]:
        """Return the inputs of the trainable part for training, and inputs and targets for validation."""
        data = self.data
        extract = self._extractor(parts)
        inputs = extract(views, data.rows, repeats, "training images")
        if data.validation is None or data.validation_labels is None:
            return inputs, None
        shown = ImageViews(data.validation.pixels, data.validation.contents, None)
        every_row = np.arange(len(data.validation_labels))
        return inputs, (extract(shown, every_row, 1, "validation images"), data.targets(data.validation_labels))

    def _extractor(self, parts: SplitNetwork) -> Any:
        if parts.frozen is None:
            return lambda images, *_: images
        return FeatureExtractor(
            parts.frozen,
            policy=self.options.precision.frozen,
            recipe=self.data.training.recipe,
            budget=self.options.feature_cache_bytes,
            batch_size=self.options.batch_size,
            verbose=self.options.verbose,
        ).extract


def cut_for_stage(
    network: Network, spec: BackboneSpec, stage: Stage | Probe, *, train_batch_norm: bool
) -> SplitNetwork:
    """Freeze the layers that a stage does not train, and split the network there.

    Parameters
    ----------
    network : Network
        The network; the trainability of its layers is changed in place.
    spec : BackboneSpec
        The backbone of the network.
    stage : Stage or Probe
        Which layers are trained; a `Probe` trains the output layer only.
    train_batch_norm : bool
        Whether batch normalisation is trained in trainable layers of the backbone.

    Returns
    -------
    SplitNetwork
        The frozen and the trainable part.
    """
    if isinstance(stage, Probe):
        for layer in network.model.layers:
            layer.trainable = layer.name == SCORE_LAYER
    else:
        freeze(network, resolve_trainable_from(spec, stage.trainable_from), train_batch_norm=train_batch_norm)
    return split_network(network.model)


def _evaluate(network: Any, batches: OrderedBatches) -> dict[str, float]:
    with using(batches), naming_host_errors():
        return dict(network.evaluate(batches, verbose=0, return_dict=True))
