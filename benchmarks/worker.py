"""Run one contestant once, in a process of its own, so that no thread pool or cache of another disturbs it.

    python benchmarks/worker.py FUNCTION SETTINGS RESULT

FUNCTION is ``module.function`` of `contestants`, SETTINGS its arguments as JSON, RESULT the JSON file to write.
"""

import importlib
import json
import sys
from pathlib import Path


def main(name: str, settings: str, result: str) -> None:
    module, function = name.split(".")
    measured = getattr(importlib.import_module(f"contestants.{module}"), function)(**json.loads(settings))
    Path(result).write_text(json.dumps(measured), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
