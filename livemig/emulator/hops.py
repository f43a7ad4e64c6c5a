"""Hops: a guest that crosses several times, back and forth between the same two sides.

After a migration the sides change roles, over the connection that they have. The one that has the guest is the next
source; the other takes the place of a destination that has just been started, with a machine at reset and RAM that
holds nothing but zeros. Each hop may take as long as the first one, from its start to the end of the scenario.
"""

from __future__ import annotations

from livemig.config.model import Config
from livemig.emulator import build
from livemig.machine.machine import Machine
from livemig.machine.ram import Ram
from livemig.machine.time_state import Host
from livemig.migration.destination import Destination
from livemig.migration.frames import Frame
from livemig.migration.settings import Settings
from livemig.migration.side import Emit, Wire
from livemig.migration.source import Source
from livemig.migration.status import Status
from livemig.strategies.table import STRATEGIES

Parts = tuple[Host, Wire, Settings, Emit]
"""Of either side, beside its machine; they stay with the process."""


class Hops:
    """The roles that the side ``name`` plays.

    Attributes:
        number, last: of the hop that is going on or to come, from 1, and of the last one.
        begins_ns: when this side is to migrate the guest that came to it; None: it is not.
        ends_ns: when the scenario is over, for whoever has the guest then.
    """

    def __init__(self, config: Config, name: str, parts: Parts) -> None:
        self.number, self.last = 1, config.migration.hops
        self.begins_ns: int | None = None
        self.ends_ns = config.run.duration
        self._config, self._name, self._parts = config, name, parts
        self._allowance_ns = config.run.duration - config.migration.start

    def adjust(self, host: Host, wire: Wire, settings: Settings) -> None:
        """Hops to come go by these."""
        self._parts = (host, wire, settings, self._parts[3])

    def source(self, machine: Machine) -> Source:
        """Who sends the guest in ``machine``."""
        return Source(machine, STRATEGIES[self._config.migration.strategy], *self._parts)

    def destination(self, machine: Machine) -> Destination:
        """Who takes a guest into ``machine``."""
        return Destination(machine, *self._parts)

    def after(self, side: Source | Destination, now: int) -> Source | Destination | None:
        """Who follows ``side``, if its migration has completed and another hop is to come; nothing of it waits to be
        sent."""
        if side.status is not Status.COMPLETED or self.number == self.last or side.by_file:
            return None
        self.number += 1
        if isinstance(side, Source):
            ram = side.machine.ram
            ram.clear()
            return self.destination(self._anew(now, ram))
        assert side.resumed_ns is not None
        self.begins_ns = max(side.resumed_ns + self._config.migration.hop_interval, now)
        self.ends_ns = self.begins_ns + self._allowance_ns
        return self.source(side.machine)

    def _anew(self, now: int, ram: Ram) -> Machine:
        """A machine at reset that waits for a guest."""
        return build.machine(self._config, self._name, now, ram)

    def begin(self, side: Source, now: int) -> None:
        """:attr:`begins_ns` has come."""
        self.begins_ns = None
        side.start(now)

    def heard(self, hello: Frame) -> int:
        """A later hop than the first begins; gives :attr:`ends_ns`."""
        self.ends_ns = hello.sent_ns + self._allowance_ns
        return self.ends_ns
