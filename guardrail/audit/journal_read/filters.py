"""The filters of `guardrail journal show` and `guardrail journal report`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from guardrail.values import Record

#: A pseudonym, whole or cut: the id of the key, and hexadecimal digits.
_PSEUDONYM: Final = re.compile(r"[\w-]+:[0-9a-f]+\Z")


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Selects the calls that match all of its fields; an empty one selects all calls.

    Attributes:
        guard, action, outcome, code, principal_type, resource: equal to the field.
        principal: equal to the field; or the beginning of a pseudonym; or the beginning of any
            name, if it ends in an ellipsis, as `show` prints it.
        policy: one of the deciding policies, or of those that erred.
        id: the beginning of the decision id.
        since, until: seconds since the epoch; ``until`` is excluded.
    """

    guard: str = ""
    action: str = ""
    outcome: str = ""
    code: str = ""
    policy: str = ""
    principal: str = ""
    principal_type: str = ""
    resource: str = ""
    id: str = ""
    since: float | None = None
    until: float | None = None

    def takes(self, record: Record) -> bool:
        """Return whether a call is selected."""
        return (
            (not self.guard or record.guard == self.guard)
            and (not self.action or record.action == self.action)
            and (not self.outcome or record.outcome == self.outcome)
            and (not self.code or record.code == self.code)
            and (not self.policy or self.policy in (*record.policies, *record.errors))
            and (not self.principal or _is_called(record.principal, self.principal))
            and (not self.principal_type or record.principal_type == self.principal_type)
            and (not self.resource or record.resource == self.resource)
            and (not self.id or record.decision_id.startswith(self.id))
            and (self.since is None or record.started_at >= self.since)
            and (self.until is None or record.started_at < self.until)
        )


def _is_called(name: str, wanted: str) -> bool:
    if wanted.endswith("…"):
        return name.startswith(wanted[:-1])
    return name == wanted or (_PSEUDONYM.match(wanted) is not None and name.startswith(wanted))
