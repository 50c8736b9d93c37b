"""Write the images of a dataset resized: the published resize step."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from melanoma_tl._atomic import atomic_write, replacing_many
from melanoma_tl._progress import progress
from melanoma_tl.datasets.image_table import ImageRow, ImageTable
from melanoma_tl.errors import DatasetError, ImageError
from melanoma_tl.images.decoding import load_image
from melanoma_tl.images.parallel import map_threaded


def write_resized(
    dataset: ImageTable,
    folder: str | os.PathLike[str],
    *,
    size: tuple[int, int],
    suffix: str,
    on_error: str,
    verbose: int,
) -> list[str | ImageError]:
    """Write every image resized, under its id.

    Parameters
    ----------
    dataset : ISBIDataset
        With images.
    folder : path
        Where to write; made if it does not exist.
    size : tuple of int
        (height, width) in pixels.
    suffix : str
        File format.
    on_error : {"raise", "skip"}
        Stop at an image that cannot be read, or go on.
    verbose : int
        0 shows no progress bar.

    Returns
    -------
    list of str or ImageError
        The new file of each image; what is wrong, where it cannot be read.

    Raises
    ------
    DatasetError
        If an id leads out of the folder.
    ImageError
        If an image cannot be read and `on_error` is "raise".
    """

    def write(row: ImageRow) -> str | ImageError:
        path = _place(Path(folder), f"{row.image_id}.{suffix}")
        try:
            pixels = load_image(row.path, size)
        except ImageError as error:
            if on_error == "raise":
                raise
            return error
        try:
            with replacing_one(path) as unfinished:
                Image.fromarray(pixels).save(unfinished)
        except OSError as error:
            raise DatasetError(f"{path}: the image cannot be written ({error.strerror or error})") from error
        return str(path)

    try:
        with replacing_many(Path(folder)) as replacing_one:
            rows = map_threaded(write, dataset)
            return list(progress(rows, f"Resize {dataset.name}", total=len(dataset), verbose=verbose))
    except OSError as error:
        raise DatasetError(f"{folder}: images cannot be written there ({error.strerror or error})") from error


def _place(folder: Path, name: str) -> Path:
    """Join a name to a folder: an id such as "../a" must not write elsewhere."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DatasetError(f"{name}: an id that leads out of {folder}; nothing is written there")
    return folder / name


def write_labels(dataset: ImageTable, path: Path) -> None:
    """Write ids, labels and metadata as a table that `ISBIDataset.from_csv` reads.

    Parameters
    ----------
    dataset : ISBIDataset
        What to write.
    path : Path
        The file, replaced if it exists.
    """
    table = dataset.to_frame().drop(columns="path").assign(label=np.array(dataset.class_names)[dataset.labels])
    with atomic_write(path) as unfinished:
        table.to_csv(unfinished, index=False)
