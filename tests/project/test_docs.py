"""The documentation: its examples run, its pictures exist, and it fetches nothing from elsewhere."""

import re
import runpy
import textwrap
from pathlib import Path

import numpy as np
import pytest
from conftest import only_tensorflow
from hub_server import TOKEN, serving

from melanoma_tl import ISBIDataset, list_backbones
from melanoma_tl.datasets.challenges import CHALLENGES, get_challenge

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
SNIPPETS = sorted((DOCS / "snippets").glob("*.py"))
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.fixture
def own_hub(monkeypatch):
    """A hub of this machine in place of Hugging Face's."""
    pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield


def check_distributed(names):
    assert len(names["clf"].history_["loss"]) == 5
    assert Path("melanoma.keras").is_file()


def check_augmenter(names):
    assert len(names["sheet"].axes) == 3 * 6
    assert names["published_prose"].saturation_range == (1.0, 1.5)


def check_gallery(names):
    pictures = {path.stem for path in Path().glob("*.png")}
    shown = set(re.findall(r"images/gallery_(\w+)\.png", (DOCS / "gallery.md").read_text(encoding="utf-8")))
    assert pictures == shown
    assert names["report"].threshold == 0.166


def check_backbone(names):
    assert "one_convolution" in list_backbones()


def check_backbones(names):
    assert names["clf"].trainable_from == "conv5_block1_1_conv"


def check_balancer(names):
    assert np.bincount(names["y_balanced"]).tolist() == [346, 346]
    assert names["chosen"].tolist() == names["balancer"].sample_indices_.tolist()


def check_classifier(names):
    expected = names["clf"].predict_proba(names["test"])
    np.testing.assert_array_equal(names["again"].predict_proba(names["test"]), expected)
    assert names["report"].to_dict()["auc"]["n"] == 40


def check_dataset(names):
    assert names["some"].class_counts == {"benign": 12, "melanoma": 12}
    assert names["melanomas"].class_counts == {"benign": 0, "melanoma": 12}


def check_dicom(names):
    for dataset in (names["by_folder"], names["by_table"]):
        assert [Path(path).name for path in dataset.paths] == ["IMG_0.dcm", "IMG_1.dcm"]
        assert dataset.labels.tolist() == [0, 1]
    assert names["by_folder"].metadata.empty, "nothing is taken from the header of a DICOM file"
    assert names["pixels"].shape == (2, 32, 32, 3)
    check_trees(names["by_table"].paths)
    assert names["siim"].paths.tolist() == ["siim/train/ISIC_0.dcm", "siim/train/ISIC_1.dcm"], "where no JPEG is"


def check_diagnoses(names):
    assert names["report"].classes == ("melanoma", "naevus", "seborrhoeic keratosis")


def check_explaining(names):
    assert 0 <= names["check"].auc["covered"].value <= 1
    assert {"covered.png", "maps.png", "report.html"} <= {path.name for path in Path().iterdir()}


def check_choosing(names):
    assert {*names["compared"].to_frame()["backbone"]} >= {"vgg19", "vgg16"}
    assert Path("backbones.png").stat().st_size > 5_000
    assert "auc" in names["comparison"].differences
    assert Path("new.html").is_file()


def check_coming_from(names):
    assert names["probabilities"].shape == (20, 2)
    assert names["search"].best_params_["class_weight"] in (None, "balanced")


def check_encoders(names):
    assert names["again"].provenance_["encoder"]["kind"] == "ONNX file encoder.onnx"
    assert names["both"].model_.layers[-1].input.shape[-1] > 6


def check_folder(names):
    assert names["dataset"].class_counts == {"benign": 20, "melanoma": 20}
    assert names["report"].to_dict()["auc"]["n"] == len(names["test"])
    assert Path("report.html").is_file()


def check_getting_started(names):
    assert names["report"].to_dict()["auc"]["n"] == len(names["test"])
    assert names["report"].threshold == names["again"].threshold_ == names["point"].threshold
    assert Path("report.html").is_file()
    assert Path("melanoma.keras").is_file()


def check_methods(names):
    assert "one archive" in Path("report.html").read_text(encoding="utf-8").lower()
    assert names["report"].provenance["operating_point"]["rule"] == "sensitivity at least 0.9"


def check_patients(names):
    assert not names["shared"]
    assert names["by_diagnosis"].classes == ("melanoma", "nevus", "seborrheic keratosis")
    assert "Subgroups" in Path("melanoma.html").read_text(encoding="utf-8")
    assert Path("diagnoses.html").is_file()


def check_keeping(names):
    expected = names["clf"].set_params(precision="float32").predict_proba(names["test"][:3])[:, 1]
    np.testing.assert_allclose(names["model"](names["images"])["output_0"].numpy()[:, 0], expected, atol=1e-4)
    assert names["exported"].conversion_difference <= 1e-4


def check_judging(names):
    assert names["point"].sensitivity.value >= 0.9
    assert names["report"].threshold == names["point"].threshold
    assert names["calibration"].slope < 0.9, "the scores are overconfident"
    assert names["comparison"].differences["auc"].p_value < 0.01
    assert names["groups"]["sex", "not given"].n == 59
    assert names["n"] == 825


def check_layouts(names):
    read = {name: value for name, value in names.items() if isinstance(value, ISBIDataset)}
    by_folder = read.pop("train")
    assert by_folder.image_ids.tolist() == ["benign/1", "benign/2", "malignant/1", "malignant/2"]
    assert by_folder.labels.tolist() == [0, 0, 1, 1]
    assert len(read) == 14
    of_challenges = [*read.values(), *names["years"]]
    assert [dataset.labels.tolist() for dataset in of_challenges] == [[0, 1]] * len(of_challenges)
    assert read["crops"].paths[0] == "isic2024/train-image/image/ISIC_0015670.jpg"
    assert read["packed"].paths[0] == "isic2024/train-image.hdf5::ISIC_0015670"
    check_trees(dataset.paths[0] for dataset in (by_folder, *of_challenges))


def check_trees(paths):
    """What the page on data shows of the folders that an example reads is what lies there."""
    page = (DOCS / "data.md").read_text(encoding="utf-8")
    trees = dict(re.findall(r"^```text\n(\S+/)\n([├└].*?)^```", page, flags=re.M | re.S))
    for root in {f"{Path(path).parts[0]}/" for path in paths}:
        parents = [root]
        for line in trees[root].splitlines():
            indent, name = re.fullmatch(r"([│├└─ ]+)(\S+(?: \S+)*).*", line).groups()
            parents = [*parents[: len(indent) // 4], name.removesuffix(" …")]
            assert Path("".join(parents)).exists(), "".join(parents)


def check_serving(names):
    assert names["told"]["score"] == pytest.approx(names["scores"][0], abs=1e-6)
    assert names["told"]["threshold"] == names["classifier"].threshold_


def check_leaks(names):
    assert names["verification"].counts["duplicate"] == 1
    assert names["shared"].counts == {"id": 0, "bytes": 1, "near-duplicate": 4}
    assert len(names["test"]) == 36
    assert len(names["train"]) + len(names["valid"]) == 59


def check_own_data(names):
    for dataset in (names["by_folder"], names["by_table"], names["by_other"], names["by_frame"]):
        assert dataset.image_ids.tolist() == ["IMG_0", "IMG_1"]
        assert dataset.labels.tolist() == [0, 1]
    assert names["by_other"].metadata["patient_id"].tolist() == ["P1", "P2"]


def check_performance(names):
    assert len(names["clf"].history_["loss"]) == 4
    assert names["cache"].size("features") == 0


def check_prediction(names):
    ensemble, again = names["ensemble"], names["again"]
    expected = ensemble.predict_proba(names["test"])
    np.testing.assert_array_equal(again.predict_proba(names["test"]), expected)
    np.testing.assert_array_equal(again.out_of_fold_scores_, ensemble.out_of_fold_scores_)
    assert names["scores"].shape == (40,)
    assert names["probabilities"].shape == (40, 2)
    assert names["search"].best_params_["transferclassifier__learning_rate"] in (1e-3, 1e-2)


def check_report(names):
    assert {path.stem for path in Path("figures").iterdir()} >= {"roc", "metrics", "examples"}
    assert "AUC" in Path("report.html").read_text(encoding="utf-8")
    assert Path("decision_curve.png").is_file()
    assert names["display"].ax_.get_legend().get_texts()[-1].get_text() == "less regularised"
    check = names["published"].check_claims(names["claims"])
    assert not check.consistent
    assert "no k/75" in str(check)


def check_scale(names):
    assert names["result"].n_scored == 30
    assert names["result"].errors["error"].tolist() == ["the file is empty (0 bytes)"]
    assert names["table"]["score"].notna().sum() == 30
    assert names["n_features"] == 30
    assert len(names["clf"].history_["loss"]) == 2


def check_selection(names):
    assert {"width", "brightness", "bytes_per_pixel"} <= set(names["bias"].differing)
    assert not names["chosen_at_random"]


def check_sharing(names):
    np.testing.assert_array_equal(
        names["again"].predict_proba(names["test"]), names["clf"].predict_proba(names["test"])
    )


def check_streams(names):
    assert names["clf"].pos_label_ == 1
    assert names["report"].to_dict()["auc"]["n"] == 6


def check_tables(names):
    clinic, practice, together, apart = (names[name] for name in ("clinic", "practice", "together", "apart"))
    assert clinic.labels.tolist() == [0, 1, 1]
    assert clinic.metadata["patient_id"].tolist() == ["1", "2", "2"]
    assert clinic.metadata["lesion_id"].tolist() == ["1-1", "2-1", "2-2"]
    assert practice.labels.tolist() == [0, 1]
    assert clinic.overlap(practice, by="patient", verbose=0).counts == {"patient": 3}, "1 and 2 are in both"
    assert together.metadata["patient_id"].nunique() == 2
    assert apart.metadata["patient_id"].nunique() == 4
    assert apart.paths.tolist() == together.paths.tolist()
    check_trees(clinic.paths)


def check_recipes(names):
    assert names["report"].provenance["model"]["recipe"] == "fast except for input size"
    assert names["other"].head.feature_layers == "stages"
    assert names["clf"].penalty_path_ is not None


def check_training(names):
    assert len(names["clf"].history_["loss"]) == 1 + 4
    assert {"brier", "val_precision_30"} <= {*names["own"].history_}
    assert names["search"].best_params_["stages__0__C"] == names["search"].best_estimator_.stages[0].C
    assert names["found"].suggestion > 0
    assert names["long"].provenance_["epochs_run"] == 5


EXPORTS = {"keeping"}
OF_NETWORKS = {"classifier", "prediction", "recipes", "training"}
"""Their pages show numbers of VGG19, where the tests have one convolution: lines are compared without their digits."""
DRAWN_FROM_REAL_IMAGES = {"classifier", "judging", "training"}
"""Pictures that `docs/real_pictures.py` draws, where the snippets of the same name train on drawn lesions."""
ON_REAL_IMAGES = {"getting_started"}
"""What its page shows was printed on the real images: `test_readme` runs it there."""


def shown_outputs(snippet):
    """Return the lines that pages show as what a snippet prints."""
    code = rf"^<!-- docs/snippets/{snippet}\.py:\w+ -->\n```python\n(?:(?!```)[^\n]*\n)*```\n"
    block = rf"{code}\n```(?:text|{{ .text .wrap }})\n(.*?)^```"
    texts = (page.read_text(encoding="utf-8") for page in PAGES)
    found = (match for text in texts for match in re.findall(block, text, flags=re.M | re.S))
    outputs = (shown for shown in found if "├" not in shown)  # those are trees of folders
    return [line for shown in outputs for line in shown.splitlines() if line.strip() != "..."]


@pytest.mark.slow
@pytest.mark.parametrize(
    "snippet",
    [pytest.param(path, marks=only_tensorflow) if path.stem in EXPORTS else path for path in SNIPPETS],
    ids=[path.stem for path in SNIPPETS],
)
def test_examples_run_and_give_what_they_promise(snippet, quick_vgg19, tmp_path, monkeypatch, capsys, request):
    if snippet.stem == "scale":
        pytest.importorskip("ray", reason="the ray extra is not installed")
    if snippet.stem == "dicom":
        pytest.importorskip("pydicom", reason="the dicom extra is not installed")
    if snippet.stem == "encoders":
        for module in ("onnx", "onnxruntime"):
            pytest.importorskip(module, reason="the extra export is not installed")
    if snippet.stem == "sharing":
        request.getfixturevalue("own_hub")
    if snippet.stem == "serving":
        for module in ("fastapi", "uvicorn", "onnx", "onnxruntime", "tf2onnx"):
            pytest.importorskip(module, reason="the extras serve and export are not installed")
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    names = runpy.run_path(str(snippet))
    globals()[f"check_{snippet.stem}"](names)
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    shown = shown_outputs(snippet.stem)
    if snippet.stem in OF_NETWORKS:
        printed, shown = ([re.sub(r"[\d.]+", "0", line) for line in lines] for lines in (printed, shown))
    if snippet.stem not in ON_REAL_IMAGES:
        assert {*shown} <= {*printed}, "the page shows what the example does not print"
    if (DOCS / "images" / f"{snippet.stem}.png").exists() and snippet.stem not in DRAWN_FROM_REAL_IMAGES:
        assert Path(f"{snippet.stem}.png").stat().st_size > 5_000


def test_every_python_example_is_cut_from_a_script_that_runs():
    """`docs/embed.py` writes it into the page, where it can be read without building the site."""
    embed = runpy.run_path(str(DOCS / "embed.py"))["embed"]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert embed(text) == text, f"{page.name}: run python docs/embed.py"
        fences = re.findall(r"^(.*)\n *```python\n", text, flags=re.M)
        assert [above for above in fences if not re.fullmatch(r" *<!-- [\w/.]+:\w+ -->", above)] == [], page.name


def test_the_download_of_getting_started_names_sets_that_can_be_downloaded(monkeypatch):
    """Downloads are tested against a server; here, that the lines on the page ask for the sets that follow."""
    asked = []
    monkeypatch.setattr(ISBIDataset, "download", lambda root, *, year, split: asked.append((year, split)))
    page = (DOCS / "snippets" / "getting_started.py").read_text(encoding="utf-8")
    lines = page.partition("[start:download]\n")[2].partition("    # --8<--")[0]
    exec(textwrap.dedent(lines), {})
    assert asked == [(2016, "train"), (2016, "test"), (2017, "test")]
    assert all(get_challenge(*of).downloads for of in asked)


def test_the_walk_of_getting_started_is_short():
    page = (DOCS / "snippets" / "getting_started.py").read_text(encoding="utf-8")
    shown = re.findall(r"\[start:\w+\]\n(.*?)\n *# --8<-- \[end", page, flags=re.S)
    assert len([line for block in shown for line in block.splitlines() if line.strip()]) <= 40


def test_the_table_of_challenges_has_the_numbers_of_the_code():
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in (DOCS / "data.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and line.count("|") == 9
    ]
    shown = {}
    for _, year, splits, images, melanomas, *_, license in rows[2:]:
        for split, n, n_melanoma in zip(*(cell.split("; ") for cell in (splits, images, melanomas)), strict=True):
            shown[year.strip('"'), split] = (n, n_melanoma, license)
    assert shown == {
        (str(entry.year), entry.split): (
            "?" if entry.n_benign is None else str(entry.n_benign + entry.n_melanoma),
            "?" if entry.n_benign is None else str(entry.n_melanoma),
            entry.license if entry.year != "PH2" else "research and education",
        )
        for entry in CHALLENGES
    }


def test_the_table_of_environment_variables_has_those_that_the_code_reads():
    page = (DOCS / "getting-started.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| `(MELANOMA_TL_\w+)`", page, flags=re.M))
    code = "".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "melanoma_tl").rglob("*.py"))
    assert shown == {*re.findall(r"\bMELANOMA_TL_[A-Z]+\b", code), "MELANOMA_TL_DATA"}


def test_the_tables_of_backbones_say_what_the_code_says():
    tables = runpy.run_path(str(DOCS / "backbone_tables.py"))
    page = (DOCS / "backbones.md").read_text(encoding="utf-8")
    assert f"\n{tables['list_applications']()}\n" in page
    assert f"\n{tables['list_clauses']()}\n" in page


def test_pictures_exist_and_are_described():
    for page in PAGES:
        for description, target in re.findall(r"!\[(.*?)\]\((.*?)\)", page.read_text(encoding="utf-8"), flags=re.S):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"
            assert (page.parent / target).stat().st_size < 200_000, f"{target} is slow to load"
            assert len(description) > 40, f"{page.name}: {target} needs a description for those who cannot see it"


@pytest.mark.slow
def test_the_site_builds_strictly_and_fetches_nothing_from_elsewhere(tmp_path):
    build = pytest.importorskip("mkdocs.commands.build", reason="the docs extra is not installed")
    from mkdocs.config import load_config

    build.build(load_config(str(REPOSITORY / "mkdocs.yml"), site_dir=str(tmp_path), strict=True))
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 10
    assert not list(tmp_path.rglob("*.py"))
    notebook = (tmp_path / "notebooks" / "first_look" / "index.html").read_text(encoding="utf-8")
    assert "Test metrics: ISIC 2017 test" in notebook, "with its outputs"
    reference = (tmp_path / "reference" / "classifier" / "index.html").read_text(encoding="utf-8")
    assert "&#34;published&#34;}, PooledHead, callable" in reference
    signature = re.sub(r"<[^>]*>", "", reference)
    assert "(str, int or None)" not in signature, "no tuple, but alternatives"
    assert re.search(r"\n    backbone=(\"|&quot;|&#34;)vgg19\1,\n    \*,\n", signature), "one parameter a line"
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


def test_the_page_on_the_architecture_has_the_packages_of_the_code():
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    tables = runpy.run_path(str(DOCS / "architecture_tables.py"))
    assert f"\n{tables['list_packages']()}\n" in page
    picture = (DOCS / "architecture_picture.py").read_text(encoding="utf-8")
    assert all(f'    "{package}": "' in picture for package in tables["MAY_IMPORT"])


@pytest.mark.slow
@only_tensorflow
def test_the_page_on_the_architecture_has_the_modules_that_an_image_passes(own_table):
    """`python docs/architecture_tables.py` writes them; the order of those that threads call first may differ."""
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    tables = runpy.run_path(str(DOCS / "architecture_tables.py"))
    for name, passed in zip(("fit", "predict_proba"), tables["trace_fit_and_predict_proba"](), strict=True):
        shown = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", page, flags=re.S)[1]
        assert set(re.findall(r"^\| `(\S+)` \|", shown, flags=re.M)) == set(passed)
    walk = page.partition("## From the file to the score")[2].partition("<details")[0]
    for module in re.findall(r"`((?:images|labels|network|training|saving|backbones)\.\w+)`", walk):
        assert f"| `{module}` |" in page, module
