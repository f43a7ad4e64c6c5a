"""What goes wrong for real: every fault at every state of a migration, two processes and a link that is held there.

What is expected stands in docs/switchover.md, which this reads: where the guest is in the end, and that this end is one
that the explorer found, too. Every cell is run over tcp; over unix and tls some, or with `--whole-matrix` all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from matrix.all import TRANSPORTS, Over, all_cells, file_of
from matrix.cell import FAULTS, STAGES, Cell, impossible
from switchover_document import endings, head, rows

HEADING = "What goes wrong for real"
AT_ONCE = 8
LETTERS = {
    "S": "runs at the source", "D": "runs at the destination", "D!": "runs at the destination",
    "P": "paused and whole at the source", "M": "what was missing died with the source",
    "X": "the guest died with the source, the guest died with the destination",
}  # fmt: skip
MUST_HOLD = (
    "no_interrupt_lost", "none_duplicated", "none_early", "tb_monotonic", "tb_continuous", "tb_synchronised",
    "decr_matches_tb", "one_owner", "ram_identical", "conservation",
)  # fmt: skip
UNLESS_TB_IS_OFF = ("tb_continuous", "no_interrupt_lost")
SOME = {
    (stage, fault)
    for stage in (
        "setup, active", "active, active", "device, device", "device switched, device", "device switched, completed",
        "postcopy-active, postcopy-active", "postcopy-recover, postcopy-recover",
    )
    for fault in ("reset", "half-open", "truncated", "corrupted", "kill destination")
} | {("postcopy-active, postcopy-active by preempt", fault) for fault in ("reset preempt", "half-open preempt")}
"""What the transport may have a say in: how a link ends, at one state of each kind."""


def told() -> dict[tuple[str, str], str]:
    faults = head(HEADING)[1:]
    return {(stage, fault): cell for stage, *cells in rows(HEADING) for fault, cell in zip(faults, cells, strict=True)}


def cells(whole: bool) -> list[Over]:
    return [cell for cell in all_cells(*TRANSPORTS) if whole or cell[0] == "tcp" or cell[1:] in SOME]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[Over, dict[str, Any]]:
    """Of all cells, run in one go."""
    directory = tmp_path_factory.mktemp("matrix")
    script = Path(__file__).parent / "matrix/all.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    wanted = cells(request.config.getoption("--whole-matrix"))
    command = [sys.executable, str(script), str(directory), str(AT_ONCE), *map("|".join, wanted)]
    subprocess.run(command, check=True, timeout=3600, env=environment)
    return {cell: json.loads((directory / f"{file_of(*cell)}.json").read_text()) for cell in wanted}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "transport" in metafunc.fixturenames:
        wanted = cells(metafunc.config.getoption("--whole-matrix"))
        metafunc.parametrize(("transport", "stage", "fault"), wanted)


def test_the_document_has_every_cell_and_says_which_cannot_be() -> None:
    letters_of = told()
    assert set(letters_of) == {(stage, fault) for stage in STAGES for fault in FAULTS}
    assert {cell for cell, letters in letters_of.items() if letters == "–"} == {
        (stage, fault) for stage in STAGES for fault in FAULTS if impossible(stage, fault)
    }


@pytest.mark.wall
@pytest.mark.parametrize("stage", [*(stage for stage in STAGES if impossible(stage, "reset")), "active, active"])
def test_where_no_fault_of_the_link_is_possible_there_is_no_connection(stage: str, tmp_path: Path) -> None:
    """And in another state there is one."""
    cell = Cell(stage, "reset", "tcp", tmp_path, endings())
    assert cell.connected() == (stage == "active, active")


@pytest.mark.slow
@pytest.mark.wall
def test_the_guest_is_where_the_document_says_and_nothing_of_it_is_lost(
    transport: str, stage: str, fault: str, outcomes: dict[Over, dict[str, Any]]
) -> None:
    outcome, letters = outcomes[transport, stage, fault], told()[stage, fault].split()
    assert "error" not in outcome, outcome["error"]
    assert "Traceback" not in outcome["stderr"], outcome["stderr"]
    ending = tuple(outcome["ending"])
    assert any(ending[2] in LETTERS[letter].split(", ") for letter in letters), ending
    assert ending in endings()
    assert outcome["ram"] in (True, None)
    assert (outcome["ram"] is None) == ("died" in ending[2])
    jumped = letters == ["D!"]
    for name in MUST_HOLD:
        if name in outcome["checks"] and not (jumped and name in UNLESS_TB_IS_OFF):
            assert not outcome["checks"][name].startswith("invalid"), (name, outcome["checks"][name])
    assert outcome["checks"]["one_owner"].startswith("valid")
    if jumped:
        assert outcome["checks"]["tb_continuous"].startswith("invalid")
    if ending[2] == "runs at the destination":
        assert outcome["checks"]["ram_identical"].startswith(("valid", "unknown" if ending[0] == "dead" else "valid"))
    if fault.endswith("preempt"):
        assert "postcopy-paused" in outcome["statuses"], "it went on without the connection for what CPUs wait for"
    if fault.startswith("disk") and "dead" in ending:
        assert "File too large" in outcome["stderr"]
