"""The time in which a guest of 1 GiB is migrated, beside a real QEMU's precopy of one on the same machine.

Two processes each, over TCP on the loopback, the wall clock, no limit to the bandwidth but the machine's. Like is set
beside like: as much RAM, none of it zero; at both ends all of it taken from the host beforehand; a guest whose only
work is its decrementer, running or stopped; the pages on one connection, or on two beside the main one (multifd). The
difference that stays: while it runs, QEMU's guest spins on a host CPU, livemig's costs one only when its decrementer
runs out. The time is from `migrate` to `completed`: as `query-migrate` has it, and as an event told whoever asked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import trio

from benchmarks.figure import Figure, beside
from livemig.launch.qemu.binary import Binary, find
from livemig.launch.qemu.command import command
from livemig.launch.qemu.guest import BASE, Orders
from livemig.launch.qemu.process import running
from livemig.launch.qemu.workload import Workload
from livemig.link.uri import listen
from livemig.qmp.client import QmpClient, open_qmp

PERIOD = 10_000_000
"""Of the guest's decrementer, in ticks; 100 MHz."""
LIMIT = 10**11
"""Bytes a second: none."""
_POLL_S = 0.01
_START_NS = 60_000_000_000
_MIB = 1 << 20

SCENARIO = """
[run]
clock = "wall"
duration = "10min"
[machine]
model = "mac99"
ram = "{mib}MiB"
prealloc = true
timebase_hz = "100MHz"
[guest]
kind = "periodic"
[guest.periodic]
period = "100ms"
[guest.memory]
dirty_rate = "0B/s"
filled_percent = 100
[migration]
start = "1ms"
downtime = "1ms"
multifd_channels = {channels}
[link]
bandwidth = "1Tbit/s"
latency = "1us"
"""


class Case(NamedTuple):
    """What is migrated, and how."""

    mib: int
    channels: int
    stopped: bool

    @property
    def name(self) -> str:
        """For people."""
        guest = "stopped" if self.stopped else "running"
        return f"precopy of {self.mib} MiB, {guest}, {self.channels or 1} channel{'s' * (self.channels > 1)}"


class Took(NamedTuple):
    """Seconds from the command to its end, seconds and bytes as `query-migrate` has them, pages that were not zero."""

    seconds: float
    total: float
    transferred: int
    pages: int
    downtime: float


async def migrated(source: QmpClient, uri: str) -> Took:
    """Migrate there, and wait to be told: whoever asks again and again takes a core from whom it measures."""
    events = [{"capability": "events", "state": True}]
    await source.execute("migrate-set-capabilities", capabilities=events)
    began = time.perf_counter()
    await source.execute("migrate", uri=uri)
    async for event in source.events:
        if event["event"] == "MIGRATION" and event["data"]["status"] in ("completed", "failed", "cancelled"):
            break
    took = time.perf_counter() - began
    while True:
        told: dict[str, Any] = await source.execute("query-migrate")
        if told["status"] in ("failed", "cancelled"):
            raise RuntimeError(f"the migration ended as {told}")
        if told["status"] == "completed" and told["ram"]["transferred"] and told["total-time"]:
            # QEMU's figures follow its status
            break
        await trio.sleep(_POLL_S)
    ram = told["ram"]
    return Took(took, told["total-time"] / 1e3, ram["transferred"], ram["normal"], told["downtime"] / 1e3)


async def of_qemu(binary: Binary, case: Case) -> Took:
    """A pair of QEMUs."""
    fill = (case.mib * _MIB - BASE) * 99 // 100 // 4 * 4  # what lies at the top is the firmware's
    load = Workload("mac99", 1, case.mib, 100_000_000, Orders(PERIOD, filled=fill), arguments=("-mem-prealloc",))
    with tempfile.TemporaryDirectory(prefix="livemig-benchmarks-") as directory:
        private = Path(directory)
        sides = {
            side: command(binary, load, "mac99", private / f"{side}.log", private / f"{side}.qmp", incoming)
            for side, incoming in (("source", None), ("destination", "defer"))
        }
        async with (
            running("source", sides["source"], binary.environment, private, _START_NS) as source,
            running("destination", sides["destination"], binary.environment, private, _START_NS) as destination,
        ):
            await source.until_ready()
            for side in (source, destination):
                if case.channels:
                    multifd = [{"capability": "multifd", "state": True}]
                    await side.execute("migrate-set-capabilities", capabilities=multifd)
                    await side.execute("migrate-set-parameters", multifd_channels=case.channels)
            listener, uri = listen("tcp:127.0.0.1:0")
            listener.close()
            await destination.execute("migrate-incoming", uri=uri)
            await source.execute("migrate-set-parameters", max_bandwidth=LIMIT, downtime_limit=300)
            if case.stopped:
                await source.execute("stop")
            return await migrated(source.client, uri)


@asynccontextmanager
async def side(words: Sequence[str], socket: Path) -> AsyncIterator[QmpClient]:
    """A livemig process and its QMP."""
    line = [sys.executable, "-m", "livemig", *words, "--qmp", f"unix:{socket},server"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    try:
        async with open_qmp(socket, _START_NS) as client:
            yield client
            await client.execute("quit")
    finally:
        process.kill() if sys.exc_info()[0] else process.wait(60)
        process.wait()


async def of_livemig(case: Case) -> Took:
    """A pair of livemig's."""
    with tempfile.TemporaryDirectory(prefix="livemig-benchmarks-") as directory:
        config = Path(directory, "precopy.toml")
        config.write_text(SCENARIO.format(mib=case.mib, channels=case.channels))
        listener, uri = listen("tcp:127.0.0.1:0")
        listener.close()
        there = [str(config), "--out", directory]
        async with (
            side(["destination", *there, "--listen", uri], Path(directory, "destination.qmp")),
            side(["source", *there], Path(directory, "source.qmp")) as source,
        ):
            if case.stopped:
                await source.execute("stop")
            return await migrated(source, uri)


def figures(case: Case, ours: list[Took], theirs: list[Took], peer: str) -> list[Figure]:
    """Rates are of a round's bytes in a round's time."""

    def rate(took: Took) -> float:
        return took.transferred / 1e9 / took.total

    found = [
        beside(case.name, "GB/s", [rate(took) for took in ours], peer, [rate(took) for took in theirs]),
        beside(
            f"{case.name}: seen by whoever asked", "GB/s", [took.transferred / 1e9 / took.seconds for took in ours],
            peer, [took.transferred / 1e9 / took.seconds for took in theirs],
        ),
        beside(
            f"{case.name}: pages", "pages/s", [took.pages / took.total for took in ours], peer,
            [took.pages / took.total for took in theirs],
        ),
    ]  # fmt: skip
    mine, other = (median(took.downtime for took in rounds) for rounds in (ours, theirs))
    found.append(Figure(f"{case.name}: downtime", mine, "s", peer, other, round(mine / other, 3) if other else 0.0))
    return found


def main(argv: list[str] | None = None) -> list[Figure]:
    """Measure and print; gives the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks qemu_precopy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=1024, help="RAM")
    parser.add_argument("--qemu-root", default="", help="an unpacked QEMU, instead of this machine's")
    parser.add_argument("--without-qemu", action="store_true", help="livemig alone, a line of JSON a round")
    options = parser.parse_args(argv)
    binary = None if options.without_qemu else find("qemu-system-ppc", options.qemu_root)
    found: list[Figure] = []
    for stopped in (False, True):
        for channels in (0, 2):
            case = Case(options.mib, channels, stopped)
            ours, theirs = [], []
            for _ in range(options.rounds):
                if binary is not None:
                    theirs.append(trio.run(of_qemu, binary, case))
                ours.append(trio.run(of_livemig, case))
                if binary is None:
                    print(json.dumps({"name": case.name, **ours[-1]._asdict()}), flush=True)
            if binary is not None:
                for figure in figures(case, ours, theirs, f"QEMU {binary.release}"):
                    figure.show()
                    found.append(figure)
    return found


if __name__ == "__main__":
    main()
