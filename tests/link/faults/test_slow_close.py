"""``slow_close``: frames pass; an end is told later."""

from __future__ import annotations

from livemig.link.faults.link import FaultyLink
from livemig.link.faults.passage import When
from livemig.link.faults.reset_peer import ResetPeer
from livemig.link.faults.slow_close import SlowClose
from livemig.link.model import LinkModel

from .passing import MS, late


def test_frames_pass() -> None:
    assert late(SlowClose(When(), 40 * MS), 0) == 0


def test_what_another_fault_cuts_is_told_of_later_if_it_covers_that_instant() -> None:
    for stop, told in ((30 * MS, 60 * MS), (20 * MS, 20 * MS)):
        faults = [ResetPeer(When(), 20 * MS), SlowClose(When(0, stop), 40 * MS)]
        link = FaultyLink(LinkModel(10**9, 0), faults)
        assert (link.lost_ns, link.cut_ns) == (20 * MS, told)
