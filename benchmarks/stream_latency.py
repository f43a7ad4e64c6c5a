"""How long a guest's CPU stands for a page in postcopy, beside a bare ping-pong of the same sizes.

A whole migration in wall time, two processes: the guest goes over at once, its pages follow when its CPU touches them.
A wait is from the touch to when the CPU goes on, as the destination logs it: the request, its way through the source,
and the page. Pushing is held down, so that nearly every page is asked for, none around it. The ping-pong sends as many
bytes as such a request has, and as many back as the answer, between two processes that do nothing else.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure
from benchmarks.stream import connected
from livemig.machine.ram import PAGE
from livemig.migration.checksum import SIZE
from livemig.migration.frames import Frame, encode

SCENARIO = """
[run]
clock = "wall"
duration = "3s"
[machine]
ram = "64MiB"
[guest]
kind = "periodic"
[guest.periodic]
period = "100ms"
[guest.memory]
dirty_rate = "8MiB/s"
locality = "uniform"
filled_percent = 100
[migration]
transport = "{family}"
start = "200ms"
downtime = "1ms"
downtime_limit = "1us"
postcopy_ram = true
postcopy_start = 0
prepaging = 0
max_postcopy_bandwidth = "64KiB/s"
[link]
bandwidth = "1Tbit/s"
latency = "1us"
"""
_ROUND_TRIPS = 2000
_US = 1e6


def latencies(rounds: int) -> Iterator[Figure]:
    """Median and 99th percentile, of all rounds together, over unix and tcp."""
    for family in ("unix", "tcp"):
        waits: list[float] = []
        bare: list[float] = []
        for _ in range(rounds):
            bare += _ping_pong(family)
            waits += _waits(family)
        for name, share in (("median", 50), ("p99", 99)):
            ours, theirs = float(np.percentile(waits, share)), float(np.percentile(bare, share))
            yield Figure(
                f"stream: {family}, postcopy: a CPU waits for a page, {name} of {len(waits)}", round(ours * _US, 1),
                "us", "bare ping-pong", round(theirs * _US, 1), round(ours / theirs, 3),
            )  # fmt: skip


def _waits(family: str) -> list[float]:
    """Seconds, of every CPU that stood."""
    with tempfile.TemporaryDirectory(prefix="livemig-benchmarks-") as directory:
        config, out = Path(directory, "postcopy.toml"), Path(directory, "run")
        config.write_text(SCENARIO.format(family=family))
        line = [sys.executable, "-m", "livemig", "run", str(config), "--out", str(out), "--json"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):  # late interrupts of a busy host are no concern here
            raise RuntimeError(f"livemig run: {done.stderr.strip()}")
        events = (json.loads(text) for text in (out / "destination.jsonl").read_text().splitlines())
        return [event["wait_ns"] / 1e9 for event in events if event["event"] == "page_arrived"]


def _ping_pong(family: str) -> list[float]:
    """Seconds from the first byte out to the last byte in."""
    asked = {"number": 500, "page": 9000, "around": 0, "until_ns": 10**9}
    request = encode(Frame("page_request", 10**9, 10**9, asked), 500)
    fields = {"runs": [[9000, 1]], "zero": [], "answers": 500, "until_ns": 10**9}
    answer = encode(Frame("postcopy_pages", 10**9, 10**9, fields), 500, ram_pages=1 << 14) + bytes(PAGE + SIZE)
    near, far = connected(family)
    child = os.fork()
    if child == 0:
        near.close()
        while _read(far, len(request)):
            far.sendall(answer)
        os._exit(0)
    far.close()
    took = []
    for _ in range(_ROUND_TRIPS):
        began = time.perf_counter()
        near.sendall(request)
        _read(near, len(answer))
        took.append(time.perf_counter() - began)
    near.close()
    os.waitpid(child, 0)
    return took


def _read(sock: socket.socket, size: int) -> bool:
    room = memoryview(bytearray(size))
    while room:
        got = sock.recv_into(room)
        if not got:
            return False
        room = room[got:]
    return True
