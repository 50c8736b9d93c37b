"""What a tf.data.Dataset gives is read in one pass, or refused in the library's own words."""

import re
import tracemalloc
import warnings
from collections import deque
from itertools import count

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from melanoma_tl import Ensemble, MetricsReport, TransferClassifier
from melanoma_tl.classifier.postprocessing import PostProcessing
from melanoma_tl.errors import DatasetError, MelanomaTLError, ParameterError
from melanoma_tl.explain.shortcuts import check_shortcuts
from melanoma_tl.images import streams
from melanoma_tl.images.loading import identify, open_source, prepare, read_batches
from melanoma_tl.images.streams import Stream
from melanoma_tl.labels.classes import as_binary
from melanoma_tl.plots import ScoreHistogramDisplay
from melanoma_tl.report import MulticlassReport

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

SIZE = (32, 32)
OPTIONS = {"weights": None, "epochs": 3, "learning_rate": 0.05, "random_state": 0, "verbose": 0}


def pairs(images, labels, **options):
    return tf.data.Dataset.from_tensor_slices((images, labels), **options)


def drawn(X, y=None):
    return prepare(X, y, SIZE, on_error="raise", desc="", verbose=0)


@pytest.fixture(scope="module")
def classifier(images, labels):
    return TransferClassifier("tiny", **OPTIONS).fit(images, labels)


@pytest.fixture(scope="module")
def ensemble(images, labels, classifier):
    other = TransferClassifier("tiny", **OPTIONS | {"input_size": (40, 40), "random_state": 1}).fit(images, labels)
    return Ensemble([classifier, other], verbose=0)


@pytest.fixture
def shuffling(images, labels):
    """What Keras's loader makes: another order in every pass."""
    return pairs(images, labels).shuffle(24, seed=1, reshuffle_each_iteration=True).batch(5)


@pytest.fixture(params=["classifier", "ensemble"])
def model(request, classifier, ensemble):
    return {"classifier": classifier, "ensemble": ensemble}[request.param]


# -- labels in the same pass -------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")
def test_figures_of_a_shuffling_dataset_are_those_of_its_images(model, shuffling, images, labels):
    expected = MetricsReport.from_estimator(model, images, labels)
    found = MetricsReport.from_estimator(model, shuffling)
    assert found.metrics["auc"].value == pytest.approx(expected.metrics["auc"].value, abs=1e-6)
    assert found.counts == expected.counts
    assert model.score(shuffling) == model.score(images, labels)
    histograms = [ScoreHistogramDisplay.from_estimator(model, *data) for data in ((shuffling,), (images, labels))]
    outlines = [[steps.get_data().values.tolist() for steps in one.steps_] for one in histograms]
    assert outlines[0] == outlines[1]
    several = MulticlassReport.from_estimator(model, shuffling)
    assert several.accuracy.value == MulticlassReport.from_estimator(model, images, labels).accuracy.value


@pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")
def test_tuning_on_a_shuffling_dataset_is_tuning_on_its_images(model, images):
    scores = model.predict_proba(images)[:, 1]
    noisy = (scores > np.median(scores)).astype(int)
    noisy[np.argsort(scores)[[2, 20]]] ^= 1
    other = pairs(images, noisy).shuffle(24, seed=1, reshuffle_each_iteration=True).batch(5)
    calibrated = [model.calibrate(other).slope, model.calibrate(images, noisy).slope]
    assert calibrated[0] == pytest.approx(calibrated[1], rel=1e-4)
    tuned = [model.tune_threshold(*data, youden=True).threshold for data in ((other,), (images, noisy))]
    assert tuned[0] == pytest.approx(tuned[1], abs=1e-6)
    model._post = PostProcessing()


def test_shortcuts_of_a_shuffling_dataset(classifier, shuffling, images, labels):
    expected = check_shortcuts(classifier, images, labels)
    assert check_shortcuts(classifier, shuffling).auc["whole"].value == expected.auc["whole"].value
    with pytest.raises(DatasetError, match="masks or groups cannot be matched"):
        check_shortcuts(
            classifier, shuffling.unbatch().apply(tf.data.experimental.assert_cardinality(24)), masks=images
        )


def test_members_of_an_ensemble_score_the_same_images(ensemble, images, labels):
    """Each passing over a shuffling dataset itself, they would average the scores of different images."""
    numbered = pairs(images, np.arange(24)).shuffle(24, seed=1, reshuffle_each_iteration=True)
    source = open_source(numbered)
    scores = ensemble.predict_proba(source)
    order = source.known_labels()
    assert sorted(order) == list(range(24))
    assert np.allclose(scores, ensemble.predict_proba(images)[order], atol=1e-6)


def test_labels_beside_a_dataset_are_refused_everywhere(model, shuffling, images, labels):
    unlabelled = tf.data.Dataset.from_tensor_slices(images)
    calls = (
        lambda X: MetricsReport.from_estimator(model, X, labels),
        lambda X: ScoreHistogramDisplay.from_estimator(model, X, labels),
        lambda X: MulticlassReport.from_estimator(model, X, labels),
        lambda X: model.score(X, labels),
        lambda X: model.calibrate(X, labels),
        lambda X: model.tune_threshold(X, labels, youden=True),
        lambda X: model.fit(X, labels),
        lambda X: model.fit(images, labels, validation_data=(X, labels)),
        lambda X: TransferClassifier("tiny", **OPTIONS).find_learning_rate(X, labels),
    )
    for call in calls:
        with pytest.raises(DatasetError, match=r"brings its own labels: pass no y.*would be assigned to other images"):
            call(shuffling)
        with pytest.raises(DatasetError, match=r"takes its labels in: zip"):
            call(unlabelled)
    with pytest.raises(DatasetError, match="sample_weight"):
        model.score(shuffling, sample_weight=np.ones(24))


def test_a_dataset_without_labels_has_scores_and_no_figures(classifier, images):
    unlabelled = tf.data.Dataset.from_tensor_slices(images)
    assert np.allclose(classifier.predict_proba(unlabelled), classifier.predict_proba(images), atol=1e-6)
    for call in (classifier.score, classifier.calibrate, classifier.fit, drawn):
        with pytest.raises(DatasetError, match=r"there are no labels: zip them in"):
            call(unlabelled)
    with pytest.raises(DatasetError, match=r"there are no labels: zip them in"):
        MetricsReport.from_estimator(classifier, unlabelled)


def test_classifiers_of_others_cannot_note_labels(shuffling):
    other = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    for report in (MetricsReport, MulticlassReport, ScoreHistogramDisplay):
        with pytest.raises(ParameterError, match="LogisticRegression cannot read images and labels"):
            report.from_estimator(other, shuffling)


# -- what stands beside an image ---------------------------------------------------------------------------------------

LABELS = {
    "(n,)": lambda labels: labels,
    "(n, 1)": lambda labels: labels[:, np.newaxis],
    "one-hot": lambda labels: np.eye(2)[labels],
    "one-hot of integers": lambda labels: np.eye(2, dtype=int)[labels],
    "float": lambda labels: labels.astype("float32"),
    "float (n, 1)": lambda labels: labels.astype("float32")[:, np.newaxis],
    "bool": lambda labels: labels.astype(bool),
}


@pytest.mark.parametrize("batch", [None, 5])
@pytest.mark.parametrize("shape", LABELS)
def test_shapes_of_labels(shape, batch, images, labels):
    dataset = pairs(images, LABELS[shape](labels))
    found = drawn(dataset if batch is None else dataset.batch(batch)).labels
    assert found.shape == (24,)
    assert found.astype(int).tolist() == labels.tolist()


@pytest.mark.parametrize("batch", [None, 5])
def test_words_as_labels(batch, images, labels):
    words = np.array(["benign", "melanoma"])[labels]
    dataset = pairs(images, words)
    assert drawn(dataset if batch is None else dataset.batch(batch)).labels.tolist() == words.tolist()


def test_images_of_unknown_shape(images, labels):
    """As after `tf.image.decode_image`."""
    encoded = [tf.io.encode_png(image).numpy() for image in images]
    dataset = pairs(encoded, labels).map(lambda content, label: (tf.io.decode_image(content), label))
    assert dataset.element_spec[0].shape.rank is None
    assert np.array_equal(drawn(dataset).pixels, drawn(images, labels).pixels)
    assert np.array_equal(drawn(dataset.batch(7)).pixels, drawn(images, labels).pixels)


def element(**changes):
    return tf.data.Dataset.from_tensor_slices(
        {"image": np.zeros((4, 40, 40, 3), "uint8"), "label": np.arange(4) % 2} | changes
    )


def broken():
    return tf.data.Dataset.range(6).map(
        lambda i: (
            tf.cast(tf.debugging.check_numerics(tf.zeros((40, 40, 3)) / tf.cast(3 - i, tf.float32), "no"), tf.uint8),
            i,
        )
    )


def generator(images, label):
    def give():
        yield from ((image, label) for image in images)

    spec = (tf.TensorSpec((40, 40, 3), tf.uint8), tf.TensorSpec((), tf.int64))
    return tf.data.Dataset.from_generator(give, output_signature=spec)


ZEROS = np.zeros((4, 40, 40, 3), "uint8")
REFUSED = {
    "dictionaries": (lambda: element(), r"\(row\['image'\], row\['label'\]\)"),
    "other dictionaries": (
        lambda: element().map(lambda row: {"img": row["image"], "target": row["label"]}),
        r"\(row\['img'\], row\['target'\]\)",
    ),
    "batches of dictionaries": (lambda: element().batch(2), "of dictionaries"),
    "weights": (lambda: pairs(ZEROS, [0, 1, 0, 1]).map(lambda x, y: (x, y, 1.0)), r"\(image, label, weight\)"),
    "four": (lambda: pairs(ZEROS, [0, 1, 0, 1]).map(lambda x, y: (x, y, y, y)), "tuples of 4"),
    "several labels": (
        lambda: pairs(ZEROS, [0, 1, 0, 1]).map(lambda x, y: (x, {"a": y, "b": y})),
        "the label is a dict",
    ),
    "several images": (lambda: pairs(ZEROS, [0, 1, 0, 1]).map(lambda x, y: ((x, x), y)), "the image is a tuple"),
    "ragged": (
        lambda: pairs(ZEROS, [0, 1, 0, 1]).map(lambda x, y: (tf.RaggedTensor.from_tensor(x), y)),
        "the image is a RaggedTensorSpec",
    ),
    "floats": (lambda: pairs(ZEROS.astype("float32"), [0, 1, 0, 1]), r"uint8, 0 to 255.*tf\.cast\(image, tf\.uint8\)"),
    "floats alone": (lambda: tf.data.Dataset.from_tensor_slices(ZEROS / 255), r"of float64.*lambda image: tf\.cast"),
    "batches of floats": (lambda: pairs(ZEROS.astype("float16"), [0, 1, 0, 1]).batch(2), "of float16"),
    "numbers": (lambda: tf.data.Dataset.range(3), r"must give images \(height, width, 3\).*int64"),
    "paths": (lambda: pairs(["a.jpg", "b.jpg"], [0, 1]), r"must give images \(height, width, 3\).*string"),
    "grey": (lambda: pairs(ZEROS[..., :1], [0, 1, 0, 1]), r"got uint8 of shape \(40, 40, 1\)"),
    "soft labels": (lambda: pairs(ZEROS, [[0.2, 0.8]] * 4), "one label per image, or one-hot labels"),
    "several findings": (lambda: pairs(ZEROS, [[1, 1]] * 4), "one label per image, or one-hot labels"),
    "continuous": (lambda: pairs(ZEROS, [0.2, 0.8, 0.1, 0.3]), "continuous"),
    "missing": (lambda: pairs(ZEROS, [0, 1, np.nan, 1.0]), "1 of 4 labels are missing"),
    "missing words": (lambda: pairs(ZEROS, ["benign", "", "melanoma", "benign"]), "1 of 4 labels are missing"),
    "empty": (lambda: pairs(ZEROS, [0, 1, 0, 1]).take(0), "X holds no image"),
    "all filtered out": (lambda: pairs(ZEROS, [0, 1, 0, 1]).filter(lambda _, y: y > 1), "X holds no image"),
    "endless": (lambda: pairs(ZEROS, [0, 1, 0, 1]).repeat(), "never ends"),
    "endless batches": (lambda: pairs(ZEROS, [0, 1, 0, 1]).shuffle(4, seed=1).repeat().batch(2), "never ends"),
    "endless and filtered": (
        lambda: pairs(ZEROS, [0, 1, 0, 1]).filter(lambda _, y: y < 2).repeat(),
        "never ends|repeats its 1 images",
    ),
    "endless before a filter": (
        lambda: pairs(ZEROS, [0, 1, 0, 1]).repeat().filter(lambda _, y: y < 2),
        "never ends|repeats its 1 images",
    ),
    "fewer labels than images": (
        lambda: pairs(ZEROS, [0, 1, 0, 1]).batch(4).map(lambda x, y: (x, y[:3])),
        r"batch of 4 images, labels of shape \(3,\)",
    ),
    "one label for a batch": (
        lambda: pairs(ZEROS, [0, 1, 0, 1]).batch(4).map(lambda x, y: (x, y[0])),
        r"batch of 4 images, labels of shape \(\)",
    ),
    "broken": (broken, "broke off after 3 images.*ignore_errors"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_used_is_refused_by_name(kind):
    make, message = REFUSED[kind]
    with pytest.raises(DatasetError, match=message):
        drawn(make())


def test_nothing_is_read_of_what_never_ends(images):
    def give():
        raise AssertionError("an image was asked for")
        yield

    endless = tf.data.Dataset.from_generator(give, output_signature=tf.TensorSpec((40, 40, 3), tf.uint8)).repeat()
    with pytest.raises(DatasetError, match="never ends"):
        identify(endless, verbose=0)


def test_an_endless_generator_is_noticed_when_it_repeats_itself(images):
    def again():
        while True:
            yield from images

    dataset = generator(again(), 0)
    with pytest.raises(DatasetError, match=r"repeats its 24 images and may never end.*assert_cardinality"):
        identify(dataset, verbose=0)


@pytest.fixture
def ever_new():
    """Batches of small images, of which no two are alike, without end."""

    def give():
        for start in count():
            numbers = np.arange(start * 500, (start + 1) * 500, dtype="<u4").view("u1").reshape(500, 4)
            yield np.tile(numbers, (1, 192)).reshape(500, 16, 16, 3), np.arange(500) % 2

    spec = (tf.TensorSpec((None, 16, 16, 3), tf.uint8), tf.TensorSpec((None,), tf.int64))
    return tf.data.Dataset.from_generator(give, output_signature=spec)


ENDLESS = {
    "batches": lambda dataset: dataset,
    "unbatched": lambda dataset: dataset.unbatch(),
    "unbatched and filtered": lambda dataset: dataset.unbatch().filter(lambda image, label: label == 1),
    "images alone": lambda dataset: dataset.map(lambda image, label: image),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if "unbatch" in kind else kind for kind in ENDLESS]
)
def test_a_generator_of_ever_new_images_is_refused_in_bounded_memory(ever_new, kind, monkeypatch):
    monkeypatch.setattr(streams, "_MOST_UNFORESEEN", 5000)  # in 50,000 single images TensorFlow takes minutes
    stream = Stream(ENDLESS[kind](ever_new))
    tracemalloc.start()
    with pytest.raises(DatasetError, match=r"gave 5,000 images, and nothing says whether it ends: end it with take"):
        deque(stream, maxlen=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3e6, "their pixels alone take 3.8 MB"


def test_a_length_that_is_said_is_believed(ever_new):
    known = ever_new.take(101).apply(tf.data.experimental.assert_cardinality(101))
    assert sum(1 for _ in Stream(known)) == 50_500


def test_a_generator_that_ends_is_read(images, labels):
    dataset = generator(images, 0)
    assert len(identify(dataset, verbose=0).image_ids) == 24
    assert len(drawn(dataset).labels) == 24


# -- other images each time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [None, 5])
def test_random_augmentation_inside_is_said(batch, images, labels):
    seeds = tf.random.Generator.from_seed(1)
    dataset = pairs(images, labels).map(
        lambda x, y: (tf.image.stateless_random_crop(x, (34, 34, 3), seed=seeds.make_seeds(2)[0]), y)
    )
    dataset = dataset if batch is None else dataset.batch(batch)
    with pytest.warns(UserWarning, match=r"different images in each pass.*drawn once.*augmenter=Augmenter"):
        drawn(dataset)
    with pytest.warns(UserWarning, match="different images in each pass"):
        identify(dataset, verbose=0)


def test_a_random_choice_inside_is_said(images, labels):
    many = np.concatenate([images, images ^ 1, images ^ 2, images ^ 3])
    dataset = pairs(many, np.tile(labels, 4)).shuffle(96, seed=1, reshuffle_each_iteration=True).take(6)
    # By chance, the first four of another six may all be among the six.
    with pytest.warns(UserWarning, match="different images in each pass"):
        [drawn(dataset) for _ in range(8)]


def test_shuffling_and_fixed_changes_are_no_random_augmentation(images, labels, shuffling):
    flipped = pairs(images, labels).map(lambda x, y: (tf.image.flip_left_right(x), y))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dataset in (shuffling, flipped, flipped.cache(), pairs(images, labels).shuffle(24, seed=1).batch(7)):
            drawn(dataset)
            identify(dataset, verbose=0)


# -- the stream itself -------------------------------------------------------------------------------------------------


def test_lengths_are_known_where_they_can_be(images, labels):
    assert Stream(pairs(images, labels)).length == 24
    assert Stream(pairs(images, labels).batch(5)).length is None


def test_another_pass_starts_its_labels_anew(images, labels):
    stream = Stream(pairs(images, labels))
    for _ in range(2):
        assert len(list(stream)) == 24
        stream.peek(3)
        assert stream.labels().tolist() == labels.tolist()


def test_bad_images_of_a_stream_are_skipped_with_their_labels(images, labels):
    spec = (tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((), tf.int64))
    mixed = [*images[:3], images[3][:2], *images[4:]]
    dataset = tf.data.Dataset.from_generator(lambda: zip(mixed, labels, strict=True), output_signature=spec)
    found = prepare(dataset, None, SIZE, on_error="skip", desc="", verbose=0)
    assert found.labels.tolist() == np.delete(labels, 3).tolist()
    assert [row.image_id for row in found.skipped] == ["image 3"]
    batches = list(read_batches(open_source(dataset), SIZE, batch_size=9, on_error="skip", desc="", verbose=0))
    assert sum(len(batch.pixels) for batch in batches) == 23
    with pytest.raises(MelanomaTLError, match="image 3: "):
        drawn(dataset)


@pytest.mark.parametrize("label_mode", ["int", "binary", "categorical"])
def test_the_line_that_is_advised_for_datasets_of_keras_keeps_the_words_of_the_folders(tmp_path, label_mode):
    """Keras numbers the folders by the alphabet, in which "nevus" comes after "melanoma"."""
    for folder, value in (("melanoma", 200), ("nevus", 20)):
        (tmp_path / folder).mkdir()
        for number in range(3):
            Image.fromarray(np.full((40, 40, 3), value, "uint8")).save(tmp_path / folder / f"{number}.png")
    dataset = keras.utils.image_dataset_from_directory(
        tmp_path, image_size=(40, 40), batch_size=2, label_mode=label_mode, verbose=False
    )
    with pytest.raises(DatasetError, match=r"tf\.gather") as error:
        identify(dataset, verbose=0)
    line = re.search(r"take (dataset\.map\(.*\)); undo", str(error.value))[1]
    advised = eval(line, {"dataset": dataset, "tf": tf})
    stream = Stream(advised)
    images = list(stream)
    melanoma = as_binary(stream.labels())
    assert [int(image.mean() > 100) for image in images] == melanoma.tolist()
