"""The models of the text reader: faster without the weights that vanished, and the same in what they answer."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import rapidocr

from localcloud import models

FLOAT, INT64 = 1, 7
SMALLEST_NORMAL = np.finfo(np.float32).tiny
SHAPES = {models.FINDER: (1, 3, 64, 160), models.READER: (1, 3, 48, 160)}


def field(number, content):
    """A field of a protobuf message: bytes, or an integer below 128."""
    if isinstance(content, int):
        return bytes([number << 3, content])
    size = bytes([0x80 | len(content) & 0x7F, len(content) >> 7])
    return bytes([number << 3 | 2]) + size + content


def model(values, data_type=FLOAT):
    """An ONNX model of one array of weights, between fields that hold none."""
    dimensions, name = field(1, len(values)), field(8, b"weights")
    tensor = field(5, dimensions + field(2, data_type) + name + field(9, values.tobytes()))
    return field(2, b"by hand") + field(7, field(2, b"graph") + tensor) + field(5, 1)


def test_weight_too_small_for_a_normal_float_becomes_nought():
    given = np.array([1, SMALLEST_NORMAL, SMALLEST_NORMAL / 2, 1e-45, -1e-40, -3, 0], np.float32)
    left = np.array([1, SMALLEST_NORMAL, 0, 0, 0, -3, 0], np.float32)
    assert models.without_subnormals(model(given)) == model(left)


def test_small_integer_is_no_vanished_weight():
    given = model(np.array([1, 2, 3], np.int64), INT64)
    assert models.without_subnormals(given) == given


def test_number_of_fixed_size_is_passed_over():
    fixed = bytes([3 << 3 | 1, *range(8), 4 << 3 | 5, *range(4)])
    given = model(np.array([1e-40], np.float32))
    assert models.without_subnormals(fixed + given) == fixed + models.without_subnormals(given)


@pytest.mark.parametrize("name", SHAPES)
def test_model_answers_as_it_did(name):
    path = Path(rapidocr.__file__).parent / "models" / name
    assert models.without_subnormals(path.read_bytes()) != path.read_bytes()
    given = {"x": np.random.default_rng(7).random(SHAPES[name], np.float32) * 2 - 1}
    shipped = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(models.session(name).run(None, given)[0], shipped.run(None, given)[0], atol=1e-6)
