"""A quota denies a call beyond its limit, which then takes from no counter."""

import enum
import json
import threading

import numpy as np
import pyarrow as pa
import pytest

from guardrail._documents import read_toml
from guardrail._ports import ObligationContext, ObligationNotMet
from guardrail.errors import ConfigurationError, Place
from guardrail.facts import Bounds
from guardrail.facts.input_view.tables import read_table
from guardrail.obligations.quota.grammar import read_limits
from guardrail.obligations.quota.obligation import _REMEMBERED, Quota, encode
from guardrail.obligations.quota.storage_handle import open_storage
from guardrail.obligations.quota.windows import KINDS, Hit
from guardrail.testing import FrozenClock
from guardrail.values import NO_INPUT, Clause, Entity, Identity, Path, Principal, Resource, View

MODEL = Entity("Model", "tumour")


@pytest.fixture
def clock():
    return FrozenClock(1_795_000_000.0)


@pytest.fixture
def quota(clock):
    return Quota(bundle="clinic", storage=open_storage(None, clock))


def clause(argument, policy="fair-use"):
    return Clause(policy, "quota", argument, Place("conditions.cedar", 3, 1))


def call(principal="ana", resource=MODEL, values=None):
    def value_of(path):
        return (values or {})[str(path)]

    identity = Identity(Principal("User", principal))
    return ObligationContext(identity, NO_INPUT, "predict", resource, 0.0, value_of)


def refusal(quota, demand, context):
    with pytest.raises(ObligationNotMet) as caught:
        quota.admit(demand, context)
    return caught.value


def test_61st_call_of_a_minute_is_refused_and_waits(quota, clock):
    demand = quota.parse(clause("60/minute per principal"))
    for _ in range(60):
        assert quota.admit(demand, call()) is None
    unmet = refusal(quota, demand, call())
    assert unmet.code == "quota_exceeded"
    assert unmet.policies == ("fair-use",)
    assert unmet.retry_after_s == 60
    clock.advance(61)
    assert quota.admit(demand, call()) is None


@pytest.mark.parametrize("strategy", ["moving", "fixed"])
def test_wait_that_is_told_is_exactly_enough(quota, clock, strategy):
    demand = quota.parse(clause(f"2/minute per principal using {strategy}"))
    quota.admit(demand, call())
    clock.advance(10.1)
    quota.admit(demand, call())
    clock.advance(0.2)
    wait = refusal(quota, demand, call()).retry_after_s
    assert wait == pytest.approx(49.7)
    clock.advance(wait - 0.001)
    refusal(quota, demand, call())
    clock.advance(refusal(quota, demand, call()).retry_after_s)
    quota.admit(demand, call())


def test_moving_window_frees_one_call_at_a_time(quota, clock):
    demand = quota.parse(clause("2/minute"))
    quota.admit(demand, call())
    clock.advance(30)
    quota.admit(demand, call())
    clock.advance(30)
    quota.admit(demand, call())
    assert refusal(quota, demand, call()).retry_after_s == 30


def test_sliding_window_fades(quota, clock):
    demand = quota.parse(clause("10/minute using sliding"))
    for _ in range(10):
        quota.admit(demand, call())
    wait = refusal(quota, demand, call()).retry_after_s
    assert wait == pytest.approx(60, abs=0.01)
    clock.advance(wait)
    quota.admit(demand, call())
    clock.advance(30)
    for _ in range(5):
        quota.admit(demand, call())
    refusal(quota, demand, call())


def test_denied_calls_take_nothing_from_any_counter(quota):
    narrow = quota.parse(clause("1/minute per principal", "narrow"))
    common = quota.parse(clause("3/minute", "common"))
    both = quota.merge(narrow, common)
    quota.admit(both, call("ana"))
    for _ in range(20):
        unmet = refusal(quota, both, call("ana"))
        assert unmet.policies == ("narrow",)
    quota.admit(both, call("ben"))
    quota.admit(both, call("cem"))
    assert refusal(quota, both, call("dan")).policies == ("common",)


def test_spent_common_budget_does_not_burn_the_narrow_one(quota, clock):
    both = quota.parse(clause("2/minute per principal; 1/second"))
    quota.admit(both, call())
    for _ in range(5):
        refusal(quota, both, call())
    clock.advance(1)
    quota.admit(both, call())


def test_longest_wait_is_told_and_all_that_refuse_are_blamed(quota):
    both = quota.merge(
        quota.parse(clause("1/second per principal", "narrow")),
        quota.parse(clause("1/day", "common")),
    )
    quota.admit(both, call())
    unmet = refusal(quota, both, call())
    assert unmet.retry_after_s == 86_400
    assert unmet.policies == ("narrow", "common")
    assert "1/second per principal" in unmet.message


def test_each_principal_and_each_resource_has_its_own_counter(quota):
    demand = quota.parse(clause("1/minute per principal and resource"))
    quota.admit(demand, call("ana"))
    refusal(quota, demand, call("ana"))
    quota.admit(demand, call("ben"))
    quota.admit(demand, call("ana", Entity("Model", "other")))


def test_principals_of_two_types_and_of_like_ids_have_their_own_counters(quota):
    demand = quota.parse(clause("1/minute per principal"))
    for kind, name in [("User", "1:a"), ("User1", ":a"), ("User", "1"), ("Use", "r1")]:
        identity = Identity(Principal(kind, name))
        context = ObligationContext(identity, NO_INPUT, "predict", MODEL, 0.0, lambda _: None)
        assert quota.admit(demand, context) is None
        refusal(quota, demand, context)


def test_text_of_a_subclass_counts_as_the_text_that_it_is(quota):
    class Alias(str):
        __slots__ = ()

        def __hash__(self):
            return hash("ana")

        def __eq__(self, other):
            return other == "ana"

    demand = quota.parse(clause("1/minute per principal"))
    quota.admit(demand, call("ana"))
    quota.admit(demand, call(Alias("ben")))
    refusal(quota, demand, call("ben"))


def test_more_principals_than_are_remembered_keep_their_counters(quota):
    demand = quota.parse(clause("1/minute per principal"))
    names = [str(number) for number in range(_REMEMBERED + 10)]
    for name in names:
        quota.admit(demand, call(name))
    assert len(quota._hits) <= _REMEMBERED
    for name in names[:5] + names[-5:]:
        refusal(quota, demand, call(name))


def test_like_limits_of_two_policies_count_apart(quota):
    one = quota.parse(clause("1/minute per principal", "one"))
    other = quota.parse(clause("1/minute per principal", "other"))
    quota.admit(one, call())
    quota.admit(other, call())
    assert refusal(quota, other, call()).policies == ("other",)


def test_resource_and_entity_of_one_uid_share_a_counter(quota):
    demand = quota.parse(clause("1/minute per resource"))
    quota.admit(demand, call(resource=Resource("Model", "tumour")))
    refusal(quota, demand, call(resource=Entity("Model", "tumour")))


def test_path_as_key_counts_by_its_value(quota):
    demand = quota.parse(clause("1/minute per context.app.tenant"))
    assert quota.reads(demand) == (Path("context", ("app", "tenant")),)
    quota.admit(demand, call(values={"context.app.tenant": "acme"}))
    refusal(quota, demand, call(values={"context.app.tenant": "acme"}))
    quota.admit(demand, call(values={"context.app.tenant": "umbrella"}))


def test_call_without_a_value_for_its_key_is_refused(quota):
    demand = quota.parse(clause("9/minute; 9/minute per context.app.tenant"))
    unmet = refusal(quota, demand, call())
    assert unmet.code == "obligation_failed"
    assert unmet.path == "context.app.tenant"
    assert unmet.policies == ("fair-use",)
    assert unmet.__context__ is None
    assert unmet.__cause__ is None


@pytest.mark.parametrize("value", [1.5, None, ["secret"], {"secret": 1}, 2**63, b"secret"])
def test_value_that_can_be_no_key_is_refused_without_being_shown(quota, value):
    demand = quota.parse(clause("9/minute per context.app.tenant"))
    unmet = refusal(quota, demand, call(values={"context.app.tenant": value}))
    assert unmet.code == "obligation_failed"
    assert "secret" not in unmet.message
    assert type(value).__name__ in unmet.message


def test_refusals_show_neither_caller_nor_key(quota):
    demand = quota.parse(clause("1/minute per principal and context.app.tenant"))
    context = call("secret-ana", values={"context.app.tenant": "secret-acme"})
    quota.admit(demand, context)
    unmet = refusal(quota, demand, context)
    assert "secret" not in f"{unmet.message} {unmet.path} {unmet.args}"


def test_counters_survive_a_reload_and_a_changed_limit_starts_anew(clock):
    storage = open_storage(None, clock)
    before, after = (Quota(bundle="clinic", storage=storage) for _ in range(2))
    before.admit(before.parse(clause("1/minute")), call())
    refusal(after, after.parse(clause("1/minute")), call())
    after.admit(after.parse(clause("2/minute")), call())


def test_bundles_do_not_share_counters(clock):
    storage = open_storage(None, clock)
    one, other = (Quota(bundle=name, storage=storage) for name in ("one", "other"))
    demand = clause("1/minute")
    one.admit(one.parse(demand), call())
    other.admit(other.parse(demand), call())


def test_full_store_refuses(quota):
    quota._storage.open().limit_keys = 1
    demand = quota.parse(clause("5/minute per principal"))
    quota.admit(demand, call("ana"))
    assert refusal(quota, demand, call("ben")).code == "store_unavailable"
    quota.admit(demand, call("ana"))


def test_threads_together_get_exactly_the_limit(quota):
    demand = quota.parse(clause("100/minute; 70/minute per principal"))
    admitted = []

    def work(name):
        for _ in range(60):
            try:
                quota.admit(demand, call(name))
            except ObligationNotMet:
                continue
            admitted.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("ana", "ben") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 100
    assert max(admitted.count("ana"), admitted.count("ben")) <= 70


def test_threads_on_one_counter_get_exactly_the_limit(quota):
    demand = quota.parse(clause("100/minute per principal"))
    admitted = []

    def work():
        for _ in range(60):
            try:
                quota.admit(demand, call())
            except ObligationNotMet:
                continue
            admitted.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 100


def test_description_is_the_clause_as_it_stands(quota):
    one = quota.parse(clause("60/minute per principal"))
    two = quota.merge(one, quota.parse(clause("10k/day; 5/second", "other")))
    assert quota.describe(one) == "60/minute per principal"
    assert quota.describe(two) == ["10k/day", "5/second", "60/minute per principal"]
    assert json.dumps(quota.describe(two))


def test_output_passes_untouched(quota):
    output = [1.0]
    assert quota.release(quota.parse(clause("1/day")), output, call()) is output


def test_members_of_an_enum_count_as_the_text_that_they_are():
    class Tenant(str, enum.Enum):  # noqa: UP042  (a StrEnum shows itself as its text)
        ACME = "acme"

    assert encode(Tenant.ACME) == encode("acme")


@pytest.mark.parametrize(
    "table",
    [
        'store = "redis://:password@host"',
        'store = "disk"',
        'when_unavailable = "unsafe_allow"',
        "timeout_ms = 100",
    ],
)
def test_store_that_is_not_built_yet_says_so_and_keeps_the_address_to_itself(clock, table):
    document = read_toml("guardrail.toml", f"[quota]\n{table}\n".encode())
    with pytest.raises(ConfigurationError) as caught:
        open_storage(document.below("quota"), clock)
    (fault,) = caught.value.faults
    assert (fault.code, fault.place.line) == ("GR004", 2)
    assert "password" not in fault.message


@pytest.mark.parametrize(
    "table", ["store = 1", "timeout_ms = 0", "timeout_ms = 1.5", "tiemout_ms = 5"]
)
def test_broken_table_is_a_fault_at_its_line(clock, table):
    document = read_toml("guardrail.toml", f"[quota]\n{table}\n".encode())
    with pytest.raises(ConfigurationError) as caught:
        open_storage(document.below("quota"), clock)
    (fault,) = caught.value.faults
    assert (fault.code, fault.place.line) == ("GR003", 2)


def test_table_with_the_defaults_opens_the_memory_store(clock):
    text = b'[quota]\nstore = "memory"\nwhen_unavailable = "deny"\n'
    document = read_toml("guardrail.toml", text)
    assert len(open_storage(document.below("quota"), clock).open()) == 0


# Units: how much of an input counts.


def view_of(kind, value, **rest):
    return View(kind, "given", value, **rest)


TABLE = np.zeros((7, 3))
VIEWS = {
    "tensor": view_of("tensor", TABLE, shape=TABLE.shape, nbytes=TABLE.nbytes),
    "empty": view_of("tensor", TABLE[:0], shape=(0, 3)),
    "list": view_of("list", [{"role": "user", "content": "\u00fcber"}] * 3, nbytes=90),
    "record": view_of("record", {"note": ["abc", {"more": "de"}], "age": 3}, nbytes=60),
    "text": view_of("text", "seven c", nbytes=11),
    "keys": view_of("record", {"x" * 9_999: [{"y": 1}]}, nbytes=99),
    "table": read_table(pa.table({"note": ["abc", "def", None]}), "given", Bounds()),
    "object": view_of("record", object(), nbytes=9, data={"note": "four"}),
}


def weighed(limit, view):
    identity = Identity(Principal("User", "ana"))
    return ObligationContext(identity, view, "predict", MODEL, 0.0, lambda path: None)


@pytest.mark.parametrize(
    ("unit", "kind", "amount"),
    [
        ("rows", "tensor", 7), ("rows", "empty", 0), ("rows", "list", 3), ("rows", "record", 1),
        ("rows", "text", 1), ("bytes", "tensor", 168), ("bytes", "record", 60),
        ("bytes", "text", 11), ("chars", "text", 7), ("chars", "list", 3 * (4 + 4 + 4 + 7)),
        ("chars", "record", 5 + len("notemoreage")), ("chars", "object", 4 + len("note")),
        ("chars", "keys", 10_000), ("chars", "table", 6 + len("note")),
    ],
)  # fmt: skip
def test_a_call_takes_as_much_as_its_input_is(quota, unit, kind, amount):
    demand = quota.parse(clause(f"{max(4 * amount - 1, 1)} {unit}/minute per principal"))
    for _ in range(3):
        assert quota.admit(demand, weighed(demand, VIEWS[kind])) is None
    if amount:
        assert refusal(quota, demand, weighed(demand, VIEWS[kind])).code == "quota_exceeded"


def test_a_call_that_asks_for_more_than_there_ever_is_is_told_so(quota):
    demand = quota.parse(clause("6 rows/minute"))
    unmet = refusal(quota, demand, weighed(demand, VIEWS["tensor"]))
    assert unmet.retry_after_s is None
    assert "rows per call" in unmet.message
    assert quota.admit(demand, weighed(demand, VIEWS["text"])) is None  # nothing was taken


@pytest.mark.parametrize(
    ("unit", "view"),
    [("rows", NO_INPUT), ("bytes", NO_INPUT), ("chars", NO_INPUT), ("chars", VIEWS["tensor"])],
)
def test_what_cannot_be_counted_denies(quota, unit, view):
    demand = quota.parse(clause(f"10 {unit}/minute"))
    unmet = refusal(quota, demand, weighed(demand, view))
    assert (unmet.code, unmet.policies) == ("obligation_failed", ("fair-use",))


def test_an_input_of_any_size_overflows_no_counter(quota):
    demand = quota.parse(clause("10 bytes/minute using fixed; 10 bytes/hour"))
    huge = view_of("tensor", None, shape=(1,), nbytes=2**63 - 1)
    assert refusal(quota, demand, weighed(demand, huge)).code == "quota_exceeded"


def test_units_count_apart_and_slide_by_default(quota):
    (rows,) = quota.parse(clause("10 rows/minute"))
    (calls,) = quota.parse(clause("10/minute"))
    (again,) = quota.parse(clause("10 calls/minute"))
    assert (rows.strategy, calls.strategy) == ("sliding", "moving")
    assert calls.prefix == again.prefix
    assert rows.prefix != quota.parse(clause("10/minute using sliding"))[0].prefix


@pytest.mark.parametrize("unit", ["", " rows", " bytes", " chars"])
def test_a_moving_window_lets_no_more_through_than_the_amount_in_any_stretch(unit):
    (limit,) = read_limits(clause(f"200{unit}/minute using moving"), bundle="b")
    window = KINDS[limit.strategy](limit.window_s)
    taken = [
        (now / 10, 10)
        for now in range(590, 2400, 7)  # begins in the midst of a minute of the clock
        if not window.acquire(now / 10, Hit(limit.strategy, "k", 200, limit.window_s, 10))
    ]
    for start, _ in taken:
        assert sum(amount for at, amount in taken if start <= at < start + 60) <= 200
