"""A campaign from what the user asks for to its outcome: run, stored, grouped, shrunk, told."""

from __future__ import annotations

import time
from concurrent.futures import Executor
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final, TextIO

from livemig.config.load import read_tables, validated
from livemig.errors import ConfigError, UsageError
from livemig.strategies.table import STRATEGIES
from livemig.stress import executors
from livemig.stress.campaign import trials
from livemig.stress.grid import Axis, axis, cells
from livemig.stress.grouping import Group, grouped
from livemig.stress.plan import Plan
from livemig.stress.reproduction import Case, save
from livemig.stress.shrink import Shrinker
from livemig.stress.space import features_for
from livemig.stress.store import Store
from livemig.stress.trial import Trial

_RUNS: Final = 1000
_BATCH: Final = 64
"""Rows that are stored at once."""


@dataclass(frozen=True, slots=True)
class Order:
    """What ``livemig stress`` was asked for; as its options say."""

    file: str
    overrides: list[str] = field(default_factory=list)
    seed: int = 1
    runs: int | None = None
    seconds: int | None = None
    strategies: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=lambda: ["promised"])
    grid: list[str] = field(default_factory=list)
    jobs: int | None = None
    dask: str | None = None
    out: Path | None = None
    resume: bool = False
    shrink: int = 200
    regressions: Path | None = None
    keep_failed: int = 20
    keep_all: Path | None = None
    until_failure: bool = False
    heal: bool = False
    wants_trials: bool = False

    @property
    def store(self) -> Path:
        """Where the results go."""
        return self.out or Path(f"stress-{self.seed}.duckdb")

    @property
    def failures(self) -> Path:
        """Where the logs of failing runs go, a directory each by its number. What is made small goes there too."""
        return Path(f"{self.store.with_suffix('')}-failures")


@dataclass(slots=True)
class Outcome:
    """What came of it. ``host_s``: time it took here; ``emulated``: of the workers' time, the share spent in runs."""

    plan: Plan
    axes: list[Axis]
    runs: int = 0
    failed: int = 0
    interrupted: bool = False
    host_s: float = 0.0
    emulated: float = 0.0
    groups: list[Group] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    """All of them, if they are wanted."""
    store: Path = Path()


def plan_of(order: Order) -> tuple[Plan, list[Axis]]:
    """The plan that ``order`` asks for, and the axes of its grid.

    Raises:
        UsageError: something in it is not known. ConfigError: the file is wrong.
    """
    base, overridden = read_tables(order.file, order.overrides)
    config = validated(base, order.file, overridden)
    if config.run.clock != "virtual":
        raise ConfigError(order.file, "run.clock", "'wall': a campaign runs in virtual time", "virtual")
    strategies = tuple(order.strategies or [config.migration.strategy])
    for name in strategies:
        if name not in STRATEGIES:
            raise UsageError(f"--strategy: {name!r} is not known (allowed: {', '.join(STRATEGIES)})")
        features_for(name, order.faults)
    axes = [axis(text) for text in order.grid]
    grid = tuple(cells(axes)) if axes else ()
    return Plan(order.file, base, order.seed, strategies, tuple(order.faults), grid, order.heal), axes


def carry_out(order: Order, progress: TextIO) -> Outcome:
    """Run it. Ctrl-C ends it early, with all that was done until then.

    Raises:
        LivemigError: it could not be run.
    """
    plan, axes = plan_of(order)
    runs = order.runs
    if runs is None and order.seconds is None:
        runs = len(plan.cells) * len(plan.strategies) or _RUNS
    outcome = Outcome(plan, axes, store=order.store)
    began = time.monotonic()
    with _executor(order) as (executor, workers), Store(outcome.store, plan, order.resume) as store:
        try:
            _run(order, plan, runs, store, progress, executor, workers)
        except KeyboardInterrupt:
            outcome.interrupted = True
        outcome.host_s = time.monotonic() - began
        outcome.runs, outcome.failed, outcome.emulated = store.totals()
        outcome.groups = grouped(store.trials("failed <> ''"))
        if order.wants_trials:
            outcome.trials = list(store.trials())
    try:
        for group in () if outcome.interrupted else outcome.groups:
            plan.attempt(group.numbers[: order.keep_failed], order.failures)
            outcome.cases.append(_small(order, plan, group))
    except KeyboardInterrupt:
        outcome.interrupted = True
    return outcome


def _run(
    order: Order, plan: Plan, runs: int | None, store: Store, progress: TextIO, executor: Executor, workers: int
) -> None:
    from tqdm import tqdm

    done = store.done()
    numbers = (number for number in (count() if runs is None else range(runs)) if number not in done)
    until = None if order.seconds is None else time.monotonic() + order.seconds
    bar = tqdm(total=runs, initial=len(done), unit="run", file=progress, disable=not progress.isatty(), leave=False)
    before = store.totals()[1]
    failed = 0
    kept: list[Trial] = []
    with bar:
        try:
            with closing(trials(plan, numbers, executor, workers, until, keep=order.keep_all)) as chunks:
                for chunk in chunks:
                    kept += chunk
                    failed += sum(trial.signature is not None for trial in chunk)
                    bar.set_postfix(failed=before + failed, refresh=False)  # the update shows it
                    bar.update(len(chunk))
                    if len(kept) >= _BATCH:
                        store.add(kept)
                        kept = []
                    if failed and order.until_failure:
                        break
        finally:
            if kept:
                store.add(kept)


def _executor(order: Order) -> AbstractContextManager[tuple[Any, int]]:
    if order.dask is not None:
        return executors.dask(order.dask)
    return executors.local(order.jobs or executors.cores())


def _small(order: Order, plan: Plan, group: Group) -> Case:
    """The group's smallest failure, made smaller, and written down."""
    scenario = plan.scenario(group.smallest.number)
    smallest = Shrinker(plan.file, group.signature, order.shrink).shrink(scenario)
    return save(smallest, group.signature, order.regressions or order.failures)

