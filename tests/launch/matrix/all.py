"""Run cells, several at a time: mostly they wait.

    python tests/launch/matrix/all.py DIRECTORY AT_ONCE [STAGE|FAULT ...]

Of each cell there is a file of JSON in DIRECTORY then. One process forks them all, for what takes long in a process is
its imports.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = map(str, list(Path(__file__).parents)[1:3])

from switchover_document import endings

from matrix.cell import FAULTS, STAGES, impossible, run

_LONGEST_S = 150


def all_cells() -> list[tuple[str, str]]:
    return [(stage, fault) for stage in STAGES for fault in FAULTS if not impossible(stage, fault)]


def file_of(stage: str, fault: str) -> str:
    return f"{stage}--{fault}".replace(", ", ".").replace(" ", "_")


def _fork(stage: str, fault: str, directory: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    said, errors = os.pipe()  # not a file, which a full disk would keep from saying so
    os.dup2(errors, 2)
    os.set_blocking(said, False)
    signal.alarm(_LONGEST_S)
    try:
        with tempfile.TemporaryDirectory(prefix="cell") as private:  # a short name: sockets are in it
            outcome = run(stage, fault, Path(private), endings())
    except BaseException:
        outcome = {"error": traceback.format_exc()}
    with contextlib.suppress(BlockingIOError):
        outcome["stderr"] = os.read(said, 1 << 16).decode()
    (directory / f"{file_of(stage, fault)}.json").write_text(json.dumps({"stderr": "", **outcome}))
    os._exit(0)


def run_cells(cells: list[tuple[str, str]], directory: Path, at_once: int, told: Callable[[str], object]) -> None:
    running: set[int] = set()
    for stage, fault in cells:
        running.add(_fork(stage, fault, directory))
        told(f"{stage} × {fault}")
        while len(running) >= at_once:
            running.discard(os.wait()[0])
    while running:
        running.discard(os.wait()[0])


def main() -> None:
    directory, at_once, *wanted = sys.argv[1:]
    cells = [cell for cell in all_cells() if not wanted or f"{cell[0]}|{cell[1]}" in wanted]
    Path(directory).mkdir(parents=True, exist_ok=True)
    run_cells(cells, Path(directory), int(at_once), lambda name: None)


if __name__ == "__main__":
    main()
