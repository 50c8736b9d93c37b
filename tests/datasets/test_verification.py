import numpy as np
import pandas as pd
import pytest
from PIL import Image

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.lesion_drawing import draw_lesion
from melanoma_tl.errors import DatasetError, ParameterError
from melanoma_tl.images.blank import why_blank


@pytest.fixture(scope="module")
def flawed(tmp_path_factory):
    """Seven good images, and one for each thing that can be wrong."""
    folder = tmp_path_factory.mktemp("flawed")
    files = {}
    for seed in range(7):
        files[f"good_{seed}"] = folder / f"good_{seed}.png"
        Image.fromarray(draw_lesion(False, random_state=seed)).resize((256, 192)).save(files[f"good_{seed}"])
    for name, source in (("copy", "good_0"), ("conflict", "good_1")):
        files[name] = folder / f"{name}.png"
        files[name].write_bytes(files[source].read_bytes())
    files["twin"] = folder / "twin.jpg"
    Image.open(files["good_2"]).save(files["twin"], quality=60)
    files["squashed"] = folder / "squashed.png"
    Image.fromarray(draw_lesion(False, random_state=50)).resize((192, 192)).save(files["squashed"])
    files["thumbnail"] = folder / "thumbnail.png"
    Image.fromarray(draw_lesion(False, random_state=51)).resize((40, 30)).save(files["thumbnail"])
    for name, shade in (("black", 3), ("white", 252), ("flat", 120)):
        files[name] = folder / f"{name}.png"
        noise = np.random.default_rng(shade).normal(shade, 1, (192, 256, 3)).clip(0, 255)
        noise[:2, :3] = 255 - shade  # a few dead pixels
        Image.fromarray(noise.astype("uint8")).save(files[name])
    files["truncated"] = folder / "truncated.png"
    files["truncated"].write_bytes(files["good_3"].read_bytes()[:2000])
    files["missing"] = folder / "missing.png"
    labels = [int(name == "conflict") for name in files]
    return ISBIDataset(list(files), list(files.values()), labels, name="flawed")


def test_everything_wrong_is_listed_with_its_reason(flawed):
    found = flawed.verify(verbose=0)
    problems = dict(zip(found.problems["image_id"], found.problems["problem"], strict=True))
    assert problems == {
        "truncated": "unreadable",
        "missing": "unreadable",
        "black": "blank",
        "white": "blank",
        "flat": "blank",
        "good_1": "label conflict",
        "conflict": "label conflict",
        "copy": "duplicate",
        "twin": "near-duplicate",
        "squashed": "odd size",
        "thumbnail": "odd size",
    }
    details = dict(zip(found.problems["image_id"], found.problems["detail"], strict=True))
    assert details["missing"] == "no such file"
    assert "truncated" in details["truncated"]
    assert details["black"].startswith("black: nearly all values are at most ")
    assert details["white"].startswith("white: nearly all values are at least 2")
    assert details["flat"].startswith("one colour: nearly all values are within ")
    assert details["copy"] == "same bytes as good_0"
    assert details["conflict"] == "same bytes as good_1, which has the other label"
    assert "differs from good_2 in" in details["twin"]
    assert details["squashed"].startswith("192x192; others are 1.33 to 1")


def test_the_gravest_problems_are_printed_first(flawed):
    found = flawed.verify(verbose=0)
    assert not found.ok
    assert str(found).startswith(
        "flawed: 17 images, 2 unreadable, 3 blank, 2 label conflict, 1 duplicate, 1 near-duplicate, 2 odd size"
    )
    assert found.problems["problem"].iloc[0] == "unreadable"
    assert found.problems["problem"].iloc[-1] == "odd size"
    assert "truncated" in found._repr_html_()


def test_what_cannot_be_used_is_taken_out(flawed):
    with pytest.raises(ParameterError, match="dataset must be an ISBIDataset, got 'flawed'"):
        flawed.verify(verbose=0).remove_from("flawed")
    kept = flawed.verify(verbose=0).remove_from(flawed)
    assert set(flawed.image_ids) - set(kept.image_ids) == {
        *("truncated", "missing", "black", "white", "flat"),
        *("good_1", "conflict", "copy"),
    }
    assert kept.verify(verbose=0).counts["duplicate"] == 0


def test_what_was_made_of_the_dataset_is_recognised_and_another_one_refused(flawed):
    found = flawed.verify(verbose=0)
    kept = found.remove_from(flawed).image_ids.tolist()
    prefixed = found.remove_from(ISBIDataset.concat([flawed], prefix_ids=True))
    assert prefixed.image_ids.tolist() == [f"flawed/{image}" for image in kept]
    assert found.remove_from(ISBIDataset(flawed.image_ids, None, flawed.labels)).image_ids.tolist() == kept
    assert len(found.remove_from(flawed[:0])) == 0
    with pytest.raises(DatasetError, match="none of the 1 images of another is one of flawed, by id or file"):
        found.remove_from(ISBIDataset(["x"], ["x.png"], [0], name="another"))


@pytest.mark.parametrize(
    ("low", "high", "problem"),
    [
        (0, 15, "black"),
        (0, 17, ""),
        (240, 255, "white"),
        (238, 255, ""),
        (100, 108, "one colour"),
        (100, 110, ""),
        (7, 7, "black"),
        (90, 90, "one colour"),
    ],
)
def test_where_blank_begins(low, high, problem):
    pixels = np.linspace(low, high, 64 * 64).round().astype("uint8").reshape(64, 64, 1).repeat(3, 2)
    assert why_blank(Image.fromarray(pixels)).split(":")[0] == problem
    coloured = pixels.copy()
    coloured[..., 2] = 128
    assert why_blank(Image.fromarray(coloured)).split(":")[0] in ("", "one colour"), "every channel must be dark"


def test_nothing_wrong_is_said_too(flawed):
    found = flawed[3:7].verify(verbose=0)
    assert found.ok
    assert str(found) == "flawed: 4 images, no problem found"


def test_a_patient_of_two_sexes_is_listed_and_said_where_the_table_is_read(flawed, caplog):
    table = (
        flawed[3:7]
        .to_frame()[["image_id", "path"]]
        .assign(label=0, patient=["P1", "p1 ", "P2", "P2"], sex=["f", "male", "m", None], age=[30, 40, 50, 60])
    )
    found = ISBIDataset.from_frame(table, name="mine").verify(verbose=0)
    assert "mine: 1 patient is female in some images and male in others ('P1')" in caplog.text
    assert found.problems["problem"].tolist() == ["sex conflict"] * 2
    assert found.problems["image_id"].tolist() == flawed.image_ids[3:5].tolist()
    assert set(found.problems["detail"]) == {"patient P1 is female in 1 of the images and male in 1"}
    caplog.clear()
    assert ISBIDataset.from_frame(table[1:], name="rest").verify(verbose=0).ok
    assert "female" not in caplog.text


def test_without_images_the_table_is_looked_at():
    table = pd.DataFrame({"image_id": list("abc"), "label": 0, "patient": ["P", "P", "Q"], "sex": ["f", "m", "m"]})
    found = ISBIDataset.from_frame(table, labels_only=True, name="mine").verify()
    assert found.problems["image_id"].tolist() == ["a", "b"]
    assert set(found.problems["problem"]) == {"sex conflict"}
    assert set(found.problems["path"]) == {""}
    assert str(found).startswith("mine: no image was opened, 2 sex conflict")
    assert len(found.remove_from(ISBIDataset.from_frame(table, labels_only=True))) == 3
    fine = ISBIDataset.from_frame(table[1:], labels_only=True, name="fine").verify()
    assert str(fine) == "fine: no image was opened, no problem found"


def test_diagnoses_that_are_two_spellings_of_one_are_said_where_the_table_is_read(caplog):
    table = pd.DataFrame({"image_id": list("abcd"), "label": 0, "diagnosis": ["naevus", "nevus", "nevus", "lentigo"]})
    dataset = ISBIDataset.from_frame(table, labels_only=True, name="mine")
    assert "mine: dataset.metadata['diagnosis'] writes one label in several ways, 'nevus' and 'naevus'" in caplog.text
    caplog.clear()
    dataset[1:].first(2)
    ISBIDataset.from_frame(table[1:], labels_only=True)
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.real_data
def test_the_real_sets_hold_the_known_duplicates(real_data):
    train = ISBIDataset.from_challenge(real_data, year=2016, split="train", on_error="skip").verify(verbose=0)
    assert train.counts == {
        "unreadable": 0,
        "blank": 0,
        "label conflict": 0,
        "duplicate": 1,
        "near-duplicate": 1,
        "odd size": 40,
        "sex conflict": 0,
    }
    details = train.problems.set_index("image_id")["detail"]
    assert details["ISIC_0001742"] == "same bytes as ISIC_0001442"
    assert details["ISIC_0011295"].startswith("differs from ISIC_0000519 in ")
    test = ISBIDataset.from_challenge(real_data, year=2017, split="test").verify(verbose=0)
    assert test.problems["image_id"].tolist() == ["ISIC_0015979", "ISIC_0016001", "ISIC_0015987"]
