"""``corrupt``: one frame, the first that it meets."""

from __future__ import annotations

from livemig.link.faults.corrupt import Corrupt
from livemig.link.faults.link import FaultyLink
from livemig.link.faults.passage import When
from livemig.link.faults.stall import Stall
from livemig.link.model import LinkModel

from .passing import MS, TRIP, passes


def test_the_first_frame_that_it_meets_and_no_other() -> None:
    corrupt = Corrupt(When(MS))
    frames = [passes(corrupt, at * MS) for at in range(4)]
    assert [frame.damaged for frame in frames] == [False, True, False, False]
    assert frames[1].arrives_ns == MS + TRIP


def test_of_frames_that_arrive_at_one_instant_it_is_the_one_that_it_met() -> None:
    link = FaultyLink(LinkModel(10**9, TRIP), [Stall(When(), MS), Corrupt(When())])
    arrivals = [link.transmit(0, 8, "pages")[1] for _ in range(2)]
    assert arrivals == [MS, MS]
    assert [link.claim(MS, "pages").damaged for _ in range(2)] == [True, False]
