"""What a quota store returns is checked: a call that is not counted is denied."""

import asyncio

import pytest
from bundles import GRANT, principal

from guardrail import ConfigurationError, GuardUnavailable, QuotaExceeded
from guardrail.extensions import QuotaStoreBase

ON = {"action": "predict", "resource": 'Model::"tumour"'}
CALLS = GRANT + '@id("q") @quota("2/day per principal") forbid (principal, action, resource);'
ROWS = GRANT + '@id("q") @quota("2/day; 9 rows/day") forbid (principal, action, resource);'
STORE = {
    "guardrail.toml": '[bundle]\nname = "small"\nversion = "1.0.0"\n[quota]\nstore = "own"\n',
}


class Opened:
    def __init__(self, waits, adds=None):
        self.waits = waits
        self.adds = adds

    def acquire_all(self, hits, taken=None):
        taken.extend(["t"] * (len(hits) if self.adds is None else self.adds))
        return self.waits(hits) if callable(self.waits) else self.waits

    def give_back(self, taken):
        pass


class Store(QuotaStoreBase):
    name = "own"

    def __init__(self, opened, waits):
        self.opened = opened
        self.waits = waits

    def open(self, settings, clock):
        return self.opened


def protected(make_guard, opened, policies=CALLS, *, blocks=True):
    guard = make_guard(policies, options={"quota_store": Store(opened, blocks)}, **STORE)
    ran = []
    options = {**ON, "principal": principal(), "input": None}

    @guard.protect(**options)
    async def later():
        ran.append(1)

    return ran, guard.protect(**options)(lambda: ran.append(1)), lambda: asyncio.run(later())


class Short(list):
    def __len__(self):
        return 1


class Empty(list):
    def __iter__(self):
        return iter(())


class Falsy(float):
    def __bool__(self):
        return False


async def later(hits):
    return [0.0]


WRONG = [
    [None], [False], [True], [""], ["x"], [[]], [0j], [-1.0], [-1], [float("nan")], [10**400],
    [Falsy(5)], b"\0", {0: 1}, {0.0}, range(1), Short(), Empty([5.0]), None, 0.0, "x", [],
    [0.0] * 2, lambda hits: (_ for _ in [0.0]), lambda hits: hits.clear() or [],
]  # fmt: skip


@pytest.mark.parametrize("waits", WRONG)
@pytest.mark.parametrize("blocks", [True, False])
def test_waits_that_are_no_numbers_deny(make_guard, recorder, waits, blocks):
    ran, *calls = protected(make_guard, Opened(waits), blocks=blocks)
    for call in calls:
        with pytest.raises(GuardUnavailable) as caught:
            call()
        assert caught.value.code == "store_unavailable"
        assert "`own`" in str(caught.value)
        assert "`acquire_all` returned" in str(caught.value)
    assert not ran
    assert [record.code for record in recorder.records] == ["store_unavailable"] * 2


@pytest.mark.parametrize("waits", [[0.0], [0], (0,), [-0.0]])
def test_waits_of_zero_admit(make_guard, waits):
    ran, *calls = protected(make_guard, Opened(waits))
    for call in calls:
        call()
    assert ran == [1, 1]


@pytest.mark.parametrize(("wait", "retry_after_s"), [(5, 5.0), (1.5, 1.5), (float("inf"), None)])
def test_a_wait_is_when_the_call_fits(make_guard, wait, retry_after_s):
    _, call, _ = protected(make_guard, Opened([wait]))
    with pytest.raises(QuotaExceeded) as caught:
        call()
    assert caught.value.retry_after_s == retry_after_s


@pytest.mark.parametrize("adds", [0, 1, 3])
@pytest.mark.parametrize("blocks", [True, False])
def test_a_store_that_does_not_fill_taken_is_named(make_guard, adds, blocks):
    opened = Opened([0.0, 0.0], adds)
    guard = make_guard(ROWS, options={"quota_store": Store(opened, blocks)}, **STORE)
    predict = guard.protect(**ON, principal=principal())(lambda patients: 1)
    with pytest.raises(GuardUnavailable, match=r"`own`.*`taken`") as caught:
        predict([[1.0]])
    assert caught.value.code == "store_unavailable"


class NoReturn:
    def acquire_all(self, hits, taken=None):
        return [0.0]


@pytest.mark.parametrize(("opened", "lacks"), [(None, "acquire_all"), (NoReturn(), "give_back")])
def test_a_store_that_opens_without_its_methods_does_not_load(make_guard, opened, lacks):
    with pytest.raises(ConfigurationError, match=f"`own`.*{lacks}") as caught:
        protected(make_guard, opened)
    (fault,) = caught.value.faults
    assert (fault.code, fault.place.file) == ("GR003", "policies.cedar")
