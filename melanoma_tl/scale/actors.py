"""Let Ray Data hand shards to actors, and hear how it goes."""

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
    """How many actors there are, and what each may use.

    Attributes
    ----------
    number, cpus : int or None
        Actors, and processors of each; None takes what the cluster has.
    gpus : float or None
        GPUs of each; None takes one where the cluster has any.
    """

    number: int | None
    cpus: int | None
    gpus: float | None

    def fit(self, machines: Sequence[dict[str, float]]) -> "Actors":
        """Fill in what is None.

        Parameters
        ----------
        machines : sequence of dict
            What each has, "CPU" and "GPU".

        Returns
        -------
        Actors
            An actor for each GPU, or each machine, and all processors shared among them.
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
    """Join the cluster that this process or its environment knows, or start one on this machine for a while.

    Yields
    ------
    None
        Ray is ready.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of the job
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def run(work: WorkOrder, shards: Sequence[int], actors: Actors) -> Generator[dict[str, Any], None, None]:
    """Work on shards.

    Parameters
    ----------
    work : WorkOrder
        What the actors are told.
    shards : sequence of int
        Numbers of those that are to be made.
    actors : Actors
        How many, and what each may use.

    Yields
    ------
    dict
        The answers of `ShardWorker`, as shards are finished.

    Raises
    ------
    JobError
        If a worker cannot go on.
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
            last = str(error).strip().splitlines()[-1]  # of the worker's stack, which is in the cause
            raise JobError(
                f"Ray stopped the job ({type(error).__name__}: {last}); what is finished stays, and the same call goes "
                "on from there"
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Ray Data's own bars and lines: this library shows one."""
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
