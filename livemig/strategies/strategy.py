"""What a strategy is, and the parts that most of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

from livemig.errors import ProtocolError
from livemig.machine.cpu import DecrementerState
from livemig.machine.time_state import HostView, TimeState
from livemig.timers.decrementer import Decrementer
from livemig.timers.timebase import Timebase

Saved = dict[str, Any]
"""What travels: plain integers and lists with one entry a CPU, so that it packs and logs as it is."""


class Number(NamedTuple):
    """What a saved number may be: one, or a list with one a CPU; ``bits``, signed, or 64 unsigned."""

    per_cpu: bool = False
    bits: int = 62


INT, PER_CPU = Number(), Number(per_cpu=True)
TB, PER_CPU_TB = Number(bits=64), Number(per_cpu=True, bits=64)

Fields = Mapping[str, Number]


class Strategy(ABC):
    """A pure rule. A host's clocks are all it sees of the world; it is never told how long the blackout was."""

    name: ClassVar[str]
    fields: ClassVar[Fields]
    """What :meth:`save` gives: by name."""

    @abstractmethod
    def save(self, time: TimeState, host: HostView) -> Saved:
        """On the source, stopped: what is sent."""

    @abstractmethod
    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        """On the destination, at the instant it resumes: the time to go on with. ``fresh`` is as its reset left it."""

    def check(self, saved: Any, cpus: int) -> Saved:
        """``saved``, if it is of the form that :meth:`save` gives.

        Raises:
            ProtocolError: it is not.
        """
        if not isinstance(saved, dict) or set(saved) != set(self.fields):
            raise ProtocolError("snapshot", "timebase.saved", f"is not {sorted(self.fields)}, as {self.name} has it")
        for name, number in self.fields.items():
            values = saved[name] if number.per_cpu else [saved[name]]
            if not isinstance(values, list) or (number.per_cpu and len(values) != cpus):
                raise ProtocolError("snapshot", f"timebase.saved.{name}", f"is not a list of {cpus} numbers")
            low, high = (0, 1 << 64) if number.bits == 64 else (-(1 << number.bits), 1 << number.bits)
            if not all(type(value) is int and low <= value < high for value in values):
                raise ProtocolError("snapshot", f"timebase.saved.{name}", f"is not of numbers from {low} to {high - 1}")
        return saved


def save_interrupts(time: TimeState) -> Saved:
    """Whether each decrementer's timer runs, and for how many ticks its interrupt and its level line have been up
    (-1: they are down). Pending state crosses: an interrupt that is due but masked is pending on the other side."""
    states = [(time.ticks(i), state) for i, state in enumerate(time.decrementers)]
    return {
        "armed": [int(state.decrementer.armed) for _, state in states],
        "pending": [-1 if state.pending is None else now - state.pending for now, state in states],
        "line": [-1 if state.line is None else now - state.line for now, state in states],
    }


INTERRUPT_FIELDS: Fields = {"armed": PER_CPU, "pending": PER_CPU, "line": PER_CPU}


def save_timebase(time: TimeState, host: HostView) -> Saved:
    """The snapshot tuple, the virtual clock, and the time of day at which both are true."""
    return {
        "tb_value": time.timebase.value,
        "tb_clock_ns": time.timebase.clock_ns,
        "clock_ns": time.clock_ns,
        "time_of_day_ns": host.time_of_day_ns,
    }


TIMEBASE_FIELDS: Fields = {"tb_value": TB, "tb_clock_ns": INT, "clock_ns": INT, "time_of_day_ns": INT}


def gap_ns(saved: Saved, host: HostView) -> int:
    """The blackout as the two hosts' times of day tell it; never negative, so that TB never goes back."""
    then: int = saved["time_of_day_ns"]
    return max(0, host.time_of_day_ns - then)


def restore_advanced(
    fresh: TimeState, saved: Saved, host: HostView, expiry: Callable[[int, Timebase], int]
) -> TimeState:
    """The machine's timebase, one for all CPUs, advanced by the blackout; and on it every CPU's decrementer with its
    interrupt: ``expiry`` gives, for a CPU and that timebase, the tick at which DECR reads 0."""
    clock_ns = saved["clock_ns"]
    before = Timebase(saved["tb_value"], saved["tb_clock_ns"], fresh.timebase.hz)
    after = before.advanced(gap_ns(saved, host))
    saved_at = before.ticks(clock_ns)

    def decrementer(cpu: int) -> DecrementerState:
        pending, line = saved["pending"][cpu], saved["line"][cpu]
        return DecrementerState(
            Decrementer(expiry(cpu, after), bool(saved["armed"][cpu])),
            None if pending < 0 else saved_at - pending,
            None if line < 0 else saved_at - line,
        )

    return TimeState(clock_ns, (after,) * len(fresh.cpus), tuple(map(decrementer, fresh.cpus)), fresh.model)
