"""Open networks of other libraries as functions from uint8 images to vectors."""

import copy
import hashlib
import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_tl._checksums import hash_of
from melanoma_tl._onnxruntime import open_session
from melanoma_tl._parameters import show
from melanoma_tl.backbones.encoder_reading import Reading
from melanoma_tl.backbones.onnx_content import has_external_weights
from melanoma_tl.errors import (
    MissingPackageError,
    ParameterError,
    UnknownNameError,
    WeightsUnavailableError,
    in_one_line,
    require_file,
)

_OF_ONNX = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
"""The types of inputs that pixels fit into, as ONNX Runtime names them."""

Encode = Callable[[NDArray[np.uint8]], Any]


class OpenedNetwork(NamedTuple):
    """A network that is ready to encode.

    Attributes
    ----------
    encode : callable
        From uint8 images (n, height, width, 3) to vectors.
    digest : str
        SHA-256 of the network and of the settings, in hexadecimal.
    input_size : tuple of int
        (height, width) in pixels.
    kind : str
        What it is, for people.
    """

    encode: Encode
    digest: str
    input_size: tuple[int, int]
    kind: str


def open_onnx(path: Path, reading: Reading, input_size: tuple[int, int] | None, output: str | None) -> OpenedNetwork:
    """Open an ONNX file in ONNX Runtime, on the processor.

    Parameters
    ----------
    path : Path
        The file, with all of its weights.
    reading : Reading
        Scaling and tokens.
    input_size : tuple of int or None
        (height, width) in pixels; None takes that of the file.
    output : str or None
        Which of several outputs.

    Returns
    -------
    OpenedNetwork
        Its session belongs to it alone.

    Raises
    ------
    MissingPackageError
        Without onnxruntime.
    WeightsUnavailableError
        If there is no such file.
    ParameterError, UnknownNameError
        If it cannot be opened, or does not take one image and give vectors.
    """
    content = _read(path)
    try:
        session = None if has_external_weights(content) else open_session(content)
    except ImportError as error:
        raise MissingPackageError(
            f"an encoder in an ONNX file needs ONNX Runtime: pip install 'melanoma_tl[onnx]' ({error})"
        ) from error
    except Exception as error:  # the runtime's own, of many kinds
        raise ParameterError(f"{path}: ONNX Runtime cannot open it ({in_one_line(error)})") from None
    if session is None:
        raise ParameterError(
            f"{path}: its weights lie in other files: write it as one (onnx.save_model(onnx.load(path), new_path, "
            "save_as_external_data=False))"
        )
    kind = f"ONNX file {path.name}"
    given = _one(session.get_inputs(), kind, "input", None)
    taken = _one(session.get_outputs(), kind, "output", output)
    shape = [side if isinstance(side, int) else None for side in given.shape]
    channels_first, size = _read_shape(shape, kind, input_size)
    dtype = reading.check_dtype(_OF_ONNX.get(given.type, np.object_), kind, given.type)

    def encode(images: NDArray[np.uint8]) -> Any:
        pixels = reading.prepare(images, dtype, channels_first=channels_first)
        (found,) = session.run([taken.name], {given.name: pixels})
        return reading.take(found)

    digest = _digest(hashlib.sha256(content).hexdigest(), reading, taken.name)
    return OpenedNetwork(_in_batches_of(shape[0], encode), digest, size, kind)


def open_saved_model(
    path: Path, reading: Reading, input_size: tuple[int, int] | None, output: str | None
) -> OpenedNetwork:
    """Open a SavedModel of TensorFlow by its signature "serving_default".

    Parameters
    ----------
    path : Path
        Its folder.
    reading, input_size, output : Reading, tuple of int or None, and str or None
        As for `open_onnx`.

    Returns
    -------
    OpenedNetwork
        It runs on TensorFlow, whatever the backend of Keras is.

    Raises
    ------
    MissingPackageError
        Without TensorFlow.
    WeightsUnavailableError
        If there is no such folder.
    ParameterError, UnknownNameError
        If it cannot be opened, or does not take one image and give vectors.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise MissingPackageError(f"an encoder in a SavedModel needs TensorFlow: {error}") from error
    if not (path / "saved_model.pb").is_file():
        raise WeightsUnavailableError(f"{path}: no such folder with a saved_model.pb")
    kind = f"SavedModel {path.name}"
    try:
        loaded = tf.saved_model.load(str(path))
        signature = loaded.signatures["serving_default"]
    except Exception as error:
        raise ParameterError(f"{path}: TensorFlow cannot open it by 'serving_default' ({in_one_line(error)})") from None
    specs = [_Tensor(name, spec) for name, spec in signature.structured_input_signature[1].items()]
    given = _one(specs, kind, "input", None)
    taken = _one([_Tensor(*pair) for pair in signature.structured_outputs.items()], kind, "output", output)
    channels_first, size = _read_shape(given.shape, kind, input_size)
    dtype = reading.check_dtype(given.dtype, kind, given.spec.dtype.name)

    def encode(images: NDArray[np.uint8]) -> Any:
        pixels = reading.prepare(images, dtype, channels_first=channels_first)
        run = loaded.signatures["serving_default"]  # by way of `loaded`, which alone keeps the variables alive
        return reading.take(run(**{given.name: tf.constant(pixels)})[taken.name].numpy())

    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != "fingerprint.pb")
    of_files = json.dumps([[str(file.relative_to(path)), hash_of(file)] for file in files])
    digest = _digest(hashlib.sha256(of_files.encode()).hexdigest(), reading, taken.name)
    return OpenedNetwork(_in_batches_of(given.shape[0], encode), digest, size, kind)


def open_torchscript(path: Path, reading: Reading, input_size: tuple[int, int] | None) -> OpenedNetwork:
    """Open a TorchScript file on the processor.

    Parameters
    ----------
    path : Path
        The file.
    reading, input_size : Reading, and tuple of int or None
        As for `open_onnx`; the size must be given.

    Returns
    -------
    OpenedNetwork
        In inference mode.

    Raises
    ------
    MissingPackageError
        Without PyTorch.
    WeightsUnavailableError
        If there is no such file.
    ParameterError
        If it cannot be opened, or no size is given.
    """
    torch = _import_torch()
    content = _read(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch advises its writers to take torch.export
            module = torch.jit.load(io.BytesIO(content), map_location="cpu")
    except Exception as error:
        raise ParameterError(f"{path}: PyTorch cannot open it as TorchScript ({in_one_line(error)})") from None
    kind = f"TorchScript file {path.name}"
    return _from_module(module, hashlib.sha256(content).hexdigest(), reading, input_size, kind)


def open_torch(module: Any, reading: Reading, input_size: tuple[int, int] | None) -> OpenedNetwork:
    """Take a module of PyTorch, such as one of timm or open_clip.

    Parameters
    ----------
    module : torch.nn.Module
        From images (n, 3, height, width) to vectors, or tokens; stays as it is.
    reading, input_size : Reading, and tuple of int or None
        As for `open_onnx`.

    Returns
    -------
    OpenedNetwork
        Of a copy of the module, which nobody else can train or change. Its digest is that of structure and weights.

    Raises
    ------
    MissingPackageError
        Without PyTorch.
    ParameterError
        If it is no module, cannot be copied, has no weights yet or some without a digest, or no size is given.
    """
    torch = _import_torch()
    if not isinstance(module, torch.nn.Module):
        raise ParameterError(f"module must be a torch.nn.Module, got {show(module)}")
    kind = f"PyTorch module {type(module).__name__}"
    digest = hashlib.sha256(repr(module).encode())
    for name, value in sorted(module.state_dict().items()):
        for part in _digest_parts(name, value, kind):
            digest.update(part)
    try:
        frozen = copy.deepcopy(module)
    except Exception as error:  # of the module's own code
        raise ParameterError(
            f"{kind}: it cannot be copied ({in_one_line(error)}): give FrozenEncoder a function that calls it"
        ) from error
    return _from_module(frozen, digest.hexdigest(), reading, input_size, kind)


def _digest_parts(name: str, value: Any, kind: str) -> Iterator[bytes]:
    """Yield the bytes that tell an entry of the state of a module from others."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_meta or torch.nn.parameter.is_lazy(value):
            raise ParameterError(f"{kind}: its {name!r} holds no numbers yet: load its weights first")
        if value.layout != torch.strided:
            value = value.to_dense()
        if value.is_quantized:
            yield f"{value.qscheme()} {value.dtype}".encode()
            value = value.dequantize()
        array = value.detach().cpu().contiguous()
        yield f"{name} {tuple(array.shape)} {array.dtype}".encode()
        yield array.view(-1).view(torch.uint8).numpy().tobytes() if array.numel() else b""
    elif isinstance(value, Mapping | tuple | list):
        for key, entry in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _digest_parts(f"{name}.{key}", entry, kind)
    elif value is None or isinstance(value, str | bytes | int | float | torch.dtype):
        yield f"{name} {value!r}".encode()
    else:
        raise ParameterError(
            f"{kind}: its state {name!r} is a {type(value).__name__}, of which no digest can be made: give "
            "FrozenEncoder a function that calls the module, and a digest"
        )


def _from_module(
    module: Any, digest: str, reading: Reading, input_size: tuple[int, int] | None, kind: str
) -> OpenedNetwork:
    import torch

    if input_size is None:
        raise ParameterError(f"{kind}: input_size=(height, width) must be given, which PyTorch does not keep")
    module.eval()
    first = next((tensor for tensor in module.parameters() if tensor.is_floating_point()), torch.zeros(1))

    def encode(images: NDArray[np.uint8]) -> Any:
        pixels = torch.from_numpy(reading.prepare(images, np.float32, channels_first=True))
        with torch.inference_mode():
            return reading.take(module(pixels.to(device=first.device, dtype=first.dtype)))

    return OpenedNetwork(encode, _digest(digest, reading, ""), input_size, kind)


def _import_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingPackageError(
            f"an encoder of PyTorch needs it: pip install 'melanoma_tl[torch]' ({error})"
        ) from error
    return torch


class _Tensor(NamedTuple):
    """An input or an output of a SavedModel, as ONNX Runtime describes its own."""

    name: str
    spec: Any

    @property
    def shape(self) -> list[int | None]:
        return [] if self.spec.shape.rank is None else list(self.spec.shape)

    @property
    def dtype(self) -> Any:
        return self.spec.dtype.as_numpy_dtype


def _one(tensors: Sequence[Any], kind: str, what: str, wanted: str | None) -> Any:
    """Return the input, or the output that is wanted."""
    names = [tensor.name for tensor in tensors]
    if wanted is not None:
        if wanted not in names:
            raise UnknownNameError(f"{what} of the {kind}", wanted, names)
        return tensors[names.index(wanted)]
    if len(tensors) != 1:
        found = ", ".join(f"{tensor.name!r} {list(tensor.shape)}" for tensor in tensors)
        advice = "name one of them (output=...)" if what == "output" else "an encoder takes images and nothing else"
        raise ParameterError(f"{kind}: it has {len(tensors)} {what}s ({found}): {advice}")
    return tensors[0]


def _read_shape(
    shape: Sequence[int | None], kind: str, input_size: tuple[int, int] | None
) -> tuple[bool, tuple[int, int]]:
    """Return whether channels come first, and the size of the images."""
    if len(shape) != 4 or (shape[1] != 3) == (shape[3] != 3):
        found = f"the shape {list(shape)}" if shape else "no shape"
        raise ParameterError(
            f"{kind}: its input has {found}, not that of images, (n, 3, height, width) or (n, height, width, 3)"
        )
    channels_first = shape[1] == 3
    fixed = tuple(shape[2:]) if channels_first else tuple(shape[1:3])
    height, width = (side if side else None for side in fixed)
    if input_size is None:
        if height is None or width is None:
            raise ParameterError(f"{kind}: it takes images of any size: give input_size=(height, width)")
        return channels_first, (height, width)
    if any(side not in (None, wanted) for side, wanted in zip((height, width), input_size, strict=True)):
        raise ParameterError(
            f"{kind}: it takes images of {height}x{width} pixels, got input_size={input_size}: leave it out"
        )
    return channels_first, input_size


def _in_batches_of(n: int | None, encode: Encode) -> Encode:
    """Hand images to a network that takes so many at once and no others; the last batch is filled up."""
    if not n or n < 1:
        return encode

    def encode_all(images: NDArray[np.uint8]) -> Any:
        found = []
        for start in range(0, len(images), n):
            batch = images[start : start + n]
            filled = np.concatenate([batch, np.repeat(batch[-1:], n - len(batch), axis=0)])
            found.append(np.asarray(encode(filled))[: len(batch)])
        return np.concatenate(found)

    return encode_all


def _read(path: Path) -> bytes:
    """Read a file once: what is hashed is what is opened."""
    require_file(path, WeightsUnavailableError, "give the path of the encoder's file")
    return path.read_bytes()


def _digest(of_network: str, reading: Reading, output: str) -> str:
    settings = [of_network, *reading.mean_and_std(), reading.tokens, output]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()
