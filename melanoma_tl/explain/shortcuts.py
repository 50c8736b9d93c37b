"""Detection of shortcuts: the AUC of a classifier when the lesions are covered.

A network that distinguishes melanoma from benign lesions without seeing the lesion has
learned something else, such as rulers, ink marks or the colours of a camera [1]_. Two
variants of each image are scored: in one, the box around the lesion is filled with the
colour of the skin; in the other, everything outside the box is.

References
----------
.. [1] A. Bissoto, M. Fornaciali, E. Valle and S. Avila, "(De)Constructing bias on skin
   lesion datasets", CVPR workshops 2019: networks on ISIC images kept much of
   their AUC with the lesion covered by a box.
.. [2] N. Otsu, "A threshold selection method from gray-level histograms", IEEE
   Transactions on Systems, Man and Cybernetics 9, 1979.
.. [3] M. E. Celebi, Q. Wen, S. Hwang, H. Iyatomi and G. Schaefer, "Lesion border detection
   in dermoscopy images using ensembles of thresholding methods", Skin Research and
   Technology 19, 2013: thresholds of the blue channel.
.. [4] J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd edition, 1988: a
   difference of means of 0.2 standard deviations is a small effect; M. E. Rice and G. T. Harris,
   "Comparing effect sizes in follow-up studies: ROC area, Cohen's d, and r", Law and Human
   Behavior 29, 2005: that is an AUC of 0.556.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.stats import norm

from melanoma_tl._escaping import in_html
from melanoma_tl._parameters import COLUMN, INSIDE, NONE, SCORER, checked
from melanoma_tl._progress import progress
from melanoma_tl._tables import html_list, html_table, text_table
from melanoma_tl.classifier.scoring import check_two_classes, quiet_copy
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.images.decoding import ImageLike, load_image
from melanoma_tl.images.loading import ImageSource, open_source, read_batches
from melanoma_tl.metrics.binary import tally_metrics
from melanoma_tl.metrics.comparisons import delong_interval
from melanoma_tl.metrics.estimators import classes_of, patients_of, score_melanoma
from melanoma_tl.metrics.few import FACT, count_units, mark_few
from melanoma_tl.metrics.intervals import delong
from melanoma_tl.metrics.metric import Metric, describe
from melanoma_tl.metrics.resampling import draw_groups, method_name, percentile_interval
from melanoma_tl.metrics.validation import check_fraction, check_lengths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from melanoma_tl.classifier.transfer import TransferClassifier

_AT_ONCE = 32
_MARGIN = 0.1  # of the box, on each side: the border of a lesion is gradual
_PLAUSIBLE_AREA = (0.005, 0.8)  # of the image
_LARGEST_BOX = 0.9  # of the image: outside a larger box too little is left to judge by
_N_SHOWN = 4

SMALLEST_AUC = 0.556
"""The smallest AUC with covered lesions that raises an alarm: that of a small effect [4]_.

With many images, smaller AUCs are significant for any network, because the box shows the size of the lesion.
"""

_N_RESAMPLES = 2000

VIEWS = ("whole", "covered", "alone")
"""The whole image, the lesion covered, everything but the lesion covered."""

_TITLES = ("whole image", "lesion covered", "lesion alone")


class Box(NamedTuple):
    """A rectangle in an image, in pixels; the ends are exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def place(self) -> tuple[slice, slice]:
        """Slices of rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def area(self) -> int:
        """Number of pixels."""
        return (self.bottom - self.top) * (self.right - self.left)


def find_lesion(image: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Segment the lesion in a dermoscopic image approximately.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3) and dtype uint8
        Raw RGB.

    Returns
    -------
    ndarray of bool of shape (height, width) or None
        Mask of the lesion; None if no region of a plausible size is found.

    Notes
    -----
    Otsu's threshold [2]_ is applied to the smoothed blue channel, in which pigment is darkest [3]_. Black regions at
    the border, such as around a circular field of view, are excluded. Of the connected regions, the one with the most
    pixels near the centre is taken, and its holes are filled. The mask is accurate enough for a box around the lesion,
    but not for measurements.
    """
    from skimage.filters import threshold_otsu

    height, width = image.shape[:2]
    blue = ndimage.gaussian_filter(image[..., 2].astype(np.float32), sigma=min(height, width) / 60)
    dark = image.max(axis=2) < 40
    frame = ndimage.binary_propagation(_border(dark.shape) & dark, mask=dark)
    frame = ndimage.binary_dilation(frame, iterations=max(min(height, width) // 40, 1)) & (frame.any())
    inside = blue[~frame]
    if not inside.size or inside.min() == inside.max():
        return None
    parts, n_parts = ndimage.label((blue < threshold_otsu(inside)) & ~frame)
    if not n_parts:
        return None
    rows, columns = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    centrality = np.exp(-2 * (rows**2 + columns**2))
    weights = ndimage.sum_labels(centrality, parts, np.arange(1, n_parts + 1))
    lesion = ndimage.binary_fill_holes(parts == 1 + int(np.argmax(weights)))
    low, high = _PLAUSIBLE_AREA
    return lesion if low <= lesion.mean() <= high else None


def cover(image: NDArray[np.uint8], box: Box) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cover the lesion, or everything except the lesion.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3) and dtype uint8
        Raw RGB.
    box : Box
        The box around the lesion.

    Returns
    -------
    covered, alone : ndarray of shape (height, width, 3) and dtype uint8
        The image without the lesion, and the lesion alone. Covered pixels have the median colour of the pixels
        outside the box.
    """
    outside = np.ones(image.shape[:2], dtype=bool)
    outside[box.place] = False
    skin = np.median(image[outside] if outside.any() else image.reshape(-1, 3), axis=0).astype(np.uint8)
    covered, alone = image.copy(), np.broadcast_to(skin, image.shape).copy()
    covered[box.place] = skin
    alone[box.place] = image[box.place]
    return covered, alone


@dataclass(frozen=True, eq=False)
class ShortcutCheck:
    """The AUC of a classifier with covered lesions, and with lesions alone; true if a shortcut was found.

    Made by `check_shortcuts`.

    Attributes
    ----------
    auc : dict of str to Metric
        The AUC for each of `VIEWS`, with DeLong's interval, or that of the cluster bootstrap where patients have
        several images.
    survives : dict of str to Metric
        For "covered" and "alone": ``(AUC - 0.5) / (AUC of the whole images - 0.5)``, 0 if nothing of the
        discrimination remains and 1 if all of it does, with an interval by the delta method from DeLong's covariance,
        or by the cluster bootstrap.
    n_melanoma, n_benign : int
        Number of images of each class that the AUCs are computed from.
    n_melanoma_left_out, n_benign_left_out : int
        Number of images of each class that were left out because the box around the lesion is more than nine tenths of
        the image: with the lesion covered nothing is left to see.
    n_not_found : int
        Number of images in which no lesion was found, so that the middle of the image was used.
    confidence : float
        Coverage of the intervals.
    shown : tuple of ndarray of shape (3, height, width, 3)
        The three views of the first few images that were not left out.
    """

    auc: dict[str, Metric]
    survives: dict[str, Metric]
    n_melanoma: int
    n_benign: int
    n_melanoma_left_out: int
    n_benign_left_out: int
    n_not_found: int
    confidence: float
    shown: tuple[NDArray[np.uint8], ...]

    def __bool__(self) -> bool:
        return self.auc["covered"].low > 0.5 and self.auc["covered"].value >= SMALLEST_AUC

    def __str__(self) -> str:
        return "\n".join([f"{self._verdict()}.", text_table(*self._table()), *self._notes()])

    def _repr_html_(self) -> str:
        return f"<p>{in_html(self._verdict())}.</p>{html_table(*self._table())}{html_list(self._notes())}"

    def __repr__(self) -> str:
        return f"ShortcutCheck({self._verdict()})"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = [
            [
                title,
                describe(self.auc[view], self.confidence),
                describe(self.survives[view], self.confidence, signed=True) if view in self.survives else "-",
            ]
            for view, title in zip(VIEWS, _TITLES, strict=True)
        ]
        return ["images", "AUC", "survives"], rows

    @property
    def warning(self) -> str:
        """The warning for the top of a report; empty if no shortcut was found."""
        return self._verdict() if self else ""

    def _verdict(self) -> str:
        covered = f"AUC {describe(self.auc['covered'], self.confidence)} with the lesions covered"
        if self:
            return f"SHORTCUT: the classifier tells melanoma from benign without seeing the lesion, {covered}"
        if self.auc["covered"].high < 0.5:  # for example because a larger lesion leaves less skin visible
            return f"No shortcut was found: {covered} is below chance, so the visible rest points to the wrong class"
        if self.auc["covered"].low > 0.5:
            return f"No relevant shortcut was found: {covered} is above chance, but below {SMALLEST_AUC}"
        return f"No shortcut was found: {covered} does not differ significantly from chance"

    def _notes(self) -> list[str]:
        notes = [f"{self.n_melanoma} melanoma and {self.n_benign} benign images."]
        if self.n_melanoma_left_out + self.n_benign_left_out:
            notes.append(
                f"{self.n_melanoma_left_out} melanoma and {self.n_benign_left_out} benign images were left out: the "
                f"box around the lesion is more than {_LARGEST_BOX:.0%} of the image, so that too little is left."
            )
        if self.n_not_found:
            notes.append(f"In {self.n_not_found} images no lesion was found; the middle of the image was used instead.")
        if self:
            notes.append("Parts of large lesions may lie outside the box: check the images that `plot` shows.")
        if any(metric.few for metric in (*self.auc.values(), *self.survives.values())):
            notes.append(f"{FACT}.")
        return notes

    def to_dict(self) -> dict[str, Any]:
        """Write the check as plain Python objects.

        Returns
        -------
        dict
            "alarm", "auc", "survives", "n_melanoma", "n_benign", "n_melanoma_left_out", "n_benign_left_out",
            "n_not_found" and "confidence".
        """
        return {
            "alarm": bool(self),
            "auc": {view: metric.to_dict() for view, metric in self.auc.items()},
            "survives": {view: metric.to_dict() for view, metric in self.survives.items()},
            "n_melanoma": self.n_melanoma,
            "n_benign": self.n_benign,
            "n_melanoma_left_out": self.n_melanoma_left_out,
            "n_benign_left_out": self.n_benign_left_out,
            "n_not_found": self.n_not_found,
            "confidence": self.confidence,
        }

    def plot(self) -> "Figure":
        """Draw the three views of some of the images.

        Returns
        -------
        matplotlib.figure.Figure
            One row per image.
        """
        from melanoma_tl.plots.contact_sheets import draw_views

        return draw_views(self.shown, titles=_TITLES)


@checked(classifier=SCORER, groups=COLUMN | NONE, confidence=INSIDE)
def check_shortcuts(
    classifier: "TransferClassifier",
    X: Any,
    y: ArrayLike | None = None,
    *,
    masks: Sequence[ImageLike] | None = None,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    random_state: int = 0,
) -> ShortcutCheck:
    """Check whether a classifier still discriminates when the lesions are covered.

    Parameters
    ----------
    classifier : TransferClassifier or Ensemble
        A fitted classifier.
    X : ISBIDataset, sequence of paths or PIL images, uint8 array (n, height, width, 3), or tf.data.Dataset
        Test images, raw RGB; each is scored three times.
    y : array-like of shape (n_images,), optional
        Their labels, if `X` has none: classes of `classes_`, or 0 and 1, where 1 is melanoma.
    masks : sequence of path, PIL.Image.Image or ndarray, optional
        Segmentations, one per image, white where the lesion is, such as those of the ISIC challenges;
        by default they come from `find_lesion`.
    groups : array-like of shape (n_images,), optional
        The group of each image, such as its patient; by default `patient_id` of the dataset, if a patient has
        several images. Images of one patient are also alike around the lesion: treating them as independent would
        raise too many alarms.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.
    random_state : int, default=0
        Seed of the bootstrap, which is used if there are groups.

    Returns
    -------
    ShortcutCheck
        True if, with the lesions covered, the AUC is significantly above 0.5 and at least `SMALLEST_AUC`.

    Raises
    ------
    NotFittedError
        Before `fit` or `load`.
    DatasetError
        If there are no labels, or a class has fewer than two images whose surroundings can be seen.
    UnknownNameError
        If a label is none of the classes.
    ParameterError
        If there is not one mask or one group an image, or the confidence is not between 0 and 1.
    ImageError
        If an image or a mask cannot be read.
    """
    check_fraction("confidence", confidence)
    check_two_classes(classifier, "check_shortcuts")
    source = open_source(X, y)
    known = classes_of(classifier)
    truth = known.encode(source.known_labels())
    if masks is not None and len(masks) != source.length:
        raise ParameterError(f"masks must be one for each of {source.length} images, got {len(masks)}")
    groups = patients_of(X) if groups is None else groups
    if not source.is_stream:
        check_lengths(len(truth), groups=groups)
    if (masks is not None or groups is not None) and source.is_stream:
        raise DatasetError(
            "the order of a tf.data.Dataset may differ in each pass: masks or groups cannot be matched to its images"
        )
    # An ensemble may have members with other input sizes: they resize the images of the first member.
    size = tuple(getattr(classifier, "members_", [classifier])[0].model_.inputs[0].shape[1:3])
    views = _score_views(classifier, source, masks, size)
    if source.is_stream:  # its labels have come with the images
        truth = known.encode(source.known_labels())
    n_of_class = np.bincount(truth, minlength=2)
    truth, groups = truth[views.usable], None if groups is None else np.asarray(groups)[views.usable]
    n_used = np.bincount(truth, minlength=2)
    n_left_out = n_of_class - n_used
    if n_left_out.any() and n_used.min() < 2:
        raise DatasetError(
            f"the check for shortcuts needs two images of each class, and has {n_used[1]} melanoma and {n_used[0]} "
            f"benign ones: in {n_left_out.sum()} of {n_of_class.sum()} images the box around the lesion is more than "
            f"{_LARGEST_BOX:.0%} of the image. Pass images that show the skin around the lesion, or masks=[...] if the "
            "lesions were not found well"
        )
    if groups is None:
        auc, survives = _measure(truth, views.scores, confidence)
    else:
        auc, survives = _measure_groups(truth, views.scores, groups, confidence, random_state)
    units = count_units(truth, groups)
    return ShortcutCheck(
        auc=mark_few(auc, units),
        survives=mark_few(survives, units),
        n_melanoma=int(n_used[1]),
        n_benign=int(n_used[0]),
        n_melanoma_left_out=int(n_left_out[1]),
        n_benign_left_out=int(n_left_out[0]),
        n_not_found=views.n_not_found,
        confidence=confidence,
        shown=views.shown,
    )


class _Views(NamedTuple):
    """Scores of the three views of the usable images."""

    scores: NDArray[np.float64]
    usable: NDArray[np.bool_]
    n_not_found: int
    shown: tuple[NDArray[np.uint8], ...]


def _score_views(
    classifier: "TransferClassifier", source: ImageSource, masks: Sequence[ImageLike] | None, size: tuple[int, int]
) -> _Views:
    """Score each image whole, with the lesion covered, and with all but the lesion covered."""
    known, scorer = classes_of(classifier), quiet_copy(classifier)
    scores: list[NDArray[np.float64]] = []
    usable: list[bool] = []
    shown: list[NDArray[np.uint8]] = []
    n_not_found = 0
    with progress(work="Check shortcuts", total=source.length, verbose=classifier.verbose) as bar:
        for batch in read_batches(source, size, batch_size=_AT_ONCE, on_error="raise", desc="Read images", verbose=0):
            done = len(usable)
            lesions = _lesions(batch.pixels, None if masks is None else masks[done : done + len(batch.pixels)], size)
            boxes = [_box(lesion, size) for lesion in lesions]
            seen = [box.area <= _LARGEST_BOX * size[0] * size[1] for box in boxes]
            usable += seen
            n_not_found += sum(lesion is None for lesion in lesions)
            if any(seen):
                images = [(image, box) for image, box, kept in zip(batch.pixels, boxes, seen, strict=True) if kept]
                views = np.stack([(image, *cover(image, box)) for image, box in images])
                shown += list(views[: _N_SHOWN - len(shown)])
                scores.append(np.stack([score_melanoma(scorer, views[:, place], known) for place in range(len(VIEWS))]))
            bar.update(len(seen))
    together = np.concatenate(scores, axis=1) if scores else np.empty((len(VIEWS), 0))
    return _Views(together, np.array(usable), n_not_found, tuple(shown))


def _measure(
    truth: NDArray[np.int64], scores: NDArray[np.float64], confidence: float
) -> tuple[dict[str, Metric], dict[str, Metric]]:
    """Compute the AUC of each view and the share of the discrimination that survives, with intervals."""
    auc = {view: delong_interval(truth, of_view, confidence) for view, of_view in zip(VIEWS, scores, strict=True)}
    found, z = delong(truth, *scores), float(norm.isf((1 - confidence) / 2))
    whole = found.aucs[0] - 0.5
    survives = {}
    for place, view in enumerate(VIEWS[1:], start=1):
        part = found.aucs[place] - 0.5
        if not whole:  # the AUC of whole images is 0.5: the share is undefined
            survives[view] = Metric(np.nan, np.nan, np.nan, len(truth), "delong")
            continue
        gradient = np.array([-part / whole**2, 1 / whole])
        pair = found.covariance[np.ix_([0, place], [0, place])]
        variance = max(gradient @ pair @ gradient, 0)  # rounding may make it negative
        value, half = float(part / whole), z * float(np.sqrt(variance))
        survives[view] = Metric(value, value - half, value + half, len(truth), "delong")
    return auc, survives


def _measure_groups(
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    groups: ArrayLike,
    confidence: float,
    random_state: int,
) -> tuple[dict[str, Metric], dict[str, Metric]]:
    """Do the same for grouped images, by resampling patients."""
    values = delong(truth, *scores).aucs
    resampled = np.concatenate(
        [
            np.concatenate([tally_metrics(["auc"], *view, 0) for view in drawn])
            for drawn in draw_groups(truth, list(scores), groups, _N_RESAMPLES, random_state)
        ],
        axis=1,
    )

    def metrics(values: NDArray[np.float64], resampled: NDArray[np.float64]) -> list[Metric]:
        ends = percentile_interval(values, resampled, confidence).T
        return [
            Metric(float(value), float(low), float(high), len(truth), method_name(groups))
            for value, (low, high) in zip(values, ends, strict=True)
        ]

    auc = dict(zip(VIEWS, metrics(values, resampled), strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):  # the AUC of the whole images may be 0.5
        shares = [(part[1:] - 0.5) / (part[0] - 0.5) for part in (values, resampled)]
    return auc, dict(zip(VIEWS[1:], metrics(*shares), strict=True))


def _lesions(
    images: NDArray[np.uint8], masks: Sequence[ImageLike] | None, size: tuple[int, int]
) -> list[NDArray[np.bool_] | None]:
    if masks is None:
        return [find_lesion(image) for image in images]
    drawn = [load_image(mask, size)[..., 0] > 127 for mask in masks]
    return [mask if mask.any() else None for mask in drawn]


def _box(lesion: NDArray[np.bool_] | None, size: tuple[int, int]) -> Box:
    """Return the box around a lesion, with a margin; without a lesion, the middle half of the image."""
    height, width = size
    if lesion is None:
        return Box(height // 4, height - height // 4, width // 4, width - width // 4)
    rows, columns = (np.flatnonzero(lesion.any(axis=axis)) for axis in (1, 0))
    down, across = (round(_MARGIN * (line[-1] - line[0] + 1)) for line in (rows, columns))
    return Box(
        max(int(rows[0]) - down, 0),
        min(int(rows[-1]) + 1 + down, height),
        max(int(columns[0]) - across, 0),
        min(int(columns[-1]) + 1 + across, width),
    )


def _border(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    border = np.ones(shape, dtype=bool)
    border[1:-1, 1:-1] = False
    return border
