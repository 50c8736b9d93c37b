"""The examples, run on drawn lesions as a user would run them."""

import json
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from melanoma_tl import ISBIDataset, MetricsReport, Probe, TransferClassifier, list_backbones
from melanoma_tl.backbones import PretrainedWeights, registry
from melanoma_tl.datasets.challenges import get_challenge
from melanoma_tl.datasets.synthetic import write_isbi

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *arguments):
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]([str(argument) for argument in arguments])


@pytest.fixture
def no_hub(monkeypatch, own_table):
    """VGG19 whose weights cannot be downloaded."""
    monkeypatch.delenv("MELANOMA_TL_WEIGHTS", raising=False)
    weights = PretrainedWeights(("nowhere.h5",), "http://127.0.0.1:9/nowhere.h5", "0" * 32)
    own_table["vgg19"] = replace(own_table["vgg19"], weights=weights)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_explains_itself(path, capsys):
    with pytest.raises(SystemExit) as caught:
        run(path.stem, "--help")
    assert caught.value.code == 0
    help_text = capsys.readouterr().out
    assert "usage:" in help_text
    assert f"examples/{path.name}" in help_text, "the help shows how to call it"


@pytest.fixture
def quickstart(tmp_path, no_hub, caplog, capsys):
    run("quickstart", "--out", tmp_path / "out", "--images", 60, "--input-size", 32)
    return tmp_path / "out", caplog.text, capsys.readouterr().out


@pytest.mark.slow
def test_quickstart_goes_on_without_a_hub_and_classify_reads_its_model(quickstart, bad_images, capsys):
    out, log, printed = quickstart
    assert "Going on with random weights" in log
    lines = printed.splitlines()[-6:]  # Keras says before that it downloads
    assert [line.split()[0] for line in lines] == ["Drawn", "Trained", "Worth", "Beware", "Written", "Next"]
    assert "random weights" in lines[1]
    figures = json.loads((out / "report.json").read_text())
    assert figures["auc"]["n"] == 10
    assert (out / "report.html").read_text().startswith("<!DOCTYPE html>")
    drawn = {path.stem for path in (out / "figures").glob("*.png")}
    of_counts, of_scores = (
        {"confusion_matrix", "metrics", "predictive_values"},
        {"calibration", "decision_curve", "gain"},
    )
    assert drawn == of_counts | of_scores | {"scores", "roc", "precision_recall", "examples"}

    images = ISBIDataset.from_challenge(out / "data", year=2017, split="test").paths[:3].tolist()
    assert run("classify", out / "melanoma.keras", *images) == 0
    lines = capsys.readouterr().out.splitlines()
    scores = TransferClassifier.load(out / "melanoma.keras").set_params(verbose=0).predict_proba(images)[:, 1]
    assert [line.split()[0] for line in lines] == [f"{score:.4f}" for score in scores]
    assert [line.split()[2] for line in lines] == images

    assert run("classify", out / "melanoma.keras", images[0], bad_images / "empty.jpg", "--threshold", 0) == 1
    (only,) = capsys.readouterr().out.splitlines()
    assert "melanoma" in only
    with pytest.raises(SystemExit):
        run("classify", out / "melanoma.keras", images[0], "--threshold", 90)
    assert "--threshold must lie between 0 and 1, got 90" in capsys.readouterr().err
    assert run("classify", out / "report.json", images[0]) == 1
    assert "not a model file" in capsys.readouterr().err


def test_resize_images_keeps_ids_and_labels(tmp_path, capsys):
    write_isbi(tmp_path, n_train=10, n_validation=10, n_test=10, size=48, verbose=False)
    missing = ISBIDataset.from_challenge(tmp_path, year=2016, split="train")[0]
    Path(missing.path).unlink()
    run("resize_images", "--data", tmp_path, "--year", 2016, "--split", "train", "--out", tmp_path / "small")
    small = ISBIDataset.from_csv(tmp_path / "small" / "labels.csv")
    expected = ISBIDataset.from_challenge(tmp_path, year=2016, split="train", on_error="skip")
    assert small.image_ids.tolist() == expected.image_ids.tolist()
    assert small.labels.tolist() == expected.labels.tolist()
    assert f"skipped {missing.image_id}" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")
def test_reproduce_paper_writes_the_table_and_warns_of_contamination(tmp_path, caplog, capsys):
    data = write_isbi(tmp_path / "data", n_train=30, n_validation=20, n_test=20, size=48, verbose=False)
    train = ISBIDataset.from_challenge(data, year=2016, split="train")
    valid = ISBIDataset.from_challenge(data, year=2016, split="test")
    # As in the real challenges: the 2017 training set is made of 2016 images.
    reused = [*train.first(per_class=2), *valid.first(per_class=2)]
    rows = "".join(f"{row.image_id},{row.label}.0,0.0\n" for row in reused)
    (data / get_challenge(2017, "train").ground_truth).write_text("image_id,melanoma,seborrheic_keratosis\n" + rows)

    small = ("--epochs", 1, "--steps-per-epoch", 1, "--per-class", 4, "--draws", 5, "--input-size", 32)
    run("reproduce_paper", "--data", data, "--weights", "none", *small, "--out", tmp_path / "out")
    assert "4 of 8 were trained on, and 4 more belong to the validation pool" in caplog.text
    text = (tmp_path / "out" / "reproduction.md").read_text()
    assert text in capsys.readouterr().out
    for part in ("Trained for 1 epoch(s) of 1 steps", "8 of 8 seen", "random 4 + 4, 5 draws", "86.67 %", "78.26"):
        assert part in text
    document = json.loads((tmp_path / "out" / "reproduction.json").read_text())
    assert len({row["images"] for row in document["rows"]}) == 6
    assert all(row["n"] > 0 for row in document["rows"] if row["ours"] != "undefined")
    figures = json.loads(MetricsReport.from_confusion(72, 3, 17, 58).to_json())
    assert f"{figures['accuracy']['value']:.2%}" == "86.67%"

    shutil.rmtree(tmp_path / "out" / "figures")
    run(
        "reproduce_paper",
        "--data",
        data,
        "--model",
        tmp_path / "out" / "model.keras",
        *small,
        "--out",
        tmp_path / "out",
    )
    again = json.loads((tmp_path / "out" / "reproduction.json").read_text())
    assert again["rows"] == document["rows"], "scoring a saved model gives the same table"
    assert len(list((tmp_path / "out" / "figures").iterdir())) == 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")
def test_reproduce_paper_measures_the_epochs_that_it_kept(tmp_path):
    """What is measured from the weights of the last epoch is what is measured of the model at the end."""
    data = write_isbi(tmp_path / "data", n_train=30, n_validation=20, n_test=20, size=48, verbose=False)
    train = ISBIDataset.from_challenge(data, year=2016, split="train")
    rows = "".join(f"{row.image_id},{row.label}.0,0.0\n" for row in train)
    (data / get_challenge(2017, "train").ground_truth).write_text("image_id,melanoma,seborrheic_keratosis\n" + rows)
    out = tmp_path / "out"
    small = ("--steps-per-epoch", 1, "--per-class", 4, "--draws", 5, "--input-size", 32, "--weights", "none")
    run("reproduce_paper", "--data", data, "--epochs", 2, "--keep-epochs", 1, 2, 9, *small, "--out", out)
    course = json.loads((out / "course.json").read_text())
    assert [after["epoch"] for after in course] == [1, 2]
    document = json.loads((out / "reproduction.json").read_text())
    assert course[1]["rows"] == document["rows"]
    assert course[0]["rows"] != document["rows"]
    assert course[1]["training"]["val_loss"] == document["training"]["val_loss"]

    (out / "course.json").unlink()
    run("reproduce_paper", "--data", data, "--course", *small, "--out", out)
    assert json.loads((out / "course.json").read_text()) == course, "the same, from what lies on disk"
    assert {"value", "low", "high", "n"} <= set(course[1]["metrics"]["validation, all 20"]["auc"])


@pytest.mark.slow
def test_a_saved_model_is_judged_on_images_that_it_has_not_seen(tmp_path, capsys):
    data = write_isbi(tmp_path / "data", n_train=30, n_validation=40, n_test=40, size=48, verbose=False)
    train = ISBIDataset.from_challenge(data, year=2016, split="train")
    test = ISBIDataset.from_challenge(data, year=2017, split="test")
    shutil.copy(train.paths[0], test.paths[0])
    # Solved exactly: one epoch from random weights may be worse than chance, which nothing calibrates.
    classifier = TransferClassifier("tiny", weights=None, stages=(Probe(),), random_state=0, verbose=0).fit(train)
    classifier.save(tmp_path / "model.keras")
    run("judge_model", tmp_path / "model.keras", "--data", data, "--out", tmp_path / "out")
    assert "39 images" in capsys.readouterr().out, "what the model was trained with is left out"
    figures = json.loads((tmp_path / "out" / "report.json").read_text())
    assert figures["provenance"]["operating_point"]["rule"] == "sensitivity at least 0.9"
    assert "Lesions covered" in figures["findings"]
    assert "Model card" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    judged = TransferClassifier.load(tmp_path / "out" / "model.keras")
    assert judged.threshold_ == figures["threshold"]


def test_check_data_finds_what_was_planted(tmp_path, capsys):
    data = write_isbi(tmp_path / "data", n_train=30, n_validation=20, n_test=20, size=96, verbose=False)
    train = ISBIDataset.from_challenge(data, year=2016, split="train")
    test = ISBIDataset.from_challenge(data, year=2017, split="test")
    benign = train[train.labels == 0].paths
    with Image.open(benign[2]) as image:
        image.resize((80, 72)).save(test.paths[5])
    shutil.copy(benign[0], benign[1])
    run("check_data", "--data", data, "--out", tmp_path / "out")
    text = (tmp_path / "out" / "data.md").read_text()
    assert text in capsys.readouterr().out
    assert "| ISBI 2016 train | ISIC 2017 test | 0 | 0 | 1 | - | - |" in text
    assert "| ISBI 2016 test | ISIC 2017 test | 0 | 0 | 0 | - | - |" in text
    assert "1 duplicate" in text
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["ISBI_2016_train_and_ISIC_2017_test.png"]
    with pytest.raises(SystemExit):
        run("check_data", "--data", tmp_path / "out")
    assert "no ground truth of a challenge" in capsys.readouterr().err


@pytest.fixture
def own_backbone(tmp_path, monkeypatch, own_table):
    """The example package, installed by pip into a folder of its own."""
    for needed in ("pip", "hatchling"):
        pytest.importorskip(needed, reason=f"{needed} is not installed, which installing the package needs")
    options = ("--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--target", str(tmp_path / "installed"))
    command = [sys.executable, "-m", "pip", "install", *options, str(EXAMPLES / "own_backbone")]
    subprocess.run(command, check=True)
    monkeypatch.syspath_prepend(tmp_path / "installed")
    registry._find_plugins.cache_clear()
    yield
    registry._find_plugins.cache_clear()
    sys.modules.pop("own_backbone", None)


@pytest.mark.slow
def test_a_backbone_that_was_installed_by_pip_is_used_by_its_name(own_backbone, images, labels):
    assert "small_resnet" in list_backbones()
    clf = TransferClassifier(
        "small_resnet", weights=None, input_size=(32, 32), trainable_from="block3_conv1", epochs=1, verbose=0
    )
    scores = clf.fit(images, labels).predict_proba(images)
    assert scores.shape == (24, 2)
    assert clf.model_.get_layer("block3_conv1").trainable
    runpy.run_path(str(EXAMPLES / "own_backbone" / "test_own_backbone.py"))["test_the_backbone_keeps_to_the_contract"]()
