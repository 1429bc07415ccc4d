"""Read the whole ``[identity]`` table, and make its providers.

All its tables are read together, with their keys, the prefixes that keep the ids of several
providers apart, and the file of revocations. It is an error if this version does not implement a
provider, if two providers could be mistaken for each other, or if there are two of a kind without
an issuer. Every error is found at load, with its place; no key is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from guardrail._documents import Document, Section
from guardrail._http_client import RequestFailed, tls_context
from guardrail._ports import BlockingStep
from guardrail._regular_files import read_regular
from guardrail.errors import ConfigurationError, Fault, NotAuthenticated, Place
from guardrail.identity.api_keys.verifier import ApiKeys, ApiKeySettings, secret_in
from guardrail.identity.api_keys.verifier import read_secret as key_secret
from guardrail.identity.attestation.evidence import LIMIT_BYTES as LIMIT_EVIDENCE
from guardrail.identity.attestation.evidence import Opens
from guardrail.identity.attestation.load import Opener
from guardrail.identity.attestation.settings import TokenEvidenceSettings
from guardrail.identity.certificates.mtls import Certificates, MtlsSettings
from guardrail.identity.id_prefixes import IdPrefix, clashes, prefixes
from guardrail.identity.providers import Providers, TokenProvider
from guardrail.identity.revocation import LIMIT_BYTES as LIMIT_REVOKED
from guardrail.identity.revocation import read_revoked
from guardrail.identity.settings import FetchSettings, JwtSettings, OidcSettings, TokenSettings
from guardrail.identity.tokens.https import fetch
from guardrail.identity.tokens.key_sources import PinnedKeys, PublishedKeys
from guardrail.identity.tokens.keys import (
    LIMIT_BYTES,
    BadKey,
    KeySet,
    accepted,
    read_keys,
    read_secret,
)
from guardrail.identity.tokens.verifier import (
    Claims,
    Keyring,
    KeysNeeded,
    Token,
    Verifier,
    check_under,
)
from guardrail.values import Frozen

#: Each type of provider: the model of its table.
KINDS: Final[Mapping[str, type[Section]]] = {
    "jwt": JwtSettings,
    "oidc": OidcSettings,
    "api_key": ApiKeySettings,
    "mtls": MtlsSettings,
}
#: The modules that verify tokens and chains, beside those that reading their keys has imported.
_VERIFYING: Final = (
    "cryptography.hazmat.primitives.hashes",
    "cryptography.x509.verification",
    "encodings.ascii",
    "guardrail.identity.tokens.pinned",
)
#: Keys of ``[identity]`` itself; all others are tables of providers.
_OWN: Final = frozenset(("anonymous", "inherit", "revoked_file"))
#: The values of ``inherit``: whether tasks and threads that are started in a scope have its
#: identity.
INHERIT: Final = ("tasks", "none")


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of keys and secrets.

    Attributes:
        files: the bundle's files by path, with the bytes of its digest.
        environ: the environment.
    """

    files: Mapping[str, bytes] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)

    def file(self, name: str, key: str, place: Place) -> bytes:
        """Return a file of the bundle, or raise ``GR400`` at the place that names it."""
        raw = self.files.get(name)
        if raw is None:
            raise ConfigurationError.at(
                place,
                "GR400",
                f"`{key}` names no file of the bundle. Put the file into the bundle, outside "
                "tests/, or correct the name: the path within the bundle.",
            )
        return raw

    def secret(self, env: str | None, file: str | None, place: Place) -> tuple[bytes, str]:
        """Return a secret and its name for messages, or raise ``GR400``."""
        if env is not None:
            secret = self.environ.get(env, "").encode("utf-8", "surrogateescape")
            if not secret:
                message = f"The environment variable `{env}` is not set. Set it to the secret."
                raise ConfigurationError.at(place, "GR400", message)
            return secret, f"`{env}`"
        secret, problem = secret_in(Path(file or ""), None)
        if problem or not secret:
            message = problem or "`secret_file` is empty. Put the secret there."
            raise ConfigurationError.at(place, "GR400", message)
        return secret, "`secret_file`"


def read_tables(document: Document) -> Mapping[str, Section]:
    """Return the settings of each provider, by the name of its table.

    Arguments:
        document: the ``[identity]`` table.

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
    settings: dict[str, Section] = {}
    faults: list[Fault] = []
    for name, table in document.data.items():
        if name in _OWN:
            continue
        kind = table.get("type") if isinstance(table, dict) else None
        model = KINDS.get(kind) if isinstance(kind, str) else None
        if model is None:
            message = f"`identity.{name}.type` must be one of {', '.join(KINDS)}."
            place = document.at(name, "type") if isinstance(table, dict) else document.at(name)
            faults.append(Fault("GR003", place, message))
            continue
        try:
            settings[name] = document.below(name).parse(model)
        except ConfigurationError as error:
            faults += error.faults
    faults += _doubled(document, settings)
    faults += clashes(document, settings)
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return settings


def _doubled(document: Document, settings: Mapping[str, Section]) -> Iterator[Fault]:
    """Yield an error for a second provider of a kind that has no issuer to distinguish them."""
    seen: set[str] = set()
    for name, table in settings.items():
        kind = str(getattr(table, "type", ""))
        if isinstance(table, TokenSettings):
            continue
        if kind in seen:
            message = "There is another provider of this type. Keep one of them."
            yield Fault("GR003", document.at(name, "type"), message)
        seen.add(kind)


def read_providers(
    document: Document | None, *, files: Mapping[str, bytes], environ: Mapping[str, str]
) -> Providers:
    """Return the providers that the ``[identity]`` table configures.

    Arguments:
        document: the table; ``None`` where ``guardrail.toml`` has none.
        files: the bundle's files by their path, among them keys and certificates.
        environ: the environment in which secrets are looked up.

    Raises:
        ConfigurationError: ``GR003`` for what is wrong, ``GR004`` for what is not built,
            ``GR400`` for a key that is absent, unfit or weak.
    """
    if document is None:
        return Providers()
    tables = read_tables(document)
    sources = Sources(files, environ)
    tokens: dict[str, TokenProvider] = {}
    others: dict[str, Any] = {}
    types: dict[str, Place] = {}
    makers: dict[str, dict[IdPrefix, None]] = {}
    parents: set[str] = set()
    faults: list[Fault] = []
    named = prefixes(tables)
    for name, table in tables.items():
        prefix = named[name]
        at = document.below(name)
        kinds: dict[str, Place] = {}
        principals: Iterable[str] = ()
        try:
            if isinstance(table, JwtSettings | OidcSettings):
                verifier = Verifier(table, _keyring(table, at, sources))
                tokens[table.issuer] = TokenProvider(name, prefix, table, verifier)
                kinds = {table.principal.type: at.at("principal", "type")}
                principals = (table.principal.type,)
                parents.update(table.principal.parents)
                for kind in table.principal.parents:
                    kinds.setdefault(kind, at.at("principal", "in", kind))
            elif isinstance(table, ApiKeySettings):
                others["api_keys"] = made = _api_keys(name, prefix, table, at, sources)
                kinds, principals = dict(made.entity_types), made.principal_types
                parents.update(made.parent_types)
            elif isinstance(table, MtlsSettings):
                others["certificates"] = found = _certificates(name, prefix, table, at, sources)
                kinds, principals = dict(found.entity_types), (table.principal.type,)
                parents.update(table.principal.parents)
        except ConfigurationError as error:
            faults += error.faults
            continue
        for kind in principals:
            makers.setdefault(kind, {})[prefix] = None
        for kind, place in kinds.items():
            types.setdefault(kind, place)
    revoked_file = document.data.get("revoked_file", "")
    if "revoked_file" in document.data:
        faults += _unreadable(revoked_file, document.at("revoked_file"))
    if tokens or "certificates" in others:
        _load_verifying()
    inherit = document.data.get("inherit", INHERIT[0])
    faults += _unknown_inherit(inherit, document.at("inherit"))
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    named_by = {kind: tuple(each) for kind, each in makers.items() if kind not in parents}
    return Providers(
        Frozen(tokens),
        entity_types=Frozen(types),
        makers=Frozen(named_by),
        revoked_file=revoked_file,
        inherits=inherit == INHERIT[0],
        **others,
    )


def _load_verifying() -> None:
    """Import the modules that verify callers, so that no first call has to."""
    for module in _VERIFYING:
        import_module(module)


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


def _keyring(table: JwtSettings | OidcSettings, at: Document, sources: Sources) -> Keyring:
    """Return the keyring of a provider of tokens."""
    if isinstance(table, OidcSettings):
        return published_keys(
            table, at, sources, issuer=table.issuer, algorithms=tuple(table.algorithms)
        )
    return PinnedKeys(pinned_keys(table, at, sources))


def pinned_keys(table: JwtSettings, at: Document, sources: Sources) -> KeySet:
    """Return the keys that a table pins."""
    names = ", ".join(table.algorithms)
    if table.key_file is not None:
        place = at.at("key_file")
        if table.is_shared:
            message = f"{names} takes a secret. Name it in `secret_env` or `secret_file`."
            raise ConfigurationError.at(place, "GR400", message)
        raw, named = sources.file(table.key_file, "key_file", place), "`key_file`"
    else:
        place = at.at("secret_env" if table.secret_env is not None else "secret_file")
        if not table.is_shared:
            message = f"{names} takes a public key. Give it as `key_file`."
            raise ConfigurationError.at(place, "GR400", message)
        raw, named = sources.secret(table.secret_env, table.secret_file, place)
    read = read_secret if table.is_shared else read_keys
    return _read(read, raw, table.algorithms, named, place)


def _read(
    read: Callable[[bytes, Sequence[str]], KeySet],
    raw: bytes,
    algorithms: Sequence[str],
    named: str,
    place: Place,
) -> KeySet:
    """Return keys, or raise ``GR400`` at the place that names them."""
    try:
        return read(raw, algorithms)
    except BadKey as error:
        complaint = str(error)
    raise ConfigurationError.at(place, "GR400", f"{named} {complaint}.")


def published_keys(
    table: FetchSettings,
    at: Document,
    sources: Sources,
    *,
    issuer: str,
    algorithms: tuple[str, ...],
) -> PublishedKeys:
    """Return the published keys of a provider; none is fetched."""
    ca = None
    if table.ca_file is not None:
        ca = sources.file(table.ca_file, "ca_file", at.at("ca_file"))
    try:
        context = tls_context(ca)
    except RequestFailed as error:
        complaint = str(error)
    else:
        timeout_s = table.timeout_ms / 1000

        def ask(url: str) -> bytes:
            return fetch(url, context=context, timeout_s=timeout_s, limit_bytes=LIMIT_BYTES)

        return PublishedKeys(
            ask,
            issuer=issuer,
            jwks=table.jwks,
            algorithms=algorithms,
            timeout_s=timeout_s,
            refresh_s=table.refresh_s,
            stale_s=table.stale_s,
            interval_s=table.unknown_key_interval_s,
        )
    raise ConfigurationError.at(at.at("ca_file"), "GR400", f"`ca_file` {complaint}.")


def evidence_opener(sources: Sources) -> Opener:
    """Return a function that makes the signature check for a table of evidence."""

    def open_table(settings: TokenEvidenceSettings, at: Document) -> Opens:
        algorithms = tuple(settings.algorithms)
        keyring: Keyring
        if settings.key_file is None:
            published = FetchSettings(jwks=settings.jwks, ca_file=settings.ca_file)
            keyring = published_keys(
                published, at, sources, issuer=settings.issuer, algorithms=algorithms
            )
        else:
            place = at.at("key_file")
            raw = sources.file(settings.key_file, "key_file", place)
            keyring = PinnedKeys(_read(read_keys, raw, algorithms, "`key_file`", place))
        is_host = settings.about == "host"

        def opens(text: str, now: float) -> Claims | BlockingStep:
            token = Token(text, limit_chars=LIMIT_EVIDENCE)
            if token.head.algorithm not in accepted(algorithms):
                raise NotAuthenticated(
                    "The evidence is not signed with an algorithm that the table has.",
                    code="wrong_algorithm",
                )
            try:
                check_under(token, keyring, now)
            except KeysNeeded as needed:
                if not is_host:
                    raise
                return BlockingStep(needed.fetch)
            return token.claims

        return opens

    return open_table


def _api_keys(
    name: str, prefix: IdPrefix, table: ApiKeySettings, at: Document, sources: Sources
) -> ApiKeys:
    place = at.at("keys_file")
    keys = sources.file(table.keys_file, "keys_file", place)
    named = "secret_env" if table.secret_env is not None else "secret_file"
    secret = key_secret(table, place=at.at(named), environ=sources.environ)
    return ApiKeys(
        name=name,
        settings=table,
        keys=keys,
        secret=secret,
        prefix=prefix.own,
        others=prefix.others,
        place=place,
    )


def _certificates(
    name: str, prefix: IdPrefix, table: MtlsSettings, at: Document, sources: Sources
) -> Certificates:
    roots = None
    if table.ca_file is not None:
        roots = sources.file(table.ca_file, "ca_file", at.at("ca_file"))
    place = at.at("ca_file") if table.ca_file is not None else at.at()
    return Certificates(
        name=name, settings=table, roots=roots, prefix=prefix.own, others=prefix.others, place=place
    )
