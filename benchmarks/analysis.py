"""The judge's events a second on a long log, all checks, beside DuckDB's and Polars' bare scan of the same files.

The run is livemig's own: 8 CPUs of the Darwin guest, two lines an interrupt, migrated in the middle. A scan counts
the lines of each CPU and finds their last time: the least that anything must do that reads the log.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars

from benchmarks.figure import Figure, beside
from livemig.analysis.judge import judge

EVENTS_A_SECOND = 15_200
"""Of guest time, as measured."""

SCENARIO = """
[run]
duration = "{duration}ms"
[machine]
model = "g3beige"
ram = "16MiB"
cpus = 8
[migration]
start = "{start}ms"
downtime = "100ms"
"""
PEAK = """
import re, sys
from pathlib import Path
from livemig.analysis.judge import judge
judge(sys.argv[1])
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def make_run(directory: Path, events: int) -> Path:
    """A run directory of about so many events."""
    milliseconds = events * 1000 // EVENTS_A_SECOND
    config = directory / "analysis.toml"
    config.write_text(SCENARIO.format(duration=milliseconds, start=milliseconds // 2))
    run_dir = directory / "run"
    command = [sys.executable, "-m", "livemig", "run", str(config), "--out", str(run_dir)]
    subprocess.run(command, check=True, capture_output=True)
    return run_dir


def lines_of(files: list[str]) -> int:
    """How many events there are."""
    return sum(chunk.count(b"\n") for file in files for chunk in iter(Path(file).open("rb").read, b""))


def rate(events: int, work: Callable[[], object]) -> float:
    """Events a second of ``work`` on all of them."""
    began = time.perf_counter()
    work()
    return events / (time.perf_counter() - began)


def scan_by_duckdb(files: list[str]) -> None:
    """All its threads."""
    query = "SELECT cpu, count(*), max(t_ns) FROM read_json(?, format = 'newline_delimited') GROUP BY cpu"
    duckdb.execute(query, [files]).fetchall()


def scan_by_polars(files: list[str]) -> None:
    """All its threads. It is told the types: those it infers from each file differ, and it gives up."""
    schema = {"cpu": polars.Int64, "t_ns": polars.Int64}
    lines = polars.scan_ndjson(files, schema=schema)
    lines.group_by("cpu").agg(polars.len(), polars.col("t_ns").max()).collect()


def judge_all(run_dir: Path) -> None:
    """Every check; the run is a good one."""
    assert judge(run_dir).verdict == "valid"


def peak_mib(program: str, *arguments: str) -> float:
    """The most memory of a process of its own."""
    ran = subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True)
    return int(ran.stdout) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks analysis")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        run_dir = make_run(Path(directory), arguments.events)
        files = [str(run_dir / f"{side}.jsonl") for side in ("source", "destination")]
        events = lines_of(files)
        rates: dict[str, list[float]] = {"judge": [], "DuckDB": [], "Polars": []}
        for _ in range(arguments.rounds):
            rates["DuckDB"].append(rate(events, lambda: scan_by_duckdb(files)))
            rates["Polars"].append(rate(events, lambda: scan_by_polars(files)))
            rates["judge"].append(rate(events, lambda: judge_all(run_dir)))
        peak = peak_mib(PEAK, str(run_dir))
        least = peak_mib(PEAK.replace("judge(sys.argv[1])", ""))
    name = f"analysis: all checks, {events} events"
    for peer in ("DuckDB", "Polars"):
        beside(name, "events/s", rates["judge"], f"the scan of {peer}", rates[peer]).show()
    name = f"analysis: peak memory, {events} events"
    Figure(name, round(peak, 1), "MiB", "nothing judged", round(least, 1), round(peak / least, 3)).show()


if __name__ == "__main__":
    main()
