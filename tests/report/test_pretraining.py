"""What a report and its card say of a backbone's terms and pre-training data: facts, and what is not known."""

import keras
import pytest
from conftest import draw_images

from melanoma_tl import MetricsReport, TransferClassifier
from melanoma_tl.backbones import CORPORA, get_backbone, register_backbone
from melanoma_tl.backbones.weights import WeightsFile, describe_backbone
from melanoma_tl.corpora import _SPELLINGS, find_contamination, is_listed
from melanoma_tl.report.card import fill_card

TRUTH, SCORES = [0, 1] * 30, [0.2, 0.7] * 30
IMAGENET = "ImageNet-1k (ILSVRC 2012)"


def report_on(backbone, **options):
    return MetricsReport.from_scores(TRUTH, SCORES, provenance={"backbone": backbone}, n_resamples=100, **options)


def concerns_of(pretrained_on, name, **options):
    return [
        one for one in report_on({"pretrained_on": pretrained_on}, name=name, **options).concerns() if "LEAKAGE" in one
    ]


def card_of(report):
    return {entry.heading.partition(":")[0].partition(" of ")[0]: entry.text for entry in fill_card(report, {})}


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pretrained_on", "test", "source"),
    [
        ("medical and natural images of MedSigLIP", "PAD-UFES-20", "PAD-UFES-20"),
        ("medsiglip", "pad_ufes_20", "PAD-UFES-20"),
        ("ImageNet-1k, then PanDerm", "ISIC 2024 train", "ISIC 2024"),
        ("DermLIP-PanDerm", "SLICE-3D", "ISIC 2024"),
        ("SwAVDerm", "ISIC 2017 test", "ISIC Archive"),
        ("SwAVDerm", "MILK10k train", "ISIC Archive"),
        ("WhyLesionCLIP", "ISIC 2020 train", "ISIC Archive"),
        ("ISIC-2019", "HAM10000", "HAM10000"),
        ("ISIC2019", "ISIC 2018 test", "HAM10000"),
        ("isic_2017", "ISBI 2016 test", "ISIC 2016"),
        ("HAM10000", "HAM10000", "HAM10000"),
        ("PH2", "PH\N{SUPERSCRIPT TWO}", "PH2"),
        ("everything in the ISIC Archive", "BCN20000 test", "ISIC Archive"),
    ],
)
def test_pairs_are_found_in_any_spelling(pretrained_on, test, source):
    (found,) = find_contamination(pretrained_on, [test])
    assert found.source == source


@pytest.mark.parametrize(
    ("pretrained_on", "test"),
    [
        (IMAGENET, "ISIC 2017 test"),
        ("", "ISIC 2017 test"),
        ("WebLI", "PAD-UFES-20"),
        ("MedSigLIP", "ISIC 2017 test"),
        ("MedSigLIP", "PH2"),
        ("MedSigLIP-2", "PAD-UFES-20"),
        ("PanDerm", "HAM10000"),
        ("PanDerm", "ISIC 2020 train"),
        ("PanDerm2", "ISIC 2024 train"),
        ("PanDerm-v2", "ISIC 2024 train"),
        ("PanDermX", "ISIC 2024 train"),
        ("SwAVDerm", "PAD-UFES-20"),
        ("SwAVDerm", "clinic"),
        ("HAM100000", "HAM10000"),
        ("ISIC 2016", "ISIC 2017 test"),  # the other way round it is one
        ("SCIN", "skin images"),
        ("SCIN", "scintigraphy"),
    ],
)
def test_near_pairs_are_none(pretrained_on, test):
    assert find_contamination(pretrained_on, [test]) == []


def test_ids_of_the_archive_tell_where_images_are_from():
    assert concerns_of("SwAVDerm", "test", image_ids=[f"ISIC_{row:07}" for row in range(60)])
    assert not concerns_of("SwAVDerm", "test", image_ids=[f"ISIC_{row:08}" for row in range(60)])
    assert not concerns_of("PanDerm", "test", image_ids=[f"ISIC_{row:07}" for row in range(60)]), "not only ISIC 2024"


def test_each_entry_names_sources_that_are_known_and_where_that_is_said():
    for corpus in CORPORA:
        assert set(corpus.holds) <= set(_SPELLINGS.values())
        assert "https://" in corpus.citation or "doi:" in corpus.citation


@pytest.mark.parametrize("text", [IMAGENET, f"ImageNet-21k, then {IMAGENET}", "imagenet-22k", "nothing"])
def test_imagenet_and_nothing_hold_no_test_images(text):
    assert is_listed(text)


@pytest.mark.parametrize("text", ["", " ", "LVD-142M", f"{IMAGENET}, then ADE20K", "my ImageNet", "ImageNet and more"])
def test_of_anything_else_nobody_knows(text):
    assert not is_listed(text)


# -- the report --------------------------------------------------------------------------------------------------------


def test_a_known_pair_is_said_as_a_fact_with_its_source():
    (said,) = concerns_of("PanDerm", "ISIC 2024 train")
    assert said == (
        "POSSIBLE LEAKAGE: the backbone was pre-trained on PanDerm, which holds images of ISIC 2024 (Yan et al., 2025, "
        "Nat Med 31:2691, doi:10.1038/s41591-025-03747-y, Methods); whether these test images are among them is not "
        "known"
    )
    (said,) = concerns_of("HAM10000", "ISIC 2018 test")
    assert said.startswith("POSSIBLE LEAKAGE: the backbone was pre-trained on images of HAM10000; whether")
    (said,) = concerns_of("SwAVDerm", "ISIC 2017 test")
    assert "Discussion), of which ISIC 2017 is a part; whether" in said


def test_what_was_looked_at_is_named_only_where_it_can_be_known():
    looked_at = "what the backbone was pre-trained on"
    quiet = [report_on({"pretrained_on": text}, name="ISIC 2017 test").concerns() for text in (IMAGENET, "WebLI", "")]
    assert [looked_at in concerns[-1] for concerns in quiet] == [looked_at in quiet[0][-1], False, False]
    assert not any("LEAKAGE" in one for concerns in quiet for one in concerns)


@pytest.mark.parametrize("anything", ["x", 7, None, [], {"pretrained_on": 5}, {"pretrained_on": None, "license": {}}])
def test_a_file_may_say_anything(anything):
    report = report_on(anything, name="PH2")
    assert str(report)
    assert not [one for one in report.concerns() if "LEAKAGE" in one]
    assert len(fill_card(report, {})) == 17


def test_provenance_and_card_state_license_and_training_data():
    spec = get_backbone("vgg19")
    known = {"name": "vgg19", "license": spec.license, "pretrained_on": spec.pretrained_on, "may_redistribute": True}
    report = report_on(known)
    told = "name: vgg19; license: CC BY 4.0; pretrained on: ImageNet-1k (ILSVRC 2012); may redistribute: yes"
    assert told in " ".join(str(report).split())
    card = card_of(report)
    assert told in card["Model"]
    assert card["Availability"] == (
        "The weights of vgg19 may be given on under their license (CC BY 4.0). ImageNet gives its images for "
        "non-commercial research and education (https://www.image-net.org/download.php)."
    )
    assert "Pre-training" not in card["Independence"]


def test_what_is_not_known_is_said_to_be_not_known():
    report = report_on({"name": "mine", "license": "", "pretrained_on": "", "may_redistribute": None, "references": []})
    told = "license: not stated; pretrained on: not stated; may redistribute: not known; references: not stated"
    assert told in " ".join(str(report).split())
    card = card_of(report)
    assert card["Availability"] == "Not stated."
    assert "Pre-training of mine: not stated; whether test images were among it is not known." in card["Independence"]
    terms = card_of(report_on({"name": "d3", "license": "DINOv3 License", "may_redistribute": False}))["Availability"]
    assert (
        terms == "The weights of d3 may not be given on, or only under terms that bind the recipient (DINOv3 License)."
    )


# -- from training to the file -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tiny_backbone, tmp_path_factory):
    """A file for a backbone that states what it was trained on."""
    spec = get_backbone(tiny_backbone)
    facts = {"license": "by hand", "pretrained_on": "PanDerm", "references": ("https://example.org",)}
    register_backbone("stated", preprocess=spec.preprocess, input_size=spec.input_size, **facts)(spec.builder)
    path = tmp_path_factory.mktemp("stated") / "tiny.weights.h5"
    spec.builder(spec.preprocess(keras.Input((32, 32, 3))), None).save_weights(path)
    return path


def fit(backbone, weights):
    options = {"epochs": 1, "random_state": 0, "verbose": 0, "weights": weights}
    return TransferClassifier(backbone, **options).fit(draw_images(12), [0, 1] * 6)


def test_a_classifier_keeps_what_was_stated_when_it_was_trained(weights, tmp_path):
    clf = fit("stated", weights)
    known = {"name": "stated", "license": "by hand", "source": "", "pretrained_on": "PanDerm"}
    assert clf.provenance_["backbone"] == known | {"may_redistribute": None, "references": ["https://example.org"]}
    assert "stated; license: by hand; pre-trained on: PanDerm" in clf._repr_html_()
    clf.save(tmp_path / "model.keras")
    loaded = TransferClassifier.load(tmp_path / "model.keras")
    assert loaded.provenance_["backbone"] == clf.provenance_["backbone"]
    others = draw_images(40, seed=1)
    report = MetricsReport.from_estimator(loaded, others, [0, 1] * 20, name="ISIC 2024 train", n_resamples=100)
    assert any(one.startswith("POSSIBLE LEAKAGE: the backbone was pre-trained on PanDerm") for one in report.concerns())


def test_random_weights_have_seen_nothing(weights):
    known = fit("stated", None).provenance_["backbone"]
    assert (known["pretrained_on"], known["may_redistribute"], known["license"]) == ("nothing", None, "")


@pytest.mark.parametrize(
    ("official", "by_name", "expected"), [(True, False, IMAGENET), (True, True, IMAGENET), (False, True, "")]
)
def test_of_another_file_than_the_published_one_nothing_is_stated(official, by_name, expected):
    file = WeightsFile("vgg19.h5", "0", official)
    assert describe_backbone(get_backbone("vgg19"), file, by_name=by_name)["pretrained_on"] == expected


def test_a_report_says_of_another_file_that_it_is_not_the_published_one():
    known = describe_backbone(get_backbone("vgg19"), WeightsFile("a/mine.h5", "0", official=False), by_name=True)
    report = report_on(known)
    told = "source: mine.h5 is not the official file, so what it was trained on is not known (the official file: CC BY"
    assert told in " ".join(str(report).split())
    assert told in card_of(report)["Model"]
    assert not describe_backbone(get_backbone("tiny"), None, by_name=True)["source"]


@pytest.mark.parametrize(("by_name", "expected"), [(True, IMAGENET), (False, "")])
def test_where_no_hash_is_published_the_name_must_do(by_name, expected):
    file = WeightsFile("mobilenet.h5", "0", official=False)
    assert describe_backbone(get_backbone("mobilenet"), file, by_name=by_name)["pretrained_on"] == expected


def test_members_of_an_ensemble_may_start_from_different_backbones():
    members = [{"backbone": {"name": "a", "pretrained_on": "PanDerm"}}, {"backbone": {"name": "b", "license": "MIT"}}]
    provenance = {"backbone": {"source": "nowhere"}, "members": [*members, "x"]}
    report = MetricsReport.from_scores(TRUTH, SCORES, provenance=provenance, name="ISIC 2024 train", n_resamples=100)
    assert [one for one in report.concerns() if "PanDerm" in one]
    card = card_of(report)
    assert (
        "Backbone: source: nowhere; name: a; pretrained on: PanDerm. Backbone: source: nowhere; name: b"
        in card["Model"]
    )
    assert "Pre-training of b: not stated" in card["Independence"]
