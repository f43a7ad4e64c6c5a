"""Guest interrupts a second of one process in virtual time, 8 CPUs, beside the same model in SimPy.

The SimPy model is eight processes that wait for a timeout and note its time. Ours are the shipped guests on the
shipped CPUs, run from barrier to barrier (one a virtual second, as an idle migration has them), not logged, and with
every arm and every interrupt written to a file as JSON lines.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import simpy

from benchmarks.figure import beside
from livemig.events.log import EventLog
from livemig.guests.darwin import Darwin
from livemig.guests.guest import Guest
from livemig.guests.linux import Linux
from livemig.guests.memory import MemoryWorkload
from livemig.guests.periodic import Periodic
from livemig.machine.machine import Machine, MachineSpec
from livemig.timers.book3s import Book3S

CPUS = 8
HZ = 16_600_000
PERIOD = 16_600  # ticks: 1 ms, a thousand interrupts a second and CPU
STEP_NS = 1_000_000_000


def simpy_rate(interrupts: int) -> float:
    """SimPy 4, unlogged."""
    environment = simpy.Environment()
    noted: list[tuple[float, int]] = []

    def cpu(index: int, period: int):  # type: ignore[no-untyped-def]
        while True:
            yield environment.timeout(period)
            noted.append((environment.now, index))

    for index in range(CPUS):
        environment.process(cpu(index, 1_000_003 + 34 * index))
    began = time.perf_counter()
    environment.run(until=interrupts // CPUS * 1_000_000)
    return len(noted) / (time.perf_counter() - began)


def our_rate(make: Callable[[int], Guest], interrupts: int, logged: bool) -> float:
    """One machine, ``interrupts`` in all (about)."""
    workload = MemoryWorkload(1, CPUS, 0, "uniform", 1, 1, 0, 0)
    spec = MachineSpec("g3beige", CPUS, 1 << 20, HZ, Book3S())
    machine = Machine("source", spec, [make(index) for index in range(CPUS)], workload)
    with tempfile.TemporaryDirectory() as directory:
        log = EventLog(Path(directory) / "source.jsonl", "source")
        if not logged:
            for cpu in machine.cpus:
                cpu.record = None
        machine.boot(0)
        now = 0
        began = time.perf_counter()
        while sum(cpu.delivered for cpu in machine.cpus) < interrupts:
            now += STEP_NS
            machine.run_to(now)
            if logged:
                log.block(machine.drain(now))
        log.flush()
        took = time.perf_counter() - began
        log.close()
    return sum(cpu.delivered for cpu in machine.cpus) / took


def darwin(index: int) -> Guest:
    """Every value drawn and decided in Python."""
    return Darwin(index, PERIOD // 2, PERIOD * 3 // 2, False, 17, 83, 0)


def periodic(index: int) -> Guest:
    """Closed form: drift-free."""
    return Periodic(PERIOD + index, True, 17, 83, 0)


def linux(index: int) -> Guest:
    """Two writes an interrupt, each decided in Python, through the general CPU."""
    return Linux(index, PERIOD, 0, 0x7FFFFFFF, 17, 83, 0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks interrupts")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    cases = {
        "darwin, not logged": (darwin, 400_000, False),
        "linux, not logged": (linux, 100_000, False),
        "periodic, not logged": (periodic, 8_000_000, False),
        "darwin, logged": (darwin, 200_000, True),
        "linux, logged": (linux, 100_000, True),
        "periodic, logged": (periodic, 400_000, True),
    }
    rates: dict[str, list[float]] = {name: [] for name in cases}
    peer: list[float] = []
    for _ in range(rounds):
        peer.append(simpy_rate(200_000))
        for name, (make, interrupts, logged) in cases.items():
            rates[name].append(our_rate(make, interrupts, logged))
    for name, values in rates.items():
        beside(f"interrupts: {name}", "interrupts/s", values, "SimPy, not logged", peer).show()


if __name__ == "__main__":
    main()
