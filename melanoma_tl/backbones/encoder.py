"""`FrozenEncoder`: anybody's function from images to vectors, described and checked."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._parameters import COUNT, FLAG, NONE, PATH, SIZE, TEXT, check, checked, show
from melanoma_tl.backbones.encoder_files import (
    Encode,
    OpenedNetwork,
    open_onnx,
    open_saved_model,
    open_torch,
    open_torchscript,
)
from melanoma_tl.backbones.encoder_reading import Reading, Scaling
from melanoma_tl.errors import MelanomaTLError, ParameterError, UnknownNameError, in_one_line

LARGEST_DIFFERENCE = 1e-2
"""Relative root mean square difference up to which vectors count as those of the same encoder: above what another
processor or version rounds otherwise in half precision, below what another encoder gives."""

_LARGEST_OF_SPREAD = 0.25
"""The same for one feature, relative to its own standard deviation over the images."""

_MOST_THAT_DIFFER = 0.1
"""Share of the features that may differ by more: those of which three images happen to show nearly no spread."""

_ROUNDING = 4e-3
"""Relative precision of a number in bfloat16: a feature that varies by no more says nothing."""

_OVERSHOOT = 100
"""By how much the pixels of a resized image can be outside 0 to 255 at its edges, and more."""

_LARGEST_SCALED = 3.0
"""No pixel is larger that is divided by 255, or standardised as for networks of ImageNet."""

_N_REFERENCES = 3

_PARAMETERS = {
    "input_size": SIZE,
    "batch_size": COUNT,
    "kind": TEXT,
    "license": TEXT,
    "source": TEXT,
    "pretrained_on": TEXT,
    "may_redistribute": FLAG | NONE,
}

_FACTS = frozenset({"batch_size", "license", "source", "pretrained_on", "may_redistribute"})
"""What is stated of a network that is opened from a file or a module."""


class FrozenEncoder:
    """A network of any library that turns images into vectors, and never learns.

    Registered by `register_encoder`, it is a backbone: its features are computed once and stored, and a `Probe` or a
    head on them is trained. A model file keeps the head, the calibration and the identity of the encoder, not the
    encoder.

    Parameters
    ----------
    encode : callable
        From images (n, height, width, 3) of dtype uint8, raw RGB, to vectors (n, n_features), one for each image and
        independent of the other images. It scales the pixels itself.
    digest : str
        Changes when the encoder does, such as the SHA-256 of its weights file (`hashlib.file_digest`), or a version.
    input_size : tuple of int
        (height, width) in pixels to which images are resized for it.
    batch_size : int, default=32
        Images that it is given at once.
    kind : str, default="function"
        What it is, for people, such as "ONNX file panderm.onnx".
    license, source, pretrained_on : str, default=""
        Under which terms it is given, where it comes from, and what it was trained on.
    may_redistribute : bool or None, default=None
        Whether its terms allow to pass it on; None if not known.

    Attributes
    ----------
    n_features : int
        Length of a vector.
    digest : str
        SHA-256 of `digest` and of the settings, in hexadecimal.

    Raises
    ------
    ParameterError
        If a parameter cannot be used, or what `encode` gives for drawn images is not one finite vector for each, the
        same whatever other images it is given with.

    Examples
    --------
    >>> def mean_colour(images):
    ...     return images.mean(axis=(1, 2)) / 255
    >>> encoder = FrozenEncoder(mean_colour, digest="mean colour, version 1", input_size=(32, 32))
    >>> encoder(np.full((2, 32, 32, 3), 51, "uint8"))
    array([[0.2, 0.2, 0.2],
           [0.2, 0.2, 0.2]], dtype=float32)
    """

    def __init__(
        self,
        encode: Encode,
        *,
        digest: str,
        input_size: tuple[int, int],
        batch_size: int = 32,
        kind: str = "function",
        license: str = "",
        source: str = "",
        pretrained_on: str = "",
        may_redistribute: bool | None = None,
    ) -> None:
        given = check(locals(), _PARAMETERS)
        if not callable(encode):
            raise ParameterError(f"encode must be a function from images to vectors, got {show(encode)}")
        if not isinstance(digest, str) or not digest:
            raise ParameterError(
                "digest must be a text that changes when the encoder does, such as the SHA-256 of its weights file, "
                f"got {show(digest)}"
            )
        self.encode, self.input_size, self.batch_size = encode, given["input_size"], given["batch_size"]
        self.kind, self.license, self.source, self.pretrained_on = kind, license, source, pretrained_on
        self.may_redistribute = may_redistribute
        self.digest = hashlib.sha256(json.dumps([digest, *self.input_size]).encode()).hexdigest()
        self.n_features = 0
        self.reference = self._encode_references()

    @classmethod
    @checked(path=PATH, input_size=SIZE | NONE, output=TEXT | NONE)
    def from_onnx(
        cls,
        path: str | os.PathLike[str],
        *,
        scaling: Scaling,
        input_size: tuple[int, int] | None = None,
        output: str | None = None,
        tokens: str | None = None,
        **facts: Any,
    ) -> Self:
        """Take a network from an ONNX file, which ONNX Runtime runs on the processor.

        Parameters
        ----------
        path : path
            The file, which holds all weights. It is opened by ONNX Runtime: take files that you trust.
        scaling : {"imagenet", "-1 to 1", "0 to 1", "0 to 255"} or pair of three numbers each
            What the network expects of pixels: "imagenet" subtracts ImageNet's mean and divides by its standard
            deviation; a pair is mean and standard deviation of each channel, of pixels from 0 to 1.
        input_size : tuple of int, optional
            (height, width) in pixels; by default that of the file.
        output : str, optional
            Which output, if there are several.
        tokens : {"first", "mean"}, optional
            Which vector stands for an image, if the output is tokens (n, n_tokens, n_features): the first token, which
            is the class token of most transformers, or the mean of all.
        **facts : object
            `batch_size`, `license`, `source`, `pretrained_on`, `may_redistribute`.

        Returns
        -------
        FrozenEncoder
            Checked on drawn images.

        Raises
        ------
        MissingPackageError
            Without ONNX Runtime.
        WeightsUnavailableError
            If there is no such file.
        ParameterError, UnknownNameError
            If the file cannot be opened, does not take images alone, or does not give vectors.
        """
        reading = _reading(scaling, tokens)
        return cls._of(open_onnx(Path(path), reading, input_size, output), facts)

    @classmethod
    @checked(path=PATH, input_size=SIZE | NONE, output=TEXT | NONE)
    def from_saved_model(
        cls,
        path: str | os.PathLike[str],
        *,
        scaling: Scaling,
        input_size: tuple[int, int] | None = None,
        output: str | None = None,
        tokens: str | None = None,
        **facts: Any,
    ) -> Self:
        """Take a network from a SavedModel of TensorFlow, by its signature "serving_default".

        Parameters
        ----------
        path : path
            Its folder. A SavedModel can hold any code: take those that you trust.
        scaling, input_size, output, tokens, **facts : object
            As for `from_onnx`.

        Returns
        -------
        FrozenEncoder
            Checked on drawn images. TensorFlow runs it, whatever the backend of Keras is.

        Raises
        ------
        MissingPackageError, WeightsUnavailableError, ParameterError, UnknownNameError
            As `from_onnx`.
        """
        reading = _reading(scaling, tokens)
        return cls._of(open_saved_model(Path(path), reading, input_size, output), facts)

    @classmethod
    @checked(path=PATH, input_size=SIZE)
    def from_torchscript(
        cls,
        path: str | os.PathLike[str],
        *,
        scaling: Scaling,
        input_size: tuple[int, int],
        tokens: str | None = None,
        **facts: Any,
    ) -> Self:
        """Take a network from a TorchScript file.

        Parameters
        ----------
        path : path
            The file, of a network that takes images (n, 3, height, width). Take files that you trust.
        scaling, input_size, tokens, **facts : object
            As for `from_onnx`; the size must be given.

        Returns
        -------
        FrozenEncoder
            Checked on drawn images.

        Raises
        ------
        MissingPackageError, WeightsUnavailableError, ParameterError, UnknownNameError
            As `from_onnx`.
        """
        return cls._of(open_torchscript(Path(path), _reading(scaling, tokens), input_size), facts)

    @classmethod
    @checked(input_size=SIZE | NONE)
    def from_torch(
        cls,
        module: Any,
        *,
        scaling: Scaling | None = None,
        input_size: tuple[int, int] | None = None,
        tokens: str | None = None,
        **facts: Any,
    ) -> Self:
        """Take a module of PyTorch, such as one of timm, on the device where it is.

        Parameters
        ----------
        module : torch.nn.Module
            From images (n, 3, height, width) to vectors or tokens, as
            ``timm.create_model(name, pretrained=True, num_classes=0)`` makes one. A copy of it is kept, in inference
            mode: what happens to the module later does not change the encoder.
        scaling, input_size, tokens, **facts : object
            As for `from_onnx`. Scaling, size, license and source of timm's models are those of their
            ``pretrained_cfg``; give `license` and `source` where the weights are your own.

        Returns
        -------
        FrozenEncoder
            Checked on drawn images. Its digest is that of its structure and weights.

        Raises
        ------
        MissingPackageError, ParameterError, UnknownNameError
            As `from_onnx`; or if the scaling is not known, or a model of timm still has its classifier.
        """
        known = getattr(module, "pretrained_cfg", None) or {}
        if known and (getattr(module, "num_classes", 0) or 0) > 0:
            raise ParameterError(
                f"the {type(module).__name__} gives scores of {module.num_classes} classes, not features: make it with "
                "num_classes=0, or call its reset_classifier(0)"
            )
        if scaling is None and known.get("mean") and known.get("std"):
            scaling = (known["mean"], known["std"])
        if input_size is None and known.get("input_size"):
            of_patches = getattr(getattr(module, "patch_embed", None), "img_size", None)  # create_model(img_size=...)
            input_size = tuple(of_patches or known["input_size"][-2:])
        if scaling is None:
            raise ParameterError(
                f"scaling must be given: {type(module).__name__} does not say what it expects of pixels"
            )
        if known.get("license"):
            facts = {"license": known["license"]} | facts
        if known.get("hf_hub_id"):
            facts = {"source": f"https://huggingface.co/{known['hf_hub_id']}"} | facts
        return cls._of(open_torch(module, _reading(scaling, tokens), input_size), facts)

    @classmethod
    def _of(cls, opened: OpenedNetwork, facts: dict[str, Any]) -> Self:
        taken = sorted(facts.keys() & {"digest", "kind", "encode"})
        if taken:
            raise ParameterError(f"{', '.join(taken)} cannot be given: the network itself says so")
        for name in sorted(facts.keys() - _FACTS):
            raise UnknownNameError("parameter", name, _FACTS)
        return cls(opened.encode, digest=opened.digest, input_size=opened.input_size, kind=opened.kind, **facts)

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Turn images into vectors.

        Parameters
        ----------
        images : ndarray of shape (n, height, width, 3)
            Raw RGB, 0 to 255, at `input_size`; rounded to uint8.

        Returns
        -------
        ndarray of shape (n, n_features) and dtype float32
            One vector for each image.

        Raises
        ------
        ParameterError
            If the images are not of this size and kind, or the encoder gives anything else.
        """
        return self.vectors_of(self._check_images(images))

    def vectors_of(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Turn images into vectors, as a network of this library does, which has checked the images.

        Parameters
        ----------
        images : ndarray of shape (n, height, width, 3)
            As for a call.

        Returns
        -------
        ndarray of shape (n, n_features) and dtype float32
            One vector for each image.

        Raises
        ------
        ParameterError
            If the encoder gives anything else.
        """
        if images.dtype != np.uint8:
            images = np.rint(np.clip(images, 0, 255)).astype(np.uint8)
        batches = [images[start : start + self.batch_size] for start in range(0, len(images), self.batch_size)]
        if not batches:
            return np.zeros((0, self.n_features), np.float32)
        return np.concatenate([self._encode_batch(batch) for batch in batches])

    def __repr__(self) -> str:
        size = "x".join(map(str, self.input_size))
        return f"FrozenEncoder({self.kind}, {size} pixels -> {self.n_features} features, sha256 {self.digest[:12]}…)"

    def _check_images(self, images: Any) -> NDArray[Any]:
        expected = f"images must be an array of raw RGB, 0 to 255, of shape (n, {self.input_size[0]}, "
        expected += f"{self.input_size[1]}, 3)"
        try:
            found = _as_array(images) if hasattr(images, "__array__") else np.asarray(images)
        except Exception as error:  # of images of several sizes, or of another library
            raise ParameterError(f"{expected}, got {show(images)} ({in_one_line(error)})") from None
        if found is None or found.dtype.kind not in "fiu":
            raise ParameterError(f"{expected}, got {show(images)}: melanoma_tl.images.load_image reads files")
        if found.shape[1:] != (*self.input_size, 3):
            raise ParameterError(f"{expected}, got the shape {found.shape}")
        if why := _why_no_pixels(found):
            raise ParameterError(f"{expected}, got {why}")
        return found

    def _encode_batch(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            given = self.encode(images.copy())  # which may change them in place
            vectors = _as_array(given)
        except MelanomaTLError:
            raise
        except Exception as error:  # the code of the user, or of a runtime
            raise ParameterError(
                f"the encoder ({self.kind}) cannot encode {len(images)} images of {images.shape[1:]}: "
                f"{in_one_line(error)}"
            ) from error
        message = f"the encoder ({self.kind}) must give one vector for each image, of shape ({len(images)}, "
        message += f"{self.n_features or 'n_features'})"
        if vectors is None:
            raise ParameterError(f"{message}, got {show(given)}")
        if vectors.dtype.kind not in "fiub":
            raise ParameterError(f"{message} and of real numbers, got the dtype {vectors.dtype}")
        if np.ma.is_masked(vectors):
            raise ParameterError(f"{message}, got an array of which numbers are masked")
        if vectors.ndim == 3:
            raise ParameterError(
                f"{message}, got tokens of shape {vectors.shape}: take the first of them (tokens='first') or their "
                "mean (tokens='mean'), or do so in your function"
            )
        if vectors.ndim != 2 or len(vectors) != len(images) or not vectors.shape[1]:
            raise ParameterError(f"{message}, got the shape {vectors.shape}")
        if self.n_features and vectors.shape[1] != self.n_features:
            raise ParameterError(f"{message}, got the shape {vectors.shape}")
        vectors = vectors.astype(np.float32)
        wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(wrong):
            raise ParameterError(
                f"the encoder ({self.kind}) gives NaN or infinite numbers for {len(wrong)} of {len(images)} images"
            )
        return vectors

    def _encode_references(self) -> NDArray[np.float32]:
        """Encode drawn images, together and one by one, and return their vectors."""
        images = np.random.default_rng(0).integers(0, 256, (_N_REFERENCES, *self.input_size, 3), dtype=np.uint8)
        images //= np.array([1, 2, 4], np.uint8)[:, np.newaxis, np.newaxis, np.newaxis]  # of three brightnesses
        together = self._encode_batch(images)
        self.n_features = together.shape[1]
        alone = np.concatenate([self._encode_batch(image[np.newaxis]) for image in images])
        if not is_same(together, alone):
            raise ParameterError(
                f"the encoder ({self.kind}) gives other vectors for an image alone than for the same image beside "
                "others: put it into its inference mode (in PyTorch model.eval()), without dropout"
            )
        if np.array_equal(together[0], together[1]) and np.array_equal(together[0], together[2]):
            raise ParameterError(f"the encoder ({self.kind}) gives the same vector for three different images")
        return together


def is_same(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> bool:
    """Return whether vectors may come from the same encoder.

    Parameters
    ----------
    vectors, others : ndarray of shape (n, n_features)
        Of the same images.

    Returns
    -------
    bool
        Whether they differ by no more than `LARGEST_DIFFERENCE` together, and nearly all features by no more than a
        quarter of their own spread over the images, which large constant features could hide otherwise.
    """
    if vectors.shape != others.shape:
        return False
    first, second = vectors.astype(np.float64), others.astype(np.float64)
    differences = np.sqrt(np.mean((first - second) ** 2, axis=0))
    levels = np.sqrt(np.mean(first**2 + second**2, axis=0) / 2)
    if np.sqrt(np.mean(differences**2)) > LARGEST_DIFFERENCE * max(float(np.sqrt(np.mean(levels**2))), 1e-15):
        return False
    spreads = np.maximum(first.std(axis=0), second.std(axis=0))
    varying = spreads > _ROUNDING * levels
    if not varying.any():
        return True
    rounding = _ROUNDING * np.maximum(levels, np.median(levels[varying]))
    telling = spreads > rounding
    differing = telling & (differences > np.maximum(_LARGEST_OF_SPREAD * spreads, rounding))
    return bool(differing.sum() <= _MOST_THAT_DIFFER * telling.sum())


def _reading(scaling: Scaling, tokens: str | None) -> Reading:
    reading = Reading(scaling, tokens)
    reading.check()
    return reading


def _why_no_pixels(numbers: NDArray[Any]) -> str:
    """Return what tells numbers from pixels of 0 to 255; nothing where they may be such."""
    low, high = float(numbers.min(initial=0)), float(numbers.max(initial=0))
    if not np.isfinite([low, high]).all():
        return "NaN or infinite numbers"
    is_scaled = high <= _LARGEST_SCALED and bool((numbers % 1).any())
    if is_scaled and low == 0 and high <= 1:
        return "numbers from 0 to 1: multiply them by 255"
    if low < -_OVERSHOOT or high > 255 + _OVERSHOOT or (is_scaled and low < 0):
        return f"numbers from {low:.3g} to {high:.3g}: pass pixels that are not scaled"
    return ""


def _as_array(given: Any) -> NDArray[Any] | None:
    """Return an array of NumPy, TensorFlow, JAX or PyTorch as one of NumPy; None for anything else."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = (given.float() if given.is_floating_point() else given).numpy()
    if not hasattr(given, "__array__"):
        return None
    array = given if isinstance(given, np.ma.MaskedArray) else np.asarray(given)
    # NumPy does not know the short numbers of TensorFlow and JAX, such as bfloat16.
    is_short = array.dtype.kind == "V" and array.dtype.name.startswith(("bfloat", "float"))
    return array.astype(np.float32) if is_short else array
