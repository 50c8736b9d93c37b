"""Simulate a job of a million images on one machine: listing, memory of the calling process, a kill, and going on.

    python benchmarks/large_job.py --folder /dev/shm --json large_job.json

A few drawn images of 32 x 32 pixels have a million names (hard links), and a network of two convolutions scores them:
what is measured is what the library does around the network. The job is killed after a third of its shards, and called
again. Needs the extra ``ray``.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from table import publish

SIDE, N_DIFFERENT, PER_FOLDER = 32, 64, 1000


def lay_out(folder: Path, n_images: int) -> None:
    """Draw a few images, and give them many names."""
    rng = np.random.default_rng(0)
    (folder / "drawn").mkdir()
    drawn = [folder / "drawn" / f"{number}.jpg" for number in range(N_DIFFERENT)]
    for file in drawn:
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(file)
    for number in range(n_images):
        if number % PER_FOLDER == 0:
            place = folder / "images" / f"{number // PER_FOLDER:05}"
            place.mkdir(parents=True)
        os.link(drawn[number % N_DIFFERENT], place / f"{number:09}.jpg")


def save_model(file: Path) -> None:
    """Save a classifier of two convolutions."""
    import keras

    from melanoma_tl import TransferClassifier, register_backbone

    scaling = keras.layers.Rescaling(1 / 255, name="scale")

    @register_backbone("two convolutions", preprocess=scaling, input_size=(SIDE, SIDE))
    def build(input_tensor: Any, weights: Any) -> Any:  # noqa: ARG001 -- it has none
        pixels = input_tensor
        for number, filters in enumerate((4, 8), 1):
            convolution = keras.layers.Conv2D(filters, 3, strides=2, activation="relu", name=f"convolution_{number}")
            pixels = convolution(pixels)
        return keras.Model(keras.utils.get_source_inputs(input_tensor), pixels)

    images = np.random.default_rng(0).integers(0, 256, (12, SIDE, SIDE, 3), dtype=np.uint8)
    settings = {"weights": None, "input_size": (SIDE, SIDE), "epochs": 1, "random_state": 0, "verbose": 0}
    TransferClassifier("two convolutions", **settings).fit(images, [0, 1] * 6).save(file)


def run_job(folder: Path, shard_size: int) -> None:
    """Score in this process; print seconds, memory in GiB and what came out."""
    from melanoma_tl import scale

    begun = time.perf_counter()
    result = scale.score(folder / "images", folder / "model.keras", out=folder / "scores", shard_size=shard_size)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps([time.perf_counter() - begun, memory, result.n_scored]))


def count_shards(folder: Path) -> int:
    return len(list((folder / "scores").glob("*.parquet")))


def start(folder: Path, shard_size: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--run", str(folder), "--shard-size", str(shard_size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def kill_after(folder: Path, shard_size: int, n_shards: int) -> tuple[float, float]:
    """Kill a job once it has finished some shards; return seconds to the first of them, and to the kill."""
    begun, first = time.perf_counter(), 0.0
    job = start(folder, shard_size)
    while (finished := count_shards(folder)) < n_shards:
        if job.poll() is not None:
            raise RuntimeError("the job ended before it was killed")
        first = first or (time.perf_counter() - begun if finished else 0.0)
        time.sleep(0.2)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    return first or time.perf_counter() - begun, time.perf_counter() - begun


def measure(folder: Path, n_images: int, shard_size: int) -> dict[str, Any]:
    from pyarrow import dataset

    begun = time.perf_counter()
    lay_out(folder, n_images)
    laid_out = time.perf_counter() - begun
    save_model(folder / "model.keras")
    first, killed = kill_after(folder, shard_size, -(-n_images // shard_size) // 3)
    kept = count_shards(folder)
    finished, _ = start(folder, shard_size).communicate()
    seconds, memory, n_scored = json.loads(finished.splitlines()[-1])
    files = [str(file) for file in (folder / "scores").glob("*.parquet")]
    paths = dataset.dataset(files).to_table(columns=["path"]).column("path")
    return {
        "n_images": n_images,
        "shard_size": shard_size,
        "laid_out_s": laid_out,
        "first_shard_s": first,
        "killed_s": killed,
        "kept_shards": kept,
        "rest_s": seconds,
        "rate_of_rest": (n_images - kept * shard_size) / seconds,
        "driver_gib": memory,
        "n_scored": n_scored,
        "n_paths": len(paths.unique()),
    }


def markdown(results: dict[str, Any]) -> str:
    machine, found = results["machine"], results["found"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; load average {results['load']:.1f} before.",
        "",
        f"| a job of {found['n_images']:,} drawn images, {found['shard_size']:,} a shard | |",
        "| --- | ---: |",
        f"| seconds to the first shard, with listing and the start of Ray | {found['first_shard_s']:.0f} |",
        f"| seconds to the kill, after {found['kept_shards']} shards | {found['killed_s']:.0f} |",
        f"| seconds of the second call, which keeps these | {found['rest_s']:.0f} |",
        f"| images a second in it, start included | {found['rate_of_rest']:,.0f} |",
        f"| memory of the calling process, GiB | {found['driver_gib']:.2f} |",
        f"| images with a score | {found['n_scored']:,} |",
        f"| different paths in the result | {found['n_paths']:,} |",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    from machine import describe_machine, describe_versions

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000, help="(default: %(default)s)")
    parser.add_argument("--shard-size", type=int, default=8192, help="images a shard (default: %(default)s)")
    parser.add_argument("--folder", help="where to lay out the names (default: that of temporary files)")
    parser.add_argument("--json", type=Path, default=Path("out/large_job.json"), help="(default: %(default)s)")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_job(options.run, options.shard_size)
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(Path(folder), options.images, options.shard_size)
    results = {"machine": describe_machine(), "versions": describe_versions(), "load": load, "found": found}
    publish(results, markdown(results), options.json)


if __name__ == "__main__":
    main()
