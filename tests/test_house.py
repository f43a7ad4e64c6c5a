"""The house keeps its floors: a module imports only from floors below its own."""

from __future__ import annotations

import ast
from pathlib import Path

import livemig

ROOT = Path(livemig.__file__).parent
FLOORS = [
    "errors", "config", "events", "clock", "timers", "guests", "machine", "strategies", "migration", "link", "qmp",
    "emulator", "analysis", "launch", "stress", "cli",
]  # fmt: skip
LONGEST_FILE, LONGEST_FUNCTION = 400, 50


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def floor_of(module: str) -> str:
    return module.split(".")[1]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("livemig.")}


def climbs(own: str, name: str) -> bool:
    """Whether ``name`` is above the floor ``own``."""
    other = floor_of(name)
    return other in FLOORS and FLOORS.index(other) > FLOORS.index(own)


def test_every_module_stands_on_a_floor_and_imports_only_downwards() -> None:
    wrong = []
    for path in modules():
        parts = path.relative_to(ROOT).with_suffix("").parts
        if len(parts) == 1 and parts[0] in ("__init__", "__main__"):
            continue
        assert parts[0] in FLOORS, path
        wrong += [f"{path.relative_to(ROOT)} imports {name}" for name in imported(path) if climbs(parts[0], name)]
    assert wrong == []


def test_analysis_knows_the_event_schema_and_nothing_else_of_livemig() -> None:
    known = {"errors", "events", "analysis"}
    for path in (ROOT / "analysis").rglob("*.py"):
        assert {floor_of(name) for name in imported(path)} <= known, path


def test_what_is_below_the_link_knows_neither_trio_nor_sockets() -> None:
    for floor in ("timers", "guests", "machine", "strategies", "migration"):
        for path in (ROOT / floor).rglob("*.py"):
            tree = ast.parse(path.read_text())
            names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            assert names.isdisjoint({"trio", "socket", "time", "threading", "random"}), path


def test_a_climb_would_be_seen() -> None:
    assert climbs("timers", "livemig.machine.cpu")
    assert not climbs("machine", "livemig.timers.ticks")
    assert not climbs("machine", "livemig.machine.ram")


def test_no_file_and_no_function_has_grown_long() -> None:
    long = []
    for path in modules():
        text = path.read_text()
        if len(text.splitlines()) > LONGEST_FILE:
            long.append(path.name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                lines = node.end_lineno - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{path.name}:{node.name} ({lines})")
    assert long == []
