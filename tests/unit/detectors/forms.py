# ruff: noqa: E501 (a case per line)
"""Every form that the documentation lists as found, and texts in which nothing is to be found.

`FORMS` makes valid values of each form, with what stands around them; check digits are
python-stdnum's, and formats of keys are those that their services or public scanners describe,
written down here once more and not taken from the detectors. `NEGATIVES` makes texts of numbers,
codes and words that only resemble something.
"""

from __future__ import annotations

import base64
import json
import re
import string
import uuid
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from random import Random
from typing import NamedTuple

from stdnum import iban as iban_numbers
from stdnum import luhn

from tests.unit.detectors import generate
from tests.unit.detectors.generate import ALNUM, HEX, TOKEN, digits, some

UPPER = string.ascii_uppercase + string.digits
BASE64 = ALNUM + "+/"
BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"


class Form(NamedTuple):
    """One form: its kind, and what makes a value with what must stand before and behind it."""

    kind: str
    make: Callable[[Random], tuple[str, str, str]]
    name: str = ""  # as which it is asked for

    @property
    def asked(self) -> str:
        return self.name or self.kind


def bare(make: Callable[[Random], str]) -> Callable[[Random], tuple[str, str, str]]:
    return lambda rnd: ("", make(rnd), "")


def filled(rnd: Random, shape: str) -> str:
    """Return a shape with a digit from 2 on for each d, and any digit for each _."""
    return "".join(
        rnd.choice("23456789")
        if char == "d"
        else rnd.choice(string.digits)
        if char == "_"
        else char
        for char in shape
    )


def phones(*shapes: str, asked: str = "") -> Form:
    return Form("phone", bare(lambda rnd: filled(rnd, rnd.choice(shapes))), asked)


def card_number(rnd: Random, size: int = 16) -> str:
    prefix = rnd.choice({
        12: ("50", "56", "58", "67"), 13: ("4",), 14: ("36", "300", "38"), 15: ("34", "37"),
        16: ("4", "51", "55", "2221", "2720", "6011", "65", "3530", "62"), 19: ("4", "62"),
    }[size])  # fmt: skip
    body = prefix + digits(rnd, size - len(prefix) - 1)
    return body + luhn.calc_check_digit(body)


def card(rnd: Random, join: str, size: int = 16) -> str:
    number = card_number(rnd, size)
    if size in (14, 15):
        return join.join((number[:4], number[4:10], number[10:]))
    return join.join(number[at : at + 4] for at in range(0, size, 4))


def partly(rnd: Random) -> str:
    """Return a card whose groups are run together here and there, behind the first one."""
    number = card_number(rnd)
    sign = rnd.choice(" -.")
    rest = rnd.choice(((4, 8, 16), (4, 12, 16), (4, 16)))
    parts = [number[:4], *(number[start:end] for start, end in pairwise(rest))]
    return sign.join(parts)


def wrapped(rnd: Random) -> str:
    number = card_number(rnd)
    groups = [number[at : at + 4] for at in range(0, 16, 4)]
    at = rnd.randint(1, 3)
    return " ".join(groups[:at]) + rnd.choice(("\n", "\r\n", "\n  ")) + " ".join(groups[at:])


def account(rnd: Random) -> str:
    while True:
        value = generate.iban(rnd).replace(" ", "").upper()
        if iban_numbers.is_valid(value, check_country=False):
            return value


def grouped(rnd: Random, join: str) -> str:
    value = account(rnd)
    return join.join(value[at : at + 4] for at in range(0, len(value), 4))


def folded_account(rnd: Random) -> str:
    value = account(rnd)
    groups = [value[at : at + 4] for at in range(0, len(value), 4)]
    at = rnd.randint(1, len(groups) - 1)
    return " ".join(groups[:at]) + rnd.choice(("\n", "\r\n", "\n    ")) + " ".join(groups[at:])


def with_bank(rnd: Random) -> tuple[str, str, str]:
    bank = some(rnd, string.ascii_uppercase, 6) + some(rnd, UPPER, 2) + rnd.choice(("", "XXX"))
    while True:
        value = account(rnd)
        if value[-1].isdigit():
            return "", value, bank


#: Keys by their services: a list of parts, each fixed text or (characters, how many).
KEYS: dict[str, list[str | tuple[str, int]]] = {
    "AWS": ["AKIA", (string.ascii_uppercase + "234567", 16)],
    "AWS session": ["ASIA", (string.ascii_uppercase + "234567", 16)],
    "AWS A3T": ["A3T", (UPPER, 17)],
    "AWS Bedrock": ["ABSK", (BASE64, 128)],
    "GitHub": ["ghp_", (ALNUM, 36)],
    "GitHub OAuth": ["gho_", (ALNUM, 36)],
    "GitHub user": ["ghu_", (ALNUM, 36)],
    "GitHub server": ["ghs_", (ALNUM, 36)],
    "GitHub refresh": ["ghr_", (ALNUM, 36)],
    "GitHub fine-grained": ["github_pat_", (ALNUM, 22), "_", (ALNUM, 59)],
    "GitLab": ["glpat-", (TOKEN, 20)],
    "GitLab routable": ["glpat-", (TOKEN, 27), ".01.", (string.ascii_lowercase + string.digits, 9)],
    **{f"GitLab {kind}": [f"gl{kind}-", (TOKEN, size)] for kind, size in (
        ("dt", 20), ("rt", 20), ("rtr", 20), ("ptt", 40), ("soat", 20), ("oas", 64), ("ft", 20),
        ("imt", 25), ("agent", 50), ("wt", 20), ("ffct", 20),
    )},
    "GitLab cbt": ["glcbt-", (ALNUM, 5), "_", (TOKEN, 20)],
    "Slack bot": ["xoxb-", (string.digits, 12), "-", (string.digits, 12), "-", (ALNUM, 24)],
    "Slack user": ["xoxp-", (string.digits, 12), "-", (string.digits, 12), "-", (HEX, 32)],
    "Slack app": ["xapp-1-A", (UPPER, 10), "-", (string.digits, 13), "-", (HEX, 64)],
    "Slack webhook": [
        "https://hooks.slack.com/services/T", (UPPER, 10), "/B", (UPPER, 10), "/", (ALNUM, 24),
    ],
    "Slack workflow": [
        "https://hooks.slack.com/workflows/T", (UPPER, 10), "/A", (UPPER, 10), "/",
        (string.digits, 18), "/", (ALNUM, 24),
    ],
    "Discord webhook": ["https://discord.com/api/webhooks/", (string.digits, 18), "/", (TOKEN, 68)],
    "Discord canary": [
        "https://canary.discord.com/api/webhooks/", (string.digits, 19), "/", (TOKEN, 68),
    ],
    "Discord old": ["https://discordapp.com/api/webhooks/", (string.digits, 18), "/", (TOKEN, 68)],
    "Stripe": ["sk_live_", (ALNUM, 24)],
    "Stripe restricted": ["rk_live_", (ALNUM, 99)],
    "Google": ["AIza", (TOKEN, 35)],
    "Google OAuth": ["GOCSPX-", (TOKEN, 28)],
    "OpenAI": ["sk-", (ALNUM, 48)],
    "OpenAI project": ["sk-proj-", (TOKEN, 64)],
    "Anthropic": ["sk-ant-api03-", (TOKEN, 93), "AA"],
    "Hugging Face": ["hf_", (string.ascii_letters, 34)],
    "Hugging Face organisation": ["api_org_", (string.ascii_letters, 34)],
    "Groq": ["gsk_", (ALNUM, 52)],
    "xAI": ["xai-", (ALNUM, 80)],
    "Perplexity": ["pplx-", (ALNUM, 48)],
    "Replicate": ["r8_", (ALNUM, 37)],
    "NVIDIA": ["nvapi-", (TOKEN, 64)],
    "LangSmith": ["lsv2_pt_", (HEX, 32), "_", (HEX, 10)],
    "LangSmith service": ["lsv2_sk_", (HEX, 32), "_", (HEX, 10)],
    "Pinecone": ["pcsk_", (ALNUM, 6), "_", (ALNUM, 63)],
    "Grafana service": ["glsa_", (ALNUM, 32), "_", (HEX, 8)],
    "Grafana cloud": ["glc_eyJ", (BASE64, 120)],
    "New Relic user": ["NRAK-", (UPPER, 27)],
    "New Relic insert": ["NRII-", (TOKEN, 32)],
    "Supabase": ["sbp_", (HEX, 40)],
    "Supabase secret": ["sb_secret_", (TOKEN, 31)],
    "Notion": ["ntn_", (string.digits, 11), (ALNUM, 35)],
    "Notion old": ["secret_", (ALNUM, 43)],
    "Figma": ["figd_", (TOKEN, 40)],
    "npm": ["npm_", (ALNUM, 36)],
    "PyPI": ["pypi-AgEIcHlwaS5vcmc", (TOKEN, 80)],
    "Docker": ["dckr_pat_", (TOKEN, 27)],
    "SendGrid": ["SG.", (TOKEN, 22), ".", (TOKEN, 43)],
    "Twilio": ["SK", (HEX, 32)],
    "DigitalOcean": ["dop_v1_", (HEX, 64)],
    "Azure storage": ["AccountKey=", (BASE64, 86), "=="],
    "Azure SAS": ["sig=", (ALNUM, 43), "%3D"],
    "Shopify": ["shpat_", (HEX, 32)],
    "Square": ["sq0atp-", (TOKEN, 22)],
    "Square access": ["EAAA", (TOKEN, 60)],
    "Mailgun": ["key-", (HEX, 32)],
    "Databricks": ["dapi", (HEX, 32)],
    "Vault service": ["hvs.", (TOKEN, 90)],
    "Vault batch": ["hvb.", (TOKEN, 150)],
    "Vault recovery": ["hvr.", (TOKEN, 90)],
    "Linear": ["lin_api_", (ALNUM, 40)],
    "Linear OAuth": ["lin_oauth_", (HEX, 64)],
    "Atlassian": ["ATATT3", (TOKEN, 186)],
    "Atlassian container": ["ATCTT3", (TOKEN, 186)],
    "Telegram": [(string.digits, 9), ":", (TOKEN, 35)],
}  # fmt: skip


def key(rnd: Random, parts: list[str | tuple[str, int]]) -> str:
    text = "".join(part if isinstance(part, str) else some(rnd, *part) for part in parts)
    # a sign at the end may be of the sentence
    return text[:-1] + rnd.choice(ALNUM) if text[-1] in "-_+/" else text


def putty(rnd: Random) -> str:
    version, size = rnd.choice(((2, 40), (3, 64)))
    lines = "\n".join(some(rnd, BASE64, 64) for _ in range(rnd.randint(2, 5)))
    return (
        f"PuTTY-User-Key-File-{version}: ssh-ed25519\nEncryption: none\nComment: me\n"
        f"Public-Lines: 1\n{some(rnd, BASE64, 64)}\nPrivate-Lines: 3\n{lines}\n"
        f"Private-MAC: {some(rnd, HEX, size)}"
    )


def password(rnd: Random) -> str:
    first = rnd.choice(string.ascii_letters + string.digits)
    return first + some(rnd, ALNUM + "!#%+*~^", rnd.randint(6, 18)) + rnd.choice(ALNUM)


def letters(rnd: Random) -> str:
    return some(rnd, string.ascii_lowercase, rnd.randint(3, 8))


def token(rnd: Random) -> str:
    return some(rnd, ALNUM, rnd.randint(20, 40)) + rnd.choice(string.digits)


def in_address(rnd: Random) -> tuple[str, str, str]:
    scheme = rnd.choice(("postgres", "postgresql", "mysql", "amqp", "mongodb+srv", "https", "ftp"))
    value = some(rnd, ALNUM + "-._~!$*+", rnd.randint(2, 20))
    return f"{scheme}://{letters(rnd)}:", value, f"@{letters(rnd)}.example.org:5432/{letters(rnd)}"


def redis(rnd: Random) -> tuple[str, str, str]:
    return "redis://:", password(rnd).replace("#", "a"), "@cache:6379/0"


def basic(rnd: Random) -> tuple[str, str, str]:
    value = base64.b64encode(f"{letters(rnd)}:{password(rnd)}".encode()).decode()
    return "Authorization: Basic ", value, ""


def bearer(rnd: Random) -> tuple[str, str, str]:
    before = rnd.choice(("Authorization: Bearer ", "authorization: bearer ", "Bearer "))
    return before, token(rnd), ""


def named(rnd: Random, names: tuple[str, ...], sign: str = "=") -> tuple[str, str, str]:
    return f"{rnd.choice(names)}{sign}", password(rnd), ""


def quoted(rnd: Random) -> tuple[str, str, str]:
    name = rnd.choice(("password", "db_password", "clientSecret", "api_key", "secret"))
    value = password(rnd) + rnd.choice(string.digits + "")
    return f'"{name}": "', value, '"'


def query(rnd: Random) -> tuple[str, str, str]:
    name = rnd.choice(("api_key", "apikey", "access_token", "token", "key_secret", "password"))
    return f"https://api.example.org/v1/x?{name}=", token(rnd), rnd.choice(("", "&page=2"))


def connection(rnd: Random) -> tuple[str, str, str]:
    return "Server=db;User Id=sa;Password=", password(rnd), ";Encrypt=yes"


FORMS: dict[str, Form] = {
    "email": Form("email", bare(generate.email)),
    "phone, international": phones(
        "+49 30 ddddddd", "+33 1 dd dd dd dd", "+44 20 dddd dddd", "+34 6dd dd dd dd",
        "+353 1 ddd dddd", "+91 98ddd ddddd", "+48 5dd ddd ddd", "+55 11 9dddd dddd",
        "+81-3-dddd-dddd", "+61 4dd ddd ddd", "+86 1dd dddd dddd", "+7 9dd ddd dd dd",
    ),
    "phone, E.164": phones("+44207ddddddd", "+12dd5dddddd", "+4915ddddddddd", "+336dddddddd"),
    "phone, international with points": phones("+1.2dd.5dd.dddd", "+33.1.dd.dd.dd.dd"),
    "phone, international with brackets": phones(
        "+49 (0)89 dddd ddd", "+1 (2dd) 5dd-dddd", "+44 (0)20 dddd dddd", "+1(2dd)5dd-dddd",
    ),
    "phone, 00": phones("0049 30 ddddddd", "00 44 20 dddd dddd", "0033 1 dd dd dd dd"),
    "phone, North America": phones(
        "2dd-5dd-dddd", "2dd.5dd.dddd", "2dd 5dd dddd", "1-8dd-5dd-dddd", "(2dd) 5dd-dddd",
        "(2dd)5dd-dddd", "(2dd).5dd.dddd", "1 (2dd) 5dd-dddd",
    ),
    "phone, extension": phones(
        "2dd-5dd-ddddx____", "+44 20 dddd ddddext _", "2dd-5dd-dddd ext. ___", "(2dd) 5dd-dddd x__",
        "+1-2dd-5dd-dddd;ext=___", "030/ddddddd ext __", "2dd-5dd-dddd #___",
        "+49 30 ddddddd Durchwahl __",
    ),
    "phone, trunk 0": phones(
        "020 7ddd dddd", "07ddd dddddd", "0161 4dd dddd", "(0161) 4dd dddd", "030/ddddddd",
        "0171-ddddddd", "0171 ddd dd dd", "(030) ddddddd", "089 ddddddd", "01632 96dddd",
    ),
    "phone, France": phones("01 dd dd dd dd", "06.dd.dd.dd.dd", "02-dd-dd-dd-dd"),
    "phone, Spain": phones("6dd dd dd dd", "6dd ddd ddd", "9d ddd dd dd", "9dd-ddd-ddd",
                           asked="phone(ES)"),
    "phone, Poland": phones("5dd ddd ddd", "2d ddd dd dd", "6dd-ddd-ddd", asked="phone(PL)"),
    "phone, Brazil": phones("11 9dddd-dddd", "(11) 9dddd-dddd", "(2d) 3ddd-dddd", "11 3ddd dddd",
                            asked="phone(BR)"),
    "phone, Portugal": phones("9dd ddd ddd", "2d ddd dd dd", asked="phone(PT)"),
    "phone, Denmark, Norway": phones("dd dd dd dd", asked="phone(DK, NO)"),
    "phone, Italy": phones("3dd ddd dddd", "3dd ddddddd", asked="phone(IT)"),
    "phone, India, China": phones("9dddd ddddd", "1dd dddd dddd", asked="phone(CN, IN)"),
    "card": Form("card", bare(lambda rnd: card_number(rnd, rnd.choice((13, 14, 15, 16, 19))))),
    **{
        f"card, groups by {name}": Form("card", bare(partial(card, join=join)))
        for name, join in (
            ("spaces", " "), ("dashes", "-"), ("points", "."), ("low lines", "_"), ("slashes", "/"),
            ("two spaces", "  "), ("lines", "\n"),
        )
    },
    "card, 4-6-5 and 4-6-4": Form(
        "card", bare(lambda rnd: card(rnd, rnd.choice(" -."), rnd.choice((14, 15))))
    ),
    "card, some groups run together": Form("card", bare(partly)),
    "card, over a line's end": Form("card", bare(wrapped)),
    "card, glued to letters": Form(
        "card",
        lambda rnd: (
            rnd.choice(("card:", "card", "visa", "CC=")), card_number(rnd),
            rnd.choice(("exp12/29", "valid", "")),
        ),
    ),
    "card, digit by digit": Form("card", bare(lambda rnd: " ".join(card_number(rnd)))),
    "card, Maestro of 12": Form(
        "card",
        lambda rnd: (
            rnd.choice(("Maestro ", "maestro: ", "Maestro card no. ", "Karte ")),
            card_number(rnd, 12), "",
        ),
    ),
    "iban": Form("iban", bare(account)),
    "iban, lower case": Form("iban", bare(lambda rnd: account(rnd).lower())),
    **{
        f"iban, groups by {name}": Form("iban", bare(partial(grouped, join=join)))
        for name, join in (
            ("spaces", " "), ("dashes", "-"), ("points", "."), ("two spaces", "  "), ("lines", "\n"),
        )
    },
    "iban, lower case in groups": Form("iban", bare(lambda rnd: grouped(rnd, " ").lower())),
    "iban, over a line's end": Form("iban", bare(folded_account)),
    "iban, glued to a BIC": Form("iban", with_bank),
    "ssn": Form("ssn", bare(generate.ssn)),
    **{
        f"national_id, {name}": Form("national_id", bare(make))
        for name, make in generate.NATIONAL.items()
        if name not in ("pl_pesel", "nl_bsn", "br_cpf")
    },
    "ipv4": Form("ipv4", bare(generate.ipv4)),
    "ipv6": Form("ipv6", bare(generate.ipv6)),
    "mac": Form("mac", bare(generate.mac)),
    "private_key, PEM": Form("private_key", bare(generate.private_key)),
    "private_key, PuTTY": Form("private_key", bare(putty)),
    "private_key, age": Form(
        "private_key", bare(lambda rnd: "AGE-SECRET-KEY-1" + some(rnd, BECH32, 58))
    ),
    "jwt": Form("jwt", bare(generate.jwt)),
    **{
        f"api_key, {service}": Form("api_key", bare(partial(key, parts=parts)))
        for service, parts in KEYS.items()
    },
    "credential, in an address": Form("credential", in_address),
    "credential, in an address without a user": Form("credential", redis),
    "credential, Basic": Form("credential", basic),
    "credential, Bearer": Form("credential", bearer),
    "credential, password=": Form(
        "credential",
        partial(named, names=("password", "passwd", "DB_PASSWORD", "pwd", "spring.password")),
    ),
    "credential, password:": Form(
        "credential", partial(named, names=("password", "Passwort", "Password", "pwd"), sign=": ")
    ),
    "credential, in JSON": Form("credential", quoted),
    "credential, in a query": Form("credential", query),
    "credential, in a connection string": Form("credential", connection),
}  # fmt: skip

#: What stands around a value.
PLACES = (
    ("", ""), ("It is ", "."), ("(", ")"), ('"', '"'), ("**", "**"), ("- ", "\n"), ('{"x": "', '"}'),
    ("Line\n", "\nline"), ("<b>", "</b>"), ("a, ", ", b"), ("| ", " |"), ("`", "`"), ("\t", "\t"),
    ("x: ", "; y"), ("see [", "](#a)"), ("", "\r\nnext"), ("é ", " è"),
)  # fmt: skip


def place(rnd: Random, form: Form) -> tuple[str, str, str]:
    """Return a text before a value, the value, and the text behind it."""
    before, value, after = form.make(rnd)
    left, right = rnd.choice(PLACES)
    if form.kind == "credential" and not after and right[:1] in "](":
        left, right = PLACES[0]  # a value without quotes takes all up to a space
    return left + before, value, after + right


def float_text(rnd: Random) -> str:
    """Return a random float in a usual notation."""
    value = rnd.choice((
        rnd.random, lambda: rnd.uniform(-1, 1), lambda: rnd.uniform(0.01, 0.1),
        lambda: rnd.gauss(0, 1000), lambda: rnd.uniform(1e3, 1e9), lambda: rnd.random() * 1e-6,
        lambda: rnd.uniform(1e14, 1e17), lambda: 10 ** rnd.uniform(-30, 30),
        lambda: rnd.uniform(1, 10), lambda: float(rnd.randint(10**12, 10**18)),
    ))()  # fmt: skip
    form = rnd.randint(0, 12)
    text = {
        0: lambda: repr(value), 1: lambda: repr(value).replace(".", ","), 2: lambda: f"{value:+}",
        3: lambda: f"{value:.8f}", 4: lambda: f"{value:.16f}", 5: lambda: f"{value:e}",
        6: lambda: f"{value:.12E}", 7: lambda: f"{value:,.2f}", 8: lambda: f"{value:.20f}",
        9: lambda: f"{value:,.4f}".translate(str.maketrans(",.", ".,")),
        10: lambda: f"{value:,.3f}".replace(",", " ").replace(".", ","),
        11: lambda: f"{value:+.10f}", 12: lambda: f"{value:.15g}".replace(".", ","),
    }[form]()  # fmt: skip
    if text.strip("+-").isdigit():  # a whole number may be a card's
        text += ".0"
    return rnd.choice(("", "", "=", "x=", "-", ": ", "(", "[", "$", "~", "≈ ", "p<", "+")) + text


def softmax(rnd: Random) -> str:
    size = rnd.randint(2, 24)
    raw = [rnd.random() ** rnd.randint(1, 8) for _ in range(size)]
    values = [value / sum(raw) for value in raw]
    form = rnd.randint(0, 6)
    if form == 0:
        return json.dumps(values)
    if form == 1:
        return "[" + " ".join(f"{value:.8f}" for value in values) + "]"
    if form == 2:
        return ",".join(map(repr, values))
    if form == 3:
        return "; ".join(repr(value).replace(".", ",") for value in values)
    if form == 4:
        return "\n".join(map(repr, values))
    if form == 5:
        return ", ".join(repr(value).replace(".", ",") for value in values)
    return "[" + "  ".join(f"{value:.8e}" for value in values) + "]"


def row(rnd: Random) -> str:
    """Return a row of a table of numbers and words."""
    cells = [
        rnd.choice((
            lambda: str(rnd.randint(0, 99999)), lambda: repr(rnd.uniform(-100, 100)), lambda: letters(rnd),
            lambda: f"20{rnd.randint(10, 29)}-{rnd.randint(1, 12):02}-{rnd.randint(1, 28):02}",
        ))()
        for _ in range(rnd.randint(3, 9))
    ]  # fmt: skip
    return rnd.choice((",", ";", "\t", ", ")).join(cells)


def stamp(rnd: Random) -> str:
    year, month, day = rnd.randint(1990, 2030), rnd.randint(1, 12), rnd.randint(1, 28)
    clock = f"{rnd.randint(0, 23):02}:{rnd.randint(0, 59):02}:{rnd.randint(0, 59):02}"
    date = f"{year}-{month:02}-{day:02}"
    return rnd.choice((
        f"{date}T{clock}Z", f"{date} {clock}.{digits(rnd, 6)}", f"{date}T{clock}+{rnd.randint(0, 11):02}:00",
        f"{date}T{clock}.{digits(rnd, 3)}+{rnd.randint(0, 11):02}30", f"17{digits(rnd, 8)}",
        f"17{digits(rnd, 11)}", f"{day:02}.{month:02}.{year} {clock}", f"{month}/{day}/{year}",
        f"{year}{month:02}{day:02}T{clock.replace(':', '')}", f"{day:02}/{month:02}/{year} {clock[:5]}",
    ))  # fmt: skip


def code(rnd: Random) -> str:
    """Return a line of a program that names secrets and has none."""
    name = rnd.choice(("password", "token", "api_key", "secret", "db_password", "client_secret"))
    return rnd.choice((
        f'{name} = os.environ["{name.upper()}"]', f"{name}={name}", f"{name}=settings.{name}",
        f"def login(user: str, {name}: str) -> None:", f'if {name} == "":', f"{name}=None,",
        f"{name}: Optional[str] = None", f"{name}=getpass.getpass()", f"{name}=${{{name.upper()}}}",
        f"{name}: required", f"Your {name}: the one that you chose.", f"{name}=<{name}>", f"{name}=***",
        f"self.{name} = {name}", f"max_tokens={rnd.randint(1, 9999)}", f"{name}=$({name}_cmd)",
        f'{name}: "{{{{ vault_{name} }}}}"', f"hf_{camel(rnd)}", f"sk-{kebab(rnd)}", f"glwt-{kebab(rnd)}",
        f"secret_{camel(rnd)}", f"npm_{camel(rnd)}", f"https://example.org:8080/@{letters(rnd)}/{letters(rnd)}",
        f"http://localhost:{rnd.randint(1000, 9999)}/{letters(rnd)}", f"key-{kebab(rnd)}", f"{name} != old",
        f"Bearer {rnd.choice(generate.WORDS)}", f"basic {letters(rnd)} skills", f"git clone {letters(rnd)}",
    ))  # fmt: skip


def camel(rnd: Random) -> str:
    words = rnd.sample(CAMEL, rnd.randint(4, 7))
    return words[0] + "".join(word.capitalize() for word in words[1:])


def kebab(rnd: Random) -> str:
    return "-".join(rnd.sample(CAMEL, rnd.randint(4, 8)))


CAMEL = (
    "required", "characteristic", "types", "for", "display", "metadata", "user", "account",
    "configuration", "handler", "model", "response", "stream", "observer", "session", "manager",
)  # fmt: skip


def code_of_things(rnd: Random) -> str:
    """Return an identifier of something: a hash, a UUID, a version, a part."""
    return rnd.choice((
        lambda: some(rnd, HEX, 32), lambda: some(rnd, HEX, 40), lambda: some(rnd, HEX, 64),
        lambda: str(uuid.UUID(int=rnd.getrandbits(128), version=4)), lambda: some(rnd, HEX, 12),
        lambda: f"v{rnd.randint(0, 9)}.{rnd.randint(0, 30)}.{rnd.randint(0, 99)}",
        lambda: f"{rnd.randint(0, 9)}.{rnd.randint(0, 30)}.{rnd.randint(0, 99)}-rc.{rnd.randint(1, 9)}",
        lambda: f"SKU {some(rnd, string.ascii_uppercase, 3)}-{digits(rnd, 5)}",
        lambda: f"ISBN 978-3-16-{digits(rnd, 6)}-{rnd.randint(0, 9)}",
        lambda: f"part {digits(rnd, 4)}-{digits(rnd, 2)}-{some(rnd, string.ascii_uppercase, 2)}",
        lambda: f"order {digits(rnd, 8)}", lambda: f"invoice #{digits(rnd, 10)}",
        lambda: some(rnd, BASE64, rnd.randint(20, 80)), lambda: f"0x{some(rnd, HEX, 16)}",
        lambda: f"sha256:{some(rnd, HEX, 64)}", lambda: f"req_{some(rnd, ALNUM, 24)}",
        lambda: f"{rnd.randint(1, 99)}.{digits(rnd, 4)}, {rnd.randint(1, 99)}.{digits(rnd, 4)}",
        lambda: f"{rnd.randint(1, 999)},{digits(rnd, 3)},{digits(rnd, 3)}",
        lambda: f"{rnd.randint(1, 999)} {digits(rnd, 3)} {digits(rnd, 3)}",
        lambda: f"1 {digits(rnd, 3)} {digits(rnd, 3)},{digits(rnd, 2)} €",
        lambda: f"$ {rnd.randint(1, 999)}.{digits(rnd, 3)}.{digits(rnd, 3)},{digits(rnd, 2)}",
        lambda: " ".join(f"{number:03}" for number in rnd.sample(range(100), 6)),
        lambda: f"{digits(rnd, 2)}:{digits(rnd, 2)}:{digits(rnd, 2)}",
        lambda: f"file_{digits(rnd, 8)}_{digits(rnd, 6)}.png",
    ))()  # fmt: skip


def address(rnd: Random) -> str:
    return f"{generate.ipv4(rnd)}{rnd.choice(('', ':8080', '/24', ' - - '))}"


#: Makers of texts without a finding, how often each comes, and what is found all the same.
NEGATIVES: tuple[tuple[int, Callable[[Random], str], frozenset[str]], ...] = (
    (40, float_text, frozenset()),
    (12, softmax, frozenset()),
    (8, row, frozenset()),
    (8, stamp, frozenset()),
    (16, code_of_things, frozenset()),
    (8, code, frozenset()),
    (3, address, frozenset(("ipv4",))),
    (5, generate.padding, frozenset()),
)
_MAKERS = [entry for entry in NEGATIVES for _ in range(entry[0])]


def negative(rnd: Random) -> tuple[str, frozenset[str]]:
    """Return a text without a finding, but for those of some kinds."""
    _, make, allowed = rnd.choice(_MAKERS)
    return make(rnd), allowed


def recall(name: str, count: int) -> tuple[float, list[tuple[str, str]]]:
    """Return the part of a form's values that are cut whole, and nothing else; and some that are not."""
    from guardrail.detectors import Redactor

    form = FORMS[name]
    redactor = Redactor(["personal", "secrets", form.asked])
    rnd = generate.rnd_of(name)
    missed = []
    for _ in range(count):
        before, value, after = place(rnd, form)
        if redactor.redact(before + value + after)[0] != f"{before}[{form.kind}]{after}":
            missed.append((before + value + after, value))
    return 1 - len(missed) / count, missed


#: An amount of nine digits, alone, is written as phone numbers of some countries are: where these
#: are named, nothing in such a text says which of the two it is.
UNDECIDED = re.compile("[0-9]{3} [0-9]{3} [0-9]{3}")


def false_findings(count: int, asked: str = "") -> dict[str, list[str]]:
    """Return by kind the texts in which nothing is, and in which a kind is found.

    Arguments:
        count: how many texts are made.
        asked: another kind to look for, such as ``phone(ES)``.
    """
    from guardrail.detectors import Scanner

    scanner = Scanner(["personal", "secrets", *([asked] if asked else [])])
    rnd = generate.rnd_of("negatives")
    found: dict[str, list[str]] = {}
    for _ in range(count):
        text, allowed = negative(rnd)
        if asked and UNDECIDED.fullmatch(text):
            continue
        for kind in scanner.kinds_in(text) - allowed:
            found.setdefault(kind, []).append(text)
    return found
