"""ONNX Runtime, opened without its telemetry."""

import os
from pathlib import Path
from typing import Any

_SWITCH = "ORT_DISABLE_TELEMETRY"
"""ONNX Runtime's environment variable; read when it is imported, and never again."""


def open_session(model: Path | bytes) -> Any:
    """Open a model in ONNX Runtime on the processor, which then neither stores a device id nor sends anything.

    From about version 1.29 on, ONNX Runtime writes an id of the machine to the user's cache when it is imported, and
    sends events to Microsoft. Where the program has imported it before, this stops the events alone. Whoever has set
    ``ORT_DISABLE_TELEMETRY`` to 0 keeps both.

    Parameters
    ----------
    model : Path or bytes
        A file, or its content.

    Returns
    -------
    onnxruntime.InferenceSession
        It writes nothing to the terminal: what it would write, it raises too.

    Raises
    ------
    ImportError
        Without onnxruntime. Whatever is wrong with the model raises errors of the runtime's own.
    """
    unwanted = os.environ.setdefault(_SWITCH, "1") != "0"
    import onnxruntime

    if unwanted:
        onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    content = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
