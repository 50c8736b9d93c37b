"""The rules of the layout: light imports, and which module may know which."""

import ast
import subprocess
import sys
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path

import melanoma_tl

PACKAGE = Path(melanoma_tl.__file__).parent
HEAVY = {"tensorflow", "keras", "keras_hub", "matplotlib", "ray", "torch", "jax"}
# Every user of these modules trains a network, or takes a gradient; they are imported inside functions.
NEEDS_KERAS = {
    "backbones/encoder_layer.py",
    "backbones/preset_layers.py",
    "explain/gradients.py",
    *(
        f"training/{name}.py"
        for name in (
            "batches",
            "best_epoch",
            "callbacks",
            "checkpoints",
            "compiling",
            "interruption",
            "learning_rate_finder",
            "loop",
            "optimizers",
            "run",
            "staged",
            "waiting",
        )
    ),
}
GROUND = (
    "errors _attributes _checksums _estimators _onnxruntime _parameters _progress _row_order _escaping _tables "
    "_versions _zip"
)
# What each package, or module beside the packages, may import: itself, and these.
MAY_IMPORT = {
    "errors": {"errors", "_escaping"},
    "_checksums": set(),
    "_escaping": set(),
    "_onnxruntime": set(),
    "_progress": {"_escaping"},
    "_versions": set(),
    "_zip": set(),
    "_attributes": {"errors"},
    "_row_order": {"errors"},
    "_parameters": {"errors", "_row_order"},
    "_estimators": {"_parameters"},
    "_tables": {"_attributes", "_escaping"},
} | {
    package: {package, *GROUND.split(), *others.split()}
    for package, others in {
        "distribution": "",
        "_atomic": "distribution",
        "cache": "_atomic",
        "_keras": "",
        "labels": "",
        "images": "cache labels",
        "metrics": "images labels",
        "plots": "images labels metrics",
        "corpora": "",
        "backbones": "_atomic _keras corpora",
        "network": "_keras backbones distribution images metrics",
        "balancing": "images labels",
        "augmentation": "images plots",
        "datasets": "_atomic images labels metrics plots",
        "training": "_atomic _keras augmentation backbones balancing cache datasets distribution images labels network "
        "plots saving",
        "recipes": "augmentation backbones balancing network training",
        "saving": "_atomic _keras backbones distribution images labels metrics network",
        "report": "_atomic corpora images labels metrics plots",
        "classifier": "_atomic _keras augmentation backbones balancing datasets distribution images labels "
        "metrics network recipes report saving training",
        "explain": "_keras backbones classifier images metrics network plots report training",
        "scale": "_atomic _keras augmentation backbones classifier datasets images metrics network saving training",
        "testing": "_atomic _keras backbones network saving",
    }.items()
}
BACKENDS = {"distribution.py", "replicas.py", "host_call.py", "forward.py", "encoder_files.py", "quiet.py"}
LONGER = {
    "_parameters.py": "one table of what parameters may be",
    "classifier/base.py": "prediction, calibration and threshold, each documented",
    "classifier/ensemble.py": "a constructor and nine methods, each documented",
    "classifier/transfer.py": "30 parameters, each documented",
    "datasets/challenges.py": "a table of facts",
    "datasets/image_table.py": "a table, its parts and what they are recognised by, each documented",
    "datasets/isbi.py": "seven ways to read a table, each documented",
    "metrics/resampling.py": "one bootstrap",
    "plots/decision_curves.py": "five displays, each documented",
    "report/metrics_report.py": "three ways to make a report, and what is asked of it, each documented",
    "training/run.py": "one training, from the parameters to what is known of it",
    "report/multiclass_report.py": "two ways to make a report, its parts and its plots, each documented",
}
MODULES = {
    ".".join((path.parent if path.name == "__init__.py" else path.with_suffix("")).relative_to(PACKAGE).parts): path
    for path in PACKAGE.rglob("*.py")
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


def own_imports(path: Path) -> set[str]:
    """Return the modules of the library that a file imports: at its top, in functions, and for types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            module = name.removeprefix("melanoma_tl.")
            if module != name and name != "melanoma_tl.__version__":
                found.add(module if module in MODULES else module.rpartition(".")[0])
    return found


def test_imports_run_one_way():
    for module, path in MODULES.items():
        package = module.partition(".")[0]
        strangers = {name for name in own_imports(path) if name.partition(".")[0] not in MAY_IMPORT.get(package, set())}
        assert not module or not strangers, f"{module} imports {', '.join(sorted(strangers))}"


def test_the_table_of_imports_has_no_circle_and_no_stranger():
    in_order = TopologicalSorter({package: others - {package} for package, others in MAY_IMPORT.items()}).static_order()
    assert set(in_order) == set(MAY_IMPORT)
    assert set(MAY_IMPORT) == {module.partition(".")[0] for module in MODULES if module}


def test_no_module_imports_itself_by_way_of_others():
    imports = {module: own_imports(path) - {module} for module, path in MODULES.items()}
    assert set(TopologicalSorter(imports).static_order()) == set(MODULES)  # which raises where there is a circle


def test_no_file_is_long_without_a_reason():
    long = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > 500
    }
    assert long == set(LONGER)


def test_no_module_imports_anything_heavy_at_its_top():
    # Classes of pictures derive from those of matplotlib; like the others, it is imported inside functions.
    excepted = NEEDS_KERAS | {"plots/pictures.py"}
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).as_posix() not in excepted:
            roots = {name.split(".")[0] for name in top_level_imports(path)}
            assert not roots & HEAVY, f"{path.name} imports {roots & HEAVY} at its top"


def test_no_module_knows_a_backend_of_keras():
    """What Keras leaves to its backends is in few files.

    Which devices there are, how they train together, functions called from within a network, networks of others, and
    TensorFlow's notices at its import.
    """
    backends = {"tensorflow", "tf_keras", "torch", "jax", "jaxlib"}
    for path in PACKAGE.rglob("*.py"):
        imported = {name.split(".")[0] for name in all_imports(path)} & backends
        assert path.name in BACKENDS or not imported, f"{path.name} imports {imported}"
        names = {
            node.id for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Name)
        }
        assert path.name in BACKENDS or not names & {"tf", "jnp", *backends}, path.name


def test_nothing_imports_the_checks_for_tests():
    for path in PACKAGE.rglob("*.py"):
        assert "melanoma_tl.testing" not in all_imports(path), path.name


def test_public_names_are_all_there():
    for name in melanoma_tl.__all__:
        assert getattr(melanoma_tl, name) is not None
    assert {"ISBIDataset", "Balancer", "Augmenter", "TransferClassifier", "MetricsReport"} <= set(melanoma_tl.__all__)


def test_onnx_runtime_is_imported_in_one_place():
    """Where it is kept from storing and sending what it would."""
    for path in PACKAGE.rglob("*.py"):
        assert path.name == "_onnxruntime.py" or "onnxruntime" not in all_imports(path), path.name


def test_images_are_opened_in_one_place():
    """With the decoders that are named there, and no others."""
    for path in PACKAGE.rglob("*.py"):
        assert path.name == "decoding.py" or "Image.open(" not in path.read_text(encoding="utf-8"), path.name
