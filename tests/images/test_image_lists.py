"""Whatever users call images is taken or refused in the right words."""

import io
import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.model_selection import KFold

from melanoma_tl import TransferClassifier
from melanoma_tl.errors import DatasetError, ImageError
from melanoma_tl.images.decoding import ImageFile, load_image
from melanoma_tl.images.image_lists import list_images
from melanoma_tl.images.loading import identify, open_source, prepare, read_batches

SIZE = (32, 32)


def read(X, on_error="raise"):
    """Decode everything, and say what was skipped."""
    batches = list(read_batches(open_source(X), SIZE, batch_size=5, on_error=on_error, desc="", verbose=0))
    pixels = np.concatenate([batch.pixels for batch in batches])
    return pixels, [row for batch in batches for row in batch.skipped]


@pytest.fixture(scope="module")
def paths(dataset):
    return [str(path) for path in dataset.paths[:6]]


@pytest.fixture(scope="module")
def pixels(paths):
    return np.stack([load_image(path, SIZE) for path in paths])


@pytest.fixture(scope="module")
def classifier(dataset):
    options = {"weights": None, "epochs": 1, "random_state": 0, "verbose": 0, "on_error": "skip"}
    return TransferClassifier("tiny", **options).fit(dataset)


class Lazy:
    """What loads an image when asked, such as a data set of another library."""

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, position):
        return Image.open(self.paths[position])


class Shaped(Lazy):
    """An array that is not NumPy's."""

    def __init__(self, array):
        super().__init__(array)
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim


class LostPath(os.PathLike):
    """A path that cannot say where it is."""

    def __fspath__(self):
        raise RuntimeError("not mounted")


class NotSeekable(io.RawIOBase):
    """A stream from a network."""

    def __init__(self, content):
        self.content = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self.content.readinto(buffer)


def content(path):
    return Path(path).read_bytes()


def read_to(position, path):
    file = io.BytesIO(content(path))
    file.seek(position)
    return file


SAME = {
    "list": list,
    "tuple": tuple,
    "array of str": np.array,
    "array of objects": lambda paths: np.array([Path(path) for path in paths], dtype=object),
    "column": lambda paths: np.array(paths)[:, np.newaxis],
    "Series": pd.Series,
    "shuffled Series": lambda paths: pd.Series(paths, index=[3, 1, 5, 0, 4, 2]),
    "Series of pandas strings": lambda paths: pd.Series(paths, dtype="string"),
    "Categorical": pd.Categorical,
    "Index": pd.Index,
    "column of a DataFrame": lambda paths: pd.DataFrame({"path": paths}, index=[3, 1, 5, 0, 4, 2])["path"],
    "DataFrame of one column": lambda paths: pd.DataFrame({"path": paths}, index=[3, 1, 5, 0, 4, 2])[["path"]],
    "bytes": lambda paths: [content(path) for path in paths],
    "Series of bytes": lambda paths: pd.Series([content(path) for path in paths], index=[3, 1, 5, 0, 4, 2]),
    "bytearrays and memoryviews": lambda paths: [
        kind(content(path)) for path, kind in zip(paths, [bytearray, memoryview] * 3, strict=True)
    ],
    "BytesIO": lambda paths: [io.BytesIO(content(path)) for path in paths],
    "BytesIO read to the end": lambda paths: [read_to(10**6, path) for path in paths],
    "open files": lambda paths: [Path(path).open("rb") for path in paths],  # noqa: SIM115
    "streams that cannot seek": lambda paths: [NotSeekable(content(path)) for path in paths],
    "ImageFile": lambda paths: [ImageFile(path, Path(path).read_bytes) for path in paths],
    "PIL": lambda paths: [Image.open(path) for path in paths],
    "array of PIL": lambda paths: np.array([None, *map(Image.open, paths)], dtype=object)[1:],
    "images": lambda paths: np.stack([np.asarray(Image.open(path)) for path in paths]),
    "list of arrays": lambda paths: [np.asarray(Image.open(path)) for path in paths],
    "lazy": Lazy,
    "a mixture": lambda paths: [
        paths[0],
        Path(paths[1]),
        content(paths[2]),
        io.BytesIO(content(paths[3])),
        Image.open(paths[4]),
        np.asarray(Image.open(paths[5])),
    ],
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_images_in_whatever_they_come(kind, paths, pixels):
    X = SAME[kind](paths)
    assert np.array_equal(read(X)[0], pixels)
    if kind != "streams that cannot seek":
        assert np.array_equal(
            identify(X, verbose=0).fingerprints.perceptual_hashes,
            identify(paths, verbose=0).fingerprints.perceptual_hashes,
        )
        prepared = prepare(X, [0, 1] * 3, SIZE, on_error="raise", desc="", verbose=0)
        assert np.array_equal(prepared.pixels, pixels)


def test_arrays_of_other_libraries(paths, pixels, tmp_path):
    h5py = pytest.importorskip("h5py")
    tf = pytest.importorskip("tensorflow")
    stacked = np.stack([np.asarray(Image.open(path)) for path in paths])
    assert np.array_equal(read(tf.constant(stacked))[0], pixels)
    assert np.array_equal(read([tf.constant(image) for image in stacked])[0], pixels)
    np.save(tmp_path / "images.npy", stacked)
    assert np.array_equal(read(np.load(tmp_path / "images.npy", mmap_mode="r"))[0], pixels)
    with h5py.File(tmp_path / "images.h5", "w") as file:
        assert np.array_equal(read(file.create_dataset("images", data=stacked))[0], pixels)


IMAGE = np.zeros((40, 40, 3), "uint8")


def png():
    file = io.BytesIO()
    Image.fromarray(IMAGE).save(file, "png")
    return file.getvalue()


ONE = {
    "str": ("a.jpg", "one path"),
    "0-d": (np.array("a.jpg"), "one path"),
    "Path": (Path("a.jpg"), "one path"),
    "PIL": (Image.fromarray(IMAGE), "one Image"),
    "bytes": (png(), "the bytes of one file"),
    "bytearray": (bytearray(png()), "the bytes of one file"),
    "BytesIO": (io.BytesIO(png()), "one open file"),
    "ImageFile": (ImageFile("a.jpg", png), "one ImageFile"),
    "array": (IMAGE, r"one array of shape \(40, 40, 3\)"),
    "lazy array": (Shaped(IMAGE), r"one Shaped of shape \(40, 40, 3\)"),
    "grey array": (IMAGE[..., :1], r"one array of shape \(40, 40, 1\)"),
}


@pytest.mark.parametrize("kind", ONE)
def test_one_image_is_refused_with_what_to_do(kind, classifier):
    X, what = ONE[kind]
    for call in (open_source, classifier.predict_proba, classifier.seen_images, lambda X: classifier.fit(X, [1])):
        with pytest.raises(DatasetError, match=f"X is {what}, where a collection of images is expected.*\\[X\\]"):
            call(X)


def test_a_folder_is_read_by_from_folder(tmp_path):
    with pytest.raises(DatasetError, match=r"X is a folder.*ISBIDataset\.from_folder"):
        list_images(tmp_path)


FRAME = pd.DataFrame({"id": [1, 2], "path": ["a.jpg", "b.jpg"], "sex": ["f", "m"]})
REFUSED = {
    "DataFrame": (
        FRAME,
        r"X is a DataFrame of 3 columns: pass the one .*, df\['path'\], or .*from_frame",
    ),
    "DataFrame of two paths": (FRAME.assign(mask="m.png"), r"df\['path'\] or df\['mask'\]"),
    "DataFrame without paths": (FRAME[["id", "sex"]], r"such as df\['id'\] or df\['sex'\]"),
    "DataFrame with a repeated name": (pd.concat([FRAME, FRAME], axis=1), r"df\['path'\]"),
    "empty DataFrame": (pd.DataFrame(), "X is a DataFrame of 0 columns"),
    "dict": ({"x": ["a.jpg"], "y": [1]}, r"X is a dict of 2 columns: .*, X\['x'\],"),
    "dict of one": ({"x": ["a.jpg"]}, r"X\['x'\]"),
    "generator": ((path for path in ["a.jpg"]), r"a generator or another iterator: pass list\(X\)"),
    "map": (map(str, ["a.jpg"]), r"pass list\(X\)"),
    "set": ({"a.jpg"}, "got set"),
    "None": (None, "got NoneType"),
    "range": (range(3), "got range of int"),
    "truth values": ([True, False], "got list of bool"),
    "lists of numbers": ([[1.0, 2.0], [3.0, 4.0]], "got list of list"),
    "Series of numbers": (pd.Series([1, 2]), "got Series"),
    "table": (np.zeros((4, 3)), r"got ndarray of shape \(4, 3\)"),
    "images and labels": ((np.zeros((2, 40, 40, 3), "uint8"), np.zeros(2)), "got tuple of ndarray"),
    "groups of a table": (FRAME.groupby("sex"), "got DataFrameGroupBy, which gives no first item"),
    "bytes of fixed length": (np.array([b"a", b"b"]), "pass a list of bytes"),
    "floats": (np.zeros((2, 40, 40, 3)), "raw RGB of dtype uint8, 0 to 255, got an array .* float64"),
    "int64": (np.full((2, 40, 40, 3), 9), r"dtype int64; its numbers are whole .*: pass X\.astype\('uint8'\)$"),
    "from 0 to 1": (np.full((2, 40, 40, 3), 0.5), r"from 0 to 1: .*, pass \(X \* 255\)"),
    "16 bits": (np.full((2, 40, 40, 3), 9000, "uint16"), r"reach 9000: .*, pass \(X / 257\)"),
    "standardised": (np.full((2, 40, 40, 3), -0.5), "undo any scaling first"),
    "not whole": (np.full((2, 40, 40, 3), 99.5), "undo any scaling first"),
    "NaN": (np.full((2, 40, 40, 3), np.nan), "undo any scaling first"),
    "colours first": (np.zeros((2, 3, 40, 40), "uint8"), r"X\.transpose\(0, 2, 3, 1\)"),
    "grey": (np.zeros((2, 40, 40), "uint8"), r"np\.repeat"),
    "transparent": (
        np.zeros((2, 40, 40, 4), "uint8"),
        r"expected the shape \(n, height, width, 3\): .*X\[\.\.\., :3\]",
    ),
    "one label": (np.zeros(2, int), r"got ndarray of shape \(2,\) and dtype int64 of int64$"),
    "no image": (np.zeros((0, 40, 40, 3), "uint8"), "X holds no image"),
    "empty Series": (pd.Series([], dtype=object), "X holds no image"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_holds_no_images_is_refused_by_name(kind):
    X, message = REFUSED[kind]
    with pytest.raises(DatasetError, match=message):
        open_source(X)


def truncated(path):
    file = io.BytesIO(content(path)[:900])
    return Image.open(file)


def closed():
    file = io.BytesIO(png())
    file.close()
    return file


@pytest.mark.parametrize("labels", [[0, 1], ["nevus", "melanoma"], np.array([0, 1]), pd.Series([0, 1])], ids=str)
@pytest.mark.parametrize("images", [["a.png", "b.png"], np.zeros((2, 40, 40, 3), "uint8"), [Path("a"), Path("b")]])
def test_labels_before_images_are_told_from_images(labels, images):
    with pytest.raises(DatasetError, match="X and y seem to be swapped"):
        open_source(labels, images)
    open_source(images, labels)


BAD = {
    "None": lambda _: None,
    "NaN": lambda _: float("nan"),
    "numpy NaN": lambda _: np.float64("nan"),
    "NA": lambda _: pd.NA,
    "NaT": lambda _: pd.NaT,
    "number": lambda _: 3,
    "list": lambda _: [1, 2],
    "object": lambda _: threading.Lock(),
    "no UTF-8": lambda _: "caf\udce9.jpg",
    "NUL": lambda _: "a\0b.jpg",
    "empty name": lambda _: "",
    "no such file": lambda _: "no.jpg",
    "no bytes": lambda _: b"",
    "text": lambda _: b"not an image",
    "truncated PIL": truncated,
    "closed file": lambda _: closed(),
    "file of text": lambda _: io.StringIO("text"),
    "float image": lambda _: np.zeros((40, 40, 3)),
    "grey image": lambda _: np.zeros((40, 40), "uint8"),
    "path that is lost": lambda _: LostPath(),
    "loop": None,
}


@pytest.fixture
def bad_item(request, paths, tmp_path):
    if BAD[request.param] is None:
        (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
        return tmp_path / "loop.jpg"
    return BAD[request.param](paths[0])


@pytest.mark.parametrize("bad_item", BAD, indirect=True)
def test_bad_items_are_listed_and_skipped_everywhere(bad_item, paths, pixels, classifier):
    X, good = [*paths[:2], bad_item, *paths[2:]], [0, 1, 3, 4, 5, 6]
    found, skipped = read(X, "skip")
    assert np.array_equal(found, pixels)
    assert len(skipped) == 1
    assert np.flatnonzero(np.isnan(classifier.predict_proba(X)[:, 0])).tolist() == [2]
    assert len(identify(X, verbose=0).skipped) == 1
    prepared = prepare(X, [0, 1, 1, 0, 1, 0, 1], SIZE, on_error="skip", desc="", verbose=0)
    assert prepared.labels.tolist() == [[0, 1, 1, 0, 1, 0, 1][row] for row in good]
    for row in (*skipped, *prepared.skipped):
        str(row).encode()  # can be printed and kept
    with pytest.raises(ImageError) as caught:
        read(X)
    assert str(caught.value)


def test_what_has_no_file_is_named_by_its_place(paths):
    with pytest.raises(ImageError, match=r"^image 2: the file is empty"):
        read([*paths[:2], b""])
    with pytest.raises(ImageError, match=r"^image 0: NoneType is no image"):
        read([None, *paths])
    with pytest.raises(ImageError, match=r"^image 1: cannot be read .*mode 'rb'"):
        read([paths[0], io.StringIO("text")])


def test_missing_images_alone_have_no_scores(classifier):
    assert np.isnan(classifier.predict_proba([None, float("nan")])).all()


def test_the_same_PIL_object_may_stand_many_times(paths, pixels):
    image = Image.open(paths[0])
    assert np.array_equal(read([image] * 32)[0], np.stack([pixels[0]] * 32))


def test_fit_leaves_out_what_is_bad(dataset, labels):
    options = {"weights": None, "epochs": 1, "random_state": 0, "verbose": 0, "on_error": "skip"}
    paths = pd.Series(dataset.paths.tolist(), index=np.arange(24)[::-1], dtype=object)
    paths.iloc[[3, 7]] = [None, pd.NA]
    fitted = TransferClassifier("tiny", **options).fit(paths, labels)
    assert [row.image_id for row in fitted.skipped_] == ["image 3", "image 7"]


def test_folds_of_scikit_learn_take_rows_by_position(dataset, labels, classifier):
    column = pd.Series(dataset.paths.tolist(), index=np.arange(24)[::-1])
    whole = classifier.predict_proba(dataset)
    for _, rows in KFold(3).split(column):
        assert np.allclose(classifier.predict_proba(column.iloc[rows]), whole[rows], atol=1e-6)
