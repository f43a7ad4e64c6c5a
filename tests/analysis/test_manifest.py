"""run.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from livemig.analysis.manifest import Manifest
from livemig.errors import InputError

from .histories import run_json


def test_what_the_judge_needs_is_read() -> None:
    manifest = Manifest.parse(
        run_json(cpus=4, trigger="level", clock="wall", late_tolerance_ns=7, owner="source")
    )
    assert (manifest.machine.cpus, manifest.machine.trigger) == (4, "level")
    assert (manifest.rule.slack_ns, manifest.claim.owner) == (7, "source")


def test_a_tolerance_is_for_the_wall_clock_only() -> None:
    assert Manifest.parse(run_json(late_tolerance_ns=7)).rule.slack_ns == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"complete": False}, "half-written"),
        ({"schema": 2}, "schema 2, this livemig reads 1"),
        ({"cpus": 0}, r"machine.cpus: 0, needed: an integer ≥ 1"),
        ({"timebase_hz": 1e9}, "machine.timebase_hz: 1000000000.0"),
        ({"trigger": "both"}, "machine.trigger: 'both', needed: edge or level"),
        ({"time_policy": "jump"}, "judge.time_policy: 'jump', needed: advance or freeze"),
        ({"strategy": 5}, "strategy: 5, needed: a string"),
        ({"downtime_ns": -1}, "judge.downtime_ns: -1"),
        ({"engine": 3}, "engine: 3, needed: a string"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Manifest.parse(run_json(**change))


def test_of_a_foreign_run_neither_strategy_nor_policy_need_be_known() -> None:
    manifest = Manifest.parse(run_json(strategy=None, time_policy=None))
    assert (manifest.strategy, manifest.rule.time_policy) == (None, None)
    assert manifest.under("freeze").rule.passes_ns(7) == 0


def test_an_object_is_needed() -> None:
    with pytest.raises(InputError, match="the file: an object is needed"):
        Manifest.parse([])
    with pytest.raises(InputError, match="judge: an object is needed"):
        Manifest.parse(run_json() | {"judge": None})


def test_a_file_that_is_not_there_or_not_json(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with pytest.raises(InputError, match="not a run directory"):
        Manifest.read(path)
    path.write_bytes(b'{"schema": 1,')
    with pytest.raises(InputError, match="not JSON"):
        Manifest.read(path)
    path.write_bytes(orjson.dumps(run_json()))
    assert Manifest.read(path) == Manifest.parse(run_json())
