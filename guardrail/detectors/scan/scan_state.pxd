# The C declarations of `scan_state.py`.
#
# The padding after a text belongs to no class of characters. So a rule that reads on while the
# characters are of one class stops at the end of the text.

cimport cython

cdef int _LIMIT_GROUPS, _LIMIT_DIGITS, _SIZES_AT, _SIGNS_AT
cdef Py_ssize_t _LIMIT_CHAIN, _LIMIT_NAME


@cython.final
cdef class ScanSetup:
    cdef readonly bytes wanted
    cdef readonly bytes triggers
    cdef readonly bytes key_pairs
    cdef readonly bytes is_digit
    cdef readonly bytes is_word
    cdef readonly bytes is_alnum
    cdef readonly bytes is_hex
    cdef readonly bytes is_token
    cdef readonly bytes is_local
    cdef readonly bytes is_space
    cdef readonly bytes is_joint
    cdef readonly bytes is_glue
    cdef readonly dict keys
    cdef readonly tuple phones
    cdef readonly tuple tails
    cdef readonly tuple bbans
    cdef readonly bytes countries
    cdef readonly Py_ssize_t limit


cdef class ScanState


@cython.freelist(4)
@cython.final
cdef class DigitChain:
    cdef bytearray _store
    cdef unsigned char *digits
    cdef unsigned long long shape
    cdef int count

    cdef int size_of(self, int group) noexcept
    cdef int sign_after(self, int group) noexcept

    cdef int pair(self, int at) noexcept

    @cython.locals(total=int, digit=int, place=int)
    cdef bint passes_luhn(self, int first, int count) noexcept

    @cython.locals(
        text="const unsigned char *", groups=int, total=int, spot=Py_ssize_t, size=int, sign=int,
        shape="unsigned long long",
    )
    cdef void read(self, ScanState state, Py_ssize_t at) noexcept

    cdef bint is_shaped(self, unsigned long long shape, int groups) noexcept

    @cython.locals(group=int)
    cdef int common_sign(self, int groups) noexcept

    @cython.locals(end=Py_ssize_t, group=int)
    cdef Py_ssize_t end(self, Py_ssize_t at, int groups) noexcept

    @cython.locals(group=int)
    cdef bint is_even(self, int groups) noexcept


@cython.final
cdef class ScanState:
    cdef readonly ScanSetup setup
    cdef readonly bytearray data
    cdef unsigned char *text
    cdef readonly Py_ssize_t size
    cdef readonly Py_ssize_t floor
    cdef readonly Py_ssize_t until_armour
    cdef readonly Py_ssize_t until_comment
    cdef Py_ssize_t chain_low
    cdef Py_ssize_t chain_high
    cdef DigitChain chain
    cdef bint has_chain
    cdef readonly bint final
    cdef readonly bint nests
    cdef readonly int closer
    cdef readonly Py_ssize_t inner
    cdef readonly list found
    cdef const unsigned char *wanted
    cdef const unsigned char *is_digit
    cdef const unsigned char *is_word
    cdef const unsigned char *is_alnum
    cdef const unsigned char *is_hex
    cdef const unsigned char *is_token
    cdef const unsigned char *is_local
    cdef const unsigned char *is_space
    cdef const unsigned char *key_pairs
    cdef const unsigned char *countries
    cdef const unsigned char *is_joint
    cdef const unsigned char *is_glue

    cdef DigitChain start_chain(self)

    @cython.locals(text="const unsigned char *", before=int)
    cdef bint is_joined(self, Py_ssize_t at) noexcept

    @cython.locals(text="const unsigned char *", spot=Py_ssize_t, high=Py_ssize_t, char=int)
    cdef bint is_linked(self, Py_ssize_t at) noexcept

    @cython.locals(text="const unsigned char *", spot=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t next_group(self, Py_ssize_t at) noexcept

    @cython.locals(first=Py_ssize_t, before=bytes, name=bytes)
    cdef bint is_named(self, Py_ssize_t at, tuple names) except -1

    cdef bint follows_number(self, Py_ssize_t at) noexcept

    cpdef close(self, Py_ssize_t end)

    cdef Py_ssize_t accept(self, int kind, Py_ssize_t start, Py_ssize_t end) except -1

    cdef Py_ssize_t accept_open(
        self, int kind, Py_ssize_t start, Py_ssize_t end, int closer
    ) except -1

    @cython.locals(end=Py_ssize_t)
    cdef Py_ssize_t count_digits(self, Py_ssize_t at, Py_ssize_t limit) noexcept
