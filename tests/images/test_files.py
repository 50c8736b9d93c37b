"""Which file a row of a table means, and what a class folder holds: never another one in silence."""

import io
import os
import unicodedata
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from melanoma_tl import ISBIDataset
from melanoma_tl.datasets.image_files import ImageIndex, find_images, is_junk, make_id, split_suffix
from melanoma_tl.errors import DatasetError, ImageError, MelanomaTLError
from melanoma_tl.images.decoding import load_image

FORMATS = {".jpg": "JPEG", ".jfif": "JPEG", ".jpe": "JPEG", ".jp2": "JPEG2000", ".tif": "TIFF", "": "PNG"}
CAFE = "l\u00e9sion"  # composed
DECOMPOSED = unicodedata.normalize("NFD", CAFE)


def draw(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(shade).integers(0, 255, (20, 20, 3), dtype="uint8")
    Image.fromarray(pixels).save(path, format=FORMATS.get(path.suffix.lower()))
    return str(path)


def table(folder, rows, header="image_id,label"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder / "labels.csv"


def read(folder, *entries, **options):
    rows = [f"{entry},{number % 2}" for number, entry in enumerate(entries)]
    return ISBIDataset.from_csv(table(folder, rows), **options)


def reasons(dataset):
    return {row.image_id: row.reason for row in dataset.skipped}


# -- tables ------------------------------------------------------------------------------------------------------------


def test_the_suffix_in_the_table_decides(tmp_path):
    photo, mask = draw(tmp_path / "x0.jpg"), draw(tmp_path / "x0.bmp")
    assert read(tmp_path, "x0.jpg").paths.tolist() == [photo]
    assert read(tmp_path, "x0.BMP").paths.tolist() == [mask]
    assert read(tmp_path, "x0.jpg").image_ids.tolist() == ["x0"]


def test_without_a_suffix_several_candidates_stop_and_are_named(tmp_path):
    draw(tmp_path / "x0.jpg"), draw(tmp_path / "x0.bmp"), draw(tmp_path / "x1.jpg")
    with pytest.raises(DatasetError, match=r"2 files have this name \(x0.bmp, x0.jpg in .*say in the table"):
        read(tmp_path, "x0", "x1")
    dataset = read(tmp_path, "x0", "x1", on_error="skip")
    assert dataset.image_ids.tolist() == ["x1"]
    assert "2 files have this name" in reasons(dataset)["x0"]


def test_a_file_with_another_suffix_is_not_taken_for_it(tmp_path):
    draw(tmp_path / "x0.bmp"), draw(tmp_path / "x1.jpg")
    assert "no image of this name" in reasons(read(tmp_path, "x0.jpg", "x1", on_error="skip"))["x0"]


def test_a_text_beside_an_image_is_no_candidate(tmp_path):
    (tmp_path / "x0.txt").write_text("notes")
    (tmp_path / "x0").write_text("notes")
    photo = draw(tmp_path / "x0.jpg")
    assert read(tmp_path, "x0").paths.tolist() == [photo]


def test_suffixes_in_capitals(tmp_path):
    photo = draw(tmp_path / "a.JPG")
    for entry in ("a", "a.jpg", "a.JPG", "a.Jpg"):
        assert read(tmp_path, entry).paths.tolist() == [photo]
    other = draw(tmp_path / "a.jpg")
    assert read(tmp_path, "a.JPG").paths.tolist() == [photo]
    assert read(tmp_path, "a.jpg").paths.tolist() == [other]
    with pytest.raises(DatasetError, match="2 files"):
        read(tmp_path, "a.Jpg")
    with pytest.raises(DatasetError, match=r"2 files differ from it in case \(a\.JPG, a\.jpg in "):
        read(tmp_path, "A.jpg")


@pytest.mark.parametrize("entry", ["NEL/NEL025.JPG", "NEL\\NEL025.JPG", "./NEL/NEL025.jpg", "NEL/NEL025", "NEL025"])
@pytest.mark.parametrize("where", ["", "images", "images/images"])
def test_ids_that_are_paths(tmp_path, entry, where):
    photo = draw(tmp_path / where / "NEL" / "NEL025.JPG")
    dataset = read(tmp_path, entry)
    assert [os.path.realpath(path) for path in dataset.paths] == [photo]
    assert dataset.image_ids.tolist() == ["NEL025" if "/" not in entry and "\\" not in entry else "NEL/NEL025"]


def test_a_path_from_the_folder_comes_before_the_same_end_below_it(tmp_path):
    first, second = draw(tmp_path / "a" / "x.png", 1), draw(tmp_path / "b" / "a" / "x.png", 2)
    assert read(tmp_path, "a/x.png").paths.tolist() == [first]
    assert read(tmp_path, "b/a/x.png").paths.tolist() == [second]
    with pytest.raises(DatasetError, match="2 files have this name"):
        read(tmp_path, "x.png")


def test_the_end_of_a_path_is_whole_names(tmp_path):
    draw(tmp_path / "images" / "not_a" / "x.png")
    with pytest.raises(DatasetError, match="no image of this name"):
        read(tmp_path, "a/x.png")


def test_an_entry_may_begin_with_the_folder_that_is_searched(tmp_path):
    photo = draw(tmp_path / "images" / "x.png")
    assert read(tmp_path, "images/x.png", image_dirs=[tmp_path / "images"]).paths.tolist() == [photo]


def test_absolute_paths(tmp_path):
    photo = draw(tmp_path / "elsewhere" / "x.jpg")
    for entry in (photo, photo.removesuffix(".jpg"), photo.replace(".jpg", ".JPG")):
        dataset = read(tmp_path / "tables", entry)
        assert dataset.paths.tolist() == [photo]
        assert dataset.image_ids[0] == make_id(photo)
        assert not dataset.image_ids[0].startswith("/")
    assert read(tmp_path, photo, image_dirs=[tmp_path]).image_ids.tolist() == ["elsewhere/x"]
    with pytest.raises(DatasetError, match="no image of this name"):
        read(tmp_path, "/kaggle/input/x.jpg")


def test_the_parts_of_ham10000(tmp_path):
    folders = [tmp_path / f"HAM10000_images_part_{part}" / f"HAM10000_images_part_{part}" for part in (1, 2)]
    photos = [draw(folder / f"ISIC_{number}.jpg") for number, folder in enumerate(folders)]
    assert read(tmp_path, "ISIC_0", "ISIC_1").paths.tolist() == photos
    assert read(tmp_path, "ISIC_0", "ISIC_1", image_dirs=sorted(tmp_path.glob("HAM*"))).paths.tolist() == photos


def test_the_first_folder_decides_and_what_is_in_a_folder_comes_before_what_is_below_another(tmp_path):
    direct, deep = draw(tmp_path / "two" / "x.png"), draw(tmp_path / "one" / "masks" / "x.png")
    assert read(tmp_path, "x", image_dirs=[tmp_path / "one", tmp_path / "two"]).paths.tolist() == [direct]
    assert read(tmp_path, "x", image_dirs=[tmp_path / "one"]).paths.tolist() == [deep]
    first = draw(tmp_path / "one" / "x.png")
    assert read(tmp_path, "x", image_dirs=[tmp_path / "one", tmp_path / "two"]).paths.tolist() == [first]


@pytest.mark.parametrize(("on_disk", "in_table"), [(CAFE, DECOMPOSED), (DECOMPOSED, CAFE), (CAFE, CAFE)])
def test_composed_and_decomposed_letters_are_one(tmp_path, on_disk, in_table):
    photo = draw(tmp_path / on_disk / f"{on_disk}.jpg")
    for entry in (f"{in_table}.jpg", in_table, f"{in_table}/{in_table}.jpg", f"{tmp_path}/{in_table}/{in_table}.jpg"):
        assert read(tmp_path, entry).paths.tolist() == [photo]


def test_twins_of_composed_and_decomposed_letters_are_told_apart(tmp_path):
    one, other = draw(tmp_path / f"{CAFE}.jpg", 1), draw(tmp_path / f"{DECOMPOSED}.jpg", 2)
    assert read(tmp_path, f"{CAFE}.jpg").paths.tolist() == [one]
    assert read(tmp_path, f"{DECOMPOSED}.jpg").paths.tolist() == [other]
    with pytest.raises(DatasetError, match="2 files"):
        read(tmp_path, CAFE)


def test_links_that_lead_in_circles(tmp_path):
    photo = draw(tmp_path / "images" / "x.png")
    (tmp_path / "images" / "again").symlink_to(tmp_path / "images")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert read(tmp_path, "x").paths.tolist() == [photo]
    assert [str(path) for path in find_images(tmp_path)] == [photo]


def test_a_dataset_goes_through_a_table_and_comes_back_equal(tmp_path, monkeypatch):
    for number, name in enumerate(
        ("benign/1.png", "melanoma/1.png", "benign/2.JPG", "melanoma/deep/3", f"benign/{CAFE}.png")
    ):
        draw(tmp_path / "data" / name, number)
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path / "data", Path("data")):
        dataset = ISBIDataset.from_folder(root)
        dataset.to_frame().to_csv(tmp_path / "table.csv", index=False)
        for options in ({}, {"image_dirs": [tmp_path / "data"]}, {"id_column": "path"}):
            again = ISBIDataset.from_csv(tmp_path / "table.csv", **options)
            assert [os.path.realpath(path) for path in again.paths] == [
                os.path.realpath(path) for path in dataset.paths
            ]
            assert again.labels.tolist() == dataset.labels.tolist()
            if "id_column" not in options:
                assert again.image_ids.tolist() == dataset.image_ids.tolist()


def test_a_path_in_a_table_that_leads_nowhere_is_said(tmp_path):
    draw(tmp_path / "a.png")
    file = table(tmp_path, ["a,1,/gone/a.png"], "image_id,label,path")
    with pytest.raises(DatasetError, match=r"no image '/gone/a\.png', its path in the table"):
        ISBIDataset.from_csv(file)
    assert ISBIDataset.from_csv(file, labels_only=True).image_ids.tolist() == ["a"]


def test_a_relative_path_that_means_two_files_stops(tmp_path, monkeypatch):
    draw(tmp_path / "tables" / "im" / "a.png", 1), draw(tmp_path / "im" / "a.png", 2)
    monkeypatch.chdir(tmp_path)
    file = table(tmp_path / "tables", ["a,1,im/a.png"], "image_id,label,path")
    with pytest.raises(DatasetError, match="2 files have this name"):
        ISBIDataset.from_csv(file)


@pytest.mark.parametrize(
    ("entry", "image_id"),
    [
        ("ISIC_1.jpg", "ISIC_1"),
        ("lesion.1", "lesion.1"),
        ("a b.PNG", "a b"),
        ("../../etc/x.png", "etc/x"),
        ("/abs/x.png", "abs/x"),
        ("im\\a.jpg", "im/a"),
        (".jpg", ".jpg"),
    ],
)
def test_ids_are_names_without_suffix_that_lead_nowhere_else(entry, image_id):
    assert make_id(entry) == image_id


def test_ids_that_are_paths_are_written_below_the_folder(tmp_path):
    draw(tmp_path / "data" / "benign" / "1.png", 1), draw(tmp_path / "data" / "melanoma" / "1.png", 2)
    dataset = ISBIDataset.from_folder(tmp_path / "data")
    resized = dataset.resize_to(tmp_path / "small", size=(16, 16), verbose=0)
    assert sorted(os.path.relpath(path, tmp_path) for path in resized.paths) == [
        "small/benign/1.png",
        "small/melanoma/1.png",
    ]
    again = ISBIDataset.from_csv(tmp_path / "small" / "labels.csv")
    assert (again.paths.tolist(), again.labels.tolist()) == (resized.paths.tolist(), resized.labels.tolist())
    for image_id in ("../outside", str(tmp_path / "outside")):
        bad = ISBIDataset([image_id], dataset.paths[:1], [0])
        with pytest.raises(DatasetError, match="leads out of"):
            bad.resize_to(tmp_path / "small", size=(16, 16), verbose=0)
    assert not (tmp_path / "outside.png").exists()


# -- class folders -----------------------------------------------------------------------------------------------------


def test_everything_in_a_class_folder_is_read_or_listed(tmp_path):
    readable = ["a.jpg", "b.jfif", "c.jpe", "d.gif", "e.jp2", "f", "g.webp", "h.1.2.840", "deep/er/i.png", "j.JPG"]
    readable += ["k.avif"] if ".avif" in Image.registered_extensions() and "AVIF" in Image.SAVE else []
    for number, name in enumerate(readable):
        FORMATS.setdefault(Path(name).suffix, None if Path(name).suffix != ".840" else "PNG")
        draw(tmp_path / "benign" / name, number)
    unreadable = {"x.heic": b"\0\0\0\x18ftypheic" + bytes(20), "y.svg": b"<svg/>", "z": b"notes", "w.psd": b"8BPS"}
    for name, content in unreadable.items():
        (tmp_path / "benign" / name).write_bytes(content)
    draw(tmp_path / "melanoma" / "m.png", 99)
    with pytest.raises(DatasetError, match="4 of "):
        ISBIDataset.from_folder(tmp_path)
    dataset = ISBIDataset.from_folder(tmp_path, on_error="skip")
    assert sorted(dataset.image_ids) == sorted({make_id(Path(name).name) for name in readable} | {"m"})
    assert {Path(row.path).name for row in dataset.skipped} == set(unreadable)
    assert "pillow_heif" in reasons(dataset)["x"]
    assert all(load_image(path).shape == (20, 20, 3) for path in dataset.paths)


@pytest.mark.parametrize(
    "name",
    [
        *(".DS_Store", "Thumbs.db", "desktop.ini", "._a.png", ".ipynb_checkpoints/a-checkpoint.png", "__MACOSX/a.png"),
        *("@eaDir/a.png/SYNOPHOTO_THUMB_M.png", ".hidden.png", "$RECYCLE.BIN/a.png", "notes.txt", "b.csv", "a.json"),
    ],
)
def test_junk_and_texts_are_passed_over(tmp_path, name):
    draw(tmp_path / "benign" / "a.png")
    draw(tmp_path / "melanoma" / "b.png")
    for folder in (tmp_path, tmp_path / "benign"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(path) if path.suffix == ".png" else path.write_bytes(b"\0\1junk")
    dataset = ISBIDataset.from_folder(tmp_path)
    assert (dataset.image_ids.tolist(), dataset.skipped) == (["a", "b"], ())
    assert len(find_images(tmp_path)) == 2


def test_an_image_that_is_called_a_text_is_not_lost(tmp_path):
    draw(tmp_path / "benign" / "a.png"), draw(tmp_path / "melanoma" / "b.png")
    Path(draw(tmp_path / "benign" / "c.png", 3)).rename(tmp_path / "benign" / "c.txt")
    assert len(ISBIDataset.from_folder(tmp_path)) == 3


def test_the_same_name_in_two_class_folders_gives_ids_that_differ(tmp_path):
    for number, name in enumerate(("benign/1.jpg", "benign/2.jpg", "malignant/1.jpg", "malignant/deep/3.jpg")):
        draw(tmp_path / name, number)
    dataset = ISBIDataset.from_folder(tmp_path)
    assert dataset.image_ids.tolist() == ["benign/1", "2", "malignant/1", "3"]
    assert dataset.labels.tolist() == [0, 0, 1, 1]


def test_two_suffixes_of_one_name_in_a_class_folder_stop_and_are_named(tmp_path):
    draw(tmp_path / "benign" / "a.jpg"), draw(tmp_path / "benign" / "a.png"), draw(tmp_path / "melanoma" / "b.png")
    with pytest.raises(DatasetError, match="several files are called benign/a, but for the suffix"):
        ISBIDataset.from_folder(tmp_path)
    dataset = ISBIDataset.from_folder(tmp_path, on_error="skip")
    assert dataset.image_ids.tolist() == ["b"]
    assert [Path(row.path).name for row in dataset.skipped] == ["a.jpg", "a.png"]


def test_a_file_that_cannot_be_read_does_not_compete(tmp_path):
    """Telephones write a photograph as .heic and .jpg."""
    draw(tmp_path / "benign" / "a.jpg"), draw(tmp_path / "melanoma" / "b.png")
    (tmp_path / "benign" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    dataset = ISBIDataset.from_folder(tmp_path, on_error="skip")
    assert dataset.image_ids.tolist() == ["a", "b"]
    assert [Path(row.path).name for row in dataset.skipped] == ["a.heic"]


def test_broken_links_are_listed_and_images_beside_the_class_folders_are_said(tmp_path, caplog):
    draw(tmp_path / "benign" / "a.png"), draw(tmp_path / "melanoma" / "b.png"), draw(tmp_path / "loose.png")
    (tmp_path / "benign" / "gone").symlink_to(tmp_path / "none")
    dataset = ISBIDataset.from_folder(tmp_path, on_error="skip")
    assert dataset.image_ids.tolist() == ["a", "b"]
    assert reasons(dataset) == {"gone": "no such file"}
    assert "1 images lie beside the class folders, in none of them" in caplog.text


def test_class_folders_may_be_links(tmp_path):
    draw(tmp_path / "store" / "a.png"), draw(tmp_path / "store2" / "b.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "benign").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "melanoma").symlink_to(tmp_path / "store2")
    assert ISBIDataset.from_folder(tmp_path / "data").labels.tolist() == [0, 1]


def test_a_name_that_is_not_utf8_is_listed(tmp_path):
    draw(tmp_path / "benign" / "a.png"), draw(tmp_path / "melanoma" / "b.png")
    os.link(tmp_path / "benign" / "a.png", os.fsencode(tmp_path) + b"/benign/\xff.png")
    dataset = ISBIDataset.from_folder(tmp_path, on_error="skip")
    assert dataset.image_ids.tolist() == ["a", "b"]
    assert dataset.skipped[0].reason == "its name is not UTF-8; rename it"
    dataset.skipped[0].path.encode()
    assert len(dataset.to_frame()) == 2


def test_an_unknown_class_is_named_and_an_empty_or_textual_folder_is_none(tmp_path):
    draw(tmp_path / "benign" / "a.png"), draw(tmp_path / "melanoma" / "b.png")
    table(tmp_path / "tables", ["a,1"])
    assert len(ISBIDataset.from_folder(tmp_path)) == 2
    draw(tmp_path / "tables" / "c.png")
    with pytest.raises(DatasetError, match="unknown label 'tables'; say what it means with label_map"):
        ISBIDataset.from_folder(tmp_path)


# -- any folder --------------------------------------------------------------------------------------------------------

NAMES = ["a", "b", "a.b", CAFE, DECOMPOSED]
SUFFIXES = ["", ".jpg", ".JPG", ".png", ".bmp", ".txt", ".csv"]
PLACES = ["", "sub", "sub/sub", "other"]
CONTENTS = {kind: io.BytesIO() for kind in ("image", "text")}
Image.new("RGB", (16, 16), "peru").save(CONTENTS["image"], "PNG")
CONTENTS["text"].write(b"no image")

files_of_a_folder = st.dictionaries(
    st.tuples(st.sampled_from(PLACES), st.sampled_from(NAMES), st.sampled_from(SUFFIXES)),
    st.sampled_from(["image", "image", "text"]),
    max_size=8,
)
entries_of_a_table = st.tuples(
    st.sampled_from(["", "sub/", "other\\", "no/"]), st.sampled_from(NAMES), st.sampled_from(SUFFIXES)
)


def meant(files, entry):
    """Give the files that an entry may mean, in the first place that holds any: as written, or at the end of a path."""
    place, written, (stem, suffix) = entry[0].strip("/\\"), entry[1] + entry[2], split_suffix(entry[1] + entry[2])
    alike = [file for file in files if as_entry(file)[0] == nfc(stem) and suffix in ("", as_entry(file)[1])]
    for where in (lambda folder: folder == place, lambda folder: f"/{folder}".endswith(f"/{place}" if place else "")):
        found = [file for file in alike if where(file[0])]
        if not suffix and len(found) > 1:
            found = [file for file in found if as_entry(file)[1] or files[file] == "image"]
        if suffix and len({file[0] for file in found}) == 1:
            found = [file for file in found if file[1] + file[2] == written] or found
        if found:
            return found
    return []


def as_entry(file):
    stem, suffix = split_suffix(file[1] + file[2])
    return nfc(stem), suffix


def nfc(text):
    return unicodedata.normalize("NFC", text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(files_of_a_folder, st.lists(entries_of_a_table, min_size=1, max_size=4, unique=True))
def test_any_folder_gives_the_files_that_are_meant(tmp_path_factory, files, entries):
    folder = tmp_path_factory.mktemp("any")
    for (place, name, suffix), kind in files.items():
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / (name + suffix)).write_bytes(CONTENTS[kind].getvalue())
    index = ImageIndex([folder])
    for entry in entries:
        wanted = {os.path.normpath(f"./{place}/{name}{suffix}") for place, name, suffix in meant(files, entry)}
        assert {os.path.relpath(path, folder) for path in index.find("".join(entry))} == wanted


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(
    st.dictionaries(
        st.tuples(
            st.sampled_from(["benign", "melanoma"]),
            st.sampled_from(PLACES),
            st.sampled_from(NAMES),
            st.sampled_from(SUFFIXES),
        ),
        st.sampled_from(["image", "image", "text"]),
        max_size=8,
    )
)
def test_any_class_folder_is_read_or_listed_to_the_last_file(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("any")
    for (word, place, name, suffix), kind in files.items():
        (folder / word / place).mkdir(parents=True, exist_ok=True)
        (folder / word / place / (name + suffix)).write_bytes(CONTENTS[kind].getvalue())
    try:
        dataset = ISBIDataset.from_folder(folder, on_error="skip")
    except MelanomaTLError:
        assert not any(_is_read(file, kind, files) for file, kind in files.items())
        return
    read = {os.path.relpath(path, folder): label for path, label in zip(dataset.paths, dataset.labels, strict=True)}
    listed = {os.path.relpath(row.path, folder) for row in dataset.skipped}
    for file, kind in files.items():
        word, place, name, suffix = file
        path = os.path.normpath(f"{word}/{place}/{name}{suffix}")
        if _is_read(file, kind, files):
            assert read.pop(path) == int(word == "melanoma")
        else:
            assert (path in listed) == (kind == "image" or suffix not in (".txt", ".csv"))
    assert not read
    assert len(set(dataset.image_ids)) == len(dataset)


def _is_read(file, kind, files):
    """Whether it is an image, by name or content, and no other file of its folder has its name."""
    word, place, name, suffix = file
    stem = nfc(split_suffix(name + suffix)[0])
    alike = [
        other
        for other, what in files.items()
        if other[:2] == (word, place)
        and nfc(split_suffix(other[2] + other[3])[0]) == stem
        and (what == "image" or other[3].lower() in (".jpg", ".png", ".bmp"))
    ]
    return (kind == "image" or suffix.lower() in (".jpg", ".png", ".bmp")) and len(alike) == 1


def test_the_names_of_junk():
    assert all(map(is_junk, [".x", "THUMBS.DB", "__macosx", "@eaDir", "Desktop.ini", "lost+found"]))
    assert not any(map(is_junk, ["thumbs.jpg", "a.b", "_x.png", "eaDir"]))


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    draw(tmp_path / "deep" / "x.png")

    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("melanoma_tl.datasets.image_files.os.scandir", refuse)
    with pytest.raises(DatasetError, match=r"cannot be listed \(Permission denied\)"):
        find_images(tmp_path)


def test_a_frame_of_paths_that_are_missing_is_looked_up_by_id(tmp_path):
    photo = draw(tmp_path / "a.png")
    frame = pd.DataFrame({"image_id": ["a"], "path": [np.nan], "label": ["1"]}, dtype=object)
    dataset = ISBIDataset._from_table(frame, [tmp_path], labels=[1], name="x", on_error="raise")
    assert dataset.paths.tolist() == [photo]


def test_what_cannot_be_decoded_is_an_image_error_later(tmp_path):
    draw(tmp_path / "benign" / "a.png"), draw(tmp_path / "melanoma" / "b.png")
    (tmp_path / "benign" / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    dataset = ISBIDataset.from_folder(tmp_path)
    with pytest.raises(ImageError):
        load_image(dataset.paths[1])
    assert dataset.verify(verbose=0).counts["unreadable"] == 1


def test_jobs_pass_over_the_same_junk_and_know_the_same_suffixes(tmp_path):
    listing = pytest.importorskip("melanoma_tl.scale.listing", reason="pyarrow comes with the extra ray")
    photos = [draw(tmp_path / name) for name in ("a.jfif", "b.png", "deep/c.jp2")]
    for junk in ("@eaDir/b.png/THUMB.png", "__MACOSX/b.png", "._b.png", ".ipynb_checkpoints/b.png"):
        draw(tmp_path / junk)
    (tmp_path / "x.heic").write_bytes(b"becomes a row with its reason")
    assert sorted(listing.find(tmp_path).paths) == sorted([*photos, str(tmp_path / "x.heic")])
    assert sorted(listing.find(f"{tmp_path}/**").paths) == sorted([*photos, str(tmp_path / "x.heic")])


def test_masks_beside_photographs_are_listed(tmp_path):
    for name in ("melanoma/a.jpg", "melanoma/a_segmentation.png", "melanoma/masks/b.png", "benign/c.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 90, "uint8")).save(path)
    Image.fromarray(np.full((8, 8, 3), 90, "uint8")).save(tmp_path / "benign/d_mask.jpg")  # without its photograph
    data = ISBIDataset.from_folder(tmp_path, on_error="skip")
    assert data.image_ids.tolist() == ["c", "d_mask", "a"]
    assert {row.reason for row in data.skipped} == {"a mask by its name, and no photograph"}
    assert len(data.skipped) == 2


def test_a_link_back_to_the_root_is_not_followed(tmp_path):
    for name in ("melanoma/a.jpg", "benign/b.jpg"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(np.full((8, 8, 3), 90, "uint8")).save(tmp_path / name)
    (tmp_path / "benign/up").symlink_to(tmp_path)
    assert ISBIDataset.from_folder(tmp_path).image_ids.tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("outer", "inner", "label"),
    [
        ("malignant", "melanoma", 1),
        ("malignant", "scans/Melanoma in situ", 1),
        ("malignant", "bcc", None),
        ("malignant", "Plattenepithelkarzinom/2023", None),
        ("malignant", "others to sort", None),  # for beside it melanomas are told apart
        ("melanoma", "nevus", None),
        ("melanoma", "1/0/patient 7", 1),
        ("melanoma", "others", 1),
        ("nevus", "melanoma", None),
        ("nevus", "dermoscopic", 0),
        ("benign", "seborrheic_keratosis", 0),
    ],
)
@pytest.mark.parametrize("rule", ["words", "positive"])
def test_folders_below_class_folders_do_not_contradict_them(tmp_path, outer, inner, label, rule):
    draw(tmp_path / outer / inner / "here.png")
    draw(tmp_path / ("melanoma/first" if outer == "melanoma" else "malignant/melanoma") / "other.png")
    draw(tmp_path / "benign/plain.png")
    options = {"positive": "melanoma" if outer == "melanoma" else "malignant"} if rule == "positive" else {}
    if rule == "positive" and inner == "others to sort":
        label = 1  # the user says so
    if label is None:
        with pytest.raises(DatasetError, match=rf"here: labelled '{outer}', (?:but diagnosed as|and no diagnosis)"):
            ISBIDataset.from_folder(tmp_path, **options)
    dataset = ISBIDataset.from_folder(tmp_path, on_error="skip", **options)
    found = dict(zip(dataset.image_ids.tolist(), dataset.labels.tolist(), strict=True))
    assert found == {"other": 1, "plain": 0} | ({} if label is None else {"here": label})


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        (["0_benign", "1_melanoma"], [0, 1]),
        (["01 - nevus", "02 - melanoma"], None),  # a blank, as of "2 nevi"
        (["1.Melanom", "2.Nävus"], [1, 0]),
        (["0-no melanoma", "1-melanoma"], [0, 1]),
        (["0_melanoma", "1_nevus", "2_bcc"], [1, 0, 0]),
        (["0_melanoma", "1_melanoma"], None),  # does 0 deny it?
        (["1_nevus", "1_melanoma"], None),
        (["0_benign", "melanoma"], None),
        (["0_xyz", "1_melanoma"], None),
    ],
)
def test_numbers_that_put_class_folders_in_order_say_nothing(tmp_path, classes, labels):
    for name in classes:
        draw(tmp_path / "train" / name / f"{name}.png")
    if labels is None:
        with pytest.raises(DatasetError, match="unknown label"):
            ISBIDataset.from_folder(tmp_path / "train")
        return
    dataset = ISBIDataset.from_folder(tmp_path / "train")
    assert dataset.labels.tolist() == labels
    with pytest.raises(DatasetError, match="one level below"):
        ISBIDataset.from_folder(tmp_path)
    if len(classes) > 2:
        assert dataset.metadata["diagnosis"].tolist() == classes, "the user's own words"


@pytest.mark.parametrize("classes", [("benign", "malignant"), ("nevus", "melanoma"), ("0", "1"), ("Nävus", "Melanom")])
def test_class_folders_one_level_below_are_named(tmp_path, classes):
    for split in ("train", "test"):
        for name in classes:
            draw(tmp_path / split / name / "1.png")
    with pytest.raises(DatasetError, match=r"one level below, such as test/.*: read '.*test' and '.*train'"):
        ISBIDataset.from_folder(tmp_path)
    with pytest.raises(DatasetError, match="one level below"):
        ISBIDataset.from_folder(tmp_path, on_error="skip")
    assert len(ISBIDataset.from_folder(tmp_path / "train")) == 2


@pytest.mark.parametrize("second", ["a.png", "./a.png", "sub/../a.png", "A-COPY"])
def test_a_file_is_one_image_whatever_its_ids(tmp_path, second):
    draw(tmp_path / "a.png")
    draw(tmp_path / "b.png")
    table = pd.DataFrame({"image": ["x", "y", "b"], "dx": ["nv", "nv", "mel"]})
    table["path"] = [tmp_path / "a.png", tmp_path / ("a.png" if second == "A-COPY" else second), tmp_path / "b.png"]
    with pytest.raises(DatasetError, match="y: it is the file of x too"):
        ISBIDataset.from_frame(table)
    dataset = ISBIDataset.from_frame(table, on_error="skip")
    assert dataset.image_ids.tolist() == ["x", "b"]
    assert reasons(dataset) == {"y": "it is the file of x too"}


def test_a_file_or_an_id_with_two_labels_has_none(tmp_path):
    for name in "abc":
        draw(tmp_path / f"{name}.png")
    said = "occurs more than once, with different labels"
    table = pd.DataFrame({"image": ["a", "b", "a", "c", "c"], "dx": ["nv", "mel", "mel", "nv", "nv"]})
    for rows in (table, table[::-1]):
        with pytest.raises(DatasetError, match=f"the id {said}"):
            ISBIDataset.from_frame(rows, image_dirs=[tmp_path])
        dataset = ISBIDataset.from_frame(rows, image_dirs=[tmp_path], on_error="skip")
        assert sorted(zip(dataset.image_ids, dataset.labels, strict=True)) == [("b", 1), ("c", 0)]
        listed = sorted((row.image_id, row.reason) for row in dataset.skipped)
        assert listed == [*[("a", f"the id {said}")] * 2, ("c", "the id occurs more than once")]
    paths = pd.DataFrame({"image": ["x", "y", "z"], "dx": ["nv", "mel", "nv"]})
    paths["path"] = [str(tmp_path / f"{name}.png") for name in "aab"]
    dataset = ISBIDataset.from_frame(paths, on_error="skip")
    assert dataset.image_ids.tolist() == ["z"]
    assert reasons(dataset) == dict.fromkeys("xy", f"its file {said}")


def test_an_official_row_with_two_labels_has_none(tmp_path):
    text = "ISIC_1,benign\nISIC_2,malignant\nISIC_1,malignant\n"
    (tmp_path / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv").write_text(text)
    read = partial(ISBIDataset.from_challenge, tmp_path, year=2016, split="train", labels_only=True)
    assert read(on_error="skip").image_ids.tolist() == ["ISIC_2"]
    with pytest.raises(DatasetError, match="ISIC_1 and 1 more: the id occurs more than once, with different labels"):
        read()
