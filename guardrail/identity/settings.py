"""The ``[identity.NAME]`` tables of ``guardrail.toml``.

Owns their shape and every complaint about it. Refuses what this version does not build
(other types than ``jwt``, a second provider or algorithm, nested claims) with ``GR004``
rather than ignoring it. Read once, at load; opens no key.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from guardrail.documents import Document, Section
from guardrail.errors import ConfigurationError, Fault

# fmt: off
Algorithm: TypeAlias = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
]
# fmt: on
UnknownParents: TypeAlias = Literal["deny", "drop"]

_Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
_TypeName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(::[A-Za-z_][A-Za-z0-9_]*)*$")
]
_Variable: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

_LATER_TYPES: Final = ("oidc", "api_key", "mtls")


class PrincipalMap(Section):
    """Which claims make the principal: ``{ type = "User", id = "sub", in.Role = "roles" }``.

    ``parents`` (written ``in``) maps an entity type to the claim that names entities of it,
    ``attrs`` an attribute to the claim that holds it. Claims are top-level names.
    """

    type: _TypeName
    id: _Text = "sub"
    parents: dict[_TypeName, _Text] = Field(default_factory=dict, alias="in")
    attrs: dict[_Text, _Text] = Field(default_factory=dict)


def _one(algorithms: list[Algorithm]) -> list[Algorithm]:
    if len(algorithms) != 1:
        raise ValueError("name exactly one algorithm")
    return algorithms


class JwtSettings(Section):
    """One provider of type ``jwt``: tokens of one issuer, under one pinned key.

    ``leeway_s`` is in seconds, 0 to 120; it widens every comparison of times.
    """

    type: Literal["jwt"]
    issuer: _Text
    audience: _Text
    algorithms: Annotated[list[Algorithm], AfterValidator(_one)]
    key_file: _Text | None = None
    secret_env: _Variable | None = None
    leeway_s: Annotated[float, Field(ge=0, le=120)] = 0.0
    principal: PrincipalMap
    unknown_parents: UnknownParents = "deny"

    @model_validator(mode="after")
    def _one_key(self) -> JwtSettings:
        if (self.key_file is None) == (self.secret_env is None):
            raise ValueError("give exactly one of `key_file` and `secret_env`")
        return self

    @property
    def algorithm(self) -> Algorithm:
        """The one algorithm under which a token is accepted."""
        return self.algorithms[0]


def read_settings(document: Document) -> tuple[str, JwtSettings] | None:
    """Return the name and the settings of the provider; ``None`` where there is none.

    Arguments:
        document: the ``[identity]`` table.

    Raises:
        ConfigurationError: ``GR003`` for what is wrong, ``GR004`` for what is not built.
    """
    if not isinstance(document.data, dict):
        raise ConfigurationError.at(
            document.at(), "GR003", "`identity` must hold tables: write `[identity.NAME]`."
        )
    if faults := tuple(_not_built(document)):
        raise ConfigurationError(faults=faults)
    for name in document.data:
        return name, document.below(name).parse(JwtSettings)
    return None


def _not_built(document: Document) -> list[Fault]:
    """Find what the language has and this version has not; wrong shapes are left to parse."""
    faults: list[Fault] = []

    def add(what: str, instead: str, *path: str) -> None:
        faults.append(Fault("GR004", document.at(*path), f"{what} is not built yet. {instead}"))

    names = [name for name in document.data if name != "anonymous"]
    if "anonymous" in document.data:
        add("An anonymous principal", "Remove the key.", "anonymous")
    for name in names[1:]:
        add("A second identity provider", "Keep one.", name)
    for name in names:
        table = document.data[name]
        if not isinstance(table, dict):
            continue
        kind, algorithms = table.get("type"), table.get("algorithms")
        if kind in _LATER_TYPES:
            add(f'A provider of type "{kind}"', 'Use "jwt", with a pinned key.', name, "type")
        elif "jwks" in table:
            add("`jwks`", "Pin the key with `key_file`.", name, "jwks")
        if isinstance(algorithms, list) and len(algorithms) > 1:
            add("More than one algorithm", "Name the one of the key.", name, "algorithms")
        for path, claim in _claims(table.get("principal")):
            # A name such as https://acme.example/roles has dots and is still one name.
            if "." in claim and "://" not in claim:
                add("A nested claim", "Name one at the top level.", name, "principal", *path)
    return faults


def _claims(principal: object) -> list[tuple[tuple[str, ...], str]]:
    """List the claims that a principal table names, each with its path in the table."""
    if not isinstance(principal, dict):
        return []
    found: list[tuple[tuple[str, ...], object]] = [(("id",), principal.get("id"))]
    for key in ("in", "attrs"):
        if isinstance(table := principal.get(key), dict):
            found += [((key, str(name)), claim) for name, claim in table.items()]
    return [(path, claim) for path, claim in found if isinstance(claim, str)]
