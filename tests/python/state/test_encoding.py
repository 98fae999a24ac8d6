"""States as JSON and arrays: what comes back is what was there, and nothing is pickled."""

import json

import numpy as np
import pytest

from kerascheckpoint.state.arrays import put_back, take_out
from kerascheckpoint.state.encoding import NotSavableError, decode, encode

VALUES = [
    None,
    True,
    7,
    "text",
    b"\x00\xff",
    0.1,
    float("-inf"),
    [1, [2.5, None]],
    (1, ("a", b"b")),
    {"a": {1: (2,)}, None: []},
]


def through_a_file(value):
    arrays = {}
    text = json.dumps(take_out(encode(value), arrays), allow_nan=False)
    return decode(put_back(json.loads(text), arrays.__getitem__))


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_with_its_types(value):
    back = through_a_file(value)
    assert back == value
    assert repr(back) == repr(value)


@pytest.mark.parametrize("size", [0, 3, 1000])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "complex64", "bool"])
def test_an_array_comes_back_with_its_dtype(size, dtype):
    array = np.arange(size).astype(dtype)
    back = through_a_file({"array": [array]})["array"][0]
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, array)


def test_a_tensor_of_pytorch_comes_back_as_one():
    torch = pytest.importorskip("torch")
    for tensor in (torch.arange(1000, dtype=torch.uint8), torch.tensor(2.5)):
        back = through_a_file([tensor])[0]
        assert isinstance(back, torch.Tensor)
        assert back.dtype == tensor.dtype
        assert torch.equal(back, tensor)


@pytest.mark.parametrize("value", [object(), {1, 2}, [lambda: None], np.array(["text"])])
def test_what_would_need_pickle_is_refused(value):
    with pytest.raises(NotSavableError, match="neither JSON nor an array"):
        encode(value)
