"""What the backends of Keras raise when memory is full, or a device is gone, in words that help."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from melanoma_tl.errors import DeviceError, MelanomaTLError, in_one_line

_KINDS_OF_FULL_MEMORY = {"ResourceExhaustedError", "OutOfMemoryError", "MemoryError"}
"""Of TensorFlow, PyTorch and Python."""

_FULL_MEMORY = re.compile(
    "RESOURCE_EXHAUSTED|OUT_OF_MEMORY|ALLOC_FAILED|can't allocate memory|error: out of memory|backend out of memory"
    "|Dst tensor is not initialized"
)
"""What else says so: JAX, PyTorch on processors, NVIDIA's driver and its libraries, PyTorch on AMD's and Apple's
devices, TensorFlow where it copies."""

_LOST = re.compile(
    "CUDA_ERROR_(UNKNOWN|NO_DEVICE|DEINITIALIZED|LAUNCH_FAILED|LAUNCH_TIMEOUT|ILLEGAL_ADDRESS|ILLEGAL_INSTRUCTION"
    "|MISALIGNED_ADDRESS|HARDWARE_STACK_ERROR|ECC_UNCORRECTABLE|CONTEXT_IS_DESTROYED|DEVICE_UNAVAILABLE|NVLINK)"
    "|(CUDA|HIP) error: (unknown error|unspecified launch failure|an illegal memory access|an illegal instruction"
    "|misaligned address|hardware stack error|uncorrectable|the launch timed out|no [a-z]+-capable"
    "|.*busy or unavailable|driver shutting down|invalid device context|context is destroyed)"
    "|hipError(NoDevice|LaunchFailure|LaunchTimeOut|IllegalAddress|ECCNotCorrectable|ContextIsDestroyed|Unknown)"
    "|GPU is lost|device (was |has been )?(lost|removed)|ErrorDeviceRemoved|DEVICE_(LOST|REMOVED)",
    re.IGNORECASE,
)
"""What a backend quotes of the driver when a device fails, is reset or is taken away (NVIDIA's `CUresult` and
`cudaGetErrorString`, AMD's `hipError_t`, Metal and Vulkan). After any of these the process cannot use it again."""


def explained(error: Exception, advice: str, kept: str = "") -> Exception:
    """Explain an error, if memory or the device is its cause.

    Parameters
    ----------
    error : Exception
        What a backend has raised.
    advice : str
        What takes less memory.
    kept : str, default=""
        What becomes of the work so far when the device is lost.

    Returns
    -------
    Exception
        A DeviceError, caused by the error; or the error itself, if it has another cause.
    """
    if isinstance(error, MelanomaTLError):
        return error
    if _is_out_of_memory(error):
        said = f"out of memory: {advice}"
    elif _LOST.search(str(error)):
        said = (
            f"the device of the network has failed, was reset or taken away ({in_one_line(error)}): this process "
            "cannot use it any more; see that the system still lists it (nvidia-smi), then start Python anew"
            + (kept and f"; {kept}")
        )
    else:
        return error
    explanation = DeviceError(said)
    explanation.__cause__ = error
    return explanation


@contextmanager
def explaining_device_errors(advice: str) -> Iterator[None]:
    """Raise a DeviceError where memory is full, or the device is gone.

    Parameters
    ----------
    advice : str
        What takes less memory.

    Yields
    ------
    None
        In this block networks are run.

    Raises
    ------
    DeviceError
        In place of the backend's error.
    """
    try:
        yield
    except Exception as error:
        found = explained(error, advice)
        if found is error:
            raise
        raise found from error


def _is_out_of_memory(error: Exception) -> bool:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & _KINDS_OF_FULL_MEMORY or _FULL_MEMORY.search(str(error)))
