"""SPIFFE IDs: ``spiffe://trust-domain/path``.

The grammar is §2 of the SPIFFE ID specification. An id outside of the grammar is rejected and not
corrected, since two readers could read it as two names: there is no case folding, no
percent-encoding, and no segment that is empty, ``.`` or ``..``.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: §2.3, in characters, all of which are ASCII.
LIMIT_CHARS: Final = 2048

#: §2.1: the pattern of a trust domain.
TRUST_DOMAIN: Final = r"[a-z0-9._-]{1,255}"
_ID: Final = re.compile(rf"spiffe://({TRUST_DOMAIN})((?:/[A-Za-z0-9._-]+)+)")


class SpiffeId(NamedTuple):
    """A workload's id, and its trust domain."""

    text: str
    trust_domain: str


def read_spiffe_id(text: str) -> SpiffeId | None:
    """Return a workload's SPIFFE ID from a text; ``None`` if it is not one.

    An id without a path names a trust domain, not a workload (X.509-SVID §3.1).
    """
    found = _ID.fullmatch(text) if len(text) <= LIMIT_CHARS else None
    if found is None or not {"", ".", ".."}.isdisjoint(found[2].split("/")[1:]):
        return None
    return SpiffeId(text, found[1])
