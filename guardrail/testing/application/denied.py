"""An assertion that a call is denied with an expected code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from guardrail.errors import Denied


@dataclass(slots=True)
class Denial:
    """A denial that a test expects.

    Attributes:
        error: the error that was raised; ``None`` before.
    """

    error: Denied | None = None


@contextmanager
def denied(code: str, *, policies: Sequence[str] | None = None) -> Iterator[Denial]:
    """Assert that a call in the ``with`` block is denied with a code.

    Write ``with denied("prohibited"): predict(x)``. A test with ``pytest.raises(Denied)`` also
    passes on a misspelt role, attribute or resource, since such a call is denied whatever the
    policies are. These denials have codes of their own (``wrong_type``, ``unknown_entity``,
    ``undeclared_action``), so that a test with the expected code fails on them.

    Arguments:
        code: the code of the denial, such as ``no_grant``.
        policies: the ids of all policies that decide, in any order; ``None`` to ignore them.

    Raises:
        AssertionError: if nothing is denied, or a call is denied with another code or by other
            policies.
    """
    __tracebackhide__ = True
    denial = Denial()
    try:
        yield denial
    except Denied as raised:
        denial.error = raised
    error = denial.error
    if error is None:
        raise AssertionError(f"expected a denial with {code}; nothing was denied")
    by = f" by {', '.join(sorted(error.policies))}" if error.policies else ""
    if error.code != code:
        message = f"expected a denial with {code}; got {error.code}{by}: {error.message}"
        raise AssertionError(message) from error
    if policies is not None and set(policies) != set(error.policies):
        wanted = ", ".join(sorted(set(policies))) or "no policy"
        raise AssertionError(f"expected a denial by {wanted}; got {code}{by}") from error
