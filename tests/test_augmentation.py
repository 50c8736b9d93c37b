import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.base import clone

from melanoma_tl import Augmenter
from melanoma_tl.errors import ParameterError
from melanoma_tl.symmetries import symmetric_views

PUBLISHED_CODE = {"rotation_range": 20, "width_shift_range": 0.2, "height_shift_range": 0.2, "horizontal_flip": True}


@pytest.fixture(scope="module")
def lesions():
    """Eight smooth images with one dark off-centre blob each."""
    grid = np.mgrid[:48, :48]
    blob = np.exp(-((grid[0] - 16) ** 2 + (grid[1] - 30) ** 2) / 60)
    return np.repeat((np.array([220, 170, 150]) * (1 - 0.7 * blob[..., None])).astype("uint8")[None], 8, 0)


def test_no_change_by_default(lesions):
    assert Augmenter().augment(lesions, seed=0) is lesions


@pytest.mark.parametrize(
    "parameters",
    [
        PUBLISHED_CODE,
        {"horizontal_flip": True, "saturation_range": (1.0, 1.5)},
        {"vertical_flip": True},
        {"zoom_range": 0.3},
        {"brightness_range": 0.2},
        {"contrast_range": 0.4},
    ],
    ids=lambda parameters: "+".join(parameters),
)
def test_views_are_raw_rgb_and_depend_on_the_seed_alone(lesions, parameters):
    before = lesions.copy()
    augmenter = Augmenter(**parameters)
    views = augmenter.augment(lesions, seed=1)
    assert views.dtype == np.uint8
    assert views.shape == lesions.shape
    assert np.array_equal(views, clone(augmenter).augment(lesions, seed=1))
    assert not np.array_equal(views, augmenter.augment(lesions, seed=2))
    assert not np.array_equal(views, lesions)
    assert np.array_equal(lesions, before), "what was given stays as it was"


def test_flips_mirror(lesions):
    flipped = Augmenter(horizontal_flip=True).augment(lesions, seed=0)
    is_mirror = [np.array_equal(view, lesions[0][:, ::-1]) for view in flipped]
    is_same = [np.array_equal(view, lesions[0]) for view in flipped]
    assert all(np.logical_xor(is_mirror, is_same))
    assert any(is_mirror)
    assert any(is_same)


def test_nearest_fill_leaves_no_black(lesions):
    assert Augmenter(**PUBLISHED_CODE).augment(lesions, seed=3).min() >= lesions.min() - 1
    assert Augmenter(**PUBLISHED_CODE, fill_mode="constant").augment(lesions, seed=3).min() == 0


def chroma(images):
    return (images.max(-1).astype(int) - images.min(-1)).mean()


def test_colour_changes_go_the_way_their_names_say(lesions):
    assert chroma(Augmenter(saturation_range=(1.5, 1.5)).augment(lesions, 0)) == pytest.approx(
        1.5 * chroma(lesions), rel=0.02
    )
    assert chroma(Augmenter(saturation_range=(0.0, 0.0)).augment(lesions, 0)) == 0
    brighter = Augmenter(brightness_range=(0.1, 0.1)).augment(lesions, 0)
    assert brighter.mean() == pytest.approx(lesions.mean() + 25.5, abs=1)


def test_zoom_above_one_shows_more(lesions):
    def dark(images):
        return (images[..., 0] < 150).mean()

    assert dark(Augmenter(zoom_range=(1.5, 1.5)).augment(lesions, 0)) < dark(lesions)
    assert dark(Augmenter(zoom_range=(0.6, 0.6)).augment(lesions, 0)) > dark(lesions)


def test_fixed_views_belong_to_the_image_not_to_the_batch(lesions):
    images = lesions + np.arange(8, dtype="uint8")[:, None, None, None]
    augmenter = Augmenter(**PUBLISHED_CODE, views=3, random_state=0)
    assert np.array_equal(augmenter.fixed_views(images, range(8), [0] * 8), images)
    views = augmenter.fixed_views(images, range(8), [2] * 8)
    assert np.array_equal(augmenter.fixed_views(images[5:6], [5], [2]), views[5:6])
    mixed = augmenter.fixed_views(images, range(8), [0, 1, 2, 0, 1, 2, 0, 1])
    assert np.array_equal(mixed[2], views[2])
    assert np.array_equal(mixed[3], images[3])
    assert not np.array_equal(mixed[4], views[4])


def test_views_of_other_parameters_have_other_keys():
    augmenter = Augmenter(**PUBLISHED_CODE, views=3, random_state=0)
    assert augmenter.view_key(0) == b""
    assert augmenter.view_key(1) == Augmenter(**PUBLISHED_CODE, views=8, random_state=0).view_key(1)
    others = [Augmenter(**PUBLISHED_CODE, random_state=1), Augmenter(horizontal_flip=True, random_state=0)]
    keys = {augmenter.view_key(1), augmenter.view_key(2), *(other.view_key(1) for other in others)}
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rotation_range": 200}, "rotation_range must be within 0 to 180"),
        ({"zoom_range": (1.2, 0.8)}, "lower bound first"),
        ({"fill_mode": "mirror"}, "fill_mode must be one of constant, nearest, reflect, wrap, got 'mirror'"),
        ({"views": 0}, "views must be None"),
        ({"horizontal_flip": True, "views": 4}, "give 2 different views of an image: take views=2"),
    ],
)
def test_impossible_parameters_are_named(lesions, parameters, message):
    with pytest.raises(ParameterError, match=message):
        Augmenter(**parameters).augment(lesions, 0)


def test_the_preview_shows_every_image_in_every_view(dataset):
    sheet = Augmenter(**PUBLISHED_CODE).preview(dataset, n=3, views=4, size=(32, 32))
    assert isinstance(sheet, Figure)
    assert len(sheet.axes) == 3 * 5
    assert sheet.axes[0].get_title() == "untouched"
    assert sheet.axes[0].get_ylabel() == "IMG_000"


FLIPS = {"horizontal_flip": True, "vertical_flip": True, "transpose": True}


@pytest.mark.parametrize("n_flips", [1, 2, 3])
def test_each_flip_is_drawn_for_itself_and_gone_through_in_fixed_views(lesions, n_flips):
    flips = dict(list(FLIPS.items())[:n_flips])
    expected = {view.tobytes() for view in symmetric_views(lesions[:1], 2**n_flips)}
    assert len(expected) == 2**n_flips
    many = np.repeat(lesions[:1], 100, axis=0)
    assert {view.tobytes() for view in Augmenter(**flips).augment(many, seed=0)} == expected
    fixed = Augmenter(**flips, views=2**n_flips, random_state=0).fixed_views(
        many, range(100), np.arange(100) % 2**n_flips
    )
    assert {view.tobytes() for view in fixed[: 2**n_flips]} == expected
    assert np.array_equal(fixed[0], lesions[0])


def test_flips_go_with_other_changes(lesions):
    turned = Augmenter(**FLIPS, brightness_range=(0.1, 0.1), views=8)
    plain = Augmenter(**FLIPS, views=8).fixed_views(lesions, range(8), range(8))
    assert np.allclose(turned.fixed_views(lesions, range(8), range(8))[1:], plain[1:] + 25.5, atol=1)


def test_only_square_images_are_transposed():
    with pytest.raises(ParameterError, match="needs square images, got 8x10"):
        Augmenter(transpose=True).augment(np.zeros((40, 8, 10, 3), "uint8"), seed=0)


def test_both_axes_are_shifted_for_themselves():
    dot = np.zeros((64, 32, 32, 3), "uint8")
    dot[:, 15:17, 15:17] = 255
    shifted = Augmenter(width_shift_range=0.3, height_shift_range=0.3, fill_mode="constant").augment(dot, seed=0)
    light = shifted[..., 0].astype(float) / shifted[..., 0].sum(axis=(1, 2), keepdims=True)
    rows, columns = (light.sum(axis=axis) @ np.arange(32) for axis in (2, 1))
    assert rows.std() > 3
    assert columns.std() > 3
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.4
