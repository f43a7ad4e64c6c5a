"""A machine: CPUs, RAM, a virtual clock that stands still while it is stopped, and one timebase for all CPUs.

``t_ns`` is the run's clock, the world's; the machine's own virtual clock is that minus what it stood still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from livemig.events.lines import Lines
from livemig.guests.guest import Guest
from livemig.guests.memory import MemoryWorkload
from livemig.machine.cpu import Cpu
from livemig.machine.page_writes import Fault, PageWrites
from livemig.machine.ram import Pages, Ram
from livemig.machine.record import Record, Scribe
from livemig.machine.runstate import RunState, follow
from livemig.machine.slot import Masking
from livemig.machine.time_state import TimeState
from livemig.timers.facility import TimerFacility
from livemig.timers.ticks import NEVER
from livemig.timers.timebase import Timebase

_FAR_NS = 1 << 60
"""Beyond any run: an interrupt that is due later is none to wait for."""


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What both sides must agree on: the machine, not what runs on it."""

    model: str
    cpus: int
    ram_bytes: int
    timebase_hz: int
    facility: TimerFacility

    def as_fields(self) -> dict[str, int | str | bool]:
        """For the wire and the manifest, in plain types."""
        return {
            "model": self.model,
            "cpus": self.cpus,
            "ram_bytes": self.ram_bytes,
            "timebase_hz": self.timebase_hz,
            **self.facility.as_fields(),
        }


class Machine:
    """A machine at reset, its virtual clock at ``clock_ns`` and standing still.

    Args:
        side: for its log lines. guests: one a CPU. workload: what they do to RAM. guest_tb: what they write into TB
        as they boot; None: nothing. born_ns: the instant of the run at which it is made. ram: the RAM it
        has; None: RAM of its own.
    """

    def __init__(
        self,
        side: str,
        spec: MachineSpec,
        guests: Sequence[Guest],
        workload: MemoryWorkload,
        clock_ns: int = 0,
        masking: Masking | None = None,
        state: RunState = RunState.PRELAUNCH,
        guest_tb: int | None = None,
        born_ns: int = 0,
        ram: Ram | None = None,
    ) -> None:
        self.side, self.spec, self.state, self.workload = side, spec, state, workload
        timebase = Timebase(0, 0, spec.timebase_hz)
        self.cpus = [Cpu(i, spec.facility, timebase, guest, masking) for i, guest in enumerate(guests)]
        self.ram = ram or Ram(spec.ram_bytes)
        self.writes = PageWrites(workload, self.ram)
        self._clock_ns = clock_ns
        self.pace = Fraction(1)
        """The share of its time in which the guest works on its memory; its CPUs' timers know nothing of it."""
        self.booted_ns: int | None = None
        """When the guest in it booted, perhaps elsewhere; None: nobody knows."""
        self._paced_ns = clock_ns
        self._worked_ns = 0
        self._held: tuple[Fraction, list[Cpu]] | None = None
        self._world_ns = born_ns - clock_ns
        self._block_ns = born_ns
        self._guest_tb = guest_tb
        self._unbooted = [guest.save() for guest in guests]
        for cpu in self.cpus:
            cpu.power_on(timebase.ticks(clock_ns - 1) + 1)

    # -- time ---------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Guest time passes."""
        return self.state is RunState.RUNNING

    def clock_ns(self, t_ns: int) -> int:
        """The virtual clock at ``t_ns``."""
        return t_ns - self._world_ns if self.running else self._clock_ns

    def boot(self, t_ns: int) -> None:
        """Fill RAM and let the guests start, as a fresh machine does."""
        self.booted_ns = t_ns
        self.workload.fill(self.ram.words)
        for cpu in self.cpus:
            if self._guest_tb is not None:
                cpu.write_timebase(self._clock_ns, self._guest_tb)
            cpu.boot()
        self.resume(t_ns)

    def reset_due_ns(self) -> int | None:
        """A barrier must fall here, so that a watchdog's reset comes at its tick; None if no watchdog runs."""
        if not self.running or not self.spec.facility.resets:
            return None
        dues = [
            cpu.timebase.instant(max(tick, cpu.now)) for cpu in self.cpus if (tick := cpu.earliest_reset()) < NEVER
        ]
        return min(dues) + 1 + self._world_ns if dues else None

    def reset_asked(self) -> dict[str, object] | None:
        """What ``machine_reset`` says of a watchdog that asks for a reset; None if none does."""
        for cpu in self.cpus:
            if cpu.reset is not None:
                return {"reason": "watchdog", "kind": cpu.reset, "cpu": cpu.index}
        return None

    def reset(self, kind: str) -> None:
        """The guests boot again, at once; TB counts on (QEMU ``cpu_ppc_tb_reset`` leaves its offset alone)."""
        for cpu, unbooted in zip(self.cpus, self._unbooted, strict=True):
            cpu.guest.load(unbooted)
            cpu.restart(cpu.now, kind)
            cpu.boot()

    def resume(self, t_ns: int) -> None:
        """Guest time goes on from where it stood."""
        self.state = follow(self.state, RunState.RUNNING)
        self._world_ns = t_ns - self._clock_ns
        self._block_ns = t_ns
        for cpu in self.cpus:
            cpu.resumed()

    def stop(self, t_ns: int, state: RunState) -> None:
        """Guest time stands still; every CPU must have run to ``t_ns``."""
        new = follow(self.state, state)
        if self.running:
            self.catch_up(t_ns)
            self._clock_ns = t_ns - self._world_ns
        self.state = new

    def enter(self, state: RunState) -> None:
        """From one run state to another in neither of which guest time passes."""
        self.state = follow(self.state, state)

    # -- life ---------------------------------------------------------------------------------------------------

    def run_cpu(self, cpu: Cpu, t_ns: int) -> None:
        """Let ``cpu`` live up to ``t_ns`` (exclusive), if the machine runs."""
        if self.running:
            cpu.run(cpu.timebase.ticks(t_ns - self._world_ns - 1) + 1)

    def run_to(self, t_ns: int) -> None:
        """All of it, up to ``t_ns`` (exclusive)."""
        for cpu in self.cpus:
            self.run_cpu(cpu, t_ns)
        self.catch_up(t_ns)

    def catch_up(self, t_ns: int) -> None:
        """Do the page writes that fall before ``t_ns``."""
        if self.running:
            self.writes.catch_up(self._work_ns(t_ns - self._world_ns))

    def drain(self, t_ns: int) -> list[Lines]:
        """The log lines of all CPUs since the last time, which was at most a few seconds ago."""
        tables: list[Lines] = []
        for cpu in self.cpus:
            if cpu.record is not None and cpu.record.seq:
                for index, timer in enumerate(self.spec.facility.timers):
                    lag = self.spec.facility.lag(index)
                    scribe = Scribe(
                        self.side, cpu.index, len(self.cpus), self._world_ns, index, timer, lag, self._block_ns
                    )
                    tables += scribe.tables(cpu.record, cpu.timebase)
                cpu.record = Record()
        self._block_ns = t_ns
        return tables

    # -- a host that does not run it --------------------------------------------------------------------------------

    def hold(self, t_ns: int) -> None:
        """Its host does not run it: nothing is executed, no memory is written, its timers count on. Every CPU must
        have run to ``t_ns``."""
        if not self.running:
            return
        self.catch_up(t_ns)
        self._held = self.pace, [cpu for cpu in self.cpus if cpu.blocked_at is None]
        for cpu in self._held[1]:
            cpu.block()
        self.throttle(t_ns, Fraction(0))

    def let_go(self, t_ns: int) -> None:
        """It runs again; every CPU must have run to ``t_ns``."""
        if self._held is None:
            return
        (pace, cpus), self._held = self._held, None
        for cpu in cpus:
            cpu.unblock()
        self.throttle(t_ns, pace)

    # -- missing pages ------------------------------------------------------------------------------------------

    def next_fault_ns(self) -> int | None:
        """No CPU touches a missing page before; a barrier must fall here. None: none ever does."""
        work_ns = self.writes.next_look_ns() if self.running else None
        if work_ns is None or not self.pace:
            return None
        ahead = (work_ns - self._worked_ns) * self.pace.denominator
        return self._world_ns + self._paced_ns - (-ahead // self.pace.numerator)

    def stand(self, t_ns: int) -> list[Fault]:
        """CPUs that touch a missing page at ``t_ns`` stand from there on; every CPU must have run to it."""
        faults = self.writes.stand(self._work_ns(self.clock_ns(t_ns))) if self.running else []
        for fault in faults:
            self.cpus[fault.cpu].block()
        return faults

    def arrive(self, t_ns: int, pages: Pages) -> list[tuple[Fault, int]]:
        """The content of ``pages`` is here: gives whose faults are over, and how many ns of its time each CPU stood."""
        over = self.writes.arrive(self._work_ns(self.clock_ns(t_ns)), pages)
        for fault, _ in over:
            self.cpus[fault.cpu].unblock()
        return over

    def raised_for_ns(self, cpu: int, t_ns: int, at_most_ns: int) -> int:
        """How long the oldest interrupt that waits for ``cpu`` has waited, of the last ``at_most_ns``; 0: none does."""
        clock_ns, it = self.clock_ns(t_ns), self.cpus[cpu]
        waited = [clock_ns - it.timebase.instant(slot.raised) for slot in it.slots if slot.raised is not None]
        return min(max(waited, default=0), at_most_ns)

    # -- crossing -----------------------------------------------------------------------------------------------

    def time_state(self, t_ns: int) -> TimeState:
        """Its time at ``t_ns``, running or not."""
        return TimeState(
            self.clock_ns(t_ns),
            tuple(cpu.timebase for cpu in self.cpus),
            tuple(timer for cpu in self.cpus for timer in cpu.time_state()),
            self.spec.facility,
        )

    def load_time(self, state: TimeState) -> None:
        """Set a stopped machine's time."""
        self._clock_ns = state.clock_ns
        for cpu, timebase in zip(self.cpus, state.timebases, strict=True):
            cpu.load_time(timebase, state.of_cpu(cpu.index), timebase.ticks(state.clock_ns - 1) + 1)

    def count_at(self, hz: int) -> None:
        """Be at reset once more, with a timebase of ``hz``."""
        self.spec = replace(self.spec, timebase_hz=hz)
        timebase = Timebase(0, 0, hz)
        for cpu in self.cpus:
            cpu.timebase, record, cpu.record = timebase, cpu.record, None
            cpu.power_on(timebase.ticks(self._clock_ns - 1) + 1)
            cpu.record = record

    def advance(self, t_ns: int, ns: int) -> None:
        """Let the guest's timebase go on by ``ns`` while the machine is stopped; its CPUs have done nothing since."""
        time = self.time_state(t_ns)
        registers = [cpu.registers() for cpu in self.cpus]
        self.load_time(replace(time, timebases=tuple(timebase.advanced(ns) for timebase in time.timebases)))
        for cpu, saved in zip(self.cpus, registers, strict=True):
            cpu.load_registers(saved)

    def work(self) -> dict[str, object]:
        """What :meth:`load_workload` needs to go on with the memory workload elsewhere; the machine is stopped."""
        return {"run_ns": self.run_ns, "lags_ns": self.writes.lags_ns}

    def load_workload(self, run_ns: int, lags_ns: list[int]) -> None:
        """Go on with the memory workload after ``run_ns`` of the guest's work, each CPU so much behind in it."""
        self.writes.load(run_ns, lags_ns)
        self._worked_ns, self._paced_ns, self.pace = run_ns, self._clock_ns, Fraction(1)

    @property
    def run_ns(self) -> int:
        """How long the guest had worked on its memory when the machine was stopped."""
        return self._work_ns(self._clock_ns)

    def throttle(self, t_ns: int, pace: Fraction) -> None:
        """From ``t_ns`` on the guest works on its memory for this share of its time, 0 to 1, evenly."""
        self.catch_up(t_ns)
        clock_ns = self.clock_ns(t_ns)
        self._worked_ns, self._paced_ns, self.pace = self._work_ns(clock_ns), clock_ns, pace

    def _work_ns(self, clock_ns: int) -> int:
        return self._worked_ns + (clock_ns - self._paced_ns) * self.pace.numerator // self.pace.denominator

    def arms(self, t_ns: int) -> list[dict[str, object]]:
        """What ``timer_armed`` says of every decrementer as it stands, but for the cause."""
        time = self.time_state(t_ns)
        stands = t_ns - time.clock_ns
        return [
            {
                "cpu": cpu.index,
                "timer": timer.name,
                "value": time.reading(cpu.index * time.per_cpu + slot.index) & (1 << timer.bits) - 1,
                "tb": time.tb(cpu.index),
                "deadline_ns": None if due >= NEVER else cpu.timebase.instant(due) + stands,
            }
            for cpu in self.cpus
            for slot, timer in zip(cpu.slots, self.spec.facility.timers, strict=True)
            if (due := cpu.promised(slot)) < NEVER or slot.index == 0
        ]

    def next_due_ns(self, t_ns: int) -> list[int]:
        """When, after ``t_ns``, the next interrupt of each CPU is due, if its time goes on; −1: none is to come."""
        clock_ns = self.clock_ns(t_ns)
        found = []
        for cpu in self.cpus:
            raised = any(slot.raised is not None for slot in cpu.slots)
            due = min(cpu.promised(slot) for slot in cpu.slots)
            waits_ns = 0 if raised else cpu.timebase.instant(due) - clock_ns if due < NEVER else None
            found.append(-1 if waits_ns is None or waits_ns > _FAR_NS else t_ns + max(waits_ns, 0))
        return found

    def facts(self, t_ns: int) -> dict[str, object]:
        """What ``machine_stopped`` and ``machine_resumed`` say, but for the RAM digest."""
        names = self.spec.facility.timers
        time = self.time_state(t_ns)
        return {
            "state": str(self.state),
            "tb": time.tb(),
            "cpu_tb": [time.tb(i) for i in time.cpus],
            "clock_ns": time.clock_ns,
            "decr": [time.decr(i) for i in time.cpus],
            "pending": [
                [names[slot.index].name for slot in cpu.slots if slot.pending is not None] for cpu in self.cpus
            ],
        }
