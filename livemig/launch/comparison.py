"""A capture, quantity by quantity: what the model predicts, what QEMU did, and how far apart the two are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from livemig.events.qemu.frequency import measured_hz
from livemig.events.qemu.lateness import poll_slack_ns
from livemig.events.qemu.standstill import zero_ns
from livemig.events.qemu.survey import Reading
from livemig.events.qemu.ticks import ns_up, signed, ticks_down
from livemig.events.qemu.window import Window, as_signed, near, point
from livemig.launch.capture import Capture, Log, read_capture
from livemig.launch.foreseen import Foreseen, foresee
from livemig.launch.noise import Noise, noise_of
from livemig.launch.onward import CpuOnward, Onward, follow_destination
from livemig.launch.qemu_versions import takes_interrupts
from livemig.launch.row import Row, Value

_SLOPE_NS: Final = 5_000_000
"""How far the lines of two readings may be off in measuring a frequency."""
LOST_AFTER_NS: Final = 1_000_000_000
_NEVER: Final = "never"


@dataclass(frozen=True, slots=True)
class Comparison:
    capture: Capture
    foreseen: Foreseen
    noise: Noise
    rows: list[Row]

    @property
    def agrees(self) -> bool:
        """No quantity that is known on both sides differs."""
        return all(row.agrees is not False for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        capture, rules = self.capture, self.foreseen.rules
        source, destination = capture.versions
        return {
            "capture": str(capture.facts.path),
            "machine": capture.machine,
            "qemu_version": str(source) if source == destination else [str(source), str(destination)],
            "strategy": {"decr": rules.rules.decr, "tb": rules.rules.tb},
            "timebase_hz": list(capture.hz),
            "trigger": "level" if capture.level else "edge",
            "agrees": self.agrees,
            "noise": self.noise.as_dict(),
            "quantities": [row.as_dict() for row in self.rows],
            "notes": capture.notes,
        }


def compare(run_toml: Path) -> Comparison:
    """Predict the capture in the directory of ``run_toml`` and hold it against what its logs show.

    Raises:
        InputError: a file is missing or broken, or a key has a value that cannot be.
    """
    capture = read_capture(run_toml)
    foreseen = foresee(capture)
    onward = follow_destination(capture, foreseen)
    noise = noise_of(capture, onward)
    rows = [*_at_save(capture, noise), *_source_readings(capture)]
    if onward is None:
        capture.notes.append("the destination's log shows no guest, and nothing says when it resumed")
    else:
        for index in range(len(onward.cpus)):
            rows += _at_restore(capture, foreseen, onward, noise, index)
        rows += _interrupts(capture, foreseen, onward, noise)
    return Comparison(capture, foreseen, noise, rows)


# ── the source ──


def _at_save(capture: Capture, noise: Noise) -> Iterator[Row]:
    hz, log, stop = capture.hz[0], capture.source, capture.stop
    yield from _frequency(capture.source, hz, "on the source", stop.t_us)
    readings = [tb for thread in log.who.vcpus[:1] for tb in thread.tb.between(0, stop.t_us + 1)]
    zero = zero_ns(readings, hz)
    counted = None
    if zero is not None:
        by_clock = ticks_down(1000 * stop.t_us - zero, hz)
        counted = Window(min(max(readings).value, by_clock), by_clock)
    shown = None if capture.tb is None else point(capture.tb)
    # The clock stops, every CPU is paused, which may take long, and only then QEMU logs the stop.
    note = "from the guest's last reading to the stop by the host's clock"
    allowed = ticks_down(noise.allowed_ns, hz)
    yield Row("TB at the save", counted, shown, hz=hz, cpu=0, noise=allowed, note=note)
    for index, cpu in enumerate(capture.cpus):
        expected = cpu.expected if cpu.expected.known else None
        decr = None if cpu.decr is None else point(cpu.decr)
        if expected is not None and decr is not None:
            expected = expected.plus(near(expected.middle, 32, decr.low) - expected.middle)
        expected = expected if expected is None else expected.widened(capture.slack(0))
        # Where the clock is read twice in a write, the host's clock says how long after the first that was.
        unsure = 0 if cpu.counting.one_read else allowed
        note = "by the guest's last write"
        yield Row("DECR at the save", expected, decr, hz=hz, cpu=index, noise=unsure, note=note)


def _frequency(log: Log, hz: int, where: str, end_us: int) -> Iterator[Row]:
    begin_us = log.found.first_run_us or 0
    measured = measured_hz(log.who, begin_us, end_us)
    stood = log.found.next_stop_us is not None and log.found.next_stop_us < end_us
    if measured is None or stood or measured[1] < 100_000:
        return
    slope, span_us = measured
    allowed = hz * _SLOPE_NS // (1000 * span_us) + 1
    yield Row(
        f"timebase {where}", point(hz), point(slope), unit="Hz", noise=allowed, note=f"over {span_us / 1e6:.3f} s"
    )


def _source_readings(capture: Capture) -> Iterator[Row]:
    for index, cpu in enumerate(capture.cpus):
        if cpu.counting.readings:
            yield _strain(cpu.counting.readings, cpu.counting.strain, capture.hz[0], index, "source")


def _strain(readings: int, strain: int, hz: int, cpu: int, where: str) -> Row:
    note = f"the worst of {readings:,} readings"
    return Row(f"DECR against TB, {where}", point(0), point(strain), hz=hz, cpu=cpu, note=note)


# ── the restored values ──


def _at_restore(capture: Capture, foreseen: Foreseen, onward: Onward, noise: Noise, index: int) -> Iterator[Row]:
    hz, cpu, slack = capture.hz[1], onward.cpus[index], capture.slack(1)
    tb, decr, found = foreseen.tb(index), foreseen.decr(index), foreseen.found(index)
    load = onward.loads[index] if onward.loads else None
    if load is not None:
        old = signed(load.old, 32)
        there = None if found is None else _near(found, old).widened(slack)
        yield Row("DECR found by the load", there, point(old), hz=hz, cpu=index, note="as the start-up left it")
    sends = foreseen.rules.rules.decr != "none"
    if sends != (load is not None):
        yield Row(
            "DECR is loaded",
            _yes(sends),
            _yes(load is not None),
            unit="",
            cpu=index,
            says=_says_loaded(capture, onward),
        )
    yield _tb_row(capture, onward, noise, index, tb, found)
    seen, note = _decr_seen(onward, cpu, index, tb)
    seen = seen if seen is None else as_signed(seen)
    if decr is not None:
        decr = _near(decr, 0 if seen is None else seen.middle)
    decr = decr if decr is None or sends else decr.widened(slack)
    unsure = ticks_down(noise.allowed_ns, hz) if seen is not None and not seen.exact else 0
    yield Row("DECR at the restore", decr, seen, hz=hz, cpu=index, noise=unsure, note=note)
    if load is not None and foreseen.certain(index):
        raised = foreseen.middle[index].pending
        agree = raised == cpu.raised_by_load
        yield Row("the load raises", _yes(raised), _yes(cpu.raised_by_load), unit="", cpu=index, says=agree)
    if cpu.counting.readings:
        yield _strain(cpu.counting.readings, cpu.counting.strain, hz, index, "destination")


def _says_loaded(capture: Capture, onward: Onward) -> bool | None:
    """A load would show if the log has what comes before the resume."""
    return False if onward.loads or capture.destination.found.first_us < onward.run_us else None


def _tb_row(capture: Capture, onward: Onward, noise: Noise, index: int, tb: Window | None, found: Window | None) -> Row:
    hz = capture.hz[1]
    name = "TB at the restore"
    if onward.tb is not None and index == 0:
        return Row(name, tb, point(onward.tb), hz=hz, cpu=index, note="as the monitor showed it")
    if onward.loads and tb is not None and found is not None:
        off = found.middle - near(onward.loads[index].old, 32, found.middle)
        seen: Value = point(tb.middle + off)
        return Row(name, tb, seen, hz=hz, cpu=index, noise=capture.slack(1), note="by the DECR that the load found")
    threads = capture.destination.who.vcpus
    readings = [
        reading
        for thread in ([*threads, capture.destination.who.main] if index == 0 else threads)
        if thread is not None and not (thread.wrote_tb and thread in threads)
        for reading in thread.tb.between(onward.run_us, onward.end_us)
    ]
    if not readings and index == 0 and onward.stood_tb is not None:
        readings = [Reading(onward.end_us, onward.stood_tb)]
    zero = zero_ns(readings, hz)
    if zero is None:
        return Row(name, tb, None, hz=hz, cpu=index, note="nothing shows it")
    allowed = ticks_down(noise.allowed_ns + _unsure_ns(capture), hz)
    # A line is later than its reading, by what the host was busy with; so this is the least that it was.
    least = ticks_down(1000 * onward.run_us - zero, hz)
    counted = Window(least, max(least, min(reading.value for reading in readings)))
    return Row(name, tb, counted, hz=hz, cpu=index, noise=allowed, note="by later readings and the host's clock")


def _unsure_ns(capture: Capture) -> int:
    return 0 if capture.resume is None else capture.resume.unsure_ns


def _decr_seen(onward: Onward, cpu: CpuOnward, index: int, tb: Window | None) -> tuple[Window | None, str]:
    """DECR at the restore by the log, and what in it says so."""
    if onward.loads:
        return point(signed(onward.loads[index].value, 32)), "as it was loaded"
    if index in onward.stood:
        return point(onward.stood[index]), "as the monitor showed it"
    if tb is None or not cpu.bare.end.known:
        return None, "nothing shows it"
    return cpu.bare.end.less(tb), "by later readings of DECR and TB"


def _near(window: Window, where: int) -> Window:
    return window.plus(near(window.middle, 32, where) - window.middle)


def _yes(word: bool) -> str:
    return "yes" if word else "no"


# ── interrupts ──


def _interrupts(capture: Capture, foreseen: Foreseen, onward: Onward, noise: Noise) -> Iterator[Row]:
    fates: list[tuple[str | None, str | None]] = []
    for index, cpu in enumerate(onward.cpus):
        known = foreseen.certain(index) and capture.cpus[index].pending is not None
        if not known:
            yield Row("first interrupt", None, _first(onward, cpu, capture.hz[1]), hz=capture.hz[1], cpu=index)
            continue
        yield from _first_interrupt(capture, onward, noise, foreseen, index)
        yield from _taken(capture, onward, index)
        fates.append((_foreseen_fate(capture, foreseen, index), _seen_fate(capture, onward, noise, index)))
    yield from _lost_and_late(fates, len(onward.cpus))


def _taken(capture: Capture, onward: Onward, index: int) -> Iterator[Row]:
    """Whether the guest on this CPU answers what QEMU raises, where there is more than one."""
    cpu = onward.cpus[index]
    if len(onward.cpus) < 2 or cpu.first_us is None:
        return
    waited_ns = 1000 * (onward.end_us - cpu.first_us)
    seen = True if cpu.bare.wrote is not None else False if waited_ns > LOST_AFTER_NS else None
    takes = takes_interrupts(capture.machine, capture.versions[1], index)
    if seen is not None:
        yield Row("interrupts are taken", _yes(takes), _yes(seen), unit="", cpu=index, says=seen == takes)


def _lost_and_late(fates: list[tuple[str | None, str | None]], cpus: int) -> Iterator[Row]:
    known = [pair for pair in fates if None not in pair]
    flying, unknown = sum(pair[0] != "none" for pair in known), cpus - len(known)
    note = f"of {flying} in flight at the stop" + (f"; of {unknown} more it is not known" if unknown else "")
    for word in ("lost", "late"):
        predicted, seen = (point(sum(pair[side] == word for pair in known)) for side in (0, 1))
        yield Row(f"interrupts {word}", predicted if known else None, seen if known else None, unit="", note=note)


def _first(onward: Onward, cpu: CpuOnward, hz: int) -> Value:
    """Ticks from the resume until QEMU raised it."""
    if cpu.first_us is None:
        return f"none in {(onward.end_us - onward.run_us) / 1e6:.3f} s"
    return point(ticks_down(1000 * (cpu.first_us - onward.run_us), hz))


def _first_interrupt(capture: Capture, onward: Onward, noise: Noise, foreseen: Foreseen, index: int) -> Iterator[Row]:
    hz, cpu, clock = capture.hz[1], onward.cpus[index], foreseen.clock
    seen = _first(onward, cpu, hz)
    watched_ns = 1000 * (onward.end_us - onward.run_us)
    if cpu.pending:
        came = cpu.first_us is not None
        hangs = watched_ns > LOST_AFTER_NS + 2 * noise.answer_ns
        says = True if came else False if hangs else None
        yield Row("first interrupt", "at the resume, when EE is on", seen, hz=hz, cpu=index, says=says)
        return
    if cpu.due is None:
        yield Row("first interrupt", _NEVER, seen, hz=hz, cpu=index, says=cpu.first_us is None)
        return
    due = cpu.due - clock.middle
    wait_ns = ns_up(due, hz)
    unsure = (clock.high - clock.low if clock.known else 0) // 2
    allowed_ns = noise.allowed_ns + poll_slack_ns(wait_ns) + _unsure_ns(capture)
    allowed = ticks_down(allowed_ns, hz) + unsure
    note = f"after {wait_ns / 1e9:.6f} s, within {allowed_ns / 1e6:,.1f} ms" + (
        ", after a write of the guest's" if cpu.wrote_us is not None else ""
    )
    if cpu.first_us is None:
        overdue = wait_ns + allowed_ns < watched_ns
        yield Row("first interrupt", point(due), seen, hz=hz, cpu=index, noise=allowed, says=not overdue, note=note)
        return
    yield Row("first interrupt", point(due), seen, hz=hz, cpu=index, noise=allowed, note=note)
    if cpu.answer is not None and clock.known:
        early = near(cpu.due, 64, cpu.answer)
        answered = ticks_down(allowed_ns + 2 * noise.answer_ns, hz)
        yield Row(
            "TB when it is taken", point(early), point(cpu.answer), hz=hz, cpu=index, noise=answered + unsure,
            says=None if -unsure <= cpu.answer - early <= answered + unsure else False,
            note="not before it is due, by the guest's own reading",
        )  # fmt: skip
        yield from _gap(capture, foreseen, cpu, answered + unsure, index)


def _gap(capture: Capture, foreseen: Foreseen, cpu: CpuOnward, noise: int, index: int) -> Iterator[Row]:
    """Over the migration, from one answer of the guest's handler to the next."""
    last = capture.cpus[index].answered
    if last is None or cpu.answer is None or cpu.due is None or capture.hz[0] != capture.hz[1]:
        return
    note = "by the guest's readings of TB; predicted to when it is due"
    predicted, seen = point(cpu.due - last), point(cpu.answer - last)
    yield Row("from the last interrupt before", predicted, seen, hz=capture.hz[1], cpu=index, noise=noise, note=note)


# ── what became of the interrupt in flight at the stop: on time, late, lost; or there was none; None: not known ──


def _asked(capture: Capture, index: int) -> int | None:
    """In how many ticks from the stop the guest was to get its interrupt; None if there was none in flight."""
    cpu = capture.cpus[index]
    if cpu.pending:
        return 0
    decr = cpu.decr if cpu.decr is not None else cpu.expected.middle
    if cpu.taken or decr < 0:
        return None
    return decr


def _foreseen_fate(capture: Capture, foreseen: Foreseen, index: int) -> str | None:
    cpu, after = capture.cpus[index], foreseen.middle[index]
    if cpu.decr is None and not cpu.expected.known:
        return None
    asked = _asked(capture, index)
    if asked is None:
        return "none"
    if after.pending:
        return "on time"
    if after.due_in is None:
        return "lost"
    behind_ns = ns_up(after.due_in, capture.hz[1]) - ns_up(asked, capture.hz[0])
    if behind_ns > LOST_AFTER_NS:
        return "lost"
    # A tick of the slower timebase is no lateness.
    return "late" if behind_ns > ns_up(1, min(capture.hz)) else "on time"


def _seen_fate(capture: Capture, onward: Onward, noise: Noise, index: int) -> str | None:
    asked, cpu = _asked(capture, index), onward.cpus[index]
    if asked is None:
        return "none"
    wait_ns = ns_up(asked, capture.hz[0])
    allowed_ns = noise.allowed_ns + poll_slack_ns(wait_ns) + _unsure_ns(capture)
    if capture.cpus[index].pending:
        allowed_ns += 2 * noise.answer_ns
    came_us = cpu.first_us if cpu.wrote_us is None else cpu.wrote_us
    overdue_ns = 1000 * ((onward.end_us if came_us is None else came_us) - onward.run_us) - wait_ns
    if cpu.wrote_us is not None:
        return "lost" if overdue_ns > allowed_ns else None  # Else the guest asked for another in its place.
    if cpu.first_us is None:
        return "lost" if overdue_ns > allowed_ns else None
    if overdue_ns > LOST_AFTER_NS:
        return "lost"
    return "late" if overdue_ns > allowed_ns else "on time"
