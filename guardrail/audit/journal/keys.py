"""The keys of a journal: for pseudonyms and digests, and for encryption at rest.

A key file has one key a line: an id, and 32 random bytes in base64. The first key is active; the
others still decrypt what was written with them, so that keys can rotate. Keys for each purpose are
derived from these; bodies are encrypted with AES-256-GCM from `cryptography`. A file that others
can read, or that holds anything else, is an error. Without a configured file the journal makes one
beside its segments: it keeps pseudonyms stable, but is no secret from whoever can read the folder.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hmac
import os
import re
import secrets
import stat
import string
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from guardrail._regular_files import open_regular
from guardrail.errors import ConfigurationError

#: The name of the journal's own key file.
OWN_KEY_FILE: Final = "journal.key"
_LINE: Final = re.compile(r"([a-z0-9]{1,16}) ([A-Za-z0-9+/]{43}=)")
#: Bytes of a key file: some 19,000 keys.
_LIMIT_BYTES: Final = 2**20
_NONCE_BYTES: Final = 12
#: The alphabet of a random key id. An id is never reused, so that an entry is never read with
#: another key than the one that wrote it.
_LETTERS: Final = string.ascii_lowercase + string.digits
_ID: Final = 8


class Keys:
    """The keys of one file; the first is active.

    Arguments:
        keys: 32 bytes each, by their ids, in the file's order.
    """

    __slots__ = ("_keys", "active")

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)
        self.active = next(iter(self._keys))

    def __repr__(self) -> str:
        return f"Keys({list(self._keys)!r})"

    def derive(self, purpose: bytes, key: str = "") -> bytes:
        """Return the 32-byte key for a purpose, by HKDF-Expand (RFC 5869, one block).

        Raises:
            LookupError: if the file has no key with this id.
        """
        return hmac.digest(self._keys[key or self.active], purpose + b"\x01", "sha256")

    def fingerprint(self, key: str = "") -> str:
        """Return a public fingerprint of a key: 16 hexadecimal digits.

        Raises:
            LookupError: if the file has no key with this id.
        """
        return self.derive(b"guardrail journal key fingerprint", key).hex()[:16]


class Cipher:
    """Encrypts and decrypts the bodies of one segment.

    Its key belongs to the segment alone, so that an entry's number is a nonce that never repeats.

    Arguments:
        keys: the journal's keys.
        salt: 16 random bytes, which the segment's header holds.
        key: the id of the key; the active one where empty.

    Raises:
        LookupError: if there is no such key.
    """

    __slots__ = ("_cipher",)

    def __init__(self, keys: Keys, salt: bytes, key: str = "") -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher: Any = AESGCM(keys.derive(b"guardrail journal records" + salt, key))

    def encrypt(self, sequence: int, kind: int, body: bytes) -> bytes:
        """Return the encrypted body of an entry."""
        nonce = sequence.to_bytes(_NONCE_BYTES, "little")
        encrypted: bytes = self._cipher.encrypt(nonce, body, bytes((kind,)))
        return encrypted

    def decrypt(self, sequence: int, kind: int, body: bytes) -> bytes:
        """Return the body of an entry.

        Raises:
            ValueError: if it was not encrypted with this key, as this entry.
        """
        from cryptography.exceptions import InvalidTag

        nonce = sequence.to_bytes(_NONCE_BYTES, "little")
        with suppress(InvalidTag):
            plain: bytes = self._cipher.decrypt(nonce, body, bytes((kind,)))
            return plain
        raise ValueError("the entry does not decrypt")


def key_line(name: str, random: bytes) -> str:
    """Return a line of a key file, without its newline."""
    return f"{name} {base64.b64encode(random).decode('ascii')}"


def read_keys(path: Path) -> Keys:
    """Return the keys of a file.

    Raises:
        ConfigurationError: if it can't be read, others can read it, or a line is not a key.
    """
    try:
        with open_regular(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    else:
        problem = "other users can read it. Remove their permission (chmod 600)"
        if not stat.S_IMODE(mode) & 0o077:
            if len(raw) > _LIMIT_BYTES:
                raise _too_large(path)
            return _parsed(path, raw)
    raise ConfigurationError(f"The key file {path} can't be used: {problem}.")


def _too_large(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"The key file {path} can't be used: it may have {_LIMIT_BYTES} bytes, and would have "
        "more. Remove the last keys, with which nothing that you still keep was written."
    )


def _parsed(path: Path, raw: bytes) -> Keys:
    keys: dict[str, bytes] = {}
    for number, line in enumerate(raw.decode("ascii", "replace").splitlines(), 1):
        found = _LINE.fullmatch(line)
        secret = b""
        if found is not None:
            with suppress(binascii.Error):
                secret = base64.b64decode(found[2], validate=True)
        if found is None or len(secret) != 32 or found[1] in keys:
            raise ConfigurationError(
                f"{path}:{number} is not a key: expected an id that no other line has, a space, "
                "and 32 bytes in base64. Make one with `guardrail journal key`."
            )
        keys[found[1]] = secret
    if not keys:
        raise ConfigurationError(
            f"The key file {path} has no key. Make one with `guardrail journal key`."
        )
    return Keys(keys)


def add_key(path: Path) -> str:
    """Insert a new active key into a key file, which is made if it does not exist; return its id.

    Raises:
        ConfigurationError: as `read_keys`, or if the path is a link to nothing, or the file
            would be too large.
        OSError: if it can't be written.
    """
    if path.is_symlink():  # the file that it names gets the key, and the link stays
        if not path.exists():
            raise ConfigurationError(
                f"The key file {path} is a link to a file that does not exist. Correct the link, "
                "or remove it to have the file made there."
            )
        path = path.resolve()
    with _locked(path.parent):
        lines: list[str] = []
        if path.exists():
            read_keys(path)
            lines = path.read_text("ascii").splitlines()
        name = _new_id()
        lines.insert(0, key_line(name, secrets.token_bytes(32)))
        text = "\n".join(lines) + "\n"
        if len(text) > _LIMIT_BYTES:
            raise _too_large(path)
        made = _write_beside(path, text)
        made.replace(path)
    return name


def _new_id() -> str:
    return "k" + "".join(secrets.choice(_LETTERS) for _ in range(_ID))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, so that two keys that are added at once are both stored."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        os.fsync(handle)
    finally:
        os.close(handle)


def own_keys(folder: Path) -> Keys:
    """Return the keys in the journal's own key file, which the first process makes.

    Raises:
        OSError: if it can't be made.
        ConfigurationError: if the file is not a key file.
    """
    path = folder / OWN_KEY_FILE
    if not path.exists():
        made = _write_beside(path, key_line(_new_id(), secrets.token_bytes(32)) + "\n")
        try:
            os.link(made, path)  # never replaces a file that another process has made meanwhile
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return read_keys(path)


def _write_beside(path: Path, text: str) -> Path:
    made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return made
