"""The smallest guest that has one timer fall due at a given tick: what ``livemig boundaries`` runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from livemig.config.model import Config
from livemig.emulator.timers import facility
from livemig.errors import UsageError
from livemig.timers.booke import BookE
from livemig.timers.embedded import Embedded
from livemig.timers.facility import TimerFacility
from livemig.timers.tcr import DIE, DIS, ENW, FIE, FIS, WIE, WIS, WORD, choosing
from livemig.timers.ticks import NS_PER_S

FAR: Final = 0x7FFF_FFFF
"""What a handler writes: nothing more is to come in the run."""
MASKED_NS: Final = 1_000_000
"""So long before the stop interrupts are masked, where they are, and for as long of guest time after the resume."""
_ROOM_NS: Final = 4 * MASKED_NS
"""From the boot to the migration."""


@dataclass(frozen=True)
class Probe:
    """Of ``timer`` on the machine of ``config``, on all CPUs alike; ``blackout_ns``: how long that is at most."""

    config: Config
    timer: str
    blackout_ns: int

    @property
    def facility(self) -> TimerFacility:
        """The machine's timers."""
        return facility(self.config)

    @property
    def hz(self) -> int:
        """Of the timebase."""
        return self.config.machine.timebase_hz

    def tick(self, t_ns: int) -> int:
        """The first tick of the guest's timebase that is not before ``t_ns`` of the run: a tick is where it is
        complete, in whole ns, and a guest that is stopped at ``t_ns`` has not lived it."""
        return (t_ns - 1 + self.config.host.source.clock_origin) * self.hz // NS_PER_S + 1

    def instant_ns(self, tick: int) -> int:
        """When ``tick`` is complete."""
        return -(-tick * NS_PER_S // self.hz) - self.config.host.source.clock_origin

    @property
    def start_ns(self) -> int:
        """When the migration is to start: of a watchdog, an interval later, for it barks at its second time-out."""
        return _ROOM_NS + (self._interval_ns if self.timer == "watchdog" else 0)

    def sets_timebase(self, deadline: int) -> int:
        """What the guest writes into TB as it boots, so that its bit rises at ``deadline``; 0: nothing."""
        if not self._follows_a_bit:
            return 0
        rise, period = 1 << self._bit, 2 << self._bit
        return (rise - (deadline - self.tick(0))) % period or period

    def lines(self, deadline: int, stop_ns: int, masked: bool) -> str:
        """The script, for a guest that is stopped at ``stop_ns``; ``masked``: interrupts are, around that.

        Raises:
            UsageError: the timer cannot be programmed that far ahead.
        """
        main = self._programmed(deadline)
        if self._follows_a_bit:  # started late, so that the rise at the deadline is the first that matters
            start_ns = stop_ns - self.start_ns + _ROOM_NS // 2
            main = [f"wait {self.tick(start_ns) - self.tick(0)}", *main]
        if masked:
            since = start_ns if self._follows_a_bit else 0
            before = self.tick(stop_ns - MASKED_NS) - self.tick(since)
            main += [f"wait {before}", "ee off", "ce off", f"wait {2 * MASKED_NS}ns", "ee on", "ce on"]
        return "\n".join([*main, f"on {self.timer}", *self._answered()]) + "\n"

    @property
    def _embedded(self) -> bool:
        return isinstance(self.facility, Embedded)

    @property
    def _follows_a_bit(self) -> bool:
        return self.timer in ("fit", "watchdog")

    @property
    def _bit(self) -> int:
        """The lowest bit of TB that does not rise twice from the stop to the last barrier."""
        own = self.facility
        bits = getattr(own, f"{self.timer}_bits") or range(64)
        fitting = [bit for bit in bits if (2 << bit) * NS_PER_S // self.hz > self.blackout_ns + _ROOM_NS]
        if not fitting:
            raise UsageError(f"boundaries: no interval of the {self.timer} is longer than the blackout")
        return int(fitting[0])

    @property
    def _interval_ns(self) -> int:
        return (2 << self._bit) * NS_PER_S // self.hz

    def _programmed(self, deadline: int) -> list[str]:
        own = self.facility
        if self._follows_a_bit:
            tables = {name: getattr(own, f"{name}_bits", ()) for name in ("fit", "watchdog")}
            bits = {name: table[-1] if table else 40 for name, table in tables.items()} | {self.timer: self._bit}
            tcr = choosing(bits["fit"], tables["fit"], bits["watchdog"], tables["watchdog"])
            return [f"tsr = {WORD:#x}", f"tcr = {tcr | (FIE if self.timer == 'fit' else WIE):#x}"]
        index = own.named(self.timer)
        value = deadline - own.lag(index) - self.tick(0)
        most = 32 if self._embedded else own.timers[index].bits - 1
        if not 0 < value < 1 << most:
            raise UsageError(f"boundaries: a {self.timer} does not count {value} ticks: the blackout is too long")
        return [f"tcr = {DIE:#x}", f"{self.timer} = {value}"] if self._embedded else [f"{self.timer} = {value}"]

    def _answered(self) -> list[str]:
        """A handler that takes the interrupt's cause away, and wants no other."""
        if not self._embedded:
            return [f"{self.timer} = {FAR}"]
        status = {"fit": FIS, "watchdog": ENW | WIS}.get(self.timer, DIS)
        return [f"tsr = {status:#x}", "tcr = 0"]


def triggers(config: Config) -> tuple[tuple[str, dict[str, object]], ...]:
    """Edge and level: what they are called, and the keys of ``[machine]`` that make the machine so."""
    own = facility(config)
    if isinstance(own, Embedded):
        table = "booke" if isinstance(own, BookE) else "ppc40x"
        switches = getattr(config.machine, table)
        kinds = (("pulse", False), ("level", True))
        return tuple((name, {table: switches.model_copy(update={"level": level})}) for name, level in kinds)
    return tuple((name, {"trigger": name, "hdecr_trigger": name}) for name in ("edge", "level"))
