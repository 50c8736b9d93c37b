"""`ImageTable`: an immutable table of images, and its parts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from melanoma_tl._attributes import IN_DATASETS, ExplainsAttributes
from melanoma_tl._escaping import in_column
from melanoma_tl._parameters import (
    FLAG,
    INSIDE,
    NONE,
    PATH,
    SEED,
    TEXT,
    VERBOSE,
    check,
    checked,
    choice,
    group,
    several,
    whole,
)
from melanoma_tl._progress import progress
from melanoma_tl.datasets.group_columns import warn_of_groups
from melanoma_tl.datasets.history import Step, is_another_share, name_key
from melanoma_tl.datasets.notebook import dataset_html
from melanoma_tl.datasets.splitting import assign_groups, divide_in_two, divide_into_folds
from melanoma_tl.datasets.validation import check_key, check_parts, check_repeated, read_only
from melanoma_tl.errors import DatasetError, ImageError, ParameterError, UnknownNameError
from melanoma_tl.images.decoding import SkippedRow
from melanoma_tl.images.fingerprints import (
    GROUP_KINDS,
    IMAGE_KINDS,
    KINDS,
    Fingerprints,
    IdentifiedImages,
    fingerprint_images,
    normalise_id,
    number_values,
)
from melanoma_tl.labels.class_names import CLASS_NAMES

_DESCRIPTION = {"name": TEXT, "skipped": several(group(TEXT | PATH, 3, "(image_id, path, reason)"))}

_MOST_DIAGNOSES = 5
"""How many diagnoses a line names."""

PerClass = int | Mapping[str | int, int]


class ImageRow(NamedTuple):
    """One row of an `ISBIDataset`; also the path of its image, so that a list of rows is a list of images."""

    image_id: str
    path: str
    label: int

    def __fspath__(self) -> str:
        """Return the path."""
        return self.path


class ImageTable(ExplainsAttributes):
    """An immutable table of images with ids, files, labels and metadata, and methods to select from and split it.

    Selections are tables of the same class. `ISBIDataset`, which documents the parameters, reads tables from files.
    """

    class_names = CLASS_NAMES
    _elsewhere = IN_DATASETS

    @checked("To read files: ISBIDataset.from_folder, from_csv, from_challenge, from_archive; a DataFrame: from_frame.")
    def __init__(
        self,
        image_ids: ArrayLike,
        paths: ArrayLike | None,
        labels: ArrayLike,
        *,
        name: str = "dataset",
        skipped: Sequence[SkippedRow] = (),
        metadata: pd.DataFrame | None = None,
    ) -> None:
        check({"name": name, "skipped": skipped}, _DESCRIPTION)
        self._fill(image_ids, paths, labels, name=name, skipped=skipped, metadata=metadata)
        warn_of_groups(self._metadata, name)

    @classmethod
    def _made_of(cls, *parts: Any, **described: Any) -> Self:
        """Make a table of others, of whose columns the user has been told."""
        made = cls.__new__(cls)
        made._fill(*parts, **described)
        return made

    def _fill(
        self,
        image_ids: ArrayLike,
        paths: ArrayLike | None,
        labels: ArrayLike,
        *,
        name: str,
        skipped: Sequence[SkippedRow],
        metadata: pd.DataFrame | None,
    ) -> None:
        ids, files, classes, facts = check_parts(image_ids, paths, labels, metadata, name=name)
        self._image_ids, self._paths, self._labels, self._metadata = ids, files, classes, facts
        self._name, self._skipped = name, tuple(SkippedRow(*row) for row in skipped)
        self._is_part = False  # of a dataset that shows its skipped rows itself
        self._history: tuple[Step, ...] = (Step(f"read {name}", len(ids) + len(self._skipped), len(ids)),)

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
    def history(self) -> tuple[Step, ...]:
        """The steps by which the images were read and chosen, in order; reports show them."""
        return self._history

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
    def metadata(self) -> pd.DataFrame:
        """Further information on each image, a DataFrame of n_images rows; a copy.

        If the files contain them: ``diagnosis``, ``age`` (years), ``sex`` ("female",
        "male"), ``site``, ``patient_id`` and ``lesion_id``. Unknown entries are missing
        (NaN or None); columns without any entry are omitted.
        """
        return self._metadata.copy()

    def to_frame(self) -> pd.DataFrame:
        """Return the whole table as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            The columns ``image_id``, ``path`` (empty if the dataset has no image files) and
            ``label`` (0 benign, 1 melanoma), then those of `metadata`.
        """
        table = {"image_id": self.image_ids, "path": "" if self._paths is None else self._paths, "label": self.labels}
        return pd.concat([pd.DataFrame(table, index=range(len(self))), self._metadata], axis=1)

    @property
    def relations(self) -> tuple[str, ...]:
        """The available criteria of comparison, among "id", "bytes", "near-duplicate", "lesion" and "patient"."""
        of_images = ("id",) if self._paths is None else IMAGE_KINDS
        return of_images + tuple(kind for kind in GROUP_KINDS if f"{kind}_id" in self._metadata)

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
        if isinstance(key, int | np.integer) and not isinstance(key, bool):
            return self._row(int(key))
        if not isinstance(key, slice):
            key = check_key(key, self._metadata.columns.tolist(), len(self))
        elif not all(isinstance(part, int | np.integer | None) for part in (key.start, key.stop, key.step)):
            raise DatasetError(f"a slice of a dataset has whole numbers, got {key!r}")
        return self.keep(key, name_key(key))

    @checked(what=TEXT)
    def keep(self, key: Any, what: str) -> Self:
        """Select rows, and record the reason in `history`.

        Parameters
        ----------
        key : slice, or array-like of bool of shape (n_images,) or of int
            The rows, as in ``dataset[key]``.
        what : str
            Description of the selection, such as "without images of scars".

        Returns
        -------
        ISBIDataset
            In the order of the key.

        Examples
        --------
        >>> from melanoma_tl import ISBIDataset
        >>> dataset = ISBIDataset(["a", "b"], None, [0, 1], name="mine")
        >>> [str(step) for step in dataset.keep([True, False], "without b").history]
        ['read mine: 2 of 2', 'without b: 1 of 2']
        """
        return self._keep(key, what)

    def _keep(self, key: Any, what: str, *, by_class: bool = False) -> Self:
        """Take rows; of a choice by class, any other share of melanomas is meant."""
        if not isinstance(key, slice):
            key = check_key(key, self._metadata.columns.tolist(), len(self))
            check_repeated(self._image_ids[key] if key.dtype != bool else [])
        part = copy(self)  # nothing is checked again: that takes longer than all else
        part._image_ids, part._labels = read_only(self._image_ids[key]), read_only(self._labels[key])
        part._paths = None if self._paths is None else read_only(self._paths[key])
        part._metadata = self._metadata.iloc[key].reset_index(drop=True)
        is_another = is_another_share(self.labels, part.labels, chance=not by_class)
        part._is_part = True
        part._history = (*self._history, Step(what, len(self), len(part), is_another))
        return part

    def _row(self, position: int) -> ImageRow:
        if not -len(self) <= position < len(self):
            raise IndexError(f"there is no image {position}: {self!r} has {len(self)}, counted from 0")
        path = "" if self._paths is None else str(self._paths[position])
        return ImageRow(str(self.image_ids[position]), path, int(self.labels[position]))

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.class_counts.items())
        of_each = [f"{count} {in_column(name)}" for name, count in self._diagnosis_counts.items()]
        if of_each:
            more = f" and {len(of_each) - _MOST_DIAGNOSES} more" * (len(of_each) > _MOST_DIAGNOSES)
            counts += f"; diagnoses: {', '.join(of_each[:_MOST_DIAGNOSES])}{more}"
        skipped = f"; {len(self.skipped)} skipped" if self.skipped and not self._is_part else ""
        return f"{type(self).__name__}({self.name!r}, {len(self)} images: {counts}{skipped})"

    @property
    def _diagnosis_counts(self) -> dict[str, int]:
        """Number of images of each diagnosis, the most frequent first; empty where there are no more than two."""
        known = self._metadata.get("diagnosis", pd.Series(dtype=object)).dropna()
        counts = Counter(map(str, known)).most_common()
        return dict(counts) if len(counts) > len(CLASS_NAMES) else {}

    def _repr_html_(self) -> str:
        return dataset_html(self)

    # -- choosing --------------------------------------------------------------------------------------------------

    def first(self, n: int | None = None, *, per_class: PerClass | None = None) -> Self:
        """Take the first images, in file order.

        Ids follow the contributing site, so that the first images of a class come
        from other cameras than the last ones: use `sample` unless you reproduce
        a published choice. The published work took the first images of each class (`per_class`).

        Parameters
        ----------
        n : int, optional
            Number of images, of any class.
        per_class : int or mapping of class to int, optional
            Number of images of each class, instead of `n`; classes are given by name or number.

        Returns
        -------
        ISBIDataset
            In file order.

        Raises
        ------
        DatasetError
            If there are fewer images than that.
        ParameterError
            If not exactly one of `n` and `per_class` is given, or it is no whole number of at least 0.
        UnknownNameError
            If a class is not known.

        Examples
        --------
        >>> from melanoma_tl import ISBIDataset
        >>> dataset = ISBIDataset(list("abcdef"), None, [0, 0, 0, 1, 0, 1])
        >>> dataset.first(3).image_ids.tolist(), dataset.first(per_class=1).image_ids.tolist()
        (['a', 'b', 'c'], ['a', 'd'])
        """
        if n is not None and per_class is None:
            self._check_count(n, len(self), "images")
            return self.keep(slice(n), f"first({n})")
        what = f"first(per_class={per_class!r})"
        return self._choose(self._count_per_class(n, per_class), lambda members, count: members[:count], what, True)

    @checked(random_state=SEED)
    def sample(
        self,
        n: int | None = None,
        *,
        per_class: PerClass | None = None,
        random_state: int | None = None,
    ) -> Self:
        """Draw images at random, without replacement.

        Parameters
        ----------
        n : int, optional
            Number of images. The share of melanomas is kept, up to rounding to whole images,
            so that PPV, NPV and calibration are not affected.
        per_class : int or mapping of class to int, optional
            Number of images of each class, instead of `n`; classes are given by name or number. The share of
            melanomas is then artificial.
        random_state : int, optional
            Seed of the draw.

        Returns
        -------
        ISBIDataset
            In file order.

        Raises
        ------
        DatasetError, ParameterError, UnknownNameError
            As `first`.

        Examples
        --------
        >>> from melanoma_tl import ISBIDataset
        >>> dataset = ISBIDataset(list("abcdefgh"), None, [0, 0, 0, 0, 0, 0, 1, 1])
        >>> dataset.sample(4, random_state=0).class_counts
        {'benign': 3, 'melanoma': 1}
        >>> dataset.sample(per_class=2, random_state=0).class_counts
        {'benign': 2, 'melanoma': 2}
        """
        rng = np.random.default_rng(random_state)
        if n is not None and per_class is None:
            self._check_count(n, len(self), "images")
            n_melanoma = round(n * self.labels.mean()) if n else 0
            counts = {0: n - n_melanoma, 1: n_melanoma}
            what = f"sample({n}, random_state={random_state})"
        else:
            counts = self._count_per_class(n, per_class)
            what = f"sample(per_class={per_class!r}, random_state={random_state})"

        def draw(members: NDArray[np.intp], count: int) -> NDArray[np.intp]:
            return rng.choice(members, size=count, replace=False)

        return self._choose(counts, draw, what, per_class is not None)

    def _count_per_class(self, n: object, per_class: PerClass | None) -> dict[int, int]:
        """Return how many images of each class are asked for, by its label."""
        if per_class is None or n is not None:
            raise ParameterError(
                f"give either n, a number of images, or per_class, a number of each class; got n={n!r} and "
                f"per_class={per_class!r}"
            )
        counts = {}
        for key, count in (
            per_class if isinstance(per_class, Mapping) else dict.fromkeys(CLASS_NAMES, per_class)
        ).items():
            label = CLASS_NAMES.index(key) if isinstance(key, str) and key in CLASS_NAMES else key
            if not isinstance(label, int | np.integer) or label not in (0, 1):
                raise UnknownNameError("class", str(key), CLASS_NAMES)
            if label in counts:
                raise ParameterError(f"per_class names {CLASS_NAMES[int(label)]!r} twice: {per_class!r}")
            self._check_count(count, int((self.labels == label).sum()), f"{CLASS_NAMES[int(label)]} images")
            counts[int(label)] = count
        return counts

    def _check_count(self, count: Any, available: int, what: str) -> None:
        if isinstance(count, Mapping):
            raise ParameterError(f"n is a number of images, whatever their class; pass per_class={count!r}")
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
            raise ParameterError(f"the number of {what} must be a whole number of at least 0, got {count!r}")
        if count > available:
            raise DatasetError(f"{self.name} has {available} {what}, {count} were asked for")

    def _choose(self, counts: Mapping[int, int], choose: Any, what: str, by_class: bool) -> Self:
        chosen = [choose(np.flatnonzero(self.labels == label), count) for label, count in counts.items()]
        rows = np.sort(np.concatenate(chosen)) if chosen else slice(0)
        return self._keep(rows, what, by_class=by_class)

    # -- dividing --------------------------------------------------------------------------------------------------

    @checked(test_size=INSIDE, stratify=FLAG, random_state=SEED, verbose=VERBOSE)
    def split(
        self,
        test_size: float = 0.2,
        *,
        groups: str | ArrayLike | None = "auto",
        stratify: bool = True,
        random_state: int | None = None,
        verbose: int = 1,
    ) -> tuple[Self, Self]:
        """Divide the images at random into two datasets that share nothing.

        Images of one group stay on the same side, and so do copies and near-duplicates, if
        the dataset has image files.

        Parameters
        ----------
        test_size : float, default=0.2
            Approximate share of the second dataset, between 0 and 1; groups are not divided.
        groups : {"auto", "patient", "lesion"}, array-like of shape (n_images,) or None, default="auto"
            Groups that are kept together: with "auto" patients and lesions as far as `metadata` has them, with
            "patient" or "lesion" only these, with an array your own groups (an image with a missing value is a
            group of its own), with None only copies and near-duplicates.
        stratify : bool, default=True
            Whether both sides should hold about the same share of melanoma.
        random_state : int, optional
            Seed.
        verbose : int, default=1
            0 shows no progress bar.

        Returns
        -------
        train, test : ISBIDataset
            Each in the order of this dataset.

        Raises
        ------
        DatasetError
            If `metadata` lacks the column, or there are too few groups.
        ParameterError
            If `test_size` is not between 0 and 1.

        Examples
        --------
        >>> from melanoma_tl import ISBIDataset
        >>> import pandas as pd
        >>> patients = pd.DataFrame({"patient_id": list("aabbccddee")})
        >>> dataset = ISBIDataset(list("0123456789"), None, [0, 1] * 5, metadata=patients)
        >>> train, test = dataset.split(0.4, groups="patient", random_state=0)
        >>> len(train), len(test), len(train.overlap(test))
        (6, 4, 0)
        """
        numbers = assign_groups(self, groups, verbose=verbose)
        test = divide_in_two(self.labels, numbers, test_size, stratify=stratify, seed=_seed(random_state))
        what = f"split({test_size:g}, {_name_groups(groups)}, stratify={stratify}, random_state={random_state})"
        train = np.setdiff1d(np.arange(len(self)), test)
        return self._part(train, "train", what), self._part(test, "test", what)

    @checked(k=whole(at_least=2), stratify=FLAG, random_state=SEED, verbose=VERBOSE)
    def folds(
        self,
        k: int = 5,
        *,
        groups: str | ArrayLike | None = "auto",
        stratify: bool = True,
        random_state: int | None = None,
        verbose: int = 1,
    ) -> list[tuple[Self, Self]]:
        """Divide the images at random for cross-validation, as `split` does.

        Parameters
        ----------
        k : int, default=5
            Number of folds, at least 2.
        groups, stratify, random_state, verbose
            As `split`.

        Returns
        -------
        list of k tuples of (ISBIDataset, ISBIDataset)
            Training and validation part of each fold; every image is in one validation part.

        Raises
        ------
        DatasetError, ParameterError
            As `split`.
        """
        numbers = assign_groups(self, groups, verbose=verbose)
        folds = divide_into_folds(self.labels, numbers, k, stratify=stratify, seed=_seed(random_state))
        everything = np.arange(len(self))
        what = f"folds({k}, {_name_groups(groups)}, stratify={stratify}, random_state={random_state})"
        return [
            (self._part(np.setdiff1d(everything, fold), f"all but fold {n}", what), self._part(fold, f"fold {n}", what))
            for n, fold in enumerate(folds, start=1)
        ]

    def _part(self, rows: NDArray[np.intp], name: str, what: str) -> Self:
        part = self.keep(rows, f"{name} of {what}")
        part._name = f"{self.name}, {name}"
        return part

    # -- recognising

    @checked(kinds=several(choice(*KINDS)) | NONE, verbose=VERBOSE)
    def identify(self, kinds: Iterable[str] | None = None, *, verbose: int = 1) -> IdentifiedImages:
        """Compute fingerprints of the images, and store them in the cache folder.

        Parameters
        ----------
        kinds : iterable of str, optional
            Some of "id", "bytes", "near-duplicate", "lesion" and "patient"; unavailable ones
            are ignored. All by default.
        verbose : int, default=1
            0 shows no progress bar.

        Returns
        -------
        IdentifiedImages
            Ids, files and fingerprints; images that cannot be read are in its `skipped`.
        """
        kinds = set(KINDS if kinds is None else kinds) & set(self.relations)
        keys = {kind: number_values(self._metadata[f"{kind}_id"]) for kind in GROUP_KINDS if kind in kinds}
        if "id" in kinds:
            keys["id"] = number_values(normalise_id(image_id) for image_id in self.image_ids)
        if kinds.isdisjoint(("bytes", "near-duplicate")):
            return IdentifiedImages(
                self.name, self.image_ids, self._paths, Fingerprints.from_keys_and_hashes(keys, None)
            )
        images = list(fingerprint_images(progress(self.paths, f"Fingerprint {self.name}", verbose=verbose)))
        fingerprints = Fingerprints.from_keys_and_hashes(keys, images).select(kinds)
        return IdentifiedImages(self.name, self.image_ids, self._paths, fingerprints, self.failures(images))

    def failures(self, results: Iterable[object]) -> tuple[SkippedRow, ...]:
        """List the images that could not be read.

        Parameters
        ----------
        results : iterable of object of length n_images
            The result for each image; an ImageError if it could not be read.

        Returns
        -------
        tuple of SkippedRow
            Id, path and reason of each failure.
        """
        return tuple(
            SkippedRow(row.image_id, row.path, result.reason)
            for row, result in zip(self, results, strict=True)
            if isinstance(result, ImageError)
        )


def _name_groups(groups: Any) -> str:
    return f"groups={groups!r}" if groups is None or isinstance(groups, str) else "groups of the user's"


def _seed(random_state: int | None) -> int:
    return int(np.random.default_rng(random_state).integers(2**31))


Table = TypeVar("Table", bound=ImageTable)
"""A table class, returned by methods of the same class."""
