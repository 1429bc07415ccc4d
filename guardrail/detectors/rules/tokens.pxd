# The C declarations of `tokens.py`.

cimport cython

from guardrail.detectors.scan.scan_state cimport ScanState

cdef int _PRIVATE_KEY, _JWT, _API_KEY, _HIDDEN_TEXT
cdef int _BY_ARMOUR, _BY_COMMENT, _BY_TOKEN, _BY_MAC, _BY_CHARS
cdef int _EXACT, _RANDOM, _POINTS, _ADDRESS
cdef Py_ssize_t _LIMIT_HEADER, _LIMIT_LABEL, _LIMIT_BOT, _LIMIT_MAC, _LIMIT_HOST, _LIMIT_MIXED


@cython.final
cdef class TokenRules:
    @cython.locals(
        text="const unsigned char *", number=int, prefix=bytes, mark=Py_ssize_t, chars=bytes,
        least=Py_ssize_t, how=int, kind=int, start=Py_ssize_t, end=Py_ssize_t,
    )
    cdef Py_ssize_t key(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(
        text="const unsigned char *", p="const unsigned char *", held="const unsigned char *",
        size=Py_ssize_t, place=Py_ssize_t, end=Py_ssize_t, first=Py_ssize_t,
    )
    cdef Py_ssize_t _fits(self, ScanState state, Py_ssize_t start, bytes prefix, bytes chars, Py_ssize_t least, int how
    ) except? -2

    @cython.locals(text="const unsigned char *", start=Py_ssize_t, host=Py_ssize_t)
    cdef Py_ssize_t _scheme(self, ScanState state, Py_ssize_t at) noexcept

    @cython.locals(
        text="const unsigned char *", changes=int, digits=int, odd=int, last=int, what=int, char=int,
        place=Py_ssize_t,
    )
    cdef bint _is_mixed(self, ScanState state, Py_ssize_t first, Py_ssize_t count) noexcept

    @cython.locals(text="const unsigned char *", start=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t telegram_bot(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(
        text="const unsigned char *", start=Py_ssize_t, end=Py_ssize_t, second=Py_ssize_t,
        place=Py_ssize_t,
    )
    cdef Py_ssize_t jwt(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(text="const unsigned char *")
    cdef Py_ssize_t _tail(self, ScanState state, Py_ssize_t at) noexcept

    @cython.locals(text="const unsigned char *", label=Py_ssize_t, stop=Py_ssize_t)
    cdef Py_ssize_t pem_block(self, ScanState state, Py_ssize_t at) except -1

    cdef Py_ssize_t _putty(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(text="const unsigned char *")
    cdef Py_ssize_t comment(self, ScanState state, Py_ssize_t at) except -1

    @cython.locals(end=Py_ssize_t)
    cdef Py_ssize_t _block(self, ScanState state, int kind, Py_ssize_t start, Py_ssize_t inner, int closer
    ) except -1

    @cython.locals(place=Py_ssize_t, end=Py_ssize_t)
    cpdef Py_ssize_t end_of_open(self, ScanState state, int closer, Py_ssize_t at) except? -2

    @cython.locals(text="const unsigned char *", place=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t _pem_end(self, ScanState state, Py_ssize_t at) except? -2

    @cython.locals(
        text="const unsigned char *", place=Py_ssize_t, first=Py_ssize_t, end=Py_ssize_t
    )
    cdef Py_ssize_t _putty_end(self, ScanState state, Py_ssize_t at) except? -2

    @cython.locals(text="const unsigned char *", chars=bytes, held="const unsigned char *")
    cdef Py_ssize_t _chars_end(self, ScanState state, int closer, Py_ssize_t at) except -1


