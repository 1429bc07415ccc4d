"""The identity providers of signed tokens: ``jwt`` (pinned keys) and ``oidc`` (published keys)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from guardrail._hooks import IdentityProviderBase
from guardrail._ports import ProviderContext, SettingsTable
from guardrail.errors import Finding, Place
from guardrail.identity.groups import dropped_groups
from guardrail.identity.id_prefixes import IdPrefix
from guardrail.identity.providers import TokenProvider
from guardrail.identity.settings import JwtSettings, OidcSettings, TokenSettings
from guardrail.identity.tokens.key_sources import PinnedKeys
from guardrail.identity.tokens.open_keys import pinned_keys, published_keys
from guardrail.identity.tokens.verifier import Keyring, Verifier
from guardrail.values import Frozen

#: Clocks of one organisation differ by less; a larger leeway keeps expired tokens valid.
_LEEWAY_S: Final = 60
#: Claims that users can change, or that can be reassigned (OpenID Connect Core §5.7).
_REASSIGNED: Final = frozenset(
    ("email", "preferred_username", "username", "name", "nickname", "phone_number", "upn")
)


class JwtKind(IdentityProviderBase):
    """Tokens of one issuer, under keys that the bundle pins."""

    kind = "jwt"
    settings: type[Any] = JwtSettings
    takes = "signed_token"

    def open(self, settings: Any, context: ProviderContext) -> TokenProvider:
        """Return the provider of one table; raise ``GR400`` for an unsuitable key."""
        keyring = self._keyring(settings, context)
        table, principal = context.table, settings.principal
        types: dict[str, Place] = {principal.type: table.at("principal", "type")}
        for parent in principal.parents:
            types.setdefault(parent, table.at("principal", "in", parent))
        return TokenProvider(
            name=context.name,
            prefix=IdPrefix(context.ids.own, context.ids.others),
            settings=settings,
            verifier=Verifier(settings, keyring),
            entity_types=Frozen(types),
        )

    def _keyring(self, settings: Any, context: ProviderContext) -> Keyring:
        return PinnedKeys(pinned_keys(settings, context.table, context.sources))

    def lint(self, settings: Any, table: SettingsTable) -> Iterable[Finding]:
        """Return the findings about the table."""
        return [*_token_findings(settings, table), *dropped_groups(settings, table)]


class OidcKind(JwtKind):
    """Tokens of one issuer, under keys that it publishes."""

    kind = "oidc"
    settings: type[Any] = OidcSettings

    def _keyring(self, settings: Any, context: ProviderContext) -> Keyring:
        return published_keys(
            settings,
            context.table,
            context.sources,
            issuer=settings.issuer,
            algorithms=tuple(settings.algorithms),
        )


def _token_findings(settings: TokenSettings, table: SettingsTable) -> Iterator[Finding]:
    if isinstance(settings, JwtSettings) and settings.is_shared:
        message = (
            f"{settings.algorithms[0]} uses one secret to sign and to verify: everyone who "
            "verifies tokens can also make them. Use a public-key algorithm, such as ES256."
        )
        yield Finding("GR530", table.at("algorithms"), message)
    if settings.leeway_s > _LEEWAY_S:
        message = (
            f"Tokens are accepted more than {_LEEWAY_S} seconds after they expire. Synchronize "
            "the clocks, and lower `leeway_s`."
        )
        yield Finding("GR531", table.at("leeway_s"), message)
    named = settings.principal.id[-1]
    if named in _REASSIGNED:
        message = (
            f"The claim `{named}` can change, or be reassigned to another user, who then has the "
            "grants and quotas of the first. Use `sub`."
        )
        yield Finding("GR533", table.at("principal"), message)
