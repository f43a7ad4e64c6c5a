"""``timeout``: a black hole; after a while the connection is closed, or never."""

from __future__ import annotations

from livemig.link.faults.passage import When
from livemig.link.faults.timeout import Timeout
from livemig.timers.ticks import NEVER

from .passing import MS, TRIP, passes


def test_nothing_arrives_any_more() -> None:
    hole = Timeout(When(MS), 0)
    assert passes(hole, MS - 1).arrives_ns == MS - 1 + TRIP
    assert (passes(hole, MS).arrives_ns, passes(hole, 2 * MS).arrives_ns) == (NEVER, NEVER)
    assert passes(hole, 3 * MS).cut_ns == NEVER


def test_healed_it_still_swallows_a_stream_that_has_a_gap_but_not_a_new_one() -> None:
    hole = Timeout(When(MS, 2 * MS), 0)
    passes(hole, MS)
    assert passes(hole, 5 * MS).arrives_ns == NEVER
    hole.begin_anew()
    assert passes(hole, 6 * MS).arrives_ns == 6 * MS + TRIP


def test_after_so_long_the_connection_is_closed() -> None:
    frame = passes(Timeout(When(MS), 5 * MS), 2 * MS)
    assert (frame.cut_ns, frame.cause) == (6 * MS, "timeout")
