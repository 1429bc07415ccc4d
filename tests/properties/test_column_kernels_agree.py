"""Property: both kernels judge every column alike, wherever its buffers begin."""

import math
import os
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail._core import _codes_py, _column_py, _words_py

if os.environ.get("GUARDRAIL_PURE", "") not in ("", "0"):
    pytest.skip("GUARDRAIL_PURE is set: there is one kernel", allow_module_level=True)

from guardrail._core import _codes, _column, _words


def joined(*modules):
    """Return one kernel of several modules."""
    return SimpleNamespace(**{k: v for module in modules for k, v in vars(module).items()})


pure, compiled = joined(_column_py, _words_py, _codes_py), joined(_column, _words, _codes)

DTYPES = ["?", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
EDGES = [0.0, -0.0, 1.0, -1.0, 0.1, 2.0**53, 2.0**63, -(2.0**63), 2.0**64, 127.5, 255.5, 1e300]
BOUND = st.one_of(st.sampled_from([-math.inf, *EDGES, math.inf]), st.floats(allow_nan=False))
BOUNDS = st.tuples(BOUND, BOUND).map(sorted)
#: A few rows; one that is screened in part; several tiles.
LENGTHS = st.integers(0, 70) | st.sampled_from([511, 512, 513, 1100])
WORDS = [b"", b"DE", b"FR", b"abcdefgh", b"twelve bytes", b"more than twelve bytes", "é€𝄞".encode()]
BROKEN = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ab\xe2\x82", b"\x80"]
CHOICES = ["DE", "FR", "abcdefgh", "twelve bytes", "more than twelve bytes", "é€𝄞"]


def agree(name, *arguments):
    expected = getattr(pure, name)(*arguments)
    assert getattr(compiled, name)(*arguments) == expected
    return expected


@st.composite
def nulls(draw, length, *, masks=False):
    """A bitmap with an offset, and a mask: each of many values, of few, or none."""
    offset = draw(st.integers(0, 19))
    size = (offset + length + 7) // 8
    validity = draw(st.none() | st.sampled_from([b"\xff" * size, b"\0" * size]) | st.just(b"x"))
    if validity == b"x":
        validity = bytes(draw(st.randoms()).randbytes(size))
    if validity is None:
        offset = 0
    mask = None
    if masks and draw(st.booleans()):
        mask = bytearray(length)
        for row in draw(st.lists(st.integers(0, max(0, length - 1)), max_size=3)):
            if length:
                mask[row] = draw(st.integers(1, 255))
    return validity, offset, mask


@st.composite
def columns(draw):
    """Numbers at any stride, and at places that fit no boundary."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    length = draw(LENGTHS)
    base = np.zeros(length * 2, dtype)
    for _ in range(draw(st.integers(0, 4))):
        if length:
            raw = draw(st.binary(min_size=dtype.itemsize, max_size=dtype.itemsize))
            base[draw(st.integers(0, 2 * length - 1))] = np.frombuffer(raw, dtype)[0]
    values = base[:: draw(st.sampled_from([2, -2]))]
    if draw(st.booleans()):
        values = values.copy()
        if draw(st.booleans()):
            raw = b"\0" + values.tobytes()
            values = np.frombuffer(raw, dtype, offset=1)
    return values


def by_definition(values, absent, low, high, finite, nullable, nan_is_null):
    bad = []
    plain = values.view("u1" if values.dtype == bool else values.dtype).tolist()
    for row, number in enumerate(plain):
        nat = values.dtype == "i8" and number == -(2**63)
        if absent[row] or (nan_is_null and (number != number or nat)):
            bad += [(4, row)] * (not nullable)
        elif finite and not math.isfinite(number):
            bad.append((1, row))
        elif number != number:
            bad += [(1, row)] * (low > -math.inf or high < math.inf)
        elif number < low:
            bad.append((2, row))
        elif number > high:
            bad.append((3, row))
    return (*bad[0], len(bad)) if bad else (0, 0, 0)


def absent_rows(length, validity, offset, mask):
    rows = [mask is not None and mask[row] != 0 for row in range(length)]
    if validity is not None:
        bits = np.unpackbits(np.frombuffer(validity, "u1"), bitorder="little")[offset:]
        rows = [one or not bit for one, bit in zip(rows, bits[:length], strict=True)]
    return rows


@settings(max_examples=400, deadline=None)
@given(columns(), BOUNDS, st.booleans(), st.booleans(), st.booleans(), st.data())
def test_numbers(values, bounds, finite, nullable, nan_is_null, data):
    validity, offset, mask = data.draw(nulls(len(values), masks=True))
    rule = (*bounds, finite, nullable, nan_is_null)
    found = agree("check_numbers", memoryview(values), validity, offset, mask, *rule)
    assert found == by_definition(values, absent_rows(len(values), validity, offset, mask), *rule)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), -(2**63) + 1]), max_size=4
    ),
    BOUNDS,
    st.integers(1, 600),
    st.booleans(),
    st.booleans(),
)
def test_64_bit_integers_never_round(integers, bounds, repeat, nullable, nat):
    values = np.array(integers * repeat, "i8")
    for each in (values, values.view("u8")):
        found = agree("check_numbers", each, None, 0, None, *bounds, True, nullable, nat)
        assert found == by_definition(each, [False] * len(each), *bounds, True, nullable, nat)


@settings(max_examples=200, deadline=None)
@given(LENGTHS, st.data())
def test_nulls(length, data):
    validity, offset, mask = data.draw(nulls(length, masks=True))
    absent = absent_rows(length, validity, offset, mask)
    code, first, count = agree("check_nulls", length, validity, offset, mask)
    assert count == sum(absent)
    assert (code, first) == ((4, absent.index(True)) if count else (0, 0))


TEXTS = st.lists(st.sampled_from(WORDS) | st.sampled_from([*WORDS, *BROKEN]), max_size=40)
LISTED = st.none() | st.just(CHOICES) | st.just([]) | st.just([*map(str, range(100)), "FR"])


def by_words(words, absent, nullable, max_chars, choices):
    codes = []
    for word, is_null in zip(words, absent, strict=True):
        if is_null:
            codes.append(0 if nullable else 4)
        elif choices is not None and word not in [each.encode() for each in choices]:
            codes.append(5)
        else:
            try:
                chars = len(word.decode())
            except UnicodeDecodeError:
                codes.append(7)
            else:
                codes.append(6 if 0 <= max_chars < chars else 0)
    return codes


def verdict_of(codes):
    bad = [(code, row) for row, code in enumerate(codes) if code]
    return (*bad[0], len(bad)) if bad else (0, 0, 0)


def agree_on_flags(name, *arguments, rows, choices):
    """Return the verdict and the flags; both kernels say the same with flags and without."""
    own, theirs = bytearray(rows), bytearray(rows)
    one = None if choices is None else pure.Choices(choices)
    other = None if choices is None else compiled.Choices(choices)
    expected = getattr(pure, name)(*arguments, one, own)
    assert getattr(compiled, name)(*arguments, other, theirs) == expected
    assert getattr(compiled, name)(*arguments, other, None) == expected
    assert theirs == own
    return expected, list(own)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from("iq"), st.integers(0, 3), st.booleans(), LISTED, st.data())
def test_text(words, kind, before, nullable, choices, data):
    ends = [before]
    for word in words:
        ends.append(ends[-1] + len(word))
    offsets = memoryview(struct.pack(f"={len(ends)}{kind}", *ends)).cast(kind)
    text = b"\xff" * before + b"".join(words) + b"\xff"
    validity, offset, _ = data.draw(nulls(len(words)))
    max_chars = data.draw(st.integers(-1, 25))
    arguments = (offsets, text, validity, offset, nullable, max_chars)
    found = agree_on_flags("check_text", *arguments, rows=len(words), choices=choices)
    absent = absent_rows(len(words), validity, offset, None)
    codes = by_words(words, absent, nullable, max_chars, choices)
    assert found == (verdict_of(codes), codes)
    assert agree("measure_text", offsets, len(text)) == sum(map(len, words))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 3, 5, -1, 6, 2**31, -(2**31), 2**62, -(2**63)]), min_size=1),
    st.booleans(),
    st.integers(-1, 3),
    st.data(),
)
def test_offsets_that_are_none(ends, nullable, max_chars, data):
    kind = data.draw(st.sampled_from("iq"))
    if kind == "i":
        ends = [max(-(2**31), min(end, 2**31 - 1)) for end in ends]
    offsets = memoryview(struct.pack(f"={len(ends)}{kind}", *ends)).cast(kind)
    validity, offset, _ = data.draw(nulls(len(ends) - 1))
    arguments = (offsets, b"abcde", validity, offset, nullable, max_chars)
    (code, _, _), flags = agree_on_flags(
        "check_text", *arguments, rows=len(ends) - 1, choices=data.draw(LISTED)
    )
    for row, flag in enumerate(flags):
        assert (flag == 8) == (not 0 <= ends[row] <= ends[row + 1] <= 5)
    if agree("measure_text", offsets, 5) >= 0:
        assert 8 not in flags
    else:
        assert 8 in flags or not 0 <= ends[0] <= 5
    assert (code == 0) == (not any(flags))


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=6) | st.text(max_size=6).map(lambda text: text.encode("utf-8", "replace"))
)
def test_what_is_utf_8_is_what_python_reads(raw):
    offsets = memoryview(struct.pack("=2i", 0, len(raw))).cast("i")
    agree_on_flags("check_text", offsets, raw, None, 0, False, 2, rows=1, choices=None)


def test_every_pair_of_bytes_is_utf_8_or_not():
    for tail in (b"", b"\x80", b"\x80\x80", b"\xbf\xbf"):
        raw = b"".join(bytes((lead, second)) + tail for lead in range(256) for second in range(256))
        step = 2 + len(tail)
        ends = range(0, len(raw) + 1, step)
        offsets = memoryview(struct.pack(f"={len(ends)}i", *ends)).cast("i")
        arguments = (offsets, raw, None, 0, False, 1)
        agree_on_flags("check_text", *arguments, rows=len(ends) - 1, choices=None)


def as_views(words, data):
    """Lay words out as Arrow does, over two buffers; now and then a view is nonsense."""
    buffers, views = [bytearray(b"\xff"), bytearray()], b""
    for word in words:
        if len(word) <= 12:
            views += struct.pack("=i12s", len(word), word)
            continue
        index = data.draw(st.integers(0, 1))
        views += struct.pack("=i4sii", len(word), word[:4], index, len(buffers[index]))
        buffers[index] += word
    return bytes(views), buffers


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.booleans(), LISTED, st.integers(-1, 25), st.data())
def test_views(words, nullable, choices, max_chars, data):
    views, buffers = as_views(words, data)
    validity, offset, _ = data.draw(nulls(len(words)))
    absent = absent_rows(len(words), validity, offset, None)
    arguments = (views, buffers, validity, offset, nullable, max_chars)
    found = agree_on_flags("check_views", *arguments, rows=len(words), choices=choices)
    codes = by_words(words, absent, nullable, max_chars, choices)
    assert found == (verdict_of(codes), codes)
    present = [word for word, is_null in zip(words, absent, strict=True) if not is_null]
    assert agree("measure_views", views, validity, offset) == sum(map(len, present))


INTS = st.sampled_from([0, 1, 12, 13, 14, 20, -1, 2**31 - 1, -(2**31)])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(INTS, INTS, INTS), max_size=5), st.integers(0, 2), LISTED)
def test_views_that_are_none(triples, count, choices):
    views = b"".join(struct.pack("=i4xii", *triple) for triple in triples)
    buffers = [b"fourteen bytes"] * count
    arguments = (views, buffers, None, 0, False, -1)
    _, flags = agree_on_flags("check_views", *arguments, rows=len(triples), choices=choices)
    for (length, index, start), flag in zip(triples, flags, strict=True):
        is_there = 0 <= index < count and 0 <= start <= 14 - length
        assert (flag == 8) == (length < 0 or (length > 12 and not is_there))
    agree("measure_views", views, None, 0)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from("bhiqBHIQ"),
    st.lists(st.integers(-3, 9), max_size=60),
    st.binary(max_size=6),
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_codes(kind, codes, flags, nullable, minus_is_null, data):
    values = np.array(codes, "i8").astype(kind)[:: data.draw(st.sampled_from([1, 2, -1]))]
    validity, offset, _ = data.draw(nulls(len(values)))
    found = agree("check_codes", values, validity, offset, flags, nullable, minus_is_null)
    expected = []
    for code, is_null in zip(
        values.tolist(), absent_rows(len(values), validity, offset, None), strict=True
    ):
        if is_null or (minus_is_null and code == -1):
            expected.append(0 if nullable else 4)
        else:
            expected.append(flags[code] if 0 <= code < len(flags) else 8)
    assert found == verdict_of(expected)


class Text(str):
    __slots__ = ()


NA = object()
ITEMS = st.one_of(
    st.text(max_size=4),
    st.sampled_from(["DE", "FR", None, NA, math.nan, 1.5, b"DE", 3, "\ud800", "é\udfff", "𝄞"]),
    st.just(Text("DE")),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(ITEMS, max_size=12),
    st.sampled_from([None, NA]),
    st.booleans(),
    st.integers(-1, 4),
    LISTED,
    st.sampled_from([1, 2, -1]),
)
def test_objects(items, na, nullable, max_chars, choices, step):
    values = np.empty(len(items), object)
    values[:] = items
    values = values[::step]
    arguments = (values, na, nullable, max_chars)
    agree_on_flags("check_objects", *arguments, rows=len(values), choices=choices)
    code, _, nbytes = agree("measure_objects", values, na)
    if code == 0:
        texts = [item for item in values if type(item) is str]
        assert nbytes >= len("".join(texts).encode("utf-8", "surrogatepass"))
