import hashlib
import json
import os
import time

import numpy as np
import pytest
from PIL import Image, ImageOps

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.lesion_drawing import draw_lesion
from melanoma_tl.datasets.near_duplicates import distances, find_near_duplicates
from melanoma_tl.errors import ImageError
from melanoma_tl.images.decoding import ImageFile
from melanoma_tl.images.fingerprints import (
    Fingerprint,
    Fingerprints,
    fingerprint_image,
    fingerprint_images,
    normalise_id,
    number_values,
)


@pytest.fixture(scope="module")
def lesion():
    return draw_lesion(True, size=256, random_state=3)


@pytest.fixture
def file(tmp_path, lesion):
    path = tmp_path / "lesion.png"
    Image.fromarray(lesion).save(path)
    return path


def bits_between(one, other):
    looks = [np.frombuffer(found.look, dtype="<u8")[None] for found in (one, other)]
    return [int(count[0]) for count in distances(*looks)]


def test_the_content_is_the_sha256_of_the_file(file):
    assert fingerprint_image(file).content == hashlib.sha256(file.read_bytes()).digest()
    assert fingerprint_image(ImageFile("elsewhere", file.read_bytes)) == fingerprint_image(file)


def test_an_image_in_memory_has_the_look_of_its_file(file, lesion):
    assert fingerprint_image(lesion).look == fingerprint_image(file).look == fingerprint_image(Image.open(file)).look


def test_shape_is_part_of_the_content_in_memory():
    pixels = np.zeros((32, 64, 3), dtype="uint8")
    assert fingerprint_image(pixels).content != fingerprint_image(pixels.reshape(64, 32, 3)).content


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((224, 224)),
        lambda image: image.resize((512, 384)),
        lambda image: image.crop((4, 4, 252, 252)),
        lambda image: image.point(lambda value: min(255, int(value * 1.15))),
    ],
    ids=["smaller", "squashed", "slightly cropped", "brighter"],
)
def test_another_version_of_a_photograph_looks_alike(lesion, change):
    coarse, fine = bits_between(fingerprint_image(lesion), fingerprint_image(change(Image.fromarray(lesion))))
    assert coarse <= 8
    assert fine <= 40


def test_another_compression_looks_alike(tmp_path, lesion):
    Image.fromarray(lesion).save(tmp_path / "lesion.jpg", quality=40)
    coarse, fine = bits_between(fingerprint_image(lesion), fingerprint_image(tmp_path / "lesion.jpg"))
    assert coarse <= 4
    assert fine <= 16


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_photograph_and_its_copies_with_and_without_orientation_are_near_duplicates(tmp_path, lesion, orientation):
    """One that was turned upright when it was copied, and one that has lost its tag and was not."""
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(lesion).save(tmp_path / "camera.jpg", exif=exif, quality=90)
    camera = Image.open(tmp_path / "camera.jpg")
    ImageOps.exif_transpose(camera).resize((200, 180)).save(tmp_path / "upright.jpg", quality=80)
    Image.fromarray(np.asarray(camera)).save(tmp_path / "lost.jpg", quality=80)
    names = ["camera", "upright", "lost"]
    labels = [0, 0, 0]
    dataset = ISBIDataset(names, [tmp_path / f"{name}.jpg" for name in names], labels)
    pairs = dataset[:1].overlap(dataset[1:], verbose=0).to_frame()
    assert pairs["right_id"].tolist() == ["upright", "lost"]
    assert (pairs["distance"] <= 16).all()
    same_id = ISBIDataset(["camera"], dataset.paths[2:], [0])
    assert "id" in dataset[:1].overlap(same_id, verbose=0).to_frame()["found_by"].iloc[0]
    state = json.loads(json.dumps(dataset.identify(verbose=0).fingerprints.to_state()))
    again = Fingerprints.from_state(state)
    assert again.perceptual_hashes.shape == (3, 10)
    assert again.perceptual_hashes[:, 5:].any(axis=1).tolist() == [True, False, False]
    assert len(find_near_duplicates(again.perceptual_hashes[:1], again.perceptual_hashes[1:])[0]) == 2


def test_other_lesions_look_different(lesion):
    for seed in range(8):
        other = draw_lesion(True, random_state=seed + 90)
        coarse, fine = bits_between(fingerprint_image(lesion), fingerprint_image(other))
        assert coarse > 8 or fine > 40


def test_order_is_kept_and_what_cannot_be_read_is_an_error_in_its_place(file, tmp_path, lesion):
    found = list(fingerprint_images([file, tmp_path / "missing.png", lesion, file], batch_size=2))
    assert [type(one) for one in found] == [Fingerprint, ImageError, Fingerprint, Fingerprint]
    assert found[0] == found[3]
    assert found[0].look == found[2].look


def test_a_file_is_looked_at_once(file, monkeypatch):
    time.sleep(0.05)  # what was written just now may be written again at the same time, and is not remembered
    first = list(fingerprint_images([file]))

    def refuse(image):
        raise AssertionError("looked at again")

    monkeypatch.setattr("melanoma_tl.images.fingerprints.fingerprint_image", refuse)
    assert list(fingerprint_images([file])) == first
    assert list(fingerprint_images([os.path.relpath(file)])) == first


def test_a_changed_file_is_looked_at_again(file):
    (before,) = fingerprint_images([file])
    Image.fromarray(draw_lesion(False, random_state=1)).save(file)
    (after,) = fingerprint_images([file])
    assert after == fingerprint_image(file) != before


def test_ids_of_all_years_are_one():
    assert normalise_id("le\u0301sion") == normalise_id("l\u00e9sion")
    assert normalise_id("ISIC_0000013_downsampled") == normalise_id("isic_0000013") == "isic_0000013"
    assert normalise_id("ISIC_0000013_DOWNSAMPLED") == "isic_0000013"


def test_missing_values_have_no_number():
    numbers = number_values(["a", None, "b", float("nan"), "a"])
    assert numbers[1] == numbers[3] == 0
    assert numbers[0] == numbers[4] != numbers[2]


def test_fingerprints_go_through_json(file, lesion):
    whole = Fingerprints.from_keys_and_hashes(
        {"id": number_values(["a", "b"])}, [fingerprint_image(file), ImageError("b", "bad")]
    )
    again = Fingerprints.from_state(json.loads(json.dumps(whole.to_state())))
    assert again.kinds == ("id", "bytes", "near-duplicate")
    assert all(np.array_equal(again.keys[kind], numbers) for kind, numbers in whole.keys.items())
    assert np.array_equal(again.perceptual_hashes, whole.perceptual_hashes)


def test_fingerprints_hold_neither_ids_nor_pixels(file):
    text = json.dumps(
        Fingerprints.from_keys_and_hashes({"id": number_values(["ISIC_0000013"])}, [fingerprint_image(file)]).to_state()
    )
    assert "ISIC" not in text
    assert len(text) < 200


def test_a_relation_that_one_part_does_not_know_is_unknown_there():
    parts = [Fingerprints({"id": number_values("ab"), "patient": number_values("pq")}, None)]
    parts.append(Fingerprints({"id": number_values("cd")}, None))
    whole = Fingerprints.concatenate(parts)
    assert len(whole) == 4
    assert whole.keys["patient"][2:].tolist() == [0, 0]
    assert whole[[0, 3]].keys["id"].tolist() == [parts[0].keys["id"][0], parts[1].keys["id"][1]]


def test_images_whose_look_is_unknown_keep_their_rows_beside_others():
    by_id = Fingerprints({"id": np.array([1, 2, 3], dtype=np.uint64)}, None)
    by_look = Fingerprints({"bytes": np.array([4, 5], dtype=np.uint64)}, np.ones((2, 10), dtype=np.uint64))
    whole = Fingerprints.concatenate([by_id, by_look])
    assert len(whole) == 5
    assert whole.perceptual_hashes.any(axis=1).tolist() == [False] * 3 + [True] * 2
    assert len(whole[3:].unique()) == 2
