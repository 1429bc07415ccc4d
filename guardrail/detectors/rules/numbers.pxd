# C declarations for numbers.py, which compiles as it stands.

cimport cython

from guardrail.detectors.rules.national cimport National

cdef int _PHONE, _CARD, _IBAN, _SSN, _NATIONAL_ID, _IPV4, _IPV6, _MAC
cdef int _LIMIT_GROUPS, _LIMIT_DIGITS


cdef class Numbers(National):
    @cython.locals(d="const unsigned char *", wanted="const unsigned char *", end=Py_ssize_t)
    cdef Py_ssize_t _number(self, Py_ssize_t at) except -1

    cdef bint _is_exponent(self, Py_ssize_t at) noexcept

    @cython.locals(
        d="const unsigned char *", size=Py_ssize_t, end=Py_ssize_t, sign=int, first=Py_ssize_t
    )
    cdef bint _is_fraction(self, Py_ssize_t at) noexcept

    @cython.locals(
        d="const unsigned char *", size=Py_ssize_t, stop=Py_ssize_t, digits=Py_ssize_t
    )
    cdef bint _has_fraction(self, Py_ssize_t at, Py_ssize_t end) except -1

    @cython.locals(d="const unsigned char *")
    cdef bint _more_groups(self, Py_ssize_t at) noexcept

    @cython.locals(d="const unsigned char *", first=Py_ssize_t, size=Py_ssize_t, before=int,
                   has_letter=bint)
    cdef bint _is_identifier(self, Py_ssize_t at) noexcept

    @cython.locals(d="const unsigned char *", end=Py_ssize_t)
    cdef Py_ssize_t _chained(self, Py_ssize_t at) except -1

    @cython.locals(d="const unsigned char *", letters=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t _lettered(self, Py_ssize_t at) except -1

    @cython.locals(
        d="const unsigned char *", first=Py_ssize_t, is_word=bint, before=int, is_part=bint
    )
    cdef Py_ssize_t _letters(self, Py_ssize_t at) noexcept

    @cython.locals(
        d="const unsigned char *", groups=int, total=int, spot=Py_ssize_t, size=int, sign=int,
        shape="unsigned long long",
    )
    cdef void _chain(self, Py_ssize_t at) noexcept

    cdef bint _is_shaped(self, unsigned long long shape, int groups) noexcept

    @cython.locals(group=int)
    cdef int _signed(self, int groups) noexcept

    @cython.locals(end=Py_ssize_t, group=int)
    cdef Py_ssize_t _stop(self, Py_ssize_t at, int groups) noexcept

    cdef bint _ends(self, Py_ssize_t end) except -1
    cdef bint _blocks(self, Py_ssize_t at) except -1

    cdef bint _follows(self, Py_ssize_t at) noexcept

    @cython.locals(n="unsigned char *", sign=int, area=int)
    cdef Py_ssize_t _ssn(self, Py_ssize_t at) except -1

    @cython.locals(first=int, groups=int, end=Py_ssize_t)
    cdef Py_ssize_t _national(self, Py_ssize_t at) except -1

    @cython.locals(d="const unsigned char *", end=Py_ssize_t)
    cdef int _national_groups(self, Py_ssize_t at, int first) except -1

    @cython.locals(sign=int)
    cdef int _grouped(self, Py_ssize_t at) except -1

    @cython.locals(d="const unsigned char *", sign=int)
    cdef bint _more(self, Py_ssize_t at) except -1

    @cython.locals(d="const unsigned char *", first=Py_ssize_t, end=Py_ssize_t)
    cdef Py_ssize_t _card(self, Py_ssize_t at, bint joined) except -1

    @cython.locals(
        spot=Py_ssize_t, count=Py_ssize_t, size=Py_ssize_t, sign=int,
        lines=int, char=int, place=Py_ssize_t, end=Py_ssize_t,
    )
    cdef Py_ssize_t _card_groups(self, Py_ssize_t at) except -1

    @cython.locals(place=Py_ssize_t)
    cdef int _sign_between(self, Py_ssize_t at, Py_ssize_t end) noexcept

    @cython.locals(d="const unsigned char *", spot=Py_ssize_t)
    cdef bint _in_column(self, Py_ssize_t at, Py_ssize_t end) noexcept

    @cython.locals(d="const unsigned char *", spot=Py_ssize_t, count=int, before=int, is_part=bint)
    cdef Py_ssize_t _card_spelled(self, Py_ssize_t at, int sign) except -1

    @cython.locals(
        d="const unsigned char *", total=int, count=int, place=Py_ssize_t, digit=int, head=int,
        read=int, is_named=bint,
    )
    cdef Py_ssize_t _card_ends(self, Py_ssize_t start, Py_ssize_t end) except -1

    @cython.locals(d="const unsigned char *", spot=Py_ssize_t, is_word=bint)
    cdef bint _is_worded(self, Py_ssize_t at) noexcept

    @cython.locals(groups=int)
    cdef Py_ssize_t _national_phone(self, Py_ssize_t at) except -1

    @cython.locals(stop=Py_ssize_t)
    cdef Py_ssize_t _phone(self, Py_ssize_t start, Py_ssize_t end) except -1

    @cython.locals(
        d="const unsigned char *", spot=Py_ssize_t, first=Py_ssize_t, size=Py_ssize_t
    )
    cdef Py_ssize_t _extension(self, Py_ssize_t at) except -1

    @cython.locals(n="unsigned char *", groups=int, first=int, shape="unsigned long long")
    cdef int _phone_groups(self, Py_ssize_t at) except -1

    @cython.locals(group=int)
    cdef bint _is_even(self, int groups) noexcept

    @cython.locals(end=Py_ssize_t, is_amount=bint)
    cdef bint _is_listed(self, Py_ssize_t at, int groups, int first) noexcept

    @cython.locals(size=int, first=int)
    cdef int _plain_phone(self, Py_ssize_t at) except -1

    @cython.locals(n="unsigned char *", least=int, most=int, groups=int, total=int, group=int)
    cdef int _trunk(self, Py_ssize_t at) except -1

    cdef bint _closes(self, Py_ssize_t end) except -1

    @cython.locals(
        d="const unsigned char *", spot=Py_ssize_t, total=Py_ssize_t, end=Py_ssize_t, groups=int,
        size=Py_ssize_t, place=Py_ssize_t, points=int, trunk=int, least=int, most=int, opened=bint,
        threes=bint,
    )
    cdef Py_ssize_t _international(self, Py_ssize_t at) except -1

    @cython.locals(d="const unsigned char *", end=Py_ssize_t, is_phone=bint)
    cdef Py_ssize_t _plus(self, Py_ssize_t at) except -1

    @cython.locals(d="const unsigned char *", stop=Py_ssize_t)
    cdef bint _is_amount(self, Py_ssize_t at) noexcept

    @cython.locals(d="const unsigned char *", first=Py_ssize_t)
    cdef bint _is_thousands(self, Py_ssize_t at, Py_ssize_t end) noexcept

    @cython.locals(n="unsigned char *")
    cdef bint _is_code(self, Py_ssize_t size) except -1

    @cython.locals(d="const unsigned char *", sign=int)
    cdef Py_ssize_t _gap(self, Py_ssize_t at, bint opened) noexcept

    @cython.locals(
        d="const unsigned char *", size=Py_ssize_t, spot=Py_ssize_t, end=Py_ssize_t, trunk=bint,
        total=int, groups=int, group=int, start=Py_ssize_t, count=int, first=int,
        shape="unsigned long long", is_american=bint,
    )
    cdef Py_ssize_t _bracket(self, Py_ssize_t at) except -1

    cdef bint _is_led(self, Py_ssize_t at) noexcept


cdef bint _is_country(int first, int second, int third) except -1

cdef int _least(int first, int second, int third) except -1
cdef int _most(int first, int second, int third) except -1

@cython.locals(two=int)
cdef int _code(int first, int second, int third) except -1

cdef bint _is_maestro(int head) noexcept

@cython.locals(two=int, three=int, four=int)
cdef bint _is_issued(int head, int count) noexcept
