"""Policy tests under pytest, as a user runs them: a real process, a conftest that asks for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import SCHEMA
from junitparser import Error, Failure, JUnitXml

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
    "PYTHONPATH": str(ROOT),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "NO_COLOR": "1",
    "COLUMNS": "200",
}
CONFTEST = 'pytest_plugins = ["guardrail.testing.plugin"]\n'
SETTINGS = "[pytest]\naddopts = --strict-markers --import-mode=importlib\nfilterwarnings = error\n"
POLICIES = """\
@id("wards") permit (principal in Role::"clinician", action == Action::"predict", resource)
when { context.input.rows <= 100 };
@id("rounded") @round("2") forbid (principal, action == Action::"predict", resource);
"""
GIVEN = """\
given:
  action: predict
  resource: Model::"tumour"
  facts: {input: {rows: 10}}
  principals:
    clara: {uid: 'User::"clara"', in: ['Role::"clinician"'], attrs: {department: care}}
tests:
"""
HOLDS = "  - {name: clinicians may, as: clara, expect: {decision: allow, policies: [wards]}}\n"
FAILS = "  - {name: a cohort may, as: clara, facts: {input: {rows: 101}}, expect: allow}\n"
WRONG = "  - {name: somebody may, as: nobody, expect: allow}\n"


@pytest.fixture
def project(tmp_path, make_bundle):
    """Return a function that writes a project with a bundle, and gives its folder."""

    def project(conftest=CONFTEST, *, settings=SETTINGS, policies=POLICIES, **files):
        files = {name if "/" in name else f"tests/{name}_test.yaml": t for name, t in files.items()}
        make_bundle(policies, **files)
        (tmp_path / "conftest.py").write_text(conftest)
        (tmp_path / "pytest.ini").write_text(settings)
        return tmp_path

    return project


def run(folder, *arguments):
    return subprocess.run(  # noqa: S603  # our own arguments
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def counts(done):
    """Return the last line's counts: ``{"passed": 2, "failed": 1}``."""
    last = done.stdout.rstrip().rpartition("\n")[2]
    return {
        name: int(count) for count, name in re.findall(r"(\d+) (\w+)", last.rpartition(" in ")[0])
    }


def test_a_failure_shows_its_line_and_what_decides_and_no_python(project):
    folder = project(a=GIVEN + HOLDS + FAILS)
    done = run(folder)
    assert (done.returncode, counts(done)) == (1, {"failed": 1, "passed": 1})
    assert (
        "_________ a cohort may _________"
        in re.sub("_{9,}", "_________", done.stdout)
    )  # fmt: skip
    assert (
        "bundle/tests/a_test.yaml:9:66 GR602 decision: expected allow; got deny\n"
        "decided: deny no_grant: No policy grants this call. Ask for a grant, or call as somebody "
        "who has one.\n"
        "wards would grant, but does not: policies.cedar:1:1\n"
        '    yes  scope principal in Role::"clinician"\n'
        '    yes  scope action == Action::"predict"\n'
        "     no  when context.input.rows <= 100   <- would grant if this were true\n"
    ) in done.stdout
    assert ".py" not in done.stdout
    assert "FAILED bundle/tests/a_test.yaml::a cohort may" in done.stdout


def test_a_test_that_is_wrong_is_an_error_with_its_place(project):
    unsaid = GIVEN.replace("  facts: {input: {rows: 10}}\n", "") + HOLDS
    done = run(project(a=GIVEN + HOLDS + WRONG, b=unsaid))
    assert (done.returncode, counts(done)) == (1, {"passed": 1, "errors": 2})
    assert (
        "bundle/tests/a_test.yaml:9:26 GR601 `as` is neither a name under given.principals nor "
        "a uid. "
        "The names are: clara." in done.stdout
    )
    assert (
        'bundle/tests/b_test.yaml:7:5 GR600 The policies of Action::"predict" read input.rows, '
        "which the test does not state." in done.stdout
    )
    assert ".py" not in done.stdout


def test_a_bundle_that_does_not_load_fails_each_file_with_every_fault(project):
    broken = POLICIES + '@id("wards") permit (principal, action, resource);\npermit (x);\n'
    done = run(project(policies=broken, a=GIVEN + HOLDS, b=GIVEN + HOLDS))
    assert (done.returncode, counts(done)) == (2, {"errors": 2})
    faults = re.findall(r"^bundle/policies\.cedar:(\d+):\d+ (GR\d+) ", done.stdout, re.M)
    assert len(faults) >= 2
    assert faults == faults[: len(faults) // 2] * 2
    assert ".py" not in done.stdout


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("tests/b_test.yaml", "tests: [\n", "bundle/tests/b_test.yaml:2:1 GR"),
        (
            "tests/b_test.yaml",
            GIVEN.replace("rows: 10", "rowz: 10") + HOLDS,
            "bundle/tests/b_test.yaml:4:19 GR601 The schema has no context.input.rowz here.",
        ),
        (
            "tests/b_test.yaml",
            GIVEN.replace("rows: 10", "rowz: 10").replace("tests:\n", "tests: []\n"),
            "bundle/tests/b_test.yaml:4:19 GR601 The schema has no context.input.rowz here.",
        ),
    ],
)
def test_a_file_that_is_wrong_is_an_error_with_its_place(project, file, text, says):
    folder = project(a=GIVEN + HOLDS, **{file: text})
    done = run(folder, "--continue-on-collection-errors")
    assert (done.returncode, counts(done)) == (1, {"passed": 1, "error": 1})
    assert f"ERROR collecting bundle/{file}" in done.stdout
    assert says in done.stdout


@pytest.mark.parametrize("file", ["tests/bees.yaml", "tests/deep/b_test.yaml"])
def test_a_file_that_would_never_run_keeps_the_bundle_from_loading(project, file):
    folder = project(a=GIVEN + HOLDS, **{file: GIVEN + HOLDS})
    done = run(folder, "--continue-on-collection-errors")
    assert (done.returncode, counts(done)) == (1, {"errors": 2})
    assert f"bundle/{file} GR001 Only files named tests/NAME_test.yaml are read" in done.stdout


def test_what_is_wrong_with_all_files_is_an_error_of_each(project):
    few = CONFTEST + (
        "def pytest_collection(session):\n"
        "    from guardrail.testing.files import cases\n"
        "    cases.LIMIT_FILES = 1\n"
    )
    done = run(project(few, a=GIVEN + HOLDS, b=GIVEN + HOLDS))
    assert (done.returncode, counts(done)) == (2, {"errors": 2})
    assert (
        done.stdout.count(
            "bundle/tests GR005 There are more than 1 test files. Merge some of them."
        )
        == 2
    )


def test_tests_are_picked_by_node_id_by_name_and_by_mark(project):
    name = "clara :: reads [a] \\e"
    odd = f'  - {{name: "{name}", as: clara, expect: allow}}\n'
    folder = project(a=GIVEN + HOLDS + FAILS + odd, b=GIVEN + HOLDS)
    (folder / "test_python.py").write_text("def test_python(): pass\n")
    done = run(folder, "--collect-only", "-q")
    assert done.returncode == 0
    listed = done.stdout.splitlines()[:5]
    assert listed == [
        "bundle/tests/a_test.yaml::clinicians may",
        "bundle/tests/a_test.yaml::a cohort may",
        "bundle/tests/a_test.yaml::clara : reads [a] \\x1b",
        "bundle/tests/b_test.yaml::clinicians may",
        "test_python.py::test_python",
    ]
    done = run(folder, listed[0], listed[2])
    assert (done.returncode, counts(done)) == (0, {"passed": 2})
    done = run(folder, "-k", "cohort or python")
    assert (done.returncode, counts(done)) == (1, {"failed": 1, "passed": 1, "deselected": 3})
    done = run(folder, "-m", "not guardrail")
    assert (done.returncode, counts(done)) == (0, {"passed": 1, "deselected": 4})


@pytest.mark.parametrize("dist", ["load", "loadfile"])
def test_workers_share_the_tests(project, dist):
    many = "".join(HOLDS.replace("may", f"may {number}") for number in range(20))
    folder = project(a=GIVEN + many, b=GIVEN + many + FAILS + WRONG)
    done = run(folder, "-p", "xdist", "-n", "2", "--dist", dist, "-v")
    assert (done.returncode, counts(done)) == (1, {"failed": 1, "passed": 40, "error": 1})
    ran = re.findall(r"\[(gw\d)\] .* PASSED bundle/tests/(\w)_test", done.stdout)
    assert {worker for worker, _ in ran} == {"gw0", "gw1"}
    assert (len({*ran}) == 2) == (dist == "loadfile")
    assert "bundle/tests/b_test.yaml:28:66 GR602 decision: expected allow; got deny" in done.stdout


def test_junit_xml_tells_failures_from_errors(project):
    folder = project(a=GIVEN + HOLDS + FAILS + WRONG)
    assert run(folder, "--junitxml", "report.xml").returncode == 1
    (suite,) = JUnitXml.fromfile(str(folder / "report.xml"))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (3, 1, 1, 0)
    assert [
        (case.classname, case.name, [type(result) for result in case.result]) for case in suite
    ] == [
        ("bundle.tests.a_test.yaml", "clinicians may", []),
        ("bundle.tests.a_test.yaml", "a cohort may", [Failure]),
        ("bundle.tests.a_test.yaml", "somebody may", [Error]),
    ]
    texts = [result.text for case in suite for result in case.result]
    assert "bundle/tests/a_test.yaml:9:66 GR602" in texts[0]
    assert "bundle/tests/a_test.yaml:10:26 GR601" in texts[1]


def test_a_bundle_is_loaded_once_for_all_its_tests(project):
    counting = CONFTEST + (
        "def pytest_collection(session):\n"
        "    from guardrail.testing import plugin\n"
        "    load = plugin.load_bundle\n"
        "    def loaded(*arguments, **options):\n"
        "        print('LOADED')\n"
        "        return load(*arguments, **options)\n"
        "    plugin.load_bundle = loaded\n"
    )
    done = run(project(counting, a=GIVEN + HOLDS, b=GIVEN + HOLDS), "-s")
    assert (done.returncode, counts(done)) == (0, {"passed": 2})
    assert done.stdout.count("LOADED") == 1


def test_nothing_is_collected_unless_it_is_asked_for(project):
    folder = project("", a=GIVEN + HOLDS)
    assert run(folder).returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    done = run(folder, "-p", "guardrail.testing.plugin")
    assert (done.returncode, counts(done)) == (0, {"passed": 1})


# Fixtures.

USING = """
import pytest
from guardrail import NotAuthenticated, NotAuthorized, Principal, QuotaExceeded, Entity


def predict_under(guard):
    return guard.protect(action="predict", resource='Model::"tumour"', input=None)(lambda: 0.123456)


def test_guard_is_fresh_frozen_and_recorded(guard, acting_as, frozen_clock, recorded):
    predict = predict_under(guard)
    assert frozen_clock.now() == 1767607200.0
    with acting_as('User::"clara"', in_=['Role::"clinician"'], attrs={"department": "care"}):
        assert predict() == 0.12
        with pytest.raises(QuotaExceeded):
            predict()
        frozen_clock.advance(61)
        assert predict() == 0.12
    with pytest.raises(NotAuthenticated):
        predict()
    assert [(record.outcome, record.code) for record in recorded.records] == [
        ("released", "allow"), ("denied", "quota_exceeded"), ("released", "allow"),
        ("denied", "not_authenticated"),
    ]
    assert recorded.records[0].started_at == frozen_clock.now() - 61


def test_quota_of_another_test_is_not_used_up(guard, acting_as):
    with acting_as("clara") as who:
        assert (who.id, who.parents) == ("clara", (Entity("Role", "clinician"),))
        assert predict_under(guard)() == 0.12


@pytest.mark.parametrize("in_", ['Role::"guest"', Entity("Role", "guest"), [5]])
def test_groups_are_a_list(acting_as, in_):
    with pytest.raises(TypeError, match="in_: expected a list of uids"):
        acting_as('User::"clara"', in_=in_)


def test_a_principal_is_taken_as_it_is(guard, acting_as):
    with acting_as(Principal("User", "nora", attrs={"department": "care"})):
        with pytest.raises(NotAuthorized):
            predict_under(guard)()


async def call(guard, acting_as):
    async with acting_as("clara"):
        return predict_under(guard)()


def test_it_works_in_coroutines(guard, acting_as):
    import asyncio
    assert asyncio.run(call(guard, acting_as)) == 0.12
"""
QUOTA = '@id("q") @quota("1/minute") forbid (principal, action, resource);\n'
ROUNDED = """\
@id("clinicians") permit (principal in Role::"clinician", action, resource);
@id("rounded") @round("2") forbid (principal, action, resource);
"""
HOLDS_ROUNDED = "  - {name: they may, as: clara, expect: {policies: [clinicians]}}\n"
NAMED = SETTINGS + "guardrail_bundle = bundle\n"


def test_fixtures_guard_an_application(project):
    journal = '[bundle]\nname = "small"\nversion = "1"\n[audit]\njournal = "journal"\n'
    folder = project(
        settings=NAMED, policies=ROUNDED + QUOTA,
        a=GIVEN + HOLDS_ROUNDED, **{"./guardrail.toml": journal},
    )  # fmt: skip
    (folder / "test_app.py").write_text(USING)
    done = run(folder)
    assert (done.returncode, counts(done)) == (0, {"passed": 8}), done.stdout
    assert not (folder / "journal").exists()


def test_fixtures_that_can_not_be_made_say_why_without_a_traceback(project):
    folder = project(a=GIVEN + HOLDS)
    (folder / "test_app.py").write_text("def test_app(guard): pass\n")
    done = run(folder, "test_app.py")
    assert (done.returncode, counts(done)) == (1, {"error": 1})
    assert "Set guardrail_bundle in pytest's settings" in done.stdout
    (folder / "pytest.ini").write_text(NAMED)
    (folder / "bundle" / "policies.cedar").write_text("permit (principal, action, resource);")
    done = run(folder, "test_app.py")
    assert (done.returncode, counts(done)) == (1, {"error": 1})
    assert "bundle/policies.cedar:1:1 GR103 " in done.stdout
    assert "Traceback" not in done.stdout


def test_a_name_must_mean_one_caller(project):
    other = GIVEN.replace("department: care", "department: research")
    folder = project(settings=NAMED, a=GIVEN + HOLDS, b=other + HOLDS)
    (folder / "test_app.py").write_text(
        "import pytest\n"
        "from guardrail import ConfigurationError\n"
        "def test_app(acting_as):\n"
        "    with pytest.raises(ConfigurationError, match='at tests/b_test.yaml:6:5 is another '"
        "'principal than at tests/a_test.yaml:6:5'):\n"
        "        acting_as('clara')\n"
        "    with pytest.raises(ConfigurationError, match='a uid: clara'):\n"
        "        acting_as('clare')\n"
        "    with pytest.raises(TypeError, match='only with a uid'):\n"
        "        acting_as('clara', in_=['Role::\"auditor\"'])\n"
    )
    done = run(folder, "test_app.py")
    assert (done.returncode, counts(done)) == (0, {"passed": 1}), done.stdout


def test_a_bundle_with_the_applications_own_facts_is_loaded_with_them(project):
    own = CONFTEST + (
        "class Own:\n"
        "    namespace = 'own'\n"
        "    facts = frozenset(('flag',))\n"
        "    def compute(self, names, context):\n"
        "        return {'flag': True}\n"
        "def pytest_guardrail_options(folder):\n"
        "    assert folder.name == 'bundle'\n"
        "    return {'facts': [Own()]}\n"
    )
    schema = SCHEMA.replace("app: {", "own: { flag: Bool }, app: {", 1)
    policies = (
        '@id("wards") permit (principal, action == Action::"predict", resource)'
        " when { context.own.flag };"
    )
    folder = project(
        own, settings=NAMED, policies=policies,
        a=GIVEN + HOLDS.replace("expect", "facts: {own: {flag: true}}, expect"),
        **{"./schema.cedarschema": schema},
    )  # fmt: skip
    (folder / "test_app.py").write_text(
        "def test_app(guard, acting_as):\n"
        "    with acting_as('clara'):\n"
        "        assert guard.protect(action='predict', resource='Model::\"tumour\"', input=None)"
        "(lambda: 1)() == 1\n"
    )
    done = run(folder)
    assert (done.returncode, counts(done)) == (0, {"passed": 2}), done.stdout
