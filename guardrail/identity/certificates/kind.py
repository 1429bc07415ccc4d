"""The identity provider ``mtls``: clients' certificates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from guardrail._hooks import IdentityProviderBase
from guardrail._ports import ProviderContext, SettingsTable
from guardrail.errors import Finding
from guardrail.identity.certificates.mtls import Certificates, MtlsSettings
from guardrail.identity.groups import dropped_groups


class MtlsKind(IdentityProviderBase):
    """Certificates under the bundle's own roots, or under those of the TLS server."""

    kind = "mtls"
    settings: type[Any] = MtlsSettings
    takes = "certificate"

    def open(self, settings: Any, context: ProviderContext) -> Certificates:
        """Return the provider of one table; raise ``GR400`` for unsuitable roots."""
        table, roots = context.table, None
        place = table.at()
        if settings.ca_file is not None:
            place = table.at("ca_file")
            roots = context.sources.file(settings.ca_file, "ca_file", place)
        return Certificates(
            name=context.name,
            settings=settings,
            roots=roots,
            prefix=context.ids.own,
            others=context.ids.others,
            place=place,
        )

    def lint(self, settings: Any, table: SettingsTable) -> Iterable[Finding]:
        """Return the findings about the table."""
        found = list(dropped_groups(settings, table))
        if settings.ca_file is None:
            message = (
                "The bundle does not verify certificates: a caller that bypasses the TLS server, "
                "or whose certificate it passes on unverified, can claim any identity. Give "
                "`ca_file`."
            )
            found.append(Finding("GR534", table.at("unsafe_trust_server"), message))
        return found
