"""A guest so small that all it can do can be tried: a few pages, time that stands still, writes that are chosen.

With time standing still no state differs from another by when it was reached, and `due` only says that something may
happen now: whatever order real delays could bring about is among the orders that are tried.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livemig.config.model import Config
from livemig.emulator import build
from livemig.emulator.hops import Hops
from livemig.guests.memory import MemoryWorkload
from livemig.machine.cpu import Cpu
from livemig.machine.machine import Machine
from livemig.machine.page_writes import Fault
from livemig.machine.ram import WORDS, Pages, Ram
from livemig.machine.runstate import RunState

NOW = 0
PAGE_BYTES = WORDS * 8


class TinyRam(Ram):
    """Every page holds one number, in its first word; 0 is a page of zeros."""

    def __init__(self, page_count: int) -> None:
        self.page_count, self.size = page_count, page_count * PAGE_BYTES
        self.words: NDArray[np.uint64] = np.zeros((page_count, WORDS), np.uint64)
        self._dirty = np.zeros(page_count, np.bool_)

    @property
    def memory(self) -> memoryview:  # type: ignore[override]
        return self.words.data.cast("B")

    @property
    def numbers(self) -> list[int]:
        return self.words[:, 0].tolist()  # type: ignore[no-any-return]

    def clear(self) -> None:
        """Nobody sends from it while it is cleared."""
        self.words[:] = 0
        self._dirty[:] = False

    def __getstate__(self) -> tuple[list[int], list[bool]]:
        return self.numbers, self._dirty.tolist()

    def __setstate__(self, state: tuple[list[int], list[bool]]) -> None:
        numbers, dirty = state
        self.__init__(len(numbers))  # type: ignore[misc]
        self.words[:, 0] = numbers
        self._dirty[:] = dirty


class ChosenWrites:
    """In the place of `PageWrites`: a CPU touches a page when the explorer says so."""

    def __init__(self, cpus: int) -> None:
        self.missing: NDArray[np.bool_] | None = None
        self.touches: dict[int, int] = {}
        self._stands: dict[int, int] = {}
        self.lags_ns = [0] * cpus

    @property
    def standing(self) -> list[tuple[int, int]]:
        return sorted(self._stands.items())

    def load(self, run_ns: int, lags_ns: list[int]) -> None:
        pass

    def catch_up(self, run_ns: int) -> None:
        pass

    def lose(self, missing: NDArray[np.bool_]) -> None:
        self.missing = missing

    def next_look_ns(self) -> int | None:
        return 0 if self.touches else None

    def stand(self, run_ns: int) -> list[Fault]:
        faults = [Fault(cpu, page, NOW) for cpu, page in sorted(self.touches.items())]
        self._stands |= self.touches
        self.touches = {}
        return faults

    def arrive(self, run_ns: int, pages: Pages) -> list[tuple[Fault, int]]:
        assert self.missing is not None, "pages come, and none is missing"
        self.missing[pages] = False
        over = [(Fault(cpu, page, NOW), 0) for cpu, page in self.standing if not self.missing[page]]
        for fault, _ in over:
            del self._stands[fault.cpu]
        if not self.missing.any():
            self.missing = None
        return over


class StillCpu(Cpu):
    """It never comes to its first tick."""

    def resumed(self) -> None:
        pass


class StillWire:
    """A link on which everything arrives as soon as the explorer delivers it."""

    def transmit(self, now: int, size: int, kind: str = "") -> tuple[int, int]:
        return NOW, NOW

    overtake = transmit


class Deaf:
    """Nobody reads the log."""

    def __call__(self, t_ns: int, event: str, /, **fields: Any) -> None:
        pass


CONFIG = Config.model_validate({"run": {"duration": "5s"}, "machine": {"cpus": 1, "ram": "1MiB"}})


class TinyHops(Hops):
    """The roles of a side, its later machines tiny."""

    def _anew(self, now: int, ram: Ram) -> Machine:
        return machine(self._name, ram.page_count, self._config.machine.cpus, ram)


def hops(side: str, number: int, cpus: int, parts: Any) -> TinyHops:
    """For a guest that crosses so often."""
    tables = {"machine": {"cpus": cpus}, "migration": {"hops": number}}
    changed = {name: getattr(CONFIG, name).model_copy(update=update) for name, update in tables.items()}
    return TinyHops(CONFIG.model_copy(update=changed), side, parts)


def machine(side: str, pages: int, cpus: int, ram: Ram | None = None) -> Machine:
    """`ram`: of a side that waits for the guest once more."""
    config = CONFIG.model_copy(update={"machine": CONFIG.machine.model_copy(update={"cpus": cpus})})
    spec = replace(build.spec(config), ram_bytes=pages * PAGE_BYTES)
    workload = MemoryWorkload(0, cpus, 0, "uniform", pages, 1, 0, 0)
    state = RunState.PRELAUNCH if side == "source" and ram is None else RunState.INMIGRATE
    guests = [build._guest(config, cpu) for cpu in range(cpus)]
    made = Machine(side, spec, guests, workload, state=state, ram=ram or TinyRam(pages))
    for cpu in made.cpus:
        cpu.__class__, cpu.record = StillCpu, None
    made.writes = ChosenWrites(cpus)  # type: ignore[assignment]
    return made
