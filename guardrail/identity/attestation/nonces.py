"""Nonces that callers have their machines' evidence made for: each is taken once.

Owns which nonces this process has given out and not seen again yet. Refuses one that it never
gave out, one that it has seen before, and one that is too old: evidence that holds such a nonce
is a replay. In the flow `issue` comes before a caller asks its platform for evidence, and
`take` when the evidence arrives.

Bounded: whoever can ask for nonces can ask for many, so that at the limit the oldest goes. A
nonce is known to the process that gave it out, and to no other.
"""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from guardrail.identity.validity import within

#: A nonce cannot be guessed, nor come twice: 256 bits.
NONCE_BYTES: Final = 32


class Challenges:
    """Gives out nonces, and takes each one back once; threads may share it.

    Arguments:
        random: returns so many random bytes, such as `secrets.token_bytes`.
        ttl_s: seconds for which a nonce can be taken back.
        limit: how many are kept; at the limit the oldest goes.
    """

    __slots__ = ("_issued", "_limit", "_lock", "_random", "_ttl_s")

    def __init__(
        self, *, random: Callable[[int], bytes], ttl_s: float = 300.0, limit: int = 4096
    ) -> None:
        self._random = random
        self._ttl_s = ttl_s
        self._limit = max(1, limit)
        #: From when and until when each can be taken, the oldest first.
        self._issued: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self, now: float) -> str:
        """Return a fresh nonce: 32 random bytes in base64url, without padding (43 characters)."""
        nonce = base64.urlsafe_b64encode(self._random(NONCE_BYTES)).rstrip(b"=").decode("ascii")
        with self._lock:
            issued = self._issued
            while issued and (
                len(issued) >= self._limit or not within(now, *next(iter(issued.values())))
            ):
                issued.popitem(last=False)
            issued[nonce] = (now, now + self._ttl_s)
        return nonce

    def take(self, nonce: str, now: float) -> bool:
        """Say whether this nonce was given out and holds, and forget it: see `take_all`."""
        return self.take_all((nonce,), now)

    def take_all(self, nonces: Iterable[str], now: float) -> bool:
        """Say whether one of these nonces was given out and holds, and forget all of them.

        They come in one piece of evidence, which so is taken once, however many it holds. A clock
        that was set back since, or is at NaN, refuses.
        """
        with self._lock:
            spans = [self._issued.pop(nonce, None) for nonce in nonces]
        return any(span is not None and within(now, *span) for span in spans)

    def __repr__(self) -> str:
        return f"<Challenges ttl_s={self._ttl_s!r}>"
