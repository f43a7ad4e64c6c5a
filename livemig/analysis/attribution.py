"""Where the lateness of a late interrupt comes from, in ticks.

Its time from when it was due to its delivery is cut at instants that the logs show, and every stretch is one part:

* the guest runs, and
    * its CPU stands for a page that has not arrived: ``postcopy_fault``,
    * its host does not run it, by the scenario's wish: ``host_stopped``,
    * the interrupt is raised: ``guest_masked``, the guest has it masked,
    * it is not, after a blackout that the arm crossed: ``restore``, the timer was set too late,
    * it is not, otherwise: ``unexplained``;
* the guest stands still (of which ``freeze`` leaves nothing in guest time, so it is no part, and
  ``advance-at-most`` the beginning)
    * from the stop to the beginning of the first pass after it: ``stop``,
    * from there until the destination has loaded the snapshot (``device``; QEMU says ``completed``), else to the
      end of the last pass: ``last_transfer``,
    * from there until the downtime asked for is over (none asked for: until the resume): ``downtime``,
    * from there to the resume: ``restore``.

``offset_rounding`` is taken from ``restore``: what TB lost at the resume, where that is a tick of rounding at most.
``precopy_throttling`` is 0: no event of the schema says that it held up a CPU.

The cuts are rounded to ticks, not the parts: so the parts are not negative, and their sum is the whole.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

from livemig.analysis.continuity import tb_moved
from livemig.analysis.crossing import Crossing
from livemig.analysis.faults import Faults
from livemig.analysis.held import Held
from livemig.analysis.log import Event, Place
from livemig.analysis.manifest import Manifest
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.policy import TimePolicy
from livemig.analysis.ticks import NS_PER_S, to_ticks
from livemig.analysis.verdict import Unknown

PARTS: Final = (
    "guest_masked",
    "precopy_throttling",
    "stop",
    "last_transfer",
    "downtime",
    "restore",
    "offset_rounding",
    "postcopy_fault",
    "host_stopped",
    "unexplained",
)
WORST: Final = 10
_LOADED: Final = ("device", "completed")
_ROUNDING: Final = 2
"""Ticks by which TB may fall short of the blackout rounded up, and be right within a tick."""


class Span(NamedTuple):
    """[``begin``, ``end``) of a blackout, and the part that it counts as."""

    begin: int
    end: int
    part: str


@dataclass(frozen=True, slots=True)
class Late:
    """A late interrupt. ``due_ns``: its deadline, as it was armed. The values of ``parts`` sum to ``late_ticks``."""

    cpu: int
    timer: str
    due_ns: int | None
    late_ticks: int
    parts: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        return {
            "cpu": self.cpu,
            "timer": self.timer,
            "due_ns": self.due_ns,
            "late_ticks": self.late_ticks,
            "parts": dict(self.parts),
        }


def spans_of(
    stop: int, resume: int, passes: tuple[int, int] | None = None, loaded: int | None = None, asked: int | None = None
) -> list[Span]:
    """A blackout in its parts, by the rule above; instants in ns.

    Args:
        passes: when the first pass after the stop began, and when the last one ended; None: there was none.
        loaded: when the destination had the snapshot. asked: the downtime that was asked for, in ns.
    """
    begun, sent = passes or (stop, stop)
    sent = sent if loaded is None else loaded
    held = resume if asked is None else stop + asked
    cuts = [stop]
    for cut in (begun, sent, held, resume):
        cuts.append(min(max(cut, cuts[-1]), resume))
    named = zip(pairwise(cuts), ("stop", "last_transfer", "downtime", "restore"), strict=True)
    return [Span(begin, end, part) for (begin, end), part in named]


def _in_guest_time(spans: Sequence[Span], end: int, behind: int) -> list[Span]:
    """``spans`` up to ``end``, when guest time stood still, as much earlier as guest time was ``behind`` by then."""
    cut = (span._replace(end=min(span.end, end)) for span in spans)
    return [Span(span.begin - behind, span.end - behind, span.part) for span in cut if span.begin < span.end]


def split(
    due: int, now: int, hz: int, spans: Sequence[Span] = (), raised: int | None = None, resumed: int | None = None
) -> dict[str, int]:
    """The parts of what was ``due`` and came ``now``, in ticks of ``hz``; instants in ns of guest time.

    Args:
        raised: since when it was raised, if it was masked. resumed: when the guest resumed after the arm was made.
    """
    edges = {due, now, raised, resumed, *(edge for span in spans for edge in (span.begin, span.end))}
    cuts = sorted(edge for edge in edges if edge is not None and due <= edge <= now)
    parts = dict.fromkeys(PARTS, 0)
    for begin, end in pairwise(cuts):
        part = next((span.part for span in spans if span.begin <= begin < span.end), None)
        if part is None and raised is not None and raised <= begin:
            part = "guest_masked"
        elif part is None:
            part = "restore" if resumed is not None and resumed <= begin else "unexplained"
        parts[part] += to_ticks(end - due, hz) - to_ticks(begin - due, hz)
    return parts


class Attribution(Observer):
    """Keeps the parts of every blackout; the account tells it of what is late."""

    def __init__(
        self, manifest: Manifest, crossing: Crossing, policy: TimePolicy, faults: Faults | None = None,
        held: Held | None = None,
    ) -> None:
        self.worst: list[Late] = []
        """The latest, the latest of all first."""
        self.count = 0
        self.total = dict.fromkeys(PARTS, 0)
        self._hz, self._asked = manifest.machine.timebase_hz, manifest.rule.downtime_ns
        self._crossing, self._policy = crossing, policy
        self._faults = faults or Faults(policy, self._hz)
        self._held = held or Held(crossing, policy, self._hz)
        self._passes: tuple[int, int] | None = None
        self._loaded: int | None = None
        self._spans: list[list[Span]] = []
        self._resumed: list[int] = []
        """When the guest resumed, in guest time."""
        self._rounding: list[int] = []

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "migration_pass": self._pass,
            "migration_state": self._state,
            "machine_resumed": self._machine_resumed,
        }

    def _pass(self, event: Event, place: Place) -> None:
        if self._crossing.running is None and event["side"] == self._crossing.owner:
            began = self._passes[0] if self._passes else event["t_ns"] - event["duration_ns"]
            self._passes = began, event["t_ns"]

    def _state(self, event: Event, place: Place) -> None:
        if self._crossing.running is None and event["side"] != self._crossing.owner and event["status"] in _LOADED:
            self._loaded = event["t_ns"]

    def _machine_resumed(self, event: Event, place: Place) -> None:
        crossing = self._crossing
        if len(crossing.pauses) == len(self._spans) or crossing.stop is None or crossing.resume is None:
            return
        stop, resume = crossing.pauses[-1]
        passes, behind = self._policy.rule.passes_ns(resume - stop), self._policy.behind_ns
        spans = spans_of(stop, resume, self._passes, self._loaded, self._asked)
        self._spans.append(_in_guest_time(spans, stop + passes, behind - (resume - stop - passes)))
        self._resumed.append(resume - behind)
        exact = -(-passes * self._hz // NS_PER_S)
        try:
            short = exact - tb_moved(crossing.stop, crossing.resume)
        except Unknown:
            short = 0
        self._rounding.append(short if 0 < short <= _ROUNDING else 0)
        self._passes = self._loaded = None

    def late(
        self, cpu: int, timer: str, due_ns: int | None, due: int, raised: int | None, now: int, epoch: int
    ) -> None:
        """An interrupt that was ``due`` came ``now``, in guest time; ``epoch``: how many pauses were before its arm."""
        spans = [span for pause in self._spans[epoch:] for span in pause]
        spans += [Span(begin, end, "postcopy_fault") for begin, end in self._faults.within(cpu, due, now)]
        spans += [Span(begin, end, "host_stopped") for begin, end in self._held.within(due, now)]
        resumed = self._resumed[epoch] if epoch < len(self._resumed) else None
        parts = split(due, now, self._hz, spans, raised, resumed)
        rounding = min(parts["restore"], sum(self._rounding[epoch:]))
        parts["restore"] -= rounding
        parts["offset_rounding"] += rounding
        self.count += 1
        for part, ticks in parts.items():
            self.total[part] += ticks
        insort(self.worst, Late(cpu, timer, due_ns, sum(parts.values()), parts), key=lambda late: -late.late_ticks)
        del self.worst[WORST:]
