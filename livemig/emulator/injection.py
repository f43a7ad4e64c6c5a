"""``x-livemig-inject``: a fault, now, on this side, by the operator's wish."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from livemig.errors import LinkError, QmpError
from livemig.link.faults.bandwidth import Bandwidth
from livemig.link.faults.latency import Latency
from livemig.link.faults.link import FaultyLink
from livemig.link.faults.passage import LinkFault, When
from livemig.link.faults.stall import Stall
from livemig.link.model import LinkModel
from livemig.migration.side import Side

if TYPE_CHECKING:
    from livemig.emulator.emulator import Emulator

_MOST: Final = 1 << 53
_VALUES: Final[Mapping[str, tuple[int, int]]] = {
    "link-cut": (0, 0),
    "kill": (0, 0),
    "latency": (0, 60 * 10**9),
    "bandwidth": (1000, 10**12),
    "stall": (1000, 3600 * 10**9),
    "clock-step": (-_MOST, _MOST),
    "clock-drift": (-1_000_000, 1_000_000),
}
"""What a fault's ``value`` may be: ns more, bit/s, ns, ns, millionths; (0, 0): it has none."""


def inject(emulator: Emulator, now: int, fault: str, value: int | None) -> None:
    """Let ``fault`` act from ``now`` on; the link's on what this side sends.

    Raises:
        QmpError: there is none of that name, or not with that value.
    """
    if fault not in _VALUES:
        raise QmpError("GenericError", f"Parameter 'fault' does not accept value '{fault}'")
    low, high = _VALUES[fault]
    if (low, high) == (0, 0):
        if value is not None:
            raise QmpError("GenericError", "Parameter 'value' is unexpected")
    elif value is None:
        raise QmpError("GenericError", "Parameter 'value' is missing")
    elif not low <= value <= high:
        said = f"Parameter 'value' expects an integer in the range of {low} to {high}"
        raise QmpError("GenericError", said)
    emulator.emit(now, "fault_injected", fault=fault.replace("-", "_"), on="")
    _ACTS[fault](emulator, now, value or 0)
    emulator.share()


def _cut(emulator: Emulator, now: int, value: int) -> None:
    emulator.break_link(now, LinkError("the link was cut by the operator"))


def _kill(emulator: Emulator, now: int, value: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _link(make: Callable[[When, int], LinkFault]) -> Callable[[Emulator, int, int], None]:
    def act(emulator: Emulator, now: int, value: int) -> None:
        wire = emulator.wire
        if isinstance(wire, LinkModel):
            emulator.relink(FaultyLink(wire, [make(When(now), value)], emulator.met))
        elif isinstance(wire, FaultyLink):
            wire.faults = [*wire.faults, make(When(now), value)]

    return act


def _step(emulator: Emulator, now: int, value: int) -> None:
    _own_clock(emulator.side, now, value, 0)


def _drift(emulator: Emulator, now: int, value: int) -> None:
    _own_clock(emulator.side, now, 0, value)


def _own_clock(side: Side, now: int, by_ns: int, ppm: int) -> None:
    """What its clock is wrong by already stays; from here on it is wrong by so much more."""
    wrong = side.host.at(now).time_of_day_ns - now
    drift = side.host.drift[1] if now >= side.host.drift[0] else 0
    side.host = replace(side.host, skew_ns=wrong + by_ns, step=(0, 0), drift=(now, drift + ppm))


_ACTS: Final[Mapping[str, Callable[[Emulator, int, int], None]]] = {
    "link-cut": _cut,
    "kill": _kill,
    "latency": _link(lambda when, ns: Latency(when, ns, 0, "uniform", 0, 0)),
    "bandwidth": _link(Bandwidth),
    "stall": _link(Stall),
    "clock-step": _step,
    "clock-drift": _drift,
}
