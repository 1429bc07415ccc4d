"""A made-up identity provider, in one file: badges such as ``badge:clara``."""

from typing import Any, Literal

from guardrail.extensions import (
    AuthenticatorBase,
    Finding,
    Identity,
    IdentityProviderBase,
    NotAuthenticated,
    Principal,
    ProviderContext,
    ProviderSettings,
    SettingsTable,
)


class BadgeSettings(ProviderSettings):
    """The table of the provider."""

    type: Literal["badge"]
    entity: str = "User"
    department: str = "care"
    file: str | None = None


class Badges(AuthenticatorBase):
    """The opened provider."""

    def __init__(self, settings: BadgeSettings, context: ProviderContext) -> None:
        self._settings = settings
        self._context = context
        self.entity_types = {settings.entity: context.table.at("entity")}
        self.principal_types = frozenset((settings.entity,))

    def accepts(self, token: str) -> bool:
        """Whether a token is a badge."""
        return token.startswith("badge:")

    def authenticate(self, credential: str, now: float, *, knows: Any) -> Identity:
        """Return who has the badge."""
        name = credential.removeprefix("badge:")
        if not name.isalpha():
            raise NotAuthenticated("The badge does not hold. Get a new one.", code="unknown_badge")
        return Identity(
            Principal(
                self._settings.entity,
                self._context.ids.id_of(name),
                attrs={"department": self._settings.department},
            ),
            provider=self._context.name,
            issuer=self._context.name,
            method="badge",
            subject=name,
        )


class BadgeKind(IdentityProviderBase):
    """The kind of provider."""

    kind = "badge"
    settings = BadgeSettings

    def open(self, settings: BadgeSettings, context: ProviderContext) -> Badges:
        """Return the opened provider."""
        if settings.file is not None:
            context.sources.file(settings.file, "file", context.table.at("file"))
        return Badges(settings, context)

    def lint(self, settings: BadgeSettings, table: SettingsTable) -> list[Finding]:
        """Return what is weak."""
        if settings.department != "all":
            return []
        return [Finding("GR533", table.at("department"), "Badges of all departments. Name one.")]


BADGES = BadgeKind()
