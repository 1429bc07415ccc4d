"""Test suites for pytest that every plug-in must pass.

The author of a plug-in subclasses the suite of its kind in a test module and sets the inputs:
`ObligationContract`, `FactSourceContract`, `IdentityProviderContract`, `QuotaStoreContract` or
`DetectorKindContract`. They need pytest and hypothesis, from the extra ``properties``.
"""

# ruff: noqa: D102  (the names of tests describe them)

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from math import inf
from secrets import token_hex
from typing import Any, Final, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from guardrail._documents import Document, read_toml
from guardrail._plugin_faults import PluginFault
from guardrail.detectors import DetectorKind, ModelKind, Redactor, StreamRedactor
from guardrail.extensions import (
    BlockingStep,
    Clause,
    ConfigurationError,
    Entity,
    FactContext,
    FactSource,
    FactValue,
    Finding,
    Identity,
    IdentityProvider,
    NotAuthenticated,
    ObligationContext,
    ObligationNotMet,
    ObligationType,
    Path,
    Place,
    Principal,
    QuotaCounters,
    QuotaHit,
    QuotaStore,
)
from guardrail.identity import PendingIdentity, Providers, read_providers, resolve_or_defer
from guardrail.identity.registry import STANDARD
from guardrail.obligations import open_storage
from guardrail.testing.application.clock import FrozenClock
from guardrail.values import NO_INPUT

#: Outputs that no filter expects: each must be refused, or stay unchanged.
_STRANGE: Final[SearchStrategy[Any]] = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.builds(object),
    st.lists(st.one_of(st.none(), st.text(max_size=3), st.booleans()), max_size=3),
    st.dictionaries(st.integers(), st.text(max_size=3), max_size=3),
)

# Each subclass runs the inherited tests, which hypothesis reports as differing executors.
_settings = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
)

_DAY_S: Final = 86_400
#: A credential of fewer characters can appear in a message by chance.
_SHORT: Final = 8

_PLACE: Final = Place("policies.cedar", 7, 3)


class ObligationContract:
    """The contract of `guardrail.extensions.ObligationType`. Subclass it in a test module.

    Attributes to set:
        arguments: a strategy of valid annotation arguments.
        malformed: arguments that are not valid.
        outputs: a strategy of outputs that the obligation supports.
        patience: how many calls are tried until one is refused; for an obligation that counts,
            more than any limit in ``arguments``.

    Methods to define: `make`, and `context` if the obligation reads the call.
    """

    arguments: SearchStrategy[str]
    malformed: Sequence[str] = ("",)
    outputs: SearchStrategy[Any] = st.none()
    patience: int = 1

    def make(self) -> ObligationType:
        """Return a new obligation that has counted nothing yet."""
        raise NotImplementedError

    def context(self) -> ObligationContext:
        """Return the context of a call: by default without input and without attributes."""
        resource = Entity("Model", "m")
        identity = Identity(Principal("User", "u"))
        return ObligationContext(identity, NO_INPUT, "predict", resource, 0.0, _absent)

    def demand(self, data: DataObject, obligation: ObligationType) -> Any:
        """Return the parsed argument of a drawn annotation on one of three policies."""
        policy = data.draw(st.sampled_from(("p1", "p2", "p3")))
        return obligation.parse(Clause(policy, obligation.name, data.draw(self.arguments), _PLACE))

    def test_malformed_arguments_are_faults_at_their_place(self) -> None:
        obligation = self.make()
        for argument in self.malformed:
            raised: ConfigurationError | None = None
            try:
                obligation.parse(Clause("p1", obligation.name, argument, _PLACE))
            except ConfigurationError as error:
                raised = error
            _check(raised is not None, f"`parse` accepts the malformed argument {argument!r}")
            _check(
                raised is not None and [fault.place for fault in raised.faults] == [_PLACE],
                f"the error for {argument!r} does not have the place of the clause",
            )

    def test_it_has_a_name_and_says_when_it_acts(self) -> None:
        obligation = self.make()
        _check(obligation.name.isidentifier(), "`name` is not an identifier")
        _check(type(obligation.on_admit) is bool, "`on_admit` is not a bool")
        _check(type(obligation.on_release) is bool, "`on_release` is not a bool")
        _check(obligation.on_admit or obligation.on_release, "neither hook is enabled")

    def test_its_optional_attributes_have_their_types(self) -> None:
        obligation = self.make()
        _check(type(getattr(obligation, "stage", 0)) is int, "`stage` is not an int")
        _check(type(getattr(obligation, "spends", False)) is bool, "`spends` is not a bool")
        for name in ("subsumes", "outputs", "keys"):
            names = getattr(obligation, name, None)
            _check(
                names is None
                or (isinstance(names, Set) and all(isinstance(each, str) for each in names)),
                f"`{name}` is not a frozenset of texts",
            )

    @_settings
    @given(st.data())
    def test_merge_is_commutative_associative_and_idempotent(self, data: DataObject) -> None:
        obligation = self.make()
        a, b, c = (self.demand(data, obligation) for _ in range(3))
        merge = obligation.merge
        _check(merge(a, b) == merge(b, a), "merge is not commutative")
        _check(merge(merge(a, b), c) == merge(a, merge(b, c)), "merge is not associative")
        _check(merge(a, a) == a, "merge is not idempotent")

    @_settings
    @given(st.data())
    def test_a_demand_is_described_as_json_and_reads_paths(self, data: DataObject) -> None:
        obligation = self.make()
        a, b = (self.demand(data, obligation) for _ in range(2))
        for demand in (a, obligation.merge(a, b)):
            described = obligation.describe(demand)
            text = json.dumps(described, allow_nan=False)
            _check(json.loads(text) == described, "`describe` does not return JSON data")
            paths = obligation.reads(demand)
            _check(all(isinstance(path, Path) for path in paths), "`reads` does not return paths")
        both = set(obligation.reads(obligation.merge(a, b)))
        _check(
            both >= {*obligation.reads(a), *obligation.reads(b)} or not obligation.on_admit,
            "the merged demand does not read every path that each side reads",
        )

    @_settings
    @given(st.data())
    def test_a_call_that_one_side_refuses_is_refused_by_both(self, data: DataObject) -> None:
        obligation, context = self.make(), self.context()
        a, b = (self.demand(data, obligation) for _ in range(2))
        for _ in range(self.patience):
            if _refuses(obligation, a, context):
                both = obligation.merge(a, b)
                _check(_refuses(obligation, both, context), "the merged demand is looser")
                return

    @_settings
    @given(st.data())
    def test_what_leaves_under_both_sides_meets_each(self, data: DataObject) -> None:
        obligation, context = self.make(), self.context()
        a, b = (self.demand(data, obligation) for _ in range(2))
        output = data.draw(self.outputs)
        try:
            alone = _release(obligation, a, output, context)
        except ObligationNotMet:
            alone = _BLOCKED
        try:
            released = _release(obligation, obligation.merge(a, b), output, context)
        except ObligationNotMet:
            return
        _check(alone is not _BLOCKED, "the merged demand releases an output that one side blocks")
        again = _release(obligation, a, released, context)
        _check(
            shown(again) == shown(released),
            "an output released under the merged demand does not meet one side",
        )

    @_settings
    @given(st.data())
    def test_release_is_idempotent_and_leaves_its_input_alone(self, data: DataObject) -> None:
        obligation, context = self.make(), self.context()
        demand = self.demand(data, obligation)
        output = data.draw(self.outputs)
        before = shown(output)
        released = _release(obligation, demand, output, context)
        _check(shown(output) == before, "`release` changed its argument")
        again = _release(obligation, demand, released, context)
        _check(shown(again) == shown(released), "`release` is not idempotent")

    @_settings
    @given(st.data())
    def test_a_strange_output_is_refused_or_left_alone(self, data: DataObject) -> None:
        obligation, context = self.make(), self.context()
        demand = self.demand(data, obligation)
        output = data.draw(_STRANGE)
        before = shown(output)
        try:
            _release(obligation, demand, output, context)
        except ObligationNotMet as refusal:
            _check(bool(refusal.message and refusal.code), "a refusal has no message or no code")
        _check(shown(output) == before, "`release` changed its argument")


class FactSourceContract:
    """The contract of `guardrail.extensions.FactSource`. Subclass it in a test module.

    Attributes to set:
        context: a strategy of contexts for the source.

    Methods to define: `make`.
    """

    context: SearchStrategy[FactContext]

    def make(self) -> FactSource:
        """Return the source."""
        raise NotImplementedError

    def names(self, data: DataObject, source: FactSource, context: FactContext) -> frozenset[str]:
        """Return some of the names that a policy could read from the source."""
        known = sorted(source.facts or {*context.app, "absent"})
        return frozenset(data.draw(st.lists(st.sampled_from(known), unique=True)))

    def test_its_namespace_and_its_facts_are_names(self) -> None:
        source = self.make()
        _check(source.namespace.isidentifier(), "`namespace` is not an identifier")
        _check(isinstance(source.facts, frozenset), "`facts` is not a frozenset")
        _check(
            all(name.isidentifier() for name in source.facts),
            "the name of a fact is not an identifier",
        )

    @_settings
    @given(st.data())
    def test_only_the_facts_asked_for_are_computed(self, data: DataObject) -> None:
        source, context = self.make(), data.draw(self.context)
        names = self.names(data, source, context)
        _check(
            set(source.compute(names, context)) <= names,
            "`compute` returns facts that were not requested",
        )
        _check(
            not source.compute(frozenset(), context),
            "`compute` returns facts though none was requested",
        )

    @_settings
    @given(st.data())
    def test_facts_are_cedar_values_and_the_same_each_time(self, data: DataObject) -> None:
        source, context = self.make(), data.draw(self.context)
        names = self.names(data, source, context)
        app = copy.deepcopy(dict(context.app))
        computed = source.compute(names, context)
        if source.facts:  # facts that the application passes are checked by the schema
            _check(all(map(_is_cedar, computed.values())), "a fact is not a Cedar value")
        _check(
            dict(source.compute(names, context)) == dict(computed),
            "a second `compute` returns other facts",
        )
        _check(dict(context.app) == app, "`compute` changed the facts of the application")

    @_settings
    @given(st.data())
    def test_a_fact_does_not_depend_on_what_else_is_asked(self, data: DataObject) -> None:
        source, context = self.make(), data.draw(self.context)
        names = self.names(data, source, context)
        computed = source.compute(names, context)
        for name in names:
            alone = source.compute(frozenset((name,)), context)
            _check(
                dict(alone) == {key: computed[key] for key in computed if key == name},
                f"`{name}` has another value if it is requested alone",
            )


class IdentityProviderContract:
    """The contract of `guardrail.extensions.IdentityProvider`. Subclass it in a test module.

    Attributes to set:
        table: the lines of its table ``[identity.NAME]``, without ``type`` and ``id_prefix``.
        files: the bundle's files that the table names.
        environ: the environment variables that it reads.
        now: a time at which the credential is valid, in seconds since the epoch.
        refused: a strategy of invalid credentials of its form.

    Methods to define: `make` and `credential`.
    """

    table: str = ""
    files: Mapping[str, bytes] = {}
    environ: Mapping[str, str] = {}
    now: float = 1_700_000_000.0
    refused: SearchStrategy[Any]

    def make(self) -> IdentityProvider:
        """Return the kind of provider."""
        raise NotImplementedError

    def credential(self) -> Any:
        """Return a valid credential: a token, or a chain of certificates."""
        raise NotImplementedError

    def open(self, *, prefix: str = "", lines: str | None = None) -> Providers:
        """Return the opened provider of a bundle whose only identity table is this one."""
        kind = self.make()
        own = () if any(type(each) is type(kind) for each in STANDARD) else (kind,)
        return read_providers(
            self._document(prefix, lines), files=self.files, environ=self.environ, own=own
        )

    def _document(self, prefix: str = "", lines: str | None = None) -> Document:
        text = f'[identity.contract]\ntype = "{self.make().kind}"\n'
        if prefix:
            text += f'id_prefix = "{prefix}"\n'
        raw = (text + (self.table if lines is None else lines)).encode()
        return read_toml("guardrail.toml", raw).below("identity")

    def identify(self, credential: Any, *, prefix: str = "", knows: bool = True) -> Identity:
        """Return the identity that a credential proves."""
        providers = self.open(prefix=prefix)

        def authenticate() -> Identity:
            if self.make().takes == "certificate":
                return providers.authenticate_chain(credential, self.now, knows=lambda _: knows)
            return providers.authenticate(credential, self.now, knows=lambda _: knows)

        outcome = resolve_or_defer(authenticate)
        return outcome.resolve() if isinstance(outcome, PendingIdentity) else outcome

    def test_it_has_a_kind_and_takes_a_known_credential(self) -> None:
        kind = self.make()
        _check(kind.kind.isidentifier(), "`kind` is not an identifier")
        credentials = ("token", "signed_token", "certificate")
        _check(kind.takes in credentials, "`takes` is none of " + ", ".join(credentials))

    def test_its_table_is_strict(self) -> None:
        for line in ("key_that_nobody_has = 1\n", "id_prefix = 1\n"):
            faults = 0
            try:
                self.open(lines=line + self.table)
            except ConfigurationError as error:
                faults = len(error.faults)
            _check(faults > 0, f"the table loads with `{line.strip()}`")

    def test_its_model_has_the_kind(self) -> None:
        table = {**self._document().data["contract"], "type": "another_kind"}
        is_refused = False
        try:
            self.make().settings.model_validate(table)
        except ValueError:
            is_refused = True
        _check(is_refused, "the settings model accepts a table of another `type`")

    def test_the_identity_is_its_own(self) -> None:
        identity = self.identify(self.credential(), prefix="own")
        _check(identity.provider == "contract", "`provider` is not the name of the table")
        _check(identity.principal.id.startswith("own#"), "the id does not start with `id_prefix`")
        bare = self.identify(self.credential())
        _check(
            identity.principal.id == f"own#{bare.principal.id}",
            "`id_prefix` changes the rest of the id",
        )

    def test_the_entity_types_are_declared(self) -> None:
        identity, providers = self.identify(self.credential()), self.open()
        whole = identity.principal
        for kind in (whole.type, *(parent.type for parent in whole.parents)):
            _check(kind in providers.entity_types, f"{kind} is not among the entity types")

    def test_parents_that_the_bundle_lacks_are_left_out_or_deny(self) -> None:
        try:
            identity = self.identify(self.credential(), knows=False)
        except NotAuthenticated:
            return
        _check(not identity.principal.parents, "a parent that is not in the bundle is kept")

    def test_a_credential_proves_the_same_each_time(self) -> None:
        credential = self.credential()
        first, second = (_named(self.identify(credential)) for _ in range(2))
        _check(first == second, "the same credential gives another identity")

    @_settings
    @given(st.data())
    def test_what_does_not_hold_is_refused_and_not_repeated(self, data: DataObject) -> None:
        credential = data.draw(self.refused)
        refusal: NotAuthenticated | None = None
        try:
            self.identify(credential)
        except NotAuthenticated as error:
            refusal = error
        _check(refusal is not None, "an invalid credential gives an identity")
        parts = [credential] if isinstance(credential, str) else credential
        for part in parts:
            text = part if isinstance(part, str) else part.decode("latin-1")
            is_short = len(text) < _SHORT
            _check(is_short or text not in str(refusal), "the error message has the credential")

    @_settings
    @given(st.text())
    def test_whose_token_it_is_is_said_of_any_text(self, text: str) -> None:
        for opened in self.open().by_form:
            accepts = opened.authenticator.accepts(text)
            _check(type(accepts) is bool, "`accepts` does not return a bool")

    def test_its_findings_are_findings(self) -> None:
        kind, table = self.make(), self._document().below("contract")
        findings = list(kind.lint(table.parse(kind.settings), table))
        _check(
            all(isinstance(each, Finding) for each in findings),
            "`lint` returns objects that are not a Finding",
        )


def _named(identity: Identity) -> tuple[Any, ...]:
    """Return the fields of an identity for a comparison, as a `Principal` equals only itself."""
    whole = identity.principal
    return (
        whole.uid, set(whole.parents), dict(whole.attrs), identity.provider, identity.issuer,
        identity.method, identity.subject, identity.token_id, identity.expires_at,
    )  # fmt: skip


class _QuotaHit(NamedTuple):
    strategy: str
    key: str
    limit: int
    window_s: int
    amount: int = 1


class QuotaStoreContract:
    """The contract of `guardrail.extensions.QuotaStore`. Subclass it in a test module.

    Each test counts under new keys in windows of a day, so that the suite can run on a shared store
    on a server with its own clock.

    Attributes to set:
        table: the lines of ``[quota]`` without ``store``.

    Methods to define: `make`.
    """

    table: str = ""

    def make(self) -> QuotaStore:
        """Return the kind of store."""
        raise NotImplementedError

    def open(self) -> QuotaCounters:
        """Return the opened store of a bundle with this ``[quota]`` table."""
        store = self.make()
        own = () if store.name == "memory" else (store,)
        raw = f'[quota]\nstore = "{store.name}"\n{self.table}'.encode()
        document = read_toml("guardrail.toml", raw).below("quota")
        return open_storage(document, FrozenClock(), own).open()

    def hit(self, data: DataObject, limit: int, amount: int = 1, key: str = "") -> QuotaHit:
        """Return a hit on a new counter."""
        strategy = data.draw(st.sampled_from(sorted(self.make().strategies)))
        return _QuotaHit(strategy, f"{token_hex(8)}/{key}", limit, _DAY_S, amount)

    def test_it_says_what_it_can(self) -> None:
        store = self.make()
        _check(bool(store.name) and store.name.isprintable(), "`name` is empty or not printable")
        known = frozenset(("fixed", "moving", "sliding"))
        _check(
            bool(store.strategies) and store.strategies <= known,
            "`strategies` is empty, or has one besides fixed, moving and sliding",
        )
        _check(type(store.is_shared) is bool, "`is_shared` is not a bool")
        _check(type(store.waits) is bool, "`waits` is not a bool")

    @_settings
    @given(st.data(), st.integers(1, 20), st.lists(st.integers(0, 25), max_size=8))
    def test_a_hit_is_taken_where_it_fits(
        self, data: DataObject, limit: int, amounts: list[int]
    ) -> None:
        counters, first = self.open(), self.hit(data, limit)
        total = 0
        for amount in amounts:
            hit = _QuotaHit(first.strategy, first.key, limit, _DAY_S, amount)
            taken: list[Any] = []
            waits = counters.acquire_all([hit], taken)
            fits = total + amount <= limit
            _check(type(waits) in (list, tuple), "`acquire_all` does not return a list")
            _check(len(waits) == 1, "`acquire_all` does not return one wait per hit")
            _check(type(waits[0]) in (int, float), "a wait is not an int or a float")
            _check(
                (waits[0] == 0) is fits, "a hit that fits is refused, or one that does not is taken"
            )
            _check(
                len(taken) == (1 if fits else 0),
                "`acquire_all` does not add one object per hit to `taken`",
            )
            _check(waits[0] >= 0, "a wait is negative or NaN")
            _check(
                (waits[0] == inf) is (amount > limit),
                "a wait is infinite though the hit can fit later, or finite though it never fits",
            )
            total += amount if fits else 0

    @_settings
    @given(st.data(), st.integers(1, 9), st.integers(2, 4))
    def test_all_hits_are_taken_or_none(self, data: DataObject, limit: int, others: int) -> None:
        counters = self.open()
        full = self.hit(data, limit, limit)
        free = [self.hit(data, limit, limit) for _ in range(others)]
        _check(not any(counters.acquire_all([full])), "a hit that fits is refused")
        at = data.draw(st.integers(0, others))
        taken: list[Any] = []
        waits = counters.acquire_all([*free[:at], full, *free[at:]], taken)
        _check([wait > 0 for wait in waits].index(True) == at, "the wait is at another hit")
        _check(sum(wait > 0 for wait in waits) == 1, "a hit that fits has a wait")
        _check(taken == [], "`taken` has objects though not all hits fit")
        _check(not any(counters.acquire_all(free)), "some hits were taken though not all fit")

    @_settings
    @given(st.data(), st.integers(1, 20))
    def test_what_is_given_back_can_be_taken_again(self, data: DataObject, limit: int) -> None:
        counters = self.open()
        hits = [self.hit(data, limit, limit) for _ in range(2)]
        for _ in range(2):
            taken: list[Any] = []
            _check(not any(counters.acquire_all(hits, taken)), "a hit that fits is refused")
            _check(
                len(taken) == len(hits), "`acquire_all` does not add one object per hit to `taken`"
            )
            for each in taken:
                counters.give_back(each)
        _check(not any(counters.acquire_all(hits)), "a hit that fits is refused")
        _check(all(counters.acquire_all(hits)), "`give_back` gave back more than was taken")

    @_settings
    @given(st.data(), st.text(max_size=8), st.text(max_size=8))
    def test_keys_are_apart(self, data: DataObject, one: str, other: str) -> None:
        counters, first = self.open(), self.hit(data, 1, key=one)
        second = _QuotaHit(first.strategy, first.key + f"/{other}", 1, _DAY_S)
        _check(not any(counters.acquire_all([first])), "a hit that fits is refused")
        _check(not any(counters.acquire_all([second])), "two keys share one counter")
        _check(all(counters.acquire_all([first])), "a full counter takes another hit")

    def test_threads_take_no_more_than_the_limit(self) -> None:
        counters = self.open()
        for strategy in sorted(self.make().strategies):
            hits = [_QuotaHit(strategy, token_hex(8), 10, _DAY_S) for _ in range(2)]
            with ThreadPoolExecutor(8) as pool:
                waits = list(pool.map(lambda _, hits=hits: counters.acquire_all(hits), range(40)))
            _check(
                sum(not any(each) for each in waits) == 10,
                "concurrent threads do not take exactly the limit",
            )


_BLOCKED: Final = object()


def _check(claim: bool, message: str) -> None:
    """Fail the test if the claim is false, since shipped code has no ``assert``."""
    if not claim:
        raise AssertionError(message)


def _absent(path: Path) -> FactValue:
    raise LookupError(str(path))


def _refuses(obligation: ObligationType, demand: Any, context: ObligationContext) -> bool:
    """Return whether `admit`, or a step that it returns, denies the call."""
    try:
        wait: Any = obligation.admit(demand, context)
        while wait is not None:
            _check_is_here(wait, "`admit` or `then` of a `BlockingStep`")
            _check(
                isinstance(wait, BlockingStep),
                "`admit`, or `then` of a `BlockingStep`, returns neither None nor a `BlockingStep`",
            )
            result = wait.work()
            _check_is_here(result, "`work` of a `BlockingStep`")
            wait = None if wait.then is None else wait.then(result)
    except ObligationNotMet as refusal:
        _check_refusal(refusal)
        return True
    return False


def _release(
    obligation: ObligationType, demand: Any, output: Any, context: ObligationContext
) -> Any:
    """Return what `release` returns, and check what it returns or raises."""
    try:
        released = obligation.release(demand, output, context)
    except ObligationNotMet as refusal:
        _check_refusal(refusal)
        raise
    _check_is_here(released, "`release`")
    return released


def _check_is_here(value: Any, what: str) -> None:
    """Fail the test if a value is a coroutine, an iterator or another that comes later."""
    if inspect.iscoroutine(value):
        value.close()
    names = ("__await__", "__next__", "__anext__", "__aiter__")
    _check(
        not any(hasattr(type(value), name) for name in names),
        f"{what} returns a coroutine, an iterator or another result that comes later",
    )


def _check_refusal(refusal: ObligationNotMet) -> None:
    """Fail the test if the flow could not make a denial of a refusal."""
    wrong = ""
    try:
        ObligationNotMet.denial(refusal)
    except PluginFault as fault:
        wrong = str(fault)
    _check(not wrong, f"a refusal is not valid: {wrong}")


def shown(output: Any) -> str:
    """Return an output as text for comparisons: NaN equals NaN, and types are compared."""
    if hasattr(output, "tolist"):
        kind = f"{type(output).__name__} {getattr(output, 'dtype', '')}"
        return f"{kind} {getattr(output, 'shape', '')} {output.tolist()!r}"
    if isinstance(output, list | tuple):
        return f"{type(output).__name__} {[shown(entry) for entry in output]}"
    if isinstance(output, Mapping):
        return f"mapping {[(repr(key), shown(entry)) for key, entry in output.items()]}"
    return f"{type(output).__name__} {output!r}"


_ATOMS: Final = (
    str,
    int,
    float,  # for an attribute that the schema types as decimal
    bool,
    Decimal,
    datetime,
    timedelta,
    Entity,
    IPv4Address,
    IPv6Address,
    IPv4Network,
    IPv6Network,
)


def _is_cedar(value: FactValue) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_cedar(entry) for key, entry in value.items())
    if isinstance(value, list | tuple | Set):
        return all(map(_is_cedar, value))
    return isinstance(value, _ATOMS)


class DetectorKindContract:
    """The contract of `guardrail.detectors.DetectorKind`. Subclass it in a test module.

    Attributes to set:
        found: texts in which the detector must find something.
        not_found: texts in which it must find nothing.

    Methods to define: `make`.
    """

    found: Sequence[str] = ()
    not_found: Sequence[str] = ()

    def make(self) -> DetectorKind:
        """Return the kind."""
        raise NotImplementedError

    def test_its_attributes_are_valid(self) -> None:
        ModelKind(self.make())

    def test_it_finds_what_it_must_and_nothing_else(self) -> None:
        _check(bool(self.found), "`found` is empty. Add a text in which the kind occurs")
        kind = ModelKind(self.make())
        for texts, expected in ((self.found, True), (self.not_found, False)):
            for number, spans in enumerate(kind.find(list(texts), _LIMIT_FINDINGS)):
                texts_name = "found" if expected else "not_found"
                wrong = "no finding" if expected else "a finding"
                _check(bool(spans) == expected, f"`{texts_name}[{number}]` has {wrong}")

    def test_a_batch_has_the_findings_of_its_texts_one_by_one(self) -> None:
        kind = ModelKind(self.make())
        texts = [*self.found, *self.not_found]
        alone = [kind.find([text], _LIMIT_FINDINGS)[0] for text in texts]
        _check(
            kind.find(texts, _LIMIT_FINDINGS) == alone,
            "a batch has other findings than its texts alone",
        )
        _check(
            kind.find(texts[::-1], _LIMIT_FINDINGS) == alone[::-1],
            "the findings depend on the order of the texts",
        )

    @_settings
    @given(st.text(max_size=200))
    def test_it_answers_for_any_text(self, text: str) -> None:
        ModelKind(self.make()).find([text], max(_LIMIT_FINDINGS, len(text)))

    def test_a_stream_is_cut_as_its_whole_text(self) -> None:
        kind = ModelKind(self.make())
        if kind.held_chars is None:
            return
        redactor = Redactor([kind.name], own=[kind])
        filler = "x " * kind.held_chars
        for text in (*self.found, *(filler + text + filler for text in self.found)):
            stream = StreamRedactor(redactor)
            pieces = [stream.feed(text[at : at + 7]) for at in range(0, len(text), 7)]
            whole, _ = redactor.redact(text)
            _check(
                "".join(pieces) + stream.close() == whole,
                "a stream is redacted differently from its whole text",
            )


_LIMIT_FINDINGS: Final = 100_000

__all__ = [
    "DetectorKindContract",
    "FactSourceContract",
    "IdentityProviderContract",
    "ObligationContract",
    "QuotaStoreContract",
    "shown",
]
