"""The folder of a job: what it is about, what is listed, and the shards that are finished."""

import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileSystem, FileType

from melanoma_tl.errors import DatasetError, JobError, MelanomaTLError
from melanoma_tl.images.parallel import map_threaded
from melanoma_tl.scale import listing
from melanoma_tl.scale.listing import Listing, Names
from melanoma_tl.scale.lock import Lock

_JOB_FOLDER = "_job"
"""The folder of what is no shard; readers of Parquet pass over names that begin with an underscore."""

_SHARD = re.compile(r"part-(\d{6,})\.parquet")

_MOST_DEATHS = 3
"""So many workers may die while they work on the same shard. Ray starts them anew as often as they die, which is right
where machines are taken away; but what kills every worker must not go on for ever."""


class Shard(NamedTuple):
    """A finished shard.

    Attributes
    ----------
    rows : int
        How many rows it has.
    errors : int
        In how many of them stands an error.
    """

    rows: int
    errors: int


@dataclass(frozen=True)
class JobFolder:
    """A folder that holds one job, on any filesystem.

    Attributes
    ----------
    filesystem : pyarrow.fs.FileSystem
        Where it is.
    path : str
        Its path there.
    """

    filesystem: FileSystem
    path: str

    @contextmanager
    def locked(self) -> Iterator[Lock]:
        """Take the folder for one job; make it if there is none.

        Yields
        ------
        Lock
            To be checked from time to time.

        Raises
        ------
        JobError
            If another job works there, it holds other files, or it cannot be written.
        """
        self._check_ours()
        with _as_job_error(f"{self.path}: cannot be made"):
            self.filesystem.create_dir(self._own("unfinished"), recursive=True)
        lock = Lock(self.filesystem, self._own("lock.json"))
        with lock.held():
            self._clear_unfinished()
            try:
                yield lock
            finally:
                self._clear_unfinished()

    def _clear_unfinished(self) -> None:
        self.filesystem.delete_dir_contents(self._own("unfinished"), missing_dir_ok=True)

    def _check_ours(self) -> None:
        found = self.filesystem.get_file_info(FileSelector(self.path, allow_not_found=True))
        others = sorted(info.base_name for info in found if info.base_name != _JOB_FOLDER)
        if others and self.read_manifest() is None:
            raise JobError(f"{self.path}: holds {others[0]!r} and was not made by a job; give a new or an empty folder")

    # -- what the job is about -------------------------------------------------------------------------------------

    def start(self, job: dict[str, Any], names: Names, per_shard: int) -> int:
        """List the images of a new job, or recognise the one that is there.

        Parameters
        ----------
        job : dict
            What decides what is computed, as JSON can hold it.
        names : Names
            The images.
        per_shard : int
            Images a shard, of a new job.

        Returns
        -------
        int
            How many images there are.

        Raises
        ------
        DatasetError
            If there are none.
        JobError
            If the folder holds another job.
        """
        known = self.read_manifest()
        if known is None:
            return self._list(job, names, per_shard)
        for part in sorted(job.keys() | known["job"].keys()):
            if job.get(part) != known["job"].get(part):
                raise JobError(
                    f"{self.path}: holds a job with another {part} ({_short(known['job'].get(part))}, now "
                    f"{_short(job.get(part))}); go on with the same, or choose another folder"
                )
        if (names.pattern or listing.digest_of(names.paths)) != known["images"]:
            raise JobError(
                f"{self.path}: holds a job about other images ({_short(known['images'])}); give the same ones to go "
                "on, or choose another folder"
            )
        return known["n_images"]

    def _list(self, job: dict[str, Any], names: Names, per_shard: int) -> int:
        unfinished = self._own("unfinished/images.parquet")
        with _as_job_error(f"{self.path}: the list of images cannot be written"):
            n_images, digest = listing.write(names.paths, self.filesystem, unfinished, per_shard)
            if not n_images:
                raise DatasetError(f"{names.pattern}: no image matches")
            self.filesystem.move(unfinished, self._own("images.parquet"))
            images = names.pattern or digest
            manifest = {"format_version": 1, "job": job, "images": images, "n_images": n_images, "per_shard": per_shard}
            with self.filesystem.open_output_stream(self._own("unfinished/job.json")) as file:
                file.write(json.dumps(manifest, indent=2).encode())
            self.filesystem.move(self._own("unfinished/job.json"), self._own("job.json"))
        return n_images

    def read_manifest(self) -> dict[str, Any] | None:
        """Read what the job is about.

        Returns
        -------
        dict or None
            None if no job has begun here.

        Raises
        ------
        JobError
            If it cannot be read, or is of another version.
        """
        file = self._own("job.json")
        if self.filesystem.get_file_info(file).type == FileType.NotFound:
            return None
        try:
            with self.filesystem.open_input_stream(file) as stream:
                manifest = json.loads(stream.read())
        except (OSError, ValueError) as error:
            raise JobError(f"{file}: cannot be read ({error})") from error
        if manifest.get("format_version") != 1:
            raise JobError(f"{file}: was written by another version of melanoma_tl; choose another folder")
        return manifest

    def open_listing(self) -> Listing:
        """Open the list of the images.

        Returns
        -------
        Listing
            Read shard by shard.

        Raises
        ------
        JobError
            If it is not there: the folder is not shared by all machines.
        """
        try:
            return Listing(self.filesystem, self._own("images.parquet"))
        except (OSError, pa.ArrowException) as error:
            raise JobError(
                f"{self.path}: the list of images cannot be read by a worker ({error}); "
                "give a folder that all machines share, or a URI"
            ) from error

    # -- shards ----------------------------------------------------------------------------------------------------

    def shard(self, number: int) -> str:
        """Return the path of a shard."""
        return f"{self.path}/part-{number:06}.parquet"

    def finished(self) -> dict[int, Shard]:
        """Look which shards are whole.

        Returns
        -------
        dict of int to Shard
            By their number.
        """
        found = self.filesystem.get_file_info(FileSelector(self.path))
        files = {int(name[1]): info for info in found if (name := _SHARD.fullmatch(info.base_name)) and info.is_file}
        shards = map_threaded(self._look, (info.path for info in files.values()))
        return {number: shard for number, shard in zip(files, shards, strict=True) if shard is not None}

    def _look(self, path: str) -> Shard | None:
        try:
            footer = pq.read_metadata(path, filesystem=self.filesystem)
        except (OSError, pa.ArrowException):  # cut short, by a power cut: it is made again
            return None
        groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        of_error = [group.column(group.num_columns - 1).statistics for group in groups]  # the last column
        return Shard(footer.num_rows, footer.num_rows - sum(statistics.null_count for statistics in of_error))

    @contextmanager
    def attempt(self, number: int) -> Iterator[None]:
        """Note that a worker is at a shard; the note of one that dies stays.

        Parameters
        ----------
        number : int
            Of the shard.

        Yields
        ------
        None
            While it is computed.

        Raises
        ------
        JobError
            If too many have died at it.
        """
        notes = self._own(f"unfinished/part-{number:06}.begun")
        self.filesystem.create_dir(notes)
        deaths = len(self.filesystem.get_file_info(FileSelector(notes)))
        if deaths >= _MOST_DEATHS:
            raise JobError(
                f"{self.shard(number)}: {deaths} workers died while they made this shard; memory may be too small "
                "(fewer actors or a smaller batch_size need less), or one of its images crashes the decoder"
            )
        note = f"{notes}/{secrets.token_hex(4)}"
        with self.filesystem.open_output_stream(note) as file:
            file.write(b"begun")
        try:
            yield
        finally:
            with suppress(FileNotFoundError):  # the job was stopped, and its folder tidied, meanwhile
                self.filesystem.delete_file(note)

    def write(self, number: int, tables: Iterable[pa.Table], schema: pa.Schema, **options: Any) -> None:
        """Write a shard, whole or not at all.

        Parameters
        ----------
        number : int
            Its number.
        tables : iterable of pyarrow.Table
            Its rows, computed as they are written.
        schema : pyarrow.Schema
            Their columns; the last one is "error".
        **options : dict
            For `pyarrow.parquet.ParquetWriter`.

        Raises
        ------
        JobError
            If it cannot be written; those that are finished stay.
        """
        unfinished = self._own(f"unfinished/part-{number:06}.{secrets.token_hex(4)}.parquet")
        with _as_job_error(f"{self.shard(number)}: the shard cannot be written"):
            with (
                self.filesystem.open_output_stream(unfinished) as sink,
                pq.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True, **options) as writer,
            ):
                for table in tables:
                    writer.write_table(table)
            self.filesystem.move(unfinished, self.shard(number))

    def read(self, number: int, columns: Sequence[str], **options: Any) -> Iterator[pa.RecordBatch]:
        """Read a shard, and compare it with its checksums.

        Parameters
        ----------
        number : int
            Its number.
        columns : sequence of str
            Which are read.
        **options : dict
            For `pyarrow.dataset.Dataset.to_batches`.

        Yields
        ------
        pyarrow.RecordBatch
            Some rows.

        Raises
        ------
        JobError
            If it cannot be read, or is not as it was written.
        """
        import pyarrow.dataset as ds

        checked = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
        parquet = ds.ParquetFileFormat(default_fragment_scan_options=checked)
        try:
            shard = ds.dataset(self.shard(number), filesystem=self.filesystem, format=parquet)
            yield from shard.to_batches(columns=columns, **options)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise JobError(
                f"{self.shard(number)}: missing or damaged ({error}); delete it, and call again what wrote it"
            ) from error

    def _own(self, name: str) -> str:
        return f"{self.path}/{_JOB_FOLDER}/{name}"


@contextmanager
def _as_job_error(what: str) -> Iterator[None]:
    """Turn an OSError into a JobError that says what to do."""
    try:
        yield
    except MelanomaTLError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise JobError(
            f"{what} ({error}); what is finished stays: make room or make the folder writable, and call again"
        ) from error


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) < 80 or os.sep in text else f"{text[:12]}..."
