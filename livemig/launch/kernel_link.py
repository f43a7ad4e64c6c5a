"""What of the link the kernel makes, where the sides talk over a network of their own: in ``tc``'s words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from livemig.config.fault import Latency
from livemig.config.model import Config
from livemig.emulator.build import answer_ns
from livemig.events.schema import DESTINATION, SOURCE

_PACKET: Final = 1500
_LEAST_QUEUE: Final = 1000
_LEAST_BURST: Final = 1 << 15
_NS_PER_US: Final = 1000
_NS_PER_S: Final = 1_000_000_000
_WIDEST_NS: Final = (1 << 31) - 1
"""Of a jitter: netem has 32 bits for it."""
_FRAMED, _PAYLOAD = 1514, 1448
"""Bytes of an Ethernet frame of TCP, and of those that TCP was given. The rate of a link is that of its payload, or the
source, which keeps to it, would fill a queue that it knows nothing of."""


@dataclass(frozen=True, slots=True)
class _Delay:
    """Args: in ns of the host."""

    mean_ns: int
    jitter_ns: int = 0
    distribution: str = "uniform"


def netem(config: Config, side: str) -> list[str]:
    """The link as ``side`` sends on it: ``[link]``, and faults that are there all the time."""
    delay, rate = _delay(config, side), _rate(config, side)
    in_flight = rate * (delay.mean_ns + 4 * delay.jitter_ns) // (8 * _NS_PER_S * _PACKET)
    words = ["netem", "limit", str(_LEAST_QUEUE + in_flight), "delay", f"{delay.mean_ns // _NS_PER_US}us"]
    if delay.jitter_ns:
        words.append(f"{delay.jitter_ns // _NS_PER_US}us")
        if delay.distribution != "uniform":
            words += ["distribution", delay.distribution]
    return [*words, "rate", f"{rate}bit"]


def tbf(config: Config, side: str) -> list[str]:
    """Its bandwidth alone, where the kernel has no netem."""
    rate = _rate(config, side)
    return ["tbf", "rate", f"{rate}bit", "burst", str(max(_LEAST_BURST, rate // 800)), "latency", "100ms"]


def without_delays(config: Config) -> Config:
    """What is left to livemig's own layer, where the kernel has netem.

    Bandwidth stays, for the source is to keep to it. A latency that the kernel makes is one of no time here: so it is
    said to be there. Each side still waits for the other as long as the link takes.
    """
    link = config.link.model_copy(update={"latency": _NS_PER_US, "return_latency": 0})
    if _is_links_jitter(config):
        link = link.model_copy(update={"jitter": 0})
    fault = config.fault
    if _is_kernels(config, fault.latency):
        none = fault.latency.model_copy(update={"latency": 0, "jitter": 0})
        fault = fault.model_copy(update={"latency": none})
    left = config.model_copy(update={"link": link, "fault": fault})
    longer, migration = answer_ns(config) - answer_ns(left), config.migration
    waits = {key: getattr(migration, key) + longer for key in ("connect_timeout", "peer_timeout")}
    return left.model_copy(update={"migration": migration.model_copy(update=waits)})


def _delay(config: Config, side: str) -> _Delay:
    """netem draws around its delay where [link] draws from it on: half of that jitter is delay here."""
    link, late = config.link, config.fault.latency
    mean = (link.return_latency if side == DESTINATION else 0) or link.latency
    jitter, distribution = 0, "uniform"
    if _is_links_jitter(config):
        mean, jitter = mean + link.jitter // 2, link.jitter // 2
    if _is_kernels(config, late) and late.direction in ("both", _towards(side)):
        mean += late.latency
        if late.jitter:
            jitter, distribution = late.jitter, late.distribution
    return _Delay(_host_ns(config, mean), _host_ns(config, jitter), distribution)


def _is_links_jitter(config: Config) -> bool:
    """Whether [link]'s jitter is the kernel's: netem has one, so not beside a fault's."""
    late = config.fault.latency
    taken = _is_kernels(config, late) and late.jitter > 0
    return not taken and _host_ns(config, config.link.jitter // 2) <= _WIDEST_NS


def _is_kernels(config: Config, late: Latency) -> bool:
    """Whether netem can make it. Its correlation is none: it takes the low bits of what it has correlated."""
    narrow = _host_ns(config, late.jitter) <= _WIDEST_NS
    return late.enabled and _is_lasting(late) and narrow and not (late.jitter and late.correlation)


def _rate(config: Config, side: str) -> int:
    slow = config.fault.bandwidth
    there = slow.enabled and _is_lasting(slow) and slow.direction in ("both", _towards(side))
    rate = min(config.link.bandwidth, slow.rate) if there else config.link.bandwidth
    return int(-(-rate * config.run.rate * _FRAMED // _PAYLOAD))


def _host_ns(config: Config, ns: int) -> int:
    return int(ns / config.run.rate)


def _towards(side: str) -> str:
    return "to-destination" if side == SOURCE else "to-source"


def _is_lasting(fault: object) -> bool:
    """Whether it is there from the beginning to the end, for all that is sent."""
    when = [getattr(fault, key) for key in ("start", "stop", "before", "toxicity")]
    return when == [0, 0, "", 100]
