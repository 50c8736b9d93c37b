"""What is frozen is computed once, and never wrongly."""

import logging
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from conftest import BACKEND, build, training_plan
from PIL import Image
from processes import full_disk

from melanoma_tl import Augmenter, Balancer, ISBIDataset, TransferClassifier, cache, register_backbone
from melanoma_tl.errors import UnknownNameError
from melanoma_tl.network.cutting import split_network
from melanoma_tl.training.features import FeatureExtractor, _agree
from melanoma_tl.training.views import ImageViews


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="melanoma_tl")
    monkeypatch.setenv("MELANOMA_TL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def computed(monkeypatch):
    """Count the images that go through frozen parts while extracting."""
    counts = []
    predict = keras.Model.predict_on_batch

    def counting(self, x):
        if self.name.endswith("_frozen"):
            counts.append(len(x))
        return predict(self, x)

    monkeypatch.setattr(keras.Model, "predict_on_batch", counting)
    return counts


def make(**parameters):
    defaults = {"weights": None, "epochs": 2, "batch_size": 8, "random_state": 0, "verbose": 0, "precision": "float32"}
    return TransferClassifier("tiny").set_params(**{**defaults, **parameters})


def frozen_part(seed=0, backbone="tiny"):
    return split_network(build(backbone, random_state=seed)).frozen


def extractor(frozen=None, **changes):
    defaults = {"policy": "float32", "recipe": "drawn", "budget": None, "batch_size": 4, "verbose": 0}
    return FeatureExtractor(frozen_part() if frozen is None else frozen, **{**defaults, **changes})


@pytest.fixture
def views():
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype="uint8")
    return ImageViews(images, [bytes([number]) * 32 for number in range(20)], None)


def draw_all(inputs, n=20):
    return np.asarray(inputs.batch(np.arange(n), np.zeros(n, dtype=int), 0), dtype="float32")


def directly(frozen, views):
    return frozen.predict_on_batch(views.pixels.astype("float32"))


# -- computed once --


def test_stored_features_are_those_of_the_network(views):
    frozen = frozen_part()
    stored = extractor(frozen).extract(views, np.arange(20), 1, "images")
    assert np.allclose(draw_all(stored), directly(frozen, views), atol=1e-6)
    order = np.array([7, 3, 7])
    assert np.allclose(stored.batch(order, order, 0), directly(frozen, views)[order], atol=1e-6)


def test_nothing_is_computed_twice(views, computed):
    extractor().extract(views, np.arange(12), 1, "images")
    assert sum(computed) == 12
    extractor().extract(views, np.arange(12), 1, "images")
    assert sum(computed) == 12, "another run of the same network finds them"
    extractor().extract(views, np.arange(20), 1, "images")
    assert sum(computed) == 20, "and computes only what is new"


@pytest.mark.parametrize(
    "change", [{"policy": "mixed_bfloat16"}, {"recipe": "another size"}, {"frozen": "other weights"}]
)
def test_other_weights_precision_and_preparation_do_not_mix(views, computed, change):
    first = extractor()
    first.extract(views, np.arange(20), 1, "images")
    if "frozen" in change:
        change = {"frozen": frozen_part(seed=1)}
    second = extractor(**change)
    assert second.store.folder != first.store.folder
    stored = second.extract(views, np.arange(20), 1, "images")
    assert sum(computed) == 40
    # What XLA makes of batches of another size and type is rounded otherwise in the last of eight bits.
    tolerance = {"rtol": 2**-7} if "policy" in change and BACKEND == "jax" else {"atol": 1e-6}
    assert np.allclose(draw_all(stored), directly(second.network, views).astype("float32"), **tolerance)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::melanoma_tl.errors.LeakageWarning")
def test_a_second_head_learning_rate_or_fold_starts_at_once(dataset, computed):
    make().fit(dataset, validation_data=dataset)
    assert sum(computed) == len(dataset), "validation is the same images"
    make(learning_rate=0.1, epochs=5).fit(dataset)
    make(head=lambda features: keras.layers.GlobalAveragePooling2D(name="pool")(features)).fit(dataset)
    for train, valid in dataset.folds(3, random_state=0):
        make(balancer=Balancer()).fit(train, validation_data=valid)
    assert sum(computed) == len(dataset)


def test_only_chosen_images_are_computed(dataset, computed):
    make(balancer=Balancer(undersample=1.0)).fit(dataset.first(per_class={"benign": 12, "melanoma": 4}))
    assert sum(computed) == 8


# -- views --


def test_each_view_is_computed_once_and_they_take_turns(views, computed):
    views = ImageViews(views.pixels, views.contents, Augmenter(rotation_range=90, views=3, random_state=0))
    frozen = frozen_part()
    stored = extractor(frozen).extract(views, np.arange(20), 99, "images")
    assert sum(computed) == 60
    rows = np.arange(20)
    for repeat in range(6):
        repeats = np.full(20, repeat)
        expected = frozen.predict_on_batch(views.batch(rows, repeats, 0).astype("float32"))
        assert np.allclose(stored.batch(rows, repeats, 0), expected, atol=1e-6), repeat


def test_views_that_nobody_will_see_are_not_computed(dataset, computed):
    make(augmenter=Augmenter(rotation_range=30, views=50), epochs=2).fit(dataset)
    assert sum(computed) == 2 * len(dataset)


def test_more_views_go_on_from_fewer(views, computed):
    for n_views in (2, 5):
        augmenter = Augmenter(rotation_range=30, views=n_views, random_state=0)
        images = ImageViews(views.pixels, views.contents, augmenter)
        extractor().extract(images, np.arange(20), 99, "images")
    assert sum(computed) == 100


def test_endless_views_say_that_they_cannot_be_stored(dataset, caplog, folder):
    clf = make(augmenter=Augmenter(rotation_range=30)).fit(dataset)
    assert "Augmenter(..., views=8)" in caplog.text
    assert cache.size("features") == 0
    assert np.isfinite(clf.history_["loss"]).all()


# -- the budget --


def test_what_does_not_fit_is_computed_and_said(views, caplog):
    budget = 19 * 8 * 4
    inputs = extractor(budget=budget).extract(views, np.arange(20), 1, "images")
    assert "do not fit" in caplog.text
    assert cache.size("features") < budget + 20_000, "the empty table"
    assert np.allclose(draw_all(inputs), directly(frozen_part(), views), atol=1e-6)


def test_the_budget_stands_in_the_log(views, caplog):
    extractor().extract(views, np.arange(20), 1, "images")
    assert "50% of the free disk" in caplog.text
    assert "0 of 20 features are stored already" in caplog.text


def test_training_is_the_same_without_a_store(dataset, folder):
    stored, computed = (
        make(resources__feature_cache_bytes=budget, trainable_from="conv2").fit(dataset) for budget in (None, 0)
    )
    assert cache.size("features") > 0
    for a, b in zip(stored.model_.get_weights(), computed.model_.get_weights(), strict=True):
        assert np.allclose(a, b, atol=1e-6)


def test_parts_of_the_cache_are_cleared_alone(dataset):
    make().fit(dataset)
    prepared = cache.size("prepared")
    assert prepared > 0 < cache.size("features")
    cache.clear("features")
    assert (cache.size("features"), cache.size("prepared")) == (0, prepared)
    with pytest.raises(UnknownNameError, match="features"):
        cache.clear("feature")


# -- what can go wrong --


def test_an_interrupted_extraction_goes_on(views, computed, monkeypatch):
    first = extractor()
    predict = first.network.predict_on_batch
    monkeypatch.setattr(first.network, "predict_on_batch", lambda x: 1 / 0 if len(computed) == 3 else predict(x))
    with pytest.raises(ZeroDivisionError):
        first.extract(views, np.arange(20), 1, "images")
    assert sum(computed) == 12
    stored = extractor().extract(views, np.arange(20), 1, "images")
    assert sum(computed) == 20
    assert np.allclose(draw_all(stored), directly(frozen_part(), views), atol=1e-6)


def test_a_full_disk_costs_time_and_nothing_else(dataset, caplog):
    dataset.images((32, 32), verbose=0)
    with full_disk(80_000):  # the table has 16 KiB, the features would have 86 KiB
        clf = make(head=_wide, batch_size=4).fit(dataset)
    assert "features cannot be stored" in caplog.text
    assert np.isfinite(clf.predict_proba(dataset)).all()
    again = make(head=_wide, batch_size=4).fit(dataset)
    for a, b in zip(clf.model_.get_weights(), again.model_.get_weights(), strict=True):
        assert np.allclose(a, b, atol=1e-5)


def _wide(features):
    return keras.layers.Flatten()(keras.layers.UpSampling2D(2)(features))


def test_a_store_that_was_cut_short_is_made_again(views, caplog):
    extractor().extract(views, np.arange(20), 1, "images")
    (file,) = cache.folder().rglob("arrays_*.bin")
    file.write_bytes(file.read_bytes()[:100])
    stored = extractor().extract(views, np.arange(20), 1, "images")
    assert "computed again" in caplog.text
    assert np.allclose(draw_all(stored), directly(frozen_part(), views), atol=1e-6)


def test_a_store_of_another_layout_is_left_alone(views):
    first = extractor()
    first.store.folder.mkdir(parents=True)
    (first.store.folder / "arrays_v0.sqlite").write_bytes(b"of another version")
    (first.store.folder / "arrays.bin").write_bytes(b"of another version")
    stored = first.extract(views, np.arange(20), 1, "images")
    assert np.allclose(draw_all(stored), directly(frozen_part(), views), atol=1e-6)


def test_a_store_that_cannot_be_used_is_said_and_done_without(views, caplog):
    first = extractor()
    first.store.folder.parent.parent.mkdir()
    first.store.folder.parent.write_text("a file where the folder should be")
    inputs = first.extract(views, np.arange(20), 1, "images")
    assert "cannot be stored" in caplog.text
    assert np.allclose(draw_all(inputs), directly(frozen_part(), views), atol=1e-6)


def test_wrong_features_are_found_out(views, caplog):
    """As when the code of a layer changed, but not its name."""
    first = extractor()
    features = draw_all(first.extract(views, np.arange(20), 1, "images"))
    first.store.forget()
    first.store.add(dict(zip(views.contents, features * np.float32(1.01), strict=True)))
    stored = extractor().extract(views, np.arange(20), 1, "images")
    assert "stored features differ from those of this network" in caplog.text
    assert np.allclose(draw_all(stored), directly(frozen_part(), views), atol=1e-6)


@pytest.mark.parametrize("largest_error", [1e-3, 5e-2])
def test_wrong_channels_are_found_out_beside_larger_ones(largest_error):
    rng = np.random.default_rng(0)
    computed = rng.random((2, 30), dtype=np.float32) + np.float32(0.5)
    computed[:, :20] *= np.float32(5 / largest_error)
    rounded = computed * rng.normal(1, largest_error / 3, computed.shape).astype(np.float32)
    assert _agree(rounded, computed, largest_error)
    one_of_few = rounded.copy()
    one_of_few[:, 29] = 0.0  # as rounding may leave a channel of small differences
    assert _agree(one_of_few, computed, largest_error)
    other = rounded.copy()
    other[:, 20:] *= np.float32(4)  # a third of the channels, of which the mean square shows nothing
    assert not _agree(other, computed, largest_error)


def test_two_may_share_a_store(views):
    def extract(one, rows):
        return one.extract(views, rows, 1, "images").batch(rows, np.zeros(len(rows), dtype=int), 0)

    parts = [np.arange(start, start + 12) for start in (0, 4, 8)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(extract, [extractor() for _ in parts], parts))
    expected = directly(frozen_part(), views)
    for rows, features in zip(parts, found, strict=True):
        assert np.allclose(features, expected[rows], atol=1e-6)
    (file,) = cache.folder().rglob("arrays_*.bin")
    assert file.stat().st_size == expected.nbytes, "each once, whoever wrote it"


# -- the same answer by every route --


ARCHITECTURES = {
    "vgg19": ("VGG19", "block5_conv2"),
    "efficientnetb0": ("EfficientNetB0", "block7a_expand_conv"),
}


@pytest.fixture
def architecture(request):
    builder, trainable_from = ARCHITECTURES[request.param]

    def build(input_tensor, weights):
        backbone = getattr(keras.applications, builder)(include_top=False, weights=None, input_tensor=input_tensor)
        for layer in backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
        # Statistics of a batch: with those that normalisation starts with, the signal fades to nothing on its way.
        pixels = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3)).astype("float32")
        keras.Model(backbone.inputs[0], backbone.output)(pixels, training=True)
        return backbone

    name = f"{request.param}_as_is"
    register_backbone(name, preprocess=keras.layers.Rescaling(1 / 127.5, offset=-1), overwrite=True)(build)
    return name, trainable_from


class Still(keras.layers.Layer):
    """Keeps the dropout of what is frozen silent; `training=False` in a functional graph is overridden by `fit`."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def call(self, x):
        return self.network(x, training=False)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES, indirect=True)
def test_training_from_the_store_is_training_through_the_whole_graph(architecture, images, labels):
    """Keras trains the whole on the same batches."""
    from melanoma_tl.training.batches import TrainingBatches
    from melanoma_tl.training.compiling import compile_network

    backbone, trainable_from = architecture
    clf = TransferClassifier(
        backbone,
        weights=None,
        trainable_from=trainable_from,
        input_size=(64, 64),
        batch_size=6,
        epochs=5,
        precision="float32",
        random_state=0,
        verbose=0,
    )
    clf.fit(images, labels)
    assert cache.size("features") > 0

    seed = int(np.random.SeedSequence(0).generate_state(1)[0] >> 1)
    model = build(backbone, trainable_from=trainable_from, input_size=(64, 64), random_state=seed)
    before = [weights.copy() for weights in model.get_weights()]
    parts = split_network(model)
    whole_images = keras.Input((64, 64, 3))
    whole = keras.Model(whole_images, parts.trained(Still(parts.frozen)(whole_images)))
    plan = training_plan(batch_size=6, epochs=5, seed=seed)
    compile_network(whole, plan)
    resized = np.stack(
        [np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.LANCZOS)) for image in images]
    )
    batches = TrainingBatches(
        ImageViews(resized, [b""] * 24, None), labels[:, np.newaxis].astype("float32"), np.arange(24), plan
    )
    for step in range(20):
        whole.train_on_batch(*batches[step])
    learned = 0
    for ours, theirs, start in zip(clf.model_.get_weights(), model.get_weights(), before, strict=True):
        assert np.allclose(ours, theirs, atol=1e-4, rtol=0), np.abs(ours - theirs).max()
        learned += not np.array_equal(start, theirs)
    assert learned == len(model.trainable_weights)


@pytest.mark.slow
@pytest.mark.real_data
def test_bfloat16_keeps_scores_and_auc(real_data, real_weights):
    from sklearn.metrics import roc_auc_score

    from melanoma_tl.network.precision import has_native_bfloat16

    if not has_native_bfloat16():
        pytest.skip("this processor has no bfloat16 of its own")
    train = ISBIDataset.from_challenge(real_data, year=2016, split="train", on_error="skip").sample(
        per_class=60, random_state=0
    )
    valid = ISBIDataset.from_challenge(real_data, year=2016, split="test")
    clf = TransferClassifier(weights=real_weights, precision="float32", epochs=10, random_state=0, verbose=0)
    clf.fit(train)
    exact = clf.predict_proba(valid)[:, 1]
    for precision in ("auto", "mixed_bfloat16"):
        reduced = clf.set_params(precision=precision).predict_proba(valid)[:, 1]
        assert 0 < np.abs(reduced - exact).max() < 0.02
        assert abs(roc_auc_score(valid.labels, reduced) - roc_auc_score(valid.labels, exact)) < 0.005
    again = TransferClassifier(weights=real_weights, precision="auto", epochs=10, random_state=0, verbose=0)
    trained_otherwise = again.fit(train).predict_proba(valid)[:, 1]
    assert np.abs(trained_otherwise - exact).max() < 0.02
