import threading
import time

import numpy as np
import pytest
from PIL import Image

from melanoma_tl.errors import DatasetError, ImageError
from melanoma_tl.images.decoding import ImageFile, decode, load_image
from melanoma_tl.images.image_lists import list_images
from melanoma_tl.images.parallel import batched, map_threaded, take

GREY = np.linspace(0, 255, 32 * 32).reshape(32, 32)


def save(folder, image, name="image.png", **options):
    path = folder / name
    image.save(path, **options)
    return path


@pytest.fixture
def photo(images):
    return Image.fromarray(images[0])


def test_a_png_comes_back_pixel_for_pixel(tmp_path, images, photo):
    assert np.array_equal(load_image(save(tmp_path, photo)), images[0])


def test_every_route_gives_the_same_pixels(tmp_path, images, photo):
    from_path = load_image(save(tmp_path, photo), (20, 24))
    assert from_path.shape == (20, 24, 3)
    assert np.array_equal(from_path, load_image(images[0], (20, 24)))
    assert np.array_equal(from_path, load_image(photo, (20, 24)))


def test_a_file_elsewhere_is_read_by_the_same_decoder(tmp_path, photo, bad_images):
    photo.save(tmp_path / "photo.jpg")
    there = ImageFile("photo", (tmp_path / "photo.jpg").read_bytes)
    assert (load_image(there, (20, 30)) == load_image(tmp_path / "photo.jpg", (20, 30))).all()
    for path in bad_images.iterdir():
        if path.is_file():
            with pytest.raises(ImageError) as here:
                decode(path)
            with pytest.raises(ImageError) as elsewhere:
                decode(ImageFile("bucket/image", path.read_bytes))
            assert (elsewhere.value.reason, elsewhere.value.source) == (here.value.reason, "bucket/image")
    with pytest.raises(ImageError, match="bucket/image: no such file"):
        decode(ImageFile("bucket/image", (tmp_path / "none.jpg").read_bytes))
    with pytest.raises(ImageError, match="bucket/folder: is a folder"):
        decode(ImageFile("bucket/folder", tmp_path.read_bytes))


def test_resizing_is_antialiased():
    stripes = np.tile(np.array([[0], [255]], "uint8").repeat(64, 1)[..., None].repeat(3, 2), (32, 1, 1))
    small = load_image(stripes, (16, 16))
    assert np.abs(small.astype(int) - 127).max() < 20, "a filter without support would alias to black or white"


def test_greyscale_palette_transparent_and_cmyk_become_rgb(tmp_path, photo):
    for mode, suffix in (("L", "png"), ("P", "png"), ("RGBA", "png"), ("CMYK", "jpg"), ("1", "png")):
        path = save(tmp_path, photo.convert(mode), f"{mode}.{suffix}")
        pixels = load_image(path)
        assert pixels.shape == (40, 40, 3)
        assert abs(float(pixels.mean()) - np.array(photo).mean()) < 25, mode


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    path = save(tmp_path, Image.fromarray((GREY * 257).astype("uint16")))
    assert np.abs(load_image(path)[..., 0] - GREY).max() <= 1


def test_an_image_with_a_preview_in_it_is_no_animation(tmp_path, photo):
    path = tmp_path / "camera.mpo"
    photo.save(path, format="MPO", save_all=True, append_images=[photo.resize((20, 20))])
    assert load_image(path).shape == (40, 40, 3)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.jpg", "no such file"),
        ("empty.jpg", "empty"),
        ("text.jpg", "not an image"),
        ("corrupt.png", "damaged or truncated"),
        ("truncated.jpg", "damaged or truncated"),
        ("animated.gif", "animated: 3 frames"),
        ("dot.png", "1x1 pixels"),
        ("float.tif", "floating-point"),
        ("folder.jpg", "is a folder"),
    ],
)
def test_bad_images_say_what_is_wrong(bad_images, name, reason):
    with pytest.raises(ImageError, match=reason) as caught:
        decode(bad_images / name)
    assert str(bad_images / name) in str(caught.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # Pillow's, before it refuses
@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("/9j/4AAQSkZJRgABAQ" * 4_000, r"text that looks like base64: pass base64\.b64decode\(X\)"),
        ("data:image/jpeg;base64,/9j/" + "A" * 66_000, r"a data URL: pass its bytes, base64\.b64decode\("),
        ("https://example.org/lesion.jpg", "an address: download it first, or pass its bytes"),
        ("archive/" * 600 + "lesion.jpg", "longer than a file's can be"),
    ],
)
def test_a_text_that_is_no_path_is_named_in_short(text, advice):
    with pytest.raises(ImageError, match=advice) as refused:
        decode(text)
    assert len(str(refused.value)) < 400
    assert refused.value.source == text
    with pytest.raises(DatasetError, match="X is one path"):
        list_images(text)


def test_pillows_pixel_limit_is_kept(tmp_path, photo, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match="Pillow's limit of 1,000"):
        decode(save(tmp_path, photo))


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((20, 20, 3), -0.5, "float32"), "scaling twice"),
        (np.array(0.5), "divided by 255"),
        (np.zeros((20, 20), "uint8"), r"shape \(height, width, 3\)"),
        (np.zeros((20, 20, 4), "uint8"), r"shape \(height, width, 3\).*image\[\.\.\., :3\]"),
    ],
)
def test_arrays_that_are_not_raw_rgb_are_refused(array, reason):
    with pytest.raises(ImageError, match=reason):
        decode(array)


def test_threads_keep_order_and_take_no_more_than_they_need():
    taken = []

    def endless():
        for number in range(10**6):
            taken.append(number)
            yield number

    results = map_threaded(lambda number: number * 2, endless(), window=8)
    assert [next(results) for _ in range(20)] == list(range(0, 40, 2))
    results.close()
    assert len(taken) < 40


def test_an_error_does_not_wait_for_a_disk_that_hangs(monkeypatch):
    monkeypatch.setattr("melanoma_tl.images.parallel._PATIENCE", 0.05)
    disk = threading.Event()
    begun = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        list(map_threaded(lambda number: disk.wait(20) if number else 1 / 0, range(100)))
    assert time.monotonic() - begun < 5
    disk.set()


def test_an_error_comes_after_what_was_begun_and_at_once():
    begun, ended = [], []

    def work(number):
        begun.append(number)
        time.sleep(0.1)
        ended.append(1 / number)

    start = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        list(map_threaded(work, range(1000)))
    assert len(ended) == len(begun) - 1 < 100
    assert time.monotonic() - start < 3, "what was not begun is not waited for"


@pytest.mark.parametrize(("side", "decoded"), [(640, 160), (380, 190), (190, 190)])
def test_a_large_jpeg_is_decoded_no_larger_than_needed(tmp_path, side, decoded):
    smooth = np.linspace(0, 255, side * side).reshape(side, side, 1).repeat(3, 2).astype("uint8")
    path = save(tmp_path, Image.fromarray(smooth), "photo.jpg", quality=95)
    assert decode(path, at_least=(96, 96)).size == (decoded, decoded)
    assert decode(path).size == (side, side)


def test_smaller_decoding_checks_the_size_of_the_file(tmp_path, images):
    path = save(tmp_path, Image.fromarray(images[0]).resize((120, 120)), "photo.jpg")
    assert load_image(path, (4, 4)).shape == (4, 4, 3), "15x15 pixels after decoding are no small file"


@pytest.mark.real_data
def test_real_images_decode_at_every_size(real_data):
    paths = sorted((real_data / "full_resolution").glob("*.jpg"))
    if not paths:
        pytest.skip("the folder full_resolution has no images, or is not there")
    for path in paths:
        pixels = load_image(path, (224, 224))
        assert pixels.shape == (224, 224, 3)
        with Image.open(path) as image:
            plain = np.array(image.convert("RGB").resize((224, 224), Image.Resampling.LANCZOS))
        assert np.abs(pixels.astype(int) - plain).max() <= 6, "as the docstring of REDUCING_GAP says"


def test_a_batch_may_be_larger_than_any_list():
    assert list(batched(iter("abc"), 10**30)) == [["a", "b", "c"]]
    assert list(map_threaded(str.upper, "abc", window=2**63)) == ["A", "B", "C"]
    rest = iter(range(5))
    assert (list(take(rest, 2)), next(rest)) == ([0, 1], 2)
