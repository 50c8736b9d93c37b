"""What runs in a Ray actor: it gets ready once, then works on one shard after the other."""

import os
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow.fs import FileSystem, FileType

from melanoma_tl.errors import JobError, MelanomaTLError
from melanoma_tl.scale.filesystems import as_image
from melanoma_tl.scale.job_folder import JobFolder

_SUSPICIOUS = 16
"""So many images that were listed, and none of them there, are no accident: this machine does not see the folder."""


@dataclass(frozen=True)
class WorkOrder:
    """What every worker is told.

    Attributes
    ----------
    task : Scoring or Extraction
        What is computed of an image.
    images : pyarrow.fs.FileSystem
        Where the images are.
    folder : JobFolder
        Where the shards go.
    threads : int
        How many processors a worker may keep busy.
    """

    task: Any
    images: FileSystem
    folder: JobFolder
    threads: int


class ShardWorker:
    """Computes and writes shards.

    What it cannot do becomes part of its answer: the driver says it in one line, where an exception
    would arrive as a page of both machines' stacks.

    Parameters
    ----------
    work : WorkOrder or ray.ObjectRef
        What it is told.
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
        """Work on a shard.

        Parameters
        ----------
        row : dict
            With its number under "shard".

        Returns
        -------
        dict
            The number, and under "failure" what went wrong, or nothing.
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
                    f"{paths[0]}: neither it nor any of the {len(paths)} images of this shard is there for the worker "
                    f"on {os.uname().nodename}; give images that all machines share, or a URI"
                )


def _fetch(work: Any) -> WorkOrder:
    if isinstance(work, WorkOrder):
        return work
    import ray

    return ray.get(work)


def _limit_threads(number: int) -> None:
    """Leave the other processors to other actors; read when Keras is imported."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(number)
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # several actors may share a GPU
    pa.set_cpu_count(number)
