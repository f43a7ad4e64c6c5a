"""A saved migration stream, read from its file."""

from __future__ import annotations

import mmap
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from livemig.errors import InputError
from livemig.launch.own_stream import OwnStream, read_own_stream
from livemig.launch.qemu.binary import frequencies
from livemig.launch.qemu.stream import MAGIC, Stream, read_stream
from livemig.launch.qemu.vmstate import TimeSaved, Undescribed, time_saved
from livemig.link.stream_file import MAGIC as OWN_MAGIC
from livemig.timers.ticks import ns_to_ticks

_MOST_UNPACKED: Final = 512 << 20
_MODELS: Final = ("g3beige", "mac99", "pseries")


@dataclass(frozen=True, slots=True)
class Inspection:
    """``timebases``: (frequency, TB) for each frequency that the machine has, or had, in QEMU. ``undescribed``: why
    the time could not be read; empty if it was."""

    stream: Stream
    time: TimeSaved
    timebases: list[tuple[int, int]]
    undescribed: str

    def as_dict(self) -> dict[str, Any]:
        stream = self.stream
        return {
            "machine": stream.machine,
            "bytes": stream.size,
            "problem": stream.problem or None,
            "ram": asdict(stream.ram),
            "virtual_clock_ns": self.time.clock_ns,
            "timebases": [{"timebase_hz": hz, "tb": tb} for hz, tb in self.timebases],
            "cpus": [asdict(cpu) for cpu in self.time.cpus],
            "guest_timebase": self.time.guest_timebase,
            "time_of_day_ns": self.time.time_of_day_ns,
            "undescribed": self.undescribed or None,
            "sections": [asdict(section) for section in stream.sections],
        }


def inspect_stream(path: Path, timebase_hz: int | None = None) -> Inspection | OwnStream:
    """What is in the stream at ``path``, plain or gzipped, as far as it can be read; QEMU's, or livemig's own.

    Raises:
        InputError: it cannot be opened, or is no migration stream.
    """
    if timebase_hz is not None and not 0 < timebase_hz <= 10**10:
        raise InputError(str(path), f"--timebase-hz {timebase_hz}: must be 1 to 10^10")
    try:
        with path.open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                file.seek(0)
                return _inspected(path, _unpacked(path, file), timebase_hz)
            if file.seek(0, 2) == 0:
                raise InputError(str(path), "is empty")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # unmapped with the last view of it
            return _inspected(path, memoryview(mapped), timebase_hz)
    except (OSError, ValueError) as error:
        raise InputError(str(path), getattr(error, "strerror", None) or str(error)) from error


def _unpacked(path: Path, file: Any) -> memoryview:
    """What is left whole of a gzipped one; no more than fits into memory."""
    packed = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    parts, size = [], 0
    try:
        while not packed.eof and (piece := file.read(1 << 16)):
            parts.append(packed.decompress(piece, _MOST_UNPACKED + 1 - size))
            size += len(parts[-1])
            if size > _MOST_UNPACKED:
                raise InputError(str(path), f"more than {_MOST_UNPACKED >> 20} MiB unpacked; unpack it first")
    except zlib.error:
        pass  # The stream is then cut where the file is broken, and that is said.
    return memoryview(b"".join(parts))


def _inspected(path: Path, data: memoryview, timebase_hz: int | None) -> Inspection | OwnStream:
    if bytes(data[: len(OWN_MAGIC)]) == OWN_MAGIC:
        return read_own_stream(data)
    if bytes(data[:4]) != MAGIC:
        raise InputError(str(path), "not a migration stream: it begins neither as QEMU's nor as livemig's own")
    stream = read_stream(data)
    time, undescribed = TimeSaved(), ""
    try:
        time = time_saved(data, stream)
    except Undescribed as error:
        undescribed = str(error)
    return Inspection(stream, time, _timebases(stream.machine, time.clock_ns, timebase_hz), undescribed)


def _timebases(machine: str, clock_ns: int | None, timebase_hz: int | None) -> list[tuple[int, int]]:
    if clock_ns is None:
        return []
    model = next((name for name in _MODELS if machine.startswith(name)), None)
    known = [timebase_hz] if timebase_hz else sorted(frequencies(model)) if model else []
    return [(hz, ns_to_ticks(hz, clock_ns)) for hz in known]
