"""What a CPU did between two barriers, kept in ticks and turned into lines of the log in one go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livemig.events.lines import Lines
from livemig.guests.guest import Expectation
from livemig.timers.facility import Timer
from livemig.timers.ticks import NS_PER_S
from livemig.timers.timebase import Timebase

Column = NDArray[np.int64]

CAUSES = ("guest", "reset", "reload")
GUEST, RESET, RELOAD = range(len(CAUSES))

INTERRUPT, MASKED, COALESCED = "interrupt", "interrupt_masked", "interrupt_coalesced"


@dataclass(slots=True)
class Record:
    """Rows in the order in which they happened: ``seq`` numbers them over all kinds."""

    arms: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    """(seq, tick, value, due tick or -1 where it does not run, index into CAUSES, timer)"""
    raised: dict[str, list[tuple[int, int, int, int]]] = field(
        default_factory=lambda: {INTERRUPT: [], MASKED: [], COALESCED: []}
    )
    """event → (seq, tick, due tick, timer)"""
    expected: list[tuple[int, int, Expectation]] = field(default_factory=list)
    """(seq, tick, what the guest expected)"""
    trains: list[Train] = field(default_factory=list)
    seq: int = 0

    def arm(self, tick: int, value: int, due: int, cause: int, timer: int) -> None:
        self.arms.append((self.seq, tick, value, due, cause, timer))
        self.seq += 1

    def raise_(self, event: str, tick: int, due: int, timer: int) -> None:
        self.raised[event].append((self.seq, tick, due, timer))
        self.seq += 1

    def expect(self, tick: int, expectation: Expectation) -> None:
        self.expected.append((self.seq, tick, expectation))
        self.seq += 1

    def train(self, train: Train) -> None:
        self.trains.append(train)
        self.seq += train.rows * len(train.delivered)


@dataclass(frozen=True, slots=True)
class Train:
    """Interrupts on time, one after the other. In each, the handler writes ``entry`` (ticks after delivery, value), if
    it has one, and ``arm_ticks`` after delivery a value that makes the next one due: ``values``, one or one each."""

    seq: int
    delivered: Column
    values: Column | int
    arm_ticks: int
    entry: tuple[int, int] | None = None

    @property
    def rows(self) -> int:
        """Lines of the log for one interrupt."""
        return 2 if self.early_write is None else 3

    @property
    def early_write(self) -> tuple[int, int] | None:
        """``entry``, if it comes before the step and is not the step itself."""
        return self.entry if self.entry is not None and self.entry[0] < self.arm_ticks else None


def instants(timebase: Timebase, ticks: Column) -> Column:
    """:meth:`Timebase.instant` of a column, exact: the quotient and the remainder are scaled apart."""
    seconds, rest = np.divmod(ticks, timebase.hz)
    at: Column = timebase.clock_ns + seconds * NS_PER_S - (-rest * NS_PER_S // timebase.hz)
    return at


@dataclass(frozen=True, slots=True)
class Scribe:
    """Turns the records of one timer of one CPU into tables of lines.

    Args:
        side, cpu: for the lines. world_ns: what to add to the virtual clock to get ``t_ns``. index, timer: which one,
        and what it is called; underflow_lag: as in :class:`DecrementerModel`. base_ns: the block's first ``t_ns``;
        rows are ordered by (time, cpu, seq) from there.
    """

    side: str
    cpu: int
    cpus: int
    world_ns: int
    index: int
    timer: Timer
    underflow_lag: int
    base_ns: int

    def tables(self, record: Record, timebase: Timebase) -> list[Lines]:
        """All rows of ``record`` that are this timer's; trains are the main timer's."""
        tables: list[Lines] = []
        for train in record.trains if self.index == 0 else ():
            tables += self._train(train, timebase)
        for event, raised in record.raised.items():
            if mine := [row for row in raised if row[3] == self.index]:
                tables.append(self._raised(event, np.array(mine, np.int64).T, timebase))
        alike: dict[tuple[bool, int], list[tuple[int, int, int, int, int, int]]] = {}
        for row in record.arms:
            if row[5] == self.index:
                alike.setdefault((row[3] >= 0, row[4]), []).append(row)
        for (running, cause), rows in alike.items():
            tables.append(self._armed(np.array(rows, np.int64).T, running, cause, timebase))
        tables += [self._expected(*row, timebase) for row in record.expected if row[2].timer == self.index]
        return tables

    def _expected(self, seq: int, tick: int, it: Expectation, timebase: Timebase) -> Lines:
        ticks = np.array([tick], np.int64)
        return self._lines(
            "guest_expected", instants(timebase, ticks) + self.world_ns, np.array([seq], np.int64),
            tb=_timebase_column(timebase, ticks), what=it.what, low=it.low, high=it.high, found=it.found,
        )  # fmt: skip

    def _train(self, train: Train, timebase: Timebase) -> list[Lines]:
        delivered, arm_ticks = train.delivered, train.arm_ticks
        seq = train.seq + train.rows * np.arange(len(delivered))
        last_value = int(train.values if isinstance(train.values, int) else train.values[-1])
        last_due = int(delivered[-1]) + arm_ticks + last_value + self.underflow_lag
        due_ns = instants(timebase, np.append(delivered, last_due)) + self.world_ns
        tables = [
            self._lines(
                INTERRUPT, due_ns[:-1], seq, vector=self.timer.vector, tb=_timebase_column(timebase, delivered),
                deadline_ns=due_ns[:-1], late_ns=0, decr=-self.underflow_lag,
            ),
            self._train_armed(train, seq + train.rows - 1, arm_ticks, train.values, due_ns[1:], timebase),
        ]  # fmt: skip
        if train.early_write is not None:
            ticks, value = train.early_write
            due = instants(timebase, delivered + (ticks + value + self.underflow_lag)) + self.world_ns
            tables.append(self._train_armed(train, seq + 1, ticks, value, due, timebase))
        return tables

    def _train_armed(
        self, train: Train, seq: Column, after: int, values: Column | int, due_ns: Column, timebase: Timebase
    ) -> Lines:
        ticks = train.delivered + after
        return self._lines(
            "timer_armed", instants(timebase, ticks) + self.world_ns, seq, value=values,
            tb=_timebase_column(timebase, ticks), deadline_ns=due_ns, cause=CAUSES[0],
        )  # fmt: skip

    def _raised(self, event: str, rows: Column, timebase: Timebase) -> Lines:
        """``rows``: as :class:`Record` has them, a row a column."""
        seq, ticks, due, _ = rows
        t_ns, deadline_ns = instants(timebase, rows[1:3]) + self.world_ns
        decr = _signed(due - self.underflow_lag - ticks, self.timer.bits)
        tb = _timebase_column(timebase, ticks)
        more = {} if event == INTERRUPT else {"reason": "EE=0" if event == MASKED else "already raised"}
        return self._lines(
            event, t_ns, seq, vector=self.timer.vector, tb=tb, deadline_ns=deadline_ns, late_ns=t_ns - deadline_ns,
            decr=decr, **more,
        )  # fmt: skip

    def _armed(self, rows: Column, running: bool, cause: int, timebase: Timebase) -> Lines:
        seq, ticks, values = rows[:3]
        t_ns, deadline_ns = instants(timebase, rows[1:4:2]) + self.world_ns
        tb = _timebase_column(timebase, ticks)
        due_ns = deadline_ns if running else None
        return self._lines("timer_armed", t_ns, seq, value=values, tb=tb, deadline_ns=due_ns, cause=CAUSES[cause])

    def _lines(self, event: str, t_ns: Column, seq: Column, **fields: Any) -> Lines:
        """Lines of ``event`` with ``fields`` in the order of the schema."""
        head = (("t_ns", t_ns), ("side", self.side), ("event", event), ("cpu", self.cpu), ("timer", self.timer.name))
        return Lines((*head, *fields.items()), self._order(t_ns, seq))

    def _order(self, t_ns: Column, seq: Column) -> Column:
        return (((t_ns - self.base_ns) * self.cpus + self.cpu) << 24) | seq


def _timebase_column(timebase: Timebase, ticks: Column) -> NDArray[np.uint64]:
    return ticks.astype(np.uint64) + np.uint64(timebase.value)


def _signed(values: Column, bits: int) -> Column:
    sign = np.int64(1 << (bits - 1))
    return ((values & ((sign << np.int64(1)) - np.int64(1))) ^ sign) - sign
