"""What two datasets share: images, near-duplicates, lesions, patients."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from melanoma_tl._escaping import in_column, in_html
from melanoma_tl._parameters import checked, having
from melanoma_tl._tables import html_frame
from melanoma_tl.datasets.image_table import ImageTable, Table
from melanoma_tl.datasets.recognition import recognise_marked
from melanoma_tl.datasets.relations import find_relations
from melanoma_tl.errors import DatasetError, LeakageError, LeakageWarning, UnknownNameError
from melanoma_tl.images.decoding import SkippedRow
from melanoma_tl.images.fingerprints import GROUP_KINDS, KINDS, IdentifiedImages

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def choose_kinds(left: ImageTable, right: ImageTable, by: str | Iterable[str] | None) -> tuple[str, ...]:
    """Decide by what two datasets are compared.

    Parameters
    ----------
    left, right : ISBIDataset
        The datasets.
    by : str, iterable of str or None
        Some of "id", "bytes", "near-duplicate", "lesion" and "patient"; None takes all that
        both datasets have.

    Returns
    -------
    tuple of str
        The kinds, in the order above.

    Raises
    ------
    DatasetError
        If one of the datasets does not have what is asked for.
    UnknownNameError
        If `by` names no relation.
    """
    if by is None:
        return tuple(kind for kind in left.relations if kind in right.relations)
    wanted = {by} if isinstance(by, str) else set(by)
    for kind in sorted(wanted):
        if kind not in KINDS:
            raise UnknownNameError("relation", kind, KINDS)
        for side in (left, right):
            if kind not in side.relations:
                raise DatasetError(
                    f"{side.name} cannot be compared by {kind!r}: it has {', '.join(side.relations)}. Images need "
                    "files, lesions and patients the columns lesion_id and patient_id of .metadata"
                )
    return tuple(kind for kind in KINDS if kind in wanted)


def compare(left: IdentifiedImages, right: IdentifiedImages) -> "Overlap":
    """Find what two datasets share, by every relation that both know.

    Parameters
    ----------
    left, right : IdentifiedImages
        The datasets.

    Returns
    -------
    Overlap
        One row a pair.
    """
    kinds = tuple(kind for kind in left.fingerprints.kinds if kind in right.fingerprints.kinds)
    pairs = (
        find_relations(left.fingerprints, right.fingerprints, kinds)
        .groupby(["left", "right"], as_index=False)
        .agg(found_by=("kind", ", ".join), distance=("distance", "max"))
        .astype({"distance": "Int64"})
    )
    for side, name in ((left, "left"), (right, "right")):
        rows = pairs.pop(name).to_numpy(dtype=int)
        pairs[f"{name}_id"] = np.asarray(side.image_ids, dtype=object)[rows]
        pairs[f"{name}_path"] = "" if side.paths is None else np.asarray(side.paths, dtype=object)[rows]
    columns = ["left_id", "right_id", "found_by", "distance", "left_path", "right_path"]
    # Without the hashes: of very many images they take more memory than all else.
    sides = tuple(side._replace(fingerprints=side.fingerprints.select(GROUP_KINDS)) for side in (left, right))
    return Overlap(left.name, right.name, pairs[columns], kinds, sides, left.skipped + right.skipped)


@dataclass(frozen=True, eq=False)
class Overlap:
    """What two datasets share; its length is the number of images of the left one that are concerned.

    Made by `ISBIDataset.overlap`.

    Attributes
    ----------
    left, right : str
        Names of the two datasets.
    pairs : pandas.DataFrame
        One row a pair: ``left_id``, ``right_id``, ``found_by`` (such as "id, bytes"),
        ``distance`` (bits of 256 in which near-duplicates differ, else missing),
        ``left_path`` and ``right_path`` (empty where images are not known).
    kinds : tuple of str
        The relations that were looked for: "id", "bytes", "near-duplicate", "lesion", "patient".
    sides : tuple of IdentifiedImages
        All images of the left dataset and of the right one, by which `remove_from` tells them apart.
    skipped : tuple of SkippedRow
        Images that could not be read, and so were compared by id, lesion and patient alone.

    Examples
    --------
    >>> from melanoma_tl import ISBIDataset
    >>> train = ISBIDataset(["ISIC_0000001", "ISIC_0000003"], None, [0, 1], name="train")
    >>> test = ISBIDataset(["ISIC_0000003_downsampled"], None, [1], name="test")
    >>> shared = train.overlap(test)
    >>> len(shared)
    1
    >>> shared.raise_if_any()
    Traceback (most recent call last):
    ...
    melanoma_tl.errors.LeakageError: 1 image of 'train' ...
    >>> shared.remove_from(train).image_ids.tolist()
    ['ISIC_0000001']
    """

    left: str
    right: str
    pairs: pd.DataFrame
    kinds: tuple[str, ...]
    sides: tuple[IdentifiedImages, ...]
    skipped: tuple[SkippedRow, ...] = ()

    def __len__(self) -> int:
        return self.pairs["left_id"].nunique()

    @property
    def image_ids(self) -> tuple[str, ...]:
        """The images of the left dataset that are concerned, in its order."""
        return tuple(self.pairs["left_id"].drop_duplicates())

    @property
    def counts(self) -> dict[str, int]:
        """Number of images of the left dataset that are concerned, by relation."""
        kinds = self.pairs.assign(kind=self.pairs["found_by"].str.split(", ")).explode("kind")
        found = kinds.groupby("kind")["left_id"].nunique()
        return {kind: int(found.get(kind, 0)) for kind in self.kinds}

    def __str__(self) -> str:
        compared = ", ".join(self.kinds) or "nothing: neither has what the other could be compared by"
        if not len(self):
            return f"{self.left!r} and {self.right!r} share nothing (compared by {compared})"
        shown = ", ".join(map(in_column, self.image_ids[:5])) + (
            f", … and {len(self) - 5} more" if len(self) > 5 else ""
        )
        counts = ", ".join(f"{count} by {kind}" for kind, count in self.counts.items())
        subject = "1 image has" if len(self) == 1 else f"{len(self)} images have"
        return f"{self.left!r}: {subject} a counterpart in {self.right!r} ({counts}): {shown}"

    def __repr__(self) -> str:
        return f"Overlap({self})"

    def _repr_html_(self) -> str:
        titles = {"left_id": self.left, "right_id": self.right, "found_by": "found by"}
        shown = self.pairs.drop(columns=["left_path", "right_path"]).rename(columns=titles).head(10)
        return f"<p>{in_html(str(self))}</p>{html_frame(shown) if len(shown) else ''}"

    def to_frame(self) -> pd.DataFrame:
        """Return the pairs as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            A copy of `pairs`.
        """
        return self.pairs.copy()

    def raise_if_any(self) -> None:
        """Stop when anything is shared.

        Raises
        ------
        LeakageError
            If at least one pair was found.
        """
        if len(self):
            raise LeakageError(
                f"{self}. Metrics from shared images say nothing about new ones: "
                "take them out with overlap.remove_from(dataset)"
            )

    def warn_if_any(self, consequence: str, *, stacklevel: int = 1) -> None:
        """Warn when anything is shared.

        Parameters
        ----------
        consequence : str
            What follows from it, and what to do about it.
        stacklevel : int, default=1
            Which caller the warning is about, as in `warnings.warn`: 1 is who calls this method.

        Warns
        -----
        LeakageWarning
            If at least one pair was found.
        """
        if len(self):
            warnings.warn(f"{self}. {consequence}", LeakageWarning, stacklevel=stacklevel + 1)

    @checked(dataset=having("identify", "an ISBIDataset"))
    def remove_from(self, dataset: Table) -> Table:
        """Take the images that are concerned out of a dataset.

        Parameters
        ----------
        dataset : ISBIDataset
            One of the two, or what was made of them: a part, both put together, resized copies. Images are
            recognised by their file, and by id where the file is another one or not known.

        Returns
        -------
        ISBIDataset
            Without the images that stand in a pair, on either side of it, in the same order.

        Raises
        ------
        DatasetError
            If none of the images is in one of the two; or if an id stands for an image of each, only one of them is
            in a pair, and nothing tells which is meant.

        Examples
        --------
        >>> from melanoma_tl import ISBIDataset
        >>> train = ISBIDataset(["a", "b", "c"], None, [0, 1, 0], name="train")
        >>> train.overlap(train[:1]).remove_from(train).image_ids.tolist()
        ['b', 'c']
        """
        sides = [
            (side, np.isin(side.image_ids, self.pairs[ids].to_numpy(dtype=str)))
            for side, ids in zip(self.sides, ("left_id", "right_id"), strict=True)
        ]
        concerned = recognise_marked(sides, dataset.identify(GROUP_KINDS, verbose=0))
        what = f"without what {self.left} and {self.right} share (compared by {', '.join(self.kinds)})"
        return dataset.keep(~concerned, what)

    def plot(self, n: int = 12) -> "Figure":
        """Draw suspected pairs side by side, to be judged by eye; the most distant near-duplicates first.

        Parameters
        ----------
        n : int, default=12
            Largest number of pairs.

        Returns
        -------
        matplotlib.figure.Figure
            Two images a pair, with their ids and what relates them.
        """
        from melanoma_tl.plots.contact_sheets import Pair, draw_pairs

        doubtful = self.pairs.sort_values("distance", ascending=False, na_position="last", kind="stable").head(n)
        return draw_pairs(
            [
                Pair(
                    (row.left_id, row.right_id),
                    (row.left_path, row.right_path),
                    row.found_by + ("" if pd.isna(row.distance) else f", {row.distance} of 256 bits"),
                )
                for row in _rows(doubtful)
            ],
            title=f"{len(doubtful)} of {len(self.pairs)} pairs of {self.left} (left) and {self.right} (right)",
        )


class _PairRow(NamedTuple):
    left_id: str
    right_id: str
    found_by: str
    distance: int | None
    left_path: str
    right_path: str


def _rows(pairs: pd.DataFrame) -> Iterator[_PairRow]:
    return (_PairRow(*row) for row in pairs.itertuples(index=False, name=None))
