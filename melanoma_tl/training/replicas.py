"""Data-parallel training on several devices or hosts."""

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
"""Values of `distribution` besides None."""

PADDING = -1.0
"""Target of images that only pad a batch."""

_SIGNS_OF_LOSS = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "Connection closed", "Connection reset")
"""Parts of JAX's error messages after another process has ended; their types vary."""


@dataclass(frozen=True)
class Replicas:
    """The devices that train together: each has a replica of the network and computes a share of each batch.

    Attributes
    ----------
    strategy : keras.distribution.DataParallel, tf.distribute.MirroredStrategy or None
        None for a single device.
    n_devices : int
        Number of devices of all processes.
    n_processes : int
        Number of processes that train together, one per host or one per device.
    process : int
        Number of this process.
    """

    strategy: Any = None
    n_devices: int = 1
    n_processes: int = 1
    process: int = 0

    @property
    def are_several(self) -> bool:
        """Whether there is more than one replica."""
        return self.strategy is not None

    def build_scope(self) -> AbstractContextManager[Any]:
        """Return the context in which a network is built and compiled, with a replica on each device."""
        return self.strategy.scope() if self.are_several else nullcontext()

    def fit_scope(self) -> AbstractContextManager[Any]:
        """Return the context in which ``fit`` of that network is called."""
        # A TensorFlow network stores its strategy; within its scope other networks would run on every device.
        return self.strategy.scope() if self.are_several and name_backend() == "jax" else nullcontext()

    @contextmanager
    def local_scope(self) -> Iterator[None]:
        """Enter, within `fit_scope`, a context in which this process computes on its own."""
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
        """Return the size of a padded batch, with the same number of images on each device.

        Parameters
        ----------
        n_images : int
            Number of images of the batch.

        Returns
        -------
        int
            The next multiple of the number of devices.
        """
        return -(-n_images // self.n_devices) * self.n_devices

    def share(self, n_images: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return which images of a batch this process reads.

        Parameters
        ----------
        n_images : int
            Number of images of the batch.

        Returns
        -------
        places : ndarray of int of shape (n_places,)
            Positions in the batch, 0 to n_images - 1; their number is the same in each process. Padding repeats images.
        counts : ndarray of bool of shape (n_places,)
            False for padding.
        """
        each = self.padded_size(n_images) // self.n_processes
        places = np.arange(self.process * each, (self.process + 1) * each)
        return places % n_images, places < n_images

    def check_processes_agree(self, described: Mapping[str, Any]) -> None:
        """Raise an error unless all processes train the same thing.

        Parameters
        ----------
        described : mapping of str to object
            The values that must be equal, serialisable as JSON, by names that the user knows.

        Raises
        ------
        ParameterError
            If a value differs; the message names it and the processes.
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
                    f"the processes of this training differ: {'; '.join(different)}. Give all of them "
                    "the same parameters, images and versions: each takes its share of the images itself"
                )

    def broadcast(self, message: bytes) -> bytes:
        """Send a message of the first process to all processes.

        Parameters
        ----------
        message : bytes
            The message of the first process; that of the others is ignored.

        Returns
        -------
        bytes
            The message of the first process.
        """
        if self.n_processes == 1:
            return message
        from jax.experimental.multihost_utils import broadcast_one_to_all

        length = int(broadcast_one_to_all(np.array(len(message))))
        mine = np.frombuffer(message, dtype=np.uint8) if self.process == 0 else np.zeros(length, dtype=np.uint8)
        return np.asarray(broadcast_one_to_all(mine), dtype=np.uint8).tobytes()

    def raise_if_peer_lost(self, error: Exception) -> None:
        """Explain an error that was caused by the loss of another process.

        Parameters
        ----------
        error : Exception
            The error that training raised.

        Raises
        ------
        TrainingError
            If the error comes from a lost process.
        """
        if self.n_processes > 1 and any(sign in str(error) for sign in _SIGNS_OF_LOSS):
            raise TrainingError(
                f"process {self.process} of {self.n_processes} cannot go on, because another one has ended or cannot "
                f"be reached ({error!s:.300}). Start all again: fit(resume=True), if it was called so before, goes on "
                "after the last finished epoch"
            ) from error


SINGLE_DEVICE = Replicas()
"""Training on one device."""


def find_replicas(distribution: str | None) -> Replicas:
    """Find the devices to train on.

    Parameters
    ----------
    distribution : {"auto", "data_parallel"} or None
        As in `TransferClassifier`.

    Returns
    -------
    Replicas
        The devices; `SINGLE_DEVICE` if there is only one.

    Raises
    ------
    UnknownNameError
        If the name is unknown.
    ParameterError
        If the backend cannot train on several devices, or the processes have different numbers of devices.
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
    """Raise an error unless all processes have the same number of devices."""
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

    # TensorFlow's collective operations are unreliable between CPU devices; GPUs use NCCL.
    on_gpu = devices[0].startswith("gpu")
    reduction = None if on_gpu else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy([f"/{device}" for device in devices], cross_device_ops=reduction)


def _gather(message: bytes) -> list[bytes]:
    """Return the messages of all processes, in every process."""
    from jax.experimental import multihost_utils

    lengths = multihost_utils.process_allgather(np.array([len(message)])).ravel()
    padded = np.zeros(lengths.max(), dtype=np.uint8)
    padded[: len(message)] = np.frombuffer(message, dtype=np.uint8)
    gathered = multihost_utils.process_allgather(padded).reshape(len(lengths), -1)
    return [bytes(row[:length]) for row, length in zip(gathered, lengths, strict=True)]


def _shorten(value: str) -> str:
    """Return a short value as it is, and a long one with its beginning and digest only."""
    if len(value) <= _LONGEST_SHOWN:
        return value
    return f"{value[:40]}… ({hashlib.sha256(value.encode()).hexdigest()[:8]})"


_LONGEST_SHOWN = 200
