"""A migration stream of livemig's own that was saved to a file (`--connect file:PATH`), as far as it can be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgpack

from livemig.errors import ProtocolError
from livemig.link.stream_file import MAGIC, VERSION
from livemig.machine import snapshot
from livemig.machine.ram import PAGE
from livemig.migration.checksum import SIZE, checksum
from livemig.migration.frames import ALIVE, PREFIX, Frame, check_header, decode, header_length

_HEAD: Final = len(MAGIC) + 4
_MOST_CPUS: Final = 1 << 16


@dataclass(slots=True)
class FrameCount:
    """Frames of one type: how many, and the bytes of their headers and of their payloads."""

    count: int = 0
    header: int = 0
    payload: int = 0


@dataclass(slots=True)
class OwnStream:
    """What was read. ``problem``: why no more was; empty if it is whole. ``sections``: name and version."""

    size: int
    machine: dict[str, Any] = field(default_factory=dict)
    strategy: str = ""
    frames: dict[str, FrameCount] = field(default_factory=dict)
    sections: list[tuple[str, int]] = field(default_factory=list)
    saved: dict[str, Any] = field(default_factory=dict)
    """The time, as the strategy saved it."""
    problem: str = ""


def read_own_stream(data: memoryview) -> OwnStream:
    """Read ``data``, which begins with :data:`MAGIC`; never fails."""
    stream = OwnStream(len(data))
    at = _HEAD
    try:
        if (version := int.from_bytes(data[len(MAGIC) : _HEAD], "big")) != VERSION or len(data) < _HEAD:
            raise ProtocolError("file", "version", f"{version}, and {VERSION} is understood here")
        sequence, last = 0, ""
        while at < len(data):
            frame, at = _frame(data, at, stream, sequence)
            if frame is not None:
                sequence, last = sequence + 1, frame.type
        if last != "switchover":
            raise ProtocolError(last or "file", "end", "the stream ends without its last frame, switchover")
    except ProtocolError as error:
        stream.problem = f"byte {at:,}: {error}"
    return stream


def _frame(data: memoryview, at: int, stream: OwnStream, sequence: int) -> tuple[Frame | None, int]:
    """The frame at ``at``, None for a sign of life; and where the next one is."""
    prefix = bytes(_part(data, at, PREFIX))
    if prefix == ALIVE:
        return None, at + PREFIX
    length = header_length(prefix)
    header = _part(data, at + PREFIX, length)
    check_header(prefix, header)
    ram_pages = stream.machine.get("ram_bytes", 0)
    frame, size = decode(header, sequence, ram_pages=ram_pages // PAGE if isinstance(ram_pages, int) else 0)
    begin = at + PREFIX + length
    payload = _part(data, begin, size)
    end = begin + size
    if size:
        if checksum(payload) != bytes(_part(data, end, SIZE)):
            raise ProtocolError(frame.type, "checksum", "the payload is damaged")
        end += SIZE
    count = stream.frames.setdefault(frame.type, FrameCount())
    count.count, count.header, count.payload = count.count + 1, count.header + PREFIX + length, count.payload + size
    if frame.type == "hello":
        stream.machine, stream.strategy = frame.fields["machine"], frame.fields["strategy"]
    elif frame.type == "snapshot":
        _snapshot(bytes(payload), stream)
    return frame, end


def _part(data: memoryview, at: int, size: int) -> memoryview:
    if size > len(data) - at:
        raise ProtocolError("file", "end", f"the stream ends {size - (len(data) - at):,} bytes too soon")
    return data[at : at + size]


def _snapshot(payload: bytes, stream: OwnStream) -> None:
    cpus = stream.machine.get("cpus")
    if type(cpus) is not int or not 0 < cpus <= _MOST_CPUS:
        raise ProtocolError("hello", "machine.cpus", f"{cpus!r:.40}")
    stream.saved = snapshot.unpack(payload, cpus).time.together()
    for name, version, _, _, parts in msgpack.unpackb(payload)["sections"]:  # which was just checked
        stream.sections += [(name, version), *((part[0], part[1]) for part in parts)]
