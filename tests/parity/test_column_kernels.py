"""What the checks of columns mean at their edges, and what they refuse, over both kernels."""

import ctypes
import math
import re
import struct
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import guardrail._core as core
from guardrail._core import _codes_py, _column_py, _words_py, terms
from tests.parity.conftest import PURE_WAS_CHOSEN

OPEN = (-math.inf, math.inf)
NAMES = sorted(
    name for name in core.__all__ if name.startswith(("check_", "measure_"))
    and name != "check_tensor"
)  # fmt: skip


def kernels():
    chosen = [pytest.param(joined(_column_py, _words_py, _codes_py), id="pure")]
    if not PURE_WAS_CHOSEN:
        from guardrail._core import _codes, _column, _words

        chosen.append(pytest.param(joined(_column, _words, _codes), id="compiled"))
    return chosen


def joined(*modules):
    """Return one kernel of several modules."""
    return SimpleNamespace(**{k: v for module in modules for k, v in vars(module).items()})


@pytest.fixture(params=kernels())
def kernel(request):
    """One kernel after the other."""
    return request.param


def numbers(kernel, values, *, low=-math.inf, high=math.inf, finite=True, nullable=False):
    return kernel.check_numbers(values, None, 0, None, low, high, finite, nullable, False)


def ends(*items, kind="i"):
    return memoryview(struct.pack(f"={len(items)}{kind}", *items)).cast(kind)


@pytest.mark.skipif(PURE_WAS_CHOSEN, reason="GUARDRAIL_PURE is set")
def test_the_compiled_kernels_are_really_loaded():
    assert core.BACKEND == "compiled"
    for name in [*NAMES, "Choices"]:
        module = getattr(core, name).__module__
        assert module in {f"guardrail._core.{each}" for each in ("_column", "_words", "_codes")}


def test_both_kernels_have_the_same_codes():
    source = (Path(core.__file__).parent / "_column.pxd").read_text()
    found = dict(re.findall(r"^    ([A-Z_]+) = ([0-8])$", source, re.MULTILINE))
    found["NULL"] = found.pop("NULL_ROW")
    assert {name: int(code) for name, code in found.items()} == {
        name: getattr(terms, name) for name in found
    }
    assert len(found) == 9


@pytest.mark.parametrize("rows", [0, 1, 512, 20_000])
def test_an_empty_column_and_a_long_one_are_fine(kernel, rows):
    assert numbers(kernel, np.zeros(rows), low=0, high=0) == (0, 0, 0)
    assert kernel.check_nulls(rows, None, 0, None) == (0, 0, 0)
    assert kernel.check_nulls(rows, bytes(rows), 0, None) == ((4, 0, rows) if rows else (0, 0, 0))


@pytest.mark.parametrize("rows", [3, 1000])
def test_a_float32_is_compared_as_the_double_it_is(kernel, rows):
    values = np.full(rows, 0.1, "f4")  # a little above the double 0.1
    assert numbers(kernel, values, high=0.1) == (3, 0, rows)
    assert numbers(kernel, values, low=0.1) == (0, 0, 0)
    assert numbers(kernel, values, low=0.1, high=0.1) == (3, 0, rows)
    assert numbers(kernel, np.zeros(rows, "f4"), low=1e-300) == (2, 0, rows)


@pytest.mark.parametrize("rows", [3, 1000])
@pytest.mark.parametrize(
    ("dtype", "value", "low", "high", "code"),
    [
        ("u1", 255, 0.0, 254.5, 3),
        ("u1", 255, 300.0, 400.0, 2),
        ("u1", 0, -9.0, -1.0, 3),
        ("i1", -128, -127.5, 0.0, 2),
        ("i8", 2**63 - 1, 0.0, 2.0**63, 0),
        ("i8", 2**63 - 1, 2.0**63, math.inf, 2),
        ("i8", -(2**63), -math.inf, -(2.0**63) - 2048, 3),
        ("i8", 2**53 + 1, 0.0, 2.0**53, 3),
        ("u8", 2**64 - 1, 0.0, 2.0**64, 0),
        ("u8", 2**64 - 1, 0.0, 2.0**64 - 2048, 3),
        ("u8", 5, 0.5, 4.5, 3),
    ],
)
def test_integers_never_round(kernel, rows, dtype, value, low, high, code):
    values = np.full(rows, value, dtype)
    expected = (code, 0, rows) if code else (0, 0, 0)
    assert numbers(kernel, values, low=low, high=high) == expected


def test_nat_is_null_where_the_column_says_so(kernel):
    values = np.array([0, -(2**63), -(2**63) + 1], "i8")
    for nullable, expected in ((True, (0, 0, 0)), (False, (4, 1, 1))):
        found = kernel.check_numbers(values, None, 0, None, *OPEN, True, nullable, True)
        assert found == expected
    assert kernel.check_numbers(values, None, 0, None, *OPEN, True, False, False) == (0, 0, 0)


def test_what_stands_under_a_null_is_not_judged(kernel):
    values = np.array([math.nan, 9.0, 1.0] * 400)
    absent = np.array([1, 1, 0] * 400, "u1")
    bits = np.packbits(1 - np.concatenate([np.ones(5, "u1"), absent]), bitorder="little").tobytes()
    for nulls in ((None, 0, absent), (bits, 5, None)):
        assert kernel.check_numbers(values, *nulls, 0.0, 1.0, True, True, False) == (0, 0, 0)
        assert kernel.check_numbers(values, *nulls, 0.0, 1.0, True, False, False) == (4, 0, 800)


@pytest.mark.parametrize(
    "words",
    [["DE"], ["", "a", "ab", "abc"], ["seven77"], ["eight888", "x"], [str(n) for n in range(300)]],
    ids=["one", "short", "seven", "eight", "many"],
)
def test_choices_are_exact(kernel, words):
    choices = kernel.Choices(words)
    others = ["\0", "zz", "seven7", "seven77\0", "eight888\0", "DE\0", "D", "a\0", "-1"]
    for word in [*words, *others]:
        raw = word.encode()
        for after in (b"", b"more bytes"):  # with 8 bytes to load, and without
            arguments = (ends(0, len(raw)), raw + after, None, 0, False, -1, choices, None)
            assert kernel.check_text(*arguments) == ((0, 0, 0) if word in words else (5, 0, 1))
        if len(raw) <= 12:
            view = struct.pack("=i12s", len(raw), raw + b"\xff" * (12 - len(raw)))
            arguments = (view, [], None, 0, False, -1, choices, None)
            assert kernel.check_views(*arguments) == ((0, 0, 0) if word in words else (5, 0, 1))


def test_no_choice_lets_nothing_pass(kernel):
    arguments = (ends(0, 0), b"", None, 0, False, -1, kernel.Choices([]), None)
    assert kernel.check_text(*arguments) == (5, 0, 1)


def test_choices_of_lone_surrogates_are_refused(kernel):
    with pytest.raises(UnicodeEncodeError):
        kernel.Choices(["\ud800"])


def test_choices_cannot_be_changed(kernel):
    with pytest.raises((AttributeError, TypeError)):
        kernel.Choices(["a"]).another = 1


class TestRefusals:
    @pytest.mark.parametrize(
        "values",
        [
            np.zeros(2, "f2"),
            np.zeros(2, "c8"),
            np.zeros(2, np.dtype("i4").newbyteorder("S")),
            np.zeros(2, "O"),
        ],
    )
    def test_numbers_of_another_type(self, kernel, values):
        with pytest.raises(TypeError, match="expected a buffer of bool, float or integer"):
            numbers(kernel, values)

    @pytest.mark.parametrize("values", [np.zeros((2, 2)), np.array(1.0)])
    def test_other_axes_than_one(self, kernel, values):
        with pytest.raises(ValueError, match="one axis"):
            numbers(kernel, values)
        with pytest.raises(ValueError, match="one axis"):
            kernel.check_codes(values.astype("i4"), None, 0, b"", True, False)
        with pytest.raises(ValueError, match="one axis"):
            kernel.check_objects(values.astype("O"), None, True, -1, None, None)

    @pytest.mark.parametrize(("low", "high"), [(math.nan, 1), (0, math.nan), (1, 0)])
    def test_bounds_that_are_none(self, kernel, low, high):
        with pytest.raises(ValueError, match="expected bounds in order"):
            numbers(kernel, np.zeros(2), low=low, high=high)

    def test_nulls_for_fewer_rows(self, kernel):
        for nulls in ((b"\xff", 0, None), (b"\xff\xff", 8, None), (b"", 0, None)):
            with pytest.raises(ValueError, match="a bit of validity for each row"):
                kernel.check_nulls(9, *nulls)
        for mask in (bytes(8), bytes(10)):
            with pytest.raises(ValueError, match="a byte of the mask for each row"):
                kernel.check_nulls(9, None, 0, mask)
        with pytest.raises(ValueError, match="offset of 0 or more"):
            kernel.check_nulls(9, None, -1, None)
        with pytest.raises(ValueError, match="length of 0 or more"):
            kernel.check_nulls(-1, None, 0, None)
        with pytest.raises(ValueError, match="a bit of validity"):
            kernel.check_nulls(9, b"\xff", 2**63 - 1, None)

    def test_offsets_that_are_none(self, kernel):
        rest = (b"", None, 0, True, -1, None, None)
        foreign = np.dtype("i4").newbyteorder("S")
        for offsets in (np.zeros(2), np.zeros(2, "i2"), np.zeros(2, "u4"), np.zeros(2, foreign)):
            with pytest.raises(TypeError, match="integers of 32 or 64 bits"):
                kernel.check_text(offsets, *rest)
            with pytest.raises(TypeError, match="integers of 32 or 64 bits"):
                kernel.measure_text(offsets, 0)
        with pytest.raises(ValueError, match="one offset more"):
            kernel.check_text(np.zeros(0, "i4"), *rest)
        with pytest.raises(ValueError, match="contiguous"):
            kernel.check_text(np.zeros(4, "i4")[::2], *rest)

    def test_flags_for_fewer_rows_or_that_cannot_be_written(self, kernel):
        for flags, error in ((bytearray(1), ValueError), (bytes(2), (TypeError, BufferError))):
            with pytest.raises(error):
                kernel.check_text(ends(0, 0, 0), b"", None, 0, True, -1, None, flags)
            with pytest.raises(error):
                kernel.check_views(bytes(32), [], None, 0, True, -1, None, flags)
            with pytest.raises(error):
                kernel.check_objects(np.array(["a", "b"], "O"), None, True, -1, None, flags)

    def test_views_of_another_size(self, kernel):
        with pytest.raises(ValueError, match="16 bytes per row"):
            kernel.check_views(bytes(15), [], None, 0, True, -1, None, None)
        with pytest.raises(ValueError, match="16 bytes per row"):
            kernel.measure_views(bytes(15), None, 0)

    def test_codes_that_are_no_integers(self, kernel):
        with pytest.raises(TypeError, match="codes as integers"):
            kernel.check_codes(np.zeros(1), None, 0, b"\0", True, False)

    def test_what_holds_no_objects(self, kernel):
        for values in (np.zeros(2), b"ab", (ctypes.c_int32 * 2)()):
            with pytest.raises(TypeError, match="buffer of objects"):
                kernel.measure_objects(values, None)


def test_the_buffers_are_let_go(kernel):
    data = bytearray(b"abc")
    flags = bytearray(1)
    kernel.check_text(ends(0, 3), data, None, 0, True, -1, None, flags)
    data.append(1)
    flags.append(1)
    values = bytearray(8)
    kernel.check_nulls(3, values, 0, None)
    values.append(1)
    with pytest.raises(ValueError, match="one offset more"):
        kernel.check_text(np.zeros(0, "i4"), data, None, 0, True, -1, None, flags)
    data.append(1)


def test_large_columns_are_checked_by_several_threads_at_once(kernel):
    values = np.arange(20_000.0)
    found = []

    def check():
        found.append(numbers(kernel, values, high=9_999))

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(3, 10_000, 10_000)] * 4
