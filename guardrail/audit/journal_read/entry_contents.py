"""The contents of a segment's entries: decrypted, parsed and checked against their form.

Every reader and `verify` turn the bytes of an entry into its contents here. Here is also the check
that a segment has the name in its header, and the check that a key is the one that wrote a segment.
An entry of another form is unreadable, and its reader says so.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json

from guardrail.audit.journal.codec import Trace, check, joined
from guardrail.audit.journal.framing import Frame, Kind
from guardrail.audit.journal.keys import Cipher, Keys
from guardrail.errors import ConfigurationError
from guardrail.values import Record

#: The kinds of entries of calls; with their definitions; and all that this version knows.
OF_CALLS: Final = frozenset(map(int, (Kind.INTENT, Kind.OUTCOME, Kind.WHOLE)))
OF_DEFINED: Final = OF_CALLS | {int(Kind.DEFINED)}
_KINDS: Final = frozenset(map(int, Kind))
_NOTHING: Final[Mapping[Any, Any]] = {}


class Opener:
    """Turns the entries of segments into JSON, decrypted where need be.

    Arguments:
        keys: the journal's keys; ``None`` where none were given.
    """

    def __init__(self, keys: Keys | None) -> None:
        self._keys = keys
        self._ciphers: dict[str, Cipher] = {}
        self._unproven: set[str] = set()
        self._encrypts: dict[str, bool] = {}
        self._defined: dict[str, dict[int, dict[str, Any]]] = {}

    def header(self, segment: str, body: bytes) -> str:
        """Read the header of a segment, which its other entries need; return the segment's name.

        It is what the segment was called when it was begun, whatever its file is called now.

        Raises:
            ConfigurationError: where keys were given, and the segment's is not among them.
            ValueError: where it is no header.
        """
        said = parsed(body)
        chain, number = said.get("chain"), said.get("number")
        if not isinstance(chain, str) or type(number) is not int:
            raise ValueError("the header does not name its segment")
        self._encrypts[segment] = "key" in said
        if "key" in said and self._keys is not None:
            self._ciphers[segment] = self._cipher(segment, said, self._keys)
            if "fingerprint" not in said:  # an earlier version's: what decrypts proves the key
                self._unproven.add(segment)
        return f"{chain}.{number:06d}"

    def body(self, segment: str, item: Frame) -> dict[str, Any]:
        """Return what an entry says, with what its definition says.

        Raises:
            ConfigurationError: where it is encrypted, and the key for it was not given.
            ValueError: where it does not decrypt, is no JSON object, or refers to a definition
                that does not stand before it.
        """
        said = self._plain(segment, item)
        number = said.pop("as", None)
        if item.kind == Kind.DEFINED:
            self._define(segment, number, said)
            return said
        if number is None:
            return said
        defined = self._defined.get(segment, _NOTHING).get(number)
        if defined is None:
            raise _undefined()
        return {**defined, **said}

    def call(self, segment: str, item: Frame) -> tuple[dict[str, Any], tuple[Record, Trace]]:
        """Return what an entry of a call says, as JSON and as the record that this makes alone.

        Raises:
            ConfigurationError, ValueError: as `body`, and where it makes no record.
        """
        said = self.body(segment, item)
        is_ending = item.kind == Kind.OUTCOME
        return said, joined({}, said) if is_ending else joined(said, None)

    def check(self, segment: str, item: Frame) -> None:
        """Read an entry of any kind but a header, for what would stop a reader.

        Raises:
            ConfigurationError, ValueError: as `call`.
        """
        self.check_frame(segment, item)
        said = self._plain(segment, item)
        if item.kind not in OF_DEFINED:
            return
        number = said.pop("as", None)
        if item.kind == Kind.DEFINED:
            self._define(segment, number, said)
        elif number is not None and number not in self._defined.get(segment, _NOTHING):
            raise _undefined()
        check(said)

    def check_frame(self, segment: str, item: Frame) -> None:
        """Check what can be known of an entry without its key.

        Raises:
            ValueError: where its kind is unknown, or where it is encrypted and its segment's header
                says that nothing in it is.
        """
        if item.kind not in _KINDS:
            raise ValueError("an entry of a kind that this version does not know")
        if item.is_encrypted and self._encrypts.get(segment) is False:
            raise ValueError("an encrypted entry, and the segment's header names no key")

    def _define(self, segment: str, number: Any, said: dict[str, Any]) -> None:
        if type(number) is not int:
            raise ValueError("a definition without a number")
        self._defined.setdefault(segment, {})[number] = said

    def forget(self, segment: str) -> None:
        """Forget what only this segment's entries need, after all of them were read."""
        self._ciphers.pop(segment, None)
        self._encrypts.pop(segment, None)
        self._defined.pop(segment, None)
        self._unproven.discard(segment)

    def _cipher(self, segment: str, said: Mapping[str, Any], keys: Keys) -> Cipher:
        name, mark = str(said["key"]), said.get("fingerprint")
        cipher: Cipher | None = None
        try:
            salt = bytes.fromhex(said.get("salt", ""))
        except (TypeError, ValueError):
            raise ValueError("the header has no salt") from None
        try:
            if mark is None or hmac.compare_digest(keys.fingerprint(name), str(mark)):
                cipher = Cipher(keys, salt, name)
        except LookupError:
            pass  # raised below
        if cipher is None:
            raise _unfit(segment)
        return cipher

    def _plain(self, segment: str, item: Frame) -> dict[str, Any]:
        if not item.is_encrypted:
            return parsed(item.body)
        self.check_frame(segment, item)
        cipher = self._ciphers.get(segment)
        if cipher is None:
            raise ConfigurationError(
                f"The segment {segment} is encrypted. Give the key file that has its key: "
                "--key-file FILE."
            )
        try:
            plain = cipher.decrypt(item.sequence, item.kind, item.body)
        except ValueError:
            if segment in self._unproven:
                raise _unfit(segment) from None
            raise
        self._unproven.discard(segment)
        return parsed(plain)


def _undefined() -> ValueError:
    return ValueError("an entry refers to a definition that is missing")


def _unfit(segment: str) -> ConfigurationError:
    return ConfigurationError(
        f"The key file does not fit: the segment {segment} was written with another key. Give the "
        "key file of the machine that wrote the journal."
    )


def parsed(body: bytes) -> dict[str, Any]:
    """Return the JSON object of an entry.

    Raises:
        ValueError: where it is none.
    """
    said = from_json(body, allow_inf_nan=False)
    if not isinstance(said, dict):
        raise ValueError("an entry is no JSON object")  # noqa: TRY004  its bytes are wrong
    if type(said.get("as", 0)) is not int:
        raise ValueError("an entry's definition has no number")
    return said
