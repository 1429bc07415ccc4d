"""What the loader takes, the schema of the file takes: no editor complains of what loads."""

from __future__ import annotations

import copy

from bundle_files import BASES, loads, takes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def paths(data, above=()):
    """Yield every path of data, and of each mapping a key that it lacks."""
    if isinstance(data, dict):
        for name, below in data.items():
            yield (*above, name)
            yield from paths(below, (*above, name))
        yield (*above, ...)
    elif isinstance(data, list):
        for index, item in enumerate(data):
            yield (*above, index)
            yield from paths(item, (*above, index))


def keys(data):
    return {step for path in paths(data) for step in path if isinstance(step, str)}


def values(data):
    yield data
    if isinstance(data, dict | list):
        for below in data.values() if isinstance(data, dict) else data:
            yield from values(below)


KEYS = {
    kind: sorted({key for of, data in BASES if of == kind for key in keys(data)})
    for kind, _ in BASES
}
VALUES = {
    kind: [value for of, data in BASES if of == kind for value in values(data)] for kind, _ in BASES
}
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 300),
    st.sampled_from([2**31, 2**63, 10**18, 10**30]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["a", "1..3", "3..1", "/a", "a.b", "https://a.example", "HTTPS://a", "float32",
                     "string", "int", "record", "list", "allow", "deny", "GR540", "a.json", "90d",
                     "peer", "host", "azure_maa", "trust_authority", "HS256", "predict",
                     'User::"x"']),
    st.just([]),
    st.just({}),
)  # fmt: skip


@st.composite
def files(draw):
    kind, data = draw(st.sampled_from(BASES))
    data = copy.deepcopy(data)
    for _ in range(draw(st.integers(1, 3))):
        found = list(paths(data))
        if not found:
            break
        *above, last = draw(st.sampled_from(found))
        place = data
        for step in above:
            place = place[step]
        if last is ...:
            last = draw(st.sampled_from(KEYS[kind]))
        elif draw(st.integers(0, 3)) == 0:
            del place[last]
            continue
        place[last] = copy.deepcopy(draw(PLAIN | st.sampled_from(VALUES[kind])))
    return kind, data


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(files())
def test_what_loads_fits_its_schema(file):
    kind, data = file
    if loads(kind, data):
        assert takes(kind, data), (kind, data)
