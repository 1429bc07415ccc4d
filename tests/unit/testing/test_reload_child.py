"""The child process of a reload: the faults that it finds and reports."""

import json

import pytest
from bundles import GRANT

from guardrail.policy import read_folder
from guardrail.testing.run.reload_child import NamedFacts, NamedObligation, main, try_out

TEST = """\
given:
  action: predict
  resource: Model::"tumour"
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
tests:
  - {name: clara may predict, as: clara, expect: EXPECTED}
"""
STAMP = '@id("s") @stamp("red") forbid (principal, action, resource);'


def trial(folder, **own):
    _, faults = try_out(folder, **own)
    return [(fault.code, fault.place.file) for fault in faults]


def test_a_good_bundle_has_no_faults(make_bundle):
    folder = make_bundle(**{"tests/a_test.yaml": TEST.replace("EXPECTED", "allow")})
    assert try_out(folder) == (read_folder(folder).revision, ())


def test_a_test_that_fails_is_a_fault(make_bundle):
    folder = make_bundle(**{"tests/a_test.yaml": TEST.replace("EXPECTED", "deny")})
    assert trial(folder) == [("GR602", "tests/a_test.yaml")]


def test_a_test_that_can_not_be_read_is_a_fault(make_bundle):
    folder = make_bundle(**{"tests/a_test.yaml": "tests: 5"})
    assert [file for _, file in trial(folder)] == ["tests/a_test.yaml"]


def test_a_bundle_that_does_not_load_has_its_faults(make_bundle):
    assert trial(make_bundle("permit (")) == [("GR100", "policies.cedar")]


def test_an_own_obligation_is_known_by_its_name_alone(make_bundle):
    folder = make_bundle(GRANT + STAMP)
    assert [code for code, _ in trial(folder)] == ["GR104"]
    assert trial(folder, obligations=[NamedObligation("stamp")]) == []


def test_a_test_on_an_own_obligation_is_not_judged_but_others_are(make_bundle):
    other = "  - {name: other, as: clara, action: explain, expect: deny}\n"
    expected = TEST.replace("EXPECTED", "{obligations: {stamp: 7}}") + other
    narrow = STAMP.replace("action,", 'action == Action::"predict",')
    folder = make_bundle(GRANT + narrow, **{"tests/a_test.yaml": expected})
    _, faults = try_out(folder, obligations=[NamedObligation("stamp")])
    assert [fault.place.line for fault in faults] == [8]


def test_own_facts_are_known_by_their_names_alone(make_bundle):
    schema = """
    entity User; entity Model;
    action predict appliesTo { principal: [User], resource: [Model],
      context: { mood: { good: Bool, bad: Bool } } };
    """
    grant = '@id("g") permit (principal, action, resource) when { context.mood.good };'
    folder = make_bundle(grant, **{"schema.cedarschema": schema, "entities.json": "[]"})
    assert [code for code, _ in trial(folder)] == ["GR110"]
    assert trial(folder, facts=[NamedFacts("mood", frozenset({"good"}))]) == []
    assert [code for code, _ in trial(folder, facts=[NamedFacts("mood", frozenset({"bad"}))])] == [
        "GR110"
    ]


def message(capsys):
    return json.loads(capsys.readouterr().out)


def test_the_command_tells_revision_and_faults_in_one_line(make_bundle, capsys):
    folder = make_bundle()
    assert main([str(folder)]) == 0
    assert message(capsys) == {"revision": read_folder(folder).revision, "faults": []}


def test_the_command_exits_with_1_for_faults(make_bundle, capsys):
    assert main([str(make_bundle("permit ("))]) == 1
    (fault,) = message(capsys)["faults"]
    assert (fault["code"], fault["file"], fault["line"]) == ("GR100", "policies.cedar", 1)
    assert fault["message"]


def test_a_folder_that_is_none_has_no_revision(tmp_path, capsys):
    assert main([str(tmp_path / "nothing")]) == 1
    output = message(capsys)
    assert (output["revision"], output["faults"][0]["code"]) == ("", "GR001")


@pytest.mark.parametrize("names", ["mood:good,bad", "mood:"])
def test_the_command_takes_own_parts_by_name(make_bundle, capsys, names):
    folder = make_bundle(GRANT + STAMP)
    assert main([str(folder), "--fact", names, "--obligation", "stamp"]) == 0
    assert message(capsys)["faults"] == []
