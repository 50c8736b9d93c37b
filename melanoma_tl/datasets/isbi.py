"""`ISBIDataset`: reads tables of images and their labels, and compares, verifies and resizes the images."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from melanoma_tl._parameters import (
    FLAG,
    NONE,
    ON_ERROR,
    PATH,
    SIZE,
    TEXT,
    VERBOSE,
    check,
    checked,
    choice,
    having,
    several,
    takes_also,
    whole,
)
from melanoma_tl._progress import progress
from melanoma_tl.datasets.archives import extract
from melanoma_tl.datasets.challenges import Challenge, get_challenge
from melanoma_tl.datasets.columns import arrange
from melanoma_tl.datasets.download import fetch
from melanoma_tl.datasets.findings import read_folders
from melanoma_tl.datasets.ground_truth import (
    arguments_of,
    find_image_dirs,
    read_archive,
    read_challenge,
    refuse_challenge,
    require_image_dirs,
)
from melanoma_tl.datasets.history import Step
from melanoma_tl.datasets.image_files import check_depth, find_images, list_classes
from melanoma_tl.datasets.image_table import ImageTable
from melanoma_tl.datasets.leakage import Overlap, choose_kinds, compare
from melanoma_tl.datasets.resizing import write_labels, write_resized
from melanoma_tl.datasets.rows import describe_skipped, existing_folder, match_rows_to_images
from melanoma_tl.datasets.selection_bias import SelectionBias, measure_selection_bias
from melanoma_tl.datasets.table_labels import LabelMap, name_more_than_classes, read_labels
from melanoma_tl.datasets.text_tables import read_table
from melanoma_tl.datasets.validation import find_repeated
from melanoma_tl.datasets.verification import Verification, verify
from melanoma_tl.errors import DatasetError, DownloadError, ParameterError
from melanoma_tl.images.array_store import StoredArrays
from melanoma_tl.images.decoding import IMAGE_SUFFIXES
from melanoma_tl.images.fingerprints import KINDS
from melanoma_tl.images.loading import prepare

logger = logging.getLogger(__name__)


_FOLDERS = several(PATH) | NONE
_RELATIONS = several(choice(*KINDS), at_least=1) | NONE
_COLUMN = TEXT | NONE
_DATASETS = {"datasets": several(having("identify", "an ISBIDataset"), at_least=1)}

_OFFICIAL_WORDS = {"benign": 0, "melanoma": 1, 0: 0, 1: 1}
"""Labels in the files of the challenges; the malignant images of ISBI 2016 are all melanomas."""

_A_FEW = 0.1
"""If parts with an artificially chosen prevalence make up at most this share, the whole does not count as chosen."""

PathLike = str | os.PathLike[str]


class ISBIDataset(ImageTable):
    """An immutable table of images: ids, files and labels, never pixels.

    Build one with `from_challenge`, `from_archive`, `from_folder` or `from_csv`. Slices, boolean
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
    metadata : pandas.DataFrame of n_images rows, optional
        Further information on each image, in columns named as in `metadata`. Ids of patients and lesions that differ in
        case, blanks or Unicode form alone are taken for one and get the first spelling, with a warning. Ages and sexes
        are read as in a table, unless words among them are neither, such as bands of age. Columns that look like
        patients or lesions under another name are warned of.

    Attributes
    ----------
    class_names : tuple of str
        ``("benign", "melanoma")``, in the order of the labels.

    Raises
    ------
    DatasetError
        If the lengths differ, an id or a path is missing, an id occurs twice, a label is neither 0 nor 1, or
        `metadata` has columns of the dataset itself.

    Examples
    --------
    >>> dataset = ISBIDataset(["a", "b", "c"], ["a.png", "b.png", "c.png"], [0, 1, 0], name="mine")
    >>> dataset
    ISBIDataset('mine', 3 images: 2 benign, 1 melanoma)
    >>> dataset[dataset.labels == 1].image_ids.tolist()
    ['b']
    """

    # -- reading ---------------------------------------------------------------------------------------------------

    @classmethod
    @checked(root=PATH, year=whole() | TEXT, split=TEXT, image_dirs=_FOLDERS, labels_only=FLAG, on_error=ON_ERROR)
    def from_challenge(
        cls,
        root: PathLike,
        *,
        year: int | str,
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
        year : int or str
            2016 and 2017 (Part 3), 2018 (Task 3), 2019, 2020 and 2024, or a name: "HAM10000", "PH2", "PAD-UFES-20",
            "Derm7pt", "BCN20000", "MILK10k", "DDI", "Fitzpatrick17k".
        split : {"train", "validation", "test", "all"}
            Which part; `melanoma_tl.datasets.CHALLENGES` lists what there is.
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
            In the order of the ground-truth file. Class 1 is melanoma only:
            other cancers are in class 0, with their diagnosis in `metadata`. A warning is logged
            if the numbers of images differ from the official ones.

        Raises
        ------
        DatasetError
            If a folder or the file does not exist, is empty or malformed, or if
            rows cannot be used and `on_error` is "raise".
        UnknownNameError
            If there is no such split.
        """
        challenge = get_challenge(year, split)
        folder = existing_folder(root, "official files are fetched by ISBIDataset.download")
        table = read_challenge(challenge, folder)
        words = _OFFICIAL_WORDS | ({"malignant": 1} if challenge.year == 2016 else {})
        dataset = cls._from_table(
            table,
            None if labels_only else require_image_dirs(challenge, folder) if image_dirs is None else image_dirs,
            labels=_read_official(table["label"], challenge.title, words, is_read=bool(challenge.levels)),
            name=challenge.title,
            on_error=on_error,
        )
        if challenge.photographs:
            logger.warning(
                "%s: %s, not dermoscopic images; what was trained on the one kind does not hold for the other",
                dataset.name,
                challenge.photographs,
            )
        _compare_with_official(dataset, challenge)
        return dataset

    @classmethod
    @checked(folder=PATH, on_error=ON_ERROR)
    def from_archive(cls, folder: PathLike, *, on_error: str = "raise") -> Self:
        """Read a download of the ISIC Archive: images, and ``metadata.csv`` beside them.

        Parameters
        ----------
        folder : path
            Unpacked download from the website of the archive or by its program isic-cli.
        on_error : {"raise", "skip"}, default="raise"
            What to do with rows whose image is missing, or that do not say whether it is a melanoma: stop, or leave
            them out and list them in `skipped`.

        Returns
        -------
        ISBIDataset
            In the order of the table. Class 1 is melanoma by its diagnosis (``diagnosis_1`` to ``diagnosis_5``, or
            ``diagnosis`` in older tables); "malignant" alone is not taken as melanoma. ``diagnosis`` in `metadata` is
            the most specific known diagnosis; `metadata` also has licenses, attributions and image types.

        Raises
        ------
        DatasetError
            If the folder or the table does not exist or is malformed, or if rows cannot be used and `on_error` is
            "raise".
        """
        root = existing_folder(folder)
        table = read_archive(root)
        labels = _read_official(table["label"], root.name, _OFFICIAL_WORDS, is_read=True)
        dataset = cls._from_table(table, [root], labels=labels, name=root.name, on_error=on_error)
        kinds = dataset.metadata.get("image_type", pd.Series(dtype=object)).value_counts()
        if len(kinds) > 1:
            shown = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
            logger.warning("%s: images of several kinds (%s); metadata['image_type'] tells them apart", root, shown)
        return dataset

    @classmethod
    @checked(root=PATH, year=whole() | TEXT, split=TEXT, source=PATH | NONE, images=FLAG, verbose=VERBOSE)
    def download(
        cls,
        root: PathLike,
        *,
        year: int | str,
        split: str,
        source: PathLike | None = None,
        images: bool = True,
        verbose: int = 1,
    ) -> Self:
        """Fetch the official files of one split of one challenge, verify and unpack them, and read them.

        Complete files are not downloaded again, and interrupted downloads are resumed. What must be asked for is read
        where it lies in `root` already.
        The archives are kept in `root`, and can be deleted.

        Parameters
        ----------
        root : path
            Folder for the files, made if it does not exist; splits and years can share it.
        year, split
            As `from_challenge`.
        source : str or path, optional
            Address of a mirror, or a folder that holds the official files; by default the
            official addresses. Proxies come from ``HTTPS_PROXY`` and ``NO_PROXY``.
        images : bool, default=True
            Whether to fetch the images; False fetches labels and metadata alone.
        verbose : int, default=1
            0 shows no progress bar.

        Returns
        -------
        ISBIDataset
            As `from_challenge` gives it; without images, with ids and labels only.

        Raises
        ------
        DatasetError
            If the challenge has no files that can be fetched, or they are not what they should be.
        DownloadError
            If a file cannot be fetched, verified or unpacked.
        UnknownNameError
            If there is no such split.

        See Also
        --------
        melanoma_tl.datasets.download.fetch : What is verified against what.
        """
        challenge = get_challenge(year, split)
        folder = Path(root)
        files = [file for file in challenge.downloads if images or not file.images]
        read = partial(cls.from_challenge, folder, year=year, split=split, labels_only=not images)
        try:
            dataset = read()
            if not files or tuple(dataset.class_counts.values()) == (challenge.n_benign, challenge.n_melanoma):
                return dataset
        except DatasetError as error:
            if not files:
                raise DatasetError(
                    f"{challenge.title} cannot be fetched by a program: ask for it at {challenge.page}, unpack it into "
                    f"{folder} and read it with ISBIDataset.from_challenge. It is not there yet ({error})"
                ) from error
            if (folder / challenge.ground_truth).exists():  # with it, something else is missing
                logger.warning("%s. The official files are fetched now, and then read again", str(error).rstrip("."))
        try:
            paths = fetch(files, folder, source=source, verbose=verbose)
        except DownloadError as error:
            there = any(place.exists() for place in find_image_dirs(challenge, folder))
            if not (there and images and (folder / challenge.ground_truth).exists()):
                raise
            instead = f"ISBIDataset.from_challenge({arguments_of(challenge, folder)}, on_error='skip')"
            raise DownloadError(f"{error}. Images that are here already are read by {instead}") from error
        for file, path in zip(files, paths, strict=True):
            if path.suffix == ".zip":
                extract(path, folder / file.unpack_to, verbose=verbose)
        return read()

    @classmethod
    @checked(
        path_column=_COLUMN,
        id_column=_COLUMN,
        label_column=_COLUMN,
        patient_column=_COLUMN,
        lesion_column=_COLUMN,
        diagnosis_column=_COLUMN,
        image_dirs=_FOLDERS,
        labels_only=FLAG,
        on_error=ON_ERROR,
        name=TEXT,
    )
    def from_frame(
        cls,
        dataframe: pd.DataFrame,
        *,
        path_column: str | None = None,
        id_column: str | None = None,
        label_column: str | None = None,
        patient_column: str | None = None,
        lesion_column: str | None = None,
        diagnosis_column: str | None = None,
        positive: object = None,
        label_map: LabelMap | None = None,
        image_dirs: Sequence[PathLike] | None = None,
        labels_only: bool = False,
        on_error: str = "raise",
        name: str = "table",
    ) -> Self:
        """Read a table of images and labels.

        Class 1 is melanoma only. A label that contradicts the diagnosis in the same row is an error,
        and so is "malignant" together with the diagnosis of another cancer. If no diagnosis is known,
        "malignant" is taken as melanoma, with a warning.

        Parameters
        ----------
        dataframe : pandas.DataFrame
            One row per image.
        path_column, id_column, label_column, patient_column, lesion_column, diagnosis_column : str, optional
            Names of the columns; by default those with a known name, such as "image_id", "isic_id", "PatientID" or
            "dx". Ids may be paths or end in an image suffix; without ids, the file names of the paths are used.
            Without a column of labels, the diagnosis is the label.
        positive : scalar or iterable of scalars, optional
            The labels that mean melanoma; all other labels that are not missing are benign. By default
            the meaning is inferred from the labels.
        label_map : mapping, Series or callable, optional
            Meaning of each label, such as ``{"NV": 0, "MEL": 1}``; "benign" and "melanoma" stand for 0 and 1.
        image_dirs : sequence of path, optional
            Folders to look for the images in; by default paths are used unchanged.
        labels_only : bool, default=False
            Read ids and labels without looking for images.
        on_error : {"raise", "skip"}, default="raise"
            As in `from_challenge`.
        name : str, default="table"
            Name for people.

        Returns
        -------
        ISBIDataset
            In the order of the table. `metadata` holds the other columns, with the original entries of ``diagnosis``.
            If there are more than two different labels, they become ``diagnosis`` if there is no such column.

        Raises
        ------
        DatasetError
            As in `from_challenge`; also if a column does not exist, or several columns match.
        ParameterError, UnknownNameError
            If `label_map` or `positive` cannot be used.

        Examples
        --------
        >>> table = pd.DataFrame({"image": ["a", "b", "c"], "dx": ["nv", "mel", "bcc"], "PatientID": [1, 2, 2]})
        >>> dataset = ISBIDataset.from_frame(table, labels_only=True)
        >>> dataset.labels.tolist(), dataset.metadata["patient_id"].tolist()
        ([0, 1, 0], ['1', '2', '2'])
        """
        if not isinstance(dataframe, pd.DataFrame):
            raise ParameterError(
                f"from_frame reads a pandas.DataFrame, got {type(dataframe).__name__}; a file is read by from_csv, and "
                "pandas.DataFrame makes one of columns"
            )
        columns = {
            "path_column": path_column,
            "id_column": id_column,
            "label_column": label_column,
            "patient_column": patient_column,
            "lesion_column": lesion_column,
            "diagnosis_column": diagnosis_column,
        }
        by_meaning = label_map is None and positive is None
        table, source, findings = arrange(dataframe, name=name, by_meaning=by_meaning, **columns)
        labels = read_labels(
            table["label"].tolist(),
            name=name,
            label_map=label_map,
            positive=positive,
            findings=findings,
            column=source,
        )
        folders = None if labels_only else image_dirs or []
        return cls._from_table(table, folders, labels=labels, name=name, on_error=on_error)

    @classmethod
    @checked(sep=_COLUMN, encoding=_COLUMN, image_dirs=_FOLDERS)
    @takes_also(from_frame.__func__)  # type: ignore[attr-defined]
    def from_csv(
        cls,
        path: PathLike,
        *,
        sep: str | None = None,
        encoding: str | None = None,
        image_dirs: Sequence[PathLike] | None = None,
        **options: Any,
    ) -> Self:
        """Read a table of images and labels from a text file with a header.

        Parameters
        ----------
        path : path
            The file.
        sep, encoding : str, optional
            Separator and encoding. By default they are detected among comma, semicolon, tab and bar, and
            UTF-8, UTF-16 with a byte order mark and Windows-1252; a file that matches none of these is an error.
        image_dirs : sequence of path, optional
            Folders to look for the images in; by default the folder of the file.
        **options
            As `from_frame`: columns, ``positive``, ``label_map``, ``labels_only``, ``on_error``, ``name`` (by default
            that of the file).

        Returns
        -------
        ISBIDataset
            In the order of the file.

        Raises
        ------
        DatasetError, ParameterError, UnknownNameError
            As in `from_frame`; also if the file does not exist or cannot be read as a table.
        """
        if isinstance(path, pd.DataFrame):
            raise ParameterError("from_csv reads a file; a DataFrame is read by ISBIDataset.from_frame")
        if not isinstance(path, str | os.PathLike):
            raise ParameterError(f"path must be that of a text file, got {type(path).__name__}")
        file = Path(path)
        table = read_table(file, separator=sep, encoding=encoding)
        options = {"name": file.stem, "image_dirs": [file.parent] if image_dirs is None else image_dirs} | options
        return cls.from_frame(table, **options)

    @classmethod
    @checked("Pass the datasets in a list, as in concat([a, b]).", name=_COLUMN, prefix_ids=FLAG)
    def concat(cls, datasets: Iterable["ISBIDataset"], *, name: str | None = None, prefix_ids: bool = False) -> Self:
        """Concatenate datasets; ``a + b`` is short for two.

        Parameters
        ----------
        datasets : iterable of ISBIDataset
            At least one. All with images, or all without.
        name : str, optional
            Display name; by default the names of the datasets, joined by " + ".
        prefix_ids : bool, default=False
            Put the name of its dataset before each id, such as "train/a1", if different images have
            the same names. Ids of patients and lesions are not changed; equal ids mean the same patient or lesion.

        Returns
        -------
        ISBIDataset
            All rows, including the skipped ones; columns that only some of the datasets have are missing in the others.

        Raises
        ------
        DatasetError
            If an id is in several of them, or only some have images.
        ParameterError
            If something is no dataset.

        Examples
        --------
        >>> first, second = ISBIDataset(["a"], None, [0], name="x"), ISBIDataset(["b"], None, [1], name="y")
        >>> first + second
        ISBIDataset('x + y', 2 images: 1 benign, 1 melanoma)
        """
        parts: list[ISBIDataset] = list(check({"datasets": datasets}, _DATASETS)["datasets"])
        n_without = sum(part._paths is None for part in parts)
        if n_without not in (0, len(parts)):
            raise DatasetError(f"{n_without} of {len(parts)} datasets have no images: read all of them alike")
        names = [part.name for part in parts]
        if prefix_ids and len(set(names)) < len(names):
            raise DatasetError(
                f"prefix_ids puts names before ids, and several datasets are called {max(names, key=names.count)!r}: "
                "give them names of their own, as with ISBIDataset.concat([a], name='a')"
            )
        ids = np.concatenate(
            [[f"{part.name}/{image}" for image in part.image_ids] if prefix_ids else part.image_ids for part in parts]
        )
        repeated = find_repeated(ids)
        if len(repeated):
            raise DatasetError(
                f"{len(repeated)} ids are in several datasets, such as {str(repeated[0])!r}: "
                "if these are the same images, take them out of one with b.overlap(a).remove_from(b); if they are "
                "others, tell them apart with ISBIDataset.concat([a, b], prefix_ids=True)"
            )
        together = cls._made_of(
            ids,
            None if n_without else np.concatenate([part.paths for part in parts]),
            np.concatenate([part.labels for part in parts]),
            name=name or " + ".join(part.name for part in parts),
            skipped=list(dict.fromkeys(row for part in parts for row in part.skipped)),  # parts of one have the same
            metadata=pd.concat([part._metadata for part in parts], ignore_index=True),
        )
        n_chosen = sum(len(part) for part in parts if any(step.sets_prevalence for step in part.history))
        steps = [step._replace(sets_prevalence=False) for part in parts for step in part.history]
        joined = Step(f"put together as {together.name}", len(ids), len(ids), n_chosen > _A_FEW * len(ids))
        together._history = (*steps, joined)
        return together

    def __add__(self, other: "ISBIDataset") -> Self:
        """Concatenate two datasets."""
        return self.concat([self, other]) if isinstance(other, ISBIDataset) else NotImplemented

    def __radd__(self, other: object) -> Self:
        """Begin with nothing, as `sum` does."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    @classmethod
    @checked(root=PATH, on_error=ON_ERROR)
    def from_folder(
        cls, root: PathLike, *, label_map: LabelMap | None = None, positive: object = None, on_error: str = "raise"
    ) -> Self:
        """Read a folder with one folder of images a class.

        Parameters
        ----------
        root : path
            The folder.
        label_map, positive : optional
            Meaning of the names of the folders, as in `from_frame`.
        on_error : {"raise", "skip"}, default="raise"
            What to do with files that cannot be used: stop, or leave them out and list them in `skipped`.

        Returns
        -------
        ISBIDataset
            All images in class folders and their sub-folders, sorted by class folder, then by path. The id is the
            file name without suffix or, if several files share it, the path from `root`, such as "benign/1".
            Images in a sub-folder whose name contradicts the class folder, as in "malignant/bcc", cannot be used.
            If there are more than two class folders, their names are the ``diagnosis`` in `metadata`.

        Raises
        ------
        DatasetError
            If the folder does not exist or holds no class folder with images.
        UnknownNameError
            If a folder's name is no known class.
        """
        folder = existing_folder(root)
        table, flaws = list_classes(folder)
        if table.empty:
            refuse_challenge(folder)
            n_beside = len(find_images(folder))
            found = f"{n_beside:,} images lie in no folder of a class" if n_beside else "no images found"
            raise DatasetError(
                f"{folder}: {found}; expected one folder a class, such as benign/ and melanoma/, with files ending in "
                f"{', '.join(IMAGE_SUFFIXES)}. Where a table has the labels: "
                f"ISBIDataset.from_csv(table, image_dirs=[{os.fspath(root)!r}])"
            )
        check_depth(table, folder)
        labels = read_labels(
            table["label"].tolist(),
            name=folder.name,
            label_map=label_map,
            positive=positive,
            findings=read_folders(table["path"], folder),
        )
        if all(isinstance(label, str) for label in labels):  # which are reasons
            refuse_challenge(folder)
        return cls._from_table(table, None, labels=labels, name=folder.name, on_error=on_error, flaws=flaws)

    @classmethod
    def _from_table(
        cls,
        table: pd.DataFrame,
        image_dirs: Sequence[PathLike] | None,
        *,
        labels: Sequence[int | str],
        name: str,
        on_error: str,
        flaws: Sequence[str] | None = None,
    ) -> Self:
        if "diagnosis" not in table and name_more_than_classes(table["label"].tolist(), labels):
            table = table.assign(diagnosis=table["label"])
        rows, skipped = match_rows_to_images(
            table, image_dirs, labels=labels, name=name, on_error=on_error, flaws=flaws
        )
        return cls(
            rows["image_id"],
            rows.get("path"),
            rows["label"],
            name=name,
            skipped=skipped,
            metadata=rows.drop(columns=["image_id", "label", "path"], errors="ignore"),
        )

    # -- comparing and writing -------------------------------------------------------------------------------------

    @checked(other=having("identify", "an ISBIDataset"), by=_RELATIONS, verbose=VERBOSE)
    def overlap(self, other: "ISBIDataset", *, by: str | Iterable[str] | None = None, verbose: int = 1) -> Overlap:
        """Find what another dataset shares with this one: images, near-duplicates, lesions, patients.

        Parameters
        ----------
        other : ISBIDataset
            The other dataset. If either was read with ``labels_only=True``, only ids, lesions
            and patients can be compared.
        by : str or iterable of str, optional
            What to compare; everything that both datasets have by default.

            - "id": ids, ignoring case, blanks, Unicode form and the ending ``_downsampled`` of ISIC
              2019. Equal ids of images that look different do not count.
            - "bytes": SHA-256 of the files.
            - "near-duplicate": perceptual hashes that differ in at most 8 of 64 and 40 of
              256 bits: the same photograph in another size, compression or colour. Cropped
              photographs are seldom found, flipped ones never.
            - "lesion", "patient": ``lesion_id`` and ``patient_id`` of `metadata`, ignoring case, blanks and
              Unicode form.
        verbose : int, default=1
            0 shows no progress bar.

        Returns
        -------
        Overlap
            Its length is the number of shared images of this dataset;
            ``raise_if_any()`` raises an error if there are any, ``remove_from(dataset)`` removes them,
            ``plot()`` shows suspected pairs.

        Raises
        ------
        DatasetError
            If `by` names something that one of the datasets does not have.
        UnknownNameError
            If `by` names no relation.
        """
        kinds = choose_kinds(self, other, by)
        with progress(work=f"Compare {self.name} with {other.name}", unit="", verbose=verbose):
            return compare(self.identify(kinds, verbose=verbose), other.identify(kinds, verbose=verbose))

    @checked(verbose=VERBOSE)
    def verify(self, *, verbose: int = 1) -> Verification:
        """Open every image, and list what is wrong: bad files, blank images, duplicates, conflicts, odd sizes.

        Conflicts are copies with different labels, and patients who are female in some images and male in others. Of
        a dataset that was read with ``labels_only=True``, the table alone is looked at.

        Parameters
        ----------
        verbose : int, default=1
            0 shows no progress bar.

        Returns
        -------
        Verification
            Prints as a table; ``ok`` is True if nothing was found, and
            ``remove_from(dataset)`` removes unusable images.
        """
        return verify(self, verbose=verbose)

    def selection_bias(
        self,
        subset: Self | None = None,
        *,
        alpha: float = 0.05,
        random_state: int | None = 0,
        verbose: int = 1,
        on_error: str = "skip",
    ) -> SelectionBias:
        """Compare the images of a subset, such as the first ones, with the others of their class.

        A subset taken in file order often comes from other sites and cameras than the
        rest, and metrics from it do not hold for the rest.

        Parameters
        ----------
        subset : ISBIDataset, optional
            Some of the images, in any order; by default the first 75 of each class, or the
            first half of the smaller class where it has fewer than 150 images.
        alpha, random_state, verbose, on_error
            As `melanoma_tl.datasets.measure_selection_bias`, which describes
            the method.

        Returns
        -------
        SelectionBias
            True if a difference was found. Prints as a table, and ``plot()`` shows the
            differing characteristics in file order.

        Raises
        ------
        DatasetError, ImageError, ParameterError
            As `measure_selection_bias`.
        """
        if subset is None:
            subset = self.first(per_class=max(min(75, min(self.class_counts.values()) // 2), 1))
        return measure_selection_bias(
            self, subset, alpha=alpha, random_state=random_state, verbose=verbose, on_error=on_error
        )

    @checked(size=SIZE, verbose=VERBOSE)
    def images(self, size: tuple[int, int] = (224, 224), *, verbose: int = 1) -> StoredArrays:
        """Decode and resize every image once, and read the pixels from the cache folder from then on.

        Parameters
        ----------
        size : tuple of int, default=(224, 224)
            (height, width) in pixels. The aspect ratio is not kept.
        verbose : int, default=1
            0 shows no progress bar.

        Returns
        -------
        StoredArrays of shape (n_images, height, width, 3) and dtype uint8
            Raw RGB, 0 to 255, in the order of the dataset; indexed like an array, it
            reads only the requested images.

        Raises
        ------
        ImageError
            If an image cannot be read; ``verify`` lists all such images.
        ParameterError
            If the size cannot be used.
        """
        return prepare(self, None, size, on_error="raise", desc=f"Prepare {self.name}", verbose=verbose).pixels

    @checked(folder=PATH, size=SIZE, format=choice("png", "jpg"), on_error=ON_ERROR, verbose=VERBOSE)
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

        This is the published resize step. Labels and metadata are written to ``labels.csv`` in the
        folder, so that ``ISBIDataset.from_csv(folder / "labels.csv")`` reads the result.

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
            The resized images.

        Raises
        ------
        ImageError
            If an image cannot be read and `on_error` is "raise".
        ParameterError
            If the format or the size cannot be used.
        """
        _ = self.paths  # a dataset without images stops here, with its own message
        results = write_resized(self, folder, size=size, suffix=format, on_error=on_error, verbose=verbose)
        kept = np.array([isinstance(result, str) for result in results], dtype=bool)
        failures = self.failures(results)
        if failures:
            logger.warning("%s: %s; left out, listed in .skipped", self.name, describe_skipped(failures, len(self)))
        resized = type(self)._made_of(
            self.image_ids[kept],
            [result for result in results if isinstance(result, str)],
            self.labels[kept],
            name=self.name,
            skipped=self.skipped + failures,
            metadata=self._metadata[kept],
        )
        resized._history = (*self._history, Step(f"resized to {size}", len(self), len(resized)))
        write_labels(resized, Path(folder) / "labels.csv")
        return resized


def _read_official(words: pd.Series, name: str, known: Mapping[Any, int], *, is_read: bool) -> Sequence[int | str]:
    """Read the labels of an official file; where they follow from a diagnosis, what is no class is a reason."""
    if is_read:
        return [known.get(word, word) for word in words]
    return read_labels(words.tolist(), name=name, label_map=known)


def _compare_with_official(dataset: ISBIDataset, challenge: Challenge) -> None:
    if challenge.n_benign is None:
        return
    counts = (*dataset.class_counts.values(), challenge.n_benign, challenge.n_melanoma)
    if counts[:2] == counts[2:]:
        logger.info("%s: %d benign and %d melanoma images, as published", dataset.name, *counts[:2])
        return
    from melanoma_tl.datasets.synthetic import are_drawn

    if are_drawn(dataset.image_ids.tolist(), challenge):
        return
    missing = ", ".join(row.image_id for row in dataset.skipped[:20])
    more = f", … and {len(dataset.skipped) - 20} more in .skipped" if len(dataset.skipped) > 20 else ""
    logger.warning(
        "%s: %d benign and %d melanoma images; officially %d and %d%s",
        dataset.name,
        *counts,
        f"; left out: {missing}{more}" if missing else "",
    )
