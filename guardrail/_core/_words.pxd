# The C declarations of `_words.pyx`, which `_codes.pyx` imports.

from libc.stdint cimport uint8_t, uint32_t, uint16_t, uint64_t
from libc.string cimport memcmp, memcpy

from guardrail._core._column cimport Held


cdef inline uint64_t pack(const uint8_t *text, Py_ssize_t length) noexcept nogil:
    """Return up to 8 bytes as a number that no other text of this length has."""
    # of loads whose sizes are constants, which may overlap: no call of memcpy
    cdef uint64_t all8
    cdef uint32_t head4, tail4
    cdef uint16_t head2, tail2
    if length == 8:
        memcpy(&all8, text, 8)
        return all8
    if length >= 4:
        memcpy(&head4, text, 4)
        memcpy(&tail4, text + length - 4, 4)
        return head4 | <uint64_t> tail4 << 32
    if length >= 2:
        memcpy(&head2, text, 2)
        memcpy(&tail2, text + length - 2, 2)
        return head2 | <uint64_t> tail2 << 16
    return text[0] if length else 0


cdef inline uint64_t hash_of(const uint8_t *text, Py_ssize_t length) noexcept nogil:
    """Return a number that differs for different texts of the same length up to 8."""
    # The entries are the spec's, and few of them share a slot: whatever the data, a look-up
    # ends within the longest run of entries that the spec itself makes.
    cdef uint64_t hash = <uint64_t> length
    while length > 8:
        hash = (hash ^ pack(text, 8)) * <uint64_t> 0xFF51AFD7ED558CCD
        hash ^= hash >> 32
        text += 8
        length -= 8
    # both steps can be undone, and so keep different numbers apart
    hash = (hash ^ pack(text, length)) * <uint64_t> 0xFF51AFD7ED558CCD
    return hash ^ (hash >> 29)


cdef struct Slot:
    const uint8_t *text  # NULL where the slot is free
    Py_ssize_t length
    uint64_t hash


cdef struct Shorts:
    # where no text is over 7 bytes: a table in which each has a slot of its own
    const uint64_t *slots  # or NULL
    uint64_t seed


cdef class Choices:
    cdef readonly frozenset texts
    cdef tuple words
    cdef Slot *slots
    cdef uint64_t last  # their number, less one: a power of two less one
    cdef uint64_t *short_slots
    cdef Shorts shorts

    cdef spread(self)
    cdef bint fits(self, uint64_t seed) except -1


cdef uint8_t *hold_flags(Held held, Py_ssize_t rows) except? NULL


cdef inline bint is_listed(
    const Slot *slots, uint64_t last, const uint8_t *text, Py_ssize_t length
) noexcept nogil:
    cdef uint64_t hash = hash_of(text, length), place = hash & last
    while slots[place].text != NULL:
        if (
            slots[place].hash == hash and slots[place].length == length
            and (length <= 8 or memcmp(slots[place].text, text, length) == 0)
        ):
            return True
        place = (place + 1) & last
    return False
