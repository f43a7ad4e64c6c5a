"""The source of a precopy migration, as a state machine.

QEMU's rule (``migration_iteration_run``): send dirty memory in passes; when what is left fits into
``downtime_limit`` at the measured bandwidth, look again at the dirty bitmap, and if it still does, stop the guest
and send the rest. ``max_passes`` ends a migration that would not converge.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from livemig.errors import ProtocolError
from livemig.machine import snapshot
from livemig.machine.machine import Machine
from livemig.machine.ram import PAGE, Pages
from livemig.machine.runstate import RunState
from livemig.machine.time_state import Host
from livemig.migration.frames import MAX_REASON, PROTOCOL_VERSION, Frame
from livemig.migration.passes import Pass, page_runs
from livemig.migration.side import Emit, Settings, Side, Wire
from livemig.migration.status import Status
from livemig.strategies.strategy import Saved, Strategy
from livemig.timers.ticks import NS_PER_S

_WINDOW_NS = 100_000_000
"""Bandwidth is measured over this long, or over a pass if that is shorter (QEMU ``BUFFER_DELAY``)."""


class Source(Side):
    """Owns the guest until it has sent ``switchover``; until then any failure lets the guest go on here."""

    def __init__(
        self, machine: Machine, strategy: Strategy, host: Host, wire: Wire, settings: Settings, emit: Emit
    ) -> None:
        super().__init__(machine, host, wire, settings, emit)
        self.strategy = strategy
        self.passes = 0
        self.bytes = self.zero_pages = 0
        self.stopped_ns: int | None = None
        self.started_ns = 0
        self.bandwidth = 0
        """Measured, bytes a second."""
        self._pass = Pass(0, 0, 0)
        self._left: Pages = np.zeros(0, np.int64)
        self._window: tuple[int, int] = (0, 0)
        self._saved: Saved = {}
        self._saved_at = 0

    # -- what the driver calls ------------------------------------------------------------------------------------

    def start(self, now: int) -> None:
        """``migrate``: say hello."""
        self._enter(now, Status.SETUP)
        self.started_ns = now
        self.due = None
        hello = {
            "version": PROTOCOL_VERSION,
            "machine": self.machine.spec.as_fields(),
            "strategy": self.strategy.name,
            "capabilities": [],
        }
        self._ask(now, "hello", hello)

    def receive(self, now: int, frame: Frame) -> None:
        """An answer has arrived.

        Raises:
            ProtocolError: it is not an answer to what was asked; :meth:`fail` is to be called.
        """
        answers = {"welcome": self._welcomed, "loaded": self._loaded, "resumed": self._resumed}
        if frame.type == "refuse":
            self.fail(now, f"the destination refused: {frame.fields['reason']}")
        elif self.asked and frame.type == self._expected:
            self.asked = False
            answers[frame.type](now, frame)
        else:
            raise ProtocolError(frame.type, "type", f"not expected in status {self.status}")

    def tick(self, now: int) -> None:
        """``due`` has come."""
        self.due = None
        if self.status is Status.ACTIVE:
            self._iterate(now)
        elif self._last_pass:
            self._finish_memory(now)
        else:
            self._switch_over(now)

    def fail(self, now: int, reason: str) -> None:
        """End it. The guest goes on here unless ``switchover`` was sent, when nobody can say who owns it."""
        if self.status is Status.NONE:
            self._enter(now, Status.SETUP)
        self._end(now, reason, Status.FAILED)

    def cancel(self, now: int, reason: str = "") -> bool:
        """``migrate_cancel``: the destination is told; False if it is too late."""
        if self.over or self.status is Status.NONE or self.owner != "source":
            return False
        self._send(now, "cancel", {"reason": reason[:MAX_REASON]})
        self._enter(now, Status.CANCELLING, reason)
        self._end(now, reason, Status.CANCELLED)
        return True

    # -- precopy ----------------------------------------------------------------------------------------------------

    def _welcomed(self, now: int, frame: Frame) -> None:
        self._enter(now, Status.ACTIVE)
        self.machine.ram.mark_all()
        self._window = (now, 0)
        self._begin_pass(now)

    def _sync(self) -> None:
        """What was written since the last look is to be sent too."""
        self.machine.ram.mark(self._left)
        self._left = self.machine.ram.take_dirty()

    def _begin_pass(self, now: int) -> None:
        """Sync the dirty bitmap: what was written since goes out next."""
        self._sync()
        self.passes += 1
        self._pass = Pass(self.passes, now, len(self._left))
        self.due = now

    def _iterate(self, now: int) -> None:
        self._measure(now)
        if self._fits():
            self._end_pass(now)
            self._begin_pass(now)
            if self._fits() or self.passes > self.settings.max_passes:
                self._stop(now)
                return
        self._send_chunk(now)

    def _fits(self) -> bool:
        """What is left fits into the downtime limit at the measured bandwidth."""
        return len(self._left) * PAGE <= self.bandwidth * self.settings.downtime_limit_ns // NS_PER_S

    def _measure(self, now: int) -> None:
        began, sent_then = self._window
        if now > began and (now - began >= _WINDOW_NS or not len(self._left)):
            self.bandwidth = (self.bytes - sent_then) * NS_PER_S // (now - began)
            self._window = (now, self.bytes)

    def _send_chunk(self, now: int) -> None:
        chunk = self.settings.chunk_pages
        pages, self._left = self._left[:chunk], self._left[chunk:]
        zero = self.machine.ram.zero(pages)
        fields: dict[str, Any] = {"runs": page_runs(pages[~zero]), "zero": page_runs(pages[zero])}
        content = int(np.count_nonzero(~zero)) * PAGE
        before = self._pass
        self._pass = before.sent(content, int(np.count_nonzero(zero)))
        self.bytes += content
        self.zero_pages = self.zero_pages + int(np.count_nonzero(zero))
        self.due = self._send(now, "pages", fields, size=content)

    def _end_pass(self, now: int) -> None:
        done = self._pass
        dirtied = self.machine.ram.dirty_count * PAGE
        duration = max(now - done.began_ns, 1)
        self._emit(
            now, "migration_pass", **{"pass": done.number}, dirty_pages=done.pages, zero_pages=done.zero_pages,
            bytes=done.bytes, rate=done.bytes * NS_PER_S // duration, remaining=len(self._left) * PAGE + dirtied,
            dirty_rate=dirtied * NS_PER_S // duration, duration_ns=now - done.began_ns,
        )  # fmt: skip
        self._send(now, "pass_end", {"pass": done.number, "pages": done.pages})

    # -- switchover -------------------------------------------------------------------------------------------------

    def _stop(self, now: int) -> None:
        machine = self.machine
        machine.stop(now, RunState.FINISH_MIGRATE)
        self._sync()
        self.stopped_ns = now
        host = self.host.at(now)
        self._saved, self._saved_at = self.strategy.save(machine.time_state(now), host), host.time_of_day_ns
        facts = machine.facts(now)
        self._digest = machine.ram.digest()
        self._emit(now, "machine_stopped", **facts, ram_digest=self._digest)
        self._emit(
            now, "state_saved", strategy=self.strategy.name, tb=facts["tb"], clock_ns=facts["clock_ns"],
            decr=facts["decr"], host=asdict(host), saved=self._saved,
        )  # fmt: skip
        self._enter(now, Status.DEVICE)
        self._last_pass = True
        self.due = now

    def _finish_memory(self, now: int) -> None:
        """The last pass, the guest stopped, as fast as the link goes; then the snapshot."""
        if len(self._left):
            self._send_chunk(now)
            return
        self._last_pass = False
        self._end_pass(now)
        memory = {"writes": self.machine.writes, "run_ns": self.machine.run_ns, "digest": self._digest}
        sections = snapshot.sections_of(self.strategy.name, self._saved, self.machine.cpus, memory)
        self._ask(now, "snapshot", payload=snapshot.pack(sections))

    def _loaded(self, now: int, frame: Frame) -> None:
        if frame.fields["ram_digest"] != self._digest:
            self.fail(now, "the destination's RAM differs")
            return
        # one more trip of the link is to come: hold the guest here as long as the downtime asked for allows
        trip = frame.arrives_ns - frame.sent_ns
        self.due = max(now, self._stopped_at() + self.settings.downtime_ns - 2 * trip)

    def _switch_over(self, now: int) -> None:
        """The point of no return: from here on the guest is the destination's, or nobody's until it says so."""
        self.owner = "none"
        resume_ns = self._stopped_at() + self.settings.downtime_ns
        self._ask(now, "switchover", {"stopped_ns": self._stopped_at(), "resume_ns": resume_ns})

    def _resumed(self, now: int, frame: Frame) -> None:
        self.owner = "destination"
        self.machine.enter(RunState.POSTMIGRATE)
        self._enter(now, Status.COMPLETED)

    # -- all of them ------------------------------------------------------------------------------------------------

    _last_pass = False
    _digest = ""
    _expected = ""

    def _ask(self, now: int, kind: str, fields: dict[str, Any] | None = None, payload: bytes = b"") -> None:
        self._expected = {"hello": "welcome", "snapshot": "loaded", "switchover": "resumed"}[kind]
        self.asked = True
        self._send(now, kind, fields, payload)

    def _stopped_at(self) -> int:
        assert self.stopped_ns is not None
        return self.stopped_ns

    def _end(self, now: int, reason: str, status: Status) -> None:
        self.asked, self.due = False, None
        self._enter(now, status, reason)
        if self.owner == "source" and self.machine.state is RunState.FINISH_MIGRATE:
            self._resume(now)

    def _resume(self, now: int) -> None:
        """The guest goes on here, its time by the policy asked for; nothing of its state was ever lost."""
        if self.settings.advance:
            self.machine.advance(now, max(0, self.host.at(now).time_of_day_ns - self._saved_at))
        self.machine.resume(now)
        self._emit(now, "machine_resumed", **self.machine.facts(now), ram_digest=None)

    def figures(self) -> dict[str, Any]:
        """``query-migrate``'s figures, in QEMU's words and units (ms, bytes)."""
        ram = self.machine.ram
        left = len(self._left) * PAGE + ram.dirty_count * PAGE
        return {
            "ram": {
                "transferred": self.bytes,
                "remaining": 0 if self.status is Status.COMPLETED else left,
                "total": ram.size,
                "duplicate": self.zero_pages,
                "normal": self.bytes // PAGE,
                "normal-bytes": self.bytes,
                "mbps": self.bandwidth * 8 / 1e6,
                "dirty-sync-count": self.passes,
                "page-size": PAGE,
            }
        }
