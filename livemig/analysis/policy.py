"""What guest time does over a blackout: it goes on with the world (``advance``), or it stands still (``freeze``).

A run of ours asks for one. What a foreign log was to do nobody knows: then the policy is the one that its TB keeps,
or comes nearer to. It is settled at the first resume, before anything that happens after it is judged.
"""

from __future__ import annotations

from collections.abc import Mapping

from livemig.analysis.continuity import tb_errors, tolerance_ticks
from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.manifest import FREEZE, Manifest
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.verdict import Unknown


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
        self._tolerance = tolerance_ticks(manifest)
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
        try:
            errors = tb_errors(stop, resume, self._hz)
        except Unknown:
            return
        self.kept = self.kept or min(errors, key=lambda policy: abs(errors[policy]))
        if self._crossing.crossed == (stop, resume):
            fits = [policy for policy, error in errors.items() if abs(error) <= self._tolerance]
            self.found = self.kept if self.kept in fits else next(iter(fits), None)
