"""Runs per second and core of a campaign: drawn, run, judged and stored, beside what the emulation alone takes."""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path

from benchmarks.figure import beside
from livemig.stress.order import Order, carry_out
from livemig.stress.store import Store

CONFIG = str(Path(__file__).parents[1] / "configs" / "stress-small.toml")


def measured(order: Order) -> tuple[float, float]:
    """Runs per second of CPU time in this process, of the whole and of the emulation in it."""
    began_s, began_ns = time.process_time(), time.perf_counter_ns()
    outcome = carry_out(order, io.StringIO())
    took_s, took_ns = time.process_time() - began_s, time.perf_counter_ns() - began_ns
    with Store(order.store, outcome.plan, resume=True) as store:
        emulated_ns = sum(trial.run_us for trial in store.trials()) * 1000
    rate = outcome.runs / took_s
    return rate, rate * took_ns / emulated_ns


def main() -> None:
    """Measure and print; one less the ratio is the share of time that is spent outside the emulation."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks campaign")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=300, help="in each round")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name, faults in (("one guest", []), ("all promised faults", ["promised"])):
        rates, alone = [], []
        with tempfile.TemporaryDirectory() as directory:
            for number in range(options.rounds + 1):
                out = Path(directory) / f"{number}.duckdb"
                order = Order(CONFIG, seed=options.seed, runs=options.runs, faults=faults, jobs=1, out=out, shrink=0)
                rate, emulation = measured(order)
                if number:  # the first one fills caches
                    rates.append(rate)
                    alone.append(emulation)
        beside(f"campaign: {name}, 2 CPUs, 1 s, 1 MiB", "runs/s per core", rates, "emulation alone", alone).show()


if __name__ == "__main__":
    main()
