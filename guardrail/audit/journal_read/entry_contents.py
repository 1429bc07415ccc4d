"""Decrypt and parse the entries of segments, and check their form.

All readers, and `verify`, decode entries here. This module also reads a segment's name from its
header, and checks that a key is the one that wrote a segment. An entry of any other form is
unreadable, and its reader reports it.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json

from guardrail.audit.journal.codec import Trace, check, join_record
from guardrail.audit.journal.framing import EntryKind, Frame
from guardrail.audit.journal.keys import Cipher, Keys
from guardrail.errors import ConfigurationError
from guardrail.values import Record

#: The kinds of entries of calls; those and definitions; and all kinds of this version.
OF_CALLS: Final = frozenset(map(int, (EntryKind.INTENT, EntryKind.OUTCOME, EntryKind.WHOLE)))
OF_DEFINED: Final = OF_CALLS | {int(EntryKind.DEFINED)}
_KINDS: Final = frozenset(map(int, EntryKind))
_NOTHING: Final[Mapping[Any, Any]] = {}


class EntryReader:
    """Decodes the entries of segments to JSON, and decrypts them if necessary.

    Arguments:
        keys: the journal's keys; ``None`` if none were given.
    """

    def __init__(self, keys: Keys | None) -> None:
        self._keys = keys
        self._ciphers: dict[str, Cipher] = {}
        self._unproven: set[str] = set()
        self._encrypts: dict[str, bool] = {}
        self._defined: dict[str, dict[int, dict[str, Any]]] = {}

    def header(self, segment: str, body: bytes) -> str:
        """Read the header of a segment, which its other entries need; return the segment's name.

        This is its name when it was begun, whatever its file is called now.

        Raises:
            ConfigurationError: if keys were given, and the segment's key is not among them.
            ValueError: if it is not a header.
        """
        fields = parsed(body)
        chain, number = fields.get("chain"), fields.get("number")
        if not isinstance(chain, str) or type(number) is not int:
            raise ValueError("the header does not name its segment")
        self._encrypts[segment] = "key" in fields
        if "key" in fields and self._keys is not None:
            self._ciphers[segment] = self._cipher(segment, fields, self._keys)
            if "fingerprint" not in fields:
                # Written by an earlier version: the first decryption proves the key.
                self._unproven.add(segment)
        return f"{chain}.{number:06d}"

    def body(self, segment: str, item: Frame) -> dict[str, Any]:
        """Return the fields of an entry, with those of its definition.

        Raises:
            ConfigurationError: if it is encrypted, and its key was not given.
            ValueError: if it does not decrypt, is not a JSON object, or refers to a definition that
                does not precede it.
        """
        fields = self._plain(segment, item)
        number = fields.pop("as", None)
        if item.kind == EntryKind.DEFINED:
            self._define(segment, number, fields)
            return fields
        if number is None:
            return fields
        defined = self._defined.get(segment, _NOTHING).get(number)
        if defined is None:
            raise _undefined()
        return {**defined, **fields}

    def call(self, segment: str, item: Frame) -> tuple[dict[str, Any], tuple[Record, Trace]]:
        """Return the fields of a call's entry, as JSON and as the record of this entry alone.

        Raises:
            ConfigurationError, ValueError: as `body`, and if it makes no record.
        """
        fields = self.body(segment, item)
        is_ending = item.kind == EntryKind.OUTCOME
        return fields, join_record({}, fields) if is_ending else join_record(fields, None)

    def check(self, segment: str, item: Frame) -> None:
        """Check an entry of any kind but a header for anything that would stop a reader.

        Raises:
            ConfigurationError, ValueError: as `call`.
        """
        self.check_frame(segment, item)
        fields = self._plain(segment, item)
        if item.kind not in OF_DEFINED:
            return
        number = fields.pop("as", None)
        if item.kind == EntryKind.DEFINED:
            self._define(segment, number, fields)
        elif number is not None and number not in self._defined.get(segment, _NOTHING):
            raise _undefined()
        check(fields)

    def check_frame(self, segment: str, item: Frame) -> None:
        """Check what can be known of an entry without its key.

        Raises:
            ValueError: if its kind is unknown, or if it is encrypted and its segment's header names
                no key.
        """
        if item.kind not in _KINDS:
            raise ValueError("an entry of a kind that this version does not know")
        if item.is_encrypted and self._encrypts.get(segment) is False:
            raise ValueError("the entry is encrypted, but the segment's header names no key")

    def _define(self, segment: str, number: Any, fields: dict[str, Any]) -> None:
        if type(number) is not int:
            raise ValueError("a definition without a number")
        self._defined.setdefault(segment, {})[number] = fields

    def forget(self, segment: str) -> None:
        """Forget what only this segment's entries need, after all of them were read."""
        self._ciphers.pop(segment, None)
        self._encrypts.pop(segment, None)
        self._defined.pop(segment, None)
        self._unproven.discard(segment)

    def _cipher(self, segment: str, fields: Mapping[str, Any], keys: Keys) -> Cipher:
        name, mark = str(fields["key"]), fields.get("fingerprint")
        cipher: Cipher | None = None
        try:
            salt = bytes.fromhex(fields.get("salt", ""))
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
        f"The key file has another key than the one that wrote the segment {segment}. Give the "
        "key file of the machine that wrote the journal."
    )


def parsed(body: bytes) -> dict[str, Any]:
    """Return the JSON object of an entry.

    Raises:
        ValueError: if it is not a JSON object.
    """
    fields = from_json(body, allow_inf_nan=False)
    if not isinstance(fields, dict):
        raise ValueError("an entry is not a JSON object")  # noqa: TRY004  its bytes are wrong
    if type(fields.get("as", 0)) is not int:
        raise ValueError("an entry's definition has no number")
    return fields
