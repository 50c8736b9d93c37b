"""The files around the code: workflows and forms that parse, versions that agree, a release that is checked."""

import os
import re
import runpy
import tomllib
from pathlib import Path

import pytest

import melanoma_tl

REPOSITORY = Path(__file__).parents[2]
WORKFLOWS = REPOSITORY / ".github" / "workflows"
pytestmark = pytest.mark.skipif(
    not (WORKFLOWS.is_dir() and (REPOSITORY / ".ci").is_dir()), reason="not in a source distribution"
)


def read_yaml(path):
    return pytest.importorskip("yaml", reason="PyYAML comes with the docs extra").safe_load(
        path.read_text(encoding="utf-8")
    )


@pytest.fixture
def project():
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_ci_runs_on_every_version_of_python_that_is_promised(project):
    jobs = read_yaml(WORKFLOWS / "ci.yml")["jobs"]
    promised = re.findall(r":: (3\.\d+)$", "\n".join(project["classifiers"]), flags=re.M)
    assert jobs["all"]["strategy"]["matrix"]["python"] == promised
    assert f">={promised[0]}" == project["requires-python"]
    for job in jobs:
        script = ".ci/run" if job == "all" else f".ci/{job}"
        assert jobs[job]["steps"][-1]["run"] == script
        assert os.access(REPOSITORY / script, os.X_OK)
    assert jobs["lowest"]["steps"][1]["with"]["python-version"] == promised[0]


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_workflows_may_read_only_and_pin_what_they_use(name):
    workflow = read_yaml(WORKFLOWS / name)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert set(job.get("permissions", {})) <= {"id-token"}
        for step in job["steps"]:
            assert re.fullmatch(r"[\w./-]+@(release/)?v\d+", step.get("uses", "actions/checkout@v5"))


@pytest.mark.parametrize("name", ["bug.yml", "feature.yml"])
def test_forms_have_what_github_asks_for(name):
    form = read_yaml(REPOSITORY / ".github" / "ISSUE_TEMPLATE" / name)
    assert form["name"]
    assert form["description"]
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(ids) == len(set(ids))
    assert all(part["attributes"].get("label") or part["type"] == "markdown" for part in form["body"])


@pytest.fixture
def release(tmp_path):
    """`find_mistakes`, and a repository that could be released as 1.2.0."""
    check = runpy.run_path(str(REPOSITORY / ".ci" / "check_release.py"))["find_mistakes"]
    check.__globals__["ROOT"] = tmp_path
    (tmp_path / "melanoma_tl").mkdir()
    (tmp_path / "melanoma_tl" / "__init__.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text(
        "## [Unreleased]\n\n## [1.2.0] - 2030-01-31\n\n- New.\n\n## [1.1.0] - 2029-01-01\n"
    )
    return check


def test_a_release_whose_parts_agree(release):
    assert release("v1.2.0") == []


@pytest.mark.parametrize(
    ("tag", "mistakes"),
    [
        ("1.2.0", ["not of the form"]),
        ("v1.2.0rc1", ["not of the form"]),
        (
            "v1.1.0",
            ["__init__.py has the version 1.2.0", "CITATION.cff has the version 1.2.0", "section 1.1.0 .* is empty"],
        ),
        ("v1.3.0", ["__init__.py has", "CITATION.cff has", r"no heading \"## \[1.3.0\]"]),
    ],
)
def test_a_release_whose_parts_do_not_agree(release, tag, mistakes):
    found = release(tag)
    assert len(found) == len(mistakes)
    assert all(re.search(expected, said) for expected, said in zip(mistakes, found, strict=True))


def test_the_citation_has_the_version_of_the_code():
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {melanoma_tl.__version__}\n" in citation
