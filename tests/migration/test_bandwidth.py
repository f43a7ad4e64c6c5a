"""The rate limit in windows, and what is measured in them."""

from __future__ import annotations

from livemig.migration.bandwidth import Bandwidth

MS = 10**6


def test_a_window_gives_a_tenth_of_a_seconds_bytes() -> None:
    bandwidth = Bandwidth(limit=1_000_000)
    bandwidth.begin(50 * MS)
    assert bandwidth.allowance(50 * MS) == 100_000
    bandwidth.sent(60_000, 15)
    assert bandwidth.allowance(90 * MS) == 40_000
    bandwidth.sent(60_000, 15)
    assert bandwidth.allowance(149 * MS) == 0
    assert bandwidth.next_window == 150 * MS
    assert bandwidth.allowance(150 * MS) == 100_000


def test_without_a_limit_there_is_none() -> None:
    assert Bandwidth().allowance(0) is None


def test_a_window_lasts_100_ms_or_as_long_as_a_shorter_pass_if_nothing_limits_the_rate() -> None:
    for limit, ends in ((0, True), (1_000_000, False)):
        bandwidth = Bandwidth(limit)
        bandwidth.begin(0)
        bandwidth.sent(20_000, 5)
        assert not bandwidth.look(40 * MS, pass_over=False)
        assert bandwidth.look(40 * MS, pass_over=True) is ends
        assert bandwidth.measured == (500_000 if ends else 0)


def test_a_window_of_next_to_nothing_is_measured_but_tells_nothing() -> None:
    bandwidth = Bandwidth()
    bandwidth.begin(0)
    bandwidth.sent(10_000, 2)
    assert not bandwidth.look(100 * MS, pass_over=False)
    assert (bandwidth.measured, bandwidth.pages_per_second) == (100_000, 20)
    bandwidth.sent(10_001, 2)
    assert bandwidth.look(200 * MS, pass_over=False)


def test_what_is_known_of_the_switchover_overrides_what_is_measured() -> None:
    bandwidth = Bandwidth(switchover=7)
    bandwidth.begin(0)
    bandwidth.sent(20_000, 5)
    bandwidth.look(100 * MS, pass_over=False)
    assert (bandwidth.measured, bandwidth.expected) == (200_000, 7)
