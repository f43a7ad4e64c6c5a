"""A long campaign takes no more memory and no more open files than a short one, here and in its workers."""

from __future__ import annotations

import gc
import os
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest

from livemig.stress.campaign import trials
from livemig.stress.executors import local
from livemig.stress.order import Order, plan_of
from livemig.stress.plan import Plan
from livemig.stress.store import Store

ROUND = 40
MIB = 1 << 20
SMALL = """
run.duration = "300ms"
machine.ram = "1MiB"
guest.kind = "periodic"
migration.start = "50ms"
migration.downtime = "20ms"
"""


class Taken(NamedTuple):
    resident: int
    files: int


def taken(pid: int) -> Taken:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Taken(pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{pid}/fd")))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "small.toml").write_text(SMALL)
    return plan_of(Order(str(tmp_path / "small.toml"), seed=8))[0]


def test_here_ten_times_the_runs_take_no_more(plan: Plan) -> None:
    """The same runs again and again: what they need at most they have needed in the second round."""
    for _ in range(2):
        plan.attempt(range(ROUND))
    gc.collect()
    before = taken(os.getpid())
    for _ in range(8):
        plan.attempt(range(ROUND))
    gc.collect()
    after = taken(os.getpid())
    assert after.files == before.files
    assert after.resident - before.resident < 6 * MIB


@pytest.mark.slow
def test_workers_and_the_store_stay_level(plan: Plan, tmp_path: Path) -> None:
    with local(2) as (executor, workers), Store(tmp_path / "soak.duckdb", plan, resume=False) as store:
        seen: list[list[Taken]] = []
        for first in range(0, 800, 200):
            for chunk in trials(plan, range(first, first + 200), executor, workers):
                store.add(chunk)
            seen.append([taken(pid) for pid in (os.getpid(), *executor._processes)])  # type: ignore[attr-defined]
        assert store.totals()[0] == 800
    assert {each.files for each in chain.from_iterable(zip(*seen, strict=True))} <= {each.files for each in seen[0]}
    for early, late in zip(seen[1], seen[-1], strict=True):
        assert late.resident - early.resident < 24 * MIB
