"""The PP-OCR models that ship inside the rapidocr wheel, with every weight that training let vanish set to nought.

In two layers of the finder of text a quarter and two thirds of the weights are subnormal, below 2**-126. They are
nothing to the result, but many processors leave their fast path for each product with one: those two layers took two
thirds of the time of finding.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import rapidocr

FINDER = "PP-OCRv6_det_small.onnx"
READER = "PP-OCRv6_rec_small.onnx"

# Numbers of fields in onnx.proto, and those of the kinds of fields in protobuf's wire format.
GRAPH, INITIALIZER, DATA_TYPE, RAW_DATA = 7, 5, 2, 9
FLOAT = 1
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
EXPONENT_BITS = 0x7F80_0000


@cache
def session(name: str) -> onnxruntime.InferenceSession:
    """The model, ready to run on the calling thread; threads may run it at the same time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    path = Path(rapidocr.__file__).parent / "models" / name
    model = bytes(without_subnormals(path.read_bytes()))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def without_subnormals(model: bytes) -> bytearray:
    """The same ONNX model with nought in place of every weight that is too small for a normal float32."""
    changed = bytearray(model)
    for graph in _parts(memoryview(changed), GRAPH):
        for tensor in _parts(graph, INITIALIZER):
            if (DATA_TYPE, FLOAT) in _fields(tensor):
                for weights in _parts(tensor, RAW_DATA):
                    bits = np.frombuffer(weights, np.uint32)
                    bits[bits & EXPONENT_BITS == 0] = 0
    return changed


def _parts(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The fields of that number that hold bytes: texts, arrays, messages."""
    for number, value in _fields(message):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Each field of a protobuf message: its number, and its integer or bytes (nought for numbers of fixed size)."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value: int | memoryview = 0
        size = {VARINT: 0, FIXED64: 8, FIXED32: 4}.get(tag & 7)
        if tag & 7 == VARINT:
            value, at = _varint(message, at)
        elif tag & 7 == LENGTH:
            size, at = _varint(message, at)
            value = message[at : at + size]
        at += size or 0
        yield tag >> 3, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """An integer of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
