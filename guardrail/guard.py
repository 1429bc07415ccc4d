"""`Guard`: the object that enforces one bundle, and the only one that an application calls.

It loads the bundle and passes each call to `guardrail.runtime`, which makes the decision. All state
of the bundle is behind one reference, so that a reload replaces it in one step.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial, wraps
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from guardrail._ids import Ids
from guardrail._nearest import did_you_mean, nearest
from guardrail._ports import (
    Clock,
    FactSource,
    IdentityProvider,
    ObligationType,
    QuotaStore,
    RuntimeReference,
    Sink,
    SystemClock,
    Target,
)
from guardrail._type_names import type_name
from guardrail.errors import ConfigurationError, Denied, Place
from guardrail.runtime.drivers import Enforcement
from guardrail.runtime.wrapper import (
    ProtectDecorator,
    check_takes_arguments,
    guarded_parameter,
    wrap,
)
from guardrail.values import AUTO, Auto, Decision, Entity, FactValue, Peer, Principal

if TYPE_CHECKING:  # the first guard imports the modules that load a bundle, not the package
    from pydantic import BaseModel

    from guardrail.audit import FanOut, Journal
    from guardrail.bundle.assembly import Bundle, BundleRuntime
    from guardrail.bundle.reload import Origin, ReloadResult
    from guardrail.bundle.watch import Watcher
    from guardrail.detectors import DetectorKind
    from guardrail.identity import ActingAs
    from guardrail.policy import Snapshot

P = ParamSpec("P")
R = TypeVar("R")

#: The ``context.app`` of a request without application facts.
_NOTHING: Final[Mapping[str, Any]] = {}

_log: Final = logging.getLogger("guardrail.protect")


def _keyword_only(
    method: Callable[Concatenate[Guard, P], R],
) -> Callable[Concatenate[Guard, P], R]:
    """Return a method that names the remedy if it is used as a decorator without parentheses."""

    @wraps(method)
    def checked(guard: Guard, /, *args: P.args, **options: P.kwargs) -> R:
        if args:
            raise TypeError(
                f"{method.__name__} takes keyword arguments: "
                f"@guard.{method.__name__}(action=..., resource=...)."
            )
        return method(guard, *args, **options)

    return checked


class Guard:
    """Enforces one bundle around functions of this process.

    Make one with `from_dir`. A guard can be shared between threads and event loops. It is a context
    manager, which calls `close` at the end of the block.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        clock: Clock | None = None,
        sinks: Sequence[Sink] | None = None,
        tracer_provider: Any = None,
        new_id: Callable[[], str] | None = None,
        origin: Origin | None = None,
        journal: Path | Auto | None = AUTO,
        identity_group: str | None = None,
    ) -> None:
        from guardrail.audit import FailedAuthentications, Metrics
        from guardrail.bundle.assembly import Bundle, open_trail
        from guardrail.identity import Revocations

        if not isinstance(bundle, Bundle):
            raise TypeError(
                f"Guard takes a loaded bundle, got {type_name(bundle)}. For a folder call "
                "Guard.from_dir(path)."
            )
        self._clock: Clock = clock or SystemClock()
        self._open_trail = partial(
            open_trail,
            sinks=sinks,
            tracer_provider=tracer_provider,
            clock=self._clock,
            journal=journal,
        )
        self._tracer_provider = tracer_provider
        self._trail: FanOut
        self._journal: Journal | None
        self._trail, self._journal = self._open_trail(bundle)
        self._metrics = Metrics(bundle.snapshot.name)
        self._refusals = FailedAuthentications(self._metrics)
        self._new_id = new_id or Ids()
        self._origin = origin
        self._reloading = threading.Lock()
        self._revocations = Revocations()
        # Groups are compared by identity, so a new object belongs to this guard only.
        self._group: object = object() if identity_group is None else sys.intern(identity_group)
        self._serving: RuntimeReference[BundleRuntime] = RuntimeReference(
            self._make_runtime(bundle)
        )

    def _make_runtime(self, bundle: Bundle) -> BundleRuntime:
        from guardrail.bundle.assembly import BundleRuntime

        snapshot = bundle.snapshot
        self._metrics.observe_cache(lambda: (snapshot.hits, snapshot.misses))
        revoked_file = bundle.providers.revoked_file
        self._revocations.follow(Path(revoked_file) if revoked_file else None)
        runtime = BundleRuntime(
            bundle,
            sink=self._trail,
            clock=self._clock,
            new_id=self._new_id,
            revocations=self._revocations,
            group=self._group,
            refusals=self._refusals,
            journal=self._journal,
        )
        shadow = runtime.shadow
        self._metrics.observe_shadow(None if shadow is None else lambda: shadow.questions)
        return runtime

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
        models: Mapping[str, type[BaseModel]] | None = None,
        providers: Sequence[IdentityProvider] = (),
        quota_store: QuotaStore | None = None,
        detectors: Sequence[DetectorKind] = (),
        journal: str | Path | Auto | None = AUTO,
        shadow: str | Path | None = None,
        identity_group: str | None = None,
    ) -> Guard:
        """Load the bundle in a folder and return its guard.

        Arguments:
            path: the folder that holds ``guardrail.toml``.
            clock: the clock of all parts of the guard; the machine's by default.
            sinks: the sinks of records besides the journal; one OpenTelemetry span per call by
                default.
            tracer_provider: the tracer provider of the spans; the global one by default.
            facts: the application's own fact sources, beside the standard ones.
            obligations: its own obligation types.
            models: its own pydantic models: ``@input("NAME")`` validates the input strictly with
                the model of this name. The function gets the input as it was passed.
            providers: its own kinds of identity providers, beside the standard ones: a table
                ``[identity.NAME]`` chooses one by its ``type``.
            quota_store: its own quota store, which ``[quota]`` must choose by its name.
            detectors: its own detectors, such as a model: see
                `guardrail.detectors.DetectorKind`.
            journal: the folder of the journal; by default the one that ``[audit]`` names;
                ``None`` for no journal, for tests.
            shadow: the folder of a second bundle, whose policies are evaluated, too. Their
                decisions are not enforced; differences are recorded.
            identity_group: a name that several guards of this process share. They accept the
                identities that one of them has verified. By default, another guard does not see
                the identities of this one.

        Raises:
            ConfigurationError: with all faults of the bundle, each with file and line.
        """
        from guardrail.bundle.reload import Origin

        used = clock or SystemClock()
        origin = Origin(
            Path(path).absolute(), used, tuple(facts), tuple(obligations), dict(models or {}),
            None if shadow is None else Path(shadow).absolute(), tuple(providers), quota_store,
            tuple(detectors),
        )  # fmt: skip
        return cls(
            origin.load(),
            clock=used,
            sinks=sinks,
            tracer_provider=tracer_provider,
            origin=origin,
            journal=Path(journal) if isinstance(journal, str) else journal,
            identity_group=identity_group,
        )

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self._snapshot.name

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self._snapshot.version

    @property
    def revision(self) -> str:
        """The sha256 digest of the bundle that decides now."""
        return self._snapshot.revision

    @property
    def policies(self) -> tuple[str, ...]:
        """The ids of the bundle's policies, in their order."""
        return tuple(policy.id for policy in self._snapshot.policies)

    def __repr__(self) -> str:
        snapshot = self._snapshot
        return f"<Guard {snapshot.name} {snapshot.version} {snapshot.revision[:12]}>"

    @property
    def _snapshot(self) -> Snapshot:
        return self._serving.runtime.bundle.snapshot

    def reload(self, *, timeout_s: float = 60.0, python: str | None = None) -> ReloadResult:
        """Load the bundle's folder again, and use the new bundle if it has changed.

        A child process tries the new bundle first: it loads it, evaluates one request per action,
        and runs the bundle's own tests. Then the guard replaces the old bundle in one step. A call
        that began before ends on the bundle that it began with; no call that begins after `reload`
        has returned uses the old one. Quotas keep their counters; tokens are verified again.
        Scopes of `acting_as` that are open stay open.

        This takes about as long as starting Python and loading the bundle twice, on the calling
        thread; one reload runs at a time. A second bundle, ``shadow=``, is reloaded after it.

        Arguments:
            timeout_s: seconds that the child process may take.
            python: the interpreter for the child process, if this process runs inside another
                program; ``sys.executable`` by default.

        Raises:
            ConfigurationError: with every fault. The last good bundle stays in use. If the faults
                are those of the second bundle, the first one has been replaced.
        """
        from guardrail.bundle.reload import reload_bundle

        origin = self._require_origin()
        with self._reloading:
            return reload_bundle(
                origin,
                self._serving.runtime.bundle,
                swap=self._swap,
                count=self._metrics.count_reload,
                timeout_s=timeout_s,
                python=python,
            )

    def watch(
        self, *, interval_s: float = 5.0, timeout_s: float = 60.0, python: str | None = None
    ) -> Watcher:
        """Check the folders every ``interval_s`` seconds, and `reload` a bundle that has changed.

        Returns the running `Watcher`: call its ``stop()``, or use it in ``with``. It polls on a
        thread of its own. A bundle that does not load is logged once, and the last good one stays
        in use. In a server that forks, start a watch in each worker.

        Arguments:
            interval_s: seconds between two checks, more than 0.
            timeout_s: seconds that the child process of a reload may take.
            python: the interpreter for the child process, as for `reload`.
        """
        from guardrail.bundle.watch import Watcher

        def reload() -> ReloadResult:
            return self.reload(timeout_s=timeout_s, python=python)

        return Watcher(self._require_origin().paths, reload, interval_s=interval_s).start()

    def _require_origin(self) -> Origin:
        if self._origin is None:
            raise ConfigurationError(
                "The guard was not made by Guard.from_dir, so it has no folder to read. Make it "
                "with Guard.from_dir."
            )
        return self._origin

    def _swap(self, bundle: Bundle) -> None:
        before = None
        if bundle.audit != self._serving.runtime.bundle.audit:
            before = self._journal
            self._trail, self._journal = self._open_trail(bundle)
        self._serving.runtime = self._make_runtime(bundle)
        if before is not None:
            before.close()  # a call that began before opens another segment for its end

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Create the deferred spans, and close the file of the journal.

        The end of a ``with`` block, ``with Guard.from_dir(...) as guard:``, and the end of the
        process do the same. The journal's file is also closed when the guard is garbage collected.
        A later call is still recorded, in another file.
        """
        self.flush()
        if self._journal is not None:
            self._journal.close()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all calls that have ended are in the sinks.

        It waits only for deferred spans (``[audit] spans = "deferred"``). The tracer provider then
        has them, and its own ``force_flush`` exports them.

        Arguments:
            timeout_s: seconds to wait at most.

        Returns:
            Whether all calls are in the sinks.
        """
        self._refusals.flush(self._serving.runtime)
        return self._trail.flush(timeout_s)

    def force_flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all ended calls are in the sinks, and their spans are exported.

        That is `flush`, and ``force_flush()`` of the tracer provider. Call it with `close` before
        a process ends without running ``atexit`` handlers: a server that a signal stops, a worker
        that is recycled, a cloud function. `IdentityMiddleware` does it for ASGI servers.

        Arguments:
            timeout_s: seconds to wait at most for each of the two.

        Returns:
            Whether all spans are exported.
        """
        from guardrail.audit import force_flush

        is_done = self.flush(timeout_s)
        return force_flush(self._tracer_provider, timeout_s) and is_done

    @_keyword_only
    def protect(
        self,
        *,
        action: str,
        resource: str | Entity | Callable[..., Entity],
        input: str | Auto | None = AUTO,
        principal: Principal | Callable[..., Principal] | None = None,
        facts: Mapping[str, FactValue] | Callable[..., Mapping[str, FactValue]] | None = None,
    ) -> ProtectDecorator:
        """Return a decorator that enforces the bundle around a function.

        It works on functions, methods, coroutine functions, generators, async generators and
        objects with ``__call__``. The decision is made at the call.

        Arguments:
            action: the action's id, such as ``"predict"``.
            resource: a uid such as ``'Model::"tumour"'``, a `Resource`, or a callable of the
                call's arguments that returns a `Resource`. A callable gets the arguments as the
                function does.
            input: the name of the guarded parameter. It can be left out if the function has
                only one parameter; ``None`` for a function without an input to check.
            principal: who calls, or a callable of the call's arguments that returns it; by
                default the identity of `acting_as`.
            facts: facts for ``context.app``, or a callable of the arguments that returns them.

        Raises:
            ConfigurationError: at decoration, if the function can't be wrapped, if the schema
                does not declare the action, if the action does not apply to a resource of this
                type, if a callable can't take the function's arguments, or if an obligation of the
                policies can't apply to the output, by its spec or by the function's return type:
                for example, a masked field that the output can't have.
        """
        from guardrail.obligations import impossible_by_return_type, impossible_by_specs

        _check_facts("protect", facts)
        if principal is not None and not isinstance(principal, Principal):
            _check_callable("principal", "a Principal", principal)
        if not isinstance(resource, str | Entity):
            _check_callable("resource", "a uid, a Resource", resource)
        action_uid = self._action(action)
        snapshot = self._snapshot
        if action_uid not in snapshot.schema.actions:
            known = ", ".join(sorted(str(known) for known in snapshot.plans))
            raise ConfigurationError(
                f"The schema does not declare {action_uid}. Use one of its actions: {known}."
            )
        demands, types = snapshot.demands_on(action_uid), snapshot.obligations
        complaint = impossible_by_specs(demands, types)
        if complaint:
            raise ConfigurationError(complaint)
        thing = self._uid("resource", resource) if isinstance(resource, str) else resource
        if isinstance(thing, Entity):
            _check_resource(snapshot, action_uid, thing)
        computed: dict[str, object] = {"resource": thing, "principal": principal}
        if snapshot.plans[action_uid].wants:  # otherwise no call computes the facts
            computed["facts"] = facts

        def make_target(function: Callable[..., Any], streams: bool) -> Target:
            for name, value in computed.items():
                if callable(value):
                    check_takes_arguments(name, value, function)
            complaint = "" if streams else impossible_by_return_type(function, demands, types)
            if complaint:
                raise ConfigurationError(complaint)
            return Target(
                serving=self._serving,
                function=_qualified(function),
                action=action_uid,
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

        ``with guard.enforce(action=..., resource=..., input=rows) as call:`` checks the call;
        ``call.release(output)`` returns the output that may leave.

        Arguments:
            action: the action's id.
            resource: a uid, or a `Resource`.
            input: the object to check; ``None`` for none.
            name: the name of the input in the paths of errors.
            principal: who calls; by default the identity of `acting_as`.
            facts: facts for ``context.app``.
        """
        _check_facts("enforce", facts, takes_callables=False)
        _check_kind("enforce", "principal", principal, (Principal, NoneType), "a Principal")
        _check_kind("enforce", "resource", resource, (str, Entity), "a uid or a Resource")
        target = Target(
            serving=self._serving,
            function="enforce",
            action=self._action(action),
            resource=self._uid("resource", resource) if isinstance(resource, str) else resource,
            principal=principal,
            facts=facts,
            input_name=name if input is not None else "",
        )
        return Enforcement(target, input)

    def acting_as(
        self,
        principal: Principal | None = None,
        *,
        token: str | None = None,
        certificate: Sequence[bytes] | bytes | None = None,
        peer: Peer | None = None,
        attestation: str | bytes | None = None,
    ) -> ActingAs:
        """Return a scope in which this task has an identity: ``with guard.acting_as(...)``.

        In coroutines use ``async with``: if a provider's keys must be fetched first, it waits
        without blocking the event loop.

        Arguments:
            principal: the caller, if the application has authenticated them.
            token: instead, a signed token or an API key, verified by the bundle's providers.
            certificate: instead or as well, the certificate whose key the caller has proved to
                have, in DER or PEM, or its chain, leaf first. Only the server that ended the TLS
                connection knows it; never take it from a header that a caller can set.
            peer: what else is known about the connection.
            attestation: evidence about the caller's machine, with a nonce of `challenge`.

        Raises:
            NotAuthenticated: if a credential is not valid; ``code`` names the cause.
        """
        from guardrail.identity import Credentials

        chain = (certificate,) if isinstance(certificate, bytes) else tuple(certificate or ())
        brought = token is not None or bool(chain)
        if (principal is None) != brought:
            arrived = "both" if brought else "neither"
            raise TypeError(
                f"acting_as takes either a Principal or a credential, got {arrived}. Pass either "
                "a Principal, or token=, certificate= or these two together."
            )
        runtime = self._serving.runtime
        if principal is None:
            return runtime.act_under(Credentials(token, chain, peer, attestation))
        if not isinstance(principal, Principal):
            raise TypeError(
                f"acting_as takes a Principal, got {type_name(principal)}. "
                'Pass Principal("User", "anna"), with the type of your schema.'
            )
        return runtime.act_as(principal, peer, attestation)

    def record_refusal(self, denial: Denied, *, peer: Peer | None = None) -> None:
        """Record a failed authentication that happened before `acting_as` was entered.

        Call it from code that reads credentials, for a header that can't be read or a request
        without a credential. `acting_as` records its own failures. At most ten failures a second
        are recorded and logged; the others are counted.

        Arguments:
            denial: the denial that the caller gets.
            peer: what is known about the connection; its address is recorded as a pseudonym.
        """
        from guardrail.identity import origin_of

        self._serving.runtime.note(origin_of(peer), denial)

    def challenge(self) -> str:
        """Return a nonce for an attestation of a caller's machine: 43 characters, for one use.

        It is valid for five minutes, for this guard only. See ``docs/evidence.md``.
        """
        return self._serving.runtime.bundle.machines.peer.challenge(self._clock.now())

    def revoke(
        self,
        *,
        token_id: str | None = None,
        subject: str | None = None,
        issued_before: float | None = None,
    ) -> None:
        """Revoke credentials before they expire, in scopes that are open as well.

        A revocation applies to this guard, reloads included, until the process ends. For all
        processes, use the file that ``revoked_file`` under ``[identity]`` names.

        Arguments:
            token_id: a token's ``jti``, an API key's id, or a certificate's serial number in
                hexadecimal digits, in whichever form a tool prints it.
            subject: the subject in the provider's words. Revokes all credentials that were
                issued to them up to ``issued_before``, by default up to now.
            issued_before: seconds since the epoch. Alone, it revokes all credentials that were
                issued up to then.

        Raises:
            ConfigurationError: if no argument is given, if ``token_id`` is given with another
                one, or if a value can't match: not a text, an empty one, or not a time (NaN, a
                boolean).
        """
        self._revocations.revoke(
            token_id=token_id,
            subject=subject,
            issued_before=issued_before,
            now=self._clock.now(),
        )

    def decide(
        self,
        *,
        principal: Principal | Entity,
        action: str,
        resource: str | Entity,
        facts: Mapping[str, Mapping[str, FactValue]] | None = None,
    ) -> Decision:
        """Return the decision of the policies on a request, without any side effect.

        No quota is spent, nothing is recorded, and no fact is computed: ``facts`` has one mapping
        per namespace (``{"input": {"rows": 10}}``). If the principal is an `Entity`, the bundle's
        ``entities.json`` must have it.

        Raises:
            TypeError: if an argument has another type.
        """
        _check_facts("decide", facts, takes_callables=False)
        _check_kind("decide", "principal", principal, (Principal, Entity), "a Principal or Entity")
        _check_kind("decide", "resource", resource, (str, Entity), "a uid or a Resource")
        entity = self._uid("resource", resource) if isinstance(resource, str) else resource
        question = self._snapshot.ask(principal, self._action(action), entity)
        if facts is None or "app" not in facts:  # an empty record, as in a call without app facts
            facts = {"app": _NOTHING, **(facts or {})}
        decision = question.decide(facts).decision
        return Decision(
            decision.allowed, decision.code, decision.policies, decision.obligations,
            decision.errors, decision.reason, decision.path, decision.message, decision.revision,
            self._new_id(),
        )  # fmt: skip

    def describe(self, decision: Decision) -> dict[str, Any]:
        """Return a decision as JSON data, with the obligations in the form of a test file."""
        return self._snapshot.describe(decision)

    def parse_uid(self, text: str, place: Place | None = None) -> Entity:
        """Return the entity of a uid such as ``User::"clara"``, as Cedar reads it.

        Raises `ConfigurationError` for any other text, with ``place`` if it is given.
        """
        try:
            return self._serving.runtime.read_uid(text)
        except ConfigurationError as error:
            message = error.message
        if place is not None:
            raise ConfigurationError.at(place, "GR003", message)
        raise ConfigurationError(message)

    def _action(self, action: str) -> Entity:
        return self._uid("action", action) if "::" in action else _plain_action(action)

    def _uid(self, argument: str, text: str) -> Entity:
        """Return the entity that an argument names; an error names the argument."""
        try:
            return self.parse_uid(text)
        except ConfigurationError as error:
            message = error.message
        raise ConfigurationError(f"{argument}=: {message[:1].lower()}{message[1:]}")


def _check_kind(
    where: str, name: str, value: object, kinds: tuple[type, ...], expected: str
) -> None:
    if not isinstance(value, kinds):
        raise TypeError(f"{where} takes {expected} as {name}=, got {type_name(value)}")


def _check_facts(where: str, facts: object, *, takes_callables: bool = True) -> None:
    if facts is None or isinstance(facts, Mapping) or (takes_callables and callable(facts)):
        return
    expected = "a mapping, or a callable that returns one," if takes_callables else "a mapping"
    raise TypeError(f"{where} takes {expected} as facts=, got {type_name(facts)}")


def _check_callable(name: str, expected: str, value: object) -> None:
    if not callable(value):
        raise TypeError(
            f"protect takes {expected} or a callable as {name}=, got {type_name(value)}"
        )


def _check_resource(snapshot: Snapshot, action: Entity, resource: Entity) -> None:
    """Raise `ConfigurationError` if the action never applies to a resource of this type.

    An id that the bundle lacks is logged as a warning, because a reload can add the entity.
    """
    if not snapshot.schema.applies_to_resource(action, resource.type):
        types = snapshot.schema.resource_types(action)
        hint = did_you_mean(resource.type, types, f"Use one of its types: {', '.join(types)}.")
        raise ConfigurationError(
            f"resource=: the schema does not apply {action} to a resource of this type. {hint}"
        )
    if not snapshot.is_known(resource):
        ids = snapshot.store.ids_of(resource.type)
        near = nearest(resource.id, ids)
        hint = f" Did you mean {Entity(resource.type, near)}?" if near else ""
        _log.warning(
            "resource=: the bundle has no such %s, so every call of %s is denied.%s Correct the "
            "id, or add the entity to entities.json.", resource.type, action, hint,
        )  # fmt: skip


@lru_cache(maxsize=256)
def _plain_action(name: str) -> Entity:
    return Entity("Action", name)


def _qualified(function: Any) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}.{name}"
