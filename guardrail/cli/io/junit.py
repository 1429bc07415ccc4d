"""The test results of a bundle as JUnit XML, for build servers.

Each file is a suite and each test a case. An unexpected decision is a failure; a test that is not
valid is an error. It needs `junitparser`, of the extra ``junit``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from junitparser import Attr, Error, Failure, IntAttr, JUnitXml, TestCase, TestSuite

from guardrail._safe_text import printable
from guardrail.testing.run.report import Result


class _JUnitCase(TestCase):
    """A test case with its file and line."""

    file = Attr()
    line = IntAttr()


def to_junit(name: str, results: Iterable[tuple[Result, float]]) -> str:
    """Return results as one JUnit XML document.

    Arguments:
        name: the bundle's name.
        results: each result with the seconds that its test took.
    """
    suites: dict[str, list[TestCase]] = {}
    for result, seconds in results:
        suites.setdefault(result.place.file, []).append(_case(result, seconds))
    whole = JUnitXml(name)
    for file, cases in suites.items():
        suite = TestSuite(printable(file))
        suite.add_testcases(cases)
        whole.add_testsuite(suite)
    whole.update_statistics()  # type: ignore[no-untyped-call]
    text: bytes = whole.tostring()  # type: ignore[no-untyped-call]
    return text.decode("utf-8")


def _case(result: Result, seconds: float) -> _JUnitCase:
    file = printable(result.place.file)
    case = _JUnitCase(printable(result.name) or "the file", file, round(seconds, 6))
    case.file = file
    if result.place.line:
        case.line = result.place.line
    if result.faults:
        kind = Failure if result.outcome == "failed" else Error
        outcome = kind("; ".join(_messages(result)), result.faults[0].code)
        outcome.text = "\n".join(printable(str(fault)) for fault in result.faults)
        case.result = [outcome]
    return case


def _messages(result: Result) -> Iterator[str]:
    for fault in result.faults:
        yield printable(fault.message)
