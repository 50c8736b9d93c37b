"""`melanoma_tl.scale.jobs` on Ray, and the local path on the same files."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from stopwatch import Stopwatch

from melanoma_tl import TransferClassifier
from melanoma_tl.scale.jobs import score


def on_ray(folder: str, n: int, model: str, actors: int, shard_size: int) -> dict[str, Any]:
    """Score the first n files: seconds, images a second once every actor has finished a shard, and peak memory."""
    files = first_files(folder, n)
    # Else whatever runs beside slows Ray down more than the local path; the name is Ray's.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    ray.init(include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as out, peaks_of_actors() as peaks:
        watch = Stopwatch()
        result = score(files, model, out, actors=actors, shard_size=shard_size, verbose=0)
        seconds = watch.seconds()
        ends = sorted(part.stat().st_mtime for part in Path(out).glob("part-*"))
    ray.shutdown()
    if result.n_scored != n:
        raise RuntimeError(f"{result}, which is not {n}")
    return {
        "value": seconds,
        "rate": (n - actors * shard_size) / (ends[-1] - ends[actors - 1]),
        "driver_mib": peak_mib("self"),
        "actor_mib": max(peaks.values()),
    }


def local(folder: str, n: int, model: str) -> dict[str, Any]:
    """Score the first n files in one process, as on one machine."""
    classifier = TransferClassifier.load(model).set_params(verbose=0)
    files = first_files(folder, n)
    classifier.predict_proba(files[:32])  # traces the graph
    watch = Stopwatch()
    classifier.predict_proba(files)
    return {"value": watch.seconds(), "rate": n / watch.seconds(), "process_mib": peak_mib("self")}


def first_files(folder: str, n: int) -> list[Path]:
    return sorted(Path(folder).iterdir())[:n]


@contextmanager
def peaks_of_actors() -> Iterator[dict[int, float]]:
    """Watch the most memory that each actor ever held, in MiB."""
    peaks: dict[int, float] = {}
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(0.5):
            for process in actors():
                try:
                    peaks[process] = peak_mib(str(process))
                except (OSError, ValueError):  # it has ended
                    continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        stopped.set()
        thread.join()


def actors() -> list[int]:
    """Find the actors of this machine."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ShardWorker" in command.read_bytes()[:100]:
                found.append(int(command.parent.name))
        except OSError:
            continue
    return found


def peak_mib(process: str) -> float:
    """Read the most memory that a process ever held (on Linux)."""
    (peak,) = (line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024
