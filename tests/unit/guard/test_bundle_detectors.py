"""Detector kinds that a bundle defines work wherever the built-in ones do."""

import re

import pytest
from bundles import GRANT, SCHEMA, principal

from guardrail import ConfigurationError, InputRejected, NotAuthorized, OutputBlocked

TABLE = """\
[detectors.employee_id]
pattern = 'EMP-\\d{6}'
near = ["employee", "staff"]
examples = ["EMP-123456"]
not = ["TEMP-123456", "EMP-1234567"]
"""
TEXTS = SCHEMA.replace("guardrail::TensorInput", "guardrail::TextInput")
FORBID = '@id("r") @redact("{}") forbid (principal, action, resource);\n'
FOUND = (
    '@id("f") forbid (principal, action == Action::"predict", resource)'
    ' when { context.input.findings.contains("employee_id") };\n'
)
VALUE = "EMP-123456"


def toml(table=TABLE, more=""):
    return f'[bundle]\nname = "small"\nversion = "1.0.0"\n{more}{table}'


def guarded(make_guard, policies, table=TABLE, more="", output="employee EMP-123456 here"):
    guard = make_guard(
        GRANT + policies, **{"guardrail.toml": toml(table, more), "schema.cedarschema": TEXTS}
    )

    @guard.protect(action="predict", resource='Model::"tumour"', input="text")
    def reply(text):
        return output

    return reply, guard


def ask(call, guard, text="hello"):
    with guard.acting_as(principal()):
        return call(text)


@pytest.mark.parametrize(
    ("demand", "expected"),
    [
        ("employee_id", r"employee \[employee_id\] here"),
        ("employee_id as hash", r"employee \[employee_id:[0-9a-f]{8}\] here"),
        ("employee_id as drop", "employee … here"),
        ("email, employee_id as label", r"employee \[employee_id\] here"),
    ],
)
def test_redact_cuts_it(make_guard, demand, expected):
    call, guard = guarded(make_guard, FORBID.format(demand))
    assert re.fullmatch(expected, ask(call, guard))


def test_redact_blocks_it(make_guard):
    call, guard = guarded(make_guard, FORBID.format("employee_id as block"))
    with pytest.raises(OutputBlocked, match="employee_id") as caught:
        ask(call, guard)
    assert VALUE not in str(caught.value)


def test_it_is_a_fact(make_guard):
    call, guard = guarded(make_guard, FOUND)
    assert ask(call, guard, "staff number 4711, order EMP 1")
    with pytest.raises(NotAuthorized):
        ask(call, guard, "staff EMP-123456")
    assert ask(call, guard, "part EMP-123456")  # no word stands near


def test_a_stream_holds_it_back(make_guard):
    guard = make_guard(
        GRANT + FORBID.format("employee_id"),
        **{"guardrail.toml": toml(), "schema.cedarschema": TEXTS},
    )

    @guard.protect(action="predict", resource='Model::"tumour"', input="text")
    def reply(text):
        yield from "The employee EMP-123456 is in. " + "x" * 60

    with guard.acting_as(principal()):
        pieces = list(reply("hello"))
    assert "".join(pieces) == "The employee [employee_id] is in. " + "x" * 60
    assert len(pieces) > 5


def test_the_bound_on_findings_holds(make_guard):
    call, guard = guarded(
        make_guard,
        FORBID.format("employee_id"),
        more="[bounds]\nfindings = 3\n",
        output="employee EMP-123456 " * 4,
    )
    with pytest.raises(OutputBlocked, match="over 3 findings"):
        ask(call, guard)
    call, guard = guarded(make_guard, FOUND, more="[bounds]\nfindings = 3\n")
    with pytest.raises(InputRejected, match="over 3 findings") as caught:
        ask(call, guard, "employee EMP-123456 " * 4)
    assert caught.value.code == "too_large"


def test_what_may_be_a_match_and_is_too_long_is_refused(make_guard):
    table = "[detectors.block]\npattern = '<<[a-z]*>>'\n"
    long = "<<" + "a" * 2000
    call, guard = guarded(make_guard, FORBID.format("block"), table, output=long + ">>")
    with pytest.raises(OutputBlocked, match=r"\[detectors.block\], as in \{1,40\}") as caught:
        ask(call, guard)
    assert "aaa" not in str(caught.value)
    call, guard = guarded(make_guard, FOUND.replace("employee_id", "block"), table)
    with pytest.raises(InputRejected) as caught:
        ask(call, guard, long + ">>")
    assert caught.value.code == "too_large"


def test_national_forms_are_named_in_redact(make_guard):
    call, guard = guarded(
        make_guard, FORBID.format("email, phone(ES, PL) as label"), output="Llama al 612 34 56 78"
    )
    assert ask(call, guard) == "Llama al [phone]"


@pytest.mark.parametrize(
    ("table", "place", "says"),
    [
        ("[detectors.email]\npattern = 'a'", "4:1", "email is a built-in kind"),
        ("[detectors.personal]\npattern = 'a'", "4:1", "personal is a built-in group of kinds"),
        ("[detectors.X1]\npattern = 'a'", "4:1", "lower case"),
        ("[detectors.x]\npattern = 'a*'", "5:1", "matches the empty text"),
        ("[detectors.x]\npattern = '(canary-4711'", "5:1", "missing )"),
        ("[detectors.x]\npattern = '(?=a)'", "5:1", "RE2 does not take"),
        ("[detectors.x]\nexamples = []", "4:1", "`pattern` or `plugin` is required"),
        ("[detectors.x]\npattern = 'a'\npatern = 'a'", "6:1", "not a key of this version"),
        ("[detectors.x]\npattern = 'ab'\nexamples = ['ab', 'canary-4711']", "6:1", "examples[1]"),
        ("[detectors.x]\npattern = 'canary-\\d+'\nnot = ['x', 'canary-4711']", "6:1", "not[1]"),
        ("[detectors.x]\npattern = 'a'\nnear = ['']", "6:", "at least 1 character"),
        ("[detectors.x]\npattern = 'a'\nnear = ['工']", "6:1", "ASCII"),
        ("[detectors]\nx = 1", "5:1", "tables only"),
    ],
)
def test_what_is_wrong_is_a_load_error_at_its_place(make_guard, table, place, says):
    with pytest.raises(ConfigurationError) as caught:
        make_guard(GRANT, **{"guardrail.toml": toml(table + "\n")})
    (fault,) = caught.value.faults
    assert fault.code == "GR003"
    assert str(fault.place).startswith(f"guardrail.toml:{place}")
    assert says in fault.message
    assert "canary" not in str(caught.value)


def test_more_detectors_than_are_looked_for_are_refused(make_guard):
    table = "".join(f"[detectors.x{number}]\npattern = 'a'\n" for number in range(65))
    with pytest.raises(ConfigurationError, match="over 64 tables"):
        make_guard(GRANT, **{"guardrail.toml": toml(table)})


def test_a_kind_that_the_bundle_does_not_have_is_a_fault_of_redact(make_guard):
    with pytest.raises(ConfigurationError, match="did you mean 'employee_id'"):
        guarded(make_guard, FORBID.format("employe_id"))
    with pytest.raises(ConfigurationError, match="no detector is named 'employee_id'"):
        guarded(make_guard, FORBID.format("employee_id"), table="")
