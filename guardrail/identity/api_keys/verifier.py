"""API keys: a bundle's own credentials, for callers without an identity provider.

This module defines the table ``[identity.NAME]`` of type ``api_key``, reads its secret, and turns a
key into an identity. The caller does not learn why a key is denied: an unknown key, a revoked one
and an expired one get the same message, and take the same work. The code, for operators, differs.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from pydantic import field_validator, model_validator

from guardrail._documents import Section, item_places
from guardrail._schema_hints import exactly_one, of
from guardrail.errors import ConfigurationError, NotAuthenticated, Place
from guardrail.identity.api_keys.entries import ApiKeyEntry, read_entries
from guardrail.identity.api_keys.format import PREFIX, hash_of, id_of
from guardrail.identity.field_types import IdPrefixText, Text, Variable
from guardrail.identity.groups import known_parents
from guardrail.identity.id_prefixes import IdPrefix
from guardrail.identity.settings import UnknownParents
from guardrail.identity.sources import secret_in
from guardrail.identity.tokens.claim_mapping import EntityExists
from guardrail.values import Frozen, Identity, Principal

#: RFC 2104 §3: a key no shorter than the hash.
_LEAST_BYTES: Final = 32
#: Compared with if no key has the id; no key has this hash.
_NO_HASH: Final = "0" * 64
_REFUSED: Final = "The API key is not valid. Ask for a new one."


class ApiKeySettings(Section):
    """A provider of type ``api_key``.

    Attributes:
        type: ``api_key``: the bundle has its own keys.
        keys_file: the file of the bundle with the entries, which `guardrail key` writes.
        secret_env, secret_file: exactly one: the environment variable that holds the secret of the
            keyed hash, or the absolute path of a file, outside the bundle.
        id_prefix: the prefix of the ids of its principals, before a ``#``. If there are several
            providers, all but one must have a prefix.
        unknown_parents: what happens to parents that the bundle does not have: ``deny`` denies the
            caller, ``drop`` leaves them out.
    """

    hints = (
        exactly_one("secret_env", "secret_file"),
        of("secret_file", {"pattern": "^/"}),
        of("keys_file", {"pattern": r"^[^/.][\s\S]*\.json$"}),
    )

    type: Literal["api_key"]
    keys_file: Text
    secret_env: Variable | None = None
    secret_file: Text | None = None
    id_prefix: IdPrefixText = ""
    unknown_parents: UnknownParents = "deny"

    @field_validator("keys_file")
    @classmethod
    def _own_file(cls, value: str) -> str:
        path = PurePosixPath(value)
        parts = path.parts
        if str(path) != value or path.is_absolute() or path.suffix != ".json" or "\0" in value:
            raise ValueError("expected the path of a JSON file within the bundle: keys.json")
        if any(part.startswith((".", "__pycache__")) for part in parts) or parts[0] == "tests":
            raise ValueError("expected a file that the bundle loads: not hidden, and not in tests/")
        if parts[0] in ("inputs", "outputs") or value == "entities.json":
            raise ValueError("expected a file that has no other meaning in the bundle")
        return value

    @field_validator("secret_file")
    @classmethod
    def _outside(cls, value: str | None) -> str | None:
        if value is not None and (not value.startswith("/") or "\0" in value):
            raise ValueError("expected an absolute path outside of the bundle")
        return value

    @model_validator(mode="after")
    def _one_secret(self) -> ApiKeySettings:
        if (self.secret_env is None) == (self.secret_file is None):
            raise ValueError("give exactly one of `secret_env` and `secret_file`")
        return self


def read_secret(
    settings: ApiKeySettings,
    *,
    place: Place,
    environ: Mapping[str, str],
    bundle: Path | None = None,
) -> bytes:
    """Return the secret of the keyed hash.

    Arguments:
        settings: the provider's settings.
        place: the place of the setting, for errors.
        environ: the environment in which ``secret_env`` is looked up.
        bundle: the bundle's folder, if there is one; the secret must not be in it.

    Raises:
        ConfigurationError: ``GR400``, if it is absent, too short or in the bundle.
    """
    if settings.secret_env is not None:
        name = f"The secret in `{settings.secret_env}`"
        secret = environ.get(settings.secret_env, "").encode("utf-8", "surrogateescape")
        unset = f"The environment variable `{settings.secret_env}` is not set. Set it."
        problem = "" if secret else unset
    else:
        name = "The secret in `secret_file`"
        secret, problem = secret_in(Path(settings.secret_file or ""), bundle)
    if not problem and len(secret) < _LEAST_BYTES:
        problem = f"{name} is too short. Make it of {_LEAST_BYTES} random bytes or more."
    if problem:
        raise ConfigurationError.at(place, "GR400", problem)
    return secret


class ApiKeys:
    """The API keys of a bundle.

    Arguments:
        name: the name of the provider's table, and the issuer.
        settings: the provider's settings.
        keys: the contents of ``keys_file``.
        secret: the key of the keyed hash, see `read_secret`.
        prefix: the prefix of the ids of principals: ``""`` or ``"PREFIX#"``.
        others: the prefixes of the bundle's other providers: no id without a prefix begins with
            one.
        place: the place of the table, for errors.

    Raises:
        ConfigurationError: ``GR002``, ``GR003`` or ``GR005`` for the file, each error at its entry;
            ``GR400`` for a secret under 32 bytes.
    """

    __slots__ = (
        "_entries",
        "_expired",
        "_prefix",
        "_secret",
        "_unknown",
        "entity_types",
        "name",
        "parent_types",
        "principal_types",
    )

    name: str
    #: The entity types of principals and parents, each with the first entry that names it.
    entity_types: Mapping[str, Place]
    #: The entity types of principals, and those of parents.
    principal_types: frozenset[str]
    parent_types: frozenset[str]

    def __init__(
        self,
        *,
        name: str,
        settings: ApiKeySettings,
        keys: bytes,
        secret: bytes,
        prefix: str,
        place: Place,
        others: tuple[str, ...] = (),
    ) -> None:
        if len(secret) < _LEAST_BYTES:
            message = f"The secret is too short. Make it of {_LEAST_BYTES} random bytes or more."
            raise ConfigurationError.at(place, "GR400", message)
        entries = read_entries(settings.keys_file, keys)
        types: dict[str, Place] = {}
        for entry, where in zip(entries, item_places(settings.keys_file, keys), strict=False):
            for uid in (entry.principal, *entry.parents):
                types.setdefault(uid.type, where)
        self.name = name
        self.entity_types = Frozen(types)
        self.principal_types = frozenset([entry.principal.type for entry in entries])
        self.parent_types = frozenset([each.type for entry in entries for each in entry.parents])
        self._prefix = IdPrefix(prefix, others)
        self._entries = {entry.id: (entry, self._identity_of(entry)) for entry in entries}
        self._expired: set[str] = set()  # ids of entries, and so bounded by them
        self._secret = secret
        self._unknown: UnknownParents = settings.unknown_parents

    def __len__(self) -> int:
        return len(self._entries)

    def _identity_of(self, entry: ApiKeyEntry) -> Identity | None:
        """Return the identity of an entry; ``None`` if its id has another provider's prefix."""
        if self._prefix.can_name(entry.principal.id):
            return _identity(entry, self.name, self._prefix)
        return None

    def authenticate(self, key: str, now: float, *, knows: EntityExists) -> Identity:
        """Return the identity of a key: the same object, unless parents are dropped.

        An unknown, wrong, revoked or expired key takes the same work up to the comparison, which is
        in constant time; only a caller with the whole key learns more, by the code.

        Arguments:
            key: the whole text of the key.
            now: seconds since the epoch, by the injected clock; NaN counts as expired. A key that
                has expired once stays expired, even if the clock is set back.
            knows: returns whether an entity exists in the bundle; called for each parent.

        Raises:
            NotAuthenticated: ``malformed_api_key``, ``unknown_api_key``, ``api_key_revoked``,
                ``api_key_expired`` or ``unknown_entity``; ``malformed_token`` for an id with
                another provider's prefix.
        """
        entry, identity = self._entries.get(id_of(key), (None, None))
        stored = _NO_HASH if entry is None else entry.hash
        is_same = hmac.compare_digest(hash_of(key, self._secret), stored)
        if entry is None or not is_same:
            raise NotAuthenticated(_REFUSED, code="unknown_api_key")
        if entry.revoked is not None:
            raise NotAuthenticated(_REFUSED, code="api_key_revoked")
        if entry.expires is not None:
            if entry.expires <= now < math.inf:
                self._expired.add(entry.id)
            if entry.id in self._expired or not -math.inf < now < entry.expires:
                raise NotAuthenticated(_REFUSED, code="api_key_expired")
        if identity is None:
            identity = _identity(entry, self.name, self._prefix)  # raises
        whole = identity.principal
        parents = known_parents(whole.parents, knows=knows, unknown=self._unknown, source="API key")
        if len(parents) == len(whole.parents):
            return identity
        less = Principal(whole.type, whole.id, parents=parents, attrs=whole.attrs)
        return replace(identity, principal=less)

    def accepts(self, token: str) -> bool:
        """Return whether a token has the form of an API key."""
        return token.startswith(PREFIX)

    def __repr__(self) -> str:
        return f"<ApiKeys {len(self)}>"


def _identity(entry: ApiKeyEntry, name: str, prefix: IdPrefix) -> Identity:
    principal = Principal(
        entry.principal.type,
        prefix.id_of(entry.principal.id),
        parents=tuple(dict.fromkeys(parent.entity for parent in entry.parents)),
        attrs=entry.attrs,
    )
    return Identity(
        principal,
        provider=name,
        issuer=name,
        method="api_key",
        expires_at=entry.expires,
        subject=entry.principal.id,
        token_id=entry.id,
        issued_at=entry.created,
    )
