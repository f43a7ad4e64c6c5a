"""Where TB was not read in place the manifest says how far it may be off; a tick is a nanosecond here."""

from __future__ import annotations

import pytest

from livemig.analysis.case import Case
from livemig.analysis.judge import result_of
from livemig.analysis.manifest import Manifest
from livemig.analysis.result import Result

from .histories import Event, arm, irq, log, masked, resume, run_json, stop

MS = 1_000_000


def judged(*events: Event, tolerance_ns: int | None = 100, policy: str | None = "freeze") -> Result:
    raw = run_json(clock="wall", late_tolerance_ns=20 * MS, lost_after_ns=1000 * MS, time_policy=policy, cpus=2)
    raw["judge"]["timebase_tolerance_ns"] = tolerance_ns
    return result_of(Case(Manifest.parse(raw), log(list(events), "source"), log(list(events), "destination")))


def word(result: Result, check: str) -> str:
    return result.checks[check].word


@pytest.mark.parametrize(
    ("fall", "tolerance", "says"), [(100, 100, "valid"), (101, 100, "invalid"), (1, None, "invalid")]
)
def test_tb_falls_if_it_falls_by_more_than_a_reading_may_be_off(fall: int, tolerance: int | None, says: str) -> None:
    events = arm(1000, 10 * MS, tb=1000), arm(2000, 10 * MS, tb=1000 - fall)
    assert word(judged(*events, tolerance_ns=tolerance), "tb_monotonic") == says


@pytest.mark.parametrize(("ahead", "says"), [(101, "valid"), (102, "invalid")])
def test_tb_goes_on_where_it_stood_within_that_and_a_tick(ahead: int, says: str) -> None:
    """And not within the 20 ms that the host may delay an interrupt by."""
    events = stop(5 * MS), resume(9 * MS, tb=5 * MS + ahead)
    assert word(judged(*events), "tb_continuous") == says


def test_a_policy_is_found_within_that() -> None:
    """A blackout of 4 ms would be lost in the 20 ms of lateness."""
    for moved, policy in ((0, "freeze"), (4 * MS, "advance")):
        result = judged(stop(5 * MS), resume(9 * MS, tb=5 * MS + moved), policy=None)
        assert policy in result.checks["tb_continuous"].reason
    assert word(judged(stop(5 * MS), resume(9 * MS, tb=7 * MS), policy=None), "tb_continuous") == "invalid"


@pytest.mark.parametrize(
    ("apart", "tolerance", "says"), [(100, 100, "valid"), (101, 100, "invalid"), (1, None, "invalid")]
)
def test_cpus_agree_within_that(apart: int, tolerance: int | None, says: str) -> None:
    events = stop(5 * MS, cpu_tb=[5 * MS] * 2), resume(9 * MS, tb=5 * MS, cpu_tb=[5 * MS, 5 * MS + apart])
    assert word(judged(*events, tolerance_ns=tolerance), "tb_synchronised") == says


@pytest.mark.parametrize(("after_ms", "says"), [(900, "valid"), (1100, "invalid")])
def test_what_is_raised_anew_long_after_the_resume_is_not_what_was_pending(after_ms: int, says: str) -> None:
    again = 9 * MS + after_ms * MS
    events = (
        arm(1 * MS, 1 * MS),
        masked(2 * MS),
        stop(5 * MS, pending=[["decrementer"], []], decr=[-1, 0]),
        resume(9 * MS, tb=5 * MS, pending=[[], []], decr=[-1, 0]),
        masked(again, side="destination"),
        irq(again + 1, side="destination"),
    )
    assert word(judged(*events), "pending_preserved") == says
