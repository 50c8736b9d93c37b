"""Measure how long a report on very many scores takes, and how much memory.

    python benchmarks/many_scores.py

Scores are drawn; each number of them has a process of its own, in which `MetricsReport.from_scores`, the text, the page
and the JSON are made. The table that is printed has a line a number.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import describe_machine
from scipy.special import expit

NUMBERS = (10_000, 100_000, 1_000_000)
PREVALENCE = 0.1
IMAGES_OF_A_PATIENT = 20


def report(n: int, patients: bool) -> str:
    """Make the report in all its forms; a line of the table."""
    from melanoma_tl import MetricsReport

    rng = np.random.default_rng(0)
    truth = (rng.random(n) < PREVALENCE).astype(int)
    scores = expit(rng.normal(-2.2 + 1.6 * truth, 1.1))
    groups = rng.integers(0, n // IMAGES_OF_A_PATIENT, n) if patients else None
    with tempfile.TemporaryDirectory() as folder:
        start, used = time.perf_counter(), time.process_time()
        made = MetricsReport.from_scores(truth, scores, groups=groups)
        for suffix in ("txt", "html", "json"):
            made.save(Path(folder) / f"report.{suffix}")
        seconds, used = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return f"| {n:,} | {'patients' if patients else 'images'} | {seconds:.1f} | {used:.1f} | {peak:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=2, metavar=("N", "DRAWN"), help="make one report in this process")
    options = parser.parse_args()
    if options.one:
        print(report(int(options.one[0]), options.one[1] == "patients"))
        return
    machine = describe_machine()
    print(f"{machine['cores']} cores of {machine['processor']}\n")
    print("| scores | what is drawn | seconds | seconds of the processor | GiB at most |")
    print("| --- | --- | --- | --- | --- |")
    for n in NUMBERS:
        for drawn in ("images", "patients"):
            subprocess.run([sys.executable, __file__, "--one", str(n), drawn], check=True)


if __name__ == "__main__":
    main()
