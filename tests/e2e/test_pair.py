"""Whole runs: two processes, both transports, beside the pure machines stepped by hand."""

from __future__ import annotations

import json
import multiprocessing
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pure_pair import run_pure

from livemig.config.load import load
from livemig.strategies.table import STRATEGIES

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path for path in (ROOT / "configs").glob("*.toml") if 'kind = "qemu"' not in path.read_text())
LARGE = ("clark2005-specweb", "clark2005-mmuncher")
"""Guests of half a GiB and more: seconds each."""
LOGS = ("source.jsonl", "destination.jsonl")


def livemig(*arguments: object, timeout: int = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "livemig", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False)


def run(out: Path, config: object, *more: object) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    done = livemig("run", config, "--json", "--out", out, *more)
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout), done


def small(tmp_path: Path, **changes: str) -> Path:
    """A scenario of a second; ``changes``: whole lines by section."""
    sections = {
        "run": 'duration = "1s"',
        "machine": 'cpus = 3\nram = "4MiB"',
        "guest": 'kind = "darwin"',
        "guest.memory": 'dirty_rate = "8MiB/s"',
        "migration": 'start = "200ms"\ndowntime = "100ms"\ndowntime_limit = "5ms"',
        "link": 'bandwidth = "400Mbit/s"\njitter = "300us"',
    }
    for name, text in changes.items():
        sections[name.replace("__", ".")] += "\n" + text
    path = tmp_path / "small.toml"
    path.write_text("".join(f"[{name}]\n{text}\n" for name, text in sections.items()))
    return path


@pytest.mark.parametrize(
    "config",
    [pytest.param(each, marks=[pytest.mark.slow] * (each.stem in LARGE), id=each.stem) for each in CONFIGS],
)
def test_every_config_that_ships_runs_is_valid_and_writes_what_the_pure_machines_write(
    config: Path, tmp_path: Path
) -> None:
    result, done = run(tmp_path / "pair", config)
    assert (result["verdict"], done.returncode) == ("valid", 0)
    (tmp_path / "pure").mkdir()
    run_pure(load(str(config), []), tmp_path / "pure")
    for log in LOGS:
        assert (tmp_path / "pair" / log).read_bytes() == (tmp_path / "pure" / log).read_bytes()


@pytest.mark.parametrize("kind", ["darwin", "linux", "periodic"])
@pytest.mark.parametrize(("transport", "channels"), [("unix", 0), ("tcp", 0), ("tls", 0), ("unix", 3), ("tls", 2)])
def test_the_transport_changes_nothing_in_the_logs(kind: str, transport: str, channels: int, tmp_path: Path) -> None:
    config = small(tmp_path, migration=f'transport = "{transport}"\nmultifd_channels = {channels}')
    overrides = ["--set", f"guest.kind={kind}"]
    result, done = run(tmp_path / "pair", config, *overrides)
    assert (result["verdict"], done.returncode) == ("valid", 0)
    assert result["migration"]["passes"] >= 3
    (tmp_path / "pure").mkdir()
    run_pure(load(str(config), [f"guest.kind={kind}"]), tmp_path / "pure")
    for log in LOGS:
        assert (tmp_path / "pair" / log).read_bytes() == (tmp_path / "pure" / log).read_bytes()


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_clocks_that_are_measured_on_the_channel_measure_the_same_in_two_processes(
    transport: str, tmp_path: Path
) -> None:
    settings = ["migration.strategy=channel-clock", "host.clock_skew=-2h"]
    settings += ["link.jitter=40us", "link.return_latency=1ms"]
    overrides = [part for setting in settings for part in ("--set", setting)]
    config = small(tmp_path, migration=f'transport = "{transport}"')
    result, _ = run(tmp_path / "pair", config, *overrides)
    assert result["checks"]["tb_error_within_bound"]["verdict"] == "valid"
    (tmp_path / "pure").mkdir()
    run_pure(load(str(config), settings), tmp_path / "pure")
    for log in LOGS:
        assert (tmp_path / "pair" / log).read_bytes() == (tmp_path / "pure" / log).read_bytes()


def test_clocks_are_measured_in_real_time_too(tmp_path: Path) -> None:
    """The launcher gives both processes one monotonic clock, so the skew is exactly what was configured."""
    settings = ["--clock", "wall", "--set", "migration.strategy=channel-clock", "--set", "host.clock_skew=-2h"]
    result, _ = run(tmp_path / "wall", small(tmp_path), *settings)
    assert result["checks"]["tb_error_within_bound"]["verdict"] == "valid"
    (line,) = [line for line in (tmp_path / "wall/source.jsonl").open() if '"state_saved"' in line]
    peer = json.loads(line)["host"]["peer"]
    assert 0 < peer["bound_ns"] < 10**9
    assert abs(peer["offset_ns"] + 7200 * 10**9) <= peer["bound_ns"]


@pytest.mark.parametrize(("hops", "owner"), [(2, "source"), (5, "destination")])
def test_two_processes_hop_as_the_pure_machines_do(hops: int, owner: str, tmp_path: Path) -> None:
    config = small(tmp_path, migration='hop_interval = "20ms"')
    result, done = run(tmp_path / "pair", config, "--hops", hops, "--set", "link.jitter=0us")
    assert (result["verdict"], done.returncode) == ("valid", 0)
    assert (result["migration"]["owner"], result["migration"]["hops"]) == (owner, hops)
    assert all(abs(hop["drift_ticks"]) <= 1 for hop in result["hops"])
    (tmp_path / "pure").mkdir()
    run_pure(load(str(config), [f"migration.hops={hops}", "link.jitter=0us"]), tmp_path / "pure")
    for log in LOGS:
        assert (tmp_path / "pair" / log).read_bytes() == (tmp_path / "pure" / log).read_bytes()
    for command in ("trace", "report"):
        assert livemig(command, tmp_path / "pair").returncode == 0


def _burn(seconds: float) -> None:
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_the_logs_are_the_same_bytes_on_a_loaded_machine_and_over_many_cpus(tmp_path: Path) -> None:
    config = small(tmp_path)
    overrides = ["--set", "machine.cpus=16", "--set", "guest.masked_every=7ms", "--set", "guest.masked_for=300us"]
    run(tmp_path / "quiet", config, *overrides)
    with multiprocessing.Pool(4) as pool:
        burning = pool.map_async(_burn, [6] * 4)
        for turn in range(2):
            run(tmp_path / f"loaded{turn}", config, *overrides)
        burning.wait()
    for log in LOGS:
        quiet = (tmp_path / "quiet" / log).read_bytes()
        assert quiet.count(b"\n") > 1000
        assert (tmp_path / "loaded0" / log).read_bytes() == quiet == (tmp_path / "loaded1" / log).read_bytes()


def test_another_seed_gives_another_log(tmp_path: Path) -> None:
    config = small(tmp_path)
    run(tmp_path / "one", config)
    run(tmp_path / "two", config, "--seed", 2)
    assert (tmp_path / "one/source.jsonl").read_bytes() != (tmp_path / "two/source.jsonl").read_bytes()


def test_check_determinism_says_so_and_would_see_a_difference(tmp_path: Path) -> None:
    config = small(tmp_path)
    _, done = run(tmp_path / "run", config, "--check-determinism")
    assert done.returncode == 0
    assert "byte-identical" in done.stderr
    from livemig.launch.scenario import _first_difference

    spoiled = tmp_path / "spoiled" / "source.jsonl"
    spoiled.parent.mkdir()
    lines = (tmp_path / "run/source.jsonl").read_text().splitlines(keepends=True)
    lines[41] = lines[41].replace('"t_ns":', '"t_ns":9')
    spoiled.write_text("".join(lines))
    assert "source.jsonl:42 differs" in _first_difference(tmp_path / "run/source.jsonl", spoiled)


def test_the_thread_in_one_table(tmp_path: Path) -> None:
    """``none`` loses every CPU's interrupt and is the downtime behind the world; ``absolute`` is late by exactly the
    downtime; ``tb-offset`` is right."""
    done = livemig("compare", ROOT / "configs/darwin-g3beige.toml", "--json", "--out", tmp_path / "compare")
    strategies = json.loads(done.stdout)["strategies"]
    assert set(strategies) == set(STRATEGIES)
    downtime = 500_000_000
    ticks = downtime * 16_600_000 // 1_000_000_000

    none = strategies["none"]
    assert (none["verdict"], none["interrupts"]["lost"]) == ("invalid", 2)
    assert none["timebase"]["error_ticks"] == -ticks
    assert none["guest_behind_ns"] == downtime
    for cpu in none["decrementer"]:
        # the start-up decrementer, 0xffffffff at virtual time 0: DECR reads -TB - 1
        assert cpu["at_resume"] == -none["timebase"]["at_resume"] - 1
    assert none["checks"]["no_interrupt_lost"]["verdict"] == "invalid"

    absolute = strategies["absolute"]
    assert (absolute["verdict"], absolute["interrupts"]["lost"]) == ("invalid", 0)
    assert absolute["timebase"]["error_ticks"] == 0
    assert [cpu["error_ticks"] for cpu in absolute["decrementer"]] == [ticks, ticks]
    assert absolute["interrupts"]["late"] == 2
    assert absolute["interrupts"]["worst_late_ns"] == downtime
    assert absolute["checks"]["lateness_bounded"]["verdict"] == "invalid"

    right = strategies["tb-offset"]
    assert (right["verdict"], right["interrupts"]["lost"], right["interrupts"]["early"]) == ("valid", 0, 0)
    assert right["timebase"]["error_ticks"] == 0
    assert [cpu["error_ticks"] for cpu in right["decrementer"]] == [0, 0]
    assert right["migration"]["blackout_ns"] == downtime


@pytest.mark.parametrize(("skew", "error"), [("2ms", 33_200), ("-2ms", -33_200), ("-1s", -1_660_000)])
def test_the_hosts_clock_skew_is_the_guests_tb_error_and_never_sets_it_back(
    tmp_path: Path, skew: str, error: int
) -> None:
    """s·hz ticks at 16.6 MHz; with the destination's clock a second behind, TB stands still over the 100 ms."""
    result, _ = run(tmp_path / "run", small(tmp_path), "--set", f"host.clock_skew={skew}")
    assert result["timebase"]["error_ticks"] == error
    assert result["checks"]["tb_continuous"]["verdict"] == "invalid"
    assert result["checks"]["tb_monotonic"]["verdict"] == "valid"


def test_a_machine_that_differs_is_refused_before_switchover_and_the_source_runs_on(tmp_path: Path) -> None:
    config = small(tmp_path)
    out = tmp_path / "run"
    where = f"unix:{tmp_path}/sock"
    command = [sys.executable, "-m", "livemig", "destination", str(config), "--listen", where, "--out", str(out)]
    other = subprocess.Popen([*command, "--set", "machine.cpus=2"], stderr=subprocess.PIPE, text=True)
    assert other.stderr is not None
    assert "listening" in other.stderr.readline()
    source = livemig("source", config, "--connect", where, "--out", out)
    assert other.wait(20) == 3
    assert source.returncode == 3
    assert "machine.cpus: 3, but here it is 2" in source.stdout
    assert "owner of the guest: source" in source.stdout
    assert json.loads((out / "run.json").read_text())["migration"]["owner"] == "source"
    last = json.loads((out / "source.jsonl").read_text().splitlines()[-1])
    assert (last["t_ns"], last["reason"]) == (1_000_000_000, "duration")


def test_another_timebase_frequency_is_refused_with_both_values_and_exit_code_3(tmp_path: Path) -> None:
    result, done = run(tmp_path / "run", small(tmp_path), "--set", "host.destination.timebase_hz=25MHz")
    assert done.returncode == 3
    assert "machine.timebase_hz: 16600000, but here it is 25000000" in done.stderr
    assert (result["migration"]["owner"], result["checks"]["no_interrupt_lost"]["verdict"]) == ("source", "valid")


def test_a_migration_that_is_not_complete_by_the_end_is_exit_code_3(tmp_path: Path) -> None:
    result, done = run(tmp_path / "run", small(tmp_path), "--set", "link.bandwidth=1Mbit/s")
    assert done.returncode == 3
    assert result["migration"]["owner"] == "source"
    assert result["checks"]["no_interrupt_lost"]["verdict"] == "valid"
    assert "run.duration" in done.stderr


def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    config = small(tmp_path)
    command = [sys.executable, "-m", "livemig", "run", str(config), "--json"]
    both = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    results = [json.loads(process.communicate(timeout=30)[0]) for process in both]
    assert results[0]["run_dir"] != results[1]["run_dir"]
    assert [result["verdict"] for result in results] == ["valid", "valid"]


def test_json_is_all_there_is_on_standard_output_and_there_is_no_colour(tmp_path: Path) -> None:
    done = livemig("run", small(tmp_path), "--json", "--out", tmp_path / "run")
    assert done.stdout.count("\n") == 1
    assert "\x1b" not in done.stdout + done.stderr
    assert "pass  1" in done.stderr
    plain = livemig("run", small(tmp_path), "--out", tmp_path / "run2")
    assert "\x1b" not in plain.stdout
    assert plain.stdout.startswith("VALID")


@pytest.mark.parametrize("limit", [0, 50_000])
def test_a_disk_that_is_full_is_a_clear_line_and_no_run_taken_for_a_good_one(tmp_path: Path, limit: int) -> None:
    """A limit on the size of files stands in for it: writing fails in the same place, with another word."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "livemig", "run", str(small(tmp_path)), "--json", "--out", str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert done.returncode in (2, 3)
    manifest = out / "run.json"  # who had the guest is gone, or nothing ran at all
    assert not manifest.exists() or json.loads(manifest.read_text())["migration"]["owner"] == "none"


@pytest.mark.wall
def test_hops_in_wall_time(tmp_path: Path) -> None:
    config = small(tmp_path, migration='hop_interval = "50ms"')
    result, done = run(tmp_path / "run", config, "--clock", "wall", "--hops", 3)
    assert (result["migration"]["hops"], result["migration"]["owner"]) == (3, "destination")
    assert done.returncode in (0, 1), done.stderr  # a busy host may make the blackout longer than it was to be
    assert result["checks"]["drift_bounded"]["verdict"] == "valid"


@pytest.mark.wall
def test_wall_time_imposes_latency_bandwidth_and_downtime_and_the_verdict_holds(tmp_path: Path) -> None:
    result, done = run(
        tmp_path / "run", small(tmp_path), "--clock", "wall", "--set", "link.latency=30ms", "--set", "link.jitter=0us",
        "--set", "run.duration=1500ms",
    )  # fmt: skip
    assert (result["verdict"], done.returncode) == ("valid", 0), done.stderr
    assert 100_000_000 <= result["migration"]["blackout_ns"] < 250_000_000
    events = [json.loads(line) for line in (tmp_path / "run/source.jsonl").open()]
    states = {event["status"]: event["t_ns"] for event in events if event["event"] == "migration_state"}
    began, welcomed = states["setup"], states["active"]
    assert welcomed - began >= 60_000_000  # there and back
    first_pass = next(e for e in events if e["event"] == "migration_pass")
    assert first_pass["rate"] < 55_000_000  # 400 Mbit/s are 50 MB/s
