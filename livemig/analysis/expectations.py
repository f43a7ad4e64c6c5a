"""What a scripted guest held true, and was not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import Event, Place
from livemig.analysis.observer import Handler, Observer
from livemig.analysis.verdict import EVIDENCE_LIMIT, Evidence


class Disappointment(NamedTuple):
    """``said``: what was expected, and what was found."""

    said: str
    seen: Evidence


class Expectations(Observer):
    """``count``: all that were said by whoever had the guest. ``disappointed``: the first few that did not hold, of
    ``failed``."""

    def __init__(self, crossing: Crossing) -> None:
        self.count = self.failed = 0
        self.disappointed: list[Disappointment] = []
        self._crossing = crossing

    def handlers(self) -> Mapping[str, Handler]:
        return {"guest_expected": self._expected}

    def _expected(self, event: Event, place: Place) -> None:
        if event["side"] != self._crossing.owner:
            return
        self.count += 1
        low, high, found = event["low"], event["high"], event["found"]
        if (low is None or found >= low) and (high is None or found <= high):
            return
        self.failed += 1
        if len(self.disappointed) < EVIDENCE_LIMIT:
            timer, cpu = event["timer"], event["cpu"]
            where = f"{timer} of cpu {cpu}"
            if event["what"] == "reads":
                span = f"{'' if low is None else f'{low:,}'} .. {'' if high is None else f'{high:,}'}"
                said = f"{where} reads {found:,}, expected {span}"
            else:
                said = f"{found} interrupts of {where}, expected {low}"
            self.disappointed.append(Disappointment(said, Evidence(*place, event["t_ns"])))
