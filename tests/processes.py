"""Processes and limits of tests: nothing is waited for without end, and nothing outlives its test."""

import subprocess
from contextlib import contextmanager

import pytest

PATIENCE = 500
"""Seconds within which a process ends even where the machine does other work; less than a test may take at all."""


@contextmanager
def started(command, **options):
    """Start a process, which is killed at the end of the block if it still runs."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def full_disk(n_bytes):
    """Let no file grow beyond some bytes, in this process: as near to a full disk as an ordinary user can come."""
    resource = pytest.importorskip("resource", reason="only POSIX limits the size of files")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))  # Python ignores the signal: writing fails
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
