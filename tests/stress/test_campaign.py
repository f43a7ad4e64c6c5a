"""Campaigns: the same plan gives the same results, wherever it runs, in whatever pieces."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from livemig.config.load import read_tables
from livemig.errors import ConfigError, OutputError, UsageError
from livemig.stress.campaign import InThisProcess, trials
from livemig.stress.executors import dask, local
from livemig.stress.grid import axis, cells
from livemig.stress.order import Order, carry_out, plan_of
from livemig.stress.plan import Plan
from livemig.stress.scenario import Scenario
from livemig.stress.space import FEATURES, draw, features_for
from livemig.stress.store import Store
from livemig.stress.trial import attempt

SMALL = """
[run]
duration = "300ms"
[machine]
ram = "1MiB"
[guest.memory]
dirty_rate = "1MiB/s"
[migration]
start = "50ms"
downtime = "20ms"
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return str(path)


def plan(file: str, **more: Any) -> Plan:
    return plan_of(Order(file, **more))[0]


def outcomes(plan: Plan, count: int, executor: Any, workers: int) -> list[dict[str, Any]]:
    done = trials(plan, range(count), executor, workers, chunk=3)
    return [trial.outcome() for trial in chain.from_iterable(done)]


def test_results_are_the_same_and_in_order_here_in_two_processes_and_again(file: str) -> None:
    drawn = plan(file, seed=5, strategies=["tb-offset", "none"])
    alone = outcomes(drawn, 20, InThisProcess(), 1)
    assert [trial["number"] for trial in alone] == list(range(20))
    with local(2) as (executor, workers):
        assert outcomes(drawn, 20, executor, workers) == alone
    assert outcomes(plan(file, seed=6, strategies=["tb-offset", "none"]), 20, InThisProcess(), 1) != alone


@pytest.mark.slow
def test_results_are_the_same_on_a_dask_cluster(file: str) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    drawn = plan(file, seed=5)
    alone = outcomes(drawn, 9, InThisProcess(), 1)
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", silence_logs=50
    )
    with cluster, dask(cluster.scheduler_address) as (executor, workers):
        assert workers == 2
        assert outcomes(drawn, 9, executor, workers) == alone


def test_a_draw_depends_on_seed_and_number_alone_and_not_on_what_else_may_be_drawn() -> None:
    every = draw(FEATURES, 1, 7)
    fewer = draw([feature for feature in FEATURES if feature.name != "cpus"], 1, 7)
    assert {key: value for key, value in every.items() if key != "machine.cpus"} == fewer
    assert draw(FEATURES, 1, 7) == every
    assert len({str(draw(FEATURES, 1, number)) for number in range(100)}) == 100


def test_each_feature_is_in_some_runs_and_not_in_others() -> None:
    runs = [draw(FEATURES, 3, number) for number in range(300)]
    for key in ("machine.cpus", "host.clock_skew", "link.jitter", "guest.sets_timebase"):
        assert 20 < sum(key in run for run in runs) < 200, key


def test_what_a_strategy_does_not_promise_is_not_drawn_unless_it_is_asked_for() -> None:
    promised = {feature.name for feature in features_for("tb-offset", ["promised"])}
    assert "clock-skew" not in promised
    assert "clock-skew" in {feature.name for feature in features_for("tb-offset", ["all"])}
    assert [feature.name for feature in features_for("tb-offset", ["jitter", "cpus"])] == ["cpus", "jitter"]
    with pytest.raises(UsageError, match="'nonesuch' is not known"):
        features_for("tb-offset", ["nonesuch"])


def test_a_grid_is_every_combination_with_both_ends() -> None:
    downtime = axis("migration.downtime=0ms..100ms:50ms")
    assert downtime.values == ("0ns", "50ms", "100ms")
    trigger = axis("machine.trigger=edge,level")
    assert cells([downtime, trigger])[:3] == [
        {"migration.downtime": "0ns", "machine.trigger": "edge"},
        {"migration.downtime": "0ns", "machine.trigger": "level"},
        {"migration.downtime": "50ms", "machine.trigger": "edge"},
    ]
    assert axis("machine.cpus=1..4:2").values == (1, 3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("migration.downtime", "is not of the form"),
        ("migration.nonesuch=1..2:1", "unknown key"),
        ("migration.downtime=1..2:1", "has no unit"),
        ("migration.downtime=2s..1s:1ms", "is no range"),
        ("migration.downtime=0s..1s:0s", "is no range"),
        ("migration.downtime=0s..1h:1ns", "is no range"),
    ],
)
def test_a_wrong_grid_is_said_to_be_wrong(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        axis(text)


def test_strategies_take_turns_on_the_same_draws(file: str) -> None:
    drawn = plan(file, strategies=["none", "tb-offset"], faults=["cpus", "jitter"])
    for turn in range(5):
        one, other = (dict(drawn.scenario(2 * turn + which).settings) for which in range(2))
        assert one.pop("migration.strategy") == "none"
        assert other.pop("migration.strategy") == "tb-offset"
        assert one == other


class Silent:
    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def run(file: str, **more: Any) -> Any:
    return carry_out(Order(file, jobs=1, **more), Silent())  # type: ignore[arg-type]


def test_an_interrupted_campaign_goes_on_where_it_was(file: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole.duckdb"
    run(file, runs=12, out=whole)
    pieces = tmp_path / "pieces.duckdb"
    run(file, runs=5, out=pieces)
    with pytest.raises(OutputError, match="--resume goes on with it"):
        run(file, runs=12, out=pieces)
    resumed = run(file, runs=12, out=pieces, resume=True)
    assert resumed.runs == 12
    of = [Store(path, plan(file), resume=True) for path in (whole, pieces)]
    one, other = ([trial.outcome() for trial in store.trials()] for store in of)
    assert one == other
    with pytest.raises(UsageError, match="is another campaign: seed was 1, now it is 2"):
        Store(pieces, plan(file, seed=2), resume=True)


def test_a_strategy_that_breaks_is_caught_shrunk_and_written_down(file: str, tmp_path: Path) -> None:
    outcome = run(file, runs=40, strategies=["none"], out=tmp_path / "none.duckdb")
    assert outcome.failed
    assert outcome.runs == 40
    assert sum(group.count for group in outcome.groups) == outcome.failed
    for case in outcome.cases:
        lines = case.config.read_text().splitlines()
        assert len(lines) <= 15
        again = attempt(Scenario(read_tables(case.config)[0]), str(case.config))
        assert again.signature == case.signature
        assert case.signature.check in case.story
        assert (case.runs / "source.jsonl").exists()


def test_a_strategy_that_holds_passes_a_small_campaign(file: str, tmp_path: Path) -> None:
    outcome = run(file, runs=60, out=tmp_path / "right.duckdb")
    assert (outcome.failed, outcome.groups) == (0, [])


def test_a_campaign_is_in_virtual_time(file: str) -> None:
    with pytest.raises(ConfigError, match=r"run\.clock"):
        plan(file, overrides=["run.clock=wall"])


def test_all_logs_are_kept_on_request(file: str, tmp_path: Path) -> None:
    run(file, runs=3, out=tmp_path / "kept.duckdb", keep_all=tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["0", "1", "2"]
    assert (tmp_path / "kept" / "2" / "destination.jsonl").exists()


def test_what_is_stored_twice_is_there_once(file: str, tmp_path: Path) -> None:
    """Ctrl-C between the statement and its end: the batch is given to the file again."""
    drawn = plan(file)
    done = drawn.attempt(range(3))
    with Store(tmp_path / "twice.duckdb", drawn, resume=False) as store:
        store.add(done[:2])
        store.add(done)
        assert store.totals()[0] == 3
        assert [trial.outcome() for trial in store.trials()] == [trial.outcome() for trial in done]
