"""Where things stand in the trace: a process a side, a thread a CPU, and tracks below them."""

from __future__ import annotations

from livemig.analysis.perfetto.writer import Writer
from livemig.events.schema import DESTINATION, SOURCE

_PIDS = {SOURCE: 1, DESTINATION: 2}
_TIDS_PER_SIDE = 100_000
"""More than a machine has CPUs: thread numbers are unique in a trace."""


class Tracks:
    """The tracks of one trace; each is made when it is first asked for."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._made: dict[tuple[str | int | None, ...], int] = {}

    def side(self, side: str) -> int:
        if ("side", side) not in self._made:
            self._made["side", side] = self._writer.process(_PIDS[side], side)
        return self._made["side", side]

    def cpu(self, side: str, cpu: int) -> int:
        if ("cpu", side, cpu) not in self._made:
            process, pid = self.side(side), _PIDS[side]
            self._made["cpu", side, cpu] = self._writer.thread(process, pid, pid * _TIDS_PER_SIDE + cpu, f"cpu {cpu}")
        return self._made["cpu", side, cpu]

    def below(self, parent: int | None, name: str) -> int:
        """A track of slices below another; at the top for None."""
        if ("below", parent, name) not in self._made:
            self._made["below", parent, name] = self._writer.track(name, parent)
        return self._made["below", parent, name]

    def counter(self, parent: int | None, name: str, unit: str) -> int:
        """As `below`, a counter in ``unit``."""
        if ("counter", parent, name) not in self._made:
            self._made["counter", parent, name] = self._writer.counter(name, unit, parent)
        return self._made["counter", parent, name]
