"""A lock on the folder of a job: a file that its owner rewrites regularly, so that clocks need not agree."""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyarrow.fs import FileSystem, FileType

from melanoma_tl.errors import JobError

logger = logging.getLogger(__name__)

BEAT = 5.0
"""Seconds between two updates of the file by its owner."""

MISSED = 3
"""Number of missed updates after which the owner counts as dead."""

_held: set[str] = set()
"""Tokens of the locks that this process holds."""


class Lock:
    """An exclusive lock on a folder.

    Parameters
    ----------
    filesystem : pyarrow.fs.FileSystem
        Filesystem of the folder.
    file : str
        The lock file, which names its owner.
    """

    def __init__(self, filesystem: FileSystem, file: str) -> None:
        self._filesystem, self._file = filesystem, file
        self._owner = {"token": secrets.token_hex(8), "host": socket.gethostname(), "process": os.getpid()}
        self._lost = ""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock within a context.

        The lock of a process that was killed on this machine is taken over at once; that of a process on
        another machine when its file has not changed for three updates.

        Yields
        ------
        None
            While the lock is held; the file is updated in the background.

        Raises
        ------
        JobError
            If another job holds the lock.
        """
        self._wait_for_owner()
        token, stopped = str(self._owner["token"]), threading.Event()
        self._write(0)
        self.check(self._read())
        _held.add(token)
        beats = threading.Thread(target=self._beat, args=[stopped], daemon=True)
        beats.start()
        try:
            yield
        finally:
            stopped.set()
            beats.join()
            _held.discard(token)
            if not self._lost:
                self._filesystem.delete_file(self._file)

    def check(self, owner: dict[str, Any] | None = None) -> None:
        """Raise an error if another job has taken over the lock.

        Parameters
        ----------
        owner : dict, optional
            The current owner, if it was just read.

        Raises
        ------
        JobError
            If another job holds the lock.
        """
        if owner is not None and owner.get("token") != self._owner["token"]:
            self._lost = _describe(owner)
        if self._lost:
            raise JobError(f"{self._file}: the folder was taken over by {self._lost}; give each job its own folder")

    def _wait_for_owner(self) -> None:
        owner = self._read()
        if owner is None or self._is_dead(owner):
            return
        end = time.monotonic() + MISSED * BEAT
        while time.monotonic() < end:
            time.sleep(BEAT / 4)
            now = self._read()
            if now is None:
                return
            if now != owner:
                raise JobError(
                    f"{self._file}: {_describe(now)} uses this folder; wait until it has finished, "
                    "or choose another folder"
                )

    def _is_dead(self, owner: dict[str, Any]) -> bool:
        """Return whether the owner was a process of this machine that has ended."""
        process = owner.get("process")
        if owner.get("host") != self._owner["host"] or not isinstance(process, int):
            return False
        if process == os.getpid():  # perhaps an earlier process with the same id, as in a restarted container
            return owner.get("token") not in _held
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    def _beat(self, stopped: threading.Event) -> None:
        number = 0
        while not stopped.wait(BEAT):
            number += 1
            try:
                owner = self._read()
                if owner is not None and owner.get("token") != self._owner["token"]:
                    self._lost = _describe(owner)
                    return
                self._write(number)
            except OSError as error:  # the next beat may succeed
                logger.warning("%s cannot be written: %s", self._file, error)

    def _write(self, beat: int) -> None:
        with self._filesystem.open_output_stream(self._file) as file:
            file.write(json.dumps(self._owner | {"beat": beat}).encode())

    def _read(self) -> dict[str, Any] | None:
        if self._filesystem.get_file_info(self._file).type == FileType.NotFound:
            return None
        try:
            with self._filesystem.open_input_stream(self._file) as file:
                return json.loads(file.read())
        except FileNotFoundError:
            return None
        except ValueError:  # it is being written at this moment
            return {}


def _describe(owner: dict[str, Any]) -> str:
    return f"another job (process {owner.get('process', 'unknown')} on {owner.get('host', 'unknown')})"
