"""What is public: the names of the faces, each documented once; documentation and examples use nothing else."""

import ast
import importlib
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import melanoma_tl

REPOSITORY = Path(__file__).parents[2]
PACKAGE = Path(melanoma_tl.__file__).parent
REFERENCE = REPOSITORY / "docs" / "reference"
FACES = (
    "melanoma_tl",
    *sorted(
        f"melanoma_tl.{name}" for name in melanoma_tl.__all__ if isinstance(getattr(melanoma_tl, name), ModuleType)
    ),
)
"""The package and its public sub-packages and modules."""


def public_names(face: str) -> dict[str, object]:
    """Return the public functions, classes and constants of a face."""
    module = importlib.import_module(face)
    found = {name: getattr(module, name) for name in module.__all__}
    return {name: value for name, value in found.items() if not isinstance(value, ModuleType)}


@pytest.fixture(scope="module")
def public() -> dict[str, object]:
    """All public names with their faces, such as "melanoma_tl.metrics.roc_auc"."""
    return {
        f"{face}.{name}": value for face in FACES for name, value in public_names(face).items() if name != "__version__"
    }


def documented() -> list[str]:
    return [
        name
        for page in sorted(REFERENCE.glob("*.md"))
        for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), flags=re.M)
    ]


def test_every_stub_is_the_face_of_a_public_package():
    stubs = {f"melanoma_tl.{path.parent.name}" for path in PACKAGE.glob("*/__init__.pyi")}
    assert stubs <= set(FACES)
    assert {"melanoma_tl.backbones", "melanoma_tl.plots", "melanoma_tl.report"} <= set(FACES)


def test_every_public_name_is_there_and_belongs_to_the_library(public):
    assert all(value is not None for value in public.values())
    strangers = {
        name
        for name, value in public.items()
        if isinstance(value, type) and not value.__module__.startswith("melanoma_tl")
    }
    assert not strangers
    assert not [name for name in public if name.rpartition(".")[2].startswith("_")]


def test_what_the_package_names_at_its_top_is_the_same_as_in_its_sub_packages(public):
    for name, value in public_names("melanoma_tl").items():
        inner = [other for path, other in public.items() if path.endswith(f".{name}")]
        assert all(other is value for other in inner), name


def test_the_reference_documents_every_public_name_once_and_no_other(public):
    shown = documented()
    assert [name for name, n in Counter(shown).items() if n > 1] == []
    assert sorted(set(shown) - set(public)) == [], "documented, but not public"
    last = {(name.rpartition(".")[2], id(public[name])) for name in shown}
    missing = [name for name, value in public.items() if (name.rpartition(".")[2], id(value)) not in last]
    assert missing == [], "public, but not documented"


def test_the_reference_documents_names_where_they_are_imported_from():
    """A heading that names a face stands above the names of that face alone; the page says how to import them."""
    for page in REFERENCE.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        face = None
        for heading, name in re.findall(r"^## (melanoma_tl\S*)$|^::: (\S+)$", text, flags=re.M):
            face = heading or face
            assert heading or face is None or name.rpartition(".")[0] == face, f"{page.name}: {name} under {face}"
        for used in {name.rpartition(".")[0] for name in re.findall(r"^::: (\S+)$", text, flags=re.M)}:
            parent, _, last = used.rpartition(".")
            assert f"from {used} import" in text or f"from {parent} import {last}" in text, f"{page.name}: {used}"


def test_every_error_and_warning_is_public():
    errors = importlib.import_module("melanoma_tl.errors")
    values = {name: getattr(errors, name) for name in {*vars(errors), *errors.__all__}}
    raised = {
        name for name, value in values.items() if isinstance(value, type) and value.__module__.startswith("melanoma_tl")
    }
    assert raised == set(errors.__all__)
    assert all(issubclass(values[name], Exception) for name in raised)


def described(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Give the docstrings of a public object and of its public methods."""
    if callable(value):
        yield name, inspect.getdoc(value) or ""
    for inner, member in inspect.getmembers(value) if isinstance(value, type) else ():
        module = getattr(member, "__module__", None) or melanoma_tl.__name__  # properties have none
        if not inner.startswith("_") and module.startswith(melanoma_tl.__name__):
            yield f"{name}.{inner}", inspect.getdoc(member) or ""


def test_public_docstrings_point_to_nothing_private(public):
    """A constant, or a name with its module, that a docstring refers to is one that the reader can look up."""
    last = {name.rpartition(".")[2] for name in public}
    for name, value in public.items():
        for where, text in described(name, value):
            for reference in re.findall(r"(?<!`)`([A-Za-z_][\w.]*)`(?!`)", text):
                if reference.startswith("melanoma_tl."):
                    assert reference in public or reference in FACES, f"{where}: {reference}"
                elif re.fullmatch(r"[A-Z]+_?[A-Z_]+", reference):
                    assert reference in last, f"{where}: {reference}"


@pytest.mark.parametrize("folder", ["docs/snippets", "examples"])
def test_examples_import_only_what_is_public(folder):
    allowed = {face: {*importlib.import_module(face).__all__} for face in FACES}
    for path in sorted((REPOSITORY / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "melanoma_tl":
                strangers = {alias.name for alias in node.names} - allowed.get(node.module, set())
                assert not strangers, f"{path.name} imports {', '.join(sorted(strangers))} from {node.module}"
            elif isinstance(node, ast.Import):
                named = {alias.name for alias in node.names if alias.name.startswith("melanoma_tl")}
                assert named <= set(FACES), f"{path.name} imports {', '.join(named)}"
