"""How late the host was, by hand; the timebase ticks once a microsecond."""

from __future__ import annotations

from livemig.events.qemu.lateness import Lateness, poll_slack_ns


def test_a_raise_is_that_of_the_cpu_whose_interrupt_is_due_first() -> None:
    lateness = Lateness(1_000_000)
    lateness.written(0, 0, 900, 32)
    lateness.written(1, 100, 300, 32)
    assert lateness.raised(405) == 1
    assert lateness.raised(910) == 0
    assert lateness.raises == [5_000 - 300, 10_000 - 900]  # less the slack of the wait, a thousandth
    assert lateness.waits(0)
    lateness.read(0, 930)
    assert lateness.answers == [20_000]
    assert not lateness.waits(0)


def test_a_raise_long_before_anything_is_due_is_nobodys() -> None:
    lateness = Lateness(1_000_000)
    lateness.written(0, 0, 5_000, 32)
    assert lateness.raised(3_000) is None
    assert lateness.raised(4_500) == 0
    assert lateness.raised(4_600) is None


def test_a_write_takes_back_what_was_due_and_a_negative_value_asks_for_nothing() -> None:
    lateness = Lateness(1_000_000)
    lateness.written(0, 0, 500, 32)
    lateness.written(0, 100, 0xFFFF_FFF0, 32)
    assert lateness.raised(600) is None


def test_the_kernels_slack_is_a_thousandth_and_100_ms_at_most() -> None:
    assert [poll_slack_ns(ns) for ns in (-5, 10_000_000, 171_800_000_000)] == [0, 10_000, 100_000_000]
