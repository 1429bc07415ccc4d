"""Threads and tasks share a guard without sharing anything of each other's calls."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bundles import GRANT, principal

from guardrail import NotAuthenticated, QuotaExceeded

ROWS = np.ones((2, 3))
ON = {"action": "predict", "resource": 'Model::"tumour"'}
COARSE = '@id("c") @round("1") forbid (principal in Role::"analyst", action, resource);'
EXACT, ROUNDED = 0.123, 0.1


def test_threads_keep_their_identities_apart(make_guard, recorder):
    guard = make_guard(GRANT + COARSE)
    predict = guard.protect(**ON)(lambda patients: EXACT)
    start = threading.Barrier(8)

    def work(number):
        role, expected = (("analyst", ROUNDED), ("clinician", EXACT))[number % 2]
        start.wait()
        with guard.acting_as(principal(role, f"user-{number}")):
            return all(predict(ROWS) == expected for _ in range(200))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert len(recorder.records) == 1600
    assert len({record.decision_id for record in recorder.records}) == 1600


def test_tasks_keep_their_identities_apart(make_guard, recorder):
    guard = make_guard(GRANT + COARSE)

    @guard.protect(**ON)
    async def predict(patients):
        await asyncio.sleep(0)
        return EXACT

    async def work(number):
        if number % 3 == 2:
            with pytest.raises(NotAuthenticated):
                await predict(ROWS)
            return True
        role, expected = (("analyst", ROUNDED), ("clinician", EXACT))[number % 3]
        with guard.acting_as(principal(role, f"user-{number}")):
            await asyncio.sleep(0)
            return await predict(ROWS) == expected

    async def main():
        return await asyncio.gather(*(work(number) for number in range(99)))

    assert all(asyncio.run(main()))
    assert len(recorder.records) == 99


def test_a_quota_admits_exactly_its_amount_to_many_threads(make_guard):
    guard = make_guard(
        GRANT + '@id("q") @quota("100/minute") forbid (principal, action, resource);'
    )
    predict = guard.protect(**ON)(lambda patients: 1)

    def work(number):
        admitted = 0
        with guard.acting_as(principal(name=f"user-{number}")):
            for _ in range(50):
                try:
                    admitted += predict(ROWS)
                except QuotaExceeded:
                    continue
        return admitted

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 100


def test_generators_of_two_callers_may_alternate(make_guard, recorder):
    guard = make_guard(GRANT)

    @guard.protect(**ON)
    def stream(patients):
        yield from range(5)

    with guard.acting_as(principal(name="a")):
        first = stream(ROWS)
    with guard.acting_as(principal(name="b")):
        second = stream(ROWS)
    assert list(zip(first, second, strict=True)) == [(n, n) for n in range(5)]
    assert [record.outcome for record in recorder.records] == ["released", "released"]
