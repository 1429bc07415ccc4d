"""A denial as an HTTP answer: status, headers, and a body of `application/problem+json`.

Owns the one table from denials to statuses, and what a caller is told. Refuses to tell more:
no message, no policy ids, and of a failed authentication hardly the cause, which stands in
the log. RFC 9457 has the body, RFC 6750 §3 the challenge.
"""

from __future__ import annotations

import json
import math
from typing import Final, NamedTuple

from guardrail.errors import (
    Denied,
    GuardUnavailable,
    InputRejected,
    NotAuthenticated,
    OutputBlocked,
    QuotaExceeded,
)

#: Nothing is wrong with what the caller brought: we could not find out, and they may try again.
_UNKNOWN: Final = frozenset(("provider_unavailable", "revocations_unavailable"))
#: The causes that a caller is told: a client must know when to fetch a fresh token, and that
#: it sends two of something.
_TOLD: Final = frozenset(("token_expired", "ambiguous_credential"))
_TITLES: Final = {
    400: "The credential must be sent once, in one way.",
    401: "The caller is not authenticated.",
    403: "The call is not allowed.",
    413: "The input is too large.",
    422: "The input is not accepted.",
    429: "A quota is spent.",
    503: "The call can't be decided now.",
}


class Problem(NamedTuple):
    """An answer: its status, its headers as ASGI has them, its body, and the code in it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    code: str


def status_of(denial: Denied) -> int:
    """Return the HTTP status that a denial has.

    `OutputBlocked` is a 403 and no 5xx: it is a decision about this caller, not a failure.
    A client, a proxy or a mesh that repeats a 5xx would run the model once more, spend the
    quota, and take a healthy server out of service.
    """
    if isinstance(denial, NotAuthenticated):
        if denial.code in _UNKNOWN:
            return 503
        return 400 if denial.code == "ambiguous_credential" else 401  # RFC 6750 §3.1
    if isinstance(denial, InputRejected):
        return 413 if denial.code == "too_large" else 422
    if isinstance(denial, QuotaExceeded):
        return 429
    return 503 if isinstance(denial, GuardUnavailable) else 403


def problem_of(denial: Denied, *, realm: str, challenged: bool) -> Problem:
    """Return the answer that a denial has.

    Arguments:
        denial: what was raised.
        realm: the realm of the challenge: printable ASCII without quotes and backslashes.
        challenged: whether the caller brought a credential; only then is it called wrong.
    """
    status = status_of(denial)
    code = denial.code
    title = "The output may not leave." if isinstance(denial, OutputBlocked) else _TITLES[status]
    # Of a failed authentication, `path` would name a claim that the provider maps.
    told = {"decision_id": denial.decision_id}
    if not isinstance(denial, NotAuthenticated):
        # That a grant could not be evaluated, and for lack of what, is nothing for a caller.
        path = "" if code in ("missing_claim", "no_grant") else denial.path
        told |= {"path": path, "reason": denial.reason}
    elif status != 503 and code not in _TOLD:
        code = "not_authenticated"
    members = {"type": f"urn:guardrail:{code}", "title": title, "status": status, "code": code}
    members |= {name: value for name, value in told.items() if value}
    body = json.dumps(members).encode("ascii")
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
    ]
    if status in (400, 401):
        headers.append((b"www-authenticate", _challenge(status, realm, challenged)))
    if status in (429, 503) and (seconds := _whole(denial.retry_after_s)):
        headers.append((b"retry-after", str(seconds).encode("ascii")))
    return Problem(status, headers, body, code)


def _challenge(status: int, realm: str, challenged: bool) -> bytes:
    challenge = f'Bearer realm="{realm}"'
    if status == 400:
        challenge += ', error="invalid_request"'
    elif challenged:
        challenge += ', error="invalid_token"'
    return challenge.encode("ascii")


def _whole(seconds: float | None) -> int:
    """Return seconds as `Retry-After` has them (RFC 9110 §10.2.3); 0 where nobody knows."""
    if seconds is None or not math.isfinite(seconds):
        return 0
    return max(1, math.ceil(seconds))
