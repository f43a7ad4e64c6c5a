"""``qmp-shell``, of the package qemu.qmp, in a terminal of its own: QMP, and the human monitor."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("qemu.qmp")

CONFIG = """
[run]
duration = "90s"
clock = "wall"
[machine]
ram = "1MiB"
[migration]
start = "0ns"
"""
LIVEMIG = [sys.executable, "-m", "livemig"]
SHELL = str(Path(sys.executable).parent / "qmp-shell")


class Terminal:
    """A program in a pseudo terminal, and what it has written there."""

    def __init__(self, *command: str) -> None:
        self._ours, theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        environment = {**os.environ, "TERM": "dumb", "HOME": "/nonexistent"}
        self._process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        self.said = ""

    def until(self, text: str) -> None:
        deadline = time.monotonic() + 30
        while text not in self.said:
            assert time.monotonic() < deadline, self.said
            with suppress(BlockingIOError):
                self.said += os.read(self._ours, 4096).decode()
            time.sleep(0.02)
        self.said = self.said[self.said.index(text) + len(text) :]

    def ask(self, line: str, answer: str) -> None:
        os.write(self._ours, line.encode() + b"\n")
        self.until(answer)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


def test_a_guest_is_migrated_by_hand_from_two_shells(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    common = ["--out", str(tmp_path / "run")]
    config, there = str(tmp_path / "c.toml"), f"unix:{tmp_path}/m"
    sides = [
        subprocess.Popen([*LIVEMIG, *command, *common], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in (
            ["source", config, "--qmp", f"unix:{tmp_path}/s"],
            ["destination", config, "--listen", "defer", "--qmp", f"unix:{tmp_path}/d"],
        )
    ]
    deadline = time.monotonic() + 30
    while not ((tmp_path / "s").exists() and (tmp_path / "d").exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    qmp, human = Terminal(SHELL, str(tmp_path / "s")), Terminal(SHELL, "-H", str(tmp_path / "d"))
    try:
        qmp.until("Connected to QEMU 10.0.0")
        human.until("Welcome to the HMP shell!")
        qmp.ask("query-status", '"running": true')
        human.ask("info status", "VM status: paused (inmigrate)")
        human.ask(f"migrate_incoming {there}", "(QEMU) ")
        human.ask("info migrate", "socket address")
        qmp.ask("migrate-set-parameters downtime-limit=3000000", "in the range of 0 to (2000 * 1000) ms")
        qmp.ask(f"migrate uri={there}", '{"return": {}}')
        for _ in range(100):
            human.ask("info status", "VM status: ")
            time.sleep(0.1)
            human.ask("info uuid", "00000000-0000-0000-0000-000000000000")
            if (tmp_path / "run/destination.jsonl").read_text().count('"machine_resumed"'):
                break
        human.ask("info status", "VM status: running")
        human.ask("info registers", "DECR")
        qmp.ask("cont", "here it would run a second time")
        qmp.ask("quit", '{"return": {}}')
        assert sides[0].wait(20) == 0
    finally:
        for terminal in (qmp, human):
            terminal.close()
        for side in sides:
            side.kill()
            side.wait()
