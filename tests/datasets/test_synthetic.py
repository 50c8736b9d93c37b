"""Drawn lesions: the challenge's layout to the letter, classes that overlap, and no way to cheat."""

import csv

import numpy as np
import pytest
from conftest import terminal
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from melanoma_tl.datasets.challenges import CHALLENGES, get_challenge
from melanoma_tl.datasets.lesion_drawing import draw_lesion
from melanoma_tl.datasets.synthetic import write_challenge, write_isbi
from melanoma_tl.errors import ParameterError, UnknownNameError

DRAWN = [entry for entry in CHALLENGES if entry.year in (2016, 2017)]


def read_bytes(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Return 120 images of each class as one challenge split: folder, images, labels."""
    folder = write_challenge(tmp_path_factory.mktemp("drawn"), n_benign=120, n_melanoma=120, size=128)
    challenge = get_challenge(2016, "train")
    with (folder / challenge.ground_truth).open() as file:
        rows = list(csv.reader(file))
    paths = [folder / challenge.image_dirs[0] / f"{image_id}.jpg" for image_id, _ in rows]
    return (
        paths,
        np.stack([np.asarray(Image.open(path)) for path in paths]),
        np.array([w == "malignant" for _, w in rows]),
    )


def cross_validated_auc(features, labels):
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return roc_auc_score(labels, cross_val_predict(model, features, labels, cv=5, method="predict_proba")[:, 1])


def lesion_features(image):
    """Return area, outline length and colours of the dark part in the middle: what anybody would try first."""
    image = image.astype(float)
    grey, size = image.mean(axis=2), len(image)
    quarter = size // 4
    dark = np.percentile(grey[quarter:-quarter, quarter:-quarter], 3)
    y, x = np.mgrid[:size, :size] / size - 0.5
    mask = (grey < (dark + np.percentile(grey, 85)) / 2) & (np.hypot(x, y) < 0.42)
    outline = (mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum()
    colours = image[mask]
    mirrored = (mask ^ mask[:, ::-1]).mean()
    return [mask.mean(), outline / np.sqrt(mask.sum() + 1), mirrored, *colours.mean(axis=0), *colours.std(axis=0)]


# --- one image --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 50, 128, 200])
@pytest.mark.parametrize("melanoma", [False, True])
def test_image_is_raw_rgb(melanoma, size):
    image = draw_lesion(melanoma, size=size, random_state=0)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert image.std() > 5


def test_same_seed_same_image_and_other_seed_another():
    first, again, other = (draw_lesion(True, size=64, random_state=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(draw_lesion(True, size=64), draw_lesion(True, size=64))


def test_generator_is_used_and_advanced():
    rng = np.random.default_rng(1)
    first, second = draw_lesion(False, size=64, random_state=rng), draw_lesion(False, size=64, random_state=rng)
    assert np.array_equal(first, draw_lesion(False, size=64, random_state=1))
    assert not np.array_equal(first, second)


def test_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    draw_lesion(True, size=64, random_state=0)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_arithmetic_never_overflows():
    with np.errstate(all="raise", under="ignore"):
        for seed in range(20):
            assert draw_lesion(bool(seed % 2), size=64, random_state=seed).shape == (64, 64, 3)


# --- the classes ------------------------------------------------------------------------------------------------------


def test_classes_differ_but_overlap(drawn):
    _, images, labels = drawn
    auc = cross_validated_auc(np.array([lesion_features(image) for image in images]), labels)
    assert 0.72 < auc < 0.93


def test_mean_colour_alone_says_little(drawn):
    _, images, labels = drawn
    assert cross_validated_auc(images.mean(axis=(1, 2)), labels) < 0.75


def test_skin_and_light_are_the_same_in_both_classes(drawn):
    _, images, labels = drawn
    corners = np.concatenate([images[:, :8, :8], images[:, -8:, -8:]], axis=1).mean(axis=(1, 2))
    assert all(0.4 < roc_auc_score(labels, channel) < 0.6 for channel in corners.T)


def test_file_size_and_order_do_not_give_the_class_away(drawn):
    paths, _, labels = drawn
    # A large, many-coloured lesion takes some more bytes, in photographs as well.
    assert 0.3 < roc_auc_score(labels, [path.stat().st_size for path in paths]) < 0.75
    assert 0.4 < roc_auc_score(labels, np.arange(len(labels))) < 0.6


# --- the files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("challenge", DRAWN, ids=lambda challenge: challenge.title)
def test_layout_is_the_challenge_s(tmp_path, challenge):
    folder = write_challenge(
        tmp_path / "new", year=challenge.year, split=challenge.split, n_benign=5, n_melanoma=3, size=32
    )
    assert folder == tmp_path / "new"
    text = (folder / challenge.ground_truth).read_bytes().decode()
    assert text.endswith("\n")
    assert "\r" not in text
    rows = [line.split(",") for line in text.splitlines()]
    if challenge.year == 2017:
        assert rows.pop(0) == ["image_id", "melanoma", "seborrheic_keratosis"]
        assert {row[2] for row in rows} == {"0.0"}
    benign, malignant = ("benign", "malignant") if challenge.title == "ISBI 2016 train" else ("0.0", "1.0")
    labels = [row[1] for row in rows]
    assert (labels.count(benign), labels.count(malignant)) == (5, 3)
    ids = [row[0] for row in rows]
    assert ids == sorted(ids)
    assert all(len(i) == 12 and i.startswith("ISIC_") and i[5:].isdigit() for i in ids)
    on_disk = sorted(path.name for path in (folder / challenge.image_dirs[0]).iterdir())
    assert on_disk == [f"{i}.jpg" for i in ids]
    for path in (folder / challenge.image_dirs[0]).iterdir():
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 32))


def test_same_seed_same_bytes_and_other_seed_others(tmp_path):
    first, again, other = (
        read_bytes(write_challenge(tmp_path / name, n_benign=4, n_melanoma=2, size=32, random_state=seed))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert first.keys() == other.keys()
    assert not set(first.values()) & {content for path, content in other.items() if path.suffix == ".jpg"}


def test_splits_share_neither_ids_nor_images(tmp_path):
    for challenge in DRAWN:
        write_challenge(tmp_path, year=challenge.year, split=challenge.split, n_benign=3, n_melanoma=1, size=32)
    images = list(tmp_path.rglob("*.jpg"))
    assert len(images) == 4 * len(DRAWN)
    assert len({path.name for path in images}) == len(images)
    assert len({path.read_bytes() for path in images}) == len(images)


def test_write_isbi_writes_the_three_sets_of_the_quick_start(tmp_path, capfd):
    folder = write_isbi(tmp_path, n_train=10, n_validation=5, n_test=6, size=32, verbose=False)
    assert capfd.readouterr() == ("", "")
    for (year, split), count in {(2016, "train"): 10, (2016, "test"): 5, (2017, "test"): 6}.items():
        challenge = get_challenge(year, split)
        assert len(list((folder / challenge.image_dirs[0]).glob("*.jpg"))) == count
        assert (folder / challenge.ground_truth).is_file()
    words = (folder / get_challenge(2016, "train").ground_truth).read_text()
    assert words.count("malignant") == 2


def test_progress_goes_to_the_error_stream(tmp_path, capsys):
    with terminal() as shown:
        write_challenge(tmp_path, n_benign=1, n_melanoma=1, size=16, verbose=1)
    assert "Draw ISBI 2016 train: 2 images" in shown[0]
    assert capsys.readouterr().out == ""


def test_other_ground_truth_is_never_replaced(tmp_path):
    real = tmp_path / get_challenge(2016, "train").ground_truth
    real.write_text("ISIC_0000000,benign\n")
    with pytest.raises(ParameterError, match="empty folder"):
        write_challenge(tmp_path, n_benign=1, n_melanoma=1, size=16)
    assert real.read_text() == "ISIC_0000000,benign\n"
    assert list(tmp_path.iterdir()) == [real]


def test_drawing_again_is_allowed(tmp_path):
    before = read_bytes(write_challenge(tmp_path, n_benign=2, n_melanoma=1, size=16))
    assert read_bytes(write_challenge(tmp_path, n_benign=2, n_melanoma=1, size=16)) == before


def test_interrupted_writing_leaves_no_half_file_and_no_ground_truth(tmp_path, monkeypatch):
    def fail(self, file, **options):
        file.write_bytes(b"half an image")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        write_challenge(tmp_path, n_benign=1, n_melanoma=1, size=16)
    assert read_bytes(tmp_path) == {}


# --- bad arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [15, -1, 64.0, "64", True])
def test_bad_size(size):
    with pytest.raises(ParameterError, match="size must be a whole number of at least 16"):
        draw_lesion(True, size=size)


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_benign": -1},
        {"n_melanoma": 1.5},
        {"n_benign": 0, "n_melanoma": 0},
        {"n_benign": 100_000, "n_melanoma": 1},
        {"random_state": -1},
        {"random_state": None},
        {"size": 8},
    ],
)
def test_bad_arguments_of_write_challenge(tmp_path, arguments):
    with pytest.raises(ParameterError, match=next(iter(arguments))):
        write_challenge(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("year", "split"), [(2016, "validation"), (2017, "tset"), (2018, "train"), ("PH2", "all")])
def test_unknown_split(tmp_path, year, split):
    with pytest.raises(UnknownNameError, match="2017 validation"):
        write_challenge(tmp_path, year=year, split=split)


@pytest.mark.parametrize("name", ["n_train", "n_validation", "n_test"])
def test_bad_arguments_of_write_isbi(tmp_path, name):
    with pytest.raises(ParameterError, match=f"{name} must be a whole number of at least 2, got 1"):
        write_isbi(tmp_path / "new", **{name: 1})
    assert not (tmp_path / "new").exists()
