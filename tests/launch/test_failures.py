"""Sides that are killed, at every stage of a migration: who owns the guest, what is said, what is left behind.

The pair runs in wall time, so that there is a time at which to kill; ``livemig run`` is a process as a user has it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

CONFIG = """
[run]
duration = "1600ms"
clock = "wall"
[machine]
cpus = 2
ram = "4MiB"
[guest.memory]
dirty_rate = "1MiB/s"
filled_percent = 100
[migration]
start = "300ms"
downtime = "500ms"
downtime_limit = "20ms"
connect_timeout = "300ms"
[link]
bandwidth = "80Mbit/s"
"""
# 4 MiB at 10 MB/s: the first pass ends at 0.7 s or so, the blackout lasts from then to 1.2 s
MOMENTS = {"before": 0.1, "pass": 0.5, "blackout": 0.95, "after": 1.4}


@contextmanager
def pair(tmp_path: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    config = tmp_path / "scenario.toml"
    config.write_text(CONFIG)
    out = tmp_path / "run"
    command = [sys.executable, "-m", "livemig", "run", str(config), "--json", "--out", str(out), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process, out
    finally:
        process.kill()
        process.wait()


def started(out: Path) -> float:
    """Wait until the source's guest runs, which is t = 0 (and a little); gives the host's clock then."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        log = out / "source.jsonl"
        if log.exists() and log.stat().st_size:
            return time.monotonic()
        time.sleep(0.005)
    raise AssertionError("the pair did not start")


def children(pid: int) -> dict[str, int]:
    """The launcher's two children; it forks the destination first."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        destination, source = sorted(int(child) for child in file.read().split())
    return {"source": source, "destination": destination}


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


# victim, moment → status, who owns the guest, exit code
EXPECTED = {
    ("destination", "before"): ("failed", "source", 3),
    ("destination", "pass"): ("failed", "source", 3),
    ("destination", "blackout"): ("failed", "source", 3),
    ("destination", "after"): ("completed", "none", 3),
    ("source", "before"): ("failed", "none", 3),
    ("source", "pass"): ("failed", "none", 3),
    ("source", "blackout"): ("failed", "none", 3),
    ("source", "after"): ("completed", "destination", 0),
}


@pytest.mark.wall
@pytest.mark.slow
@pytest.mark.parametrize(("victim", "moment"), EXPECTED)
def test_a_side_is_killed(tmp_path: Path, victim: str, moment: str) -> None:
    with pair(tmp_path) as (launcher, out):
        began = started(out)
        both = children(launcher.pid)
        time.sleep(max(0, began + MOMENTS[moment] - time.monotonic()))
        gone_before = gone(both[victim])
        with suppress(ProcessLookupError):  # the source's part is over after the blackout, and it has been reaped
            os.kill(both[victim], signal.SIGKILL)
        stdout, stderr = launcher.communicate(timeout=30)
    assert (victim, moment) == ("source", "after") or not gone_before
    assert "Traceback" not in stderr
    assert all(gone(pid) for pid in both.values())
    status, owner, code = EXPECTED[victim, moment]
    result = json.loads(stdout)
    assert (result["migration"]["status"], result["migration"]["owner"]) == (status, owner), stderr
    assert launcher.returncode == code
    manifest = json.loads((out / "run.json").read_text())
    assert manifest["complete"]
    if owner == "source":  # the guest never lost an interrupt, and ran to the scenario's end
        assert result["interrupts"]["lost"] == 0
        assert result["checks"]["no_interrupt_lost"]["verdict"] == "valid"
        last = (out / "source.jsonl").read_text().splitlines()[-1]
        assert json.loads(last)["reason"] == "duration"
    if owner == "none":
        assert "SIG" in manifest["migration"]["reason"] or "signal 9" in manifest["migration"]["reason"]


@pytest.mark.wall
@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "pass", "blackout"])
def test_a_destination_that_says_nothing_any_more_does_not_hold_the_guest(tmp_path: Path, moment: str) -> None:
    """SIGSTOP: the connection is there, nobody is behind it. At the scenario's end the guest is the source's."""
    with pair(tmp_path) as (launcher, out):
        began = started(out)
        both = children(launcher.pid)
        time.sleep(max(0, began + MOMENTS[moment] - time.monotonic()))
        os.kill(both["destination"], signal.SIGSTOP)
        stdout, stderr = launcher.communicate(timeout=40)
    assert "Traceback" not in stderr
    assert all(gone(pid) for pid in both.values())
    result = json.loads(stdout)
    owner = "source" if moment != "blackout" else "none"  # its switchover may or may not have been read
    assert (result["migration"]["owner"], launcher.returncode) == (owner, 3), stderr


@pytest.mark.wall
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["before", "pass", "blackout"])
def test_the_launcher_is_stopped_and_leaves_no_process_and_no_run_taken_for_a_good_one(
    tmp_path: Path, sent: signal.Signals, moment: str
) -> None:
    with pair(tmp_path) as (launcher, out):
        began = started(out)
        both = children(launcher.pid)
        time.sleep(max(0, began + MOMENTS[moment] - time.monotonic()))
        launcher.send_signal(sent)
        stdout, stderr = launcher.communicate(timeout=10)
    assert stdout == ""
    assert "Traceback" not in stderr
    if sent == signal.SIGINT:
        assert launcher.returncode == 130
        assert "interrupted" in stderr
    deadline = time.monotonic() + 5
    while not all(gone(pid) for pid in both.values()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert all(gone(pid) for pid in both.values())
    assert json.loads((out / "run.json").read_text())["complete"] is False
