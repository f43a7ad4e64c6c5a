"""`livemig compare --over KEY=VALUE,…`: the same scenario with several values of one key."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIO = """
[run]
duration = "4s"
[machine]
cpus = 2
ram = "8MiB"
[guest.memory]
dirty_rate = "20MiB/s"
[migration]
start = "100ms"
downtime_limit = "100ms"
downtime_delay = "20s"
ramp_start = "20ms"
ramp_cooldown = "50ms"
[link]
bandwidth = "200Mbit/s"
"""


BUSY = (
    "--set", "migration.downtime_limit=1ms", "--set", "guest.memory.dirty_rate=60MiB/s", "--set",
    "migration.max_passes=15", "--set", "run.duration=6s",
)  # fmt: skip


def compare(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = tmp_path / "scenario.toml"
    config.write_text(SCENARIO)
    command = [sys.executable, "-m", "livemig", "compare", str(config), "--out", str(tmp_path / "out"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_convergence_policies_side_by_side(tmp_path: Path) -> None:
    """A limit that begins low ends later, with more sent, and costs the guest less at once."""
    done = compare(tmp_path, "--over", "migration.convergence=static,stepped,ramp", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["key"] == "migration.convergence"
    assert list(said["values"]) == ["static", "stepped", "ramp"]
    migrations = {name: result["migration"] for name, result in said["values"].items()}
    for name, migration in migrations.items():
        lines = map(json.loads, (tmp_path / "out" / name / "source.jsonl").open())
        states = {event["status"]: event["t_ns"] for event in lines if event["event"] == "migration_state"}
        assert migration["total_ns"] == states["completed"] - states["setup"]
    static, stepped = migrations["static"], migrations["stepped"]
    assert static["total_ns"] < stepped["total_ns"]
    assert static["bytes"] < stepped["bytes"]
    assert static["blackout_ns"] > stepped["blackout_ns"]


def test_as_a_table_a_line_a_value(tmp_path: Path) -> None:
    done = compare(tmp_path, "--over", "migration.auto_converge=false, true", *BUSY)
    head, off, on = done.stdout.splitlines()[:3]
    assert head.split()[:2] == ["migration.auto_converge", "total"]
    assert off.split()[0] == "false"
    assert "%" not in off
    assert on.split()[0] == "true"
    assert "20 %" in on or "30 %" in on


@pytest.mark.parametrize(
    ("over", "problem"),
    [
        ("migration.convergence=static", "compares two values of a key at least"),
        ("migration.convergence=static,static", "compares two values of a key at least"),
        ("static,ramp", "compares two values of a key at least"),
        ("migration.convergence=static,fast", "'fast' is not one of the names (allowed: static, stepped, ramp)"),
        ("migration.converge=static,ramp", "unknown key"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_nothing_is_left(over: str, problem: str, tmp_path: Path) -> None:
    done = compare(tmp_path, "--over", over)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
