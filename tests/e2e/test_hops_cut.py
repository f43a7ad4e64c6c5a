"""A link that breaks while the guest stays between two hops: it runs on where it is, and nobody waits for anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from livemig.config.load import load
from livemig.launch.in_process import run_in_process

SCENARIO = """
[run]
duration = "1s"
[machine]
cpus = 2
ram = "1MiB"
[guest.memory]
dirty_rate = "1MiB/s"
[migration]
start = "200ms"
downtime = "20ms"
hops = 3
hop_interval = "100ms"
"""


@pytest.mark.parametrize("cut", ["224990us", "280ms", "310ms"])
def test_the_guest_runs_to_the_end_where_the_first_hop_has_brought_it(cut: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO + f'[link]\ncut_at = "{cut}"\n')
    command = [sys.executable, "-m", "livemig", "run", str(path), "--json", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr
    said = json.loads(done.stdout)
    assert said["verdict"] == "valid"
    assert (said["migration"]["status"], said["migration"]["owner"], said["migration"]["hops"]) == (
        "failed", "destination", 1
    )  # fmt: skip
    before_the_resume = cut.endswith("us")  # switchover comes 100 us before it
    events = [json.loads(line) for line in (tmp_path / "run/destination.jsonl").open()]
    assert events[-1]["reason"] == "duration"
    resumed = next(event["t_ns"] for event in events if event["event"] == "machine_resumed")
    allowed = resumed + 100_000_000 + 800_000_000  # a hop may take as long as the first
    assert events[-1]["t_ns"] == (1_000_000_000 if before_the_resume else allowed)
    (tmp_path / "here").mkdir()
    run_in_process(load(str(path), []), tmp_path / "here")
    for log in ("source.jsonl", "destination.jsonl"):
        assert (tmp_path / "here" / log).read_bytes() == (tmp_path / "run" / log).read_bytes()
