"""The decrementer as a real guest wrote it, from QEMU's trace log."""

from __future__ import annotations

from pathlib import Path

from livemig.errors import InputError
from livemig.events.qemu.trace import DECR_EXCP, DECR_STORE, TraceLog


def decrementer_stores(path: Path) -> list[list[tuple[int, int]]]:
    """The (OLD, NEW) pairs of ``ppc_decr_store`` for each vCPU, in the order of their threads' numbers.

    The thread that raises interrupts is QEMU's main thread; its stores are QEMU's own.

    Raises:
        InputError: ``path`` cannot be read, or there is none in it.
    """
    stores: dict[int, list[tuple[int, int]]] = {}
    raising: set[int] = set()
    for line in TraceLog(path):
        if line.event == DECR_EXCP:
            raising.add(line.tid)
        elif line.event == DECR_STORE:
            stores.setdefault(line.tid, []).append((line.old, line.value))
    cpus = [stores[tid] for tid in sorted(stores) if tid not in raising]
    if not cpus:
        raise InputError(str(path), "no ppc_decr_store of a vCPU thread in it")
    return cpus
