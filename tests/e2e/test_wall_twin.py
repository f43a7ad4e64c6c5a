"""In wall time a guest that was not migrated after all, or before it was, is its twin to the event."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIO = """
[run]
duration = "900ms"
clock = "wall"
[machine]
cpus = 2
ram = "2MiB"
[guest]
masked_every = "9ms"
masked_for = "3ms"
[migration]
start = "200ms"
downtime = "100ms"
[checks]
twin = true
"""


@pytest.mark.wall
@pytest.mark.parametrize(
    ("settings", "check"),
    [
        (["migration.cancel_at=350ms", "migration.max_bandwidth=1MiB/s"], "as_if_never_migrated"),
        (["link.cut_at=350ms", "migration.max_bandwidth=1MiB/s"], "as_if_never_migrated"),
        ([], "as_twin"),
    ],
)
def test_a_guest_does_what_its_twin_does(settings: list[str], check: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO)
    command = [sys.executable, "-m", "livemig", "run", str(path), "--json", "--out", str(tmp_path / "run")]
    command += [f"--set={setting}" for setting in settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = json.loads(done.stdout)
    assert (said["migration"]["status"], done.returncode != 3) in {
        ("cancelled", False), ("failed", False), ("completed", True),
    }  # fmt: skip
    assert said["checks"][check]["verdict"] == "valid", said["checks"][check]
    booted = json.loads((tmp_path / "run/source.jsonl").read_text().splitlines()[0])
    assert booted["t_ns"] > 0
