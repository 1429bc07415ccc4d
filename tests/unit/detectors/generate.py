"""Texts with known findings, made from the formats' definitions: what the detectors are held to.

Each maker gives one value that is valid by its definition; check digits are python-stdnum's or
computed here, never the detectors' own. `spoil` makes one that is not. Sentences around them
hold what only resembles them.
"""

from __future__ import annotations

import random
import string
import uuid

from stdnum import iban as iban_numbers
from stdnum import luhn, verhoeff
from stdnum.be import nn
from stdnum.br import cpf
from stdnum.ch import ssn as ahv
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.tr import tckimlik

ALNUM = string.ascii_letters + string.digits
TOKEN = ALNUM + "_-"
HEX = "0123456789abcdef"


def some(rnd, chars, count):
    return "".join(rnd.choice(chars) for _ in range(count))


def digits(rnd, count):
    return some(rnd, string.digits, count)


def email(rnd):
    local = some(rnd, string.ascii_lowercase, rnd.randint(1, 9))
    if rnd.random() < 0.6:
        local += rnd.choice("._-+%") + some(rnd, ALNUM, rnd.randint(1, 8))
    host = some(rnd, string.ascii_lowercase, rnd.randint(2, 10))
    if rnd.random() < 0.3:
        host += "-" + some(rnd, ALNUM, 3) + "." + some(rnd, string.ascii_lowercase, 4)
    top = rnd.choice(("com", "org", "de", "co.uk", "museum", "io", "xn--p1ai", "info", "travel"))
    return f"{local}@{host}.{top}"


def phone(rnd):
    form = rnd.choice((
        "+1 (2dd) 5dd-dddd", "+1-2dd-5dd-dddd", "+49 30 ddddddd", "+49 (0)89 dddd ddd",
        "+33 1 dd dd dd dd", "+44 20 dddd dddd", "+442071dddddd", "+81-3-dddd-dddd",
        "+91 98ddd ddddd", "+353 1 ddd dddd", "0049 30 ddddddd", "(2dd) 5dd-dddd",
        "2dd-5dd-dddd", "2dd.5dd.dddd", "1-8dd-5dd-dddd", "2dd 5dd dddd", "020 7ddd dddd",
        "07ddd dddddd", "0161 4dd dddd", "01632 96dddd", "(0161) 4dd dddd", "030/1ddddddd",
        "0171-1dddddd", "0171 1dd dd dd", "(030) 1dddddd", "089 1dddddd", "01 4d dd dd dd",
        "06.1d.dd.dd.dd", "02-4d-dd-dd-dd",
    ))  # fmt: skip
    return "".join(rnd.choice("23456789") if char == "d" else char for char in form)


def card(rnd):
    prefix, size = rnd.choice((
        ("4", 16), ("4", 13), ("4", 19), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16),
        ("34", 15), ("37", 15), ("36", 14), ("6011", 16), ("65", 16), ("3530", 16), ("62", 16),
        ("2200", 16),
    ))  # fmt: skip
    body = prefix + digits(rnd, size - len(prefix) - 1)
    number = body + luhn.calc_check_digit(body)
    if rnd.random() < 0.5:
        return number
    sign = rnd.choice(" -.")
    if size == 16 or size == 19:
        return sign.join(number[at : at + 4] for at in range(0, size, 4))
    if size in (14, 15):
        return sign.join((number[:4], number[4:10], number[10:]))
    return number


def iban(rnd):
    while True:
        country = rnd.choice(COUNTRIES)
        bban = "".join(
            some(rnd, {"n": string.digits, "a": string.ascii_uppercase,
                       "c": string.ascii_uppercase + string.digits}[kind], int(size))
            for size, kind in SHAPES[country]
        )  # fmt: skip
        number = country + "00" + bban
        number = country + iban_numbers.calc_check_digits(number) + bban
        if iban_numbers.is_valid(number, check_country=False):
            break
    form = rnd.random()
    if form < 0.5:
        return number
    return iban_numbers.format(number) if form < 0.9 else number.lower()


def _shapes():
    import re

    found = {}
    for first in string.ascii_uppercase:
        for second in string.ascii_uppercase:
            ((_, told), *_) = iban_numbers._ibandb.info(first + second)
            if told.get("bban"):
                found[first + second] = re.findall(r"(\d+)!([nac])", told["bban"])
    return found


SHAPES = _shapes()
COUNTRIES = sorted(SHAPES)


def ssn(rnd):
    area = rnd.choice([number for number in range(1, 900) if number != 666])
    sign = rnd.choice("-- ")
    return f"{area:03}{sign}{rnd.randint(1, 99):02}{sign}{rnd.randint(1, 9999):04}"


def until(rnd, make, module):
    while True:
        number = make(rnd)
        if module.is_valid(number):
            return number


def date(rnd):
    return f"{rnd.randint(40, 99):02}{rnd.randint(1, 12):02}{rnd.randint(1, 28):02}"


def _dni(rnd):
    number = digits(rnd, 8)
    return number + rnd.choice(("", "-")) + dni.calc_check_digit(number)


def _nie(rnd):
    number = rnd.choice("XYZ") + digits(rnd, 7)
    return number + nie.calc_check_digit(number)


def _nir(rnd):
    number = f"{rnd.randint(1, 2)}{rnd.randint(0, 99):02}{rnd.randint(1, 12):02}"
    number += f"{rnd.randint(1, 95):02}{rnd.randint(1, 989):03}{rnd.randint(1, 999):03}"
    number += nir.calc_check_digits(number)
    form = rnd.random()
    if form < 0.4:
        return number
    if form < 0.6:
        return f"{number[:13]} {number[13:]}"
    parts = (number[0], number[1:3], number[3:5], number[5:7], number[7:10], number[10:13])
    return " ".join((*parts, number[13:]))


def _cf(rnd):
    body = some(rnd, string.ascii_uppercase, 6) + digits(rnd, 2) + rnd.choice("ABCDEHLMPRST")
    body += f"{rnd.randint(1, 28):02}" + some(rnd, string.ascii_uppercase, 1) + digits(rnd, 3)
    return body + codicefiscale.calc_check_digit(body)


def _idnr(rnd):
    number = until(rnd, _idnr_once, idnr)
    return number if rnd.random() < 0.6 else idnr.format(number)


def _idnr_once(rnd):
    from stdnum.iso7064 import mod_11_10

    pool = rnd.sample(string.digits, 9)
    pool.append(rnd.choice(pool))
    rnd.shuffle(pool)
    body = "".join(pool)
    return body + mod_11_10.calc_check_digit(body)


def _tc(rnd):
    body = rnd.choice("123456789") + digits(rnd, 8)
    return body + tckimlik.calc_check_digits(body)


def _no(rnd):
    def once(r):
        body = f"{r.randint(1, 28):02}{r.randint(1, 12):02}{r.randint(40, 99):02}"
        body += f"{r.randint(0, 499):03}"
        first = fodselsnummer.calc_check_digit1(body)
        return body + first + fodselsnummer.calc_check_digit2(body + first)

    return until(rnd, once, fodselsnummer)


def _pesel(rnd):
    body = date(rnd) + digits(rnd, 4)
    return "PESEL: " + body + pesel.calc_check_digit(body)


def _cpf(rnd):
    body = digits(rnd, 9)
    number = body + cpf._calc_check_digits(body)
    return cpf.format(number) if rnd.random() < 0.7 else "CPF " + number


def _bsn(rnd):
    number = until(rnd, lambda r: r.choice("123456789") + digits(r, 8), bsn)
    return rnd.choice(("BSN ", "bsn: ", "burgerservicenummer ")) + number


def _aadhaar(rnd):
    body = rnd.choice("23456789") + digits(rnd, 10)
    return aadhaar.format(body + verhoeff.calc_check_digit(body))


def _nn(rnd):
    def once(r):
        body = date(r) + f"{r.randint(1, 997):03}"
        prefix = "2" if r.random() < 0.3 else ""
        if prefix:
            body = f"{r.randint(0, 20):02}" + body[2:]
        return body + f"{97 - int(prefix + body) % 97:02}"

    return nn.format(until(rnd, once, nn))


def _ahv(rnd):
    from stdnum import ean

    body = "756" + digits(rnd, 9)
    return ahv.format(body + ean.calc_check_digit(body))


def _se(rnd):
    body = date(rnd) + digits(rnd, 3)
    number = f"{body[:6]}-{body[6:]}{luhn.calc_check_digit(body)}"
    return number if rnd.random() < 0.5 else "19" + number


def _hetu(rnd):
    def once(r):
        body = f"{r.randint(1, 28):02}{r.randint(1, 12):02}{r.randint(40, 99):02}"
        number = f"{r.randint(2, 899):03}"
        return f"{body}-{number}" + hetu._calc_checksum(body + number)

    return until(rnd, once, hetu)


def _ric(rnd):
    body = rnd.choice(("110101", "310101", "440103")) + f"19{date(rnd)}" + digits(rnd, 3)
    return body + ric.calc_check_digit(body + "0")  # it drops the last one


NATIONAL = {
    "es_dni": _dni, "es_nie": _nie, "fr_nir": _nir, "it_codicefiscale": _cf, "de_idnr": _idnr,
    "tr_tckimlik": _tc, "no_fodselsnummer": _no, "pl_pesel": _pesel, "br_cpf": _cpf,
    "nl_bsn": _bsn, "in_aadhaar": _aadhaar, "be_nn": _nn, "ch_ahv": _ahv,
    "se_personnummer": _se, "fi_hetu": _hetu, "cn_ric": _ric,
}  # fmt: skip


def national_id(rnd):
    return rnd.choice(list(NATIONAL.values()))(rnd)


def ipv4(rnd):
    return ".".join(str(rnd.randint(0, 255)) for _ in range(4))


def ipv6(rnd):
    groups = [f"{rnd.randint(0, 0xFFFF):x}" for _ in range(8)]
    form = rnd.random()
    if form < 0.3:
        return ":".join(groups)
    first = rnd.randint(1, 4)
    head, tail = ":".join(groups[:first]), ":".join(groups[first : rnd.randint(first + 1, 6)])
    if form < 0.7:
        return f"{head}1::{tail}" if len(groups[first - 1]) < 4 else f"{head}::{tail}"
    if form < 0.8:
        return f"2001:{groups[0]}::"
    return f"::ffff:{ipv4(rnd)}" if form < 0.9 else f"fe80::{groups[0]}%eth{rnd.randint(0, 9)}"


def mac(rnd):
    pairs = [some(rnd, HEX, 2) for _ in range(6)]
    sign = rnd.choice(":-.")
    if sign == ".":
        return ".".join("".join(pairs[at : at + 2]) for at in range(0, 6, 2))
    text = sign.join(pairs)
    return text.upper() if rnd.random() < 0.5 else text


def private_key(rnd):
    label = rnd.choice(("RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED ", "DSA "))
    body = "\n".join(some(rnd, ALNUM + "+/", 64) for _ in range(rnd.randint(1, 6)))
    return f"-----BEGIN {label}PRIVATE KEY-----\n{body}\n-----END {label}PRIVATE KEY-----"


def jwt(rnd):
    import base64
    import json

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    header = part({"alg": rnd.choice(("HS256", "RS256", "ES256")), "typ": "JWT"})
    body = part({"sub": digits(rnd, 6), "exp": int(digits(rnd, 9))})
    return f"{header}.{body}.{some(rnd, TOKEN, 43)[:-1]}A"


KEYS = {
    "AWS": ("AKIA", string.ascii_uppercase + "234567", 16),
    "AWS session": ("ASIA", string.ascii_uppercase + "234567", 16),
    "GitHub": ("ghp_", ALNUM, 36),
    "GitHub server": ("ghs_", ALNUM, 36),
    "GitHub OAuth": ("gho_", ALNUM, 36),
    "GitHub fine-grained": ("github_pat_", ALNUM, 82),
    "GitLab": ("glpat-", ALNUM, 20),
    "Slack": ("xoxb-", string.digits + "-", 24),
    "Stripe": ("sk_live_", ALNUM, 24),
    "Stripe restricted": ("rk_live_", ALNUM, 24),
    "Google": ("AIza", ALNUM, 35),
    "OpenAI": ("sk-", ALNUM, 48),
    "OpenAI project": ("sk-proj-", ALNUM, 64),
    "Anthropic": ("sk-ant-api03-", ALNUM, 80),
    "Hugging Face": ("hf_", ALNUM, 34),
    "npm": ("npm_", ALNUM, 36),
    "PyPI": ("pypi-AgEIcHlwaS5vcmc", ALNUM, 80),
    "SendGrid": ("SG." + "a" * 22 + ".", ALNUM, 43),
    "Twilio": ("SK", HEX, 32),
    "Twilio account": ("AC", HEX, 32),
    "DigitalOcean": ("dop_v1_", HEX, 64),
    "Azure": ("AccountKey=", ALNUM + "+/", 86),
    "Shopify": ("shpat_", HEX, 32),
    "Square": ("sq0atp-", ALNUM, 22),
    "Mailgun": ("key-", HEX, 32),
    "Databricks": ("dapi", HEX, 32),
}


def api_key(rnd):
    if rnd.random() < 0.05:
        return f"{digits(rnd, 9)}:{some(rnd, ALNUM, 35)}"
    prefix, chars, size = rnd.choice(list(KEYS.values()))
    return (
        prefix
        + some(rnd, chars, size - 1)
        + rnd.choice(chars.replace("-", ""))
        + ("==" if prefix == "AccountKey=" else "")
    )


MAKERS = {
    "email": email, "phone": phone, "card": card, "iban": iban, "ssn": ssn,
    "national_id": national_id, "ipv4": ipv4, "ipv6": ipv6, "mac": mac,
    "private_key": private_key, "jwt": jwt, "api_key": api_key,
}  # fmt: skip

#: What only resembles something: each is no finding of any kind.
DISTRACTORS = (
    lambda r: f"order {digits(r, 8)}",
    lambda r: f"invoice #{digits(r, 10)}",
    lambda r: f"20{digits(r, 2)}-0{r.randint(1, 9)}-1{r.randint(0, 9)}",
    lambda r: f"1{r.randint(0, 9)}.0{r.randint(1, 9)}.20{r.randint(10, 30)}",
    lambda r: f"1{r.randint(0, 2)}:{r.randint(10, 59)}:{r.randint(10, 59)}",
    lambda r: f"v{r.randint(0, 9)}.{r.randint(0, 30)}.{r.randint(0, 99)}",
    lambda r: some(r, HEX, 40),
    lambda r: some(r, HEX, 64),
    lambda r: str(uuid.UUID(int=r.getrandbits(128), version=4)),
    lambda r: f"${r.randint(1, 999)},{digits(r, 3)}.{digits(r, 2)}",
    lambda r: f"{r.randint(1, 99)}.{digits(r, 4)}, {r.randint(1, 99)}.{digits(r, 4)}",
    lambda r: f"part {digits(r, 4)}-{digits(r, 2)}-{some(r, string.ascii_uppercase, 2)}",
    lambda r: f"SKU {some(r, string.ascii_uppercase, 3)}-{digits(r, 5)}",
    lambda r: f"ISBN 978-3-16-{digits(r, 6)}-{r.randint(0, 9)}",
    lambda r: f"@{some(r, string.ascii_lowercase, 6)} on Thursday",
    lambda r: f"icon@{r.randint(1, 3)}x.png",
    lambda r: f"left-pad@{r.randint(1, 9)}.{r.randint(0, 9)}.{r.randint(0, 9)}",
    lambda r: f"std::{some(r, string.ascii_lowercase, 6)}",
    lambda r: f"epoch 17{digits(r, 8)}",
    lambda r: f"{digits(r, 3)} of {digits(r, 4)}",
    lambda r: f"score {r.randint(1, 99)}-{r.randint(1, 99)}",
    lambda r: f"{r.randint(1, 9)} + {r.randint(1, 9)} = {r.randint(10, 18)}",
    lambda r: "https://example.org/a/b?c=" + digits(r, 5),
)
WORDS = [
    "the",
    "model",
    "answered",
    "that",
    "a",
    "reading",
    "was",
    "within",
    "range",
    "and",
    "nobody",
    "asked",
    "again",
    "about",
    "it",
]


def padding(rnd):
    """Return some words, often with a distractor."""
    words = rnd.sample(WORDS, rnd.randint(1, 5))
    if rnd.random() < 0.7:
        words.insert(rnd.randint(0, len(words)), rnd.choice(DISTRACTORS)(rnd) + ",")
    return " ".join(words)


def sentence(rnd, value):
    """Return a sentence around a value, and where the value stands in it."""
    before, after = padding(rnd), padding(rnd)
    opening, closing = rnd.choice(
        (("", ""), ("(", ")"), ('"', '"'), ("", "."), ("", ","), ("", ";"))
    )
    head = f"{before}: {opening}"
    return f"{head}{value}{closing} {after}", len(head)


def spoil(rnd, kind, value):
    """Return what a value was before, with a wrong check digit or size, or an impossible part."""
    if kind in ("card", "iban", "national_id"):
        places = [at for at, char in enumerate(value) if char.isdigit()]
        at = places[-1]
        wrong = str((int(value[at]) + rnd.randint(1, 8)) % 10)
        return value[:at] + wrong + value[at + 1 :]
    if kind == "ssn":
        return rnd.choice(("000", "666", "9" + value[1:3])) + value[3:]
    if kind == "ipv4":
        return value.rsplit(".", 1)[0] + "." + str(rnd.randint(256, 999))
    if kind == "ipv6":
        return value.replace("::", ":0:").split("%")[0].rsplit(":", 5)[-1] or "a"
    if kind == "mac":
        return value[:-1] + "g"
    if kind == "email":
        return value.split("@")[0] + "@localhost"
    if kind == "phone":
        return "".join(char for char in value if char.isdigit())[-8:]
    if kind == "private_key":
        return value.replace("PRIVATE", "PUBLIC")
    if kind == "jwt":
        return value.split(".")[0]
    return value[:12]


def rnd_of(seed):
    return random.Random(seed)  # noqa: S311 (texts, no secrets)
