"""Time `melanoma_tl` against the published script, Keras, KerasHub and PyTorch, on the same images and weights.

    python benchmarks/run.py --data DIR --weights FILE --json FILE [--figures DIR] [--quick] [--only TASK ...]

DIR holds the ISBI 2016 and ISIC 2017 images under their official names, FILE the weights of VGG19 without top.
Contestants take turns, each in a process of its own; those whose package is not installed are left out
(``pip install '.[bench]'``). The full run takes hours: the JSON file is written after each measurement, and a
later call goes on with its finished tasks, if machine, versions and settings are the same; it may repeat the others
more or less often. The table that is printed in the end lies beside it.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from figures import draw_tasks
from machine import describe_machine, describe_versions
from table import markdown
from targets import check, promises
from tasks import QUICK, TASKS, Contestant, Inputs, Scale, Task

WORKER = Path(__file__).with_name("worker.py")


def measure(contestant: Contestant, cache: Path) -> dict[str, Any]:
    """Run a contestant once, in a process of its own."""
    environment = {"MELANOMA_TL_CACHE": str(cache), "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        done = subprocess.run(
            [sys.executable, WORKER, contestant.function, json.dumps(contestant.settings), result],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:  # the hours that the others took are not to be lost
            print(done.stderr, file=sys.stderr)
            return {"failed": done.stderr[-3000:]}
        return json.loads(result.read_text(encoding="utf-8"))


def find_obstacle(contestant: Contestant, machine: dict[str, Any]) -> str | None:
    """Say why a contestant cannot run here."""
    if importlib.util.find_spec(contestant.package) is None:
        return "not installed"
    return "no bfloat16 here" if contestant.needs_bfloat16 and not any(machine["bfloat16"].values()) else None


def run_task(task: Task, repetitions: dict[str, int], machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Let the contestants take turns, and give what is known after each."""
    obstacles = {one.name: find_obstacle(one, machine) for one in task.contestants}
    runs: dict[str, list[dict[str, Any]]] = {one.name: [] for one in task.contestants}
    turns = [
        one
        for turn in range(max(repetitions.values()))
        for one in task.contestants
        if turn < repetitions[one.name] and not obstacles[one.name]
    ]
    with tempfile.TemporaryDirectory() as caches:
        for number, contestant in enumerate(turns, start=1):
            print(f"{task.title}: {contestant.name} ...", file=sys.stderr, flush=True)
            cache = Path(caches) / (contestant.warmed_by or contestant.name)
            if contestant.warmed_by is None:
                shutil.rmtree(cache, ignore_errors=True)
            runs[contestant.name].append(measure(contestant, cache))
            yield {
                "title": task.title,
                "unit": task.unit,
                "reference": task.reference,
                "ours": [one.name for one in task.contestants if one.ours],
                "contestants": {name: summarize(runs[name], obstacles[name]) for name in runs},
                "finished": number == len(turns),
            }


def run_tasks(
    options: argparse.Namespace, scale: Scale, results: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run the tasks that are not finished; what no target compares is measured once."""
    compared = {(target.task, name) for target in promises(scale.memory, scale.growth) for name in target.sides}
    with tempfile.TemporaryDirectory() as folder:
        inputs = Inputs(options.data, options.weights, scale, options.peer_epochs, Path(folder))
        for name in options.only:
            if results["tasks"].get(name, {}).get("finished"):
                continue
            task = TASKS[name](inputs)
            often = options.repetitions if task.repeated and not options.quick else 1
            repetitions = {one.name: often if (name, one.name) in compared else 1 for one in task.contestants}
            for measured in run_task(task, repetitions, results["machine"]):
                yield name, measured


def start_or_resume(path: Path, description: dict[str, Any]) -> dict[str, Any]:
    """Take over the finished tasks of an earlier call, if it was made in the same circumstances."""
    if path.exists():
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if {name: earlier.get(name) for name in description} == json.loads(json.dumps(description)):
            return earlier
    return description | {"tasks": {}, "targets": []}


def summarize(runs: list[dict[str, Any]], obstacle: str | None) -> dict[str, Any]:
    if not runs:
        return {"status": obstacle or "to come"}
    if any("failed" in run for run in runs):
        return {"status": "failed", "runs": runs}
    values = [run["value"] for run in runs]
    return {
        "status": "measured",
        "min": min(values),
        "median": statistics.median(values),
        "max": max(values),
        "extrapolated": any(run.get("extrapolated", False) for run in runs),
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--figures", type=Path, help="folder for one chart a task")
    parser.add_argument("--quick", action="store_true", help="small numbers and one repetition, to see that it runs")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--peer-epochs", type=int, default=2, help="epochs (2 or more) to extrapolate the others from")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK", help=", ".join(TASKS))
    options = parser.parse_args()
    if options.peer_epochs < 2:
        parser.error("--peer-epochs must be at least 2: the first epoch is unlike the others")
    scale = QUICK if options.quick else Scale()
    settings = asdict(scale) | {"peer_epochs": options.peer_epochs}
    results = start_or_resume(
        options.json, {"machine": describe_machine(), "versions": describe_versions(), "settings": settings}
    )
    for name, task in run_tasks(options, scale, results):
        results["tasks"][name] = task
        if not options.quick:  # the targets are ratios at full scale
            results["targets"] = [check(target, results["tasks"]) for target in promises(scale.memory, scale.growth)]
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    options.json.with_suffix(".md").write_text(markdown(results) + "\n", encoding="utf-8")
    if options.figures:
        draw_tasks(results["tasks"], options.figures)
    print(markdown(results))


if __name__ == "__main__":
    main()
