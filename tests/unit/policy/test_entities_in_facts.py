"""What a policy reads beyond an entity in a fact comes from the entity, not from the fact."""

import pytest
from bundles import GRANT, principal

from guardrail import Entity, NotAuthorized, QuotaExceeded, Resource

TUMOUR = Resource("Model", "tumour")
SCOPE = '(principal, action == Action::"predict", resource)'
OWNER = 'context.app has owner && context.app.owner.department == "care"'


def decide(guard, owner, **attrs):
    return guard.decide(
        principal=principal(**attrs),
        action="predict",
        resource=TUMOUR,
        facts={"app": {"owner": owner} if owner is not None else {}},
    )


@pytest.mark.parametrize("whole", ["", "context.app.owner != principal && "])
def test_an_attribute_of_an_entity_in_a_fact_is_read_of_the_entity(make_guard, whole):
    guard = make_guard(f'@id("g") permit {SCOPE} when {{ {OWNER.replace("&& ", "&& " + whole)} }};')
    assert decide(guard, None).code == "no_grant"
    assert decide(guard, {"department": "care"}).code == "bad_fact"
    assert decide(guard, Entity("User", "nobody")).code == "unknown_entity"
    assert decide(guard, Entity("User", "carl")).allowed


def test_a_prohibition_over_an_entity_in_a_fact_denies(make_guard):
    guard = make_guard(GRANT + f'@id("no") forbid {SCOPE} when {{ {OWNER} }};')
    assert decide(guard, Entity("User", "carl")).code == "prohibited"
    assert decide(guard, None).allowed


def test_an_error_beyond_an_entity_that_is_there_blames_no_missing_path(make_guard):
    guard = make_guard(
        GRANT + f'@id("no") forbid {SCOPE} when {{ context.app has owner && context.app.owner has '
        "level && context.app.owner.level + 9223372036854775807 > 0 };"
    )
    decision = decide(guard, Entity("User", "clara"), level=1)
    assert (decision.code, decision.path) == ("evaluation_error", "")


def test_a_quota_counts_by_an_attribute_of_the_callers_own_entity(make_guard):
    guard = make_guard(
        GRANT + f'@id("q") @quota("1/minute per context.app.owner.department") forbid {SCOPE};'
    )

    def predict(owner, department):
        protected = guard.protect(
            action="predict",
            resource=TUMOUR,
            principal=principal(department=department),
            facts={"owner": owner} if owner is not None else {},
        )(lambda: 1)
        return protected()

    assert predict(Entity("User", "clara"), "heart") == 1
    with pytest.raises(QuotaExceeded):
        predict(Entity("User", "clara"), "heart")
    assert predict(Entity("User", "clara"), "lung") == 1
    assert predict(Entity("User", "carl"), "heart") == 1
    with pytest.raises(NotAuthorized) as caught:
        predict(None, "heart")
    assert caught.value.code == "obligation_failed"
