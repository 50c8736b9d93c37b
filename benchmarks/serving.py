"""Measure how a saved model scores when it is served: load time, latency and throughput of each runtime.

    python benchmarks/serving.py --data DIR --weights DIR --json serving.json

Fits the recipe `fast` on real images once, exports it, and runs each runtime in processes of its own, all of them held
to two cores. Writes the table beside the JSON, and prints it.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from apart import run_apart
from table import publish

MODELS = {"Keras": "melanoma.keras", "ONNX Runtime": "melanoma.onnx", "LiteRT": "melanoma.tflite"}
FILES = ("melanoma.keras", "melanoma.onnx", "melanoma.onnx.json", "melanoma.tflite", "melanoma.tflite.json")
N_CORES, N_STARTS = 2, 3


def open_classifier(path: str) -> Any:
    if path.endswith(".keras"):
        from melanoma_tl import TransferClassifier

        return TransferClassifier.load(path).set_params(verbose=0)
    from melanoma_tl.saving import ExportedClassifier

    return ExportedClassifier(path)


def measure(path: str, images: list[str]) -> dict[str, Any]:
    """Time one runtime in this process, from before the library is imported."""
    start = time.perf_counter()
    classifier = open_classifier(path)
    loaded = time.perf_counter()
    classifier.predict_proba(images[:1])
    first = time.perf_counter()
    laps = []
    for image in images:
        begun = time.perf_counter()
        classifier.predict_proba([image])
        laps.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    classifier.predict_proba(images)
    together = time.perf_counter() - begun
    return {"load_s": loaded - start, "first_score_s": first - start, "one_s": laps, "rate": len(images) / together}


def fit(data: str, folder: Path) -> None:
    from melanoma_tl import ISBIDataset, TransferClassifier

    train = ISBIDataset.from_challenge(data, year=2016, split="train", on_error="skip").first(per_class=60)
    classifier = TransferClassifier.from_recipe("fast", random_state=0, verbose=0).fit(train)
    classifier.save(folder / MODELS["Keras"])
    for name in ("LiteRT", "ONNX Runtime"):
        classifier.export(folder / MODELS[name])


def run(data: str, models: Path, n_images: int) -> dict[str, Any]:
    from machine import describe_machine, describe_versions

    from melanoma_tl import ISBIDataset

    test = ISBIDataset.from_challenge(data, year=2016, split="test", on_error="skip")
    images = [str(path) for path in test.paths[:n_images]]
    before = os.getloadavg()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in MODELS}
    for _ in range(N_STARTS):  # in turns, so that a busy minute is shared
        for name, file in MODELS.items():
            runs[name].append(run_apart([__file__, "--measure", str(models / file)], given=images))
    return {
        "machine": describe_machine(),
        "versions": describe_versions(),
        "images": n_images,
        "load_average": {"before": before[0], "after": os.getloadavg()[0]},
        "runs": runs,
    }


def markdown(results: dict[str, Any]) -> str:
    import numpy as np

    machine, load = results["machine"], results["load_average"]
    measured = f"{results['images']} images of ISBI 2016, {N_STARTS} processes each in turns"
    busy = f"load average {load['before']:.1f} before, {load['after']:.1f} after"
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; {measured}; {busy}.",
        "",
        "| runtime | load, s | first score in a fresh process, s | one image, median, ms | p95, ms | images a second |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, runs in results["runs"].items():
        laps = 1000 * np.concatenate([one["one_s"] for one in runs])
        load_s, first, rate = (np.median([one[key] for one in runs]) for key in ("load_s", "first_score_s", "rate"))
        row = f"{load_s:.2f} | {first:.2f} | {np.median(laps):.0f} | {np.percentile(laps, 95):.0f} | {rate:.1f}"
        lines.append(f"| {name} | {row} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("MELANOMA_TL_DATA"), help="folder of the challenges")
    parser.add_argument("--weights", default=os.environ.get("MELANOMA_TL_WEIGHTS"), help="folder of VGG19's weights")
    parser.add_argument("--models", type=Path, default=Path("out/serving"), help="where the models are kept")
    parser.add_argument("--json", type=Path, default=Path("out/serving.json"), help="(default: %(default)s)")
    parser.add_argument("--images", type=int, default=50, help="(default: %(default)s)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, json.load(sys.stdin))))
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:N_CORES])
    if options.weights:
        os.environ["MELANOMA_TL_WEIGHTS"] = options.weights
    options.models.mkdir(parents=True, exist_ok=True)
    if not all((options.models / file).is_file() for file in FILES):
        fit(options.data, options.models)
    results = run(options.data, options.models, options.images)
    publish(results, markdown(results), options.json)


if __name__ == "__main__":
    main()
