import keras
import pytest

from melanoma_tl.errors import UnknownNameError
from melanoma_tl.network import precision


@pytest.fixture(autouse=True)
def asked_anew():
    precision.has_native_bfloat16.cache_clear()
    yield
    precision.has_native_bfloat16.cache_clear()


def with_flags(tmp_path, monkeypatch, text):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(precision, "_CPU_INFO", tmp_path / "cpuinfo")


@pytest.mark.parametrize(
    ("text", "native"),
    [
        ("model name : X\nflags\t\t: fpu avx512f avx512_bf16 gfni\n", True),
        ("flags : amx_bf16 amx_tile\n", True),
        ("flags : avx2 avx512f\nbugs : avx512_bf16\n", False),
        ("", False),
    ],
)
def test_the_processor_says_what_it_can(tmp_path, monkeypatch, text, native):
    with_flags(tmp_path, monkeypatch, text)
    assert precision.has_native_bfloat16() is native
    expected = "bfloat16" if native else "float32"
    assert precision.resolve_precision("auto") == precision.PRECISIONS[expected]


def test_where_the_system_does_not_say_it_is_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "_CPU_INFO", tmp_path / "missing")
    assert precision.resolve_precision("auto").frozen == "float32"


@pytest.mark.parametrize(
    ("answer", "native"),
    [("8.0\n", True), ("9.0\n9.0", True), ("7.5\n9.0", False), ("Field unknown", False), ("", False)],
)
def test_a_gpu_says_what_it_can(tmp_path, monkeypatch, answer, native):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\nprintf '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(precision, "list_devices", lambda: ["gpu:0"])
    assert precision.has_native_bfloat16() is native


def test_xla_is_left_alone_on_processors(monkeypatch):
    assert precision.jit_compile() is (False if keras.backend.backend() == "tensorflow" else "auto")
    monkeypatch.setattr(precision, "list_devices", lambda: ["gpu:0"])
    assert precision.jit_compile() == "auto"


def test_the_trained_part_is_float32_unless_asked_otherwise():
    assert precision.resolve_precision("bfloat16").trained == "float32"
    assert precision.resolve_precision("mixed_bfloat16").trained == "mixed_bfloat16"


def test_an_unknown_precision_names_the_nearest():
    with pytest.raises(UnknownNameError, match="bfloat16"):
        precision.resolve_precision("bfloat61")
