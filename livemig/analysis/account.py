"""The account of interrupts: what became of every arm of every timer of every CPU.

The conservation law: an arm ends as exactly one of

* ``on_time``: delivered when it was due, or as soon after as the guest let it (it had interrupts off),
* ``late``, ``early``: delivered, beyond what the guest's own masking explains; before it was due,
* ``lost``: overdue and never delivered, or so late that what came answers something else (``stray``),
* ``superseded``: the guest wrote the timer again first, or one delivery answered two,
* ``pending``: not due, or masked by the guest, at the end of the log. A real QEMU's does not say what the guest masks:
  what is raised there, and not taken for as long as loses any other interrupt, is lost.

``doubled`` counts deliveries that no arm asked for. So ``armed`` is the sum of the six, and ``delivered``
that of on_time, late, early, doubled and stray; and of ``repeated``, where a level is delivered again because the
guest let interrupts in and had not taken its cause away.

All is reckoned in *guest time*: the world's under the policy ``advance``; under ``freeze`` the world's less
every pause, which makes a blackout vanish as it should; under ``advance-at-most`` less what a pause is longer.
Under each of them less every stretch for which an operator had the guest stand still.
"""

from __future__ import annotations

from collections.abc import Mapping

from livemig.analysis.arm import Arm, Cell, Finding, Key
from livemig.analysis.attribution import Attribution
from livemig.analysis.crossing import Crossing
from livemig.analysis.faults import Faults
from livemig.analysis.held import Held, covered_ns
from livemig.analysis.layout import ARMED
from livemig.analysis.level import is_up
from livemig.analysis.log import Event, Place
from livemig.analysis.manifest import Manifest
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.policy import TimePolicy
from livemig.analysis.stretch import Stretch
from livemig.analysis.succession import Succession, successions
from livemig.analysis.tally import Tally
from livemig.analysis.ticks import tick_ns
from livemig.analysis.verdict import EVIDENCE_LIMIT, Evidence


class Account(Observer):
    """Follows the guest's timers in its owner's log: the other side's start-up state is not the guest's.

    Args:
        crossing, policy: seen before it at every event; ``policy`` may be left out where the manifest names one.
        attribution: told of every interrupt that is late. faults: of postcopy, held: of hosts; a CPU that stands
            takes no interrupt.
    """

    def __init__(
        self,
        manifest: Manifest,
        crossing: Crossing,
        policy: TimePolicy | None = None,
        attribution: Attribution | None = None,
        faults: Faults | None = None,
        held: Held | None = None,
    ) -> None:
        rule = manifest.rule
        self.cells: dict[Key, Cell] = {}
        self.findings: dict[str, list[Finding]] = {
            kind: [] for kind in ("late", "early", "doubled", "lost", "unexplained")
        }
        """The first few of each kind; ``unexplained``: delayed by neither the guest nor a pause."""
        self.unexplained = 0
        self._crossing = crossing
        self._policy = policy or TimePolicy(manifest, crossing)
        self._attribution = attribution
        self._faults = faults or Faults(self._policy, manifest.machine.timebase_hz)
        self._machine = manifest.machine
        self._held = held or Held(crossing, self._policy, manifest.machine.timebase_hz)
        self._level = manifest.machine.trigger == "level"
        self._cpus = manifest.machine.cpus
        self._sign = manifest.machine.decrementer_bits - 1
        self._slack = rule.late_tolerance_ns
        self._tick = tick_ns(manifest.machine.timebase_hz)
        self._lost_after = rule.lost_after_ns
        self._masks_known = manifest.engine != "qemu"
        # Virtual time delivers at once: whatever is overdue is lost.
        self._patience = rule.lost_after_ns if rule.clock == "wall" else 0
        self._epoch = 0
        self._behind = self._by_hand = 0
        self._resumed = 0
        self._raised_elsewhere: set[Key] = set()

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "timer_armed": self._armed,
            "interrupt": self._interrupt,
            "interrupt_masked": self._masked,
            "interrupt_coalesced": self._coalesced,
            "machine_resumed": self._machine_resumed,
            "machine_reset": self._machine_reset,
        }

    def per_cpu(self) -> list[Tally]:
        """One tally a CPU, over its timers; raises IndexError if the log names a CPU too many."""
        tallies = [Tally() for _ in range(self._cpus)]
        for (cpu, _), cell in self.cells.items():
            tallies[cpu] += cell.tally
        return tallies

    def total(self) -> Tally:
        return sum((cell.tally for cell in self.cells.values()), Tally())

    # ── events ──

    def _armed(self, event: Event, place: Place) -> None:
        if not self._crossing.is_new_arm(event):
            return
        key = event["cpu"], event["timer"]
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell()
        if cell.waiting is not None and self._level and not event["value"] >> self._sign & 1:
            cell.tally.superseded += 1  # Level: DECR is no longer negative, so nothing is raised any more.
            cell.waiting = None
        old = cell.counting
        if old is not None and not self._lose_if_overdue(key, cell.tally, old, event["t_ns"] - self._behind):
            cell.tally.superseded += 1
        cell.counting, cell.answered_ns = Arm(event, place, self._epoch, self._behind), None
        cell.tally.armed += 1
        if self._crossing.inherits(event):
            self._inherit(key, cell, event, place)

    def _inherit(self, key: Key, cell: Cell, event: Event, place: Place) -> None:
        """What fell due before the guest's history began is due when it begins; what was raised is raised."""
        raised, due, now = key in self._crossing.brought, event["deadline_ns"], event["t_ns"]
        if raised or due is not None:
            event = event | {"deadline_ns": now if raised else max(due, now)}
        cell.counting = Arm(event, place, -1, self._behind)
        if raised:
            cell.tally.superseded += cell.waiting is not None  # One delivery will answer both.
            cell.waiting, cell.counting = cell.counting, None

    def _interrupt(self, event: Event, place: Place) -> None:
        if event["side"] != self._crossing.owner:
            return
        key = event["cpu"], event["timer"]
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell()
        tally, answered_ns, cell.answered_ns = cell.tally, cell.answered_ns, event["t_ns"]
        tally.delivered += 1
        if (arm := cell.waiting) is not None:
            cell.waiting = None
        elif (arm := cell.counting) is not None and (arm.due is not None or self._is_level_raised(arm)):
            cell.counting = None
        elif answered_ns is not None and answered_ns < event["t_ns"] and is_up(self._machine, event):
            tally.repeated += 1
            return
        else:
            tally.doubled += 1
            self._note("doubled", key, None, 0, Evidence(*place, event["t_ns"]))
            return
        now = event["t_ns"] - self._behind
        if arm.due is None or (now == arm.due and arm.raised is None):
            tally.on_time += 1
        else:
            self._deliver(key, tally, arm, arm.due, now, Evidence(*place, event["t_ns"]))

    def _masked(self, event: Event, place: Place) -> None:
        key = event["cpu"], event["timer"]
        if event["side"] != self._crossing.owner:
            self._raised_elsewhere.add(key)
        elif (cell := self.cells.get(key)) is not None:
            self._raise(cell, event["t_ns"] - self._behind)

    def _coalesced(self, event: Event, place: Place) -> None:
        cell = self.cells.get((event["cpu"], event["timer"]))
        if event["side"] == self._crossing.owner and cell is not None and cell.counting is not None:
            cell.counting = None
            cell.tally.superseded += 1

    def _machine_resumed(self, event: Event, place: Place) -> None:
        crossing = self._crossing
        self._behind += crossing.held_ns - self._by_hand
        self._by_hand = crossing.held_ns
        if len(crossing.pauses) == self._epoch or crossing.resume is None:
            return
        stop_ns, resume_ns = crossing.pauses[-1]
        stood = stop_ns - self._behind
        self._epoch = len(crossing.pauses)
        self._behind = self._policy.behind_ns
        self._resumed = resume_ns - self._behind
        if crossing.resume.pending is not None:
            raised = crossing.resume.raised()
            for key, cell in self.cells.items():
                if key not in raised:
                    self._drop(key, cell, stood)
                elif key in self._raised_elsewhere and cell.waiting is None:
                    self._raise(cell, self._resumed)
        self._raised_elsewhere.clear()

    def _machine_reset(self, event: Event, place: Place) -> None:
        """A guest that boots again has given up what it had armed; what fell due at the tick of the reset, too."""
        if event["side"] != self._crossing.owner:
            return
        now = event["t_ns"] - self._behind - self._tick
        for key, cell in self.cells.items():
            arm = cell.counting
            if arm is not None and not self._lose_if_overdue(key, cell.tally, arm, now):
                cell.tally.superseded += 1
            cell.tally.superseded += cell.waiting is not None
            cell.counting = cell.waiting = None

    def stretch(self, stretch: Stretch) -> None:
        """Timers that are settled before a stretch are so within it: then most of their events can be counted."""
        if stretch.side != self._crossing.owner:
            return
        steps: list[tuple[int, int | None]] = []
        counted: list[Succession] = []
        for timer in successions(stretch, min(self._slack, self._lost_after), max(self._slack, self._patience)):
            cell = self.cells.get((timer.cpu, stretch.timer))
            if cell is None or cell.is_settled():
                counted.append(timer)
                steps += timer.steps()
            else:
                steps += ((row, None) for row in timer.rows.tolist())
        for row, before in sorted(steps):
            event, place = stretch.event(row)
            if before is not None:
                cell = self.cells[event["cpu"], event["timer"]]
                cell.counting = self._left_by(stretch, before)
                cell.answered_ns = None if stretch.armed[before] else int(stretch.t_ns[before])
            (self._armed if event["event"] == ARMED else self._interrupt)(event, place)
        for timer in counted:
            cell = self.cells[timer.cpu, stretch.timer]
            last = int(timer.rows[-1])
            cell.counting = self._left_by(stretch, last)
            cell.answered_ns = None if stretch.armed[last] else int(stretch.t_ns[last])
            cell.tally.armed += timer.armed
            cell.tally.delivered += timer.on_time
            cell.tally.on_time += timer.on_time
            cell.tally.superseded += timer.superseded
            cell.tally.worst_late_ns = max(cell.tally.worst_late_ns, timer.worst_late_ns)

    def _left_by(self, stretch: Stretch, row: int) -> Arm | None:
        return Arm(*stretch.event(row), self._epoch, self._behind) if stretch.armed[row] else None

    # ── what follows from them ──

    def _is_level_raised(self, arm: Arm) -> bool:
        """A level timer that was written negative counts towards nothing: it is raised."""
        return self._level and bool(arm.value >> self._sign & 1)

    def _raise(self, cell: Cell, now: int) -> None:
        arm = cell.counting
        if arm is None or (cell.waiting is not None and (arm.due is None or now < arm.due)):
            return  # Said again of the one that waits.
        cell.counting = None
        if cell.waiting is not None:
            cell.tally.superseded += 1  # One delivery will answer both.
        else:
            arm.raised = now
            cell.waiting = arm

    def _drop(self, key: Key, cell: Cell, stood: int) -> None:
        """Raised at the stop and not at the resume: forgotten, unless the destination finds it due again."""
        arm = cell.waiting
        if arm is None:
            return
        cell.waiting = None
        if arm.due is None or cell.counting is not None:
            self._lose(key, cell.tally, arm, 0)
            return
        if arm.raised is not None:
            arm.due += stood - max(arm.due, arm.raised)  # Until the stop it was the guest that waited.
            arm.raised = None
        cell.counting = arm

    def _tolerance(self, arm: Arm) -> int:
        """A deadline that crosses is restored in whole ticks."""
        return self._slack + (self._tick if self._epoch != arm.epoch else 0)

    def _deliver(self, key: Key, tally: Tally, arm: Arm, due: int, now: int, seen: Evidence) -> None:
        tolerance = self._tolerance(arm)
        if now < due - tolerance:
            tally.early += 1
            self._note("early", key, arm.deadline_ns, due - now, seen)
            return
        # Raised late is late; from there on the guest masks it, except while it stands still.
        raised = max(due, now if arm.raised is None else arm.raised)
        late = raised - due + self._stood_still(key[0], arm, raised, now)
        patience = self._lost_after + self._stood_ns(key[0], due, now)
        if late > patience + self._crossing.paused_since(arm.epoch):
            tally.stray += 1
            self._lose(key, tally, arm, late)
            return
        tally.worst_late_ns = max(tally.worst_late_ns, late)
        if late <= tolerance:
            tally.on_time += 1
            return
        tally.late += 1
        self._note("late", key, arm.deadline_ns, late, seen)
        if self._attribution is not None:
            self._attribution.late(*key, arm.deadline_ns, due, raised, now, arm.epoch)
        if (unexplained := raised - due - self._stood_still(key[0], arm, due, raised)) > tolerance:
            self.unexplained += 1
            self._note("unexplained", key, arm.deadline_ns, unexplained, seen)

    def _stood_still(self, cpu: int, arm: Arm, begin: int, end: int) -> int:
        """For how much of this stretch of guest time the guest stood still, or its CPU did, or its host."""
        stood = self._stood_ns(cpu, begin, end)
        if self._epoch == arm.epoch:
            return stood
        return min(stood + self._policy.stood_still_ns(begin, end), end - begin)

    def _stood_ns(self, cpu: int, begin: int, end: int) -> int:
        return covered_ns((*self._faults.within(cpu, begin, end), *self._held.within(begin, end)))

    def _lose_if_overdue(self, key: Key, tally: Tally, arm: Arm, now: int) -> bool:
        if arm.due is None:
            return False
        since = max(arm.due, self._resumed)
        overdue = now - since - self._stood_ns(key[0], since, now)
        if overdue <= max(self._tolerance(arm), self._patience):
            return False
        self._lose(key, tally, arm, now - arm.due)
        return True

    def _lose_if_untaken(self, key: Key, tally: Tally, arm: Arm, now: int) -> bool:
        """Raised, and not taken for so long that no guest masks it: where the log does not say that it does."""
        if self._masks_known or arm.raised is None:
            return False
        since = max(arm.raised, self._resumed)
        if now - since - self._stood_ns(key[0], since, now) <= self._lost_after:
            return False
        self._lose(key, tally, arm, now - arm.raised)
        return True

    def _lose(self, key: Key, tally: Tally, arm: Arm, overdue: int) -> None:
        tally.lost += 1
        tally.overdue_ns = max(tally.overdue_ns, overdue)
        self._note("lost", key, arm.deadline_ns, overdue, arm.seen)

    def _note(self, kind: str, key: Key, due_ns: int | None, by_ns: int, seen: Evidence) -> None:
        findings = self.findings[kind]
        if len(findings) < EVIDENCE_LIMIT:
            findings.append(Finding(*key, due_ns, by_ns, seen))

    # ── the end ──

    def close(self, end_ns: int) -> None:
        """Settle what is still open. ``end_ns``: until when the guest ran, or could have."""
        held_since = self._crossing.held_since
        now = (end_ns if held_since is None else min(end_ns, held_since)) - self._behind
        for key, cell in sorted(self.cells.items()):
            tally = cell.tally
            if (waiting := cell.waiting) is not None:
                untaken = self._lose_if_untaken(key, tally, waiting, now)
                tally.hung += untaken
                tally.pending += not untaken
            if (arm := cell.counting) is None:
                continue
            if self._lose_if_overdue(key, tally, arm, now):
                tally.hung += 1
            else:
                tally.pending += 1
