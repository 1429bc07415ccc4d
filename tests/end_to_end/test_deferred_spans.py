"""Deferred spans in whole processes: one per call, at exit, after a fork, on every path."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from bundles import GRANT, principal
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from guardrail import Denied

ROOT = Path(__file__).parents[2]
FOREVER_S = 60.0
ROWS = np.ones((2, 3))
ON = {"action": "predict", "resource": 'Model::"tumour"'}
POLICIES = GRANT + '@id("in") @input("patients") forbid (principal, action, resource);'
TOML = '[bundle]\nname = "small"\nversion = "1.0.0"\n[audit]\nspans = "{}"\n'

#: What every script begins with: an exporter that prints one line per span, as spans come.
PRELUDE = """
import atexit, json, os, sys, threading
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from guardrail.audit import DeferredSpans
from records import record

def line(span):
    return json.dumps([os.getpid(), span.attributes["guardrail.decision.id"]]) + "\\n"

def set_up():
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(formatter=line)))
    trace.set_tracer_provider(provider)
    return provider

def call(sink, name, number=100):
    for index in range(number):
        handle = sink.begin("g", "predict", "f")
        sink.end(handle, record(decision_id=f"{name}-{index}"))
"""


def finished(script, *options):
    """Return the finished process of a script."""
    return subprocess.run(  # noqa: S603  our own interpreter, on a text of our own
        [sys.executable, *options, "-c", PRELUDE + script],
        capture_output=True,
        text=True,
        timeout=FOREVER_S,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
    )


def run(script):
    """Return the (process, decision id) of each span that a script's processes exported."""
    done = finished(script, "-W", "error")
    assert done.stderr == ""
    return [json.loads(text) for text in done.stdout.splitlines()]


def expect(*names, number=100):
    return sorted(f"{name}-{index}" for name in names for index in range(number))


@pytest.mark.parametrize(
    "order",
    [
        "set_up(); sink = DeferredSpans(); call(sink, 'a')",
        "sink = DeferredSpans(); set_up(); call(sink, 'a')",  # its exit handler runs before ours
        "sink = DeferredSpans(tracer_provider=set_up()); call(sink, 'a')",
        "set_up(); sink = DeferredSpans(linger_s=3600); call(sink, 'a')",
        "set_up(); call(DeferredSpans(), 'a')",  # nobody holds it any more
        "set_up(); sink = DeferredSpans(limit=3); call(sink, 'a')",
        "set_up(); sink = DeferredSpans(); call(sink, 'a'); sys.exit(0)",
    ],
)
def test_every_record_has_its_span_when_the_process_ends(order):
    assert sorted(name for _, name in run(order)) == expect("a")


def test_a_provider_that_comes_after_the_first_call_is_not_shut_down_too_early():
    spans = run("""
sink = DeferredSpans()
call(sink, "lost")  # before there is a provider, as inline
assert sink.flush(60)
set_up()
call(sink, "a")
""")
    assert sorted(name for _, name in spans) == expect("a")


def test_a_call_in_an_exit_handler_has_its_span():
    spans = run("""
provider = set_up()
sink = DeferredSpans()
atexit.register(lambda: (call(sink, "late", 1), provider.force_flush()))
call(sink, "a")
atexit.register(call, sink, "early", 1)
""")
    assert sorted(name for _, name in spans) == sorted([*expect("a"), "early-0", "late-0"])


def test_threads_that_are_still_calling_lose_nothing_at_exit():
    # Fewer in all than the SDK's batch processor holds, which drops what is more.
    spans = run("""
set_up()
sink = DeferredSpans(linger_s=0)
for number in range(8):
    threading.Thread(target=call, args=(sink, number, 200)).start()
""")
    assert sorted(name for _, name in spans) == expect(*range(8), number=200)


@pytest.mark.parametrize("exit_by", ["", "call(sink, 'again'); "])
def test_a_forked_child_has_its_own_spans_and_no_others(exit_by):
    spans = run(f"""
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads, from 3.12 on
set_up()
sink = DeferredSpans(linger_s=3600)
call(sink, "before")
child = os.fork()
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    call(sink, "parent")
else:
    call(sink, "child")
    {exit_by}sys.exit(0)
""")
    by_process = {}
    for process, name in spans:
        by_process.setdefault(process, []).append(name)
    again = ["again"] if exit_by else []
    assert sorted(map(sorted, by_process.values())) == sorted(
        [expect("before", "parent"), expect("child", *again)]
    )


def test_an_exporter_that_hangs_does_not_hang_the_exit_and_the_log_has_the_records():
    done = finished("""
from opentelemetry.sdk.trace import SpanProcessor
from guardrail.audit.telemetry import background_queue
background_queue.EXIT_S = 0.2
class Hanging(SpanProcessor):
    def on_end(self, span):
        threading.Event().wait()
provider = TracerProvider()
provider.add_span_processor(Hanging())
sink = DeferredSpans(tracer_provider=provider)
call(sink, "a", 4)
""")
    lines = done.stderr.splitlines()
    kept = [json.loads(line.partition(": ")[2])["guardrail.decision.id"] for line in lines]
    assert kept == ["a-1", "a-2", "a-3"]


# Through a guard.


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def make(make_guard, exporter):
    providers = []

    def make(spans):
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        providers.append(provider)
        options = {"sinks": None, "tracer_provider": provider}
        return make_guard(POLICIES, options=options, **{"guardrail.toml": TOML.format(spans)})

    yield make
    for provider in providers:
        provider.shutdown()


def plain(rows):
    return 1


def failing(rows):
    raise ValueError("secret")


def items(rows):
    yield from range(3)


async def coroutine(rows):
    return 1


async def sleeper(rows):
    await asyncio.Event().wait()


def consumed(guard, call):
    return lambda: list(call(ROWS))


def abandoned(guard, call):
    def run():
        stream = call(ROWS)
        next(stream)
        stream.close()

    return run


def awaited(guard, call):
    return lambda: asyncio.run(call(ROWS))


def cancelled(guard, call):
    async def run():
        task = asyncio.create_task(call(ROWS))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return lambda: asyncio.run(run())


def enforced(guard, call):
    def run():
        with guard.enforce(**ON, input=ROWS) as block:
            block.release(call(ROWS))

    return run


PATHS = {
    "released": (plain, lambda guard, call: lambda: call(ROWS)),
    "denied": (plain, lambda guard, call: lambda: call(ROWS * np.nan)),
    "raised": (failing, lambda guard, call: lambda: call(ROWS)),
    "released, a stream": (items, consumed),
    "abandoned": (items, abandoned),
    "released, awaited": (coroutine, awaited),
    "cancelled": (sleeper, cancelled),
    "released, two": (plain, enforced),
}


@pytest.mark.parametrize("path", PATHS)
def test_each_path_has_the_same_spans_inline_and_deferred(make, exporter, path):
    function, take = PATHS[path]
    seen = {}
    for spans in ("inline", "deferred"):
        guard = make(spans)
        run = take(guard, guard.protect(**ON, input="rows")(function))
        with guard.acting_as(principal()), suppress(Denied, ValueError):
            run()
        assert guard.flush()
        seen[spans] = [
            {
                name: value
                for name, value in span.attributes.items()
                if not name.endswith((".id", ".duration", ".parent_id", ".revision"))
            }
            for span in sorted(exporter.get_finished_spans(), key=lambda span: span.end_time)
        ]
        exporter.clear()
    assert seen["inline"] == seen["deferred"]
    assert len(seen["deferred"]) == (2 if path == "released, two" else 1)
    assert seen["deferred"][0]["guardrail.call.outcome"] == path.partition(",")[0]


def test_a_reload_that_defers_the_spans_takes_effect(make_bundle, exporter, make):
    guard = make("inline")
    predict = guard.protect(**ON, input="rows")(plain)
    make_bundle(POLICIES, **{"guardrail.toml": TOML.format("deferred")})
    with guard.acting_as(principal()):
        predict(ROWS)
        assert len(exporter.get_finished_spans()) == 1
        assert guard.reload().changed
        predict(ROWS)
    assert not guard._trail.frames
    assert guard.flush()
    assert len(exporter.get_finished_spans()) == 2
