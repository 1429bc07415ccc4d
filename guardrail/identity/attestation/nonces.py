"""Nonces for the evidence of callers' machines; each is accepted once.

A caller gets a nonce from `issue` before it requests evidence from its platform, and `take` checks
the nonce when the evidence arrives. A nonce that this process did not issue, that was used before,
or that is too old shows a replay.

The number of nonces is limited, since callers can request many: at the limit the oldest is removed.
A nonce is known only to the process that issued it.
"""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from guardrail.identity.validity import within

#: A nonce has 256 bits, so it can't be guessed and does not repeat.
NONCE_BYTES: Final = 32


class Challenges:
    """Issues nonces, and accepts each one once; threads may share it.

    Arguments:
        random: returns the given number of random bytes, such as `secrets.token_bytes`.
        ttl_s: seconds for which a nonce is valid.
        limit: how many are kept; at the limit the oldest is removed.
    """

    __slots__ = ("_issued", "_limit", "_lock", "_random", "_ttl_s")

    def __init__(
        self, *, random: Callable[[int], bytes], ttl_s: float = 300.0, limit: int = 4096
    ) -> None:
        self._random = random
        self._ttl_s = ttl_s
        self._limit = max(1, limit)
        #: The validity period of each, the oldest first.
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
        """Return whether this nonce was issued and is valid, and forget it: see `take_all`."""
        return self.take_all((nonce,), now)

    def take_all(self, nonces: Iterable[str], now: float) -> bool:
        """Return whether one of these nonces was issued and is valid, and forget all of them.

        They come in one piece of evidence, which is so accepted once, however many it holds. If the
        clock was set back since, or is NaN, they are invalid.
        """
        with self._lock:
            spans = [self._issued.pop(nonce, None) for nonce in nonces]
        return any(span is not None and within(now, *span) for span in spans)

    def __repr__(self) -> str:
        return f"<Challenges ttl_s={self._ttl_s!r}>"
