"""What ``import melanoma_tl`` costs before anything is used."""

import subprocess
import sys
from typing import Any

IMPORT = """
import sys
import time
start = time.perf_counter()
import melanoma_tl
print(time.perf_counter() - start, *sorted({"keras", "tensorflow"} & set(sys.modules)))
"""


def load() -> dict[str, Any]:
    """Import the library in a bare interpreter: seconds, and which of the heavy packages came with it."""
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    seconds, *imports = done.stdout.split()
    return {"value": float(seconds), "imports": imports}
