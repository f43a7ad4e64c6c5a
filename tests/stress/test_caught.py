"""Campaigns catch what the museum shows: every strategy with a bug, within 200 runs of a seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from livemig.launch.exhibits import EXHIBITS
from livemig.strategies.table import STRATEGIES
from livemig.stress.order import Order, plan_of
from livemig.stress.plan import Plan
from livemig.stress.scenario import Scenario
from livemig.stress.space import FEATURES
from livemig.stress.trial import attempt

SEED = 2026
CAMPAIGN = str(Path(__file__).parents[2] / "configs" / "stress-small.toml")
SHOWN = [name for name in EXHIBITS if name in STRATEGIES]


def plan(name: str, strategy: str) -> Plan:
    """The campaign in which ``name`` is to be caught: with its exhibit's time policy, and with clocks that disagree
    where those are what it cannot bear."""
    keys = EXHIBITS[name].shown
    policy = [f"migration.time_policy={keys['migration.time_policy']}"] if "migration.time_policy" in keys else []
    faults = ["promised", "clock-skew"] if "host.clock_skew" in keys else ["promised"]
    return plan_of(Order(CAMPAIGN, policy, seed=SEED, strategies=[strategy], faults=faults))[0]


def first_failure(drawn: Plan, runs: int) -> int | None:
    return next((n for n in range(runs) if drawn.attempt([n])[0].signature is not None), None)


def test_every_strategy_with_a_bug_is_shown() -> None:
    assert set(STRATEGIES) - set(SHOWN) == {"channel-clock"}


QUIET = {
    "run": {"duration": "400ms"},
    "machine": {"ram": "1MiB", "cpus": 2},
    "guest": {"kind": "periodic"},
    "migration": {"start": "105ms", "downtime": "50ms"},
}
OFF = {
    "clock-skew": {"host.clock_skew": "30ms"},
    "fault-clock_step": {
        "fault.clock_step.enabled": True, "fault.clock_step.side": "destination", "fault.clock_step.at": "120ms",
        "fault.clock_step.by": "10ms",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OFF)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_clocks_that_disagree_are_promised_to_those_strategies_that_they_do_not_touch(name: str, strategy: str) -> None:
    feature = next(feature for feature in FEATURES if feature.name == name)
    right, wrong = (
        attempt(Scenario(QUIET, {**more, "migration.strategy": strategy}), "-") for more in ({}, OFF[name])
    )
    touched = (right.failed, right.error_ticks, right.late) != (wrong.failed, wrong.error_ticks, wrong.late)
    assert feature.is_promised(strategy) != touched


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_a_museum_strategy_is_caught_within_200_runs_and_what_mends_it_is_not(name: str) -> None:
    caught = first_failure(plan(name, name), 200)
    assert caught is not None
    fix = str(EXHIBITS[name].fix.get("migration.strategy", name))
    assert first_failure(plan(name, fix), caught + 1) is None
