"""`ISBIDataset`: an immutable table of images and their labels."""

import csv
import html
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from tqdm.auto import tqdm

from melanoma_tl.datasets.challenges import get_challenge
from melanoma_tl.datasets.leakage import Overlap
from melanoma_tl.errors import DatasetError, ImageError, ParameterError, UnknownNameError
from melanoma_tl.files import replacing
from melanoma_tl.images import IMAGE_SUFFIXES, SkippedRow, check_on_error, find_images, load_image, map_threaded

logger = logging.getLogger(__name__)

CLASS_NAMES = ("benign", "melanoma")

LABEL_WORDS: Mapping[str, int] = {"benign": 0, "malignant": 1, "melanoma": 1, "0": 0, "1": 1, "0.0": 0, "1.0": 1}
"""How the challenges write the two classes; ISBI 2016 says "malignant" and its malignant images are all melanomas."""

PathLike = str | os.PathLike[str]


class ImageRow(NamedTuple):
    """One row of an `ISBIDataset`."""

    image_id: str
    path: str
    label: int


class ISBIDataset:
    """An immutable table of images: ids, files and labels, never pixels.

    Build one with `from_challenge`, `from_folder` or `from_csv`. Slices, boolean
    masks and arrays of positions give datasets; a single position gives a row.

    Parameters
    ----------
    image_ids : array-like of str of shape (n_images,)
        Unique ids.
    paths : array-like of str of shape (n_images,), or None
        The file of each image; None where only ids and labels are known.
    labels : array-like of int of shape (n_images,)
        0 for benign, 1 for melanoma.
    name : str, default="dataset"
        Name for people.
    skipped : tuple of SkippedRow, default=()
        Rows that were left out of the table, each with id, path and reason.

    Attributes
    ----------
    class_names : tuple of str
        ``("benign", "melanoma")``, in the order of the labels.

    Raises
    ------
    DatasetError
        If the lengths differ or a label is neither 0 nor 1.

    Examples
    --------
    >>> dataset = ISBIDataset(["a", "b", "c"], ["a.png", "b.png", "c.png"], [0, 1, 0], name="mine")
    >>> dataset
    ISBIDataset('mine', 3 images: 2 benign, 1 melanoma)
    >>> dataset[dataset.labels == 1].image_ids.tolist()
    ['b']
    """

    class_names = CLASS_NAMES

    def __init__(
        self,
        image_ids: ArrayLike,
        paths: ArrayLike | None,
        labels: ArrayLike,
        *,
        name: str = "dataset",
        skipped: Sequence[SkippedRow] = (),
    ) -> None:
        ids = np.array(image_ids, dtype=np.str_)
        files = None if paths is None else np.array([os.fspath(path) for path in np.asarray(paths)], dtype=np.str_)
        classes = np.array(labels, dtype=np.int64)
        if not len(ids) == len(classes) == len(ids if files is None else files):
            raise DatasetError(
                f"image_ids, paths and labels must have one entry an image, got lengths {len(ids)}, "
                f"{'none' if files is None else len(files)} and {len(classes)}"
            )
        if not np.isin(classes, (0, 1)).all():
            raise DatasetError(f"labels must be 0 (benign) or 1 (melanoma), got {np.unique(classes).tolist()}")
        for array in (ids, files, classes):
            if array is not None:
                array.flags.writeable = False
        self._image_ids, self._paths, self._labels = ids, files, classes
        self._name, self._skipped = name, tuple(skipped)

    # -- reading ---------------------------------------------------------------------------------------------------

    @classmethod
    def from_challenge(
        cls,
        root: PathLike,
        *,
        year: int,
        split: str,
        image_dirs: Sequence[PathLike] | None = None,
        labels_only: bool = False,
        on_error: str = "raise",
    ) -> Self:
        """Read one split of one challenge from its official files, as they are.

        Parameters
        ----------
        root : path
            Folder that holds the ground-truth file and, unless `image_dirs` is
            given, the folder of images, both under their official names.
        year : int
            2016 (ISBI, Part 3) or 2017 (ISIC, Part 3).
        split : {"train", "validation", "test"}
            Which part; 2016 has no validation split.
        image_dirs : sequence of path, optional
            Folders to look for the images in, in this order. Useful where the
            images of several years lie in one place.
        labels_only : bool, default=False
            Read ids and labels without looking for images, as for `overlap`.
        on_error : {"raise", "skip"}, default="raise"
            What to do with rows whose image is missing or whose label is unknown:
            stop, or leave them out and list them in `skipped`.

        Returns
        -------
        ISBIDataset
            In the order of the ground-truth file.

        Raises
        ------
        DatasetError
            If a folder or the file does not exist, is empty or malformed, or if
            rows cannot be used and `on_error` is "raise".
        UnknownNameError
            If there is no such split.
        """
        challenge = get_challenge(year, split)
        folder = _existing_folder(root)
        table = _read_ground_truth(folder / challenge.ground_truth, headed=challenge.label_format == "headed_floats")
        dataset = cls._from_table(
            table,
            None if labels_only else [folder / challenge.image_dir] if image_dirs is None else image_dirs,
            label_map=LABEL_WORDS,
            name=challenge.title,
            on_error=on_error,
        )
        logger.info("%r; published: %d benign, %d melanoma", dataset, challenge.n_benign, challenge.n_melanoma)
        return dataset

    @classmethod
    def from_csv(
        cls,
        path: PathLike,
        *,
        image_dirs: Sequence[PathLike] | None = None,
        id_column: str = "image_id",
        label_column: str = "label",
        label_map: Mapping[str, int] | None = None,
        labels_only: bool = False,
        on_error: str = "raise",
    ) -> Self:
        """Read a table of ids and labels from a CSV file with a header.

        Parameters
        ----------
        path : path
            The file.
        image_dirs : sequence of path, optional
            Folders to look for the images in; by default the folder of the file.
        id_column, label_column : str, default="image_id", "label"
            Names of the two columns. Ids may carry an image suffix.
        label_map : mapping of str to int, optional
            Which words mean 0 (benign) and 1 (melanoma), such as
            ``{"NV": 0, "MEL": 1}``; by default those of the challenges.
        labels_only : bool, default=False
            Read ids and labels without looking for images.
        on_error : {"raise", "skip"}, default="raise"
            As in `from_challenge`.

        Returns
        -------
        ISBIDataset
            In the order of the file.

        Raises
        ------
        DatasetError
            As in `from_challenge`.
        """
        file = Path(path)
        return cls._from_table(
            _read_ground_truth(file, headed=True, id_column=id_column, label_column=label_column),
            None if labels_only else [file.parent] if image_dirs is None else image_dirs,
            label_map=label_map or LABEL_WORDS,
            name=file.stem,
            on_error=on_error,
        )

    @classmethod
    def from_folder(
        cls, root: PathLike, *, label_map: Mapping[str, int] | None = None, on_error: str = "raise"
    ) -> Self:
        """Read a folder with one folder of images a class.

        Parameters
        ----------
        root : path
            The folder.
        label_map : mapping of str to int, optional
            Which folder names mean 0 (benign) and 1 (melanoma); by default
            "benign", "malignant" and "melanoma", "0" and "1".
        on_error : {"raise", "skip"}, default="raise"
            What to do with a file name that occurs in two classes.

        Returns
        -------
        ISBIDataset
            Sorted by class folder, then by file name, which is the id.

        Raises
        ------
        DatasetError
            If the folder does not exist or holds no class folder with images.
        UnknownNameError
            If a folder's name is no known class.
        """
        folder = _existing_folder(root)
        words = label_map or LABEL_WORDS
        rows: list[tuple[str, str]] = []
        files: list[str] = []
        for class_folder in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
            found = find_images([class_folder])
            if found and class_folder.name.lower() not in {word.lower() for word in words}:
                raise UnknownNameError(
                    "class folder", class_folder.name, words, "Name others with label_map={'folder': 0 or 1}."
                )
            rows += [(image_id, class_folder.name) for image_id in found]
            files += map(str, found.values())
        if not rows:
            raise DatasetError(
                f"{folder}: no images found; expected one folder a class, such as benign/ and melanoma/, "
                f"with files ending in {', '.join(IMAGE_SUFFIXES)}"
            )
        table = pd.DataFrame(rows, columns=["image_id", "label"]).assign(path=files)
        return cls._from_table(table, None, label_map=words, name=folder.name, on_error=on_error)

    @classmethod
    def _from_table(
        cls,
        table: pd.DataFrame,
        image_dirs: Sequence[PathLike] | None,
        *,
        label_map: Mapping[str, int],
        name: str,
        on_error: str,
    ) -> Self:
        """Build from the columns image_id, label and perhaps path; `image_dirs` None means not to look for files."""
        check_on_error(on_error)
        if image_dirs is not None:
            folders = [_existing_folder(folder) for folder in image_dirs]
            found = find_images(folders)
            places = ", ".join(map(str, folders))
            table = table.assign(path=[str(found.get(image_id, "")) for image_id in table["image_id"]])
        has_paths = "path" in table
        words = {word.lower(): label for word, label in label_map.items()}
        seen: set[str] = set()
        rows: list[ImageRow] = []
        skipped: list[SkippedRow] = []
        paths = table["path"] if has_paths else [""] * len(table)
        for image_id, word, path in zip(table["image_id"], table["label"], paths, strict=True):
            label = words.get(str(word).lower())
            if not image_id:
                skipped.append(SkippedRow("", path, "the row has no id"))
            elif image_id in seen:
                skipped.append(SkippedRow(image_id, path, "the id occurs more than once"))
            elif label is None:
                skipped.append(SkippedRow(image_id, path, f"unknown label {word!r}; known: {', '.join(label_map)}"))
            elif has_paths and not path:
                skipped.append(SkippedRow(image_id, path, f"no image of this name in {places}"))
            else:
                rows.append(ImageRow(image_id, path, label))
            seen.add(image_id)
        if skipped and on_error == "raise":
            raise DatasetError(f"{name}: {_describe(skipped, len(table))}. {_HOW_TO_SKIP}")
        if skipped:
            logger.warning("%s: %s; left out, listed in .skipped", name, _describe(skipped, len(table)))
        if not rows:
            raise DatasetError(f"{name}: no usable row. {_describe(skipped, len(table))}")
        return cls(
            [row.image_id for row in rows],
            [row.path for row in rows] if has_paths else None,
            [row.label for row in rows],
            name=name,
            skipped=skipped,
        )

    # -- looking ---------------------------------------------------------------------------------------------------

    @property
    def image_ids(self) -> NDArray[np.str_]:
        """Ids of the images, an ndarray of str of shape (n_images,)."""
        return self._image_ids

    @property
    def labels(self) -> NDArray[np.int64]:
        """Classes of the images, an ndarray of int of shape (n_images,): 0 benign, 1 melanoma."""
        return self._labels

    @property
    def name(self) -> str:
        """Name for people."""
        return self._name

    @property
    def skipped(self) -> tuple[SkippedRow, ...]:
        """Rows that were left out, each with id, path and reason."""
        return self._skipped

    @property
    def paths(self) -> NDArray[np.str_]:
        """Files of the images, an ndarray of str of shape (n_images,).

        Raises
        ------
        DatasetError
            If the dataset was read with ``labels_only=True``.
        """
        if self._paths is None:
            raise DatasetError(f"{self.name} was read with labels_only=True: it has ids and labels, but no images")
        return self._paths

    @property
    def class_counts(self) -> dict[str, int]:
        """Number of images of each class, by its name."""
        counts = np.bincount(self.labels, minlength=len(CLASS_NAMES))
        return dict(zip(CLASS_NAMES, counts.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.image_ids)

    def __iter__(self) -> Iterator[ImageRow]:
        return (self._row(position) for position in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        """Return one row for an int, a dataset for a slice, a boolean mask or an array of positions."""
        if isinstance(key, int | np.integer):
            return self._row(int(key))
        if not isinstance(key, slice):
            key = np.asarray(key)
            if key.dtype == bool and key.shape != self.labels.shape:
                raise DatasetError(f"a mask must have one entry an image ({len(self)}), got the shape {key.shape}")
            if key.size == 0:
                key = key.astype(np.intp)
        return type(self)(
            self.image_ids[key],
            None if self._paths is None else self._paths[key],
            self.labels[key],
            name=self.name,
            skipped=self.skipped,
        )

    def _row(self, position: int) -> ImageRow:
        path = "" if self._paths is None else str(self._paths[position])
        return ImageRow(str(self.image_ids[position]), path, int(self.labels[position]))

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.class_counts.items())
        skipped = f"; {len(self.skipped)} skipped" if self.skipped else ""
        return f"ISBIDataset({self.name!r}, {len(self)} images: {counts}{skipped})"

    def _repr_html_(self) -> str:
        head = "".join(
            f"<tr><td>{html.escape(row.image_id)}</td><td>{CLASS_NAMES[row.label]}</td>"
            f"<td>{html.escape(row.path)}</td></tr>"
            for row in self[:5]
        )
        skipped = "".join(
            f"<li>{html.escape(row.image_id)}: {html.escape(row.reason)}</li>" for row in self.skipped[:10]
        )
        return (
            f"<p><b>{html.escape(self.name)}</b>: {len(self)} images, "
            + ", ".join(f"{count} {name}" for name, count in self.class_counts.items())
            + f"</p><table><tr><th>image_id</th><th>class</th><th>path</th></tr>{head}</table>"
            + (f"<p>{len(self.skipped)} rows skipped:</p><ul>{skipped}</ul>" if skipped else "")
        )

    # -- choosing --------------------------------------------------------------------------------------------------

    def first(self, n: int | Mapping[str | int, int]) -> Self:
        """Take the first images of each class, in file order.

        Ids follow the contributing site, so that the first images of a class come
        from other cameras than its last ones: use `sample` unless you reproduce
        somebody's choice.

        Parameters
        ----------
        n : int or mapping of class to int
            How many of each class; a class is named or numbered.

        Returns
        -------
        ISBIDataset
            In file order.

        Raises
        ------
        DatasetError
            If a class has fewer images than that.
        UnknownNameError
            If a class is not known.
        """
        return self._choose(n, lambda members, count: members[:count])

    def sample(self, n: int | Mapping[str | int, int], random_state: int | np.random.Generator | None = None) -> Self:
        """Draw images of each class at random, without replacement.

        Parameters
        ----------
        n : int or mapping of class to int
            How many of each class; a class is named or numbered.
        random_state : int or numpy.random.Generator, optional
            Seed of the draw.

        Returns
        -------
        ISBIDataset
            In file order.

        Raises
        ------
        DatasetError
            If a class has fewer images than that.
        UnknownNameError
            If a class is not known.
        """
        rng = np.random.default_rng(random_state)
        return self._choose(n, lambda members, count: rng.choice(members, size=count, replace=False))

    def _choose(self, n: int | Mapping[str | int, int], choose: Any) -> Self:
        wanted = n if isinstance(n, Mapping) else dict.fromkeys(CLASS_NAMES, n)
        chosen = []
        for key, count in wanted.items():
            label = CLASS_NAMES.index(key) if key in CLASS_NAMES else key
            if label not in (0, 1):
                raise UnknownNameError("class", key, CLASS_NAMES)
            if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
                raise ParameterError(f"the number of images must be a whole number of at least 0, got {count!r}")
            members = np.flatnonzero(self.labels == label)
            if count > len(members):
                raise DatasetError(
                    f"{self.name} has {len(members)} {CLASS_NAMES[int(label)]} images, {count} were asked for"
                )
            chosen.append(choose(members, count))
        return self[np.sort(np.concatenate(chosen))]

    # -- comparing and writing -------------------------------------------------------------------------------------

    def overlap(self, other: "ISBIDataset") -> Overlap:
        """Find the images that are in another dataset too, by id.

        Parameters
        ----------
        other : ISBIDataset
            The other dataset; `labels_only` ones will do.

        Returns
        -------
        Overlap
            Its length is the number of shared images; ``raise_if_any()`` stops on any.
        """
        shared = self.image_ids[np.isin(self.image_ids, other.image_ids)]
        return Overlap(self.name, other.name, tuple(shared.tolist()))

    def resize_to(
        self,
        folder: PathLike,
        *,
        size: tuple[int, int] = (224, 224),
        format: str = "png",  # noqa: A002 -- Pillow's and the field's name for it
        on_error: str = "raise",
        verbose: int = 1,
    ) -> Self:
        """Write every image resized, under its id, with a table of the labels.

        The published resize step. The folder also gets a ``labels.csv``, so that
        ``ISBIDataset.from_csv(folder / "labels.csv")`` reads it back.

        Parameters
        ----------
        folder : path
            Where to write; made if it does not exist. Files of the same name are replaced.
        size : tuple of int, default=(224, 224)
            (height, width) in pixels. The aspect ratio is not kept.
        format : {"png", "jpg"}, default="png"
            File format; "jpg" loses detail.
        on_error : {"raise", "skip"}, default="raise"
            Stop at an image that cannot be read, or leave it out and list it in `skipped`.
        verbose : int, default=1
            0 shows no progress bar.

        Returns
        -------
        ISBIDataset
            The same images at their new place.

        Raises
        ------
        ImageError
            If an image cannot be read and `on_error` is "raise".
        ParameterError
            If the format or the size cannot be used.
        """
        check_on_error(on_error)
        if format not in ("png", "jpg"):
            raise ParameterError(f"format must be 'png' or 'jpg', got {format!r}")
        if len(size) != 2 or min(size) < 1:
            raise ParameterError(f"size must be (height, width) in pixels, got {size!r}")
        target = Path(folder)

        def write(row: ImageRow) -> str | ImageError:
            path = target / f"{row.image_id}.{format}"
            try:
                pixels = load_image(row.path, size)
            except ImageError as error:
                if on_error == "raise":
                    raise
                return error
            _write_image(pixels, path)
            return str(path)

        _ = self.paths  # a dataset without images stops here, with its own message
        results = list(
            tqdm(map_threaded(write, self), total=len(self), desc=f"Resize {self.name}", disable=not verbose)
        )
        kept = np.array([isinstance(result, str) for result in results])
        failures = [
            SkippedRow(row.image_id, row.path, result.reason)
            for row, result in zip(self, results, strict=True)
            if isinstance(result, ImageError)
        ]
        if failures:
            logger.warning("%s: %s; left out, listed in .skipped", self.name, _describe(failures, len(self)))
        resized = type(self)(
            self.image_ids[kept],
            [result for result in results if isinstance(result, str)],
            self.labels[kept],
            name=self.name,
            skipped=self.skipped + tuple(failures),
        )
        _write_labels(resized, target / "labels.csv")
        return resized


_HOW_TO_SKIP = "Put it right, or pass on_error='skip' to leave such rows out; they are then listed in .skipped"


def _existing_folder(folder: PathLike) -> Path:
    path = Path(folder)
    if not path.is_dir():
        raise DatasetError(f"{path}: no such folder")
    return path


def _describe(skipped: Sequence[SkippedRow], total: int) -> str:
    shown = "; ".join(f"{row.image_id or '(no id)'}: {row.reason}" for row in skipped[:3])
    more = f"; … and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"{len(skipped)} of {total} rows cannot be used ({shown}{more})"


def _read_ground_truth(
    path: Path, *, headed: bool, id_column: str = "image_id", label_column: str = "melanoma"
) -> pd.DataFrame:
    """Read ids and label words; a byte-order mark and Windows line ends are taken in stride."""
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; the labels are read from it")
    try:
        table = pd.read_csv(
            path,
            header=0 if headed else None,
            dtype=str,
            encoding="utf-8-sig",
            keep_default_na=False,
            skipinitialspace=True,
        )
    except pd.errors.EmptyDataError:
        raise DatasetError(f"{path}: the file is empty") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not a CSV file ({error})") from error
    if headed:
        missing = [column for column in (id_column, label_column) if column not in table]
        if missing:
            raise DatasetError(
                f"{path}: the header must name the columns {id_column!r} and {label_column!r}, "
                f"got {', '.join(map(repr, table.columns))}"
            )
        table = table[[id_column, label_column]]
    elif table.shape[1] != 2:
        raise DatasetError(f"{path}: expected two columns without a header (id, label), got {table.shape[1]} columns")
    elif str(table.iloc[0, 0]).lower() in ("image", "image_id", "isic_id"):
        raise DatasetError(f"{path}: starts with a header; the official file of this challenge has none")
    if table.empty:
        raise DatasetError(f"{path}: the file has a header but no rows")
    table = table.set_axis(["image_id", "label"], axis=1)
    suffixes = "|".join(suffix.replace(".", r"\.") for suffix in IMAGE_SUFFIXES)
    table["image_id"] = table["image_id"].str.strip().str.replace(f"(?i)(?:{suffixes})$", "", regex=True)
    table["label"] = table["label"].str.strip()
    return table


def _write_image(pixels: NDArray[np.uint8], path: Path) -> None:
    with replacing(path) as unfinished:
        Image.fromarray(pixels).save(unfinished)


def _write_labels(dataset: ISBIDataset, path: Path) -> None:
    with replacing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "label"])
        writer.writerows((row.image_id, CLASS_NAMES[row.label]) for row in dataset)
