"""Of many arcs, those that the eye can use: all that went wrong, all near where it did, and a share of the rest.

Counts stay exact: every arc is in a `Density`, kept or not. Memory is bounded whatever the length of the run.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import Final

from livemig.analysis.log import Place
from livemig.analysis.report.story import DELIVERED, TROUBLE, Arc

LIMIT: Final = 60_000
"""Arcs kept away from trouble, at most: some 3 MB of the page."""
NEAR: Final = 400
"""Arcs of a CPU kept before and after each place of interest."""
TROUBLE_LIMIT: Final = 20_000
PLACES_LIMIT: Final = 50
"""Trouble is interesting for its neighbours this many times on each CPU."""


class Density:
    """Deliveries by CPU over the whole run, in bins whose width doubles as the run grows."""

    BINS: Final = 4096

    def __init__(self) -> None:
        self.shift = 10
        """A bin is 2^shift ns."""
        self.counts: defaultdict[int, Counter[int]] = defaultdict(Counter)

    def add(self, cpu: int, t_ns: int) -> None:
        while t_ns >> self.shift >= self.BINS:
            self.shift += 1
            for bins in self.counts.values():
                for number, count in [(bin, bins.pop(bin)) for bin in sorted(bins)]:
                    bins[number >> 1] += count
        self.counts[cpu][t_ns >> self.shift] += 1


class Thinned:
    """Takes arcs in the order of their ends, and keeps some.

    Args:
        expected: about how many will come; up to `limit` of them all are kept.
        interesting: places in the log whose neighbours are wanted too.
    """

    def __init__(self, expected: int, interesting: frozenset[Place] = frozenset(), limit: int = LIMIT) -> None:
        self.stride = max(1, -(-expected // limit))
        self.kept: list[Arc] = []
        self.total = 0
        self.density = Density()
        self._interesting = interesting
        self._skipped: defaultdict[int, deque[Arc]] = defaultdict(lambda: deque(maxlen=NEAR))
        self._wanted: Counter[int] = Counter()
        self._troubles = 0
        self._places: Counter[int] = Counter()

    def tell(self, arc: Arc) -> None:
        """Take one more."""
        self.total += 1
        if arc.outcome in DELIVERED:
            self.density.add(arc.cpu, arc.end_ns)
        trouble = arc.outcome in TROUBLE and self._troubles < TROUBLE_LIMIT
        self._troubles += trouble
        if arc.armed_at in self._interesting or arc.ended_at in self._interesting:
            self._near(arc.cpu)
        elif trouble and self._places[arc.cpu] < PLACES_LIMIT:
            self._places[arc.cpu] += 1
            self._near(arc.cpu)
        if trouble or self._wanted[arc.cpu] > 0 or self.total % self.stride == 0:
            self._wanted[arc.cpu] -= 1
            self.kept.append(arc)
        else:
            self._skipped[arc.cpu].append(arc)

    def everywhere(self) -> None:
        """Something that concerns all CPUs happens now: a stop, a resume."""
        for cpu in set(self._skipped) | set(self.density.counts):
            self._near(cpu)

    def _near(self, cpu: int) -> None:
        self.kept.extend(self._skipped.pop(cpu, ()))
        self._wanted[cpu] = NEAR
