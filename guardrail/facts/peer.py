"""Facts about the connection that a call came over.

Owns the place ``context.peer``. Refuses to guess: what nobody said of the connection is left
out, so that a policy which relies on it errs, and denies. Whoever ended the TLS connection
says it; nothing here looks at a socket or a header.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Final

from guardrail._ports import FactContext
from guardrail.values import FactValue

#: Each is a field of the peer, of the same name.
_FIELDS: Final = ("tls", "ip", "certificate_subject", "certificate_sha256")


class PeerFacts:
    """``context.peer``: ``tls``, ``ip``, ``certificate_subject`` and ``certificate_sha256``.

    An IPv4 address that came over an IPv6 socket (``::ffff:10.0.0.1``) is given as IPv4: else
    no range of IPv4 addresses that a policy names would hold it.
    """

    __slots__ = ()

    namespace = "peer"
    facts = frozenset(_FIELDS)

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the facts named, without those that nobody said."""
        peer = context.identity.peer
        found: dict[str, FactValue] = {}
        if peer is None:
            return found
        for name in names & self.facts:
            value = getattr(peer, name)
            if value is not None:
                found[name] = _address(value) if name == "ip" else value
        return found


def _address(text: str) -> FactValue:
    try:
        address = ip_address(text)
    except ValueError:
        return text  # as it stands: `policy` refuses it where it is read, and denies
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
