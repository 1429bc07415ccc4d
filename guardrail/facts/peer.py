"""Facts about the connection of a call: ``context.peer``.

The component that terminates TLS states them; this module reads no socket and no header. A fact
that was not stated is absent, so a policy that relies on it errs, and denies.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Final

from guardrail._ports import FactContext
from guardrail.values import FactValue

#: Each fact is a field of the peer with the same name.
_FIELDS: Final = ("tls", "ip", "certificate_subject", "certificate_sha256")


class PeerFacts:
    """``context.peer``: ``tls``, ``ip``, ``certificate_subject`` and ``certificate_sha256``.

    An IPv4 address from an IPv6 socket (``::ffff:10.0.0.1``) is converted to IPv4: otherwise it
    would be in no range of IPv4 addresses that a policy names.
    """

    __slots__ = ()

    namespace = "peer"
    facts = frozenset(_FIELDS)

    def compute(self, names: frozenset[str], context: FactContext) -> Mapping[str, FactValue]:
        """Return the named facts that were stated."""
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
        return text  # unchanged: if a policy reads it, the value is invalid and the call is denied
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
