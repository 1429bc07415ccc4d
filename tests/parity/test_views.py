"""What a view tells of a buffer, held over both kernels."""

import ctypes
import sys
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from guardrail._core import _view_py, dtype_of
from tests.parity.conftest import PURE_WAS_CHOSEN

SECRET = "s3cret"
FIELDS = ("kind", "name", "value", "buffer", "shape", "dtype", "nbytes", "data")
FOREIGN = ">" if sys.byteorder == "little" else "<"


def kernels():
    chosen = [pytest.param(_view_py, id="pure")]
    if not PURE_WAS_CHOSEN:
        from guardrail._core import _view

        chosen.append(pytest.param(_view, id="compiled"))
    return chosen


@pytest.fixture(params=kernels())
def kernel(request):
    """One kernel after the other."""
    return request.param


@pytest.mark.parametrize("value", [None, 3, "text", [1.0], object()])
def test_what_exports_no_buffer_is_a_type_error(kernel, value):
    with pytest.raises(TypeError):
        kernel.look(value, "rows")


def test_what_an_exporter_refuses_is_its_own_error(kernel):
    released = memoryview(b"ab")
    released.release()
    with pytest.raises(ValueError, match="released"):
        kernel.look(released, "rows")
    with pytest.raises(ValueError, match="buffer"):
        kernel.look(np.zeros(2, "M8[s]"), "rows")


def test_no_field_can_be_set(kernel):
    view = kernel.View("record", "visit", {"a": 1})
    for name in (*FIELDS, "rows", "features", "another"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(view, name, None)


def test_shown_it_names_no_value(kernel):
    view = kernel.View("record", "visit", {"note": SECRET})
    assert repr(view) == str(view) == "View(kind='record', name='visit', shape=())"


def test_a_view_is_equal_to_itself_alone(kernel):
    one, other = kernel.View("none"), kernel.View("none")
    assert one == one
    assert one != other
    assert len({one, other}) == 2


def test_left_out_fields_are_those_of_no_input(kernel):
    view = kernel.View("none")
    assert [getattr(view, name) for name in FIELDS] == ["none", "", None, None, (), "", 0, None]
    assert (view.rows, view.features) == (1, 1)
    assert kernel.View("record", nbytes=7).nbytes == 7


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.zeros(2, "f4"), "float32"),
        (np.zeros(2, "?"), "bool"),
        (np.zeros((0, 3), "u2"), "uint16"),
        (array("d", [1]), "float64"),
        (b"ab", "uint8"),
        ((ctypes.c_int16 * 2)(), "int16"),
        (np.zeros(2, FOREIGN + "f4"), "float32"),
        (np.zeros(2, FOREIGN + "u8"), "uint64"),
        (np.zeros(2, FOREIGN + "c8"), ""),
        (np.zeros(2, "c16"), ""),
        (np.zeros(2, "g"), ""),
        (np.zeros(2, "O"), ""),
        (np.zeros(2, "U3"), ""),
        (np.zeros(2, "i4,f4"), ""),
        ((ctypes.c_char_p * 2)(), ""),
    ],
    ids=lambda value: str(getattr(value, "dtype", type(value).__name__)),
)
def test_the_type_of_the_elements_is_named_where_they_can_be_checked(kernel, value, dtype):
    assert kernel.look(value, "rows").dtype == dtype


def test_sizes_come_from_the_buffer_and_not_from_the_object(kernel):
    class Liar(np.ndarray):
        shape = property(lambda self: (1,))
        nbytes = property(lambda self: 1)

    view = kernel.look(np.zeros((7, 2)).view(Liar), "rows")
    assert (view.kind, view.name, view.shape, view.nbytes) == ("tensor", "rows", (7, 2), 112)
    assert (view.rows, view.features) == (7, 2)


def test_the_value_is_the_very_object_and_is_held_until_the_buffer_is_released(kernel):
    values = array("d", [1.0])
    view = kernel.look(values, "rows")
    assert view.value is values
    with pytest.raises(BufferError):
        values.append(2.0)
    view.buffer.release()
    values.append(2.0)


@pytest.mark.parametrize("kernel", kernels())
@given(st_np.arrays(st_np.scalar_dtypes(), st_np.array_shapes(min_dims=0, max_side=3)), st.data())
def test_a_view_says_what_a_memoryview_says(kernel, values, data):
    turned = values.transpose(data.draw(st.permutations(range(values.ndim))))
    try:
        buffer = memoryview(turned)
    except ValueError:
        with pytest.raises(ValueError, match="buffer"):
            kernel.look(turned, "rows")
        return
    view = kernel.look(turned, "rows")
    assert (view.shape, view.nbytes) == (buffer.shape, buffer.nbytes)
    assert view.dtype == dtype_of(buffer.format, buffer.itemsize)
    assert view.buffer.strides == buffer.strides
