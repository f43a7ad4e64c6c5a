"""In wall time a pass goes no faster than the connection takes it, and the source stays in hand meanwhile."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

MIB = 1 << 20
PASSES = 8 * MIB
SCENARIO = """
[run]
duration = "10min"
clock = "wall"
[machine]
ram = "128MiB"
[guest]
kind = "periodic"
[guest.memory]
dirty_rate = "0B/s"
filled_percent = 100
[migration]
start = "1ms"
[link]
bandwidth = "1Tbit/s"
latency = "1us"
"""


class Line(threading.Thread):
    """Carries 8 MiB from the source to the destination and no more, and all that the destination says."""

    def __init__(self, front: Path, back: Path) -> None:
        super().__init__(daemon=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(front))
        self._listener.listen()
        self._back = back

    def run(self) -> None:
        near, _ = self._listener.accept()
        self.ends = near, there = near, socket.socket(socket.AF_UNIX)
        there.connect(str(self._back))
        threading.Thread(target=self._carry, args=(there, near, 1 << 60), daemon=True).start()
        self._carry(near, there, PASSES)

    def _carry(self, one: socket.socket, other: socket.socket, most: int) -> None:
        while most > 0 and (data := one.recv(min(most, 65536))):
            other.sendall(data)
            most -= len(data)


class Monitor:
    def __init__(self, path: Path) -> None:
        sock = socket.socket(socket.AF_UNIX)
        until(path.exists)
        sock.connect(str(path))
        self._file = sock.makefile("rw")
        self._file.readline()
        self("qmp_capabilities")

    def __call__(self, command: str, **arguments: Any) -> dict[str, Any]:
        self._file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._file.flush()
        while "event" in (said := json.loads(self._file.readline())):
            pass
        return dict(said["return"])


def until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.wall
def test_a_source_does_not_run_ahead_of_a_line_that_takes_nothing_and_can_be_cancelled(tmp_path: Path) -> None:
    config, front, back = tmp_path / "slow.toml", tmp_path / "front", tmp_path / "back"
    config.write_text(SCENARIO)
    Line(front, back).start()
    command = [sys.executable, "-m", "livemig"]
    sides = [
        [*command, "destination", str(config), "--listen", f"unix:{back}", "--out", str(tmp_path)],
        [*command, "source", str(config), "--out", str(tmp_path), "--qmp", f"unix:{tmp_path}/qmp,server"],
    ]
    running = [subprocess.Popen(side, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for side in sides]
    try:
        until(back.exists)
        monitor = Monitor(tmp_path / "qmp")
        monitor("migrate", uri=f"unix:{front}")
        until(lambda: monitor("query-migrate").get("ram", {}).get("transferred", 0) > PASSES)
        before = -1
        while (sent := monitor("query-migrate")["ram"]["transferred"]) != before:  # until it sends nothing more
            before = sent
            time.sleep(0.5)
        assert monitor("query-migrate")["status"] == "active"
        # what the line took, 16 MiB that wait, a frame of 4 MiB that was begun before, one more, and the sockets'
        assert sent <= PASSES + (16 + 2 * 4 + 1) * MIB
        monitor("migrate_cancel")
        until(lambda: monitor("query-migrate")["status"] == "cancelled")
        assert monitor("query-status")["running"]
    finally:
        for process in running:
            process.kill()
            process.communicate()
