"""`TrainingRun`: what one fit does, in order."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from melanoma_tl._versions import library_versions
from melanoma_tl.augmentation import Augmenter
from melanoma_tl.backbones import get_backbone
from melanoma_tl.backbones.building import is_foreign
from melanoma_tl.backbones.spec import EncoderIdentity
from melanoma_tl.backbones.weights import describe_backbone, find_weights
from melanoma_tl.balancing import Balancer
from melanoma_tl.datasets.leakage import compare
from melanoma_tl.datasets.splitting import find_groups
from melanoma_tl.errors import ParameterError
from melanoma_tl.images.loading import PreparedImages, prepare
from melanoma_tl.labels.classes import Classes
from melanoma_tl.network.cutting import FrozenPart, network_digest
from melanoma_tl.network.graph import Network, build_network, freeze, resolve_trainable_from
from melanoma_tl.network.inference import NetworkScorer, count_images_at_once
from melanoma_tl.network.precision import resolve_precision
from melanoma_tl.saving.model_file import check_can_be_saved
from melanoma_tl.training.callbacks import UserCallbacks
from melanoma_tl.training.checkpoints import RunFolder
from melanoma_tl.training.keras_errors import explain_out_of_memory
from melanoma_tl.training.keras_objects import Template, check_loss, check_metric
from melanoma_tl.training.labels import VALIDATION_LABELS, as_pair, balanced_weights, weights_of_classes
from melanoma_tl.training.loop import TrainingResult
from melanoma_tl.training.optimizers import rate_of
from melanoma_tl.training.parameters import (
    TrainingParameters,
    chooses_penalty,
    image_size,
    metrics_of,
    open_part,
    own_object,
    stages_of,
)
from melanoma_tl.training.penalty import divide_to_choose
from melanoma_tl.training.plan import TrainingPlan
from melanoma_tl.training.replicas import Replicas
from melanoma_tl.training.settings import Loss, Optimizer, Resources
from melanoma_tl.training.staged import ComputingOptions, StagedTraining, TrainingData, cut_for_stage
from melanoma_tl.training.stages import Probe, Stage

logger = logging.getLogger(__name__)

_MAY_DIFFER = ("weights", "verbose")
"""Parameters that may be others in each process: weights are compared themselves, not where they lie."""


class TrainingRun:
    """One training: build, read, plan, open, train, and say what was done.

    Parameters
    ----------
    parameters : TrainingParameters
        Checked.
    seed : int
        Of everything that is drawn and has no seed of its own.
    replicas : Replicas
        The devices to train on.

    Attributes
    ----------
    spec : BackboneSpec
        The backbone.
    weights : WeightsFile or None
        What it starts from; None starts from random weights.
    augmenter : Augmenter or None
        With a seed.
    loss, optimizer, resources : Loss, Optimizer, Resources
        Also where a word or None stands for them.
    own_loss, own_optimizer : Template or None
        What the user has made of Keras in their place.
    metrics : tuple of Template
        Those of the user.

    Raises
    ------
    WeightsUnavailableError
        If the weights cannot be found or fetched.
    """

    def __init__(self, parameters: TrainingParameters, seed: int, replicas: Replicas) -> None:
        self.parameters, self.seed, self.replicas = parameters, seed, replicas
        self.spec = get_backbone(parameters.backbone)
        self.weights = find_weights(self.spec, parameters.weights, verbose=parameters.verbose)
        self.augmenter: Augmenter | None = _seeded(parameters.augmenter, seed)
        self.own_loss = own_object("loss", parameters.loss)
        self.own_optimizer = own_object("optimizer", parameters.optimizer)
        self.metrics = metrics_of(parameters)
        self.loss: Loss = Loss() if self.own_loss else open_part("loss", parameters.loss)
        self.optimizer: Optimizer = Optimizer() if self.own_optimizer else open_part("optimizer", parameters.optimizer)
        self.resources: Resources = open_part("resources", parameters.resources)

    def try_objects(self, n_classes: int) -> None:
        """Compute the losses and metrics of the user on two scores.

        Parameters
        ----------
        n_classes : int
            How many classes the network will tell apart.

        Raises
        ------
        ParameterError
            If one cannot be computed, or does not fit the network; or of metrics, if there are several devices.
        """
        n_scores = 1 if n_classes == 2 else n_classes
        if self.own_loss is not None:
            check_loss(self.own_loss, n_scores)
        for metric in self.metrics:
            check_metric(metric, n_scores)
        if (self.metrics or self.own_loss) and self.replicas.are_several:
            raise ParameterError(
                "losses and metrics of your own would see what fills up the batches of several devices: take "
                "Resources(distribution=None)"
            )

    def build(self, n_classes: int = 2) -> Network:
        """Build the network, and try what depends on its layers before any image is read.

        Parameters
        ----------
        n_classes : int, default=2
            How many classes it tells apart.

        Returns
        -------
        Network
            New at each call, with the same initial weights.

        Raises
        ------
        ParameterError, UnknownNameError, ModelFileError
            If a parameter does not fit the network, or it could not be saved.
        """
        network = build_network(
            self.spec,
            weights=self.weights,
            input_size=image_size(self.parameters),
            preprocessing=self.parameters.preprocessing,
            head=self.parameters.head,
            dropout=self.parameters.dropout,
            random_state=self.seed,
            n_classes=n_classes,
        )
        check_can_be_saved(network.model)
        for stage in stages_of(self.parameters):
            if isinstance(stage, Stage):
                freeze(network, resolve_trainable_from(self.spec, stage.trainable_from))
        if callable(self.parameters.head) or is_foreign(self.spec):  # layers that nobody has tried in this precision
            for stage in stages_of(self.parameters):
                cut_for_stage(network, self.spec, stage, train_batch_norm=self.parameters.train_batch_norm)
                NetworkScorer(network.model, resolve_precision(self.parameters.precision)).check()
        return network

    def frozen_part(self) -> FrozenPart:
        """Build the part of the network that runs once for each image and view before the first stage.

        Returns
        -------
        FrozenPart
            What it is and what it is shown.

        Raises
        ------
        ParameterError
            If there is nothing to store: no weight is frozen, images are mixed, views never end, or every run would
            draw other ones.
        """
        n_views = 1 if self.augmenter is None else self.augmenter.views
        if self.parameters.mix is not None or n_views is None:
            raise ParameterError(
                "nothing can be stored: mixed images and endless views are new in every step; "
                "take mix=None and Augmenter(..., views=8), or no augmenter"
            )
        draws_views = n_views > 1 and getattr(self.parameters.augmenter, "random_state", None) is None
        if self.parameters.random_state is None and (self.weights is None or draws_views):
            raise ParameterError("every fit draws other weights or views: give a random_state")
        first, train_batch_norm = stages_of(self.parameters)[0], self.parameters.train_batch_norm
        parts = cut_for_stage(self.build(), self.spec, first, train_batch_norm=train_batch_norm)
        if parts.frozen is None:
            raise ParameterError("nothing is frozen: the first stage trains the backbone from its first layer on")
        return FrozenPart(parts.frozen, resolve_precision(self.parameters.precision).frozen, self.augmenter, n_views)

    def read(
        self,
        X: Any,
        y: ArrayLike | None,
        validation_data: Any,
        sample_weight: NDArray[np.float64] | None = None,
        groups: NDArray[np.uint64] | None = None,
    ) -> tuple[TrainingData, Classes]:
        """Decode all images, or find them decoded, and choose the rows to train on.

        Parameters
        ----------
        X, y, validation_data : object
            As for `TransferClassifier.fit`.
        sample_weight : ndarray of shape (n_images,), optional
            How much each image counts, checked.
        groups : ndarray of shape (n_images,) and dtype uint64, optional
            Equal numbers for images that a ``Probe(C="auto")`` must keep together, 0 where nothing is known.

        Returns
        -------
        tuple of TrainingData and Classes
            The images with their labels as numbers, and what these numbers mean.

        Raises
        ------
        DatasetError, ImageError, UnknownNameError
            If an image cannot be read or a label cannot be used.

        Warns
        -----
        LeakageWarning
            If validation images are training images, or belong to them.
        """
        training = self._prepare(X, y, "training images")
        classes = self.parameters._tell_classes(training.labels)
        labels, n_classes = classes.encode(training.labels), len(classes.labels)
        weights = None if sample_weight is None else sample_weight[training.positions]
        known = TrainingData(training, n_classes, labels, self._choose_rows(labels, weights), self.augmenter, weights)
        if chooses_penalty(self.parameters):
            together = None if groups is None else groups[training.positions]
            belonging = find_groups(training.identity.fingerprints, together)
            folds = divide_to_choose(labels, training.labels, belonging, known.rows, self.seed)
            known = replace(known, folds=folds)
        if validation_data is None:
            return known, classes
        validation = self._prepare(*as_pair(validation_data), "validation images")
        validation_labels = classes.encode(validation.labels, name=VALIDATION_LABELS)
        compare(validation.identity, training.identity).warn_if_any(
            "The validation metrics, and what is chosen by them, are too good: "
            "take the images out with valid.overlap(train).remove_from(valid)",
            stacklevel=5,
        )
        return replace(known, validation=validation, validation_labels=validation_labels), classes

    def plan(self, classes: Classes, data: TrainingData) -> list[TrainingPlan]:
        """Plan each stage.

        Parameters
        ----------
        classes : Classes
            What the labels mean.
        data : TrainingData
            What it is trained on.

        Returns
        -------
        list of TrainingPlan
            One a stage.
        """
        class_weight = weights_of_classes(self.parameters.class_weight, classes)
        if self.parameters.class_weight == "balanced":
            labels, weights = data.labels[data.rows], data.weights
            class_weight = (
                Balancer().class_weight(labels) if weights is None else balanced_weights(labels, weights[data.rows])
            )
        stages = [stage if isinstance(stage, Stage) else Stage() for stage in stages_of(self.parameters)]
        return [
            TrainingPlan(
                stage=stage,
                batch_size=self.parameters.batch_size,
                epochs=stage.epochs or self.parameters.epochs,
                steps_per_epoch=self.parameters.steps_per_epoch,
                early_stopping=self.parameters.early_stopping,
                restore_best=self.parameters.restore_best,
                class_weight=class_weight,
                optimizer=self.own_optimizer or self.optimizer.name,
                learning_rate=self._rate(stage),
                weight_decay=self.optimizer.weight_decay,
                clip_norm=self.optimizer.clip_norm,
                ema_momentum=self._ema_momentum(),
                loss=self.own_loss or self.loss.name,
                metrics=self.metrics,
                label_smoothing=self.loss.label_smoothing,
                mix=self.parameters.mix,
                seed=self.seed,
                verbose=self.parameters.verbose,
            )
            for stage in stages
        ]

    def open(self, network: Network, data: TrainingData) -> StagedTraining:
        """Get ready to go through the stages.

        Parameters
        ----------
        network : Network
            What `build` gave.
        data : TrainingData
            What `read` gave.

        Returns
        -------
        StagedTraining
            Nothing is trained yet.
        """
        options = ComputingOptions(
            precision=resolve_precision(self.parameters.precision),
            feature_cache_bytes=self.resources.feature_cache_bytes,
            batch_size=count_images_at_once(image_size(self.parameters)),
            verbose=self.parameters.verbose,
            replicas=self.replicas,
        )
        return StagedTraining(network, self.spec, data, options, self.seed)

    def train(
        self, training: StagedTraining, plans: list[TrainingPlan], callbacks: Sequence[Any], *, resume: bool
    ) -> TrainingResult:
        """Go through the stages, and put their histories one after the other.

        Parameters
        ----------
        training : StagedTraining
            What `open` gave.
        plans : list of TrainingPlan
            What `plan` gave.
        callbacks : sequence of keras.callbacks.Callback
            The user's.
        resume : bool
            Whether finished epochs are kept, and taken up again.

        Returns
        -------
        Training
            Its history, and what interrupted it.

        Raises
        ------
        TrainingError
            If the loss is no number any more, or the memory is full.
        """
        if not resume:
            return self._train_stages(training, plans, callbacks, None)
        with RunFolder(self.describe(training, plans), training.options.replicas).held() as run:
            return self._train_stages(training, plans, callbacks, run)

    def _train_stages(
        self,
        training: StagedTraining,
        plans: list[TrainingPlan],
        callbacks: Sequence[Any],
        run: RunFolder | None,
    ) -> TrainingResult:
        whole, has_begun = TrainingResult(), False
        for number, (stage, plan) in enumerate(zip(stages_of(self.parameters), plans, strict=True)):
            logger.info("stage %d of %d: %s", number + 1, len(plans), stage)
            with explain_out_of_memory(plan):
                if isinstance(stage, Probe):
                    part = training.fit_probe(stage, plan)
                else:
                    part = training.fit_stage(
                        plan,
                        train_batch_norm=self.parameters.train_batch_norm,
                        callbacks=UserCallbacks(callbacks, len(whole.history.get("loss", ())), has_begun),
                        run=run,
                        number=number,
                    )
                    has_begun = True
            whole.penalty_paths += part.penalty_paths
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

    def describe(self, training: StagedTraining, plans: list[TrainingPlan]) -> dict[str, Any]:
        """Return everything that decides how training goes, by which `resume` finds it again.

        Parameters
        ----------
        training : StagedTraining
            What `open` gave.
        plans : list of TrainingPlan
            What `plan` gave.

        Returns
        -------
        dict
            As JSON can hold it.
        """
        data = training.data
        sides = [(data.training, data.labels), (data.validation, data.validation_labels)]
        return {
            "network": network_digest(training.network.model).hex(),
            "stages": [repr(stage) for stage in stages_of(self.parameters)],
            "plans": [asdict(plan) | {"verbose": 0} for plan in plans],
            "images": [
                None if images is None or labels is None else [images.recipe, list(images.contents), labels.tolist()]
                for images, labels in sides
            ],
            "rows": data.rows.tolist(),
            "sample_weight": None if data.weights is None else data.weights.tolist(),
            "augmenter": data.augmenter and [data.augmenter.views, data.augmenter.view_key(1).hex()],
            "computing": [*resolve_precision(self.parameters.precision), self.parameters.train_batch_norm],
            "versions": library_versions(),
        }

    def describe_process(self, network: Network, data: TrainingData, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return what processes that train together must have in common, by names that people understand.

        Parameters
        ----------
        network : Network
            What `build` gave.
        data : TrainingData
            What `read` gave.
        parameters : mapping of str to object
            All parameters, as JSON can hold them.

        Returns
        -------
        dict
            As JSON can hold it.
        """
        sides = {"training": (data.training, data.labels), "validation": (data.validation, data.validation_labels)}
        digests = {
            f"number and digest of {name} images": [
                len(images.contents),
                hashlib.sha256(b"".join(images.contents) + np.ascontiguousarray(labels).tobytes()).hexdigest()[:8],
            ]
            for name, (images, labels) in sides.items()
            if images is not None and labels is not None
        }
        if data.weights is not None:
            digests["digest of sample_weight"] = [hashlib.sha256(data.weights.tobytes()).hexdigest()[:8]]
        shared = {name: value for name, value in parameters.items() if name not in _MAY_DIFFER}
        weights = {"digest of the initial network": network_digest(network.model).hex()[:8]}
        versions = {f"version of {package}": version for package, version in library_versions().items()}
        return digests | shared | weights | versions

    def provenance(
        self, data: TrainingData, classes: Classes, training: TrainingResult, X: Any, validation_data: Any
    ) -> dict[str, Any]:
        """Return what produced the network, beside the parameters.

        Parameters
        ----------
        data : TrainingData
            What `read` gave.
        classes : Classes
            What the labels mean.
        training : TrainingResult
            What `train` gave.
        X, validation_data : object
            As for `TransferClassifier.fit`.

        Returns
        -------
        dict
            As JSON can hold it.
        """
        random_state, weights = self.parameters.random_state, self.weights
        chosen = np.bincount(data.labels[data.rows], minlength=data.n_classes)[classes.codes].tolist()
        return {
            "seed": self.seed if random_state is None else int(random_state),
            "weights": "random" if weights is None else asdict(weights) | {"path": Path(weights.path).name},
            **({"encoder": asdict(self.spec.weights)} if isinstance(self.spec.weights, EncoderIdentity) else {}),
            "backbone": describe_backbone(self.spec, weights, by_name=self.parameters.weights == "imagenet"),
            "precision": resolve_precision(self.parameters.precision)._asdict(),
            "training_data": _describe_data(X, data.training)
            | {"rows_of_each_class_in_a_pass": chosen}
            | ({} if data.weights is None else {"sample_weight": _describe_weights(data.weights)}),
            "validation_data": None if data.validation is None else _describe_data(validation_data, data.validation),
            "epochs_run": len(training.history.get("loss", [])),
            **({"penalty": [path.to_state() for path in training.penalty_paths]} if training.penalty_paths else {}),
            "versions": library_versions(),
            "trained": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _rate(self, stage: Stage) -> float | Template:
        """Return the rate of a stage: its own, else that of the user's optimizer, else that of the classifier."""
        if stage.learning_rate is not None:
            return float(stage.learning_rate)
        if self.own_optimizer is not None:
            return rate_of(self.own_optimizer)
        rate = self.parameters.learning_rate
        return own_object("learning_rate", rate) or float(rate)  # Keras refuses the int 1

    def _ema_momentum(self) -> float | None:
        if self.own_optimizer is None:
            return self.optimizer.ema_momentum
        config = self.own_optimizer.config
        return float(config["ema_momentum"]) if config.get("use_ema") else None

    def _prepare(self, X: Any, y: ArrayLike | None, what: str) -> PreparedImages:
        return prepare(
            X,
            y,
            image_size(self.parameters),
            on_error=self.parameters.on_error,
            desc=f"Read {what}",
            verbose=self.parameters.verbose,
        )

    def _choose_rows(self, encoded: NDArray[np.int64], weights: NDArray[np.float64] | None) -> NDArray[np.intp]:
        """Choose among the images that count at all."""
        rows = np.arange(len(encoded)) if weights is None else np.flatnonzero(weights)
        if self.parameters.balancer is None:
            return rows
        return _seeded(self.parameters.balancer, self.seed).fit_resample(rows.reshape(-1, 1), encoded[rows])[0][:, 0]


def _seeded(part: Any, seed: int) -> Any:
    """Return a balancer or an augmenter with a seed: its own, else the classifier's."""
    if part is None or getattr(part, "random_state", None) is not None:
        return part
    return clone(part).set_params(random_state=seed)


def _describe_weights(weights: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "lowest": float(weights.min()),
        "highest": float(weights.max()),
        "images_of_weight_0": int((weights == 0).sum()),
    }


def _describe_data(X: Any, prepared: PreparedImages) -> dict[str, Any]:
    classes, counts = np.unique(prepared.labels, return_counts=True)
    return {
        "name": prepared.identity.name,
        "counts": dict(zip(map(str, classes.tolist()), counts.tolist(), strict=True)),
        "skipped": len(prepared.skipped) + len(getattr(X, "skipped", ())),
    }
