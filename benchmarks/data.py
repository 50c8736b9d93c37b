"""Measure what `melanoma_tl` promises of data: decoding speed, near-duplicates, memory.

    python benchmarks/data.py --data DIR [--quick] [--json FILE]

DIR holds the ISBI 2016 and ISIC 2017 images under their official names, and `full_resolution/` with some of them as
published. Times are of one run on one machine: read the ratios.
"""

import argparse
import io
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from tqdm.auto import tqdm

from melanoma_tl._versions import library_versions
from melanoma_tl.datasets.image_files import find_images
from melanoma_tl.datasets.near_duplicates import MAX_COARSE_DISTANCE, MAX_FINE_DISTANCE, distances, find_near_duplicates
from melanoma_tl.images.decoding import decode, load_image
from melanoma_tl.images.fingerprints import Fingerprint, Fingerprints, fingerprint_images

FOLDERS = ("ISBI2016_ISIC_Part3_Training_Data", "ISBI2016_ISIC_Part3_Test_Data", "ISIC-2017_Test_v2_Data")
SIZE = (224, 224)


def best_of(repetitions: int, *functions: Callable[[], Any]) -> list[list[float]]:
    """Time functions in turn, so that a slow minute of the machine meets all of them."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repetitions):
        for function, measured in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            measured.append(time.perf_counter() - start)
    return times


def spread(seconds: list[float]) -> dict[str, float]:
    return {"min": min(seconds), "median": float(np.median(seconds)), "max": max(seconds)}


def plainly(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB").resize((SIZE[1], SIZE[0]), Image.Resampling.LANCZOS))


def measure_decoding(folder: Path, repetitions: int) -> dict[str, Any]:
    """Decode full-size photographs to 224x224: scaled JPEG decoding against decoding all pixels."""
    paths = sorted(folder.glob("*.jpg"))
    plain, ours = best_of(
        repetitions, lambda: [plainly(path) for path in paths], lambda: [load_image(path, SIZE) for path in paths]
    )
    differences = [np.abs(plainly(path).astype(int) - load_image(path, SIZE)) for path in paths]
    return {
        "images": len(paths),
        "plain_seconds": spread(plain),
        "ours_seconds": spread(ours),
        "times_as_fast": min(plain) / min(ours),
        "largest_pixel_difference": int(max(difference.max() for difference in differences)),
        "mean_pixel_difference": float(np.mean([difference.mean() for difference in differences])),
    }


def measure_false_positives(paths: list[Path]) -> dict[str, Any]:
    """Count the pairs of different files within each distance; which of them are false is for the eye."""
    looks = looks_of(paths)
    left, right = np.triu_indices(len(paths), 1)
    coarse, fine = distances(looks[left], looks[right])
    return {
        "images": len(paths),
        "pairs": len(left),
        "pairs_within": {
            f"{of_64} of 64 and {of_256} of 256 bits": int(((coarse <= of_64) & (fine <= of_256)).sum())
            for of_64, of_256 in [(4, 20), (8, 30), (8, 40), (8, 44), (8, 50), (8, 60), (64, 40), (8, 256)]
        },
    }


def looks_of(images: Any) -> np.ndarray:
    found = [image for image in fingerprint_images(images) if isinstance(image, Fingerprint)]
    looks = Fingerprints.from_keys_and_hashes({}, found).perceptual_hashes
    assert looks is not None  # noqa: S101 -- images were given
    return looks


def edits() -> dict[str, Callable[[Image.Image], Image.Image]]:
    """List what photographs go through between one collection and the next."""

    def cropped(share: float) -> Callable[[Image.Image], Image.Image]:
        return lambda image: image.crop(
            tuple(
                int(side * edge)
                for side, edge in zip(image.size * 2, (share, share, 1 - share, 1 - share), strict=True)
            )
        )

    def compressed(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=40)
        return Image.open(file)

    return {
        "JPEG at quality 40": compressed,
        "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
        "squashed to a square": lambda image: image.resize((256, 256)),
        "20 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
        "30 % more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.3),
        "without colour": lambda image: image.convert("L").convert("RGB"),
        "2 % cut off each side": cropped(0.02),
        "5 % cut off each side": cropped(0.05),
        "turned by 2 degrees": lambda image: image.rotate(2),
        "turned by 5 degrees": lambda image: image.rotate(5),
        "flipped": ImageOps.mirror,
        "turned by 90 degrees": lambda image: image.rotate(90, expand=True),
    }


def measure_recall(paths: list[Path]) -> dict[str, float]:
    """Edit each image, and see how many are found again as near-duplicates of themselves."""
    looks = looks_of(paths)
    return {
        name: float(
            np.mean(row_by_row_near(looks, looks_of(edit(decode(path)) for path in tqdm(paths, name, leave=False))))
        )
        for name, edit in edits().items()
    }


def row_by_row_near(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    coarse, fine = distances(left, right)
    return (coarse <= MAX_COARSE_DISTANCE) & (fine <= MAX_FINE_DISTANCE)


def crops(paths: list[Path], n: int) -> Iterator[np.ndarray]:
    """Make many images of few: flipped and cropped at random, so that most are nobody's near-duplicate."""
    rng = np.random.default_rng(0)
    for number in tqdm(range(n), desc="Crop", leave=False):
        pixels = load_image(paths[number % len(paths)], (128, 128))
        side = rng.integers(64, 120)
        top, left = rng.integers(0, 128 - side, 2)
        crop = pixels[top : top + side, left : left + side]
        yield np.ascontiguousarray(np.rot90(crop, rng.integers(4)))


def measure_growth(paths: list[Path], sizes: list[int]) -> list[dict[str, Any]]:
    """Look for near-duplicates among n times n images, against comparing all pairs where that is bearable."""
    looks = looks_of(crops(paths, max(sizes)))
    results = []
    for n in sizes:
        start = time.perf_counter()
        found, _, _ = find_near_duplicates(looks[:n], looks[:n])
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        every = sum(int(row_by_row_near(looks[row : row + 1], looks[:n]).sum()) for row in range(0, n, 16))
        results.append(
            {
                "images": n,
                "pairs_found": len(found),
                "seconds": seconds,
                "all_pairs_seconds": 16 * (time.perf_counter() - start),
                "all_pairs_found_from_every_16th": every,
            }
        )
    return results


PREPARE = """
import sys
from pathlib import Path
from melanoma_tl import ISBIDataset
files = sorted(Path(sys.argv[1]).glob("*.jpg"))[: int(sys.argv[2])]
dataset = ISBIDataset([file.stem for file in files], files, [0] * len(files))
images = dataset.images((224, 224), verbose=0)
for start in range(0, len(images), 32):
    images[start : start + 32]
# getrusage would count what the parent process held when it started this one.
(peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(peak.split()[1])
"""


def measure_memory(paths: list[Path], sizes: list[int]) -> list[dict[str, Any]]:
    """Prepare n images in a process of their own, and read them all; its peak memory (on Linux)."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for number in tqdm(range(max(sizes)), desc="Copy", leave=False):
            # Another comment at the end makes another file of the same picture.
            content = paths[number % len(paths)].read_bytes() + f"image {number}".encode()
            (Path(folder) / f"{number:06}.jpg").write_bytes(content)
        for n in sizes:
            with tempfile.TemporaryDirectory() as cache:
                start = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-c", PREPARE, folder, str(n)],
                    env={"MELANOMA_TL_CACHE": cache},
                    capture_output=True,
                    text=True,
                    check=True,
                )
            megabytes = int(done.stdout) / 1024
            results.append({"images": n, "peak_megabytes": megabytes, "seconds": time.perf_counter() - start})
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    paths = [path for folder in FOLDERS for path in find_images(options.data / folder)]
    train = [path for path in paths if path.parent.name == FOLDERS[0]]
    results = {
        "machine": {"platform": platform.platform(), "versions": library_versions()},
        "decoding": measure_decoding(options.data / "full_resolution", 2 if options.quick else 7),
        "near_duplicates": measure_false_positives(paths),
        "found_after_edits": measure_recall(train[:20] if options.quick else train),
        "growth": measure_growth(paths, [1000, 2000] if options.quick else [3200, 6400, 12800, 25600, 51200]),
        "memory": measure_memory(train, [100, 200] if options.quick else [1000, 10_000, 50_000]),
    }
    text = json.dumps(results, indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
