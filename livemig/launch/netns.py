"""Two network namespaces joined by a veth, so that a migration crosses a real kernel network stack.

The namespaces have no names: they live as long as a process or a descriptor is in them, so whatever becomes of this
process, nothing is left behind, and any number of runs stand beside one another.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from livemig.config.model import Config
from livemig.errors import UsageError
from livemig.events.schema import DESTINATION, SOURCE

_NEWNET: Final = 0x40000000
_ADDRESS: Final = {SOURCE: "10.213.0.1", DESTINATION: "10.213.0.2"}
_DEVICE: Final = {SOURCE: "veth-source", DESTINATION: "veth-dest"}
_PACKET: Final = 1500
_LEAST_QUEUE: Final = 1000
_LEAST_BURST: Final = 1 << 15
_NS_PER_US: Final = 1000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Network:
    """Args: ``spaces``: descriptor of each side's namespace. config: what is left to livemig's own layer to do."""

    spaces: dict[str, int]
    config: Config
    host: str = _ADDRESS[DESTINATION]

    def enter(self, side: str) -> None:
        """Let this thread, and what it forks, be in the namespace of ``side``."""
        _call(_LIBC.setns, self.spaces[side], _NEWNET)

    @contextmanager
    def within(self, side: str) -> Iterator[None]:
        """The same for a while."""
        with _kept():
            self.enter(side)
            yield


@contextmanager
def network(config: Config) -> Iterator[tuple[Network, str]]:
    """Lay it, the kernel's link being as ``config`` has it; and what the kernel lacks for that, or "".

    Not beside other threads.

    Raises:
        UsageError: this host, or this user, or this scenario cannot have one.
    """
    check(config)
    spaces: dict[str, int] = {}
    try:
        with _kept():
            for side in (SOURCE, DESTINATION):
                _call(_LIBC.unshare, _NEWNET)
                spaces[side] = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        lacks = _lay(config, spaces)
        yield Network(spaces, config if lacks else _by_kernel(config)), lacks
    finally:
        for descriptor in spaces.values():
            os.close(descriptor)


def check(config: Config) -> None:
    """Raises UsageError if this host, this user or this scenario cannot have one."""
    if config.engine.kind != "emulator":
        raise UsageError("--netns: is for livemig's own emulator, not for engine.kind = 'qemu'")
    if config.run.clock != "wall":
        raise UsageError("--netns: a real network is crossed in wall time (add --clock wall)")
    if config.migration.transport not in ("unix", "tcp"):
        said = f"migration.transport is {config.migration.transport!r} (allowed: unix, tcp; tcp it is)"
        raise UsageError(f"--netns: {said}")
    for tool in ("ip", "tc"):
        if shutil.which(tool) is None:
            raise UsageError(f"--netns: there is no `{tool}` (install iproute2)")
    if os.geteuid() != 0:
        raise UsageError("--netns: only root may make network namespaces")


def _lay(config: Config, spaces: dict[str, int]) -> str:
    peer = f"/proc/{os.getpid()}/fd/{spaces[DESTINATION]}"
    veth = ["ip", "link", "add", _DEVICE[SOURCE], "type", "veth", "peer", "name", _DEVICE[DESTINATION], "netns", peer]
    _run(spaces[SOURCE], veth)
    lacks = ""
    for side, space in spaces.items():
        device = _DEVICE[side]
        _run(space, ["ip", "address", "add", f"{_ADDRESS[side]}/30", "dev", device])
        for name in ("lo", device):
            _run(space, ["ip", "link", "set", name, "up"])
        shaped = ["tc", "qdisc", "add", "dev", device, "root"]
        try:
            _run(space, [*shaped, *netem(config, side)])
        except UsageError as error:
            why = "no module sch_netem" if "unknown" in str(error) else str(error)
            lacks = f"this kernel has no netem ({why}); tbf shapes the bandwidth, livemig's own layer the rest"
            try:
                _run(space, [*shaped, *tbf(config)])
            except UsageError:
                lacks = f"this kernel has neither netem ({why}) nor tbf; livemig's own layer shapes the link"
    return lacks


def netem(config: Config, side: str) -> list[str]:
    """The link as ``side`` sends on it, in ``tc``'s words: [link], and faults that are there all the time.

    netem draws around its delay where [link] draws from it on: half of that jitter is delay here.
    """
    link, late = config.link, config.fault.latency
    latency = (link.return_latency if side == DESTINATION else 0) or link.latency
    delay, jitter = latency + link.jitter // 2, link.jitter // 2
    shape: list[str] = []
    if late.enabled and _is_lasting(late) and late.direction in ("both", _towards(side)):
        delay, jitter = delay + late.latency, jitter + late.jitter
        if late.jitter:
            shape = [f"{late.correlation}%"] * (late.correlation > 0)
            shape += ["distribution", late.distribution] * (late.distribution != "uniform")
    rate = _rate(config, side)
    in_flight = rate * (delay + 4 * jitter) // (8 * 1_000_000_000 * _PACKET)
    words = ["netem", "limit", str(_LEAST_QUEUE + in_flight), "delay", f"{delay // _NS_PER_US}us"]
    if jitter:
        words += [f"{jitter // _NS_PER_US}us", *shape]
    return [*words, "rate", f"{rate}bit"]


def tbf(config: Config) -> list[str]:
    """Its bandwidth alone, where the kernel has no netem."""
    rate = config.link.bandwidth
    return ["tbf", "rate", f"{rate}bit", "burst", str(max(_LEAST_BURST, rate // 800)), "latency", "100ms"]


def _towards(side: str) -> str:
    return "to-destination" if side == SOURCE else "to-source"


def _rate(config: Config, side: str) -> int:
    slow = config.fault.bandwidth
    there = slow.enabled and _is_lasting(slow) and slow.direction in ("both", _towards(side))
    return min(config.link.bandwidth, slow.rate) if there else config.link.bandwidth


def _is_lasting(fault: object) -> bool:
    """Whether it is there from the beginning to the end, for all that is sent."""
    when = [getattr(fault, key) for key in ("start", "stop", "before", "toxicity")]
    return when == [0, 0, "", 100]


def _by_kernel(config: Config) -> Config:
    """Without the delays that the kernel makes. Bandwidth stays: a source that sends faster than the link fills a queue
    that it knows nothing of."""
    link = config.link.model_copy(update={"latency": _NS_PER_US, "return_latency": 0, "jitter": 0})
    late = config.fault.latency
    mine = late.model_copy(update={"enabled": late.enabled and not _is_lasting(late)})
    return config.model_copy(update={"link": link, "fault": config.fault.model_copy(update={"latency": mine})})


@contextmanager
def _kept() -> Iterator[None]:
    """This thread is in its own namespace again afterwards."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        _call(_LIBC.setns, own, _NEWNET)
        os.close(own)


def _run(space: int, command: Sequence[str]) -> None:
    """In the namespace ``space``; raises UsageError with what it said."""

    def enter() -> None:
        _call(_LIBC.setns, space, _NEWNET)

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=enter, pass_fds=(space,), check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise UsageError(f"{command[0]} {' '.join(command[1:3])} … {command[-1]}: {said.removeprefix('Error: ')}")


def _call(function: object, *arguments: int) -> None:
    if function(*arguments) != 0:  # type: ignore[operator]
        number = ctypes.get_errno()
        raise UsageError(f"--netns: the kernel does not let us: {os.strerror(number)}")
