from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.leakage import compare
from melanoma_tl.datasets.lesion_drawing import draw_lesion
from melanoma_tl.datasets.near_duplicates import distances, find_near_duplicates
from melanoma_tl.errors import DatasetError, LeakageError, LeakageWarning, ParameterError, UnknownNameError
from melanoma_tl.images.loading import identify, prepare


def table(ids, *, name, **metadata):
    facts = pd.DataFrame({f"{kind}_id": values for kind, values in metadata.items()})
    return ISBIDataset(ids, None, [0] * len(ids), name=name, metadata=facts if metadata else None)


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Three drawn lesions as PNG, and the same ones renamed: a copy, a smaller JPEG, another lesion."""
    folder = tmp_path_factory.mktemp("versions")
    lesions = [draw_lesion(seed % 2 == 1, size=256, random_state=seed) for seed in range(4)]
    for name, pixels in zip("abc", lesions, strict=False):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "copy.png").write_bytes((folder / "a.png").read_bytes())
    Image.fromarray(lesions[1]).resize((200, 150)).save(folder / "smaller.jpg", quality=80)
    Image.fromarray(lesions[3]).save(folder / "other.png")
    left, right = ("a.png", "b.png", "c.png"), ("copy.png", "smaller.jpg", "other.png")
    return tuple(
        ISBIDataset([file.split(".")[0] for file in files], [folder / file for file in files], [0, 1, 0], name=name)
        for name, files in (("left", left), ("right", right))
    )


def test_patients_and_lesions_are_compared_without_case_blanks_and_unicode_form():
    one = table(["a", "b", "c"], name="one", patient=["P030", "P031", "P032"], lesion=["M\u00fc1", "L2", "L3"])
    other = table(["x", "y"], name="other", patient=["p030", "P 033"], lesion=["L9", "MU\u03081"])
    shared = one.overlap(other)
    assert shared.counts == {"id": 0, "lesion": 1, "patient": 1}
    assert shared.image_ids == ("a",)
    both = one + other
    assert both.metadata["patient_id"].tolist() == ["P030", "P031", "P032", "P030", "P 033"]


def test_ids_are_compared_without_case_and_ending():
    one = table(["ISIC_0000001", "ISIC_0000002", "x"], name="one")
    other = table(["isic_0000002_downsampled", "X"], name="other")
    assert one.overlap(other).image_ids == ("ISIC_0000002", "x")
    assert other.overlap(one).image_ids == ("isic_0000002_downsampled", "X")


def test_copies_and_other_versions_are_found(versions):
    left, right = versions
    pairs = left.overlap(right, verbose=0).to_frame().set_index("left_id")
    assert pairs.loc["a", ["right_id", "found_by"]].tolist() == ["copy", "bytes, near-duplicate"]
    assert pairs.loc["b", ["right_id", "found_by"]].tolist() == ["smaller", "near-duplicate"]
    assert 0 < pairs.loc["b", "distance"] <= 40
    assert "c" not in pairs.index


def test_what_is_compared_can_be_chosen(versions):
    left, right = versions
    assert len(left.overlap(right, by="id", verbose=0)) == 0
    assert left.overlap(right, by="bytes", verbose=0).image_ids == ("a",)
    assert left.overlap(right, by=["near-duplicate", "bytes"], verbose=0).counts == {"bytes": 1, "near-duplicate": 2}
    with pytest.raises(UnknownNameError, match="Did you mean 'near-duplicate'"):
        left.overlap(right, by="near-duplicates")
    with pytest.raises(DatasetError, match="cannot be compared by 'patient'"):
        left.overlap(right, by="patient")
    with pytest.raises(ParameterError, match="dataset must be an ISBIDataset, got 'left'"):
        left.overlap(right, by="id", verbose=0).remove_from("left")


def test_one_name_on_two_pictures_is_no_shared_image(versions):
    left, right = versions
    renamed = ISBIDataset(["c", "a"], right.paths[[1, 2]], [0, 1], name="renamed")
    overlap = left.overlap(renamed, verbose=0)
    assert overlap.image_ids == ("b",)
    assert left.overlap(renamed, by="id").counts == {"id": 2}, "without the images the name is all there is"


def test_patients_and_lesions_are_found_and_missing_ones_match_nothing():
    one = table(list("abcd"), name="one", patient=["p", "q", None, "r"], lesion=["l", "m", "n", None])
    other = table(list("efg"), name="other", patient=["q", None, "q"], lesion=[None, "n", None])
    overlap = one.overlap(other)
    assert overlap.counts == {"id": 0, "lesion": 1, "patient": 1}
    assert overlap.remove_from(one).image_ids.tolist() == ["a", "d"]
    assert overlap.remove_from(other).image_ids.tolist() == [], "every image of a shared patient goes"


@pytest.fixture
def numbered(versions):
    """Two datasets that number their images from 1; the last image of the second is the first of the first."""
    left, right = versions
    first = ISBIDataset(["1", "2"], left.paths[:2], [0, 1], name="first")
    return first, ISBIDataset(["1", "2", "51"], right.paths[[2, 1, 0]], [0, 1, 0], name="second")


def test_an_image_is_taken_out_of_its_own_side_although_one_of_the_other_has_its_id(numbered):
    first, second = numbered
    shared = first.overlap(second, by="bytes")
    assert shared.pairs[["left_id", "right_id"]].to_numpy().tolist() == [["1", "51"]]
    assert shared.remove_from(second).image_ids.tolist() == ["1", "2"]
    assert shared.remove_from(first).image_ids.tolist() == ["2"]
    assert shared.remove_from(second[[2, 0]]).image_ids.tolist() == ["1"]
    assert shared.remove_from(first[:0]).image_ids.tolist() == []
    both = ISBIDataset.concat([second, first], prefix_ids=True)
    assert shared.remove_from(both).image_ids.tolist() == ["second/1", "second/2", "first/2"]
    assert ISBIDataset.concat([first], prefix_ids=True).overlap(second, by="bytes").remove_from(
        first
    ).image_ids.tolist() == ["2"]


def test_resized_copies_are_recognised_by_their_id_where_it_is_of_one_side(numbered, tmp_path):
    first, second = numbered
    shared = first.overlap(second, by="bytes")
    resized = second.resize_to(tmp_path, size=(32, 32), verbose=0)
    assert shared.remove_from(resized[2:]).image_ids.tolist() == []
    assert shared.remove_from(resized[1:2]).image_ids.tolist() == ["2"], "neither 2 is shared"
    with pytest.raises(DatasetError, match="second: first and second each have an image with the id '1', only one"):
        shared.remove_from(resized)


def test_files_of_one_name_in_two_folders_are_two_images(versions, tmp_path):
    paths = [tmp_path / name for name in ("benign/1.png", "malignant/1.png", "malignant/2.png")]
    for source, path in zip(versions[0].paths, paths, strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(Path(source).read_bytes())
    ids = ("1.png (image 0)", "1.png (image 1)", "2.png")
    shared = compare(identify(paths, verbose=0), versions[0].identify(verbose=0))
    assert (len(shared), shared.image_ids) == (3, ids)
    paths[0].write_bytes(b"damaged")
    prepared = prepare([paths[0], *paths], [0, 0, 1, 0], (32, 32), on_error="skip", desc="", verbose=0)
    assert [row.image_id for row in prepared.skipped] == ["1.png", "1.png"]
    assert prepared.identity.image_ids == ("1.png", "2.png")
    assert prepare([paths[1]] * 2, [0, 1], (32, 32), on_error="skip", desc="", verbose=0).identity.image_ids == ids[:2]


def test_images_without_files_are_told_apart_by_lesion_and_patient():
    one = table(["1", "2", "3"], name="one", patient=["p", "q", None])
    other = table(["1", "2", "3"], name="other", patient=["r", "s", "p"])
    shared = one.overlap(other, by="patient")
    assert shared.remove_from(one).image_ids.tolist() == ["2", "3"]
    assert shared.remove_from(other).image_ids.tolist() == ["1", "2"]
    assert shared.remove_from(other[1:]).image_ids.tolist() == ["2"]
    with pytest.raises(DatasetError, match=r"the id '1', .* \(2 such ids\): call overlap with this dataset itself"):
        shared.remove_from(table(["1", "2", "3"], name="of neither"))


def test_images_are_put_together_read_anew_and_shared_with_others_before_they_are_taken_out(numbered):
    first, second = numbered
    third = ISBIDataset(["3"], second.paths[:1], [0], name="third")
    shared = (first + third).overlap(second, by="bytes")
    assert shared.remove_from(second).image_ids.tolist() == ["2"]
    assert shared.remove_from(first + third).image_ids.tolist() == ["2"]
    assert shared.remove_from(third).image_ids.tolist() == []
    by_id = table(["1", "9"], name="labels").overlap(table(["1", "51"], name="labels of another"))
    assert by_id.remove_from(second).image_ids.tolist() == ["2", "51"], "what neither side knows stays"
    for found in (shared, first[:1].overlap(second[:1], by="bytes")):
        with pytest.raises(DatasetError, match=r"none of the 2 images of others is one of .* by id or file"):
            found.remove_from(table(["x", "y"], name="others"))


def test_many_images_of_one_patient_give_a_table_that_grows_with_the_images():
    one, other = (table([f"{name}{n}" for n in range(300)], name=name, patient=["p"] * 300) for name in ("a", "b"))
    overlap = one.overlap(other)
    assert len(overlap) == 300
    assert len(overlap.pairs) < 600
    assert len(overlap.remove_from(other)) == 0


def test_overlap_speaks_and_stops(versions):
    left, right = versions
    overlap = left.overlap(right, verbose=0)
    assert str(overlap) == (
        "'left': 2 images have a counterpart in 'right' (0 by id, 1 by bytes, 2 by near-duplicate): a, b"
    )
    assert "smaller" in overlap._repr_html_()
    assert '<th scope="col">left</th>' in overlap._repr_html_()
    with pytest.raises(LeakageError, match="2 images have a counterpart"):
        overlap.raise_if_any()
    with pytest.warns(LeakageWarning, match=r"2 images have a counterpart .*: a, b\. Look at them") as caught:
        overlap.warn_if_any("Look at them")
    assert caught[0].filename == __file__
    nothing = left[2:].overlap(right, verbose=0)
    assert not nothing
    nothing.raise_if_any()
    assert "share nothing (compared by id, bytes, near-duplicate)" in str(nothing)
    assert nothing.to_frame().columns.tolist() == overlap.to_frame().columns.tolist()
    assert overlap.remove_from(left).image_ids.tolist() == ["c"]
    assert overlap.remove_from(right).image_ids.tolist() == ["other"]


def test_an_image_that_cannot_be_read_is_listed_and_compared_by_id(versions, tmp_path):
    left, _ = versions
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    broken = ISBIDataset(["a"], [tmp_path / "bad.png"], [0], name="broken")
    overlap = left.overlap(broken, verbose=0)
    assert overlap.image_ids == ("a",)
    assert [row.image_id for row in overlap.skipped] == ["a"]


def test_the_contact_sheet_shows_both_images_of_a_pair(versions):
    left, right = versions
    figure = left.overlap(right, verbose=0).plot()
    titles = [ax.get_title() for ax in figure.axes if ax.get_images()]
    assert titles == ["b", "smaller", "a", "copy"], "the doubtful pair first"
    assert any("of 256 bits" in ax.get_xlabel() for ax in figure.axes)
    assert not table(["a"], name="ids").overlap(table(["a"], name="ids")).plot().axes[0].get_images()


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(0, 60))
def test_near_duplicates_are_exactly_those_that_comparing_all_pairs_finds(seed, n_left, n_right):
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2**63, (6, 5), dtype=np.uint64)

    def looks(n):
        bits = np.unpackbits(centres[rng.integers(0, 6, n)].view(np.uint8).reshape(n, 40), axis=1)
        flips = rng.random(bits.shape) < rng.choice([0.01, 0.05, 0.1, 0.15], (n, 1))
        return np.packbits(bits ^ flips, axis=1).view(np.uint64).reshape(n, 5)

    left, right = looks(n_left), looks(n_right)
    rows_left, rows_right, bits = find_near_duplicates(left, right)
    every = np.array(np.meshgrid(np.arange(n_left), np.arange(n_right), indexing="ij"), dtype=int).reshape(2, -1)
    coarse, fine = distances(left[every[0]], right[every[1]])
    near = (coarse <= 8) & (fine <= 40)
    assert list(zip(rows_left, rows_right, strict=True)) == list(zip(*every[:, near], strict=True))
    assert bits.tolist() == fine[near].tolist()


def test_blank_images_are_nobodys_near_duplicate():
    blank = np.zeros((3, 5), dtype=np.uint64)
    assert all(len(found) == 0 for found in find_near_duplicates(blank, blank))


@pytest.mark.slow
@pytest.mark.real_data
def test_known_pairs_of_the_real_images_and_no_others(real_data):
    train = ISBIDataset.from_challenge(real_data, year=2016, split="train", on_error="skip")
    valid = ISBIDataset.from_challenge(real_data, year=2016, split="test")
    test = ISBIDataset.from_challenge(real_data, year=2017, split="test")

    def pairs(left, right):
        table = left.overlap(right, verbose=0).to_frame()
        return {(left_id[-7:], right_id[-7:]) for left_id, right_id in zip(table.left_id, table.right_id, strict=True)}

    assert pairs(train, valid) == {("0000280", "0000279"), ("0001184", "0001484"), ("0001385", "0001685")}
    # Photographs of 2016 that ISIC 2017 holds again under new ids, in other colours: looked at one by one.
    assert pairs(train, test) == {
        ("0000162", "0014826"),
        ("0000179", "0014765"),
        ("0000183", "0015311"),
        ("0000184", "0015310"),
        ("0000185", "0015155"),
        ("0000193", "0015436"),
    }
    assert pairs(valid, test) == {("0000174", "0015071"), ("0000201", "0015023"), ("0000227", "0015034")}
    assert ("0001442", "0001742") in pairs(train, train)


@pytest.mark.real_data
def test_real_overlaps_by_id(real_data):
    def ids(year, split):
        return ISBIDataset.from_challenge(real_data, year=year, split=split, labels_only=True)

    assert len(ids(2016, "train").overlap(ids(2017, "test"))) == 0
    assert len(ids(2016, "test").overlap(ids(2017, "train"))) == 305
    assert len(ids(2016, "train").overlap(ids(2017, "train"))) == 746
    second_reading = ids(2017, "train").first(per_class=75)
    published = ISBIDataset.from_challenge(real_data, year=2016, split="train", on_error="skip").first(
        per_class={"benign": 346, "melanoma": 173}
    )
    assert len(second_reading.overlap(published)) == 108
    assert len(second_reading.overlap(ids(2016, "test"))) == 42
