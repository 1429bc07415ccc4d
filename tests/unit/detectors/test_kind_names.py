# ruff: noqa: RUF001 (look-alikes are what this is about)
"""Names of kinds and groups; styles and keys; a stream that is closed."""

import pytest

from guardrail.detectors import ENGINE, GROUPS, KINDS, Redactor, Scanner, StreamRedactor, expand

KEY = bytes(range(16))


def test_groups_and_kinds_expand_in_order_and_once():
    assert expand(["contacts", "email", "jwt"]) == ("email", "phone", "jwt")
    assert expand(GROUPS) == tuple(KINDS)
    assert expand([]) == ()


@pytest.mark.parametrize(("name", "near"), [("emial", "email"), ("secret", "secrets")])
def test_an_unknown_name_is_refused_with_the_near_one(name, near):
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        Scanner([name])


def test_a_single_text_is_refused():
    with pytest.raises(ValueError, match="several names"):
        expand("email")


def test_an_unknown_style_is_refused():
    with pytest.raises(ValueError, match="style"):
        Redactor(["email"], "blur")


@pytest.mark.parametrize("key", [b"", b"short", bytes(65)])
def test_a_hash_without_a_fitting_key_is_refused(key):
    with pytest.raises(ValueError, match="16 to 64 bytes"):
        Redactor(["email"], "hash", key)


def test_equal_values_have_equal_marks_and_others_do_not():
    redactor = Redactor(["email", "card", "iban"], "hash", KEY)
    one, _ = redactor.redact("Ada@Example.org 4111 1111 1111 1111 DE89 3704 0044 0532 0130 00")
    two, _ = redactor.redact("ada@example.org 4111-1111-1111-1111 de89370400440532013000")
    assert one == two
    assert redactor.redact("bob@example.org")[0] != one.split()[0]
    other = Redactor(["email"], "hash", bytes(16))
    assert other.redact("ada@example.org")[0] != one.split()[0]


@pytest.mark.parametrize(
    ("style", "expected"),
    [("label", "[email]!"), ("drop", "…!")],
)
def test_styles(style, expected):
    assert Redactor(["email"], style).redact("ada@example.org!") == (expected, 1)


def test_what_nobody_sees_goes_without_a_mark():
    redactor = Redactor(["zero_width", "email"])
    assert redactor.redact("a\u200bda@ex\u200bample.org") == ("[email]", 3)


def test_clean_text_comes_back_as_it_is():
    text = "नमस्ते, 👩‍👩‍👧 и мир; κόσμε; 5 μg of TNFα; 🏴󠁧󠁢󠁥󠁮󠁧󠁿"
    assert Redactor(GROUPS).redact(text) == (text, 0)


def test_a_closed_stream_takes_nothing():
    stream = StreamRedactor(Redactor(["email"]))
    assert stream.feed("ada@exam") == ""
    assert stream.close() == "ada@exam"
    for call in (lambda: stream.feed("x"), stream.close):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_the_engine_is_named():
    assert ENGINE == "re2"
