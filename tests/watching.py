"""Watch what an untrusted file makes this process do."""

import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

STARTED = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "subprocess.Popen",
    "socket.connect",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "pickle.find_class",
)
"""Audit events of Python by which code from a file would show."""

NAMES_CHANGED = {
    "os.mkdir": [(0, 2)],
    "os.rmdir": [(0, 1)],
    "os.remove": [(0, 1)],
    "os.rename": [(0, 2), (1, 3)],
    "os.symlink": [(1, 2)],  # where the link is made: what it names need not even be there
    "os.link": [(0, 2), (1, 3)],  # both: what is written into the new name is written into the old one
    "shutil.rmtree": [(0, 1)],
}
"""Audit events by which a name comes or goes: positions of each path and of the open folder that it is relative to."""

FILES_CHANGED = {"os.truncate": None, "os.chmod": 2, "os.chown": 3, "os.utime": 3}
"""Audit events that change the file that a name leads to: position of the open folder that it is relative to."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _resolve(path, folder, *, follow):
    """Return what is meant, or None where it was opened before, and seen then."""
    if isinstance(path, int):
        return None
    path = Path(os.fsdecode(path))
    if isinstance(folder, int) and folder >= 0:
        if not Path("/proc/self/fd").exists():
            return None  # only Linux tells which folder it is
        path = Path("/proc/self/fd", str(folder), path)
    if follow or path.name == "..":
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent), path.name)


def _changed(event, arguments):
    """Return the paths that an event changes."""
    if event == "open":
        path, _, flags = arguments
        return [_resolve(path, None, follow=True)] if flags & _WRITING else []
    known = dict(enumerate(arguments))
    if event in NAMES_CHANGED:
        return [_resolve(known[at], known.get(folder), follow=False) for at, folder in NAMES_CHANGED[event]]
    if event in FILES_CHANGED:
        return [_resolve(known[0], known.get(FILES_CHANGED[event]), follow=True)]
    return []


@contextmanager
def watching():
    """Note what is started, sent, or changed outside of the temporary folder.

    Only what Python does is heard: what a library writes in C is not.
    """
    seen, is_on = [], [True]
    inside = Path(os.path.realpath(tempfile.gettempdir()))

    def note(event, arguments):
        if not is_on[0]:
            return
        if event in STARTED:
            seen.append((event, str(arguments)[:80]))
        changed = [path for path in _changed(event, arguments) if path is not None and path != Path(os.devnull)]
        seen.extend((event, str(path)) for path in changed if not path.is_relative_to(inside))

    wrote_bytecode = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # of modules that are imported on the way: their caches lie beside them
    sys.addaudithook(note)  # which stays until the process ends
    try:
        yield seen
    finally:
        is_on[0] = False
        sys.dont_write_bytecode = wrote_bytecode


def most_memory(*, anew=False):
    """Return the most kilobytes that the process has had, or had since this was asked for `anew`; None if not told."""
    status = Path("/proc/self/status")
    if not status.exists():  # only Linux tells, and forgets
        return None
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    return int(next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")))


def read_hostile(cases, refusal, is_good, *, seconds, kilobytes):
    """Read each hostile file; return the results of those that are not refused.

    Every other file must raise `refusal`, and `is_good` must accept its name and the text of the error. No file may
    take longer than `seconds` of processor time, and nothing may be started or written elsewhere. `kilobytes` limits
    the growth of the process over all files, where the system tells it.
    """
    done, wrong, before = {}, [], most_memory(anew=True)
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

    if before is not None:
        assert most_memory() - before < kilobytes
    return done
