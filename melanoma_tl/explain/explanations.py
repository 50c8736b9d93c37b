"""What in an image a score comes from: Grad-CAM, occlusion, and sheets of both.

Both answer where a network looks, not why, and neither proves that it looks at the
right thing: read them with `melanoma_tl.explain.check_shortcuts`, which measures
what is left of the metrics when the lesion is covered.

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

from melanoma_tl._escaping import visible
from melanoma_tl._keras.isolation import own_settings
from melanoma_tl._parameters import COUNT, NONE, SCORER, TEXT, checked, holding, several, whole
from melanoma_tl._progress import progress
from melanoma_tl._tables import html_list
from melanoma_tl.backbones import get_backbone
from melanoma_tl.classifier.scoring import quiet_copy
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.images.decoding import load_image
from melanoma_tl.images.loading import open_source
from melanoma_tl.metrics.estimators import classes_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from melanoma_tl.classifier.transfer import TransferClassifier
    from melanoma_tl.report import MetricsReport


@checked(classifier=SCORER, layer=TEXT | NONE)
@own_settings()
def grad_cam(
    classifier: "TransferClassifier", X: Any, *, layer: str | None = None, target: Any = None
) -> NDArray[np.float32]:
    """Find where in each image the network finds evidence for melanoma, or for another class.

    Parameters
    ----------
    classifier : TransferClassifier
        Fitted.
    X : ISBIDataset, sequence of paths or PIL images, or uint8 array (n, height, width, 3)
        A few images, raw RGB.
    layer : str, optional
        A layer of the network with maps of shape (n, h, w, channels). By default what the backbone
        recommends (`BackboneSpec.last_convolution`), else the last layer with maps.
    target : object, optional
        The class whose evidence is looked for, as it stands in `classes_`; that of `pos_label_` by default.

    Returns
    -------
    ndarray of shape (n, height, width) and dtype float32
        Evidence in log odds, at least 0, of the network's input size: one scale for all images of a classifier.
        All 0 where nothing speaks for the class. Divide a map by its maximum for the usual 0 to 1.

    Raises
    ------
    NotFittedError
        Before `fit` or `load`.
    UnknownNameError
        If there is no such layer or class.
    ParameterError
        If the layer has no maps, or no class is named and none of several is melanoma.
    ImageError
        If an image cannot be read.

    Notes
    -----
    The gradient [1]_ is that of the logit, not of the probability, which hardly moves where it is
    near 0 or 1. Calibration is not concerned. The weights are the sums of the gradients, not their means,
    so that the scale does not depend on the size of the maps: under a head that averages the last maps, a
    value is the log odds that the whole image would add if it looked like this place.
    """
    from melanoma_tl.explain.gradients import MapGradient

    images = _load(classifier, X)
    of_class = _find_class(classifier, target)
    # Of two classes the network has one score, that of melanoma: less of it is more of the other.
    column, sign = (
        (of_class, 1) if len(classifier.classes_) > 2 else (0, 2 * classes_of(classifier).codes[of_class] - 1)
    )
    gradient = MapGradient(classifier.model_, _find_layer(classifier, layer), column)
    shown = progress(images, "Compute Grad-CAM", verbose=classifier.verbose)
    measured = ((gradient.measure(image), image.shape[:2]) for image in shown)
    return np.stack([_weigh(maps, sign * slopes, size) for (maps, slopes), size in measured])


@checked(classifier=SCORER, grid=whole(at_least=2, at_most=64))
def occlusion(classifier: "TransferClassifier", X: Any, *, grid: int = 7, target: Any = None) -> NDArray[np.float32]:
    """Measure how much of a score goes when a part of the image is covered.

    Parameters
    ----------
    classifier : TransferClassifier
        Fitted.
    X : ISBIDataset, sequence of paths or PIL images, or uint8 array (n, height, width, 3)
        A few images, raw RGB: each is scored ``grid ** 2`` times.
    grid : int, default=7
        Patches in a row, and rows; at least 2.
    target : object, optional
        The class whose score falls, as `grad_cam`.

    Returns
    -------
    ndarray of shape (n, grid, grid) and dtype float32
        The score less that with the patch covered [2]_ by the mean colour of the image, -1 to 1: above 0
        where the patch speaks for the class.

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
    """Images with what their scores come from.

    Made by `explain` or `explain_errors`.

    Attributes
    ----------
    captions : tuple of str
        What each image is: its id, its class, its score.
    images : ndarray of shape (n, height, width, 3) and dtype uint8
        As the network sees them.
    grad_cam : ndarray of shape (n, height, width)
        As `grad_cam` gives them.
    occlusion : ndarray of shape (n, grid, grid)
        As `occlusion` gives them.
    """

    captions: tuple[str, ...]
    images: NDArray[np.uint8]
    grad_cam: NDArray[np.float32]
    occlusion: NDArray[np.float32]

    def __str__(self) -> str:
        return "\n".join([self._title(), *(f"  {visible(caption)}" for caption in self.captions)])

    def _repr_html_(self) -> str:
        return f"<p>{self._title()}</p>{html_list(self.captions)}"

    def _title(self) -> str:
        return f"{len(self.captions)} images with Grad-CAM and occlusion"

    def __repr__(self) -> str:
        return f"Explanations({len(self.captions)} images)"

    def plot(self) -> "Figure":
        """Draw each image beside its maps.

        Returns
        -------
        matplotlib.figure.Figure
            A row an image: the image, Grad-CAM, occlusion (blue where covering raises the score,
            red where it lowers it).
        """
        from melanoma_tl.plots.contact_sheets import draw_explanations

        return draw_explanations(self.captions, self.images, self.grad_cam, self.occlusion)


@checked(classifier=SCORER, captions=several(TEXT) | NONE)
def explain(
    classifier: "TransferClassifier", X: Any, *, captions: Sequence[str] | None = None, target: Any = None
) -> Explanations:
    """Explain the scores of some images.

    Parameters
    ----------
    classifier : TransferClassifier
        Fitted.
    X : ISBIDataset, sequence of paths or PIL images, or uint8 array (n, height, width, 3)
        A few images, raw RGB.
    captions : sequence of str, optional
        What to call them; ids or positions and scores by default.
    target : object, optional
        The class whose score is explained, as `grad_cam`.

    Returns
    -------
    Explanations
        With ``plot()``; `MetricsReport.attach` takes it.

    Raises
    ------
    NotFittedError, ParameterError, ImageError
        As `grad_cam`.
    """
    images = _load(classifier, X)
    if captions is None:
        scores = classifier.predict_proba(images)[:, _find_class(classifier, target)]
        captions = [f"{name}: score {score:.3f}" for name, score in zip(open_source(X).names, scores, strict=False)]
    if len(captions) != len(images):
        raise ParameterError(f"captions must be one for each of {len(images)} images, got {len(captions)}")
    maps = grad_cam(classifier, images, target=target), occlusion(classifier, images, target=target)
    return Explanations(tuple(captions), images, *maps)


@checked(classifier=SCORER, report=holding("examples", "a MetricsReport"), n=COUNT)
def explain_errors(classifier: "TransferClassifier", report: "MetricsReport", *, n: int = 3) -> Explanations:
    """Explain the errors that the classifier was most confident of.

    Parameters
    ----------
    classifier : TransferClassifier
        The one that the report is on.
    report : MetricsReport
        With scores and paths.
    n : int, default=3
        Missed melanomas with the lowest scores, and as many false alarms with the highest.

    Returns
    -------
    Explanations
        Of up to ``2 * n`` images.

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
    return explain(classifier, list(paths), captions=captions)


def _weigh(maps: NDArray[np.float32], gradient: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Add up the maps by the sums of their gradients [1]_, keep what speaks for melanoma, and enlarge it."""
    # The sum of the gradients: their mean, times the number of places.
    evidence = np.maximum((maps * gradient.sum(axis=(0, 1))).sum(axis=-1), 0)
    small = Image.fromarray(evidence.astype(np.float32))
    return np.asarray(small.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _find_class(classifier: "TransferClassifier", target: Any) -> int:
    """Return the place of a class in the columns of `predict_proba`."""
    classes = classifier.classes_.tolist()
    wanted = classifier.pos_label_ if target is None else target
    if wanted is None:
        raise ParameterError(f"say which of the classes {classes} is looked for, such as target={classes[0]!r}")
    if wanted not in classes:
        raise UnknownNameError("class", wanted, map(str, classes))
    return classes.index(wanted)


def _find_layer(classifier: "TransferClassifier", name: str | None) -> Any:
    """Find the layer whose maps are looked at."""
    layers = {layer.name: layer for layer in classifier.model_.layers}
    with_maps = [layer for layer in layers.values() if _has_maps(layer)]
    if name is None:
        recommended = get_backbone(classifier.backbone).last_convolution
        return layers.get(recommended, with_maps[-1])
    if name not in layers:
        raise UnknownNameError("layer", name, layers)
    if layers[name] not in with_maps:
        raise ParameterError(f"the layer {name!r} has no maps (n, height, width, channels), but {layers[name].output}")
    return layers[name]


def _has_maps(layer: Any) -> bool:
    shape = getattr(layer.output, "shape", ())
    return len(shape) == 4 and None not in shape[1:]


def _load(classifier: Any, X: Any) -> NDArray[np.uint8]:
    """Decode a few images at the size that the network takes."""
    classifier._check_fitted()
    if not hasattr(classifier, "model_"):
        raise ParameterError(f"a {type(classifier).__name__} has no single network: explain one of its members_")
    size = tuple(classifier.model_.inputs[0].shape[1:3])
    return np.stack([load_image(item, size) for item in open_source(X).items])
