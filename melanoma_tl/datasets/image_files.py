"""Which files of a folder are images, and which of them the row of a table means."""
# ruff: noqa: PTH100, PTH112, PTH113, PTH117, PTH118 -- of 400,000 files there are names, and no objects

import filecmp
import logging
import os
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, compress
from pathlib import Path

import pandas as pd

from melanoma_tl.errors import DatasetError, ImageError
from melanoma_tl.images import hdf5
from melanoma_tl.images.decoding import IMAGE_SUFFIXES, open_image, printable
from melanoma_tl.labels.meanings import Meaning, read_meaning
from melanoma_tl.labels.together import as_read

logger = logging.getLogger(__name__)

_JUNK = (
    *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "__macosx", "__pycache__"),
    *("@eadir", "@tmp", "#recycle", "$recycle.bin", "system volume information", "lost+found"),
)

_DOCUMENTS = (
    *(".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".ini", ".log", ".html"),
    *(".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ods", ".py", ".ipynb", ".sh", ".db", ".sqlite", ".md5", ".sha256"),
)
"""What stands beside images and claims to be none."""

_MASKS = ("mask", "masks", "segmentation", "segmentations", "groundtruth", "ground_truth", "gt")
_MASK = re.compile(
    r"(?:[ _.-]\(?(?:seg|masks?|segmentation|gt|superpixels|lesion|annotations?|binary|contours?|roi)\)?"
    r"(?:[ _-]?\d+)?)+$",
    re.IGNORECASE,
)

_CHECKED = (".heic", ".heif", ".dcm", ".dicom")
"""Whether these can be read depends on what is installed."""

_SUFFIXES = frozenset(IMAGE_SUFFIXES)


def is_junk(name: str) -> bool:
    """Return whether a file or folder is hidden, or left behind by an operating system, a disk station or a notebook.

    Parameters
    ----------
    name : str
        Without its folder.

    Returns
    -------
    bool
        True of ``.DS_Store``, ``._a.jpg``, ``.ipynb_checkpoints``, ``Thumbs.db``, ``__MACOSX``, ``@eaDir``…
    """
    return name.startswith(".") or name.casefold() in _JUNK


def split_suffix(name: str) -> tuple[str, str]:
    """Part a name into what stands before the suffix of an image, and that suffix.

    Parameters
    ----------
    name : str
        Name or path of a file.

    Returns
    -------
    stem, suffix : str
        The suffix in small letters; empty where it is none of an image.

    Examples
    --------
    >>> split_suffix("NEL/NEL025.JPG"), split_suffix("lesion.1")
    (('NEL/NEL025', '.jpg'), ('lesion.1', ''))
    """
    dot = name.rfind(".")
    suffix = name[dot:].lower() if dot > 0 else ""
    return (name[:dot], suffix) if suffix in _SUFFIXES else (name, "")


def find_images(folder: str | os.PathLike[str]) -> list[Path]:
    """List the images in a folder and below it, by the endings of their names.

    Parameters
    ----------
    folder : path
        The folder.

    Returns
    -------
    list of Path
        Folder by folder, in the order of their names.

    Raises
    ------
    DatasetError
        If a folder cannot be listed.
    """
    return [Path(path) for path in _walk(os.fspath(folder)) if split_suffix(path)[1]]


def _walk(folder: str, seen: set[str] | None = None) -> Iterator[str]:
    """List the files in a folder and below it, each folder once: links may lead in circles."""
    seen = set() if seen is None else seen
    place = os.path.realpath(folder)
    if place in seen:
        return
    seen.add(place)
    files, folders = _list(folder)
    yield from files
    for path in folders:
        yield from _walk(path, seen)


def _list(folder: str) -> tuple[list[str], list[str]]:
    """List the files and the folders in a folder, without junk."""
    try:
        with os.scandir(folder) as entries:
            known = sorted((entry.path, _is_folder(entry)) for entry in entries if not is_junk(entry.name))
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be listed ({error.strerror})") from error
    return [path for path, is_folder in known if not is_folder], [path for path, is_folder in known if is_folder]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself is listed as a file, for the decoder to say so
        return False


class ImageIndex:
    """The files of some folders, to be found by what tables call them.

    Each folder is listed once; what is below it only when something is not found in it.

    Parameters
    ----------
    folders : sequence of Path
        The first that holds a file decides.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [os.fspath(folder) for folder in folders]
        self._listed: dict[str, _ByStem] = {}
        self._below: dict[str, _ByStem] = {}

    def find(self, entry: str, *, is_path: bool = False) -> list[str]:
        r"""Find the files that a table may mean.

        The suffix in the table decides, in capitals or not; without one, every image of the name is
        a candidate. A path is looked for from each folder, then at the end of the paths below each.
        ``\`` separates as ``/`` does, and composed and decomposed letters are the same. Only where there is no file of
        this name, one that differs in case is looked for.

        Parameters
        ----------
        entry : str
            Name or path, with suffix or without.
        is_path : bool, default=False
            Whether it may also be relative to the working directory.

        Returns
        -------
        list of str
            Several where the table does not say which; empty where there is none.

        Raises
        ------
        DatasetError
            If a folder cannot be listed.
        """
        return self._find(entry, is_path, any_case=False) or self._find(entry, is_path, any_case=True)

    def _find(self, entry: str, is_path: bool, *, any_case: bool) -> list[str]:
        directory, name = hdf5.split_member(entry) or _split(entry)
        stem = _normal(split_suffix(name)[0])
        if os.path.isabs(entry):
            return _choose(self._in(directory, stem, any_case), name)
        places = [posixpath.join(folder, directory) if directory else folder for folder in self._folders]
        here = (_choose(self._in(place, stem, any_case), name) for place in places)
        below = (_choose(self._under(folder, stem, any_case, directory), name) for folder in self._folders)
        found = next(filter(None, chain(here, below)), [])
        if is_path:
            there = _choose(self._in(directory or ".", stem, any_case), name)
            known = set(map(os.path.realpath, found))
            found += [path for path in there if os.path.realpath(path) not in known]
        return found

    def _in(self, folder: str, stem: str, any_case: bool) -> list[str]:
        if folder not in self._listed:
            forms = (folder, unicodedata.normalize("NFC", folder), unicodedata.normalize("NFD", folder))
            existing = next(filter(os.path.exists, forms), None)
            self._listed[folder] = _ByStem([] if existing is None else _list_place(existing))
        return self._listed[folder].get(stem, any_case)

    def _under(self, folder: str, stem: str, any_case: bool, directory: str) -> list[str]:
        if folder not in self._below:
            self._below[folder] = _ByStem(_walk(folder) if os.path.isdir(folder) else [])
        found = self._below[folder].get(stem, any_case)
        if not directory:
            return found
        # Tables written on Windows or a Mac name folders in other capitals than they have, and it worked there.
        end = _normal(f"/{directory}").casefold()
        folders = [_normal(posixpath.dirname(_slashes(os.path.abspath(path)))).casefold() for path in found]
        return [path for path, folder in zip(found, folders, strict=True) if folder.endswith(end)]


def _list_place(place: str) -> list[str]:
    """List the images in a folder, or in an HDF5 file, which is one like it."""
    if not hdf5.is_hdf5(place):
        return _list(place)[0] if os.path.isdir(place) else []
    try:
        return hdf5.list_members(place)
    except OSError as error:
        raise DatasetError(f"{place}: not an HDF5 file of images ({error})") from error


def _split(entry: str) -> tuple[str, str]:
    if "/" in entry or "\\" in entry:
        directory, name = posixpath.split(posixpath.normpath(_slashes(entry)))
        return directory, name
    return "", entry


def _normal(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _slashes(path: str) -> str:
    return path.replace("\\", "/")  # archives packed elsewhere leave names such as "images\a.jpg"


def _stem_of(path: str) -> str:
    name = (hdf5.split_member(path) or ("", _slashes(path).rpartition("/")[2]))[1]
    return _normal(split_suffix(name)[0])


class _ByStem:
    """Files by their names without suffix."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths: dict[str, list[str]] = {}
        for path in paths:
            self._paths.setdefault(_stem_of(path), []).append(path)

    def get(self, stem: str, any_case: bool) -> list[str]:
        return self._in_any_case.get(stem.casefold(), []) if any_case else self._paths.get(stem, [])

    @cached_property
    def _in_any_case(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for stem, paths in self._paths.items():
            found.setdefault(stem.casefold(), []).extend(paths)
        return found


def differ_in_case(entry: str, path: str) -> bool:
    """Return whether a file that `ImageIndex.find` has found is called otherwise than in the table.

    Parameters
    ----------
    entry : str
        What the table says.
    path : str
        The file.

    Returns
    -------
    bool
        Whether the names without their suffixes differ; case is all in which they can.

    Examples
    --------
    >>> differ_in_case("img_1.jpg", "photos/IMG_1.JPG"), differ_in_case("img_1", "photos/img_1.JPG")
    (True, False)
    """
    return _stem_of(entry) != _stem_of(path)


def _choose(paths: Sequence[str], name: str) -> list[str]:
    """Choose among the files of one stem, by the suffix that the table gives."""
    suffix = split_suffix(name)[1]
    if not suffix:
        return list(paths) if len(paths) < 2 else [path for path in paths if split_suffix(path)[1] or not _flaw(path)]
    alike = [path for path in paths if path.lower().endswith(suffix) or hdf5.split_member(path)]
    if len({posixpath.dirname(path) for path in alike}) == 1:
        return [path for path in alike if posixpath.basename(_slashes(path)) == name] or alike
    return alike


def make_id(entry: str, folders: Iterable[Path] = ()) -> str:
    r"""Make the id of an image out of what a table calls it.

    Parameters
    ----------
    entry : str
        Name or path.
    folders : iterable of Path
        An absolute path in one of these is taken from there.

    Returns
    -------
    str
        Without suffix, with ``/``, and never a path that leads out of the folder it is joined to.

    Examples
    --------
    >>> make_id("a.jpg"), make_id("..\\im\\b.PNG"), make_id("/data/im/c.jpg", [Path("/data")])
    ('a', 'im/b', 'im/c')
    """
    if "/" not in entry and "\\" not in entry:
        return split_suffix(entry)[0]
    path = posixpath.normpath(_slashes(entry))
    for folder in folders if os.path.isabs(path) else ():
        path = path.removeprefix(f"{_slashes(os.path.abspath(folder))}/")
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return split_suffix("/".join(parts))[0]


def list_classes(root: Path) -> tuple[pd.DataFrame, list[str]]:
    """List the images in a folder with one folder a class, and all else that may be one.

    Parameters
    ----------
    root : Path
        The folder.

    Returns
    -------
    table : pandas.DataFrame
        A row each file, sorted by class folder and path: ``image_id``, ``label`` (name of the class
        folder) and ``path``. The id is the file name without suffix, and the path from `root` where
        several files have that. Left out are junk, and texts and tables.
    flaws : list of str
        Why each cannot be used; empty where it can.

    Raises
    ------
    DatasetError
        If a folder cannot be listed.
    """
    beside, folders = _list(os.fspath(root))
    n_beside = sum(map(_is_image_by_name, beside))
    if n_beside:
        logger.warning("%s: %d images lie beside the class folders, in none of them; passed over", root, n_beside)
    rows: list[tuple[str, str, str]] = []
    for folder in folders:
        label = posixpath.basename(_slashes(folder))
        paths = list(_walk(folder, {os.path.realpath(root)}))  # a link may lead back to the root
        stems = {split_suffix(path)[0] for path in paths}
        for path in paths:
            reason = _flaw_of_mask(path[len(folder) :], split_suffix(path)[0], stems)
            reason = reason or _flaw_of_copy(path, split_suffix(path)[0], stems)
            reason = reason or (_flaw_of_name(path) if _is_image_by_name(path) else _flaw(path))
            if not reason or not path.lower().endswith(_DOCUMENTS):
                rows.append((label, printable(path), reason))
    start = len(os.path.join(os.fspath(root), ""))
    within = [_normal(make_id(path[start:])) for _, path, _ in rows]
    names = [posixpath.basename(image_id) for image_id in within]
    usable = [not reason for _, _, reason in rows]
    n_within, n_names = Counter(compress(within, usable)), Counter(compress(names, usable))
    ids = [name if n_names[name] <= 1 else image_id for name, image_id in zip(names, within, strict=True)]
    flaws = [
        reason or ("" if n_within[image_id] <= 1 else f"several files are called {image_id}, but for the suffix")
        for (_, _, reason), image_id in zip(rows, within, strict=True)
    ]
    columns = {"image_id": ids, "label": [row[0] for row in rows], "path": [row[1] for row in rows]}
    return pd.DataFrame(columns, dtype=object), flaws


def check_depth(table: pd.DataFrame, root: Path) -> None:
    """Raise an error if the class folders are one level below the given folder, as in train/ and test/.

    Parameters
    ----------
    table : pandas.DataFrame
        From `list_classes`.
    root : Path
        Its folder.

    Raises
    ------
    DatasetError
        If no folder's name says anything about melanoma, and names below do.
    """
    if any(read_meaning(word) is not Meaning.UNKNOWN for word in as_read(table["label"].unique().tolist())):
        return
    parts = (Path(path).relative_to(root).parts for path in table["path"])
    deeper = dict.fromkeys(part[:2] for part in parts if len(part) > 2)
    meanings = set(map(read_meaning, as_read(list({inner for _, inner in deeper}))))
    if Meaning.OTHER in meanings and {Meaning.MELANOMA, Meaning.MALIGNANT} & meanings:
        folders = " and ".join(sorted({f"'{root / outer}'" for outer, _ in deeper}))
        raise DatasetError(
            f"{root}: the class folders lie one level below, such as {'/'.join(next(iter(deeper)))}: read {folders}"
        )


def _is_image_by_name(path: str) -> bool:
    suffix = split_suffix(path)[1]
    return bool(suffix) and suffix not in _CHECKED


def _flaw_of_mask(within: str, stem: str, stems: Collection[str]) -> str:
    """Return why a file is a mask and no photograph, by its folder or its name; an empty text if it is none."""
    folders = _slashes(within).lower().split("/")[:-1]
    is_mask = any(folder in _MASKS for folder in folders) or (
        _MASK.search(stem) is not None and _MASK.sub("", stem) in stems
    )
    return "a mask by its name, and no photograph" if is_mask else ""


def _flaw_of_name(path: str) -> str:
    # It could be read; but no table, report or database that names it could be written.
    return "" if printable(path) == path else "its name is not UTF-8; rename it"


_LEFT_OVER = re.compile(
    r"~$|\.(?:bak|backup|old|orig|save|sw[op]|tmp|temp|part|partial|filepart|crdownload|download|opdownload|\d*~)$",
    re.IGNORECASE,
)
"""How editors call backup copies, and browsers what they have not finished."""

_COPY = re.compile(r"(?: ?\(\d+\)|(?: - |[ _-])(?:copy|kopie|copie|copia|c\u00f3pia)(?: ?\(?\d+\)?)?)$", re.IGNORECASE)
"""How file managers call copies: "x (1)", "x - Copy"."""


def _flaw_of_copy(path: str, stem: str, stems: Collection[str]) -> str:
    """Return why a file is a left-over, or a copy of the file whose name it has; an empty text if it is none."""
    if _LEFT_OVER.search(path):
        return "a backup copy or an unfinished download, by its name"
    name = _COPY.sub("", stem)
    original = name + path[len(stem) :]
    if name != stem and name in stems and os.path.isfile(original) and filecmp.cmp(path, original, shallow=False):
        return f"a copy of {posixpath.basename(_slashes(original))}, by its name and content"
    return ""


def _flaw(path: str) -> str:
    """Return the reason why a file is no image that can be read, by its first bytes; nothing if it is one."""
    try:
        with open_image(path):
            return _flaw_of_name(path)
    except ImageError as error:
        return error.reason
