"""The devices and the processes of Keras's backend, and what it keeps of networks."""

import gc
import logging
import os
import sys

from melanoma_tl.errors import ParameterError, TrainingError

__all__ = ["is_first_process", "join_hosts", "list_devices"]

logger = logging.getLogger(__name__)

ADDRESSES, N_PROCESSES, PROCESS = (
    f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)
"""The environment variables of ``keras.distribution.initialize``."""

_HEARTBEAT_SECONDS = 30
"""Time after which a process that says nothing counts as gone, and JAX ends the others; of its own accord after 100."""


def list_devices() -> list[str]:
    """List what Keras's backend has to compute on.

    Returns
    -------
    list of str
        Such as "gpu:0", "cuda:0" or "cpu:0", of all hosts; processors are left out where there is something faster.
    """
    import keras

    if keras.backend.backend() == "torch":  # which Keras's list of devices leaves out
        import torch

        return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu:0"]
    return list(keras.distribution.list_devices())


def forget_networks() -> None:
    """Free what earlier networks left, that nothing refers to any more.

    Networks hold themselves in circles, so that they would wait for Python's collector. TensorFlow keeps a kernel for
    every operation that was ever run by itself, and the name of a variable is part of what tells operations apart:
    about 36 kB for each variable that there ever was, 8 MB for a MobileNet. What is still in use is made again then.
    """
    import keras

    gc.collect()
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.eager import context

        # As keras.backend.clear_session does, which forgets what the user has set too.
        context.context().clear_kernel_cache()


def join_hosts() -> None:
    """Join the processes that train together, if the environment names them.

    ``fit`` does so itself. Call this before, at the start of a script that lets JAX compute something earlier.

    Raises
    ------
    ParameterError
        If the environment variables do not fit, the backend is not JAX, or JAX has computed something already.
    TrainingError
        If the others cannot be reached.
    """
    given = {name: os.environ.get(name, "") for name in (ADDRESSES, N_PROCESSES, PROCESS)}
    addresses = given[ADDRESSES].split(",")
    n_processes = _read_number(N_PROCESSES, given[N_PROCESSES] or str(len(addresses)))
    process = _read_number(PROCESS, given[PROCESS] or "0")
    if not 0 <= process < n_processes:
        raise ParameterError(
            f"{PROCESS}={process} is none of the {n_processes} processes that {N_PROCESSES}={given[N_PROCESSES]!r} and "
            f"{ADDRESSES}={given[ADDRESSES]!r} name: it would train alone, and so would each of the others. Set "
            f"{N_PROCESSES} to their number, and {PROCESS} to a number from 0 on"
        )
    if n_processes == 1:
        return
    if not given[ADDRESSES] or not given[PROCESS]:
        raise ParameterError(
            f"{n_processes} processes train together if each finds {ADDRESSES} (host:port of the first), {N_PROCESSES} "
            f"and {PROCESS} (0 to {n_processes - 1}) in its environment; this one has "
            + ", ".join(f"{name}={value!r}" for name, value in given.items())
        )
    if name_backend() != "jax":
        raise ParameterError(
            f"{N_PROCESSES} names {n_processes} processes, and Keras trains on several hosts with JAX alone, not with "
            f"{name_backend()!r}: set KERAS_BACKEND=jax (pip install 'melanoma_tl[jax]'), or train on one host"
        )
    import jax

    if jax.distributed.is_initialized():
        return
    try:
        # As keras.distribution.initialize does, with a time after which nobody waits for a process that is gone.
        jax.distributed.initialize(
            addresses[0],
            n_processes,
            process,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
        )
    except ValueError as error:
        raise ParameterError(f"{PROCESS}={given[PROCESS]!r} of {n_processes} processes: {error}") from error
    except RuntimeError as error:
        if "must be called before" in str(error):
            raise ParameterError(
                "JAX has computed something before the processes were joined: call "
                "melanoma_tl.distribution.join_hosts() at the start of the script"
            ) from error
        raise TrainingError(
            f"the process at {addresses[0]} cannot be reached, or not all {n_processes} were started: {error!s:.300}"
        ) from error


def is_first_process() -> bool:
    """Return whether this process writes files: of several that train together, the first alone does.

    Returns
    -------
    bool
        True where a process trains alone.
    """
    return count_processes()[1] == 0


def count_processes() -> tuple[int, int]:
    """Count the processes that train together, and give the number of this one."""
    jax = sys.modules.get("jax")
    if jax is None or not jax.distributed.is_initialized():
        return 1, 0
    return jax.process_count(), jax.process_index()


def _read_number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ParameterError(f"{name} must be a whole number, got {value!r}") from None


def name_backend() -> str:
    """Return the name of the backend of Keras."""
    import keras

    return keras.backend.backend()
