"""The first notebook, run in a real kernel: what a newcomer sees, and nothing else."""

import os
import re
from pathlib import Path

import pytest
from conftest import only_tensorflow

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "first_look.ipynb"
PICTURES = {"report.plot_roc()", "report.plot_examples(2)"}
LONG = {"classifier.fit(train)": "Train: logistic regression, training loss "}
"""Calls that always take longer than what is worth a line, and how the line begins."""

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed, which reads notebooks")


def cells(notebook):
    return {cell.source.splitlines()[-1]: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def check(notebook):
    """Look at all outputs: one line of progress a call, pictures, tables, and nothing that is not ours."""
    for last, outputs in cells(notebook).items():
        kinds = [output.output_type for output in outputs]
        assert "error" not in kinds
        assert "stream" not in kinds, f"{last}: {outputs}"
        shown = [output.data for output in outputs if output.output_type == "display_data"]
        assert all(re.fullmatch(r"[A-Z].*\d:\d\d", data["text/plain"]) for data in shown), shown
        assert len(shown) <= 1, last
        if last in LONG:
            assert shown[0]["text/plain"].startswith(LONG[last])
        (result,) = [output.data for output in outputs if output.output_type == "execute_result"]
        assert ("image/png" in result) == (last in PICTURES), last
        assert "image/png" in result or "text/html" in result or "object at" not in result["text/plain"]


def test_the_notebook_that_is_shown_is_small_and_whole():
    check(nbformat.read(NOTEBOOK, 4))
    assert NOTEBOOK.stat().st_size < 500_000
    assert not re.search(r"/(?:tmp|work|home|root)/", NOTEBOOK.read_text(encoding="utf-8"))


def run(notebook, folder, monkeypatch):
    """Run the cells in a real kernel, as on a machine where nobody has set anything."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed, which runs notebooks")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed, which runs notebooks")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    monkeypatch.setenv("MELANOMA_TL_CACHE", str(folder / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(NOTEBOOK.parents[2]), os.environ.get("PYTHONPATH", "")]))
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=500, kernel_name="python3", resources=resources).execute()


@only_tensorflow
@pytest.mark.slow
def test_the_notebook_runs_in_a_kernel(tmp_path, monkeypatch):
    notebook = nbformat.read(NOTEBOOK, 4)
    run(notebook, tmp_path, monkeypatch)
    check(notebook)


@only_tensorflow
@pytest.mark.slow
def test_libraries_that_bring_tqdm_give_no_advice_on_widgets(tmp_path, monkeypatch):
    pytest.importorskip("keras_hub", reason="KerasHub is not installed")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "labels.csv").write_text("ISIC_0000000,benign\n", encoding="utf-8")
    sources = [
        "import melanoma_tl\nmelanoma_tl.cache.folder()",
        "from melanoma_tl.datasets import OfficialFile\nfrom melanoma_tl.datasets.download import fetch",
        "fetch([OfficialFile('labels.csv', 'https://example.org/labels.csv')], 'data', source='there')",
        "from melanoma_tl.backbones.kerashub import import_hub\nimport_hub('this')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    run(notebook, tmp_path, monkeypatch)
    kinds = [[output.output_type for output in cell.outputs] for cell in notebook.cells]
    assert kinds == [["execute_result"], [], ["execute_result"], ["execute_result"]], notebook.cells
