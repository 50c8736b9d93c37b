import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from keras.src.layers import RandomContrast, RandomSaturation
from keras.src.legacy.preprocessing.image import apply_affine_transform, apply_channel_shift
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from matplotlib.figure import Figure
from scipy import ndimage
from sklearn.base import clone

from melanoma_tl import Augmenter
from melanoma_tl.errors import ParameterError, UnknownNameError
from melanoma_tl.images.symmetries import symmetric_views
from melanoma_tl.images.transforms import ImageTransform

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
        {"shear_range": 20},
        {"hue_range": 0.1},
        {"channel_shift_range": 30},
        {"cutout": 0.3},
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
        ({"rotation_range": 200}, "rotation_range must be a number from 0 to 180"),
        ({"zoom_range": (1.2, 0.8)}, r"\(lowest, highest\)"),
        ({"fill_mode": "mirror"}, "Unknown fill_mode 'mirror'"),
        ({"views": 0}, "views must be a whole number of at least 1 or None"),
        ({"horizontal_flip": True, "views": 4}, "give 2 different views of an image: take views=2"),
    ],
)
def test_impossible_parameters_are_named(lesions, parameters, message):
    with pytest.raises((ParameterError, UnknownNameError), match=message):
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


# -- against Keras and SciPy -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texture():
    """One image that is not square, with detail up to its borders."""
    return np.random.default_rng(0).integers(0, 256, (36, 48, 3), dtype="uint8")


PUBLISHED_DRAWS = [(13.0, 0.15, -0.2), (-20.0, -0.2, 0.2), (20.0, 0.0, 0.0), (0.0, 0.1, 0.07), (0.5, 0.013, -0.002)]


@pytest.mark.parametrize("mirrored", [0, 1])
@pytest.mark.parametrize(("degrees", "down", "right"), PUBLISHED_DRAWS)
def test_a_view_is_what_the_published_generator_makes_of_the_same_draw(texture, degrees, down, right, mirrored):
    """Keras's own ``ImageDataGenerator`` is the reference: one map, then the mirror image.

    On a square image, as published: of others that generator takes the centre with height and width exchanged.
    """
    texture = texture[:, :36]
    expected = apply_affine_transform(
        texture.astype("float32"),
        theta=degrees,
        tx=right * 36,
        ty=down * 36,
        row_axis=0,
        col_axis=1,
        channel_axis=2,
        fill_mode="nearest",
        order=1,
    )
    view = ImageTransform(degrees, down, right, symmetry=mirrored).apply(texture, "nearest")
    assert np.abs(view - (expected[:, ::-1] if mirrored else expected)).max() < 0.51, "only rounding to whole numbers"


FILLED = [("nearest", "nearest"), ("reflect", "reflect"), ("constant", "grid-constant"), ("wrap", "grid-wrap")]
"""Fill modes, and what SciPy calls them."""


@pytest.mark.parametrize(("fill_mode", "mode"), FILLED)
def test_all_moves_are_one_interpolation(texture, fill_mode, mode):
    view = ImageTransform(rotation=30, row_shift=0.3, column_shift=-0.2, zoom=1.4).apply(texture, fill_mode)
    cosine, sine = np.cos(np.pi / 6), np.sin(np.pi / 6)
    rotation = np.array([[cosine, sine], [-sine, cosine]])  # of (row, column)
    centre = np.array([17.5, 23.5])
    offset = centre + rotation @ (np.array([0.3 * 36, -0.2 * 48]) - 1.4 * centre)
    expected = [
        ndimage.affine_transform(texture[..., colour].astype("float64"), 1.4 * rotation, offset, order=1, mode=mode)
        for colour in range(3)
    ]
    assert np.abs(view - np.stack(expected, axis=-1)).max() < 0.51


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.3, 5.0])
def test_colours_are_what_layers_of_keras_make_of_the_same_draw(texture, factor):
    scaled = texture[np.newaxis].astype("float32") / 255
    saturated = RandomSaturation(0.5, value_range=(0, 1)).transform_images(
        scaled, {"factor": np.array([factor], "float32")}
    )
    view = ImageTransform(saturation=factor).apply(texture, "nearest")
    assert np.abs(view - 255 * np.asarray(saturated)[0]).max() < 0.51
    contrasted = RandomContrast(0.5, value_range=(0, 1)).transform_images(
        scaled, {"contrast_factor": np.full((1, 1, 1, 1), factor, "float32")}
    )
    view = ImageTransform(contrast=factor).apply(texture, "nearest")
    assert np.abs(view - 255 * np.asarray(contrasted)[0]).max() < 0.51


@pytest.mark.parametrize("turn", [-0.5, -0.08, 0.0, 0.3, 0.5])
def test_the_hue_turns_as_in_matplotlib(texture, turn):
    hsv = rgb_to_hsv(texture / 255)
    hsv[..., 0] = (hsv[..., 0] + turn) % 1
    view = ImageTransform(hue=turn).apply(texture, "nearest")
    assert np.abs(view - 255 * hsv_to_rgb(hsv)).max() < 0.51


@pytest.mark.parametrize("shift", [-60, 25])
def test_channels_are_shifted_as_by_keras(texture, shift):
    narrow = 60 + texture // 2
    expected = apply_channel_shift(narrow.astype("float32"), shift, channel_axis=2)
    assert expected.max() == narrow.max() if shift > 0 else expected.min() == narrow.min()
    assert np.array_equal(ImageTransform(channel_shift=shift / 255).apply(narrow, "nearest"), expected)


@pytest.mark.parametrize(("row", "column", "expected"), [(0.5, 0.5, (9, 27, 15, 33)), (0.0, 1.0, (0, 9, 39, 48))])
def test_a_square_is_cut_out(texture, row, column, expected):
    top, bottom, left, right = expected
    view = ImageTransform(cutout=0.5, cutout_row=row, cutout_column=column).apply(texture, "nearest")
    assert (view[top:bottom, left:right] == np.rint(texture.mean(axis=(0, 1)))).all()
    view[top:bottom, left:right] = texture[top:bottom, left:right]
    assert np.array_equal(view, texture), "nothing else has changed"


def view_slowly(image, drawn, mode):
    """Make a view step by step, in double precision, with SciPy and matplotlib."""
    height, width = image.shape[:2]
    angle, shear = np.deg2rad([drawn.rotation, drawn.shear])
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # of (row, column)
    moved = rotation @ np.array([[np.cos(shear), 0], [-np.sin(shear), 1]]) * drawn.zoom
    centre = np.array([height - 1, width - 1]) / 2
    offset = centre + rotation @ np.array([drawn.row_shift * height, drawn.column_shift * width]) - moved @ centre
    pixels = np.stack(
        [
            ndimage.affine_transform(image[..., colour].astype(float), moved, offset, order=1, mode=mode)
            for colour in range(3)
        ],
        axis=-1,
    )
    pixels = list(symmetric_views(pixels[np.newaxis], 8 if height == width else 4))[drawn.symmetry][0]
    pixels = np.clip(pixels + 255 * drawn.channel_shift, pixels.min(), pixels.max())
    hsv = rgb_to_hsv(pixels / 255)
    hsv[..., 0] = (hsv[..., 0] + drawn.hue) % 1
    hsv[..., 1] = np.minimum(hsv[..., 1] * drawn.saturation, 1)
    pixels = 255 * hsv_to_rgb(hsv)
    mean = pixels.mean(axis=(0, 1))
    pixels = (pixels - mean) * drawn.contrast + mean + 255 * drawn.brightness
    half = drawn.cutout * min(height, width) / 2
    rows, columns = (
        slice(*np.rint(np.clip([centre * side - half, centre * side + half], 0, side)).astype(int))
        for centre, side in ((drawn.cutout_row, height), (drawn.cutout_column, width))
    )
    pixels[rows, columns] = pixels.mean(axis=(0, 1))
    return np.clip(pixels, 0, 255)


EVERYTHING = Augmenter(
    **PUBLISHED_CODE,
    vertical_flip=True,
    shear_range=30,
    zoom_range=0.4,
    brightness_range=0.1,
    contrast_range=0.3,
    saturation_range=0.5,
    hue_range=0.1,
    channel_shift_range=30,
    cutout=0.3,
)


@pytest.mark.parametrize("square", [True, False])
@pytest.mark.parametrize(("fill_mode", "mode"), FILLED)
def test_everything_at_once_is_what_it_is_step_by_step(texture, fill_mode, mode, square):
    image = texture[:, :36] if square else texture
    augmenter = clone(EVERYTHING).set_params(transpose=square, fill_mode=fill_mode)
    rng = np.random.default_rng(1)
    for drawn in [augmenter._draw(rng) for _ in range(20)]:
        expected = view_slowly(image, drawn, mode)
        assert np.abs(drawn.apply(image, fill_mode) - expected).max() < 0.55, drawn


def test_views_are_drawn_uniformly_from_their_ranges():
    augmenter = Augmenter(
        **PUBLISHED_CODE,
        shear_range=15,
        zoom_range=(0.8, 1.4),
        brightness_range=0.1,
        saturation_range=0.5,
        hue_range=0.05,
        channel_shift_range=20,
        cutout=0.4,
    )
    rng = np.random.default_rng(0)
    draws = [asdict(augmenter._draw(rng)) for _ in range(2000)]
    expected = {
        "rotation": (-20, 20),
        "row_shift": (-0.2, 0.2),
        "column_shift": (-0.2, 0.2),
        "shear": (-15, 15),
        "zoom": (0.8, 1.4),
        "saturation": (0.5, 1.5),
        "contrast": (1, 1),
        "brightness": (-0.1, 0.1),
        "hue": (-0.05, 0.05),
        "channel_shift": (-20 / 255, 20 / 255),
        "cutout": (0.4, 0.4),
        "cutout_row": (0, 1),
        "cutout_column": (0, 1),
    }
    for name, (low, high) in expected.items():
        values = np.array([draw[name] for draw in draws])
        assert low <= values.min() <= values.max() <= high
        assert np.allclose(
            np.quantile(values, [0.0, 0.25, 0.5, 0.75, 1.0]), np.linspace(low, high, 5), atol=0.05 * (high - low)
        )
    assert 900 < sum(draw["symmetry"] for draw in draws) < 1100
    numbers = np.array([[draw["rotation"], draw["row_shift"], draw["column_shift"]] for draw in draws])
    assert np.abs(np.corrcoef(numbers.T) - np.eye(3)).max() < 0.1


def test_views_need_no_keras_and_so_are_the_same_on_every_backend():
    code = (
        "import sys, numpy as np; from melanoma_tl import Augmenter; "
        "images = np.zeros((2, 32, 32, 3), 'uint8') + np.arange(32, dtype='uint8')[:, None]; "
        "Augmenter(rotation_range=20, saturation_range=0.5, views=3).fixed_views(images, [1, 2], [1, 2]); "
        "sys.exit(','.join({'keras', 'tensorflow'} & set(sys.modules)) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_views_stored_by_an_earlier_way_of_drawing_are_not_taken(monkeypatch):
    keys = []
    for way in (3, 4):
        monkeypatch.setattr("melanoma_tl.augmentation._DRAWING", way)
        keys.append(Augmenter(**PUBLISHED_CODE, views=3).view_key(1))
    assert keys[0] != keys[1]
    monkeypatch.undo()
    assert Augmenter(**PUBLISHED_CODE, views=3).view_key(1) == keys[1], "4 is the present way"


def test_the_preview_takes_what_the_classifier_takes(lesions, dataset):
    for images in (lesions, pd.Series(dataset.paths).iloc[1:], pd.DataFrame({"path": dataset.paths})):
        assert len(Augmenter(horizontal_flip=True).preview(images, n=2, views=1, size=(32, 32)).axes) == 2 * 2
