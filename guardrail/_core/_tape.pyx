"""Frames appended to a buffer, chained and hashed. Compiled; the twin is ``_tape_py``.

What is appended is hashed a few frames at a time, for a call of the hash costs as much as a short
frame's bytes, from a copy of its own: the buffer is a file's, which another process may change.
Never as many bytes at once as would make `hashlib` let another thread go first (2,048).
"""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

import hashlib
import mmap

cdef extern from "<sys/mman.h>" nogil:
    """
    #ifndef MADV_POPULATE_WRITE
    #define MADV_POPULATE_WRITE 23
    #endif
    """
    int MADV_POPULATE_WRITE
    int madvise(void* start, size_t size, int advice)

cdef extern from "_crc.h":
    void guardrail_crc_begin() noexcept nogil
    uint32_t guardrail_crc32(
        uint32_t check, const unsigned char* data, size_t size, int is_portable
    ) noexcept nogil

cdef size_t PAGE = mmap.PAGESIZE

guardrail_crc_begin()


cdef class Tape:
    """Frames, one behind the other, in a buffer. The definition is `_tape_py.Tape`."""

    def __cinit__(self, buffer, bytes magic not None):
        PyObject_GetBuffer(buffer, &self._view, PyBUF_WRITABLE)
        self._is_held = True
        self._hash = hashlib.sha256()
        if PyBytes_GET_SIZE(magic) > self._view.len:
            raise ValueError("the buffer is too short to begin with")
        self._put(<const unsigned char*>PyBytes_AS_STRING(magic), PyBytes_GET_SIZE(magic))

    def __dealloc__(self):
        self.release()

    def release(self):
        """Let go of the buffer: nothing can be appended any more."""
        if self._is_held:
            self._is_held = False
            PyBuffer_Release(&self._view)

    @property
    def size(self):
        """Bytes of the buffer."""
        return self._view.len if self._is_held else 0

    cpdef append(self, int kind, bytes body):
        """Append a frame. See the twin."""
        cdef unsigned char framed[HASHED]
        cdef unsigned char foot[CHECK]
        cdef uint64_t number = self.sequence
        cdef Py_ssize_t at, size
        cdef uint32_t check
        cdef const unsigned char* data
        if body is None or not 0 <= kind <= 255:
            raise TypeError("expected a kind of one byte and a body of bytes")
        size = PyBytes_GET_SIZE(body)
        data = <const unsigned char*>PyBytes_AS_STRING(body)
        if not self._is_held or size > self._view.len - self.end - HEAD - CHECK:
            raise ValueError("the frame does not fit")
        for at in range(4):
            framed[at] = <uint64_t>size >> (8 * at) & 255
        for at in range(8):
            framed[4 + at] = number >> (8 * at) & 255
        framed[12] = kind
        if size <= HASHED - HEAD - CHECK:  # in one piece
            memcpy(&framed[HEAD], data, size)
            check = guardrail_crc32(self._check, framed, HEAD + size, False)
            for at in range(CHECK):
                framed[HEAD + size + at] = check >> (8 * at) & 255
            self._put(framed, HEAD + size + CHECK)
        else:
            check = guardrail_crc32(self._check, framed, HEAD, False)
            check = guardrail_crc32(check, data, size, False)
            for at in range(CHECK):
                foot[at] = check >> (8 * at) & 255
            self._put(framed, HEAD)
            self._put(data, size)
            self._put(foot, CHECK)
        self._check = check
        self.sequence += 1

    def warm(self, Py_ssize_t upto):
        """Have the bytes up to a place at hand before they are written. See the twin."""
        cdef size_t start, stop
        if not self._is_held or upto <= self._warm:
            return
        start = <size_t>self._view.buf + max(self._warm, self.end)
        stop = <size_t>self._view.buf + min(upto, self._view.len)
        start = (start + PAGE - 1) // PAGE * PAGE
        stop = stop // PAGE * PAGE
        self._warm = upto
        if start < stop:
            with nogil:  # a machine that cannot (Linux before 5.14) maps each at its first use
                madvise(<void*>start, stop - start, MADV_POPULATE_WRITE)

    def head(self):
        """Return the SHA-256 of all bytes so far, as 64 hexadecimal digits."""
        self._catch_up()
        return self._hash.copy().hexdigest()

    cdef int _put(self, const unsigned char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t part
        memcpy(<char*>self._view.buf + self.end, data, size)
        self.end += size
        while size:
            if self._waiting == HASHED:
                self._catch_up()
            part = min(size, HASHED - self._waiting)
            memcpy(&self._unhashed[self._waiting], data, part)
            self._waiting += part
            data += part
            size -= part
        return 0

    cdef int _catch_up(self) except -1:
        if self._waiting:
            self._hash.update(
                PyBytes_FromStringAndSize(<const char*>self._unhashed, self._waiting)
            )
            self._waiting = 0
        return 0


def crc_of(bytes data not None, Py_ssize_t start, Py_ssize_t stop, uint32_t check=0):
    """Return the CRC-32 of a part of some bytes. See the twin."""
    if not 0 <= start <= stop <= PyBytes_GET_SIZE(data):
        raise ValueError("the bytes have no such part")
    return guardrail_crc32(
        check, <const unsigned char*>PyBytes_AS_STRING(data) + start, stop - start, False
    )


def _crc32(bytes data not None, uint32_t check=0, bint is_portable=False):
    """Return what ``zlib.crc32`` returns: for the tests."""
    return guardrail_crc32(
        check, <const unsigned char*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), is_portable
    )
