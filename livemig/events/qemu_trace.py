"""Reader of QEMU's ``log`` trace backend: ``TID@SECONDS.MICROSECONDS:EVENT TEXT``, plain or gzipped."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from livemig.errors import InputError

_LINE = re.compile(r"(\d+)@(\d+)\.(\d{6}):(\w+) ?(.*)")
_STORE = re.compile(r"\d+-bit (0x[0-9a-f]+) => (0x[0-9a-f]+)")


class TraceLine(NamedTuple):
    """One trace event: the host thread, the host's wall clock in microseconds, the event's name, its text."""

    tid: int
    host_us: int
    event: str
    text: str


def read_trace(path: Path) -> Iterator[TraceLine]:
    """The lines of ``path`` that are trace events; others (QEMU's warnings, say) are passed over.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            for line in lines:
                if found := _LINE.match(line):
                    tid, seconds, micros, event, text = found.groups()
                    yield TraceLine(int(tid), int(seconds) * 1_000_000 + int(micros), event, text)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(str(path), getattr(error, "strerror", None) or str(error)) from error


def decrementer_stores(path: Path) -> list[list[tuple[int, int]]]:
    """The (OLD, NEW) pairs of ``ppc_decr_store`` for each vCPU, in the order of their threads' numbers.

    The thread that raises interrupts is QEMU's main thread; its stores are QEMU's own.

    Raises:
        InputError: there is none in ``path``.
    """
    stores: dict[int, list[tuple[int, int]]] = {}
    raising: set[int] = set()
    for line in read_trace(path):
        if line.event == "ppc_decr_excp":
            raising.add(line.tid)
        elif line.event == "ppc_decr_store" and (found := _STORE.match(line.text)):
            stores.setdefault(line.tid, []).append((int(found[1], 16), int(found[2], 16)))
    cpus = [stores[tid] for tid in sorted(stores) if tid not in raising]
    if not cpus:
        raise InputError(str(path), "no ppc_decr_store of a vCPU thread in it")
    return cpus
