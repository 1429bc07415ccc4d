"""Passwords and tokens without a format, recognised by the text before them.

`CredentialSearch` is the kind ``credential``. Like a custom kind it has a pattern, and checks each
match. Only the value is cut: the name, the user and the host stay. The check excludes values that
the pattern can't: a placeholder, a name in code, a key of another kind.
"""

from __future__ import annotations

import binascii
import re
import string
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from guardrail.detectors.kinds import KINDS, NAMES
from guardrail.detectors.scan.folding import PAD
from guardrail.detectors.scan.patterns import Pattern, read_pattern
from guardrail.detectors.scan.scan_state import ScanState
from guardrail.detectors.scan.scanner_core import ScannerCore

#: The most characters of a possible match that are held back; a longer one is rejected.
LIMIT_HELD: Final = 4_096

#: A user's password in an address (RFC 3986, section 3.2.1). By the RFC it has no / ? #, but people
#: write these, so the second form accepts them unless the password begins with a port.
_ADDRESS: Final = (
    r"""[a-z][a-z0-9+.-]{1,15}://[^\s/?#:@"'<>`]*:"""
    r"""(?:([^\s/?#"'<>`]+)@|([^\s"'<>`@]{1,40})@)"""
)
#: The value after a scheme (RFC 9110, section 11.2, token68), and any value, except a token that is
#: another kind (RFC 7519), which has no maximum length.
_SENT: Final = (
    r"""(?-i:(?:[A-Za-df-z0-9._~+/-]|e[A-Za-xz0-9._~+/-]|ey[A-IK-Za-z0-9._~+/-])"""
    r"""[A-Za-z0-9._~+/-]*=*)"""
)
_VALUE: Final = (
    r"""(?-i:(?:[^\s"'\\,;&<>`|e]|e[^\s"'\\,;&<>`|y]|ey[^\s"'\\,;&<>`|J])[^\s"'\\,;&<>`|]*"""
    r"""|ey?)"""
)
#: HTTP credentials: with the name of the header (RFC 9110, section 11.6.2), and without.
_SCHEMES: Final = "basic|bearer|token|apikey|api-key|key|digest|negotiate|ntlm|ssws|hawk"
_HEADER: Final = (
    rf"""authorization["'\\]{{0,2}}\s{{0,3}}(?:=>|:=|[:=])\s{{0,3}}["'\\]{{0,2}}"""
    rf"""(?:({_SCHEMES})\s{{1,3}})?({_SENT})"""
)
_SCHEME: Final = rf"""(bearer|basic)\s{{1,3}}({_SENT})"""
#: Names of passwords, which may have any value; and names of tokens, whose values have digits.
_PASSWORDS: Final = (
    "password|passwd|passwort|passphrase|passcode|kennwort|contrasena|senha|wachtwoord"
    "|mot de passe|pwd|pass|pw"
)
_TOKENS: Final = (
    "api[ _.-]?key|apikey|access[_.-]?key|secret[_.-]?key|auth[_.-]?key|private[_.-]?key"
    "|signing[_.-]?key|encryption[_.-]?key|subscription[_.-]?key|license[_.-]?key"
    "|secret|token|auth|credentials?"
)
_NAMED: Final = (
    rf"""(?:({_PASSWORDS})|({_TOKENS}))["'\\]{{0,2}}\]?\s{{0,3}}(:=|=>|[:=])\s{{0,3}}"""
    r"""(?:"((?:[^"\\\n]|\\[^\n])+)"|'((?:[^'\\\n]|\\[^\n])+)'|\\"([^"\\\n]+)\\"|"""
    rf"""({_VALUE}))"""
)
_PATTERN: Final = f"(?i)(?:{_ADDRESS}|{_HEADER}|{_SCHEME}|{_NAMED})"

#: The groups of the pattern.
_IN_ADDRESS, _IN_ADDRESS_RAW = 1, 2
_HEADER_SCHEME, _HEADER_VALUE = 3, 4
_LONE_SCHEME, _LONE_VALUE = 5, 6
_PASSWORD, _TOKEN, _SIGN, _QUOTED, _UNQUOTED = 7, 8, 9, (10, 11, 12), 13

#: Short names must be whole words; they may follow a letter only at a word boundary: ``authToken``.
_SHORT: Final = frozenset((b"pass", b"pw", b"pwd", b"auth", b"secret", b"token"))
_COMPOUNDS: Final = (
    b"access", b"auth", b"refresh", b"id", b"session", b"bearer", b"client", b"app", b"user",
    b"api", b"csrf", b"bot", b"hub", b"db", b"root", b"admin", b"my", b"master", b"shared",
)  # fmt: skip
#: The most characters before the name in a mark.
_LIMIT_MARK: Final = 42
#: Punctuation that ends a sentence, and closing brackets that were not opened in the value.
_TRAILING: Final = b".:"
_BRACKETS: Final = {ord(")"): b"(", ord("]"): b"[", ord("}"): b"{"}
_PORT: Final = re.compile(rb"\d{1,5}(?:[/?#]|$)")
#: Placeholders: variables, tags, formats, repetitions of one character.
_PLACEHOLDER: Final = re.compile(
    rb"\$[A-Za-z_]\w*$|\$[{(]|%\w+%$|%[sdr]$|%\(|[{<]|\*+$|\.+$|x{3,}$|-+$|_+$"
    rb"|(?:none|null|nil|true|false|undefined|required|optional|string|str|text|empty|redacted"
    rb"|example|changeme|todo)$",
    re.IGNORECASE,
)
#: Code that reads a value: a call, an item, an attribute.
_CODE: Final = re.compile(rb"[A-Za-z_$][A-Za-z_.>-]*[(\[]|[A-Za-z_$][A-Za-z_]*(?:\.[A-Za-z_]+)+$")
_ALNUM: Final = re.compile(rb"[0-9A-Za-z\x80]")
_LETTERS: Final = frozenset(string.ascii_letters.encode())
_CAPITALS: Final = re.compile(rb"[A-Z]{2}")
_WORD: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


class CredentialSearch:
    """The kind ``credential``, for `custom_kinds.Search`.

    Arguments:
        core: the scan for formats, to recognize a value that is a key or token by its format.
        own: names of the bundle's own kinds, whose marks are not values.
    """

    __slots__ = ("_core", "_marks", "held", "name", "pattern")

    spare = 1

    def __init__(self, core: ScannerCore, own: Iterable[str] = ()) -> None:
        self.name = "credential"
        self.held = LIMIT_HELD
        self.pattern = _pattern()
        self._core = core
        names = "|".join((*KINDS, *own))
        self._marks = re.compile(rf"\[(?:{names})(?::[0-9a-f]{{8}})?\]|\x81".encode("latin-1"))

    @property
    def delay_chars(self) -> int:
        """The most characters that a stream holds back for it."""
        return self.held

    def span(self, match: Any) -> tuple[int, int, int]:
        """Return the place of a match's value, without the punctuation after it."""
        start, end = self._value(match)
        return match.start(), start, end

    def resume(self, start: int, end: int) -> int:  # noqa: ARG002 (the other end counts elsewhere)
        """Return where the search continues: a rejected value may contain another one."""
        return start

    def _value(self, match: Any) -> tuple[int, int]:
        for group in (_IN_ADDRESS, _IN_ADDRESS_RAW, *_QUOTED):
            start, end = match.span(group)
            if start >= 0:
                return start, end
        for group in (_HEADER_VALUE, _LONE_VALUE, _UNQUOTED):
            start, end = match.span(group)
            if start >= 0:
                return start, start + _size(match.group(group))
        raise AssertionError  # pragma: no cover (each form has a value)

    def judge(
        self,
        plain: bytes,
        match: Any,
        start: int,
        end: int,
        final: bool,
    ) -> bool:
        """Return whether the value of a match is a password or a token."""
        del final  # the whole value is present
        value = plain[start:end]
        mark = self._marks.search(value)
        if mark is not None:  # a part of it was cut: the text before that counts
            value = value[: mark.start()]
            if match.start(_IN_ADDRESS) >= 0 or match.start(_IN_ADDRESS_RAW) >= 0:
                return False
        if _ALNUM.search(value) is None or not self._counts(plain, match, value):
            return False
        return not self._has_own_kind(plain[start:end])  # another kind cuts it

    def _counts(self, plain: bytes, match: Any, value: bytes) -> bool:
        """Return whether a value is a credential, by the text before it."""
        if match.start(_IN_ADDRESS) >= 0:
            return True
        if match.start(_IN_ADDRESS_RAW) >= 0:
            return _PORT.match(value) is None
        if _PLACEHOLDER.match(value):
            return False
        scheme = match.group(_HEADER_SCHEME) or match.group(_LONE_SCHEME)
        if match.start(_HEADER_VALUE) >= 0 or scheme is not None:
            return _is_sent(value, scheme, has_name=match.start(_HEADER_VALUE) >= 0)
        return not self._is_in_mark(plain, match.start()) and _is_named(plain, match, value)

    def _is_in_mark(self, plain: bytes, place: int) -> bool:
        """Return whether a name is in the mark of a cut: ``[api_key:...]``."""
        bracket = plain.rfind(b"[", max(0, place - _LIMIT_MARK), place)
        mark = self._marks.match(plain, bracket) if bracket >= 0 else None
        return mark is not None and mark.end() > place

    def _has_own_kind(self, value: bytes) -> bool:
        """Return whether a whole value is a key or a token by its format."""
        data = bytearray(bytes(PAD) + value + bytes(PAD))
        state = ScanState(self._core.setup, data, True, False)
        self._core.scan(state, PAD, state.size)
        return any(
            NAMES[kind] in _FORMATTED and start == PAD and end == state.size
            for kind, start, end in state.found
        )


@lru_cache(maxsize=1)
def _pattern() -> Pattern:
    """Return the compiled pattern, cached because compilation is slow."""
    return read_pattern(_PATTERN, is_edged=False)


def _size(value: bytes) -> int:
    """Return the size of a value without punctuation and closing brackets at its end."""
    size = len(value)
    if size > 2 and value.endswith((b"**", b"__")):
        size -= 2  # emphasis in Markdown
    while size > 1:
        last = value[size - 1]
        opens = _BRACKETS.get(last)
        is_over = opens is not None and value.count(opens, 0, size) < value.count(last, 0, size)
        if last not in _TRAILING and not is_over:
            break
        size -= 1
    return size


_FORMATTED: Final = frozenset(("api_key", "jwt", "private_key"))


def _is_sent(value: bytes, scheme: bytes | None, *, has_name: bool) -> bool:
    """Return whether a value after a scheme, or after ``Authorization``, is a credential."""
    name = (scheme or b"").lower()
    if name == b"basic":
        return _is_basic(value)
    if name in (b"bearer", b"negotiate", b"digest", b"ntlm", b"hawk", b"ssws") and has_name:
        return value.lower() not in (b"token", b"tokens", b"auth", b"authentication")
    return _is_token(value, 8 if has_name else 16)


def _is_basic(value: bytes) -> bool:
    """Return whether a value is a user and a password in base64 (RFC 7617)."""
    body = value.rstrip(b"=")
    if len(body) < 6:
        return False
    try:
        plain = binascii.a2b_base64(body + b"=" * (-len(body) % 4), strict_mode=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    return ":" in plain and plain.isprintable()


def _is_token(value: bytes, least: int) -> bool:
    """Return whether a value has the length and the mix of characters of a token, not of a word."""
    digits = sum(48 <= code <= 57 for code in value)
    letters = sum(code > 64 for code in value)
    if len(value) < least:
        return False
    return (digits > 0 and letters > 0) or _is_mixed(value)


def _is_mixed(value: bytes) -> bool:
    """Return whether letters are mixed as in no name of several words."""
    capitals = sum(65 <= code <= 90 for code in value)
    return (
        len(value) >= 16
        and len(value) <= 4 * capitals
        and value.lower() != value.upper()
        and (capitals < len(value))
    )


def _is_named(plain: bytes, match: Any, value: bytes) -> bool:
    """Return whether a value after a name is a password or a token."""
    group = _PASSWORD if match.start(_PASSWORD) >= 0 else _TOKEN
    name = match.group(group).lower()
    place = match.start(group)
    if not _is_whole(plain, place, name):
        return False
    is_quoted = match.start(_UNQUOTED) < 0
    if not is_quoted and _CODE.match(value):
        return False
    if not is_quoted and _is_name(value):
        return False
    first = place
    while (
        first > 0
        and place - first < 40
        and (plain[first - 1] in _WORD or plain[first - 1] in b"_-.")
    ):
        first -= 1
    in_query = first > 0 and plain[first - 1] in b"?&"
    if value.startswith(b"=") or plain[match.start(_SIGN) - 1] in b"!<>":
        return False  # a comparison
    if in_query:
        return True
    if group == _TOKEN:
        return _is_token(value, 6)
    if is_quoted or match.group(_SIGN) != b":":
        return True
    if value.isalpha():
        return _CAPITALS.search(value) is not None and not value.isupper() and len(value) >= 8
    return len(value) >= 6 and (any(code > 64 for code in value) or value.isdigit())


def _is_whole(plain: bytes, place: int, name: bytes) -> bool:
    """Return whether a name begins a word, also in a compound such as ``authToken``."""
    if name not in _SHORT or place == 0 or plain[place - 1] not in _LETTERS:
        return True
    before = plain[max(0, place - 12) : place]
    if plain[place : place + 1].isupper() and before[-1:].islower():
        return True
    return before.lower().endswith(_COMPOUNDS)


def _is_name(value: bytes) -> bool:
    """Return whether a value is the name of a variable: ``password=db_password``."""
    return value.replace(b"_", b"").isalpha() and value.lower().endswith(
        (b"password", b"passwd", b"pwd", b"secret", b"token", b"key", b"passphrase")
    )
