"""`TrainingRun`: the steps of one fit, in order."""

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

from melanoma_tl._keras.device_errors import explaining_device_errors
from melanoma_tl._versions import library_versions
from melanoma_tl.augmentation import Augmenter
from melanoma_tl.backbones import get_backbone
from melanoma_tl.backbones.building import is_third_party
from melanoma_tl.backbones.spec import BackboneSpec, EncoderIdentity
from melanoma_tl.backbones.weights import WeightsFile, describe_backbone, find_weights
from melanoma_tl.balancing import Balancer
from melanoma_tl.datasets.leakage import compare
from melanoma_tl.datasets.splitting import find_groups
from melanoma_tl.errors import ParameterError
from melanoma_tl.images.loading import PreparedImages, prepare
from melanoma_tl.labels.checks import LABELS_THAT_DIFFER
from melanoma_tl.labels.class_names import name_classes
from melanoma_tl.labels.classes import Classes
from melanoma_tl.network.cutting import FrozenPart, network_digest
from melanoma_tl.network.graph import Network, build_network, freeze, resolve_trainable_from
from melanoma_tl.network.inference import NetworkScorer, count_images_at_once
from melanoma_tl.network.precision import resolve_precision
from melanoma_tl.saving.model_file import check_can_be_saved
from melanoma_tl.training.callbacks import UserCallbacks
from melanoma_tl.training.checkpoints import RunFolder
from melanoma_tl.training.keras_errors import less_memory
from melanoma_tl.training.keras_objects import Template, check_loss, check_metric
from melanoma_tl.training.labels import VALIDATION_LABELS, as_pair, balanced_weights, weights_of_classes
from melanoma_tl.training.loop import TrainingResult
from melanoma_tl.training.optimizers import rate_of
from melanoma_tl.training.parameters import (
    TrainingParameters,
    as_nested,
    as_template,
    chooses_penalty,
    image_size,
    metrics_of,
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
"""Parameters that may differ between processes: the digest of the network compares the weights, not their path."""


class TrainingRun:
    """One training: build, read, plan, open, train, and describe the result.

    Parameters
    ----------
    parameters : TrainingParameters
        The parameters, after they were checked.
    seed : int
        Seed of all random numbers, except those of parts that have their own.
    replicas : Replicas
        The devices to train on.

    Attributes
    ----------
    spec : BackboneSpec
        The backbone.
    weights : WeightsFile or None
        Its pre-trained weights; None for random weights.
    augmenter : Augmenter or None
        The augmenter, with a seed.
    loss, optimizer, resources : Loss, Optimizer, Resources
        The settings; a name or None among the parameters is converted to them.
    own_loss, own_optimizer : Template or None
        A loss or optimizer of Keras, or the user's own, in their place.
    metrics : tuple of Template
        The user's metrics.

    Raises
    ------
    WeightsUnavailableError
        If the weights cannot be found or downloaded.
    """

    def __init__(self, parameters: TrainingParameters, seed: int, replicas: Replicas) -> None:
        self.parameters, self.seed, self.replicas = parameters, seed, replicas
        self.n_differing = 0  # images whose label is not that of their dataset
        self.spec = get_backbone(parameters.backbone)
        self.weights = find_weights(self.spec, parameters.weights, verbose=parameters.verbose)
        self.augmenter: Augmenter | None = _seeded(parameters.augmenter, seed)
        self.own_loss = as_template("loss", parameters.loss)
        self.own_optimizer = as_template("optimizer", parameters.optimizer)
        self.metrics = metrics_of(parameters)
        self.loss: Loss = Loss() if self.own_loss else as_nested("loss", parameters.loss)
        self.optimizer: Optimizer = Optimizer() if self.own_optimizer else as_nested("optimizer", parameters.optimizer)
        self.resources: Resources = as_nested("resources", parameters.resources)

    def try_objects(self, n_classes: int) -> None:
        """Compute the user's loss and metrics on two scores, to detect errors before training.

        Parameters
        ----------
        n_classes : int
            Number of classes of the network.

        Raises
        ------
        ParameterError
            If one of them fails or does not fit the network, or if training uses several devices.
        """
        n_scores = 1 if n_classes == 2 else n_classes
        if self.own_loss is not None:
            check_loss(self.own_loss, n_scores)
        for metric in self.metrics:
            check_metric(metric, n_scores)
        if (self.metrics or self.own_loss) and self.replicas.are_several:
            raise ParameterError(
                "your own loss or metrics would include the padding of the batches for several devices: pass "
                "resources=Resources(distribution=None)"
            )

    def build(self, n_classes: int = 2) -> Network:
        """Build the network, and check the parameters that depend on its layers before any image is read.

        Parameters
        ----------
        n_classes : int, default=2
            Number of classes.

        Returns
        -------
        Network
            A new network in each call, with the same initial weights.

        Raises
        ------
        ParameterError, UnknownNameError, ModelFileError
            If a parameter does not fit the network, or the network could not be saved.
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
        if callable(self.parameters.head) or is_third_party(self.spec):  # the user's layers may fail in this precision
            for stage in stages_of(self.parameters):
                cut_for_stage(network, self.spec, stage, train_batch_norm=self.parameters.train_batch_norm)
                NetworkScorer(network.model, resolve_precision(self.parameters.precision)).check()
        return network

    def frozen_part(self) -> FrozenPart:
        """Build the frozen part of the network, which the first stage runs once for each image and view.

        Returns
        -------
        FrozenPart
            The frozen part, its precision and the views of each image.

        Raises
        ------
        ParameterError
            If no features can be stored: no layer is frozen, images are mixed, views are endless, or every fit draws
            other weights or views.
        """
        n_views = 1 if self.augmenter is None else self.augmenter.views
        if self.parameters.mix is not None or n_views is None:
            raise ParameterError(
                "no features can be stored, because mixed images and endless views are new in every step: "
                "pass mix=None and Augmenter(..., views=8), or no augmenter"
            )
        draws_views = n_views > 1 and getattr(self.parameters.augmenter, "random_state", None) is None
        if self.parameters.random_state is None and (self.weights is None or draws_views):
            raise ParameterError("features that are new in every fit cannot be stored: pass a random_state")
        first, train_batch_norm = stages_of(self.parameters)[0], self.parameters.train_batch_norm
        parts = cut_for_stage(self.build(), self.spec, first, train_batch_norm=train_batch_norm)
        if parts.frozen is None:
            raise ParameterError(
                "no features can be stored, because the first stage trains all layers of the backbone: freeze some "
                "with trainable_from"
            )
        return FrozenPart(parts.frozen, resolve_precision(self.parameters.precision).frozen, self.augmenter, n_views)

    def read(
        self,
        X: Any,
        y: ArrayLike | None,
        validation_data: Any,
        sample_weight: NDArray[np.float64] | None = None,
        groups: NDArray[np.uint64] | None = None,
    ) -> tuple[TrainingData, Classes]:
        """Read all images, decoded or from the cache, and choose the rows to train on.

        Parameters
        ----------
        X, y, validation_data : object
            As for `TransferClassifier.fit`.
        sample_weight : ndarray of shape (n_images,), optional
            Weight of each image, after it was checked.
        groups : ndarray of shape (n_images,) and dtype uint64, optional
            Equal numbers for images that a ``Probe(C="auto")`` must keep together, 0 where nothing is known.

        Returns
        -------
        tuple of TrainingData and Classes
            The images with their labels as numbers, and the meaning of these numbers.

        Raises
        ------
        DatasetError, ImageError, UnknownNameError
            If an image cannot be read or a label cannot be used.

        Warns
        -----
        LeakageWarning
            If validation images are training images, or show the same lesion or patient.
        """
        training = self._prepare(X, y, "training images")
        classes = self.parameters._resolve_classes(training.labels)
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
            "The validation metrics, and choices based on them, are too optimistic: "
            "remove the images with valid.overlap(train).remove_from(valid)",
            stacklevel=5,
        )
        return replace(known, validation=validation, validation_labels=validation_labels), classes

    def plan(self, classes: Classes, data: TrainingData) -> list[TrainingPlan]:
        """Plan each stage.

        Parameters
        ----------
        classes : Classes
            The meaning of the labels.
        data : TrainingData
            The training data.

        Returns
        -------
        list of TrainingPlan
            One plan per stage.
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
        """Prepare the training of all stages.

        Parameters
        ----------
        network : Network
            The network from `build`.
        data : TrainingData
            The data from `read`.

        Returns
        -------
        StagedTraining
            The training, before its first stage.
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
        """Train all stages and join their histories.

        Parameters
        ----------
        training : StagedTraining
            The training from `open`.
        plans : list of TrainingPlan
            The plans from `plan`.
        callbacks : sequence of keras.callbacks.Callback
            The user's callbacks.
        resume : bool
            Whether finished epochs are stored, and training is resumed from them.

        Returns
        -------
        TrainingResult
            The history of all stages, and what ended training early.

        Raises
        ------
        TrainingError
            If the loss becomes NaN or infinite.
        DeviceError
            If memory is full, or the device fails.
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
            with explaining_device_errors(less_memory(plan)):
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
        """Return everything that determines the result of training; `resume` finds the checkpoints by its digest.

        Parameters
        ----------
        training : StagedTraining
            The training from `open`.
        plans : list of TrainingPlan
            The plans from `plan`.

        Returns
        -------
        dict
            The description, serialisable as JSON.
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
        """Return what must be the same in all processes of one training, under the names used in error messages.

        Parameters
        ----------
        network : Network
            The network from `build`.
        data : TrainingData
            The data from `read`.
        parameters : mapping of str to object
            All parameters, serialisable as JSON.

        Returns
        -------
        dict
            The description, serialisable as JSON.
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
        """Return the provenance of the network, except for its parameters.

        Parameters
        ----------
        data : TrainingData
            The data from `read`.
        classes : Classes
            The meaning of the labels.
        training : TrainingResult
            The result from `train`.
        X, validation_data : object
            As for `TransferClassifier.fit`.

        Returns
        -------
        dict
            Seed, weights, precision, data, number of epochs, versions and date, serialisable as JSON.
        """
        random_state, weights = self.parameters.random_state, self.weights
        chosen = np.bincount(data.labels[data.rows], minlength=data.n_classes)[classes.codes].tolist()
        return {
            "seed": self.seed if random_state is None else int(random_state),
            "weights": _describe_weights_file(self.spec, weights),
            **_describe_encoders(self.spec),
            "backbone": describe_backbone(self.spec, weights, by_name=self.parameters.weights == "imagenet"),
            "image_size": "{}x{} pixels".format(*image_size(self.parameters)),
            "precision": _describe_precision(self.spec, self.parameters.precision),
            "training_data": _describe_data(X, data.training, classes)
            | {"rows_of_each_class_in_a_pass": chosen}
            | ({} if data.weights is None else {"sample_weight": _describe_weights(data.weights)})
            | ({LABELS_THAT_DIFFER: self.n_differing} if self.n_differing else {}),
            "validation_data": None
            if data.validation is None
            else _describe_data(validation_data, data.validation, classes),
            "epochs_run": len(training.history.get("loss", [])),
            **({"penalty": [path.to_state() for path in training.penalty_paths]} if training.penalty_paths else {}),
            "versions": library_versions(),
            "trained": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _rate(self, stage: Stage) -> float | Template:
        """Return the learning rate of the stage, else that of the user's optimizer, else that of the classifier."""
        if stage.learning_rate is not None:
            return float(stage.learning_rate)
        if self.own_optimizer is not None:
            return rate_of(self.own_optimizer)
        rate = self.parameters.learning_rate
        return as_template("learning_rate", rate) or float(rate)  # Keras refuses the int 1

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
        """Return the rows of one pass: balanced, without images of weight 0."""
        rows = np.arange(len(encoded)) if weights is None else np.flatnonzero(weights)
        if self.parameters.balancer is None:
            return rows
        return _seeded(self.parameters.balancer, self.seed).fit_resample(rows.reshape(-1, 1), encoded[rows])[0][:, 0]


def _seeded(part: Any, seed: int) -> Any:
    """Return a balancer or an augmenter with its own seed, else with that of the classifier."""
    if part is None or getattr(part, "random_state", None) is not None:
        return part
    return clone(part).set_params(random_state=seed)


def _describe_weights(weights: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "lowest": float(weights.min()),
        "highest": float(weights.max()),
        "images_of_weight_0": int((weights == 0).sum()),
    }


def _describe_weights_file(spec: BackboneSpec, weights: WeightsFile | None) -> str | dict[str, Any]:
    if weights is None:
        return "random"
    if isinstance(spec.weights, EncoderIdentity):  # no file, and nobody publishes its hash
        return f"those of the encoder {weights.path}"
    return asdict(weights) | {"path": Path(weights.path).name}


def _describe_precision(spec: BackboneSpec, precision: str) -> dict[str, str]:
    """Return what each part computes with; an encoder decides that itself."""
    described = resolve_precision(precision)._asdict()
    return described | {"frozen": "as the encoder computes"} if isinstance(spec.weights, EncoderIdentity) else described


def _describe_encoders(spec: BackboneSpec) -> dict[str, Any]:
    """Return the identity of the frozen encoder, or those of several side by side; nothing where there is none."""
    specs = [get_backbone(name) for name in spec.part_names] or [spec]
    found = [asdict(one.weights) for one in specs if isinstance(one.weights, EncoderIdentity)]
    return {"encoder": found if spec.part_names else found[0]} if found else {}


def _describe_data(X: Any, prepared: PreparedImages, classes: Classes) -> dict[str, Any]:
    in_words = name_classes(classes.labels.tolist(), classes.pos_label)
    # Labels of validation data may be written otherwise than the classes, such as 0 and 1.
    counts = np.bincount(classes.encode(prepared.labels), minlength=len(in_words))[classes.codes].tolist()
    return {
        "name": prepared.identity.name,
        "counts": {name: n for name, n in zip(in_words, counts, strict=True) if n},
        "skipped": len(prepared.skipped) + len(getattr(X, "skipped", ())),
    }
