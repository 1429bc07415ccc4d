"""What a plug-in does wrong while a bundle loads is a load error that names the plug-in."""

import sys
from contextlib import suppress

import pytest
from bundles import GRANT
from plugged_provider import BadgeKind
from typer.testing import CliRunner

from guardrail import ConfigurationError, Guard, NotAuthorized, Principal
from guardrail._faults import faults_of
from guardrail.cli import app
from guardrail.errors import Fault, Place
from guardrail.extensions import FactSourceBase, ObligationBase
from guardrail.testing import FrozenClock

HEAD = '[bundle]\nname = "small"\nversion = "1.0.0"\n'
BADGE = HEAD + '[identity.desk]\ntype = "badge"\nid_prefix = "desk"\n'
STOP = '@id("stop") @stop("now") forbid (principal, action, resource);\n'
CANARY = "canary-5151"


class Stop(ObligationBase):
    """An obligation that no call meets."""

    name = "stop"
    on_admit = True

    def parse(self, clause):
        return (clause.argument,)

    def merge(self, one, other):
        return tuple(sorted({*one, *other}))

    def describe(self, demand):
        return list(demand)


class Way(BaseException):
    """An exception that ends a process."""


#: What a plug-in can raise to get past `except Exception`.
EXITS = [SystemExit(0), GeneratorExit(CANARY), type("Interrupt", (KeyboardInterrupt,), {})(), Way()]
WRONG = [ValueError(CANARY), StopIteration(CANARY), RecursionError(CANARY), *EXITS]


def stop(**attributes):
    return type("Stop", (Stop,), attributes)()


def raising(error):
    def call(*args, **kwargs):
        raise error

    return call


def load(folder, **options):
    return Guard.from_dir(folder, clock=FrozenClock(), sinks=(), **options)


def faults(folder, **options):
    with pytest.raises(ConfigurationError) as caught:
        load(folder, **options)
    assert CANARY not in str(caught.value)
    return caught.value.faults


# An error without faults.


def test_a_demand_with_an_error_without_faults_does_not_load(make_bundle):
    folder = make_bundle(GRANT + STOP)
    kind = stop(parse=raising(ConfigurationError("Give a time.")))
    (fault,) = faults(folder, obligations=[kind])
    assert (fault.code, str(fault.place)) == ("GR109", "policies.cedar:2:13")
    assert fault.message == "Give a time."


def test_an_error_without_a_message_gets_one(make_bundle):
    kind = stop(parse=raising(ConfigurationError()))
    (fault,) = faults(make_bundle(GRANT + STOP), obligations=[kind])
    assert "has no message" in fault.message


def test_a_link_whose_demand_has_an_error_without_faults_does_not_load(make_bundle):
    template = '@id("t") @stop("now") forbid (principal == ?principal, action, resource);\n'
    links = "- {template: t, id: one, principal: 'User::\"carl\"'}\n"

    def parse(self, clause):
        if clause.policy == "one":
            raise ConfigurationError("Give a time.")
        return (clause.argument,)

    folder = make_bundle(GRANT + template, **{"links.yaml": links})
    (fault,) = faults(folder, obligations=[stop(parse=parse)])
    assert (fault.code, fault.place.file, fault.place.line) == ("GR109", "links.yaml", 1)


def test_a_provider_that_opens_with_an_error_without_faults_does_not_load(make_bundle):
    kind = type("Kind", (BadgeKind,), {"open": raising(ConfigurationError("Name a desk."))})()
    (fault,) = faults(make_bundle(**{"guardrail.toml": BADGE}), providers=[kind])
    assert (fault.code, str(fault.place)) == ("GR003", "guardrail.toml:4:1")


@pytest.mark.parametrize("given", [(), [], None, 5, ("x",), (None, 5)])
def test_an_error_always_has_a_fault(given):
    error = ConfigurationError("Correct it.")
    error.faults = given
    assert faults_of(error, Place("f", 3)) == (Fault("GR003", Place("f", 3), "Correct it."),)


@pytest.mark.parametrize("message", [None, 5, "", " "])
def test_a_fault_always_has_a_message(message):
    error = ConfigurationError("x")
    error.message = message
    assert "has no message" in faults_of(error, Place("f"))[0].message


def test_faults_of_an_error_are_kept():
    fault = Fault("GR100", Place("x"), "Wrong.")
    assert faults_of(ConfigurationError(faults=(fault,)), Place("f")) == (fault,)


# An obligation that would never be met.


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"on_admit": False}, "Neither `on_admit` nor `on_release` of the obligation stop is true"),
        ({"on_admit": 1}, "`on_admit` of the obligation stop must be a bool, and is a int"),
        ({"on_release": None}, "`on_release` of the obligation stop must be a bool"),
        ({"on_release": "no"}, "must be a bool, and is a str"),
        ({"on_admit": property(raising(ValueError(CANARY)))}, "`on_admit` of the obligation stop"),
    ],
)
def test_an_obligation_says_when_it_is_met(make_bundle, flags, says):
    with pytest.raises(ConfigurationError) as caught:
        load(make_bundle(GRANT + STOP), obligations=[stop(**flags)])
    assert says in str(caught.value)
    assert CANARY not in str(caught.value)


def test_the_flags_of_an_obligation_are_read_once(make_guard):
    kind = stop(admit=raising(NotAuthorized("No.")))
    guard = make_guard(GRANT + STOP, options={"obligations": [kind]})
    type(kind).on_admit = False
    model = guard.protect(
        action="predict",
        resource='Model::"tumour"',
        principal=Principal("User", "clara", attrs={"department": "care"}),
        input=None,
    )(lambda text: text)
    with pytest.raises(NotAuthorized):
        model("x")


# Plug-ins that raise.


@pytest.mark.parametrize("error", WRONG, ids=repr)
def test_an_annotation_whose_plug_in_raises_does_not_load(make_bundle, error):
    (fault,) = faults(make_bundle(GRANT + STOP), obligations=[stop(parse=raising(error))])
    assert (fault.code, str(fault.place)) == ("GR109", "policies.cedar:2:13")
    assert fault.message.startswith("`parse` of the obligation stop raised ")


@pytest.mark.parametrize("error", WRONG, ids=repr)
def test_a_provider_whose_plug_in_raises_does_not_load(make_bundle, error):
    kind = type("Kind", (BadgeKind,), {"open": raising(error)})()
    (fault,) = faults(make_bundle(**{"guardrail.toml": BADGE}), providers=[kind])
    assert (fault.code, str(fault.place)) == ("GR003", "guardrail.toml:4:1")
    assert fault.message.startswith("`open` of the identity provider badge raised ")


def test_an_interrupt_of_the_user_passes(make_bundle):
    with pytest.raises(KeyboardInterrupt):
        load(make_bundle(GRANT + STOP), obligations=[stop(parse=raising(KeyboardInterrupt()))])


@pytest.mark.parametrize("error", EXITS, ids=repr)
@pytest.mark.parametrize("name", ["merge", "reads", "describe", "stage", "keys"])
def test_no_part_of_a_plug_in_ends_a_load(make_bundle, name, error):
    wrong = raising(error)
    kind = stop(**{name: property(wrong) if name in ("stage", "keys") else wrong})
    folder = make_bundle(GRANT + STOP)
    with suppress(ConfigurationError):
        load(folder, obligations=[kind])


MODULES = {
    "import": "raise {}\n",
    "getattr": "def __getattr__(name):\n    raise {}\n",
    "property": (
        "class Kind:\n    @property\n    def kind(self):\n        raise {}\nKIND = Kind()\n"
    ),
    "class": (
        "class Kind:\n    @property\n    def __class__(self):\n        raise {}\nKIND = Kind()\n"
    ),
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that installs a package with one plug-in of each group."""

    def install(source):
        site = tmp_path / "site"
        info = site / "wrong-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrong\nVersion: 1.0\n")
        (site / "wrong_plugin.py").write_text(source)
        groups = ("providers", "stores", "detectors")
        (info / "entry_points.txt").write_text(
            "".join(f"[guardrail.{each}]\nwrong = wrong_plugin:KIND\n" for each in groups)
        )
        monkeypatch.syspath_prepend(str(site))

    yield install
    sys.modules.pop("wrong_plugin", None)


TABLES = {
    "providers": '[extensions]\nproviders = ["wrong"]\n',
    "stores": '[extensions]\nstores = ["wrong"]\n',
    "detectors": '[detectors.wrong]\nplugin = "wrong"\n',
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("where", MODULES)
@pytest.mark.parametrize(
    "error", ["SystemExit(0)", "GeneratorExit()", "type('Own', (BaseException,), {})()"]
)
def test_a_plug_in_that_ends_the_process_is_a_fault(make_bundle, installed, table, where, error):
    source = MODULES[where].format(error)
    if table == "stores" or table == "detectors":
        source = source.replace("def kind", "def name")
    installed(source)
    (fault,) = faults(make_bundle(**{"guardrail.toml": HEAD + TABLES[table]}))
    assert (fault.code, fault.place.file, fault.place.line) == ("GR003", "guardrail.toml", 5)


@pytest.mark.parametrize("command", [["check"], ["test"], ["facts"]])
def test_a_command_fails_if_a_plug_in_ends_the_process(make_bundle, installed, command):
    installed("raise SystemExit(0)\n")
    folder = make_bundle(**{"guardrail.toml": HEAD + TABLES["providers"]})
    result = CliRunner().invoke(app, [*command, str(folder)])
    assert result.exit_code == 1
    assert "GR003" in result.output


# Parts that have a wrong type.


def wrong(folder, **options):
    with pytest.raises(ConfigurationError) as caught:
        load(folder, **options)
    assert CANARY not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("stage", "x"), ("stage", None), ("stage", float("nan")), ("stage", float("inf")),
        ("keys", 5), ("keys", (1,)), ("keys", "text"), ("subsumes", 5), ("outputs", 5),
        ("name", 5), ("parse", None), ("merge", 5), ("describe", "x"), ("admit", None),
        ("release", 1), ("reads", ()), ("reads", lambda self, demand: 5),
        ("reads", lambda self, demand: ("a",)), ("reads", raising(ValueError(CANARY))),
        ("stage", property(raising(ValueError(CANARY)))),
        ("keys", property(raising(ValueError(CANARY)))),
    ],
)  # fmt: skip
def test_a_part_of_an_obligation_has_its_type(make_bundle, part, value):
    text = wrong(make_bundle(GRANT + STOP), obligations=[stop(**{part: value})])
    assert f"`{part}`" in text
    assert "obligation" in text


@pytest.mark.parametrize("given", [None, 5, Stop, BadgeKind])
@pytest.mark.parametrize("argument", ["obligations", "providers", "facts"])
def test_what_is_no_plug_in_does_not_load(make_bundle, argument, given):
    wrong(make_bundle(GRANT), **{argument: [given]})


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("kind", 5), ("takes", None), ("settings", None), ("settings", int), ("settings", 5),
        ("open", None), ("lint", 5), ("kind", property(raising(ValueError(CANARY)))),
        ("settings", property(raising(ValueError(CANARY)))),
    ],
)  # fmt: skip
def test_a_part_of_a_provider_has_its_type(make_bundle, part, value):
    kind = type("Kind", (BadgeKind,), {part: value})()
    text = wrong(make_bundle(**{"guardrail.toml": BADGE}), providers=[kind])
    assert f"`{part}`" in text


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("entity_types", 5), ("entity_types", ["User"]), ("entity_types", {"User": None}),
        ("entity_types", {5: Place("f")}), ("principal_types", 5), ("principal_types", "User"),
        ("parent_types", 5), ("parent_types", None), ("authenticate", None), ("accepts", 5),
    ],
)  # fmt: skip
def test_a_part_of_an_opened_provider_has_its_type(make_bundle, part, value):
    class Kind(BadgeKind):
        def open(self, settings, context):
            opened = super().open(settings, context)
            setattr(opened, part, value)
            return opened

    (fault,) = faults(make_bundle(**{"guardrail.toml": BADGE}), providers=[Kind()])
    assert f"`{part}`" in fault.message
    assert str(fault.place) == "guardrail.toml:4:1"


@pytest.mark.parametrize("opened", [None, 5, BadgeKind])
def test_a_provider_opens_an_authenticator(make_bundle, opened):
    kind = type("Kind", (BadgeKind,), {"open": lambda *given: opened})()
    (fault,) = faults(make_bundle(**{"guardrail.toml": BADGE}), providers=[kind])
    assert "that the identity provider badge opens" in fault.message


@pytest.mark.parametrize("part", ["principal_types", "parent_types"])
def test_the_schema_must_have_the_types_of_a_provider(make_bundle, part):
    class Kind(BadgeKind):
        def open(self, settings, context):
            opened = super().open(settings, context)
            setattr(opened, part, frozenset(("Ghost",)))
            return opened

    (fault,) = faults(make_bundle(**{"guardrail.toml": BADGE}), providers=[Kind()])
    assert "no entity type Ghost" in fault.message


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("namespace", 5), ("facts", 5), ("facts", (1,)), ("plain", 5), ("compute", None),
        ("facts", property(raising(ValueError(CANARY)))),
        ("namespace", property(raising(ValueError(CANARY)))),
    ],
)  # fmt: skip
def test_a_part_of_a_fact_source_has_its_type(make_bundle, part, value):
    known = {"namespace": "desk", "facts": frozenset(("open",)), "compute": dict, part: value}
    source = type("Source", (FactSourceBase,), known)()
    assert f"`{part}`" in wrong(make_bundle(GRANT), facts=[source])


@pytest.mark.parametrize("given", [5, object(), BadgeKind])
def test_what_is_no_quota_store_does_not_load(make_bundle, given):
    assert "quota store" in wrong(make_bundle(GRANT), quota_store=given)


class Names:
    """A detector of one name."""

    name = "ada"

    def find(self, texts):
        return [[] for _ in texts]


@pytest.mark.parametrize(
    "given",
    [
        None, 5, Names, type("Names", (Names,), {"timeout_s": 10**400})(),
        type("Names", (Names,), {"name": property(raising(KeyError(CANARY)))})(),
    ],
)  # fmt: skip
def test_what_is_no_detector_does_not_load(make_bundle, given):
    assert "detector" in wrong(make_bundle(GRANT), detectors=[given])


def test_tables_of_a_plug_in_that_does_not_load_are_no_faults(make_bundle, installed):
    installed("raise ValueError\n")
    text = HEAD + TABLES["providers"] + '[identity.desk]\ntype = "wrong"\n'
    (fault,) = faults(make_bundle(**{"guardrail.toml": text}))
    assert "names a plug-in that does not import (ValueError)" in fault.message
