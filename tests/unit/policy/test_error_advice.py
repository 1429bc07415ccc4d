"""Error messages of a bundle name the nearest name and the remedy."""

import json

import pytest
from bundles import ENTITIES, GRANT

from guardrail.bundle.assembly import load_bundle
from guardrail.errors import ConfigurationError
from guardrail.policy import read_folder
from guardrail.testing import FrozenClock, run_tests

POLICY = '@id("a") permit (principal, action == Action::"predict", resource) when {{ {} }};\n'


@pytest.fixture
def faults(make_bundle):
    """Return a function that loads a bundle, and returns its faults."""

    def faults(policies=GRANT, **files):
        with pytest.raises(ConfigurationError) as caught:
            load_bundle(make_bundle(policies, **files), clock=FrozenClock())
        return [(fault.code, fault.message) for fault in caught.value.faults]

    return faults


@pytest.mark.parametrize(
    ("clause", "code", "advice"),
    [
        ('resource.purpos == "x"', "GR108", "Did you mean purpose?"),
        ('principal.deparment == "x"', "GR108", "Did you mean department?"),
        ("context.identity.mfaa", "GR108", "Did you mean mfa?"),
        ("context.inptu.rows > 3", "GR108", "Did you mean input?"),
        ('principal in Rol::"clinician"', "GR108", "Did you mean Role?"),
        ('principal in Role::"clinican"', "GR108", "Did you mean clinician?"),
        ('context.app.purpose == "x"', "GR108", "`context.app has purpose && ...`"),
        ("principal.level > 3", "GR108", "`principal has level && ...`"),
        ("context.app has score && context.app.score > 3", "GR108", '.greaterThan(decimal("3.5"))'),
        (
            'context.app has score && context.app.score > decimal("3.5")', "GR108",
            '.greaterThan(decimal("3.5"))',
        ),
        ('context.app has tags && "x" in context.app.tags', "GR108", "`.contains(...)`"),
        ('context.input.rows > "3"', "GR108", "Write numbers without quotes"),
        ("context.app has score && context.app.score > 3.5", "GR100", '`decimal("3.5")`'),
        ("context.identity.mfa and true", "GR100", "Write `&&`."),
        ("context.identity.mfa or true", "GR100", "Write `||`."),
        ("not context.identity.mfa", "GR100", "Write `!`."),
        ("resource.purpose == 'x'", "GR100", "double quotes"),
        ('resource.purpose = "x"', "GR100", "Compare with `==`."),
        ("resource.purpose == null", "GR100", "with `has`"),
        ("context.identity.mfa == True", "GR100", "Write `true`."),
        ("contxt.identity.mfa", "GR100", "Did you mean context?"),
    ],
)  # fmt: skip
def test_a_clause(faults, clause, code, advice):
    found = faults(POLICY.format(clause))
    assert {each for each, _ in found} == {code}
    assert advice in found[0][1]
    assert not any("__cedar" in message for _, message in found)


@pytest.mark.parametrize(
    ("policies", "code", "advice"),
    [
        ('@id("a") permit (principal, action == Action::"predct", resource);', "GR108", "predict?"),
        ('@id("a") permit (principal is Usr, action, resource);', "GR108", "Did you mean User?"),
        ('@id("a") permit (principal, action, resource == Modl::"x");', "GR108", "mean Model?"),
        ('@id("a") permit (principal, action, resource)\n' + GRANT, "GR100", "ends with `;`"),
        ('@id("a") permit (principal, action, resource)', "GR100", "ends with `;`"),
        ('@id("a") allow (principal, action, resource);', "GR100", "`permit` or `forbid`"),
        ('@id("a") permit (principal, action, resource) when true;', "GR100", "`when { ... }`"),
    ],
)
def test_a_policy(faults, policies, code, advice):
    ((found, message),) = faults(policies)  # one fault, and none that follows from it
    assert found == code
    assert advice in message


@pytest.mark.parametrize(
    ("entity", "told"),
    [
        ({"attrs": {"purpos": "x"}}, "Did you mean purpose?"),
        ({"attrs": {}}, "lacks the attribute purpose"),
        ({"attrs": {"purpose": 3}}, "The attribute purpose of this entity"),
        ({"uid": {"type": "Modl", "id": "x"}}, "Did you mean Model?"),
        ({"parents": [{"type": "Role", "id": "clinician"}]}, "has a parent"),
        ({"uid": "Model"}, "has no uid"),
    ],
)
def test_an_entity(faults, entity, told):
    whole = {"uid": {"type": "Model", "id": "x"}, "attrs": {"purpose": "s3cret"}, "parents": []}
    text = json.dumps([*ENTITIES, {**whole, **entity}])
    ((code, message),) = faults(**{"entities.json": text})
    assert code == "GR201"
    assert told in message
    assert "s3cret" not in message


HEAD = '[bundle]\nname = "small"\nversion = "1.0.0"\n'


@pytest.mark.parametrize(
    ("file", "text", "advice"),
    [
        ("guardrail.toml", HEAD + 'timezon = "UTC"\n', "Did you mean timezone?"),
        ("guardrail.toml", HEAD + "[bonds]\nrows = 1\n", "Did you mean bounds?"),
        ("guardrail.toml", HEAD + '[audit]\njurnal = "x"\n', "Did you mean journal?"),
        ("guardrail.toml", HEAD + '[resources]\nunknwn = "allow"\n', "Did you mean unknown?"),
        ("inputs/patients.yaml", "kind: record\nfeilds: {}\n", "Did you mean fields?"),
    ],
)
def test_a_key_of_a_file(faults, file, text, advice):
    found = faults(**{file: text})
    assert any(advice in message for _, message in found)


@pytest.mark.parametrize(
    ("test", "advice"),
    [
        ("{name: a, as: x, expct: deny}", "Did you mean expect?"),
        ("{name: a, as: x, expect: {polices: []}}", "Did you mean policies?"),
        ("{name: a, principle: {uid: x}, expect: deny}", "Did you mean principal?"),
    ],
)
def test_a_key_of_a_test(make_bundle, test, advice):
    given = "given: {action: predict, resource: 'Model::\"tumour\"'}\n"
    folder = make_bundle(**{"tests/a_test.yaml": f"{given}tests:\n  - {test}\n"})
    (result,) = run_tests(folder).results
    assert result.outcome == "error"
    assert advice in result.message


@pytest.mark.parametrize(
    ("clause", "tested"),
    [
        ('resource.owner == User::"x"', "`resource has owner && ...`"),
        (
            "resource has owner && resource.owner.level > 3",
            "`resource.owner has level && ...`",
        ),
        ("principal.level > 3", "`principal has level && ...`"),
        ("context.app.score == context.app.score", "`context.app has score && ...`"),
    ],
)
def test_the_advice_on_an_optional_attribute_names_its_variable(faults, clause, tested):
    found = faults(POLICY.format(clause))
    assert tested in found[0][1]


def test_a_principal_that_is_compared_with_a_group_gets_in(faults):
    text = '@id("a") permit (principal == Role::"clinician", action, resource);'
    ((code, message),) = faults(text)
    assert code == "GR108"
    assert 'A User is in a Role: write `principal in Role::"clinician"`.' in message


def test_a_misspelt_path_of_the_audit_names_the_nearest(faults):
    toml = HEAD + '[audit]\njournal = "/tmp/none"\nfacts = ["principl.in", "inpt.rows"]\n'
    policy = POLICY.format("context.input.rows < 3").replace(
        "(principal,", '(principal in Role::"clinician",'
    )
    found = faults(policy, **{"guardrail.toml": toml})
    messages = [message for _, message in found]
    assert any("Did you mean principal.in?" in message for message in messages)
    assert any("Did you mean input.rows?" in message for message in messages)


def test_the_folder_above_a_bundle_names_the_bundle(make_bundle):
    above = make_bundle(GRANT).parent
    with pytest.raises(ConfigurationError) as caught:
        read_folder(above)
    (fault,) = caught.value.faults
    assert fault.code == "GR001"
    assert "Did you mean" in fault.message


def test_a_file_and_a_journal_are_no_bundles(tmp_path):
    (tmp_path / "policies.cedar").write_text("")
    with pytest.raises(ConfigurationError, match="This is a file"):
        read_folder(tmp_path / "policies.cedar")
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "x.seg").write_text("")
    with pytest.raises(ConfigurationError, match="This folder is a journal"):
        read_folder(tmp_path / "journal")
