"""How late deliveries are: a count for every 1, 2, 5 step of every decade of nanoseconds."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import Final

from livemig.analysis.report.story import Arc

EDGES: Final = tuple(step * 10**decade for decade in range(12) for step in (1, 2, 5))
"""Bin i holds what is at least EDGES[i - 1] and less than EDGES[i] late; bin 0 what came at the very nanosecond."""


class Lateness:
    """Counts by bin and outcome. Late is delivery less deadline in world time, the guest's own masking included."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[int, str]] = Counter()

    def tell(self, arc: Arc) -> None:
        """Count one arc, if it was delivered for an arm that was due."""
        if arc.outcome in ("on_time", "late") and arc.due_ns is not None:
            self.counts[bisect_right(EDGES, max(0, arc.end_ns - arc.due_ns)), arc.outcome] += 1
