"""The public formats of keys, and the structure of bank account numbers, for the scan.

A format that is only a run of letters and digits is not included: without a typical prefix, a key
looks like a checksum. The tables are made before a scan; nothing here runs on a text.
"""

from __future__ import annotations

import re
import string
from functools import lru_cache
from typing import Final, NamedTuple

from guardrail.detectors.kinds import NAMES

_ALNUM: Final = string.ascii_letters + string.digits
_TOKEN: Final = _ALNUM + "_-"
_HEX: Final = "0123456789abcdef"
_UPPER: Final = string.ascii_uppercase + string.digits


class Format(NamedTuple):
    """The format of a key: its prefix, and the characters that follow.

    Attributes:
        prefix: the prefix.
        chars: the characters that follow.
        least: the least number of these.
        exact: whether there are exactly as many: a longer run is not a key. Otherwise the key ends
            where the run ends.
        mark: the index in the prefix at which the scan stops: its rarest character, which is not a
            digit; the last one by default.
        is_random: whether letters and digits must be mixed in the first `least` characters as in no
            words; ``hf_requiredCharacteristicTypes`` is a name in a program.
        has_points: whether a point belongs to it if more of it follows.
        kind: the kind of the finding.
        is_address: whether it is in a web address, whose scheme and subdomain are cut as well.
    """

    prefix: str
    chars: str
    least: int
    exact: bool = False
    mark: int = -1
    is_random: bool = True
    has_points: bool = False
    kind: str = "api_key"
    is_address: bool = False


def _hex(prefix: str, size: int, mark: int = -1) -> Format:
    """Return the format of a number of hexadecimal digits."""
    return Format(prefix, _HEX, size, exact=True, mark=mark, is_random=False)


#: Formats by their services' documentation, or as the scanners gitleaks (config/gitleaks.toml) and
#: TruffleHog (pkg/detectors) publish them; each comment says which.
KEYS: Final = (
    # AWS: IAM user guide, "unique identifiers"; A3T is gitleaks' aws-access-token
    *(
        Format(start, _UPPER, 16, exact=True, mark=2, is_random=False)
        for start in ("AKIA", "ASIA", "ABIA", "ACCA")
    ),
    Format("A3T", _UPPER, 17, exact=True, mark=2, is_random=False),
    # AWS Bedrock: gitleaks' aws-amazon-bedrock-api-key-long-lived
    Format("ABSK", _ALNUM + "+/=", 109, mark=3),
    # GitHub: docs.github.com, "about authentication to GitHub", token formats
    *(Format(f"gh{kind}_", _ALNUM, 36) for kind in "pousr"),
    Format("github_pat_", _ALNUM + "_", 60),
    # GitLab: docs.gitlab.com/security/tokens, "token prefixes"; routable tokens have points
    *(
        Format(f"gl{kind}-", _TOKEN, 20, has_points=True)
        for kind in (
            "pat", "dt", "rt", "rtr", "ptt", "soat", "oas", "cbt", "ft", "imt", "agent", "wt",
            "ffct",
        )
    ),
    # Slack's documentation: docs.slack.dev/authentication/tokens, "incoming webhooks"
    *(Format(f"xox{kind}-", _TOKEN, 20) for kind in "bpares"),
    *(Format(f"xoxe.xox{kind}-", _TOKEN, 20) for kind in "bp"),
    Format("xapp-", _TOKEN, 30),
    *(
        Format(f"hooks.slack.com/{kind}/", _TOKEN + "/", 30, is_random=False, is_address=True)
        for kind in ("services", "workflows", "triggers")
    ),
    # Discord's documentation, "webhook resource": discord.com/developers/docs
    *(
        Format(f"{host}.com/api/webhooks/", _TOKEN + "/", 60, is_random=False, is_address=True)
        for host in ("discord", "discordapp")
    ),
    # Microsoft Teams: gitleaks' microsoft-teams-webhook
    Format("webhook.office.com/webhookb2/", _TOKEN + "/@", 100, is_random=False, is_address=True),
    # Stripe's documentation, "API keys": docs.stripe.com/keys
    *(
        Format(f"{kind}_{mode}_", _ALNUM, 16)
        for kind in ("sk", "rk")
        for mode in ("live", "test")
    ),
    Format("whsec_", _ALNUM + "+/=", 24),
    # Google: gitleaks' gcp-api-key; Google Cloud documentation, OAuth clients and tokens
    Format("AIza", _TOKEN, 35, mark=2),
    Format("GOCSPX-", _TOKEN, 28),
    Format("ya29.", _TOKEN, 30),
    # OpenAI, Anthropic, OpenRouter: their scanners' rules at GitHub's secret scanning partners
    Format("sk-", _ALNUM, 32),
    *(Format(f"sk-{kind}-", _TOKEN, 24) for kind in ("proj", "svcacct", "admin", "ant", "or")),
    # Hugging Face: TruffleHog's huggingface
    *(Format(prefix, _ALNUM, 34, exact=True) for prefix in ("hf_", "api_org_")),
    # Groq: TruffleHog's groq; xAI: its xai; Perplexity: gitleaks' perplexity-api-key
    Format("gsk_", _ALNUM, 52, exact=True),
    Format("xai-", _ALNUM + "_", 80, exact=True),
    Format("pplx-", _ALNUM, 48, exact=True),
    # Replicate: TruffleHog's replicate; NVIDIA: its nvapi; LangSmith: its langsmith
    Format("r8_", _TOKEN, 37, exact=True),
    Format("nvapi-", _TOKEN, 60),
    *(
        Format(f"lsv2_{kind}_", _HEX + "_", 43, exact=True, is_random=False)
        for kind in ("pt", "sk")
    ),
    _hex("ls__", 32),
    # Pinecone: docs.pinecone.io, "manage API keys"
    Format("pcsk_", _ALNUM + "_", 60),
    # Fireworks, Tavily: their documentation
    Format("fw_", _ALNUM, 22),
    Format("tvly-", _TOKEN, 28),
    # Grafana: gitleaks' grafana-service-account-token, -cloud-api-token, -api-key
    Format("glsa_", _ALNUM + "_", 41, exact=True),
    Format("glc_", _ALNUM + "+/=", 32),
    Format("eyJrIjoi", _ALNUM + "+/=", 70, mark=2),
    # New Relic: docs.newrelic.com, "New Relic API keys"; gitleaks' new-relic-*
    Format("NRAK-", _UPPER, 27, exact=True, is_random=False),
    Format("NRJS-", _HEX, 19, exact=True, is_random=False),
    Format("NRII-", _TOKEN, 32),
    Format("NRRA-", _HEX, 42, exact=True, is_random=False),
    # Supabase: supabase.com/docs/guides/api/api-keys; TruffleHog's supabasetoken
    Format("sbp_", _ALNUM, 40, exact=True),
    Format("sbp_v0_", _ALNUM, 40, exact=True),
    Format("sb_secret_", _TOKEN, 20),
    # Notion: developers.notion.com, "authorization"; TruffleHog's notion
    Format("ntn_", _ALNUM, 40),
    Format("secret_", _ALNUM, 43, exact=True),
    # Figma: TruffleHog's figmapersonalaccesstoken
    *(Format(f"fig{kind}_", _TOKEN, 40) for kind in ("d", "u", "o", "dh", "uh", "oh")),
    # npm, PyPI, RubyGems, Docker: their documentation of tokens
    Format("npm_", _ALNUM, 36, exact=True),
    Format("pypi-", _TOKEN, 50),
    _hex("rubygems_", 48),
    *(Format(f"dckr_{kind}_", _TOKEN, 27) for kind in ("pat", "oat")),
    # SendGrid, Brevo, Mailgun: gitleaks' sendgrid-api-token, sendinblue-api-token
    Format("SG.", _TOKEN + ".", 66, exact=True, mark=2),
    Format("xkeysib-", _HEX + _ALNUM + "-", 81),
    _hex("key-", 32),
    # DigitalOcean's documentation, "personal access tokens"
    *(_hex(f"{kind}_v1_", 64) for kind in ("dop", "doo", "dor")),
    # Azure: storage account keys, and the signature of a shared access signature
    # as learn.microsoft.com has it, "create a service SAS"
    Format("AccountKey=", _ALNUM + "+/=", 88, exact=True),
    Format("sig=", _ALNUM + "%+/=", 43),
    # Shopify: shopify.dev, "access tokens"; Square: developer.squareup.com; gitleaks' square-*
    *(_hex(f"shp{kind}_", 32) for kind in ("at", "ca", "pa", "ss")),
    *(Format(f"sq0{kind}-", _TOKEN, 22) for kind in ("atp", "csp", "idp")),
    Format("EAAA", _TOKEN, 22, mark=1),
    # Databricks, Twilio: gitleaks' databricks-api-token, twilio-api-key
    _hex("dapi", 32, mark=2),
    *(_hex(start, 32, mark=1) for start in ("SK", "AC")),
    # HashiCorp Vault: developer.hashicorp.com/vault/docs/concepts/tokens, "token prefixes"
    *(Format(f"hv{kind}.", _TOKEN, 24, has_points=True) for kind in "sbr"),
    # Linear: TruffleHog's linearapi; linear.app/developers/oauth-2-0-authentication
    Format("lin_api_", _ALNUM, 32),
    Format("lin_oauth_", _ALNUM, 32),
    # Atlassian: gitleaks' atlassian-api-token; Bitbucket's and Cloud's tokens
    *(Format(start, _TOKEN + "=", 60, mark=4) for start in ("ATATT3", "ATCTT3", "ATBBT3")),
    # Postman, Doppler, Sentry, PlanetScale, Heroku, Tailscale, 1Password: gitleaks' rules of
    # these names
    Format("PMAK-", _HEX + "-", 59, exact=True, is_random=False),
    Format("dp.pt.", _ALNUM, 40, mark=2),
    *(Format(f"sntry{kind}_", _ALNUM + "+/=_", 60) for kind in "su"),
    *(Format(f"pscale_{kind}_", _TOKEN, 32, has_points=True) for kind in ("tkn", "pw", "oauth")),
    Format("HRKU-", _TOKEN, 36),
    Format("tskey-", _TOKEN, 24),
    Format("ops_eyJ", _ALNUM + "+/=", 120, mark=3),
    # age: the format is Bech32 (github.com/FiloSottile/age)
    Format(
        "AGE-SECRET-KEY-1", _UPPER, 58, exact=True, mark=14, is_random=False, kind="private_key"
    ),
)  # fmt: skip

#: The characters at which a scan stops, by the kinds that it then checks for.
MARKS: Final = {
    "email": "@",
    "phone": string.digits + "+(",
    "card": string.digits + "+",
    "iban": string.digits,
    "ssn": string.digits,
    "national_id": string.digits,
    "ipv4": string.digits,
    "ipv6": string.digits + ":",
    "mac": string.digits + ":-.",
    "private_key": "-",
    "jwt": "J",
    "api_key": ":",  # and the marks of the formats
    "hidden_text": "<",
}

#: A format for the scan: its number, prefix, mark, characters, least count, flags (`EXACT`,
#: `RANDOM`, `POINTS`, `ADDRESS`), and the number of its kind.
Entry = tuple[int, bytes, int, bytes, int, int, int]
EXACT, RANDOM, POINTS, ADDRESS = 1, 2, 4, 8

#: The reasons for a stop: digits, marks of other kinds, marks of keys.
DIGIT, OTHER, KEY = 1, 2, 4


@lru_cache(maxsize=64)
def tails() -> tuple[bytes, ...]:
    """Return for each format the bytes that may follow its prefix."""
    return tuple(bytes(chr(point) in form.chars for point in range(256)) for form in KEYS)


@lru_cache(maxsize=64)
def entries(wanted: frozenset[str]) -> dict[int, tuple[Entry, ...]]:
    """Return the formats of the wanted kinds, by the two characters that end at their mark."""
    table: dict[int, tuple[Entry, ...]] = {}
    for number, form in enumerate(KEYS):
        if form.kind not in wanted:
            continue
        prefix = form.prefix.encode()
        mark = form.mark if form.mark >= 0 else len(prefix) - 1
        code = prefix[mark - 1] << 8 | prefix[mark]
        how = (
            EXACT * form.exact | RANDOM * form.is_random | POINTS * form.has_points
            | ADDRESS * form.is_address
        )  # fmt: skip
        kind = NAMES.index(form.kind)
        entry = (number, prefix, mark, tails()[number], form.least, how, kind)
        table[code] = (*table.get(code, ()), entry)
    return table


@lru_cache(maxsize=64)
def triggers(wanted: frozenset[str]) -> bytes:
    """Return for each byte the reasons for which a scan stops at it; 0 for none."""
    table = bytearray(256)
    for kind in wanted & MARKS.keys():
        for char in MARKS[kind]:
            table[ord(char)] |= DIGIT if char.isdigit() else OTHER
    for code in entries(wanted):
        table[code & 255] |= KEY
    return bytes(table)


@lru_cache(maxsize=64)
def ibans() -> dict[bytes, bytes]:
    """Return for each country the letters ``n``, ``a``, ``c`` of its account numbers.

    They are those of SWIFT's registry, as python-stdnum has it.
    """
    from stdnum import iban

    table = {}
    for first in string.ascii_uppercase:
        for second in string.ascii_uppercase:
            ((_, entry), *_) = iban._ibandb.info(first + second)
            parts = re.findall(r"(\d+)!([nac])", entry.get("bban", ""))
            if parts:
                shape = "".join(int(size) * char for size, char in parts)
                table[(first + second).encode()] = shape.encode()
    return table
