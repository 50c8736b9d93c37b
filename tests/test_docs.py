"""The documentation: its examples run, its pictures exist, and it fetches nothing from elsewhere."""

import re
import runpy
from pathlib import Path

import keras
import pytest

from melanoma_tl import register_backbone
from melanoma_tl.backbones import PretrainedWeights, get_backbone

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
SNIPPETS = sorted((DOCS / "snippets").glob("*.py"))
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.fixture
def quick_vgg19(monkeypatch, tmp_path):
    """One convolution under the name of VGG19: the examples are about the library, not about the network."""
    spec = get_backbone("vgg19")

    def build(input_tensor, weights):
        x = keras.layers.Conv2D(4, 3, strides=4, name="block5_conv1")(input_tensor)
        return keras.Model(keras.utils.get_source_inputs(input_tensor), x)

    def register(builder, weights, input_size):
        register_backbone("vgg19", preprocess=spec.preprocess, weights=weights, input_size=input_size, overwrite=True)(
            builder
        )

    (tmp_path / "tiny.h5").write_bytes(b"")
    monkeypatch.setenv("MELANOMA_TL_WEIGHTS", str(tmp_path))
    register(build, PretrainedWeights(("tiny.h5",), "", "", ""), (32, 32))
    yield
    register(spec.builder, spec.weights, spec.input_size)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda path: path.stem)
def test_examples_run_and_draw_their_picture(snippet, quick_vgg19, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    names = runpy.run_path(str(snippet))
    if (DOCS / "images" / f"{snippet.stem}.png").exists():
        assert Path(f"{snippet.stem}.png").stat().st_size > 5_000
    if snippet.stem == "report":
        assert not names["published"].check_claims(names["claims"]).consistent
    if snippet.stem == "home":
        assert names["report"].to_dict()["auc"]["n"] == 20
    if snippet.stem == "own_data":
        assert len(names["by_folder"]) == len(names["by_table"]) == len(names["by_other"]) == 2


def test_every_python_example_is_cut_from_a_script_that_runs():
    for page in PAGES:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S):
            assert block.startswith("--8<-- "), f"{page.name}: {block[:80]}"
            path, _, section = block.split('"')[1].partition(":")
            assert f"[start:{section}]" in (REPOSITORY / path).read_text(encoding="utf-8")


def test_pictures_exist_and_are_described():
    for page in PAGES:
        for description, target in re.findall(r"!\[(.*?)\]\((.*?)\)", page.read_text(encoding="utf-8"), flags=re.S):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"
            assert len(description) > 40, f"{page.name}: {target} needs a description for those who cannot see it"


@pytest.mark.slow
def test_the_site_builds_strictly_and_fetches_nothing_from_elsewhere(tmp_path):
    build = pytest.importorskip("mkdocs.commands.build", reason="the docs extra is not installed")
    from mkdocs.config import load_config

    build.build(load_config(str(REPOSITORY / "mkdocs.yml"), site_dir=str(tmp_path), strict=True))
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?([^\s\">]+)", text)
        fetched += re.findall(
            r"<link(?=[^>]*rel=\"?(?:stylesheet|icon|preload|preconnect))[^>]*href=\"?([^\s\">]+)", text
        )
        assert fetched
        assert not [address for address in fetched if address.startswith(("http:", "https:", "//"))], page
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet
