"""A captured migration of a real QEMU: its run.toml and the two trace logs beside it, and what they show of the stop.

What run.toml does not say is derived from the logs where they tell it; :attr:`Capture.notes` says what was derived,
and what could not be known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from livemig.errors import InputError
from livemig.events.qemu.counting import Counting
from livemig.events.qemu.facts import Facts
from livemig.events.qemu.frequency import known_hz, measured_hz
from livemig.events.qemu.importing import cpu_count
from livemig.events.qemu.lateness import Lateness
from livemig.events.qemu.roles import Roles, last_burst, roles
from livemig.events.qemu.standstill import CLOSE_NS, Standstill, at_resume, at_stop, standing_tb
from livemig.events.qemu.survey import Survey, survey
from livemig.events.qemu.ticks import signed, ticks_down
from livemig.events.qemu.trace import DECR_EXCP, DECR_LOAD, DECR_STORE, TB_STORE, Line, TraceLog
from livemig.events.qemu.window import FAR, OPEN, Window, point
from livemig.launch.qemu_versions import (
    DECR_IN_TICKS,
    DECR_MIGRATED,
    ONE_CLOCK_READ,
    Version,
    level_triggered,
    start_up,
)
from livemig.launch.qemu_versions import timebase_hz as hz_by_version
from livemig.timers.decrementer import DecrementerModel, Reset, at_reset

NS_SLACK_TICKS: Final = 2
"""A DECR that is kept in ns reads up to so many ticks less than one that is kept in ticks."""
_FOREVER: Final = 1 << 62
_LONGEST_S: Final = 1 << 28
"""No virtual clock has run for so many seconds (8.5 years)."""
_RESET_BITS: Final = 64
"""The width that QEMU itself gives DECR where it resets the machine."""
_TAKEN, _RAISED = "taken, handler not finished", "raised, not taken"
_VECTORS: Final = range(0x900, 0x980)
"""Where the handler of a decrementer interrupt starts; HDECR's is next."""


@dataclass(slots=True)
class Log:
    """One side's log, surveyed."""

    trace: TraceLog
    found: Survey
    who: Roles

    @classmethod
    def beside(cls, run_toml: Path, side: str) -> Log:
        """``side``.log, or the same gzipped, in the directory of ``run_toml``."""
        for name in (f"{side}.log", f"{side}.log.gz"):
            path = run_toml.with_name(name)
            if path.exists():
                trace = TraceLog(path)
                found = survey(trace)
                return cls(trace, found, roles(found))
        raise InputError(str(run_toml), f"no {side}.log, and no {side}.log.gz, beside it")

    def decr_stood(self, begin_us: int, end_us: int, cpus: int) -> dict[int, int]:
        """DECR by CPU as the monitor showed it of a machine that stood still; with one reading, the first CPU's."""
        main = self.who.main
        if main is None:
            return {}
        burst = last_burst(main.decr.between(begin_us, end_us))
        shown = burst if len(burst) == cpus else burst[-1:]
        return {cpu: signed(reading.value, 32) for cpu, reading in enumerate(shown)}


@dataclass(slots=True)
class CpuSeen:
    """A CPU of the source, as the log shows it at the stop.

    Args:
        counting: its clock and DECR up to there. decr: as it was saved or shown then.
        expected: what DECR is by the guest's writes and the clock, in which ``decr`` has no part.
        pending: raised, not taken; None: raised, and the capture does not say whether it was taken.
        taken: its handler had not written DECR yet.
    """

    counting: Counting
    decr: int | None = None
    expected: Window = OPEN
    pending: bool | None = False
    taken: bool = False
    answered: int | None = None
    """The tick of the clock at which its handler last answered an interrupt."""


@dataclass(slots=True)
class Capture:
    """Args: ``hz``: (source, destination). ``clock``: of the source at the stop, in ticks. ``tb``: there, as shown."""

    facts: Facts
    source: Log
    destination: Log
    machine: str
    versions: tuple[Version, Version]
    hz: tuple[int, int]
    level: bool
    cpus: list[CpuSeen]
    stop: Standstill
    resume: Standstill | None
    clock: Window = OPEN
    tb: int | None = None
    lateness: Lateness = field(default_factory=lambda: Lateness(1))
    notes: list[str] = field(default_factory=list)
    version_given: bool = True

    def model(self, side: int) -> DecrementerModel:
        """Of the source's decrementers (0), or the destination's (1)."""
        version = self.versions[side]
        return DecrementerModel(
            level=self.level,
            small_values_raise=not DECR_IN_TICKS.in_version(version),
            reset=start_up(self.machine, version, self.level),
        )

    def slack(self, side: int) -> int:
        """Ticks by which a DECR of that side may read less than the model's."""
        in_ticks = DECR_IN_TICKS.in_version(self.versions[side]) and self.version_given
        return 0 if in_ticks or self.model(side).reset is Reset.ZERO else NS_SLACK_TICKS


def read_capture(run_toml: Path) -> Capture:
    """Everything up to the stop.

    Raises:
        InputError: a file is missing or broken, a key has a value that cannot be, or there is no guest in the log.
    """
    facts = Facts(run_toml)
    source, destination = (Log.beside(run_toml, side) for side in ("source", "destination"))
    notes: list[str] = []
    accelerator = facts.text("accelerator")
    if accelerator not in (None, "tcg"):
        raise InputError(str(run_toml), f"accelerator: {accelerator!r}, needed: 'tcg', the one whose rules are known")
    machine = _machine(facts, source, notes)
    versions = _versions(facts, destination, notes)
    hz = _frequencies(facts, machine, versions, source, notes)
    command = facts.text("source")
    level = level_triggered(machine, facts.text("cpu"), command.split()[0] if command else None)
    count = cpu_count(source.who, facts)
    stop = at_stop(source.found, source.who, facts, hz[0], count)
    if stop is None:
        raise InputError(str(source.trace.path), "no guest in it: no thread acts as a vCPU does")
    resume = at_resume(destination.found, destination.who, facts, stop.t_us, hz[1], count)
    capture = Capture(facts, source, destination, machine, versions, hz, level, [], stop, resume, notes=notes)
    capture.version_given = facts.has("qemu_version") or DECR_MIGRATED.in_version(versions[1])
    _follow_source(capture, count)
    _clock_at_stop(capture)
    _pending(capture)
    return capture


# ── facts that run.toml may lack ──


def _machine(facts: Facts, source: Log, notes: list[str]) -> str:
    machine = facts.text("machine")
    if machine is not None:
        return machine
    hz = facts.integer("timebase_hz") or known_hz(measured_hz(source.who, 0, _FOREVER))
    machine = {16_600_000: "g3beige", 512_000_000: "pseries", 25_000_000: "mac99", 100_000_000: "mac99"}.get(hz or 0)
    if machine is None:
        raise InputError(str(facts.path), "machine: not given, and the timebase's frequency does not tell it")
    notes.append(f"machine is not given; {machine}, by the frequency of the timebase")
    return machine


def _versions(facts: Facts, destination: Log, notes: list[str]) -> tuple[Version, Version]:
    """Of the source's QEMU and the destination's."""
    common = facts.text("qemu_version")
    found = []
    for side in ("source", "destination"):
        text = facts.text(f"{side}_qemu_version", f"qemu_version_{side}") or common
        try:
            found.append(None if text is None else Version.of(text))
        except ValueError as error:
            raise InputError(str(facts.path), f"qemu_version: {error}") from None
    known = next((version for version in reversed(found) if version is not None), None)
    if known is None:
        loader = destination.who.loader
        loads = loader is not None and any(write.loaded for write in loader.writes)
        known = DECR_MIGRATED.release if loads else DECR_IN_TICKS.stable[0]
        how = "writes" if loads else "does not write"
        notes.append(f"qemu_version is not given; taken for {known}: the destination {how} DECR when it loads")
    first, second = found
    return first or known, second or known


def _frequencies(
    facts: Facts, machine: str, versions: tuple[Version, Version], source: Log, notes: list[str]
) -> tuple[int, int]:
    by_version = [hz_by_version(machine, version) for version in versions]
    hz, shown = facts.integer("timebase_hz"), known_hz(measured_hz(source.who, 0, _FOREVER))
    if hz is None:
        hz = shown or by_version[0]
        if hz is None:
            raise InputError(str(facts.path), "timebase_hz: not given, and the source's log does not tell it")
        notes.append(f"timebase_hz is not given; {hz:,} by the source's log")
    elif hz != by_version[0] and shown is not None and shown == by_version[0]:
        notes.append(f"timebase_hz is {hz:,}; {shown:,} by the source's log, and by its version, is taken")
        hz = shown
    changed = versions[0] != versions[1] and None not in by_version and by_version[0] != by_version[1]
    there = facts.integer("destination_timebase_hz") or (by_version[1] if changed else hz)
    return hz, there or hz


# ── the source, up to its stop ──


def _follow_source(capture: Capture, count: int) -> None:
    log, version = capture.source, capture.versions[0]
    one_read = ONE_CLOCK_READ.in_version(version)
    end, offset = _start(capture)
    capture.cpus = [CpuSeen(Counting(end, one_read, offset, capture.slack(0))) for _ in range(count)]
    capture.lateness = Lateness(capture.hz[0])
    index = {thread.tid: cpu for cpu, thread in enumerate(log.who.vcpus)}
    savers = {thread.tid for thread in log.who.savers}
    loaded = {write.t_us for write in (log.who.loader.writes if log.who.loader else []) if write.loaded}
    for line in log.trace:
        if line.t_us > capture.stop.t_us:
            break
        cpu = index.get(line.tid)
        if cpu is not None:
            seen = capture.cpus[cpu]
            if line.event == DECR_LOAD and capture.lateness.waits(cpu):
                seen.answered = seen.counting.tick
            follow(seen.counting, capture.lateness, cpu, line)
        elif line.event == DECR_EXCP and line.word == "raise" and line.tid not in savers:
            capture.lateness.raised(line.t_us)
        elif line.event == DECR_STORE and line.t_us in loaded:
            for each in capture.cpus:
                each.counting.reset(OPEN)
        elif line.event == DECR_STORE and line.bits == _RESET_BITS:
            for number, each in enumerate(capture.cpus):
                each.counting.reset(point(at_reset(capture.model(0)).expiry))
                capture.lateness.reset(number)
        elif line.event == TB_STORE:
            for each in capture.cpus:
                each.counting.offset = signed(line.old, 64)


def follow(counting: Counting, lateness: Lateness, cpu: int, line: Line) -> None:
    """One line of a vCPU's thread."""
    counting.see(line)
    if line.event == DECR_STORE:
        lateness.written(cpu, line.t_us, line.value, counting.bits)
    elif line.event == DECR_LOAD:
        lateness.read(cpu, line.t_us)


def _start(capture: Capture) -> tuple[Window, int | None]:
    """What is known where the log begins: the end of the start-up DECR, and the offset of TB."""
    if capture.source.who.starts(capture.source.found.first_run_us):
        loader = capture.source.who.loader
        if loader is not None and any(write.loaded for write in loader.writes):
            capture.notes.append("the source was a destination before: DECR is followed from the guest's first write")
            return OPEN, 0
        return point(at_reset(capture.model(0)).expiry), 0
    vcpus = capture.source.who.vcpus
    if capture.facts.has("tb_set_by_guest_at_start") and not any(thread.counts[TB_STORE] for thread in vcpus):
        capture.notes.append("the guest set TB before the source's log begins: its offset is unknown")
        return OPEN, None
    first = min((tb.value for thread in vcpus for tb in thread.tb), default=0)
    if first > _LONGEST_S * capture.hz[0]:
        capture.notes.append(
            "TB is far from any clock's: the guest set it, before the log begins; the clock is unknown"
        )
        return OPEN, None
    capture.notes.append(
        "the source's log does not begin at the guest's start: DECR is followed from its first write, and TB is taken "
        "for the clock, as if the guest had not set it before"
    )
    return OPEN, 0


def _clock_at_stop(capture: Capture) -> None:
    """The virtual clock where it stopped, DECR as it was saved, and what it was to be by the guest's writes."""
    log, stop_us, cpus = capture.source, capture.stop.t_us, capture.cpus
    capture.tb = standing_tb(log.who.main, stop_us, _FOREVER)
    for saver in log.who.savers:
        burst = last_burst(saver.decr)
        if len(burst) == len(cpus):
            for cpu, reading in zip(cpus, burst, strict=True):
                cpu.decr = signed(reading.value, cpu.counting.bits)
    for index, decr in log.decr_stood(stop_us, _FOREVER, len(cpus)).items():
        if cpus[index].decr is None:
            cpus[index].decr = decr
    offset = cpus[0].counting.offset
    if capture.tb is not None and offset is not None:
        capture.clock = point(capture.tb - offset & (1 << 64) - 1)
    else:
        _clock_by_decr(capture)
    for cpu in cpus:
        counting = cpu.counting
        end = counting.end if counting.one_read else counting.end.meet(_closed(counting, capture.hz[0]))
        if capture.clock.known:
            counting.stopped(capture.clock.high)
        met = end.meet(counting.end)
        if counting.known:
            cpu.expected = (met if met.low <= met.high else end).less(capture.clock)


def _clock_by_decr(capture: Capture) -> None:
    """No monitor showed TB: the clock had come to where each DECR had come down to what was saved."""
    hz, stop_us = capture.hz[0], capture.stop.t_us
    seen = [(cpu.counting.tick, cpu.counting.tick_us) for cpu in capture.cpus if cpu.counting.tick is not None]
    if not seen:
        capture.notes.append("TB at the stop is unknown: the source's log has no reading of it")
        return
    clock = Window(max(tick for tick, _ in seen))
    for cpu in capture.cpus:
        if cpu.decr is not None and cpu.counting.known:
            clock = clock.meet(cpu.counting.clock_at(cpu.decr))
    if not clock.known:
        tick, tick_us = max(seen)
        ahead = ticks_down(1000 * (stop_us - tick_us) + capture.stop.unsure_ns, hz)
        clock = clock.meet(Window(clock.low, tick + ahead))
    if clock.low > clock.high:
        capture.notes.append("the DECRs that were saved and the clock contradict each other on the source")
        clock = OPEN
    capture.clock = clock


def _closed(counting: Counting, hz: int) -> Window:
    """The end after a write that no reading of TB follows, closed by the host's clock: the write was not later, after
    the last reading of TB, than their lines are apart."""
    line = counting.wrote
    if line is None or counting.tick is None or counting.end.low <= -FAR:
        return counting.end
    apart = ticks_down(1000 * max(0, line.t_us - counting.tick_us) + CLOSE_NS, hz)
    return Window(counting.end.low, counting.end.low + apart)


def _pending(capture: Capture) -> None:
    """Which interrupts were raised and not answered, and whether they had been taken."""
    facts = capture.facts
    said = facts.text("decr_interrupt_at_stop")
    nip, ee = facts.text("source_nip_at_stop"), facts.flag("source_msr_ee_at_stop")
    for index, cpu in enumerate(capture.cpus):
        if not capture.lateness.waits(index):
            continue
        if said in (_RAISED, _TAKEN):
            cpu.taken = said == _TAKEN
        elif nip is not None and _hex(nip) & 0xFFFF in _VECTORS:
            cpu.taken = True
        elif ee is None:
            cpu.pending = None
            capture.notes.append(
                f"CPU {index}'s interrupt was raised before the stop; whether it was taken is not known: "
                "no decr_interrupt_at_stop, and no source_nip_at_stop"
            )
            continue
        cpu.pending = not cpu.taken


def _hex(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0
