"""Where guest time leaves the world's."""

from __future__ import annotations

from livemig.analysis.crossing import Crossing
from livemig.analysis.log import merged
from livemig.analysis.observer import close, observe
from livemig.analysis.report import drift as module
from livemig.analysis.report.drift import Drift

from ..histories import GHZ, Event, arm, ended, log, resume, stop

D = "destination"


def drift(*events: Event, hz: int = GHZ) -> list[tuple[int, int]]:
    crossing = Crossing()
    seen = Drift(hz, crossing)
    assert observe(merged(log(list(events), "source"), log(list(events), D)), [crossing, seen]) == {}
    close([seen], 0, {})
    return seen.points


def test_a_timebase_that_stands_still_over_the_blackout_is_behind_by_it() -> None:
    history = (arm(0, 9), arm(10, 9), stop(50), resume(150, tb=50), arm(160, 9, side=D, tb=60), ended(200, D))
    assert drift(*history) == [(0, 0), (50, 0), (150, -100), (160, -100)]


def test_one_that_goes_on_is_exact_and_the_rounding_of_a_reading_is_no_error() -> None:
    # At 16.6 MHz 100 ns are 1.66 ticks, 200 ns 3.32: the counter reads 1 and 3.
    assert drift(arm(0, 9, tb=0), arm(100, 9, tb=1), arm(200, 9, tb=3), hz=16_600_000) == [(0, 0), (200, 0)]


def test_the_start_up_of_a_side_that_does_not_own_the_guest_is_not_read() -> None:
    assert drift(arm(0, 9), arm(5, 9, side=D, tb=777), arm(10, 9)) == [(0, 0), (10, 0)]


def test_a_timebase_that_never_stops_drifting_stays_within_bounds_and_the_turns_stay() -> None:
    ran = [arm(10 * n, 9, tb=11 * n) for n in range(20_000)]
    crossed = [stop(200_000, tb=220_000), resume(200_100, tb=220_000)]
    points = drift(*ran, *crossed)
    assert len(points) <= module.LIMIT + 2
    assert {(200_000, 20_000), (200_100, 19_900)} <= set(points)
