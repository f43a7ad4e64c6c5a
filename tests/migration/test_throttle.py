"""Auto-converge and dirty-limit by QEMU's rules (``migration_trigger_throttle``, ``mig_throttle_guest_down``)."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from livemig.config.model import Config
from livemig.emulator import build
from livemig.events.schema import SOURCE
from livemig.migration.settings import Throttling
from livemig.migration.throttle import Throttle

S = 10**9
AUTO = Throttling(auto_converge=True)


def percentages(settings: Throttling, periods: list[tuple[int, int]]) -> list[int]:
    throttle = Throttle(settings)
    said = []
    for dirtied, sent in periods:
        throttle.period(dirtied, sent)
        said.append(throttle.percentage)
    return said


def test_every_second_period_above_half_of_what_is_sent_throttles_more() -> None:
    assert percentages(AUTO, [(51, 100)] * 8) == [0, 20, 20, 30, 30, 40, 40, 50]


def test_a_period_at_the_threshold_does_not_count_and_does_not_reset() -> None:
    """QEMU's counter is reset only by acting."""
    assert percentages(AUTO, [(51, 100), (50, 100), (51, 100)]) == [0, 0, 20]


def test_it_stops_at_the_maximum() -> None:
    settings = Throttling(auto_converge=True, initial=40, increment=50, maximum=85)
    assert percentages(settings, [(100, 100)] * 6) == [0, 40, 40, 85, 85, 85]


def test_tailslow_takes_no_more_than_should_be_enough() -> None:
    """At 20 %: 80 left; the guest writes 60 where 50 are allowed: 80 × 50/60 = 66.67, cut off; 80 − 66 = 14 < 30."""
    settings = Throttling(auto_converge=True, increment=30, tailslow=True)
    assert percentages(settings, [(100, 100), (100, 100), (60, 100), (60, 100)])[-1] == 34
    assert percentages(AUTO, [(100, 100), (100, 100), (60, 100), (60, 100)])[-1] == 30


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), max_size=300))
def test_without_either_capability_nobody_is_throttled(periods: list[tuple[int, int]]) -> None:
    assert set(percentages(Throttling(), periods)) <= {0}


@given(
    st.integers(1, 99), st.integers(1, 99), st.integers(0, 99), st.booleans(),
    st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), max_size=100),
)  # fmt: skip
def test_the_percentage_only_rises_and_stays_in_its_range(
    initial: int, increment: int, more: int, tailslow: bool, periods: list[tuple[int, int]]
) -> None:
    maximum = min(initial + more, 99)
    settings = Throttling(
        auto_converge=True, initial=initial, increment=increment, maximum=maximum, tailslow=tailslow
    )
    said = percentages(settings, periods)
    assert said == sorted(said)
    assert set(said) <= {0, *range(initial, maximum + 1)}


def test_dirty_limit_holds_each_cpu_to_its_rate() -> None:
    throttle = Throttle(Throttling(dirty_limit=True, vcpu_dirty_limit=10))
    assert not throttle.period(100, 100)
    assert throttle.period(100, 100)
    assert throttle.pace(80, cpus=4) == Fraction(1, 2)
    assert throttle.pace(40, cpus=4) == throttle.pace(0, cpus=4) == 1
    assert throttle.percentage == 0
    assert not throttle.period(100, 100)
    assert not throttle.period(100, 100)


@given(st.lists(st.tuples(st.integers(1, 2 * S), st.integers(1, 100)), min_size=1, max_size=12))
def test_a_throttled_guest_writes_its_share_and_its_timers_do_not_know(stretches: list[tuple[int, int]]) -> None:
    """Counted by hand: each stretch adds its length × its share, rounded down, to the time it worked."""
    config = Config.model_validate(
        {"machine": {"ram": "1MiB"}, "guest": {"kind": "periodic", "memory": {"dirty_rate": "1MiB/s"}}}
    )
    throttled, free = build.machine(config, SOURCE), build.machine(config, SOURCE)
    for machine in (throttled, free):
        machine.boot(0)
    now = worked = 0
    for length, percent in stretches:
        throttled.throttle(now, Fraction(percent, 100))
        now, worked = now + length, worked + length * percent // 100
        for machine in (throttled, free):
            machine.run_to(now)
    assert throttled.writes.done == worked * (1 << 20) // (4096 * S)
    assert throttled.time_state(now) == free.time_state(now)
    assert [cpu.delivered for cpu in throttled.cpus] == [cpu.delivered for cpu in free.cpus]
