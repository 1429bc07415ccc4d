"""The identity provider ``api_key``: a bundle's own keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from guardrail._hooks import IdentityProviderBase
from guardrail._ports import ProviderContext, SettingsTable
from guardrail.errors import Finding
from guardrail.identity.api_keys.verifier import ApiKeys, ApiKeySettings, read_secret
from guardrail.identity.groups import dropped_groups


class ApiKeyKind(IdentityProviderBase):
    """API keys, which are recognized by their prefix."""

    kind = "api_key"
    settings: type[Any] = ApiKeySettings

    def open(self, settings: Any, context: ProviderContext) -> ApiKeys:
        """Return the provider of one table; raise ``GR400`` for a bad file or secret."""
        table, sources = context.table, context.sources
        place = table.at("keys_file")
        keys = sources.file(settings.keys_file, "keys_file", place)
        named = "secret_env" if settings.secret_env is not None else "secret_file"
        return ApiKeys(
            name=context.name,
            settings=settings,
            keys=keys,
            secret=read_secret(settings, place=table.at(named), environ=sources.environ),
            prefix=context.ids.own,
            others=context.ids.others,
            place=place,
        )

    def lint(self, settings: Any, table: SettingsTable) -> Iterable[Finding]:
        """Return the findings about the table."""
        return dropped_groups(settings, table)
