"""Where TB and DECR stood while the guest stood still, by all that the two logs show, and when that was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from livemig.events.qemu.facts import Facts
from livemig.events.qemu.roles import Roles, last_burst
from livemig.events.qemu.survey import Reading, Survey, Thread, Write
from livemig.events.qemu.ticks import ns_up, signed, ticks_down

_FOREVER = 1 << 62
_BEST = 256
"""Readings near an instant, of which the best is taken."""
CLOSE_NS = 100_000
"""How well an instant is known that QEMU itself logged, or a reading near it."""
ROUGH_NS = 5_000_000
"""How well one is known that an observer noted, or that was inferred."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """One end of the blackout.

    Args:
        t_us: when, by the host's wall clock.
        by: what says so: ``vm_state_notify``, ``run.toml``, or how it was inferred.
        tb: of the machine, where it stood. cpu_tb: of every CPU. decr: signed. None: nothing shows it.
        unsure_ns: how far ``tb`` may be from that of the instant ``t_us``.
        before: what was in DECR before the saved value was loaded; empty if none was.
    """

    t_us: int
    by: str
    tb: int | None
    cpu_tb: list[int | None]
    decr: list[int | None]
    unsure_ns: int
    before: tuple[int, ...] = ()


def zero_ns(readings: Iterable[Reading], hz: int) -> int | None:
    """When TB was 0, by ``readings`` of a running timebase; None if there are none. A TB that the guest set to near its
    end is to be 0 when it wraps.

    A line's time is taken after TB was read, by microseconds or, if the thread lost its CPU between the two, by
    milliseconds: the earliest of many is the best.
    """
    zeros = (1000 * reading.t_us - signed(reading.value, 64) * 1_000_000_000 // hz for reading in readings)
    return min(zeros, default=None)


def standing_tb(thread: Thread | None, begin_us: int, end_us: int, last: bool = False) -> int | None:
    """TB where it stood, as ``info registers`` shows it: two readings in a row that are equal."""
    if thread is None:
        return None
    readings = thread.tb.between(begin_us, end_us)
    found = [one.value for one, other in pairwise(readings) if one.value == other.value]
    return found[-1 if last else 0] if found else None


# ── the source ──


def at_stop(found: Survey, who: Roles, facts: Facts, hz: int, cpus: int) -> Standstill | None:
    """The source's last stop; None if no guest is seen."""
    act_us = who.last_act_us
    if act_us is None and found.last_stop_us is not None:
        act_us = found.first_run_us  # It ran, and did nothing: one that lost its timer, say, in a migration before.
    if act_us is None:
        return None
    saved = _saved(who, cpus)
    halt_ns = _halted_by_decr(who.vcpus, saved, act_us, hz)
    stop_us, by = _stop(found, facts, act_us, halt_ns)
    decr: list[int | None] = list(saved) or _shown(who, stop_us, _FOREVER, cpus)
    exact = standing_tb(who.main, stop_us, _FOREVER)
    zero = zero_ns(_last(who.vcpus, stop_us), hz)
    if exact is not None and zero is not None:
        halt_ns = zero + ns_up(exact, hz)
    elif halt_ns is None:
        halt_ns = 1000 * stop_us
    halt_ns = min(halt_ns, 1000 * stop_us)
    tb = exact if exact is not None else _at(zero, halt_ns, hz)
    each = [_at(zero_ns(_last([thread], stop_us), hz), halt_ns, hz) for thread in who.vcpus] if cpus > 1 else []
    unsure = 1000 * stop_us - halt_ns + (CLOSE_NS if by == "vm_state_notify" else ROUGH_NS)
    return Standstill(stop_us, by, tb, _filled(each, tb, cpus), decr, unsure)


def _stop(found: Survey, facts: Facts, act_us: int, halt_ns: int | None) -> tuple[int, str]:
    if found.last_stop_us is not None:
        return found.last_stop_us, "vm_state_notify"
    if (noted := facts.microseconds("stopped_at_host_s", "source_stop_host_s")) is not None:
        return max(noted, act_us), "run.toml"
    if halt_ns is not None:
        return max(halt_ns // 1000, act_us), "inferred from the DECR that was saved"
    return act_us, "inferred from the guest's last act"


def _saved(who: Roles, cpus: int) -> list[int]:
    """The DECRs that the migration thread read; empty if it did not read one of every CPU."""
    bursts = [last_burst(thread.decr) for thread in who.savers]
    whole = [burst for burst in bursts if len(burst) == cpus]
    return [signed(reading.value, 32) for reading in whole[-1]] if whole else []


def _halted_by_decr(vcpus: Sequence[Thread], saved: Sequence[int], act_us: int, hz: int) -> int | None:
    """When the clock stopped, by how far each DECR had come down since it was written; not before the last act."""
    if len(vcpus) != len(saved):
        return None
    pairs = [(thread.last_write, value) for thread, value in zip(vcpus, saved, strict=True)]
    ends = (1000 * write.t_us + ns_up((write.value - value) & 0xFFFF_FFFF, hz) for write, value in pairs if write)
    return min((end for end in ends if end >= 1000 * act_us), default=None)


# ── the destination ──


def at_resume(found: Survey, who: Roles, facts: Facts, stop_us: int, hz: int, cpus: int) -> Standstill | None:
    """The destination's first run after the load; None if nothing shows it."""
    writes = [write for write in who.loader.writes if write.loaded] if who.loader else []
    instant = _resume(found, who, facts, stop_us, writes, hz)
    if instant is None:
        return None
    run_us, by = instant
    loads = [write for write in writes if write.t_us <= run_us][-cpus:]
    loads = loads if len(loads) == cpus else []
    loaded_us = max([write.t_us for write in loads] + [found.completed_us or 0])
    tb, cpu_tb, unsure = _tb_at_resume(found, who, loaded_us, run_us, hz, cpus)
    if loads:
        decr: list[int | None] = [signed(write.value, 32) for write in loads]
    else:
        decr = _decr_at_resume(found, who, loaded_us, run_us, hz, cpus)
    before = tuple(signed(write.old, 32) for write in loads)
    return Standstill(run_us, by, tb, cpu_tb, decr, unsure + (0 if by == "vm_state_notify" else ROUGH_NS), before)


def _resume(
    found: Survey, who: Roles, facts: Facts, stop_us: int, loads: Sequence[Write], hz: int
) -> tuple[int, str] | None:
    if found.first_run_us is not None:
        return found.first_run_us, "vm_state_notify"
    act_us = who.first_act_us
    latest_us = _FOREVER if act_us is None else act_us
    if (noted := facts.microseconds("resumed_at_host_s", "destination_run_host_s")) is not None:
        return min(noted, latest_us), "run.toml"
    counting = [write.value for write in loads if not write.value >> 31 & 1]
    if counting and who.main is not None and who.main.raises:
        run_us = who.main.raises[0] - ns_up(min(counting), hz) // 1000
        by = "inferred from the first interrupt, and the DECR that was loaded"
        return min(max(run_us, loads[-1].t_us), latest_us), by
    downtime_us = facts.microseconds("qemu_reported_downtime_ms", "downtime_reported_ms", unit=1000)
    if downtime_us is not None and facts.live:
        return min(stop_us + downtime_us, latest_us), "inferred from the downtime that QEMU reported"
    return None if act_us is None else (act_us, "inferred from the guest's first act")


def _tb_at_resume(
    found: Survey, who: Roles, loaded_us: int, run_us: int, hz: int, cpus: int
) -> tuple[int | None, list[int | None], int]:
    """TB, that of every CPU, and how unsure it is."""
    exact = standing_tb(who.main, loaded_us, run_us, last=True)
    vcpus = [thread for thread in who.vcpus if not thread.wrote_tb]
    threads = [*vcpus, who.main] if who.main else vcpus
    stop_us = _FOREVER if found.next_stop_us is None else found.next_stop_us
    running = sorted(reading for thread in threads for reading in thread.tb.between(run_us, stop_us))[:_BEST]
    unsure = CLOSE_NS
    zero = zero_ns(running, hz)
    again_us = _FOREVER if found.next_run_us is None else found.next_run_us
    if exact is None and zero is None and (stood := standing_tb(who.main, stop_us, again_us)) is not None:
        zero, unsure = zero_ns([Reading(stop_us, stood)], hz), ROUGH_NS
    tb = exact if exact is not None else _at(zero, 1000 * run_us, hz)
    each = [_at(zero_ns(thread.tb.between(run_us, stop_us)[:_BEST], hz), 1000 * run_us, hz) for thread in vcpus]
    return tb, _filled(each if cpus > 1 else [], tb, cpus), unsure


def _decr_at_resume(found: Survey, who: Roles, loaded_us: int, run_us: int, hz: int, cpus: int) -> list[int | None]:
    """Where nothing was loaded: what the observer saw before, or what was first read after, reckoned back."""
    shown = _shown(who, loaded_us, run_us, cpus)
    if any(value is not None for value in shown):
        return shown
    stop_us = _FOREVER if found.next_stop_us is None else found.next_stop_us

    def back(reading: Reading) -> int:
        return signed(reading.value + ticks_down(1000 * (min(reading.t_us, stop_us) - run_us), hz), 32)

    first = [thread.first_decr for thread in who.vcpus]
    decr = [back(reading) if reading else None for reading in first[:cpus]]
    decr += [None] * (cpus - len(decr))
    if decr[0] is None and who.main is not None and (seen := who.main.decr.between(run_us, _FOREVER)):
        decr[0] = back(seen[0])
    return decr


# ── both ──


def _shown(who: Roles, begin_us: int, end_us: int, cpus: int) -> list[int | None]:
    """The DECRs that the monitor last showed: of every CPU, or of the first, which is its default."""
    burst = last_burst(who.main.decr.between(begin_us, end_us)) if who.main else []
    if len(burst) != cpus:
        burst = burst[-1:]
    return [*(signed(reading.value, 32) for reading in burst), *[None] * (cpus - len(burst))]


def _last(threads: Iterable[Thread], stop_us: int) -> list[Reading]:
    return sorted(reading for thread in threads for reading in thread.tb.between(0, stop_us + 1))[-_BEST:]


def _at(zero: int | None, t_ns: int, hz: int) -> int | None:
    return None if zero is None else ticks_down(t_ns - zero, hz) & (1 << 64) - 1


def _filled(each: Sequence[int | None], tb: int | None, cpus: int) -> list[int | None]:
    """One a CPU: its own, else the machine's, as every CPU's TB is made of one clock."""
    return [own if own is not None else tb for own in [*each[:cpus], *[None] * (cpus - len(each))]]
