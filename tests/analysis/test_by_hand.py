"""A guest that an operator has stand still is not judged for it; the same stop without his word is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from operated_pair import Deed, judged

from livemig.analysis.judge import judge
from livemig.config.model import Config
from livemig.emulator.emulator import Emulator

MS = 1_000_000


def scenario(**migration: Any) -> Config:
    return Config.model_validate(
        {
            "run": {"duration": "3s"},
            "machine": {"cpus": 2, "ram": "1MiB"},
            "guest": {"kind": "periodic", "periodic": {"period": "10ms"}},
            "migration": {"start": "1s", "downtime": "200ms", **migration},
        }
    )


def stop(emulator: Emulator, now: int) -> None:
    emulator.stop(now)


def cont(emulator: Emulator, now: int) -> None:
    emulator.cont(now)


def without_the_operators_word(directory: Path) -> None:
    for log in directory.glob("*.jsonl"):
        lines = log.read_text().splitlines(keepends=True)
        log.write_text("".join(line for line in lines if json.loads(line)["event"] != "operator"))


BEFORE: list[Deed] = [(305 * MS, "source", stop), (805 * MS, "source", cont)]
AFTER: list[Deed] = [(2005 * MS, "destination", stop), (2505 * MS, "destination", cont)]


@pytest.mark.parametrize("policy", ["advance", "freeze"])
@pytest.mark.parametrize("deeds", [BEFORE, AFTER], ids=["before", "after"])
def test_half_a_second_by_hand_makes_no_interrupt_late(deeds: list[Deed], policy: str, tmp_path: Path) -> None:
    """Two CPUs of a period of 10 ms: one interrupt of each is late, by the blackout of 200 ms (none under freeze)."""
    strategy = "tb-offset" if policy == "advance" else "absolute-frozen-tb"
    config = scenario(time_policy=policy, strategy=strategy)
    result = judged(config, tmp_path / "run", deeds)
    assert result.verdict == "valid", {name: v for name, v in result.checks.items() if v.word != "valid"}
    assert (result.operator.stops, result.operator.stood_ns) == (1, 500 * MS)
    assert result.interrupts.late == (2 if policy == "advance" else 0)
    assert result.interrupts.lost == 0
    assert result.interrupts.worst_late_ns <= 200 * MS
    assert result.migration.blackout_ns == 200 * MS
    behind = 500 * MS + (0 if policy == "advance" else 200 * MS)
    assert result.guest_behind_ns == pytest.approx(behind, abs=1000)


@pytest.mark.parametrize("deeds", [BEFORE, AFTER], ids=["before", "after"])
def test_the_same_stop_without_the_operators_word_is_late(deeds: list[Deed], tmp_path: Path) -> None:
    judged(scenario(), tmp_path / "run", deeds)
    without_the_operators_word(tmp_path / "run")
    result = judge(tmp_path / "run")
    assert result.operator.stops == 0
    assert result.interrupts.late == 4
    assert result.interrupts.worst_late_ns > 490 * MS


def test_a_guest_that_was_stopped_before_it_crossed_stands_at_the_destination_until_it_is_told(tmp_path: Path) -> None:
    """Stopped at 905 ms, migrated from 1 s on, arrived 200 ms after the migration's own stop, told to go on at 2 s."""
    deeds: list[Deed] = [(905 * MS, "source", stop), (2000 * MS, "destination", cont)]
    result = judged(scenario(), tmp_path / "run", deeds)
    assert result.verdict == "valid", {name: v for name, v in result.checks.items() if v.word != "valid"}
    assert result.migration.blackout_ns == 200 * MS
    logs = [tmp_path / f"run/{side}.jsonl" for side in ("source", "destination")]
    logged = [json.loads(line) for log in logs for line in log.open()]
    stops = [event for event in logged if event["event"] == "machine_stopped"]
    assert [event["state"] for event in stops] == ["paused", "finish-migrate", "paused"]
    left, arrived = stops[1]["t_ns"], stops[2]["t_ns"]
    assert arrived == left + 200 * MS
    assert result.operator.stops == 2
    assert result.operator.stood_ns == (left - 905 * MS) + (2000 * MS - arrived)
    assert stops[1]["tb"] == stops[0]["tb"]
    ran = [event for event in logged if event["event"] == "interrupt" and event["side"] == "destination"]
    assert min(event["t_ns"] for event in ran) >= 2000 * MS
    assert len(ran) == pytest.approx(200, abs=4)


def test_a_guest_that_is_to_arrive_can_be_told_to_stand(tmp_path: Path) -> None:
    result = judged(scenario(), tmp_path / "run", [(0, "destination", stop), (2000 * MS, "destination", cont)])
    assert result.verdict == "valid"
    assert result.operator.stood_ns == pytest.approx(2000 * MS - 1200 * MS, abs=50 * MS)


def test_a_paused_guest_whose_migration_is_cancelled_stays_paused(tmp_path: Path) -> None:
    cancel = [(905 * MS, "source", stop)]
    result = judged(scenario(cancel_at="1050ms", downtime="500ms"), tmp_path / "run", cancel)
    assert result.migration.status == "cancelled"
    last = [json.loads(line) for line in (tmp_path / "run/source.jsonl").open()]
    moves = [event["event"] for event in last if event["event"].startswith("machine_")][-2:]
    assert moves == ["machine_resumed", "machine_stopped"]
    assert result.interrupts.late == result.interrupts.lost == 0
