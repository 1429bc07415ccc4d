"""Append frames to a file, with chained checks and a hash, compiled; `_tape_py` is the reference.

Frames are hashed a few at a time, because a call of the hash costs as much as hashing a short
frame. They are hashed from a copy in memory, because another process may change the file. At most 2,047
bytes are hashed at once, so that `hashlib` does not release the GIL; writes do not release it
either. A thread that released it at each record would wait for a switch interval each time.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport EINTR, EIO, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy
from posix.unistd cimport pwrite

import hashlib

cdef extern from "_crc.h":
    void guardrail_crc_begin() noexcept nogil
    uint32_t guardrail_crc32(
        uint32_t check, const unsigned char* data, size_t size, int is_portable
    ) noexcept nogil

guardrail_crc_begin()


cdef class Tape:
    """Appends frames to a file. See `_tape_py.Tape`."""

    def __cinit__(self, handle, Py_ssize_t size, bytes magic not None):
        if type(handle) is not int:
            raise TypeError("expected the descriptor of a file")
        self._handle = handle
        self._hash = hashlib.sha256()
        self.size = size
        if PyBytes_GET_SIZE(magic) > size:
            raise ValueError("the file is too short to begin with")
        self._put(<const unsigned char*>PyBytes_AS_STRING(magic), PyBytes_GET_SIZE(magic))

    def release(self):
        """Stop using the file: nothing more can be appended."""
        self._handle = -1
        self.size = 0

    cpdef append(self, int kind, bytes body):
        """Append a frame. See `_tape_py.Tape`."""
        cdef unsigned char framed[HASHED]
        cdef unsigned char* data = framed
        cdef uint64_t number = self.sequence
        cdef Py_ssize_t at, size
        cdef uint32_t check
        cdef bytes long_one = None
        if body is None or not 0 <= kind <= 255:
            raise TypeError("expected a kind of one byte and a body of bytes")
        size = PyBytes_GET_SIZE(body)
        if size > self.size - self.end - HEAD - CHECK:
            raise ValueError("the frame does not fit")
        if size > HASHED - HEAD - CHECK:
            long_one = PyBytes_FromStringAndSize(NULL, HEAD + size + CHECK)
            data = <unsigned char*>PyBytes_AS_STRING(long_one)
        for at in range(4):
            data[at] = <uint64_t>size >> (8 * at) & 255
        for at in range(8):
            data[4 + at] = number >> (8 * at) & 255
        data[12] = kind
        memcpy(&data[HEAD], PyBytes_AS_STRING(body), size)
        check = guardrail_crc32(self.check, data, HEAD + size, False)
        for at in range(CHECK):
            data[HEAD + size + at] = check >> (8 * at) & 255
        self._put(data, HEAD + size + CHECK)
        self.check = check
        self.sequence += 1

    def head(self):
        """Return the SHA-256 of all bytes so far, as 64 hexadecimal digits."""
        self._catch_up()
        return self._hash.copy().hexdigest()

    cdef int _put(self, const unsigned char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t part, count, done = 0
        while done < size:
            count = pwrite(self._handle, data + done, size - done, self.end + done)
            if count < 0:
                if errno != EINTR:
                    PyErr_SetFromErrno(OSError)
                PyErr_CheckSignals()
            elif count == 0:
                raise OSError(EIO, "the file took nothing")
            else:
                done += count
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
    """Return the CRC-32 of a part of some bytes. See `_tape_py`."""
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
