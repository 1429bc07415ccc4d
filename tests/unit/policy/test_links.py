# ruff: noqa: E501  (a case per line)
"""A link makes a policy from a template that decides as if it were written out."""

import pytest
from bundles import GRANT, principal

from guardrail import ConfigurationError, Entity, Guard, Principal, Resource

TUMOUR = Resource("Model", "tumour")
SHARE = """@id("share-model") @reason("Shared.")
permit (principal in ?principal, action == Action::"predict", resource == ?resource);
"""
COARSE = '@id("coarse") @round("2") forbid (principal in ?principal, action, resource);\n'
LIMIT = '@id("limit") @quota("2/minute per principal") forbid (principal in ?principal, action, resource);\n'
STOP = '@id("stop") @reason("Closed.") forbid (principal, action, resource == ?resource);\n'
LINK = "- {template: share-model, id: share-1, principal: 'Role::\"clinician\"', resource: 'Model::\"tumour\"'}\n"


def decide(guard, *, role="clinician", resource=TUMOUR, action="predict"):
    return guard.decide(
        principal=principal(role),
        action=action,
        resource=resource,
        facts={"input": {"rows": 1}},
    )


def faults(make_bundle, policies, links):
    with pytest.raises(ConfigurationError) as caught:
        Guard.from_dir(make_bundle(policies, **{"links.yaml": links}))
    return [(fault.code, str(fault.place), fault.message) for fault in caught.value.faults]


def test_what_no_link_fills_is_denied(make_guard):
    guard = make_guard(SHARE, **{"links.yaml": LINK})
    assert decide(guard, role="analyst").code == "no_grant"
    assert decide(guard, resource=Resource("Model", "old")).code == "no_grant"
    assert decide(guard, action="explain").code == "no_grant"


def test_a_link_grants_under_its_own_id(make_guard):
    decision = decide(make_guard(SHARE, **{"links.yaml": LINK}))
    assert decision.allowed
    assert decision.policies == ("share-1",)


def test_a_linked_prohibition_denies_with_the_reason_of_its_template(make_guard):
    links = "- {template: stop, id: stop-tumour, resource: 'Model::\"tumour\"'}\n"
    guard = make_guard(GRANT + STOP, **{"links.yaml": links})
    decision = decide(guard)
    assert (decision.code, decision.policies, decision.reason) == (
        "prohibited", ("stop-tumour",), "Closed.",
    )  # fmt: skip
    assert decide(guard, resource=Resource("Model", "old")).allowed


def test_a_linked_condition_is_a_condition(make_guard):
    links = "- {template: coarse, id: coarse-analysts, principal: 'Role::\"analyst\"'}\n"
    guard = make_guard(GRANT + COARSE, **{"links.yaml": links})
    bound = decide(guard, role="analyst")
    assert bound.allowed
    assert [(held.name, held.policies) for held in bound.obligations] == [
        ("round", ("coarse-analysts",))
    ]
    assert decide(guard).obligations == ()


def test_a_condition_never_grants_when_it_is_linked(make_guard):
    links = "- {template: coarse, id: coarse-analysts, principal: 'Role::\"analyst\"'}\n"
    guard = make_guard(SHARE + COARSE, **{"links.yaml": LINK + links})
    assert decide(guard, role="analyst").code == "no_grant"


def test_each_link_counts_a_quota_of_its_own(make_guard):
    links = "".join(
        f"- {{template: limit, id: limit-{role}, principal: 'Role::\"{role}\"'}}\n"
        for role in ("clinician", "analyst")
    )
    guard = make_guard(GRANT + LIMIT, **{"links.yaml": links})
    demands = {
        held.demand
        for role in ("clinician", "analyst")
        for held in decide(guard, role=role).obligations
    }
    assert len(demands) == 2


def test_two_links_of_one_template_stand_for_themselves(make_guard):
    other = LINK.replace("share-1", "share-2").replace("clinician", "analyst")
    guard = make_guard(SHARE, **{"links.yaml": LINK + other})
    assert decide(guard).policies == ("share-1",)
    assert decide(guard, role="analyst").policies == ("share-2",)
    assert decide(guard, role="auditor").code == "no_grant"


def test_links_come_after_the_policies_of_files(make_guard):
    guard = make_guard(SHARE + GRANT, **{"links.yaml": LINK})
    assert guard.policies == ("grant", "share-1")
    assert decide(guard).policies == ("grant", "share-1")


def test_the_principal_slot_can_be_narrowed_by_a_type(make_guard):
    text = '@id("t") permit (principal is User in ?principal, action, resource);'
    links = "- {template: t, id: heart, principal: 'Team::\"heart\"'}\n"
    guard = make_guard(text, **{"links.yaml": links})
    member = Principal("User", "m", parents=[Entity("Team", "heart")], attrs={"department": "care"})
    facts = {"input": {"rows": 1}}
    asked = {"action": "predict", "resource": TUMOUR, "facts": facts}
    assert guard.decide(principal=member, **asked).policies == ("heart",)
    assert guard.decide(principal=principal(), **asked).code == "no_grant"


@pytest.mark.parametrize(
    "links",
    [
        "# a remark\n\n" + LINK.replace("}", " , }  # shared"),
        "-   {id: \"share-1\", template: 'share-model', principal: 'Role::\"clinician\"', resource: 'Model::\"tumour\"'}",
        "- template: share-model\n  id: share-1  # one\n\n  principal: 'Role::\"clinician\"'\n  resource: 'Model::\"tumour\"'\n",
        '-\n    template: share-model\n    id: share-1\n    principal: Role::"clinician"\n    resource: >-\n      Model::"tumour"\n',
        '[{"template": "share-model", "id": "share-1", "principal": "Role::\\"clinician\\"", "resource": "Model::\\"tumour\\""}]',
        LINK.replace("\n", "\r\n"),
        LINK.replace('Model::"tumour"', 'Model :: "tum\\u{6f}ur"'),
    ],
)
def test_every_form_of_yaml_makes_the_same_link(make_guard, links):
    assert decide(make_guard(SHARE, **{"links.yaml": links})).policies == ("share-1",)


@pytest.mark.parametrize("links", [None, "", "# nothing yet\n", "[]"])
def test_a_template_without_a_link_is_refused(make_bundle, links):
    found = faults(make_bundle, GRANT + SHARE, links)
    assert [(code, place) for code, place, _ in found] == [("GR107", "policies.cedar:3:22")]


@pytest.mark.parametrize("links", ["", "# nothing yet\n", "[]"])
def test_a_file_without_links_is_no_fault(make_guard, links):
    assert make_guard(**{"links.yaml": links}).policies == ("grant",)


@pytest.mark.parametrize(
    ("links", "code", "place", "says"),
    [
        (LINK + LINK.replace("share-1", "s2").replace("share-model", "share-modle"), "GR112", "links.yaml:2:3", "share-model"),
        (LINK + LINK.replace("share-1", "s2").replace("share-model", "grant"), "GR112", "links.yaml:2:3", "slot"),
        (LINK + "\n" + LINK, "GR105", "links.yaml:3:3", "links.yaml:1:3"),
        (LINK.replace("share-1", "grant"), "GR105", "links.yaml:1:3", "policies.cedar:1:1"),
        (LINK.replace("share-1", "share-model"), "GR105", "links.yaml:1:3", "policies.cedar:2:1"),
        (LINK.replace("share-1", "'a b'"), "GR111", "links.yaml:1:3", "128"),
        (LINK.replace("share-1", "''"), "GR111", "links.yaml:1:3", "128"),
        (LINK.replace(", resource: 'Model::\"tumour\"'", ""), "GR113", "links.yaml:1:3", "principal and resource"),
        (LINK + "- {template: stop, id: s, principal: 'Role::\"clinician\"', resource: 'Model::\"tumour\"'}", "GR113", "links.yaml:2:3", "for resource"),
        (LINK.replace('Role::"clinician"', "clinician"), "GR114", "links.yaml:1:3", "`principal`"),
        (LINK.replace('Model::"tumour"', 'Model::"a") when {true};'), "GR114", "links.yaml:1:3", "`resource`"),
        (LINK.replace('Model::"tumour"', 'is::"a"'), "GR114", "links.yaml:1:3", "`resource`"),
        (LINK.replace('Role::"clinician"', 'Rolle::"clinician"'), "GR108", "links.yaml:1:3", "Rolle"),
        (LINK.replace('Role::"clinician"', 'Role::"clinican"'), "GR108", "links.yaml:1:3", "clinican"),
        (LINK.replace('Role::"clinician"', 'Model::"tumour"'), "GR108", "links.yaml:1:3", "applicable action"),
        (LINK.replace('Model::"tumour"', 'User::"carl"'), "GR108", "links.yaml:1:3", "applicable action"),
        (LINK.replace("id: share-1", "id: share-1, action: 'x'"), "GR003", "links.yaml:1:3", "keys"),
        (LINK.replace("id: share-1, ", ""), "GR003", "links.yaml:1:3", "`id`"),
        (LINK.replace("share-1", "true"), "GR003", "links.yaml:1:3", "`id`"),
        (LINK.replace("share-1", "7"), "GR003", "links.yaml:1:3", "`id`"),
        (LINK.replace("share-1", "[a]"), "GR003", "links.yaml:1:3", "`id`"),
        ("- share-model\n", "GR003", "links.yaml:1:3", "template"),
        ("share-model: {}\n", "GR003", "links.yaml:1:1", "list"),
        (LINK.replace("id: share-1", "id: share-1, id: share-1"), "GR002", "links.yaml:1", "twice"),
        (LINK + "- {template", "GR002", "links.yaml:2", ""),
        (LINK + "\x00", "GR005", "links.yaml:2:1", "NUL"),
    ],
)  # fmt: skip
def test_a_wrong_link_is_refused_with_its_place(make_bundle, links, code, place, says):
    policies = GRANT + SHARE
    if "stop" in links:
        policies += STOP
    found = faults(make_bundle, policies, links)
    assert found[0][0] == code, found
    assert found[0][1].startswith(place), found
    assert says in found[0][2]


@pytest.mark.parametrize(
    ("template", "code", "place"),
    [
        (SHARE.replace(";", '\nwhen { principal.departmnt == "x" };'), "GR108", "policies.cedar:3:18"),
        (SHARE.replace(";", '\nwhen { 1 < "x" };'), "GR108", "policies.cedar:3:1"),
        (SHARE.replace(";", "\nwhen { context.peer.tls };"), "GR108", "policies.cedar:3:16"),
        (SHARE.replace("@reason", "@raeson"), "GR104", "policies.cedar:1:20"),
        (SHARE.replace('@reason("Shared.")', '@round("2")'), "GR106", "policies.cedar:1:20"),
        (SHARE.replace(";", "\nwhen { principal in ?principal };"), "GR100", "policies.cedar:3:1"),
    ],
)  # fmt: skip
def test_a_fault_of_a_template_stands_once_and_at_the_template(make_bundle, template, code, place):
    links = LINK + LINK.replace("share-1", "share-2") + LINK.replace("share-1", "share-3")
    found = faults(make_bundle, template, links)
    assert [(found[0][0], found[0][1])] == [(code, place)]
    assert len(found) == 1


def test_an_annotation_of_a_template_is_checked_against_the_schema_once(make_bundle):
    text = GRANT + LIMIT.replace("per principal", "per principal.nope")
    links = "".join(
        f"- {{template: limit, id: l{n}, principal: 'Role::\"analyst\"'}}\n" for n in range(3)
    )
    found = faults(make_bundle, text, links)
    assert {(code, place) for code, place, _ in found} == {("GR109", "policies.cedar:2:1")}
    assert all("limit:" in message for _, _, message in found)
    assert len(found) == len(set(found))


def test_links_are_part_of_the_revision(make_bundle):
    folder = make_bundle(SHARE, **{"links.yaml": LINK})
    first = Guard.from_dir(folder).revision
    (folder / "links.yaml").write_text(LINK.replace("share-1", "share-2"))
    assert Guard.from_dir(folder).revision != first


def test_many_links_are_one_load(make_bundle):
    links = "".join(LINK.replace("share-1", f"share-{number}") for number in range(2_000))
    guard = Guard.from_dir(make_bundle(SHARE, **{"links.yaml": links}))
    assert len(guard.policies) == 2_000


def test_a_large_file_must_be_in_the_plain_form(make_bundle):
    odd = LINK.replace("share-1", '"share-\\u0031"')
    many = "".join(LINK.replace("share-1", f"share-{number}") for number in range(2, 12_000))
    assert Guard.from_dir(make_bundle(SHARE, **{"links.yaml": odd})).policies == ("share-1",)
    found = faults(make_bundle, SHARE, many + odd)
    assert found[0][:2] == ("GR005", "links.yaml:11999:1")
