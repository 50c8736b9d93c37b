"""Score images, or extract their features, on many machines with Ray Data.

Needs ``pip install 'melanoma_tl[ray]'``.
"""

import hashlib
import logging
import os
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from melanoma_tl._parameters import COUNT, NONE, PATH, VERBOSE, checked, having, one_of, real
from melanoma_tl._progress import progress
from melanoma_tl.errors import JobError, MissingPackageError, ModelFileError, ParameterError
from melanoma_tl.images.parallel import map_threaded
from melanoma_tl.images.symmetries import COUNTS

if TYPE_CHECKING:
    from melanoma_tl.classifier.transfer import TransferClassifier
    from melanoma_tl.scale.job_folder import JobFolder

__all__ = ["JobResult", "extract", "score", "store_features"]

logger = logging.getLogger(__name__)

_JOB = {
    "out": PATH,
    "batch_size": COUNT | NONE,
    "actors": COUNT | NONE,
    "cpus": COUNT | NONE,
    "gpus": real(at_least=0) | NONE,
    "shard_size": COUNT,
    "verbose": VERBOSE,
}

_ROWS_AT_ONCE = 64
"""Number of features copied at once; the largest take 1.6 MB each."""


@dataclass(frozen=True)
class JobResult:
    """The result of a finished job.

    Attributes
    ----------
    path : str
        The folder of its shards, Parquet files that ``pandas.read_parquet`` reads as one table.
    n_images : int
        Number of images of the job.
    n_errors : int
        Number of images that could not be read.
    n_shards : int
        Number of shards.
    n_found : int
        Number of images that were already finished when this call began.
    seconds : float
        Duration of this call in seconds.
    """

    path: str
    n_images: int
    n_errors: int
    n_shards: int
    n_found: int
    seconds: float
    _folder: "JobFolder" = field(repr=False, compare=False)

    @property
    def n_scored(self) -> int:
        """Number of images that could be read and were scored."""
        return self.n_images - self.n_errors

    @property
    def errors(self) -> pd.DataFrame:
        """The images that could not be read: id, path and error."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        from melanoma_tl.scale.shard_schema import schema_with

        columns, bad = ["id", "path", "error"], ds.field("error").is_valid()
        shards = map_threaded(lambda number: [*self._folder.read(number, columns, filter=bad)], range(self.n_shards))
        return pa.Table.from_batches(chain.from_iterable(shards), schema=schema_with(())).to_pandas()

    def __str__(self) -> str:
        return (
            f"{self.n_images:,} images in {self.n_shards:,} shards in {self.path}: {self.n_scored:,} done, "
            f"{self.n_errors:,} could not be read; {self.n_images - self.n_found:,} of them in this call, "
            f"{self.seconds:,.0f} s"
        )


@checked(tta=one_of(*COUNTS) | NONE, **_JOB)
def score(
    images: str | os.PathLike[str] | Iterable[Any],
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    tta: int | None = None,
    batch_size: int | None = None,
    actors: int | None = None,
    cpus: int | None = None,
    gpus: float | None = None,
    shard_size: int = 512,
    filesystem: Any = None,
    out_filesystem: Any = None,
    verbose: int = 1,
) -> JobResult:
    """Score any number of images, as `predict_proba` does, on all machines of a Ray cluster.

    The images are listed once, in the folder `out`, and split into shards. Each actor loads the model once,
    then reads, decodes and scores one shard after the other, and writes each atomically. An image that cannot
    be read becomes a row with the reason.

    To continue a job that was interrupted, killed or stopped by an error, make the same call again: finished
    shards are not computed again, and images that were added later are not included.

    Parameters
    ----------
    images : str, path, ISBIDataset, or iterable of str or path
        A glob, in which ``**`` matches any number of folders; a folder, for all images in it and its
        subfolders; one file; or a list of files. Local paths must exist on all machines; URIs such as
        ``s3://bucket/archive/**/*.jpg`` work on all of them.
    model : str or path
        A file written by `TransferClassifier.save` or `Ensemble.save`. It is sent to the actors.
    out : str or path
        The folder for the shards: a new or an empty folder, or that of the same job. All machines must be able to
        write there.
    tta : {1, 2, 4, 8}, optional
        Views to average, as for `predict_proba`.
    batch_size : int, optional
        Images per batch, as for `predict_proba`.
    actors : int, optional
        Number of processes that score; by default one per GPU, or one per machine without GPUs.
    cpus : int, optional
        Processors per actor; by default those of a machine are shared equally among its actors.
    gpus : float, optional
        GPUs per actor, such as 0.5 if two share one; by default 1 if the cluster has any.
    shard_size : int, default=512
        Images per shard: the work that is lost when an actor dies, and the step of the progress bar. With a
        multiple of the batch size the batches are those of `predict_proba`. Ignored when a job is continued.
    filesystem, out_filesystem : pyarrow.fs.FileSystem or fsspec.AbstractFileSystem, optional
        Filesystems of `images` and `out`, if they are not local paths or URIs.
    verbose : int, default=1
        0 shows no progress bar.

    Returns
    -------
    JobResult
        Counts, and the images that could not be read. The shards have the columns ``id`` (the file name
        without its extension), ``path``, ``score`` (the probability of melanoma, 0 to 1; for several diagnoses one
        column ``score_NAME`` each) and ``error``; either the score or the error is empty.

    Raises
    ------
    DatasetError
        If no image matches.
    JobError
        If another job uses the folder, or it holds another job or other files; if a shard cannot be written;
        if too many actors die on one shard. Finished shards are kept.
    MissingPackageError
        If Ray is not installed.
    ModelFileError
        If the model cannot be read.
    ParameterError
        If a parameter is out of its range.
    """
    _import_ray()
    from melanoma_tl.scale.actors import Actors
    from melanoma_tl.scale.scoring import Scoring

    name, content = _read_model(model)
    scoring = Scoring(name, content, tta, batch_size)
    scoring.check()
    job = {"kind": "score", "model": hashlib.sha256(content).hexdigest(), "tta": tta, "batch_size": batch_size}
    return _run(
        scoring,
        job,
        images,
        out,
        actors=Actors(actors, cpus, gpus),
        shard_size=shard_size,
        filesystem=filesystem,
        out_filesystem=out_filesystem,
        verbose=verbose,
    )


@checked(classifier=having("frozen_part", "a TransferClassifier"), **_JOB)
def extract(
    images: str | os.PathLike[str] | Iterable[Any],
    classifier: "TransferClassifier",
    out: str | os.PathLike[str],
    *,
    batch_size: int | None = None,
    actors: int | None = None,
    cpus: int | None = None,
    gpus: float | None = None,
    shard_size: int = 512,
    filesystem: Any = None,
    out_filesystem: Any = None,
    verbose: int = 1,
) -> JobResult:
    """Extract the features of any number of images with the frozen part of a network, on a Ray cluster.

    These are the features that `classifier.fit` would compute before its first stage. `store_features` copies them
    into the cache of one machine, where `fit` then starts with training. Jobs work as in `score`.

    Parameters
    ----------
    images : str, path, ISBIDataset, or iterable of str or path
        As in `score`.
    classifier : TransferClassifier
        The classifier to be fitted later. Its precision is chosen on this machine, and used on all others.
    out : str or path
        As in `score`.
    batch_size : int, optional
        Images per batch; by default as in `fit`.
    actors, cpus, gpus, shard_size, filesystem, out_filesystem, verbose
        As in `score`.

    Returns
    -------
    JobResult
        The shards have the columns ``id``, ``path``, ``view`` (0 is the unchanged image), ``key`` (SHA-256 of the
        file and the key of the view), ``features`` (float32, flattened; ``_job/job.json`` has their shape) and
        ``error``. An image has one row per view, or a single row with the error.

    Raises
    ------
    DatasetError, JobError, MissingPackageError
        As in `score`.
    ParameterError
        If a parameter is out of its range, or the classifier has no frozen part whose features can be stored.
    WeightsUnavailableError
        If its weights are missing and cannot be downloaded.
    """
    _import_ray()
    from melanoma_tl.network.inference import count_images_at_once
    from melanoma_tl.scale.actors import Actors
    from melanoma_tl.scale.extraction import Extraction

    part = classifier.frozen_part()
    task = Extraction.of(part, batch_size or count_images_at_once(part.network.inputs[0].shape[1:3]))
    return _run(
        task,
        task.describe(),
        images,
        out,
        actors=Actors(actors, cpus, gpus),
        shard_size=shard_size,
        filesystem=filesystem,
        out_filesystem=out_filesystem,
        verbose=verbose,
    )


@checked(out=PATH, verbose=VERBOSE)
def store_features(out: str | os.PathLike[str], *, out_filesystem: Any = None, verbose: int = 1) -> int:
    """Copy extracted features into the cache folder of this machine, where `TransferClassifier.fit` finds them.

    `fit` recomputes two of them as a check, and uses the others for images with the same content and the same frozen
    network, whatever their file names. Features that are already in the cache are not copied.

    Parameters
    ----------
    out : str or path
        The folder that `extract` wrote. Its finished shards are copied, also while the job still runs.
    out_filesystem : pyarrow.fs.FileSystem or fsspec.AbstractFileSystem, optional
        Filesystem of `out`, if it is not a local path or URI.
    verbose : int, default=1
        0 shows no progress bar.

    Returns
    -------
    int
        Number of features of the job (one per image and view) that are now in the cache.

    Raises
    ------
    CacheError
        If the disk is full or the cache folder cannot be written.
    JobError
        If the folder holds no extracted features, or a shard is damaged.
    MissingPackageError
        If Ray is not installed.
    """
    _import_ray()
    from melanoma_tl.scale.filesystems import resolve
    from melanoma_tl.scale.job_folder import JobFolder
    from melanoma_tl.training.features import open_feature_store

    folder = JobFolder(*resolve(out, out_filesystem))
    manifest = folder.read_manifest()
    if manifest is None or manifest["job"]["kind"] != "extract":
        raise JobError(f"{folder.path}: holds no features; give the folder that extract wrote")
    job, finished = manifest["job"], folder.finished()
    store = open_feature_store(job["store"], tuple(job["shape"]), np.dtype(job["dtype"]))
    n_stored = 0
    rows = sum(shard.rows - shard.errors for shard in finished.values())
    with progress(work="Store features", total=rows, unit="view", verbose=verbose) as bar:
        read = partial(folder.read, columns=["key", "features"], batch_size=_ROWS_AT_ONCE)
        for batch in chain.from_iterable(map(read, sorted(finished))):
            known = batch.drop_null()
            keys = known["key"].to_pylist()
            arrays = known["features"].flatten().to_numpy().reshape(-1, *store.shape).astype(store.dtype)
            store.add(dict(zip(keys, arrays, strict=True)))
            n_stored += len(keys)
            bar.update(len(keys))
    return n_stored


def _import_ray() -> None:
    try:
        import fsspec  # noqa: F401
        import pyarrow  # noqa: F401
        import ray.data  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(f"this needs Ray Data: pip install 'melanoma_tl[ray]' ({error})") from error


def _read_model(model: str | os.PathLike[str]) -> tuple[str, bytes]:
    """Return the name and the content of a model file, on any filesystem."""
    from melanoma_tl.scale.filesystems import resolve

    if not isinstance(model, str | os.PathLike):
        raise ParameterError(f"model must be a file written by save, got a {type(model).__name__}: save it first")
    filesystem, path = resolve(model)
    try:
        with filesystem.open_input_file(path) as file:
            return os.path.basename(path), file.readall()  # noqa: PTH119 -- perhaps a path on another filesystem
    except OSError as error:
        raise ModelFileError(
            f"{os.fspath(model)}: cannot be read ({error}); images come first, then the model file"
        ) from error


def _run(
    task: Any,
    job: dict[str, Any],
    images: Any,
    out: str | os.PathLike[str],
    *,
    actors: Any,
    shard_size: int,
    filesystem: Any,
    out_filesystem: Any,
    verbose: int,
) -> JobResult:
    """List the images, and compute the missing shards."""
    from melanoma_tl.scale.actors import cluster, run
    from melanoma_tl.scale.filesystems import resolve
    from melanoma_tl.scale.job_folder import JobFolder
    from melanoma_tl.scale.listing import find
    from melanoma_tl.scale.worker import WorkOrder

    start = time.monotonic()
    names = find(images, filesystem)
    folder = JobFolder(*resolve(out, out_filesystem))
    with folder.locked() as lock:
        n_images = folder.start(job, names, shard_size)
        sizes = _sizes(n_images, folder)
        finished = folder.finished()
        missing = [number for number in range(len(sizes)) if number not in finished]
        n_found = n_images - sum(sizes[number] for number in missing)
        logger.info("%d of %d shards are finished already", len(finished), len(sizes))
        named = f"{job['kind'].capitalize()} images"
        with progress(work=named, total=n_images, initial=n_found, verbose=verbose, delay=0) as bar:
            if missing:
                work = WorkOrder(task, names.filesystem, folder, threads=1)
                with cluster(), closing(run(work, missing, actors)) as answers:
                    for answer in answers:
                        lock.check()
                        bar.update(sizes[answer["shard"]])
        finished = folder.finished()
    lost = [number for number in range(len(sizes)) if number not in finished]
    if lost:
        raise JobError(
            f"{folder.path}: {len(lost)} of {len(sizes)} shards are missing, such as part {lost[0]}; all machines "
            "must share this folder: give a shared folder, or a URI"
        )
    n_errors = sum(shard.errors for shard in finished.values())
    return JobResult(folder.path, n_images, n_errors, len(sizes), n_found, time.monotonic() - start, folder)


def _sizes(n_images: int, folder: "JobFolder") -> list[int]:
    """Return the number of images of each shard."""
    manifest = folder.read_manifest()
    per_shard = manifest["per_shard"] if manifest else n_images
    return [min(per_shard, n_images - start) for start in range(0, n_images, per_shard)]
