"""Backbones of other packages: found when asked for, and harmless when broken."""

import subprocess
import sys
import warnings

import pytest

from melanoma_tl import is_backbone, list_backbones
from melanoma_tl.backbones import get_backbone, registry
from melanoma_tl.errors import PluginWarning

GOOD = """
from melanoma_tl import register_backbone

@register_backbone("from_elsewhere", preprocess=lambda images: images)
def build(input_tensor, weights):
    return None
"""
REGISTERS = GOOD.replace("from_elsewhere", "{name}").replace("preprocess=", "{options}preprocess=")


@pytest.fixture
def install(tmp_path, monkeypatch, own_table):
    """Install a module as a package with an entry point, and forget which were loaded."""

    def install(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        about = tmp_path / f"{name}_package-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-package\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[melanoma_tl.backbones]\nthe_{name} = {name}\n")
        monkeypatch.delitem(sys.modules, name, raising=False)

    monkeypatch.syspath_prepend(tmp_path)
    registry._find_plugins.cache_clear()
    yield install
    registry._find_plugins.cache_clear()


def test_a_plugin_is_found_by_the_name_of_its_backbone(install):
    install("good", GOOD)
    assert "good" not in sys.modules
    assert is_backbone("From_Elsewhere")
    assert "from_elsewhere" in list_backbones("*elsewhere")
    assert get_backbone("from_elsewhere").builder.__module__ == "good"


def test_importing_the_library_imports_no_plugin(install, tmp_path):
    install("careless", "raise SystemExit('imported')")
    code = "import melanoma_tl.backbones; from melanoma_tl import register_backbone"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join([str(tmp_path), *sys.path])})


def test_a_plugin_that_raises_is_named_and_left_out_as_a_whole(install):
    install("broken", GOOD.replace("from_elsewhere", "half") + "import a_library_that_is_missing")
    install("good", GOOD)
    with pytest.warns(PluginWarning) as caught:
        names = list_backbones()
    assert "from_elsewhere" in names
    assert "half" not in names
    (warning,) = caught
    for part in ("'the_broken'", "'broken-package'", "No module named 'a_library_that_is_missing'"):
        assert part in str(warning.message)
    assert warning.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list_backbones()  # it has been said


@pytest.mark.parametrize("options", ["", "overwrite=True, "])
@pytest.mark.parametrize("name", ["vgg19", "VGG19", "kerashub:resnet_18_imagenet"])
def test_a_plugin_cannot_change_what_a_name_means(install, name, options):
    before = get_backbone("vgg19")
    registry._find_plugins.cache_clear()
    install("shadow", REGISTERS.format(name=name, options=options))
    with pytest.warns(PluginWarning, match="DuplicateNameError"):
        assert get_backbone("vgg19") is before
