"""Measure random views a second: this library beside other libraries, on the same photographs.

    python benchmarks/augmentation.py --data DIR --json augmentation.json

Each contestant draws the published augmentation (rotation, shifts, left-right mirror image) and the same with changes
of saturation, contrast and brightness, of 224 x 224 photographs in memory, as far as it has these changes. Images come
and go as uint8. Each contestant uses both cores in its own way: a pool of threads where it handles one image at a time,
its own threads where it handles a batch. Contestants take turns, so that a busy minute is shared.

Needs ``pip install torchvision albumentationsx``; who is not installed is left out.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from table import publish

N_CORES, SIDE, DEGREES, SHIFT = 2, 224, 20, 0.2
SATURATION, CONTRAST, BRIGHTNESS = 0.3, 0.2, 0.1

Images = NDArray[np.uint8]
Contestant = Callable[[Images], Any]


def library(colour: bool) -> Contestant:
    from melanoma_tl import Augmenter

    colours = {"saturation_range": SATURATION, "contrast_range": CONTRAST, "brightness_range": BRIGHTNESS}
    augmenter = Augmenter(
        rotation_range=DEGREES,
        width_shift_range=SHIFT,
        height_shift_range=SHIFT,
        horizontal_flip=True,
        **(colours if colour else {}),
    )
    seeds = iter(range(10**9))
    return lambda images: augmenter.augment(images, next(seeds))


def pillow(colour: bool) -> Contestant:
    """Pillow fills with black, the only fill of its affine map."""
    from PIL import Image, ImageEnhance, ImageOps

    rng = np.random.default_rng(0)

    def one(pixels: Images) -> Images:
        angle, down, right = rng.uniform([-DEGREES, -SHIFT, -SHIFT], [DEGREES, SHIFT, SHIFT])
        image = Image.fromarray(pixels)
        image = image.rotate(angle, Image.Resampling.BILINEAR, translate=(SIDE * right, SIDE * down))
        if rng.random() < 0.5:
            image = ImageOps.mirror(image)
        if colour:
            for enhance, reach in (("Color", SATURATION), ("Contrast", CONTRAST), ("Brightness", BRIGHTNESS)):
                image = getattr(ImageEnhance, enhance)(image).enhance(1 + rng.uniform(-reach, reach))
        return np.asarray(image)

    return in_threads(one)


def torchvision(colour: bool) -> Contestant:
    """Torchvision fills with black, the only fill of its affine map."""
    import torch
    from torchvision.transforms import InterpolationMode, v2

    torch.set_num_threads(1)  # a pool of threads handles the images
    steps = [
        v2.RandomAffine(DEGREES, translate=(SHIFT, SHIFT), interpolation=InterpolationMode.BILINEAR),
        v2.RandomHorizontalFlip(),
        *([v2.ColorJitter(BRIGHTNESS, CONTRAST, SATURATION)] if colour else []),
    ]
    views = v2.Compose(steps)
    return in_threads(lambda pixels: views(torch.from_numpy(pixels).permute(2, 0, 1)).permute(1, 2, 0).numpy())


def albumentations_x(colour: bool) -> Contestant:
    import albumentations
    import cv2

    steps = [
        albumentations.Affine(
            rotate=(-DEGREES, DEGREES),
            translate_percent=(-SHIFT, SHIFT),
            interpolation=cv2.INTER_LINEAR,
            border_mode=cv2.BORDER_REPLICATE,
            p=1,
        ),
        albumentations.HorizontalFlip(p=0.5),
    ]
    if colour:
        reaches = {"brightness": BRIGHTNESS, "contrast": CONTRAST, "saturation": SATURATION}
        ranges = {f"{name}_range": (1 - reach, 1 + reach) for name, reach in reaches.items()}
        steps.append(albumentations.ColorJitter(**ranges, hue_range=(0, 0), p=1))
    views = albumentations.Compose(steps)
    return in_threads(lambda pixels: views(image=pixels)["image"])


def keras_layers(colour: bool) -> Contestant:
    """Layers of Keras, a batch at a time in one compiled function; each geometric layer interpolates for itself."""
    import keras
    import tensorflow as tf

    layers = [
        keras.layers.RandomTranslation(SHIFT, SHIFT, fill_mode="nearest"),
        keras.layers.RandomRotation(DEGREES / 360, fill_mode="nearest"),
        keras.layers.RandomFlip("horizontal"),
    ]
    if colour:
        layers += [
            keras.layers.RandomSaturation((0.5 - SATURATION / 2, 0.5 + SATURATION / 2), value_range=(0, 255)),
            keras.layers.RandomContrast(CONTRAST, value_range=(0, 255)),
            keras.layers.RandomBrightness(BRIGHTNESS, value_range=(0, 255)),
        ]

    @tf.function
    def view(images: Any) -> Any:
        for layer in layers:
            images = layer(images, training=True)
        return tf.cast(tf.round(images), tf.uint8)

    return lambda images: view(tf.cast(images, tf.float32)).numpy()


def scikit_image(colour: bool) -> Contestant | None:
    """Warp with scikit-image, as earlier versions of this library did; geometry alone."""
    if colour:
        return None
    from skimage.transform import AffineTransform, warp

    rng = np.random.default_rng(0)

    def one(pixels: Images) -> Images:
        angle, down, right = rng.uniform([-DEGREES, -SHIFT, -SHIFT], [DEGREES, SHIFT, SHIFT])
        moved = AffineTransform(rotation=np.deg2rad(angle), translation=(SIDE * right, SIDE * down))
        view = warp(pixels.astype(np.float32), moved, order=1, mode="edge", preserve_range=True)
        view = np.rint(view).astype(np.uint8)
        return view[:, ::-1] if rng.random() < 0.5 else view

    return in_threads(one)


CONTESTANTS = {
    "melanoma_tl": (library, "opencv-python-headless"),
    "albumentations": (albumentations_x, "albumentationsx"),
    "torchvision.transforms.v2": (torchvision, "torchvision"),
    "Pillow": (pillow, "pillow"),
    "layers of Keras": (keras_layers, "keras"),
    "scikit-image": (scikit_image, "scikit-image"),
}
"""Each with the package whose version is written down."""


def in_threads(one: Callable[[Images], Images]) -> Contestant:
    """Handle images one at a time, in as many threads as there are cores."""
    pool = ThreadPoolExecutor(N_CORES)
    return lambda images: np.stack(list(pool.map(one, images)))


def open_contestants(colour: bool) -> dict[str, Contestant]:
    found = {}
    for name, (make, _) in CONTESTANTS.items():
        try:
            contestant = make(colour)
        except ModuleNotFoundError as error:
            print(f"{name} is left out: {error}")
            continue
        if contestant is not None:
            found[name] = contestant
    return found


def read(data: str, n_images: int) -> Images:
    from melanoma_tl import ISBIDataset
    from melanoma_tl.images.decoding import load_image

    train = ISBIDataset.from_challenge(data, year=2016, split="train", on_error="skip")
    return np.stack([load_image(path, (SIDE, SIDE)) for path in train.paths[:n_images]])


def measure(contestants: dict[str, Contestant], images: Images, batch_size: int, rounds: int) -> dict[str, list[float]]:
    """Return images a second of each round."""
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, contestant in contestants.items():
            begun = time.perf_counter()
            for first in range(0, len(images), batch_size):
                contestant(images[first : first + batch_size])
            if number:  # the first round warms up
                rates[name].append(len(images) / (time.perf_counter() - begun))
    return rates


def markdown(results: dict[str, Any]) -> str:
    machine, load = results["machine"], results["load_average"]
    measured = (
        f"{machine['processor']}, {machine['cores']} cores; {results['images']} photographs of ISBI 2016, "
        f"{SIDE} x {SIDE}, in batches of {results['batch_size']}; {results['rounds']} rounds; load average "
        f"{load['before']:.1f} before, {load['after']:.1f} after. Images a second: median (minimum to maximum)."
    )
    lines = [
        measured,
        "",
        "| library | published augmentation | and colours |",
        "| --- | ---: | ---: |",
    ]
    for name, (_, package) in CONTESTANTS.items():
        cells = [tell(kind.get(name)) for kind in results["rates"].values()]
        if any(cells):
            lines.append(f"| {name} ({package} {results['versions'][package]}) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def tell(rates: Sequence[float] | None) -> str:
    if not rates:
        return ""
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"


def main() -> None:
    from machine import describe_machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("MELANOMA_TL_DATA"), help="folder of the challenges")
    parser.add_argument("--json", type=Path, default=Path("out/augmentation.json"), help="(default: %(default)s)")
    parser.add_argument("--images", type=int, default=256, help="(default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="(default: %(default)s)")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:N_CORES])
    images = read(options.data, options.images)
    before = os.getloadavg()
    kinds = {kind: open_contestants(colour) for kind, colour in (("published", False), ("colours", True))}
    rates = {kind: measure(found, images, options.batch_size, options.rounds) for kind, found in kinds.items()}
    measured = {package for name, (_, package) in CONTESTANTS.items() if name in rates["published"]}
    results = {
        "machine": describe_machine(),
        "versions": {package: version(package) for package in sorted(measured)},
        "images": len(images),
        "batch_size": options.batch_size,
        "rounds": options.rounds,
        "load_average": {"before": before[0], "after": os.getloadavg()[0]},
        "rates": rates,
    }
    publish(results, markdown(results), options.json)


if __name__ == "__main__":
    main()
