"""``stall``: what would arrive within it arrives at its end."""

from __future__ import annotations

from livemig.link.faults.passage import When
from livemig.link.faults.stall import Stall

from .passing import MS, TRIP, passes


def test_what_would_arrive_within_it_arrives_at_its_end_and_nothing_is_lost() -> None:
    stall = Stall(When(MS), 10 * MS)
    sent = [MS - TRIP, MS, 11 * MS - TRIP - 1, 11 * MS - TRIP]
    assert [passes(stall, at).arrives_ns for at in sent] == [MS, 11 * MS, 11 * MS, 11 * MS]
    assert passes(stall, 11 * MS).arrives_ns == 11 * MS + TRIP


def test_before_a_type_it_is_counted_from_the_first_such_frame() -> None:
    stall = Stall(When(before="switchover"), 10 * MS)
    assert passes(stall, 3 * MS).arrives_ns == 3 * MS + TRIP
    assert passes(stall, 4 * MS, "switchover").arrives_ns == 14 * MS


def test_while_a_frame_is_stalled_its_sender_gives_no_sign_of_life() -> None:
    stall = Stall(When(), 10 * MS)
    assert (passes(stall, 0).harm.silent, passes(stall, 11 * MS).harm.silent) == (True, False)
