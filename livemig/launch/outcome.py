"""How a pair ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PairOutcome:
    """How it ended, as in ``run.json``. ``torn``: the sides that ended before they had written their log to its end."""

    status: str
    owner: str
    reason: str
    torn: tuple[str, ...] = ()
