"""Fetch official files, verified and resumable."""

import logging
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from melanoma_tl._atomic import atomic_write, locked
from melanoma_tl._checksums import hash_of
from melanoma_tl._escaping import in_column
from melanoma_tl._progress import progress, without_hint_of_widgets
from melanoma_tl._zip import ZIP_ERRORS, why_too_large
from melanoma_tl.datasets.disk import CHUNK, check_free, disk_errors
from melanoma_tl.datasets.text_tables import read_bytes
from melanoma_tl.errors import DatasetError, DownloadError, require_file

logger = logging.getLogger(__name__)

CHECKSUMS = "SHA256SUMS"
"""File beside the downloads with the hashes that nobody published, in the format of ``sha256sum``."""

_LOCK = ".melanoma_tl.lock"
"""File beside the downloads while somebody fetches them: a second call waits, and finds them there."""

ATTEMPTS = 5
"""How often one file is tried in one call."""

BACK_OFF = 1.0
"""Seconds before the second attempt; twice as long before each further one."""

LONGEST_WAIT = 60.0
"""Seconds to wait between two attempts at most, whatever the server asks for."""

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""
_WAYS_OUT = (
    "Fetch the file with a browser and pass its folder as source='FOLDER', or name a mirror with source='https://...'"
)


class RemoteFile(Protocol):
    """What must be known of a file to fetch it, as `melanoma_tl.datasets.OfficialFile` does."""

    @property
    def file_name(self) -> str:
        """What to call it."""

    @property
    def url(self) -> str:
        """Where it is officially."""

    @property
    def sha256(self) -> str | None:
        """Its hash in hexadecimal; None where nobody published one."""

    @property
    def n_bytes(self) -> int | None:
        """Its exact size, where known."""


class _Broken(Exception):  # noqa: N818 -- not an error yet: the next attempt may go on
    """An attempt failed in a way that another one may mend."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def fetch(
    files: Iterable[RemoteFile],
    folder: str | os.PathLike[str],
    *,
    source: str | os.PathLike[str] | None = None,
    verbose: int = 1,
) -> list[Path]:
    r"""Bring files into a folder, each verified before it gets its name.

    A file that is there already and right is not fetched again. An interrupted download
    goes on where it broke off, in the same call or in a later one: what has arrived is
    kept in ``.NAME.part``.

    Parameters
    ----------
    files : iterable of RemoteFile
        What to fetch.
    folder : path
        Where to; made if it does not exist.
    source : str or path, optional
        Address of a mirror, to which the file names are appended, or a folder that holds
        the files already: then the network is not used, and the files are verified and
        linked, or copied where they cannot be. By default the official addresses.
    verbose : int, default=1
        0 shows no progress bar.

    Returns
    -------
    list of Path
        The files in `folder`, in the order given.

    Raises
    ------
    DownloadError
        If a file cannot be fetched or is not the right one, or if the disk is full. The
        message says what was kept and what to do.

    Notes
    -----
    A file with an official SHA-256 is verified against it. Where nobody published one,
    the hash of the first download is pinned: written to ``SHA256SUMS`` in `folder`,
    against which later files are verified. That notices a file that was damaged or
    exchanged later. It does not notice that the first download was wrong already:
    against that stand HTTPS, the size where it is known, and the checksums inside a zip
    archive, none of which stops a forger who controls the server.
    ``sha256sum -c SHA256SUMS`` verifies the files by hand.

    Proxies are taken from the environment variables ``HTTPS_PROXY``, ``HTTP_PROXY`` and
    ``NO_PROXY``, as `requests` does.

    Examples
    --------
    >>> import tempfile
    >>> from melanoma_tl.datasets.challenges import OfficialFile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "by_browser").mkdir()
    >>> _ = (folder / "by_browser" / "labels.csv").write_text("ISIC_0000000,benign\n")
    >>> labels = OfficialFile("labels.csv", "https://example.org/labels.csv")
    >>> [path.name for path in fetch([labels], folder / "data", source=folder / "by_browser")]
    ['labels.csv']
    """
    target = Path(folder)
    with disk_errors(target), locked(target / _LOCK):
        return [_fetch_one(file, target, source, verbose) for file in files]


def _fetch_one(file: RemoteFile, folder: Path, source: str | os.PathLike[str] | None, verbose: int) -> Path:
    with without_hint_of_widgets():
        import pooch

    path = folder / file.file_name
    known = file.sha256 or _read_pins(folder).get(file.file_name)
    if not path.exists():
        origin = _origin(file, source)
        bring = partial(_take if isinstance(origin, Path) else _download, file=file, part=_part(path), verbose=verbose)
        try:
            # pooch compares the hash of a temporary file beside it, and gives it its name if it is right.
            with atomic_write(path) as unfinished, _silence(pooch.get_logger()):
                name, place = unfinished.name, unfinished.parent
                pooch.retrieve(str(origin), known and f"sha256:{known}", fname=name, path=place, downloader=bring)
        except ValueError as error:
            _forget(_part(path))
            raise DownloadError(f"{origin}: {_wrong_bytes(file, folder, known)}. Nothing was kept ({error})") from None
        _forget(_part(path))
    elif known and hash_of(path) != known:
        raise DownloadError(f"{path}: {_wrong_bytes(file, folder, known)}. Delete the file to fetch it again")
    elif not known:
        _check_complete(path, file, str(path))
    if not known:
        _pin(folder, file.file_name, hash_of(path))
    return path


@contextmanager
def _silence(log: logging.Logger) -> Iterator[None]:
    """Keep pooch from printing what the progress bar and our own log say."""
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)


def _wrong_bytes(file: RemoteFile, folder: Path, known: str | None) -> str:
    if file.sha256:
        return f"not the official file, whose SHA-256 is {known}"
    return (
        f"not the file of the first download, whose SHA-256 is {known}; if you trust the new one, delete the line of "
        f"{file.file_name} in {folder / CHECKSUMS}"
    )


def _origin(file: RemoteFile, source: str | os.PathLike[str] | None) -> str | Path:
    if source is None:
        return file.url
    if re.match("https?://", str(source)):
        return f"{str(source).rstrip('/')}/{file.file_name}"
    path = Path(source) / file.file_name
    require_file(path, DownloadError, "source must be a folder with the official files, or an address")
    return path


def _read_pins(folder: Path) -> dict[str, str]:
    """Read the known hash of each file; a line that cannot be read must not leave its file unverified."""
    path = folder / CHECKSUMS
    try:
        lines = read_bytes(path).decode().splitlines() if path.exists() else []
    except (DatasetError, UnicodeError) as error:
        raise DownloadError(f"{path}: no list of SHA-256 and file names ({error}): delete it") from error
    pins = {}
    for line in lines:
        match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line)
        if match is None:
            raise DownloadError(
                f"{path}: {in_column(line)!r} is no SHA-256 and file name: correct the line or delete it"
            )
        pins[match[2]] = match[1].lower()
    return pins


def _pin(folder: Path, name: str, sha256: str) -> None:
    pins = _read_pins(folder) | {name: sha256}
    with atomic_write(folder / CHECKSUMS) as unfinished:
        unfinished.write_text("".join(f"{pins[key]}  {key}\n" for key in sorted(pins)), encoding="utf-8")
    logger.info("%s: no official hash is known; pinned on first use: SHA-256 %s", folder / name, sha256)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _take(origin: str, output: str, _: Any, *, file: RemoteFile, part: Path, verbose: int) -> None:  # noqa: ARG001
    """Take a file of this machine: by a link, which costs no disk, or as a copy."""
    _name_again(Path(origin), Path(output), otherwise=_copy)
    _check_complete(Path(output), file, origin)


def _name_again(existing: Path, output: Path, *, otherwise: Callable[[Path, Path], object]) -> None:
    output.unlink()  # pooch made it, empty, to claim the name
    try:
        os.link(existing.resolve(), output)
    except OSError:  # another file system, or one without links
        otherwise(existing, output)


def _copy(existing: Path, output: Path) -> None:
    check_free(output.parent, existing.stat().st_size, existing.name)
    shutil.copyfile(existing, output)


def _download(url: str, output: str, _: Any, *, file: RemoteFile, part: Path, verbose: int) -> None:
    """Download into the file `part`, which stays until the whole file has been verified under its own name."""
    reason = ""
    for attempt in range(ATTEMPTS):
        try:
            _go_on(url, part, file, verbose)
            break
        except _Broken as broken:
            reason = str(broken)
            wait = min(max(BACK_OFF * 2**attempt, broken.wait), LONGEST_WAIT)
        if attempt + 1 < ATTEMPTS:
            logger.warning("%s: %s; trying again in %.0f s", file.file_name, reason, wait)
            time.sleep(wait)
    else:
        kept = part.stat().st_size if part.exists() else 0
        raise DownloadError(
            f"{url}: {reason}, {ATTEMPTS} times. {kept:,} bytes are kept in {part}: call again to go on. {_WAYS_OUT}"
        )
    try:
        _check_complete(part, file, url)
    except DownloadError:
        _forget(part)
        raise
    _name_again(part, Path(output), otherwise=Path.replace)


def _go_on(url: str, part: Path, file: RemoteFile, verbose: int) -> None:
    """Request the missing part and append it; start over if the server has another file or does not support ranges."""
    import requests

    validator = _validator(part)
    have = part.stat().st_size if part.exists() and validator.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator.read_text(encoding="utf-8")}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:
                if response.headers.get("Content-Range") == f"bytes */{have}":
                    return  # all of it had arrived
                _forget(part)
                raise _Broken("the server has another file now")
            _check_status(response, url)
            if response.status_code != 206:
                have = 0
            _remember_version(response, validator)
            missing = int(response.headers.get("Content-Length", 0))
            check_free(part.parent, missing, file.file_name)
            work, total = f"Download {file.file_name}", have + missing or None
            bar = progress(work=work, total=total, initial=have, unit="B", verbose=verbose)
            with part.open("ab" if have else "wb") as target, bar:
                for chunk in response.iter_content(CHUNK):
                    target.write(chunk)
                    bar.update(len(chunk))
    except requests.RequestException as error:
        raise _Broken(f"the connection failed ({_innermost(error)})") from error


def _innermost(error: Exception) -> str:
    """Return the reason alone of what requests raises, in which urllib3 names address and reason several times."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return re.sub(r"^\w+\(.*?\): ", "", str(reason))


def _check_status(response: Any, url: str) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    said = f"the server answered {status} {response.reason}"
    if status == 429 or status >= 500:
        after = response.headers.get("Retry-After", "")
        raise _Broken(said, float(after) if after.isdigit() else 0.0)
    meaning = {403: "it refuses to give the file", 404: "the file is not there any more"}.get(status, "")
    raise DownloadError(f"{url}: {said}{meaning and ': '}{meaning}. {_WAYS_OUT}")


def _validator(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _remember_version(response: Any, validator: Path) -> None:
    """Keep what tells whether the server still has the same file; a weak tag promises nothing about bytes."""
    tag = response.headers.get("ETag", "")
    version = response.headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
    if version:
        validator.write_text(version, encoding="utf-8")
    else:
        validator.unlink(missing_ok=True)


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator(part).unlink(missing_ok=True)


def _check_complete(path: Path, file: RemoteFile, origin: str) -> None:
    """Refuse what cannot be the file even where no hash is known."""
    size = path.stat().st_size
    if file.n_bytes is not None and size != file.n_bytes:
        raise DownloadError(f"{origin}: {size:,} bytes, expected {file.n_bytes:,}")
    if file.sha256 is None and file.file_name.endswith(".zip"):
        try:
            with zipfile.ZipFile(path) as archive:
                reason = why_too_large(archive.infolist(), path)
                damaged = "" if reason else archive.testzip()
        except (*ZIP_ERRORS, OSError) as error:
            raise DownloadError(f"{origin}: not a whole zip archive ({error})") from error
        if reason:
            raise DownloadError(f"{origin}: {reason}: do not trust this archive")
        if damaged:
            raise DownloadError(f"{origin}: damaged at {damaged}")
