"""The source of a migration, as a state machine: what it asks, when it stops the guest, who owns it when.

What is sent while the guest runs here is `livemig.migration.precopy`'s affair, what follows it `postcopy_source`'s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from livemig.errors import ProtocolError
from livemig.machine import snapshot
from livemig.machine.machine import Machine
from livemig.machine.runstate import RunState
from livemig.machine.time_state import Host, HostView, TimeState
from livemig.migration.after_switchover import AfterSwitchover
from livemig.migration.frames import MAX_REASON, PROTOCOL_VERSION, Frame
from livemig.migration.page_sums import Sums, digest, sums_of
from livemig.migration.peer_clock import FIRST, PeerClockMeter
from livemig.migration.precopy import Precopy
from livemig.migration.progress import progress
from livemig.migration.settings import Settings
from livemig.migration.side import Emit, Wire
from livemig.migration.status import POSTCOPY, Status
from livemig.migration.steps import Steps
from livemig.strategies.parts import lost, parts
from livemig.strategies.strategy import Strategy

_ANSWERS = {
    "hello": "welcome", "snapshot": "loaded", "switchover": "resumed", "recover": "received_bitmap",
    "resume": "resume_ack",
}  # fmt: skip


class Source(AfterSwitchover):
    """Owns the guest until it has sent ``switchover``; until then any failure lets the guest go on here."""

    def __init__(
        self, machine: Machine, strategy: Strategy, host: Host, wire: Wire, settings: Settings, emit: Emit
    ) -> None:
        self._due: int | None = None
        self._asked = False
        self.peer = PeerClockMeter()
        self._probed = 0
        super().__init__(machine, host, wire, settings, emit)
        self.strategy = strategy
        self.precopy = Precopy(machine, settings, emit, self._send)
        self.started_ns = self.ended_ns = 0
        self.active_ns: int | None = None
        self.stopped_ns: int | None = None
        self.switched_ns: int | None = None
        self._expected = ""
        self.by_file = False
        self._last_pass = False
        self._digest = self._sent_digest = ""
        self._sums: Sums = np.zeros(0, np.uint64)
        self._parts = snapshot.TimeParts({})
        self._saved_at = self._asked_at = 0
        self.barriers: dict[str, int] = {}
        """When each step of the save was taken."""
        self._postcopies = self._start_postcopy = False
        self._paused = False
        self._next_due_ns: list[int] = []

    # -- what the driver calls ------------------------------------------------------------------------------------

    @property
    def due(self) -> int | None:
        """The next instant at which :meth:`tick` is to be called: its own, or one that was asked for."""
        cancel = self.settings.cancel_at_ns if self._cancellable else None
        postcopy = self.settings.postcopy.at_ns if self.status is Status.ACTIVE else None
        pushes = self.postcopy.due if self.status is Status.POSTCOPY_ACTIVE else None
        return min((at for at in (self._due, cancel, postcopy, pushes) if at is not None), default=None)

    @due.setter
    def due(self, value: int | None) -> None:
        self._due = value

    @property
    def can_wait(self) -> bool:
        """What is due next is more of a pass, or a push: early enough when the line has taken what came before."""
        return self.pushes or (self.status is Status.ACTIVE and self._due is not None and self._due == self.due)

    @property
    def pushes(self) -> bool:
        """Pages that nobody waits for go after the guest, and what somebody waits for may have to wait behind them."""
        return self.status is Status.POSTCOPY_ACTIVE and self.postcopy.due is not None

    @property
    def asked(self) -> bool:
        """A frame that must be answered is on its way: what was asked for, or a probe."""
        return self._asked or self.peer.waiting

    @asked.setter
    def asked(self, value: bool) -> None:
        self._asked = value

    def adjust(self, settings: Settings) -> None:
        super().adjust(settings)
        self.postcopy.adjust(settings)
        if self.status is Status.NONE:
            self.precopy = Precopy(self.machine, settings, self._emit, self._send)
        else:
            self.precopy.adjust(settings)

    def start(self, now: int, to_file: bool = False) -> None:
        """``migrate``: say hello. ``to_file``: nobody answers; the driver says ``bye`` when all is on the disk."""
        self.by_file = to_file
        self._enter(now, Status.SETUP)
        self.started_ns = now
        self.due = None
        self._ask(now, "hello", self.hello())

    def hello(self) -> dict[str, Any]:
        """What it says of itself."""
        return {
            "version": PROTOCOL_VERSION,
            "machine": {**self.machine.spec.as_fields(), "version": self.settings.form.number},
            "strategy": self.strategy.name,
            "capabilities": self.settings.encodings.names + self.settings.postcopy.names,
        }

    def receive(self, now: int, frame: Frame) -> None:
        """An answer has arrived; once the migration is over nothing that arrives matters.

        Raises:
            ProtocolError: it is not an answer to what was asked; :meth:`fail` is to be called.
        """
        answers = {
            "welcome": self._welcomed, "loaded": self._loaded, "resumed": self._resumed,
            "bye": self._resumed,
            "received_bitmap": self._learn, "resume_ack": self._go_on,
        }  # fmt: skip
        guests = {"resumed": self._runs_there, "page_request": self._page_request, "received": self._received}
        if self.over or self.status is Status.POSTCOPY_PAUSED:
            return
        if frame.type == "refuse":
            self.fail(now, f"the destination refused: {frame.fields['reason']}")
        elif self.peer.waiting and frame.type == "reply":
            self._replied(now, frame)
        elif self._asked and frame.type == self._expected:
            self.asked = False
            answers[frame.type](now, frame)
        elif frame.type in guests and (self.status is Status.POSTCOPY_ACTIVE or self._starts_late(frame)):
            guests[frame.type](now, frame)
        else:
            raise ProtocolError(frame.type, "type", f"not expected in status {self.status}")

    def tick(self, now: int) -> None:
        """``due`` has come."""
        cancel = self.settings.cancel_at_ns
        if cancel is not None and cancel <= now and self._cancellable:
            self.cancel(now, "cancelled at migration.cancel_at")
            return
        self.due = None
        if self.status is Status.POSTCOPY_ACTIVE:
            self.postcopy.push(now)
        elif self.status is Status.ACTIVE and self._postcopy_is_due(now):
            self.precopy.cut_short(now)
            self._stop(now)
        elif self.status is Status.ACTIVE:
            if self.precopy.passes > self._probed:
                self._probe(now)
            self.due = self.precopy.step(now)
            if self._due is None:
                self._stop(now)
        elif self._last_pass:
            self._finish_memory(now)
        else:
            self._switch_over(now)

    def proceed(self, now: int) -> bool:
        """``migrate-continue``: from ``pre-switchover`` on; False if the migration is not there."""
        if self.status is not Status.PRE_SWITCHOVER:
            return False
        self._finish(now)
        return True

    def fail(self, now: int, reason: str) -> None:
        """End it. The guest goes on here unless ``switchover`` was sent, when nobody can say who owns it; in postcopy
        it is then not the end, for what the guest misses is here."""
        if self.status in POSTCOPY:
            self._pause(now, reason)
            return
        if self.status is Status.NONE:
            self._enter(now, Status.SETUP)
        self._end(now)
        self._enter(now, Status.FAILED, reason)
        self._resume(now)

    def cancel(self, now: int, reason: str = "") -> bool:
        """``migrate_cancel``: the destination is told; False if it is too late."""
        if not self._cancellable:
            return False
        self._send(now, "cancel", {"reason": reason[:MAX_REASON]})
        self._enter(now, Status.CANCELLING, reason)
        self._end(now)
        self._resume(now)
        self._enter(now, Status.CANCELLED, reason)
        return True

    def take_back(self, now: int) -> bool:
        """``cont`` behind ``switchover``, where nothing was heard of the guest since: whoever operates both sides knows
        that the destination has not got it. False if there is nothing to be taken back, or it runs there."""
        if self.owner != "none" or self.status not in (Status.FAILED, Status.POSTCOPY_PAUSED):
            return False
        self.owner = "source"
        if self.status is Status.POSTCOPY_PAUSED:
            self._enter(now, Status.FAILED, "taken back by the operator")
        self._resume(now)
        return True

    def reclaim(self) -> None:
        """``switchover`` has reached nobody: what was written is no guest."""
        if not self.over and self.owner == "none":
            self.owner = "source"

    def figures(self, now: int) -> dict[str, Any]:
        """``query-migrate``."""
        return progress(self, now)

    # -- one a state ------------------------------------------------------------------------------------------------

    def _probe(self, now: int) -> None:
        """Ask for the time there, if the strategy wants to know and is not waiting for it: the line is free."""
        if self.strategy.measures_peer and not self.by_file and not self.peer.waiting:
            self._probed = self.precopy.passes
            self.peer.sent(self.host.at(now).time_of_day_ns)
            self._send(now, "probe")

    def _replied(self, now: int, frame: Frame) -> None:
        received, replied = frame.fields["received_ns"], frame.fields["replied_ns"]
        self.peer.answered(received, replied, self.host.at(now).time_of_day_ns)
        if self.status is Status.SETUP:
            self._welcomed(now)

    def _welcomed(self, now: int, frame: Frame | None = None) -> None:
        if self.peer.samples < FIRST:
            self._probe(now)
        if self.peer.waiting:
            return
        self._enter(now, Status.ACTIVE)
        self.active_ns = now
        self.precopy.begin(now)
        self.due = now

    def _stop(self, now: int) -> None:
        machine = self.machine
        self._paused = machine.state is RunState.PAUSED
        machine.stop(now, RunState.FINISH_MIGRATE)
        self._next_due_ns = machine.next_due_ns(now)
        self.precopy.stopped(now)
        self.stopped_ns = now
        self._saved_at = self.host.at(now).time_of_day_ns
        time, host = self._read_time(now)
        saved = self.strategy.save(time, host)
        form = self.settings.form
        self._parts = parts(self.strategy, saved, form)
        facts = machine.facts(now)
        self._choose(now)
        self._emit(now, "machine_stopped", **facts, ram_digest=self._digest)
        self._emit(
            now, "state_saved", strategy=self.strategy.name, tb=facts["tb"], clock_ns=facts["clock_ns"],
            decr=facts["decr"], host=host.as_fields(), saved=self._parts.together(),
            machine_version=form.number, lost=lost(self.strategy, saved, form), barriers=dict(self.barriers),
        )  # fmt: skip
        if self.settings.pause_before_switchover:
            self._enter(now, Status.PRE_SWITCHOVER)
        else:
            self._finish(now)

    def _read_time(self, now: int) -> tuple[TimeState, HostView]:
        """The stopped guest's time, as it is read step by step, and the host's clocks as TB is."""
        time = self.machine.time_state(now)
        steps = Steps(self.settings.save_step_ns, len(time.cpus))
        self.barriers = steps.of_save(now)
        host = replace(self.host.at(self.barriers["tb-read"]), peer=self.peer.best)
        if steps.step_ns and self.strategy.counts_on:
            time = replace(time.advanced(steps.step_ns), lags_ns=steps.lags_ns)
        return time, host

    def _finish(self, now: int) -> None:
        self._enter(now, Status.DEVICE)
        self._last_pass = True
        self.due = max(now, self.barriers["save"])

    def _finish_memory(self, now: int) -> None:
        """The last pass, the guest stopped, as fast as the link goes; then the snapshot. In postcopy, instead of the
        pass, which pages are missing."""
        if self._postcopies:
            phase, left = self.precopy.hand_over(now)
            self._send(now, "discard", payload=self.postcopy.begin(phase, left))
            self._sent_digest = digest(self._sums, without=self.postcopy.unsent)
        else:
            self.due = self.precopy.last_step(now)
            if self._due is not None:
                return
        self._last_pass = False
        memory = {**self.machine.work(), "digest": self._sent_digest}
        sections = snapshot.sections_of(self.strategy.name, self._parts, self.machine.cpus, memory)
        self._ask(now, "snapshot", payload=snapshot.pack(sections, self.settings.form))

    def _loaded(self, now: int, frame: Frame) -> None:
        if frame.fields["ram_digest"] != self._sent_digest:
            self.fail(now, "the destination's RAM differs")
            return
        # one more trip of the link is to come: hold the guest here as long as the downtime asked for allows
        back = frame.arrives_ns - frame.sent_ns
        forth = now - self._asked_at - back
        load_ns = Steps(self.settings.load_step_ns, len(self.machine.cpus)).total_ns
        self.due = max(now, self._stopped_at() + self.settings.downtime_ns - load_ns - max(2 * back, forth))

    def _switch_over(self, now: int) -> None:
        """The point of no return: from here on the guest is the destination's, or nobody's until it says so."""
        self.owner, self.switched_ns = "none", now
        self._emit(now, "switchover", resume_ns=self._blackout()["resume_ns"], sent_ns=now)
        if not self._postcopies:
            self._ask(now, "switchover", self._blackout())
            return
        self.postcopy.due = self._send(now, "switchover", self._blackout())
        self.postcopy.heard_ns = max(self.outbox[-1].arrives_ns, self._blackout()["resume_ns"])
        self._enter(now, Status.POSTCOPY_ACTIVE)

    def _blackout(self) -> dict[str, Any]:
        stopped_ns = self._stopped_at()
        return {
            "stopped_ns": stopped_ns, "resume_ns": stopped_ns + self.settings.downtime_ns,
            "paused": int(self._paused), "due_ns": self._next_due_ns,
            "booted_ns": -1 if self.machine.booted_ns is None else self.machine.booted_ns,
        }  # fmt: skip

    def _resumed(self, now: int, frame: Frame) -> None:
        if not self.by_file:
            self.owner = "destination"
        self.machine.enter(RunState.POSTMIGRATE)
        self.ended_ns = now
        self._enter(now, Status.COMPLETED)

    # -- postcopy ---------------------------------------------------------------------------------------------------

    def start_postcopy(self) -> bool:
        """``migrate-start-postcopy``: as soon as may be; False if postcopy was not enabled."""
        self._start_postcopy = self.settings.postcopy.enabled
        return self._start_postcopy

    def _postcopy_is_due(self, now: int) -> bool:
        wanted = self.settings.postcopy
        at_once = wanted.passes == 0 or (wanted.at_ns is not None and wanted.at_ns <= now)
        return wanted.enabled and (at_once or self._start_postcopy)

    def _choose(self, now: int) -> None:
        """The guest has been stopped: what is left goes before it if it fits, and else after it."""
        self._postcopies = self.settings.postcopy.enabled and not self.by_file and not self.precopy.fits(now)
        if self._postcopies:
            self._sums = sums_of(self.machine.ram)
            self._digest = digest(self._sums)
        else:
            self._digest = self._sent_digest = self.machine.ram.digest()

    # -- all of them ------------------------------------------------------------------------------------------------

    @property
    def _cancellable(self) -> bool:
        return not self.over and self.status is not Status.NONE and self.owner == "source"

    def _ask(self, now: int, kind: str, fields: dict[str, Any] | None = None, payload: bytes = b"") -> None:
        self._expected = "bye" if self.by_file else _ANSWERS[kind]
        self.asked = not self.by_file or kind == "switchover"
        self._asked_at = now
        self._send(now, kind, fields, payload)
        if self.by_file and kind == "hello":
            self._welcomed(now)
        elif self.by_file and kind == "snapshot":
            self._switch_over(now)

    def _stopped_at(self) -> int:
        assert self.stopped_ns is not None
        return self.stopped_ns

    def _end(self, now: int) -> None:
        self.asked, self.due, self.ended_ns = False, None, now
        self.peer.give_up()
        self.precopy.release(now)

    def _resume(self, now: int) -> None:
        """The guest goes on here if it is ours, its time by the policy asked for; its state was never lost."""
        if self.owner != "source" or self.machine.state is not RunState.FINISH_MIGRATE:
            return
        stood, limit = max(0, self.host.at(now).time_of_day_ns - self._saved_at), self.settings.advance_at_most_ns
        self.machine.advance(now, stood if limit is None else min(stood, limit))
        self._run_on(now, None, self._paused)
