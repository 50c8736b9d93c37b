"""Describe the machine and the versions that times depend on (on Linux)."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from melanoma_tl._versions import library_versions

BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


def describe_machine() -> dict[str, Any]:
    processor = dict(
        (part.strip() for part in line.split(":", 1))
        for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    )
    (memory,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    flags = processor.get("flags", "").split()
    return {
        "platform": platform.platform(),
        "processor": processor.get("model name", platform.processor()),
        "cores": len(os.sched_getaffinity(0)),
        "bfloat16": {flag: flag in flags for flag in BFLOAT16_FLAGS},
        "memory_gib": round(int(memory.split()[1]) / 2**20, 1),
    }


def describe_versions() -> dict[str, str]:
    versions = library_versions()
    try:
        return versions | {"keras-hub": version("keras-hub")}
    except PackageNotFoundError:
        return versions
