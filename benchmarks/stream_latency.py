"""How long a guest's CPU stands for a page in postcopy, beside a bare ping-pong of the same sizes.

A whole migration in wall time, two processes: the guest goes over at once, its pages follow when its CPU touches them.
A wait is from the touch to when the CPU goes on, as the destination logs it: the request, its way through the source,
and the page; by the connection for all, and by one of its own (`postcopy_preempt`). First pushing is held down, so that
nearly every page is asked for, none around it; then it fills the line, and what it moves is told too. The ping-pong
sends as many bytes as such a request has, and as many back as the answer, between two processes that do nothing else.
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
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, beside
from benchmarks.stream import connected
from livemig.machine.ram import PAGE
from livemig.migration.checksum import SIZE
from livemig.migration.frames import Frame, encode

SCENARIO = """
[run]
clock = "wall"
duration = "{duration}"
[machine]
ram = "{ram}"
[guest]
kind = "periodic"
[guest.periodic]
period = "100ms"
[guest.memory]
dirty_rate = "{dirty_rate}"
locality = "uniform"
filled_percent = 100
[migration]
transport = "{family}"
start = "200ms"
downtime = "1ms"
downtime_limit = "1us"
postcopy_ram = true
postcopy_start = 0
postcopy_preempt = {preempt}
prepaging = 0
max_postcopy_bandwidth = "{pushed}"
[link]
bandwidth = "1Tbit/s"
latency = "1us"
"""
_ROUND_TRIPS = 2000
_US = 1e6


@dataclass(frozen=True)
class _Load:
    """What goes on beside the requests; `pushed`: bytes a second at most, 0 for all that goes."""

    name: str
    ram: str
    dirty_rate: str
    pushed: str
    duration: str


_ALL = "0B/s"
_ALONE = _Load("a CPU waits for a page", "64MiB", "8MiB/s", "64KiB/s", "3s")
_BESIDE_PUSHES = _Load("the same beside pushes", "512MiB", "64MiB/s", _ALL, "6s")
_WAYS = (("", False), (" by its own connection", True))


def latencies(rounds: int) -> Iterator[Figure]:
    """Median and 99th percentile, of all rounds together, over unix and tcp; and what is pushed meanwhile."""
    for family in ("unix", "tcp"):
        for load in (_ALONE, _BESIDE_PUSHES):
            bare: list[float] = []
            waits: dict[bool, list[float]] = {False: [], True: []}
            pushed: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(rounds):
                bare += _ping_pong(family)
                for _, preempt in _WAYS:
                    found, rate = _waits(family, load, preempt)
                    waits[preempt] += found
                    pushed[preempt].append(rate)
            for way, preempt in _WAYS:
                yield from _told(f"stream: {family}, postcopy: {load.name}{way}", waits[preempt], bare)
            if load is _BESIDE_PUSHES:
                name = f"stream: {family}, postcopy: all pages, pushed or asked for{_WAYS[1][0]}"
                yield beside(name, "GB/s", pushed[True], "without it", pushed[False])


def _told(name: str, waits: list[float], bare: list[float]) -> Iterator[Figure]:
    for which, share in (("median", 50), ("p99", 99)):
        ours, theirs = float(np.percentile(waits, share)), float(np.percentile(bare, share))
        yield Figure(
            f"{name}, {which} of {len(waits)}", round(ours * _US, 1),
            "us", "bare ping-pong", round(theirs * _US, 1), round(ours / theirs, 3),
        )  # fmt: skip


def _waits(family: str, load: _Load, preempt: bool) -> tuple[list[float], float]:
    """Seconds, of every CPU that stood; and the bytes a second of all pages, in 1e9, from the resume to the last."""
    with tempfile.TemporaryDirectory(prefix="livemig-benchmarks-") as directory:
        config, out = Path(directory, "postcopy.toml"), Path(directory, "run")
        told = {**asdict(load), "family": family, "preempt": str(preempt).lower()}
        config.write_text(SCENARIO.format(**told))
        line = [sys.executable, "-m", "livemig", "run", str(config), "--out", str(out), "--json"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):  # late interrupts of a busy host are no concern here
            raise RuntimeError(f"livemig run: {done.stderr.strip()}")
        events = [json.loads(text) for text in (out / "destination.jsonl").read_text().splitlines()]
    waits = [event["wait_ns"] / 1e9 for event in events if event["event"] == "page_arrived"]
    begun = next((event["t_ns"] for event in events if event["event"] == "machine_resumed"), 0)
    ended = [event for event in events if event["event"] == "postcopy_ended"]
    if load.pushed == _ALL and not ended:
        raise RuntimeError(f"livemig run: all pages did not come within {load.duration}")
    return waits, ended[0]["pages"] * PAGE / (ended[0]["t_ns"] - begun) if ended else 0.0


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
