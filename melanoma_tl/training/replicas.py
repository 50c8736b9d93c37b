"""Copies of a network that learn in step, on several devices or hosts."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melanoma_tl.distribution import N_PROCESSES, count_processes, join_hosts, list_devices, name_backend
from melanoma_tl.errors import ParameterError, TrainingError, UnknownNameError

logger = logging.getLogger(__name__)

DISTRIBUTIONS = ("auto", "data_parallel")
"""What `TransferClassifier` takes for `distribution` beside None."""

PADDING = -1.0
"""Target of what only fills up a batch."""

_SIGNS_OF_LOSS = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "Connection closed", "Connection reset")
"""What JAX's errors say where another process has ended; their types differ with the place."""


@dataclass(frozen=True)
class Replicas:
    """Copies of a network, one a device, that see a share of each batch and make the same step.

    Attributes
    ----------
    strategy : keras.distribution.DataParallel, tf.distribute.MirroredStrategy or None
        None for one device, on which everything is as without this class.
    n_devices : int
        Of all processes.
    n_processes : int
        Processes that train together, one a host or one a device.
    process : int
        Number of this one.
    """

    strategy: Any = None
    n_devices: int = 1
    n_processes: int = 1
    process: int = 0

    @property
    def are_several(self) -> bool:
        """Whether there is more than one copy."""
        return self.strategy is not None

    def build_scope(self) -> AbstractContextManager[Any]:
        """Enter the block in which a network is made and compiled, to have a copy on each device."""
        return self.strategy.scope() if self.are_several else nullcontext()

    def fit_scope(self) -> AbstractContextManager[Any]:
        """Enter the block in which ``fit`` of that network is called."""
        # A network of TensorFlow's knows its strategy, under which other networks would be called on each device.
        return self.strategy.scope() if self.are_several and name_backend() == "jax" else nullcontext()

    @contextmanager
    def local_scope(self) -> Iterator[None]:
        """Enter, within `training`, the block in which this process computes something for itself."""
        import keras

        if not self.are_several or name_backend() != "jax":
            yield
            return
        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(self.strategy)

    def padded_size(self, n_images: int) -> int:
        """Count the places of a batch: as many on each device.

        Parameters
        ----------
        n_images : int
            Images of the batch.

        Returns
        -------
        int
            At least that.
        """
        return -(-n_images // self.n_devices) * self.n_devices

    def share(self, n_images: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return which images of a batch this process reads.

        Parameters
        ----------
        n_images : int
            Images of the batch.

        Returns
        -------
        places : ndarray of int of shape (n_places,)
            Which, 0 to n_images - 1; the same number in each process. What is missing is filled up with some again.
        counts : ndarray of bool of shape (n_places,)
            False for those.
        """
        each = self.padded_size(n_images) // self.n_processes
        places = np.arange(self.process * each, (self.process + 1) * each)
        return places % n_images, places < n_images

    def check_processes_agree(self, described: Mapping[str, Any]) -> None:
        """Stop where the processes of a training, of which there are several, are not about the same.

        Parameters
        ----------
        described : mapping of str to object
            What must be the same, as JSON can hold it, by the name under which the user knows it.

        Raises
        ------
        ParameterError
            If something differs; it names what, and the first process in which.
        """
        mine = {name: _shorten(json.dumps(value, sort_keys=True, default=str)) for name, value in described.items()}
        first, *others = (json.loads(message) for message in _gather(json.dumps(mine).encode()))
        for number, other in enumerate(others, start=1):
            different = [
                f"{name} is {other.get(name)} in process {number} and {first.get(name)} in process 0"
                for name in sorted(first.keys() | other.keys())
                if other.get(name) != first.get(name)
            ]
            if different:
                raise ParameterError(
                    f"the processes of this training are not about the same: {'; '.join(different)}. Give all of them "
                    "the same parameters, images and versions: each takes its share of the images itself"
                )

    def broadcast(self, message: bytes) -> bytes:
        """Hand what the first process knows to all.

        Parameters
        ----------
        message : bytes
            Of the first process; that of the others does not matter.

        Returns
        -------
        bytes
            The same in each process.
        """
        if self.n_processes == 1:
            return message
        from jax.experimental.multihost_utils import broadcast_one_to_all

        length = int(broadcast_one_to_all(np.array(len(message))))
        mine = np.frombuffer(message, dtype=np.uint8) if self.process == 0 else np.zeros(length, dtype=np.uint8)
        return np.asarray(broadcast_one_to_all(mine), dtype=np.uint8).tobytes()

    def raise_if_peer_lost(self, error: Exception) -> None:
        """Return what to do where other processes are gone.

        Parameters
        ----------
        error : Exception
            What training raised.

        Raises
        ------
        TrainingError
            If it tells of that.
        """
        if self.n_processes > 1 and any(sign in str(error) for sign in _SIGNS_OF_LOSS):
            raise TrainingError(
                f"process {self.process} of {self.n_processes} cannot go on, because another one has ended or cannot "
                f"be reached ({error!s:.300}). Start all again: fit(resume=True), if it was called so before, goes on "
                "after the last finished epoch"
            ) from error


SINGLE_DEVICE = Replicas()
"""One device."""


def find_replicas(distribution: str | None) -> Replicas:
    """Find the devices to train on.

    Parameters
    ----------
    distribution : {"auto", "data_parallel"} or None
        As in `TransferClassifier`.

    Returns
    -------
    Replicas
        `SINGLE_DEVICE`, if there is one device.

    Raises
    ------
    UnknownNameError
        If it is none of these.
    ParameterError
        If several devices are asked for that the backend cannot train on, or processes that train together have
        not as many each.
    """
    if distribution not in (None, *DISTRIBUTIONS):
        raise UnknownNameError("distribution", distribution, DISTRIBUTIONS, "None trains on one device.")
    join_hosts()
    n_processes, process = count_processes()
    if distribution is None:
        if n_processes > 1:
            raise ParameterError(
                f"distribution=None trains on one device, and {N_PROCESSES} names {n_processes} processes: "
                "leave Resources(distribution='auto'), or take the variable out of the environment"
            )
        return SINGLE_DEVICE
    devices, backend = list_devices(), name_backend()
    if len(devices) == 1:
        return SINGLE_DEVICE
    if n_processes > 1:
        _check_devices(len(devices), n_processes)
    if backend == "torch":
        if distribution == "auto":
            return SINGLE_DEVICE
        raise ParameterError(
            "distribution='data_parallel' needs KERAS_BACKEND=jax or tensorflow: Keras trains on one device with "
            f"PyTorch, of {len(devices)} here; distribution='auto' takes the first"
        )
    strategy = _data_parallel(devices, backend)
    logger.info("training on %d devices: %s", len(devices), ", ".join(devices))
    return Replicas(strategy, len(devices), n_processes, process)


def _check_devices(n_devices: int, n_processes: int) -> None:
    """Stop where the processes that train together cannot have equal shares."""
    import jax

    n_own = jax.local_device_count()
    if n_devices != n_own * n_processes:
        raise ParameterError(
            f"this process has {n_own} of the {n_devices} devices of {n_processes} processes: each needs as many as "
            "the others, such as one process for each GPU; CUDA_VISIBLE_DEVICES chooses among them"
        )


def _data_parallel(devices: list[str], backend: str) -> Any:
    if backend == "jax":
        import keras

        return keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
    import tensorflow as tf

    # Between processors TensorFlow's collective operations get out of step; GPUs have NCCL.
    on_gpu = devices[0].startswith("gpu")
    reduction = None if on_gpu else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy([f"/{device}" for device in devices], cross_device_ops=reduction)


def _gather(message: bytes) -> list[bytes]:
    """Gather the messages of all processes in each."""
    from jax.experimental import multihost_utils

    lengths = multihost_utils.process_allgather(np.array([len(message)])).ravel()
    padded = np.zeros(lengths.max(), dtype=np.uint8)
    padded[: len(message)] = np.frombuffer(message, dtype=np.uint8)
    gathered = multihost_utils.process_allgather(padded).reshape(len(lengths), -1)
    return [bytes(row[:length]) for row, length in zip(gathered, lengths, strict=True)]


def _shorten(value: str) -> str:
    """Return a value itself, or the digest of a long one."""
    if len(value) <= _LONGEST_SHOWN:
        return value
    return f"{value[:40]}… ({hashlib.sha256(value.encode()).hexdigest()[:8]})"


_LONGEST_SHOWN = 200
