"""``limit_data``: the connection is closed when so much has passed."""

from __future__ import annotations

from livemig.link.faults.limit_data import LimitData
from livemig.link.faults.passage import When
from livemig.timers.ticks import NEVER

from .passing import MS, TRIP, passes


def test_the_frame_that_goes_beyond_is_cut_off_where_the_limit_is() -> None:
    """2500 bytes: two frames of 1000 pass, of the third 500 bytes leave."""
    limit = LimitData(When(), 2500)
    frames = [passes(limit, at * MS) for at in range(3)]
    assert [frame.arrives_ns for frame in frames] == [TRIP, MS + TRIP, NEVER]
    assert [frame.most for frame in frames] == [None, None, 500]
    assert (frames[2].cut_ns, frames[2].cause) == (2 * MS + TRIP, "limit_data")


def test_what_passes_before_it_begins_is_not_counted() -> None:
    limit = LimitData(When(MS), 1000)
    passes(limit, 0)
    assert passes(limit, MS).cut_ns == NEVER
    assert passes(limit, MS).most == 0
