"""The child process of a reload, which tests a new bundle before the guard serves it.

Run as ``python -m guardrail.testing.run.reload_child DIR``. It loads the bundle, evaluates each
action once and runs the bundle's tests. It reports faults as one line of JSON; a crash shows in its
exit status. The child knows the application's own fact sources, obligations and models by name
only, and ignores the results of tests that depend on such an obligation.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel, ConfigDict

from guardrail._faults import faults_of
from guardrail._hooks import AuthenticatorBase, IdentityProviderBase, QuotaStoreBase
from guardrail._ports import (
    Clock,
    FactContext,
    ObligationContext,
    ProviderContext,
    QuotaCounters,
)
from guardrail.bundle.assembly import Bundle, load_bundle
from guardrail.bundle.reload import fault_data
from guardrail.errors import ConfigurationError, Fault, Place
from guardrail.identity.settings import ProviderSettings
from guardrail.obligations.quota.registry import MEMORY
from guardrail.obligations.quota.settings import QuotaStoreSettings
from guardrail.policy import read_folder
from guardrail.policy.engine.warm_up import warm_up
from guardrail.testing.application.clock import FrozenClock
from guardrail.testing.run.suite import run_tests
from guardrail.values import Clause, FactValue
from guardrail.values import Path as ValuePath


@dataclass(frozen=True, slots=True)
class NamedFacts:
    """A placeholder for an application's own fact source, with its names only."""

    namespace: str
    facts: frozenset[str]

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:  # noqa: ARG002
        """Compute nothing: tests give the facts."""
        return {}


@dataclass(frozen=True, slots=True)
class NamedObligation:
    """A placeholder for an application's own obligation, which accepts any argument."""

    name: str
    on_admit: bool = True
    on_release: bool = False

    def parse(self, clause: Clause) -> str:
        """Return the argument unchanged; the application's own `parse` checks it later."""
        return clause.argument

    def reads(self, demand: str) -> tuple[ValuePath, ...]:  # noqa: ARG002
        """Read nothing."""
        return ()

    def merge(self, one: str, other: str) -> str:
        """Return either one: no call is made here that has to meet it."""
        return max(one, other)

    def describe(self, demand: str) -> Any:
        """Return the argument."""
        return demand

    def admit(self, demand: str, context: ObligationContext) -> None:
        """Do nothing: no call is made here."""

    def release(self, demand: str, output: Any, context: ObligationContext) -> Any:  # noqa: ARG002
        """Do nothing: no call is made here."""
        return output


class ProviderTable(ProviderSettings):
    """The table of an application's own identity provider, with any keys."""

    model_config = ConfigDict(extra="allow")


class QuotaTable(QuotaStoreSettings):
    """The table of an application's own quota store, with any keys."""

    model_config = ConfigDict(extra="allow")


class NamedProvider(IdentityProviderBase):
    """A placeholder for an application's own kind of identity provider."""

    settings: type[Any] = ProviderTable

    def __init__(self, kind: str, takes: str) -> None:
        self.kind = kind
        self.takes = takes

    def open(self, settings: Any, context: ProviderContext) -> AuthenticatorBase:  # noqa: ARG002
        """Return a provider that accepts nobody: no call is made here."""
        return AuthenticatorBase()


class NamedStore(QuotaStoreBase):
    """A placeholder for an application's own quota store; policy tests count in memory."""

    settings = QuotaTable

    def __init__(self, name: str, strategies: frozenset[str]) -> None:
        self.name = name
        self.strategies = strategies

    def open(self, settings: Any, clock: Clock) -> QuotaCounters:
        """Return a store in memory."""
        return MEMORY.open(settings, clock)


class NamedModel(BaseModel):
    """A placeholder for an application's own pydantic model; no input is checked here."""


@dataclass(frozen=True, slots=True)
class NamedDetector:
    """A placeholder for an application's own detector, which finds nothing."""

    name: str
    timeout_s: float = 1.0
    batch_size: int = 1
    held_chars: int | None = None

    def find(self, texts: Sequence[str], /) -> list[list[tuple[int, int]]]:
        """Find nothing."""
        return [[] for _ in texts]


def try_out(
    path: Path,
    *,
    facts: Sequence[NamedFacts] = (),
    obligations: Sequence[NamedObligation] = (),
    models: Sequence[str] = (),
    providers: Sequence[NamedProvider] = (),
    store: NamedStore | None = None,
    detectors: Sequence[str] = (),
) -> tuple[str, tuple[Fault, ...]]:
    """Return the revision of a folder, and the faults for which it must not be served."""
    folder = read_folder(path)
    try:
        bundle = load_bundle(
            folder,
            clock=FrozenClock(),
            own_facts=facts,
            own_obligations=obligations,
            own_models=dict.fromkeys(models, NamedModel),
            own_providers=providers,
            own_quota_store=store,
            own_detectors=[NamedDetector(name) for name in detectors],
        )
        for snapshot in (bundle.snapshot, bundle.shadow):
            if snapshot is not None:
                warm_up(snapshot, types=bundle.providers.entity_types)
    except ConfigurationError as error:
        return folder.revision, faults_of(error, Place(str(path)), code="GR020")
    unjudged = {kind.name for kind in obligations}
    return folder.revision, tuple(_test_faults(bundle, path, unjudged))


def _test_faults(bundle: Bundle, path: Path, unjudged: set[str]) -> Iterator[Fault]:
    """Yield the faults that the bundle's own tests report.

    Properties are tried on boundary values only: the process that serves may lack hypothesis, it
    waits for the result, and the result must be the same each time.
    """
    for result in run_tests(path, bundle=bundle, examples=0).results:
        held = result.decision.obligations if result.decision is not None else ()
        if any(obligation.name in unjudged for obligation in held):
            continue
        for fault in result.faults:
            prefix = f"The test {result.name!r} does not pass: " if result.name else ""
            yield Fault(fault.code, fault.place, prefix + fault.message)


def main(arguments: Sequence[str] | None = None, *, answer: TextIO | None = None) -> int:
    """Test a bundle, write its revision and faults to ``answer``, and return 0 if it has no fault.

    Arguments:
        arguments: the arguments of the command line.
        answer: the file for one line of JSON; standard output by default.
    """
    parser = argparse.ArgumentParser(prog="python -m guardrail.testing.run.reload_child")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fact", action="append", default=[], metavar="PLACE:NAME,NAME")
    parser.add_argument("--obligation", action="append", default=[], metavar="NAME")
    parser.add_argument("--model", action="append", default=[], metavar="NAME")
    parser.add_argument("--provider", action="append", default=[], metavar="KIND:CREDENTIAL")
    parser.add_argument("--store", action="append", default=[], metavar="NAME:STRATEGY,STRATEGY")
    parser.add_argument("--detector", action="append", default=[], metavar="NAME")
    options = parser.parse_args(arguments)
    facts = [fact.partition(":") for fact in options.fact]
    kinds = [provider.rpartition(":") for provider in options.provider]
    stores = [store.rpartition(":") for store in options.store]
    try:
        revision, faults = try_out(
            options.folder,
            facts=[
                NamedFacts(namespace, frozenset(filter(None, names.split(","))))
                for namespace, _, names in facts
            ],
            obligations=[NamedObligation(name) for name in options.obligation],
            models=options.model,
            providers=[NamedProvider(kind, takes) for kind, _, takes in kinds],
            store=next(
                (NamedStore(name, frozenset(each.split(","))) for name, _, each in stores), None
            ),
            detectors=options.detector,
        )
    except ConfigurationError as error:  # the folder is not readable, so it has no revision
        revision, faults = "", faults_of(error, Place(str(options.folder)))
    description = {"revision": revision, "faults": [fault_data(fault) for fault in faults]}
    (answer or sys.stdout).write(f"{json.dumps(description)}\n")
    return 1 if faults else 0


def _standard_output_alone() -> TextIO:
    """Return standard output as a new file, and discard everything else that is printed."""
    answer = os.fdopen(os.dup(1), "w", encoding="ascii")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answer


if __name__ == "__main__":
    with _standard_output_alone() as answer:
        code = main(answer=answer)
    sys.exit(code)
