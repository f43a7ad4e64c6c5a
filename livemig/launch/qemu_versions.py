"""What changed in QEMU's timers from version to version, as far as a migration under TCG shows it.

Each :class:`Change` says since which release, and in which stable series it was taken back to, with its commit. What a
version does follows from the changes it has; nothing else is assumed of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from livemig.launch.prediction import Rules
from livemig.timers.decrementer import Reset

_VERSION: Final = re.compile(r"v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?(?![\d.])")
_DEVELOPMENT: Final = 50
"""The third number from which on it is the next release in the making."""


class Version(NamedTuple):
    """Of QEMU; compares as versions do."""

    major: int
    minor: int
    micro: int = 0

    @classmethod
    def of(cls, text: str) -> Version:
        """``8.2``, ``7.2.22`` or ``10.0.2 (Debian …)``; 8.1.50 and later count as what they are to become, 8.2.

        Raises:
            ValueError: it is no version.
        """
        found = _VERSION.match(text)
        if found is None:
            raise ValueError(f"{text!r} is not a version of QEMU such as 7.2.22")
        major, minor, micro = (int(part or 0) for part in found.groups())
        if micro >= _DEVELOPMENT:
            return cls(major, minor + 1) if minor < 2 else cls(major + 1, 0)
        return cls(major, minor, micro)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.micro}"


@dataclass(frozen=True, slots=True)
class Change:
    """Args: ``what`` it does since then; ``release``: the first with it; ``stable``: earlier series, each from here on;
    ``source``: the commit and what says in which releases it is."""

    what: str
    release: Version
    stable: tuple[Version, ...]
    source: str

    def in_version(self, version: Version) -> bool:
        backported = any(version[:2] == since[:2] and version >= since for since in self.stable)
        return version >= self.release or backported


DECR_IN_TICKS: Final = Change(
    "DECR's end is kept in ticks of the timebase; before, in nanoseconds, rounded down",
    Version(8, 2),
    (Version(7, 2, 7), Version(8, 1, 2)),
    "8e0a5ac87800; the announcements of 8.1.2 and, by its source, 7.2.7",
)
ONE_CLOCK_READ: Final = Change(
    "a write to DECR reads the clock once; before, once for the old value and once for the new",
    Version(8, 2),
    (Version(8, 1, 2),),
    "ea62f8a5172c; the announcement of 8.1.2; logs of 7.2.22 show two reads",
)
TIMERS_RESET: Final = Change(
    "a machine's reset writes -1 to DECR, but mac99's does not; before, 0xffffffff was written once, at its making",
    Version(8, 2),
    (Version(8, 1, 2),),
    "30d0647bcfa9; the announcement of 8.1.2; logs of 7.2.22 and 10.0.2",
)
DECR_MIGRATED: Final = Change(
    "DECR is sent, and written on the destination when it loads; before, nothing of it was sent",
    Version(8, 2),
    (),
    "578912ad7312, which neither stable-7.2 nor stable-8.1 has; logs of 7.2.22 and 10.0.2",
)
MAC99_25MHZ: Final = Change(
    "mac99's timebase runs at 25 MHz; before, at 100 MHz",
    Version(9, 0),
    (),
    "mac_newworld.c, pulled on 2024-03-09; logs of 7.2.22 and 10.0.2",
)
START_KEPT_APART: Final = Change(
    "that RTAS has started a CPU of pseries is kept apart, and not sent; before, it was part of what is sent",
    Version(10, 0),
    (),
    "fb802acdc8b; issue 3079; two CPUs under Linux on 10.0.2 and 10.0.13",
)
START_SENT: Final = Change(
    "that is sent, and inferred where an older source did not",
    Version(11, 0),
    (),
    "'target/ppc: Fix env->quiesced migration', of 2026-01-09; two CPUs under Linux on 11.1.3",
)
CHANGES: Final = (
    DECR_IN_TICKS, ONE_CLOCK_READ, TIMERS_RESET, DECR_MIGRATED, MAC99_25MHZ, START_KEPT_APART, START_SENT,
)  # fmt: skip

_MHZ: Final = 1_000_000
_FREQUENCIES: Final = {
    "g3beige": 16_600_000,
    "prep": 100 * _MHZ,
    "40p": 100 * _MHZ,
    "pseries": 512 * _MHZ,
    "powernv": 512 * _MHZ,
}
"""In every version; mac99's is a matter of :data:`MAC99_25MHZ`."""
_LEVEL_MACHINES: Final = ("pseries", "powernv")
_LEVEL_CPUS: Final = ("970", "power")


def timebase_hz(machine: str, version: Version) -> int | None:
    """What the timebase of a machine model ticks at; None if it is not known here."""
    if machine.startswith("mac99"):
        return 25 * _MHZ if MAC99_25MHZ.in_version(version) else 100 * _MHZ
    return next((hz for name, hz in _FREQUENCIES.items() if machine.startswith(name)), None)


def level_triggered(machine: str, cpu: str | None, binary: str | None) -> bool:
    """Whether a negative DECR is the interrupt: on CPUs with 64 bits (``is_book3s_arch2x``); else its turning negative.

    ``binary``: of QEMU; qemu-system-ppc64 gives mac99 a 970 unless ``cpu`` says otherwise.
    """
    if machine.startswith(_LEVEL_MACHINES):
        return True
    if cpu is None:
        return machine.startswith("mac99") and binary is not None and binary.endswith("ppc64")
    return cpu.lower().startswith(_LEVEL_CPUS)


def start_up(machine: str, version: Version, level: bool) -> Reset:
    """What DECR is on a destination before anything is loaded."""
    if TIMERS_RESET.in_version(version):
        if machine.startswith("mac99"):
            return Reset.ZERO
        return Reset.RAISED if level else Reset.EXPIRED
    if level and not DECR_IN_TICKS.in_version(version):
        return Reset.ZERO  # The write that raises at once left the end of the count as it was, at 0.
    return Reset.CLOCK


def takes_interrupts(machine: str, destination: Version, cpu: int) -> bool:
    """Whether a CPU of the guest takes any on the destination. A pseries' first is started by no RTAS."""
    forgotten = START_KEPT_APART.in_version(destination) and not START_SENT.in_version(destination)
    return not (forgotten and cpu > 0 and machine.startswith("pseries"))


class Crossing(NamedTuple):
    """What two versions make of a crossing. ``sends_decr``: the source sends what DECR reads."""

    rules: Rules
    sends_decr: bool


def crossing(source: Version, destination: Version) -> Crossing:
    """By the destination's version: a source that does not migrate DECR sends the register as its reset left it, 0."""
    if DECR_MIGRATED.in_version(destination):
        return Crossing(Rules(decr="pending-dropped", tb="tb-write-dropped"), DECR_MIGRATED.in_version(source))
    return Crossing(Rules(decr="none", tb="none"), DECR_MIGRATED.in_version(source))
