"""One side's trace lines, told in the words of the event schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import Any, Final

from livemig.events.qemu.cpu import Cpu
from livemig.events.qemu.standstill import Standstill
from livemig.events.qemu.survey import AT_ONCE_US
from livemig.events.qemu.ticks import signed, ticks_down
from livemig.events.qemu.trace import (
    DECR_EXCP,
    DECR_LOAD,
    DECR_STORE,
    MIGRATION,
    RUN_STATE,
    TB_LOAD,
    TB_STORE,
    Line,
)
from livemig.events.schema import DESTINATION, SOURCE

Event = dict[str, Any]

TIMER: Final = "decr"
_VECTOR: Final = 0x900
_NEAR_NS: Final = 20_000_000
"""A raise this long before its deadline is still that deadline's: the line of a write may be late."""
_FRESH_NS: Final = 1_000_000
"""A reading of TB this old, after the raise, is that of the handler that now reads DECR."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the survey of one side found out.

    Args:
        side: source or destination. origin_us: host time of t_ns 0. hz, level: of the machine.
        cpu_of: vCPU thread → CPU. savers: threads that save. zero_ns: host time at which TB was 0.
        standstill: where this side stopped, or took over; None if it never did.
        starts: it is first seen before it runs. end_us: host time up to which it was observed.
        went_on: a source that stopped and then ran again, because the guest did not cross.
    """

    side: str
    origin_us: int
    hz: int
    level: bool
    cpu_of: Mapping[int, int]
    savers: frozenset[int]
    zero_ns: int | None
    standstill: Standstill | None
    starts: bool
    end_us: int
    went_on: bool = False


class History:
    """Of one side; of the destination with the CPUs as the source's history left them.

    QEMU does not trace that a handler starts. The first access to DECR after the raise is taken for it: Linux writes
    DECR there first of all. A guest that reads DECR while it has its interrupt masked would be taken to answer it.

    Args:
        pending: False where it is known that what was raised at the stop had been taken already.
    """

    def __init__(self, plan: Plan, cpus: Sequence[Cpu], pending: bool = True) -> None:
        self.plan, self.cpus = plan, cpus
        self.unplaced = 0
        """Interrupts raised of which the log does not show the CPU."""
        self.before_first_arm = 0
        """Interrupts raised before the log shows what asked for them: they are left out."""
        self.late_before_ns = 0
        """How late the host was at most before anything was migrated: from when an interrupt was due to its raise."""
        self._migrates = plan.side == DESTINATION
        self._pending = pending
        self._running = not plan.starts and plan.side == SOURCE
        self._ran = self._running
        self._crossed = plan.side == SOURCE
        self._tb: tuple[int, int] | None = None if self._running else (0, 0)
        """When it was last known, and what it was; 0 before the machine first runs."""
        self._stood_ns = 0
        self._unknown = False
        """It stood still at a TB that the log does not show."""
        self._read: tuple[int, int] | None = None
        """Thread and DECR of the last read by QEMU itself."""
        self._wrote: tuple[int, int, Cpu | None] | None = None
        """Thread, time in us and CPU (None: at reset) of a negative value that QEMU itself has just written."""
        self._saved: list[int] = []
        self._loaded: list[tuple[int, int]] = []
        self._resets = 0
        if plan.side == DESTINATION:
            for cpu in cpus:
                cpu.cross()

    # ── lines ──

    def told(self, lines: Iterable[Line]) -> Iterator[Event]:
        """The events, in order, up to ``run_ended``."""
        for line in merge(lines, self._moments()):
            t_ns = 1000 * (line.t_us - self.plan.origin_us)
            index = self.plan.cpu_of.get(line.tid)
            if line.event == RUN_STATE:
                yield self._run(t_ns, line) if line.value else self._stop(t_ns, line)
            elif line.event == MIGRATION:
                self._migrates = True
                yield self._event(t_ns, "migration_state", status=line.word, reason=None)
            elif index is not None:
                yield from self._guest(t_ns, line, self.cpus[index])
            elif line.event == DECR_EXCP:
                if line.word == "raise" and (cpu := self._raised_cpu(t_ns, line)) is not None:
                    yield self._raise(t_ns, cpu)
            elif line.tid in self.plan.savers:
                yield from self._save(t_ns, line)
            else:
                yield from self._load(t_ns, line)
        yield self._event(1000 * (self.plan.end_us - self.plan.origin_us), "run_ended", reason="end of the log")

    def _moments(self) -> list[Line]:
        """The stop or the resume, where QEMU did not log it."""
        here = self.plan.standstill
        if here is None or here.by == RUN_STATE:
            return []
        if self.plan.side == SOURCE:
            return [Line(here.t_us, 1 << 62, 0, RUN_STATE, 0, word="finish-migrate")]
        return [Line(here.t_us, 0, 0, RUN_STATE, 1, word="running")]

    def _guest(self, t_ns: int, line: Line, cpu: Cpu) -> Iterator[Event]:
        event, hz = line.event, self.plan.hz
        if event in (TB_LOAD, TB_STORE):
            self._tb = cpu.reading = t_ns, line.value
        elif event == DECR_LOAD:
            decr = signed(line.value, 32)
            if self._takes(t_ns, cpu, decr):
                yield self._interrupt("interrupt", t_ns, cpu, self._handler_tb(t_ns, cpu), decr)
                cpu.take()
        elif event == DECR_STORE:
            cpu.write(t_ns, line.value, line.old, hz, self.plan.level)
            yield self._armed(t_ns, cpu.index, line.value, self._tb_at(t_ns), cpu.due_ns, "guest")
        elif line.word == "raise":
            yield self._raise(t_ns, cpu)
        else:
            cpu.raised = False

    def _takes(self, t_ns: int, cpu: Cpu, decr: int) -> bool:
        """Whether this read of DECR is the handler's, that answers an interrupt."""
        if cpu.raised or cpu.carried:
            return True
        if decr >= 0 or not cpu.counting:
            return False
        if cpu.due_ns is None:
            placed = self.unplaced > 0
            self.unplaced -= placed
            return placed
        if cpu.due_ns <= t_ns:
            cpu.raise_by_ns = t_ns + _NEAR_NS
            return True
        return False

    # ── interrupts that are raised ──

    def _raise(self, t_ns: int, cpu: Cpu) -> Event:
        cpu.raised, cpu.raised_ns, cpu.counting = True, t_ns, False
        if not self._migrates and self._stood_ns == 0 and cpu.due_ns is not None:
            self.late_before_ns = max(self.late_before_ns, t_ns - cpu.due_ns)
        return self._interrupt("interrupt_masked", t_ns, cpu, self._tb_at(t_ns), cpu.decr(t_ns, self.plan.hz))

    def _raised_cpu(self, t_ns: int, line: Line) -> Cpu | None:
        """Whose interrupt QEMU raises; None if it is not the guest's, or the log does not show it."""
        wrote, self._wrote = self._wrote, None
        if wrote is not None and wrote[0] == line.tid and line.t_us - wrote[1] <= AT_ONCE_US:
            return wrote[2]
        for cpu in self.cpus:
            if cpu.raise_by_ns >= t_ns:
                cpu.raise_by_ns = -1
                return None  # Its handler was quicker than this line.
        counting = [cpu for cpu in self.cpus if cpu.counting]
        due = [cpu for cpu in counting if cpu.due_ns is not None and cpu.due_ns <= t_ns + _NEAR_NS]
        if due:  # QEMU's timers run out in the order of their deadlines.
            return min(due, key=lambda cpu: cpu.due_ns or 0)
        if len(self.cpus) == 1 and counting and counting[0].due_ns is None:
            return counting[0]
        if all(cpu.armed for cpu in self.cpus):
            self.unplaced += 1
        else:
            self.before_first_arm += 1
        return None

    # ── what QEMU itself does ──

    def _save(self, t_ns: int, line: Line) -> Iterator[Event]:
        if line.event != DECR_LOAD:
            return
        self._saved.append(signed(line.value, 32))
        if len(self._saved) == len(self.cpus):
            decr, self._saved = self._saved, []
            here = self.plan.standstill
            tb = here.tb if here else self._tb_at(t_ns)
            yield self._event(
                t_ns, "state_saved", strategy=None, tb=tb, clock_ns=None, decr=decr, host=None, saved={"decr": decr},
                machine_version=None, lost=[], barriers={},
            )

    def _load(self, t_ns: int, line: Line) -> Iterator[Event]:
        read, self._read = self._read, None
        if line.event == DECR_LOAD:
            self._read = line.tid, line.value
        elif line.event == TB_STORE:
            # A reset of a machine that ran says 0 as well, and means the offset: TB goes on as the clock has it.
            self._tb, self._unknown = (None, True) if self._ran else ((t_ns, line.value), False)
        elif line.event == DECR_STORE:
            if read is not None and read[0] == line.tid and (read[1] ^ line.old) & 0xFFFF_FFFF == 0:
                yield from self._restore(t_ns, line)
            else:
                index = self._resets % len(self.cpus)
                self._resets += 1
                self._remember(line, None)
                yield self._armed(t_ns, index, line.value & 0xFFFF_FFFF, self._tb_at(t_ns), None, "reset")

    def _restore(self, t_ns: int, line: Line) -> Iterator[Event]:
        index, here = len(self._loaded), self.plan.standstill
        if here is None or index >= len(self.cpus):
            return
        self._loaded.append((signed(line.old, 32), signed(line.value, 32)))
        self._remember(line, self.cpus[index])
        yield self._armed(t_ns, index, line.value, here.tb, None, "restore")
        if len(self._loaded) == len(self.cpus):
            before, after = ([pair[which] for pair in self._loaded] for which in (0, 1))
            yield self._event(
                t_ns, "state_restored", strategy=None, tb_before=None, tb_after=here.tb, clock_ns=None,
                decr_before=before, decr_after=after, host=None, saved={"decr": after},
                machine_version=None, lost=[], barriers={},
            )  # fmt: skip

    def _remember(self, line: Line, cpu: Cpu | None) -> None:
        if line.value >> 31 & 1:
            self._wrote = line.tid, line.t_us, cpu

    # ── stop and run ──

    def _stop(self, t_ns: int, line: Line) -> Event:
        event = self._moment("machine_stopped", t_ns, line)
        if self._running and self.plan.went_on:
            # The line may be late by as long as the host was busy, and nothing shows by how much.
            event |= {"tb": None, "cpu_tb": [None] * len(self.cpus), "decr": [None] * len(self.cpus)}
            self._unknown = True
        if self._running:
            self._tb = None if event["tb"] is None else (t_ns, event["tb"])
            self._running, self._stood_ns = False, t_ns
        return event

    def _run(self, t_ns: int, line: Line) -> Event:
        plan, here = self.plan, self.plan.standstill
        if not self._crossed and here is not None:
            self._crossed = True
            self._tb = None if here.tb is None else (t_ns, here.tb)
            for cpu, (_, decr) in zip(self.cpus, self._loaded, strict=False):
                cpu.resume(t_ns, decr, plan.hz, plan.level)
        elif not self._running:
            for cpu in self.cpus:
                cpu.stand(t_ns - self._stood_ns)
            self._tb = None if self._tb is None else (t_ns, self._tb[1])
        self._running, self._ran, self._wrote = True, True, None
        return self._moment("machine_resumed", t_ns, line)

    def _moment(self, name: str, t_ns: int, line: Line) -> Event:
        here, hz = self.plan.standstill, self.plan.hz
        tb = self._tb_at(t_ns)
        cpu_tb: Sequence[int | None] = [tb] * len(self.cpus)
        decr = [cpu.decr(t_ns, hz) for cpu in self.cpus]
        if here is not None and here.t_us == line.t_us:
            tb, cpu_tb = here.tb, here.cpu_tb
            decr = [own if known is None else known for known, own in zip(here.decr, decr, strict=True)]
        pending = [[TIMER] if cpu.raised and self._pending else [] for cpu in self.cpus]
        return self._event(
            t_ns, name, state=line.word, tb=tb, cpu_tb=list(cpu_tb), clock_ns=None, decr=decr, pending=pending,
            ram_digest=None,
        )  # fmt: skip

    # ── events ──

    def _tb_at(self, t_ns: int) -> int | None:
        """TB by the last reading; None if there was none."""
        hz, zero_ns = self.plan.hz, self.plan.zero_ns
        if self._tb is not None:
            then, tb = self._tb
            return tb + (ticks_down(t_ns - then, hz) if self._running else 0) & (1 << 64) - 1
        if zero_ns is None or self._unknown:
            return None
        ticks = ticks_down(t_ns + 1000 * self.plan.origin_us - zero_ns, hz)
        early = -hz < ticks < 0  # No line is early by a second; but TB may be about to wrap.
        return 0 if early else ticks & (1 << 64) - 1

    def _handler_tb(self, t_ns: int, cpu: Cpu) -> int | None:
        """TB as the handler that now reads DECR has read it, if it has."""
        if cpu.reading is not None and cpu.reading[0] >= max(cpu.raised_ns, t_ns - _FRESH_NS):
            return cpu.reading[1]
        return self._tb_at(t_ns)

    def _armed(self, t_ns: int, cpu: int, value: int, tb: int | None, deadline_ns: int | None, cause: str) -> Event:
        return self._event(
            t_ns, "timer_armed", cpu=cpu, timer=TIMER, value=value, tb=tb, deadline_ns=deadline_ns, cause=cause
        )

    def _interrupt(self, name: str, t_ns: int, cpu: Cpu, tb: int | None, decr: int | None) -> Event:
        due = cpu.due_ns
        more = {} if name == "interrupt" else {"reason": "raised, not taken"}
        return self._event(
            t_ns, name, cpu=cpu.index, timer=TIMER, vector=_VECTOR, tb=tb, deadline_ns=due,
            late_ns=0 if due is None else t_ns - due, decr=decr, **more,
        )  # fmt: skip

    def _event(self, t_ns: int, name: str, **fields: Any) -> Event:
        return {"t_ns": t_ns, "side": self.plan.side, "event": name, **fields}
