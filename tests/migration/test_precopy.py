"""Whole migrations with the pure machines: what each capability does to passes, bytes and the guest."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from judged_pair import events, run_judged

from livemig.analysis import case
from livemig.analysis.judge import judge
from livemig.config.load import validated
from livemig.config.model import Config

MS, S = 10**6, 10**9


def config(ram: str = "16MiB", dirty_rate: str = "8MiB/s", duration: str = "4s", **migration: Any) -> Config:
    return validated(
        {
            "run": {"duration": duration},
            "machine": {"cpus": 2, "ram": ram},
            "guest": {"kind": "periodic", "memory": {"dirty_rate": dirty_rate, "filled_percent": 100}},
            "migration": {"start": "100ms", **migration},
        },
        "test",
    )


def passes(directory: Path) -> list[dict[str, Any]]:
    return events(directory, "migration_pass")


def test_max_bandwidth_holds_in_every_window_and_the_last_pass_is_not_limited(tmp_path: Path) -> None:
    """16 MiB at 20 MiB/s are 0.8 s; the last pass goes at the link's 125 MB/s."""
    result = run_judged(config(max_bandwidth="20MiB/s", downtime_limit="1ms"), tmp_path)
    assert result.verdict == "valid"
    first, *_, last = passes(tmp_path)
    assert first["duration_ns"] == pytest.approx(800 * MS, rel=0.13)  # the last window is not filled
    assert first["rate"] <= 23 << 20
    assert last["rate"] > 100_000_000


def test_the_downtime_limit_goes_by_avail_switchover_bandwidth_where_that_is_given(tmp_path: Path) -> None:
    """What is left is at most 10 ms × 40 MB/s, not 10 ms × the 125 MB/s measured."""
    for given, bandwidth in (("0B/s", 125_000_000), ("40000000B/s", 40_000_000)):
        run_judged(
            config(dirty_rate="40MiB/s", downtime_limit="10ms", avail_switchover_bandwidth=given), tmp_path / given[:2]
        )
        last = passes(tmp_path / given[:2])[-1]
        assert last["bytes"] <= bandwidth // 100
    assert last["bytes"] < 400_000


def test_expected_downtime_is_what_was_dirty_at_the_last_look_over_the_bandwidth(tmp_path: Path) -> None:
    run_judged(config("64MiB", "200MiB/s", downtime_limit="1ms", max_passes=12), tmp_path)
    *measured, _ = passes(tmp_path)
    assert [each["expected_downtime_ns"] for each in measured[:3]] == [MS] * 3  # no second has passed yet: the limit
    for before, each in pairwise(measured[3:]):
        assert each["expected_downtime_ns"] == pytest.approx(before["remaining"] * S / each["rate"], rel=0.01)


def test_auto_converge_lets_a_migration_converge_that_would_not_and_timers_keep_their_time(tmp_path: Path) -> None:
    """120 MB/s of link, 200 MiB/s written: without it max_passes ends the migration."""
    for name, auto in (("without", False), ("with", True)):
        result = run_judged(
            config(
                "32MiB", "200MiB/s", "14s", auto_converge=auto, cpu_throttle_increment=30, downtime_limit="20ms",
                max_passes=60,
            ),
            tmp_path / name,
        )  # fmt: skip
        assert result.verdict == "valid", result.checks
        count = result.migration.passes
        assert count > 60 if not auto else count < 60
    throttled = events(tmp_path / "with", "cpu_throttled")
    assert [each["percentage"] for each in throttled] == [20, 50, 0]
    assert [each["write_rate"] for each in throttled] == [(200 << 20) * share // 100 for share in (80, 50, 100)]
    assert result.checks["tb_not_throttled"].word == "valid"
    assert result.checks["as_twin"].word == "valid"


def test_a_timebase_that_is_throttled_with_the_cpus_is_seen(tmp_path: Path) -> None:
    """Between the throttling at 20 % and the stop TB counts only four fifths of the ticks."""
    run_judged(config("32MiB", "200MiB/s", "6s", auto_converge=True, max_passes=60, downtime_limit="20ms"), tmp_path)
    path = tmp_path / "source.jsonl"
    lines = [json.loads(line) for line in path.open()]
    begin = next(line for line in lines if line["event"] == "cpu_throttled")
    assert judge(tmp_path).checks["tb_not_throttled"].word == "valid"
    for line in lines:
        if line["t_ns"] > begin["t_ns"] and "tb" in line:
            lost = (line["tb"] - begin["tb"]) // 5
            line["tb"] -= lost
            if "cpu_tb" in line:
                line["cpu_tb"] = [tb - lost for tb in line["cpu_tb"]]
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    verdict = judge(tmp_path).checks["tb_not_throttled"]
    assert verdict.word == "invalid"
    assert "behind while the guest is throttled" in verdict.reason
    with patch.object(case, "stretches", iter):  # event by event it comes to the same
        assert judge(tmp_path).checks["tb_not_throttled"] == verdict


def test_while_the_guest_is_throttled_the_bitmap_is_looked_at_every_five_seconds(tmp_path: Path) -> None:
    """64 MiB, all but what fits into 300 ms, at 5 MB/s are 13.1 s. The first two passes are periods, and throttle by
    20 %; from then on a pass ends after 5 s, and two of them throttle by 10 % more."""
    given = config("64MiB", "30MiB/s", "60s", auto_converge=True, max_passes=5)
    slow = given.link.model_copy(update={"bandwidth": 40_000_000})
    run_judged(given.model_copy(update={"link": slow}), tmp_path)
    lasted = [each["duration_ns"] / S for each in passes(tmp_path)][:-1]
    assert lasted == pytest.approx([13.1, 13.1, 5, 5, 5], rel=0.02)
    first, second, _ = events(tmp_path, "cpu_throttled")
    assert (first["percentage"], second["percentage"]) == (20, 30)
    assert (second["t_ns"] - first["t_ns"]) / S == pytest.approx(10, rel=0.01)


def test_a_dirty_limit_of_each_cpu_is_the_rate_at_which_all_of_them_write(tmp_path: Path) -> None:
    result = run_judged(
        config("32MiB", "200MiB/s", "8s", dirty_limit=True, vcpu_dirty_limit="20MiB/s", downtime_limit="20ms",
               max_passes=200),
        tmp_path,
    )  # fmt: skip
    assert result.verdict == "valid"
    begin, end = events(tmp_path, "cpu_throttled")
    assert (begin["cause"], begin["percentage"], begin["write_rate"]) == ("dirty-limit", 0, 40 << 20)
    assert (end["cause"], end["write_rate"]) == ("end", 200 << 20)
    assert result.checks["tb_not_throttled"].word == "valid"
    after = [each for each in passes(tmp_path) if each["t_ns"] > begin["t_ns"]]
    assert max(each["dirty_rate"] for each in after[1:-1]) <= Fraction(41 << 20)


def test_each_convergence_policy_stops_the_guest_at_its_own_moment(tmp_path: Path) -> None:
    """A guest that writes somewhat faster than the link: the limits, in the passes, are those of the policy."""
    policies: dict[str, dict[str, Any]] = {
        "static": {},
        "stepped": {"downtime_delay": "16s", "downtime_steps": 4},
        "ramp": {"ramp_cooldown": "300ms", "ramp_step": "50ms", "ramp_start": "50ms"},
        "stall": {"convergence": "ramp", "ramp_limit": "50ms", "ramp_start": "50ms", "stall_passes": 2},
    }
    limits, blackouts = {}, {}
    for name, more in policies.items():
        given = {"convergence": name, "downtime_limit": "200ms", **more}
        result = run_judged(config("64MiB", "220MiB/s", "12s", **given), tmp_path / name)
        assert result.verdict == "valid", result.checks
        limits[name] = [each["downtime_limit_ns"] // MS for each in passes(tmp_path / name)]
        blackouts[name] = result.migration.blackout_ns
    assert set(limits["static"]) == {200}
    assert (limits["stepped"][0], limits["stepped"][-1]) == (50, 200)  # 64 MiB of 16 s a GiB: a step a second
    assert limits["ramp"][:3] == [50, 50, 50]
    assert limits["ramp"][-1] > 150
    assert set(limits["stall"]) == {50}
    assert len(limits["stall"]) < 20  # not by max_passes
    assert blackouts["stall"] > 100 * MS


def test_pause_before_switchover_shows_as_a_state_of_its_own(tmp_path: Path) -> None:
    result = run_judged(config(pause_before_switchover=True), tmp_path)
    assert result.verdict == "valid"
    assert [each["status"] for each in events(tmp_path, "migration_state")] == [
        "setup", "active", "pre-switchover", "device", "completed",
    ]  # fmt: skip
