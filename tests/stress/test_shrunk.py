"""What is written of a failure shows it to whoever runs it: `livemig run`, in two processes, says the same."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from livemig.config.load import load
from livemig.launch.scenario import run_scenario
from livemig.stress.order import Order, carry_out
from livemig.stress.space import FEATURES

CAMPAIGN = str(Path(__file__).parents[2] / "configs" / "stress-small.toml")
NO_FAULTS = [feature.name for feature in FEATURES if not feature.name.startswith("fault-") and feature.name != "cancel"]
"""Scenarios with faults are run in one process by `livemig run` too."""


@pytest.mark.parametrize(
    ("strategy", "policy"),
    [
        ("none", "advance"),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                ("absolute", "advance"), ("per-cpu-timebase", "advance"), ("kvm-tbu40", "advance"),
                ("round-down", "advance"), ("line-not-recomputed", "advance"), ("tb-write-dropped", "freeze"),
            )
        ),
    ],
)  # fmt: skip
def test_a_shrunk_failure_fails_alike_in_two_processes(strategy: str, policy: str, tmp_path: Path) -> None:
    order = Order(
        CAMPAIGN, [f"migration.time_policy={policy}"], seed=12, runs=32, strategies=[strategy], faults=NO_FAULTS,
        jobs=1, out=tmp_path / "c.duckdb", shrink=60, until_failure=True,
    )  # fmt: skip
    outcome = carry_out(order, io.StringIO())
    assert outcome.cases
    case = outcome.cases[0]
    lines = case.config.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) <= 15
    result = run_scenario(load(case.config), str(case.config), tmp_path / "run")
    failed = [name for name, verdict in result.checks.items() if verdict.word == "invalid"]
    assert (failed[0], strategy, result.migration.status) == tuple(case.signature)
    told = case.story.splitlines()
    assert any(line.startswith(f"{case.signature.check}: ") for line in told)
    assert any("◀" in line and case.signature.check in line for line in told)
