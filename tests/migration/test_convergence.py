"""Convergence policies against the figures of those who made them."""

from __future__ import annotations

from livemig.migration import settings
from livemig.migration.convergence import Ramp, Static, Stepped, policy_of

MS, S, GIB = 10**6, 10**9, 1 << 30


def test_static_is_the_limit_whatever_happens() -> None:
    policy = Static(300 * MS)
    assert not policy.passed(0, 1, 1)
    assert not policy.passed(0, 2, 1)
    assert {policy.limit_ns(now) for now in (0, S, 10**15)} == {300 * MS}


def test_stepped_is_novas_own_example() -> None:
    """From the docstring of nova's ``downtime_steps``: 10 steps, 30 s a GB, 3 GB, 400 ms."""
    policy = policy_of(
        settings.Convergence("stepped", limit_ns=400 * MS, steps=10, delay_ns=30 * S), ram_bytes=3 * GIB
    )
    policy.began_ns = 7 * S
    expected = [40, 76, 112, 148, 184, 220, 256, 292, 328, 364, 400]
    for step, limit in enumerate(expected):
        assert policy.limit_ns(7 * S + step * 90 * S + 1) == limit * MS
        assert policy.limit_ns(7 * S + step * 90 * S) == expected[max(step - 1, 0)] * MS  # nova: elapsed > delay
    assert policy.limit_ns(10**15) == 400 * MS


def test_one_step_is_the_limit_at_once() -> None:
    assert Stepped(500 * MS, 1, 75 * S).limit_ns(0) == 500 * MS


def ramp(**changes: int) -> Ramp:
    return Ramp(settings.Convergence("ramp", ramp_cooldown_ns=10 * S, **changes))


def test_ramp_starts_at_150_ms_and_rises_after_the_third_pass_to_1050_ms() -> None:
    policy = ramp()
    for number in (1, 2):
        policy.passed(number * S, number, 100 - number)
        assert policy.limit_ns(10**15) == 150 * MS
    policy.passed(3 * S, 3, 97)
    seconds_after = {0: 150, 9: 150, 10: 250, 20: 350, 89: 950, 90: 1050, 100: 1050, 10**6: 1050}
    assert {after: policy.limit_ns((3 + after) * S) // MS for after in seconds_after} == seconds_after


def test_a_stall_ends_at_the_next_pass_that_leaves_no_more_than_the_one_before() -> None:
    remaining = [100, 60, 50, 55, 52, 58, 57, 40]
    #                 least        1   2   3   4: more than two without a new least, and less than before
    policy = ramp(stall_passes=2)
    said = [policy.passed(i * S, i + 1, left) for i, left in enumerate(remaining)]
    assert said == [False] * 6 + [True] + [False]  # 40 is a new least: no stall any more
    assert not any(ramp().passed(i * S, i + 1, 100) for i in range(100))


def test_the_highest_limit_is_what_the_judge_allows() -> None:
    assert settings.Convergence("ramp", limit_ns=1).highest_ns == 1050 * MS
    assert settings.Convergence("stepped", limit_ns=7).highest_ns == 7
