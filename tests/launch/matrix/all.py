"""Run cells, several at a time: mostly they wait.

    python tests/launch/matrix/all.py DIRECTORY AT_ONCE [TRANSPORT|STAGE|FAULT ...]

Without more, all cells over tcp. Of each cell there is a file of JSON in DIRECTORY then. One process forks all, for
what takes long in a process is its imports.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = map(str, list(Path(__file__).parents)[1:3])

from switchover_document import endings

from matrix.cell import FAULTS, STAGES, impossible, run

_LONGEST_S = 150


Over = tuple[str, str, str]
"""A cell, and what it goes over: transport, stage, fault."""

TRANSPORTS = ("tcp", "unix", "tls")


def all_cells(*transports: str) -> list[Over]:
    cells = [(stage, fault) for stage in STAGES for fault in FAULTS if not impossible(stage, fault)]
    return [(transport, *cell) for transport in transports for cell in cells]


def file_of(transport: str, stage: str, fault: str) -> str:
    return f"{transport}--{stage}--{fault}".replace(", ", ".").replace(" ", "_")


def _fork(transport: str, stage: str, fault: str, directory: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    said, errors = os.pipe()  # not a file, which a full disk would keep from saying so
    os.dup2(errors, 2)
    os.set_blocking(said, False)
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(_LONGEST_S)
    try:
        with tempfile.TemporaryDirectory(prefix="cell") as private:  # a short name: sockets are in it
            outcome = run(stage, fault, transport, Path(private), endings())
    except BaseException:
        outcome = {"error": traceback.format_exc()}
    with contextlib.suppress(BlockingIOError):
        outcome["stderr"] = os.read(said, 1 << 16).decode()
    (directory / f"{file_of(transport, stage, fault)}.json").write_text(json.dumps({"stderr": "", **outcome}))
    os._exit(0)


def _too_long(*_: object) -> None:
    raise TimeoutError(f"it takes longer than {_LONGEST_S} s")


def run_cells(cells: list[Over], directory: Path, at_once: int) -> None:
    running: set[int] = set()
    for cell in cells:
        running.add(_fork(*cell, directory))
        while len(running) >= at_once:
            running.discard(os.wait()[0])
    while running:
        running.discard(os.wait()[0])


def main() -> None:
    directory, at_once, *wanted = sys.argv[1:]
    cells = [cell for cell in all_cells(*TRANSPORTS) if "|".join(cell) in wanted] if wanted else all_cells("tcp")
    Path(directory).mkdir(parents=True, exist_ok=True)
    run_cells(cells, Path(directory), int(at_once))


if __name__ == "__main__":
    main()
