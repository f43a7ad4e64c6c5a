"""The destination of a precopy migration, as a state machine.

It answers and never speaks unasked. Nothing runs on it before ``switchover``: whatever is wrong with what it was
sent, it refuses before that, and the source runs on.
"""

from __future__ import annotations

from typing import Any

from livemig.errors import ProtocolError
from livemig.machine import snapshot
from livemig.machine.bounds import check_state, check_time
from livemig.machine.machine import Machine
from livemig.machine.time_state import Host
from livemig.machine.version import NEWEST, version
from livemig.migration import zstd
from livemig.migration.encoding import ENCODINGS, ZSTD
from livemig.migration.frames import MAX_REASON, PROTOCOL_VERSION, Frame
from livemig.migration.settings import Settings
from livemig.migration.side import Emit, Side, Wire
from livemig.migration.status import Status
from livemig.strategies.parts import joined, restore
from livemig.strategies.strategy import Saved, Strategy
from livemig.strategies.table import STRATEGIES
from livemig.timers.ticks import NS_PER_S

_LONGEST_WAIT_NS = 7200 * NS_PER_S
"""Twice the longest downtime that can be asked for."""


class Destination(Side):
    """``owner`` is ``source`` until ``switchover`` has come."""

    def __init__(self, machine: Machine, host: Host, wire: Wire, settings: Settings, emit: Emit) -> None:
        super().__init__(machine, host, wire, settings, emit)
        self.resumed_ns: int | None = None
        self.from_file = False
        """Restored from a file: when, after the stop, is for this side to say."""
        self.strategy: Strategy | None = None
        self._snapshot_read: snapshot.Snapshot | None = None
        self._saved: Saved = {}

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
            "switchover": self._switchover,
            "cancel": self._cancel,
        }
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
        """``due`` has come: the guest goes on here."""
        self.due = None
        machine, strategy, read = self.machine, self.strategy, self._snapshot_read
        assert strategy is not None
        assert read is not None
        fresh = machine.time_state(now)
        host = self.host.at(now)
        machine.load_time(restore(strategy, fresh, self._saved, host, read.form))
        for cpu, registers in zip(machine.cpus, read.cpus, strict=True):
            cpu.load_registers(registers)
        memory = read.memory
        machine.load_workload(memory["run_ns"], memory["lags_ns"])
        after = machine.time_state(now)
        self._emit(
            now, "state_restored", strategy=strategy.name, tb_before=fresh.tb(), tb_after=after.tb(),
            clock_ns=after.clock_ns, decr_before=[fresh.decr(i) for i in fresh.cpus],
            decr_after=[after.decr(i) for i in after.cpus], host=host.as_fields(), saved=read.time.together(),
            machine_version=read.form.number, lost=read.form.lacks(),
        )  # fmt: skip
        machine.resume(now)
        self.resumed_ns = now
        self._emit(now, "machine_resumed", **machine.facts(now), ram_digest=memory["digest"])
        for arm in machine.arms(now):
            self._emit(now, "timer_armed", **arm, cause="restore")
        self._enter(now, Status.COMPLETED)
        self._send(now, "resumed")

    def fail(self, now: int, reason: str) -> None:
        """The link ended, or what came was refused. After ``switchover`` the guest is ours and goes on."""
        if self.from_file and self.status is Status.NONE:
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
        _check_capabilities(fields["capabilities"])
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
        digest = self.machine.ram.digest()
        if read.memory["digest"] != digest:
            raise ProtocolError("snapshot", "memory.digest", "the RAM that arrived is not the RAM that was sent")
        check_state(self.machine, read)
        check_time(restore(self.strategy, self.machine.time_state(now), self._saved, self.host.at(now), read.form), now)
        self._snapshot_read = read
        self._enter(now, Status.DEVICE, f"skipped: {', '.join(read.skipped)}" if read.skipped else "")
        self._send(now, "loaded", {"ram_digest": digest})

    def _switchover(self, now: int, frame: Frame) -> None:
        self._need(frame, Status.DEVICE)
        if frame.fields["resume_ns"] - now > _LONGEST_WAIT_NS:
            raise ProtocolError("switchover", "resume_ns", f"{frame.fields['resume_ns'] - now} ns from now")
        self.owner = "destination"
        stopped_ns, resume_ns = frame.fields["stopped_ns"], frame.fields["resume_ns"]
        if self.from_file:
            resume_ns = stopped_ns + self.settings.downtime_ns
        self._emit(now, "switchover", resume_ns=resume_ns, sent_ns=frame.sent_ns)
        self.due = max(now, resume_ns)

    def _cancel(self, now: int, frame: Frame) -> None:
        if self.owner == "source":
            self._enter(now, Status.CANCELLING, frame.fields["reason"])
            self._enter(now, Status.CANCELLED, frame.fields["reason"])

    def _need(self, frame: Frame, status: Status) -> None:
        if self.status is not status:
            raise ProtocolError(frame.type, "type", f"not expected in status {self.status}")


def _check_capabilities(asked: list[str]) -> None:
    for name in asked:
        if name not in ENCODINGS:
            raise ProtocolError("hello", "capabilities", f"{name!r:.40} is not known here")
        if name == ZSTD and not zstd.installed():
            raise ProtocolError("hello", "capabilities", f"zstd {zstd.MISSING}, here too")
