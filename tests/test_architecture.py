"""The rules of the layout: light imports, and which module may know which."""

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import melanoma_tl

PACKAGE = Path(melanoma_tl.__file__).parent
HEAVY = {"tensorflow", "keras", "keras_hub", "matplotlib", "ray", "torch", "jax"}
# Every user of these modules trains a network, or takes a gradient; they are imported inside functions.
NEEDS_KERAS = {
    "callbacks.py",
    "checkpoints.py",
    "fitting.py",
    "gradients.py",
    "learning_rates.py",
    "optimizers.py",
    "training.py",
}


def top_level_imports(path: Path) -> set[str]:
    return imports_among(ast.parse(path.read_text(encoding="utf-8")).body)


def imports_among(nodes: Iterable[ast.AST]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def all_imports(path: Path) -> set[str]:
    return imports_among(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, melanoma_tl; sys.exit(','.join(sorted({HEAVY!r} & set(sys.modules))) or 0)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_module_imports_anything_heavy_at_its_top():
    for path in PACKAGE.rglob("*.py"):
        if path.name not in NEEDS_KERAS:
            roots = {name.split(".")[0] for name in top_level_imports(path)}
            assert not roots & HEAVY, f"{path.name} imports {roots & HEAVY} at its top"


def test_no_module_knows_a_backend_of_keras():
    """What Keras leaves to its backends is in one file: which devices there are, and how they train together."""
    backends = {"tensorflow", "tf_keras", "torch", "jax", "jaxlib"}
    for path in PACKAGE.rglob("*.py"):
        imported = {name.split(".")[0] for name in all_imports(path)} & backends
        assert path.name == "distribution.py" or not imported, f"{path.name} imports {imported}"
        names = {
            node.id for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Name)
        }
        assert path.name == "distribution.py" or not names & {"tf", "jnp", *backends}, path.name


def test_the_report_does_not_know_the_classifier():
    statistics = ("calibration.py", "comparisons.py", "decisions.py", "gaps.py", "margins.py", "net_benefit.py")
    statistics += ("resampling.py", "sites.py", "subgroups.py", "thresholds.py")
    folders = [path for folder in ("report", "plots") for path in (PACKAGE / folder).glob("*.py")]
    paths = [*folders, *(PACKAGE / name for name in ("metrics.py", *statistics))]
    for path in paths:
        assert not any("classifier" in module or "network" in module for module in all_imports(path)), path.name


def test_data_modules_do_not_know_models():
    for path in [*(PACKAGE / "datasets").glob("*.py"), PACKAGE / "images.py", PACKAGE / "balancing.py"]:
        assert not any(
            module.endswith(("classifier", "network", "training", "report")) for module in all_imports(path)
        ), path.name


def test_nothing_imports_the_checks_for_tests():
    for path in PACKAGE.rglob("*.py"):
        assert "melanoma_tl.testing" not in all_imports(path), path.name


def test_public_names_are_all_there():
    for name in melanoma_tl.__all__:
        assert getattr(melanoma_tl, name) is not None
    assert {"ISBIDataset", "Balancer", "Augmenter", "TransferClassifier", "MetricsReport"} <= set(melanoma_tl.__all__)


def test_images_are_opened_in_one_place():
    """With the decoders that are named there, and no others."""
    for path in PACKAGE.rglob("*.py"):
        assert path.name == "images.py" or "Image.open(" not in path.read_text(encoding="utf-8"), path.name
