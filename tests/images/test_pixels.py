"""Whatever a file holds, the library sees what viewers show; Pillow and NumPy say what that is."""

import io
import os
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import draw_images
from PIL import Image, ImageCms, ImageOps

from melanoma_tl import ISBIDataset
from melanoma_tl.errors import ImageError, ParameterError
from melanoma_tl.images.decoding import FORMATS, RECIPE, ImageFile, decode, load_image, read_content
from melanoma_tl.images.fingerprints import fingerprint_images
from melanoma_tl.images.prepared import PreparedStore

PHOTO = Image.fromarray(draw_images(2, side=48)[0]).resize((64, 48))
RAMP = np.linspace(0, 1, 48 * 64).reshape(48, 64)


def content(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tagged(orientation, kind="JPEG", image=PHOTO):
    exif = Image.Exif()
    exif[274] = orientation
    return content(image, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))


def png(values, colour_type, *chunks):
    """Write a PNG of 16 bits a channel, which Pillow writes of grey alone."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour_type, 0, 0, 0)
    body = b"".join(chunk(*one) for one in ((b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")))
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(values, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def by_every_route(data, folder, size=None):
    """Give the pixels of a file by path, from memory, as bytes, and as a PIL image, opened and decoded."""
    path = folder / "image"
    path.write_bytes(data)
    decoded = Image.open(io.BytesIO(data))
    decoded.load()
    sources = [path, str(path), data, ImageFile("x", lambda: data), Image.open(io.BytesIO(data)), decoded]
    return [load_image(source, size) for source in sources]


def reason(source):
    with pytest.raises(ImageError) as caught:
        decode(source)
    return caught.value.reason


# -- orientation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_followed_by_every_route(tmp_path, kind, orientation):
    data = tagged(orientation, kind)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert shown.shape[:2] == ((64, 48) if orientation >= 5 else (48, 64))
    for pixels in by_every_route(data, tmp_path):
        assert np.array_equal(pixels, shown)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_is_decoded_smaller_upright_too(orientation):
    ramp = np.linspace(0, 255, 960 * 640).reshape(640, 960, 1).repeat(3, 2).astype("uint8")
    data = tagged(orientation, image=Image.fromarray(ramp))
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    reduced = decode(data, at_least=(96, 60) if orientation >= 5 else (60, 96))
    assert reduced.size == (shown.width // 8, shown.height // 8)
    wanted = np.asarray(shown.resize((40, 30), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(load_image(data, (30, 40)) - wanted).max() <= 2


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_is_nonsense_turns_nothing(value):
    data = tagged(value)
    assert np.array_equal(load_image(data), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's
def test_damaged_exif_data_turn_nothing():
    data = tagged(6)
    start = data.index(b"Exif\0\0") + 6
    data = data[:start] + b"II*\0\xff\xff\xff\x7f" + data[start + 8 :]
    assert load_image(data).shape == (48, 64, 3)


def test_a_picture_that_was_turned_and_has_lost_its_tag_stays_as_it_is():
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(tagged(6, "PNG"))))
    assert np.array_equal(load_image(upright), np.asarray(upright))


def test_a_dataset_sees_upright_images_wherever_it_looks(tmp_path):
    for orientation in (1, 6):
        (tmp_path / f"{orientation}.jpg").write_bytes(tagged(orientation))
    dataset = ISBIDataset(["1", "6"], [tmp_path / "1.jpg", tmp_path / "6.jpg"], [0, 1])
    wanted = load_image(tmp_path / "6.jpg", (20, 30))
    assert np.array_equal(dataset.images((20, 30), verbose=0)[1], wanted)
    resized = dataset.resize_to(tmp_path / "small", size=(20, 30), verbose=0)
    assert np.array_equal(load_image(resized.paths[1]), wanted)
    problems = dataset.verify(verbose=0).problems
    details = problems[problems["problem"] == "odd size"].set_index("image_id")["detail"]
    assert (details["1"][:5], details["6"][:5]) == ("64x48", "48x64")


def test_what_is_kept_on_disk_is_named_by_how_it_was_decoded():
    assert PreparedStore((20, 30)).recipe == f"20x30_{RECIPE}"
    assert RECIPE.startswith("shown_")


# -- transparency and colour -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_what_is_transparent_lies_on_white(tmp_path, kind):
    layer = PHOTO.convert("RGBA")
    layer.putalpha(Image.fromarray((RAMP * 255).astype("uint8")))
    data = content(layer, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    alpha = np.asarray(layer)[..., 3:] / 255
    wanted = np.asarray(PHOTO) * alpha + 255 * (1 - alpha)
    for pixels in by_every_route(data, tmp_path):
        assert np.abs(pixels - wanted).max() <= 1


def test_one_transparent_colour_lies_on_white():
    grey = Image.fromarray((RAMP * 255).astype("uint8"))
    for image, transparency in ((grey, 0), (grey.convert("P"), 0), (PHOTO.convert("P"), bytes(256))):
        pixels = load_image(content(image, "PNG", transparency=transparency))
        assert (pixels[np.asarray(image) == 0] == 255).all()
    assert (pixels == 255).all(), "every entry of the last palette is transparent"


def test_one_transparent_colour_of_16_bits_takes_none_of_8_with_it():
    pixels = load_image(png(colour(GREY16), 2, (b"tRNS", struct.pack(">HHH", 16, 16, 16))))
    assert np.abs(pixels[..., 0] - RAMP * 255).max() <= 1


def test_an_opaque_layer_changes_nothing():
    for mode in ("RGBA", "LA"):
        image = PHOTO.convert(mode)
        assert np.array_equal(load_image(content(image, "PNG")), np.asarray(image.convert("RGB")))


def test_a_gif_of_one_picture_is_an_image():
    palette = PHOTO.convert("P")
    assert np.array_equal(load_image(content(palette, "GIF")), np.asarray(palette.convert("RGB")))


def test_cmyk_is_converted_as_pillow_does():
    data = content(PHOTO.convert("CMYK"), "JPEG", quality=100)
    assert np.abs(load_image(data).astype(int) - np.asarray(PHOTO)).mean() < 8


def test_lab_has_its_colours():
    profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
    lab = ImageCms.profileToProfile(PHOTO, *profiles, outputMode="LAB")
    assert np.abs(load_image(content(lab, "TIFF")).astype(int) - np.asarray(PHOTO)).mean() < 3


# -- range -------------------------------------------------------------------------------------------------------------


def colour(values, channels=3):
    return np.stack([values] * channels, axis=-1)


GREY16 = (RAMP * 65535).astype("uint16")

FULL = {
    "PNG grey": png(GREY16, 0),
    "PNG colour": png(colour(GREY16), 2),
    "PNG colour with alpha": png(np.dstack([colour(GREY16), np.full_like(GREY16, 65535)]), 6),
    "PNG grey with alpha": png(np.dstack([GREY16, np.full_like(GREY16, 65535)]), 4),
    "TIFF grey": tiff(GREY16),
    "TIFF colour": tiff(colour(GREY16), photometric="rgb"),
    "TIFF colour, packed": tiff(colour(GREY16), photometric="rgb", compression="zlib"),
    "TIFF grey, big-endian": tiff(GREY16, byteorder=">"),
    "TIFF grey, white is zero": tiff(65535 - GREY16, photometric="miniswhite"),
    "TIFF 32 bits": tiff((RAMP * (2**32 - 1)).astype("uint32")),
    "TIFF 12 of 16 bits, declared": tiff((RAMP * 4095).astype("uint16"), extratags=[(281, "H", 1, 4095, True)]),
    "TIFF 12 of 16 bits, nearly reached": tiff((RAMP * 4000).astype("uint16"), extratags=[(281, "H", 1, 4000, True)]),
    "TIFF 8 of 16 bits, declared": tiff((RAMP * 255).astype("uint16"), extratags=[(281, "H", 1, 255, True)]),
    "TIFF 8 of 32 bits, declared": tiff((RAMP * 255).astype("uint32"), extratags=[(341, "I", 1, 255, True)]),
    "TIFF signed, declared": tiff((RAMP * 4095).astype("int16"), extratags=[(341, "h", 1, 4095, True)]),
    "PGM of 12 bits": b"P5 64 48 4095\n" + (RAMP * 4095).astype(">u2").tobytes(),
    "JPEG 2000 grey": content(Image.fromarray(GREY16), "JPEG2000"),
}


@pytest.mark.parametrize("name", FULL)
def test_the_declared_range_is_the_range(name, tmp_path):
    top = 250 if "nearly" in name else 255
    for pixels in by_every_route(FULL[name], tmp_path):
        assert np.abs(pixels[..., 0] - RAMP * top).max() <= 2
        assert (pixels == pixels[..., :1]).all()


def narrow(bits):
    return (RAMP * (2**bits - 1)).astype("uint16")


NARROW = {
    "PNG grey of 12 bits": png(narrow(12), 0),
    "PNG grey of 8 bits": png(narrow(8), 0),
    "PNG grey of 15 bits": png(narrow(15), 0),
    "PNG grey that says 12 and is not": png(narrow(12), 0, (b"sBIT", b"\x0c")),
    "PNG colour of 12 bits": png(colour(narrow(12)), 2),
    "PNG colour with alpha of 12 bits": png(np.dstack([colour(narrow(12)), np.full_like(GREY16, 65535)]), 6),
    "PNG grey of 10 bits with alpha": png(np.dstack([narrow(10), np.full_like(GREY16, 65535)]), 4),
    "TIFF grey of 12 bits": tiff(narrow(12)),
    "TIFF grey of 14 bits": tiff(narrow(14)),
    "TIFF colour of 12 bits": tiff(colour(narrow(12)), photometric="rgb"),
    "TIFF colour of 12 bits, packed": tiff(colour(narrow(12)), photometric="rgb", compression="zlib"),
    "TIFF of 8 in 32 bits": tiff(narrow(8).astype("uint32")),
    "TIFF of 16 in 32 bits": tiff(GREY16.astype("uint32")),
    "JPEG 2000 of 12 bits": content(Image.fromarray(narrow(12)), "JPEG2000"),
}


@pytest.mark.parametrize("name", NARROW)
def test_a_range_that_is_not_used_is_no_black_image(name):
    """`>> 8` of 12 bits has a mean of 8 out of 255."""
    why = reason(NARROW[name])
    assert "bits" in why
    assert "save it as 8-bit RGB" in why


def test_the_message_says_what_is_wrong_and_what_to_do():
    assert reason(NARROW["PNG grey of 12 bits"]) == (
        "its largest value is 4,095 of 65,535: either it holds data of 12 bits in a file of 16, or it is very dark, "
        "and the file does not say which; save it as 8-bit RGB, as bright as it should look"
    )
    declared = tiff((RAMP * 4096).astype("uint16"), extratags=[(281, "H", 1, 255, True)])
    assert reason(declared) == "its largest value is 4,096, more than the 8 bits that the file declares"


def test_a_black_image_is_black_at_any_depth():
    for data in (png(np.zeros_like(GREY16), 0), tiff(np.zeros_like(GREY16))):
        assert not load_image(data).any()
    # Of colours Pillow keeps the upper bytes alone: these may be black, or hold 8-bit data.
    assert "it is black, or holds 8-bit data" in reason(png(colour(np.zeros_like(GREY16)), 2))


@pytest.mark.parametrize("values", [RAMP.astype("float32"), (RAMP * 255).astype("int32"), (RAMP * 255).astype("int16")])
def test_numbers_without_a_range_are_refused(values):
    assert "no known range" in reason(tiff(values))


def test_a_pil_image_of_32_bits_has_no_range():
    assert "no known range" in reason(Image.fromarray((RAMP * 255).astype("int32")))
    assert "data of 12 bits" in reason(Image.fromarray(narrow(12)))
    assert np.abs(load_image(Image.fromarray(GREY16))[..., 0] - RAMP * 255).max() <= 1


# -- what is no image --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [None, float("nan"), pd.NA, 5, {"a": 1}, object(), ["a.jpg"], io.BytesIO(b"x")])
def test_what_is_no_image_is_said_to_be_none(thing):
    assert "is no image; expected a path" in reason(thing)


@pytest.mark.parametrize("name", ["a\0b.jpg", "a\ud800b.jpg"])
def test_names_that_no_file_can_have(name):
    assert "no file can have such a name" in reason(name)
    with pytest.raises(ImageError, match="such a name"):
        load_image(name, (20, 20))


def test_names_that_are_no_utf8_are_read(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.png"
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(content(PHOTO, "PNG"))
    name = os.fsdecode(path)
    assert np.array_equal(load_image(name), np.asarray(PHOTO))
    (found, bad) = fingerprint_images([name, name + "\0"])
    assert len(found.content) == 32
    assert isinstance(bad, ImageError)
    for source in (name + "x", name + "\0"):
        with pytest.raises(ImageError) as caught:
            decode(source)
        str(caught.value).encode()  # can be printed


def test_what_files_can_be_instead_of_images(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "none")
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "folder") == "is a folder"
    assert reason(tmp_path / "loop.jpg") == "is a link that leads back to itself"
    assert reason(tmp_path / "broken.jpg") == reason(tmp_path / "file" / "x.jpg") == reason("") == "no such file"
    assert "longer than" in reason("x." * 150)
    assert "a pipe" in reason(tmp_path / "pipe.jpg"), "opening it would wait for ever"
    assert "a device" in reason("/dev/zero")
    assert next(iter(fingerprint_images([tmp_path / "loop.jpg"]))).reason == "is a link that leads back to itself"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "empty"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n", "PostScript"),
        (b"%PDF-1.7", "PDF"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"PK\x03\x04" + bytes(40), "ZIP"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "pillow_heif"),
        (b"hello", r"not an image in a format that is read \(JPEG"),
    ],
)
def test_other_files_are_named(tmp_path, data, what):
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(ImageError, match=what):
        decode(tmp_path / "x.jpg")


def test_postscript_called_jpg_starts_no_program(tmp_path, monkeypatch):
    """Pillow's decoder of EPS runs Ghostscript."""
    started = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *args, **options: started.append(1))
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "x.jpg").write_bytes(data)
    assert "PostScript" in reason(tmp_path / "x.jpg")
    assert "PostScript" in reason(ImageFile("x.jpg", lambda: data))
    assert "the format EPS is not supported" in reason(Image.open(io.BytesIO(data)))
    assert not started
    assert "EPS" not in FORMATS


def test_formats_of_pillow_that_are_not_named_are_not_read():
    for kind in ("TGA", "PCX", "ICO", "SGI"):
        data = content(PHOTO, kind)
        with pytest.raises(ImageError):
            decode(data)
    assert load_image(PHOTO.copy()).shape == (48, 64, 3)


def test_the_raw_data_of_a_camera_is_not_its_preview(tmp_path):
    PHOTO.save(tmp_path / "x.NEF", format="TIFF")
    assert "camera" in reason(tmp_path / "x.NEF")


def test_every_named_format_is_read(tmp_path):
    kinds = {"BMP": {}, "GIF": {}, "PNG": {}, "TIFF": {}, "WEBP": {}, "JPEG": {}, "JPEG2000": {}, "PPM": {}}
    kinds |= {"AVIF": {}} if "AVIF" in Image.SAVE else {}
    for kind in kinds:
        assert np.abs(load_image(content(PHOTO, kind)).astype(int) - np.asarray(PHOTO)).mean() < 40, kind


def test_pages_and_frames_are_counted():
    other = ImageOps.mirror(PHOTO)
    assert reason(content(PHOTO, "TIFF", save_all=True, append_images=[other])).startswith("holds 2 pages")
    for kind in ("GIF", "PNG", "WEBP"):
        animated = content(PHOTO, kind, save_all=True, append_images=[other], duration=100)
        assert reason(animated).startswith("animated: 2 frames")
        assert reason(Image.open(io.BytesIO(animated))).startswith("animated: 2 frames")


def test_an_image_file_whose_reader_breaks(tmp_path):
    def breaks():
        raise KeyError("no such member")

    assert "cannot be read ('no such member')" in reason(ImageFile("archive", breaks))
    assert "cannot be read" in reason(ImageFile("nothing", lambda: "text"))


def test_pil_images_that_cannot_be_decoded():
    data = content(PHOTO, "PNG")
    assert "truncated" in reason(Image.open(io.BytesIO(data[: len(data) // 2])))
    jpeg = content(PHOTO, "JPEG")
    assert "truncated" in reason(Image.open(io.BytesIO(jpeg[: len(jpeg) // 2])))
    closed = Image.open(io.BytesIO(data))
    closed.close()
    assert "closed" in reason(closed)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF"])
def test_one_lazy_pil_image_many_times_in_threads(kind):
    """Without a lock, two threads read from one file in turns."""
    large = PHOTO.resize((512, 384))
    data = content(large, kind)
    wanted = load_image(data)
    for _ in range(5):
        image, barrier = Image.open(io.BytesIO(data)), threading.Barrier(8)

        def read(_, image=image, barrier=barrier):
            barrier.wait(60)
            return load_image(image)

        with ThreadPoolExecutor(8) as pool:
            for pixels in pool.map(read, range(8)):
                assert np.array_equal(pixels, wanted)


def test_a_users_pil_image_is_left_as_it_was(tmp_path):
    PHOTO.save(tmp_path / "x.jpg")
    image = Image.open(tmp_path / "x.jpg")
    load_image(image, (8, 8))
    assert image.size == (64, 48)
    assert np.array_equal(np.asarray(image), load_image(Path(tmp_path / "x.jpg")))


def test_the_content_of_a_file_is_read_or_an_image_error(tmp_path):
    (tmp_path / "x").write_bytes(b"content")
    for source in (tmp_path / "x", str(tmp_path / "x"), b"content", ImageFile("x", lambda: b"content")):
        assert read_content(source) == b"content"
    for source in (tmp_path, tmp_path / "none", "a\0b", PHOTO, None):
        with pytest.raises(ImageError):
            read_content(source)


def test_colours_of_16_bits_that_hold_fewer_are_refused(tmp_path):
    dark = np.random.default_rng(0).integers(0, 4096, (48, 48, 3)).astype(">u2")
    (tmp_path / "a.ppm").write_bytes(b"P6 48 48 65535\n" + dark.tobytes())
    (tmp_path / "b.ppm").write_bytes(b"P6 48 48 65535\n" + (dark >> 4).astype(">u2").tobytes())
    for name in ("a.ppm", "b.ppm"):
        with pytest.raises(ImageError, match="save it as 8-bit RGB"):
            load_image(tmp_path / name)
    (tmp_path / "c.ppm").write_bytes(b"P6 48 48 4095\n" + dark.tobytes())
    assert np.abs(load_image(tmp_path / "c.ppm") - dark / 4095 * 255).max() <= 1


@pytest.mark.parametrize("spoiled", ["one hot pixel", "two white rows"])
def test_a_few_bright_values_do_not_show_the_range(tmp_path, spoiled):
    values = (np.random.default_rng(0).random((200, 200)) * 4095).astype(np.uint16)
    values[: 1 if spoiled == "one hot pixel" else 2, : 1 if spoiled == "one hot pixel" else None] = 65535
    Image.fromarray(values).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="either it holds data of 12 bits in a file of 16"):
        load_image(tmp_path / "a.png")


@pytest.mark.parametrize("size", [(0, 5), (5,), 5, ("a", "b"), (-1, 3), (1.5, 3), (10**6, 10**6)])
def test_sizes_that_are_none(size):
    with pytest.raises(ParameterError, match="size must be"):
        load_image(np.zeros((4, 4, 3), "uint8"), size)


def test_a_hot_pixel_does_not_show_the_range_of_colours(tmp_path):
    values = (np.random.default_rng(0).random((200, 200, 3)) * 4095).astype(np.uint16)
    values[0, 0] = 65535
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    with pytest.raises(ImageError, match="99 % of its values are at most about"):
        load_image(tmp_path / "a.tif")
