"""An assertion that a call is denied with an expected code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from guardrail.errors import Denied


@dataclass(slots=True)
class Denial:
    """A denial that a test expected.

    Attributes:
        error: what was raised; ``None`` until then.
    """

    error: Denied | None = None


@contextmanager
def denied(code: str, *, policies: Sequence[str] | None = None) -> Iterator[Denial]:
    """Assert that what the ``with`` block does is denied, with one code.

    Write ``with denied("prohibited"): predict(x)``. ``pytest.raises(Denied)`` passes on a misspelt
    role, attribute or resource, too: such a call is denied whatever the policies say. Those denials
    have codes of their own (``wrong_type``, ``unknown_entity``, ``undeclared_action``), so that a
    test which names its code fails.

    Arguments:
        code: the code of the denial, such as ``no_grant``.
        policies: the ids of the policies that decide: all of them, in any order; ``None`` does
            not look at them.

    Raises:
        AssertionError: where nothing is denied, or with another code or by other policies.
    """
    __tracebackhide__ = True
    denial = Denial()
    try:
        yield denial
    except Denied as error:
        denial.error = error
    found = denial.error
    if found is None:
        raise AssertionError(f"expected a denial with {code}, and nothing was denied")
    by = f" by {', '.join(sorted(found.policies))}" if found.policies else ""
    if found.code != code:
        message = f"expected a denial with {code}; got {found.code}{by}: {found.message}"
        raise AssertionError(message) from found
    if policies is not None and set(policies) != set(found.policies):
        wanted = ", ".join(sorted(set(policies))) or "no policy"
        raise AssertionError(f"expected a denial by {wanted}; got {code}{by}") from found
