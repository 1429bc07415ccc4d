"""A plug-in that returns or raises what its port does not allow denies the call, and is named."""

import asyncio

import pytest
from bundles import GRANT, principal
from typer.testing import CliRunner

from guardrail import Denied, GuardUnavailable, NotAuthorized
from guardrail.cli import app
from guardrail.extensions import BlockingStep, ObligationBase, ObligationNotMet, SinkBase

ON = {"action": "predict", "resource": 'Model::"tumour"', "input": None}
OWN = GRANT + '@id("own") @own("1") forbid (principal, action, resource);'


class Own(ObligationBase):
    name = "own"

    def parse(self, clause):
        return 1

    def merge(self, one, other):
        return one

    def describe(self, demand):
        return demand


def admitting(admit):
    kind = type("Admitting", (Own,), {"on_admit": True})
    kind.admit = lambda self, demand, context: admit()
    return kind()


def releasing(release):
    kind = type("Releasing", (Own,), {"on_release": True})
    kind.release = lambda self, demand, output, context: release()
    return kind()


def fail(error):
    raise error


async def later(*_):
    raise ObligationNotMet("no")


def generated(*_):
    raise ObligationNotMet("no")
    yield


class Duck:
    then = None

    @staticmethod
    def work():
        return None


@pytest.fixture
def denial(make_guard, recorder):
    """Return a function that calls a model under an obligation; it returns the denial."""

    def denial(own, style="sync", ran=None, output="text", **options):
        guard = make_guard(OWN, options={"obligations": [own], **options})
        ran = [] if ran is None else ran

        def model():
            ran.append(1)
            return output

        async def coroutine():
            return model()

        def generator():
            ran.append(1)
            yield output

        made = {"sync": model, "async": coroutine, "generator": generator}[style]
        predict = guard.protect(**ON)(made)
        run = {"sync": lambda made: made, "async": asyncio.run, "generator": list}[style]
        with guard.acting_as(principal()), pytest.raises(Denied) as caught:
            run(predict())
        (record,) = recorder.records
        assert record.code == caught.value.code
        assert "secret" not in repr(record) + str(caught.value)
        return caught.value

    return denial


@pytest.mark.parametrize("style", ["sync", "async", "generator"])
@pytest.mark.parametrize("work", [later, generated, lambda: iter(())])
def test_work_whose_result_comes_later_denies(denial, work, style):
    ran = []
    error = denial(admitting(lambda: BlockingStep(work)), style, ran)
    assert not ran
    assert error.code == "internal_error"
    assert "own" in str(error)
    assert "BlockingStep" in str(error)


@pytest.mark.parametrize("style", ["sync", "async", "generator"])
@pytest.mark.parametrize("result", [True, False, 7, Duck(), Duck])
def test_an_admit_that_returns_no_step_denies_and_names_the_obligation(denial, result, style):
    ran = []
    error = denial(admitting(lambda: result), style, ran)
    assert not ran
    assert str(error).startswith("The step own failed: it returned a")
    assert "`ObligationNotMet`" in str(error)


def test_a_then_that_is_a_coroutine_function_denies_after_a_wait(denial):
    assert "values come later" in str(denial(admitting(lambda: BlockingStep(int, later))))


def test_a_class_that_is_no_step_after_a_wait_denies(denial):
    assert "own" in str(denial(admitting(lambda: BlockingStep(int, lambda _: Duck())), "async"))


@pytest.mark.parametrize("style", ["sync", "async"])
@pytest.mark.parametrize("step", [lambda: BlockingStep(later), Duck, later])
def test_a_sink_whose_end_does_not_end_blocks_the_result(make_guard, style, step):
    class Late(SinkBase):
        def end(self, handle, record):
            return step()

    guard = make_guard(GRANT, options={"sinks": [Late()]})

    async def coroutine():
        return 1

    predict = guard.protect(**ON)(coroutine if style == "async" else lambda: 1)
    with guard.acting_as(principal()), pytest.raises(GuardUnavailable) as caught:
        asyncio.run(predict()) if style == "async" else predict()
    assert caught.value.code == "audit_unavailable"


@pytest.mark.parametrize("style", ["sync", "async"])
@pytest.mark.parametrize("release", [later, generated, asyncio.Future.__new__, lambda: iter("x")])
def test_a_release_whose_result_comes_later_blocks(denial, release, style):
    made = (lambda: release(asyncio.Future)) if release is asyncio.Future.__new__ else release
    error = denial(releasing(made), style)
    assert error.code == "internal_error"
    assert "`release` returned" in str(error)


@pytest.mark.parametrize("style", ["sync", "async"])
def test_a_blocking_release_whose_result_comes_later_blocks(denial, style):
    own = releasing(later)
    type(own).release_blocks = lambda self, demand: True
    assert "`release` returned" in str(denial(own, style))


def streaming(feed=lambda text: text, close=lambda: "", **parts):
    own = releasing(lambda: None)

    class Filter:
        pass

    made = Filter()
    made.feed, made.close = feed, close
    type(own).stream = lambda self, demand, context: made
    for name, part in parts.items():
        setattr(type(own), name, part)
    return own


@pytest.mark.parametrize("value", [None, 5, b"x"])
@pytest.mark.parametrize("part", ["feed", "close"])
def test_a_filter_that_returns_no_text_blocks(denial, part, value):
    error = denial(streaming(**{part: lambda *_: value}), "generator")
    assert f"`{part}` of a stream returned" in str(error)


@pytest.mark.parametrize("part", ["feed", "close"])
def test_a_filter_that_is_a_coroutine_function_blocks(denial, part):
    assert "a coroutine" in str(denial(streaming(**{part: later}), "generator"))


@pytest.mark.parametrize("made", [5, Duck()])
def test_a_stream_that_returns_no_filter_denies_before_the_model(denial, made):
    ran = []
    own = streaming(stream=lambda self, demand, context: made)
    assert "`stream` of @own" in str(denial(own, "generator", ran))
    assert not ran


def test_a_carrier_whose_text_is_none_blocks(denial):
    class Carrier:
        def text_of(self, item):
            return 5

        def with_text(self, item, text):
            return text

    own = streaming(carrier=lambda self, demand: Carrier())
    assert "`text_of` of a stream returned a int" in str(denial(own, "generator"))


WRONG_FIELDS = [
    {"policies": "abc"}, {"policies": 7}, {"policies": False}, {"policies": (1,)}, {"code": 5},
    {"code": 1.5}, {"code": ("a",)}, {"code": None}, {"code": b"secret"}, {"code": ""},
    {"code": "released"}, {"code": "allow"}, {"code": "secret" * 200}, {"code": "a b"},
    {"path": 5}, {"retry_after_s": "secret"}, {"retry_after_s": float("nan")},
    {"retry_after_s": -1.0}, {"retry_after_s": 10**400}, {"retry_after_s": True},
]  # fmt: skip


@pytest.mark.parametrize("fields", WRONG_FIELDS)
@pytest.mark.parametrize("make", [ObligationNotMet, NotAuthorized])
@pytest.mark.parametrize("place", [admitting, releasing])
def test_a_refusal_with_a_wrong_field_is_an_internal_error(denial, place, make, fields):
    if make is NotAuthorized and fields == {"code": None}:
        fields = {"code": 5}  # None stands for the code of the class
    error = denial(place(lambda: fail(make("m", **fields))))
    (name,) = fields
    assert error.code == "internal_error"
    assert error.policies == ()
    assert f"raised {make.__name__} with a wrong `{name}`" in str(error)
    assert "own" in str(error)


def test_a_message_that_is_no_text_is_an_internal_error(denial):
    assert "`message`" in str(denial(admitting(lambda: fail(ObligationNotMet(5)))))


class Lying(ObligationNotMet):
    def denial(self, policies=()):
        raise SystemExit

    @property
    def __class__(self):
        return Denied


@pytest.mark.parametrize("place", [admitting, releasing])
def test_the_methods_of_a_refusal_are_not_called(denial, place):
    error = denial(place(lambda: fail(Lying("no"))))
    assert (type(error), error.code, error.policies) == (
        NotAuthorized, "obligation_failed", ("own",),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [ObligationNotMet, NotAuthorized, ValueError])
@pytest.mark.parametrize("place", [admitting, releasing])
def test_one_exception_for_several_calls_gives_each_its_own_denial(
    make_guard, recorder, place, kind
):
    shared = kind("no")
    guard = make_guard(OWN, options={"obligations": [place(lambda: fail(shared))]})
    predict = guard.protect(**ON)(lambda: "text")
    errors = []
    with guard.acting_as(principal()):
        for _ in range(3):
            with pytest.raises(Denied) as caught:
                predict()
            errors.append(caught.value)
    assert len({id(error) for error in errors}) == 3
    assert shared not in errors
    assert [error.decision_id for error in errors] == [
        record.decision_id for record in recorder.records
    ]
    assert shared.__traceback__ is None
    assert not getattr(shared, "decision_id", "")


def test_a_journal_of_refusals_with_wrong_fields_verifies(make_guard, tmp_path):
    raised = [ObligationNotMet("m", **fields) for fields in WRONG_FIELDS]
    guard = make_guard(
        OWN,
        options={
            "obligations": [admitting(lambda: fail(raised.pop()))],
            "journal": tmp_path / "journal",
        },
    )
    predict = guard.protect(**ON)(lambda: 1)
    with guard.acting_as(principal()):
        for _ in WRONG_FIELDS:
            with pytest.raises(GuardUnavailable):
                predict()
    guard.close()
    verified = CliRunner().invoke(app, ["journal", "verify", str(tmp_path / "journal")])
    assert verified.exit_code == 0, verified.output
