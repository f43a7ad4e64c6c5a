"""When a fault acts: from, until, before a frame of a type, and by lot."""

from __future__ import annotations

from livemig.link.faults.passage import When
from livemig.link.faults.stall import Stall
from livemig.timers.ticks import NEVER

from .passing import MS, late


def test_from_a_time_until_another_the_last_instant_not_included() -> None:
    stall = Stall(When(5 * MS, 9 * MS), 100 * MS)
    assert [late(stall, at) > 0 for at in (5 * MS - 1, 5 * MS, 9 * MS - 1, 9 * MS)] == [False, True, True, False]


def test_before_a_type_of_frame_it_begins_with_the_first_such_and_then_meets_all() -> None:
    stall = Stall(When(before="snapshot"), MS)
    assert late(stall, 0, "pages") == 0
    assert late(stall, 10, "snapshot") > 0
    assert late(stall, 20, "pages") > 0


def test_toxicity_is_the_share_of_the_frames_that_it_meets() -> None:
    """Of 2000 frames, a quarter: 500, and 4 standard deviations of √(2000·¼·¾) = 19.4 either way."""
    stall = Stall(When(0, NEVER, "", 25, seed=3), MS)
    met = sum(late(stall, 0) > 0 for _ in range(2000))
    assert 500 - 78 <= met <= 500 + 78


def test_another_seed_draws_other_frames() -> None:
    def drawn(seed: int) -> list[bool]:
        stall = Stall(When(0, NEVER, "", 50, seed), MS)
        return [late(stall, 0) > 0 for _ in range(64)]

    assert drawn(1) == drawn(1) != drawn(2)
