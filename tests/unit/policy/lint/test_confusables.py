"""Letters that look like others, and invisible characters."""

from __future__ import annotations

import json

import pytest
from weak_bundles import SOUND, when

from guardrail.policy.lint import confusables as letters


def note(text: str) -> str:
    return when(f'context.app.note == "{text}"')


@pytest.mark.parametrize(
    "text",
    [
        "\u0430dmin",  # Cyrillic a
        "adm\u0456n",
        "r\u00e9d\u0430",
        "\u0440\u043e\u0440",  # Cyrillic that reads as Latin
        "\u039f\u039a",  # Greek that reads as OK
        "\uff41dmin",  # a fullwidth letter
        "\U0001d41adm",  # a mathematical one
        "\u0251dmin",  # Latin alpha
        "e\u0301t",  # composed of several characters
        "\u13a0min",  # Cherokee
        "a\u0501min",
    ],
)
def test_look_alikes_are_found(find, text):
    (found,) = find("GR504", note(text))
    assert (found.place.line, found.policy) == (3, "it")


@pytest.mark.parametrize(
    "text",
    [
        "admin", "\u00e9t\u00e9 na\u00efve", "\u0440\u043e\u0441\u0442", "\u03b1\u03b2\u03b3",
        "10 \u03bcm", "10\u00b5m", "\u0394t", "m\u00b2", "1\u00aa",
        "\u65e5\u672c\u8a9eAPI", "\ud55c\uae00API", "\u05e9\u05dc\u05d5\u05dd", "\u00df",
        "\u2603", "\u0441", "Stra\u00dfe", "\u0430\u0434\u043c\u0438\u043d admin",
    ],
)  # fmt: skip
def test_ordinary_writing_is_not(find, text):
    assert find("GR504", note(text)) == []


@pytest.mark.parametrize(
    "char",
    [
        "\u200b", "\u200d", "\u202e", "\u2066", "\ufeff", "\u00ad", "\U000e0041", "\u2028",
        "\u3164", "\u2800", "\u034f", "\x7f", "\x1b", "\ufe0f", "\x85",
    ],
)  # fmt: skip
def test_characters_that_do_not_show_are_found(find, char):
    (found,) = find("GR505", note(f"re{char}d"))
    assert (found.place.line, found.policy) == (3, "it")
    assert char not in found.message


@pytest.mark.parametrize("text", ["\u2764\ufe0f", "1\ufe0f", "\u00a0", "\u2003x", "tab\\t"])
def test_what_shows_is_not(find, text):
    assert find("GR505", note(text)) == []


@pytest.mark.parametrize("text", ["\\u{430}dmin", "re\\u{200b}d"])
def test_what_an_escape_spells_out_is_meant(find, text):
    assert find("GR504", note(text)) == []
    assert find("GR505", note(text)) == []


def test_a_comment_may_mix_letters_but_not_turn_the_text_round(find):
    assert find("GR504", f"// \u0430dmin\n{SOUND}") == []
    (found,) = find("GR505", f"// x \u202e y\n{SOUND}")
    assert (str(found.place), found.policy) == ("policies.cedar:1:6", "")


def test_a_string_in_a_comment_names_nothing(find):
    assert find("GR504", f'// "\u0430dmin"\n{SOUND}') == []


def test_annotations_are_read_too(find):
    text = f'@id("it") @doc("\u0430dmin") permit (principal, action, resource);\n{SOUND}'
    (found,) = find("GR504", text)
    assert found.policy == "it"


def entities(*ids: str) -> dict[str, str]:
    made = [
        {"uid": {"type": "Model", "id": name}, "attrs": {"purpose": "care"}, "parents": []}
        for name in ("tumour", *ids)
    ]
    lines = ",\n".join(json.dumps(entity) for entity in made)  # with escapes
    return {"entities.json": f"[\n{lines}]"}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("tum\u043eur", "GR504"),
        ("tumour\u200b", "GR505"),
        ("tu\u00a0mour", "GR505"),
        ("tumour ", "GR505"),
        (" tumour", "GR505"),
        ("tum\tour", "GR505"),
    ],
)
def test_ids_of_entities_are_read_through_their_escapes(find, name, code):
    (found,) = find(code, SOUND, **entities("fine", name))
    assert str(found.place) == "entities.json:4:1"
    assert name not in found.message


@pytest.mark.parametrize(
    "name", ["tumour 2019", "T\u00fcmor", "\u043e\u043f\u0443\u0445\u043e\u043b\u044c", "a-b_c"]
)
def test_ordinary_ids_are_not_found(find, name):
    for code in ("GR504", "GR505"):
        assert find(code, SOUND, **entities(name)) == []


def test_settings_and_specs_hide_nothing(find):
    toml = '[bundle]\nname = "small" # \u202e\nversion = "1.0.0"\n'
    (found,) = find("GR505", SOUND, **{"guardrail.toml": toml})
    assert str(found.place) == "guardrail.toml:2:18"


def test_letters_in_links_are_read_without_comments():
    raw = '- {id: "\u0430dmin"}  # \u0430dmin\n- {id: admin}\n'.encode()
    found = list(letters.find({"links.yaml": raw}, (), ()))
    assert [(finding.code, str(finding.place)) for finding in found] == [
        ("GR504", "links.yaml:1:9")
    ]
