"""A subset that is no random draw is found out, and a random one is left in peace."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import ks_2samp

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.permutations import _measure_difference, _number_bins
from melanoma_tl.datasets.selection_bias import MAX_CATEGORIES, _correct_by_holm, measure_selection_bias
from melanoma_tl.errors import DatasetError, ImageError, ParameterError, UnknownNameError

N = 80
OF_FILES = {"width", "height", "aspect_ratio", "bytes_per_pixel", "camera", "brightness"}


@pytest.fixture(scope="module")
def two_cameras(tmp_path_factory) -> ISBIDataset:
    """The first half from a camera that photographs brighter, smaller and upright; the corners are alike."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("cameras")
    for position in range(N):
        first = position < N // 2
        pixels = np.full((40, 30, 3) if first else (36, 48, 3), 120.0)
        pixels[8:-8, 8:-8] = 200 if first else 90
        pixels += rng.normal(0, 12, 3)  # a cast of colour
        exif = Image.Exif()
        exif[0x10F], exif[0x110] = ("Canon ", "EOS\0") if first else ("NIKON", "D90")
        image = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
        image.save(folder / f"{position:03}.jpg", exif=exif)
    ids = [f"{position:03}" for position in range(N)]
    return ISBIDataset(ids, [folder / f"{i}.jpg" for i in ids], np.arange(N) % 2, name="two cameras")


def table(n: int = 400, *, labels=None, **columns) -> ISBIDataset:
    """A dataset without images."""
    labels = np.arange(n) % 4 == 0 if labels is None else labels
    metadata = pd.DataFrame(columns, index=range(n))
    return ISBIDataset([f"{i:05}" for i in range(n)], None, labels, name="drawn", metadata=metadata)


def measure(dataset, subset, **options):
    return measure_selection_bias(dataset, subset, verbose=0, **options)


def row(bias, characteristic, class_name):
    frame = bias.to_frame()
    return frame[(frame["characteristic"] == characteristic) & (frame["class"] == class_name)].squeeze()


# --- what is found ----------------------------------------------------------------------------------------------------


def test_the_first_images_come_from_one_camera(two_cameras):
    bias = measure(two_cameras, two_cameras.first(per_class=15))
    assert bias
    assert set(bias.differing) == OF_FILES
    camera = row(bias, "camera", "melanoma")
    assert (camera["in_subset"], camera["in_rest"]) == ("100 % Canon EOS", "20 % Canon EOS")
    assert camera["effect"] == pytest.approx(0.8)
    assert bias.left_out == {"file_format": "always JPEG"}
    text = str(bias)
    assert text.startswith(
        "30 of the 80 images of 'two cameras' differ from the others of their class in 6 of 8 characteristics: "
    )
    assert "file_format (always JPEG)" in text


def test_images_are_described_in_their_units(two_cameras):
    images = measure(two_cameras, two_cameras.first(per_class=15)).images
    assert images["image_id"].tolist() == two_cameras.image_ids.tolist()
    first = images.iloc[0]
    assert (first["width"], first["height"], first["aspect_ratio"]) == (30, 40, 0.75)
    pixels = np.asarray(Image.open(two_cameras.paths[0]), dtype=float)
    assert first["brightness"] == pytest.approx(pixels.mean(), abs=1)
    assert first["red_minus_blue"] == pytest.approx((pixels[..., 0] - pixels[..., 2]).mean(), abs=1)
    assert first["corner_brightness"] == pytest.approx(pixels[:4, :3].mean(), abs=3)
    assert first["bytes_per_pixel"] == Path(two_cameras.paths[0]).stat().st_size / 1200


def test_random_images_of_two_cameras_do_not_differ(two_cameras):
    bias = measure(two_cameras, two_cameras.sample(per_class=15, random_state=1))
    assert not bias
    assert bias.differing == ()
    assert "no difference from the others of their class was found in 8 characteristics" in str(bias)


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_promised():
    rng = np.random.default_rng(0)
    site = np.r_[rng.choice(["back", "leg"], 200), rng.choice(["arm", "face", "back"], 200)]
    dataset = table(site=site, age=np.arange(400) / 8 + rng.normal(0, 5, 400))
    assert set(measure(dataset, dataset.first(per_class=40)).differing) == {"site", "age"}
    # At most 1 in 20 on the average; more than 3 by chance once in 60 such tests.
    assert sum(bool(measure(dataset, dataset.sample(per_class=40, random_state=seed))) for seed in range(20)) <= 3


def test_another_mix_of_classes_is_no_difference():
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 8 == 0
    dataset = table(labels=labels, age=rng.normal(50, 3, 400) + 20 * labels)
    half_and_half = dataset.sample(per_class=30, random_state=0)
    assert row(measure(dataset, half_and_half), "age", "benign")["p_value"] > 0.05
    assert not measure(dataset, half_and_half)


def test_unknown_values_are_a_difference():
    rng = np.random.default_rng(0)
    known_later = np.where(np.arange(400) < 200, np.nan, rng.normal(50, 10, 400))
    always_the_same = pd.array([None] * 200 + [60] * 200, dtype="Int64")
    dataset = table(age=known_later, year=always_the_same, site=np.where(np.arange(400) < 200, None, "back"))
    assert set(measure(dataset, dataset.first(per_class=40)).differing) == {"age", "year", "site"}


def test_equal_shares_have_no_effect():
    dataset = table(labels=np.zeros(400, int), age=[30.0, 60.0] * 200)
    age = row(measure(dataset, dataset[:40]), "age", "benign")
    assert (age["effect"], age["p_value"]) == (0, 1)
    assert (age["in_subset"], age["in_rest"]) == ("50 % up to 30", "50 % up to 30")


def test_sorted_labels_are_told_but_are_no_difference_of_a_random_subset():
    rng = np.random.default_rng(0)
    dataset = table(labels=np.arange(400) >= 300, age=rng.normal(50, 10, 400))
    bias = measure(dataset, dataset.sample(per_class=40, random_state=0))
    order = row(bias, "class by file order", "both")
    assert order["effect"] == pytest.approx(1, abs=0.2)
    assert order["differs"]
    assert not bias
    assert bias.melanoma_shares == pytest.approx([0] * 7 + [0.5, 1, 1])
    assert "The classes follow the file order" in str(bias)


def test_shuffled_labels_do_not_follow_the_file_order():
    rng = np.random.default_rng(0)
    dataset = table(labels=rng.permutation(np.arange(400) >= 300), age=rng.normal(50, 10, 400))
    bias = measure(dataset, dataset.first(per_class=40))
    assert not row(bias, "class by file order", "both")["differs"]
    assert not bias
    assert "The classes follow" not in str(bias)


def test_a_tiny_difference_of_many_images_does_not_count():
    n = 40_000
    age = np.random.default_rng(0).normal(50, 10, n) + np.where(np.arange(n) < n // 2, 0.0, 1.0)
    dataset = table(n, age=age)
    age_row = row(measure(dataset, dataset.first(per_class=5_000)), "age", "benign")
    assert age_row["p_value"] < 0.01
    assert age_row["effect"] < 0.1
    assert not age_row["differs"]


@pytest.mark.real_data
def test_the_first_test_images_of_isbi_2016_differ(real_data):
    dataset = ISBIDataset.from_challenge(real_data, year=2016, split="test")
    bias = measure(dataset, dataset.first(per_class=75))
    assert {"bytes_per_pixel", "red_minus_blue"} <= set(bias.differing)
    assert bias.left_out["melanoma images"].startswith("75 in the subset and 0 in the rest")
    assert bias.left_out["width"] == "always 224"


# --- how it is counted ------------------------------------------------------------------------------------------------


def test_numbers_are_compared_by_kolmogorov_and_smirnov():
    rng = np.random.default_rng(0)
    values, chosen = rng.normal(size=40), np.arange(40) < 12
    values[chosen] += 0.7
    effect, p_value = _measure_difference(_number_bins(pd.Series(values)), chosen, ordered=True, rng=rng)
    expected = ks_2samp(values[chosen], values[~chosen], method="exact")
    assert effect == pytest.approx(expected.statistic)
    assert p_value == pytest.approx(expected.pvalue, abs=4 * np.sqrt(expected.pvalue / 9_999))


def test_words_are_compared_by_the_share_that_would_have_to_be_others():
    words = np.repeat([0, 1, 2, 0, 1, 2], [5, 3, 2, 10, 20, 10])
    effect, _ = _measure_difference(words, np.arange(50) < 10, ordered=False, rng=np.random.default_rng(0))
    assert effect == pytest.approx(0.5 - 0.25)


def test_p_values_of_words_are_those_of_shuffled_subsets():
    words, chosen = np.repeat([0, 1, 2, 0, 1, 2], [6, 3, 3, 8, 20, 10]), np.arange(50) < 12
    rng = np.random.default_rng(0)

    def distance(members):
        inside, outside = (np.bincount(words[side], minlength=3) / side.sum() for side in (members, ~members))
        return np.abs(inside - outside).sum() / 2

    shuffled = [distance(rng.permutation(chosen)) >= distance(chosen) - 1e-9 for _ in range(5_000)]
    _, p_value = _measure_difference(words, chosen, ordered=False, rng=rng)
    assert p_value == pytest.approx(np.mean(shuffled), abs=0.02)
    assert p_value > 0.02


def test_p_values_are_corrected_as_holm_does():
    assert _correct_by_holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert _correct_by_holm(np.array([0.5, 0.9])).max() == 1


def test_the_order_of_the_subset_does_not_matter(two_cameras):
    subset = two_cameras.first(per_class=15)
    shuffled = subset[np.random.default_rng(0).permutation(len(subset))]
    assert str(measure(two_cameras, shuffled)) == str(measure(two_cameras, subset))


def test_one_seed_one_result():
    rng = np.random.default_rng(0)
    dataset = table(age=rng.normal(50, 10, 400))
    subset = dataset.sample(per_class=40, random_state=0)
    same, again, other = (measure(dataset, subset, random_state=seed).to_frame() for seed in (5, 5, 6))
    pd.testing.assert_frame_equal(same, again)
    assert not same["p_value"].equals(other["p_value"])
    assert same.drop(columns="p_value").equals(other.drop(columns="p_value"))


def test_alpha_is_the_level(two_cameras):
    subset = two_cameras.first(per_class=15)
    p_value = row(measure(two_cameras, subset), "width", "benign")["p_value"]
    assert row(measure(two_cameras, subset, alpha=1.01 * p_value), "width", "benign")["differs"]
    assert not row(measure(two_cameras, subset, alpha=0.99 * p_value), "width", "benign")["differs"]


# --- what is left out -------------------------------------------------------------------------------------------------


def test_without_images_only_the_metadata_is_compared():
    dataset = table(site=["back", "leg"] * 200)
    assert set(measure(dataset, dataset.first(per_class=40)).to_frame()["characteristic"]) == {
        "site",
        "class by file order",
    }


def test_with_nothing_to_compare_it_says_so():
    dataset = table()
    bias = measure(dataset, dataset.first(per_class=40))
    assert not bias
    assert "no characteristic is known that varies" in str(bias)
    with pytest.raises(DatasetError, match="nothing to draw"):
        bias.plot()


def test_characteristics_that_cannot_be_compared_are_listed():
    everywhere = table(
        constant=1.0,
        empty=None,
        code=[f"code {i % (MAX_CATEGORIES + 1)}" for i in range(400)],
        diagnosis=np.where(np.arange(400) % 4 == 0, "melanoma", "nevus"),
        patient_id=np.arange(400) // 100,
        site=["back", "leg"] * 200,
    )
    bias = measure(everywhere, everywhere.first(per_class=40))
    assert bias.left_out == {
        "constant": "always 1",
        "empty": "always unknown",
        "code": f"{MAX_CATEGORIES + 1} values, more than {MAX_CATEGORIES}",
        "diagnosis": "the same throughout each class",
    }
    assert set(bias.to_frame()["characteristic"]) == {"site", "class by file order"}


def test_what_varies_in_one_class_is_compared_there():
    diagnosis = np.where(np.arange(400) % 4 == 0, "melanoma", np.where(np.arange(400) < 200, "nevus", "keratosis"))
    dataset = table(diagnosis=diagnosis)
    bias = measure(dataset, dataset.first(per_class=40))
    assert bias.to_frame()["class"].tolist() == ["benign", "both"]
    assert bias.differing == ("diagnosis",)


def test_a_class_that_is_taken_whole_is_not_compared():
    dataset = table(age=np.arange(400.0))
    bias = measure(dataset, dataset.first(per_class={"benign": 50, "melanoma": 100}))
    assert set(bias.to_frame()["class"]) == {"benign", "both"}
    assert bias.left_out == {"melanoma images": "100 in the subset and 0 in the rest, fewer than 5"}
    assert bias.differing == ("age",)
    assert bias.to_frame().drop(columns=["in_subset", "in_rest"]).notna().all(axis=None)


@pytest.mark.parametrize("counts", [{"benign": 4, "melanoma": 2}, {"benign": 300, "melanoma": 100}, {"benign": 0}])
def test_subsets_without_counterparts_are_refused(counts):
    dataset = table(age=np.arange(400.0))
    with pytest.raises(DatasetError, match=r"benign images: \d+ in the subset and \d+ in the rest, fewer than 5"):
        measure(dataset, dataset.first(per_class=counts))


def test_foreign_images_are_refused(two_cameras):
    with pytest.raises(DatasetError, match=r"part of drawn: 20 of its 20 images are not in it \(000, 001, 002, …\)"):
        measure(table(), two_cameras[:20])


@pytest.mark.parametrize("options", [{"alpha": 0}, {"alpha": 1}, {"on_error": "ignore"}])
def test_wrong_parameters_are_refused(options):
    with pytest.raises((ParameterError, UnknownNameError), match=next(iter(options))):
        measure(table(), table(), **options)


def test_images_that_cannot_be_read_are_listed(two_cameras, bad_images):
    paths = two_cameras.paths.tolist()
    paths[3], paths[50] = str(bad_images / "truncated.jpg"), str(bad_images / "gone.jpg")
    dataset = ISBIDataset(two_cameras.image_ids, paths, two_cameras.labels, name="holed")
    bias = measure(dataset, dataset.first(per_class=15))
    assert [(skipped.image_id, skipped.path) for skipped in bias.skipped] == [("003", paths[3]), ("050", paths[50])]
    assert bias.skipped[1].reason == "no such file"
    assert len(bias.images) == N - 2
    assert set(bias.differing) == OF_FILES
    assert "050: no such file" in str(bias)
    with pytest.raises(ImageError, match="truncated"):
        measure(dataset, dataset.first(per_class=15), on_error="raise")


def test_images_none_of_which_can_be_read_are_refused():
    dataset = ISBIDataset([str(i) for i in range(20)], ["gone.png"] * 20, [0, 1] * 10)
    with pytest.raises(DatasetError, match="20 images skipped"):
        measure(dataset, dataset.first(per_class=5))


def test_damaged_camera_data_do_not_stop_the_comparison(tmp_path):
    for position in range(12):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{position}.png", exif=b"MM*" if position < 6 else None)
    dataset = ISBIDataset([str(i) for i in range(12)], [tmp_path / f"{i}.png" for i in range(12)], [0] * 12)
    assert measure(dataset, dataset[:6]).images["camera"].tolist() == ["unreadable"] * 6 + ["none"] * 6


# --- the figure -------------------------------------------------------------------------------------------------------


def test_each_panel_shows_a_difference_with_the_subset_shaded(two_cameras):
    bias = measure(two_cameras, two_cameras.first(per_class=15))
    figure = bias.plot(n=4)
    assert len(figure.axes) == 4
    found = bias.to_frame().sort_values("effect", ascending=False, kind="stable").head(4)
    assert [ax.get_ylabel() for ax in figure.axes] == found["characteristic"].tolist()
    panel = next(ax for ax in figure.axes if ax.get_ylabel() == "width")
    assert [path.get_extents().intervalx.tolist() for path in panel.collections[-1].get_paths()] == [[0, 15]]
    assert panel.lines[0].get_ydata().tolist() == [30] * 20 + [48] * 20
    assert panel.get_ylim()[0] > 20


def test_words_are_drawn_as_shares_of_each_tenth():
    site = np.where(np.arange(400) < 200, "back", "leg")
    dataset = table(site=site)
    panel = measure(dataset, dataset.first(per_class=40)).plot().axes[0]
    heights = {str(bars.get_label()): [bar.get_height() for bar in bars] for bars in panel.containers}
    assert heights == {"leg": [0] * 5 + [1] * 5, "back": [1] * 5 + [0] * 5}


def test_words_beyond_the_colours_are_drawn_together():
    rng = np.random.default_rng(0)
    dataset = table(site=np.where(np.arange(400) < 100, "face", rng.choice(list("abcdefgh"), 400)))
    panel = measure(dataset, dataset.first(per_class=40)).plot().axes[0]
    heights = np.array([[bar.get_height() for bar in bars] for bars in panel.containers])
    assert panel.containers[-1].get_label() == "others"
    assert len(heights) == 7
    assert heights.sum(axis=0) == pytest.approx(np.ones(10))


def test_without_a_difference_the_largest_effects_are_drawn():
    rng = np.random.default_rng(0)
    dataset = table(age=rng.normal(50, 10, 400))
    bias = measure(dataset, dataset.sample(per_class=40, random_state=0))
    assert not bias
    figure = bias.plot()
    assert len(figure.axes) == 2
    assert "the 80 images of the subset" in figure.get_suptitle()


@pytest.mark.slow
def test_a_subset_of_whole_patients_is_compared_with_others_of_whole_patients():
    """Drawn as single images, these alarmed in most of the divisions."""
    rng = np.random.default_rng(0)
    alarms = 0
    for seed in range(40):
        patients = np.repeat(np.arange(60), 8)
        metadata = pd.DataFrame({"patient_id": patients, "age": rng.integers(20, 80, 60)[patients]})
        labels = np.arange(480) % 2
        dataset = ISBIDataset([f"i{n}" for n in range(480)], None, labels, metadata=metadata)
        _, part = dataset.split(0.3, groups="patient", random_state=seed, verbose=0)
        alarms += bool(dataset.selection_bias(part, random_state=seed, verbose=0))
    assert alarms <= 6


def test_patients_that_differ_are_found():
    patients = np.repeat(np.arange(60), 8)
    metadata = pd.DataFrame({"patient_id": patients, "age": np.where(patients < 20, 30, 60) + patients % 7})
    dataset = ISBIDataset([f"i{n}" for n in range(480)], None, np.arange(480) % 2, metadata=metadata)
    assert dataset.selection_bias(dataset[:160], verbose=0).differing == ("age",)
