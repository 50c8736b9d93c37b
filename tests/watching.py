"""Watch what a file that need not be trusted makes this process do."""

import sys
import tempfile
from contextlib import contextmanager

STARTED = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "pickle.find_class",
)
"""Audit events of Python by which code from a file would show."""


@contextmanager
def watching():
    """Note what is started, connected to, or written outside of the temporary folder."""
    seen, is_on = [], [True]

    def note(event, arguments):
        if not is_on[0]:
            return
        if event in STARTED:
            seen.append((event, str(arguments)[:80]))
        writes = event == "open" and isinstance(arguments[1], str) and bool(set(arguments[1]) & set("wax+"))
        if writes and not str(arguments[0]).startswith((tempfile.gettempdir(), "/dev/")):
            seen.append((event, str(arguments[0])))

    sys.addaudithook(note)  # which stays until the process ends
    try:
        yield seen
    finally:
        is_on[0] = False
