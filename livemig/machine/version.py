"""Machine versions: which form of the state a source writes, so that an older destination can read it.

As with QEMU's versioned machine types, a form is fixed once it is out: what a later version adds, an older one has no
place for, and a source that is told to be the older one leaves it out, and says what is lost by that.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class MachineVersion(NamedTuple):
    """A form of the state.

    Args:
        number: 1, 2, … name: of the QEMU whose machine types are like it. timers: every timer's count crosses.
        interrupts: and whether its interrupt is raised and not delivered.
    """

    number: int
    name: str
    timers: bool
    interrupts: bool

    def lacks(self) -> list[str]:
        """What there is no place for."""
        return [name for name, there in (("timers", self.timers), ("pending", self.interrupts)) if not there]


VERSIONS: Final = (
    # QEMU up to 8.1 sent the clock and the timebase; what the decrementer counted to was nowhere in the stream
    MachineVersion(1, "7.2", timers=False, interrupts=False),
    # "target/ppc: Migrate DECR SPR" (578912ad7312): the count, but not that its interrupt is up
    MachineVersion(2, "8.2", timers=True, interrupts=False),
    MachineVersion(3, "livemig-3", timers=True, interrupts=True),
)
NEWEST: Final = VERSIONS[-1]


def version(number: object) -> MachineVersion | None:
    """The version of that ``number``; None if there is none."""
    return next((each for each in VERSIONS if type(number) is int and each.number == number), None)
