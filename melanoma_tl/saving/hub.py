"""Model files on the Hugging Face Hub. No other module knows `huggingface_hub`.

Files are kept in its cache, so that nothing is fetched twice and other programs share them. Its
environment variables hold here too; ``HF_ENDPOINT``, the address of another hub, is read in each call.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from melanoma_tl._checksums import hash_of
from melanoma_tl._escaping import shorten, visible
from melanoma_tl._parameters import NONE, check, matching
from melanoma_tl._progress import progress, without_hint_of_widgets
from melanoma_tl.errors import DownloadError, MelanomaTLError, MissingPackageError, ParameterError, UploadError

_REPOSITORY = r"(?![^@]*(?:--|\.\.))\w[\w.-]*/\w(?:[\w.-]*\w)?"

REPOSITORY = matching(_REPOSITORY, "the name of a repository, such as 'user/name'")
"""What `upload` writes to."""

ADDRESS = matching(rf"hf://{_REPOSITORY}(@\w[\w./-]*)?", "an address, such as 'hf://user/name@revision'")
"""What `download` takes."""

SHA256 = matching("[0-9a-fA-F]{64}", "a SHA-256, 64 hexadecimal digits")

ORIGIN = "downloaded_from"
"""Under which key the provenance of a classifier holds its `Origin`."""

_MOST_SAID = 300
"""Letters of another library's message within ours."""

_LOG_IN = "log in with `hf auth login`, or pass a token"


class Origin(NamedTuple):
    """Where a model file was fetched.

    Attributes
    ----------
    repository : str
        "user/name".
    commit : str
        40 hexadecimal digits: what stands there under this commit never changes.
    sha256 : str
        Of the file.
    """

    repository: str
    commit: str
    sha256: str

    @property
    def address(self) -> str:
        """The address that always gives this file."""
        return address_of(self.repository, self.commit)


class Result(NamedTuple):
    """A metric in the metadata of a model card.

    Attributes
    ----------
    kind : str
        What the Hub calls it, such as "roc_auc".
    name : str
        For people.
    value : float
        The metric.
    dataset : str
        The name of the test set.
    threshold : float or None
        Of the scores, if it depends on one.
    """

    kind: str
    name: str
    value: float
    dataset: str
    threshold: float | None = None


def address_of(repository: str, commit: str) -> str:
    """Return the address of a repository as it was at a commit.

    Parameters
    ----------
    repository, commit : str
        "user/name", and the commit or another revision.

    Returns
    -------
    str
        "hf://user/name@commit".
    """
    return f"hf://{repository}@{commit}"


def check_token(token: Any) -> str | None:
    """Check a token, and never show it: not even where it is none.

    Parameters
    ----------
    token : object
        What was given.

    Returns
    -------
    str or None
        Without the line break that it has in a file.

    Raises
    ------
    ParameterError
        If it is no text that could be a token.
    """
    if token is None:
        return None
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token.strip()):
        raise ParameterError(
            "token must be the text of an access token, or None for that of `hf auth login`; what was given is none, "
            "and is not shown here"
        )
    return token.strip()


def download(
    address: str, file_name: str, *, token: str | None = None, sha256: str | None = None, verbose: int = 1
) -> tuple[Path, Origin]:
    """Fetch a file at a pinned commit, and verify its bytes.

    Parameters
    ----------
    address : str
        "hf://user/name@revision": a commit, a branch or a tag; without it, the newest commit of "main".
    file_name : str
        Which file of the repository.
    token : str, optional
        Access token; by default that of ``hf auth login`` or of the environment variable ``HF_TOKEN``.
    sha256 : str, optional
        What the SHA-256 of the file must be.
    verbose : int, default=1
        0 shows no progress.

    Returns
    -------
    path : Path
        The file in the cache of huggingface_hub. Nothing of it has been interpreted.
    origin : Origin
        Repository, commit and SHA-256.

    Raises
    ------
    ParameterError
        If the address, the token or the hash is none.
    DownloadError
        If the file cannot be fetched, or its SHA-256 is neither that of the server nor `sha256`.
    MissingPackageError
        If huggingface_hub is not installed.

    Notes
    -----
    Where the Hub cannot be reached, what was fetched before is taken. The server tells the SHA-256 of large files,
    among them all model files, and the cache names its files by it: they are verified each time.
    """
    if isinstance(address, str) and re.fullmatch(_REPOSITORY, address, re.ASCII):
        raise ParameterError(f"address must be {ADDRESS.expected}, got {address!r}; did you mean 'hf://{address}'?")
    check({"address": address, "sha256": sha256}, {"address": ADDRESS, "sha256": SHA256 | NONE})
    token = check_token(token)
    hub = _load()
    repository, _, revision = address.removeprefix("hf://").partition("@")
    revision = revision or hub.constants.DEFAULT_REVISION
    place = {"repo_id": repository, "filename": file_name, "revision": revision, "endpoint": _endpoint(hub)}
    named = address_of(repository, revision)
    with (
        _in_our_words(hub, DownloadError, named, token, file_name),
        progress(work=f"Download {file_name} of {repository}", unit="", verbose=verbose),
        _without_other_bars(hub),
    ):
        path = Path(hub.hf_hub_download(**place, token=token))
        tag = _tag(hub, path, place, token)
    found = hash_of(path)
    if re.fullmatch("[0-9a-f]{64}", tag) and found != tag:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise DownloadError(
            f"{named}: {file_name} is damaged or not the file of this repository: its SHA-256 is {found}, that of the "
            f"server is {tag}. Nothing was kept: call again, and do not trust this connection if it happens twice"
        )
    if sha256 is not None and found != sha256.lower():
        raise DownloadError(
            f"{named}: {file_name} is not the file that was asked for: its SHA-256 is {found}, not {sha256.lower()}. "
            "Ask whoever gave you the hash which commit it is of"
        )
    return path, Origin(repository, path.parent.name, found)


def upload(
    repository: str,
    files: Mapping[str, Path | bytes],
    *,
    private: bool,
    token: str | None,
    revision: str | None,
    message: str,
    verbose: int,
) -> str:
    """Write files in one commit, into a repository that is made if there is none.

    Parameters
    ----------
    repository : str
        "user/name".
    files : mapping of str to Path or bytes
        By their names there.
    private : bool
        Whether only those may read it to whom the owner gives access.
    token : str or None
        Access token that may write; None takes that of ``hf auth login`` or of ``HF_TOKEN``.
    revision : str or None
        Branch, which is made if there is none; None is "main".
    message : str
        Of the commit.
    verbose : int
        0 shows no progress.

    Returns
    -------
    str
        "hf://user/name@commit".

    Raises
    ------
    UploadError
        If it cannot be written, or `private` is asked of a repository that is public.
    ParameterError
        If the token is none.
    MissingPackageError
        If huggingface_hub is not installed.
    """
    token = check_token(token)
    hub = _load()
    client = hub.HfApi(_endpoint(hub), token)
    additions = [hub.CommitOperationAdd(name, content) for name, content in files.items()]
    with (
        _in_our_words(hub, UploadError, f"hf://{repository}", token),
        progress(work=f"Upload to {repository}", unit="", verbose=verbose),
        _without_other_bars(hub),
    ):
        _open_repository(hub, client, repository, private=private)
        if revision is not None:
            client.create_branch(repository, branch=revision, exist_ok=True)
        commit = client.create_commit(repository, additions, commit_message=message, revision=revision)
    return address_of(repository, commit.oid)


def write_metadata(name: str, *, tags: Sequence[str], license: str | None, results: Sequence[Result]) -> str:
    """Write what stands at the head of a model card, for the Hub's search and its table of metrics.

    Parameters
    ----------
    name : str
        Of the model.
    tags : sequence of str
        Words to find it by.
    license : str or None
        As the Hub writes it, such as "cc-by-nc-4.0"; None says nothing.
    results : sequence of Result
        Metrics of its test.

    Returns
    -------
    str
        YAML, between its two lines of dashes.

    Raises
    ------
    MissingPackageError
        If huggingface_hub is not installed.
    """
    hub = _load()
    evaluated = [
        hub.EvalResult(
            task_type="image-classification",
            dataset_type=re.sub("[^a-z0-9]+", "-", result.dataset.lower()).strip("-") or "unnamed",
            dataset_name=visible(result.dataset),
            metric_type=result.kind,
            metric_name=visible(result.name),
            metric_value=result.value,
            metric_args=None if result.threshold is None else {"threshold": result.threshold},
        )
        for result in results
    ]
    data = hub.ModelCardData(
        library_name="melanoma_tl",
        pipeline_tag="image-classification",
        tags=list(tags),
        license=license,
        model_name=name if evaluated else None,
        eval_results=evaluated or None,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _load() -> Any:
    try:
        with without_hint_of_widgets():
            import huggingface_hub.constants
            import huggingface_hub.errors
            import huggingface_hub.utils
    except ImportError as error:
        raise MissingPackageError(
            f"the Hugging Face Hub needs huggingface_hub: pip install 'melanoma_tl[hub]' ({error})"
        ) from error
    return huggingface_hub


def _endpoint(hub: Any) -> str:
    endpoint: str = os.environ.get("HF_ENDPOINT") or hub.constants.ENDPOINT
    return endpoint.rstrip("/")


def _tag(hub: Any, path: Path, place: Mapping[str, Any], token: str | None) -> str:
    """Return the ETag of a file: its name in the cache or, where links cannot be made, what the server says."""
    if path.is_symlink():
        return path.readlink().name
    pinned = {**place, "revision": path.parent.name}
    try:
        tag = hub.get_hf_file_metadata(hub.hf_hub_url(**pinned), token=token, endpoint=place["endpoint"]).etag
    except Exception:  # it is there, and the server is not
        return ""
    return tag or ""


def _open_repository(hub: Any, client: Any, repository: str, *, private: bool) -> None:
    """Make the repository if there is none; nothing private goes into a public one."""
    try:
        known = client.repo_info(repository)
    except hub.errors.RepositoryNotFoundError:
        client.create_repo(repository, private=private)
        return
    if private and not known.private:
        raise UploadError(
            f"hf://{repository}: this repository is public, and private=True was asked. Nothing was uploaded: "
            "pass private=False to publish the model, or choose another name"
        )


@contextmanager
def _without_other_bars(hub: Any) -> Iterator[None]:
    """Hide the progress bars of huggingface_hub, unless the environment asks for them."""
    bars = hub.utils
    if hub.constants.HF_HUB_DISABLE_PROGRESS_BARS is not None or bars.are_progress_bars_disabled():
        yield
        return
    bars.disable_progress_bars()
    try:
        yield
    finally:
        bars.enable_progress_bars()


@contextmanager
def _in_our_words(
    hub: Any, kind: type[MelanomaTLError], address: str, token: str | None, file_name: str = ""
) -> Iterator[None]:
    """Describe an error in one line, without its cause: the request in it contains the token."""
    try:
        yield
    except MelanomaTLError:
        raise
    except Exception as error:  # of huggingface_hub, of the operating system, and of three HTTP libraries
        secrets = [secret for secret in (token, hub.get_token()) if secret]
        raise kind(f"{address}: {_explain(hub, error, address, file_name, secrets)}") from None


def _explain(hub: Any, error: Exception, address: str, file_name: str, secrets: Sequence[str]) -> str:
    errors = hub.errors
    repository, _, revision = address.removeprefix("hf://").partition("@")
    page = f"{_endpoint(hub)}/{repository}"
    wraps = isinstance(error, errors.LocalEntryNotFoundError | RuntimeError)  # of a download, of an upload
    cause = error.__cause__ if wraps and error.__cause__ is not None else error
    status = getattr(getattr(cause, "response", None), "status_code", 0)
    if isinstance(cause, errors.OfflineModeIsEnabled):
        return "it has not been fetched before, and HF_HUB_OFFLINE forbids to fetch it now"
    if isinstance(cause, errors.GatedRepoError):
        return f"its owner grants access on request: ask for it at {page}, then {_LOG_IN}"
    if isinstance(cause, errors.RevisionNotFoundError):
        return f"there is no revision {revision!r}: {page}/commits/main lists the commits"
    if isinstance(cause, errors.RemoteEntryNotFoundError):
        return f"there is no {file_name} in it, which push_to_hub writes: see {page}/tree/{revision}"
    if isinstance(cause, errors.RepositoryNotFoundError) or status in (401, 404):
        return f"there is no such repository, or it is private ({status}): check the name, or {_LOG_IN}"
    if status == 403:
        return f"the server refuses ({status}): this needs a token with more rights; {_LOG_IN}"
    if status == 429 or status >= 500:
        return f"the server answered {status}: try again later"
    said = " ".join(f"{type(cause).__name__}: {cause}".split())
    for secret in secrets:
        said = said.replace(secret, "(token)")
    said = visible(shorten(said, _MOST_SAID))
    if status or type(cause) in (ValueError, errors.HFValidationError):
        return f"it was refused ({said})"
    return f"the transfer failed ({said}): nothing of it was kept; check the connection, and try again"
