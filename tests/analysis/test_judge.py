"""From a run directory to a result."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pytest

from livemig.analysis.judge import judge
from livemig.analysis.result import exit_code
from livemig.analysis.text import verdict_text
from livemig.errors import InputError

from .histories import arm, ended, irq, judged, passed, resume, run_json, state, stop

D = "destination"


def write(directory: Path, events: list[dict[str, Any]], **manifest: Any) -> Path:
    (directory / "run.json").write_bytes(orjson.dumps(run_json(**manifest)))
    for side in ("source", D):
        lines = [orjson.dumps(event) + b"\n" for event in events if event["side"] == side]
        (directory / f"{side}.jsonl").write_bytes(b"".join(lines))
    return directory


GOOD = [
    state(0, "active"),
    arm(0, 40),
    irq(40),
    passed(41, 5000),
    arm(42, 200),
    stop(50, decr=[192], tb=50),
    passed(60, 100),
    resume(150, decr=[92], tb=150),
    irq(242, side=D),
    state(200, "completed"),
    ended(200),
    ended(300, D),
]


def test_the_machine_readable_result_is_the_designs(tmp_path: Path) -> None:
    told = judge(write(tmp_path, GOOD, downtime_ns=100, strategy="tb-offset", seed=7)).as_dict()
    counts = {
        "armed": 2,
        "on_time": 2,
        "late": 0,
        "early": 0,
        "doubled": 0,
        "lost": 0,
        "superseded": 0,
        "pending": 0,
        "stray": 0,
        "repeated": 0,
        "delivered": 2,
        "worst_late_ns": 0,
        "overdue_ns": 0,
        "hung": 0,
    }
    checks, impact = told.pop("checks"), told.pop("impact")
    assert [(threshold["tripped"], threshold["value_ns"]) for threshold in impact[:1]] == [(False, 0)]
    assert told == {
        "run_dir": str(tmp_path),
        "engine": "emulator",
        "strategy": "tb-offset",
        "seed": 7,
        "verdict": "valid",
        "migration": {
            "status": "completed",
            "owner": "destination",
            "reason": None,
            "blackout_ns": 100,
            "passes": 2,
            "bytes": 5100,
            "total_ns": None,
            "machine_version": None,
            "lost": [],
            "hops": 1,
        },
        "precopy": None,
        "postcopy": None,
        "interrupts": counts,
        "cpus": [{"cpu": 0, **counts, "missing": None}],
        "timebase": {"hz": 1_000_000_000, "at_stop": 50, "at_resume": 150, "error_ticks": 0, "skew_ticks": 0},
        "decrementer": [{"cpu": 0, "at_stop": 192, "at_resume": 92, "error_ticks": 0}],
        "guest_behind_ns": 0,
        "operator": {"stops": 0, "stood_ns": 0, "reset": False},
        "time_policy": {"asked": "advance", "found": "advance"},
        "inference": {
            "strategy": "tb-offset",
            "residual_ticks": 0,
            "ties": ["snapshot-tuple", "channel-clock", "clamped"],
            "others": {
                "none": 143,  # DECR: 92, not -51
                "absolute": 100,
                "absolute-frozen-tb": 100,
                "qemu-dead-clamp": 100,
                "kvm-tbu40": 16_777_116,  # TB: 150, not 50 + 2^24
                "tb-write-dropped": 100,
                "frequency-change": 100,
                "deadline-before-clock": 150,  # DECR: 92, not 192 + 50
                "double-read": 1000,  # a microsecond
            },
        },
        "attribution": [],
        "attribution_total": {
            "interrupts": 0,
            "late_ticks": 0,
            "parts": {
                "guest_masked": 0,
                "precopy_throttling": 0,
                "stop": 0,
                "last_transfer": 0,
                "downtime": 0,
                "restore": 0,
                "offset_rounding": 0,
                "postcopy_fault": 0,
                "host_stopped": 0,
                "unexplained": 0,
            },
        },
        "hops": [
            {
                "hop": 1,
                "blackout_ns": 100,
                "tb_error_ticks": 0,
                "decr_error_ticks": 0,
                "stayed_ticks": 0,
                "hop_ticks": 0,
                "drift_ticks": 0,
                "decr_slip_ticks": [{"cpu": 0, "ticks": 0}],
            }
        ],
    }
    assert checks["ram_identical"] == {
        "verdict": "valid",
        "reason": "RAM has the digest aa on both sides",
        "evidence": [
            {"file": "source.jsonl", "line": 6, "t_ns": 50},
            {"file": "destination.jsonl", "line": 1, "t_ns": 150},
        ],
    }
    orjson.dumps(told)


def test_errors_are_what_is_read_less_what_the_policy_asks_for() -> None:
    frozen = [stop(50, decr=[500]), resume(150, tb=50, decr=[500])]
    advance = judged(*frozen)
    assert (advance.timebase.error_ticks, advance.decrementer[0].error_ticks) == (-100, 100)
    assert advance.guest_behind_ns == 100
    freeze = judged(*frozen, time_policy="freeze")
    assert (freeze.timebase.error_ticks, freeze.decrementer[0].error_ticks) == (0, 0)


def test_the_none_strategy_of_the_thread_by_hand() -> None:
    """A destination that kept DECR = 0xffffffff - TB: after 0.5 s at 16.6 MHz from TB 16.6 M."""
    hz, at_stop = 16_600_000, 16_600_000
    after = (1 << 32) - 1 - (at_stop + hz // 2)
    second = 1_000_000_000
    result = judged(
        stop(second, tb=at_stop, decr=[1000]),
        resume(second * 3 // 2, tb=at_stop + hz // 2, decr=[after - (1 << 32)]),
        timebase_hz=hz,
    )
    assert result.timebase.error_ticks == 0
    # Right is 1000 - 8 300 000; read, as signed: -24 900 001.
    assert result.decrementer[0].error_ticks == -24_900_001 - (1000 - 8_300_000)


def test_the_guest_behind_the_world_knows_no_rounding() -> None:
    assert judged(arm(1, 5, tb=0), arm(301, 5, tb=4), timebase_hz=16_600_000).guest_behind_ns == 0
    # 300 ns at 16.6 MHz are 4.98 ticks; two ticks are 120.48 ns.
    assert judged(arm(1, 5, tb=0), arm(301, 5, tb=2), timebase_hz=16_600_000).guest_behind_ns == 120
    assert judged(timebase_hz=16_600_000).guest_behind_ns is None


def test_missing_against_the_twin_by_cpu() -> None:
    twin = [arm(0, 5), arm(0, 5, cpu=1), irq(5), irq(5, cpu=1)]
    result = judged(arm(0, 5), arm(0, 5, cpu=1), irq(5), ended(20), twin=twin, cpus=2)
    assert [cpu["missing"] for cpu in result.as_dict()["cpus"]] == [0, 1]


def test_exit_codes() -> None:
    assert exit_code(judged(*GOOD)) == 0
    assert exit_code(judged(*GOOD, time_policy="freeze")) == 1
    assert (
        exit_code(judged(*[event for event in GOOD if event["event"] not in ("interrupt", "timer_armed")]))
        == 1
    )
    assert exit_code(judged(arm(0, 10), irq(10), ended(20))) == 3


def test_a_guest_whose_process_died_after_it_crossed_is_no_good_migration_whatever_the_logs_say() -> None:
    dead = judged(*GOOD, owner="none", reason="the destination was ended by signal 9")
    assert (dead.migration.owner, exit_code(dead)) == ("none", 3)
    assert "nobody runs it now: the destination was ended by signal 9" in verdict_text(dead)
    assert exit_code(judged(*GOOD, owner="destination")) == 0


def test_a_source_log_that_breaks_off_before_the_stop_makes_no_check_fail() -> None:
    """A full disk, say: the destination's log goes on from a resume that follows no stop."""
    history = [arm(0, 10), resume(60), irq(70, side="destination"), ended(80, side="destination")]
    split = judged(*history)
    assert split.checks["one_owner"].word == "invalid"
    torn = judged(*history, status="completed", owner="destination", torn=["source"])
    assert {verdict.word for verdict in torn.checks.values()} == {"valid", "unknown"}
    assert torn.verdict == "unknown"
    assert "breaks off" in torn.checks["one_owner"].reason


def test_a_migration_that_failed_leaves_the_guest_on_the_source() -> None:
    history = [arm(0, 10), state(5, "failed", "peer lost"), irq(10), ended(20)]
    told = judged(*history, status="failed", owner="source").migration
    assert (told.status, told.reason, told.owner, told.blackout_ns) == ("failed", "peer lost", "source", None)


def test_where_the_sources_log_breaks_off_the_launcher_knows_the_status() -> None:
    told = judged(
        state(0, "active"), stop(50), status="failed", owner="none", reason="source killed"
    ).migration
    assert (told.status, told.reason, told.owner) == ("failed", "source killed", "none")


def test_a_destination_that_never_got_there_may_have_no_log(tmp_path: Path) -> None:
    write(tmp_path, [arm(0, 10), irq(10), ended(20)])
    (tmp_path / "destination.jsonl").unlink()
    assert judge(tmp_path).migration.owner == "source"


def test_the_twin_is_read_where_there_is_one(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    twin = [arm(0, 40), irq(40), arm(42, 200), irq(242), ended(300)]
    (tmp_path / "twin.jsonl").write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in twin))
    result = judge(str(tmp_path))
    assert (result.missing, result.checks["as_twin"].word) == ([0], "valid")


def test_no_source_log_is_no_run(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "source.jsonl").unlink()
    with pytest.raises(InputError, match=r"source\.jsonl: No such file"):
        judge(tmp_path)


@pytest.mark.parametrize("name", ["source.jsonl", "destination.jsonl", "twin.jsonl"])
def test_a_malformed_line_is_named_with_its_file(tmp_path: Path, name: str) -> None:
    write(tmp_path, GOOD)
    with (tmp_path / name).open("ab") as log:
        log.write(b"what?\n")
    with pytest.raises(InputError, match="not JSON") as caught:
        judge(tmp_path)
    lines = (tmp_path / name).read_bytes().count(b"\n")
    assert (caught.value.path, caught.value.line) == (str(tmp_path / name), lines)


def test_an_event_without_what_the_schema_promises_is_malformed(tmp_path: Path) -> None:
    event = irq(40)
    del event["cpu"]
    with pytest.raises(InputError, match=r"source.jsonl:1: interrupt without 'cpu'") as caught:
        judge(write(tmp_path, [event]))
    assert caught.value.path == str(tmp_path / "source.jsonl")


def test_a_cpu_that_the_machine_lacks_makes_what_counts_cpus_unknown() -> None:
    assert judged(arm(0, 10, cpu=3), irq(10, cpu=3)).checks["conservation"].word == "unknown"


def test_unknown_events_and_keys_are_passed_over() -> None:
    future = {"t_ns": 1, "side": "source", "event": "fault_injected", "fault": "cut"}
    result = judged(future, arm(2, 10) | {"colour": "red"}, irq(12), ended(13))
    assert result.interrupts.on_time == 1


def test_memory_does_not_grow_with_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livemig.analysis.stretch._LINES", 512)  # read at a time; some blocks are there at once

    def peak(count: int) -> int:
        times = range(10**6, 10**6 + 10 * count, 10)  # of one length
        events = [event for t in times for event in (arm(t, 5), irq(t + 6))]
        lines = [orjson.dumps(event) + b"\n" for event in events]
        del events
        from livemig.analysis.case import Case
        from livemig.analysis.log import Log
        from livemig.analysis.manifest import Manifest

        tracemalloc.start()
        Case(Manifest.parse(run_json()), Log("s", "source", lines), Log("d", D, ()))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    few, many = peak(1000), peak(8000)
    assert many < few + 100_000  # of 14,000 lines more: one pointer kept of each would be 112,000 bytes
