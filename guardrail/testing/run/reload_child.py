"""The child process of a reload, which tries a new bundle before it serves.

Run as ``python -m guardrail.testing.run.reload_child DIR``. It loads the bundle, evaluates each
action once and runs the bundle's tests. It reports faults as one line of JSON; a crash shows in its
exit status. The application's own fact sources, obligations and models are known by name only, and
tests whose outcome depends on such an obligation are not judged.
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
    """An application's own fact source, as far as its names go."""

    namespace: str
    facts: frozenset[str]

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:  # noqa: ARG002
        """Compute nothing: tests give the facts."""
        return {}


@dataclass(frozen=True, slots=True)
class NamedObligation:
    """An application's own obligation, as far as its name goes: any argument will do."""

    name: str
    on_admit: bool = False
    on_release: bool = False

    def parse(self, clause: Clause) -> str:
        """Take the argument as it stands; the application's own `parse` has the say later."""
        return clause.argument

    def reads(self, demand: str) -> tuple[ValuePath, ...]:  # noqa: ARG002
        """Read nothing."""
        return ()

    def merge(self, one: str, other: str) -> str:
        """Return either: nobody meets it."""
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
    """The table of an application's own identity provider: any keys will do."""

    model_config = ConfigDict(extra="allow")


class QuotaTable(QuotaStoreSettings):
    """The table of an application's own quota store: any keys will do."""

    model_config = ConfigDict(extra="allow")


class NamedProvider(IdentityProviderBase):
    """An application's own kind of identity provider, as far as its name goes."""

    settings: type[Any] = ProviderTable

    def __init__(self, kind: str, takes: str) -> None:
        self.kind = kind
        self.takes = takes

    def open(self, settings: Any, context: ProviderContext) -> AuthenticatorBase:  # noqa: ARG002
        """Return a provider that accepts nobody: no caller comes here."""
        return AuthenticatorBase()


class NamedStore(QuotaStoreBase):
    """An application's own quota store, as far as its name goes: policy tests count in memory."""

    settings = QuotaTable

    def __init__(self, name: str, strategies: frozenset[str]) -> None:
        self.name = name
        self.strategies = strategies

    def open(self, settings: Any, clock: Clock) -> QuotaCounters:
        """Return a store in memory."""
        return MEMORY.open(settings, clock)


class NamedModel(BaseModel):
    """An application's own model, as far as its name goes: no input comes here."""


@dataclass(frozen=True, slots=True)
class NamedDetector:
    """An application's own kind of findings, with its name only: it finds nothing."""

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
    """Return the revision of a folder, and all that stands against serving it."""
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
        return folder.revision, error.faults or (Fault("GR020", Place(str(path)), error.message),)
    unjudged = {kind.name for kind in obligations}
    return folder.revision, tuple(_test_faults(bundle, path, unjudged))


def _test_faults(bundle: Bundle, path: Path, unjudged: set[str]) -> Iterator[Fault]:
    """Yield what is wrong by the bundle's own tests.

    Properties are tried at the edges alone: a process that serves has no hypothesis, waits for
    this, and is to refuse the same bundle each time.
    """
    for result in run_tests(path, bundle=bundle, examples=0).results:
        held = result.decision.obligations if result.decision is not None else ()
        if any(obligation.name in unjudged for obligation in held):
            continue
        for fault in result.faults:
            said = f"The test {result.name!r} does not pass: " if result.name else ""
            yield Fault(fault.code, fault.place, said + fault.message)


def main(arguments: Sequence[str] | None = None, *, answer: TextIO | None = None) -> int:
    """Try a bundle, write its revision and faults to ``answer``, and return 0 where it has none.

    Arguments:
        arguments: of the command line.
        answer: takes one line of JSON; standard output by default.
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
    except ConfigurationError as error:  # no folder of a bundle any more: of no revision
        revision, faults = "", error.faults
    description = {"revision": revision, "faults": [fault_data(fault) for fault in faults]}
    (answer or sys.stdout).write(f"{json.dumps(description)}\n")
    return 1 if faults else 0


def _standard_output_alone() -> TextIO:
    """Return standard output as a file of our own; whatever else is printed goes nowhere."""
    answer = os.fdopen(os.dup(1), "w", encoding="ascii")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answer


if __name__ == "__main__":
    with _standard_output_alone() as answer:
        code = main(answer=answer)
    sys.exit(code)
