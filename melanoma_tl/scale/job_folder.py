"""The folder of a job: its manifest, the list of images, and the finished shards."""

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
"""Subfolder of all files except shards; Parquet readers ignore names that begin with an underscore."""

_SHARD = re.compile(r"part-(\d{6,})\.parquet")

_MOST_DEATHS = 3
"""Number of workers that may die on the same shard before the job stops. Ray restarts workers without limit, which is
right for preempted machines, but not for a shard that crashes every worker."""


class Shard(NamedTuple):
    """A finished shard.

    Attributes
    ----------
    rows : int
        Number of rows.
    errors : int
        Number of rows with an error.
    """

    rows: int
    errors: int


@dataclass(frozen=True)
class JobFolder:
    """A folder that holds one job, on any filesystem.

    Attributes
    ----------
    filesystem : pyarrow.fs.FileSystem
        Its filesystem.
    path : str
        Its path.
    """

    filesystem: FileSystem
    path: str

    @contextmanager
    def locked(self) -> Iterator[Lock]:
        """Lock the folder for one job; create it if it does not exist.

        Yields
        ------
        Lock
            The lock, which must be checked from time to time.

        Raises
        ------
        JobError
            If another job uses the folder, it holds other files, or it cannot be written.
        """
        self._check_ours()
        with _as_job_error(f"{self.path}: cannot be created"):
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
            raise JobError(f"{self.path}: holds {others[0]!r} and is no folder of a job; give a new or an empty folder")

    # -- the manifest ----------------------------------------------------------------------------------------------

    def start(self, job: dict[str, Any], names: Names, per_shard: int) -> int:
        """List the images of a new job, or check that the job in the folder is the same.

        Parameters
        ----------
        job : dict
            Everything that determines the result, serialisable as JSON.
        names : Names
            The images.
        per_shard : int
            Images per shard of a new job.

        Returns
        -------
        int
            Number of images.

        Raises
        ------
        DatasetError
            If there are no images.
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
                    f"{_short(job.get(part))}); continue with the same one, or choose another folder"
                )
        if (names.pattern or listing.digest_of(names.paths)) != known["images"]:
            raise JobError(
                f"{self.path}: holds a job for other images ({_short(known['images'])}); give the same ones to "
                "continue it, or choose another folder"
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
        """Read the manifest of the job.

        Returns
        -------
        dict or None
            The manifest; None if no job has begun here.

        Raises
        ------
        JobError
            If the manifest cannot be read, or is from another version.
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
            The list, read shard by shard.

        Raises
        ------
        JobError
            If it cannot be read, such as in a folder that not all machines share.
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
        """Return the finished shards.

        Returns
        -------
        dict of int to Shard
            The shards by their number.
        """
        found = self.filesystem.get_file_info(FileSelector(self.path))
        files = {int(name[1]): info for info in found if (name := _SHARD.fullmatch(info.base_name)) and info.is_file}
        shards = map_threaded(self._look, (info.path for info in files.values()))
        return {number: shard for number, shard in zip(files, shards, strict=True) if shard is not None}

    def _look(self, path: str) -> Shard | None:
        try:
            footer = pq.read_metadata(path, filesystem=self.filesystem)
        except (OSError, pa.ArrowException):  # truncated, such as by a power cut: it is computed again
            return None
        groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        of_error = [group.column(group.num_columns - 1).statistics for group in groups]  # the last column
        return Shard(footer.num_rows, footer.num_rows - sum(statistics.null_count for statistics in of_error))

    @contextmanager
    def attempt(self, number: int) -> Iterator[None]:
        """Record that a worker computes a shard; the record of a worker that dies is left behind.

        Parameters
        ----------
        number : int
            Number of the shard.

        Yields
        ------
        None
            While the shard is computed.

        Raises
        ------
        JobError
            If too many workers have died on this shard.
        """
        notes = self._own(f"unfinished/part-{number:06}.begun")
        self.filesystem.create_dir(notes)
        deaths = len(self.filesystem.get_file_info(FileSelector(notes)))
        if deaths >= _MOST_DEATHS:
            raise JobError(
                f"{self.shard(number)}: {deaths} workers died while computing this shard; memory may be too small "
                "(fewer actors need less, or a smaller batch_size in another folder), or an image crashes the decoder"
            )
        note = f"{notes}/{secrets.token_hex(4)}"
        with self.filesystem.open_output_stream(note) as file:
            file.write(b"begun")
        try:
            yield
        finally:
            with suppress(FileNotFoundError):  # the job was stopped meanwhile, and its folder cleaned up
                self.filesystem.delete_file(note)

    def write(self, number: int, tables: Iterable[pa.Table], schema: pa.Schema, **options: Any) -> None:
        """Write a shard atomically.

        Parameters
        ----------
        number : int
            Number of the shard.
        tables : iterable of pyarrow.Table
            Its rows, computed while they are written.
        schema : pyarrow.Schema
            Their columns; the last one is "error".
        **options : dict
            Passed on to `pyarrow.parquet.ParquetWriter`.

        Raises
        ------
        JobError
            If it cannot be written; finished shards are kept.
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
        """Read a shard and verify its checksums.

        Parameters
        ----------
        number : int
            Number of the shard.
        columns : sequence of str
            The columns to read.
        **options : dict
            Passed on to `pyarrow.dataset.Dataset.to_batches`.

        Yields
        ------
        pyarrow.RecordBatch
            Some of its rows.

        Raises
        ------
        JobError
            If the shard is missing or damaged.
        """
        import pyarrow.dataset as ds

        checked = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
        parquet = ds.ParquetFileFormat(default_fragment_scan_options=checked)
        try:
            shard = ds.dataset(self.shard(number), filesystem=self.filesystem, format=parquet)
            yield from shard.to_batches(columns=columns, **options)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise JobError(
                f"{self.shard(number)}: missing or damaged ({error}); delete it, and run the job again"
            ) from error

    def _own(self, name: str) -> str:
        return f"{self.path}/{_JOB_FOLDER}/{name}"


@contextmanager
def _as_job_error(what: str) -> Iterator[None]:
    """Convert an OSError to a JobError that says what to do."""
    try:
        yield
    except MelanomaTLError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise JobError(
            f"{what} ({error}); finished shards are kept: free space or make the folder writable, and call again"
        ) from error


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) < 80 or os.sep in text else f"{text[:12]}..."
