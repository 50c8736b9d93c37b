"""Match what reports and tables say of the same images, by the ids of the images."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from melanoma_tl.errors import ParameterError
from melanoma_tl.metrics.resampling import number_groups


class Matched(NamedTuple):
    """The images that two reports share.

    Attributes
    ----------
    here, there : ndarray of int of shape (n_shared,)
        Rows of the same images in each report.
    left_out : int
        Images that only one of them has.
    """

    here: NDArray[np.intp]
    there: NDArray[np.intp]
    left_out: int


def match_images(
    here_ids: Sequence[str], there_ids: Sequence[str], here_truth: NDArray[np.int64], there_truth: NDArray[np.int64]
) -> Matched:
    """Find the images that two reports share, and hold their labels against each other.

    Parameters
    ----------
    here_ids, there_ids : sequence of str
        Ids of the images of each report.
    here_truth, there_truth : ndarray of int of shape (n_images,)
        Their classes.

    Returns
    -------
    Matched
        In the order of the first report.

    Raises
    ------
    ParameterError
        If ids are repeated, none are shared, or the two disagree about a label.
    """
    row_of = {image_id: row for row, image_id in enumerate(there_ids)}
    if len(row_of) < len(there_ids) or len(set(here_ids)) < len(here_ids):
        raise ParameterError("Images are matched by their ids, and some ids are repeated; make them unique")
    here = np.array([row for row, image_id in enumerate(here_ids) if image_id in row_of], dtype=np.intp)
    there = np.array([row_of[here_ids[row]] for row in here], dtype=np.intp)
    if not len(here):
        raise ParameterError("The two reports share no image id; give both the same image_ids")
    disputed = np.flatnonzero(here_truth[here] != there_truth[there])
    if len(disputed):
        raise ParameterError(
            f"The two reports disagree about the label of {len(disputed)} images, such as "
            f"{here_ids[here[disputed[0]]]!r}; they are not about the same images"
        )
    return Matched(here, there, len(here_ids) + len(there_ids) - 2 * len(here))


def match_table(table: pd.DataFrame, image_ids: Sequence[str], n_skipped: int) -> pd.DataFrame:
    """Bring the rows of a table into the order of a report's images.

    Parameters
    ----------
    table : pandas.DataFrame
        What is known of the images. Its ids are the column "image_id", or else an index that is called so or holds ids
        of the report, or else a column that has the id of every image of the report.
    image_ids : sequence of str
        Ids of the images of the report.
    n_skipped : int
        Number of images that the report leaves out.

    Returns
    -------
    pandas.DataFrame
        One row per image: empty for those of which the table knows nothing. A table without ids stays as it is.

    Raises
    ------
    ParameterError
        If rows cannot be matched.
    """
    ids = _find_ids(table, image_ids, n_skipped)
    if ids is None:
        if len(table) != len(image_ids):
            raise ParameterError(
                f"The table has {len(table)} rows and the report {len(image_ids)} images; "
                "give it a column image_id to match them by"
            )
        return table
    by_id = table.set_axis(pd.Index(ids.astype(str), name="image_id"))
    if not by_id.index.is_unique:
        twice = by_id.index[by_id.index.duplicated()][0]
        raise ParameterError(f"The table has several rows for the image {twice!r}; keep one")
    if not set(image_ids) & set(by_id.index):
        raise ParameterError(
            f"The table has no row for any image of the report: its ids are like {ids[0]!r}, "
            f"those of the report like {image_ids[0]!r}"
        )
    return by_id.reindex(list(image_ids))


def _find_ids(table: pd.DataFrame, image_ids: Sequence[str], n_skipped: int) -> pd.Index | None:
    """Return the ids of the rows of a table; None where it has none, so that its rows are taken as they stand."""
    if "image_id" in table:
        return pd.Index(table["image_id"])
    if _holds_ids(table.index, image_ids, n_skipped):
        return table.index
    if _are_rows(image_ids, n_skipped):
        return None
    wanted = set(image_ids)
    # "isic_id" or "image", as archives call it.
    return next((pd.Index(column) for _, column in table.items() if wanted <= set(column.astype(str))), None)


def _holds_ids(index: pd.Index, image_ids: Sequence[str], n_skipped: int) -> bool:
    """Return whether the index of a table holds ids of images, rather than numbers of rows."""
    if isinstance(index, pd.MultiIndex) or counts_rows(index):
        return False
    if index.name == "image_id":
        return True
    words = index.astype(str)
    if not _are_rows(image_ids, n_skipped):
        return not set(image_ids).isdisjoint(words)
    if len(words) == len(image_ids) and set(words) == set(image_ids) and words.tolist() != list(image_ids):
        raise ParameterError(
            "The index of the table holds the numbers of rows in another order than the report, which has no other "
            "ids: pass table.reset_index(drop=True) if its rows are in the order of the report, or table.sort_index() "
            "if the index counts the images of the report"
        )
    return False


def counts_rows(index: pd.Index) -> bool:
    """Return whether an index is the one that pandas makes by itself.

    Parameters
    ----------
    index : pandas.Index
        Of a table or a column.

    Returns
    -------
    bool
        False also of one that was turned round or cut.
    """
    return isinstance(index, pd.RangeIndex) and index.equals(pd.RangeIndex(len(index)))


def _are_rows(image_ids: Sequence[str], n_skipped: int) -> bool:
    """Return whether ids are the numbers of rows, which a report gives to images without ids."""
    if not all(map(str.isdecimal, image_ids)):
        return False
    rows = list(map(int, image_ids))
    return rows == sorted(rows) and max(rows, default=0) < len(rows) + n_skipped


def shared_groups(
    here_groups: Sequence[Any] | None, there_groups: Sequence[Any] | None, images: Matched
) -> list[Any] | None:
    """Return the patients of the images that two reports share, as far as at least one of the two knows them.

    Parameters
    ----------
    here_groups, there_groups : sequence of object, or None
        The patient of each image of each report.
    images : Matched
        The shared images.

    Returns
    -------
    list of object of length n_shared, or None
        Those of the first report that knows them; None if neither does.

    Raises
    ------
    ParameterError
        If both do, and they disagree about which images are of one patient.
    """
    sides = ((here_groups, images.here), (there_groups, images.there))
    known = [[groups[row] for row in rows] for groups, rows in sides if groups is not None]
    numbers = [number_groups(groups, len(groups)) for groups in known]
    if len(known) > 1 and len(set(zip(*numbers, strict=True))) > min(int(codes.max()) + 1 for codes in numbers):
        raise ParameterError(
            "The two reports divide the images they share into patients in different ways; give both the same groups"
        )
    return known[0] if known else None


def warn_of_other_rules(here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Warn where two reports are known to have thresholds of different rules; to be called by `compare` itself.

    Parameters
    ----------
    here, there : mapping of str to object
        Provenance of the reports.

    Warns
    -----
    UserWarning
        Then the metrics that count predictions compare two rules, and not two classifiers.
    """
    rules = [_rule_of(provenance) for provenance in (here, there)]
    if None not in rules and rules[0] != rules[1]:
        warnings.warn(
            f"the thresholds were chosen by different rules ({rules[0]}; {rules[1]}): differences in sensitivity, "
            "specificity and other metrics that count predictions are of the rules as much as of the classifiers; tune "
            "both on the same validation images by the same rule",
            stacklevel=4,
        )


def _rule_of(provenance: Mapping[str, Any]) -> str | None:
    """Return how the threshold of a report was chosen; None where it does not know."""
    point = provenance.get("operating_point")
    return str(point["rule"]) if point else provenance.get("threshold_from")
