"""The benchmarks run, and measure what the documentation says of correctness; how fast is for people to read."""

import json
import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
@pytest.mark.real_data
def test_data_benchmark(real_data, tmp_path, monkeypatch, capsys):
    arguments = ["data.py", "--data", str(real_data), "--quick", "--json", str(tmp_path / "data.json")]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(BENCHMARKS / "data.py"), run_name="__main__")
    results = json.loads((tmp_path / "data.json").read_text())
    assert json.loads(capsys.readouterr().out) == results
    assert results["decoding"]["largest_pixel_difference"] <= 6
    assert results["near_duplicates"]["pairs_within"]["8 of 64 and 40 of 256 bits"] == 17
    assert results["found_after_edits"]["JPEG at quality 40"] == 1
    for row in results["growth"]:
        assert row["pairs_found"] >= row["images"], "each image is its own near-duplicate"
    small, large = (row["peak_megabytes"] for row in results["memory"])
    assert large < 1.2 * small
