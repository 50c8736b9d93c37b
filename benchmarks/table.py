"""Write the results as Markdown."""

import json
from pathlib import Path
from typing import Any


def publish(results: Any, table: str, path: Path) -> None:
    """Write results as JSON, and their table beside them, and print it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(table, encoding="utf-8")
    print(table, end="")


def markdown(results: dict[str, Any]) -> str:
    tasks = map(task_table, results["tasks"].values())
    targets = [target_table(results["targets"])] if results["targets"] else []
    return "\n\n".join([machine_line(results), settings_line(results), *tasks, *targets])


def machine_line(results: dict[str, Any]) -> str:
    machine = results["machine"]
    native = [flag for flag, present in machine["bfloat16"].items() if present] or ["no native bfloat16"]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    processor = f"{machine['processor']}, {machine['cores']} cores ({', '.join(native)}), {machine['memory_gib']} GiB"
    return f"{processor}; {versions}."


def settings_line(results: dict[str, Any]) -> str:
    settings = results["settings"]
    height, width = settings["size"]
    return (
        f"Images of {height}x{width}; the contestants took turns, each in a process of its own. "
        f"Where an asterisk stands, {settings['peer_epochs']} epochs were run and the others extrapolated from them."
    )


def task_table(task: dict[str, Any]) -> str:
    compared = f" {task['reference']} takes, times as long |" if task["reference"] else ""
    lines = [f"**{task['title']}**", "", f"| | median, {task['unit']} | min to max | runs |{compared}"]
    lines.append("| --- | ---: | ---: | ---: |" + " ---: |" * bool(compared))
    reference = task["contestants"].get(task["reference"], {}).get("median")
    for name, contestant in task["contestants"].items():
        if "median" not in contestant:
            lines.append(f"| {name} | {contestant['status']} | | |" + " |" * bool(compared))
            continue
        ratio = "" if reference is None else f"{reference / contestant['median']:.3g}"
        lines.append(
            f"| {name} | {figure(contestant['median'])}{'*' * contestant['extrapolated']} "
            f"| {figure(contestant['min'])} to {figure(contestant['max'])} | {len(contestant['runs'])} |"
            + f" {ratio} |"
            * bool(compared)
        )
    return "\n".join(lines)


def target_table(targets: list[dict[str, Any]]) -> str:
    lines = ["**Targets**", "", "| task | ratio of medians | wanted | measured | met |"]
    lines.append("| --- | --- | --- | ---: | --- |")
    for target in targets:
        ratio = f"{target['of']} / {target['to']}" if target["to"] else target["of"]
        bounds = {"at least": target["low"], "at most": target["high"]}
        wanted = ", ".join(f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None)
        measured = "not measured" if target["ratio"] is None else f"{target['ratio']:.3g}"
        met = {True: "yes", False: "**no**", None: "-"}[target["met"]]
        lines.append(f"| {target['task']} | {ratio} | {wanted} | {measured} | {met} |")
    return "\n".join(lines)


def figure(value: float) -> str:
    """Write three digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
