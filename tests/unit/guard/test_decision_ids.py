"""Decision ids are unique across threads and forked children."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from guardrail._ids import Ids


def test_an_id_is_32_hexadecimal_digits():
    ids = Ids()
    assert all(re.fullmatch("[0-9a-f]{32}", ids()) for _ in range(600))


def test_no_thread_gets_the_id_of_another():
    ids = Ids()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: [ids() for _ in range(2_000)], range(8)))
    assert len({one for each in found for one in each}) == 16_000


def test_two_makers_share_none():
    one, other = Ids(), Ids()
    assert not {one() for _ in range(1_000)} & {other() for _ in range(1_000)}


FORKED = """
import os
from guardrail._ids import Ids
ids = Ids()
ids()  # from here on there are some in store
child = os.fork()
if child:
    os.waitpid(child, 0)  # one after the other, or their lines would mix
print(" ".join(ids() for _ in range(300)), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")
def test_a_forked_child_gets_none_of_its_parents():
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", FORKED], capture_output=True, text=True, check=True, timeout=60
    )
    assert len(set(done.stdout.split())) == 600
