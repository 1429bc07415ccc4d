"""Measure plain data and search text, compiled; `_nested_py` is the reference.

A value is read by its exact type, so no code of the data runs. If a dict grows during the walk,
Python's `RuntimeError` ends it. Measured by ``benchmarks/validation/records.py``.
"""

from cpython.long cimport PyLong_AsLongLongAndOverflow

from guardrail._core import terms

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    int PyUnicode_KIND(object text)
    void *PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef enum:
    OK = 0
    TOO_DEEP = 1
    TOO_LARGE = 2
    TOO_MANY = 3
    HUGE_INTEGER = 4
    NOT_PLAIN = 5
    NOT_A_NAME = 6
    LIMIT_INTEGER_BITS = 14000

cdef enum:
    CONTROL = 1
    BIDI = 2
    TAG = 4
    SURROGATE = 8
    ZERO_WIDTH = 16

ctypedef fused unit:
    unsigned char
    unsigned short
    unsigned int

cdef enum:
    #: Below this lies nearly all text: the class of each character stands in a table, which
    #: costs half of what a search in the ranges does where text has typographic quotes.
    LOW = 0x10000
    PAGES = 0x1100
    LIMIT_RANGES = 64
    #: So many characters are searched without the GIL, and no fewer: `_tensor.pyx`.
    GIL_FREE_FROM = 16384

cdef unsigned char CLASS_OF[LOW]
#: The classes that each page of 256 characters has any of.
cdef unsigned char ON_PAGE[PAGES]
cdef unsigned int FIRSTS[LIMIT_RANGES]
cdef unsigned int LASTS[LIMIT_RANGES]
cdef unsigned char CLASSES[LIMIT_RANGES]
cdef int ranges = 0


cdef int fill() except -1:
    """Lay the ranges of `terms.CHARACTERS` out for the search."""
    global ranges
    cdef unsigned int character
    cdef int page
    for bit, pairs in terms.CHARACTERS.items():
        for first, last in pairs:
            if ranges == LIMIT_RANGES:
                raise ValueError("expected fewer ranges of characters")
            FIRSTS[ranges], LASTS[ranges], CLASSES[ranges] = first, last, bit
            ranges += 1
            for character in range(first, min(last + 1, LOW)):
                CLASS_OF[character] = bit
            for page in range(first >> 8, (last >> 8) + 1):
                ON_PAGE[page] |= <int> bit
    return 0


fill()


cdef inline int class_of(unsigned int character, int classes) noexcept nogil:
    """Return the class of a character where it is one of those, else 0."""
    cdef int index
    if character < LOW:
        return CLASS_OF[character] & classes
    if not (ON_PAGE[character >> 8] & classes):
        return 0
    for index in range(ranges):
        if FIRSTS[index] <= character <= LASTS[index]:
            return CLASSES[index] & classes
    return 0


cdef Py_ssize_t search_units(const unit *units, Py_ssize_t length, int classes) noexcept nogil:
    cdef Py_ssize_t index
    for index in range(length):
        if class_of(units[index], classes):
            return index
    return -1


cdef Py_ssize_t search(int kind, const void *data, Py_ssize_t length, int classes) noexcept nogil:
    if kind == 1:
        return search_units(<const unsigned char *> data, length, classes)
    if kind == 2:
        return search_units(<const unsigned short *> data, length, classes)
    return search_units(<const unsigned int *> data, length, classes)


cdef Py_ssize_t index_of(str text, int classes) except -2:
    """Return the index of the first character of these classes, or -1."""
    cdef int kind = PyUnicode_KIND(text)
    cdef const void *data = PyUnicode_DATA(text)
    cdef Py_ssize_t length = PyUnicode_GET_LENGTH(text), index
    if PyUnicode_IS_ASCII(text):
        classes &= CONTROL  # of the others, ASCII has none
    if not classes or (kind == 1 and not classes & (CONTROL | ZERO_WIDTH)):
        return -1
    if length < GIL_FREE_FROM:
        return search(kind, data, length, classes)
    with nogil:
        index = search(kind, data, length, classes)
    return index


def find_character(str text not None, int classes):
    """Return the class and index of the first character that is of any of the classes.

    The definition, with arguments and result, is `_nested_py.find_character`.
    """
    cdef Py_ssize_t index = index_of(text, classes)
    if index < 0:
        return 0, -1
    return class_of(ord(text[index]), classes), index


cdef inline long long text_bytes(str text) noexcept:
    """Return the most bytes that a text takes as UTF-8, in constant time."""
    cdef long long length = PyUnicode_GET_LENGTH(text)
    return (length if PyUnicode_IS_ASCII(text) else 4 * length) + 4


cdef inline long long count_bits(object number) except -1:
    """Return how many bits an integer has, its sign aside; from above where it is small."""
    cdef int overflow = 0
    cdef long long value = PyLong_AsLongLongAndOverflow(number, &overflow)
    cdef long long bits = 0
    if overflow:
        return number.bit_length()
    cdef unsigned long long size = (
        <unsigned long long> value if value >= 0 else -<unsigned long long> value
    )
    while size:
        size >>= 1
        bits += 1
    return bits


cdef class Walk:
    """One walk under way: what is left to look at, the sums, and the culprit where there is one.

    Containers stand in one list, their keys, parents and depths beside them: a tuple for each
    would be one more object for the garbage collector, which then runs within the walk.
    """

    cdef long long nodes, nbytes, max_bytes, max_nodes
    cdef list containers, keys, parents, depths, pending
    cdef tuple culprit
    cdef object kind

    cdef tuple steps_to(self, Py_ssize_t number):
        """Return the way to a container."""
        steps = []
        while number > 0:  # the outermost one is 0, and has no key
            steps.append(self.keys[number])
            number = self.parents[number]
        return tuple(reversed(steps))

    cdef int push(self, container, key, Py_ssize_t parent, Py_ssize_t depth) except -1:
        if self.pending is None:  # flat data needs none of them
            self.containers, self.keys, self.parents, self.depths = [None], [None], [0], [1]
            self.pending = []
        self.pending.append(len(self.containers))
        self.containers.append(container)
        self.keys.append(key)
        self.parents.append(parent)
        self.depths.append(depth)
        return 0

    cdef int see(self, item, key, Py_ssize_t number, Py_ssize_t depth) except -1:
        """Count one item of a container; return its code."""
        if type(item) is str:
            self.nbytes += text_bytes(<str> item)
        elif type(item) is int:
            bits = count_bits(item)
            if bits > LIMIT_INTEGER_BITS:
                return HUGE_INTEGER
            self.nbytes += bits // 3 + 4
        elif type(item) is float or item is None or type(item) is bool:
            self.nbytes += 26
        elif type(item) is dict or type(item) is list or type(item) is tuple:
            self.nbytes += 4
            self.push(item, key, number, depth + 1)
        else:
            self.culprit, self.kind = (*self.steps_to(number), key), type(item)
            return NOT_PLAIN
        return TOO_LARGE if self.nbytes > self.max_bytes else OK

    cdef int see_dict(self, dict container, Py_ssize_t number, Py_ssize_t depth) except -1:
        cdef int code
        for key, item in container.items():
            self.nodes += 1
            if self.nodes > self.max_nodes:
                return TOO_MANY
            if type(key) is not str or index_of(<str> key, SURROGATE) >= 0:
                self.culprit, self.kind = self.steps_to(number), type(key)
                return NOT_A_NAME
            self.nbytes += text_bytes(<str> key)
            code = self.see(item, key, number, depth)
            if code != OK:
                return code
        return OK

    cdef int see_items(self, items, Py_ssize_t number, Py_ssize_t depth) except -1:
        cdef int code
        cdef Py_ssize_t index = 0
        for item in items:
            self.nodes += 1
            if self.nodes > self.max_nodes:
                return TOO_MANY
            code = self.see(item, index, number, depth)
            if code != OK:
                return code
            index += 1
        return OK


def measure(value, long long max_depth, long long max_bytes, long long max_nodes):
    """Walk plain data once and return its size, or what is wrong.

    The definition, with arguments and result, is `_nested_py.measure`.
    """
    cdef Walk walk = Walk.__new__(Walk)
    cdef int code = OK
    cdef Py_ssize_t number = 0, depth = 1
    walk.nodes, walk.nbytes, walk.culprit, walk.kind = 0, 2, (), None
    walk.max_bytes, walk.max_nodes = max_bytes, max_nodes
    container = value
    while True:
        if depth > max_depth:
            code = TOO_DEEP
        elif walk.nbytes > max_bytes:
            code = TOO_LARGE
        elif type(container) is dict:
            code = walk.see_dict(<dict> container, number, depth)
        else:
            code = walk.see_items(container, number, depth)
        if code != OK or not walk.pending:
            break
        number = walk.pending.pop()
        container, depth = walk.containers[number], walk.depths[number]
    return code, walk.nbytes, walk.nodes, walk.culprit, walk.kind
