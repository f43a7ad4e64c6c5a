"""Crossings drawn at random, and what each strategy must make of them: a model of its own, in exact arithmetic on the
text of the rules. It knows nothing of timebases, decrementers or strategies but their names.

G is TB and r DECR at the stop, V the virtual clock, D the blackout, s the destination's time of day minus the
source's, all times in ns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from hypothesis import strategies as st

S = 10**9
TB = 1 << 64
DECR = 1 << 32


@dataclass(frozen=True)
class Timer:
    """``count``: ticks until it reads 0, negative when that is over. ``runs``: it will raise then."""

    count: int
    runs: bool
    pending: bool = False


@dataclass(frozen=True)
class Crossing:
    """TB read ``value`` at ``value_ns`` of the virtual clock. ``timers``: of every CPU in turn, DECR first.

    ``host_hz``, ``host_ticks``: of the two hosts' cycle counters, the frequencies, and what they read at the stop.
    """

    hz: int
    value: int
    value_ns: int
    clock_ns: int
    level: bool
    cpus: int
    timers: tuple[Timer, ...]
    blackout_ns: int
    skew_ns: int
    host_hz: tuple[int, int]
    host_ticks: tuple[int, int]
    hz_there: int
    reset: str = "clock"
    measured_ns: int | None = None
    """What s was measured as; None: it was not."""

    @property
    def per_cpu(self) -> int:
        return len(self.timers) // self.cpus

    def tb(self, later_ns: int = 0) -> int:
        """G, had the guest run ``later_ns`` longer."""
        return self.value + (self.clock_ns + later_ns - self.value_ns) * self.hz // S

    @property
    def bare(self) -> int:
        """The ticks of the virtual clock."""
        return self.clock_ns * self.hz // S


class Predicted(NamedTuple):
    """``tb`` by CPU; by timer: ``decr`` (signed), ``due_in`` (ticks from the resume, None: never), ``pending``."""

    tb: tuple[int, ...]
    decr: tuple[int, ...]
    due_in: tuple[int | None, ...]
    pending: tuple[bool, ...]


def signed(value: int, modulus: int = DECR) -> int:
    value %= modulus
    return value - modulus if value >= modulus // 2 else value


def _kept(timer: Timer, later: int = 0) -> tuple[int, int | None, bool]:
    """A timer ``later`` ticks on."""
    left = timer.count - later
    return signed(left), max(0, left) if timer.runs else None, timer.pending


def _all(tb: int | list[int], c: Crossing, each: Callable[[int], tuple[int, int | None, bool]]) -> Predicted:
    tbs = tb if isinstance(tb, list) else [tb] * c.cpus
    decr, due_in, pending = zip(*map(each, range(len(c.timers))), strict=True)
    return Predicted(tuple(value % TB for value in tbs), decr, due_in, pending)


def coherent(c: Crossing, gap_ns: int) -> Predicted:
    """TB and DECR as if ``gap_ns`` had passed."""
    n = c.tb(gap_ns) - c.tb()
    return _all(c.tb(gap_ns), c, lambda i: _kept(c.timers[i], n))


def values(c: Crossing, tb: int) -> Predicted:
    """DECR as it was."""
    return _all(tb, c, lambda i: _kept(c.timers[i]))


def _gap(c: Crossing) -> int:
    return max(0, c.blackout_ns + c.skew_ns)


def start_up(c: Crossing) -> tuple[int, bool]:
    """Ticks until the destination's own DECR reads 0, at the source's virtual clock, and whether it runs."""
    bare = c.clock_ns * c.hz_there // S
    match c.reset:
        case "clock":
            return DECR - 1 - bare, not c.level
        case "zero":
            return -bare, False
        case _:
            return -1 - bare, False


def none(c: Crossing) -> Predicted:
    left, runs = start_up(c)
    due_in = max(0, left) if runs else None
    up = [c.reset == "raised" and i % c.per_cpu == 0 for i in range(len(c.timers))]
    return _all(c.clock_ns * c.hz_there // S, c, lambda i: (signed(left), due_in, up[i]))


def pending_dropped(c: Crossing) -> Predicted:
    before = signed(start_up(c)[0])

    def main(i: int) -> tuple[int, int | None, bool]:
        if i % c.per_cpu:
            decr, due_in, _ = _kept(c.timers[i])
            return decr, due_in, False
        r = signed(c.timers[i].count)
        was_up = c.reset == "raised"
        if r < 0 and (c.level or before >= 0):
            return r, None, True
        return r, r % DECR, was_up and not c.level

    return _all(c.tb(), c, main)


def kvm_tbu40(c: Crossing) -> Predicted:
    """The offset of the right TB to the bare clock, rounded up."""
    offset = c.tb(_gap(c)) - c.bare
    rise = math.ceil(Fraction(offset, 1 << 24)) * (1 << 24) - offset
    n = c.tb(_gap(c)) - c.tb() + rise
    return _all(c.tb() + n, c, lambda i: _kept(c.timers[i], n))


def kvm_random_dec(c: Crossing) -> Predicted:
    """SplitMix64, as published, of the snapshot tuple's TB."""

    def drawn(cpu: int) -> int:
        z = (c.value + (cpu + 1) * 0x9E3779B97F4A7C15) % TB
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % TB
        z = (z ^ z >> 27) * 0x94D049BB133111EB % TB
        return (z ^ z >> 31) % (DECR // 2)

    right = coherent(c, _gap(c))
    decr, due_in = list(right.decr), list(right.due_in)
    for cpu in range(c.cpus):
        decr[cpu * c.per_cpu] = due_in[cpu * c.per_cpu] = drawn(cpu)
    return right._replace(decr=tuple(decr), due_in=tuple(due_in))


def kvm_raw_offset(c: Crossing) -> Predicted:
    """U: by how much the hosts' own timebases differ between the stop here and the resume there."""
    here = c.host_ticks[0] * c.hz // c.host_hz[0]
    there = (c.host_ticks[1] + c.blackout_ns * c.host_hz[1] // S) % TB * c.hz // c.host_hz[1]
    n = there - here
    return _all(c.tb() + n, c, lambda i: _kept(c.timers[i], signed(n, TB)))


def against(c: Crossing, found: int) -> Predicted:
    """DECR is set to the TB at which it reads 0 less the TB that is found, in its own width."""
    tb = c.tb(_gap(c))

    def each(i: int) -> tuple[int, int | None, bool]:
        left = signed(c.tb() + c.timers[i].count - found)
        return left, max(0, left) if c.timers[i].runs else None, c.timers[i].pending

    return _all(tb, c, each)


def per_cpu(c: Crossing) -> Predicted:
    """CPU i is read i·5 us after the stop, and set i·25 us after the resume."""
    tbs = [c.tb(i * 5_000) + (_gap(c) - i * 25_000) * c.hz // S for i in range(c.cpus)]
    return _all(tbs, c, lambda i: _kept(c.timers[i], tbs[i // c.per_cpu] - c.tb()))


def _down(hz: int, ticks: int) -> int:
    return ticks * S // hz * hz // S


def round_down(c: Crossing) -> Predicted:
    right = c.tb(_gap(c))
    n = right - c.tb()

    def each(i: int) -> tuple[int, int | None, bool]:
        timer = c.timers[i]
        return _kept(Timer(_down(c.hz, timer.count - n), timer.runs, timer.pending))

    return _all(_down(c.hz, right % TB), c, each)


def double_read(c: Crossing) -> Predicted:
    n = c.tb(_gap(c) + 1_000) - c.tb()
    return _all(c.tb(_gap(c)), c, lambda i: _kept(c.timers[i], n))


def snapshot_tuple(c: Crossing) -> Predicted:
    """Between frequencies nothing changes at the load: TB and DECR are of the source's ticks."""
    return coherent(c, _gap(c))


def decr_only(c: Crossing) -> Predicted:
    right, left_there = coherent(c, _gap(c)), none(c)
    mains = [i % c.per_cpu == 0 for i in range(len(c.timers))]
    columns = zip(right[1:], left_there[1:], strict=True)
    decr, due_in, pending = (
        tuple(ours if main else theirs for main, ours, theirs in zip(mains, *column, strict=True))
        for column in columns
    )
    return Predicted(right.tb, decr, due_in, pending)


def line_not_recomputed(c: Crossing) -> Predicted:
    right = coherent(c, _gap(c))
    return right._replace(pending=(False,) * len(c.timers))


PREDICTIONS: dict[str, Callable[[Crossing], Predicted]] = {
    "none": none,
    "absolute": lambda c: values(c, c.tb(_gap(c))),
    "absolute-frozen-tb": lambda c: values(c, c.tb()),
    "tb-offset": lambda c: coherent(c, _gap(c)),
    "host-ticks": lambda c: values(
        c, c.tb() + c.host_ticks[0] - c.host_ticks[1] - c.blackout_ns * c.host_hz[1] // S
        + c.clock_ns * c.hz_there // S - c.bare,
    ),
    "snapshot-tuple": snapshot_tuple,
    "kvm-raw-offset": kvm_raw_offset,
    "per-cpu-timebase": per_cpu,
    "cpu-before-machine": lambda c: against(c, c.bare),
    "qemu-dead-clamp": lambda c: coherent(c, 0),
    "clamped": lambda c: coherent(c, min(S, _gap(c))),
    "kvm-tbu40": kvm_tbu40,
    "kvm-random-dec": kvm_random_dec,
    "deadline-before-clock": lambda c: against(c, 0),
    "negative-delta": lambda c: coherent(c, c.blackout_ns + c.skew_ns),
    "round-down": round_down,
    "double-read": double_read,
    "pending-dropped": pending_dropped,
    "tb-write-dropped": lambda c: values(c, c.clock_ns * c.hz_there // S),
    "frequency-change": lambda c: values(c, c.tb() - c.bare + c.clock_ns * c.hz_there // S),
    "decr-only": decr_only,
    "line-not-recomputed": line_not_recomputed,
    "channel-clock": lambda c: coherent(c, max(0, c.blackout_ns + c.skew_ns - (c.measured_ns or 0))),
}  # fmt: skip

OTHER_FREQUENCY = {"none", "host-ticks", "snapshot-tuple", "tb-write-dropped", "frequency-change"}
"""Those that can be restored at another frequency."""

RUNNING = st.builds(Timer, st.integers(1, DECR - 1), st.just(True))
EXPIRED = st.builds(Timer, st.integers(-(DECR // 2), -1), st.just(False), st.booleans())


@st.composite
def crossings(draw: st.DrawFn, other_frequency: bool = False) -> Crossing:
    """Any but impossible ones: of a level CPU a DECR that is negative is raised, and does not run."""
    hz = draw(st.integers(1, S))
    level = draw(st.booleans())
    cpus, per_cpu = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    clock_ns = draw(st.integers(0, 10**13))
    timers: list[Timer] = draw(st.lists(RUNNING | EXPIRED, min_size=cpus * per_cpu, max_size=cpus * per_cpu))
    return Crossing(
        hz,
        draw(st.integers(0, TB - 1)),
        draw(st.integers(-(10**13), clock_ns)),
        clock_ns,
        level,
        cpus,
        tuple(timers),
        draw(st.integers(0, 10**12)),
        draw(st.integers(-(10**10), 10**10)),
        (draw(st.integers(1, 10**10)), draw(st.integers(1, 10**10))),
        (draw(st.integers(0, 1 << 62)), draw(st.integers(0, 1 << 62))),
        draw(st.integers(1, S)) if other_frequency else hz,
        draw(st.sampled_from(["clock", "expired", "raised", "zero"])),
        draw(st.none() | st.integers(-(10**10), 10**10)),
    )
