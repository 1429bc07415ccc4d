"""`Guard`: the object that enforces one bundle, and all that an application calls.

Owns the public verbs: `protect`, `enforce`, `acting_as`, `decide`, `reload`, `watch`. It builds
the flow from a bundle and hands it to the drivers; it decides nothing itself. All that it
knows of a bundle hangs on one reference, which a reload swaps.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail._ids import Ids
from guardrail._ports import (
    Clock,
    FactSource,
    ObligationType,
    Serving,
    Sink,
    SystemClock,
    Target,
)
from guardrail.errors import ConfigurationError, Denied, Place
from guardrail.runtime.drivers import Enforcement
from guardrail.runtime.wrapper import Protect, guarded_parameter, wrap
from guardrail.values import AUTO, Auto, Decision, Entity, FactValue, Peer, Principal

if TYPE_CHECKING:  # what loads a bundle is imported by the first guard, not with the package
    from pydantic import BaseModel

    from guardrail.audit import FanOut, Journal
    from guardrail.bundle.assembly import Bundle, BundleRuntime
    from guardrail.bundle.reload import Origin, Reloaded
    from guardrail.bundle.watch import Watcher
    from guardrail.identity import ActingAs
    from guardrail.policy import Snapshot

#: ``context.app`` of a question that gives none.
_NOTHING: Final[Mapping[str, Any]] = {}


class Guard:
    """Enforces one bundle around functions of this process.

    Made by `from_dir`. Safe to share between threads and event loops. A context manager: the end
    of the block is `close`.
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
        from guardrail.bundle.assembly import open_trail
        from guardrail.identity import Revocations

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
        # The very object is compared: one of our own is nobody else's.
        self._group: object = object() if identity_group is None else sys.intern(identity_group)
        self._serving: Serving[BundleRuntime] = Serving(self._furnish(bundle))

    def _furnish(self, bundle: Bundle) -> BundleRuntime:
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
        self._metrics.observe_shadow(None if shadow is None else lambda: shadow.asked)
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
        journal: str | Path | Auto | None = AUTO,
        shadow: str | Path | None = None,
        identity_group: str | None = None,
    ) -> Guard:
        """Load the bundle in a folder and return its guard.

        Arguments:
            path: the folder that holds ``guardrail.toml``.
            clock: the one clock of everything; the machine's by default.
            sinks: where records go beside the journal; one OpenTelemetry span per call by
                default.
            tracer_provider: for those spans; the global one by default.
            facts: the application's own fact sources, beside the standard ones.
            obligations: its own obligation types.
            models: its own pydantic models: ``@input("NAME")`` holds the input to the one of
                this name, strictly, and the function gets what came.
            journal: the folder of the journal; by default the one that ``[audit]`` names;
                ``None`` for none, whatever is named there: for tests.
            shadow: the folder of a second bundle, whose policies are asked beside: nothing that
                they say is enforced, and in what they differ is recorded.
            identity_group: a name that several guards of this process share: an identity that
                one of them has verified then holds for all of them. By default, another
                guard does not see the identities of this one.

        Raises:
            ConfigurationError: with every fault of the bundle, each with file and line.
        """
        from guardrail.bundle.reload import Origin

        used = clock or SystemClock()
        origin = Origin(
            Path(path).absolute(), used, tuple(facts), tuple(obligations), dict(models or {}),
            None if shadow is None else Path(shadow).absolute(),
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

    def reload(self, *, timeout_s: float = 60.0, python: str | None = None) -> Reloaded:
        """Load the bundle's folder again, and serve it from now on where it has changed.

        The new bundle is tried in a child process first: loaded, asked one request per
        action, put to its own tests. Then it is swapped in whole. A call that began before
        ends on the bundle that it began with; no call that begins after `reload` has returned
        sees the old one. Quotas keep their counters; tokens are verified anew. Scopes of
        `acting_as` that are open stay open.

        Takes about as long as starting Python and loading the bundle twice, on the calling
        thread; one reload runs at a time. A second bundle, ``shadow=``, is reloaded after it.

        Arguments:
            timeout_s: seconds that the child process may take.
            python: the interpreter for it, where this process runs inside another program;
                ``sys.executable`` by default.

        Raises:
            ConfigurationError: with every fault. Then the last good bundle goes on serving; the
                first one is new where the faults are the second one's.
        """
        from guardrail.bundle.reload import reload_bundle

        origin = self._from()
        with self._reloading:
            return reload_bundle(
                origin,
                self._serving.runtime.bundle,
                swap=self._swap,
                count=self._metrics.reloaded,
                timeout_s=timeout_s,
                python=python,
            )

    def watch(
        self, *, interval_s: float = 5.0, timeout_s: float = 60.0, python: str | None = None
    ) -> Watcher:
        """Start to look at the folders every ``interval_s`` seconds, and `reload` the bundle.

        Returns the running `Watcher`: call its ``stop()``, or use it in ``with``. It polls, on
        a thread of its own; a bundle that does not load is logged once, and the last good one
        goes on. In a server that forks, start it in each worker.

        Arguments:
            interval_s: seconds between two looks, more than 0.
            timeout_s: seconds that the child process of a reload may take.
            python: the interpreter for it, as for `reload`.
        """
        from guardrail.bundle.watch import Watcher

        def reload() -> Reloaded:
            return self.reload(timeout_s=timeout_s, python=python)

        return Watcher(self._from().paths, reload, interval_s=interval_s).start()

    def _from(self) -> Origin:
        if self._origin is None:
            raise ConfigurationError(
                "Only a guard that `Guard.from_dir` made has a folder to read."
            )
        return self._origin

    def _swap(self, bundle: Bundle) -> None:
        before = None
        if bundle.audit != self._serving.runtime.bundle.audit:
            before = self._journal
            self._trail, self._journal = self._open_trail(bundle)
        self._serving.runtime = self._furnish(bundle)
        if before is not None:
            before.close()  # a call that began on it begins another segment of it for its end

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End what the guard has open: its journal's file is closed, and the spans are made.

        So does the end of a ``with`` block, ``with Guard.from_dir(...) as guard:``, and the end of
        the process. A guard that is collected has its journal's file closed, too. A call that
        comes later is recorded as ever, in another file.
        """
        self.flush()
        if self._journal is not None:
            self._journal.close()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all calls that have ended are in the sinks, those that work later included.

        Only deferred spans (``[audit] spans = "deferred"``) make it wait. They are then with
        the tracer provider, whose own ``force_flush`` exports them.

        Arguments:
            timeout_s: seconds to wait at most.

        Returns:
            Whether that was long enough.
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
            Whether that was long enough.
        """
        from guardrail.audit import force_flush

        is_done = self.flush(timeout_s)
        return force_flush(self._tracer_provider, timeout_s) and is_done

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
            ConfigurationError: at decoration, for what can't be wrapped, for an action that
                the schema does not declare, and where its policies demand of an output what
                the output can't meet that they declare, or that the function's return type
                declares: a masked field that it can't have, for one.
        """
        from guardrail.obligations import unfit, unfit_for

        deed = self._action(action)
        snapshot = self._snapshot
        if deed not in snapshot.schema.actions:
            known = ", ".join(sorted(str(known) for known in snapshot.plans))
            raise ConfigurationError(f"The schema declares no {deed}; it has {known}.")
        demands, types = snapshot.demands_on(deed), snapshot.obligations
        complaint = unfit(demands, types)
        if complaint:
            raise ConfigurationError(complaint)
        thing = self.parse_uid(resource) if isinstance(resource, str) else resource

        def make_target(function: Callable[..., Any], streams: bool) -> Target:
            complaint = "" if streams else unfit_for(function, demands, types)
            if complaint:
                raise ConfigurationError(complaint)
            return Target(
                serving=self._serving,
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
            serving=self._serving,
            function="enforce",
            action=self._action(action),
            resource=self.parse_uid(resource) if isinstance(resource, str) else resource,
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
        """Return a scope in which this task acts as somebody: ``with guard.acting_as(...)``.

        In coroutines use ``async with``: where a provider's keys must be fetched first, it
        waits off the event loop.

        Arguments:
            principal: somebody whom the application vouches for.
            token: instead, a signed token or an API key, verified by the bundle's providers.
            certificate: instead or as well, the certificate that the caller has proved to
                hold, in DER or PEM, or the chain of it, leaf first. Only the server that
                ended the TLS connection knows; never take it from a header that a caller
                can set.
            peer: what else is known of the connection.
            attestation: evidence of the caller's machine, which holds a nonce of `challenge`.

        Raises:
            NotAuthenticated: where what was brought does not hold; ``code`` names the cause.
        """
        chain = (certificate,) if isinstance(certificate, bytes) else tuple(certificate or ())
        brought = token is not None or bool(chain)
        if (principal is None) != brought:
            raise TypeError("acting_as takes either a Principal, or token= and certificate=")
        runtime = self._serving.runtime
        if principal is None:
            return runtime.act_under(
                token=token, certificate=chain, peer=peer, attestation=attestation
            )
        if not isinstance(principal, Principal):
            raise TypeError(f"acting_as takes a Principal, got {type(principal).__name__}")
        return runtime.act_as(principal, peer, attestation)

    def record_refusal(self, denial: Denied, *, peer: Peer | None = None) -> None:
        """Record that a caller was refused before `acting_as` was entered.

        For code that reads credentials: a header that can't be read, or a request without one.
        `acting_as` records its own refusals, and nothing is recorded twice. At most ten
        refusals a second are recorded and logged; the others are counted.

        Arguments:
            denial: the denial that the caller gets.
            peer: what is known of the connection; its address is kept as a pseudonym.
        """
        from guardrail.bundle.assembly import where_from

        self._serving.runtime.note(where_from(peer), denial)

    def challenge(self) -> str:
        """Return a nonce that a caller's machine is to attest: 43 characters, for one use.

        It is good for five minutes, with this guard only. See ``docs/evidence.md``.
        """
        return self._serving.runtime.bundle.machines.peer.challenge(self._clock.now())

    def revoke(
        self,
        *,
        token_id: str | None = None,
        subject: str | None = None,
        issued_before: float | None = None,
    ) -> None:
        """Refuse from now on what has not expired yet, also in scopes that are open.

        It holds for this guard, as long as it lives, reloads included; a list for all
        processes is the file that ``revoked_file`` under ``[identity]`` names.

        Arguments:
            token_id: a token's ``jti``, an API key's id, or a certificate's serial number in
                hexadecimal digits, in whichever form a tool prints it.
            subject: whoever the provider calls so: all that was issued to them up to
                ``issued_before``, which is now where it is left out.
            issued_before: seconds since the epoch; alone: all that was issued up to then.

        Raises:
            ConfigurationError: where nothing is named, a token together with something else, or
                what could match nothing: no text, an empty one, no time (NaN, a boolean).
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
        """Return what the policies say of a request, without any side effect.

        Nothing is consumed, recorded or computed: ``facts`` are taken as given, one mapping
        per place (``{"input": {"rows": 10}}``). An `Entity` as principal must stand in the
        bundle's ``entities.json``.
        """
        thing = self.parse_uid(resource) if isinstance(resource, str) else resource
        question = self._snapshot.ask(principal, self._action(action), thing)
        if facts is None or "app" not in facts:  # an empty record, as a call without any has
            facts = {"app": _NOTHING, **(facts or {})}
        said = question.decide(facts).decision
        return Decision(
            said.allowed, said.code, said.policies, said.obligations, said.errors, said.reason,
            said.path, said.message, said.revision, self._new_id(),
        )  # fmt: skip

    def describe(self, decision: Decision) -> dict[str, Any]:
        """Return a decision as JSON data, with the obligations as a test would write them."""
        return self._snapshot.describe(decision)

    def parse_uid(self, text: str, place: Place | None = None) -> Entity:
        """Return the entity that a uid text such as ``User::"clara"`` names, as Cedar reads it.

        Raises `ConfigurationError`, at ``place`` where one is given, for any other text.
        """
        try:
            return self._serving.runtime.read_uid(text)
        except ConfigurationError as error:
            message = error.message
        if place is not None:
            raise ConfigurationError.at(place, "GR003", message)
        raise ConfigurationError(message)

    def _action(self, action: str) -> Entity:
        return self.parse_uid(action) if "::" in action else _plain_action(action)


@lru_cache(maxsize=256)
def _plain_action(name: str) -> Entity:
    return Entity("Action", name)


def _qualified(function: Any) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}.{name}"
