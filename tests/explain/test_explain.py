"""Maps of where a score comes from point at what it does come from."""

import keras
import numpy as np
import pytest
from conftest import draw_images

from melanoma_tl import Ensemble, MetricsReport, PooledHead, Resources, TransferClassifier
from melanoma_tl.errors import ImageError, NotFittedError, ParameterError, UnknownNameError
from melanoma_tl.explain.explanations import _contribute, _resize, explain, explain_errors, grad_cam, occlusion
from melanoma_tl.explain.gradients import MapGradient, pooled_maps


def make(**changes):
    options = {"weights": None, "epochs": 1, "verbose": 0, "random_state": 0, "trainable_from": "conv1"}
    return TransferClassifier("tiny").set_params(**(options | changes))


def draw_spots(n, side=32, seed=0):
    """Draw grey images; those of class 1 have a dark square, the corners of which come with them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    images = rng.normal(180, 8, (n, side, side, 3))
    corners = rng.integers(2, side - 12, (n, 2))
    for image, label, (row, column) in zip(images, labels, corners, strict=True):
        if label:
            image[row : row + 10, column : column + 10] -= 150
    return np.clip(images, 0, 255).astype("uint8"), labels, corners


@pytest.fixture(scope="module")
def finder():
    """A classifier that has learned to find the dark square."""
    images, labels, _ = draw_spots(200)
    return make(head__pooling="max", epochs=25, learning_rate=0.01, batch_size=20).fit(images, labels)


@pytest.fixture(scope="module")
def spots():
    images, labels, corners = draw_spots(20, seed=1)
    return images[labels == 1], corners[labels == 1]


def share_in_square(maps, corners):
    inside = [
        one[row : row + 10, column : column + 10].mean() for one, (row, column) in zip(maps, corners, strict=True)
    ]
    return np.array(inside) / maps.mean(axis=(1, 2))


def test_grad_cam_lights_up_where_the_melanoma_is(finder, spots):
    images, corners = spots
    maps = grad_cam(finder, images)
    assert maps.shape == (10, 32, 32)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    assert np.median(share_in_square(maps, corners)) > 2


def test_occlusion_lowers_the_score_where_the_melanoma_is(finder, spots):
    images, corners = spots
    drops = occlusion(finder, images, grid=4)
    assert drops.shape == (10, 4, 4)
    for drop, (row, column) in zip(drops, corners, strict=True):
        hit = np.unravel_index(drop.argmax(), drop.shape)
        # Squares of ten pixels reach into several patches of eight.
        assert abs(hit[0] - (row + 5) / 8 + 0.5) <= 1
        assert abs(hit[1] - (column + 5) / 8 + 0.5) <= 1


def test_the_gradient_is_that_of_automatic_differentiation(finder, images):
    """Against that of the backend itself."""
    model, image = finder.model_, images[0][:32, :32]
    layer = model.get_layer("conv2")
    ((maps, gradient),) = MapGradient(model, [layer.output]).measure(image)
    rest = keras.Model(layer.output, model.outputs[0])

    def logit(watched):
        score = rest(watched, training=False)[0, 0]
        return keras.ops.log(score / (1 - score))

    assert np.allclose(gradient, differentiate(logit, maps[np.newaxis])[0], rtol=1e-3, atol=1e-5)


def differentiate(function, at):
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(function)(at))
    if backend == "torch":
        import torch

        watched = torch.tensor(at, requires_grad=True)
        return torch.autograd.grad(function(watched), watched)[0].numpy()
    import tensorflow as tf

    with tf.GradientTape() as tape:
        watched = tf.Variable(at)
        value = function(watched)
    return tape.gradient(value, watched).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["avg", "log_center"])
def test_the_map_of_several_pooled_maps_is_the_linear_part_of_the_logit(images, labels, pooling):
    classifier = make(head=PooledHead(pooling=pooling, feature_layers=("conv1",))).fit(images, labels)
    model = classifier.model_
    score = model.get_layer("melanoma")
    features = np.asarray(keras.Model(model.inputs[0], score.input).predict(images[:1, :32, :32], verbose=0))[0]
    # The slope of sign(m) * log(1 + |m|) times m, where m is the weighted mean.
    linear = features if pooling == "avg" else np.sign(features) * (1 - np.exp(-np.abs(features)))
    measured = MapGradient(model, pooled_maps(model)).measure(images[0, :32, :32])
    assert len(measured) == 2
    signed = [100 * _contribute(*one).mean() for one in measured]
    assert sum(signed) == pytest.approx(linear @ score.get_weights()[0][:, 0], rel=1e-4)
    small = _contribute(*measured[0])
    factors = tuple(4 * side for side in small.shape)
    assert _resize(small, factors).mean() == pytest.approx(small.mean(), rel=1e-4)
    together = sum(_resize(_contribute(*one), (32, 32)) for one in measured)
    assert np.allclose(grad_cam(classifier, images[:1, :32, :32])[0], np.maximum(together, 0), rtol=1e-3, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{}, {"head__feature_layers": ("conv1",)}, {"dropout": 0.5}, {"head": "published"}],
    ids=["plain", "feature_layers", "dropout", "dense"],
)
def test_every_head_can_be_explained_and_stays_as_it_is(images, labels, changes):
    classifier = make(**changes).fit(images, labels)
    weights = classifier.model_.get_weights()
    trainable = [layer.trainable for layer in classifier.model_.layers]
    first = grad_cam(classifier, images[:3])
    assert np.array_equal(first, grad_cam(classifier, images[:3]))
    assert all(np.array_equal(a, b) for a, b in zip(weights, classifier.model_.get_weights(), strict=True))
    assert [layer.trainable for layer in classifier.model_.layers] == trainable


def test_another_layer_can_be_looked_at(finder, spots):
    images, _ = spots
    assert not np.array_equal(grad_cam(finder, images, layer="conv1"), grad_cam(finder, images))
    with pytest.raises(UnknownNameError, match="Did you mean 'conv1'"):
        grad_cam(finder, images, layer="conv_1")
    with pytest.raises(ParameterError, match="has no maps"):
        grad_cam(finder, images, layer=finder.model_.layers[-1].name)


def test_mistakes_get_an_answer(images, tmp_path, finder):
    with pytest.raises(NotFittedError):
        grad_cam(make(), images)
    with pytest.raises(ParameterError, match="grid"):
        occlusion(finder, images, grid=1)
    with pytest.raises(ImageError, match="no such file"):
        explain(finder, [tmp_path / "gone.png"])
    with pytest.raises(ParameterError, match="captions must be one"):
        explain(finder, images[:2], captions=["one"])


def test_a_sheet_shows_each_image_with_its_maps(finder, dataset):
    explanations = explain(finder, dataset[:2], method="both")
    figure = explanations.plot()
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == 6
    assert "IMG_000" in drawn[0].get_title(loc="left")
    scales = {ax.images[1].get_clim() for ax in (drawn[1], drawn[4])}
    assert scales == {(0, np.percentile(explanations.grad_cam, 99.5))}, "one scale for all images"
    assert min(drawn[1].images[1].cmap(0.0)[:3]) > 0.9, "no evidence is pale"
    assert "IMG_001: score of melanoma " in str(explanations)
    assert "<li>IMG_001: score of melanoma " in explanations._repr_html_()


def test_the_class_that_is_explained_is_named_above_the_image_and_beside_the_colours(finder, dataset):
    explanations = explain(finder, dataset[:1], method="both", target=0)
    figure = explanations.plot()
    assert figure.axes[0].get_title(loc="left").startswith("IMG_000\nscore of benign ")
    bars = [ax.get_xlabel() for ax in figure.axes if not ax.images]
    assert bars == ["log odds per 1 % of the image\nfor benign", "fall of the score when covered\nfor benign"]
    assert f"score of benign {finder.predict_proba(dataset[:1])[0, 0]:.3f}" in explanations.captions[0]


def test_one_method_is_run_and_drawn_and_the_fast_one_unless_told(finder, dataset):
    fast, covered, both = (
        explain(finder, dataset[:2]),
        *(explain(finder, dataset[:2], method=method) for method in ("occlusion", "both")),
    )
    assert np.array_equal(fast.grad_cam, both.grad_cam)
    assert np.array_equal(covered.occlusion, both.occlusion)
    assert fast.occlusion is None
    assert covered.grad_cam is None
    assert str(fast).startswith("2 images with Grad-CAM of melanoma\n")
    assert str(covered).startswith("2 images with occlusion of melanoma\n")
    for alone, title in ((fast, "Grad-CAM"), (covered, "Occlusion")):
        drawn = [ax for ax in alone.plot().axes if ax.images]
        assert [ax.get_title() for ax in drawn] == ["", title, "", ""]
    with pytest.raises(UnknownNameError, match="Did you mean 'grad_cam'"):
        explain(finder, dataset[:2], method="gradcam")


def test_where_there_are_no_maps_occlusion_is_named(finder, images, monkeypatch):
    monkeypatch.setattr("melanoma_tl.explain.explanations._has_maps", lambda layer: False)
    with pytest.raises(ParameterError, match="method='occlusion'"):
        explain(finder, images[:1])


def test_the_most_confident_errors_are_explained(finder, dataset):
    scores = np.where(dataset.labels == 1, 0.9, 0.1)
    scores[[1, 3, 5]] = 0.2, 0.05, 0.3  # missed
    scores[[2, 4]] = 0.7, 0.8  # false alarms
    report = MetricsReport.from_scores(dataset.labels, scores, image_ids=dataset.image_ids, paths=dataset.paths)
    explanations = explain_errors(finder, report, n=2)
    assert [caption.partition(",")[0] for caption in explanations.captions] == [
        "IMG_003: missed melanoma",
        "IMG_001: missed melanoma",
        "IMG_004: false alarm",
        "IMG_002: false alarm",
    ]
    title = explanations.plot().axes[0].get_title(loc="left")
    assert title == "IMG_003\nmissed melanoma, score 0.050", "nothing of it is cut out"
    attached = report.attach("Explanations", explanations)
    assert "IMG_003: missed melanoma" in str(attached)
    perfect = MetricsReport.from_scores([0, 1], [0.1, 0.9], paths=["a", "b"])
    with pytest.raises(ParameterError, match="no errors"):
        explain_errors(finder, perfect)


@pytest.mark.real_data
@pytest.mark.slow
def test_vgg19_is_explained_on_real_images(real_data, real_weights):
    from melanoma_tl import ISBIDataset, Probe

    train = ISBIDataset.from_challenge(real_data, year=2016, split="train", on_error="skip").sample(
        per_class=8, random_state=0
    )
    clf = TransferClassifier(weights=real_weights, stages=[Probe()], random_state=0, verbose=0).fit(train)
    maps = grad_cam(clf, train[:4])
    assert maps.shape == (4, 224, 224)
    assert (maps.max(axis=(1, 2)) > 0).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["VGG16", "ResNet50", "DenseNet121", "MobileNetV3Small", "ConvNeXtTiny"])
def test_families_of_backbones_can_be_explained(name):
    """The contract asks of every family that its score depends on the map that is explained."""
    images = draw_images(4, side=96)
    classifier = TransferClassifier(
        name.lower(),
        weights=None,
        input_size=(96, 96),
        epochs=1,
        resources=Resources(feature_cache_bytes=0),
        random_state=0,
        verbose=0,
    ).fit(images, [0, 1, 0, 1])
    maps = grad_cam(classifier, images)
    assert maps.shape == (4, 96, 96)
    assert np.isfinite(maps).all()
    assert maps.min() >= 0


def test_an_ensemble_has_no_single_network_to_look_into(images, labels):
    ensemble = Ensemble([make().fit(images, labels)], verbose=0)
    with pytest.raises(ParameterError, match="one of its members"):
        grad_cam(ensemble, images)
