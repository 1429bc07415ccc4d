"""Identity providers and quota stores of an application, passed as arguments or entry points."""

import asyncio
import shutil
import sys
from pathlib import Path

import pytest
from bundles import GRANT
from plugged_provider import BADGES, BadgeKind
from plugged_store import SHELF, ShelfStore

from guardrail import (
    ConfigurationError,
    Guard,
    GuardUnavailable,
    InputRejected,
    NotAuthenticated,
    QuotaExceeded,
)
from guardrail.bundle.assembly import load_bundle
from guardrail.bundle.lint import findings
from guardrail.extensions import Identity, Principal
from guardrail.policy import read_folder
from guardrail.testing import FrozenClock
from guardrail.testing.run.suite import run_tests

HEAD = '[bundle]\nname = "small"\nversion = "1.0.0"\n'
BADGE = HEAD + '[identity.desk]\ntype = "badge"\nid_prefix = "desk"\n'
STORE = HEAD + '[quota]\nstore = "shelf"\n'
QUOTA = '@id("q") @quota("2/minute using fixed") forbid (principal, action, resource);\n'
ROWS_QUOTA = '@id("q") @quota("3 rows/minute using fixed") forbid (principal, action, resource);\n'
CLARA = Principal("User", "clara", attrs={"department": "care"})


def table(text: str) -> dict[str, str]:
    return {"guardrail.toml": text}


def protected(guard, principal=None):
    @guard.protect(action="predict", resource='Model::"tumour"', principal=principal)
    def predict(patients):
        return 0.5

    return predict


ROWS = memoryview(bytearray(24)).cast("B").cast("d", (1, 3))


def faults_of(load):
    with pytest.raises(ConfigurationError) as caught:
        load()
    return caught.value.faults or (caught.value,)


# Providers.


def test_a_provider_of_its_own_names_the_caller(make_guard, recorder, clock):
    guard = make_guard(options={"providers": [BADGES]}, **table(BADGE))
    with guard.acting_as(token="badge:clara"):
        assert protected(guard)(ROWS) == 0.5
        identity = guard._serving.runtime.identify(clock.now())
    assert (identity.provider, identity.principal.id) == ("desk", "desk#clara")
    assert recorder.records[-1].outcome == "released"


def test_a_provider_of_its_own_denies(make_guard):
    guard = make_guard(options={"providers": [BADGES]}, **table(BADGE))
    with pytest.raises(NotAuthenticated) as caught:
        guard.acting_as(token="badge:12")
    assert caught.value.code == "unknown_badge"


def test_a_token_that_no_provider_accepts_is_refused(make_guard):
    guard = make_guard(options={"providers": [BADGES]}, **table(BADGE))
    with pytest.raises(NotAuthenticated):
        guard.acting_as(token="clara")


def test_an_unknown_kind_is_a_fault_with_the_nearest_name(make_bundle):
    folder = make_bundle(**table(BADGE.replace('"badge"', '"bagde"')))
    (fault,) = faults_of(lambda: Guard.from_dir(folder, providers=[BADGES], sinks=()))
    assert (fault.code, fault.place.line) == ("GR003", 5)
    assert fault.message == (
        "`identity.desk.type` must be one of jwt, oidc, api_key, mtls, badge. Did you mean badge?"
    )


def test_a_kind_that_was_not_passed_is_a_fault(make_bundle):
    (fault,) = faults_of(lambda: load_bundle(make_bundle(**table(BADGE)), clock=FrozenClock()))
    assert fault.message == "`identity.desk.type` must be one of jwt, oidc, api_key, mtls."


@pytest.mark.parametrize("kind", ["badge", "oidc"])
def test_two_kinds_of_one_name_are_refused(make_bundle, kind):
    class Other(BadgeKind):
        pass

    Other.kind = kind
    (fault,) = faults_of(
        lambda: load_bundle(
            make_bundle(**table(BADGE)), clock=FrozenClock(), own_providers=[BADGES, Other()]
        )
    )
    assert fault.message == f"Two identity providers have the kind {kind}. Rename one."


def test_a_kind_takes_a_token_or_a_certificate(make_bundle):
    class Other(BadgeKind):
        takes = "cookie"

    (fault,) = faults_of(
        lambda: load_bundle(
            make_bundle(**table(BADGE)), clock=FrozenClock(), own_providers=[Other()]
        )
    )
    assert "must be one of token, certificate" in fault.message


@pytest.mark.parametrize(
    ("line", "at"),
    [('departmetn = "x"', "departmetn"), ('file = "none.txt"', "file"), ('entity = "Usr"', "Usr")],
)
def test_faults_of_its_table_have_their_places(make_bundle, line, at):
    folder = make_bundle(**table(BADGE + line + "\n"))
    (fault,) = faults_of(lambda: load_bundle(folder, clock=FrozenClock(), own_providers=[BADGES]))
    assert at in fault.message
    assert fault.place.line == 7


def test_two_tables_of_a_kind_are_refused(make_bundle):
    other = BADGE + '[identity.door]\ntype = "badge"\nid_prefix = "door"\n'
    folder = make_bundle(**table(other))
    (fault,) = faults_of(lambda: load_bundle(folder, clock=FrozenClock(), own_providers=[BADGES]))
    assert fault.message == "There is another provider of this type. Keep one of them."


def test_two_providers_that_accept_one_token_make_it_ambiguous(make_guard):
    class Other(BadgeKind):
        kind = "other"
        settings = type("OtherSettings", (BadgeKind.settings,), {"__annotations__": {"type": str}})

    text = BADGE + '[identity.door]\ntype = "other"\nid_prefix = "door"\n'
    guard = make_guard(options={"providers": [BADGES, Other()]}, **table(text))
    with pytest.raises(NotAuthenticated) as caught:
        guard.acting_as(token="badge:clara")
    assert caught.value.code == "ambiguous_credential"


@pytest.mark.parametrize(
    "identity",
    [
        Identity(CLARA, provider="desk"),
        Identity(Principal("User", "desk#clara"), provider="sso"),
        Identity(Principal("User", "door#clara"), provider="desk"),
    ],
    ids=["no prefix", "another provider", "another prefix"],
)
def test_a_provider_speaks_for_no_other_one(make_guard, identity):
    class Forger(BadgeKind):
        def open(self, settings, context):
            opened = super().open(settings, context)
            opened.authenticate = lambda *_, **__: identity
            return opened

    guard = make_guard(options={"providers": [Forger()]}, **table(BADGE))
    with pytest.raises(NotAuthenticated) as caught:
        guard.acting_as(token="badge:clara")
    assert caught.value.code == "malformed_token"


def test_its_findings_are_among_those_of_check(make_bundle):
    folder = make_bundle(**table(BADGE + 'department = "all"\n'))
    bundle = load_bundle(folder, clock=FrozenClock(), own_providers=[BADGES])
    found = [each for each in findings(bundle, read_folder(folder)) if each.code == "GR533"]
    assert [each.place.line for each in found] == [7]


# Stores.


def test_a_store_of_its_own_counts(make_guard, clock):
    guard = make_guard(GRANT + QUOTA, options={"quota_store": SHELF}, **table(STORE))
    predict = protected(guard, CLARA)
    assert [predict(ROWS), predict(ROWS)] == [0.5, 0.5]
    with pytest.raises(QuotaExceeded) as caught:
        predict(ROWS)
    assert caught.value.retry_after_s == 60
    assert caught.value.policies == ("q",)
    clock.advance(60)
    assert predict(ROWS) == 0.5


def test_a_store_of_its_own_counts_calls_of_coroutines(make_guard):
    guard = make_guard(GRANT + QUOTA, options={"quota_store": SHELF}, **table(STORE))

    @guard.protect(action="predict", resource='Model::"tumour"', principal=CLARA)
    async def predict(patients):
        return 0.5

    async def three():
        return await asyncio.gather(*[predict(ROWS) for _ in range(3)], return_exceptions=True)

    outcomes = asyncio.run(three())
    assert outcomes.count(0.5) == 2
    assert sum(isinstance(each, QuotaExceeded) for each in outcomes) == 1


def test_a_store_that_can_not_count_denies(make_guard):
    guard = make_guard(GRANT + QUOTA, options={"quota_store": SHELF}, **table(STORE))
    guard._serving.runtime.bundle.storage.open().is_down = True
    with pytest.raises(GuardUnavailable) as caught:
        protected(guard, CLARA)(ROWS)
    assert caught.value.code == "store_unavailable"
    assert "The shelf is closed" in str(caught.value)


def test_a_store_that_answers_for_other_limits_denies(make_guard):
    guard = make_guard(GRANT + QUOTA, options={"quota_store": SHELF}, **table(STORE))
    guard._serving.runtime.bundle.storage.open().acquire_all = lambda *_: []
    with pytest.raises(GuardUnavailable):
        protected(guard, CLARA)(ROWS)


def test_a_refused_input_gives_its_rows_back(make_guard):
    policies = (
        GRANT + ROWS_QUOTA + '@id("i") @input("patients") forbid (principal, action, resource);'
    )
    guard = make_guard(policies, options={"quota_store": SHELF}, **table(STORE))
    bad = memoryview(bytearray(16)).cast("B").cast("d", (1, 2))
    predict = protected(guard, CLARA)
    for _ in range(4):
        with pytest.raises(InputRejected) as seen:
            predict(bad)
        assert seen.value.code == "input_rejected"
    assert [predict(ROWS) for _ in range(3)] == [0.5] * 3


def test_an_unknown_store_is_a_fault_with_the_nearest_name(make_bundle):
    folder = make_bundle(**table(STORE.replace("shelf", "shlef")))
    (fault,) = faults_of(lambda: load_bundle(folder, clock=FrozenClock(), own_quota_store=SHELF))
    assert (fault.code, fault.place.line) == ("GR004", 5)
    assert fault.message == "`quota.store` must be one of memory, shelf. Did you mean shelf?"


def test_a_store_that_the_bundle_does_not_choose_is_refused(make_bundle):
    (fault,) = faults_of(lambda: Guard.from_dir(make_bundle(), quota_store=SHELF))
    assert 'Write `store = "shelf"` under [quota]' in fault.message


def test_two_stores_of_one_name_are_refused(make_bundle):
    class Memory(ShelfStore):
        name = "memory"

    (fault,) = faults_of(
        lambda: load_bundle(make_bundle(), clock=FrozenClock(), own_quota_store=Memory())
    )
    assert fault.message == "Two quota stores have the name memory. Rename one."


def test_a_strategy_that_the_store_lacks_is_a_fault_at_the_annotation(make_bundle):
    folder = make_bundle(GRANT + QUOTA.replace(" using fixed", ""), **table(STORE))
    (fault,) = faults_of(lambda: load_bundle(folder, clock=FrozenClock(), own_quota_store=SHELF))
    assert (fault.code, fault.place.file) == ("GR004", "policies.cedar")
    assert "`shelf` does not count by `moving`" in fault.message


def test_keys_of_its_own_are_parsed(make_bundle):
    for line, names in (('shelf = "low"', 0), ("shelf = 3", 1), ('shlef = "low"', 1)):
        folder = make_bundle(**table(f"{STORE}{line}\n"))
        try:
            load_bundle(folder, clock=FrozenClock(), own_quota_store=SHELF)
            count = 0
        except ConfigurationError as error:
            count = len(error.faults)
        assert count == names


def test_policy_tests_take_nothing_from_the_store(make_bundle):
    test = """\
given:
  principals:
    clara: {uid: 'User::"clara"', attrs: {department: care}}
tests:
  - name: the third call is over the quota
    as: clara
    action: predict
    resource: 'Model::"tumour"'
    input: {patients: {zeros: [1, 3]}}
    steps:
      - {times: 2, expect: allow}
      - {expect: {code: quota_exceeded, retry_after_s: 60}}
"""
    folder = make_bundle(GRANT + QUOTA, **{**table(STORE), "tests/quota_test.yaml": test})
    bundle = load_bundle(folder, clock=FrozenClock(), own_quota_store=SHELF)
    before = bundle.storage.open()
    report = run_tests(folder, bundle=bundle)
    assert [each.faults for each in report.results] == [()] * len(report.results)
    assert bundle.storage.open() is not before
    assert not before._storage.storage


def test_a_reload_keeps_the_counters_and_the_own_parts(make_guard, make_bundle):
    both = BADGE + '[quota]\nstore = "shelf"\n'
    guard = make_guard(
        GRANT + QUOTA, options={"quota_store": SHELF, "providers": [BADGES]}, **table(both)
    )
    with guard.acting_as(token="badge:clara"):
        assert [protected(guard)(ROWS) for _ in range(2)] == [0.5, 0.5]
    make_bundle(GRANT + QUOTA + "// changed\n", **table(both))
    assert guard.reload().changed
    with guard.acting_as(token="badge:clara"), pytest.raises(QuotaExceeded):
        protected(guard)(ROWS)


# Entry points.


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that is installed: its entry points are found, and nothing of it is imported."""
    site = tmp_path / "site"
    info = site / "badges-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: badges\nVersion: 1.0\n")
    for name in ("plugged_provider", "plugged_store"):
        source = Path(sys.modules[name].__file__)
        shutil.copy(source, site / f"installed_{name}.py")
    (site / "broken_badges.py").write_text("import nothing_of_this_name\n")
    (info / "entry_points.txt").write_text(
        "[guardrail.providers]\nbadge = installed_plugged_provider:BADGES\n"
        "broken = broken_badges:BADGES\nlacking = installed_plugged_provider:NOTHING\n"
        "class = installed_plugged_provider:BadgeKind\nother = installed_plugged_store:SHELF\n"
        "[guardrail.stores]\nshelf = installed_plugged_store:SHELF\n"
    )
    monkeypatch.syspath_prepend(str(site))
    yield site
    for name in [each for each in sys.modules if each.startswith("installed_plugged")]:
        del sys.modules[name]


def test_a_bundle_names_plug_ins_of_installed_packages(make_guard, installed):
    text = BADGE + '[quota]\nstore = "shelf"\n[extensions]\nproviders = ["badge"]\n'
    guard = make_guard(GRANT + QUOTA, **table(text + 'stores = ["shelf"]\n'))
    with guard.acting_as(token="badge:clara"):
        assert [protected(guard)(ROWS) for _ in range(2)] == [0.5, 0.5]
        with pytest.raises(QuotaExceeded):
            protected(guard)(ROWS)


def test_nothing_is_imported_that_the_bundle_does_not_name(make_guard, installed):
    make_guard(**table(HEAD))
    assert "installed_plugged_provider" not in sys.modules


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ('"bagde"', "names a plug-in that is not an entry point"),
        ('"bagde"', "Did you mean badge?"),
        ('"os:system"', "names a plug-in that is not an entry point"),
        ('"broken"', "names a plug-in that does not import (ModuleNotFoundError)"),
        ('"lacking"', "names a plug-in that does not import (AttributeError)"),
        ('"class"', "names a class. Let the entry point name an object of the class."),
        ('"other"', "names an object that is not a plug-in: it lacks `kind`."),
        ('"badge", "badge"', "names this plug-in twice. Remove one of them."),
        ('""', "expected at least 1 character"),
        ("3", "expected a text; got a whole number"),
    ],
)
def test_a_name_that_leads_to_no_plug_in_is_a_fault(make_bundle, installed, named, message):
    text = HEAD + f"[extensions]\nproviders = [{named}]\n"
    (fault,) = faults_of(lambda: load_bundle(make_bundle(**table(text)), clock=FrozenClock()))
    assert (fault.code, fault.place.file, fault.place.line) == ("GR003", "guardrail.toml", 5)
    assert message in fault.message


def test_a_name_that_two_packages_have_is_a_fault(make_bundle, installed):
    info = installed / "others-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[guardrail.providers]\nbadge = os:path\n")
    text = HEAD + '[extensions]\nproviders = ["badge"]\n'
    (fault,) = faults_of(lambda: load_bundle(make_bundle(**table(text)), clock=FrozenClock()))
    assert "of two packages. Remove one package." in fault.message


def test_a_kind_that_is_passed_and_named_is_refused(make_bundle, installed):
    text = BADGE + '[extensions]\nproviders = ["badge"]\n'
    (fault,) = faults_of(
        lambda: load_bundle(make_bundle(**table(text)), clock=FrozenClock(), own_providers=[BADGES])
    )
    assert fault.message == "Two identity providers have the kind badge. Rename one."


def test_a_fact_source_without_a_namespace_is_refused(make_guard):
    class Old:
        place = "ward"
        facts = frozenset({"open"})

        def compute(self, names, context):
            return {}

    with pytest.raises(ConfigurationError, match="has no `namespace`"):
        make_guard(options={"facts": [Old()]})
