"""``latency``: so much, and a draw around it."""

from __future__ import annotations

import statistics

import pytest

from livemig.link.faults.latency import Latency
from livemig.link.faults.passage import When

from .passing import MS, late


def drawn(distribution: str, correlation: int, count: int = 4000) -> list[int]:
    fault = Latency(When(), 50 * MS, 2 * MS, distribution, correlation, seed=11)
    return [late(fault, 0) - 50 * MS for _ in range(count)]


def test_without_jitter_every_frame_is_as_late() -> None:
    fault = Latency(When(), 7 * MS, 0, "uniform", 0, 1)
    assert [late(fault, at) for at in (0, 5, 10)] == [7 * MS] * 3


def test_uniform_jitter_is_even_from_minus_to_plus() -> None:
    """Of width 2·2 ms: a standard deviation of 4/√12 = 1.1547 ms."""
    offsets = drawn("uniform", 0)
    assert -2 * MS <= min(offsets) < -1.95 * MS
    assert 1.95 * MS < max(offsets) <= 2 * MS
    assert abs(statistics.fmean(offsets)) < 4 * 1.1547 * MS / 4000**0.5
    assert statistics.pstdev(offsets) == pytest.approx(1.1547 * MS, rel=0.05)


def test_normal_jitter_has_it_as_its_standard_deviation() -> None:
    offsets = drawn("normal", 0)
    assert abs(statistics.fmean(offsets)) < 4 * 2 * MS / 4000**0.5
    assert statistics.pstdev(offsets) == pytest.approx(2 * MS, rel=0.05)
    assert sum(abs(each) <= 2 * MS for each in offsets) / 4000 == pytest.approx(0.6827, abs=0.03)


def test_pareto_jitter_is_mostly_small_and_sometimes_far() -> None:
    """4/3 · ((1-u)^(-1/3) - 3/2) of the jitter: -2/3 at u = 0, -0.320 at ½; 1 % lie above 4, and are 4."""
    offsets = drawn("pareto", 0)
    assert statistics.median(offsets) == pytest.approx(-0.320 * 2 * MS, rel=0.1)
    assert -2 * 2 * MS / 3 - 500 <= min(offsets) < -0.66 * 2 * MS
    assert 3.99 * 2 * MS < max(offsets) < 4 * 2 * MS
    assert sum(each > 3.99 * 2 * MS for each in offsets) / 4000 == pytest.approx(0.011, abs=0.006)


def test_paretonormal_jitter_is_between_the_two() -> None:
    """A quarter of the normal's quantile and three of the pareto's: -0.240 at ½, and -1.5 … 3.9."""
    offsets = drawn("paretonormal", 0)
    assert statistics.median(offsets) == pytest.approx(-0.240 * 2 * MS, rel=0.15)
    assert -1.5 * 2 * MS < min(offsets) < -1.1 * 2 * MS
    assert 3.5 * 2 * MS < max(offsets) < 4 * 2 * MS


def test_correlation_is_that_of_one_draw_with_the_next() -> None:
    """x' = (1-c)·u + c·x: neighbours correlate by c."""
    for correlation in (0, 50, 90):
        offsets = drawn("uniform", correlation)
        assert statistics.correlation(offsets[:-1], offsets[1:]) == pytest.approx(correlation / 100, abs=0.06)


@pytest.mark.parametrize("distribution", ["normal", "pareto", "paretonormal"])
def test_correlation_is_of_draws_of_any_distribution(distribution: str) -> None:
    """Ranks correlate as the even draws do that they are of."""
    offsets = drawn(distribution, 90)
    ranks = {offset: rank for rank, offset in enumerate(sorted(offsets))}
    places = [ranks[offset] for offset in offsets]
    assert statistics.correlation(places[:-1], places[1:]) == pytest.approx(0.9, abs=0.06)


def test_no_frame_arrives_before_it_would_without() -> None:
    fault = Latency(When(), MS, 20 * MS, "uniform", 0, 5)
    assert min(late(fault, 0) for _ in range(500)) == 0
