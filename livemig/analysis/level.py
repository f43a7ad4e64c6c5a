"""Whether a level is up: a decrementer that is negative goes on interrupting until it is written (Power ISA)."""

from __future__ import annotations

from livemig.analysis.log import Event
from livemig.analysis.manifest import Machine


def is_up(machine: Machine, event: Event) -> bool:
    """Of ``interrupt`` on a level CPU: DECR reads negative there, so it may be delivered, again or not."""
    return machine.trigger == "level" and event["timer"] == "decr" and event["decr"] is not None and event["decr"] < 0
