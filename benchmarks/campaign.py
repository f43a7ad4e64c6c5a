"""Runs per second and core of a campaign: drawn, run, judged and stored, beside what the emulation alone takes."""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.figure import beside
from livemig.stress.order import Order, carry_out
from livemig.stress.store import Store

CONFIG = str(Path(__file__).parents[1] / "configs" / "stress-small.toml")


class Took(NamedTuple):
    """CPU time of a run in this process, ms: the whole, and its parts. ``rest``: drawing, configuration, storing."""

    whole: float
    emulation: float
    judge: float

    @property
    def rest(self) -> float:
        return self.whole - self.emulation - self.judge


def measured(order: Order) -> Took:
    """In the mean over a campaign. The parts were taken by the host's clock, and are scaled to CPU time."""
    began_s, began_ns = time.process_time(), time.perf_counter_ns()
    outcome = carry_out(order, io.StringIO())
    took_s, took_ns = time.process_time() - began_s, time.perf_counter_ns() - began_ns
    with Store(order.store, outcome.plan, resume=True) as store:
        trials = list(store.trials())
    whole = took_s * 1000 / outcome.runs
    run, judge = (sum(getattr(trial, part) for trial in trials) * 1000 / took_ns for part in ("run_us", "judge_us"))
    return Took(whole, whole * run, whole * judge)


def show(name: str, rounds: list[Took]) -> None:
    """Runs a second beside the emulation alone, and what share of a run each part has."""
    rates, alone = [1000 / took.whole for took in rounds], [1000 / took.emulation for took in rounds]
    beside(f"campaign: {name}, 2 CPUs, 1 s, 1 MiB", "runs/s per core", rates, "emulation alone", alone).show()
    whole = [took.whole for took in rounds]
    for part in ("emulation", "judge", "rest"):
        of_it = [getattr(took, part) for took in rounds]
        beside(f"campaign: {name}: {part}", "ms of CPU time a run", of_it, "the whole run", whole).show()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks campaign")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=300, help="in each round")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name, faults in (("one guest", []), ("all promised faults", ["promised"])):
        rounds = []
        with tempfile.TemporaryDirectory() as directory:
            for number in range(options.rounds + 1):
                out = Path(directory) / f"{number}.duckdb"
                order = Order(CONFIG, seed=options.seed, runs=options.runs, faults=faults, jobs=1, out=out, shrink=0)
                rounds.append(measured(order))
        show(name, rounds[1:])  # the first one fills caches


if __name__ == "__main__":
    main()
