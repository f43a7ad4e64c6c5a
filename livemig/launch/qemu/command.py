"""How a QEMU is started: its command line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from livemig.events.qemu.threads import split
from livemig.launch.qemu.binary import Binary
from livemig.launch.qemu.guest import image
from livemig.launch.qemu.workload import Workload

TRACED: Final = ("ppc_decr*", "ppc_tb*", "vm_state_notify", "migrate_set_state")
"""QEMU's trace events that the importer reads."""

_ABSENT: Final = ("display", "vga", "nic", "serial", "parallel", "monitor")


def command(
    binary: Binary, load: Workload, machine: str, log: Path, qmp: Path, incoming: str | None = None
) -> list[str]:
    """The command line of one side; ``incoming``: of a destination, that stays paused when it has its guest.

    ``machine``: QEMU's name for it, with a version where both sides must agree on one. ``log``: with ``%d`` in it, one
    for each thread.
    """
    line = [*binary.loader, binary.path, *binary.options, "-M", machine, "-m", str(load.ram_mib), "-accel", "tcg"]
    for device in _ABSENT:
        line += [f"-{device}", "none"]
    line += ["-msg", "timestamp=on", "-D", str(log), "-qmp", f"unix:{qmp},server=on,wait=off"]
    if split(log):
        line += ["-d", "tid"]
    for event in TRACED:
        line += ["-trace", event]
    if load.machine == "pseries":
        line += ["-nodefaults", "-cpu", "power8", "-smp", str(load.cpus)]
    if load.orders is None:
        line += load.kernel
    else:
        line += ["-bios", str(image(load.machine))]
        for address, word in load.orders.words():
            # With data-be=on 7.2 writes the upper half of it, which is zero, and 5.2 takes no eight bytes.
            swapped = int.from_bytes(word.to_bytes(4, "big"), "little")
            line += ["-device", f"loader,addr={address:#x},data={swapped:#x},data-len=4"]
    if incoming is not None:
        line += ["-incoming", incoming, "-S"]
    return line + list(load.arguments)


def machine_option(model: str, source: Binary, destination: Binary) -> str:
    """QEMU's name of ``model`` for this pair: pseries is versioned, and the older release knows no newer one."""
    if model != "pseries" or source.version[:2] == destination.version[:2]:
        return model
    older = min(source.version, destination.version)
    return f"{model}-{older[0]}.{older[1]}"
