"""How a pair ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from livemig.events.schema import DESTINATION
from livemig.migration.status import Status


@dataclass(frozen=True, slots=True)
class PairOutcome:
    """How it ended, as in ``run.json``. ``torn``: the sides that ended before they had written their log to its end."""

    status: str
    owner: str
    reason: str
    torn: tuple[str, ...] = ()


def arrived(last: Mapping[str, Any]) -> PairOutcome:
    """The guest runs at the destination, whose last ``query-migrate`` is ``last``: all of it, or not."""
    status = last.get("status", "none")
    if status == Status.COMPLETED:
        return PairOutcome("completed", DESTINATION, "")
    reason = last.get("error-desc", "not complete within run.duration")
    return PairOutcome(status, DESTINATION, f"the guest runs, but misses pages: {reason}")
