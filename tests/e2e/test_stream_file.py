"""Migration to a file: the same guest, kept; restored at another time, on another host, again, and kept once more."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pure_pair import run_pure

from livemig.config.load import load

SCENARIO = """
[run]
duration = "6s"
[machine]
cpus = 2
ram = "2MiB"
[guest]
masked_every = "9ms"
masked_for = "3ms"
[migration]
start = "200ms"
downtime = "700ms"
transport = "file"
"""
RAISED = ["guest.kind=linux", "machine.model=pseries"]


def livemig(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "livemig", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO)
    return path


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a source writes."""
    directory = tmp_path_factory.mktemp("kept")
    config = directory / "scenario.toml"
    config.write_text(SCENARIO)
    done = livemig("source", config, "--connect", f"file:{directory}/guest", "--out", directory / "run")
    assert done.returncode == 0
    assert "migration completed; owner of the guest: none" in done.stdout
    assert sorted(path.name for path in directory.iterdir()) == ["guest", "run", "scenario.toml"]
    return (directory / "guest").read_bytes()


def verdict(directory: Path) -> dict[str, Any]:
    return dict(json.loads(livemig("analyze", directory, "--json").stdout))


@pytest.mark.parametrize("settings", [[], [*RAISED], ["migration.xbzrle=true", "migration.downtime_limit=1ms"]])
def test_a_run_through_a_file_is_valid_and_what_the_pure_machines_write(
    settings: list[str], config: Path, tmp_path: Path
) -> None:
    done = livemig("run", config, "--json", "--out", tmp_path / "run", *(f"--set={each}" for each in settings))
    result = json.loads(done.stdout)
    assert (result["verdict"], done.returncode) == ("valid", 0), result["checks"]
    assert result["migration"]["blackout_ns"] == 700_000_000
    (tmp_path / "pure").mkdir()
    run_pure(load(str(config), settings), tmp_path / "pure")
    for log in ("source.jsonl", "destination.jsonl"):
        assert (tmp_path / "run" / log).read_bytes() == (tmp_path / "pure" / log).read_bytes()
    assert (tmp_path / "run/migration.stream").read_bytes().startswith(b"livemig\n\0\0\0\1")


def test_a_guest_is_restored_any_number_of_times_each_by_the_clock_of_its_host(
    config: Path, stream: bytes, tmp_path: Path
) -> None:
    """TB at the resume is TB at the stop plus what the hosts' times of day are apart: 0.7 s, 3 s, and an hour more."""
    (tmp_path / "guest").write_bytes(stream)
    saved = None
    for name, settings, apart_ns in (
        ("soon", [], 700_000_000),
        ("later", ["migration.downtime=3s"], 3_000_000_000),
        ("elsewhere", ["host.clock_skew=1h", "host.destination.clock_origin=99h"], 3_600_700_000_000),
        ("again", [], 700_000_000),
    ):
        out = tmp_path / name
        done = livemig(
            "destination", config, "--listen", f"file:{tmp_path}/guest", "--out", out,
            *(f"--set={setting}" for setting in settings),
        )  # fmt: skip
        assert (done.returncode, "owner of the guest: destination" in done.stdout) == (0, True), done.stderr
        events = [json.loads(line) for line in (out / "destination.jsonl").open()]
        restored = next(event for event in events if event["event"] == "state_restored")
        saved = saved or restored["saved"]
        assert restored["saved"] == saved
        stopped_tb = saved["clock_ns"] * 16_600_000 // 10**9  # counted from 0, on the clock that stood at the stop
        assert restored["tb_after"] - stopped_tb in (apart_ns * 166 // 10**4, apart_ns * 166 // 10**4 + 1)
        assert sum(event["event"] == "interrupt" for event in events) > 1000


@pytest.mark.parametrize("settings", [[], RAISED])
def test_a_restored_guest_is_kept_again_and_again_and_stays_what_it_is(settings: list[str], tmp_path: Path) -> None:
    """Three generations of files; the last is restored, and judged beside the source that wrote it."""
    config = tmp_path / "scenario.toml"
    config.write_text(SCENARIO)
    more = [f"--set={setting}" for setting in settings]
    origin: list[str] = []
    for generation, start in enumerate(("200ms", "1500ms", "3s")):
        where = f"file:{tmp_path}/{generation}"
        done = livemig(
            "source", config, *origin, "--connect", where, "--out", tmp_path / f"run{generation}", "--set",
            f"migration.start={start}", *more,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        done = livemig("destination", config, "--listen", where, "--out", tmp_path / f"run{generation}", *more)
        assert done.returncode == 0
        result = verdict(tmp_path / f"run{generation}")
        assert result["verdict"] == "valid", (generation, result["checks"])
        assert result["timebase"]["error_ticks"] == 0
        assert {each["error_ticks"] for each in result["decrementer"]} == {0}
        origin = ["--from", where]


def test_a_file_that_is_not_whole_or_not_as_it_was_is_refused_by_name_before_the_guest_runs(
    config: Path, stream: bytes, tmp_path: Path
) -> None:
    spoilt = bytearray(stream)
    spoilt[len(stream) // 2] ^= 1
    cases = {
        "not there": (None, 2, "No such file"),
        "something else": (b"PK\3\4" + stream, 2, "not the stream of a migration"),
        "of the future": (stream[:8] + b"\0\0\0\2" + stream[12:], 2, "a stream of version 2, but 1 is understood"),
        "its first bytes": (stream[:9], 2, "truncated in its first bytes"),
        "head only": (stream[:12], 3, "truncated in the wait for a frame"),
        "half a header": (stream[:40], 3, "truncated in the header of a frame"),
        "half": (stream[: len(stream) // 2], 3, "truncated in the payload of 'pages'"),
        "but the last byte": (stream[:-1], 3, "truncated in the header of a frame"),
        "a bit": (bytes(spoilt), 3, "arrived damaged"),
        "more": (stream + b"\0", 3, "the file goes on behind the last frame"),
    }
    for name, (content, code, problem) in cases.items():
        path = tmp_path / name.replace(" ", "-")
        if content is not None:
            path.write_bytes(content)
        out = tmp_path / f"run-{path.name}"
        done = livemig("destination", config, "--listen", f"file:{path}", "--out", out)
        said = done.stdout + done.stderr
        assert (done.returncode, problem in said, str(path) in said) == (code, True, True), (name, said)
        if (out / "destination.jsonl").exists():
            assert "machine_resumed" not in (out / "destination.jsonl").read_text()


def test_a_disk_that_is_full_leaves_the_guest_with_the_source_and_no_file(config: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands in for it; the log is written elsewhere, and is small."""
    done = livemig(
        "source", config, "--connect", f"file:{tmp_path}/guest", "--out", tmp_path / "run",
        "--set=machine.cpus=1", "--set=guest.kind=periodic",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
    )  # fmt: skip
    assert done.returncode == 3
    assert "owner of the guest: source" in done.stdout
    assert f"{tmp_path}/guest: File too large" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "scenario.toml"]
    last = json.loads((tmp_path / "run/source.jsonl").read_text().splitlines()[-1])
    assert (last["t_ns"], last["reason"]) == (6_000_000_000, "duration")


def test_a_place_where_nothing_can_be_written_is_said_at_once(config: Path, tmp_path: Path) -> None:
    done = livemig("source", config, "--connect", f"file:{tmp_path}/no/guest", "--out", tmp_path / "run")
    assert done.returncode == 3
    assert f"{tmp_path}/no/guest: No such file or directory" in done.stdout
    assert "owner of the guest: source" in done.stdout


def test_cancelled_while_it_is_written_nothing_is_left(config: Path, tmp_path: Path) -> None:
    cancel = ["--set", "migration.cancel_at=205ms", "--set", "migration.max_bandwidth=1MiB/s"]
    done = livemig("source", config, "--connect", f"file:{tmp_path}/guest", "--out", tmp_path / "run", *cancel)
    assert (done.returncode, "migration cancelled" in done.stdout) == (3, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "scenario.toml"]
