"""How many bits a network computes with, and what the machine can do natively."""

import logging
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from melanoma_tl.distribution import list_devices
from melanoma_tl.errors import UnknownNameError

logger = logging.getLogger(__name__)

FLOAT32 = "float32"
BFLOAT16 = "mixed_bfloat16"
"""Keras's name for layers that compute in bfloat16 and keep their weights in float32."""

_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
_CPU_INFO = Path("/proc/cpuinfo")
_GPU_CAPABILITY = 8.0
"""The compute capability from which NVIDIA's GPUs multiply bfloat16 (Ampere architecture white paper, 2020)."""


class Precision(NamedTuple):
    """What the two parts of a network compute with, as names of Keras's dtype policies.

    Attributes
    ----------
    frozen : {"float32", "mixed_bfloat16"}
        The part that does not learn.
    trained : {"float32", "mixed_bfloat16"}
        The part that learns.
    """

    frozen: str
    trained: str


PRECISIONS = {
    "float32": Precision(FLOAT32, FLOAT32),
    "bfloat16": Precision(BFLOAT16, FLOAT32),
    "mixed_bfloat16": Precision(BFLOAT16, BFLOAT16),
}


def resolve_precision(precision: str) -> Precision:
    """Decide what the parts of a network compute with.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "mixed_bfloat16"}
        "auto" is "bfloat16" where the processor multiplies it natively, and "float32" elsewhere.

    Returns
    -------
    Precision
        For the frozen and for the trained part.

    Raises
    ------
    UnknownNameError
        If it is none of these.
    """
    if precision == "auto":
        return PRECISIONS["bfloat16" if has_native_bfloat16() else "float32"]
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, ("auto", *PRECISIONS))
    return PRECISIONS[precision]


def name_precision(precision: str) -> str:
    """Return by which name `PRECISIONS` knows what a network computes with.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "mixed_bfloat16"}
        As `resolve_precision`.

    Returns
    -------
    str
        Another one than "auto".

    Raises
    ------
    UnknownNameError
        If it is none of these.
    """
    resolved = resolve_precision(precision)
    return next(name for name, known in PRECISIONS.items() if known == resolved)


@cache
def has_native_bfloat16() -> bool:
    """Return whether the processor that Keras computes on multiplies bfloat16 natively.

    Returns
    -------
    bool
        For GPUs, from the compute capability that ``nvidia-smi`` gives; for processors, from
        the flags that Linux lists. False where neither says so.
    """
    on_gpu = computes_on_gpu()
    native = _gpus_have_it() if on_gpu else _cpu_has_it()
    logger.info("the %s %s bfloat16 natively", "GPU" if on_gpu else "CPU", "multiplies" if native else "has no")
    return native


def computes_on_gpu() -> bool:
    """Return whether Keras has a GPU to compute on.

    Returns
    -------
    bool
        As Keras's backend lists its devices.
    """
    return any(device.startswith(("gpu", "cuda")) for device in list_devices())


def jit_compile() -> Any:
    """Decide whether Keras may compile the training of a network.

    XLA, to which Keras gives TensorFlow's graphs, is slower at convolutions on CPUs than
    TensorFlow's own kernels: a forward pass of VGG19 took it 1.2 times as long in float32 and,
    since it computes bfloat16 as float32 there, 2.4 times as long in bfloat16.

    Returns
    -------
    "auto" or False
        For ``keras.Model.compile``; "auto" leaves it to Keras.
    """
    import keras

    return "auto" if keras.backend.backend() != "tensorflow" or computes_on_gpu() else False


def _gpus_have_it() -> bool:
    command = shutil.which("nvidia-smi")
    if command is None:
        return False
    asked = [command, "--query-gpu=compute_cap", "--format=csv,noheader"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 -- a fixed command
    try:
        return min(map(float, answer.stdout.split()), default=0.0) >= _GPU_CAPABILITY
    except ValueError:  # a driver that does not know the question answers in words
        return False


def _cpu_has_it() -> bool:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(line.startswith("flags") and _CPU_FLAGS & set(line.split()) for line in lines)
