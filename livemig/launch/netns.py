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
from livemig.launch.kernel_link import netem, tbf, without_delays

_NEWNET: Final = 0x40000000
_ADDRESS: Final = {SOURCE: "10.213.0.1", DESTINATION: "10.213.0.2"}
_DEVICE: Final = {SOURCE: "veth-source", DESTINATION: "veth-dest"}
_CARD: Final = {SOURCE: "02:00:00:00:00:01", DESTINATION: "02:00:00:00:00:02"}
_PEER: Final = {SOURCE: DESTINATION, DESTINATION: SOURCE}
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
        yield Network(spaces, config if lacks else without_delays(config)), lacks
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
    peer = ["name", _DEVICE[DESTINATION], "address", _CARD[DESTINATION]]
    peer += ["netns", f"/proc/{os.getpid()}/fd/{spaces[DESTINATION]}"]
    own = [_DEVICE[SOURCE], "address", _CARD[SOURCE]]
    _run(spaces[SOURCE], ["ip", "link", "add", *own, "type", "veth", "peer", *peer])
    lacks = ""
    for side, space in spaces.items():
        _join(side, space)
        lacks = _shape(config, side, space) or lacks
    return lacks


def _join(side: str, space: int) -> None:
    """Who knows the other's card need not ask for it, which takes a trip and is given up after three seconds."""
    device, peer = _DEVICE[side], _PEER[side]
    _run(space, ["ip", "address", "add", f"{_ADDRESS[side]}/30", "dev", device])
    for name in ("lo", device):
        _run(space, ["ip", "link", "set", name, "up"])
    _run(space, ["ip", "neighbour", "add", _ADDRESS[peer], "lladdr", _CARD[peer], "dev", device, "nud", "permanent"])


def _shape(config: Config, side: str, space: int) -> str:
    """The link as ``side`` sends on it; gives what the kernel lacks for it, or ""."""
    shaped = ["tc", "qdisc", "add", "dev", _DEVICE[side], "root"]
    try:
        _run(space, [*shaped, *netem(config, side)])
    except UsageError as error:
        why = "no module sch_netem" if "unknown" in str(error) else str(error)
        try:
            _run(space, [*shaped, *tbf(config, side)])
        except UsageError:
            return f"this kernel has neither netem ({why}) nor tbf; livemig's own layer shapes the link"
        return f"this kernel has no netem ({why}); tbf shapes the bandwidth, livemig's own layer the rest"
    return ""


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
