"""Distribute shards to Ray actors with Ray Data, and collect their answers."""

import logging
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from melanoma_tl.errors import JobError
from melanoma_tl.scale.worker import ShardWorker, WorkOrder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Actors:
    """The number of actors, and the resources of each.

    Attributes
    ----------
    number, cpus : int or None
        Number of actors, and processors per actor; None uses all that the cluster has.
    gpus : float or None
        GPUs per actor; None uses one if the cluster has any.
    """

    number: int | None
    cpus: int | None
    gpus: float | None

    def fit(self, machines: Sequence[dict[str, float]]) -> "Actors":
        """Replace the values that are None by those that fit the cluster.

        Parameters
        ----------
        machines : sequence of dict
            Resources of each machine: "CPU" and "GPU".

        Returns
        -------
        Actors
            One actor per GPU, or per machine without GPUs, with an equal share of the processors.
        """
        gpus = min(1, max((machine.get("GPU", 0) for machine in machines), default=0))
        gpus = gpus if self.gpus is None else self.gpus
        usable = [machine for machine in machines if machine.get("CPU", 0) >= 1 and machine.get("GPU", 0) >= gpus]
        if not usable:
            logger.warning("no machine of the cluster has a processor and %g GPUs yet: Ray waits for one", gpus)
            return Actors(self.number or 1, self.cpus or 1, gpus)
        places = [int(machine["GPU"] // gpus) if gpus else 1 for machine in usable]
        number = self.number or sum(places)
        of_each = [-(-number // len(usable)) if not gpus else place for place in places]
        cpus = min(max(1, int(machine["CPU"]) // count) for machine, count in zip(usable, of_each, strict=True))
        return Actors(number, self.cpus or cpus, gpus)


@contextmanager
def cluster() -> Iterator[None]:
    """Connect to the cluster that is configured, or start a temporary one on this machine.

    Yields
    ------
    None
        While Ray is ready.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def run(work: WorkOrder, shards: Sequence[int], actors: Actors) -> Generator[dict[str, Any], None, None]:
    """Compute shards on actors.

    Parameters
    ----------
    work : WorkOrder
        The instructions for the actors.
    shards : sequence of int
        Numbers of the shards to compute.
    actors : Actors
        The number of actors, and the resources of each.

    Yields
    ------
    dict
        The answers of `ShardWorker`, in the order in which shards are finished.

    Raises
    ------
    JobError
        If a worker cannot continue.
    """
    import ray
    import ray.data

    actors = actors.fit([node["Resources"] for node in ray.nodes() if node["Alive"]])
    logger.info("%d actors with %s processors and %s GPUs each", actors.number, actors.cpus, actors.gpus)
    number = actors.number or 1
    told = ray.put(replace(work, threads=actors.cpus or 1))
    rows = ray.data.from_items([{"shard": number} for number in shards], override_num_blocks=len(shards))
    answers = rows.map(
        ShardWorker,
        fn_constructor_kwargs={"work": told},
        compute=ray.data.ActorPoolStrategy(size=min(number, len(shards)), max_tasks_in_flight_per_actor=2),
        num_cpus=actors.cpus,
        num_gpus=actors.gpus,
    )
    with _quiet(), closing(iter(answers.iter_rows())) as finished:
        try:
            for answer in finished:
                if answer["failure"]:
                    raise JobError(answer["failure"])
                yield answer
        except ray.exceptions.RayError as error:
            last = str(error).strip().splitlines()[-1]  # of the worker's traceback, which is in the cause
            raise JobError(
                f"Ray stopped the job ({type(error).__name__}: {last}); finished shards are kept, and the same call "
                "continues from there"
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Ray Data's own progress bars and log lines; this library shows one bar."""
    import ray.data

    context, log = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    bars, level = context.enable_progress_bars, log.level
    context.enable_progress_bars = False
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars = bars
        log.setLevel(level)
