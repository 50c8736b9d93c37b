"""Measure how scoring on Ray grows: images a second and memory, against the local path on the same files.

    python benchmarks/scale.py --data DIR --json FILE [--figures DIR] [--quick]

DIR of --data holds the ISBI 2016 and ISIC 2017 images under their official names; more images are the same files under
other names. Growth is measured with a small backbone, what Ray costs with VGG19 too; weights are random, which changes
no time. Every measurement runs in a process of its own, with a Ray of its own. The table that is printed lies beside
the JSON file.
"""

import argparse
import json
import tempfile
from itertools import cycle
from pathlib import Path
from typing import Any

from machine import describe_machine, describe_versions
from run import measure
from table import figure, machine_line
from tasks import Contestant

from melanoma_tl import TransferClassifier
from melanoma_tl.datasets.image_files import find_images
from melanoma_tl.plots import BLUE, GREY, new_axes, style_axes

FOLDERS = ("ISBI2016_ISIC_Part3_Training_Data", "ISBI2016_ISIC_Part3_Test_Data", "ISIC-2017_Test_v2_Data")
GROWN, LARGE = "mobilenetv3small", "vgg19"


def lay_out(data: Path, n: int, folder: Path) -> str:
    """Link real images under n names."""
    images = [path.resolve() for name in FOLDERS for path in find_images(data / name)]
    folder.mkdir()
    for number, image in zip(range(n), cycle(images), strict=False):
        (folder / f"{number:06}.jpg").symlink_to(image)
    return str(folder)


def save_model(backbone: str, images: list[Path], file: Path) -> str:
    """Save a classifier with random weights."""
    TransferClassifier(backbone, weights=None, epochs=1, random_state=0, verbose=0).fit(images, [0, 1]).save(file)
    return str(file)


def run_all(data: Path, sizes: list[int], n_large: int, shard_size: int) -> list[dict[str, Any]]:
    """Measure growth with the small backbone, and one count with the large one."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = lay_out(data, max(*sizes, n_large), folder / "images")
        examples = sorted(Path(images).iterdir())[:2]
        for backbone, counts in ((GROWN, sizes), (LARGE, [n_large])):
            model = save_model(backbone, examples, folder / f"{backbone}.keras")
            for n in counts:
                common = {"folder": images, "n": n, "model": model}
                on_ray = {f"Ray, {k} actor{'s' * (k > 1)}": common | {"actors": k} for k in (1, 2)}
                ways = {"local": ("on_ray.local", common)} | {
                    way: ("on_ray.on_ray", settings | {"shard_size": shard_size}) for way, settings in on_ray.items()
                }
                for way, (function, settings) in ways.items():
                    print(f"{backbone}, {n} images, {way} ...", flush=True)
                    measured = measure(Contestant(way, function, settings), folder / "cache")
                    rows.append({"backbone": backbone, "images": n, "way": way} | measured)
    return rows


def markdown(results: dict[str, Any]) -> str:
    return "\n\n".join([machine_line(results), growth_table(results["rows"])])


def growth_table(rows: list[dict[str, Any]]) -> str:
    header = (
        "| backbone | images | way | images/s | times the local rate | whole call, s | driver, MiB | an actor, MiB |"
    )
    lines = ["**Scoring on Ray against the local path**", "", header, "| --- | ---: | --- |" + " ---: |" * 5]
    for row in rows:
        local = find(rows, row["backbone"], row["images"], "local")["rate"]
        memory = f"{figure(row.get('driver_mib', row.get('process_mib')))} | "
        memory += figure(row["actor_mib"]) if "actor_mib" in row else "-"
        lines.append(
            f"| {row['backbone']} | {row['images']:,} | {row['way']} | {figure(row['rate'])} "
            f"| {row['rate'] / local:.2f} | {figure(row['value'])} | {memory} |"
        )
    return "\n".join(lines)


def find(rows: list[dict[str, Any]], backbone: str, n: int, way: str) -> dict[str, Any]:
    return next(row for row in rows if (row["backbone"], row["images"], row["way"]) == (backbone, n, way))


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Draw the rate against the number of images."""
    ax = new_axes(7.0, 3.6)
    grown = [row for row in rows if row["backbone"] == GROWN]
    styles = {"local": (GREY, "--"), "Ray, 1 actor": (BLUE, "-"), "Ray, 2 actors": (BLUE, ":")}
    for way, (color, line) in styles.items():
        points = [(row["images"], row["rate"]) for row in grown if row["way"] == way]
        ax.plot(*zip(*points, strict=True), color=color, linestyle=line, marker="o", label=way)
    style_axes(ax, f"Scoring with {GROWN}", "images", "images a second")
    ax.set_ylim(bottom=0)
    ax.legend()
    ax.figure.savefig(file, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--figures", type=Path, help="folder for the chart")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    options = parser.parse_args()
    settings = {"sizes": [64], "n_large": 48, "shard_size": 16}
    if not options.quick:
        settings = {"sizes": [1000, 2000, 4000, 8000], "n_large": 1000, "shard_size": 64}
    rows = run_all(options.data, **settings)
    results = {"machine": describe_machine(), "versions": describe_versions(), "settings": settings, "rows": rows}
    options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    failed = [row for row in rows if "failed" in row]
    if failed:
        raise SystemExit(f"{failed[0]['way']}: {failed[0]['failed']}")
    options.json.with_suffix(".md").write_text(markdown(results) + "\n", encoding="utf-8")
    if options.figures:
        draw(rows, options.figures / "benchmark_scale.png")
    print(markdown(results))


if __name__ == "__main__":
    main()
