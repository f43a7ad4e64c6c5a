"""Frames: what source and destination say to each other, and the strict codec of a frame's header.

    4 bytes    length of the header, big-endian, at most MAX_HEADER
    8 bytes    checksum of those four bytes and the header
    header     a msgpack map: type, seq, sent_ns, arrives_ns, payload, and the fields that FRAMES lists
    payload    that many raw bytes: the content of page runs, or a snapshot
    8 bytes    checksum of the payload, where there is one; or REPEATED, and then the payload once more

Page content is sent from where it is while the guest runs. Where the guest wrote to it meanwhile, the sender says
REPEATED in place of a checksum and sends the content again, this time from a copy; so it does once at most.

A header is checked to the last field before anything it asks for is allocated or written. `seq` counts the
frames of one direction from 0. A new frame is a new line of FRAMES. A length of 0 is no frame: the peer is alive.

Pure: bytes in, values out. How frames are carried is `livemig.link`'s affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Final

import msgpack

from livemig.config.migration import MAX_CHANNELS
from livemig.errors import ProtocolError
from livemig.machine.ram import PAGE
from livemig.migration.checksum import SIZE, checksum
from livemig.migration.encoding import check_sizes
from livemig.migration.fields import (
    COUNT,
    FAR,
    MAX_SIZES,
    RUNS,
    SIZES,
    TIME,
    Field,
    as_runs,
    check_disjoint,
    integer,
    integers,
    plain_map,
    text,
    texts,
)

PROTOCOL_VERSION: Final = 3

_LENGTH: Final = 4
PREFIX: Final = _LENGTH + SIZE
"""What stands before a header."""
MAX_HEADER: Final = 64 << 10
MAX_PAGES: Final = 1024
"""With content, in one frame: 4 MiB."""
MAX_SNAPSHOT: Final = 16 << 20
MAX_REASON: Final = 1000
MAX_BITMAP: Final = 2 << 20
"""A bit for each page of 64 GiB."""
_MAX_ITEMS: Final = 1000
"""Of a msgpack array anywhere in a header; what one may make the unpacker allocate is bounded by it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message.

    Attributes:
        type: a key of FRAMES.
        sent_ns: virtual time at which it is sent, at most 2^61 from 0.
        arrives_ns: virtual time at which it arrives, by the sender's model of the link; not before `sent_ns`.
        fields: as FRAMES lists them.
        payload: raw bytes; always empty in frames of pages, whose content goes from RAM to RAM.
    """

    type: str
    sent_ns: int
    arrives_ns: int
    fields: dict[str, Any] = attribute(default_factory=dict)
    payload: bytes = b""

    @property
    def carries_pages(self) -> bool:
        """Whether the payload is the content of the pages in `runs`."""
        return FRAMES[self.type].carries_pages

    @property
    def urgent(self) -> bool:
        """Whether it is of pages that a CPU waits for."""
        return self.type == "postcopy_pages" and bool(self.fields["answers"])

    @property
    def announced(self) -> bool:
        """Whether whoever receives such pages is told."""
        return FRAMES[self.type].announced


@dataclass(frozen=True, slots=True)
class FrameType:
    """What a frame of one type must look like."""

    fields: Mapping[str, Field] = attribute(default_factory=dict)
    max_payload: int = 0
    carries_pages: bool = False
    announced: bool = False
    """Of pages: whoever receives is told, and may have said which pages it takes."""


ENVELOPE: Final[Mapping[str, Field]] = {"seq": COUNT, "sent_ns": TIME, "arrives_ns": TIME, "payload": COUNT}

_CHANNELS: Final = integer(0, MAX_CHANNELS + 1)
_CROSSING: Final[Mapping[str, Field]] = {
    "stopped_ns": TIME, "resume_ns": TIME, "paused": integer(0, 1), "due_ns": integers(_MAX_ITEMS, -1, FAR),
    "booted_ns": integer(-1, FAR),
}  # fmt: skip
"""`paused`: the operator had stopped the guest before, and it is not to run. The others are for the destination's own
account; the guest's timers travel elsewhere. `due_ns`: when, at the stop, the next interrupt of each CPU was due, −1
for none. `booted_ns`: when the guest booted; −1: nobody knows."""

FRAMES: Final[Mapping[str, FrameType]] = {
    # The first frame of every connection: to which migration it belongs, as which of its `channels` + 1 connections.
    # Number 0 is the main one, the others carry pages.
    # `preempt`: as which, if at all, one more of them is for pages that are asked for; it has the highest number.
    "channel": FrameType({"session": text(64), "index": _CHANNELS, "channels": _CHANNELS, "preempt": integer(0, 2)}),
    # On the main connection, where the two must be in step: the next frame is the other's, its `number`-th.
    "preempted": FrameType({"number": COUNT}),
    # On a connection of pages, for the frame `number` of the main one; on the main one, for itself: all that was sent
    # before it is placed before anything that was sent after it.
    "sync": FrameType({"number": COUNT}),
    # Where a migration begins, and the two answers to it.
    "hello": FrameType(
        {
            "version": COUNT,
            "machine": plain_map(levels=8),
            "strategy": text(100),
            "capabilities": texts(100, longest=100),
        }
    ),
    "welcome": FrameType({"version": COUNT}),
    "refuse": FrameType({"reason": text(MAX_REASON)}),
    # Precopy. `runs`: pages whose content is the payload, in that order; `zero`: pages that are all zero.
    "pages": FrameType({"runs": RUNS, "zero": RUNS}, max_payload=MAX_PAGES * PAGE, carries_pages=True),
    # The same, in another form: see `encoding`.
    "encoded": FrameType(
        {"encoding": text(20), "runs": RUNS, "zero": RUNS, "sizes": SIZES}, max_payload=MAX_SIZES * PAGE
    ),
    "pass_end": FrameType({"pass": COUNT, "pages": COUNT}),
    # The payload is a msgpack map of sections, opaque here.
    "snapshot": FrameType(max_payload=MAX_SNAPSHOT),
    "loaded": FrameType({"ram_digest": text(100)}),
    # What is the time there? Times of day of the destination: when the probe came, when the reply leaves.
    "probe": FrameType(),
    "reply": FrameType({"received_ns": TIME, "replied_ns": TIME}),
    # After it the destination owns the guest.
    "switchover": FrameType(_CROSSING),
    "resumed": FrameType(),
    # Postcopy. Bitmaps have a bit a page, page 0 the highest of the first byte. `discard`: what the destination misses.
    "discard": FrameType(max_payload=MAX_BITMAP),
    # The `number`-th request: `page`, and then those `around` it.
    "page_request": FrameType({"number": COUNT, "page": COUNT, "around": COUNT, "until_ns": TIME}),
    # `answers`: the request that these are the answer to; 0: they were pushed. No more is pushed before `until_ns`.
    "postcopy_pages": FrameType(
        {"runs": RUNS, "zero": RUNS, "answers": COUNT, "until_ns": TIME},
        max_payload=MAX_PAGES * PAGE, carries_pages=True, announced=True,
    ),
    "received": FrameType({"ram_digest": text(100)}),
    # Keeps virtual time in step and takes none: nothing but answers is sent before `until_ns`, all up to `answers` is.
    "promise": FrameType({"until_ns": TIME, "answers": COUNT}),
    # A broken link made anew; `received_bitmap`: what has arrived. `resumed`: whether the guest runs here, 0 or 1.
    "recover": FrameType({"version": COUNT}),
    "received_bitmap": FrameType({"resumed": COUNT}, max_payload=MAX_BITMAP),
    "resume": FrameType(_CROSSING),
    "resume_ack": FrameType(),
    "cancel": FrameType({"reason": text(MAX_REASON)}),
    # The scenario is over on this side, which will not speak again.
    "bye": FrameType(),
}


def encode(frame: Frame, seq: int, *, ram_pages: int = 0) -> bytes:
    """The length prefix and header of `frame`, the `seq`-th of its direction. The payload goes out next.

    Raises:
        ProtocolError: `frame` is one that `decode` at a machine of `ram_pages` would not take.
    """
    kind = frame.type
    if kind not in FRAMES:
        raise ProtocolError(kind, "type", "unknown")
    fields = _convert(kind, frame.fields, ram_pages, packing=True)
    length = _content_length(kind, frame.fields) if frame.carries_pages else len(frame.payload)
    envelope = {"seq": seq, "sent_ns": frame.sent_ns, "arrives_ns": frame.arrives_ns, "payload": length}
    _check_envelope(kind, envelope)
    try:
        header: bytes = msgpack.packb({"type": kind, **envelope, **fields})
    except (ValueError, TypeError, OverflowError) as error:
        raise ProtocolError(kind, "header", str(error)) from None
    return prefixed(header, kind)


def prefixed(header: bytes, kind: str = "?") -> bytes:
    """`header` as it goes on the wire; ProtocolError if it is too long."""
    length = _check_length(len(header), kind).to_bytes(_LENGTH, "big")
    return length + checksum(length, header) + header


ALIVE: Final = bytes(_LENGTH) + checksum(bytes(_LENGTH))
"""Between two frames: no header, but whoever sent it was there."""


REPEATED: Final = checksum(b"the content was written to while it was sent: once more")
"""In place of a payload's checksum."""


def header_length(prefix: bytes | memoryview) -> int:
    """The length that `prefix` announces, 0 if it is ALIVE; ProtocolError if no header is as long as that."""
    if prefix == ALIVE:
        return 0
    return _check_length(int.from_bytes(prefix[:_LENGTH], "big"), "?")


def check_header(prefix: bytes | memoryview, header: bytes | memoryview) -> None:
    """ProtocolError if `header` is not the one that was sent with `prefix`."""
    if checksum(prefix[:_LENGTH], header) != prefix[_LENGTH:]:
        raise ProtocolError("?", "checksum", "the header arrived damaged")


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
    _check_envelope(kind, envelope)
    if envelope["seq"] != seq:
        raise ProtocolError(kind, "seq", f"{envelope['seq']} where {seq} is due")
    fields = _convert(kind, fields, ram_pages, packing=False)
    frame, length = Frame(kind, envelope["sent_ns"], envelope["arrives_ns"], fields), envelope["payload"]
    if kind == "encoded":
        _content_length(kind, fields)
        check_sizes(fields, length)
    if frame.carries_pages and length != _content_length(kind, fields):
        raise ProtocolError(kind, "payload", f"{length} bytes is not what runs make it")
    return frame, length


def _unpack(header: bytes | memoryview) -> dict[str, Any]:
    try:
        value: Any = msgpack.unpackb(header, object_pairs_hook=_distinct, max_array_len=_MAX_ITEMS)
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


def _content_length(kind: str, fields: Mapping[str, Any]) -> int:
    """Bytes of the content of `runs`, of which no page may be in `zero` too."""
    runs, zero = as_runs(fields["runs"]), as_runs(fields["zero"])
    try:
        check_disjoint(runs, zero)
    except ValueError as problem:
        raise ProtocolError(kind, "zero", str(problem)) from None
    return int(runs[:, 1].sum()) * PAGE


def _check_envelope(kind: str, envelope: Mapping[str, Any]) -> None:
    _convert_each(kind, ENVELOPE, envelope, 0, packing=False)
    if envelope["arrives_ns"] < envelope["sent_ns"]:
        raise ProtocolError(kind, "arrives_ns", "earlier than sent_ns")
    length, limit = envelope["payload"], FRAMES[kind].max_payload
    if length > limit:
        raise ProtocolError(kind, "payload", f"{length} bytes long, allowed are 0..{limit}")


def _convert(kind: str, values: Mapping[str, Any], ram_pages: int, *, packing: bool) -> dict[str, Any]:
    """All fields of a frame in the other form, checked."""
    fields = FRAMES[kind].fields
    if kind == "hello" and values.get("version") != PROTOCOL_VERSION:
        return {**values, **_convert_each(kind, {"version": COUNT}, values, ram_pages, packing=packing)}
    if values.keys() - fields.keys():
        raise ProtocolError(kind, f"{min(values.keys() - fields.keys(), key=repr)!r:.40}", "unknown field")
    return _convert_each(kind, fields, values, ram_pages, packing=packing)


def _convert_each(
    kind: str, fields: Mapping[str, Field], values: Mapping[str, Any], ram_pages: int, *, packing: bool
) -> dict[str, Any]:
    converted = {}
    for name, field in fields.items():
        if name not in values:
            raise ProtocolError(kind, name, "missing")
        try:
            converted[name] = (field.pack if packing else field.unpack)(values[name], ram_pages)
        except ValueError as problem:
            raise ProtocolError(kind, name, str(problem)) from None
    return converted
