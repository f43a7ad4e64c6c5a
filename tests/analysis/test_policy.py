"""A run of which nobody said what guest time was to do over the blackout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from livemig.analysis.judge import judge
from livemig.analysis.result import Result
from livemig.analysis.text import verdict_text

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
