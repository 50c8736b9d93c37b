"""What a newcomer copies from the README and from *Getting started*: they run, and print what the page says."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets import write_isbi

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
WALK = REPOSITORY / "docs" / "snippets" / "getting_started.py"
RESULTS = REPOSITORY / "benchmarks" / "results"


def run_readme(monkeypatch):
    """Run the lines; downloads have tests of their own, and here are the files that they bring."""

    def read(root, *, year, split):
        return ISBIDataset.from_challenge(root, year=year, split=split, on_error="skip")

    monkeypatch.setattr(ISBIDataset, "download", read)
    lines = re.search(r"^```python\n(.*?)^```", README, flags=re.M | re.S)[1]
    names = {}
    exec(compile(lines, "README.md", "exec"), names)
    return names


KEYS = ("auc", "average_precision", "sensitivity", "specificity")


def test_the_lines_of_the_readme_run(quick_vgg19, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_isbi("data/isbi", n_train=300, n_validation=150, n_test=60, size=64, verbose=False)
    names = run_readme(monkeypatch)
    assert names["clf"].operating_point_.sensitivity.value >= 0.9
    assert Path("report.html").is_file()
    assert Path("melanoma.keras").is_file()
    figures = names["MetricsReport"].from_estimator(names["clf"], names["test"]).metrics
    walk = runpy.run_path(str(WALK))["report"].metrics  # which is what is run on the real images
    assert {key: figures[key].value for key in KEYS} == {key: walk[key].value for key in KEYS}


def test_the_links_of_the_readme_lead_somewhere():
    for page, _, heading in re.findall(r"\]\(([\w./-]+)(#([\w-]+))?\)", README):
        assert (REPOSITORY / page).is_file(), page
        if heading:
            text = (REPOSITORY / page).read_text(encoding="utf-8")
            titles = re.findall(r"^#+ (.*)$", text, flags=re.M)
            assert heading in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles], heading


@pytest.fixture
def real_folder(real_data, real_weights, tmp_path, monkeypatch):
    """A folder of a user who has the images."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/isbi").symlink_to(real_data)
    return tmp_path


DECIMAL = re.compile(r"\d+\.\d+")
ANOTHER_PROCESSOR = 0.005
"""Scores in bfloat16 differ between processors by up to 0.010 (docs/performance.md), and so do the last digits of what
is computed from them."""


def is_alike(line, other):
    numbers, others = (np.array(DECIMAL.findall(text), dtype=float) for text in (line, other))
    return (
        DECIMAL.sub("", line) == DECIMAL.sub("", other) and np.abs(numbers - others).max(initial=0) <= ANOTHER_PROCESSOR
    )


@pytest.mark.real_data
@pytest.mark.slow
def test_getting_started_gives_on_the_real_images_what_its_page_and_the_readme_say(real_folder, capsys):
    """Everything in one test, for the network needs minutes for these images."""
    names = runpy.run_path(str(WALK))
    printed = capsys.readouterr().out.splitlines()
    page = (REPOSITORY / "docs" / "getting-started.md").read_text(encoding="utf-8")
    guide = (REPOSITORY / "docs" / "guides" / "threshold.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:text|{ .text .wrap })\n(.*?)^```", page + guide, flags=re.M | re.S)
    shown = [line for block in blocks if "├" not in block for line in block.splitlines() if line != "..."]
    assert len(shown) > 8
    assert not [line for line in shown if not any(is_alike(line, other) for other in printed)]
    figures = names["report"].metrics
    for text in (page, README):
        said = float(re.search(r"AUC (\S+), average precision ", text)[1])
        assert said == pytest.approx(figures["auc"].value, abs=ANOTHER_PROCESSOR)
    check_readme(figures, names["test"])
    assert figures["auc"].value > 0.64, "another year, as the reference names it"
    check_recipe(names["clf"], names["valid"])


def check_readme(figures, test):
    """The lines of the README do the same as the walk: `test_the_lines_of_the_readme_run`."""
    told = re.search(r"AUC (\S+), average precision (\S+), sensitivity (\S+) and specificity (\S+) with", README)
    assert [figures[key].value for key in KEYS] == pytest.approx([*map(float, told.groups())], abs=ANOTHER_PROCESSOR)
    again = {"nine": 9}[re.search(r"(\w+) photographs\s+of\s+2016 are in the test of 2017", README)[1]]
    assert len(test) == 600 - again
    without = float(re.search(r"(\S+) without the images that both years share", README)[1])
    assert without == pytest.approx(figures["auc"].value, abs=0.005 + ANOTHER_PROCESSOR)  # of two digits


def check_recipe(clf, valid):
    """AUC and average precision on the test images of ISBI 2016, as the reference names them."""
    scores = clf._last_scored[1]  # of `calibrate` and `tune_threshold`: the network needs minutes to score them again
    assert roc_auc_score(valid.labels, scores) > 0.80
    assert average_precision_score(valid.labels, scores) > 0.57


@pytest.mark.real_data
def test_the_challenges_share_as_many_images_as_the_readme_says(real_data):
    said = r"(\d+) of the (\d+) test images of ISBI 2016 are training images of ISIC 2017"
    shared, of = re.search(said, README).groups()
    test = ISBIDataset.from_challenge(real_data, year=2016, split="test", labels_only=True)
    train = ISBIDataset.from_challenge(real_data, year=2017, split="train", labels_only=True)
    assert len(test.overlap(train)) == int(shared)
    assert len(test) == int(of)


# -- what was measured --


def in_words(figure):
    return f"{figure['value']:.2f}", f"{figure['low']:.2f} to {figure['high']:.2f}"


def test_the_auc_of_two_years_is_that_of_the_benchmark():
    rows = json.loads((RESULTS / "recipes" / "epyc_2_cores.json").read_text(encoding="utf-8"))["rows"]["fast"]
    said = re.findall(r"(0\.\d\d) \((?:95 % interval )?(0\.\d\d to 0\.\d\d)\)", README)
    assert said[:2] == [in_words(rows[year]["auc"]) for year in ("2016", "2017")]


def rows_of(epoch):
    """Return what was measured after an epoch of the published training: value and interval by images and metric."""
    course = json.loads((RESULTS / "reproduction" / "course.json").read_text(encoding="utf-8"))
    (rows,) = [entry["rows"] for entry in course if entry["epoch"] == epoch]
    return {(row["images"], row["figure"]): re.findall(r"\d+\.\d+", row["ours"]) for row in rows}


def test_the_accuracy_by_file_order_is_that_of_the_kept_course():
    said = re.search(r"accuracy of (\S+) on the first 75 test images of\s+each class, and of (\S+) on random", README)
    sets = ("validation, first 75 + 75", "validation, random 75 + 75, 50 draws")
    measured = [float(rows_of(5)[images, "Accuracy"][0]) / 100 for images in sets]
    assert list(said.groups()) == [f"{value:.2f}" for value in measured]


def test_the_auc_of_the_publication_is_that_of_the_kept_course():
    epoch, auc, interval, n = re.search(
        r"after (\w+) of its 35 epochs an AUC\s+of (0\.\d\d) \((\S+ to \S+)\) on all (\d+)", README
    ).groups()
    measured = rows_of({"five": 5}[epoch])[f"validation, all {n}", "AUC"]
    value, low, high = (f"{float(number):.2f}" for number in measured)
    assert (auc, interval) == (value, f"{low} to {high}")
