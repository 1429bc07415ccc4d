"""Code of the application that can take long does not block the event loop of an async call."""

import asyncio
import contextlib
import contextvars
import threading

import pytest
from bundles import GRANT, SCHEMA, principal
from name_model import Names

from guardrail import (
    Denied,
    GuardUnavailable,
    InputRejected,
    NotAuthorized,
    OutputBlocked,
)
from guardrail.extensions import (
    FactSourceBase,
    ObligationBase,
    ObligationNotMet,
    QuotaStoreBase,
    SinkBase,
)
from guardrail.testing import overriding

ON = {"action": "predict", "resource": 'Model::"tumour"', "principal": principal()}
TEXTS = SCHEMA.replace("guardrail::TensorInput", "guardrail::TextInput")
FOUND = (
    '@id("f") forbid (principal, action == Action::"predict", resource)'
    ' when { context.input.findings.contains("person") };\n'
)
SHADOW = FOUND.replace('@id("f")', '@id("s") @mode("shadow")')
CUT = '@id("r") @redact("person") forbid (principal, action, resource);\n'
BLOCK = '@id("r") @redact("person as block") forbid (principal, action, resource);\n'


class Slow(Names):
    """Finds names when another task of the event loop allows it."""

    timeout_s = 5.0

    def __init__(self, **attributes):
        super().__init__(**attributes)
        self.is_asked, self.may_answer = threading.Event(), threading.Event()
        self.identities = []
        self.threads = set()

    def find(self, texts):
        self.is_asked.set()
        self.may_answer.wait(60)
        return super().find(texts)


async def beside(slow, awaited, meanwhile=lambda: None):
    """Return what is awaited, while another task of the same loop lets the code answer."""

    async def let():
        while not slow.is_asked.is_set():
            await asyncio.sleep(0)
        meanwhile()
        slow.may_answer.set()

    other = asyncio.create_task(let())
    try:
        return await awaited
    finally:
        other.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await other


def make_guarded(make_guard, policies, *kinds, **options):
    return make_guard(
        GRANT + policies,
        options={"detectors": list(kinds), **options},
        **{"schema.cedarschema": TEXTS},
    )


def messages(text):
    return [{"role": "user", "content": text}]


def comparable(record):
    return record._replace(
        decision_id="", admit_s=0, model_s=0, release_s=0, started_at=0, function="", cached=None
    )


async def collect(items):
    return [each async for each in items]


# Each way to make an async call, with a model that returns, or yields, a text.

HOW = ["coroutine", "enforce", "stream"]


def caller(guard, how, output="so says Ada", input_name="text"):
    """Return an async function that calls a model which is guarded in one of the ways."""

    async def later(text):
        return output

    async def pieces(text):
        for each in output:
            yield each

    async def enforced(text):
        async with guard.enforce(**ON, input=text) as call:
            return await call.arelease(output)

    if how == "coroutine":
        return guard.protect(**ON, input="text")(later)
    if how == "enforce":
        return enforced

    async def streamed(text):
        return "".join(await collect(guard.protect(**ON, input="text")(pieces)(text)))

    return streamed


def sync_caller(guard, how, output="so says Ada"):
    def plain(text):
        return output

    def pieces(text):
        yield from output

    def enforced(text):
        with guard.enforce(**ON, input=text) as call:
            return call.release(output)

    if how == "coroutine":
        return guard.protect(**ON, input="text")(plain)
    if how == "enforce":
        return enforced
    return lambda text: "".join(guard.protect(**ON, input="text")(pieces)(text))


@pytest.mark.parametrize("how", HOW)
def test_a_fact_does_not_block_the_loop(make_guard, recorder, how):
    slow = Slow()
    call = caller(make_guarded(make_guard, FOUND, slow), how)
    assert asyncio.run(beside(slow, call("Bob"))) == "so says Ada"
    assert [record.outcome for record in recorder.records] == ["released"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("policies", [CUT, BLOCK])
def test_a_redacted_output_does_not_block_the_loop(make_guard, recorder, how, policies):
    slow = Slow()
    call = caller(make_guarded(make_guard, policies, slow), how)
    if policies == CUT:
        assert asyncio.run(beside(slow, call("Bob"))) == "so says [person]"
        assert [record.outcome for record in recorder.records] == ["released"]
    else:
        with pytest.raises(OutputBlocked):
            asyncio.run(beside(slow, call("Bob")))
        assert [record.outcome for record in recorder.records] == ["blocked"]


def test_no_piece_of_a_stream_blocks_the_loop(make_guard):
    """Each call of the model ends only when another task allows this one."""

    class EachPiece(Names):
        timeout_s = 5.0
        asked, allowed = 0, threading.Semaphore(0)

        def find(self, texts):
            self.asked += 1
            assert self.allowed.acquire(timeout=60)
            return super().find(texts)

    each = EachPiece()
    guard = make_guarded(make_guard, CUT, each)
    call = caller(guard, "stream", "so says Ada, and so on, and on and on. Ada!")

    async def main():
        async def let():
            seen = 0
            while True:
                await asyncio.sleep(0)
                if each.asked > seen:
                    seen += 1
                    each.allowed.release()

        other = asyncio.create_task(let())
        try:
            return await call("Bob")
        finally:
            other.cancel()

    assert asyncio.run(main()) == "so says [person], and so on, and on and on. [person]!"
    assert each.asked > 2


def test_release_in_an_async_block_still_works(make_guard):
    guard = make_guarded(make_guard, CUT, Names())

    async def main():
        async with guard.enforce(**ON, input="x") as call:
            return call.release("so says Ada")

    assert asyncio.run(main()) == "so says [person]"


def test_an_output_is_released_once(make_guard):
    guard = make_guarded(make_guard, CUT, Names())

    async def main():
        async with guard.enforce(**ON, input="x") as call:
            await call.arelease("Ada")
            with pytest.raises(OutputBlocked, match="before"):
                await call.arelease("Ada")
        with pytest.raises(RuntimeError, match="outside"):
            await call.arelease("Ada")

    asyncio.run(main())


class Store(QuotaStoreBase):
    """A store that gives back when another task of the event loop allows it."""

    name = "slow"
    waits = True

    def __init__(self):
        self.is_asked, self.may_answer = threading.Event(), threading.Event()
        self.given_back = []
        self.threads = []

    def open(self, settings, clock):
        return self

    def acquire_all(self, hits, taken=None):
        if taken is not None:
            taken.extend(hit.amount for hit in hits)
        return [0.0 for _ in hits]

    def give_back(self, taken):
        self.is_asked.set()
        if not self.may_answer.wait(5):
            raise TimeoutError
        self.threads.append(threading.current_thread())
        self.given_back.append(taken)


QUOTA = '@id("q") @quota("1000 chars/hour") forbid (principal, action, resource);\n'


class Refuses(ObligationBase):
    name = "own"
    on_admit = True
    where = "admit"

    def parse(self, clause):
        return clause.argument

    def merge(self, one, other):
        return one

    def describe(self, demand):
        return demand

    def admit(self, demand, context):
        if self.where == "admit":
            raise ObligationNotMet("no", code="input_rejected")
        if self.where == "error":
            raise ValueError("no")


OWN = '@id("own") @own("x") forbid (principal, action, resource);\n'


def quota_guard(make_guard, store, own, **options):
    return make_guard(
        GRANT + QUOTA + OWN,
        options={"quota_store": store, "obligations": [own], **options},
        **{
            "schema.cedarschema": TEXTS,
            "guardrail.toml": '[bundle]\nname = "small"\nversion = "1.0.0"\n'
            '[quota]\nstore = "slow"\n',
        },
    )


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("where", ["admit", "error"])
def test_giving_back_does_not_block_the_loop(make_guard, recorder, how, where):
    store, own = Store(), Refuses()
    own.where = where
    call = caller(quota_guard(make_guard, store, own), how)
    with pytest.raises(Denied) as caught:
        asyncio.run(beside(store, call("four")))
    assert caught.value.code == ("input_rejected" if where == "admit" else "internal_error")
    assert store.given_back == [4]
    (record,) = recorder.records
    assert (record.outcome, record.counts) == ("denied", ())
    assert record.code == caught.value.code
    assert caught.value.decision_id == record.decision_id


@pytest.mark.parametrize("how", HOW)
def test_giving_back_after_a_change_or_a_sink_that_fails_does_not_block_the_loop(
    make_guard, recorder, how
):
    class Fails(SinkBase):
        frames = True

        def enter(self, handle):
            raise ValueError

        def end(self, handle, record):
            pass

    store, own = Store(), Refuses()
    own.where = ""
    guard = quota_guard(make_guard, store, own, sinks=(recorder, Fails()))
    call = caller(guard, how)
    with pytest.raises(GuardUnavailable):
        asyncio.run(beside(store, call("four")))
    if how != "enforce":
        value = messages("four")

        async def changed():
            made = (
                guard.protect(**ON, input="text")(_later)(value)
                if how == "coroutine"
                else collect(guard.protect(**ON, input="text")(_pieces)(value))
            )
            value.append({"role": "user", "content": "more"})
            return await made

        store.is_asked.clear()
        store.may_answer.clear()
        with pytest.raises(Denied):
            asyncio.run(beside(store, changed()))
    assert store.given_back[0] == 4
    assert all(thread is not threading.main_thread() for thread in store.threads)
    assert {record.outcome for record in recorder.records} == {"denied"}
    assert all(record.counts == () for record in recorder.records)


async def _later(text):
    return "x"


async def _pieces(text):
    yield "x"


def test_a_store_that_cannot_give_back_leaves_the_denial_as_it_is(make_guard, recorder):
    class Broken(Store):
        def give_back(self, taken):
            raise ConnectionError

    guard = quota_guard(make_guard, Broken(), Refuses())
    with pytest.raises(InputRejected):
        asyncio.run(caller(guard, "coroutine")("four"))
    (record,) = recorder.records
    assert record.code == "input_rejected"
    assert dict(record.counts) == {"quota/q/chars": 4}


def test_a_cancelled_call_still_gives_back(make_guard, recorder):
    store = Store()
    guard = quota_guard(make_guard, store, Refuses())

    async def main():
        task = asyncio.create_task(caller(guard, "coroutine")("four"))
        while not store.is_asked.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        store.may_answer.set()

    asyncio.run(main())  # waits for the threads of the default executor
    assert store.given_back == [4]
    assert [record.outcome for record in recorder.records] == ["cancelled"]


# The same records, codes and results as of a sync call.


class Raises(Names):
    def find(self, texts):
        raise RuntimeError(texts[0])


class Lies(Names):
    def find(self, texts):
        return [[(0, len(text) + 1)] for text in texts]


class TakesLong(Names):
    timeout_s = 0.02
    may_answer = threading.Event()

    def find(self, texts):
        self.may_answer.wait(0.5)
        return [[] for _ in texts]


MANY = (
    '@id("few") forbid (principal, action == Action::"predict", resource)'
    " when { context.input.chars > 20 };\n"
)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    "policies",
    [FOUND, CUT, BLOCK, FOUND + CUT, SHADOW, SHADOW + FOUND, SHADOW + MANY, MANY + FOUND + CUT],
    ids=range(8),
)
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Names, "Bob"),
        (Names, "Ada"),
        (Names, messages("Ada")),
        (Names, "x" * 30),
        (Raises, "Ada"),
        (Lies, "Ada"),
        (TakesLong, "Ada"),
    ],
)
def test_an_async_call_has_the_record_of_a_sync_one(
    make_guard, recorder, how, policies, kind, value
):
    guard = make_guarded(make_guard, policies, kind())
    results = []
    for run in (
        lambda: sync_caller(guard, how)(value),
        lambda: asyncio.run(caller(guard, how)(value)),
    ):
        try:
            results.append((run(), "", "", ()))
        except Denied as denial:
            results.append((type(denial), denial.code, str(denial), denial.policies))
    assert results[0] == results[1]
    one, other = recorder.records
    assert comparable(one) == comparable(other)


def test_a_question_that_is_refused_computes_nothing_for_the_call(make_guard, recorder):
    names = Names()
    guard = make_guard(
        '@id("g") permit (principal, action == Action::"summarize", resource);' + SHADOW + FOUND,
        options={"detectors": [names]},
        **{"schema.cedarschema": TEXTS},
    )
    for run in (
        lambda: sync_caller(guard, "coroutine")("Ada"),
        lambda: asyncio.run(caller(guard, "coroutine")("Ada")),
    ):
        with pytest.raises(NotAuthorized):
            run()
    one, other = recorder.records
    assert comparable(one) == comparable(other)


# A shadow.


def test_a_fact_that_only_the_shadow_reads_does_not_block_the_loop(make_guard, recorder):
    slow = Slow()
    guard = make_guarded(make_guard, SHADOW, slow)
    assert asyncio.run(beside(slow, caller(guard, "coroutine")("Ada"))) == "so says Ada"
    (record,) = recorder.records
    assert dict(record.counts) == {"shadow/denies/prohibited/s": 1}
    assert guard._serving.runtime.shadow.questions == 1


def test_a_fact_that_both_read_is_computed_once(make_guard, recorder):
    names = Names()
    guard = make_guarded(make_guard, SHADOW + FOUND, names)
    with pytest.raises(NotAuthorized):
        asyncio.run(caller(guard, "coroutine")("Ada"))
    assert names.batches == [["Ada"]]
    assert guard._serving.runtime.shadow.questions == 1


# A change during the wait.


@pytest.mark.parametrize("how", HOW)
def test_an_input_that_changes_during_the_wait_is_denied(make_guard, recorder, how):
    slow = Slow()
    guard = make_guarded(make_guard, FOUND, slow)
    value = messages("Bob")
    with pytest.raises(InputRejected, match="was changed after") as caught:
        asyncio.run(
            beside(
                slow,
                caller(guard, how)(value),
                lambda: value.append({"role": "user", "content": "Ada"}),
            )
        )
    assert caught.value.path == ("input" if how == "enforce" else "text")
    assert [record.outcome for record in recorder.records] == ["denied"]
    assert slow.batches == [["Bob"]]


def test_an_input_that_is_the_same_is_not_searched_twice(make_guard, recorder):
    names = Names()
    guard = make_guarded(make_guard, FOUND, names)
    assert asyncio.run(caller(guard, "coroutine")(messages("Bob"))) == "so says Ada"
    assert names.batches == [["Bob"]]


def test_what_is_changed_and_changed_back_was_never_searched(make_guard):
    """The kind reads a copy: it finds what the model gets."""
    slow = Slow()
    guard = make_guarded(make_guard, FOUND, slow)
    value = messages("Ada")

    async def main():
        made = caller(guard, "coroutine")(value)
        value[0]["content"] = "Bob"

        def back():
            value[0]["content"] = "Ada"

        return await beside(slow, made, back)

    with pytest.raises(NotAuthorized):
        asyncio.run(main())


def test_facts_of_the_application_that_change_are_decided_anew(make_guard, recorder):
    slow = Slow()
    guard = make_guarded(
        make_guard,
        FOUND
        + '@id("care") forbid (principal, action == Action::"predict", resource)\n'
        + 'unless { context.app has purpose && context.app.purpose == "care" };\n',
        slow,
    )

    @guard.protect(**ON, input="text", facts=lambda text, why: {"purpose": why["purpose"]})
    async def later(text, why):
        return why["purpose"]

    why = {"purpose": "care"}
    with pytest.raises(NotAuthorized) as caught:
        asyncio.run(beside(slow, later("x", why), lambda: why.update(purpose="curiosity")))
    assert caught.value.policies == ("care",)
    slow.is_asked.clear()
    why["purpose"] = "care"
    assert asyncio.run(beside(slow, later("x", why))) == "care"


@pytest.mark.parametrize("how", ["coroutine", "enforce"])
def test_an_output_that_changes_during_the_wait_leaves_as_it_was_checked(make_guard, how):
    """Whatever leaves was checked, and no reference to the function's own object leaves."""
    slow = Slow()
    guard = make_guarded(make_guard, CUT, slow)
    output = [{"by": "Ada", "of": ["Bob"]}]

    def meanwhile():
        output[0]["by"] = "Ada again"
        output[0]["of"].append("Ada too")

    released = asyncio.run(beside(slow, caller(guard, how, output)("x"), meanwhile))
    assert "Ada" not in str(released)
    output[0]["of"].append("Ada, later")
    assert "Ada" not in str(released)


class Piece(dict):
    pass


def test_an_item_that_changes_during_the_wait_is_blocked(make_guard, recorder):
    slow = Slow()
    guard = make_guard(
        GRANT + CUT + '@id("o") @output("chunks") forbid (principal, action, resource);\n',
        options={"detectors": [slow]},
        **{
            "schema.cedarschema": TEXTS,
            "outputs/chunks.yaml": "kind: text\nchunk: text\n",
        },
    )
    item = {"text": "so says Ada, and so on"}

    @guard.protect(**ON, input="text")
    async def pieces(text):
        yield item

    with pytest.raises(OutputBlocked, match="was changed"):
        asyncio.run(
            beside(slow, collect(pieces("x")), lambda: item.update(text="another and another text"))
        )
    assert [record.outcome for record in recorder.records] == ["blocked"]


# Cancellation.


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("policies", [FOUND, CUT])
def test_a_call_that_is_cancelled_during_the_wait_is_recorded(make_guard, recorder, how, policies):
    slow = Slow()
    guard = make_guarded(make_guard, policies, slow)
    left = []

    async def main():
        async def run():
            left.append(await caller(guard, how)("Bob"))

        task = asyncio.create_task(run())
        while not slow.is_asked.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [record.outcome for record in recorder.records] == ["cancelled"]
        slow.may_answer.set()

    asyncio.run(main())
    (record,) = recorder.records
    assert left == []
    assert record.error_type == "CancelledError"
    if policies == FOUND:
        assert record.stage == "facts"
    else:
        assert record.stage == ("release" if how == "stream" else "redact")


def test_a_stream_that_is_cancelled_during_the_wait_closes_the_model(make_guard, recorder):
    slow = Slow()
    guard = make_guarded(make_guard, CUT, slow)
    closed = []

    @guard.protect(**ON, input="text")
    async def pieces(text):
        try:
            for each in "so says Ada and so on and on":
                yield each
        finally:
            closed.append(True)

    async def main():
        task = asyncio.create_task(collect(pieces("x")))
        while not slow.is_asked.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert closed == [True]
        slow.may_answer.set()

    asyncio.run(main())
    assert [record.outcome for record in recorder.records] == ["cancelled"]


def test_a_call_that_is_dropped_is_abandoned(make_guard, recorder):
    guard = make_guarded(make_guard, FOUND, Names())
    made = guard.protect(**ON, input="text")(_later)("x")
    made.close()
    del made
    assert [record.outcome for record in recorder.records] == ["abandoned"]


# Plug-ins of a user's own.

WHO = contextvars.ContextVar("who", default="nobody")


class Ward(FactSourceBase):
    """A fact source that asks a service."""

    namespace = "ward"
    facts = frozenset({"open"})

    def __init__(self, reads=()):
        self.is_asked, self.may_answer = threading.Event(), threading.Event()
        self.reads = reads
        self.seen = []

    def blocks(self, names):
        return "open" in names

    def compute(self, names, context):
        self.is_asked.set()
        if not self.may_answer.wait(5):
            raise TimeoutError
        self.seen.append((WHO.get(), [context.app.get(name) for name in self.reads]))
        return {"open": True}


WARD = TEXTS.replace("    app: {", "    ward: { open: Bool },\n    app: {", 1)
OPEN = (
    '@id("w") forbid (principal, action == Action::"predict", resource)\n'
    "unless { context.ward.open };\n"
)


def ward_guard(make_guard, ward):
    return make_guard(GRANT + OPEN, options={"facts": [ward]}, **{"schema.cedarschema": WARD})


def test_a_fact_source_can_say_that_it_blocks(make_guard, recorder):
    ward = Ward()
    call = caller(ward_guard(make_guard, ward), "coroutine")
    WHO.set("clara")
    assert asyncio.run(beside(ward, call("x"))) == "so says Ada"
    assert ward.seen == [("nobody", [])]


def test_facts_of_the_application_that_a_blocking_source_has_read_must_stay(make_guard, recorder):
    ward = Ward(["purpose"])
    guard = ward_guard(make_guard, ward)

    @guard.protect(**ON, input="text", facts=lambda text, why: dict(why))
    async def later(text, why):
        return why["purpose"]

    why = {"purpose": "care", "flag": True}
    assert asyncio.run(beside(ward, later("x", why), lambda: why.update(flag=False))) == "care"
    for change in (lambda: why.update(purpose="none"), why.clear):
        ward.is_asked.clear()
        why.update(purpose="care")
        with pytest.raises(InputRejected, match="facts=") as caught:
            asyncio.run(beside(ward, later("x", why), change))
        assert "none" not in str(caught.value)
    assert [record.outcome for record in recorder.records] == ["released", "denied", "denied"]


class Judge(ObligationBase):
    """An obligation that asks a service about the output."""

    name = "judge"
    on_release = True

    def __init__(self):
        self.is_asked, self.may_answer = threading.Event(), threading.Event()
        self.seen = []

    def parse(self, clause):
        return clause.argument

    def merge(self, one, other):
        return max(one, other)

    def describe(self, demand):
        return demand

    def release_blocks(self, demand):
        return demand == "slow"

    def release(self, demand, output, context):
        self.is_asked.set()
        if not self.may_answer.wait(5):
            raise TimeoutError
        self.seen.append(threading.current_thread() is threading.main_thread())
        if output == "bad":
            raise ObligationNotMet("no", code="output_blocked")
        return output


@pytest.mark.parametrize(("demand", "is_here"), [("slow", False), ("fast", True)])
def test_an_obligation_can_say_that_its_release_blocks(make_guard, recorder, demand, is_here):
    judge = Judge()
    guard = make_guard(
        GRANT + f'@id("j") @judge("{demand}") forbid (principal, action, resource);'
        '@id("round") @round("1") forbid (principal, action, resource);',
        options={"obligations": [judge]},
        **{"schema.cedarschema": TEXTS},
    )
    call = caller(guard, "coroutine", 0.123)
    if is_here:
        judge.may_answer.set()
    assert asyncio.run(beside(judge, call("x"))) == 0.1
    assert judge.seen == [is_here]
    assert recorder.records[0].stage == "judge"


def test_an_obligation_that_blocks_and_refuses_names_its_policies(make_guard, recorder):
    judge = Judge()
    judge.may_answer.set()
    guard = make_guard(
        GRANT + '@id("j") @judge("slow") forbid (principal, action, resource);',
        options={"obligations": [judge]},
        **{"schema.cedarschema": TEXTS},
    )
    with pytest.raises(OutputBlocked) as caught:
        asyncio.run(caller(guard, "coroutine", "bad")("x"))
    assert caught.value.policies == ("j",)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_blocked_output_is_in_no_frame_of_the_denial(make_guard):
    guard = make_guarded(make_guard, BLOCK, Names())
    secret = "Ada " + "".join(["has ", "a ", "secret"])
    with pytest.raises(OutputBlocked) as caught:
        asyncio.run(caller(guard, "coroutine", secret)("x"))
    frame = caught.value.__traceback__
    while frame is not None:
        if "guardrail" in frame.tb_frame.f_code.co_filename.rpartition("/tests/")[2]:
            assert "a secret" not in repr(frame.tb_frame.f_locals)
        frame = frame.tb_next


def test_a_wait_for_the_shadow_alone_does_not_deny_a_change(make_guard, recorder):
    slow = Slow()
    guard = make_guarded(make_guard, SHADOW, slow)
    value = messages("Bob")
    call = caller(guard, "coroutine")
    assert asyncio.run(beside(slow, call(value), lambda: value.append(value[0]))) == "so says Ada"
    assert [record.outcome for record in recorder.records] == ["released"]


@pytest.mark.parametrize(("policies", "denials"), [(FOUND, 1), (CUT, 0), (BLOCK, 1)])
def test_a_call_that_is_only_observed_does_not_block_the_loop(make_guard, policies, denials):
    slow = Slow()
    guard = make_guarded(make_guard, policies, slow)
    with overriding(guard, unsafe_observe=True) as seen:
        released = asyncio.run(beside(slow, caller(guard, "coroutine")("Ada")))
    assert released == "so says Ada"
    assert len(seen) == denials
