"""Frames through one fault: 1000 bytes each, on a link that is free at once and takes 10 µs."""

from __future__ import annotations

from livemig.link.faults.passage import LinkFault, Passage

US = 1_000
MS = 1_000_000
TRIP = 10 * US
SIZE = 1000


def passes(fault: LinkFault, sent_ns: int, kind: str = "pages", size: int = SIZE) -> Passage:
    """What became of a frame sent then."""
    frame = Passage(kind, size, sent_ns, sent_ns, sent_ns + TRIP)
    fault.act(frame)
    return frame


def late(fault: LinkFault, sent_ns: int, kind: str = "pages", size: int = SIZE) -> int:
    """By how much later it arrives, in ns."""
    return passes(fault, sent_ns, kind, size).arrives_ns - sent_ns - TRIP
