"""What guest time does over a blackout: it goes on with the world (``advance``), it stands still (``freeze``), or it
goes on for so long and then stands still (``advance-at-most``).

A run of ours asks for one. What a foreign log was to do nobody knows: then the policy is the one that its TB keeps,
or comes nearer to. It is settled at the first resume, before anything that happens after it is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from livemig.analysis.continuity import tb_errors, tb_moved, tolerance_ticks
from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.manifest import Manifest, Rule
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.ticks import error_ticks
from livemig.analysis.verdict import Unknown


class TimePolicy(Observer):
    """Follows ``crossing``, which must come before it."""

    def __init__(self, manifest: Manifest, crossing: Crossing) -> None:
        self.asked = manifest.rule.time_policy
        """None: nobody said."""
        self.kept: str | None = self.asked
        """By which the run is judged; None until it is settled."""
        self.found: str | None = None
        """What the log shows over the first crossing, within the tolerance; None: neither, or there is no crossing.

        Where the blackout is too short to tell, the one by which the run is judged.
        """
        self._rule = manifest.rule
        self._hz = manifest.machine.timebase_hz
        self._tolerance = tolerance_ticks(manifest)
        self._crossing = crossing

    @property
    def rule(self) -> Rule:
        """What the run is judged by, with the policy that is kept."""
        return replace(self._rule, time_policy=self.kept)

    @property
    def behind_ns(self) -> int:
        """How far guest time is behind the world's by now."""
        return self.rule.behind_ns(self._crossing.pauses) + self._crossing.held_ns

    def stood_still_ns(self, begin: int, end: int) -> int:
        """For how much of [``begin``, ``end``], in guest time, the guest stood still."""
        rule, behind, stood = self.rule, 0, 0
        held = [(since, until, True) for since, until in self._crossing.held]
        for stop, resume, by_hand in sorted(held + [(stop, resume, False) for stop, resume in self._crossing.pauses]):
            passes = 0 if by_hand else rule.passes_ns(resume - stop)
            stood += max(0, min(end, stop - behind + passes) - max(begin, stop - behind))
            behind += resume - stop - passes
        return stood

    def handlers(self) -> Mapping[str, Handler]:
        return {"machine_resumed": self._resumed}

    def _resumed(self, event: Event, place: Place) -> None:
        stop, resume = self._crossing.stop, self._crossing.resume
        if stop is None or resume is None or resume.seen.t_ns != event["t_ns"] or resume.side != event["side"]:
            return
        if self._crossing.held and self._crossing.held[-1] == (stop.t_ns, resume.t_ns):
            return  # by hand: it tells nothing of the policy
        try:
            errors = tb_errors(stop, resume, self._hz)
            if self.asked is not None and self.asked not in errors:
                passes = self._rule.passes_ns(resume.t_ns - stop.t_ns)
                errors = {self.asked: error_ticks(tb_moved(stop, resume), passes, self._hz), **errors}
        except Unknown:
            return
        self.kept = self.kept or min(errors, key=lambda policy: abs(errors[policy]))
        if self._crossing.crossings == [(stop, resume)]:
            fits = [policy for policy, error in errors.items() if abs(error) <= self._tolerance]
            self.found = self.kept if self.kept in fits else next(iter(fits), None)
