"""Steps of a crossing that take host time: what each strategy makes of it, worked out by hand.

TB counts at 1 MHz, so a tick is a microsecond. Each step of the save takes 10 us, of the load 40 us; two CPUs. With S
the stop, and R = S + 10 ms the resume, TB is read at S + 10, the CPUs at S + 20 and S + 30, all is saved at S + 40; TB
is loaded at R - 160, the CPUs at R - 120 and R - 80, they are armed at R - 40.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_pair import events, run_judged

from livemig.analysis.result import Result
from livemig.config.load import validated
from livemig.launch.in_process import run_in_memory
from livemig.migration.steps import Steps

KEYS = {
    "run": {"duration": "100ms"},
    "machine": {"cpus": 2, "timebase_hz": "1MHz", "ram": "1MiB"},
    "guest": {"kind": "periodic", "memory": {"dirty_rate": "0B/s"}},
    "migration": {"start": "21ms", "downtime": "10ms", "save_step": "10us", "load_step": "40us"},
}


def crossed(directory: Path, strategy: str, **migration: str) -> Result:
    keys = {**KEYS, "migration": {**KEYS["migration"], "strategy": strategy, **migration}}
    return run_judged(validated(keys, "steps"), directory)


def errors(result: Result) -> list[int | None]:
    return [cpu.error_ticks for cpu in result.decrementer]


def test_the_instants_of_two_cpus_by_hand() -> None:
    assert Steps(10, 2).of_save(1000) == {
        "stop": 1000, "tb-read": 1010, "decr-read-0": 1020, "decr-read-1": 1030, "save": 1040,
    }  # fmt: skip
    assert Steps(40, 2).of_load(5000) == {
        "tb-load": 4840, "decr-load-0": 4880, "decr-load-1": 4920, "arm": 4960, "resume": 5000,
    }  # fmt: skip


@pytest.mark.parametrize("strategy", ["tb-offset", "snapshot-tuple", "channel-clock", "clamped"])
def test_a_right_strategy_does_not_care_when_its_steps_are_taken(tmp_path: Path, strategy: str) -> None:
    result = crossed(tmp_path, strategy)
    assert result.verdict == "valid"
    assert (result.timebase.error_ticks, errors(result)) == (0, [0, 0])
    assert result.migration.blackout_ns == 10_000_000


def test_absolute_loses_the_ticks_from_a_cpus_read_to_its_load(tmp_path: Path) -> None:
    """CPU 0: R - 120 - (S + 20) = 10,000 - 140; CPU 1: R - 80 - (S + 30) = 10,000 - 110."""
    result = crossed(tmp_path, "absolute")
    assert (result.timebase.error_ticks, errors(result)) == (0, [9_860, 9_890])


def test_per_cpu_timebases_come_apart_by_load_less_save_for_each_cpu(tmp_path: Path) -> None:
    """TB goes on by tb-load - tb-read = 9830, CPU 0's from 9860 us of the world, CPU 1's from 9890."""
    crossed(tmp_path, "per-cpu-timebase")
    (stop,), (resume,) = events(tmp_path, "machine_stopped"), events(tmp_path, "machine_resumed", side="destination")
    passed = [after - before for before, after in zip(stop["cpu_tb"], resume["cpu_tb"], strict=True)]
    assert passed == [10_000 - 30, 10_000 - 60]


def test_double_read_loses_the_ticks_from_tbs_load_to_a_cpus(tmp_path: Path) -> None:
    result = crossed(tmp_path, "double-read")
    assert (result.timebase.error_ticks, errors(result)) == (0, [-40, -80])


@pytest.mark.parametrize("strategy", ["absolute-frozen-tb", "tb-write-dropped", "frequency-change"])
def test_where_the_virtual_clock_stands_still_no_step_takes_guest_time(tmp_path: Path, strategy: str) -> None:
    result = crossed(tmp_path, strategy, time_policy="freeze")
    assert result.verdict == "valid"
    assert (result.timebase.error_ticks, errors(result)) == (0, [0, 0])


def test_the_dead_clamp_stands_still_from_read_to_load_only(tmp_path: Path) -> None:
    """TB counts on for the 10 us before its read and the 160 us after its load."""
    result = crossed(tmp_path, "qemu-dead-clamp")
    assert result.timebase.error_ticks == -(10_000 - 170)


def test_a_blackout_is_never_shorter_than_its_steps(tmp_path: Path) -> None:
    """Four steps of 3 ms on either side, 24 ms, where 10 ms were asked for."""
    result = crossed(tmp_path, "tb-offset", save_step="3ms", load_step="3ms")
    assert 24_000_000 < (result.migration.blackout_ns or 0) < 25_000_000
    assert (result.timebase.error_ticks, errors(result)) == (0, [0, 0])


def test_the_log_says_when_each_step_was_taken(tmp_path: Path) -> None:
    crossed(tmp_path, "tb-offset")
    stopped, saved = events(tmp_path, "machine_stopped", "state_saved")
    restored, resumed = events(tmp_path, "state_restored", "machine_resumed", side="destination")
    assert saved["barriers"] == Steps(10_000, 2).of_save(stopped["t_ns"])
    loaded = restored["barriers"]
    assert loaded.pop("send") == saved["barriers"]["save"]  # nothing was left to be sent before it
    assert saved["barriers"]["save"] < loaded.pop("receive") < loaded["tb-load"]
    assert loaded == Steps(40_000, 2).of_load(resumed["t_ns"])


def moments(strategy: str, hz: int, cpus: int, save_ns: int, load_ns: int, downtime_ns: int) -> list[dict[str, Any]]:
    """What is logged of the stop, the save, the restore and the resume."""
    keys: dict[str, Any] = {
        "run": {"duration": "60ms"},
        "machine": {"cpus": cpus, "timebase_hz": f"{hz}Hz", "ram": "1MiB"},
        "guest": {"kind": "script", "script": {"lines": "decr = 1000000"}, "memory": {"dirty_rate": "0B/s"}},
        "migration": {
            "strategy": strategy, "start": "5ms", "downtime": f"{downtime_ns}ns", "save_step": f"{save_ns}ns",
            "load_step": f"{load_ns}ns",
        },
    }  # fmt: skip
    outcome, logs = run_in_memory(validated(keys, "steps"))
    assert outcome.status == "completed"
    wanted = {"source": ("machine_stopped", "state_saved"), "destination": ("state_restored", "machine_resumed")}
    lines = [orjson.loads(line) for log in logs.values() for line in log.splitlines()]
    return [line for line in lines if line["event"] in wanted[line["side"]] and not (
        line["event"] == "machine_resumed" and line["side"] == "source")]


CASES = given(
    hz=st.integers(1000, 10**9),
    cpus=st.integers(1, 3),
    save_ns=st.integers(1, 2_000_000),
    load_ns=st.integers(1, 2_000_000),
    downtime_ns=st.integers(0, 20_000_000),
)


@settings(max_examples=25, deadline=None)
@CASES
def test_at_any_frequency_and_pace_absolute_is_the_ticks_of_the_world_from_read_to_load_off(
    hz: int, cpus: int, save_ns: int, load_ns: int, downtime_ns: int
) -> None:
    """TB is the world's ticks here, for it began at 0; so each DECR stands still for those between its two instants."""
    stop, saved, restored, resume = moments("absolute", hz, cpus, save_ns, load_ns, downtime_ns)
    for cpu in range(cpus):
        slip = resume["decr"][cpu] + resume["cpu_tb"][cpu] - stop["decr"][cpu] - stop["cpu_tb"][cpu]
        read_at, loaded_at = saved["barriers"][f"decr-read-{cpu}"], restored["barriers"][f"decr-load-{cpu}"]
        assert slip == loaded_at * hz // 10**9 - read_at * hz // 10**9


@settings(max_examples=25, deadline=None)
@CASES
def test_at_any_frequency_and_pace_tb_offset_is_exact(
    hz: int, cpus: int, save_ns: int, load_ns: int, downtime_ns: int
) -> None:
    stop, _, _, resume = moments("tb-offset", hz, cpus, save_ns, load_ns, downtime_ns)
    for cpu in range(cpus):
        assert resume["cpu_tb"][cpu] == resume["t_ns"] * hz // 10**9
        assert resume["decr"][cpu] + resume["cpu_tb"][cpu] == stop["decr"][cpu] + stop["cpu_tb"][cpu]
