import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.challenges import CHALLENGES, get_challenge
from melanoma_tl.errors import DatasetError, ImageError, ParameterError, UnknownNameError
from melanoma_tl.images.decoding import SkippedRow

ISBI = [entry for entry in CHALLENGES if entry.year in (2016, 2017)]  # the others: test_ground_truth.py

ROWS = {
    "words": "ISIC_0000000,benign\nISIC_0000002,malignant\nISIC_0000001,benign\n",
    "floats": "ISIC_0000000,0.0\nISIC_0000002,1.0\nISIC_0000001,0.0\n",
    "headed_floats": (
        "image_id,melanoma,seborrheic_keratosis\nISIC_0000000,0.0,1.0\nISIC_0000002,1.0,0.0\nISIC_0000001,0.0,0.0\n"
    ),
}


def label_format(challenge):
    return "headed_floats" if challenge.year == 2017 else "words" if challenge.split == "train" else "floats"


def write_challenge(root, challenge, text=None, missing=()):
    (root / challenge.image_dirs[0]).mkdir()
    for image_id in ("ISIC_0000000", "ISIC_0000001", "ISIC_0000002"):
        if image_id not in missing:
            Image.new("RGB", (32, 32), "peru").save(root / challenge.image_dirs[0] / f"{image_id}.jpg")
    (root / challenge.ground_truth).write_text(ROWS[label_format(challenge)] if text is None else text, newline="")
    return root


def read(root, challenge, **options):
    return ISBIDataset.from_challenge(root, year=challenge.year, split=challenge.split, **options)


@pytest.mark.parametrize("challenge", ISBI, ids=lambda entry: entry.title)
def test_each_official_format_is_read_in_file_order(tmp_path, challenge):
    dataset = read(write_challenge(tmp_path, challenge), challenge)
    assert dataset.image_ids.tolist() == ["ISIC_0000000", "ISIC_0000002", "ISIC_0000001"]
    assert dataset.labels.tolist() == [0, 1, 0]
    assert dataset.class_counts == {"benign": 2, "melanoma": 1}
    assert [path.rsplit("/", 1)[-1] for path in dataset.paths] == [f"{name}.jpg" for name in dataset.image_ids]


@pytest.mark.parametrize(
    "mangle",
    [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n"), lambda text: text.rstrip("\n")],
    ids=["byte-order mark", "Windows line ends", "no last line end"],
)
@pytest.mark.parametrize("challenge", ISBI[:3], ids=label_format)
def test_files_that_went_through_other_programs_are_read(tmp_path, challenge, mangle):
    dataset = read(write_challenge(tmp_path, challenge, mangle(ROWS[label_format(challenge)])), challenge)
    assert dataset.image_ids[0] == "ISIC_0000000"
    assert dataset.labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("image_id,melanoma\n", "no rows"),
        ("id,label\nISIC_0000000,1\n", "must name the columns 'image_id' and 'melanoma', got 'id', 'label'"),
        ("image_id,melanoma\nISIC_0000000,0.5\n", "unknown label '0.5'"),
        ("image_id,melanoma\nISIC_0000000,0.0\nISIC_0000000,1.0\n", "ISIC_0000000 and 1 more: the id occurs more"),
        ("image_id,melanoma\nISIC_0000000,0.0\nISIC_0000000,0.0\n", "ISIC_0000000: the id occurs more than once"),
        ("image_id,melanoma\n,0.0\n", "the row has no id"),
        ('image_id,melanoma\n"ISIC_0000000,0.0\n', "not a CSV file"),
    ],
)
def test_bad_tables_say_what_is_wrong(tmp_path, text, message):
    challenge = get_challenge(2017, "test")
    with pytest.raises(DatasetError, match=message):
        read(write_challenge(tmp_path, challenge, text), challenge)


def test_a_header_where_the_official_file_has_none_is_noticed(tmp_path):
    challenge = get_challenge(2016, "train")
    with pytest.raises(DatasetError, match="starts with a header"):
        read(write_challenge(tmp_path, challenge, "image_id,label\n" + ROWS["words"]), challenge)


def test_a_file_that_is_no_text_is_a_clear_error(tmp_path):
    challenge = get_challenge(2016, "train")
    write_challenge(tmp_path, challenge)
    (tmp_path / challenge.ground_truth).write_bytes(b"\xff\xfe\x00\x81" * 10)
    with pytest.raises(DatasetError, match=r"not a CSV file|expected two columns"):
        read(tmp_path, challenge)


def test_missing_images_stop_or_are_listed(tmp_path):
    challenge = get_challenge(2016, "train")
    write_challenge(tmp_path, challenge, missing=["ISIC_0000001"])
    with pytest.raises(DatasetError, match=r"1 of 3 rows.*ISIC_0000001.*on_error='skip'"):
        read(tmp_path, challenge)
    dataset = read(tmp_path, challenge, on_error="skip")
    assert len(dataset) == 2
    assert [row.image_id for row in dataset.skipped] == ["ISIC_0000001"]
    assert "no image of this name" in dataset.skipped[0].reason
    assert "1 skipped" in repr(dataset)


def test_nothing_is_lost_when_rows_are_skipped(tmp_path):
    challenge = get_challenge(2017, "test")
    text = "image_id,melanoma\nISIC_0000000,0.0\nISIC_0000000,0.0\nISIC_0000001,maybe\nISIC_0000009,1.0\n"
    dataset = read(write_challenge(tmp_path, challenge, text), challenge, on_error="skip")
    assert len(dataset) + len(dataset.skipped) == 4


def test_images_are_looked_for_in_several_folders(tmp_path):
    challenge = get_challenge(2016, "train")
    write_challenge(tmp_path, challenge, missing=["ISIC_0000001"])
    (tmp_path / "other").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "other" / "ISIC_0000001.PNG")
    dataset = read(tmp_path, challenge, image_dirs=[tmp_path / challenge.image_dirs[0], tmp_path / "other"])
    assert len(dataset) == 3
    assert dataset.paths[2].endswith("other/ISIC_0000001.PNG")


def test_a_challenge_without_images_and_one_that_is_no_folder_a_class_name_the_call(tmp_path):
    write_challenge(tmp_path, get_challenge(2016, "train"))
    with pytest.raises(
        DatasetError, match=r"read it with ISBIDataset\.from_challenge\('.*', year=2016, split='train'\)$"
    ):
        ISBIDataset.from_folder(tmp_path)
    shutil.rmtree(tmp_path / "ISBI2016_ISIC_Part3_Training_Data")
    said = r"Data: no such folder; ISBIDataset\.download\('.*', year=2016, split='train'\) .*labels_only=True"
    with pytest.raises(DatasetError, match=said):
        ISBIDataset.from_challenge(tmp_path, year=2016, split="train")
    with pytest.raises(DatasetError, match="holds a challenge"):
        ISBIDataset.from_folder(tmp_path)


def test_folders_that_do_not_exist_and_unknown_splits(tmp_path):
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        ISBIDataset.from_challenge(tmp_path / "nowhere", year=2016, split="train")
    with pytest.raises(DatasetError, match=r"GroundTruth\.csv: no such file"):
        ISBIDataset.from_challenge(tmp_path, year=2016, split="train")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'train'\?"):
        ISBIDataset.from_challenge(tmp_path, year=2016, split="trian")
    (tmp_path / "table.csv").touch()
    with pytest.raises(DatasetError, match=r"table\.csv: not a folder; .*from_csv"):
        ISBIDataset.from_folder(tmp_path / "table.csv")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=r"1 images lie in no folder of a class; .*from_csv\(table, image_dirs="):
        ISBIDataset.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("year", "split", "message"),
    [
        (2016, "training", "Unknown 2016 split 'training'. Did you mean 'train'?"),
        (2016, "valid", "Unknown 2016 split 'valid'. Known: 'test', 'train'. Others are not published: divide one"),
        (2017, "val", "Did you mean 'validation'?"),
        (2020, "test", "Unknown 2020 split 'test'. Known: 'train'. Others are not published"),
        ("ph2", "train", "Unknown PH2 split 'train'. Known: 'all'."),
        ("ISIC 2017", "train", "Unknown challenge 'ISIC 2017'. Did you mean '2017'?"),
        ("ham", "train", "Did you mean 'HAM10000'?"),
        ("PADUFES20", "all", "Did you mean 'PAD-UFES-20'?"),
        (2015, "train", "Unknown challenge 2015. Known: '2016', '2017'"),
    ],
)
def test_a_challenge_or_split_that_does_not_exist(year, split, message):
    with pytest.raises(UnknownNameError) as caught:
        get_challenge(year, split)
    assert message in str(caught.value)


@pytest.mark.parametrize("of", ["parent", "child"])
def test_labels_beside_the_folder_are_pointed_at(tmp_path, of):
    root, near = (tmp_path / "images", tmp_path) if of == "parent" else (tmp_path, tmp_path / "isbi")
    for folder in (root, near):
        folder.mkdir(exist_ok=True)
    (near / get_challenge(2016, "test").ground_truth).touch()
    with pytest.raises(DatasetError, match=rf"no such file.* It lies in {re.escape(str(near))}: pass that folder"):
        ISBIDataset.from_challenge(root, year=2016, split="test")


def test_several_diagnoses_are_counted_and_skipped_rows_shown_once():
    table = pd.DataFrame({"diagnosis": ["nevus", "nevus", "melanoma", "bcc"]})
    skipped = [SkippedRow("x", "", "gone")]
    dataset = ISBIDataset(list("abcd"), None, [0, 0, 1, 0], name="mine", metadata=table, skipped=skipped)
    assert repr(dataset) == (
        "ISBIDataset('mine', 4 images: 3 benign, 1 melanoma; diagnoses: 2 nevus, 1 melanoma, 1 bcc; 1 skipped)"
    )
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in dataset._repr_html_().split("<tr>")]
    assert [row for row in cells if row[:1] in (["diagnosis"], ["nevus"], ["bcc"])] == [
        ["diagnosis", "images"],
        ["nevus", "2"],
        ["bcc", "1"],
    ]
    assert "1 row skipped" in dataset._repr_html_()
    part = dataset[:2]
    assert repr(part) == "ISBIDataset('mine', 2 images: 2 benign, 0 melanoma)"
    assert "skipped" not in part._repr_html_()
    assert part.skipped == (dataset[:2] + dataset[2:]).skipped == dataset.skipped
    many = pd.DataFrame({"diagnosis": list("abcdefghijkl")})
    of_many = ISBIDataset(list("abcdefghijkl"), None, [0] * 12, metadata=many)
    assert repr(of_many).endswith("diagnoses: 1 a, 1 b, 1 c, 1 d, 1 e and 7 more)")
    assert ">2 others<" in of_many._repr_html_()


def test_a_csv_of_the_users_own(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    (tmp_path / "mine.csv").write_text("name,diagnosis\na.png,MEL\n")
    dataset = ISBIDataset.from_csv(
        tmp_path / "mine.csv", id_column="name", label_column="diagnosis", label_map={"MEL": 1, "NV": 0}
    )
    assert (dataset.image_ids[0], dataset.labels[0], dataset.name) == ("a", 1, "mine")


def test_a_folder_a_class(tmp_path):
    for name, word in (("b", "benign"), ("a", "benign"), ("c", "Melanoma")):
        (tmp_path / word).mkdir(exist_ok=True)
        Image.new("RGB", (32, 32)).save(tmp_path / word / f"{name}.png")
    (tmp_path / "notes").mkdir()
    dataset = ISBIDataset.from_folder(tmp_path)
    assert sorted(zip(dataset.image_ids.tolist(), dataset.labels.tolist(), strict=True)) == [
        ("a", 0),
        ("b", 0),
        ("c", 1),
    ]
    (tmp_path / "nevus").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "nevus" / "d.png")
    assert ISBIDataset.from_folder(tmp_path).metadata["diagnosis"].tolist() == ["Melanoma", "benign", "benign", "nevus"]
    words = {"benign": 0, "nevus": 0, "melanoma": 1}
    assert ISBIDataset.from_folder(tmp_path, label_map=words).class_counts == {"benign": 3, "melanoma": 1}


def test_an_empty_folder_is_a_clear_error(tmp_path):
    with pytest.raises(DatasetError, match="one folder a class"):
        ISBIDataset.from_folder(tmp_path)


def test_slices_masks_and_positions(dataset):
    assert dataset[3] == (dataset.image_ids[3], dataset.paths[3], dataset.labels[3])
    assert dataset[2:5].image_ids.tolist() == dataset.image_ids[2:5].tolist()
    assert dataset[dataset.labels == 1].class_counts == {"benign": 0, "melanoma": 12}
    assert dataset[[5, 1]].image_ids.tolist() == dataset.image_ids[[5, 1]].tolist()
    assert len(dataset[[]]) == 0
    with pytest.raises(DatasetError, match="mask must have one entry an image"):
        dataset[np.array([True, False])]
    with pytest.raises(IndexError, match=f"no image 99: .* has {len(dataset)}, counted from 0"):
        dataset[99]
    with pytest.raises(IndexError, match="no image -99"):
        dataset[-99]
    for key, instead in {
        "a": "dataset[dataset.image_ids == 'a']",
        ("a", "b"): "dataset[numpy.isin(dataset.image_ids, ids)]",
        "label": "dataset.to_frame()['label']",
    }.items():
        with pytest.raises(DatasetError, match=re.escape(instead)):
            dataset[key]


def test_the_table_cannot_be_changed(dataset):
    with pytest.raises(ValueError, match="read-only"):
        dataset.labels[0] = 1
    with pytest.raises(AttributeError):
        dataset.labels = [0]


def test_first_and_sample_choose_by_class_and_keep_file_order(dataset):
    assert dataset.first(per_class=2).image_ids.tolist() == ["IMG_000", "IMG_001", "IMG_002", "IMG_003"]
    assert dataset.first(per_class={"melanoma": 2, 0: 1}).labels.tolist() == [0, 1, 1]
    drawn = dataset.sample(per_class=4, random_state=1)
    assert drawn.class_counts == {"benign": 4, "melanoma": 4}
    assert drawn.image_ids.tolist() == sorted(drawn.image_ids.tolist())
    assert drawn.image_ids.tolist() == dataset.sample(per_class=4, random_state=1).image_ids.tolist()
    assert drawn.image_ids.tolist() != dataset.sample(per_class=4, random_state=2).image_ids.tolist()


def test_choosing_what_is_not_there(dataset):
    with pytest.raises(DatasetError, match="has 12 benign images, 13 were asked for"):
        dataset.first(per_class=13)
    with pytest.raises(UnknownNameError, match=r"Did you mean 'melanoma'\?"):
        dataset.sample(per_class={"melanom": 1})
    with pytest.raises(ParameterError, match="whole number"):
        dataset.first(per_class=2.5)
    with pytest.raises(ParameterError, match="names 'melanoma' twice"):
        dataset.first(per_class={"melanoma": 1, 1: 2})
    with pytest.raises(DatasetError, match="has 24 images, 25 were asked for"):
        dataset.sample(25)
    with pytest.raises(ParameterError, match=r"pass per_class=\{'benign': 3\}"):
        dataset.sample({"benign": 3})
    for arguments in ({}, {"n": 3, "per_class": 3}):
        with pytest.raises(ParameterError, match="give either n, a number of images, or per_class"):
            dataset.sample(**arguments)
    with pytest.raises(ParameterError, match="whole number"):
        dataset.sample(-1)


@pytest.mark.parametrize("n_melanoma", [0, 1, 7, 75, 200])
@pytest.mark.parametrize("n", [0, 1, 2, 33, 150, 200])
def test_a_sample_keeps_the_prevalence(n_melanoma, n):
    """As train_test_split with stratify keeps it, and nothing is drawn twice."""
    labels = np.random.default_rng(0).permutation(np.arange(200) < n_melanoma).astype(int)
    images = ISBIDataset([f"{row:03}" for row in range(200)], None, labels)
    drawn = images.sample(n, random_state=0)
    assert len(set(drawn.image_ids.tolist())) == len(drawn) == n
    assert abs(drawn.labels.sum() - n * n_melanoma / 200) <= 0.5
    assert drawn.image_ids.tolist() == sorted(drawn.image_ids.tolist())
    assert images.first(n).image_ids.tolist() == [f"{row:03}" for row in range(n)]


def test_every_image_is_as_likely_to_be_drawn():
    images = ISBIDataset([str(row) for row in range(20)], None, [1] * 5 + [0] * 15)
    counts = np.zeros(20)
    for seed in range(2000):
        counts[images.sample(8, random_state=seed).image_ids.astype(int)] += 1
    assert np.allclose(counts / 2000, 0.4, atol=0.05)


def test_resized_images_keep_their_metadata(tmp_path, dataset):
    patients = pd.DataFrame({"patient_id": [f"p{n // 2}" for n in range(24)], "age": np.arange(24.0)})
    known = ISBIDataset(dataset.image_ids, dataset.paths, dataset.labels, metadata=patients)
    known.resize_to(tmp_path, size=(16, 16), verbose=0)
    again = ISBIDataset.from_csv(tmp_path / "labels.csv")
    assert again.metadata["patient_id"].tolist() == patients["patient_id"].tolist()
    assert again.metadata["age"].tolist() == patients["age"].tolist()


def test_metadata_follow_the_rows(dataset):
    facts = pd.DataFrame({"age": [30.0, None, 50.0], "patient_id": ["p", "q", None]})
    table = ISBIDataset(["a", "b", "c"], None, [0, 1, 0], metadata=facts)
    assert table[[2, 0]].metadata["age"].tolist() == [50.0, 30.0]
    assert table[table.labels == 1].metadata["patient_id"].tolist() == ["q"]
    assert table[1:].to_frame().columns.tolist() == ["image_id", "path", "label", "age", "patient_id"]
    given = table.metadata
    given["age"] = 0
    assert table.metadata["age"].iloc[0] == 30.0, "what is given out is a copy"
    with pytest.raises(DatasetError, match="3 images, 2 rows"):
        ISBIDataset(["a", "b", "c"], None, [0, 1, 0], metadata=facts[:2])
    assert dataset.metadata.shape == (24, 0)


def test_resized_images_keep_their_ids_and_labels(tmp_path, dataset):
    resized = dataset.resize_to(tmp_path / "small", size=(20, 24), verbose=0)
    assert resized.image_ids.tolist() == dataset.image_ids.tolist()
    with Image.open(resized.paths[0]) as image:
        assert image.size == (24, 20)
    again = ISBIDataset.from_csv(tmp_path / "small" / "labels.csv")
    assert again.labels.tolist() == dataset.labels.tolist()
    assert again.paths.tolist() == resized.paths.tolist()
    assert not list((tmp_path / "small").glob(".*")), "no temporary file stays behind"


EMPTY = {
    "with files": lambda: ISBIDataset(["a"], ["a.png"], [0], name="some")[:0],
    "labels alone": lambda: ISBIDataset(["a"], None, [0], name="some", metadata=pd.DataFrame({"patient_id": ["p"]}))[
        :0
    ],
}
ON_NOTHING = {
    "resize_to": lambda empty, folder: len(empty.resize_to(folder, verbose=0)),
    "images": lambda empty, _: empty.images(verbose=0),
    "identify": lambda empty, _: len(empty.identify(verbose=0).image_ids),
    "overlap": lambda empty, _: len(empty.overlap(empty, verbose=0).remove_from(empty)),
    "verify": lambda empty, _: len(empty.verify(verbose=0).remove_from(empty)),
    "selection_bias": lambda empty, _: empty.selection_bias(verbose=0),
    "sample": lambda empty, _: len(empty.sample(0)),
    "first": lambda empty, _: len(empty.first(per_class=0)),
    "concat": lambda empty, _: len(empty + empty),
    "split": lambda empty, _: empty.split(verbose=0),
    "split at random": lambda empty, _: empty.split(verbose=0, stratify=False),
    "folds": lambda empty, _: empty.folds(verbose=0, stratify=False),
    "to_frame": lambda empty, _: len(empty.to_frame()),
    "show": lambda empty, _: len(list(empty)) + ("0 images" not in empty._repr_html_() + repr(empty)),
}


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize("method", ON_NOTHING)
def test_what_is_asked_of_no_images_gives_nothing_or_says_why(empty, method, tmp_path):
    needs_images = method in ("images", "selection_bias", "split", "split at random", "folds")
    if needs_images or (empty == "labels alone" and method == "resize_to"):
        with pytest.raises(DatasetError, match=r"^(some |X holds no image|5 folds need|0 groups)"):
            ON_NOTHING[method](EMPTY[empty](), tmp_path)
    else:
        assert ON_NOTHING[method](EMPTY[empty](), tmp_path) == 0


def test_resizing_lists_what_it_could_not_read(tmp_path, bad_images, dataset):
    mixed = ISBIDataset(["good", "cut"], [dataset.paths[0], bad_images / "truncated.jpg"], [0, 1], name="mixed")
    with pytest.raises(ImageError, match="truncated"):
        mixed.resize_to(tmp_path, verbose=0)
    resized = mixed.resize_to(tmp_path, on_error="skip", format="jpg", verbose=0)
    assert resized.image_ids.tolist() == ["good"]
    assert [row.image_id for row in resized.skipped] == ["cut"]
    with pytest.raises(UnknownNameError, match="Unknown format"):
        mixed.resize_to(tmp_path, format="bmp")


def test_a_dataset_of_labels_only_says_so(tmp_path):
    challenge = get_challenge(2017, "train")
    (tmp_path / challenge.ground_truth).write_text(ROWS["headed_floats"])
    dataset = read(tmp_path, challenge, labels_only=True)
    assert len(dataset) == 3
    with pytest.raises(DatasetError, match="labels_only=True"):
        _ = dataset.paths


def test_html_counts_classes_lesions_and_patients_and_escapes_all():
    table = pd.DataFrame({"lesion_id": ["a", "a", "<i>"], "patient_id": ["p", "p", "p"]})
    skipped = [SkippedRow("<u>", "", "no image <s>")]
    dataset = ISBIDataset(["<b>", "2", "3"], ["x.png"] * 3, [1, 0, 0], name="<mine>", metadata=table, skipped=skipped)
    html = dataset._repr_html_()
    assert '<th scope="row">&lt;b&gt;</th>' in html
    assert not re.search("<(?:i>|u>|s>|mine)", html)
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in html.split("<tr>")]
    assert ["class", "images", "lesions", "patients"] in cells
    assert ["benign", "2", "2", "1"] in cells
    assert ["melanoma", "1", "1", "1"] in cells
    assert ["all", "3", "2", "1"] in cells
    assert "1 row skipped" in html
    assert "no image &lt;s&gt;" in html
    assert "How it was made" in dataset[:3]._repr_html_()
