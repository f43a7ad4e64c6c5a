"""What the timer of each CPU does within a stretch: nearly always an arm and the interrupt on time that answers it.

What such a timer counts towards is what its last event left it with: the arm, or after an interrupt nothing. So what
an event means is told by the one before it, of all events at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from livemig.analysis.layout import Column
from livemig.analysis.stretch import Stretch


@dataclass(frozen=True, slots=True)
class Succession:
    """The events of one CPU.

    Attributes:
        rows: of the stretch, ascending.
        eventful: which of them are to be looked at one by one: the first, and all but interrupts on time, arms after
            an interrupt, and arms that supersede one before its time.
        armed, on_time, superseded, worst_late_ns: of the others.
    """

    cpu: int
    rows: Column
    eventful: NDArray[np.bool_]
    armed: int
    on_time: int
    superseded: int
    worst_late_ns: int

    def steps(self) -> Iterator[tuple[int, int | None]]:
        """The row of everything eventful, and of the event before it; None: that is before the stretch."""
        for index in np.flatnonzero(self.eventful).tolist():
            yield int(self.rows[index]), int(self.rows[index - 1]) if index else None


def successions(stretch: Stretch, late: int, overdue: int) -> Iterator[Succession]:
    """CPU by CPU.

    Args:
        late: ns off its deadline, either way, at which an interrupt is on time.
        overdue: ns after its deadline until which an arm can be superseded.
    """
    rows = stretch.cpu.astype(np.int16).argsort(kind="stable")  # of 16 bits, it is a radix sort
    cpu, armed = stretch.cpu[rows], stretch.armed[rows]
    after = np.zeros(len(rows), np.int64)
    """Ns since the deadline of the arm before, if it is one."""
    np.subtract(stretch.t_ns[rows[1:]], stretch.deadline_ns[rows[:-1]], out=after[1:])
    counting = np.concatenate(([False], armed[:-1]))
    on_time = counting & ~armed & (after <= late) & (after >= -late)
    superseded = counting & armed & (after <= overdue)
    eventful = ~(on_time | superseded | (armed & ~counting))
    firsts = np.flatnonzero(np.diff(cpu, prepend=-1))
    eventful[firsts] = True
    for begin, end in pairwise([*firsts.tolist(), len(rows)]):
        some = slice(begin + 1, end)  # the first is eventful
        lateness = after[some][on_time[some]]
        yield Succession(
            cpu=int(cpu[begin]),
            rows=rows[begin:end],
            eventful=eventful[begin:end],
            armed=int(np.count_nonzero(armed[some] & ~eventful[some])),
            on_time=len(lateness),
            superseded=int(np.count_nonzero(superseded[some])),
            worst_late_ns=int(lateness.max(initial=0)),
        )
