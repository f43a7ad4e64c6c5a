"""A scripted guest, on a pair: when it does what, and what the judge makes of what it expects.

TB counts at 1 MHz: a tick is a microsecond. A handler takes 20 us, and writes 4 us after delivery.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from judged_pair import events, run_judged

from livemig.analysis.result import Result
from livemig.config.load import validated
from livemig.emulator import build
from livemig.errors import ProtocolError
from livemig.machine.bounds import check_state
from livemig.machine.snapshot import Snapshot, TimeParts
from livemig.machine.version import NEWEST


def crossed(directory: Path, lines: str, **keys: dict[str, Any]) -> Result:
    config = {
        "run": {"duration": "40ms"},
        "machine": {"timebase_hz": "1MHz", "ram": "1MiB"} | keys.get("machine", {}),
        "guest": {
            "kind": "script", "script": {"lines": lines}, "handler_time": "20us", "arm_delay": "4us",
            "memory": {"dirty_rate": "0B/s", "filled_percent": 0},
        },
        "migration": {"start": "10ms", "downtime": "5ms"} | keys.get("migration", {}),
    }  # fmt: skip
    return run_judged(validated(config, "script"), directory)


def told(directory: Path, *names: str) -> list[tuple[int, Any]]:
    """(us of the run, what) of these events on either side."""
    seen = [event for side in ("source", "destination") for event in events(directory, *names, side=side)]
    return [(event["t_ns"] // 1000, event.get("value", event.get("found"))) for event in seen if event["t_ns"]]


def test_lines_up_to_a_wait_are_one_tick_and_a_handler_holds_the_script_up(tmp_path: Path) -> None:
    """DECR runs out at 100 us, in the wait to 150; the handler writes at 104 and ends at 120: the script goes on at
    170. What it wrote, 500, is over at 604, in the wait to 670, which that makes 690."""
    lines = "decr = 100; wait 150; expect decr 1; wait 500; expect decr 1; decr = 0x7fffffff; on decr; decr = 500"
    assert crossed(tmp_path, lines).verdict == "valid"
    assert [at for at, _ in told(tmp_path, "guest_expected")] == [170, 690]
    armed = [(at, value) for at, value in told(tmp_path, "timer_armed") if at < 1000]
    assert armed == [(104, 500), (608, 500), (690, 0x7FFFFFFF)]


def test_the_script_stands_still_over_the_blackout(tmp_path: Path) -> None:
    result = crossed(tmp_path, "decr = 30000; wait 20ms; expect decr reads 5000..5000")
    assert result.verdict == "valid"
    (at, found) = told(tmp_path, "guest_expected")[0]
    assert (at, found) == (25_000, 5_000)  # 20 ms of its own, 5 ms of blackout


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("decr = 100; wait 200; expect decr 2", "1 interrupts of decr of cpu 0, expected 2; 1 of 1 expectation failed"),
        ("wait 5; decr = 9; expect decr reads 10..", "decr of cpu 0 reads 9, expected 10 .. ; 1 of 1"),
        ("decr = 9; expect decr reads ..8; wait 1; expect decr reads 8..8", "reads 9, expected  .. 8; 1 of 2"),
        ("decr = 0x7fffffff; expect decr 0; wait 50ms; expect decr 0", "the guest came to 1 of 2 expectations"),
    ],
)
def test_what_does_not_hold_is_the_verdict(tmp_path: Path, lines: str, said: str) -> None:
    result = crossed(tmp_path, lines)
    check = result.checks["guest_as_expected"]
    assert check.word == "invalid"
    assert said in check.reason
    assert result.verdict == "invalid"


def test_without_expectations_there_is_no_such_check(tmp_path: Path) -> None:
    assert "guest_as_expected" not in crossed(tmp_path, "decr = 100").checks


def test_masked_is_masked_on_either_side_and_counts_cross_with_the_guest(tmp_path: Path) -> None:
    lines = "ee off; decr = 100; wait 15ms; expect decr 0; ee on; wait 100; expect decr 1; on decr; decr = 0x7fffffff"
    result = crossed(tmp_path, lines)
    assert result.verdict == "valid"
    assert result.checks["pending_preserved"].word == "valid"


def test_a_level_is_delivered_again_while_nobody_takes_its_cause_away(tmp_path: Path) -> None:
    """From 200 us on every 20 us, the handler's length, over 34.8 ms of guest time; the script itself gets nowhere."""
    lines = "ee off; decr = 100; wait 200; ee on; wait 1000; expect decr 1"
    result = crossed(tmp_path, lines, machine={"trigger": "level"})
    assert result.checks["none_duplicated"].word == "valid"
    assert result.checks["pending_preserved"].word != "invalid"
    assert result.interrupts.repeated == result.interrupts.delivered - 1
    assert abs(result.interrupts.delivered - 1740) <= 1
    assert "came to 0 of 1" in result.checks["guest_as_expected"].reason


def test_on_an_edge_cpu_the_same_script_has_one(tmp_path: Path) -> None:
    lines = "ee off; decr = 100; wait 200; ee on; wait 100; expect decr 1; decr = 0x7fffffff"
    assert crossed(tmp_path, lines, machine={"trigger": "edge"}).verdict == "valid"


def test_ce_masks_what_ee_does_not(tmp_path: Path) -> None:
    lines = (
        "hdecr = 1000000; ee off; ce off; hdecr = 100; wait 15ms; expect hdecr 0; ee on; wait 10; expect hdecr 0; "
        "ce on; wait 10; expect hdecr 1; on hdecr; hdecr = 0x7fffffff"
    )
    result = crossed(tmp_path, lines, machine={"model": "powernv", "timebase_hz": "1MHz"})
    assert result.checks["guest_as_expected"].word == "valid"


def test_a_script_that_is_done_is_done(tmp_path: Path) -> None:
    result = crossed(tmp_path, "decr = 12000; on decr; decr = 3000")
    assert result.verdict == "valid"
    assert result.interrupts.delivered > 5


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda cpu: cpu.pop("thread_in"), r"cpu\.thread_in: None is not a number"),
        (lambda cpu: cpu.update(thread_in=-2), r"cpu\.thread_in: -2 is not a number from -1"),
        (lambda cpu: cpu.update(thread_in=1 << 62), r"cpu\.thread_in"),
        (lambda cpu: cpu.update(unmask_in=[-2, 0]), r"cpu\.unmask_in: -2 is not"),
        (lambda cpu: cpu["guest"].update(line=4), r"cpu\.guest\.line: 4 is not a number from 0 to 3"),
        (lambda cpu: cpu["guest"]["seen"].pop("decr"), r"cpu\.guest\.seen: is not of decr"),
    ],
)
def test_a_state_that_no_script_can_go_on_from_is_refused(spoil: Any, said: str) -> None:
    guest = {"kind": "script", "script": {"lines": "wait 1; wait 2; wait 3"}}
    config = validated({"machine": {"ram": "1MiB"}, "guest": guest}, "script")
    machine = build.machine(config, "source")
    machine.boot(0)
    memory = {"run_ns": 0, "lags_ns": [0], "digest": ""}
    cpus = [{"index": 0, **machine.cpus[0].registers()}]
    good = Snapshot(NEWEST, "tb-offset", TimeParts({}), cpus, memory, [])
    check_state(machine, good)
    spoil(cpus[0])
    with pytest.raises(ProtocolError, match=said):
        check_state(machine, good)
