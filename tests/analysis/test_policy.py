"""A run of which nobody said what guest time was to do over the blackout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from livemig.analysis.judge import judge
from livemig.analysis.result import Result
from livemig.analysis.text import verdict_text
from livemig.errors import InputError

from .histories import arm, ended, irq, judged, masked, resume, stop
from .test_judge import GOOD, write

D = "destination"
ADVANCES = [arm(0, 100), stop(50, decr=[50]), resume(150, decr=[-50]), irq(150, side=D), ended(300, D)]
FREEZES = [
    arm(0, 100),
    stop(50, decr=[50]),
    resume(150, tb=50, decr=[50]),
    irq(200, side=D, tb=100),
    ended(300, D),
]


def foreign(*history: dict[str, Any], **manifest: Any) -> Result:
    return judged(*history, engine="qemu", strategy=None, **{"time_policy": None} | manifest)


@pytest.mark.parametrize(("history", "policy"), [(ADVANCES, "advance"), (FREEZES, "freeze")])
def test_what_tb_does_is_the_policy_that_is_judged_by(history: list[dict[str, Any]], policy: str) -> None:
    result = foreign(*history)
    assert result.as_dict()["time_policy"] == {"asked": None, "found": policy}
    assert result.checks["tb_continuous"].word == "valid"
    assert f"policy {policy}, found" in result.checks["tb_continuous"].reason
    assert result.verdict == "valid"


def test_the_account_keeps_the_time_that_was_found() -> None:
    assert (foreign(*FREEZES).interrupts.on_time, foreign(*FREEZES).interrupts.late) == (1, 0)
    assert (foreign(*ADVANCES).interrupts.late, foreign(*ADVANCES).interrupts.worst_late_ns) == (1, 50)


def test_what_does_neither_is_invalid_and_judged_by_the_nearest() -> None:
    result = foreign(arm(0, 100), stop(50), resume(150, tb=90), ended(300, D))
    verdict = result.checks["tb_continuous"]
    assert verdict.word == "invalid"
    assert verdict.reason == "TB resumes 40 ticks (40 ns) ahead; neither advance nor freeze, nearest to freeze"
    assert result.as_dict()["time_policy"] == {"asked": None, "found": None}
    assert "no policy; nearest: freeze" in verdict_text(result)


def test_in_wall_mode_the_host_may_add_the_tolerance() -> None:
    history = [stop(50), resume(150, tb=60)]
    assert foreign(*history, clock="wall", late_tolerance_ns=10).time_policy.found == "freeze"
    assert foreign(*history, clock="wall", late_tolerance_ns=8).time_policy.found is None


def test_where_a_policy_was_asked_for_it_is_held_to_that_and_the_other_is_named() -> None:
    result = judged(*FREEZES)
    assert result.checks["tb_continuous"].word == "invalid"
    assert result.as_dict()["time_policy"] == {"asked": "advance", "found": "freeze"}


def test_a_blackout_too_short_to_tell_shows_what_was_asked_for() -> None:
    for policy in ("advance", "freeze"):
        result = judged(stop(50), resume(50), time_policy=policy)
        assert result.time_policy.found == policy


def test_it_is_settled_before_the_next_event_at_the_same_instant() -> None:
    """The destination logs the resume and a delivery at one instant; under `freeze` that is not late."""
    history = [arm(0, 50), masked(50), stop(50, pending=[["decrementer"]])]
    history += [resume(150, tb=50, pending=[["decrementer"]]), irq(150, side=D, tb=50), ended(300, D)]
    assert foreign(*history).interrupts.late == 0


def test_what_was_not_recorded_is_unknown_and_does_not_stop_the_judge() -> None:
    nothing: dict[str, Any] = {"tb": None, "cpu_tb": None, "clock_ns": None, "decr": [None]}
    history = [arm(0, 40) | {"tb": None}, irq(40) | {"tb": None}, stop(50) | nothing, resume(150) | nothing]
    result = foreign(*history, ended(300, D))
    for name in ("tb_continuous", "tb_synchronised", "decr_matches_tb", "tb_monotonic"):
        assert result.checks[name].word == "unknown"
    assert (result.interrupts.on_time, result.timebase.at_stop, result.guest_behind_ns) == (1, None, None)
    assert result.time_policy.found is None


def test_the_decrementers_that_were_recorded_are_judged() -> None:
    ends = {"cpu_tb": [50, 50], "pending": [[], []]}
    history = [stop(50, decr=[None, 70], **ends), resume(150, tb=50, decr=[5, 60], **ends)]
    result = foreign(*history, cpus=2)
    assert [decrementer.cpu for decrementer in result.decrementer] == [1]
    assert "10 ticks (10 ns) on cpu 1; 1 of 1 CPU affected" in result.checks["decr_matches_tb"].reason


def test_a_digest_that_was_not_recorded_does_not_spoil_the_verdict() -> None:
    result = foreign(*[event | ({"ram_digest": None} if "ram_digest" in event else {}) for event in FREEZES])
    assert result.checks["ram_identical"].word == "unknown"
    assert result.checks["ram_identical"].reason == "not exercised: the digest of RAM was not recorded"
    assert result.verdict == "valid"


def test_the_judge_may_be_asked_for_another_policy(tmp_path: Path) -> None:
    write(tmp_path, GOOD, time_policy=None)
    assert judge(tmp_path).checks["tb_continuous"].word == "valid"
    assert judge(tmp_path, time_policy="advance").checks["tb_continuous"].word == "valid"
    assert judge(tmp_path, time_policy="freeze").checks["tb_continuous"].word == "invalid"


AT_MOST: dict[str, Any] = {"time_policy": "advance-at-most:40ns", "advance_at_most_ns": 40}
CLAMPED = [stop(50, decr=[250]), resume(150, tb=90, decr=[210])]
"""Of a blackout of 100, guest time has 40: from then on it is 60 behind the world's."""


def test_at_most_so_much_is_held_to_that() -> None:
    result = judged(*CLAMPED, **AT_MOST)
    assert result.as_dict()["time_policy"] == {"asked": "advance-at-most:40ns", "found": "advance-at-most:40ns"}
    assert result.timebase.error_ticks == 0
    assert [cpu.error_ticks for cpu in result.decrementer] == [0]
    assert result.checks["tb_continuous"].reason == "TB resumes where it must; policy advance-at-most:40ns"
    assert judged(*ADVANCES, **AT_MOST).checks["tb_continuous"].reason == (
        "TB resumes 60 ticks (60 ns) ahead; policy advance-at-most:40ns"
    )
    assert judged(*FREEZES, **AT_MOST).checks["tb_continuous"].reason.startswith("TB resumes 40 ticks (40 ns) behind")
    assert judged(*CLAMPED).checks["tb_continuous"].reason.startswith("TB resumes 60 ticks (60 ns) behind")


def test_a_pause_shorter_than_that_passes_whole() -> None:
    assert judged(*ADVANCES, time_policy="advance-at-most:1us", advance_at_most_ns=1000).verdict == "valid"


def test_at_most_so_much_is_the_time_of_the_account() -> None:
    after = judged(arm(0, 300), *CLAMPED, irq(360, side=D, tb=300), ended(500, D), **AT_MOST)
    assert (after.interrupts.on_time, after.interrupts.late) == (1, 0)
    within = judged(arm(0, 60), *CLAMPED, irq(150, side=D, tb=90), ended(500, D), **AT_MOST)
    assert (within.interrupts.late, within.interrupts.worst_late_ns) == (1, 30)  # it stood still from 50 to 90
    assert within.checks["lateness_bounded"].word == "valid"
    assert {part: ticks for part, ticks in within.attributed.total.items() if ticks} == {"downtime": 30}
    late = judged(arm(0, 60), *CLAMPED, irq(160, side=D, tb=100), ended(500, D), **AT_MOST)
    assert late.checks["lateness_bounded"].word == "invalid"
    assert {part: ticks for part, ticks in late.attributed.total.items() if ticks} == {"downtime": 30, "restore": 10}


def test_a_second_pause_is_as_long_as_it_is_after_a_first() -> None:
    again = [stop(200, side=D, tb=140, decr=[160]), resume(300, side=D, tb=180, decr=[120])]
    twice = judged(arm(0, 300), *CLAMPED, *again, irq(420, side=D, tb=300), ended(500, D), **AT_MOST)
    assert (twice.interrupts.on_time, twice.interrupts.late) == (1, 0)
    due_then = judged(arm(0, 150), *CLAMPED, *again, irq(300, side=D, tb=180), ended(500, D), **AT_MOST)
    assert (due_then.interrupts.late, due_then.interrupts.worst_late_ns) == (1, 30)
    assert due_then.checks["lateness_bounded"].word == "valid"
    assert due_then.attributed.total["downtime"] == 30


def test_the_policy_needs_its_time() -> None:
    with pytest.raises(InputError, match="advance_at_most_ns"):
        judged(*CLAMPED, time_policy="advance-at-most:40ns")


def test_a_stored_run_may_be_judged_by_another_time(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert judge(tmp_path).checks["tb_continuous"].word == "valid"
    limited = judge(tmp_path, "advance-at-most:99ns", 99)
    assert limited.checks["tb_continuous"].word == "valid"  # within a tick
    assert judge(tmp_path, "advance-at-most:90ns", 90).checks["tb_continuous"].word == "invalid"
