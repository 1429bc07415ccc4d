"""The settings of the ``[evidence.NAME]`` tables of ``guardrail.toml``.

Read once, at load, without any key or token. It is an error if a format is unknown, if a second
table is about this host, or if two tables could apply to the same evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from guardrail._documents import Document, Section
from guardrail._faults import faults_of
from guardrail._schema_hints import Hint, absent, exactly_one, given, holds, when
from guardrail.errors import ConfigurationError, Fault
from guardrail.identity.field_types import Distinct, HttpsUrl, Text

_Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400)]
# fmt: off
#: Attestation services sign with their own keys, so there are no shared secrets.
EvidenceAlgorithm: TypeAlias = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
    "EdDSA", "Ed25519", "Ed448",
]
#: Intel's names for the security level of its hardware; a revoked one is never accepted.
TcbStatus: TypeAlias = Literal[
    "UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded",
    "OutOfDate", "OutOfDateConfigurationNeeded",
]
# fmt: on

#: The formats whose tokens have an audience, and those that say the hardware's security level.
_WITH_AUDIENCE: Final = ("confidential_space",)
_WITHOUT_AUDIENCE: Final = ("azure_maa", "trust_authority")
_WITHOUT_STATUS: Final = ("confidential_space",)


class EvidenceSettings(Section):
    """The settings that all evidence tables have, also those with an application's own appraiser.

    Attributes:
        about: the caller's machine (``"peer"``), or the one that this process runs on (``"host"``).
        format: the format of the evidence.
        max_age_s: its largest age, in seconds, up to a day.
        nonce: whether it must hold a nonce that this process issued; by default required of
            callers.
        token_file: the absolute path of the file to which this host's platform writes its token.
        leeway_s: seconds, 0 to 120, by which every comparison of times is widened.
    """

    hints: ClassVar[tuple[Hint, ...]] = (
        when(holds("about", "host"), given("token_file")),
        when(holds("about", "host"), {"not": holds("nonce", "required")}),
        when(holds("about", "peer"), absent("token_file")),
    )

    about: Literal["peer", "host"]
    format: Text
    max_age_s: _Seconds = 300.0
    nonce: Literal["required", "none"] | None = None
    token_file: Annotated[Text, StringConstraints(pattern=r"^/")] | None = None
    leeway_s: Annotated[float, Field(ge=0, le=120)] = 0.0

    @property
    def needs_nonce(self) -> bool:
        """Whether the evidence must hold a nonce that this process issued."""
        return self.about == "peer" if self.nonce is None else self.nonce == "required"

    @model_validator(mode="after")
    def _of_a_host(self) -> EvidenceSettings:
        if self.about == "host" and self.token_file is None:
            raise ValueError("name the `token_file` that the host's platform writes")
        if self.about == "peer" and self.token_file is not None:
            raise ValueError("`token_file` is only for a host: callers present their own evidence")
        if self.about == "host" and self.nonce == "required":
            raise ValueError("a host's platform can't request a nonce: leave `nonce` out")
        return self


class TokenEvidenceSettings(EvidenceSettings):
    """The settings of a table whose evidence is a signed token.

    Attributes:
        issuer: the exact value of ``iss``.
        audience: the required value in ``aud``, if the format has one.
        algorithms: the algorithms with which a token may be signed.
        jwks: the https address of the issuer's keys.
        ca_file: a file of the bundle with the certificates to trust at that address.
        key_file: instead, a file of the bundle with the issuer's key.
        tcb_status: the accepted security levels of the hardware, if a token states one.
    """

    hints = (
        exactly_one("jwks", "key_file"),
        when(given("ca_file"), given("jwks")),
        when(holds("format", *_WITH_AUDIENCE), given("audience")),
        when(holds("format", *_WITHOUT_AUDIENCE), absent("audience")),
        when(holds("format", *_WITHOUT_STATUS), absent("tcb_status")),
    )

    issuer: Text
    audience: Text | None = None
    algorithms: Annotated[list[EvidenceAlgorithm], *Distinct]
    jwks: HttpsUrl | None = None
    ca_file: Text | None = None
    key_file: Text | None = None
    tcb_status: Annotated[list[TcbStatus], *Distinct] | None = None

    @property
    def accepted_status(self) -> frozenset[str]:
        """The accepted security levels; by default only the current one."""
        return frozenset(self.tcb_status or ("UpToDate",))

    @model_validator(mode="after")
    def _keys(self) -> TokenEvidenceSettings:
        if (self.jwks is None) == (self.key_file is None):
            raise ValueError("give exactly one of `jwks` and `key_file`")
        if self.ca_file is not None and self.jwks is None:
            raise ValueError("`ca_file` is for fetching `jwks`")
        return self

    @model_validator(mode="after")
    def _of_the_format(self) -> TokenEvidenceSettings:
        if self.format in _WITH_AUDIENCE and self.audience is None:
            raise ValueError("tokens of this format have an audience: name yours")
        if self.format in _WITHOUT_AUDIENCE and self.audience is not None:
            raise ValueError("tokens of this format have no audience: leave `audience` out")
        if self.format in _WITHOUT_STATUS and self.tcb_status is not None:
            raise ValueError("tokens of this format have no `tcb_status`: leave it out")
        return self


def read_evidence(
    document: Document | None, *, formats: Collection[str], own: Collection[str] = ()
) -> dict[str, EvidenceSettings]:
    """Return the settings by the name of their table; empty if there are none.

    Arguments:
        document: the ``[evidence]`` table; ``None`` where ``guardrail.toml`` has none.
        formats: the formats whose evidence is a signed token.
        own: the formats whose evidence an application's own object verifies.

    Raises:
        ConfigurationError: ``GR003``, with every error.
    """
    if document is None:
        return {}
    if not isinstance(document.data, dict):
        raise ConfigurationError.at(
            document.at(), "GR003", "`evidence` must hold tables: write `[evidence.NAME]`."
        )
    faults: list[Fault] = []
    settings: dict[str, EvidenceSettings] = {}
    for name, table in document.data.items():
        kind = table.get("format") if isinstance(table, dict) else None
        if isinstance(kind, str) and kind not in formats and kind not in own:
            known = ", ".join(sorted({*formats, *own}))
            message = f"`format` is unknown. Choose one of: {known}."
            faults.append(Fault("GR003", document.at(name, "format"), message))
            continue
        is_own = isinstance(kind, str) and kind in own
        model = EvidenceSettings if is_own else TokenEvidenceSettings
        try:
            settings[name] = document.below(name).parse(model)
        except ConfigurationError as error:
            faults += faults_of(error, document.at(name))
    faults += _duplicates(document, settings)
    if faults:
        raise ConfigurationError(faults=tuple(faults))
    return settings


def _duplicates(document: Document, settings: Mapping[str, EvidenceSettings]) -> list[Fault]:
    """Return an error for each table that applies to the same evidence as another."""
    faults: list[Fault] = []
    seen: set[tuple[str, str]] = set()
    for name, table in settings.items():
        if table.about == "host":
            key, message = ("host", ""), "There is another table about this host. Keep one of them."
        elif isinstance(table, TokenEvidenceSettings):
            key = ("peer", table.issuer)
            message = (
                "There is another table with this issuer. Keep one of them, or change the issuer."
            )
        else:
            key, message = (
                ("own", ""),
                "There is another table with an application's own format. Keep one of them.",
            )
        if key in seen:
            faults.append(Fault("GR003", document.at(name), message))
        seen.add(key)
    return faults
