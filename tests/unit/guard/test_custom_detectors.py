"""Detector kinds with their own code work in facts and obligations, and fail closed."""

import asyncio
import sys
import threading
from importlib.metadata import EntryPoint

import pytest
from bundles import GRANT, SCHEMA, principal
from name_model import Names

from guardrail import ConfigurationError, GuardUnavailable, NotAuthorized, OutputBlocked, _plugins

TEXTS = SCHEMA.replace("guardrail::TensorInput", "guardrail::TextInput")
CUT = '@id("r") @redact("{}") forbid (principal, action, resource);\n'
FOUND = (
    '@id("f") forbid (principal, action == Action::"predict", resource)'
    ' when { context.input.findings.contains("person") };\n'
)
BUNDLE = '[bundle]\nname = "small"\nversion = "1.0.0"\n'


class Raises(Names):
    def find(self, texts):
        raise RuntimeError(texts[0])


class Lies(Names):
    def find(self, texts):
        return [[(0, len(text) + 1)] for text in texts]


class Sleeps(Names):
    timeout_s = 0.02
    may_answer = threading.Event()

    def find(self, texts):
        self.may_answer.wait(0.5)
        return [[] for _ in texts]


FAILING = [Raises, Lies, Sleeps]


def guarded(make_guard, policies, kind=None, table="", output="so says Ada"):
    guard = make_guard(
        GRANT + policies,
        options={"detectors": [] if kind is None else [kind]},
        **{"guardrail.toml": BUNDLE + table, "schema.cedarschema": TEXTS},
    )

    @guard.protect(action="predict", resource='Model::"tumour"', input="text")
    def reply(text):
        return output

    return reply, guard


def ask(call, guard, text="hello"):
    with guard.acting_as(principal()):
        return call(text)


def test_it_is_a_fact(make_guard):
    call, guard = guarded(make_guard, FOUND, Names())
    assert ask(call, guard, "Bob is here")
    with pytest.raises(NotAuthorized) as caught:
        ask(call, guard, "Ada is here")
    assert caught.value.policies == ("f",)


@pytest.mark.parametrize("kind", FAILING)
def test_a_fact_of_a_kind_that_fails_denies(make_guard, recorder, kind):
    call, guard = guarded(make_guard, FOUND, kind())
    with pytest.raises(GuardUnavailable) as caught:
        ask(call, guard, "Bob is here")
    assert caught.value.code == "internal_error"
    assert "Bob" not in str(caught.value)
    assert str(caught.value).startswith("The step facts failed: the detector kind person ")
    assert [record.outcome for record in recorder.records] == ["denied"]


@pytest.mark.parametrize(
    ("demand", "expected"),
    [("person", "so says [person]"), ("person as drop", "so says …")],
)
def test_redact_cuts_it(make_guard, demand, expected):
    call, guard = guarded(make_guard, CUT.format(demand), Names())
    assert ask(call, guard) == expected


def test_redact_blocks_it(make_guard):
    call, guard = guarded(make_guard, CUT.format("person as block"), Names())
    with pytest.raises(OutputBlocked, match="person"):
        ask(call, guard)


@pytest.mark.parametrize("kind", FAILING)
@pytest.mark.parametrize("style", ["label", "block"])
def test_an_output_of_a_kind_that_fails_does_not_leave(make_guard, recorder, kind, style):
    call, guard = guarded(make_guard, CUT.format(f"person as {style}"), kind(), output="so Bob")
    with pytest.raises(GuardUnavailable) as caught:
        ask(call, guard)
    assert caught.value.code == "internal_error"
    assert "Bob" not in str(caught.value)
    assert [record.outcome for record in recorder.records] == ["blocked"]


def test_the_texts_of_an_output_are_read_in_batches(make_guard):
    names = Names()
    output = [{"note": f"Ada {row}", "by": "Bob"} for row in range(20)]
    call, guard = guarded(make_guard, CUT.format("person"), names, output=output)
    assert ask(call, guard) == [{"note": f"[person] {row}", "by": "Bob"} for row in range(20)]
    assert len(names.batches) == 2  # 20 notes, one Bob, two names of fields
    assert sorted(len(batch) for batch in names.batches) == [7, 16]


def test_a_name_with_a_finding_blocks(make_guard):
    call, guard = guarded(make_guard, CUT.format("person"), Names(), output={"Ada": "x"})
    with pytest.raises(OutputBlocked, match="finding in a name"):
        ask(call, guard)


def streamed(make_guard, kind):
    guard = make_guard(
        GRANT + CUT.format("person"),
        options={"detectors": [kind]},
        **{"guardrail.toml": BUNDLE, "schema.cedarschema": TEXTS},
    )
    started = []

    @guard.protect(action="predict", resource='Model::"tumour"', input="text")
    def reply(text):
        started.append(text)
        yield from "so says Ada, and so on, and on and on. Ada!"

    return reply, guard, started


def test_a_stream_holds_it_back(make_guard):
    reply, guard, _ = streamed(make_guard, Names())
    with guard.acting_as(principal()):
        pieces = list(reply("hello"))
    assert "".join(pieces) == "so says [person], and so on, and on and on. [person]!"
    assert len(pieces) > 2


def test_a_stream_of_a_kind_that_needs_the_whole_text_is_denied_before_the_model(make_guard):
    reply, guard, started = streamed(make_guard, Names(held_chars=None))
    with guard.acting_as(principal()), pytest.raises(OutputBlocked, match="whole texts") as caught:
        list(reply("hello"))
    assert caught.value.code == "output_blocked"
    assert caught.value.policies == ("r",)
    assert started == []


@pytest.mark.parametrize("kind", FAILING)
def test_a_stream_of_a_kind_that_fails_ends(make_guard, kind):
    reply, guard, _ = streamed(make_guard, kind())
    passed = []
    with guard.acting_as(principal()), pytest.raises(GuardUnavailable) as caught:
        passed.extend(reply("hello"))
    assert caught.value.code == "internal_error"
    assert passed == []


def test_it_works_in_a_coroutine(make_guard):
    _, guard = guarded(make_guard, FOUND + CUT.format("person"), Names())

    @guard.protect(action="predict", resource='Model::"tumour"', input="text")
    async def reply(text):
        return "so says Ada"

    async def run():
        with guard.acting_as(principal()):
            return await reply("Bob")

    assert asyncio.run(run()) == "so says [person]"


PLUGIN = '[detectors.person]\nplugin = "{}"\n'


@pytest.fixture
def installed(monkeypatch):
    """Install a package with these objects as entry points of detectors."""

    def install(**objects):
        module = type(pytest)("detector_plugin")
        vars(module).update(objects)
        monkeypatch.setitem(sys.modules, "detector_plugin", module)
        points = [
            EntryPoint(name.lower(), f"detector_plugin:{name}", "guardrail.detectors")
            for name in [*objects, "ABSENT"]
        ]
        points += [EntryPoint("unimportable", "no_such_module_here:x", "guardrail.detectors")]
        points += [
            EntryPoint("double", f"detector_plugin:{n}", "guardrail.detectors") for n in "ab"
        ]
        monkeypatch.setattr(
            _plugins, "entry_points", lambda group: [p for p in points if p.group == group]
        )

    return install


def test_a_bundle_names_it(make_guard, installed):
    installed(NAMES=Names())
    table = PLUGIN.format("names")
    table += 'timeout_s = 2.5\nbatch_size = 3\nexamples = ["Ada"]\nnot = ["Bob"]\n'
    call, guard = guarded(make_guard, FOUND + CUT.format("person"), table=table)
    assert ask(call, guard, "Bob") == "so says [person]"
    with pytest.raises(NotAuthorized):
        ask(call, guard, "Ada")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (PLUGIN.format("unimportable"), r"does not import \(ModuleNotFoundError\)"),
        (PLUGIN.format("absent"), r"does not import \(AttributeError\)"),
        (PLUGIN.format("double"), "two packages"),
        (PLUGIN.format("nams"), "is not an entry point .* Did you mean"),
        (PLUGIN.format("os:getcwd"), "of any installed package"),
        (PLUGIN.format("other"), "lacks `name`"),
        (PLUGIN.format("a_class"), "names a class"),
        (PLUGIN.format("names") + "pattern = 'x'\n", "stands alone"),
        ("[detectors.person]\nnear = ['x']\n", "`pattern` or `plugin` is required"),
        ("[detectors.person]\npattern = 'x'\ntimeout_s = 2.0\n", "are for a `plugin`"),
        ("[detectors.other]\nplugin = 'names'\n", "another `name`"),
        (PLUGIN.format("names") + "examples = ['Bob']\n", "is not found by the plug"),
        (PLUGIN.format("names") + "not = ['Ada']\n", "is found by the plug-in"),
        (PLUGIN.format("raises") + "not = ['Bob']\n", "raised RuntimeError"),
    ],
)
def test_a_table_with_a_fault_does_not_load(make_guard, installed, table, message):
    installed(NAMES=Names(), RAISES=Raises(), OTHER=object(), A_CLASS=Names)
    with pytest.raises(ConfigurationError, match=message) as caught:
        guarded(make_guard, "", table=table)
    assert [fault.code for fault in caught.value.faults] == ["GR003"]
    assert caught.value.faults[0].place.file == "guardrail.toml"


def test_two_kinds_of_one_name_do_not_load(make_guard):
    table = "[detectors.person]\npattern = 'x'\n"
    with pytest.raises(ConfigurationError, match="Two detectors have the name person"):
        guarded(make_guard, "", Names(), table=table)


def test_an_object_that_is_no_kind_does_not_load(make_guard):
    with pytest.raises(ConfigurationError, match="detectors=: the detector kind has no `name`"):
        guarded(make_guard, "", object())


def test_a_reload_keeps_it(make_guard, tmp_path):
    call, guard = guarded(make_guard, CUT.format("person"), Names())
    policies = tmp_path / "bundle" / "policies.cedar"
    policies.write_text(GRANT + CUT.format("person as drop"))
    guard.reload()
    assert ask(call, guard) == "so says …"
