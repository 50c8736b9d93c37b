"""Measure what backbones cost: work, speed and size of features; random weights do for that.

    python benchmarks/backbones.py --json backbones.json [--names vgg19 resnet50]

Each is frozen, pools the last map of each stage as the recipe `fast` does, and computes in float32, and in bfloat16
where the processor has it. What is shown is the fastest of three rounds. The JSON is written after each backbone, and
those that it holds already are not measured again. Writes the table beside it, and prints it.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

NAMES = (
    "mobilenetv3small",
    "mobilenetv2",
    "efficientnetb0",
    "nasnetmobile",
    "densenet121",
    "resnet50",
    "efficientnetv2s",
    "convnexttiny",
    "inceptionv3",
    "xception",
    "vgg16",
    "vgg19",
    "efficientnetb3",
)
ROUNDS, BATCH = 3, 16


def prepare(name: str, policy: str) -> tuple[Any, Any]:
    """Return the frozen part of `fast`, and images for it."""
    import numpy as np

    from melanoma_tl import TransferClassifier
    from melanoma_tl.network.cutting import with_precision

    classifier = TransferClassifier.from_recipe("fast", backbone=name, weights=None, random_state=0, verbose=0)
    part = classifier.frozen_part()
    network = with_precision(part.network, policy)
    images = np.random.default_rng(0).integers(0, 256, (BATCH, *network.inputs[0].shape[1:]), dtype=np.uint8)
    network.predict_on_batch(images)  # traces it
    return network, images


def count_operations(network: Any) -> float:
    """Count multiplications and additions for one image, as TensorFlow's profiler does."""
    import tensorflow as tf

    shape = (1, *network.inputs[0].shape[1:])
    function = tf.function(network).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation() | {"output": "none"}
    return tf.compat.v1.profiler.profile(function.graph, options=options).total_float_ops


def run(names: list[str], path: Path) -> dict[str, Any]:
    from machine import describe_machine, describe_versions

    from melanoma_tl._atomic import atomic_write
    from melanoma_tl.backbones import get_backbone
    from melanoma_tl.network.precision import resolve_precision

    policies = dict.fromkeys(["float32", resolve_precision("auto").frozen])
    here = {"machine": describe_machine(), "versions": describe_versions()}
    results = {**here, "backbones": {}}
    if path.exists():
        results = json.loads(path.read_text(encoding="utf-8"))
        if any(results[what] != here[what] for what in here):
            raise SystemExit(f"{path} was measured on another machine or with other versions: name another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        if name in results["backbones"]:
            continue
        spec = get_backbone(name)
        row = {"parameters": spec.parameters, "size": spec.input_size[0], "rate": {}}
        for policy in policies:
            network, images = prepare(name, policy)
            if policy == "float32":
                row |= {"gflop": count_operations(network) / 1e9, "features": network.outputs[0].shape[-1]}
            laps = []
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                network.predict_on_batch(images)
                laps.append(time.perf_counter() - begun)
            row["rate"][policy] = BATCH / min(laps)
        results["backbones"][name] = row
        print(name, row, flush=True)
        with atomic_write(path) as part:
            part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


def markdown(results: dict[str, Any]) -> str:
    from table import machine_line

    policies = list(next(iter(results["backbones"].values()))["rate"])
    speeds = " | ".join(f"images a second, {policy.removeprefix('mixed_')}" for policy in policies)
    lines = [
        machine_line(results),
        "",
        f"| backbone | parameters | pixels a side | GFLOP an image | {speeds} | features of `fast` |",
        "| --- | ---: | ---: | ---: | " + "---: | " * len(policies) + "---: |",
    ]
    for name, row in results["backbones"].items():
        rates = " | ".join(f"{row['rate'][policy]:.1f}" for policy in policies)
        size = f"{row['parameters'] / 1e6:.1f} M | {row['size']} | {row['gflop']:.1f}"
        lines.append(f"| `{name}` | {size} | {rates} | {row['features']:,} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=list(NAMES), help="which backbones (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=Path("out/backbones.json"), help="(default: %(default)s)")
    options = parser.parse_args()
    results = run(options.names, options.json)
    table = markdown(results)
    options.json.with_suffix(".md").write_text(table, encoding="utf-8")
    print(table, end="")


if __name__ == "__main__":
    main()
