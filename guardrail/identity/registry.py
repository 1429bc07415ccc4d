"""The kinds of identity providers: those of this version, and an application's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel

from guardrail._plugins import at_load, check_object
from guardrail._ports import IdentityProvider
from guardrail.errors import ConfigurationError
from guardrail.identity.api_keys.kind import ApiKeyKind
from guardrail.identity.certificates.kind import MtlsKind
from guardrail.identity.tokens.kinds import JwtKind, OidcKind

#: The kinds of this version.
STANDARD: Final[tuple[IdentityProvider, ...]] = (JwtKind(), OidcKind(), ApiKeyKind(), MtlsKind())
#: The credentials that an application's own kind can take: see `IdentityProvider`.
CREDENTIALS: Final = ("token", "certificate")


def kinds_by_name(own: Sequence[IdentityProvider] = ()) -> Mapping[str, IdentityProvider]:
    """Return the kinds of this version and an application's own, by name.

    Raises `ConfigurationError` if two have the same name, or one takes an unknown credential.
    """
    kinds: dict[str, IdentityProvider] = {}
    for provider in own:
        _check(provider)
    for provider in (*STANDARD, *own):
        if provider.kind in kinds:
            message = f"Two identity providers have the kind {provider.kind}. Rename one."
            raise ConfigurationError(message)
        if provider.takes not in CREDENTIALS and provider not in STANDARD:
            message = (
                f"`takes` of the identity provider {provider.kind} must be one of "
                f"{', '.join(CREDENTIALS)}."
            )
            raise ConfigurationError(message)
        kinds[provider.kind] = provider
    return kinds


def _check(provider: IdentityProvider) -> None:
    """Raise `ConfigurationError` if an application's own kind lacks a part."""
    check_object(provider, "identity provider", texts=("kind", "takes"), methods=("open", "lint"))
    what = f"`settings` of the identity provider {provider.kind}"
    settings: object = at_load(lambda: provider.settings, what)
    if not isinstance(settings, type) or not issubclass(settings, BaseModel):
        message = f"{what} must be a class of pydantic, such as a `ProviderSettings`. Correct it."
        raise ConfigurationError(message)
