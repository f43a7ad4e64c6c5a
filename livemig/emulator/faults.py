"""From ``[fault]`` to the faults of each side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from livemig.config.fault import Faults
from livemig.config.fault import LinkFault as Settings
from livemig.config.model import Config
from livemig.events.schema import SOURCE
from livemig.link.faults.bandwidth import Bandwidth
from livemig.link.faults.corrupt import Corrupt
from livemig.link.faults.distribution import FARTHEST
from livemig.link.faults.latency import Latency
from livemig.link.faults.limit_data import LimitData
from livemig.link.faults.link import FaultyLink
from livemig.link.faults.passage import LinkFault, When
from livemig.link.faults.reset_peer import ResetPeer
from livemig.link.faults.slicer import Slicer
from livemig.link.faults.slow_close import SlowClose
from livemig.link.faults.stall import Stall
from livemig.link.faults.timeout import Timeout
from livemig.link.model import LinkModel
from livemig.timers.ticks import NEVER


def faulty(config: Config, side: str, model: LinkModel) -> LinkModel | FaultyLink:
    """``model``, which is the link as ``side`` sends on it, with the faults of that direction, if there are any."""
    towards = "to-destination" if side == SOURCE else "to-source"
    faults = of_direction(config, towards)
    return FaultyLink(model, faults) if faults else model


def of_direction(config: Config, towards: str) -> list[LinkFault]:
    """The faults that frames ``to-destination`` or ``to-source`` meet, in the order in which they act."""
    return [fault for fault in _faults(config, towards) if fault is not None]


def any_of_link(faults: Faults) -> bool:
    """Whether any fault of the link is enabled."""
    return any(isinstance(fault, Settings) and fault.enabled for _, fault in faults)


def longest_delay_ns(faults: Faults) -> int:
    """By how much faults of the link may hold up a frame that passes by itself."""
    late, stall = faults.latency, faults.stall
    delay = late.latency + late.jitter * FARTHEST[late.distribution] if late.enabled else 0
    return delay + (stall.duration if stall.enabled else 0)


def _faults(config: Config, towards: str) -> Iterator[LinkFault | None]:
    """In the order in which they act: what delays, then what ends, then what is done about the end."""
    fault, seed = config.fault, config.run.seed * 0x10001 + len(towards)

    def when(settings: Settings, number: int) -> When:
        stop = settings.stop or NEVER
        return When(settings.start, stop, settings.before, settings.toxicity, seed + number)

    def made(settings: Any, number: int, make: Callable[..., LinkFault], *rest: Any) -> LinkFault | None:
        meant = settings.direction in ("both", towards)
        return make(when(settings, number), *rest) if settings.enabled and meant else None

    late = fault.latency
    yield made(fault.slicer, 1, Slicer, fault.slicer.average_size, fault.slicer.delay)
    yield made(fault.bandwidth, 2, Bandwidth, fault.bandwidth.rate)
    yield made(late, 3, Latency, late.latency, late.jitter, late.distribution, late.correlation, seed)
    yield made(fault.stall, 4, Stall, fault.stall.duration)
    yield made(fault.timeout, 5, Timeout, fault.timeout.timeout)
    yield made(fault.limit_data, 6, LimitData, fault.limit_data.bytes)
    yield made(fault.reset_peer, 7, ResetPeer, fault.reset_peer.timeout)
    yield made(fault.corrupt, 8, Corrupt)
    yield made(fault.slow_close, 9, SlowClose, fault.slow_close.delay)
