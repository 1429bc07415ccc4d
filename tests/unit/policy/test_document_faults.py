"""The faults of a value of the wrong type, in every model of a file."""

from __future__ import annotations

import importlib
import pkgutil
import re
from datetime import date, datetime

import pytest

import guardrail
from guardrail._documents import Document, Section
from guardrail.audit.settings import AuditSettings
from guardrail.errors import ConfigurationError
from guardrail.facts.input_view.view import Bounds
from guardrail.obligations.input.record import RecordSection
from guardrail.policy.engine.load import BundleSettings
from guardrail.testing.files.format import PolicyTestSection, StepSection

#: The words of pydantic, and values that are in no message.
RAW = re.compile(r"[Ii]nput should|Value error|should (be|have|match)|valid [a-z]+ ?\b(type)?$")
SECRETS = ("canary", "4711")
WRONG = (
    "canary", 4711, 4711.5, True, None, [], ["canary"], [4711], [[4711]], {}, {"canary": "canary"},
    {"canary": 4711}, {4711: "canary"}, [{"canary": 4711}], -4711, "", "4711", date(2026, 1, 1),
    datetime(2026, 1, 1),
)  # fmt: skip


def models() -> list[type[Section]]:
    for module in pkgutil.walk_packages(guardrail.__path__, "guardrail."):
        if ".__main__" not in module.name and ".template" not in module.name:
            importlib.import_module(module.name)
    found, pending = [], [Section]
    while pending:
        below = [each for each in pending.pop().__subclasses__() if each not in found]
        found += below
        pending += below
    return [each for each in found if each.__module__.startswith("guardrail.")]


def messages(model: type[Section], data: object) -> list[str]:
    try:
        Document("guardrail.toml", data).parse(model)
    except ConfigurationError as error:
        return [fault.message for fault in error.faults]
    return []


def test_no_model_of_a_file_shows_the_words_of_pydantic_or_a_value():
    found = models()
    assert len(found) > 40
    count = 0
    for model in found:
        keys = [its.alias or name for name, its in model.model_fields.items()]
        for wrong in WRONG:
            for data in (wrong, *({key: wrong} for key in keys)):
                for message in messages(model, data):
                    count += 1
                    assert not RAW.search(message), (model, message)
                    assert message.endswith((".", "?")), (model, message)
                    named = re.sub(r"`[^`]*`", "", message)
                    assert not any(secret in named for secret in SECRETS), (model, message)
    assert count > 1000


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [
        (
            PolicyTestSection,
            {"name": "a", "now": "2026-11-23 10:00", "expect": "deny"},
            "`now`: expected a time with its zone, such as 2026-11-23T10:00:00Z; got a text.",
        ),
        (
            PolicyTestSection,
            {"name": "a", "input": 3, "expect": "deny"},
            "`input`: expected the guarded parameter's name and its value, such as "
            "`{patient: {age: 40}}`; got a whole number.",
        ),
        (
            PolicyTestSection,
            {"name": "a", "input": {"x": 3, "y": 3}, "expect": "deny"},
            "`input`: expected the guarded parameter's name and its value, such as "
            "`{patient: {age: 40}}`; got 2.",
        ),
        (
            PolicyTestSection,
            {"name": "a", "expect": "alow"},
            "`expect`: expected allow or deny. Did you mean allow?",
        ),
        (
            StepSection,
            {"after": 60, "expect": "deny"},
            "`after`: expected a duration such as 60s; got a whole number.",
        ),
        (
            RecordSection,
            {"kind": "record", "fields": ["area_m2"]},
            "`fields`: expected a mapping of names, each with its rule, such as "
            "`area_m2: {type: float}`; got a list.",
        ),
        (
            RecordSection,
            {"kind": "record", "fields": {"area_m2": {"type": "flot"}}},
            "`fields.area_m2.type`: expected int, float, string, bool, record, list, decimal, "
            "datetime, date or duration. Did you mean float?",
        ),
        (
            AuditSettings,
            {"keep": 400},
            '`keep`: expected a whole number and a unit, such as "90d", "12h", "30min" or "60s"; '
            "got a whole number.",
        ),
        (
            AuditSettings,
            {"durability": 3},
            "`durability`: expected write, group or each; got a whole number.",
        ),
        (
            AuditSettings,
            {"segment_bytes": 3},
            "`segment_bytes`: expected at least 262144.",
        ),
        (
            Bounds,
            {"input_bytes": "64MB"},
            "`input_bytes`: expected a number of bytes, such as 64000000; got a text.",
        ),
        (
            BundleSettings,
            {"name": "a", "version": 0.1},
            '`version`: expected a text of letters, digits, ".", "+" and "-", in quotes, such as '
            '"0.1"; got a number.',
        ),
    ],
)
def test_a_value_of_the_wrong_type_says_what_is_expected(model, data, expected):
    assert messages(model, data) == [expected]
