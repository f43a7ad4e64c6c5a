"""Three forms of one run write the same bytes: the pure machines, the emulators in one process, two processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from livemig.config.model import Config
from livemig.launch.in_process import run_in_process
from livemig.launch.pair import run_pair
from livemig.launch.pure_pair import run_pure

SMALL = {
    "run": {"duration": "500ms"},
    "machine": {"cpus": 2, "ram": "1MiB"},
    "migration": {"start": "100ms", "downtime": "20ms"},
}
SCENARIOS = {
    "darwin": {},
    "linux, level, skewed": {
        "machine": {"cpus": 2, "ram": "1MiB", "model": "pseries"},
        "guest": {"kind": "linux"},
        "host": {"clock_skew": "3ms"},
    },
    "masked": {"guest": {"kind": "periodic", "masked_every": "40ms", "masked_for": "25ms"}},
    "jitter": {"link": {"latency": "3ms", "jitter": "20ms"}},
    "does not get done": {"link": {"bandwidth": "1Mbit/s"}},
}


def logs(directory: Path) -> tuple[bytes, bytes]:
    return (directory / "source.jsonl").read_bytes(), (directory / "destination.jsonl").read_bytes()


@pytest.mark.parametrize("name", SCENARIOS)
def test_in_one_process_and_in_two_the_logs_are_the_same(name: str, tmp_path: Path) -> None:
    config = Config.model_validate(SMALL | SCENARIOS[name])
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    outcome = run_in_process(config, here)
    assert outcome == run_pair(config, there)
    assert logs(here) == logs(there)
    if outcome.status == "completed":
        pure = tmp_path / "pure"
        pure.mkdir()
        run_pure(config, pure)
        assert logs(pure) == logs(here)
    else:
        assert name == "does not get done"
