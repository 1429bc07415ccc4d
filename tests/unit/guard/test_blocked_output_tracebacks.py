"""A blocked output is in no frame of the traceback of its denial, except those of the caller."""

import asyncio
import gc
import types

import pytest
from bundles import GRANT, principal

from guardrail import OutputBlocked
from guardrail.errors import GuardrailError
from guardrail.extensions import ObligationNotMet

MAIL = "ann.canary@clinic.example"
ON = {"action": "predict", "resource": 'Model::"tumour"', "input": None}
_NOT_DATA = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType,
             types.CodeType, types.MethodType)  # fmt: skip


class Refusing:
    """An obligation that looks at the output in frames of its own, and then raises."""

    name = "refusing"
    on_admit = False
    on_release = True

    def parse(self, clause):
        return clause.argument

    def reads(self, demand):
        return ()

    def merge(self, one, other):
        return max(one, other)

    def describe(self, demand):
        return demand

    def admit(self, demand, context):
        return None

    def release(self, demand, output, context):
        text = repr(output)
        if demand == "denial":
            raise OutputBlocked("no", code="output_blocked")
        if demand == "unmet":
            raise ObligationNotMet("no", code="output_blocked")
        raise KeyError(text)


CONDITIONS = {
    "redact": '@redact("email as block")',
    "redact another kind": '@redact("email as block on text")',
    "top_k": '@top_k("1 on text")',
    "only": '@only("absent")',
    "own denial": '@refusing("denial")',
    "own unmet": '@refusing("unmet")',
    "own error": '@refusing("error")',
}


def make(make_guard, condition):
    policies = f'{GRANT}\n@id("c") {condition} forbid (principal, action, resource);'
    return make_guard(policies, options={"obligations": (Refusing(),)})


def locals_hold(error):
    """Return the functions in whose locals, or in what these hold, the address stands.

    Left aside are the callers' own frames, which hold this module with its constants.
    """
    found, trace = set(), error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        name = frame.f_code.co_name
        if not name.startswith(("by_", "test_", "main")) and _reaches(frame.f_locals):
            found.add(name)
        trace = trace.tb_next
    return found


def _reaches(values):
    seen, waiting = set(), list(values.values())
    while waiting and len(seen) < 50_000:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, (*_NOT_DATA, types.FrameType)):
            continue
        seen.add(id(part))
        if (isinstance(part, str) and MAIL in part) or (
            isinstance(part, bytes) and MAIL.encode() in part
        ):
            return True
        if isinstance(part, types.GeneratorType | types.CoroutineType):
            continue
        waiting.extend(gc.get_referents(part))
    return False


def fresh():
    """Return an output that nothing else holds: no constant of a function."""
    return {"text": ["write to ", "".join((MAIL, " now"))], "n": 1}


def by_function(guard):
    guard.protect(**ON)(fresh)()


def by_coroutine(guard):
    @guard.protect(**ON)
    async def predict():
        return fresh()

    asyncio.run(predict())


def by_block(guard):
    with guard.enforce(action="predict", resource='Model::"tumour"') as call:
        call.release(fresh())


def by_async_block(guard):
    async def main():
        async with guard.enforce(action="predict", resource='Model::"tumour"') as call:
            call.release(fresh())

    asyncio.run(main())


WAYS = (by_function, by_coroutine, by_block, by_async_block)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
def test_no_frame_holds_a_blocked_output(make_guard, way, condition):
    guard = make(make_guard, condition)
    with guard.acting_as(principal()), pytest.raises(GuardrailError) as caught:
        way(guard)
    assert locals_hold(caught.value) == set()
    assert caught.value.__context__ is None


def pieces():
    yield "write to ann.can"
    yield "".join(("write to ", MAIL))
    yield " soon"
    yield "and " * 500


def by_generator(guard):
    @guard.protect(**ON)
    def stream():
        yield from pieces()

    "".join(stream())


def by_async_generator(guard):
    @guard.protect(**ON)
    async def stream():
        for piece in pieces():
            yield piece

    async def main():
        return [piece async for piece in stream()]

    asyncio.run(main())


@pytest.mark.parametrize("way", [by_generator, by_async_generator])
def test_no_frame_holds_a_blocked_stream(make_guard, way):
    guard = make(make_guard, '@redact("email as block")')
    with guard.acting_as(principal()), pytest.raises(OutputBlocked) as caught:
        way(guard)
    assert locals_hold(caught.value) == set()


def test_no_frame_holds_what_a_generator_returned(make_guard):
    guard = make(make_guard, '@redact("email as block")')

    @guard.protect(**ON)
    def stream():
        yield "fine"
        return fresh()

    with guard.acting_as(principal()), pytest.raises(OutputBlocked) as caught:
        list(stream())
    assert locals_hold(caught.value) == set()


def test_the_hunt_finds_what_stands_in_a_frame():
    def inner(output):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        inner(fresh())
    assert locals_hold(caught.value) == {"inner"}
