"""The destination of a capture, from its resume on: its own log, followed with what the model says it goes on from.

The guest's writes to DECR are its own affair, and so are taken from the log; what becomes of them, the model says. So
the first interrupt of a CPU is predicted also where the guest writes DECR before it comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from livemig.events.qemu.counting import Counting
from livemig.events.qemu.cpus import cpus_of
from livemig.events.qemu.lateness import Lateness
from livemig.events.qemu.standstill import CLOSE_NS, standing_tb
from livemig.events.qemu.survey import AT_ONCE_US, Write
from livemig.events.qemu.ticks import signed, ticks_down
from livemig.events.qemu.trace import DECR_EXCP, DECR_LOAD, DECR_STORE, Line
from livemig.events.qemu.window import FAR, OPEN, Window, near, point
from livemig.launch.capture import Capture, follow
from livemig.launch.foreseen import Foreseen
from livemig.launch.qemu_versions import ONE_CLOCK_READ
from livemig.timers.decrementer import Decrementer, store
from livemig.timers.decrementer import Line as InterruptLine

_FOREVER = 1 << 62


@dataclass(slots=True)
class CpuOnward:
    """A CPU after the resume.

    Args:
        counting: from the state that was predicted. bare: the same from nothing, up to the guest's first write.
        state: its decrementer by the model, in ticks of the clock. due: the tick at which its interrupt is due, None:
            never.
        wrote_us: when the guest first wrote DECR, before the first interrupt came. first_us: when QEMU raised that,
            or, of one that was pending, when the guest answered it. answer: the clock at which its handler read TB.
    """

    counting: Counting
    bare: Counting
    state: Decrementer
    due: int | None
    pending: bool
    wrote_us: int | None = None
    first_us: int | None = None
    answer: int | None = None
    raised_by_load: bool = False


@dataclass(slots=True)
class Onward:
    """The destination's side: what was loaded, and its CPUs from the resume to ``end_us``.

    ``loads``: QEMU's writes to DECR when it loaded, one a CPU, or none. ``stood``: DECR by CPU, and ``tb`` TB, as the
    monitor showed them before the resume.
    """

    cpus: list[CpuOnward]
    loads: list[Write]
    stood: dict[int, int]
    tb: int | None
    run_us: int
    end_us: int
    lateness: Lateness = field(default_factory=lambda: Lateness(1))
    stood_tb: int | None = None
    """TB as the monitor showed it after the destination's stop, at ``end_us``."""


def follow_destination(capture: Capture, foreseen: Foreseen) -> Onward | None:
    """Follow the log from the resume; None if the guest did not run there."""
    here, log, after = capture.resume, capture.destination, foreseen.middle
    if here is None:
        return None
    loader = log.who.loader
    writes = [write for write in loader.writes if write.loaded and write.t_us <= here.t_us] if loader else []
    loads = writes[-len(after) :] if len(writes) >= len(after) else []
    begin_us = max([write.t_us for write in loads] + [_loaded_us(capture, here.t_us)])
    onward = Onward(
        [_cpu(capture, foreseen, index) for index in range(len(after))],
        loads,
        log.decr_stood(begin_us, here.t_us, len(after)),
        standing_tb(log.who.main, begin_us, here.t_us, last=True),
        here.t_us,
        _watched_until(capture),
        Lateness(capture.hz[1]),
    )
    _follow(capture, onward, foreseen)
    _shown_running(capture, onward)
    return onward


def _loaded_us(capture: Capture, run_us: int) -> int:
    """When the load was over, if that was before the resume."""
    completed = capture.destination.found.completed_us
    return completed if completed is not None and completed <= run_us else 0


def _cpu(capture: Capture, foreseen: Foreseen, index: int) -> CpuOnward:
    one_read, slack = ONE_CLOCK_READ.in_version(capture.versions[1]), capture.slack(1)
    after, clock = foreseen.middle[index], foreseen.clock
    counting = Counting(foreseen.end(index), one_read, slack=slack)
    counting.tick = clock.low if clock.known else None
    state = Decrementer(clock.middle + after.decr, after.due_in is not None)
    due = None if after.due_in is None else clock.middle + after.due_in
    pending = after.pending and not capture.cpus[index].taken
    return CpuOnward(counting, Counting(OPEN, one_read, slack=slack), state, due, pending)


def _watched_until(capture: Capture) -> int:
    log, here, facts = capture.destination, capture.resume, capture.facts
    assert here is not None
    if log.found.next_stop_us is not None:
        return log.found.next_stop_us
    observed_us = facts.microseconds("ran_on_destination_after_s", "destination_observed_s")
    if observed_us is not None and log.who.first_act_us is None:
        return max(log.found.last_us, here.t_us + observed_us)  # It was watched, and nothing came.
    return max(log.found.last_us, here.t_us)


def _follow(capture: Capture, onward: Onward, foreseen: Foreseen) -> None:
    log, after = capture.destination, foreseen.middle
    mapping = _threads(capture, foreseen)
    loader = log.who.loader.tid if log.who.loader is not None else None
    for index, restored in enumerate(after):
        if restored.due_in is not None and not restored.pending:
            onward.lateness.armed(index, onward.run_us, restored.due_in)
    times = [write.t_us for write in onward.loads]
    loading: int | None = None
    for line in log.trace:
        cpu = mapping.get(line.tid)
        if line.t_us < onward.run_us and cpu is None:
            if line.event == DECR_STORE and line.tid == loader:
                loading = times.index(line.t_us) if line.t_us in times else None
                if loading is not None:
                    times[loading] = -1
            elif line.event == DECR_EXCP and line.tid == loader and loading is not None and line.word == "raise":
                onward.cpus[loading].raised_by_load |= line.t_us - onward.loads[loading].t_us <= AT_ONCE_US
        elif line.t_us > onward.end_us:
            break
        elif cpu is not None:
            _vcpu(capture, onward, cpu, line)
        elif line.event == DECR_EXCP and line.word == "raise":
            _raised(onward, line.t_us)


def _threads(capture: Capture, foreseen: Foreseen) -> dict[int, int]:
    """Thread → CPU: a CPU whose DECR is to reach 0 when the first readings of a thread say it does, is run by that;
    the order of the threads decides where that leaves it open."""
    vcpus, count = capture.destination.who.vcpus, len(foreseen.middle)
    scores = []
    for order, thread in enumerate(vcpus):
        read = thread.first_decr
        tbs = [] if read is None else [tb.value for tb in thread.tb if tb.t_us <= read.t_us]
        for cpu in range(count):
            end = foreseen.end(cpu)
            if read is not None and tbs and end.known:
                here = point(tbs[-1] + signed(read.value, 32))
                off = abs(end.gap(here.plus(near(here.low, 32, end.middle) - here.low)))
                # CPUs whose DECRs are closer than that are told apart by their order alone.
                scores.append((off * 50_000 // capture.hz[1], abs(order - cpu), order, cpu, thread.tid))
    mapping: dict[int, int] = {}
    for _, _, _, cpu, tid in sorted(scores):
        if tid not in mapping and cpu not in mapping.values():
            mapping[tid] = cpu
    if len(mapping) < len(vcpus):
        in_order, _ = cpus_of(vcpus, capture.resume, capture.hz[1], count)
        left = [cpu for cpu in in_order.values() if cpu not in mapping.values()]
        for thread in vcpus:
            if thread.tid not in mapping and left:
                mapping[thread.tid] = left.pop(0)
    return mapping


def _vcpu(capture: Capture, onward: Onward, index: int, line: Line) -> None:
    """A line of the thread of a CPU."""
    cpu = onward.cpus[index]
    if line.event == DECR_LOAD and cpu.first_us is None and cpu.pending:
        cpu.first_us = line.t_us
    answers = line.event == DECR_LOAD and cpu.first_us is not None and cpu.answer is None
    if answers and (cpu.pending or cpu.counting.tick_us >= (cpu.first_us or 0)):
        cpu.answer = cpu.counting.tick
    if not cpu.bare.wrote and line.event != DECR_STORE:
        cpu.bare.see(line)
        if line.event == DECR_LOAD and cpu.bare.known and cpu.bare.end.high >= FAR:
            apart_ns = 1000 * max(0, line.t_us - cpu.bare.tick_us) + CLOSE_NS
            cpu.bare.end = cpu.bare.end._replace(high=cpu.bare.end.low + ticks_down(apart_ns, capture.hz[1]))
    waited = cpu.first_us is None
    follow(cpu.counting, onward.lateness, index, line)
    if line.event == DECR_STORE:
        cpu.bare.wrote = cpu.bare.wrote or line
        if waited:
            _written(capture, cpu, line)
    elif line.event == DECR_EXCP and line.word == "raise" and waited:
        cpu.first_us = line.t_us


def _written(capture: Capture, cpu: CpuOnward, line: Line) -> None:
    """The guest writes DECR before its interrupt came: from here the model goes on with that."""
    value = signed(line.value, cpu.counting.bits)
    tick = cpu.counting.end.low - value
    cpu.state, raised = store(capture.model(1), cpu.state, tick, line.value)
    cpu.wrote_us = line.t_us if cpu.wrote_us is None else cpu.wrote_us
    cpu.pending = False
    if raised is InterruptLine.RAISE:
        cpu.due = tick
    else:
        cpu.due = cpu.state.expiry if cpu.state.armed else None


def _raised(onward: Onward, t_us: int) -> None:
    """QEMU's main thread raises; a CPU's first interrupt is what is predicted, and no part of the noise."""
    index = onward.lateness.raised(t_us)
    if index is None:
        left = [cpu for cpu in onward.cpus if cpu.first_us is None and not cpu.pending]
        if left:
            min(left, key=lambda cpu: _FOREVER if cpu.due is None else cpu.due).first_us = t_us
    elif onward.cpus[index].first_us is None:
        onward.cpus[index].first_us = t_us
        onward.lateness.raises.pop()


def _shown_running(capture: Capture, onward: Onward) -> None:
    """What the monitor showed of the first CPU after the resume: DECR, then TB, some microseconds later while it ran,
    or where both stood after the last stop."""
    main, cpu, hz = capture.destination.who.main, onward.cpus[0], capture.hz[1]
    if main is None or cpu.counting.wrote_tb:
        return  # What TB reads is no more the clock.
    until_us = _FOREVER if cpu.bare.wrote is None else cpu.bare.wrote.t_us
    stop_us = capture.destination.found.next_stop_us
    again_us = capture.destination.found.next_run_us or _FOREVER
    stood = onward.stood_tb = None if stop_us is None else standing_tb(main, stop_us, again_us)
    for reading in main.decr.between(onward.run_us, until_us):
        tb = next((tb for tb in main.tb if tb.t_us >= reading.t_us), None)
        if tb is None or tb.t_us >= until_us:
            continue
        decr = signed(reading.value, 32)
        end = point(tb.value + decr)
        if stood is None or not (stop_us or 0) <= reading.t_us < again_us:
            end = Window(end.low - ticks_down(1000 * (tb.t_us - reading.t_us) + CLOSE_NS, hz), end.high)
        if cpu.bare.known:
            shift = near(end.middle, 32, cpu.bare.end.middle) - end.middle
            cpu.bare.end = cpu.bare.end.meet(end.plus(shift))
        else:
            cpu.bare.end = end
