"""Read the ``[identity]`` table, and open its providers.

All its tables are read together, with their keys, the prefixes that keep the ids of several
providers apart, and the file of revocations. It is an error if no provider is of the kind that a
table names, if two providers could be mistaken for each other, or if there are two of a kind
without an issuer. Every error is found at load, with its place; no key is fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from guardrail._documents import Document
from guardrail._faults import faults_of
from guardrail._nearest import did_you_mean
from guardrail._plugins import at_load, check_object, texts_of
from guardrail._ports import IdentityProvider, ProviderContext
from guardrail._regular_files import read_regular
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.identity.id_prefixes import IdPrefix, clashes, prefixes
from guardrail.identity.providers import OpenedProvider, Providers, TokenProvider
from guardrail.identity.registry import kinds_by_name
from guardrail.identity.revocation import LIMIT_BYTES as LIMIT_REVOKED
from guardrail.identity.revocation import read_revoked
from guardrail.identity.sources import Sources
from guardrail.values import Frozen

#: The modules that verify tokens, beside those that reading their keys has imported.
_FOR_TOKENS: Final = (
    "cryptography.hazmat.primitives.hashes",
    "encodings.ascii",
    "guardrail.identity.tokens.pinned",
)
#: The modules that verify certificates.
_FOR_CERTIFICATES: Final = (
    "cryptography.hazmat.primitives.hashes",
    "cryptography.x509.verification",
    "encodings.ascii",
)
#: Keys of ``[identity]`` itself; all others are tables of providers.
_OWN: Final = frozenset(("anonymous", "inherit", "revoked_file"))
#: The values of ``inherit``: whether tasks and threads that are started in a scope have its
#: identity.
INHERIT: Final = ("tasks", "none")


def read_tables(document: Document, own: Sequence[IdentityProvider] = ()) -> Mapping[str, Any]:
    """Return the settings of each provider, by the name of its table.

    Arguments:
        document: the ``[identity]`` table.
        own: the application's own kinds of providers.

    Raises:
        ConfigurationError: ``GR003`` for what is wrong, ``GR004`` for what is not built.
    """
    if not isinstance(document.data, dict):
        raise ConfigurationError.at(
            document.at(), "GR003", "`identity` must hold tables: write `[identity.NAME]`."
        )
    if "anonymous" in document.data:
        message = "Anonymous principals are not implemented. Remove the key."
        raise ConfigurationError.at(document.at("anonymous"), "GR004", message)
    kinds = kinds_by_name(own)
    settings: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, table in document.data.items():
        if name in _OWN:
            continue
        if not isinstance(table, dict):
            hint = did_you_mean(name, _OWN, "Put the keys of a provider below [identity.NAME].")
            message = f"`{name}` is not a key of [identity] itself. {hint}"
            faults.append(Fault("GR003", document.at(name), message))
            continue
        kind = table.get("type")
        provider = kinds.get(kind) if isinstance(kind, str) else None
        if provider is None:
            hint = did_you_mean(kind, kinds) if isinstance(kind, str) else ""
            message = f"`identity.{name}.type` must be one of {', '.join(kinds)}. {hint}".rstrip()
            faults.append(Fault("GR003", document.at(name, "type"), message))
            continue
        try:
            settings[name] = document.below(name).parse(provider.settings)
        except ConfigurationError as error:
            faults += faults_of(error, document.at(name))
    faults += _doubled(document, settings, kinds)
    faults += clashes(document, settings)
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return settings


def _doubled(
    document: Document, settings: Iterable[str], kinds: Mapping[str, IdentityProvider]
) -> Iterator[Fault]:
    """Yield an error for a second provider of a kind that has no issuer to distinguish them."""
    seen: set[str] = set()
    has_certificates = False
    for name in settings:
        provider = kinds[document.data[name]["type"]]
        if provider.takes == "signed_token":
            continue
        place = document.at(name, "type")
        if provider.kind in seen:
            message = "There is another provider of this type. Keep one of them."
            yield Fault("GR003", place, message)
        elif provider.takes == "certificate" and has_certificates:
            message = "There is another provider that takes certificates. Keep one of them."
            yield Fault("GR003", place, message)
        seen.add(provider.kind)
        has_certificates = has_certificates or provider.takes == "certificate"


def read_providers(
    document: Document | None,
    *,
    files: Mapping[str, bytes],
    environ: Mapping[str, str],
    own: Sequence[IdentityProvider] = (),
) -> Providers:
    """Return the providers that the ``[identity]`` table configures.

    Arguments:
        document: the table; ``None`` if ``guardrail.toml`` has none.
        files: the bundle's files by their path, among them keys and certificates.
        environ: the environment in which secrets are looked up.
        own: the application's own kinds of providers.

    Raises:
        ConfigurationError: ``GR003`` for what is wrong, ``GR004`` for what is not built,
            ``GR400`` for a key that is absent, unfit or weak.
    """
    if document is None:
        return Providers()
    kinds = kinds_by_name(own)
    tables = read_tables(document, own)
    sources = Sources(files, environ)
    signed: dict[str, TokenProvider] = {}
    tokens: list[OpenedProvider] = []
    certificates: OpenedProvider | None = None
    types: dict[str, Place] = {}
    places: dict[str, Place] = {}
    attributes: list[tuple[str, str, Place]] = []
    makers: dict[str, dict[IdPrefix, None]] = {}
    parents: set[str] = set()
    faults: list[Fault] = []
    ids = prefixes(tables)
    for name, settings in tables.items():
        table = document.below(name)
        provider = kinds[table.data["type"]]
        try:
            context = ProviderContext(name, table, ids[name], sources)
            opened = at_load(
                partial(provider.open, settings, context),
                f"`open` of the identity provider {provider.kind}",
                place=table.at(),
            )
            parts = _parts_of(opened, f"that the identity provider {provider.kind} opens")
        except ConfigurationError as error:
            faults += faults_of(error, table.at())
            continue
        if provider.takes == "signed_token":
            if not isinstance(opened, TokenProvider):
                message = (
                    f"The identity provider {provider.kind} takes signed tokens and opens "
                    'no `TokenProvider`. Let it take tokens: `takes = "token"`.'
                )
                raise ConfigurationError(message)
            signed[opened.issuer] = opened
            principal = opened.settings.principal
            attributes += [
                (principal.type, attr, table.at("principal", "attrs", attr))
                for attr in principal.attrs
            ]
        elif provider.takes == "certificate":
            certificates = OpenedProvider(name, ids[name], opened)
        else:
            tokens.append(OpenedProvider(name, ids[name], opened))
        parents.update(parts.parent_types)
        for kind in parts.principal_types:
            makers.setdefault(kind, {})[ids[name]] = None
        for kind, place in parts.entity_types.items():
            types.setdefault(kind, place)
        places.update(dict.fromkeys(parts.principal_types | parts.parent_types, table.at()))
    revoked_file = document.data.get("revoked_file", "")
    if "revoked_file" in document.data:
        faults += _unreadable(revoked_file, document.at("revoked_file"))
    # Imported at load, so that no first call imports.
    needed = (*(_FOR_TOKENS if signed else ()), *(_FOR_CERTIFICATES if certificates else ()))
    for module in needed:
        import_module(module)
    inherit = document.data.get("inherit", INHERIT[0])
    faults += _unknown_inherit(inherit, document.at("inherit"))
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    named_by = {kind: tuple(each) for kind, each in makers.items() if kind not in parents}
    return Providers(
        Frozen(signed),
        by_form=tuple(tokens),
        certificates=certificates,
        entity_types=Frozen(types),
        tables_of_types=Frozen(places),
        attributes=tuple(attributes),
        makers=Frozen(named_by),
        revoked_file=revoked_file,
        inherits=inherit == INHERIT[0],
    )


class _Parts(NamedTuple):
    """The attributes of an opened provider, read once."""

    entity_types: Mapping[str, Place]
    principal_types: frozenset[str]
    parent_types: frozenset[str]


def _parts_of(opened: object, which: str) -> _Parts:
    """Return the attributes of an opened provider; raise `ConfigurationError` if one is wrong."""
    check_object(opened, f"authenticator {which}", methods=("authenticate", "accepts"))
    what = f"the authenticator {which}"
    types: object = at_load(
        partial(getattr, opened, "entity_types", None), f"`entity_types` of {what}"
    )
    if not isinstance(types, Mapping) or not all(
        type(kind) is str and isinstance(place, Place) for kind, place in types.items()
    ):
        message = f"`entity_types` of {what} must be a mapping of types to places. Correct it."
        raise ConfigurationError(message)
    return _Parts(
        types, texts_of(opened, "principal_types", what), texts_of(opened, "parent_types", what)
    )


def _unknown_inherit(inherit: object, place: Place) -> list[Fault]:
    if inherit in INHERIT:
        return []
    message = f"`inherit` must be one of {', '.join(map(repr, INHERIT))}."
    return [Fault("GR003", place, message)]


def _unreadable(file: object, place: Place) -> list[Fault]:
    """Return the errors in the file of revocations, as it is now."""
    if not isinstance(file, str) or not file.startswith("/"):
        message = "`revoked_file` must be an absolute path: it changes while the bundle does not."
        return [Fault("GR003", place, message)]
    try:
        read_revoked(read_regular(Path(file), limit_bytes=LIMIT_REVOKED))
    except (OSError, ValueError, TypeError, RecursionError):
        message = (
            "`revoked_file` can't be read: expected a regular file with a JSON object that has "
            "any of `tokens` (a list of ids), `subjects` (ids with times) and `issued_before` "
            "(a time). `{}` revokes nothing."
        )
        return [Fault("GR400", place, message)]
    return []
