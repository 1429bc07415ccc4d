"""Fetch one document over https, bounded in time and in size.

It never runs on the thread of a call: see `key_sources`. Error messages hold no part of the
response.
"""

from __future__ import annotations

import ssl
from typing import Final

from guardrail._http_client import Deadline, RequestFailed, send

_OK: Final = 200


class FetchFailed(Exception):
    """A document could not be fetched; the message says why."""


def fetch(url: str, *, context: ssl.SSLContext, timeout_s: float, limit_bytes: int) -> bytes:
    """Return the body at an https address; ``timeout_s`` is for the whole request.

    Raises `FetchFailed`.
    """
    try:
        answer = send(
            url,
            deadline=Deadline(timeout_s),
            limit_bytes=limit_bytes,
            context=context,
            headers={"Accept": "application/json"},
        )
    except RequestFailed as error:
        complaint = str(error)
    else:
        if answer.status != _OK:
            complaint = f"the response has status {answer.status}"
        elif not answer.is_whole:
            complaint = f"the response is over {limit_bytes} bytes, or was cut short"
        else:
            return answer.body
    raise FetchFailed(complaint)
