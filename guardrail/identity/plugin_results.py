"""Checks what a provider of identities returns or raises when it authenticates a caller.

A provider can be an application's own code. What it raises becomes a denial with a code, so that
the failed authentication is recorded, without the text of the exception. An identity is accepted
only if each of its fields has exactly the declared type: a subclass could compare as it likes.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from guardrail._plugins import class_of, raised_at
from guardrail._type_names import a_type
from guardrail.errors import Denied, GuardUnavailable
from guardrail.identity.tokens.verifier import KeysNeeded
from guardrail.values import Evidence, Identity, Peer, Principal

T = TypeVar("T")

_CODE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def call_provider(call: Callable[[], T], what: str) -> T:
    """Return what a provider returns when it authenticates a caller.

    Arguments:
        call: calls the provider.
        what: what is called, for messages: "`accepts` of the identity provider desk".

    Raises:
        KeysNeeded: if the provider raises it.
        Denied: a copy of what the provider raises. One exception can be raised for many callers,
            and each denial has its own record.
        GuardUnavailable: ``internal_error`` for every other exception.
    """
    try:
        return call()
    except KeysNeeded:
        raise
    except Exception as error:  # noqa: BLE001 (an application's own code raises anything)
        denial = denial_of(error, what)
    raise denial


def denial_of(error: Exception, what: str) -> Denied:
    """Return the denial for an exception of a provider: a new object, without its traceback.

    It has the class and the fields of a denial that the provider raised. It is ``internal_error``
    for every other exception, and if a field has another type than `Denied` declares.
    """
    if not issubclass(type(error), Denied):
        place = raised_at(error)
        return GuardUnavailable(f"{what} raised {class_of(error)}{place}. The caller is denied.")
    given: dict[str, Any] = {"code": getattr(type(error), "code", None), **error.__dict__}
    fields = {name: given.get(name) for name in _FIELDS}
    if not all(is_valid(fields[name]) for name, is_valid in _FIELDS.items()):
        return GuardUnavailable(
            f"{what} raised {class_of(error)} with a field of a wrong type. The caller is denied."
        )
    denial: Any = BaseException.__new__(type(error))  # its own `__init__` can need arguments
    denial.args = (fields["message"],)
    denial.__dict__.update(fields, decision_id="")
    return cast("Denied", denial)


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_code(value: object) -> bool:
    return type(value) is str and _CODE.fullmatch(value) is not None


def _are_texts(value: object) -> bool:
    return type(value) is tuple and all(type(each) is str for each in value)


def _is_wait(value: Any) -> bool:
    return value is None or (is_time(value) and value >= 0)


_FIELDS: Final[Mapping[str, Callable[[object], bool]]] = {
    "message": _is_text,
    "code": _is_code,
    "policies": _are_texts,
    "errors": _are_texts,
    "path": _is_text,
    "reason": _is_text,
    "retry_after_s": _is_wait,
}


def is_time(value: object) -> bool:
    """Tell whether a value is a finite number, and no bool."""
    if type(value) is int:
        return -(2**63) < value < 2**63
    return type(value) is float and math.isfinite(value)


def checked_bool(value: Any, what: str) -> bool:
    """Return a bool that a provider returned; anything else is ``internal_error``."""
    if type(value) is not bool:
        raise _unfit(value, what, "a bool")
    return value


def checked_identity(value: Any, what: str) -> Identity:
    """Return an identity that a provider returned; anything else is ``internal_error``."""
    if type(value) is not Identity:
        raise _unfit(value, what, "an `Identity`")
    principal = value.principal
    if type(principal) is not Principal:
        raise _unfit(principal, what, "a `Principal` as `principal`")
    for name in ("type", "id"):
        text = getattr(principal, name)
        if type(text) is not str:
            raise _unfit(text, what, f"a text as `principal.{name}`")
    for name, (is_valid, expected) in _IDENTITY.items():
        field = getattr(value, name)
        if not is_valid(field):
            raise _unfit(field, what, f"{expected} as `{name}`")
    return value


def _are_scopes(value: Any) -> bool:
    if value is None:
        return True
    return type(value) is frozenset and all(type(scope) is str for scope in value)


_TEXT: Final = (_is_text, "a text")
_BOOL: Final = (lambda value: type(value) is bool, "a bool")
_TIME: Final = (lambda value: value is None or is_time(value), "a finite number of seconds")
_IDENTITY: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "provider": _TEXT,
    "issuer": _TEXT,
    "method": _TEXT,
    "mfa": _BOOL,
    "authenticated_at": _TIME,
    "expires_at": _TIME,
    "delegated": _BOOL,
    "actor": _TEXT,
    "scopes": (_are_scopes, "a frozenset of texts"),
    "subject": _TEXT,
    "token_id": _TEXT,
    "issued_at": _TIME,
    "peer": (lambda value: value is None or type(value) is Peer, "a `Peer`"),
    "evidence": (lambda value: value is None or type(value) is Evidence, "an `Evidence`"),
}


def _unfit(value: Any, what: str, expected: str) -> GuardUnavailable:
    if inspect.iscoroutine(value):
        value.close()  # nobody awaits it
    return GuardUnavailable(
        f"{what} must return {expected}, and returned {a_type(value)}. The caller is denied. "
        "Correct the provider."
    )
