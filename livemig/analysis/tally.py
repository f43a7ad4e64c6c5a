"""The counts of one CPU, or of all."""

from __future__ import annotations

from dataclasses import dataclass
from operator import add, attrgetter


@dataclass(slots=True)
class Tally:
    """Counts of arms and deliveries; times in ns.

    ``worst_late_ns`` is over delivered arms, beyond the guest's masking. ``overdue_ns`` is the longest that a
    lost arm was due, until something else came or the log ended; ``hung`` counts the timers of the latter kind,
    which wait in vain. ``repeated``: delivered once more because nobody has taken the cause of a level away.
    """

    armed: int = 0
    on_time: int = 0
    late: int = 0
    early: int = 0
    doubled: int = 0
    lost: int = 0
    superseded: int = 0
    pending: int = 0
    stray: int = 0
    repeated: int = 0
    delivered: int = 0
    worst_late_ns: int = 0
    overdue_ns: int = 0
    hung: int = 0

    def __add__(self, other: Tally) -> Tally:
        both = Tally(*map(add, _values(self), _values(other)))
        both.worst_late_ns = max(self.worst_late_ns, other.worst_late_ns)
        both.overdue_ns = max(self.overdue_ns, other.overdue_ns)
        return both

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


_values = attrgetter(*Tally.__slots__)
