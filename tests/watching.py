"""Watch what an untrusted file makes this process do."""

import resource
import sys
import tempfile
import time
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


def read_hostile(cases, refusal, is_good, *, seconds, kilobytes):
    """Read each hostile file; return the results of those that are not refused.

    Every other file must raise `refusal`, and `is_good` must accept its name and the text of the error. No file may
    take longer than `seconds` of processor time, and nothing may be started or written elsewhere. `kilobytes` limits
    the growth of the process over all files.
    """
    done, wrong, before = {}, [], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with watching() as seen:
        for name, read in cases:
            start = time.process_time()
            try:
                done[name] = read()
            except refusal as error:
                if not is_good(name, str(error)):
                    wrong.append(f"{name}: {error!s:.300}")
            except Exception as error:
                wrong.append(f"{name}: {error!r:.300}")
            if time.process_time() - start > seconds:
                wrong.append(f"{name}: {time.process_time() - start:.0f} s")
    assert not wrong, "\n".join(wrong)
    assert not seen
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < kilobytes
    return done
