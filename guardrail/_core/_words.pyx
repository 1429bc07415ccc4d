# cython: cdivision=True
# cdivision: every divisor below is a constant.
"""Check the text in a table's columns, compiled; `_words_py` is the reference.

The module has `Choices` and the checks of Arrow's two layouts of text. Invalid offsets and views
never cause a read outside of a buffer: the bounds of each row are compared before its bytes are
read through a pointer. As with numbers there are screenings, of plain ASCII and of short choices,
and an exact loop that decides the rest.
"""

import sys

from cpython.buffer cimport PyBUF_RECORDS_RO, PyBUF_SIMPLE, PyBUF_WRITABLE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from guardrail._core._column cimport (
    MALFORMED, NOT_LISTED, NOT_TEXT, NULL_ROW, OK, TILE, TOO_LONG, Held, HeldNulls, Nulls,
    Verdict, add, as_tuple, dispatched, hold, hold_kind, hold_nulls, is_full, is_null, kind_of,
    unfold,
)


ctypedef fused ending:
    int32_t
    int64_t

cdef enum:
    VIEW_BYTES = 16
    LIMIT_INLINE = 12
    #: Bytes of a text that fits a number together with its length, and the table of such: 2 KiB.
    LIMIT_SHORT = 7
    SHORT_BITS = 8

#: For each length up to 7, a number whose bytes are ones as far as it goes; and none for 8.
cdef uint64_t HEADS[LIMIT_SHORT + 2]
#: How far to shift a length, so that it fills the byte of a number that no text of 7 has.
cdef int TAG_BITS = 56 if sys.byteorder == "little" else 0
cdef bytes _head
for _byte in range(LIMIT_SHORT + 1):
    _head = b"\xff" * _byte + b"\0" * (8 - _byte)
    memcpy(&HEADS[_byte], <const char *> _head, 8)
HEADS[LIMIT_SHORT + 1] = 0


cdef inline bint is_ascii(const uint8_t *text, Py_ssize_t length) noexcept nogil:
    cdef uint64_t seen = 0, word
    cdef Py_ssize_t i = 0
    while i + 8 <= length:
        memcpy(&word, text + i, 8)
        seen |= word
        i += 8
    while i < length:
        seen |= text[i]  # its highest bit is that of a byte of the word
        i += 1
    return not seen & <uint64_t> 0x8080808080808080


cdef inline Py_ssize_t count_chars(const uint8_t *text, Py_ssize_t length) noexcept nogil:
    """Return how many characters the UTF-8 has, or -1 if it is invalid (Unicode, table 3-7)."""
    cdef Py_ssize_t i = 0, chars = 0
    cdef int lead, low, high, more
    if is_ascii(text, length):
        return length
    while i < length:
        lead = text[i]
        i += 1
        chars += 1
        if lead < 0x80:
            continue
        low, high = 0x80, 0xBF  # of the second byte; the others always have these
        if 0xC2 <= lead <= 0xDF:
            more = 1
        elif 0xE0 <= lead <= 0xEF:
            more = 2
            if lead == 0xE0:
                low = 0xA0
            elif lead == 0xED:  # no surrogates
                high = 0x9F
        elif 0xF0 <= lead <= 0xF4:
            more = 3
            if lead == 0xF0:
                low = 0x90
            elif lead == 0xF4:
                high = 0x8F
        else:
            return -1
        if length - i < more or not low <= text[i] <= high:
            return -1
        i += 1
        more -= 1
        while more:
            if not 0x80 <= text[i] <= 0xBF:
                return -1
            i += 1
            more -= 1
    return chars


cdef inline uint64_t key_of(uint64_t word, uint64_t length) noexcept nogil:
    """Return a number for a text of up to 7 bytes, and for all longer ones another.

    ``word`` begins with the text and may go on with anything.
    """
    length = length if length <= LIMIT_SHORT else LIMIT_SHORT + 1
    return (word & HEADS[length]) ^ length << TAG_BITS


cdef inline uint64_t slot_of(uint64_t key, uint64_t seed) noexcept nogil:
    return (key ^ key >> 32) * seed >> (64 - SHORT_BITS)


cdef class Choices:
    """The texts that a column may hold. The definition is `_words_py.Choices`."""

    def __cinit__(self, texts):
        cdef uint64_t size = 8, place
        cdef const uint8_t *text
        cdef bytes word
        self.texts = frozenset(texts)
        self.words = tuple([choice.encode() for choice in self.texts])
        while size < 4 * <uint64_t> len(self.words):
            size *= 2
        self.slots = <Slot *> calloc(size, sizeof(Slot))
        if self.slots == NULL:
            raise MemoryError
        self.last = size - 1
        for word in self.words:
            text = <const uint8_t *> <const char *> word
            place = hash_of(text, len(word)) & self.last
            while self.slots[place].text != NULL:
                place = (place + 1) & self.last
            self.slots[place] = Slot(text, len(word), hash_of(text, len(word)))
        self.shorts.slots = NULL
        if self.words and max(map(len, self.words)) <= LIMIT_SHORT:
            self.spread()

    cdef spread(self):
        """Find a table in which no two words share a slot; leave it where none is found soon."""
        cdef uint64_t seed = <uint64_t> 0x9E3779B97F4A7C15
        cdef int attempt
        self.short_slots = <uint64_t *> malloc(sizeof(uint64_t) << SHORT_BITS)
        if self.short_slots == NULL:
            raise MemoryError
        for attempt in range(64):
            seed = (seed * <uint64_t> 6364136223846793005 + <uint64_t> 1442695040888963407) | 1
            if self.fits(seed):
                self.shorts = Shorts(self.short_slots, seed)
                return

    cdef bint fits(self, uint64_t seed) except -1:
        cdef uint64_t word
        cdef uint64_t *slot
        cdef bytes text
        memset(self.short_slots, 0xFF, sizeof(uint64_t) << SHORT_BITS)
        for text in self.words:
            word = 0
            memcpy(&word, <const char *> text, len(text))
            slot = &self.short_slots[slot_of(key_of(word, len(text)), seed)]
            if ~slot[0]:
                return False
            slot[0] = key_of(word, len(text))
        return True

    def __dealloc__(self):
        free(self.slots)
        free(self.short_slots)


cdef struct Taste:
    bint nullable
    Py_ssize_t max_chars  # or -1
    const Slot *slots     # or NULL
    uint64_t last
    Shorts shorts


cdef Taste taste_of(bint nullable, Py_ssize_t max_chars, Choices choices):
    cdef Taste taste
    memset(&taste, 0, sizeof(taste))
    taste.nullable, taste.max_chars = nullable, max_chars
    if choices is not None:
        taste.slots, taste.last, taste.shorts = choices.slots, choices.last, choices.shorts
    return taste


cdef inline int judge_word(
    const uint8_t *text, Py_ssize_t length, const Taste *taste
) noexcept nogil:
    cdef Py_ssize_t chars
    if taste.slots != NULL:
        if not is_listed(taste.slots, taste.last, text, length):
            return NOT_LISTED
        if taste.max_chars < 0:
            return OK
    chars = count_chars(text, length)
    if chars < 0:
        return NOT_TEXT
    return TOO_LONG if 0 <= taste.max_chars < chars else OK


cdef inline Py_ssize_t end_at(const char *offsets, ending *kind, Py_ssize_t i) noexcept nogil:
    cdef ending end
    memcpy(&end, offsets + sizeof(ending) * i, sizeof(ending))
    return end


cdef dispatched measure_ends(
    const char *offsets, ending *kind, Py_ssize_t rows, Py_ssize_t size, Py_ssize_t *nbytes
) noexcept nogil:
    """Find how many bytes of text offsets name, or -1 where any is out of order."""
    cdef Py_ssize_t first = end_at(offsets, kind, 0), last = end_at(offsets, kind, rows), row
    cdef ending bad = 0
    for row in range(rows):
        bad |= end_at(offsets, kind, row + 1) < end_at(offsets, kind, row)
    nbytes[0] = -1 if bad or not 0 <= first <= last <= size else last - first


cdef bint is_clean_text(
    const char *offsets, ending *kind, Py_ssize_t rows, const uint8_t *data, Py_ssize_t size,
    const Nulls *nulls, const Taste *taste,
) noexcept nogil:
    """Return whether a column of plain ASCII is surely good. False decides nothing."""
    cdef Py_ssize_t first = end_at(offsets, kind, 0), last = end_at(offsets, kind, rows)
    cdef Py_ssize_t start = first, end, i
    cdef bint bad = False
    if taste.slots != NULL or not 0 <= first <= last <= size:
        return False
    if not taste.nullable and not is_full(nulls, rows):
        return False
    for i in range(1, rows + 1):
        end = end_at(offsets, kind, i)
        bad |= end < start
        # in unsigned numbers, whose overflow is defined: offsets may be anything
        if taste.max_chars >= 0:
            bad |= <size_t> end - <size_t> start > <size_t> taste.max_chars
        start = end
    return not bad and is_ascii(data + first, last - first)


cdef inline bint are_listed_there(
    const char *offsets, ending *kind, Py_ssize_t first, Py_ssize_t rows, const uint8_t *data,
    const uint8_t *absent, const Shorts *shorts,
) noexcept nogil:
    """Return whether a tile of rows is listed, after each of which 8 bytes can be loaded."""
    cdef Py_ssize_t start, end = end_at(offsets, kind, first), i
    cdef uint64_t word, key
    for i in range(rows):
        start, end = end, end_at(offsets, kind, first + i + 1)
        if absent != NULL and absent[i]:
            continue
        memcpy(&word, data + start, 8)
        key = key_of(word, <uint64_t> (end - start))
        if shorts.slots[slot_of(key, shorts.seed)] != key:
            return False
    return True


cdef bint are_listed(
    const char *offsets, ending *kind, Py_ssize_t rows, const uint8_t *data, Py_ssize_t size,
    const Nulls *nulls, const Taste *taste,
) noexcept nogil:
    """Return whether a column of short choices is surely good. False decides nothing."""
    cdef uint8_t absent[TILE]
    cdef bint skips = not is_full(nulls, rows)
    cdef Py_ssize_t row = 0, near = rows, width, start, nbytes
    if taste.shorts.slots == NULL or taste.max_chars >= 0 or (skips and not taste.nullable):
        return False
    measure_ends(offsets, kind, rows, size, &nbytes)
    if nbytes < 0:
        return False
    # from here on offsets are in order; at the end there may be no 8 bytes to load
    while near > 0 and end_at(offsets, kind, near - 1) > size - 8:
        near -= 1
    while row < near:
        width = min(<Py_ssize_t> TILE, near - row)
        if skips:
            unfold(nulls, row, width, absent)
        if not are_listed_there(
            offsets, kind, row, width, data, absent if skips else NULL, &taste.shorts
        ):
            return False
        row += width
    while row < rows:
        start = end_at(offsets, kind, row)
        if not is_null(nulls, row) and not is_listed(
            taste.slots, taste.last, data + start, end_at(offsets, kind, row + 1) - start
        ):
            return False
        row += 1
    return True


cdef Verdict check_words(
    const char *offsets, ending *kind, Py_ssize_t rows, const uint8_t *data, Py_ssize_t size,
    const Nulls *nulls, const Taste *taste, uint8_t *flags,
) noexcept nogil:
    cdef Verdict verdict = Verdict(OK, 0, 0)
    cdef Py_ssize_t row, start, end
    cdef int code
    if flags == NULL and (
        is_clean_text(offsets, kind, rows, data, size, nulls, taste)
        or are_listed(offsets, kind, rows, data, size, nulls, taste)
    ):
        return verdict
    end = end_at(offsets, kind, 0)
    for row in range(rows):
        start, end = end, end_at(offsets, kind, row + 1)
        if not 0 <= start <= end <= size:
            code = MALFORMED
        elif is_null(nulls, row):
            code = OK if taste.nullable else NULL_ROW
        else:
            code = judge_word(data + start, end - start, taste)
        if flags != NULL:
            flags[row] = code
        add(&verdict, code, row)
    return verdict


cdef Held hold_offsets(offsets):
    cdef Held held = hold(offsets, PyBUF_RECORDS_RO)
    cdef char kind = kind_of(&held.view)
    if kind != b"i" and kind != b"q":
        raise TypeError("expected offsets as integers of 32 or 64 bits")
    if hold_kind(&held.view) and held.view.shape[0] == 0:
        raise ValueError("expected one offset more than rows")
    if held.view.strides != NULL and held.view.strides[0] != held.view.itemsize:
        raise ValueError("expected contiguous offsets")
    return held


cdef uint8_t *hold_flags(Held held, Py_ssize_t rows) except? NULL:
    if held is None:
        return NULL
    if held.view.len < rows:
        raise ValueError("expected a flag for each row")
    return <uint8_t *> held.view.buf


def check_text(
    offsets, data, validity, Py_ssize_t offset, bint nullable, Py_ssize_t max_chars,
    Choices choices, flags,
):
    """Find the bad rows of a column of text. The definition is `_words_py.check_text`."""
    cdef Held ends = hold_offsets(offsets), text, held_flags = None
    cdef HeldNulls absent
    cdef Taste taste = taste_of(nullable, max_chars, choices)
    cdef Verdict verdict
    cdef uint8_t *entries
    cdef Py_ssize_t rows
    rows = ends.view.shape[0] - 1
    text = hold(data, PyBUF_SIMPLE)
    absent = hold_nulls(rows, validity, offset, None)
    if flags is not None:
        held_flags = hold(flags, PyBUF_SIMPLE | PyBUF_WRITABLE)
    entries = hold_flags(held_flags, rows)
    with nogil:
        if ends.view.itemsize == 8:
            verdict = check_words[int64_t](
                <const char *> ends.view.buf, NULL, rows, <const uint8_t *> text.view.buf,
                text.view.len, &absent.nulls, &taste, entries,
            )
        else:
            verdict = check_words[int32_t](
                <const char *> ends.view.buf, NULL, rows, <const uint8_t *> text.view.buf,
                text.view.len, &absent.nulls, &taste, entries,
            )
    return as_tuple(verdict)


def measure_text(offsets, Py_ssize_t size):
    """Return how many bytes of text offsets name. The definition is `_words_py.measure_text`."""
    cdef Held held = hold_offsets(offsets)
    cdef const char *ends = <const char *> held.view.buf
    cdef Py_ssize_t rows = held.view.shape[0] - 1, nbytes
    if held.view.itemsize == 8:
        measure_ends[int64_t](ends, NULL, rows, size, &nbytes)
    else:
        measure_ends[int32_t](ends, NULL, rows, size, &nbytes)
    return nbytes


cdef struct Span:
    const uint8_t *text
    Py_ssize_t size


cdef inline int judge_view(
    const uint8_t *view, const Span *spans, Py_ssize_t count, const Taste *taste
) noexcept nogil:
    cdef int32_t length, index, start
    memcpy(&length, view, 4)
    if 0 <= length <= LIMIT_INLINE:
        return judge_word(view + 4, length, taste)
    memcpy(&index, view + 8, 4)
    memcpy(&start, view + 12, 4)
    if length < 0 or not 0 <= index < count or start < 0:
        return MALFORMED
    if length > spans[index].size or start > spans[index].size - length:
        return MALFORMED
    return judge_word(spans[index].text + start, length, taste)


cdef bint are_listed_views(
    const uint8_t *views, Py_ssize_t rows, const Nulls *nulls, const Taste *taste
) noexcept nogil:
    """Return whether a column of short choices is surely good. False decides nothing."""
    cdef bint skips = not is_full(nulls, rows)
    cdef Py_ssize_t row
    cdef int32_t length
    cdef uint64_t word, key
    if taste.shorts.slots == NULL or taste.max_chars >= 0 or (skips and not taste.nullable):
        return False
    for row in range(rows):
        if skips and is_null(nulls, row):
            continue
        memcpy(&length, views + VIEW_BYTES * row, 4)
        memcpy(&word, views + VIEW_BYTES * row + 4, 8)
        key = key_of(word, <uint64_t> length)  # a negative length is a long one
        if taste.shorts.slots[slot_of(key, taste.shorts.seed)] != key:
            return False
    return True


cdef Verdict judge_views(
    const uint8_t *views, Py_ssize_t rows, const Span *spans, Py_ssize_t count,
    const Nulls *nulls, const Taste *taste, uint8_t *flags,
) noexcept nogil:
    cdef Verdict verdict = Verdict(OK, 0, 0)
    cdef Py_ssize_t row
    cdef int code
    if flags == NULL and are_listed_views(views, rows, nulls, taste):
        return verdict
    for row in range(rows):
        if is_null(nulls, row):
            code = OK if taste.nullable else NULL_ROW
        else:
            code = judge_view(views + VIEW_BYTES * row, spans, count, taste)
        if flags != NULL:
            flags[row] = code
        add(&verdict, code, row)
    return verdict


cdef Py_ssize_t rows_of(Held held) except -1:
    if held.view.len % VIEW_BYTES:
        raise ValueError("expected 16 bytes per row")
    return held.view.len // VIEW_BYTES


def check_views(
    views, buffers, validity, Py_ssize_t offset, bint nullable, Py_ssize_t max_chars,
    Choices choices, flags,
):
    """Find the bad rows of a column of string views. The definition is `_words_py.check_views`."""
    cdef Held held = hold(views, PyBUF_SIMPLE), buffer, held_flags = None
    cdef list texts = [hold(each, PyBUF_SIMPLE) for each in buffers]
    cdef Py_ssize_t rows = rows_of(held), count = len(texts), i
    cdef HeldNulls absent = hold_nulls(rows, validity, offset, None)
    cdef Taste taste = taste_of(nullable, max_chars, choices)
    cdef uint8_t *entries
    cdef Verdict verdict
    cdef Span *spans
    if flags is not None:
        held_flags = hold(flags, PyBUF_SIMPLE | PyBUF_WRITABLE)
    entries = hold_flags(held_flags, rows)
    spans = <Span *> malloc((count + 1) * sizeof(Span))
    if spans == NULL:
        raise MemoryError
    try:
        for i in range(count):
            buffer = texts[i]
            spans[i] = Span(<const uint8_t *> buffer.view.buf, buffer.view.len)
        with nogil:
            verdict = judge_views(
                <const uint8_t *> held.view.buf, rows, spans, count, &absent.nulls, &taste, entries
            )
    finally:
        free(spans)
    return as_tuple(verdict)


def measure_views(views, validity, Py_ssize_t offset):
    """Return how many bytes of text views name. The definition is `_words_py.measure_views`."""
    cdef Held held = hold(views, PyBUF_SIMPLE)
    cdef Py_ssize_t rows = rows_of(held), row
    cdef HeldNulls absent = hold_nulls(rows, validity, offset, None)
    cdef const uint8_t *views_at = <const uint8_t *> held.view.buf
    cdef int64_t nbytes = 0  # 2**31 bytes in each of at most 2**59 rows of memory: no overflow
    cdef int32_t length
    cdef bint skips = not is_full(&absent.nulls, rows)
    for row in range(rows):
        memcpy(&length, views_at + VIEW_BYTES * row, 4)
        if not (skips and is_null(&absent.nulls, row)):
            nbytes += max(0, length)
    return nbytes
