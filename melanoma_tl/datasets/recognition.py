"""Recognise the images of a dataset in what was made of it: a part, several put together, resized copies."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from melanoma_tl.errors import DatasetError
from melanoma_tl.images.fingerprints import GROUP_KINDS, IdentifiedImages


def recognise_marked(
    sides: Iterable[tuple[IdentifiedImages, NDArray[np.bool_]]], images: IdentifiedImages
) -> NDArray[np.bool_]:
    """Find which images are those that were marked in one of several datasets.

    Parameters
    ----------
    sides : iterable of (IdentifiedImages, ndarray of bool of shape (n_images,))
        The datasets, and which of their images are marked.
    images : IdentifiedImages
        One of the datasets, or what was made of them; with numbers of lesions and patients, if it knows them.

    Returns
    -------
    ndarray of bool of shape (n_images,)
        By the file, which is the same image under any id; by id where the file is another one or not known. What is
        of none of the datasets is not marked.

    Raises
    ------
    DatasetError
        If none of the images is of one of the datasets; or if an id is that of an image of several, one of them marked
        and another not, and nothing tells which is meant.
    """
    sides = list(sides)
    names = [side.name for side, _ in sides]
    known = pd.concat([_recognisable(side).assign(marked=marked) for side, marked in sides])
    asked = _recognisable(images)
    found = pd.DataFrame({"min": None, "max": None}, index=asked.index, dtype="boolean")
    groups = [kind for kind in GROUP_KINDS if kind in images.fingerprints.keys]
    # The surest evidence first: an id such as "1" may stand for another image in each dataset.
    for columns in (["image_id", "path"], ["path"], ["image_id", *groups], ["image_id"]):
        usable, missing = (
            table[table["path"] != ""] if "path" in columns else table for table in (known, asked[found["max"].isna()])
        )
        if missing.empty:
            continue
        of_each = usable.groupby(columns)["marked"].agg(["min", "max"]).astype("boolean")
        if "path" in columns:
            of_each["min"] = of_each["max"]  # one file is one image, whatever else is said of it
        found.loc[missing.index] = missing[columns].join(of_each, on=columns)[["min", "max"]]
    if len(asked) and found["max"].isna().all():
        raise DatasetError(
            f"none of the {len(asked)} images of {images.name} is one of {' or of '.join(names)}, by id or file: pass "
            "that dataset itself, or what was made of it"
        )
    unclear = asked.loc[(found["min"] != found["max"]).fillna(value=False), "image_id"]
    if len(unclear):
        raise DatasetError(
            f"{images.name}: {' and '.join(names)} each have an image with the id {unclear.iloc[0]!r}, only one of the "
            f"two is shared, and the file does not tell which is meant ({len(unclear)} such ids): call overlap with "
            "this dataset itself"
        )
    return found["max"].fillna(value=False).to_numpy(dtype=bool)


def _recognisable(images: IdentifiedImages) -> pd.DataFrame:
    """Return what images are recognised by, a row each: id, file, and numbers of lesion and patient."""
    groups = {kind: images.fingerprints.keys.get(kind, 0) for kind in GROUP_KINDS}
    paths = "" if images.paths is None else images.paths
    ids = np.asarray(images.image_ids, dtype=str)
    return pd.DataFrame({"image_id": ids, "path": paths, **groups}, index=range(len(ids)))
