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
    """(1/(1-u) - 1)/3 of the jitter: the median at u = ½ is a third, at most 63/3 = 21 times it."""
    offsets = drawn("pareto", 0)
    assert statistics.median(offsets) == pytest.approx(2 * MS / 3, rel=0.1)
    assert 10 * 2 * MS < max(offsets) <= 21 * 2 * MS
    assert min(offsets) >= 0


def test_correlation_is_that_of_one_draw_with_the_next() -> None:
    """x' = (1-c)·u + c·x: neighbours correlate by c."""
    for correlation in (0, 50, 90):
        offsets = drawn("uniform", correlation)
        assert statistics.correlation(offsets[:-1], offsets[1:]) == pytest.approx(correlation / 100, abs=0.06)


def test_no_frame_arrives_before_it_would_without() -> None:
    fault = Latency(When(), MS, 20 * MS, "uniform", 0, 5)
    assert min(late(fault, 0) for _ in range(500)) == 0
