"""The states of kvm-unit-tests' ``powerpc/timebase.c`` as they ship: each holds, and what it is about can be broken."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from livemig.analysis.result import Result
from livemig.config.load import load
from livemig.launch.in_process import run_kept
from livemig.launch.judged import judged

STATES = Path(__file__).parents[2] / "configs" / "timebase-states"

BREAKS = {
    "tb-monotonic": "migration.strategy=absolute",
    "underflow-masked": "migration.strategy=none",
    "underflow-second-hop-level": "machine.trigger=edge",
    "underflow-second-hop-edge": "machine.trigger=level",
    "decr-zero": "migration.strategy=line-not-recomputed",
    "decr-msb": "migration.strategy=line-not-recomputed",
    "decr-max": "migration.machine_version=7.2",
    "decr-minus-one": "machine.trigger=edge",
    "decr-wrap": "machine.wrap=ignored",
    "hdecr-once": "migration.strategy=decr-only",
    "hdecr-no-repeat": "machine.hdecr_trigger=level",
    "hdecr-rearm": "migration.strategy=decr-only",
}
OR_EDGE = ("underflow-masked", "decr-msb", "decr-zero", "decr-max", "tb-monotonic")
"""They demand the same of an edge CPU."""


def crossed(state: str, *overrides: str) -> tuple[Result, dict[str, bytes]]:
    config = load(STATES / f"{state}.toml", overrides)
    outcome, logs = run_kept(config)
    return judged(config, outcome, logs), {name: entries.text() for name, entries in logs.items()}


def test_no_state_is_without_a_break() -> None:
    assert {file.stem for file in STATES.glob("*.toml")} == BREAKS.keys()


@pytest.mark.parametrize("state", BREAKS)
def test_it_holds_and_is_asked_on_both_sides_of_the_crossing(state: str) -> None:
    result, logs = crossed(state)
    assert result.verdict == "valid"
    assert result.migration.hops == load(STATES / f"{state}.toml").migration.hops
    assert result.checks["guest_as_expected"].word == "valid"
    asked = [b'"guest_expected"' in log for log in logs.values()]
    assert asked[1] or result.migration.hops == 2  # whoever has it in the end is asked last
    last = max(
        (event for log in logs.values() for event in map(orjson.loads, log.splitlines())
         if event["event"] in ("guest_expected", "machine_resumed")),
        key=lambda event: int(event["t_ns"]),
    )  # fmt: skip
    assert last["event"] == "guest_expected"


@pytest.mark.parametrize("state", BREAKS)
def test_broken_it_is_seen_by_what_the_guest_expects(state: str) -> None:
    result, _ = crossed(state, BREAKS[state])
    assert result.migration.status == "completed"
    assert result.checks["guest_as_expected"].word == "invalid"


@pytest.mark.parametrize("state", OR_EDGE)
def test_these_are_the_same_on_an_edge_cpu(state: str) -> None:
    assert crossed(state, "machine.trigger=edge")[0].verdict == "valid"


@pytest.mark.parametrize("state", BREAKS)
def test_they_hold_whatever_the_steps_of_the_crossing_take(state: str) -> None:
    assert crossed(state, "migration.save_step=30us", "migration.load_step=70us")[0].verdict == "valid"
