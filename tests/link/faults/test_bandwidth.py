"""``bandwidth``: frames queue. 1000 bytes at 8 Mbit/s take 1 ms."""

from __future__ import annotations

from livemig.link.faults.bandwidth import Bandwidth
from livemig.link.faults.passage import When

from .passing import MS, TRIP, passes


def test_frames_queue_and_whoever_sends_notices() -> None:
    fault = Bandwidth(When(), 8_000_000)
    first, second = passes(fault, 0), passes(fault, 0)
    assert (first.free_ns, first.arrives_ns) == (MS, MS + TRIP)
    assert (second.free_ns, second.arrives_ns) == (2 * MS, 2 * MS + TRIP)


def test_a_line_that_stood_idle_gives_nothing_back() -> None:
    fault = Bandwidth(When(), 8_000_000)
    passes(fault, 0)
    assert passes(fault, 5 * MS).free_ns == 6 * MS
