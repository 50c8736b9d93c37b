"""`compare_backbones`: cross-validate the same probe on many backbones, on the same folds."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone

from melanoma_tl._keras.isolation import own_settings
from melanoma_tl._parameters import INSIDE, SEED, TEXT, VERBOSE, checked, instance, mapping, several, whole
from melanoma_tl._progress import progress
from melanoma_tl._tables import TitledTable, format_p
from melanoma_tl.backbones import get_backbone
from melanoma_tl.classifier.cross_validation import cross_validate
from melanoma_tl.classifier.members import draw_seeds
from melanoma_tl.classifier.transfer import TransferClassifier
from melanoma_tl.errors import ParameterError
from melanoma_tl.images.loading import name_of
from melanoma_tl.metrics.differences import Difference
from melanoma_tl.metrics.metric import MARK, Metric
from melanoma_tl.network.cutting import with_precision
from melanoma_tl.recipes import refuse_recipe

if TYPE_CHECKING:
    from melanoma_tl.report import MetricsReport

logger = logging.getLogger(__name__)

_COMPARED = ("auc", "average_precision")
_BACKBONE = TEXT | instance(TransferClassifier)


@dataclass(frozen=True)
class BackboneResult:
    """What cross-validation found for one backbone.

    Attributes
    ----------
    name : str
        As it was given.
    report : MetricsReport or None
        On the out-of-fold scores; None where it failed.
    differences : mapping of str to Difference
        "auc" and "average_precision", this minus the first, on the same images; empty for the first.
    seconds : float
        Time of the cross-validation. Features and images that were found in the cache folder took no time.
    feature_bytes : int or None
        Size of the stored features of all images and views; None where none are stored.
    error : str
        Why it failed; empty where it did not.
    """

    name: str
    report: "MetricsReport | None"
    differences: Mapping[str, Difference]
    seconds: float
    feature_bytes: int | None
    error: str = ""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Metrics with their intervals; none where it failed."""
        return MappingProxyType({}) if self.report is None else self.report.metrics


_INSTEAD = {"plot": "melanoma_tl.plots.BackbonesDisplay(comparison).plot()"}


@dataclass(frozen=True, eq=False)
class BackboneComparison(TitledTable):
    """Backbones compared by cross-validation on the same folds.

    Made by `compare_backbones`.

    Attributes
    ----------
    results : tuple of BackboneResult
        In the order given.
    data : str
        Name of the images.
    n_images, n_melanoma : int
        Number of images that the first backbone has scored, and of melanomas among them.
    folds : int
        Number of folds.
    random_state : int
        Seed of the folds.
    confidence : float
        Coverage of the intervals.
    """

    results: tuple[BackboneResult, ...]
    data: str
    n_images: int
    n_melanoma: int
    folds: int
    random_state: int
    confidence: float

    _elsewhere = _INSTEAD

    def __repr__(self) -> str:
        aucs = (f"{one.name} {one.metrics['auc'].value:.3f}" for one in self.results if not one.error)
        return f"BackboneComparison({self._title()}, AUC: {', '.join(aucs)})"

    def to_frame(self) -> pd.DataFrame:
        """Return the comparison as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            A row for each backbone: "backbone"; "auc" and "average_precision" with "_low" and "_high", and with
            "_difference", "_difference_low" and "_difference_high" for the difference to the first; "p_value" of
            DeLong's test of the AUC; "seconds"; "feature_bytes"; and "error". NaN where there is no number.
        """
        rows = []
        for one in self.results:
            row: dict[str, Any] = {"backbone": one.name}
            for name in _COMPARED:
                metric, difference = one.metrics.get(name), one.differences.get(name)
                row |= _ends(name, metric) | _ends(f"{name}_difference", difference)
            row["p_value"] = one.differences["auc"].p_value if one.differences else np.nan
            size = np.nan if one.feature_bytes is None else one.feature_bytes
            rows.append(row | {"seconds": one.seconds, "feature_bytes": size, "error": one.error})
        return pd.DataFrame(rows)

    def _title(self) -> str:
        return f"{len(self.results)} backbones on {self.data}"

    @property
    def _first(self) -> str:
        return next(one.name for one in self.results if not one.error)

    def _facts(self) -> list[str]:
        images = f"{self.n_images} images, {self.n_melanoma} melanoma, out of fold"
        facts = [
            f"{images}: the same {self.folds} folds for each (seed {self.random_state})",
            f"Differences are of the AUC to {self._first}, with p from DeLong's test, not corrected for their number",
            "The best of several is best partly by chance",
            "What was in the cache folder before took no time",
        ]
        return facts + [f"{one.name} failed: {one.error}" for one in self.results if one.error]

    def _table(self) -> tuple[list[str], list[list[str]]]:
        interval = f"{100 * self.confidence:g} % interval"
        header = ["backbone", "AUC", interval, "AP", interval, "difference", interval, "p", "seconds", "features"]
        rows = []
        for one in self.results:
            if one.error:
                rows.append([one.name, "failed", *["-"] * 6, f"{one.seconds:.0f}", "-"])
                continue
            difference = one.differences.get("auc")
            rows.append(
                [
                    one.name,
                    *(cell for name in _COMPARED for cell in _cells(one.metrics[name], "")),
                    *(["-", "-", "-"] if difference is None else [*_cells(difference, "+"), _p(difference)]),
                    f"{one.seconds:.0f}",
                    "-" if one.feature_bytes is None else f"{one.feature_bytes / 1e6:.1f} MB",
                ]
            )
        return header, rows


@checked(
    backbones=mapping(_BACKBONE, "a mapping of names to backbones or classifiers") | several(_BACKBONE, at_least=1),
    folds=whole(at_least=2),
    random_state=SEED,
    confidence=INSIDE,
    verbose=VERBOSE,
)
def compare_backbones(
    backbones: Sequence[str | TransferClassifier] | Mapping[str, str | TransferClassifier],
    X: Any,
    y: ArrayLike | None = None,
    *,
    folds: int = 5,
    groups: str | ArrayLike | None = "auto",
    sample_weight: ArrayLike | None = None,
    random_state: int | None = 0,
    confidence: float = 0.95,
    verbose: int = 1,
) -> BackboneComparison:
    """Cross-validate many backbones on the same images and the same folds.

    Parameters
    ----------
    backbones : sequence of str or TransferClassifier, or mapping of str to these
        A name stands for the recipe "fast" with that backbone. A classifier is taken as it is, and not changed.
        A mapping names them in the table; classifiers in a sequence are named by their backbones.
    X : ISBIDataset, sequence of paths or PIL images, or uint8 array (n, height, width, 3)
        Training images, raw RGB. Whoever chooses a backbone by test images has no test images left.
    y : array-like of shape (n_images,), optional
        Their classes, if `X` does not contain labels; two.
    folds, groups, sample_weight
        As for `cross_validate`.
    random_state : int or None, default=0
        Seed of the folds and of the members, the same for each backbone; None draws one.
    confidence : float, default=0.95
        Coverage of the intervals, between 0 and 1.
    verbose : int, default=1
        0 shows no progress.

    Returns
    -------
    BackboneComparison
        AUC and average precision with their intervals, differences to the first backbone, seconds, and bytes of
        stored features. A backbone that fails is a row with the reason; the first that does not fail is then what
        the others are compared with.

    Raises
    ------
    ParameterError, UnknownNameError
        If a parameter cannot be used, a backbone is not known, or names repeat.
    MelanomaTLError
        What the first backbone fails with, if all fail.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype="uint8")
    >>> settings = {"weights": None, "input_size": (32, 32), "verbose": 0}
    >>> small, large = (
    ...     TransferClassifier.from_recipe("fast", backbone=name, **settings) for name in ("vgg16", "vgg19")
    ... )
    >>> found = compare_backbones([small, large], images, [0, 1] * 6, folds=2, verbose=0)
    >>> found.to_frame()["backbone"].tolist()
    ['vgg16', 'vgg19']
    """
    seed = draw_seeds(None, 1)[0] if random_state is None else random_state
    named = _name_each(backbones)
    results: list[BackboneResult] = []
    errors: list[Exception] = []
    reports: list[MetricsReport] = []
    for name, given in progress(named.items(), "Compare backbones", unit="backbone", verbose=verbose, delay=0):
        begun = time.monotonic()
        try:
            classifier = TransferClassifier.from_recipe("fast", backbone=given) if isinstance(given, str) else given
            ensemble = cross_validate(
                classifier,
                X,
                y,
                folds=folds,
                groups=groups,
                sample_weight=sample_weight,
                random_state=seed,
                verbose=verbose,
            )
            seconds = time.monotonic() - begun
            report = ensemble.out_of_fold_report(confidence=confidence)
            n_bytes = _count_bytes(classifier, report.counts.n, seed)
        except Exception as error:  # whoever wrote a backbone may raise anything
            logger.warning("%s failed: %s", name, error)
            errors.append(error)
            reason = f"{type(error).__name__}: {error}"
            results.append(BackboneResult(name, None, {}, time.monotonic() - begun, None, reason))
            continue
        reports.append(report)
        results.append(BackboneResult(name, report, _compare(report, reports[0]), seconds, n_bytes))
    if not reports:
        raise errors[0]
    counts = reports[0].counts
    return BackboneComparison(tuple(results), name_of(X), counts.n, counts.n_melanoma, folds, seed, confidence)


def _name_each(
    backbones: Sequence[str | TransferClassifier] | Mapping[str, str | TransferClassifier],
) -> dict[str, str | TransferClassifier]:
    """Return what is compared by the names of the rows; an unknown backbone is an error before hours of training."""
    pairs = (
        [(str(name), given) for name, given in backbones.items()]
        if isinstance(backbones, Mapping)
        else [(given if isinstance(given, str) else str(given.backbone), given) for given in backbones]
    )
    names = [name for name, _ in pairs]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not pairs:
        raise ParameterError(
            f"backbones must have names that differ, got {', '.join(repeated) or 'none'}: give a mapping of names to "
            "backbones or classifiers"
        )
    for _, given in pairs:
        if isinstance(given, str) and not given.startswith("kerashub:"):  # of these, the package may be missing
            refuse_recipe(given)
            get_backbone(given)
    return dict(pairs)


def _compare(report: "MetricsReport", first: "MetricsReport") -> dict[str, Difference]:
    """Return the differences to the first report; the first has none."""
    if report is first:
        return {}
    found = report.compare(first).differences
    return {name: found[name] for name in _COMPARED}


@own_settings()
def _count_bytes(classifier: TransferClassifier, n_images: int, seed: int) -> int | None:
    """Return the size of the features that a classifier stores; None where it stores none."""
    try:
        part = clone(classifier).set_params(random_state=seed).frozen_part()
    except ParameterError:
        return None
    (features,) = with_precision(part.network, part.policy).outputs
    return n_images * part.n_views * math.prod(features.shape[1:]) * np.dtype(features.dtype).itemsize


def _ends(name: str, found: Metric | Difference | None) -> dict[str, float]:
    """Return a number and its interval as columns."""
    value, low, high = (np.nan, np.nan, np.nan) if found is None else (found.value, found.low, found.high)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _cells(found: Metric | Difference, sign: str) -> list[str]:
    """Return a number and its interval as text."""
    mark = f" ({MARK})" if found.few else ""
    return [f"{found.value:{sign}.3f}", f"{found.low:{sign}.3f} to {found.high:{sign}.3f}{mark}"]


def _p(difference: Difference) -> str:
    return "-" if np.isnan(difference.p_value) else format_p(difference.p_value)
