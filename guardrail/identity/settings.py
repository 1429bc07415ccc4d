"""The settings in the ``[identity.NAME]`` tables of ``guardrail.toml``.

This module defines the settings that all providers of tokens share, and the two kinds ``jwt`` (keys
that the bundle pins) and ``oidc`` (keys that the provider publishes). They are read once, at load;
no key is read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    field_validator,
    model_validator,
)

from guardrail._documents import Section
from guardrail._schema_hints import Hint, exactly_one, of
from guardrail.identity.field_types import (
    Distinct,
    HttpsUrl,
    IdPrefixText,
    Text,
    TypeName,
    Variable,
    distinct,
    https_url,
)

# fmt: off
Algorithm: TypeAlias = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448", "HS256", "HS384", "HS512",
]
# fmt: on
UnknownParents: TypeAlias = Literal["deny", "drop"]

#: The path of a claim in a token: its name, or several names if it is nested.
ClaimPath: TypeAlias = tuple[str, ...]

_LIMIT_NESTED: Final = 8
#: The shape of an algorithm with a shared secret, and of several audiences.
_SHARED: Final = {"pattern": "^HS"}
_Audiences: TypeAlias = Annotated[
    list[Text], Field(min_length=1, max_length=16, json_schema_extra={"uniqueItems": True})
]


def claim_path(value: Any) -> Any:
    """Return ``realm_access.roles`` as a path; a URL is one name."""
    if isinstance(value, str):
        return (value,) if "://" in value else tuple(value.split("."))
    return tuple(value) if isinstance(value, list) else value


_Names: TypeAlias = Annotated[list[Text], Field(min_length=1, max_length=_LIMIT_NESTED)]
_Claim: TypeAlias = Annotated[
    tuple[Text, ...],
    Field(min_length=1, max_length=_LIMIT_NESTED),
    BeforeValidator(claim_path, json_schema_input_type=Text | _Names),
]


class ParentClaim(Section):
    """One claim that names parents: ``{ claim = "scope", split = " ", optional = true }``.

    Attributes:
        claim: the claim, whose value is a text or a list of texts.
        optional: whether the claim may be absent; then it adds no parents. A token that lacks a
            claim which is not optional is denied (``missing_claim``).
        split: the separator of several names in one text, such as ``" "`` or ``","``; white
            space around a name is ignored. Without it, a text is one name.
    """

    claim: _Claim
    optional: bool = False
    split: Annotated[str, StringConstraints(min_length=1, max_length=8)] | None = None


def _sources(value: Any) -> Any:
    """Return the value under ``in.TYPE`` in its normal form: a list of tables.

    A text, or a list of texts, is one claim.
    """
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return value
    return [{"claim": value}]


_SeveralClaims: TypeAlias = Annotated[list[ParentClaim], Field(min_length=1, max_length=16)]
_ParentClaims: TypeAlias = Annotated[
    list[ParentClaim],
    Field(min_length=1, max_length=16),
    BeforeValidator(_sources, json_schema_input_type=Text | _Names | ParentClaim | _SeveralClaims),
]


class PrincipalMap(Section):
    """The claims that make the principal: ``{ type = "User", id = "sub", in.Role = "roles" }``.

    A point separates the names of nested claims: ``realm_access.roles``. In a list, a name may
    contain points: ``["a.b", "roles"]``.

    Attributes:
        type: the entity type of all principals of this provider.
        id: the claim that names the principal.
        id_prefix: the prefix of the ids of its principals, before a ``#``. It can be in the
            provider's own table instead.
        parents: for each entity type the claim that names its entities, such as roles or groups;
            for several claims, or an optional one, a list of tables with ``claim``, ``optional``
            and ``split``. Written ``in``.
        attrs: for each attribute the claim with its value.
    """

    type: TypeName
    id: _Claim = ("sub",)
    id_prefix: IdPrefixText = ""
    parents: dict[TypeName, _ParentClaims] = Field(default_factory=dict, alias="in")
    attrs: dict[Text, _Claim] = Field(default_factory=dict)


#: An ``id_prefix`` is in the provider's table, or in its ``principal``.
ONE_PREFIX: Final[Hint] = {
    "not": {
        "required": ["id_prefix", "principal"],
        "properties": {"principal": {"type": "object", "required": ["id_prefix"]}},
    }
}


def one_prefix(own: Section, principal: Section) -> None:
    """Check that only one of the two tables has an ``id_prefix``.

    Raises:
        ValueError: if both have one.
    """
    if "id_prefix" in own.model_fields_set and "id_prefix" in principal.model_fields_set:
        raise ValueError("`id_prefix` is in the table and in `principal`. Keep one of them")


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


#: A value that a claim can be required to have. Types are distinct: ``true`` is not 1.
_ClaimValue: TypeAlias = (
    StrictBool | StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)] | Text
)


def _values(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


_ListOfValues: TypeAlias = Annotated[list[_ClaimValue], Field(min_length=1, max_length=64)]
_ClaimValues: TypeAlias = Annotated[
    list[_ClaimValue],
    Field(min_length=1, max_length=64),
    BeforeValidator(_values, json_schema_input_type=_ClaimValue | _ListOfValues),
]


class ProviderSettings(Section):
    """The settings of an application's own kind of identity provider.

    A kind has a subclass of this model, with ``type: Literal["KIND"]`` and its own keys.

    Attributes:
        type: the kind of the provider.
        id_prefix: the prefix of the ids of its principals, before a ``#``. If there are several
            providers, all but one must have a prefix.
        unknown_parents: what happens to parents that the bundle does not have: ``deny`` denies the
            caller, ``drop`` leaves them out.
    """

    type: str
    id_prefix: IdPrefixText = ""
    unknown_parents: UnknownParents = "deny"


class TokenSettings(Section):
    """The settings that all providers of signed tokens share.

    Attributes:
        issuer: the exact value of ``iss``.
        audience: a value that ``aud`` must have, or several of which it must have one.
        audience_claim: the claim that names the audience instead of ``aud``, for issuers that leave
            ``aud`` out; ``aud`` is then ignored.
        claims: the values that claims must have: for each claim one value, or a list of accepted
            values. A claim that is a list must contain one of them.
        id_prefix: the prefix of the ids of its principals, before a ``#``. If there are several
            providers, all but one must have a prefix.
        algorithms: the accepted signature algorithms. A key is used only with those that its type,
            its curve and its ``alg`` allow.
        token_types: the accepted values of ``typ``, if a token has it (RFC 8725 §3.11).
        required: claims that must be present.
        leeway_s: seconds, 0 to 120, by which every comparison of times is widened.
        principal: the claims that make the principal.
        unknown_parents: what happens to parents that the bundle does not have: ``deny`` denies the
            caller, ``drop`` leaves them out.
    """

    hints: ClassVar[tuple[Hint, ...]] = (
        of("algorithms", {"anyOf": [{"items": _SHARED}, {"items": {"not": _SHARED}}]}),
        ONE_PREFIX,
    )

    issuer: Text
    audience: Annotated[
        list[Text],
        Field(max_length=16),
        BeforeValidator(_several, json_schema_input_type=Text | _Audiences),
        AfterValidator(distinct),
    ]
    audience_claim: _Claim = ("aud",)
    claims: dict[Text, _ClaimValues] = Field(default_factory=dict, max_length=64)
    id_prefix: IdPrefixText = ""
    algorithms: Annotated[list[Algorithm], *Distinct]
    token_types: Annotated[list[Text], *Distinct] = Field(default_factory=lambda: ["JWT", "at+jwt"])
    required: list[_Claim] = Field(default_factory=list, max_length=64)
    leeway_s: Annotated[float, Field(ge=0, le=120)] = 0.0
    principal: PrincipalMap
    unknown_parents: UnknownParents = "deny"

    @model_validator(mode="after")
    def _one_family(self) -> TokenSettings:
        shared = [name for name in self.algorithms if name.startswith("HS")]
        if shared and len(shared) != len(self.algorithms):
            raise ValueError("one provider can't have both a shared secret and public keys")
        return self

    @field_validator("claims")
    @classmethod
    def _paths(cls, claims: dict[str, Any]) -> dict[str, Any]:
        for name in claims:
            path = claim_path(name)
            if not all(path) or len(path) > _LIMIT_NESTED:
                raise ValueError("expected names of claims, with dots for nested objects")
        return claims

    @model_validator(mode="after")
    def _one_prefix(self) -> TokenSettings:
        one_prefix(self, self.principal)
        return self

    @property
    def is_shared(self) -> bool:
        """Whether tokens are signed with a shared secret."""
        return self.algorithms[0].startswith("HS")


class JwtSettings(TokenSettings):
    """A provider of type ``jwt``: tokens of one issuer, with pinned keys.

    Attributes:
        type: ``jwt``: the bundle pins the keys.
        key_file: a file of the bundle: a public key in PEM, a JWK, or a JWKS.
        secret_env: for HS*, the environment variable with the secret.
        secret_file: for HS*, the absolute path of the file with the secret.
    """

    hints = (exactly_one("key_file", "secret_env", "secret_file"),)

    type: Literal["jwt"]
    key_file: Text | None = None
    secret_env: Variable | None = None
    secret_file: Annotated[Text, StringConstraints(pattern=r"^/")] | None = None

    @model_validator(mode="after")
    def _one_key(self) -> JwtSettings:
        given = (self.key_file, self.secret_env, self.secret_file)
        if sum(value is not None for value in given) != 1:
            raise ValueError("give exactly one of `key_file`, `secret_env` and `secret_file`")
        return self


class FetchSettings(Section):
    """The settings for fetching published keys.

    Attributes:
        jwks: the address of the key set; without it, it is found by discovery.
        ca_file: a file of the bundle with the certificates to trust, in PEM; by default those of
            the machine.
        timeout_ms: how long one fetch may take, 50 to 30,000.
        refresh_s: the age from which on keys are fetched again, in the background.
        stale_s: how long keys are used after that while the provider is down.
        unknown_key_interval_s: the shortest time between two fetches that tokens with unknown keys
            cause.
    """

    jwks: HttpsUrl | None = None
    ca_file: Text | None = None
    timeout_ms: Annotated[int, Field(ge=50, le=30_000)] = 2_000
    refresh_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    stale_s: Annotated[float, Field(ge=0, le=7 * 86_400)] = 86_400.0
    unknown_key_interval_s: Annotated[float, Field(ge=1, le=3_600)] = 30.0


class OidcSettings(TokenSettings, FetchSettings):
    """A provider of type ``oidc``: tokens of one issuer, with keys that it publishes.

    ``issuer`` is an https address without query and fragment (OpenID Connect Discovery §3);
    ``/.well-known/openid-configuration`` below it has the address of the keys.

    Attributes:
        type: ``oidc``: the issuer publishes the keys.
    """

    hints = (
        of("issuer", {"pattern": "^[hH][tT][tT][pP][sS]://[^?#]+$"}),
        of("algorithms", {"items": {"not": _SHARED}}),
    )

    type: Literal["oidc"]

    @field_validator("issuer")
    @classmethod
    def _address(cls, issuer: str) -> str:
        https_url(issuer)
        if "?" in issuer or "#" in issuer:
            raise ValueError("expected an address without query and fragment")
        return issuer

    @model_validator(mode="after")
    def _public_keys(self) -> OidcSettings:
        if self.is_shared:
            raise ValueError("published keys need public-key algorithms, such as RS256 or ES256")
        return self
