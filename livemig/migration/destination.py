"""The destination of a migration, as a state machine.

It answers and never speaks unasked, until the guest runs here before its pages are. Nothing runs on it before
``switchover``: whatever is wrong with what it was sent, it refuses before that, and the source runs on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from livemig.errors import ProtocolError
from livemig.machine import snapshot
from livemig.machine.bounds import check_state, check_time
from livemig.machine.machine import Machine
from livemig.machine.time_state import Host, HostView, TimeState
from livemig.machine.version import NEWEST, MachineVersion, version
from livemig.migration import zstd
from livemig.migration.encoding import ENCODINGS, ZSTD
from livemig.migration.frames import MAX_REASON, PROTOCOL_VERSION, Frame
from livemig.migration.postcopy_destination import PostcopyDestination
from livemig.migration.settings import POSTCOPY_PREEMPT, POSTCOPY_RAM, Settings
from livemig.migration.side import Emit, Side, Wire
from livemig.migration.status import Status
from livemig.migration.steps import Steps
from livemig.strategies.parts import joined, restore
from livemig.strategies.strategy import Saved, Strategy
from livemig.strategies.table import STRATEGIES
from livemig.timers.ticks import NS_PER_S

_LONGEST_WAIT_NS = 7200 * NS_PER_S
"""Twice the longest downtime that can be asked for."""
_BOTH = (POSTCOPY_RAM, POSTCOPY_PREEMPT)
"""Capabilities that are of no use at one side alone."""
_RECOVERABLE = frozenset(
    {Status.DEVICE, Status.POSTCOPY_ACTIVE, Status.POSTCOPY_PAUSED, Status.POSTCOPY_RECOVER}
)


class Destination(Side):
    """``owner`` is ``source`` until ``switchover`` has come."""

    def __init__(self, machine: Machine, host: Host, wire: Wire, settings: Settings, emit: Emit) -> None:
        self._due: int | None = None
        super().__init__(machine, host, wire, settings, emit)
        self.postcopy: PostcopyDestination | None = None
        self._recovery_ns: int | None = None
        self._all_there = False
        self.resumed_ns: int | None = None
        self.resumed_clock_ns = 0
        self.autostart = True
        """The guest is to run as soon as it is here; unless it was paused where it came from."""
        self.crossed: dict[str, Any] | None = None
        """What the source said of the guest as it left."""
        self.by_file = False
        """Restored from a file: when, after the stop, is for this side to say."""
        self.strategy: Strategy | None = None
        self._snapshot_read: snapshot.Snapshot | None = None
        self._steps = Steps(settings.load_step_ns, len(machine.cpus))
        self.barriers: dict[str, int] = {}
        """When the saved time was sent and came, and when each step of the load was taken."""
        self._saved: Saved = {}

    @property
    def due(self) -> int | None:
        """When :meth:`tick` is to be called: at the resume; later, where a CPU may touch a page that is missing."""
        faults = self.postcopy.due if self.postcopy is not None and self.resumed_ns is not None else None
        return min((at for at in (self._due, faults) if at is not None), default=None)

    @due.setter
    def due(self, value: int | None) -> None:
        self._due = value

    def receive(self, now: int, frame: Frame) -> None:
        """A frame has arrived (but for page content, which goes to RAM on the way).

        Raises:
            ProtocolError: refused; the peer has been told, :meth:`fail` is to be called.
        """
        steps = {
            "hello": self._hello,
            "pass_end": self._pass_end,
            "probe": self._probe,
            "snapshot": self._snapshot,
            "discard": self._discard,
            "switchover": self._switchover,
            "postcopy_pages": self._postcopy_pages,
            "recover": self._recover,
            "resume": self._resume,
            "cancel": self._cancel,
        }
        if self.status is Status.POSTCOPY_PAUSED and frame.type != "recover":
            return
        try:
            if frame.type not in steps:
                raise ProtocolError(frame.type, "type", "not for a destination")
            steps[frame.type](now, frame)
        except ProtocolError as error:
            self.refuse(now, str(error))
            raise

    def refuse(self, now: int, reason: str) -> None:
        """Tell the source why this cannot go on; :meth:`fail` is to be called."""
        self._send(now, "refuse", {"reason": reason[:MAX_REASON]})

    def tick(self, now: int) -> None:
        """``due`` has come."""
        if self._due is not None and self._due <= now:
            self._start(now)
        if self.postcopy is not None:
            self.postcopy.fault(now)

    def _start(self, now: int) -> None:
        """The guest goes on here."""
        self.due = None
        machine, strategy, read = self.machine, self.strategy, self._snapshot_read
        assert strategy is not None
        assert read is not None
        self.barriers |= self._steps.of_load(now)
        fresh = machine.time_state(now)
        host = self.host.at(self.barriers["tb-load"])
        machine.load_time(self._loaded(strategy, fresh, host, read.form))
        for cpu, registers in zip(machine.cpus, read.cpus, strict=True):
            cpu.load_registers(registers)
        memory = read.memory
        machine.load_workload(memory["run_ns"], memory["lags_ns"])
        after = machine.time_state(now)
        self._emit(
            now, "state_restored", strategy=strategy.name, tb_before=fresh.tb(), tb_after=after.tb(),
            clock_ns=after.clock_ns, decr_before=[fresh.decr(i) for i in fresh.cpus],
            decr_after=[after.decr(i) for i in after.cpus], host=host.as_fields(), saved=read.time.together(),
            machine_version=read.form.number, lost=read.form.lacks(), barriers=dict(self.barriers),
        )  # fmt: skip
        self.resumed_ns, self.resumed_clock_ns = now, machine.clock_ns(now)
        assert self.crossed is not None
        booted_ns = self.crossed["booted_ns"]
        machine.booted_ns = None if booted_ns < 0 else booted_ns
        paused = bool(self.crossed["paused"]) or not self.autostart
        self._run_on(now, memory["digest"] if self.postcopy is None else None, paused)
        for arm in machine.arms(now):
            self._emit(now, "timer_armed", **arm, cause="restore")
        if self.postcopy is not None:
            if self.status is Status.DEVICE:
                self._enter(now, Status.POSTCOPY_ACTIVE)
        else:
            self._enter(now, Status.COMPLETED)
        self._send(now, "resumed")
        if self._all_there:
            self._receive_all(now)

    def _loaded(self, strategy: Strategy, fresh: TimeState, host: HostView, form: MachineVersion) -> TimeState:
        """The restored time, loaded step by step, as it is when the last one is over."""
        if not (self._steps.step_ns and strategy.counts_on):
            return restore(strategy, fresh, self._saved, host, form)
        time = restore(strategy, replace(fresh, lags_ns=self._steps.lags_ns), self._saved, host, form)
        return time.advanced(self._steps.total_ns)

    def fail(self, now: int, reason: str) -> None:
        """The link ended, or what came was refused. After ``switchover`` the guest is ours and goes on; in postcopy,
        once ``loaded`` was said, it may be ours, and pages are missing: that can be made good."""
        if self.postcopy is not None and self.status in _RECOVERABLE:
            self.postcopy.lost()
            if self.status is not Status.POSTCOPY_PAUSED:
                after = self.settings.postcopy.recover_after_ns
                self._recovery_ns = None if after is None else now + after + self.settings.postcopy.lookahead_ns
                self._enter(now, Status.POSTCOPY_PAUSED, reason)
            return
        if self.by_file and self.status is Status.NONE:
            self._enter(now, Status.SETUP)
        if not self.over and self.status is not Status.NONE and self.owner == "source":
            self.due = None
            self._enter(now, Status.FAILED, reason)

    # -- one a frame ------------------------------------------------------------------------------------------------

    def _hello(self, now: int, frame: Frame) -> None:
        if self.status is not Status.NONE:
            raise ProtocolError("hello", "type", f"not expected in status {self.status}")
        self._enter(now, Status.SETUP)
        fields = frame.fields
        if fields["version"] != PROTOCOL_VERSION:
            raise ProtocolError("hello", "version", f"{fields['version']}, but this side speaks {PROTOCOL_VERSION}")
        if fields["strategy"] not in STRATEGIES:
            raise ProtocolError("hello", "strategy", f"{fields['strategy']!r} is not known here")
        _check_capabilities(fields["capabilities"], self.settings.postcopy.names)
        self.strategy = STRATEGIES[fields["strategy"]]
        self._compare(fields["machine"], self.settings.convert_frequency or self.strategy.any_frequency)
        self._enter(now, Status.ACTIVE, self._convert(fields["machine"]))
        self._send(now, "welcome", {"version": PROTOCOL_VERSION})

    def _compare(self, theirs: dict[str, Any], any_frequency: bool) -> None:
        if version(number := theirs.get("version")) is None:
            told = f"{number}, but {NEWEST.number} is the newest understood here"
            raise ProtocolError("hello", "machine.version", told)
        for key, ours in self.machine.spec.as_fields().items():
            if key == "timebase_hz" and any_frequency and type(theirs.get(key)) is int:
                continue
            if theirs.get(key) != ours:
                raise ProtocolError("hello", f"machine.{key}", f"{theirs.get(key)}, but here it is {ours}")
        if not 0 < theirs["timebase_hz"] <= NS_PER_S:
            raise ProtocolError("hello", "machine.timebase_hz", f"{theirs['timebase_hz']} is not of 1 to {NS_PER_S}")

    def _convert(self, theirs: dict[str, Any]) -> str:
        """Count the guest's ticks as they were counted; says so, if it makes a difference."""
        hz, ours = theirs["timebase_hz"], self.machine.spec.timebase_hz
        if hz == ours or not self.settings.convert_frequency:
            return ""
        self.machine.count_at(hz)
        return f"the guest's timebase is counted at {hz} Hz here too, where it would be {ours} Hz"

    def _probe(self, now: int, frame: Frame) -> None:
        if self.status not in (Status.ACTIVE, Status.DEVICE):
            raise ProtocolError(frame.type, "type", f"not expected in status {self.status}")
        time_of_day_ns = self.host.at(now).time_of_day_ns
        self._send(now, "reply", {"received_ns": time_of_day_ns, "replied_ns": time_of_day_ns})

    def _pass_end(self, now: int, frame: Frame) -> None:
        self._need(frame, Status.ACTIVE)

    def _snapshot(self, now: int, frame: Frame) -> None:
        self._need(frame, Status.ACTIVE)
        assert self.strategy is not None
        spec = self.machine.spec
        read = snapshot.unpack(frame.payload, spec.cpus)
        if read.strategy != self.strategy.name:
            raise ProtocolError("snapshot", "timebase.strategy", f"{read.strategy!r} was not announced")
        per_cpu = len(spec.facility.timers)
        self._saved = self.strategy.check(joined(self.strategy, read.time, spec.cpus, per_cpu), spec.cpus, per_cpu)
        digest = self.machine.ram.digest() if self.postcopy is None else self.postcopy.loaded()
        if read.memory["digest"] != digest:
            raise ProtocolError("snapshot", "memory.digest", "the RAM that arrived is not the RAM that was sent")
        check_state(self.machine, read)
        check_time(restore(self.strategy, self.machine.time_state(now), self._saved, self.host.at(now), read.form), now)
        self._snapshot_read = read
        self.barriers = {"send": frame.sent_ns, "receive": now}
        self._enter(now, Status.DEVICE, f"skipped: {', '.join(read.skipped)}" if read.skipped else "")
        self._send(now, "loaded", {"ram_digest": digest})

    def _switchover(self, now: int, frame: Frame) -> None:
        self._need(frame, Status.DEVICE)
        if frame.fields["resume_ns"] - now > _LONGEST_WAIT_NS:
            raise ProtocolError("switchover", "resume_ns", f"{frame.fields['resume_ns'] - now} ns from now")
        self.owner, self.crossed = "destination", frame.fields
        stopped_ns, resume_ns = frame.fields["stopped_ns"], frame.fields["resume_ns"]
        if self.by_file:
            resume_ns = stopped_ns + self.settings.downtime_ns
        self._emit(now, "switchover", resume_ns=resume_ns, sent_ns=frame.sent_ns)
        self.due = max(now + self._steps.total_ns, resume_ns)
        if self.postcopy is not None:
            self.postcopy.switched(now, self.due)

    # -- postcopy ---------------------------------------------------------------------------------------------------

    def _discard(self, now: int, frame: Frame) -> None:
        self._need(frame, Status.ACTIVE)
        if not self.settings.postcopy.enabled:
            raise ProtocolError("discard", "type", "postcopy-ram was not announced")
        self.postcopy = PostcopyDestination(
            self.machine, self.settings, self._emit, self._send_request, self._promise
        )
        self.postcopy.discard(frame.payload)

    def _send_request(self, now: int, kind: str, fields: dict[str, Any]) -> int:
        self._send(now, kind, fields)
        return self.outbox[-1].arrives_ns

    def _postcopy_pages(self, now: int, frame: Frame) -> None:
        if self.postcopy is None or self.owner != "destination":
            raise ProtocolError(frame.type, "type", f"not expected in status {self.status}")
        if self.postcopy.arrive(now, frame):
            self._receive_all(now)

    def _receive_all(self, now: int) -> None:
        assert self.postcopy is not None
        self._all_there = True
        if self.resumed_ns is not None:
            self._send(now, "received", {"ram_digest": self.postcopy.end(now)})
            self._enter(now, Status.COMPLETED)

    def hear(self, frame: Frame) -> bool:
        if self.postcopy is not None:
            self.postcopy.hear(frame)
        if frame.type == "recover":  # the source says nothing more until that is answered
            self._recovery_ns = frame.arrives_ns + 1
        return frame.type != "promise"

    @property
    def horizon(self) -> int | None:
        if self.postcopy is None or self.over:
            return None
        if self.status is Status.POSTCOPY_PAUSED:
            return self._recovery_ns
        return self.postcopy.horizon if self._in_touch else None

    @property
    def _in_touch(self) -> bool:
        """Both sides may speak when they like."""
        return self.owner == "destination" or self.status is Status.POSTCOPY_RECOVER

    def keep_in_step(self, now: int) -> None:
        if self.postcopy is not None and self._in_touch and not self.over:
            self.postcopy.keep_in_step(now)

    def fall_silent(self, now: int) -> None:
        """The scenario is over here; the source need not wait for anything more."""
        self.outbox.append(Frame("bye", now, now))

    # -- recovery ---------------------------------------------------------------------------------------------------

    def _recover(self, now: int, frame: Frame) -> None:
        self._need(frame, Status.POSTCOPY_PAUSED)
        assert self.postcopy is not None
        self._enter(now, Status.POSTCOPY_RECOVER)
        has = np.packbits(~self.postcopy.missing).tobytes()
        self._send(now, "received_bitmap", {"resumed": int(self.owner == "destination")}, has)
        self.postcopy.answered(self.outbox[-1].arrives_ns)

    def _resume(self, now: int, frame: Frame) -> None:
        self._need(frame, Status.POSTCOPY_RECOVER)
        assert self.postcopy is not None
        self._enter(now, Status.POSTCOPY_ACTIVE)
        self._send(now, "resume_ack")
        self.postcopy.answered(self.outbox[-1].arrives_ns)
        if self.owner == "source":
            self.owner, self.crossed = "destination", frame.fields
            self.due = self.postcopy.resume_ns = max(now + self._steps.total_ns, frame.fields["resume_ns"])
            self._emit(now, "switchover", resume_ns=frame.fields["resume_ns"], sent_ns=frame.sent_ns)
        self.postcopy.go_on(now)

    def _cancel(self, now: int, frame: Frame) -> None:
        begun = self.status is not Status.NONE  # its hello may have been lost,
        if begun and self.owner == "source" and not self.over:  # or it was on its way when this side refused
            self._enter(now, Status.CANCELLING, frame.fields["reason"])
            self._enter(now, Status.CANCELLED, frame.fields["reason"])

    def _need(self, frame: Frame, status: Status) -> None:
        if self.status is not status:
            raise ProtocolError(frame.type, "type", f"not expected in status {self.status}")


def _check_capabilities(asked: list[str], ours: list[str]) -> None:
    for name in asked:
        if name in _BOTH and name not in ours:
            raise ProtocolError("hello", "capabilities", f"{name} is on at the source and off here")
        if name not in (*ENCODINGS, *_BOTH):
            raise ProtocolError("hello", "capabilities", f"{name!r:.40} is not known here")
        if name == ZSTD and not zstd.installed():
            raise ProtocolError("hello", "capabilities", f"zstd {zstd.MISSING}, here too")
