"""Photographs in DICOM files, written by pydicom."""

import io
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from conftest import draw_images
from PIL import Image

from melanoma_tl import ISBIDataset
from melanoma_tl.errors import ImageError
from melanoma_tl.images.decoding import ImageFile, decode, load_image

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.pixels.processing import convert_color_space  # noqa: E402
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid  # noqa: E402

PHOTO = draw_images(2, side=48)[0][:40]
RAMP = np.linspace(0, 1, 40 * 48).reshape(40, 48)


def write(pixels, photometric, *, bits=8, syntax=ExplicitVRLittleEndian, data=None, **tags):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.4"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
    for name, value in tags.items():
        setattr(dataset, name, value)
    if data is None:
        dataset.PixelData = pixels.tobytes()
    else:
        dataset.PixelData = encapsulate([data])
        dataset["PixelData"].is_undefined_length = True
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def narrow(bits):
    return (RAMP * (2**bits - 1)).round().astype("uint16")


def jpeg():
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "JPEG", quality=95)
    return file.getvalue()


JPEG = Image.open(io.BytesIO(jpeg()))
GREY8 = (RAMP * 255).round().astype("uint8")
WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}


@pytest.mark.parametrize(
    ("content", "wanted", "within"),
    [
        (write(PHOTO, "RGB"), PHOTO, 0),
        (write(PHOTO.transpose(2, 0, 1).copy().reshape(40, 48, 3), "RGB", PlanarConfiguration=1), PHOTO, 0),
        (write(convert_color_space(PHOTO, "RGB", "YBR_FULL"), "YBR_FULL"), PHOTO, 3),
        (write(GREY8, "MONOCHROME2"), GREY8, 0),
        (write(255 - GREY8, "MONOCHROME1"), GREY8, 0),
        (write(narrow(12), "MONOCHROME2", bits=12), RAMP * 255, 1),
        (write(4095 - narrow(12), "MONOCHROME1", bits=12), RAMP * 255, 1),
        (write(narrow(16), "MONOCHROME2", bits=16), RAMP * 255, 1),
        (write(np.stack([narrow(12)] * 3, -1), "RGB", bits=12), RAMP * 255, 1),
        (write(narrow(4).astype("uint8"), "MONOCHROME2", bits=4), RAMP * 255, 9),
        (write(narrow(12), "MONOCHROME2", bits=12, **WINDOW), RAMP * 255, 2),
        (
            write(PHOTO, "YBR_FULL_422", syntax=JPEGBaseline8Bit, data=jpeg()),
            np.asarray(Image.open(io.BytesIO(jpeg()))),
            3,
        ),
    ],
    ids=["RGB", "planar", "YBR", "grey", "inverse", "12", "12 inverse", "16", "RGB 12", "4", "window", "JPEG"],
)
def test_pictures_are_read_at_their_declared_range(tmp_path, content, wanted, within):
    wanted = wanted if wanted.ndim == 3 else np.stack([wanted] * 3, -1)
    (tmp_path / "x.dcm").write_bytes(content)
    (tmp_path / "1.2.840").write_bytes(content)
    for source in (tmp_path / "x.dcm", tmp_path / "1.2.840", content, ImageFile("x", lambda: content)):
        pixels = load_image(source)
        assert pixels.shape == (40, 48, 3)
        assert np.abs(pixels - wanted.astype(float)).max() <= within
    assert load_image(content, (20, 24)).shape == (20, 24, 3)


def without_prefix(content):
    return content[132:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (write(narrow(12), "MONOCHROME2", bits=16), "either it holds data of 12 bits in a file of 16"),
        (write(narrow(8), "MONOCHROME2", bits=12), "either it holds data of 8 bits in a file of 12"),
        (write(GREY8, "MONOCHROME2", PixelRepresentation=1), "measured values"),
        (write(narrow(12), "MONOCHROME2", bits=12, RescaleSlope=1, RescaleIntercept=-1024), "measured values"),
        (write(PHOTO, "RGB", NumberOfFrames=2), "holds 2 frames"),
        (write(PHOTO[:4], "RGB"), "48x4 pixels"),
        (write(PHOTO, "RGB")[:-2000], "damaged or truncated"),
        (write(PHOTO, "YBR_FULL_422", syntax=JPEGBaseline8Bit, data=jpeg()[:300]), "damaged or truncated"),
    ],
)
def test_what_is_no_single_picture_of_known_range_is_refused(content, reason):
    with pytest.raises(ImageError, match=reason):
        decode(content)


def test_a_file_without_picture_or_prefix(tmp_path):
    report = Dataset()
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    report.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    with pytest.raises(ImageError, match="DICOM without a picture"):
        decode(tmp_path / "report.dcm")
    (tmp_path / "old.dcm").write_bytes(without_prefix(write(PHOTO, "RGB")))
    assert np.array_equal(load_image(tmp_path / "old.dcm"), PHOTO)
    (tmp_path / "junk.dcm").write_bytes(b"not DICOM at all, by no means" * 20)
    with pytest.raises(ImageError):
        decode(tmp_path / "junk.dcm")


def test_a_photograph_that_is_called_dicom_is_read_as_what_it_is(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "x.dcm", format="PNG")
    assert np.array_equal(load_image(tmp_path / "x.dcm"), PHOTO)


def test_a_picture_over_the_pixel_limit_is_not_decoded(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match="Pillow's limit of 1,000"):
        decode(write(PHOTO, "RGB"))


def test_class_folders_hold_dicom_files(tmp_path, monkeypatch):
    for word, pixels in (("benign", PHOTO), ("melanoma", PHOTO[::-1].copy())):
        (tmp_path / word).mkdir()
        content = write(pixels, "RGB")
        (tmp_path / word / f"{word}.dcm").write_bytes(content)
        (tmp_path / word / f"1.2.{len(word)}").write_bytes(content)
    dataset = ISBIDataset.from_folder(tmp_path)
    assert dataset.class_counts == {"benign": 2, "melanoma": 2}
    assert dataset.verify(verbose=0).counts["duplicate"] == 2
    monkeypatch.setitem(sys.modules, "pydicom", None)
    Image.fromarray(PHOTO).save(tmp_path / "benign" / "a.png")
    left = ISBIDataset.from_folder(tmp_path, on_error="skip")
    assert left.image_ids.tolist() == ["a"]
    assert {row.reason for row in left.skipped} == {
        "DICOM; reading it needs the package pydicom: pip install 'melanoma_tl[dicom]'"
    }


def test_bits_that_do_not_end_at_the_highest_stored_are_refused():
    pixels = (np.random.default_rng(0).random((16, 16)) * 4095).astype(np.uint16)
    with pytest.raises(ImageError, match="highest bit is not the last one stored"):
        load_image(write(pixels << 4, "MONOCHROME2", bits=12, HighBit=15))


@pytest.mark.slow
def test_a_deflated_file_that_unpacks_to_too_much_is_refused_before_it_does(tmp_path):
    good = write(PHOTO, "RGB", syntax=DeflatedExplicitVRLittleEndian)
    assert np.array_equal(load_image(good), PHOTO)
    path = tmp_path / "bomb.dcm"
    start = good[: 132 + 12 + int.from_bytes(good[140:144], "little")]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    with path.open("wb") as file:
        file.write(start)
        for _ in range(1024):
            file.write(packer.compress(bytes(2**20)))
        file.write(packer.flush())
    tracemalloc.start()
    with pytest.raises(ImageError, match="bytes, more than an image of Pillow's limit"):
        load_image(path)
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()
    without_length = good[:132] + good[144:]
    with pytest.raises(ImageError, match="without the length of its meta information"):
        load_image(ImageFile("a.dcm", lambda: without_length))
