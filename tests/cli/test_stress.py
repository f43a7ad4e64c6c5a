"""`livemig stress` as a user meets it: its options, what is wrong with them, and what becomes of a campaign that ends
before its time."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SMALL = """
[run]
duration = "300ms"
[machine]
ram = "1MiB"
[guest]
kind = "periodic"
[migration]
start = "50ms"
downtime = "20ms"
"""


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "livemig", "stress", "small.toml", *map(str, arguments)]


def stress(room: Path, *arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=300, cwd=room, check=False, **more
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def results(room: Path, *arguments: object, code: int) -> dict[str, Any]:
    done = stress(room, *arguments, "--json")
    assert done.returncode == code, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def begun(room: Path, *arguments: object) -> subprocess.Popen[str]:
    """A campaign that has stored some runs and is far from its end."""
    process = subprocess.Popen(
        command(*arguments, "--out", "c.duckdb"), cwd=room, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    stored = room / "c.duckdb.wal"
    for _ in range(1200):
        if stored.exists() and stored.stat().st_size > 60_000:
            return process
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("it stored nothing within a minute")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--runs", "0"], "--runs: 0 (allowed: 1 or more)"),
        (["--runs", "x"], "invalid int value: 'x'"),
        (["--for", "3"], "--for: '3' is no time"),
        (["--jobs", "0"], "--jobs: 0 (allowed: 1 or more)"),
        (["--seed", "-1"], "--seed: -1 (allowed: 0 or more)"),
        (["--shrink", "-1"], "--shrink: -1 (allowed: 0 or more)"),
        (["--strategy", "foo"], "--strategy: 'foo' is not known (allowed: none, absolute"),
        (["--faults", "foo"], "--faults: 'foo' is not known (allowed: promised, all, none, cpus"),
        (["--grid", "link.latency"], "--grid: 'link.latency' is not of the form"),
        (["--dask", "nowhere"], "--dask: 'nowhere' is no address"),
        (["--out", "none/x"], "none/x: not to be opened as a campaign"),
        (["--html", "none/x.html"], "none/x.html: its directory does not exist"),
        (["--keep-all", "small.toml"], "small.toml: File exists"),
        (["--save-regressions", "small.toml"], "small.toml: File exists"),
        (["--set", "run.clock=wall"], "a campaign runs in virtual time"),
        (["--set", "run.clok=wall"], "run.clok"),
        (["--nonesuch"], "unrecognized arguments: --nonesuch"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_left(room: Path, arguments: list[str], said: str) -> None:
    done = stress(room, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in room.iterdir()] == ["small.toml"]


def test_a_campaign_that_finds_nothing_ends_with_0_and_says_so(room: Path) -> None:
    done = stress(room, "--runs", 6, "--jobs", 1, "--seed", 3)
    assert done.returncode == 0
    assert done.stdout.startswith("6 runs, seed 3, tb-offset: 0 failed, in 0 groups\n")
    assert "results: stress-3.duckdb" in done.stdout
    assert (room / "stress-3.duckdb").exists()


def test_a_failure_ends_it_with_1_and_is_written_so_that_run_shows_it_again(room: Path) -> None:
    told = results(
        room, "--strategy", "none", "--faults", "none", "--runs", 20, "--jobs", 1, "--until-failure", "--shrink", 20,
        "--save-regressions", "found", code=1,
    )  # fmt: skip
    (group,) = told["groups"]
    assert (group["strategy"], group["first"], told["strategies"]) == ("none", 0, ["none"])
    assert told["runs"] < 20
    assert len(group["config"].splitlines()) <= 15
    again = subprocess.run(
        [sys.executable, "-m", *group["reproduce"].split(), "--json"],
        capture_output=True, text=True, cwd=room, timeout=60, check=False,
    )  # fmt: skip
    assert again.returncode == 1
    assert json.loads(again.stdout)["checks"][group["check"]]["verdict"] == "invalid"
    (story,) = (room / "found").glob("*.txt")
    assert group["check"] in story.read_text()


def test_a_grid_runs_every_cell_once_for_each_strategy(room: Path) -> None:
    grid = "migration.downtime=0ms..40ms:20ms"
    told = results(room, "--grid", grid, "--strategy", "tb-offset", "--strategy", "clamped", "--jobs", 1, code=0)
    assert told["runs"] == 6


def test_for_ends_when_the_time_is_over(room: Path) -> None:
    told = results(room, "--for", "1s", "--jobs", 1, "--faults", "none", code=0)
    assert told["runs"] > 0
    assert told["host_s"] < 120


def test_results_are_those_of_one_process_in_two(room: Path) -> None:
    one = results(room, "--runs", 20, "--strategy", "none", "--jobs", 1, "--out", "1.duckdb", "--shrink", 0, code=1)
    two = results(room, "--runs", 20, "--strategy", "none", "--jobs", 2, "--out", "2.duckdb", "--shrink", 0, code=1)
    keys = ("runs", "failed")
    assert [one[key] for key in keys] == [two[key] for key in keys]
    assert [group["count"] for group in one["groups"]] == [group["count"] for group in two["groups"]]


def below(pid: int) -> set[int]:
    """The processes that ``pid`` has started, and those that they have."""
    found: set[int] = set()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found |= {int(child)} | below(int(child))
    return found


def all_end(processes: set[int]) -> bool:
    """Whether they do, within ten seconds."""
    for _ in range(200):
        if not any(Path(f"/proc/{pid}").exists() for pid in processes):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_a_campaign_no_worker_outlives_it(room: Path, end: signal.Signals) -> None:
    process = begun(room, "--runs", 5000, "--jobs", 2)
    started = below(process.pid)
    assert len(started) >= 3, "a server and two workers"
    process.send_signal(end)
    process.communicate(timeout=120)
    assert process.returncode == (130 if end is signal.SIGTERM else -signal.SIGKILL)
    assert all_end(started)


def test_the_logs_of_failing_runs_are_kept_as_directories_and_no_more_than_asked_for(room: Path) -> None:
    told = results(room, "--strategy", "none", "--faults", "none", "--runs", 5, "--jobs", 1, "--shrink", 0,
                   "--keep-failed", 2, "--out", "c.duckdb", code=1)  # fmt: skip
    assert told["failed"] == 5
    kept = sorted(path for path in (room / "c-failures").iterdir() if path.name.isdigit())
    assert [path.name for path in kept] == ["0", "1"]
    for path in kept:
        judged = subprocess.run(
            [sys.executable, "-m", "livemig", "analyze", str(path), "--json"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert judged.returncode == 1, judged.stderr
        assert json.loads(judged.stdout)["checks"]["no_interrupt_lost"]["verdict"] == "invalid"


@pytest.mark.parametrize(("jobs", "end"), [(1, signal.SIGINT), (2, signal.SIGINT), (2, signal.SIGTERM)])
def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(room: Path, jobs: int, end: signal.Signals) -> None:
    process = begun(room, "--runs", 5000, "--jobs", jobs)
    process.send_signal(end)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert out.startswith("interrupted after ")
    done = int(out.split()[2].replace(",", ""))
    told = results(room, "--runs", done + 5, "--jobs", 1, "--out", "c.duckdb", "--resume", code=0)
    assert told["runs"] == done + 5


def test_a_campaign_that_was_killed_goes_on_with_what_it_had_stored(room: Path) -> None:
    process = begun(room, "--runs", 5000, "--jobs", 1)
    process.kill()
    process.communicate(timeout=60)
    told = results(room, "--runs", 200, "--jobs", 1, "--out", "c.duckdb", "--resume", code=0)
    assert told["runs"] >= 200


def test_a_file_that_another_campaign_writes_is_left_alone(room: Path) -> None:
    process = begun(room, "--runs", 5000, "--jobs", 1)
    try:
        done = stress(room, "--runs", 3, "--out", "c.duckdb", "--resume")
    finally:
        process.kill()
        process.communicate(timeout=60)
    assert done.returncode == 2
    assert "c.duckdb: another campaign is writing it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_another_campaign_s_file_is_not_resumed(room: Path) -> None:
    stress(room, "--runs", 2, "--jobs", 1, "--out", "c.duckdb")
    known, other = "exists; --resume goes on with it", "is another campaign"
    for arguments, said in (([], known), (["--resume", "--seed", 9], other)):
        done = stress(room, "--runs", 2, "--out", "c.duckdb", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert said in done.stderr


def test_a_full_disk_is_one_line(room: Path) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    done = stress(room, "--runs", 2000, "--jobs", 1, "--out", "c.duckdb", preexec_fn=little_room)
    assert done.returncode == 2
    assert "c.duckdb" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_cluster_that_is_not_there_is_one_line(room: Path) -> None:
    pytest.importorskip("distributed", reason="Dask is not installed")
    done = stress(room, "--runs", 2, "--dask", "127.0.0.1:1")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "no scheduler" in done.stderr
    assert not (room / "stress-1.duckdb").exists()


def test_the_page_has_a_map_and_every_group(room: Path) -> None:
    arguments = ("--strategy", "none", "--runs", 20, "--jobs", 1, "--shrink", 10, "--html", "page.html")
    told = results(room, *arguments, code=1)
    page = (room / "page.html").read_text()
    assert "what was drawn" in page
    for group in told["groups"]:
        assert f"{group['check']} under none" in page
        assert group["reproduce"] in page
