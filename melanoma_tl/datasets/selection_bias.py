"""Whether a part of a dataset looks like a random draw from it: cameras, sizes, colours, sites, diagnoses."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from melanoma_tl._escaping import SHORT, in_figure, in_html, visible
from melanoma_tl._parameters import INSIDE, ON_ERROR, SEED, VERBOSE, checked, having
from melanoma_tl._tables import format_p, html_frame, text_table
from melanoma_tl.datasets.image_table import ImageTable
from melanoma_tl.errors import DatasetError
from melanoma_tl.images.decoding import SkippedRow
from melanoma_tl.images.fingerprints import GROUP_KINDS
from melanoma_tl.metrics.resampling import number_values_or_alone

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
from melanoma_tl.datasets.characteristics import look_at_images
from melanoma_tl.datasets.permutations import (
    N_TENTHS,
    as_words,
    choose_patients,
    compare_order,
    compare_sides,
    format_value,
    is_number,
    n_values,
    number_tenths,
)

_logger = logging.getLogger(__name__)

NOTABLE_EFFECT = 0.1
"""Smallest effect that counts as a difference: a tenth of the subset's images would have to be others."""

MIN_IMAGES = 5
"""Fewest images of a class, in the subset and in the rest, that are compared."""

MAX_CATEGORIES = 30
"""A characteristic in words that takes more values than this is left out."""
_KEYS = ["image_id", "class", "in_subset"]
_ORDER = "class by file order"


@checked(
    dataset=having("identify", "an ISBIDataset"),
    subset=having("identify", "an ISBIDataset"),
    alpha=INSIDE,
    random_state=SEED,
    verbose=VERBOSE,
    on_error=ON_ERROR,
)
def measure_selection_bias(
    dataset: ImageTable,
    subset: ImageTable,
    *,
    alpha: float = 0.05,
    random_state: int | None = 0,
    verbose: int = 1,
    on_error: str = "skip",
) -> "SelectionBias":
    """Compare the images of a subset with the others of their class.

    Parameters
    ----------
    dataset : ISBIDataset
        All images, in file order. One read with ``labels_only=True`` is compared by its metadata alone.
    subset : ISBIDataset
        Some of them, in any order.
    alpha : float, default=0.05
        Chance, between 0 and 1, that a random subset is said to differ in anything at all.
    random_state : int or None, default=0
        Seed of the random subsets.
    verbose : int, default=1
        0 shows no progress bar.
    on_error : {"skip", "raise"}, default="skip"
        Leave images that cannot be read out and list them in ``skipped``, or stop.

    Returns
    -------
    SelectionBias
        True where a difference was found, false where none was.

    Raises
    ------
    DatasetError
        If the subset holds images that the dataset does not, or if no class has at
        least 5 readable images both in the subset and outside it.
    ImageError
        If an image cannot be read and `on_error` is "raise".
    ParameterError
        If `alpha` or `on_error` cannot be used.

    Notes
    -----
    From the files come ``width`` and ``height`` (pixels), ``aspect_ratio`` (width by
    height), ``bytes_per_pixel``, ``file_format`` and ``camera`` (make and model, "none"
    where the EXIF data were stripped); from the pixels, on a scale of 0 to 255,
    ``brightness``, ``red_minus_blue`` and ``corner_brightness`` (low where the field of
    view is round). The columns of ``metadata`` follow, except the ids of patients and
    lesions; of two of one name that of the files stays.

    The effect lies between 0 and 1. For numbers it is the Kolmogorov-Smirnov distance:
    the largest difference between subset and rest in the share of images up to some
    value. For words it is the total variation distance: half the sum of the differences
    between the shares, which is the share of the subset's images that would have to be
    others. Unknown values count as a value of their own.

    The p-value is the share of random subsets, with as many images of the class, whose
    effect is as large or larger: a permutation test with 9,999 draws, the given
    subset counted in (Phipson and Smyth, 2010, Stat Appl Genet Mol Biol 9:39). The draw
    of the counts of each value is the multivariate hypergeometric one. All p-values are
    corrected together as Holm (1979, Scand J Stat 6:65) describes, because the question
    is whether the subset differs at all, and because characteristics are related. Where
    ``patient_id`` is known and the subset takes each patient whole or not at all, as
    `ISBIDataset.split` does, the random subsets are of patients.

    In a large dataset differences too small to matter have a small p-value, too.
    A characteristic differs where p is below `alpha` and the effect at least
    0.1. That none does is no proof that the subset was drawn at random.

    Examples
    --------
    >>> import pandas as pd
    >>> from melanoma_tl import ISBIDataset
    >>> sites = pd.DataFrame({"site": ["back"] * 50 + ["leg"] * 50})
    >>> dataset = ISBIDataset([f"image {i}" for i in range(100)], None, [0, 1] * 50, name="mine", metadata=sites)
    >>> bias = measure_selection_bias(dataset, dataset.first(per_class=20))
    >>> bool(bias), bias.differing
    (True, ('site',))
    >>> bool(measure_selection_bias(dataset, dataset.sample(per_class=20, random_state=0)))
    False
    """
    images, skipped = _describe_images(dataset, _locate(dataset, subset), on_error=on_error, verbose=verbose)

    by_class = {name: images[images["class"] == name] for name in dataset.class_names}
    left_out = {f"{name} images": _why_not_compared(members) for name, members in by_class.items()}
    compared = {name: members for name, members in by_class.items() if not left_out[f"{name} images"]}
    if not compared:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise DatasetError(
            f"{dataset.name}: the subset cannot be compared with the other images of its classes ({reasons}; "
            f"{len(skipped)} images skipped). Choose one that takes some images of a class and leaves some"
        )
    characteristics = images.columns.drop(_KEYS)
    left_out |= {name: _why_left_out(images[name], compared.values()) for name in characteristics}

    rng = np.random.default_rng(random_state)
    patients = _find_whole_patients(dataset, images)
    choices = {
        name: None if patients is None else choose_patients(patients[members.index], members["in_subset"], rng)
        for name, members in compared.items()
    }
    rows = [
        {
            "characteristic": name,
            "class": class_name,
            **compare_sides(members[name], members["in_subset"], choices[class_name], rng),
        }
        for name in characteristics
        if not left_out[name]
        for class_name, members in compared.items()
        if n_values(members[name]) > 1
    ]
    if n_values(images["class"]) > 1:
        rows.append({"characteristic": _ORDER, "class": "both", **compare_order(images["class"], rng)})
    return SelectionBias(
        dataset.name,
        _judge(rows, alpha),
        alpha,
        {name: reason for name, reason in left_out.items() if reason},
        skipped,
        images,
    )


@dataclass(frozen=True, eq=False)
class SelectionBias:
    """In what the images of a subset differ from the others of their class; false where no difference was found.

    Made by `measure_selection_bias`.

    Attributes
    ----------
    name : str
        Name of the dataset.
    comparisons : pandas.DataFrame
        One row a characteristic and class: ``characteristic``, ``class``, ``in_subset``
        and ``in_rest`` (the share of images, where the two differ most: up to some number,
        or with some word), ``effect`` (0 to 1), ``p_value`` (0 to 1, after Holm's
        correction) and ``differs``. The last row says whether the melanomas lie in the file
        as if shuffled; it is about the whole dataset, and no difference of the subset.
    alpha : float
        Level of the p-values.
    left_out : mapping of str to str
        What was not compared, and why.
    skipped : tuple of SkippedRow
        Images that could not be read, and are not compared.
    images : pandas.DataFrame
        What was compared, one row an image, in file order: ``image_id``, ``class``,
        ``in_subset``, then one column a characteristic.
    """

    name: str
    comparisons: pd.DataFrame
    alpha: float
    left_out: Mapping[str, str]
    skipped: tuple[SkippedRow, ...]
    images: pd.DataFrame

    def __bool__(self) -> bool:
        return bool(self.differing)

    @property
    def differing(self) -> tuple[str, ...]:
        """The characteristics that differ in at least one class, the largest effect first."""
        rows = self._of_classes()
        found = rows[rows["differs"]].sort_values("effect", ascending=False, kind="stable")
        return tuple(found["characteristic"].drop_duplicates())

    @property
    def melanoma_shares(self) -> NDArray[np.float64]:
        """Share of melanoma in each tenth of the file order, an ndarray of shape (10,)."""
        is_melanoma = (self.images["class"] == "melanoma").to_numpy()
        tenths = number_tenths(len(self.images))
        return np.bincount(tenths, weights=is_melanoma) / np.bincount(tenths)

    def to_frame(self) -> pd.DataFrame:
        """Return the comparisons as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            A copy of `comparisons`.
        """
        return self.comparisons.copy()

    def __str__(self) -> str:
        columns = [
            self.comparisons["characteristic"],
            self.comparisons["class"],
            self.comparisons["in_subset"],
            self.comparisons["in_rest"],
            self.comparisons["effect"].map("{:.2f}".format),
            self.comparisons["p_value"].map(format_p),
            self.comparisons["differs"].map({True: "yes", False: "no"}),
        ]
        header = ["characteristic", "class", "in the subset", "in the rest", "effect", "p", "differs"]
        shares = " ".join(f"{100 * share:.0f}" for share in self.melanoma_shares)
        lines = [
            f"{self._verdict()}.",
            text_table(header, list(zip(*columns, strict=True))),
            f"Differs: p below {self.alpha:g} after Holm's correction, and an effect of at least {NOTABLE_EFFECT:g}.",
            f"Melanomas in each tenth of the file order, in per cent: {shares}.",
        ]
        if self.comparisons.loc[self.comparisons["characteristic"] == _ORDER, "differs"].any():
            lines.append("The classes follow the file order: a slice of the dataset has another mix of them.")
        if self.left_out:
            reasons = "; ".join(f"{name} ({reason})" for name, reason in self.left_out.items())
            lines.append(visible(f"Not compared: {reasons}."))
        if self.skipped:
            shown = "; ".join(f"{row.image_id}: {row.reason}" for row in self.skipped[:3])
            more = f"; … and {len(self.skipped) - 3} more" if len(self.skipped) > 3 else ""
            lines.append(visible(f"Skipped, cannot be read: {shown}{more}."))
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"SelectionBias({self._verdict()})"

    def _repr_html_(self) -> str:
        return f"<p>{in_html(self._verdict())}</p>{html_frame(self.comparisons)}"

    def _verdict(self) -> str:
        n = self._of_classes()["characteristic"].nunique()
        subject = f"{self.images['in_subset'].sum()} of the {len(self.images)} images of {self.name!r}"
        if self.differing:
            found = f"differ from the others of their class in {len(self.differing)} of {n} characteristics"
            return f"{subject} {found}: {', '.join(self.differing)}"
        if not n:
            return f"{subject} cannot be compared with the others: no characteristic is known that varies"
        return f"{subject}: no difference from the others of their class was found in {n} characteristics"

    def _of_classes(self) -> pd.DataFrame:
        return self.comparisons[self.comparisons["characteristic"] != _ORDER]

    def plot(self, n: int = 6) -> "Figure":
        """Draw the characteristics that differ most against the position in the file.

        Parameters
        ----------
        n : int, default=6
            Largest number of panels, one a row of `comparisons`.

        Returns
        -------
        matplotlib.figure.Figure
            In each panel the images of one class in file order: numbers as points with the
            median of each tenth, words as shares of each tenth; the subset is shaded.

        Raises
        ------
        DatasetError
            If there is nothing to draw.
        """
        from melanoma_tl.plots.style import new_figure

        rows = self._of_classes().sort_values("effect", ascending=False, kind="stable")
        rows = (rows[rows["differs"]] if self else rows).head(n)
        if rows.empty:
            raise DatasetError(f"{self._verdict()}: there is nothing to draw")
        n_columns = min(2, len(rows))
        n_rows = -(-len(rows) // n_columns)
        figure = new_figure(5.5 * n_columns, 2.7 * n_rows + 0.9)
        axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        for ax, (_, row) in zip(axes, rows.iterrows(), strict=False):
            _draw_by_position(ax, self.images, row)
        for ax in axes[len(rows) :]:
            ax.remove()
        chosen = self.images["in_subset"].sum()
        figure.suptitle(f"{in_figure(self.name)}\nthe {chosen} images of the subset (shaded) and the others")
        return figure


def _locate(dataset: ImageTable, subset: ImageTable) -> NDArray[np.bool_]:
    """Mark the images of a subset; its order does not matter."""
    foreign = subset.image_ids[~np.isin(subset.image_ids, dataset.image_ids)]
    if len(foreign):
        raise DatasetError(
            f"subset must be a part of {dataset.name}: {len(foreign)} of its {len(subset)} images are not in it "
            f"({', '.join(foreign[:3])}{', …' if len(foreign) > 3 else ''})"
        )
    return np.isin(dataset.image_ids, subset.image_ids)


def _describe_images(
    dataset: ImageTable, in_subset: NDArray[np.bool_], *, on_error: str, verbose: int
) -> tuple[pd.DataFrame, tuple[SkippedRow, ...]]:
    """Join the known facts of all readable images."""
    classes = np.array(dataset.class_names)[dataset.labels]
    keys = pd.DataFrame({"image_id": dataset.image_ids, "class": classes, "in_subset": in_subset})
    looks, skipped = look_at_images(dataset, on_error=on_error, verbose=verbose)
    groups = [f"{kind}_id" for kind in GROUP_KINDS]
    metadata = dataset.metadata.drop(columns=[*_KEYS, *groups, *looks.columns], errors="ignore")
    images = pd.concat([keys, looks, metadata], axis=1)
    readable = ~images["image_id"].isin([row.image_id for row in skipped])
    return images[readable].reset_index(drop=True), skipped


def _why_not_compared(members: pd.DataFrame) -> str:
    inside = int(members["in_subset"].sum())
    outside = len(members) - inside
    if min(inside, outside) >= MIN_IMAGES:
        return ""
    return f"{inside} in the subset and {outside} in the rest, fewer than {MIN_IMAGES}"


def _why_left_out(values: pd.Series, classes: Iterable[pd.DataFrame]) -> str:
    n = n_values(values)
    if n == 1:
        return f"always {format_value(values.iloc[0])}"
    if n > MAX_CATEGORIES and not is_number(values):
        return f"{n} values, more than {MAX_CATEGORIES}"
    if all(n_values(members[values.name]) == 1 for members in classes):
        return "the same throughout each class"
    return ""


def _find_whole_patients(dataset: ImageTable, images: pd.DataFrame) -> pd.Series | None:
    """Return the patient of each image, where the subset takes each whole or not at all; None where it divides one."""
    if "patient_id" not in dataset.metadata:
        return None
    known = pd.Series(dataset.metadata["patient_id"].to_numpy(), index=dataset.image_ids).reindex(images["image_id"])
    numbers = pd.Series(number_values_or_alone(known), index=images.index)
    are_whole = images["in_subset"].groupby(numbers).nunique().eq(1).all()
    return numbers if are_whole and numbers.nunique() < len(numbers) else None


def _judge(rows: Sequence[Mapping[str, Any]], alpha: float) -> pd.DataFrame:
    columns = ["characteristic", "class", "in_subset", "in_rest", "effect", "p_value"]
    table = pd.DataFrame(rows, columns=columns).astype({"effect": float, "p_value": float})
    table["p_value"] = _correct_by_holm(table["p_value"].to_numpy())
    return table.assign(differs=(table["p_value"] < alpha) & (table["effect"] >= NOTABLE_EFFECT))


def _correct_by_holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1)
    return corrected


def _draw_by_position(ax: "Axes", images: pd.DataFrame, row: pd.Series) -> None:
    from melanoma_tl.plots.style import GREY, style_axes

    members = images[images["class"] == row["class"]]
    n, values = len(members), images[row["characteristic"]]
    edges = np.linspace(0, n, N_TENTHS + 1)
    if is_number(values):
        _draw_numbers(ax, values[members.index].to_numpy(dtype=float, na_value=np.nan), edges)
    else:
        _draw_shares(ax, as_words(values), members.index, edges)
    ax.set(xlim=(0, n), ylim=ax.get_ylim())  # fixed before the shade, which would stretch it
    changes = np.flatnonzero(np.diff(members["in_subset"].to_numpy(dtype=int), prepend=0, append=0)).reshape(-1, 2)
    runs = [(start, end - start) for start, end in changes]
    ax.broken_barh(runs, (0, 1), color=GREY, alpha=0.3, linewidth=0, zorder=0, transform=ax.get_xaxis_transform())
    title = f"{row['class']}: effect {row['effect']:.2f}, p {format_p(row['p_value'])}"
    style_axes(ax, title, f"Position among the {n} {row['class']} images", row["characteristic"])


def _draw_numbers(ax: "Axes", numbers: NDArray[np.float64], edges: NDArray[np.float64]) -> None:
    from melanoma_tl.plots.style import BLUE

    n = len(numbers)
    ax.plot(np.arange(n) + 0.5, numbers, ".", color=BLUE, markersize=3, alpha=0.6)
    medians = pd.Series(numbers).groupby(number_tenths(n)).median()
    ax.hlines(medians, edges[:-1], edges[1:], color="black", linewidth=2.5)


def _draw_shares(ax: "Axes", words: pd.Series, members: pd.Index, edges: NDArray[np.float64]) -> None:
    """Stack the shares of the commonest words; those of all images, so that both classes have the same colours."""
    from melanoma_tl.plots.style import GREY, OKABE_ITO

    colours = OKABE_ITO[:-1]  # black stands for nothing here
    common = words.value_counts().index[: len(colours)]
    of_class = words[members].where(words.isin(common), "others").to_numpy()
    tenths = number_tenths(len(members))
    bottom = np.zeros(N_TENTHS)
    for word, colour in zip([*common, "others"], [*colours[: len(common)], GREY], strict=True):
        shares = np.bincount(tenths, weights=of_class == word) / np.bincount(tenths)
        if shares.any():
            ax.bar(edges[:-1], shares, np.diff(edges), bottom, align="edge", color=colour, label=in_figure(word, SHORT))
        bottom += shares
    ax.set_ylim(0, 1.15)  # room above the bars for the shade
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, reverse=True)
