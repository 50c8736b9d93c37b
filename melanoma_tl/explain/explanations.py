"""Explanations of scores: Grad-CAM and occlusion maps, and figures of both.

Both methods show which region a score depends on, not why, and neither proves that the
region is the right one. Use them with `melanoma_tl.explain.check_shortcuts`, which
measures the AUC when the lesion is covered.

References
----------
.. [1] R. R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via
   gradient-based localization", ICCV 2017, equations 1 and 2.
.. [2] M. D. Zeiler and R. Fergus, "Visualizing and understanding convolutional
   networks", ECCV 2014, section 4.2: occlusion sensitivity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from melanoma_tl._escaping import in_html, visible
from melanoma_tl._keras.isolation import own_settings
from melanoma_tl._parameters import COUNT, NONE, SCORER, TEXT, checked, choice, having, several, whole
from melanoma_tl._progress import progress
from melanoma_tl._tables import html_list
from melanoma_tl.backbones import get_backbone
from melanoma_tl.classifier.scoring import quiet_copy
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.images.decoding import load_image
from melanoma_tl.images.loading import open_source
from melanoma_tl.metrics.estimators import classes_of
from melanoma_tl.network.feature_maps import is_feature_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from melanoma_tl.classifier.transfer import TransferClassifier
    from melanoma_tl.report import MetricsReport


METHODS = ("grad_cam", "occlusion", "both")


@checked(classifier=SCORER, layer=TEXT | NONE)
@own_settings()
def grad_cam(
    classifier: "TransferClassifier", X: Any, *, layer: str | None = None, target: Any = None
) -> NDArray[np.float32]:
    """Compute Grad-CAM maps of the evidence for melanoma, or for another class.

    Parameters
    ----------
    classifier : TransferClassifier
        A fitted classifier.
    X : ISBIDataset, sequence of paths or PIL images, or uint8 array (n, height, width, 3)
        A few images, raw RGB.
    layer : str, optional
        A layer of the network with feature maps of shape (n, h, w, channels), for the classic map of this layer alone.
        By default all feature maps that the head pools, if these are several, as with recipe "fast"; of other heads
        the layer that the backbone recommends (`BackboneSpec.last_convolution`), or the last one with feature maps.
    target : object, optional
        The class to explain, one of `classes_`; `pos_label_` by default.

    Returns
    -------
    ndarray of shape (n, height, width) and dtype float32
        Evidence for the class in log odds per 1 % of the image, at least 0, at the network's input size, on one scale
        for all images of a classifier; all 0 if there is no evidence. Divide a map by its maximum for the usual range
        of 0 to 1.

    Raises
    ------
    NotFittedError
        Before `fit` or `load`.
    UnknownNameError
        If there is no such layer or class.
    ParameterError
        If the layer has no feature maps, or `target` is not given and none of several classes is melanoma.
    ImageError
        If an image cannot be read.

    Notes
    -----
    The gradient [1]_ is that of the logit, because the gradient of the probability vanishes near 0
    and 1. Calibration has no influence.

    Of one layer, the map is the sum of its channels, each weighted by the sum of its gradients (the mean times the
    number of places, so that the scale does not depend on the size of the maps). Of a head that pools several maps,
    the last one alone may be a small part of the score that the others cancel: gradient and feature map are therefore
    multiplied place by place, with the other maps fixed, resized and summed over all maps, and only then cut at 0.
    Before that, the sum over the image is what all maps contribute to the logit, in its linear approximation at this
    image. With averages that is the logit without its bias; "log_center" compresses large means, so it is less.
    """
    from melanoma_tl.explain.gradients import MapGradient, pooled_maps

    images = _load(classifier, X)
    of_class = _find_class(classifier, target)
    # With two classes the network has a single score, that of melanoma; the other class has the opposite sign.
    column, sign = (
        (of_class, 1) if len(classifier.classes_) > 2 else (0, 2 * classes_of(classifier).codes[of_class] - 1)
    )
    pooled = pooled_maps(classifier.model_) if layer is None else []
    contribute = _contribute if len(pooled) > 1 else _weigh
    maps = pooled if len(pooled) > 1 else [_find_layer(classifier, layer).output]
    gradient = MapGradient(classifier.model_, maps, column)
    shown = progress(images, "Compute Grad-CAM", verbose=classifier.verbose)
    evidence = (
        sum(_resize(sign * contribute(*one), image.shape[:2]) for one in gradient.measure(image)) for image in shown
    )
    return np.stack([np.maximum(one, 0) for one in evidence])


@checked(classifier=SCORER, grid=whole(at_least=2, at_most=64))
def occlusion(classifier: "TransferClassifier", X: Any, *, grid: int = 7, target: Any = None) -> NDArray[np.float32]:
    """Measure how much a score falls when a part of the image is covered.

    Parameters
    ----------
    classifier : TransferClassifier
        A fitted classifier.
    X : ISBIDataset, sequence of paths or PIL images, or uint8 array (n, height, width, 3)
        A few images, raw RGB; each is scored ``grid ** 2 + 1`` times.
    grid : int, default=7
        Number of patches per row and per column; at least 2.
    target : object, optional
        The class to explain, as `grad_cam`.

    Returns
    -------
    ndarray of shape (n, grid, grid) and dtype float32
        The score minus the score with the patch covered [2]_ by the mean colour of the image, -1 to 1: positive
        where the patch is evidence for the class.

    Raises
    ------
    NotFittedError
        Before `fit` or `load`.
    ParameterError
        If `grid` is below 2.
    ImageError
        If an image cannot be read.
    """
    images = _load(classifier, X)
    of_class = _find_class(classifier, target)
    rows, columns = (np.linspace(0, side, grid + 1).round().astype(int) for side in images.shape[1:3])
    scorer, drops = quiet_copy(classifier), []
    for image in progress(images, "Cover patches", verbose=classifier.verbose):
        covered = np.repeat(image[np.newaxis], grid * grid + 1, axis=0)
        for place in range(grid * grid):
            row, column = divmod(place, grid)
            covered[place, rows[row] : rows[row + 1], columns[column] : columns[column + 1]] = image.mean(axis=(0, 1))
        scores = scorer.predict_proba(covered)[:, of_class]
        drops.append((scores[-1] - scores[:-1]).reshape(grid, grid))
    return np.stack(drops).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Explanations:
    """Images with Grad-CAM and occlusion maps.

    Made by `explain` or `explain_errors`.

    Attributes
    ----------
    captions : tuple of str
        Caption of each image: its id, class and score.
    images : ndarray of shape (n, height, width, 3) and dtype uint8
        The images at the input size of the network.
    grad_cam : ndarray of shape (n, height, width) or None
        The maps of `grad_cam`; None if another method was asked for.
    occlusion : ndarray of shape (n, grid, grid) or None
        The maps of `occlusion`; None if another method was asked for.
    of_class : str
        The class that they are evidence for.
    """

    captions: tuple[str, ...]
    images: NDArray[np.uint8]
    grad_cam: NDArray[np.float32] | None = None
    occlusion: NDArray[np.float32] | None = None
    of_class: str = ""

    def __str__(self) -> str:
        return "\n".join([visible(self._title()), *(f"  {visible(caption)}" for caption in self.captions)])

    def _repr_html_(self) -> str:
        return f"<p>{in_html(self._title())}</p>{html_list(self.captions)}"

    def _title(self) -> str:
        maps = [
            name for name, given in (("Grad-CAM", self.grad_cam), ("occlusion", self.occlusion)) if given is not None
        ]
        of = f" of {self.of_class}" if self.of_class else ""
        return f"{len(self.captions)} images with {' and '.join(maps)}{of}"

    def __repr__(self) -> str:
        return f"Explanations({len(self.captions)} images)"

    def plot(self) -> "Figure":
        """Draw each image beside its maps.

        Returns
        -------
        matplotlib.figure.Figure
            One row per image: the image, then the maps of Grad-CAM and of occlusion, if they were computed (blue
            where covering raises the score, red where it lowers it).
        """
        from melanoma_tl.plots.contact_sheets import draw_explanations

        return draw_explanations(self.captions, self.images, self.grad_cam, self.occlusion, self.of_class)


@checked(classifier=SCORER, method=choice(*METHODS), captions=several(TEXT) | NONE)
def explain(
    classifier: "TransferClassifier",
    X: Any,
    *,
    method: str = "grad_cam",
    captions: Sequence[str] | None = None,
    target: Any = None,
) -> Explanations:
    """Explain the scores of some images.

    Parameters
    ----------
    classifier : TransferClassifier
        A fitted classifier.
    X : ISBIDataset, sequence of paths or PIL images, or uint8 array (n, height, width, 3)
        A few images, raw RGB.
    method : {"grad_cam", "occlusion", "both"}, default="grad_cam"
        Grad-CAM takes one pass through the network for each image, `occlusion` fifty.
    captions : sequence of str, optional
        Captions of the images; ids or positions, and scores of the class, by default.
    target : object, optional
        The class to explain, as `grad_cam`.

    Returns
    -------
    Explanations
        The maps, with ``plot()``; pass it to `MetricsReport.attach` to show it in a report.

    Raises
    ------
    NotFittedError, ParameterError, ImageError
        As `grad_cam`.
    UnknownNameError
        If there is no such method or class.
    """
    images = _load(classifier, X)
    column = _find_class(classifier, target)
    of_class = classifier.class_names_[column]
    if captions is None:
        scores = classifier.predict_proba(images)[:, column]
        named = zip(open_source(X).names, scores, strict=False)
        captions = [f"{name}: score of {of_class} {score:.3f}" for name, score in named]
    if len(captions) != len(images):
        raise ParameterError(f"captions must be one for each of {len(images)} images, got {len(captions)}")
    return Explanations(
        tuple(captions),
        images,
        grad_cam(classifier, images, target=target) if method != "occlusion" else None,
        occlusion(classifier, images, target=target) if method != "grad_cam" else None,
        of_class,
    )


@checked(classifier=SCORER, report=having("examples", "a MetricsReport"), n=COUNT, method=choice(*METHODS))
def explain_errors(
    classifier: "TransferClassifier", report: "MetricsReport", *, n: int = 3, method: str = "grad_cam"
) -> Explanations:
    """Explain the most confident errors of a classifier.

    Parameters
    ----------
    classifier : TransferClassifier
        The classifier of the report.
    report : MetricsReport
        A report with scores and paths.
    n : int, default=3
        Number of missed melanomas with the lowest scores, and of false alarms with the highest scores.
    method : {"grad_cam", "occlusion", "both"}, default="grad_cam"
        As in `explain`.

    Returns
    -------
    Explanations
        Explanations of up to ``2 * n`` images.

    Raises
    ------
    ParameterError
        If the report has no scores or no paths, or there are no errors.
    """
    examples = report.examples(n)
    chosen = [
        (example.path, f"{example.image_id}: {what}, score {example.score:.3f}")
        for what, outcome in (("missed melanoma", "false negatives"), ("false alarm", "false positives"))
        for example in examples[outcome]
    ]
    if not chosen:
        raise ParameterError("there are no errors to explain")
    paths, captions = zip(*chosen, strict=True)
    return explain(classifier, list(paths), method=method, captions=captions)


def _weigh(maps: NDArray[np.float32], gradient: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the signed Grad-CAM map of one layer: maps weighted by their summed gradients [1]_."""
    return (maps * gradient.sum(axis=(0, 1))).sum(axis=-1) / 100


def _contribute(maps: NDArray[np.float32], gradient: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what each place contributes to the logit, per 1 % of the image: gradient times activation."""
    return (maps * gradient).sum(axis=-1) * (maps.shape[0] * maps.shape[1] / 100)


def _resize(values: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Resize a map; its mean stays where the size is a multiple."""
    small = Image.fromarray(values.astype(np.float32))
    return np.asarray(small.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _find_class(classifier: "TransferClassifier", target: Any) -> int:
    """Return the column of a class in `predict_proba`."""
    classes = classifier.classes_.tolist()
    wanted = classifier.pos_label_ if target is None else target
    if wanted is None:
        raise ParameterError(f"target must be one of the classes {classes}, such as target={classes[0]!r}")
    if wanted not in classes:
        raise UnknownNameError("class", wanted, map(str, classes))
    return classes.index(wanted)


def _find_layer(classifier: "TransferClassifier", name: str | None) -> Any:
    """Return the layer whose feature maps are used."""
    layers = {layer.name: layer for layer in classifier.model_.layers}
    with_maps = [layer for layer in layers.values() if _has_maps(layer)]
    if not with_maps:
        raise ParameterError(
            f"Grad-CAM reads a layer with maps (n, height, width, channels), and {classifier.backbone!r} has none: "
            "occlusion, or explain(..., method='occlusion'), works with every network"
        )
    if name is None:
        recommended = get_backbone(classifier.backbone).last_convolution
        return layers.get(recommended, with_maps[-1])
    if name not in layers:
        raise UnknownNameError("layer", name, layers)
    if layers[name] not in with_maps:
        raise ParameterError(f"the layer {name!r} has no maps (n, height, width, channels), but {layers[name].output}")
    return layers[name]


def _has_maps(layer: Any) -> bool:
    from keras.layers import InputLayer

    return is_feature_map(layer.output) and not isinstance(layer, InputLayer)


def _load(classifier: Any, X: Any) -> NDArray[np.uint8]:
    """Decode a few images at the size that the network takes."""
    classifier._check_fitted()
    if not hasattr(classifier, "model_"):
        raise ParameterError(f"{type(classifier).__name__} has no single network: explain one of its members_")
    size = tuple(classifier.model_.inputs[0].shape[1:3])
    return np.stack([load_image(item, size) for item in open_source(X).items])
