"""Frames: what source and destination say to each other, and the strict codec of a frame's header.

    4 bytes    length of the header, big-endian, at most MAX_HEADER
    header     a msgpack map: type, seq, sent_ns, arrives_ns, payload, and the fields that FRAMES lists
    payload    that many raw bytes: the content of page runs, or a snapshot

A header is checked to the last field before anything it asks for is allocated or written. `seq` counts the
frames of one direction from 0. A new frame is a new line of FRAMES.

Pure: bytes in, values out. How frames are carried is `livemig.link`'s affair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgpack

from livemig.errors import ProtocolError
from livemig.machine.ram import PAGE

PROTOCOL_VERSION: Final = 1

PREFIX: Final = 4
MAX_HEADER: Final = 64 << 10
MAX_PAGES: Final = 256  # with content, in one frame: 1 MiB
MAX_RUNS: Final = 4096
MAX_SNAPSHOT: Final = 16 << 20
MAX_REASON: Final = 1000
MAX_NESTING: Final = 8

_INT64: Final = 1 << 63

Check = Callable[[Any, int], None]
"""Checks a field's value, given the number of pages of RAM; raises ValueError(problem)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message.

    Attributes:
        type: a key of FRAMES.
        sent_ns: virtual time at which it is sent, signed 64-bit.
        arrives_ns: virtual time at which it arrives, by the sender's model of the link; not before `sent_ns`.
        fields: as FRAMES lists them.
        payload: raw bytes; always empty in frames of pages, whose content goes from RAM to RAM.
    """

    type: str
    sent_ns: int
    arrives_ns: int
    fields: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    @property
    def carries_pages(self) -> bool:
        """Whether the payload is the content of the pages in `runs`."""
        return FRAMES[self.type].carries_pages


@dataclass(frozen=True, slots=True)
class FrameType:
    """What a frame of one type must look like."""

    fields: Mapping[str, Check] = field(default_factory=dict)
    max_payload: int = 0
    carries_pages: bool = False


def _integer(low: int, high: int) -> Check:
    def check(value: Any, ram_pages: int) -> None:
        if type(value) is not int:
            raise ValueError(f"must be an integer, not {type(value).__name__}")
        if not low <= value <= high:
            raise ValueError(f"{value} is not in {low}..{high}")

    return check


def _text(limit: int) -> Check:
    def check(value: Any, ram_pages: int) -> None:
        if type(value) is not str:
            raise ValueError(f"must be a string, not {type(value).__name__}")
        if len(value) > limit:
            raise ValueError(f"has {len(value)} characters, at most {limit} are allowed")

    return check


def _list_of(item: Check, limit: int) -> Check:
    def check(value: Any, ram_pages: int) -> None:
        if type(value) is not list:
            raise ValueError(f"must be a list, not {type(value).__name__}")
        if len(value) > limit:
            raise ValueError(f"has {len(value)} items, at most {limit} are allowed")
        for each in value:
            item(each, ram_pages)

    return check


def _plain_map(value: Any, ram_pages: int) -> None:
    if type(value) is not dict:
        raise ValueError(f"must be a map, not {type(value).__name__}")
    _check_plain(value, MAX_NESTING)


def _check_plain(value: Any, levels: int) -> None:
    """What JSON knows, `levels` deep: whoever reads the map needs no recursion guard of his own."""
    if levels == 0:
        raise ValueError(f"is nested more than {MAX_NESTING} deep")
    if type(value) is dict:
        for key, each in value.items():
            if type(key) is not str:
                raise ValueError(f"has a key of type {type(key).__name__}")
            _check_plain(each, levels - 1)
    elif type(value) is list:
        for each in value:
            _check_plain(each, levels - 1)
    elif value is not None and type(value) not in (bool, int, float, str):
        raise ValueError(f"holds a {type(value).__name__}")


def _runs(value: Any, ram_pages: int) -> None:
    """A list of [first page, count], ascending, not overlapping, inside RAM."""
    if type(value) is not list or len(value) > MAX_RUNS:
        raise ValueError(f"must be a list of at most {MAX_RUNS} runs")
    end = 0
    for run in value:
        if type(run) is not list or len(run) != 2:
            raise ValueError("a run must be [first, count]")
        first, count = run
        if type(first) is not int or type(count) is not int or first < 0 or count < 1:
            raise ValueError("a run must be two integers, first >= 0 and count >= 1")
        if first < end:
            raise ValueError(f"page {first} is out of order or in two runs")
        end = first + count
    if end > ram_pages:
        raise ValueError(f"page {end - 1} is outside RAM of {ram_pages} pages")


_COUNT: Final = _integer(0, _INT64 - 1)
_TIME: Final = _integer(-_INT64, _INT64 - 1)

ENVELOPE: Final[Mapping[str, Check]] = {
    "seq": _COUNT,
    "sent_ns": _TIME,
    "arrives_ns": _TIME,
    "payload": _COUNT,
}

FRAMES: Final[Mapping[str, FrameType]] = {
    # The source's first frame and the two answers to it.
    "hello": FrameType(
        {
            "version": _COUNT,
            "machine": _plain_map,
            "strategy": _text(100),
            "capabilities": _list_of(_text(100), 100),
        }
    ),
    "welcome": FrameType({"version": _COUNT}),
    "refuse": FrameType({"reason": _text(MAX_REASON)}),
    # Precopy. `runs`: pages whose content is the payload, in that order; `zero`: pages that are all zero.
    "pages": FrameType({"runs": _runs, "zero": _runs}, max_payload=MAX_PAGES * PAGE, carries_pages=True),
    "pass_end": FrameType({"pass": _COUNT, "pages": _COUNT}),
    # The payload is a msgpack map of sections, opaque here.
    "snapshot": FrameType(max_payload=MAX_SNAPSHOT),
    "loaded": FrameType({"ram_digest": _text(100)}),
    # After it the destination owns the guest.
    "switchover": FrameType({"stopped_ns": _TIME, "resume_ns": _TIME}),
    "resumed": FrameType(),
    "cancel": FrameType({"reason": _text(MAX_REASON)}),
    "bye": FrameType(),
}


def payload_length(frame: Frame) -> int:
    """Bytes that follow the frame's header."""
    if frame.carries_pages:
        pages: int = sum(count for _, count in frame.fields["runs"])
        return pages * PAGE
    return len(frame.payload)


def encode(frame: Frame, seq: int, *, ram_pages: int = 0) -> bytes:
    """The length prefix and header of `frame`, the `seq`-th of its direction. The payload goes out next.

    Raises:
        ProtocolError: `frame` is one that `decode` at a machine of `ram_pages` would not take.
    """
    if frame.type not in FRAMES:
        raise ProtocolError(frame.type, "type", "unknown")
    _check_fields(frame, ram_pages)
    envelope = {
        "seq": seq,
        "sent_ns": frame.sent_ns,
        "arrives_ns": frame.arrives_ns,
        "payload": payload_length(frame),
    }
    _check_envelope(frame, envelope)
    try:
        header: bytes = msgpack.packb({"type": frame.type, **envelope, **frame.fields})
    except (ValueError, TypeError, OverflowError) as error:
        raise ProtocolError(frame.type, "header", str(error)) from None
    return _check_length(len(header), frame.type).to_bytes(PREFIX, "big") + header


def header_length(prefix: bytes | memoryview) -> int:
    """The length that the four bytes `prefix` announce; ProtocolError if no header is as long as that."""
    return _check_length(int.from_bytes(prefix[:PREFIX], "big"), "?")


def decode(header: bytes | memoryview, seq: int, *, ram_pages: int = 0) -> tuple[Frame, int]:
    """The frame whose header (without prefix) this is, and how many bytes of payload follow it.

    A `hello` of another protocol version needs no more than its `version`, so that it can be refused by name.

    Args:
        seq: the number that the frame must have.
        ram_pages: size of the RAM that page runs must lie in.

    Raises:
        ProtocolError: anything about it is not as it must be.
    """
    fields = _unpack(header)
    kind = fields.pop("type", None)
    if type(kind) is not str or kind not in FRAMES:
        raise ProtocolError("?", "type", f"unknown: {kind!r:.40}")
    envelope = {name: fields.pop(name) for name in ENVELOPE if name in fields}
    frame = Frame(kind, envelope.get("sent_ns", 0), envelope.get("arrives_ns", 0), fields)
    _check_fields(frame, ram_pages)
    _check_envelope(frame, envelope)
    if envelope["seq"] != seq:
        raise ProtocolError(kind, "seq", f"{envelope['seq']} where {seq} is due")
    return frame, envelope["payload"]


def _unpack(header: bytes | memoryview) -> dict[str, Any]:
    try:
        value: Any = msgpack.unpackb(header, object_pairs_hook=_distinct, max_array_len=MAX_RUNS)
    except (ValueError, TypeError, OverflowError) as error:
        raise ProtocolError("?", "header", f"not a msgpack map: {error!s:.100}") from None
    if type(value) is not dict:
        raise ProtocolError("?", "header", f"must be a map, not {type(value).__name__}")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands in it twice")
    return value


def _check_length(length: int, kind: str) -> int:
    if not 0 < length <= MAX_HEADER:
        raise ProtocolError(kind, "header", f"{length} bytes long, allowed are 1..{MAX_HEADER}")
    return length


def _check_each(kind: str, checks: Mapping[str, Check], values: Mapping[str, Any], ram_pages: int) -> None:
    for name, check in checks.items():
        if name not in values:
            raise ProtocolError(kind, name, "missing")
        try:
            check(values[name], ram_pages)
        except ValueError as problem:
            raise ProtocolError(kind, name, str(problem)) from None


def _check_envelope(frame: Frame, envelope: Mapping[str, Any]) -> None:
    _check_each(frame.type, ENVELOPE, envelope, 0)
    if frame.arrives_ns < frame.sent_ns:
        raise ProtocolError(frame.type, "arrives_ns", "earlier than sent_ns")
    length, limit, due = envelope["payload"], FRAMES[frame.type].max_payload, payload_length(frame)
    if length > limit:
        raise ProtocolError(frame.type, "payload", f"{length} bytes long, allowed are 0..{limit}")
    if frame.carries_pages and length != due:
        raise ProtocolError(frame.type, "payload", f"{length} bytes for {due} bytes of runs")


def _check_fields(frame: Frame, ram_pages: int) -> None:
    kind, fields, checks = frame.type, frame.fields, FRAMES[frame.type].fields
    if kind == "hello" and fields.get("version") != PROTOCOL_VERSION:
        _check_each(kind, {"version": _COUNT}, fields, ram_pages)
        return
    _check_each(kind, checks, fields, ram_pages)
    if len(fields) != len(checks):
        raise ProtocolError(kind, f"{min(fields.keys() - checks.keys(), key=repr)!r:.40}", "unknown field")
    if frame.carries_pages and fields["runs"] and fields["zero"]:
        try:
            _runs(sorted(fields["runs"] + fields["zero"])[:MAX_RUNS], ram_pages)
        except ValueError as problem:
            raise ProtocolError(kind, "zero", str(problem)) from None
