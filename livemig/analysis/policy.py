"""What guest time does over a blackout: it goes on with the world (``advance``), or it stands still (``freeze``).

A run of ours asks for one. What a foreign log was to do nobody knows: then the policy is the one that its TB keeps,
or comes nearer to. It is settled at the first resume, before anything that happens after it is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from livemig.analysis.crossing import Crossing, Moment
from livemig.analysis.log import Event, Place
from livemig.analysis.manifest import Manifest
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.ticks import NS_PER_S, error_ticks, signed

ADVANCE: Final = "advance"
FREEZE: Final = "freeze"
TB_BITS: Final = 64


class TimePolicy(Observer):
    """Follows ``crossing``, which must come before it."""

    def __init__(self, manifest: Manifest, crossing: Crossing) -> None:
        self.asked = manifest.rule.time_policy
        """None: nobody said."""
        self.kept: str | None = self.asked
        """By which the run is judged; None until it is settled."""
        self.found: str | None = None
        """What the log shows over the crossing, within the tolerance; None: neither, or there is no crossing.

        Where the blackout is too short to tell, the one by which the run is judged.
        """
        self._hz = manifest.machine.timebase_hz
        self._tolerance = 1 - (-manifest.rule.slack_ns * self._hz // NS_PER_S)
        self._crossing = crossing

    @property
    def freezes(self) -> bool:
        return self.kept == FREEZE

    def handlers(self) -> Mapping[str, Handler]:
        return {"machine_resumed": self._resumed}

    def _resumed(self, event: Event, place: Place) -> None:
        stop, resume = self._crossing.stop, self._crossing.resume
        if stop is None or resume is None or resume.seen.t_ns != event["t_ns"] or resume.side != event["side"]:
            return
        errors = tb_errors(stop, resume, self._hz)
        if errors is None:
            return
        self.kept = self.kept or min(errors, key=lambda policy: abs(errors[policy]))
        if self._crossing.crossed == (stop, resume):
            fits = [policy for policy, error in errors.items() if abs(error) <= self._tolerance]
            self.found = self.kept if self.kept in fits else next(iter(fits), None)


def tb_errors(stop: Moment, resume: Moment, hz: int) -> dict[str, int] | None:
    """How far CPU 0's TB is ahead of where each policy puts it, in ticks; None where TB was not recorded."""
    if stop.tb is None or resume.tb is None:
        return None
    moved = signed(resume.tb - stop.tb, TB_BITS)
    passed = {ADVANCE: resume.t_ns - stop.t_ns, FREEZE: 0}
    return {policy: error_ticks(moved, ns, hz) for policy, ns in passed.items()}
