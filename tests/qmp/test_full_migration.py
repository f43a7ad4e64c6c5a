"""The script that ships, with a client that nobody here wrote, against livemig and against a real QEMU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("qemu.qmp")

SCRIPT = Path(__file__).parents[2] / "docs/examples/full_migration.py"
CONFIG = """
[run]
duration = "60s"
clock = "wall"
[machine]
ram = "4MiB"
[migration]
start = "0ns"
"""


@contextmanager
def running(*commands: list[str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen(command, **quiet) for command in commands]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def full_migration(tmp_path: Path) -> list[str]:
    """What the script prints."""
    arguments = [str(tmp_path / "s.qmp"), str(tmp_path / "d.qmp"), f"unix:{tmp_path}/migrate"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, timeout=90, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


REFUSALS = [
    "Parameter 'downtime_limit' expects an integer in the range of 0 to (2000 * 1000) ms",
    "Migration not in expected state: none",
    "Enable postcopy with migrate_set_capability before the start of migration",
    "There's a migration process in progress",
    "Migration is not finalized yet",
    "Can't migrate the vm that was paused due to previous migration",
]
"""As the reference has them from QEMU 7.2."""
SOURCE = [
    "MIGRATION setup", "MIGRATION active", "STOP", "MIGRATION pre-switchover", "MIGRATION device",
    "MIGRATION completed", "SHUTDOWN host-qmp-quit",
]  # fmt: skip
DESTINATION = (
    "destination: MIGRATION setup, MIGRATION active, RESUME, MIGRATION completed, STOP, RESUME, SHUTDOWN host-qmp-quit"
)


def check(said: list[str]) -> None:
    assert [line.removeprefix("refused: ") for line in said if line.startswith("refused")] == REFUSALS
    assert "source: postmigrate, destination: running" in said
    assert any(line.startswith("TB 0") and " DECR " in line for line in said)


def test_it_migrates_livemigs_guest(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "livemig"]
    common = ["--out", str(tmp_path / "run")]
    with running(
        [*command, "source", str(config), "--qmp", f"unix:{tmp_path}/s.qmp,server", *common],
        [*command, "destination", str(config), "--listen", "defer", "--qmp", f"unix:{tmp_path}/d.qmp", *common],
    ) as sides:
        said = full_migration(tmp_path)
        assert [side.wait(20) for side in sides] == [0, 0]
    check(said)
    events = next(line for line in said if line.startswith("source: MIGRATION"))
    heard = events.removeprefix("source: ").split(", ")
    passes = [event for event in heard if event.startswith("MIGRATION_PASS")]
    assert passes == [f"MIGRATION_PASS {number}" for number in range(1, len(passes) + 1)]
    assert len(passes) >= 2
    assert heard.index(passes[0]) == heard.index("MIGRATION active") - 1
    assert heard.index(passes[-1]) == heard.index("MIGRATION completed") - 1
    assert [event for event in heard if event not in passes] == SOURCE
    destination = next(line for line in said if line.startswith("destination: MIGRATION"))
    assert destination.replace("MIGRATION device, ", "") == DESTINATION
    assert not (tmp_path / "migrate").exists()


@pytest.mark.qemu
def test_it_migrates_a_guest_of_a_real_qemu(tmp_path: Path) -> None:
    command = ["qemu-system-ppc", "-M", "g3beige", "-m", "64", "-display", "none", "-nodefaults", "-qmp"]
    with running(
        [*command, f"unix:{tmp_path}/s.qmp,server=on,wait=off"],
        [*command, f"unix:{tmp_path}/d.qmp,server=on,wait=off", "-incoming", "defer"],
    ):
        check(full_migration(tmp_path))
