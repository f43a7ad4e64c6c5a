"""``reset_peer``: what is on its way when the connection is reset is lost."""

from __future__ import annotations

from livemig.link.faults.link import FaultyLink
from livemig.link.faults.passage import When
from livemig.link.faults.reset_peer import ResetPeer
from livemig.link.model import LinkModel
from livemig.timers.ticks import NEVER

from .passing import MS, TRIP, passes


def test_what_would_arrive_at_the_reset_or_later_is_lost() -> None:
    reset = ResetPeer(When(MS), MS)
    sent = [2 * MS - TRIP - 1, 2 * MS - TRIP]
    assert [passes(reset, at).arrives_ns for at in sent] == [2 * MS - 1, NEVER]


def test_it_is_certain_unless_it_waits_for_a_frame_or_is_drawn_or_healed_before() -> None:
    assert ResetPeer(When(MS), MS).certain_cut_ns == 2 * MS
    for when in (When(MS, before="loaded"), When(MS, toxicity=99), When(MS, 2 * MS)):
        assert ResetPeer(when, MS).certain_cut_ns == NEVER


def test_before_a_type_it_counts_from_that_frame() -> None:
    reset = ResetPeer(When(before="loaded"), MS)
    assert passes(reset, 0).cut_ns == NEVER
    assert passes(reset, 5 * MS, "loaded").cut_ns == 6 * MS


def test_what_has_cut_a_connection_does_not_cut_the_next_and_what_has_not_does() -> None:
    link = FaultyLink(LinkModel(10**9, 0), [ResetPeer(When(MS), 0)])
    link.mend(MS)
    assert link.cut_ns == NEVER
    link = FaultyLink(LinkModel(10**9, 0), [ResetPeer(When(9 * MS), 0)])
    link.mend(MS)
    assert link.cut_ns == 9 * MS
