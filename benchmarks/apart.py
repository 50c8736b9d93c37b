"""Measure in a process of its own, with an empty cache."""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any


def run_apart(arguments: list[str], given: Any = None, **environment: str) -> Any:
    """Run a script in a new process, and return what it prints last; that and its standard input, `given`, are JSON."""
    with tempfile.TemporaryDirectory() as cache:  # features of an earlier run would be found
        done = subprocess.run(
            [sys.executable, *arguments],
            input=json.dumps(given),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=os.environ | {"MELANOMA_TL_CACHE": cache} | environment,
        )
    return json.loads(done.stdout.splitlines()[-1])
