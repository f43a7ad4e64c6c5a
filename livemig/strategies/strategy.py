"""What a strategy is, and the parts that most of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, NamedTuple

from livemig.errors import ProtocolError
from livemig.machine.cpu import TimerState
from livemig.machine.time_state import HostView, TimeState
from livemig.timers.decrementer import Decrementer
from livemig.timers.ticks import sign_extend
from livemig.timers.timebase import Timebase

Saved = dict[str, Any]
"""What travels: plain integers and lists with one entry a CPU or a timer, so that it packs and logs as it is."""


class Each(Enum):
    """How many numbers there are under one name."""

    MACHINE = "machine"
    CPU = "cpu"
    TIMER = "timer"
    """Every timer of every CPU, in the order of :attr:`TimeState.timers`."""


class Number(NamedTuple):
    """What a saved number may be; ``bits``, signed, or 64 unsigned."""

    each: Each = Each.MACHINE
    bits: int = 61


INT, PER_CPU, PER_TIMER = Number(), Number(Each.CPU), Number(Each.TIMER)
TB, PER_CPU_TB, PER_TIMER_TB = (Number(each, bits=64) for each in Each)

Fields = Mapping[str, Number]


class Strategy(ABC):
    """A pure rule. A host's clocks are all it sees of the world; it is never told how long the blackout was."""

    name: ClassVar[str]
    fields: ClassVar[Fields]
    """What :meth:`save` gives: by name."""
    any_frequency: ClassVar[bool] = False
    """It may be restored on a machine whose timebase has another frequency."""
    counts_on: ClassVar[bool] = True
    """TB is read from what counts on while the guest is stopped, as KVM's does; else from a virtual clock that stands
    still, and with it every timer, however long the steps of the crossing take."""
    measures_peer: ClassVar[bool] = False
    """On the source it wants to know how far the destination's time of day is from its own."""

    @abstractmethod
    def save(self, time: TimeState, host: HostView) -> Saved:
        """On the source, stopped: what is sent."""

    @abstractmethod
    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        """On the destination, at the instant it resumes: the time to go on with. ``fresh`` is as its reset left it."""

    def check(self, saved: Any, cpus: int, timers: int = 1) -> Saved:
        """``saved``, if it is of the form that :meth:`save` gives on a machine of ``cpus`` CPUs with ``timers`` each.

        Raises:
            ProtocolError: it is not.
        """
        if not isinstance(saved, dict) or set(saved) != set(self.fields):
            raise ProtocolError("snapshot", "timebase.saved", f"is not {sorted(self.fields)}, as {self.name} has it")
        for name, number in self.fields.items():
            count = {Each.MACHINE: None, Each.CPU: cpus, Each.TIMER: cpus * timers}[number.each]
            values = [saved[name]] if count is None else saved[name]
            if not isinstance(values, list) or (count is not None and len(values) != count):
                raise ProtocolError("snapshot", f"timebase.saved.{name}", f"is not a list of {count} numbers")
            low, high = (0, 1 << 64) if number.bits == 64 else (-(1 << number.bits), 1 << number.bits)
            if not all(type(value) is int and low <= value < high for value in values):
                raise ProtocolError("snapshot", f"timebase.saved.{name}", f"is not of numbers from {low} to {high - 1}")
        return saved


def save_interrupts(time: TimeState) -> Saved:
    """Whether each timer runs, and for how many ticks its interrupt and its level line have been up (-1: they are
    down). Pending state crosses: an interrupt that is due but masked is pending on the other side."""
    states = [(time.ticks(time.cpu_of(i)), state) for i, state in enumerate(time.timers)]
    return {
        "armed": [int(state.count.armed) for _, state in states],
        "pending": [-1 if state.pending is None else now - state.pending for now, state in states],
        "line": [-1 if state.line is None else now - state.line for now, state in states],
    }


INTERRUPT_FIELDS: Fields = {"armed": PER_TIMER, "pending": PER_TIMER, "line": PER_TIMER}


def save_timebase(time: TimeState, host: HostView) -> Saved:
    """The snapshot tuple, the virtual clock, and the time of day at which both are true."""
    return {
        "tb_value": time.timebase.value,
        "tb_clock_ns": time.timebase.clock_ns,
        "clock_ns": time.clock_ns,
        "time_of_day_ns": host.time_of_day_ns,
    }


TIMEBASE_FIELDS: Fields = {"tb_value": TB, "tb_clock_ns": INT, "clock_ns": INT, "time_of_day_ns": INT}


def saved_timebase(saved: Saved, hz: int) -> Timebase:
    """The snapshot tuple as it was on the source."""
    return Timebase(saved["tb_value"], saved["tb_clock_ns"], hz)


def save_remaining(time: TimeState) -> Saved:
    """For every timer, the ticks until it reads 0, as its CPU is read; negative when that is over."""
    read = [time.ticks(cpu) + time.lag(cpu) for cpu in time.cpus]
    return {"remaining": [state.count.expiry - read[time.cpu_of(i)] for i, state in enumerate(time.timers)]}


def gap_ns(saved: Saved, host: HostView) -> int:
    """The blackout as the two hosts' times of day tell it; never negative, so that TB never goes back."""
    then: int = saved["time_of_day_ns"]
    return max(0, host.time_of_day_ns - then)


def restored(
    fresh: TimeState, saved: Saved, timebases: Sequence[Timebase], expiry: Callable[[int, Timebase], int]
) -> TimeState:
    """Every timer, with its interrupt where that was sent, on the ``timebases`` of its CPU; the clock goes on from
    ``saved``'s.

    Args:
        expiry: for the number of a timer and the timebase it counts on, the tick at which it reads 0.
    """
    clock_ns = saved["clock_ns"]

    def timer(i: int) -> TimerState:
        timebase = timebases[fresh.cpu_of(i)]
        ticks = _stop_tick(saved, timebase)
        pending, line = (saved[name][i] if name in saved else -1 for name in ("pending", "line"))
        return TimerState(
            Decrementer(expiry(i, timebase), bool(saved["armed"][i])),
            None if pending < 0 else ticks - pending,
            None if line < 0 else ticks - line,
        )

    timers = tuple(map(timer, range(len(fresh.timers))))
    return TimeState(clock_ns, tuple(timebases), timers, fresh.facility, fresh.lags_ns)


def _stop_tick(saved: Saved, timebase: Timebase) -> int:
    """The tick of ``timebase`` at which it reads what TB read at the stop, or the one it stands at if that is less."""
    clock_ns: int = saved["clock_ns"]
    now = timebase.ticks(clock_ns)
    if "tb_clock_ns" not in saved:
        return now
    then = saved_timebase(saved, saved.get("hz", timebase.hz))
    return min(now, sign_extend(then.read(clock_ns) - timebase.value, 64))
