"""Two processes write what the pure machines write, whatever precopy is asked to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pure_pair import run_pure

from livemig.config.load import load

SCENARIO = """
[run]
duration = "6s"
[machine]
cpus = 2
ram = "8MiB"
[guest]
kind = "linux"
[guest.memory]
dirty_rate = "30MiB/s"
[migration]
start = "200ms"
downtime = "40ms"
downtime_limit = "5ms"
[link]
bandwidth = "200Mbit/s"
jitter = "100us"
"""
BUSY = ["guest.memory.dirty_rate=60MiB/s", "migration.max_passes=15"]


@pytest.mark.parametrize(
    "settings",
    [
        ["migration.max_passes=8", "migration.max_bandwidth=20MiB/s"],
        ["migration.cancel_at=350ms"],
        ["migration.pause_before_switchover=true"],
        [*BUSY, "migration.auto_converge=true"],
        [*BUSY, "migration.dirty_limit=true"],
        [*BUSY, "migration.xbzrle=true"],
        [*BUSY, "migration.xbzrle=true", "migration.xbzrle_cache_size=256KiB", "migration.compression=zstd"],
        [*BUSY, "migration.transport=tcp", "migration.multifd_channels=2", "migration.compression=zstd"],
        [*BUSY, "migration.convergence=ramp", "migration.ramp_cooldown=100ms"],
        [*BUSY, "migration.convergence=stepped", "migration.downtime_delay=20s"],
    ],
    ids=lambda settings: settings[-1] if "cooldown" not in settings[-1] else settings[-2],
)
def test_a_pair_writes_what_the_pure_machines_write(settings: list[str], tmp_path: Path) -> None:
    config = tmp_path / "scenario.toml"
    config.write_text(SCENARIO)
    command = [sys.executable, "-m", "livemig", "run", str(config), "--json", "--out", str(tmp_path / "pair")]
    command += [f"--set={setting}" for setting in settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    result = json.loads(done.stdout)
    cancelled = settings[0].startswith("migration.cancel_at")
    assert done.returncode == (3 if cancelled else 0), result["checks"]
    (tmp_path / "pure").mkdir()
    run_pure(load(str(config), settings), tmp_path / "pure")
    for log in ("source.jsonl", "destination.jsonl"):
        assert (tmp_path / "pair" / log).read_bytes() == (tmp_path / "pure" / log).read_bytes()
