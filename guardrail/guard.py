"""`Guard`: the object that enforces one bundle, and all that an application calls.

Owns the public verbs: `protect`, `enforce`, `acting_as`, `decide`. It builds the flow from
a bundle and hands it to the drivers; it decides nothing itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from guardrail import _core
from guardrail.audit import Spans, Trail
from guardrail.bundle import Bundle, load_bundle
from guardrail.drivers import Enforcement
from guardrail.errors import ConfigurationError, Place
from guardrail.facts import take_view
from guardrail.identity import ActingAs, current
from guardrail.policy import read_uid
from guardrail.ports import Clock, FactSource, ObligationType, Rooms, Sink, SystemClock, Target
from guardrail.values import Decision, Entity, FactValue, Identity, Principal, View
from guardrail.wrapper import AUTO, Auto, guarded_parameter, wrap

P = ParamSpec("P")
R = TypeVar("R")


class Protect(Protocol):
    """The decorator that `Guard.protect` returns: it keeps the signature and the types."""

    @overload
    def __call__(self, function: staticmethod[P, R]) -> staticmethod[P, R]: ...
    @overload
    def __call__(self, function: classmethod[Any, P, R]) -> classmethod[Any, P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> Callable[P, R]: ...


class Guard:
    """Enforces one bundle around functions of this process.

    Made by `from_dir`. Safe to share between threads and event loops.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        clock: Clock | None = None,
        sinks: Sequence[Sink] | None = None,
        tracer_provider: Any = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self._bundle = bundle
        self._clock: Clock = clock or SystemClock()
        own = (Spans(tracer_provider=tracer_provider),) if sinks is None else tuple(sinks)
        self._rooms = Rooms(
            snapshot=bundle.snapshot,
            identify=current,
            take_view=self._take_view,
            sink=Trail(own),
            clock=self._clock,
            new_id=new_id or _new_id,
            backend=_core.BACKEND,
        )

    @classmethod
    def from_dir(
        cls,
        path: str | Path,
        *,
        clock: Clock | None = None,
        sinks: Sequence[Sink] | None = None,
        tracer_provider: Any = None,
        facts: Sequence[FactSource] = (),
        obligations: Sequence[ObligationType] = (),
    ) -> Guard:
        """Load the bundle in a folder and return its guard.

        Arguments:
            path: the folder that holds ``guardrail.toml``.
            clock: the one clock of everything; the machine's by default.
            sinks: where records go; one OpenTelemetry span per call by default.
            tracer_provider: for those spans; the global one by default.
            facts: the application's own fact sources, beside the standard ones.
            obligations: its own obligation types.

        Raises:
            ConfigurationError: with every fault of the bundle, each with file and line.
        """
        used = clock or SystemClock()
        bundle = load_bundle(path, clock=used, own_facts=facts, own_obligations=obligations)
        return cls(bundle, clock=used, sinks=sinks, tracer_provider=tracer_provider)

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self._bundle.snapshot.name

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self._bundle.snapshot.version

    @property
    def revision(self) -> str:
        """The sha256 digest of the bundle that decides now."""
        return self._bundle.snapshot.revision

    @property
    def policies(self) -> tuple[str, ...]:
        """The ids of the bundle's policies, in their order."""
        return tuple(policy.id for policy in self._bundle.snapshot.policies)

    def __repr__(self) -> str:
        return f"<Guard {self.name} {self.version} {self.revision[:12]}>"

    def protect(
        self,
        *,
        action: str,
        resource: str | Entity | Callable[..., Entity],
        input: str | Auto | None = AUTO,
        principal: Principal | Callable[..., Principal] | None = None,
        facts: Mapping[str, FactValue] | Callable[..., Mapping[str, FactValue]] | None = None,
    ) -> Protect:
        """Return a decorator that puts the bundle around a function.

        Works on functions, methods, coroutine functions, generators, async generators and
        objects with ``__call__``. Everything is decided at the call.

        Arguments:
            action: the action's id, such as ``"predict"``.
            resource: a uid such as ``'Model::"tumour"'``, a `Resource`, or a callable of the
                call's arguments that returns a `Resource`.
            input: the name of the guarded parameter; may be left out where the function has
                only one; ``None`` for a function without.
            principal: who calls, or a callable of the call's arguments that says so; by
                default whoever `acting_as` names.
            facts: facts for ``context.app``, or a callable of the arguments that gives them.

        Raises:
            ConfigurationError: at decoration, for what can't be wrapped, and for an action
                that the schema does not declare.
        """
        deed = self._action(action)
        if deed not in self._bundle.snapshot.schema.actions:
            known = ", ".join(sorted(str(known) for known in self._bundle.snapshot.plans))
            raise ConfigurationError(f"The schema declares no {deed}; it has {known}.")
        thing = self.parse_uid(resource) if isinstance(resource, str) else resource

        def make_target(function: Callable[..., Any], streams: bool) -> Target:
            return Target(
                rooms=self._rooms,
                function=_qualified(function),
                action=deed,
                resource=thing,
                principal=principal,
                facts=facts,
                input_name=guarded_parameter(function, input),
                streams=streams,
            )

        def decorate(function: Any) -> Any:
            return wrap(function, make_target)

        return decorate

    def enforce(
        self,
        *,
        action: str,
        resource: str | Entity,
        input: Any = None,
        name: str = "input",
        principal: Principal | None = None,
        facts: Mapping[str, FactValue] | None = None,
    ) -> Enforcement:
        """Return a guarded block, for code that can't be decorated.

        ``with guard.enforce(action=..., resource=..., input=rows) as call:`` admits the
        call; ``call.release(output)`` returns what may leave.

        Arguments:
            action: the action's id.
            resource: a uid, or a `Resource`.
            input: the object to check; ``None`` for none.
            name: what paths in errors begin with.
            principal: who calls; by default whoever `acting_as` names.
            facts: facts for ``context.app``.
        """
        target = Target(
            rooms=self._rooms,
            function="enforce",
            action=self._action(action),
            resource=self.parse_uid(resource) if isinstance(resource, str) else resource,
            principal=principal,
            facts=facts,
            input_name=name if input is not None else "",
        )
        return Enforcement(target, input)

    def acting_as(
        self, principal: Principal | None = None, *, token: str | None = None
    ) -> ActingAs:
        """Return a scope in which this task acts as somebody: ``with guard.acting_as(...)``.

        Arguments:
            principal: somebody whom the application vouches for.
            token: instead, a signed token, verified by the bundle's identity provider.

        Raises:
            NotAuthenticated: where the token does not hold; ``code`` names the cause.
        """
        if (principal is None) == (token is None):
            raise TypeError("acting_as takes either a Principal or token=")
        if token is not None:
            store = self._bundle.snapshot.store
            now = self._clock.now()
            return ActingAs(self._bundle.providers.authenticate(token, now, knows=store.knows))
        if not isinstance(principal, Principal):
            raise TypeError(f"acting_as takes a Principal, got {type(principal).__name__}")
        return ActingAs(Identity(principal))

    def decide(
        self,
        *,
        principal: Principal | Entity,
        action: str,
        resource: str | Entity,
        facts: Mapping[str, Mapping[str, FactValue]] | None = None,
    ) -> Decision:
        """Return what the policies say of a request, without any side effect.

        Nothing is consumed, recorded or computed: ``facts`` are taken as given, one mapping
        per place (``{"input": {"rows": 10}}``). An `Entity` as principal must stand in the
        bundle's ``entities.json``.
        """
        snapshot = self._bundle.snapshot
        thing = self.parse_uid(resource) if isinstance(resource, str) else resource
        question = snapshot.ask(principal, self._action(action), thing)
        answer = question.decide({"app": {}, **(facts or {})})
        return replace(answer.decision, decision_id=self._rooms.new_id())

    def describe(self, decision: Decision) -> dict[str, Any]:
        """Return a decision as JSON data, with the obligations as a test would write them."""
        return self._bundle.snapshot.describe(decision)

    def parse_uid(self, text: str, place: Place | None = None) -> Entity:
        """Return the entity that a uid text such as ``User::"clara"`` names, as Cedar reads it.

        Raises `ConfigurationError`, at ``place`` where one is given, for any other text.
        """
        try:
            return read_uid(text)
        except ConfigurationError as error:
            message = error.message
        if place is not None:
            raise ConfigurationError.at(place, "GR003", message)
        raise ConfigurationError(message)

    def _action(self, action: str) -> Entity:
        return self.parse_uid(action) if "::" in action else Entity("Action", action)

    def _take_view(self, value: Any, name: str) -> View:
        return take_view(value, name=name, bounds=self._bundle.bounds)


def _new_id() -> str:
    return secrets.token_hex(16)


def _qualified(function: Any) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}.{name}"
