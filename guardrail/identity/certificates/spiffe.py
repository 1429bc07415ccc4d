"""SPIFFE IDs: ``spiffe://trust-domain/path``.

Owns their grammar (the SPIFFE ID specification, §2). Refuses what the grammar leaves out rather
than mending it: a name that two readers could read as two names is none. So there is no case
to fold, nothing percent-encoded, and no segment that is empty, ``.`` or ``..``.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: §2.3, in characters, which all are ASCII.
LIMIT_CHARS: Final = 2048

#: §2.1: what a trust domain is made of.
TRUST_DOMAIN: Final = r"[a-z0-9._-]{1,255}"
_ID: Final = re.compile(rf"spiffe://({TRUST_DOMAIN})((?:/[A-Za-z0-9._-]+)+)")


class SpiffeId(NamedTuple):
    """The id of a workload: whole, and its trust domain."""

    text: str
    trust_domain: str


def read_spiffe_id(text: str) -> SpiffeId | None:
    """Return the id of a workload that a text is; ``None`` where it is none.

    One without a path names a trust domain, and so no workload (X.509-SVID §3.1).
    """
    found = _ID.fullmatch(text) if len(text) <= LIMIT_CHARS else None
    if found is None or not {"", ".", ".."}.isdisjoint(found[2].split("/")[1:]):
        return None
    return SpiffeId(text, found[1])
