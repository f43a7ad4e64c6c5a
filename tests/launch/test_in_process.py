"""Three forms of one run write the same bytes: the pure machines, the emulators in one process, two processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pure_pair import run_pure

from livemig.config.model import Config
from livemig.launch.in_process import run_in_memory, run_in_process
from livemig.launch.pair import run_pair
from livemig.stress.order import Order, plan_of
from livemig.stress.space import FEATURES

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


DRAWN = [feature.name for feature in FEATURES if not feature.name.startswith("fault-")]
CAMPAIGN = str(Path(__file__).parents[2] / "configs" / "stress-small.toml")


def written(config: Config, directory: Path, run: Callable[[Config, Path], Any]) -> tuple[bytes, bytes]:
    directory.mkdir()
    run(config, directory)
    return logs(directory)


@pytest.mark.parametrize("number", [*range(6), *(pytest.param(n, marks=pytest.mark.slow) for n in range(6, 40))])
def test_what_a_campaign_draws_is_the_same_run_in_memory_in_files_in_two_processes_and_pure(
    number: int, tmp_path: Path
) -> None:
    plan, _ = plan_of(Order(CAMPAIGN, seed=606, faults=DRAWN))
    scenario, config = plan.drawn(number)
    outcome, lines = run_in_memory(config)
    here = lines["source.jsonl"], lines["destination.jsonl"]
    assert written(config, tmp_path / "files", run_in_process) == here
    assert written(config, tmp_path / "two", run_pair) == here, (scenario.settings, outcome)
    assert written(config, tmp_path / "pure", run_pure) == here, (scenario.settings, outcome)


@pytest.mark.parametrize("number", range(30))
def test_with_faults_a_run_in_memory_is_the_one_in_files(number: int, tmp_path: Path) -> None:
    plan, _ = plan_of(Order(CAMPAIGN, seed=607, faults=["all"]))
    _, config = plan.drawn(number)
    _, lines = run_in_memory(config)
    assert written(config, tmp_path / "files", run_in_process) == (lines["source.jsonl"], lines["destination.jsonl"])
