"""Look into an ONNX file for weights that lie in other files, without the package that writes ONNX."""

from collections.abc import Iterator

_MESSAGES = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""The fields by which ``onnx.proto`` of the ONNX project comes from a model to its tensors, by their message."""

_DATA_LOCATION, _EXTERNAL = 14, 1
"""Field and value by which a tensor says that its numbers lie in another file."""

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
"""How a value is written in Protocol Buffers."""


def has_external_weights(content: bytes) -> bool:
    """Return whether a tensor of an ONNX file keeps its numbers in another file.

    ONNX Runtime looks for such files in the current folder when it is given the content of a file, so that other
    weights could take their place.

    Parameters
    ----------
    content : bytes
        The file.

    Returns
    -------
    bool
        True if at least one does.

    Raises
    ------
    ValueError
        If this is no ONNX file.
    """
    return _is_external(memoryview(content), "model")


def _is_external(message: memoryview, kind: str) -> bool:
    for number, value in _fields(message):
        if isinstance(value, int):
            if kind == "tensor" and (number, value) == (_DATA_LOCATION, _EXTERNAL):
                return True
        elif number in _MESSAGES[kind] and _is_external(value, _MESSAGES[kind][number]):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and the value of each field: a number, or bytes."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        if tag & 7 == _VARINT:
            value, place = _varint(message, place)
            yield tag >> 3, value
            continue
        if tag & 7 == _LENGTH:
            size, place = _varint(message, place)
        elif tag & 7 in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if tag & 7 == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"a field of the unknown kind {tag & 7}")
        if place + size > len(message):
            raise ValueError("a field ends after its message")
        yield tag >> 3, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place == len(message):
            break
        byte, place = message[place], place + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number without an end")
