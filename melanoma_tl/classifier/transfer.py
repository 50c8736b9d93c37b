"""`TransferClassifier`: learns melanoma from images, on top of a pre-trained backbone."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone

from melanoma_tl._keras.device_errors import explaining_device_errors
from melanoma_tl._keras.isolation import own_settings
from melanoma_tl._keras.quiet import load_keras
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
    TEXT,
    VERBOSE,
    Rule,
    called_here,
    called_on_class,
    check,
    checked,
    choice,
    find_method,
    having,
    instance,
    one_of,
    real,
    several,
    whole,
)
from melanoma_tl._progress import progress
from melanoma_tl.augmentation import Augmenter
from melanoma_tl.backbones import get_backbone, list_backbones
from melanoma_tl.balancing import Balancer
from melanoma_tl.classifier.base import BaseClassifier, describe_scores, scores_of
from melanoma_tl.classifier.postprocessing import PostProcessing
from melanoma_tl.classifier.state import describe_parameters, name_recipe, restore_classifier, weights_by_class
from melanoma_tl.distribution import forget_networks
from melanoma_tl.errors import ExportError, ModelFileError, NotFittedError, ParameterError, UnknownNameError
from melanoma_tl.images.decoding import SkippedRow
from melanoma_tl.images.fingerprints import Fingerprints
from melanoma_tl.images.own_labels import count_differing
from melanoma_tl.images.symmetries import COUNTS, check_tta
from melanoma_tl.labels.classes import Classes
from melanoma_tl.metrics.estimators import classes_of
from melanoma_tl.network.cutting import FrozenPart, network_digest
from melanoma_tl.network.graph import PREPROCESSINGS, without_optimizer
from melanoma_tl.network.heads import HEADS, Head, PooledHead
from melanoma_tl.network.inference import NetworkScorer
from melanoma_tl.network.precision import PRECISIONS, name_precision, resolve_precision
from melanoma_tl.network.scoring_graph import with_calibration, with_tuning, without_calibration
from melanoma_tl.recipes import get_recipe, refuse_recipe
from melanoma_tl.saving.audit import Interface
from melanoma_tl.saving.document_rules import LABEL, read_parts
from melanoma_tl.saving.export import Exportable, ExportedModel, export_model
from melanoma_tl.saving.left_out import BackboneWeights, check_same, check_unchanged, read_backbone
from melanoma_tl.saving.model_file import load_model, save_model
from melanoma_tl.training.keras_objects import DESCRIPTION, refuse_description
from melanoma_tl.training.labels import (
    check_labels,
    read_groups,
    read_sample_weight,
    warn_of_differing,
    warn_of_few,
)
from melanoma_tl.training.mixing import MIXES
from melanoma_tl.training.parameters import (
    NESTED,
    as_nested,
    as_template,
    check_stages,
    chooses_penalty,
    image_size,
    metrics_of,
    stages_of,
    warn_of_unused,
)
from melanoma_tl.training.penalty_path import PenaltyPath
from melanoma_tl.training.replicas import SINGLE_DEVICE, find_replicas
from melanoma_tl.training.settings import LOSSES, Loss, Optimizer, Resources
from melanoma_tl.training.stages import Probe, Stage, change_stages, name_parameters

if TYPE_CHECKING:
    from melanoma_tl.training.learning_rate_finder import LearningRateDisplay
    from melanoma_tl.training.run import TrainingRun

logger = logging.getLogger(__name__)

_FUNCTION = Rule("an object of Keras or a function, not a class", FUNCTION.read)

_PARAMETERS = {
    "backbone": TEXT,
    "weights": PATH | NONE,
    "preprocessing": choice(*PREPROCESSINGS),
    "input_size": SIZE | NONE,
    "head": choice(*HEADS) | instance(PooledHead) | FUNCTION,
    "dropout": SHARE,
    "trainable_from": TEXT | COUNT | NONE,
    "stages": several(instance(Stage, Probe), at_least=1) | NONE,
    "train_batch_norm": FLAG,
    "balancer": instance(Balancer) | NONE,
    "augmenter": instance(Augmenter) | NONE,
    "class_weight": CLASS_WEIGHT,
    "mix": choice(*MIXES) | NONE,
    "loss": choice(*LOSSES) | instance(Loss) | _FUNCTION,
    "optimizer": TEXT | instance(Optimizer) | having("apply_gradients", "an optimizer of Keras, not its class"),
    "metrics": several(TEXT | _FUNCTION),
    "learning_rate": real(above=0) | having("get_config", "a schedule of Keras"),
    "batch_size": COUNT,
    "epochs": COUNT,
    "steps_per_epoch": COUNT | NONE,
    "early_stopping": COUNT | NONE,
    "restore_best": FLAG,
    "precision": choice("auto", *PRECISIONS),
    "resources": instance(Resources) | NONE,
    "threshold": PROBABILITY,
    "tta": one_of(*COUNTS),
    "on_error": ON_ERROR,
    "random_state": SEED,
    "verbose": VERBOSE,
}

_READ_FROM_FILE = {
    "head": TEXT | instance(PooledHead),
    "loss": choice(*LOSSES) | instance(Loss) | DESCRIPTION,
    "optimizer": TEXT | instance(Optimizer),
    "metrics": several(TEXT),
    "learning_rate": real(above=0) | DESCRIPTION,
    "pos_label": LABEL | NONE,
}
"""Parameters that are described where a file cannot hold them."""

_CALLBACKS = several(having("set_model", "a callback of Keras"))

_OF_SCORING = {name: _PARAMETERS[name] for name in ("precision", "tta", "on_error", "verbose")}
"""Parameters that may be changed after `fit`."""


def _check_known(part: Any, given: Iterable[str], known: Mapping[str, Any]) -> None:
    """Raise an UnknownNameError for a name that is not a parameter."""
    for name in (name for name in given if name not in known):
        method = find_method(type(part), name)
        nested = [path for path in part.get_params() if path.endswith(f"__{name}")]
        belongs = f"It is one of {method}({name}=...)." if method else f"It is {' or '.join(nested)}." if nested else ""
        ours = called_here(name, known)
        where = belongs or (f"It is {ours!r} here." if ours else "")
        raise UnknownNameError(f"parameter of {type(part).__name__}", name, known, where)


class TransferClassifier(BaseClassifier):
    """A melanoma classifier on a pre-trained backbone, in scikit-learn's grammar.

    Images are passed as raw RGB, 0 to 255: the scaling that the backbone needs is part
    of the saved graph. With two classes the classifier is binary and `pos_label` is melanoma, whatever the
    order of the class names; with more than two diagnoses it is a multiclass classifier.

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
        Scaling of the input: the one that the pre-trained weights expect, or a division by 255 as published.
    input_size : tuple of int or None, default=None
        (height, width) in pixels to which images are resized; None takes the backbone's default.
    head : {"pooled", "published"}, PooledHead, callable or keras.Layer, default="pooled"
        Layers between the last feature map and the output layer. "pooled" is global average pooling; a `PooledHead`
        pools otherwise, or pools the feature maps of several layers; "published" is two dense layers of 4096.
        A function maps the feature map (a Keras tensor of shape (n, h, w, channels)) to a tensor of shape
        (n, features) and must make new layers whenever it is called. A Keras layer or model with the same input and
        output is used as a template: every `fit` builds a new one from its configuration, with new weights, and
        does not change the object.
    dropout : float, default=0.0
        Dropout rate of the features before the output layer, from 0 to less than 1.
    trainable_from : str, int or None, default=None
        First trainable layer of the backbone, such as "block5_conv2", or the number of its last stages
        that are trainable; None freezes the backbone.
    stages : sequence of Stage or Probe, or None, default=None
        Stages of training in their order, such as ``(Probe(), Stage(trainable_from=1))``;
        None is a single stage with `trainable_from`. Each stage starts with the final weights of the one before.
        The output of the layers before its first trainable layer is computed once and stored.
    train_batch_norm : bool, default=False
        Whether the batch normalisation of trainable layers of the backbone is trained too. It is frozen by
        default, because statistics of small batches are unreliable.
    balancer : Balancer or None, default=None
        Chooses the training rows; never applied to validation data.
    augmenter : Augmenter or None, default=None
        Changes the training images; never applied to validation data.
    pos_label : object, default=None
        The label in `y` that means melanoma. None infers it from the labels, such as 1 of 0 and 1, "melanoma" of
        "melanoma" and "nevus", "mel" of "mel" and "nv"; where it cannot be inferred, `fit` raises a DatasetError.
    class_weight : "balanced", dict or None, default=None
        Weight of each class in the loss, by its label; an alternative to a balancer.
    mix : {"mixup", "cutmix"} or None, default=None
        Combine pairs of training images and, with the same weights, their labels; features cannot be stored then.
    loss : {"crossentropy", "focal"}, Loss, keras.losses.Loss or callable, default="crossentropy"
        Loss to minimise; ``Loss("focal", label_smoothing=0.1)`` sets its options. One of Keras's, or a function of
        labels and scores, both of shape (n, 1) or (n, n_classes), is given probabilities, not logits.
    optimizer : str, Optimizer or keras.optimizers.Optimizer, default="adam"
        Name of a Keras optimizer; ``Optimizer("adamw", weight_decay=1e-2, clip_norm=1.0)`` sets its options. One of
        Keras's brings its own learning rate, which a `Stage` may replace.
    metrics : sequence of str, keras.metrics.Metric or callable, default=()
        What `history_` has in addition to loss, accuracy and auc, as in ``compile`` of Keras.
        Objects of Keras are templates, as a head is: every `fit` makes its own from their configuration. A model
        file names them, and a loaded model needs them to be set again before it is trained.
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule, default=1e-3
        Learning rate of the optimizer; `find_learning_rate` suggests one. A schedule restarts in each `Stage`.
    batch_size : int, default=32
        Images per training step.
    epochs : int, default=20
        Maximum number of epochs of each stage that does not set its own.
    steps_per_epoch : int or None, default=None
        Training steps per epoch; None makes an epoch one pass over the rows that the balancer chose.
    early_stopping : int or None, default=None
        Patience: training stops after so many epochs without a smaller validation loss.
    restore_best : bool, default=True
        Restore the weights of the epoch with the smallest validation loss, where there is validation data.
    precision : {"auto", "float32", "bfloat16", "mixed_bfloat16"}, default="auto"
        Number format of the computation; the weights are always float32. "bfloat16" applies to the
        frozen layers only, "mixed_bfloat16" to the trainable layers as well. "auto" is "bfloat16" where
        the processor multiplies it natively (a CPU with AVX512-BF16 or AMX, a GPU from NVIDIA's
        Ampere on), and "float32" elsewhere.
    resources : Resources or None, default=None
        Devices to train on, and disk for stored features; None is ``Resources()``, all devices and half of the disk
        that is free.
    threshold : float, default=0.5
        `predict` returns melanoma if the predicted probability is strictly greater. A threshold that
        `tune_threshold` chose replaces it.
    tta : {1, 2, 4, 8}, default=1
        Test-time augmentation: number of views of an image whose predicted probabilities are averaged.
        2: the image and its left-right mirror image; 4: also these two upside down; 8: also these four
        rotated by 90 degrees, which needs a square `input_size`. It has no effect on training.
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
        The distinct labels of `y`, sorted.
    pos_label_ : object
        The class that is melanoma; None with more than two classes if none, or more than one, of them is melanoma.
    class_names_ : list of str
        `classes_` in words: "benign" and "melanoma" where they are 0 and 1.
    history_ : dict of str to list of float
        loss, accuracy and auc after each epoch of each stage, and with the prefix ``val_`` those of the
        validation data. A `Probe` counts as one epoch. In accuracy and auc, a mixed image counts under the
        class with the larger weight.
    model_ : keras.Model
        The network, without nested models: from raw images of shape (n, height, width, 3) to scores of shape (n, 1),
        or (n, n_classes) with more than two classes.
    threshold_ : float
        The threshold that `predict` uses: that of `tune_threshold` if it was called, else `threshold`.
    calibration_ : Calibration
        Only after `calibrate`.
    operating_point_ : OperatingPoint
        Only after `tune_threshold`.
    penalty_path_ : PenaltyPath
        Only of a classifier with a ``Probe(C="auto")``, of the last one: loss and AUC for each C, and the chosen one.
    fingerprints_ : dict of str to Fingerprints
        Fingerprints of the images of "training" (those the balancer chose) and "validation", by which `seen_images`
        recognises them. The images cannot be restored from them.
    skipped_ : tuple of SkippedRow
        Training and validation images that could not be read.
    provenance_ : dict
        Parameters, recipe, seed, pre-trained weights, data and software versions that produced this model.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype="uint8")
    >>> clf = TransferClassifier(weights=None, input_size=(32, 32), epochs=1, random_state=0, verbose=0)
    >>> clf.fit(images, [0, 1] * 4).predict_proba(images).shape
    (8, 2)
    """

    classes_: NDArray[Any]
    pos_label_: Any
    fingerprints_: dict[str, Fingerprints]
    provenance_: dict[str, Any]
    _file_name = "model.keras"

    @checked()
    def __init__(
        self,
        backbone: str = "vgg19",
        *,
        weights: str | os.PathLike[str] | None = "imagenet",
        preprocessing: str = "backbone",
        input_size: tuple[int, int] | None = None,
        head: Head = "pooled",
        dropout: float = 0.0,
        trainable_from: str | int | None = None,
        stages: Sequence[Stage | Probe] | None = None,
        train_batch_norm: bool = False,
        balancer: Balancer | None = None,
        augmenter: Augmenter | None = None,
        pos_label: Any = None,
        class_weight: str | Mapping[Any, float] | None = None,
        mix: str | None = None,
        loss: Any = "crossentropy",
        optimizer: Any = "adam",
        metrics: Any = (),
        learning_rate: Any = 1e-3,
        batch_size: int = 32,
        epochs: int = 20,
        steps_per_epoch: int | None = None,
        early_stopping: int | None = None,
        restore_best: bool = True,
        precision: str = "auto",
        resources: Resources | None = None,
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
        self.dropout = dropout
        self.trainable_from = trainable_from
        self.stages = stages
        self.train_batch_norm = train_batch_norm
        self.balancer = balancer
        self.augmenter = augmenter
        self.pos_label = pos_label
        self.class_weight = class_weight
        self.mix = mix
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = metrics
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.early_stopping = early_stopping
        self.restore_best = restore_best
        self.precision = precision
        self.resources = resources
        self.threshold = threshold
        self.tta = tta
        self.on_error = on_error
        self.random_state = random_state
        self.verbose = verbose

    @called_on_class
    @classmethod
    @checked(name=TEXT)
    def from_recipe(cls, name: str, **changes: Any) -> Self:
        """Make a classifier from a named, complete set-up.

        Parameters
        ----------
        name : str
            One of `list_recipes()`; "paper" is the published network and training, "fast" trains in minutes,
            "best" takes several times as long as "fast".
        **changes : dict
            Parameters that replace those of the recipe; nested ones as in ``head__pooling="avg"``. With another
            `backbone`, "fast" and "best" pool the last feature map of each of its stages.

        Returns
        -------
        TransferClassifier
            Not fitted.

        Raises
        ------
        UnknownNameError
            If there is no such recipe, parameter or backbone.
        ParameterError
            If a parameter cannot be used, or the recipe has no meaning for that backbone.

        Examples
        --------
        >>> TransferClassifier.from_recipe("paper", epochs=1).trainable_from
        'block5_conv2'
        >>> TransferClassifier.from_recipe("fast", backbone="efficientnetb0").head.feature_layers
        'stages'
        """
        says_what_learns = name == "paper" and "trainable_from" in changes
        recipe = get_recipe(name, None if says_what_learns else changes.get("backbone"))
        made = cls(**recipe).set_params(**changes)
        made.check_parameters()
        return made

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool, default=True
            Whether those of parts and stages are among them, under the names that `set_params` takes.

        Returns
        -------
        dict
            As they were given.
        """
        params: dict[str, Any] = super().get_params(deep)
        of_stages = name_parameters(self.stages) if deep else {}
        return params | {f"stages__{path}": value for path, value in of_stages.items()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also those of parts.

        Parameters
        ----------
        **params : dict
            By name; ``optimizer__weight_decay`` is the `weight_decay` of `optimizer`. If that parameter is a string
            such as "adam", or None, it is first replaced by the object that it stands for. ``stages__0__C`` is the
            `C` of the first of `stages`.

        Returns
        -------
        TransferClassifier
            Itself.

        Raises
        ------
        UnknownNameError
            If there is no such parameter.
        ParameterError
            If a nested parameter is set of something without parameters, such as a head that is a function.
        """
        plain = {name: value for name, value in params.items() if "__" not in name}
        of_parts: dict[str, dict[str, Any]] = {}
        for path in (path for path in params if path not in plain):
            name, _, inner = path.partition("__")
            of_parts.setdefault(name, {})[inner] = params[path]
        own = self.get_params(deep=False)
        _check_known(self, plain | of_parts, own)
        if changes := of_parts.pop("stages", None):
            plain["stages"] = change_stages((own | plain)["stages"], changes)
        parts = {name: as_nested(name, (own | plain)[name]) for name in of_parts}
        for name, part in parts.items():
            _check_known(part, of_parts[name], part.get_params())
        for name, part in parts.items():
            part.set_params(**of_parts[name])
        return super().set_params(**plain | parts)

    # -- training --------------------------------------------------------------------------------------------------

    @checked(callbacks=_CALLBACKS, resume=FLAG)
    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        *,
        validation_data: Any = None,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        callbacks: Sequence[Any] = (),
        resume: bool = False,
    ) -> Self:
        """Train.

        Before training starts, every image that is not yet in the cache folder (`melanoma_tl.cache`) at
        this size is decoded and stored there. The output of the frozen layers is stored there too: all
        epochs, and later runs with the same frozen layers, read it instead of computing it again. If
        validation data share images, near-duplicates, lesions or patients with training data,
        a `LeakageWarning` is issued.

        If a callback raises, or the user interrupts training (Ctrl-C), after at least one finished epoch,
        the classifier keeps the weights reached so far (the best ones with `restore_best`) and can be
        used; the exception is raised again.

        Parameters
        ----------
        X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
            Training images, raw RGB.
        y : array-like of shape (n_images,), optional
            Their classes, if `X` does not contain labels; two, or several diagnoses.
        validation_data : ISBIDataset, tf.data.Dataset or (X, y), optional
            Evaluated after each epoch; never balanced nor augmented. Its labels are those of the
            training data, or 0 and 1, where 1 is melanoma.
        sample_weight : array-like of shape (n_images,), optional
            How much each training image counts in the loss, at least 0; multiplied by `class_weight`. An image of
            weight 0 is as good as absent, and for a `Probe` one of weight 2 as good as two. A `balancer` draws among
            the images above 0 without regard to their weights, which they keep. Validation images, and accuracy and
            auc in `history_`, are not weighted. Not for a tf.data.Dataset.
        groups : array-like of shape (n_images,), optional
            Only for ``Probe(C="auto")``: what else must be in one fold, such as the patient of each image; an image
            with a missing value stands alone. Lesions and patients that an ISBIDataset knows, copies and
            near-duplicates are kept together in any case.
        callbacks : sequence of keras.callbacks.Callback, default=()
            Called in each stage with the trainable part of the network as ``model``; epoch numbers continue from
            stage to stage. ``model.save`` in a callback, and so ``ModelCheckpoint``, writes the whole network,
            which plain Keras opens; a ``CSVLogger`` has the rows of all stages.
        resume : bool, default=False
            Save a checkpoint of each finished epoch in the cache folder until training ends. If the process is
            killed, the same call continues after the last finished epoch and ends with the weights of an
            uninterrupted run. The state of Keras's own callbacks is saved too; that of your own callbacks is not,
            and the log says so. Needs a `random_state`. The first call must already be made with ``resume=True``.

        Returns
        -------
        TransferClassifier
            Itself.

        Raises
        ------
        DatasetError
            If a label is missing, there is only one class, it is unknown which of two is melanoma, or `X` and
            `y` differ in length. Raised before any image is read, except for a stream of images and labels.
        ImageError
            If an image cannot be read and `on_error` is "raise".
        ParameterError
            If a parameter or a callback cannot be used.
        UnknownNameError
            If a validation label is none of the training labels.
        TrainingError
            If the loss becomes NaN or infinite.
        DeviceError
            If memory runs out, or the device fails. The classifier keeps what it had reached, as after Ctrl-C, unless
            the device does not give the weights any more; ``resume=True`` keeps each finished epoch in any case.
        WeightsUnavailableError
            If the weights cannot be found or downloaded.
        """
        load_keras()
        from melanoma_tl.training.callbacks import check_callbacks
        from melanoma_tl.training.run import TrainingRun

        self.check_parameters(validated=validation_data is not None)
        check_callbacks(callbacks, resume=resume)
        replicas = find_replicas(as_nested("resources", self.resources).distribution)
        if self.random_state is None and (resume or replicas.n_processes > 1):
            what = "resume=True finds a run again" if resume else "processes that train together begin alike"
            raise ParameterError(f"{what} by its seed: give a random_state")
        known = self._check_labels(X, y, validation_data)
        weights = read_sample_weight(sample_weight, X, y)
        if groups is not None and not chooses_penalty(self):
            raise ParameterError("groups divide the images for a Probe(C='auto'), and stages has none: leave them out")
        together = read_groups(groups, X, y)
        seed = self._draw_seed()
        with own_settings(seed):
            forget_networks()
            run = TrainingRun(self, seed, replicas)
            run.n_differing = count_differing(X, y, known)
            warn_of_differing(run.n_differing, X)
            warn_of_unused(self)
            with progress(work="Train", unit="", verbose=self.verbose, delay=0) as shown:
                self._fit(run, X, y, validation_data, weights, together, callbacks, known, resume=resume)
                shown.say(self._describe_training())
        return self

    def _fit(
        self,
        run: "TrainingRun",
        X: Any,
        y: ArrayLike | None,
        validation_data: Any,
        sample_weight: NDArray[np.float64] | None,
        groups: NDArray[np.uint64] | None,
        callbacks: Sequence[Any],
        known: Classes | None,
        *,
        resume: bool,
    ) -> None:
        """Train, after everything that needs no network has been checked."""
        from melanoma_tl.training.loop import held

        if known is not None:
            run.try_objects(len(known.labels))
        network = run.build()
        data, classes = run.read(X, y, validation_data, sample_weight, groups)
        if known is None:
            run.try_objects(data.n_classes)
        warn_of_few(data.labels, classes)
        if data.n_classes > 2:
            network = run.build(data.n_classes)
        plans = run.plan(classes, data)
        if run.replicas.n_processes > 1:  # a description of all images and weights takes a tenth of a second
            run.replicas.check_processes_agree(run.describe_process(network, data, describe_parameters(self)))
        with held(callbacks):
            training = run.train(run.open(network, data), plans, callbacks, resume=resume)
        self.model_, self.history_ = without_optimizer(network.model), training.history
        self.classes_, self.pos_label_ = classes.labels, classes.pos_label
        images = data.training.identity.fingerprints[np.unique(data.rows)]
        self.fingerprints_ = {"training": images} | (
            {} if data.validation is None else {"validation": data.validation.identity.fingerprints}
        )
        self.skipped_ = data.training.skipped + (() if data.validation is None else data.validation.skipped)
        self.provenance_ = {
            "recipe": name_recipe(self),
            "parameters": describe_parameters(self),
            **run.provenance(data, classes, training, X, validation_data),
        }
        self._post = PostProcessing()
        if training.interruption is not None:
            n_epochs = len(training.history["loss"])
            logger.warning("fit was interrupted after epoch %d; the classifier holds what it had reached", n_epochs)
            self.provenance_["interrupted_by"] = repr(training.interruption)
            raise training.interruption

    def _describe_training(self) -> str:
        """Return how long and how well it has learned, for the line that stays."""
        from melanoma_tl.training.callbacks import describe_metrics

        n_epochs = len(self.history_.get("loss", ()))
        solved = all(isinstance(stage, Probe) for stage in stages_of(self))
        length = "logistic regression" if solved else f"{n_epochs} epoch{'' if n_epochs == 1 else 's'}"
        return ", ".join([length, *describe_metrics(self.history_)])

    @property
    def penalty_path_(self) -> PenaltyPath:
        """What ``Probe(C="auto")`` found for each penalty."""
        self._check_fitted()
        paths = self.provenance_.get("penalty")
        if not paths:
            raise NotFittedError("no penalty was chosen: only a Probe(C='auto') among the stages chooses one")
        return PenaltyPath.from_state(paths[-1])

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
        """Train with increasing learning rates, one step each (Smith 2017, arXiv:1506.01186).

        The search applies to the first `Stage`; a `Probe` before it is fitted first. The classifier
        itself is not changed.

        Parameters
        ----------
        X, y : object
            Training images, as for `fit`.
        lowest, highest : float, default=1e-7 and 1.0
            Smallest and largest rate; the search stops earlier if the loss diverges.
        steps : int, default=100
            Number of rates, in a geometric sequence.

        Returns
        -------
        LearningRateDisplay
            With ``suggestion`` and ``plot()``.

        Raises
        ------
        ParameterError
            If there is no `Stage` among the stages, or `lowest` is not below `highest`.
        TrainingError
            If the loss is NaN or infinite before the first step, or after one step at `lowest`.
        DeviceError
            If memory runs out, or the device fails.
        """
        from melanoma_tl.training.keras_errors import less_memory
        from melanoma_tl.training.learning_rate_finder import search
        from melanoma_tl.training.run import TrainingRun

        self.check_parameters(validated=True)
        if not lowest < highest:
            raise ParameterError(f"lowest must be below highest, got {lowest!r} and {highest!r}")
        self._check_labels(X, y)
        run = TrainingRun(self, self._draw_seed(), SINGLE_DEVICE)
        data, classes = run.read(X, y, None)
        training = run.open(run.build(data.n_classes), data)
        for stage, plan in zip(stages_of(self), run.plan(classes, data), strict=True):
            with explaining_device_errors(less_memory(plan)):
                if isinstance(stage, Probe):
                    training.fit_probe(stage, plan)
                    continue
                flat = replace(plan, stage=replace(stage, schedule="constant", warmup=0.0), learning_rate=lowest)
                prepared = training.prepare_stage(flat, train_batch_norm=self.train_batch_norm)
                return search(prepared, np.geomspace(lowest, highest, steps), class_weight=plan.class_weight)
        raise ParameterError("find_learning_rate needs a Stage among the stages: a Probe has no learning rate")

    @own_settings()
    def frozen_part(self) -> FrozenPart:
        """Build the part of the network that `fit` runs once for each image and view before its first stage.

        `melanoma_tl.scale.extract` runs it elsewhere. The classifier itself is not changed.

        Returns
        -------
        FrozenPart
            The frozen layers, and the images and views that they are applied to.

        Raises
        ------
        ParameterError
            If there is nothing to store: no weight is frozen, images are mixed, the number of views is unlimited, or
            every `fit` would draw different ones.
        WeightsUnavailableError
            If the weights cannot be found or downloaded.
        """
        from melanoma_tl.training.run import TrainingRun

        self.check_parameters(validated=True)
        return TrainingRun(self, self._draw_seed(), SINGLE_DEVICE).frozen_part()

    def _draw_seed(self) -> int:
        return int(np.random.SeedSequence(self.random_state).generate_state(1)[0] >> 1)

    def _resolve_classes(self, labels: NDArray[Any]) -> Classes:
        return Classes.of(labels, pos_label=self.pos_label)

    def _check_labels(self, X: Any, y: ArrayLike | None, validation_data: Any = None) -> Classes | None:
        """Find the classes before images are read, where possible, and raise an error for unusable labels."""
        return check_labels(
            X, y, validation_data, resolve_classes=self._resolve_classes, class_weight=self.class_weight
        )

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
        for name in ("loss", "optimizer", "learning_rate"):
            refuse_description(name, getattr(self, name))
        parameters = self.get_params(deep=False)
        if lacking := sorted(_PARAMETERS.keys() - parameters.keys()):
            raise ParameterError(
                f"{type(self).__name__} has an __init__ without {lacking[0]!r}, so that no file or clone would keep it "
                f"({len(lacking)} in all): write a function that returns a TransferClassifier instead"
            )
        check(parameters, _PARAMETERS)
        load_keras()  # which knows the names of optimizers and metrics
        refuse_recipe(self.backbone)
        get_backbone(self.backbone)
        if isinstance(self.optimizer, str):
            Optimizer(self.optimizer).check_parameters()
        elif own := as_template("optimizer", self.optimizer):
            from melanoma_tl.training.optimizers import check_optimizer

            check_optimizer(own)
        metrics_of(self)
        if self.early_stopping is not None and not validated:
            raise ParameterError("early_stopping watches the validation loss: pass validation_data to fit")
        if self.stages is not None and self.trainable_from is not None:
            raise ParameterError(
                f"trainable_from={self.trainable_from!r} is for training without stages: "
                "give it to a Stage, such as Stage(trainable_from=...)"
            )
        self._check_parts()
        check_stages(self)
        check_tta(self.tta, image_size(self))
        if self.augmenter is not None and self.augmenter.transpose and len(set(image_size(self))) > 1:
            raise ParameterError("transpose=True of the augmenter needs a square input_size")

    def _check_parts(self) -> None:
        """Check the parameters of those parameters that are objects; strings and None have none."""
        for name, kind in NESTED.items():
            if isinstance(part := getattr(self, name), kind):
                if type(part) is not kind and kind not in (Augmenter, Balancer):  # those have done their work by then
                    given = type(part).__name__
                    raise ParameterError(f"{name} must be {kind.__name__}(...), got {given}: no file holds your class")
                part.check_parameters()

    # -- prediction ------------------------------------------------------------------------------------------------

    def _score_once(self, contents: NDArray[np.uint64], X: Any) -> NDArray[np.float64]:
        """Score images, or take the scores of the last call: calibration and tuning mostly get the same images."""
        if not contents.all():  # 0 stands for what could not be read, and may be there next time
            return self._score(X)
        key = network_digest(self.model_), repr(self._scored_with(None)), contents.tobytes()
        if self.__dict__.get("_last_scored", (None, None))[0] != key:
            self._last_scored = key, self._score(X)
        scores: NDArray[np.float64] = self._last_scored[1]
        return scores.copy()

    def _scored_with(self, tta: int | None) -> dict[str, Any]:
        """Return the settings that may be changed after `fit` and that change the scores."""
        return {"tta": int(self.tta if tta is None else tta), "precision": name_precision(self.precision)}

    @own_settings()
    def _score(self, X: Any, tta: int | None = None, batch_size: int | None = None) -> NDArray[np.float64]:
        """Return what the network gives, as a mean over views."""
        self._check_scoring()
        scores = self._scorer().score(
            X,
            self.tta if tta is None else tta,
            batch_size=batch_size,
            on_error=self.on_error,
            verbose=self.verbose,
        )
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def _check_scoring(self) -> None:
        """Raise an error before the first image if it cannot score."""
        self._check_fitted()
        check(self.get_params(deep=False), _OF_SCORING)

    def _prevalence_of_scores(self) -> float:
        """Return the share of melanomas in the loss that the classifier was trained with."""
        known, weights = classes_of(self), self.provenance_["parameters"]["class_weight"]
        if weights == "balanced":
            return 0.5
        counts = np.array(self.provenance_["training_data"]["rows_of_each_class_in_a_pass"], dtype=float)
        if weights is not None:
            counts *= weights_by_class(weights, known)
        return float(counts[known.melanoma] / counts.sum())

    def _scorer(self) -> NetworkScorer:
        """Return the scorer, rebuilt if the model or the precision has changed."""
        precision = resolve_precision(self.precision)
        scorer: NetworkScorer | None = self.__dict__.get("_made_scorer")
        if scorer is None or scorer.model is not self.model_ or scorer.precision != precision:
            scorer = self._made_scorer = NetworkScorer(self.model_, precision)
        return scorer

    def __sklearn_clone__(self) -> Self:
        # A Keras head is a template that no fit changes, so it is shared: Keras copies layers by serialising them,
        # which fails for some.
        bare = copy(self)
        bare.head = "pooled"
        cloned: Self = BaseEstimator.__sklearn_clone__(bare)
        cloned.head = clone(self.head) if isinstance(self.head, PooledHead) else self.head
        return cloned

    def __getstate__(self) -> dict[str, Any]:
        made_again = ("_made_scorer", "_last_scored")
        return {name: value for name, value in super().__getstate__().items() if name not in made_again}

    def _check_fitted(self) -> None:
        if not hasattr(self, "model_"):
            raise NotFittedError("this TransferClassifier is not fitted: call fit, or TransferClassifier.load")

    # -- keeping ---------------------------------------------------------------------------------------------------

    @checked(path=PATH, include_backbone=FLAG | NONE)
    def save(self, path: str | os.PathLike[str], *, include_backbone: bool | None = None) -> None:
        """Write the model, its classes, threshold, calibration, history and provenance into one file.

        Parameters
        ----------
        path : path
            Must end in ``.keras``. Plain Keras opens the file too, in its safe mode, as a network that scores a single
            view of an image, in float32, and calibrated if `calibrate` was called.
        include_backbone : bool or None, default=None
            Whether the file holds the pre-trained weights. None leaves them out where they are known not to be given
            on freely (`may_redistribute` of the backbone is False); True keeps them, for yourself. A file without them
            is loaded with ``load(path, weights=...)``, and not by plain Keras; it is one of a frozen backbone, and has
            the digest of its weights.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        ModelFileError
            If the path does not end in ``.keras``, or the network contains a layer that `load` would refuse:
            a ``Lambda``, or a layer of your own that is not registered with
            ``keras.saving.register_keras_serializable``; or the weights of the backbone are to be left out, and were
            trained further.
        WeightsUnavailableError
            If the weights that are to be left out cannot be found, to compare them.
        """
        self._check_fitted()
        left_out = self._find_left_out() if self._leaves_out(include_backbone) else None
        save_model(
            with_calibration(self.model_, self._post.calibration),
            {
                "parameters": describe_parameters(self),
                "classes": self.classes_.tolist(),
                "pos_label": self.pos_label_,
                "history": self.history_,
                "skipped": [list(row) for row in self.skipped_],
                "fingerprints": {role: images.to_state() for role, images in self.fingerprints_.items()},
                "provenance": self.provenance_,
                "tuning": self._post_to_state(),
            },
            Path(path),
            self._read,
            left_out,
        )

    def _leaves_out(self, include_backbone: bool | None) -> bool:
        known = self.provenance_.get("backbone")
        bound = isinstance(known, Mapping) and known.get("may_redistribute") is False
        return bound if include_backbone is None else not include_backbone

    def _find_left_out(self) -> BackboneWeights | None:
        """Find the weights that a file can do without, since they are found again where they are published, if any."""
        insist = "save(path, include_backbone=True) keeps all weights in the file, for yourself"
        if self.weights is None:
            raise ModelFileError(f"not saved: random weights of the backbone cannot be left out; {insist}")
        size = tuple(self.model_.inputs[0].shape[1:3])
        try:
            backbone = read_backbone(self.backbone, size, self.preprocessing, self.weights)
            check_unchanged(self.model_, backbone)
        except (ModelFileError, ParameterError) as error:
            raise ModelFileError(f"not saved without the weights of {self.backbone!r}: {error}. {insist}") from None
        return backbone if backbone.layers else None

    @called_on_class
    @classmethod
    @checked(path=PATH, weights=PATH | NONE)
    def load(cls, path: str | os.PathLike[str], *, weights: str | os.PathLike[str] | None = None) -> Self:
        """Read a model that `save` wrote, also from somebody you do not know: no code from the file is run.

        Files of older versions load too; parameters that they lack get their defaults.

        Parameters
        ----------
        path : path
            The file.
        weights : "imagenet" or path, optional
            The pre-trained weights of the backbone, for a file that leaves them out, as in the constructor: "imagenet"
            finds or downloads those that are published. They must be the very same.

        Returns
        -------
        TransferClassifier
            Fitted. If the head was a function, its layers are part of the network, but the classifier cannot be
            fitted again.

        Raises
        ------
        ModelFileError
            If the file is missing, damaged, not a model file of this library, from a newer version, or could be
            harmful; or if it leaves out the weights of its backbone, and none are given, or others.
        ParameterError
            If `weights` are given for a file that holds its own.
        """
        classifier, was_whole = cls._load(path, weights)
        if was_whole and weights is not None:
            raise ParameterError(f"{path} holds all weights: load it without weights={str(weights)!r}")
        return classifier

    @classmethod
    def _load(cls, path: str | os.PathLike[str], weights: str | os.PathLike[str] | None) -> tuple[Self, bool]:
        """Read a model, and whether its file held all weights."""
        load_keras()
        list_backbones()  # imports the packages that backbones come from, which registers their layers with Keras

        def fetch(classifier: Self, left_out: dict[str, Any], interface: Interface) -> BackboneWeights:
            backbone = read_backbone(
                classifier.backbone, interface.size, classifier.preprocessing, weights or "", left_out.get("layers")
            )
            check_same(left_out, backbone, classifier.backbone)
            classifier.weights = weights
            return backbone

        saved = load_model(Path(path), cls._read, None if weights is None else fetch)
        saved.content.model_ = without_calibration(saved.model)
        return saved.content, saved.was_whole

    @classmethod
    def _read(cls, state: dict[str, Any], interface: Interface) -> Self:
        """Make a classifier, without its network, from the document of a model file."""
        parts = read_parts(state, interface.n_scores)
        classifier = restore_classifier(cls, parts["parameters"], state)
        # The backbone and the head function need not be available here: their layers are in the saved network.
        check(
            classifier.get_params(deep=False),
            _PARAMETERS | _READ_FROM_FILE,
        )
        classifier._check_parts()
        check_tta(classifier.tta, interface.size)
        classes = parts["classes"]
        classifier.classes_, classifier.pos_label_ = np.array(state["classes"]), classes.pos_label
        if isinstance(classifier.class_weight, dict):  # JSON turned its keys into strings
            weights = weights_by_class(classifier.class_weight, classes)
            classifier.class_weight = dict(zip(state["classes"], weights, strict=True))
        classifier.history_, classifier.provenance_ = state["history"], state["provenance"]
        classifier.skipped_ = tuple(SkippedRow(*row) for row in parts["skipped"])
        classifier.fingerprints_ = parts["fingerprints"]
        classifier._restore_post(parts["tuning"])
        return classifier

    @checked(path=PATH)
    @own_settings()
    def export(self, path: str | os.PathLike[str], *, format: str | None = None) -> ExportedModel:  # noqa: A002
        """Write the network for other runtimes, and check there that it gives the same scores.

        The input is raw RGB, 0 to 255, as float32 of shape (n, height, width, 3), in the size stated in
        ``NAME.json``, which is written beside the network. The output is the probability of melanoma, of shape
        (n, 1): the mean over `tta` views, calibrated if `calibrate` was called. ``NAME.json`` also gives the class of
        each score, the label of melanoma, the threshold, how to decode and resize image files, and example images
        with their scores to test a program with. The exported network computes in float32, whatever `precision` is.

        Parameters
        ----------
        path : path
            A file that ends in ``.tflite`` or ``.onnx``, or a folder for a SavedModel.
        format : {"saved_model", "litert", "onnx"}, optional
            TensorFlow's SavedModel, LiteRT (formerly TensorFlow Lite) or ONNX; by default chosen by the suffix of
            the path. The last two need ``pip install 'melanoma_tl[export]'``.

        Returns
        -------
        ExportedModel
            Path, format, largest difference from this classifier's `predict_proba`, and size in bytes.

        Raises
        ------
        NotFittedError
            Before `fit` or `load`.
        ExportError
            If path and format contradict each other, packages are missing, the network cannot be exported, or the
            exported network gives different scores. A file that was at the path before is then kept.
        UnknownNameError
            If there is no such format.
        """
        self._check_fitted()
        from melanoma_tl.backbones.encoder_layer import encoders_of

        if encoders := encoders_of(self.model_):
            raise ExportError(
                f"the features come from the encoder {encoders[0]!r}, which is no part of the network: export covers "
                "networks of Keras only. Serve the encoder's own file, or the classifier in Python"
            )
        return export_model(self._exportable(), Path(path), format)

    def _exportable(self) -> Exportable:
        """Return a network with the scores of `predict_proba`, and a description of these scores."""
        size = tuple(self.model_.inputs[0].shape[1:3])
        check_tta(self.tta, size)
        self._check_calibration_fits()
        return Exportable(
            with_tuning(self.model_, self.tta, self._post.calibration),
            scores_of(self),
            (self.tta,),
            name_precision(self.precision),
            describe_scores(self),
        )
