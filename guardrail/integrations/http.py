"""Turns a denial into an HTTP response: status, headers, and an `application/problem+json` body.

The ASGI middleware of this package and your own integrations call it after the guarded call was
denied. The response contains no message and no policy ids, and hides most causes of a failed
authentication, which are in the log. The body follows RFC 9457, the challenge RFC 6750 §3.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final

from guardrail.errors import (
    ConfigurationError,
    Denied,
    GuardUnavailable,
    InputRejected,
    NotAuthenticated,
    OutputBlocked,
    QuotaExceeded,
)

__all__ = ["ProblemResponse", "problem_response"]

#: The credential may be valid, but could not be checked: the caller may try again.
_TRY_AGAIN: Final = frozenset(("provider_unavailable", "revocations_unavailable"))
#: The causes of a failed authentication that the caller sees: a client must know when to fetch a
#: fresh token, and that it sends two credentials of one kind.
_DISCLOSED: Final = frozenset(("token_expired", "ambiguous_credential"))
#: RFC 9110 §5.6.4: the characters that a quoted string contains unescaped.
_REALM: Final = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
#: The longest `Retry-After`: a year.
_LIMIT_WAIT_S: Final = 366 * 24 * 3600
_TITLES: Final = {
    400: "The request has more than one credential of a kind.",
    401: "The caller is not authenticated.",
    403: "The call is not allowed.",
    413: "The input is too large.",
    422: "The input is not accepted.",
    429: "A quota is spent.",
    503: "The call can't be decided now.",
}


@dataclass(frozen=True, slots=True)
class ProblemResponse:
    """The HTTP response to a denied call.

    Attributes:
        status: the HTTP status, such as 403.
        headers: pairs of name and value. Names are lower case; values are ASCII.
        body: JSON, in ASCII.
        code: the code in the body, for a protocol that has no body, such as gRPC. It is the
            code of the denial, or ``not_authenticated`` if the caller may not see the cause.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    code: str


def problem_response(
    denial: Denied, *, realm: str = "guardrail", has_credential: bool = True
) -> ProblemResponse:
    """Return the HTTP response to a denied call.

    Arguments:
        denial: the exception that `Guard.acting_as` or the guarded call raised.
        realm: the realm of the ``WWW-Authenticate`` header: printable ASCII without quotes and
            backslashes.
        has_credential: whether the request has a credential. Without one, the challenge does not
            report an invalid token (RFC 6750 §3.1).

    Raises:
        ConfigurationError: if ``realm`` contains other characters.
    """
    check_realm(realm)
    status = _status(denial)
    code = denial.code
    title = "The output may not leave." if isinstance(denial, OutputBlocked) else _TITLES[status]
    # The path of a failed authentication would name a claim that the provider maps.
    details = {"decision_id": denial.decision_id}
    if not isinstance(denial, NotAuthenticated):
        # The caller may not see which missing value kept a grant from being evaluated.
        path = "" if code in ("missing_claim", "no_grant") else denial.path
        details |= {"path": path, "reason": denial.reason}
    elif status != 503 and code not in _DISCLOSED:
        code = "not_authenticated"
    members = {"type": f"urn:guardrail:{code}", "title": title, "status": status, "code": code}
    members |= {name: value for name, value in details.items() if value}
    body = json.dumps(members).encode("ascii")
    headers = [
        ("content-type", "application/problem+json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
    ]
    if status in (400, 401):
        headers.append(("www-authenticate", _challenge(status, realm, has_credential)))
    if status in (429, 503) and (seconds := _retry_after(denial.retry_after_s)):
        headers.append(("retry-after", str(seconds)))
    return ProblemResponse(status, tuple(headers), body, code)


def check_realm(realm: str) -> None:
    """Raise `ConfigurationError` if a realm would have to be escaped in a header."""
    if _REALM.fullmatch(realm) is None:
        raise ConfigurationError(
            "`realm` has a quote, a backslash, or a character that is not printable ASCII. Remove "
            "it."
        )


def _status(denial: Denied) -> int:
    """Return the HTTP status of a denial.

    `OutputBlocked` is a 403, not a 5xx: it is a decision about this caller, not a failure. A
    client, a proxy or a mesh that repeats a 5xx would run the model once more, spend the quota,
    and take a healthy server out of service.
    """
    if isinstance(denial, NotAuthenticated):
        if denial.code in _TRY_AGAIN:
            return 503
        return 400 if denial.code == "ambiguous_credential" else 401  # RFC 6750 §3.1
    if isinstance(denial, InputRejected):
        return 413 if denial.code == "too_large" else 422
    if isinstance(denial, QuotaExceeded):
        return 429
    return 503 if isinstance(denial, GuardUnavailable) else 403


def _challenge(status: int, realm: str, has_credential: bool) -> str:
    challenge = f'Bearer realm="{realm}"'
    if status == 400:
        challenge += ', error="invalid_request"'
    elif has_credential:
        challenge += ', error="invalid_token"'
    return challenge


def _retry_after(seconds: Any) -> int:
    """Return whole seconds for `Retry-After` (RFC 9110 §10.2.3); 0 if the time is unknown.

    A plug-in can deny with anything. A time that is no finite number, is negative or is longer
    than a year is unknown.
    """
    if type(seconds) not in (int, float) or not 0 <= seconds <= _LIMIT_WAIT_S:
        return 0
    return max(1, math.ceil(float(seconds)))
