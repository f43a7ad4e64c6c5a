"""What the CPUs write to RAM, and whom a page that is missing holds up.

The workload numbers its writes over all CPUs; write k is CPU k mod n's. A CPU that stood for want of a page is behind
the others in it, by the time it stood. While no CPU ever did, all writes are one vector operation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from livemig.guests.memory import MemoryWorkload
from livemig.machine.ram import Pages, Ram

_LOOK_AHEAD = (0, 64, 512, 4096)
"""Writes of a CPU that are looked at for a missing page: a few first, for where many are missing one is soon found."""


@dataclass(slots=True)
class _Writer:
    """One CPU. ``done``: its writes so far, of its own numbering. ``lag_ns``: by how much it is behind the workload.
    ``clear``: writes before this touch no missing page. ``faults``: the write numbered ``clear`` does."""

    done: int = 0
    lag_ns: int = 0
    clear: int = 0
    faults: bool = False
    stands_since: int | None = None
    page: int = -1


@dataclass(frozen=True, slots=True)
class Fault:
    """``cpu`` touched ``page``, which is missing, at ``at_ns`` of the guest's working time."""

    cpu: int
    page: int
    at_ns: int


@dataclass(slots=True)
class PageWrites:
    """All times are the guest's working time, in ns. ``missing``: pages that have not arrived yet; None: all there."""

    workload: MemoryWorkload
    ram: Ram
    missing: NDArray[np.bool_] | None = None
    _writers: list[_Writer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._writers = [_Writer() for _ in range(self.workload.cpus)]

    @property
    def done(self) -> int:
        """By all CPUs."""
        return sum(writer.done for writer in self._writers)

    @property
    def lags_ns(self) -> list[int]:
        """Of each CPU: how long it has stood for pages."""
        return [writer.lag_ns for writer in self._writers]

    @property
    def standing(self) -> list[tuple[int, int]]:
        """CPU and page, of each CPU that stands."""
        return [(cpu, each.page) for cpu, each in enumerate(self._writers) if each.stands_since is not None]

    def load(self, run_ns: int, lags_ns: list[int]) -> None:
        """All that falls before ``run_ns`` was done elsewhere."""
        self._writers = [
            _Writer(done=self._before(cpu, run_ns - lag), lag_ns=lag) for cpu, lag in enumerate(lags_ns)
        ]

    # -- writing ----------------------------------------------------------------------------------------------------

    def catch_up(self, run_ns: int) -> None:
        """Do what falls before ``run_ns`` and touches no missing page."""
        if self.missing is None and not any(writer.lag_ns for writer in self._writers):
            self._together(run_ns)
            return
        for cpu, writer in enumerate(self._writers):
            if writer.stands_since is None:
                self._write(cpu, self._due(cpu, run_ns))

    def _together(self, run_ns: int) -> None:
        first, due = self.done, self.workload.writes_before(run_ns)
        if due > first:
            self.ram.write(lambda words: self.workload.apply(words, first, due - first))
            for cpu, writer in enumerate(self._writers):
                writer.done = self._own(cpu, due)

    def _write(self, cpu: int, until: int) -> None:
        writer = self._writers[cpu]
        if until > writer.done:
            self.ram.write(lambda words: self.workload.apply_of(cpu, words, writer.done, until - writer.done))
            writer.done = until

    def _due(self, cpu: int, run_ns: int) -> int:
        """Up to which of its writes the CPU comes by then."""
        writer = self._writers[cpu]
        due = self._before(cpu, run_ns - writer.lag_ns)
        if self.missing is None:
            return due
        while writer.clear < due and not writer.faults:
            self._look(cpu)
        return min(due, writer.clear)

    def _look(self, cpu: int) -> None:
        """Look further ahead for a missing page."""
        writer = self._writers[cpu]
        writer.clear = max(writer.clear, writer.done)
        assert self.missing is not None
        for begin, end in pairwise(_LOOK_AHEAD):
            gone = self.missing[self.workload.pages_of(cpu, writer.clear, end - begin)]
            nearest = int(gone.argmax())
            writer.faults = bool(gone[nearest])
            writer.clear += nearest if writer.faults else end - begin
            if writer.faults:
                return

    def _own(self, cpu: int, writes: int) -> int:
        """How many of the first ``writes`` writes are the CPU's."""
        return max(writes - cpu + self.workload.cpus - 1, 0) // self.workload.cpus

    def _before(self, cpu: int, work_ns: int) -> int:
        return self._own(cpu, self.workload.writes_before(work_ns))

    # -- missing pages ----------------------------------------------------------------------------------------------

    def lose(self, missing: NDArray[np.bool_]) -> None:
        """Of the pages set in ``missing`` the content is not here yet. It is kept and written to."""
        self.missing = missing
        for writer in self._writers:
            writer.clear, writer.faults = writer.done, False

    def next_look_ns(self) -> int | None:
        """No CPU that goes on touches a missing page before; None: none ever does."""
        if self.missing is None or not self.workload.rate:
            return None
        instants = []
        for cpu, writer in enumerate(self._writers):
            if writer.stands_since is not None:
                continue
            if not writer.faults and writer.clear <= writer.done:
                self._look(cpu)
            number = writer.clear * self.workload.cpus + cpu
            instants.append(self.workload.instant(number) + writer.lag_ns)
        return min(instants, default=None)

    def stand(self, run_ns: int) -> list[Fault]:
        """Stop the CPUs that touch a missing page at ``run_ns`` or did before; what precedes it is done."""
        faults = []
        for cpu, writer in enumerate(self._writers):
            if self.missing is None or writer.stands_since is not None or not self.workload.rate:
                continue
            self._write(cpu, self._due(cpu, run_ns))
            at_ns = self.workload.instant(writer.clear * self.workload.cpus + cpu) + writer.lag_ns
            if writer.faults and at_ns <= run_ns:
                writer.page = int(self.workload.pages_of(cpu, writer.clear, 1)[0])
                writer.stands_since = at_ns
                faults.append(Fault(cpu, writer.page, at_ns))
        return faults

    def arrive(self, run_ns: int, pages: Pages) -> list[tuple[Fault, int]]:
        """The content of ``pages`` is here; gives whose fault is over, and how long it took."""
        assert self.missing is not None
        self.missing[pages] = False
        over = []
        for cpu, writer in enumerate(self._writers):
            if writer.stands_since is not None and not self.missing[writer.page]:
                stood = run_ns - writer.stands_since
                over.append((Fault(cpu, writer.page, writer.stands_since), stood))
                writer.lag_ns += stood
                writer.stands_since = None
                writer.faults = False
            elif writer.stands_since is None and writer.faults:
                page = int(self.workload.pages_of(cpu, writer.clear, 1)[0])
                writer.faults = bool(self.missing[page])
        if not self.missing.any():
            self.missing = None
        return over
