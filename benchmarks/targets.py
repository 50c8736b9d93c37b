"""What is promised of the measurements, and whether it was kept."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """Bounds for the median of one contestant, as a ratio to that of another.

    Attributes
    ----------
    task, of, to : str
        The task and its two contestants; an empty `to` makes the bounds those of the median itself.
    low, high : float or None
        Bounds of the ratio.
    imports_nothing : bool
        Whether no heavy package may have come along.
    """

    task: str
    of: str
    to: str = ""
    low: float | None = None
    high: float | None = None
    imports_nothing: bool = False

    @property
    def sides(self) -> list[str]:
        """The contestants compared."""
        return [name for name in (self.of, self.to) if name]


def promises(memory: tuple[int, int], growth: tuple[int, int]) -> list[Target]:
    """List the targets; memory and growth are named after their numbers of images."""
    return [
        Target("frozen", "Keras guide", "ours, bfloat16", low=15),
        Target("frozen", "Keras guide", "ours, float32", low=8),
        Target("frozen", "Keras guide", "ours, warm, second head", low=100),
        Target("fine_tune", "published script", "ours, bfloat16", low=4),
        Target("fine_tune", "published script", "ours, warm, float32", low=5),
        Target("fine_tune", "published script", "ours, warm, mixed_bfloat16", low=8),
        Target("score", "Keras", "ours, bfloat16", low=2),
        Target("ceiling", "ours, float32", "matrix product, float32", low=0.8),
        Target("ceiling", "ours, bfloat16", "matrix product, bfloat16", low=0.8),
        Target("import", "import melanoma_tl", high=0.2, imports_nothing=True),
        Target("memory", f"{memory[1]} images", f"{memory[0]} images", high=1.10),
        Target("growth", f"{growth[1]} images", f"{growth[0]} images", low=0.85, high=1.15),
    ]


def check(target: Target, tasks: dict[str, Any]) -> dict[str, Any]:
    """Compare a target with what was measured.

    Returns
    -------
    dict
        The target as words, the ratio (None where a contestant was not measured), and whether it was met
        (None where that cannot be said).
    """
    contestants = tasks.get(target.task, {}).get("contestants", {})
    sides = [contestants.get(name, {}) for name in target.sides]
    described = {"task": target.task, "of": target.of, "to": target.to, "low": target.low, "high": target.high}
    if not all("median" in side for side in sides):
        return described | {"ratio": None, "met": None}
    ratio = sides[0]["median"] / (sides[1]["median"] if target.to else 1)
    kept = (target.low is None or ratio >= target.low) and (target.high is None or ratio <= target.high)
    runs = [run for side in sides for run in side["runs"]]
    laden = target.imports_nothing and any(run["imports"] for run in runs)
    return described | {"ratio": ratio, "met": kept and not laden}
