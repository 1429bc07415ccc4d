"""The report of a corpus replay, as text and as JSON.

It names files, numbers of requests and ids of policies, and nothing else of a case.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed comparison, or one case that can't be read.

    Attributes:
        case: the file of the case, relative to the corpus.
        kind: ``unreadable``, ``validation``, ``cedar`` (Cedar's answer differs from the case),
            ``raw``, ``ours`` or ``cached``.
        message: the expected and the actual result.
        request: the number of the request, from 0; ``None`` for a whole case.
        description: the description of the request in the case.
    """

    case: str
    kind: str
    message: str
    request: int | None = None
    description: str = ""

    def __str__(self) -> str:
        where = self.case if self.request is None else f"{self.case}[{self.request}]"
        return f"{where}: {self.kind}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        """Return the failure as plain JSON data."""
        return {
            "case": self.case,
            "request": self.request,
            "description": self.description,
            "kind": self.kind,
            "message": self.message,
        }


@dataclass(slots=True)
class CorpusReport:
    """The counts and the failures of a replay.

    Attributes:
        cases: the number of cases.
        requests: the number of their requests.
        raw: answers of the slices that equal Cedar's. A request whose principal is an entity of
            the case counts twice: the principal also comes with the request instead.
        same, stricter: decisions of a guard that equal Cedar's, or deny more.
        cached: answers that came from the cache.
        refused: requests that a guard never gets, since their policies are not valid, or they have
            no principal or no resource.
        too_deep: cases that were not replayed, since a policy is nested deeper than a bundle
            allows.
    """

    cases: int = 0
    requests: int = 0
    raw: int = 0
    same: int = 0
    stricter: int = 0
    cached: int = 0
    refused: int = 0
    too_deep: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON data."""
        return {
            "cases": self.cases,
            "requests": self.requests,
            "raw": {"same": self.raw, "different": self.count("raw")},
            "ours": {
                "same": self.same,
                "stricter": self.stricter,
                "refused": self.refused,
                "cached": self.cached,
                "different": self.count("ours", "cached"),
            },
            "too_deep": self.too_deep,
            "failures": [failure.as_json() for failure in self.failures],
        }

    def count(self, *kinds: str) -> int:
        """Return how many failures are of these kinds."""
        return sum(failure.kind in kinds for failure in self.failures)

    def __str__(self) -> str:
        lines = [f"{name}: not replayed: a policy is nested too deep." for name in self.too_deep]
        lines.extend(str(failure) for failure in self.failures)
        lines.append(
            f"{self.cases} cases, {self.requests} requests. "
            f"Raw: {self.raw} same, {self.count('raw')} different. "
            f"Ours: {self.same} same, {self.stricter} stricter, {self.refused} refused, "
            f"{self.cached} from the cache, {self.count('ours', 'cached')} different."
        )
        return "\n".join(lines)
