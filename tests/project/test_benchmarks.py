"""The benchmarks run, and measure what the documentation says of correctness; how fast is for people to read."""

import json
import os
import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PERFORMANCE = BENCHMARKS.parent / "docs" / "performance.md"


@pytest.mark.slow
@pytest.mark.real_data
def test_benchmark_against_peers(real_data, real_weights, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    arguments = ["run.py", "--data", str(real_data), "--weights", str(real_weights), "--quick", "--only", "score"]
    arguments += ["--json", str(tmp_path / "peers.json"), "--figures", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    for _ in range(2):
        runpy.run_path(str(BENCHMARKS / "run.py"), run_name="__main__")
    results = json.loads((tmp_path / "peers.json").read_text())
    contestants = results["tasks"]["score"]["contestants"]
    assert {"ours, float32", "Keras"} <= {name for name, one in contestants.items() if one["status"] == "measured"}
    assert not [name for name, one in contestants.items() if one["status"] == "failed"]
    assert results["targets"] == [], "small numbers say nothing of them"
    assert (tmp_path / "benchmark_score.png").stat().st_size > 5_000
    shown = capsys.readouterr()
    assert shown.err.count("ours, float32 ...") == 1, "the second call goes on with what the first one measured"
    assert shown.out == 2 * (tmp_path / "peers.md").read_text()


@pytest.mark.slow
@pytest.mark.real_data
def test_benchmark_of_scale(real_data, tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray", reason="the ray extra is not installed")
    monkeypatch.syspath_prepend(BENCHMARKS)
    arguments = ["scale.py", "--data", str(real_data), "--quick"]
    arguments += ["--json", str(tmp_path / "scale.json"), "--figures", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(BENCHMARKS / "scale.py"), run_name="__main__")
    rows = json.loads((tmp_path / "scale.json").read_text())["rows"]
    assert len(rows) == 6
    assert all(row["rate"] > 0 for row in rows)
    assert capsys.readouterr().out.endswith((tmp_path / "scale.md").read_text())
    assert (tmp_path / "benchmark_scale.png").stat().st_size > 5_000


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


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore:Balancer keeps")  # of the row that cuts the benign images
def test_benchmark_of_the_recipes(real_data, real_weights, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    rows = ["fast", "the last map alone", "two benign images a melanoma, drawn"]
    arguments = ["recipes.py", "--data", str(real_data), "--weights", str(real_weights), "--quick", "--rows", *rows]
    arguments += ["--cache", str(tmp_path), "--json", str(tmp_path / "recipes.json")]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(BENCHMARKS / "recipes.py"), run_name="__main__")
    computed = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert len(computed) == 6, "features of three sets, scores of three rows"
    runpy.run_path(str(BENCHMARKS / "recipes.py"), run_name="__main__")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")} == computed, "it goes on with them"
    results = json.loads((tmp_path / "recipes.json").read_text())["rows"]
    assert list(results) == rows
    assert len(results[rows[2]]["2017"]["auc"]["seeds"]) == 3, "what is drawn at random is drawn three times"
    assert results["fast"]["2016"]["auc"]["difference"]["value"] == 0
    assert capsys.readouterr().out == 2 * (tmp_path / "recipes.md").read_text()


@pytest.mark.slow
def test_benchmark_of_large_tables(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", ["large_tables.py", "--sizes", "5000", "--json", str(tmp_path / "small.json")])
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None, raising=False)
    runpy.run_path(str(BENCHMARKS / "large_tables.py"), run_name="__main__")
    capsys.readouterr()
    measured = json.loads((tmp_path / "small.json").read_text(encoding="utf-8"))["operations"]
    assert all(0 <= seconds < 60 and 0 < memory < 4 for ((seconds, memory),) in measured.values())


@pytest.mark.slow
def test_benchmark_of_a_large_job(monkeypatch, tmp_path, capsys):
    pytest.importorskip("ray", reason="the ray extra is not installed")
    monkeypatch.syspath_prepend(BENCHMARKS)
    options = [
        "--images",
        "1200",
        "--shard-size",
        "100",
        "--folder",
        str(tmp_path),
        "--json",
        str(tmp_path / "job.json"),
    ]
    monkeypatch.setattr(sys, "argv", ["large_job.py", *options])
    runpy.run_path(str(BENCHMARKS / "large_job.py"), run_name="__main__")
    capsys.readouterr()
    found = json.loads((tmp_path / "job.json").read_text(encoding="utf-8"))["found"]
    assert found["n_scored"] == found["n_paths"] == 1200
    assert 4 <= found["kept_shards"] < 12


def written_by(script, function="markdown"):
    return runpy.run_path(str(BENCHMARKS / script), run_name="read")[function]


@pytest.mark.parametrize(
    ("script", "folder", "page"),
    [
        ("table.py", "", "performance.md"),
        ("recipe_table.py", "recipes", "recipes.md"),
        *(
            (f"{name}.py", name, "performance.md")
            for name in ("accelerator", "augmentation", "large_tables", "versions")
        ),
        *((f"{name}.py", name, "scale.md") for name in ("large_job", "scale")),
        ("backbones.py", "backbones", "guides/backbone.md"),
        ("encoders.py", "encoders", "guides/encoders.md"),
        ("serving.py", "serving", "guides/serve.md"),
        ("coverage.py", "coverage", "statistics.md"),
    ],
)
def test_the_published_table_is_written_from_the_results(script, folder, page, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    results = BENCHMARKS / "results" / folder / "epyc_2_cores.json"
    measured = json.loads(results.read_text(encoding="utf-8"))
    if script == "coverage.py":
        expected = written_by(script, "coverage_table")(measured["settings"])
    else:
        expected = written_by(script)(measured)
    table = results.with_suffix(".md")
    assert table.read_text(encoding="utf-8").rstrip("\n") == expected.rstrip("\n")
    name = table.relative_to(BENCHMARKS.parent).as_posix()
    assert f"<!-- {name} -->" in (PERFORMANCE.parent / page).read_text(encoding="utf-8")
