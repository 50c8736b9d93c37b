"""Only formats that are named are decoded, wherever an image comes in, whatever its name says, and no code is run."""

import io
import pickle
import sys

import h5py
import numpy as np
import pytest
from conftest import draw_images
from PIL import Image

from melanoma_tl import ISBIDataset
from melanoma_tl.errors import ImageError
from melanoma_tl.images.decoding import FORMATS, IMAGE_SUFFIXES, ImageFile, decode, load_image, open_image
from melanoma_tl.images.fingerprints import fingerprint_images
from melanoma_tl.images.prepared import PreparedStore

PHOTO = Image.fromarray(draw_images(2, side=48)[0])

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n(/tmp/x) (w) file\nshowpage\n%%EOF\n"


class _Runs:
    def __reduce__(self):
        return print, ("code of a pickle",)


def written(kind, image=PHOTO, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def hdf5_that_points_elsewhere():
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened["image"] = h5py.ExternalLink("/etc/passwd", "x")
    return file.getvalue()


DANGEROUS = {
    "PostScript": POSTSCRIPT,
    "PostScript with a preview": b"\xc5\xd0\xd3\xc6" + (30).to_bytes(4, "little") + bytes(22) + POSTSCRIPT,
    "PostScript after white space": b"\n\n" + POSTSCRIPT,
    "PDF": b"%PDF-1.7\n1 0 obj\n<< /OpenAction << /S /JavaScript /JS (app.alert(1)) >> >>\nendobj\n",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "entities": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>',
    "web page": b"<html><script>alert(1)</script></html>",
    "pickle": pickle.dumps(_Runs()),
    "script": b"#!/bin/sh\ntouch /tmp/run\n",
    "program": b"\x7fELF" + bytes(100),
    "program of Windows": b"MZ" + bytes(100),
    "ZIP": b"PK\x03\x04" + bytes(40),
    "gzip": b"\x1f\x8b\x08" + bytes(20),
    "HDF5": hdf5_that_points_elsewhere(),
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(60),
    "EMF": b"\x01\0\0\0" + bytes(36) + b" EMF" + bytes(60),
    "FITS": b"SIMPLE  =                    T" + b" " * 2850,
    "Photoshop": b"8BPS\0\1" + bytes(40),
    "ImageMagick's own language": b"push graphic-context\nimage over 0,0 0,0 'msl:/etc/passwd'\npop graphic-context\n",
    **{kind: written(kind) for kind in ("TGA", "PCX", "ICO", "SGI", "ICNS", "DDS")},
    **{kind: written(kind, PHOTO.convert("1")) for kind in ("XBM", "MSP")},
}


@pytest.fixture(scope="module")
def started():
    """Note each program that is started, each module of Pillow that would, and each pickle that is read."""
    events, watched = (
        [],
        ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pickle.find_class"),
    )

    def note(event, arguments):
        if watching and event in watched:
            events.append((event, arguments))

    watching = [True]
    sys.addaudithook(note)  # which cannot be taken away again
    yield events
    watching.clear()


def reasons(source):
    """Open an image in every way."""
    for function in (decode, load_image, lambda it: load_image(it, (32, 32)), _look):
        with pytest.raises(ImageError) as caught:
            function(source)
        yield caught.value.reason


def _look(source):
    with open_image(source) as image:
        return image.size


@pytest.mark.parametrize("kind", DANGEROUS)
def test_a_dangerous_file_under_every_harmless_name(tmp_path, kind, started):
    content = DANGEROUS[kind]
    paths = [tmp_path / f"x{suffix}" for suffix in (*IMAGE_SUFFIXES, "", ".JPG", ".eps", ".txt")]
    for path in paths:
        path.write_bytes(content)
        assert len(list(reasons(path))) == 4
    assert len(list(reasons(content))) == 4
    assert len(list(reasons(ImageFile("bucket/x.jpg", lambda: content)))) == 4
    with h5py.File(tmp_path / "images.hdf5", "w") as file:
        file["x"] = np.frombuffer(content, np.uint8)
        file["y"] = np.void(content)
    for member in ("x", "y"):
        assert len(list(reasons(f"{tmp_path}/images.hdf5::{member}"))) == 4
    assert started == []


def test_no_way_into_the_library_decodes_them(tmp_path, monkeypatch, started):
    monkeypatch.setenv("MELANOMA_TL_CACHE", str(tmp_path / "cache"))
    for number, content in enumerate(DANGEROUS.values()):
        (tmp_path / "data" / "benign").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "benign" / f"{number}.jpg").write_bytes(content)
    (tmp_path / "data" / "melanoma").mkdir()
    PHOTO.save(tmp_path / "data" / "melanoma" / "good.png")
    dataset = ISBIDataset.from_folder(tmp_path / "data")
    paths = dataset.paths[dataset.labels == 0].tolist()
    assert len(paths) == len(DANGEROUS)
    assert dataset.verify(verbose=0).remove_from(dataset).image_ids.tolist() == ["good"]
    small = dataset.resize_to(tmp_path / "small", size=(16, 16), on_error="skip", verbose=0)
    assert small.image_ids.tolist() == ["good"]
    assert all(isinstance(found, ImageError) for found in fingerprint_images(paths))
    assert all(isinstance(found, ImageError) for found in PreparedStore((32, 32)).prepare(paths))
    assert started == []


@pytest.mark.parametrize("kind", ["PostScript", "TGA", "ICO", "SGI", "PCX"])
def test_images_that_pillow_has_opened_already(kind, started):
    image = Image.open(io.BytesIO(DANGEROUS[kind]))
    assert image.format not in FORMATS
    with pytest.raises(ImageError, match="is not supported; convert"):
        decode(image)
    assert started == []


@pytest.mark.parametrize("kind", ["PostScript", "PDF", "TGA", "pickle"])
def test_what_a_dicom_file_wraps(kind, started):
    pytest.importorskip("pydicom")
    from test_dicom import JPEGBaseline8Bit, write

    content = DANGEROUS[kind]
    wrapped = write(np.asarray(PHOTO), "RGB", syntax=JPEGBaseline8Bit, data=content + bytes(len(content) % 2))
    assert len(list(reasons(wrapped))) == 4
    assert started == []


def test_an_image_in_another_hdf5_file_is_not_fetched(tmp_path):
    """An archive that was fetched must not reach what else is on this machine."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.frombuffer(written("PNG"), np.uint8)
    with h5py.File(tmp_path / "given.hdf5", "w") as file:
        file["link"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "x")
        file["soft"] = h5py.SoftLink("/link")
        layout = h5py.VirtualLayout((len(written("PNG")),), np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "x", shape=layout.shape)
        file.create_virtual_dataset("view", layout)
        (tmp_path / "raw.bin").write_bytes(written("PNG"))
        file.create_dataset("raw", layout.shape, np.uint8, external=[(str(tmp_path / "raw.bin"), 0, layout.shape[0])])
        file["own"] = np.frombuffer(written("PNG"), np.uint8)
    assert decode(f"{tmp_path}/given.hdf5::own").size == PHOTO.size
    for member in ("link", "soft", "view", "raw"):
        with pytest.raises(ImageError, match="lies in another file"):
            decode(f"{tmp_path}/given.hdf5::{member}")
