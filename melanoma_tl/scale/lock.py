"""One job a folder: a file that its owner keeps changing, so that nobody's clock need be right."""

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
"""Seconds after which the owner changes the file again."""

MISSED = 3
"""So many beats without a change say that the owner is gone."""

_held: set[str] = set()
"""Locks of this process."""


class Lock:
    """The right to write into a folder, while `held` is open.

    Parameters
    ----------
    filesystem : pyarrow.fs.FileSystem
        Where the folder is.
    file : str
        The file that says who works there.
    """

    def __init__(self, filesystem: FileSystem, file: str) -> None:
        self._filesystem, self._file = filesystem, file
        self._owner = {"token": secrets.token_hex(8), "host": socket.gethostname(), "process": os.getpid()}
        self._lost = ""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Take the folder, and give it back.

        A folder whose owner was killed on this machine is free at once; on another one, when its file
        has not changed for three beats.

        Yields
        ------
        None
            The file is changed in the background.

        Raises
        ------
        JobError
            If another job works there.
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
        """Stop if another job has taken the folder meanwhile.

        Parameters
        ----------
        owner : dict, optional
            Who holds it now, where that was just read.

        Raises
        ------
        JobError
            If it is another.
        """
        if owner is not None and owner.get("token") != self._owner["token"]:
            self._lost = _describe(owner)
        if self._lost:
            raise JobError(f"{self._file}: the folder was taken by {self._lost}; one job a folder")

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
                    f"{self._file}: {_describe(now)} works in this folder; wait until it has finished, "
                    "or choose another folder"
                )

    def _is_dead(self, owner: dict[str, Any]) -> bool:
        """Return whether the owner was a process of this machine and is no more."""
        process = owner.get("process")
        if owner.get("host") != self._owner["host"] or not isinstance(process, int):
            return False
        if process == os.getpid():  # an earlier one of the same number, as in a container that was started again
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
