"""A pytest plugin that collects the policy tests of a bundle, and has fixtures for applications.

Enable it with ``pytest_plugins = ["guardrail.testing.plugin"]`` in the topmost conftest, or with
``-p guardrail.testing.plugin``. The fixtures are `guard`, `acting_as`, `frozen_clock` and
`recorded`. `guardrail.testing.run.suite` runs the tests; a failure shows a line of YAML and no
traceback. A file in ``tests`` that never runs is an error, as in ``guardrail test``. Only this
module of guardrail imports pytest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from guardrail.bundle.assembly import Bundle, load_bundle
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.guard import Guard
from guardrail.identity import ActingAs
from guardrail.policy import read_uid
from guardrail.testing.application.clock import FrozenClock
from guardrail.testing.application.recorded import Recorder
from guardrail.testing.files.cases import InvalidTest, PolicyTestCase, Suite, read_suite
from guardrail.testing.files.format import Given
from guardrail.testing.files.yaml_values import principal_of
from guardrail.testing.properties.check import Checker
from guardrail.testing.properties.format import InvalidProperty, Property
from guardrail.testing.run.render_decision import Reasons
from guardrail.testing.run.report import Result
from guardrail.testing.run.suite import run
from guardrail.values import Entity, Identity, Principal

#: The initial time of `frozen_clock`: a Monday morning.
START: Final = datetime(2026, 1, 5, 10, tzinfo=UTC)

_MARK: Final = "guardrail"

#: The type of the fixture `acting_as`.
Acting: TypeAlias = Callable[..., ActingAs]


class Hooks:
    """The hook that a conftest may have."""

    @pytest.hookspec(firstresult=True)
    def pytest_guardrail_options(self, folder: Path) -> Mapping[str, Any] | None:
        """Return the application's own extensions for loading a bundle.

        The keys are ``facts``, ``obligations``, ``models``, ``providers`` and ``quota_store``, as
        for `Guard.from_dir`; ``None`` for no extensions.
        """


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register `Hooks` with pytest."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the setting ``guardrail_bundle`` with pytest."""
    parser.addini(
        "guardrail_bundle",
        "The bundle of the fixture `guard`: a folder, relative to this file.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark of policy tests with pytest."""
    config.addinivalue_line("markers", f"{_MARK}: a policy test of a bundle: tests/*_test.yaml")
    config.stash[_LOADED] = {}


# Policy tests.


@dataclass(frozen=True, slots=True)
class _LoadedBundle:
    """A bundle and its tests, loaded once per session."""

    bundle: Bundle
    files: Mapping[str, Suite]
    reasons: Reasons
    checker: Checker

    def run(self, case: PolicyTestCase | Property) -> Result:
        """Run a test or check a property, and return the result."""
        if isinstance(case, Property):
            return self.checker.check(case)
        (result,) = run(self.bundle, Suite((case,)))
        return result


_LOADED: Final = pytest.StashKey[dict[Path, "_LoadedBundle | ConfigurationError"]]()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the YAML files in the ``tests`` folder of a bundle."""
    if file_path.suffix not in (".yaml", ".yml"):
        return None
    for folder in file_path.parents:
        if folder.name == "tests" and (folder.parent / "guardrail.toml").is_file():
            collector: PolicyTests = PolicyTests.from_parent(parent, path=file_path)
            collector.folder = folder.parent
            return collector
    return None


class PolicyTests(pytest.File):
    """A file of policy tests and properties."""

    folder: Path

    def collect(self) -> Iterable[pytest.Item]:
        """Yield the tests of the file.

        Raises `CollectError` with every fault if the bundle does not load, or if the `given`
        section is not valid.
        """
        loaded = _load(self.config, self.folder)
        if isinstance(loaded, ConfigurationError):
            raise self.CollectError(_text(self.config, self.folder, loaded.faults, loaded.message))
        name = self.path.relative_to(self.folder).as_posix()
        suite = loaded.files.get(name, Suite(()))
        cases, common = suite.cases, Suite((), suite.given)
        faults = [fault for result in run(loaded.bundle, common) for fault in result.faults]
        if len(cases) == 1 and isinstance(cases[0], InvalidTest) and not cases[0].name:
            faults.extend(cases[0].faults)
        if faults:
            raise self.CollectError(_text(self.config, self.folder, faults))
        for case in (*cases, *suite.properties):
            item: PolicyTest = PolicyTest.from_parent(self, name=_node_name(case))
            item.case, item.loaded = case, loaded
            item.add_marker(_MARK)
            yield item


class PolicyTest(pytest.Item):
    """One policy test, or property."""

    case: PolicyTestCase | InvalidTest | Property | InvalidProperty
    loaded: _LoadedBundle
    result: Result | None = None

    def setup(self) -> None:
        """Run the test; a test that is not valid is an error, not a failure."""
        if isinstance(self.case, InvalidTest | InvalidProperty):
            self._fail(self.case.faults)
            return
        result = self.result = self.loaded.run(self.case)
        if result.outcome == "error":
            self._fail(result.faults)

    def runtest(self) -> None:
        """Fail if the decision is not the expected one."""
        result = self.result
        if result is not None and result.outcome != "passed":
            self._fail(result.faults, [text for text, _ in self.loaded.reasons.lines(result)])

    def _fail(self, faults: Sequence[Fault], more: Sequence[str] = ()) -> None:
        text = _text(self.config, self._folder, faults)
        pytest.fail("\n".join((text, *more)), pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the place of the test: its file, its line from 0, its name."""
        line = self.case.place.line
        return self.path, line - 1 if line else None, self.name

    @property
    def _folder(self) -> Path:
        return self.getparent(PolicyTests).folder  # type: ignore[union-attr]


def _load(config: pytest.Config, folder: Path) -> _LoadedBundle | ConfigurationError:
    """Return a bundle and its tests, or the error of loading them; each bundle is loaded once."""
    known = config.stash[_LOADED]
    if folder not in known:
        own = _own(config, folder)
        try:
            bundle = load_bundle(
                folder, clock=FrozenClock(), **{f"own_{name}": given for name, given in own.items()}
            )
            suite = read_suite(folder)
            known[folder] = _LoadedBundle(
                bundle, _by_file(folder, suite), Reasons(bundle.snapshot), Checker(bundle, suite)
            )
        except ConfigurationError as error:
            known[folder] = error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            known[folder] = ConfigurationError(f"{folder} cannot be read: {reason}")
    return known[folder]


def _by_file(folder: Path, whole: Suite) -> dict[str, Suite]:
    """Return the tests of a bundle by file.

    Raises `ConfigurationError` for a fault that concerns all files.
    """
    given = {document.file: (document,) for document in whole.given}
    cases: dict[str, list[PolicyTestCase | InvalidTest]] = {file: [] for file in given}
    stated: dict[str, list[Property | InvalidProperty]] = {}
    for case in whole.cases:
        if isinstance(case, InvalidTest) and not (folder / case.place.file).is_file():
            raise ConfigurationError(faults=case.faults)
        cases.setdefault(case.place.file, []).append(case)
    for each in whole.properties:
        stated.setdefault(each.place.file, []).append(each)
    return {
        file: Suite(tuple(cases.get(file, ())), given.get(file, ()), tuple(stated.get(file, ())))
        for file in {**cases, **stated}
    }


def _own(config: pytest.Config, folder: Path) -> Mapping[str, Any]:
    """Return the application's own extensions for a bundle."""
    return config.hook.pytest_guardrail_options(folder=folder) or {}


def _node_name(case: PolicyTestCase | InvalidTest | Property | InvalidProperty) -> str:
    """Return a printable name without ``::``, which pytest accepts in a node id."""
    name = case.name or f"line {case.place.line}"
    return (name if name.isprintable() else repr(name)[1:-1]).replace("::", ":")


def _text(config: pytest.Config, folder: Path, faults: Iterable[Fault], otherwise: str = "") -> str:
    """Return faults, one per line, with files relative to the directory where pytest started."""
    start = config.invocation_params.dir
    lines = []
    for fault in faults:
        place = fault.place
        file = os.path.relpath(folder / place.file, start)
        lines.append(str(Fault(fault.code, Place(file, place.line, place.column), fault.message)))
    return "\n".join(lines) or otherwise


# Fixtures.


@pytest.fixture
def guard_bundle(pytestconfig: pytest.Config) -> Path:
    """The folder of the bundle that `guard` enforces: ``guardrail_bundle`` in pytest's settings.

    Override it if tests need another bundle.
    """
    named = str(pytestconfig.getini("guardrail_bundle") or "")
    if not named:
        pytest.fail(
            "The fixture guard needs a bundle, and none is set. Set guardrail_bundle in pytest's "
            "settings, or override the fixture guard_bundle to return the bundle's folder.",
            pytrace=False,
        )
    settings = pytestconfig.inipath
    return (pytestconfig.rootpath if settings is None else settings.parent) / named


@pytest.fixture
def frozen_clock() -> FrozenClock:
    """The clock of `guard`, at 2026-01-05, 10:00 UTC, until the test advances it."""
    return FrozenClock(START)


@pytest.fixture
def recorded() -> Recorder:
    """The sink of `guard`, which keeps the records of its calls in ``recorded.records``."""
    return Recorder()


@pytest.fixture
def guard(
    request: pytest.FixtureRequest,
    guard_bundle: Path,
    frozen_clock: FrozenClock,
    recorded: Recorder,
) -> Iterator[Guard]:
    """A new guard of `guard_bundle` for this test, with unused quotas and without a journal."""
    folder = Path(guard_bundle)
    try:
        new_guard = Guard.from_dir(
            folder,
            clock=frozen_clock,
            sinks=(recorded,),
            journal=None,
            **_own(request.config, folder),
        )
    except ConfigurationError as error:
        problem = _text(request.config, folder, error.faults, error.message)
    else:
        yield new_guard
        new_guard.close()
        return
    pytest.fail(problem, pytrace=False)


@pytest.fixture
def acting_as(request: pytest.FixtureRequest) -> Acting:
    """A function that returns a scope in which the test acts as a principal, for any guard.

    ``with acting_as('User::"clara"', in_=['Role::"clinician"'], attrs={"department": "care"}):``
    The argument can also be a `Principal`, or a name such as ``"clara"`` under
    ``given.principals`` in the policy tests of `guard_bundle`. All files that define the name must
    define the same principal.
    """

    def acting_as(
        who: str | Principal,
        *,
        in_: Sequence[str | Entity] = (),
        attrs: Mapping[str, Any] | None = None,
    ) -> ActingAs:
        if isinstance(who, str) and "::" in who:
            uid = read_uid(who)
            if isinstance(in_, str | Entity) or not all(
                isinstance(each, str | Entity) for each in in_
            ):
                raise TypeError("in_: expected a list of uids, such as ['Role::\"guest\"'].")
            parents = [read_uid(each) if isinstance(each, str) else each for each in in_]
            return ActingAs(Identity(Principal(uid.type, uid.id, parents=parents, attrs=attrs)))
        if in_ or attrs is not None:
            raise TypeError(
                "acting_as takes in_= and attrs= only with a uid. Pass a uid such as "
                "'User::\"clara\"', or leave them out."
            )
        if isinstance(who, str):
            who = _known(Path(request.getfixturevalue("guard_bundle")), who)
        return ActingAs(Identity(who))

    return acting_as


def _known(folder: Path, name: str) -> Principal:
    """Return the principal with a name in the policy tests of a bundle."""
    definitions: list[tuple[Place, Principal]] = []
    names: set[str] = set()
    for document in read_suite(folder).given:
        principals = document.parse(Given).principals
        names |= set(principals)
        if name in principals:
            caller = document.below("principals", name)
            definitions.append((caller.at(), principal_of(principals[name], caller)))
    if not definitions:
        names_text = ", ".join(sorted(names)) or "none"
        raise ConfigurationError(
            f"No test file of {folder} has {name!r} under given.principals. Use one of these "
            f"names, or a uid: {names_text}."
        )
    place, principal = definitions[0]
    for other_place, other in definitions[1:]:
        if _content(other) != _content(principal):
            raise ConfigurationError(
                f"{name!r} at {other_place} is another principal than at {place}. Use different "
                "names, or pass a Principal to acting_as."
            )
    return principal


def _content(principal: Principal) -> tuple[Any, ...]:
    return principal.uid, set(principal.parents), dict(principal.attrs)
