# C declarations for sheet.py, which compiles as it stands. The padding behind a text is never
# part of any class of characters, so a rule that goes on while a class holds stays inside.

cimport cython


cdef class Setup:
    cdef readonly bytes wanted
    cdef readonly bytes triggers
    cdef readonly bytes pairs
    cdef readonly bytes digit
    cdef readonly bytes word
    cdef readonly bytes alnum
    cdef readonly bytes hexa
    cdef readonly bytes token
    cdef readonly bytes local
    cdef readonly bytes space
    cdef readonly bytes sign
    cdef readonly bytes glue
    cdef readonly dict keys
    cdef readonly tuple phones
    cdef readonly tuple tails
    cdef readonly tuple bbans
    cdef readonly bytes countries
    cdef readonly Py_ssize_t limit


cdef class Sheet:
    cdef readonly Setup setup
    cdef readonly bytearray data
    cdef unsigned char *_d
    cdef readonly Py_ssize_t size
    cdef readonly Py_ssize_t floor
    cdef readonly Py_ssize_t until_armour
    cdef readonly Py_ssize_t until_comment
    cdef Py_ssize_t chain_low
    cdef Py_ssize_t chain_high
    cdef readonly bint final
    cdef readonly bint nests
    cdef readonly int closer
    cdef readonly Py_ssize_t inner
    cdef readonly list found
    cdef const unsigned char *_wanted
    cdef const unsigned char *_digit
    cdef const unsigned char *_word
    cdef const unsigned char *_alnum
    cdef const unsigned char *_hexa
    cdef const unsigned char *_token
    cdef const unsigned char *_local
    cdef const unsigned char *_space
    cdef const unsigned char *_pairs
    cdef const unsigned char *_countries
    cdef const unsigned char *_sign
    cdef const unsigned char *_glue

    cdef _lay(self, Setup setup, bytearray data, bint final, bint nests)
    cpdef close(self, Py_ssize_t end)
    cdef Py_ssize_t _accept(self, int kind, Py_ssize_t start, Py_ssize_t end) except -1
    cdef Py_ssize_t _accept_open(
        self, int kind, Py_ssize_t start, Py_ssize_t end, int closer
    ) except -1

    @cython.locals(end=Py_ssize_t)
    cdef Py_ssize_t _run(self, Py_ssize_t at, Py_ssize_t limit) noexcept
