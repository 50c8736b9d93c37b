"""The code of a Ray actor: it loads the network once, then computes one shard after the other."""

import os
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow.fs import FileSystem, FileType

from melanoma_tl.errors import JobError, MelanomaTLError
from melanoma_tl.scale.filesystems import as_image
from melanoma_tl.scale.job_folder import JobFolder

_SUSPICIOUS = 16
"""If this many listed images in a row are missing, the worker checks whether it sees the folder at all."""


@dataclass(frozen=True)
class WorkOrder:
    """The instructions for every worker.

    Attributes
    ----------
    task : Scoring or Extraction
        The computation.
    images : pyarrow.fs.FileSystem
        The filesystem of the images.
    folder : JobFolder
        The folder for the shards.
    threads : int
        Number of processors that a worker may use.
    """

    task: Any
    images: FileSystem
    folder: JobFolder
    threads: int


class ShardWorker:
    """Computes and writes shards.

    Failures are returned in the answer, so that the driver can report them in one line; an exception
    would arrive as long tracebacks of both processes.

    Parameters
    ----------
    work : WorkOrder or ray.ObjectRef
        The instructions.
    """

    def __init__(self, work: Any) -> None:
        self._failure = ""
        try:
            self._work = _fetch(work)
            _limit_threads(self._work.threads)
            self._listing = self._work.folder.open_listing()
            self._computing = self._work.task.prepare()
        except MelanomaTLError as error:
            self._failure = str(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Compute and write one shard.

        Parameters
        ----------
        row : dict
            The number of the shard, under "shard".

        Returns
        -------
        dict
            The number under "shard", and the error message under "failure", empty on success.
        """
        number = int(row["shard"])
        failure = self._failure
        if not failure:
            try:
                self._make(number)
            except MelanomaTLError as error:
                failure = str(error)
        return {"shard": number, "failure": failure}

    def _make(self, number: int) -> None:
        paths = self._listing[number]
        self._check_there(paths)
        images = [as_image(self._work.images, path) for path in paths]
        with self._work.folder.attempt(number):
            tables = self._computing.compute(paths, images)
            self._work.folder.write(number, tables, self._computing.schema, **self._computing.options)

    def _check_there(self, paths: list[str]) -> None:
        infos = self._work.images.get_file_info(paths[:_SUSPICIOUS])
        if len(infos) == _SUSPICIOUS and all(info.type == FileType.NotFound for info in infos):
            infos = self._work.images.get_file_info(paths)
            if all(info.type == FileType.NotFound for info in infos):
                raise JobError(
                    f"{paths[0]}: neither this nor any of the {len(paths)} images of the shard can be found by the "
                    f"worker on {os.uname().nodename}; put images on storage that all machines share, or give a URI"
                )


def _fetch(work: Any) -> WorkOrder:
    if isinstance(work, WorkOrder):
        return work
    import ray

    return ray.get(work)


def _limit_threads(number: int) -> None:
    """Limit the threads of this actor; the variables are read when Keras is imported."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(number)
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # several actors may share a GPU
    pa.set_cpu_count(number)
