from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import draw_images
from PIL import Image

from melanoma_tl import ISBIDataset
from melanoma_tl.errors import DatasetError, ImageError
from melanoma_tl.images.array_store import StoredArrays
from melanoma_tl.images.loading import identify, open_source, prepare, read_batches

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

SIZE = (32, 32)


def prepared(X, y=None, on_error="raise"):
    return prepare(X, y, SIZE, on_error=on_error, desc="Read", verbose=0)


def routes(dataset, images, labels):
    """Every way to say the same images and labels."""
    return {
        "dataset": (dataset, None),
        "array of paths": (dataset.paths, labels),
        "list of paths": (dataset.paths.tolist(), labels.tolist()),
        "array of images": (images, labels),
        "PIL images": ([Image.fromarray(pixels) for pixels in images], labels),
        "tf.data": (tf.data.Dataset.from_tensor_slices((images, labels)), None),
        "batched tf.data": (tf.data.Dataset.from_tensor_slices((images, labels)).batch(5), None),
    }


def test_every_route_gives_the_same_pixels_and_labels(dataset, images, labels):
    expected = prepared(dataset)
    assert expected.pixels.shape == (24, 32, 32, 3)
    assert expected.pixels.dtype == np.uint8
    for name, route in routes(dataset, images, labels).items():
        result = prepared(*route)
        assert np.array_equal(result.pixels, expected.pixels), name
        assert np.array_equal(result.labels, expected.labels), name


def test_pixels_lie_on_disk(dataset):
    assert isinstance(prepared(dataset).pixels, StoredArrays)


def test_batches_are_bounded_and_cover_all(dataset):
    batches = list(read_batches(open_source(dataset), SIZE, batch_size=10, on_error="raise", desc="", verbose=0))
    assert [len(batch.pixels) for batch in batches] == [10, 10, 4]


def test_bad_images_are_named_or_listed_with_their_labels_kept_in_step(dataset, bad_images, labels):
    paths = dataset.paths.tolist()
    paths[3] = str(bad_images / "truncated.jpg")
    with pytest.raises(ImageError, match=r"truncated\.jpg: damaged or truncated"):
        prepared(paths, labels)
    result = prepared(paths, labels, on_error="skip")
    assert result.labels.tolist() == np.delete(labels, 3).tolist()
    assert np.array_equal(result.pixels, np.delete(prepared(dataset).pixels, 3, axis=0))
    assert [(row.image_id, row.path) for row in result.skipped] == [("truncated.jpg", paths[3])]


def test_a_dataset_names_its_bad_image_by_id(dataset, bad_images):
    mixed = ISBIDataset(["good", "bad"], [dataset.paths[0], bad_images / "empty.jpg"], [0, 1])
    assert prepared(mixed, on_error="skip").skipped[0].image_id == "bad"


def test_nothing_readable_is_an_error(bad_images):
    with pytest.raises(DatasetError, match="none of the 1 images can be read"):
        prepared([str(bad_images / "empty.jpg")], [0], on_error="skip")


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ("image.jpg", None, r"X is one path.*wrap it in a list, \[X\]"),
        ("mine.csv", None, r"X is a table, 'mine\.csv': read it with ISBIDataset\.from_csv"),
        (Path("mine.XLSX"), None, r"read it with pandas\.read_excel, and this with ISBIDataset\.from_frame"),
        (".", None, r"X is a folder, '\.': read it with ISBIDataset\.from_folder .*datasets\.find_images"),
        ("mine/*.jpg", None, r"X is a pattern, .* glob\.glob\('mine/\*\.jpg'\)"),
        (
            (ISBIDataset(["a"], None, [0]), ISBIDataset(["b"], None, [1])),
            None,
            r"X is a tuple of 2 datasets: pass one .*\.concat",
        ),
        (["a.jpg"], ISBIDataset(["a"], None, [0]), "y holds images, where labels .* as validation_data="),
        (ISBIDataset(["a"], ["a.png"], [0]), "diagnosis", r"got str: pass X\.metadata\['diagnosis'\]"),
        (["a.jpg"], "y.csv", "got str: pass a column of a table"),
        (42, None, "X must be an ISBIDataset"),
        ([], None, "holds no image"),
        ([1, 2], None, "got list of int"),
        (np.zeros((4, 2, 8, 8, 3), "uint8"), None, r"one class an image|got ndarray|expected the shape"),
        (["a.jpg", "b.jpg"], [0], "2 images, y of shape"),
        (["a.jpg", "b.jpg"], [[0, 1], [1, 0]], r"one label an image, got \(2, 2\); of one-hot labels"),
    ],
)
def test_what_is_no_image_collection_is_refused(X, y, message):
    with pytest.raises((DatasetError, ImageError), match=message):
        list(read_batches(open_source(X, y), SIZE, batch_size=2, on_error="raise", desc="", verbose=0))


def test_a_table_of_numbers_is_refused():
    with pytest.raises(DatasetError, match=r"got ndarray of shape \(4, 3\)"):
        open_source(np.zeros((4, 3)))


def test_labels_are_needed_and_not_given_twice(images):
    with pytest.raises(DatasetError, match="there are no labels"):
        prepared(images)
    with pytest.raises(DatasetError, match="brings its own labels: pass no y"):
        prepared(tf.data.Dataset.from_tensor_slices((images, np.zeros(24))), np.zeros(24))
    with pytest.raises(DatasetError, match="must give images"):
        prepared(tf.data.Dataset.range(3))


def test_every_route_gives_the_same_fingerprints(dataset, images, labels):
    expected = prepared(dataset).identity.fingerprints
    assert expected.kinds == ("id", "bytes", "near-duplicate")
    for name, route in routes(dataset, images, labels).items():
        assert np.array_equal(prepared(*route).identity.fingerprints.perceptual_hashes, expected.perceptual_hashes), (
            name
        )
        assert np.array_equal(
            identify(route[0], verbose=0).fingerprints.perceptual_hashes, expected.perceptual_hashes
        ), name


def test_fingerprints_stay_in_step_with_skipped_images(dataset, bad_images):
    patients = pd.DataFrame({"patient_id": ["a", "b", "c"]})
    paths = [dataset.paths[0], bad_images / "truncated.jpg", dataset.paths[1]]
    broken = ISBIDataset(["x", "bad", "y"], paths, [0, 1, 1], metadata=patients)
    found = prepared(broken, on_error="skip").identity
    assert found.image_ids == ("x", "y")
    whole = broken.identify(verbose=0)
    assert [row.image_id for row in whole.skipped] == ["bad"]
    for kind in ("id", "bytes", "patient"):
        assert found.fingerprints.keys[kind].tolist() == whole.fingerprints.keys[kind][[0, 2]].tolist(), kind


def test_memory_does_not_grow_with_the_number_of_images(images):
    import tracemalloc

    def peak(n):
        tracemalloc.start()
        source = open_source(np.broadcast_to(images[:1], (n, 40, 40, 3)))
        for _ in read_batches(source, (64, 64), batch_size=16, on_error="raise", desc="", verbose=0):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(64)
    assert peak(1600) < 1.5 * peak(200)


@pytest.mark.parametrize("kind", ["arrays", "paths", "bytes"])
def test_names_begin_anew_with_the_images(kind, tmp_path):
    """What is prepared begins anew where the cache was cleared: no image may be lost, or get another's name."""
    images = list(draw_images(5, seed=1))
    items = images
    if kind != "arrays":
        items = [tmp_path / f"{number}.png" for number in range(5)]
        for path, image in zip(items, images, strict=True):
            Image.fromarray(image).save(path)
    if kind == "bytes":
        items = [path.read_bytes() for path in items]
    source = open_source(items)
    first = [next(iter(zip(source.items, source.names, strict=True)))]
    assert len(list(zip(source.items, source.names, strict=True))) == 5
    assert [name for _, name in first] == [next(iter(source.names))]
