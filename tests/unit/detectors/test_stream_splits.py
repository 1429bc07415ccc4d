# ruff: noqa: E501 (a case per line)
"""Boundary cases of formats: a finding is cut whole, wherever a stream is split."""

import pytest

from guardrail.detectors import GROUPS, Redactor, Scanner, StreamRedactor

REDACTOR = Redactor(["personal", "secrets"])
PUTTY = (
    "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\nAAAAIE9\n"
    "Private-MAC: " + "0123456789abcdef" * 4
)
WEBHOOK = "https://hooks.slack.com/services/T012ABCDEF/B012ABCDEF/a1B2c3D4e5F6g7H8i9J0k1L2"

CASES = [
    ("345-899-3560x4587", "[phone]"),
    ("345-899-3560 x4587, or", "[phone], or"),
    ("+44 20 7946 0958ext 3", "[phone]"),
    ("+44 20 7946 0958 ext. 3.", "[phone]."),
    ("+44 20 7946 0958 extra", "[phone] extra"),
    ("(212).555.0123", "[phone]"),
    ("1 (212) 555-0123", "[phone]"),
    ("_+44 20 7946 0958_", "_[phone]_"),
    ("+1 (555) 234-5678 10 pieces", "[phone] 10 pieces"),
    ("+49 30 1234567 5GB", "[phone] 5GB"),
    ("+44 20 7946 0958abc", "[phone]abc"),
    ("+491512345678\n10 pieces", "[phone]\n10 pieces"),
    ("4111 1111 11111111", "[card]"),
    ("4111_1111_1111_1111", "[card]"),
    ("4111/1111/1111/1111", "[card]"),
    ("4111 1111\n1111 1111", "[card]"),
    ("4111\r\n1111\r\n1111\r\n1111", "[card]"),
    ("card:4111111111111111exp12/29", "card:[card]exp12/29"),
    ("visa4111111111111111", "visa[card]"),
    ("4111111111111111abcdef", "4111111111111111abcdef"),
    ("4111111111111111exp@example.org", "[email]"),
    ("4111 1111 1111 1111\n123", "[card]\n123"),
    ("Maestro 676770838891", "Maestro [card]"),
    ("order 676770838891", "order 676770838891"),
    ("DE44.5001.0517.5407.3249.31", "[iban]"),
    ("DE44  5001  0517  5407  3249  31", "[iban]"),
    ("DE44 5001 0517\n  5407 3249 31", "[iban]"),
    ("de44 5001 0517 5407 3249 31", "[iban]"),
    ("gb82 west 1234 5698 7654 32", "[iban]"),
    ("DE44500105175407324931COBADEFFXXX", "[iban]COBADEFFXXX"),
    ("COBADEFFXXXDE44500105175407324931", "COBADEFFXXX[iban]"),
    ("0011.2233.4455.6677.8899", "0011.2233.4455.6677.8899"),
    ("postgres://user:pw@host", "postgres://user:[credential]@host"),
    ("postgres://u:p@db.example.org/x?y=z", "postgres://u:[credential]@db.example.org/x?y=z"),
    ("postgres://u:p/w#1@db.example.org", "postgres://u:[credential]@db.example.org"),
    ("http://localhost:8080/@scope/a", "http://localhost:8080/@scope/a"),
    ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [credential]"),
    ('curl -H "Authorization: Bearer 4f3c2b1a" x', 'curl -H "Authorization: Bearer [credential]" x'),
    ("Bearer 4f3c2b1a9d8e7f6a5b4c.", "Bearer [credential]."),
    ("the bearer of bad news", "the bearer of bad news"),
    ("password=hunter2", "password=[credential]"),
    ("PASSWORD = 'two words'", "PASSWORD = '[credential]'"),
    ("(password=hunter2)", "(password=[credential])"),
    ('{"password": "a\\"b c"}', '{"password": "[credential]"}'),
    ("?api_key=abc123&x=1", "?api_key=[credential]&x=1"),
    ("password: required", "password: required"),
    ('password = os.environ["PASSWORD"]', 'password = os.environ["PASSWORD"]'),
    ("max_tokens=4096", "max_tokens=4096"),
    ("password=[credential]", "password=[credential]"),
    ("api_key=sk-proj-a1B2c3D4e5F6g7H8i9J0k1L2", "api_key=[api_key]"),
    ("hf_requiredCharacteristicTypesForDisplayMetadata",
     "hf_requiredCharacteristicTypesForDisplayMetadata"),
    ("sk-proj-this-is-my-example-project", "sk-proj-this-is-my-example-project"),
    (f"see {WEBHOOK}.", "see [api_key]."),
    (f"{PUTTY}\nend", "[private_key]\nend"),
    ("PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 1\nAAAA", "[private_key]"),
    ("glpat-a1B2c3D4e5F6g7H8i9J0k1L2m3N.01.0a1b2c3d4. Then", "[api_key]. Then"),
    ("see [::ffff:10.0.0.1](#a)", "see [[ipv6]](#a)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_a_form_is_cut_whole_or_not_at_all(text, expected):
    assert REDACTOR.redact(text)[0] == expected
    assert REDACTOR.redact(expected) == (expected, 0)


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_so_is_it_wherever_a_stream_is_split(text, expected):
    for at in range(len(text) + 1):
        stream = StreamRedactor(REDACTOR)
        assert stream.feed(text[:at]) + stream.feed(text[at:]) + stream.close() == expected
    stream = StreamRedactor(REDACTOR)
    assert "".join(map(stream.feed, text)) + stream.close() == expected


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("612 34 56 78", "phone(ES)"), ("612 345 678", "phone(ES)"), ("91 123 45 67", "phone(ES)"),
        ("512 345 678", "phone(PL)"), ("22 123 45 67", "phone(PL)"),
        ("(11) 91234-5678", "phone(BR)"), ("11 3123-4567", "phone(BR)"), ("912 345 678", "phone(PT)"),
    ],
)  # fmt: skip
def test_national_forms_are_found_where_their_country_is_named(text, name):
    assert Redactor([name]).redact(f"Call {text}.") == ("Call [phone].", 1)
    assert Redactor(["phone"]).redact(f"Call {text}.") == (f"Call {text}.", 0)


@pytest.mark.parametrize("text", ["612.345.678", "612 345 678,50", "1 612 345 678", "612345678"])
def test_an_amount_is_no_phone_of_a_country(text):
    assert Scanner(["phone(ES, PL)"]).find(text) == []


def test_a_plain_run_is_a_phone_of_a_country_behind_a_word_for_it():
    assert Redactor(["phone(ES)"]).redact("Tel. 612345678") == ("Tel. [phone]", 1)


def test_a_country_without_forms_is_refused():
    with pytest.raises(ValueError, match="national forms are known: AR"):
        Scanner(["phone(XX)"])


@pytest.mark.parametrize("kind", ["card", "phone", "iban", "mac"])
def test_nothing_of_one_kind_is_half_of_another(kind):
    # what is looked for alone finds no part of what is something else
    text = {
        "card": "DE44 5001 0517 5407 3249 31", "phone": "4111 1111 11111111",
        "iban": "+44 20 7946 0958", "mac": "DE44.5001.0517.5407.3249.31",
    }[kind]  # fmt: skip
    assert Scanner([kind]).find(text) == []


def test_findings_of_all_kinds_keep_their_place_in_a_text_of_many():
    text = " ".join(text for text, _ in CASES if "\n" not in text)
    once = Redactor(GROUPS).redact(text)[0]
    assert Redactor(GROUPS).redact(once) == (once, 0)
