"""Wall time of ``livemig run``, 1 s and 16 MiB, beside ``python -c "import trio, msgpack, structlog"``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figure import beside

SCENARIO = """
[run]
duration = "1s"
[machine]
ram = "16MiB"
cpus = 2
[migration]
start = "300ms"
downtime = "100ms"
"""


def took(*command: str) -> float:
    """Seconds of wall time until the process has ended, successfully."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks startup")
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    imports, runs = [], []
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "startup.toml"
        config.write_text(SCENARIO)
        for number in range(rounds + 1):
            imported = took("-c", "import trio, msgpack, structlog")
            ran = took("-m", "livemig", "run", str(config), "--out", f"{directory}/{number}")
            if number:  # the first one fills caches
                imports.append(imported)
                runs.append(ran)
    beside("startup: livemig run, 1 s, 16 MiB", "s", runs, "import trio, msgpack, structlog", imports).show()


if __name__ == "__main__":
    main()
