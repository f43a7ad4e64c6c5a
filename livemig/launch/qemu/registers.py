"""What the monitor's ``info registers`` shows of a PowerPC CPU, and what that says of its decrementer."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from livemig.errors import ProtocolError

_CPU: Final = re.compile(r"^CPU#", re.MULTILINE)
_EE: Final = 1 << 15
_TB: Final = re.compile(r"\bTB +(\d+) +(\d+)")
_DECR: Final = re.compile(r"\bDECR +(\d+)")
_NIP: Final = re.compile(r"\bNIP +([0-9a-f]+)")
_MSR: Final = re.compile(r"\bMSR +([0-9a-f]+)")
_WORD: Final = 0xFFFF_FFFF


class Registers(NamedTuple):
    """Of one CPU, as QEMU itself computes them: exact where the machine stands. ``decr`` is signed."""

    tb: int
    decr: int
    nip: int
    msr: int

    @property
    def interrupt(self) -> str:
        """Of livemig's guest: whether its decrementer interrupt is due, and how far it is: ``none``, ``raised``
        (not taken, it is masked) or ``taken`` (its handler runs, and has not written DECR yet)."""
        if self.decr >= 0:
            return "none"
        offset = self.nip & 0xFFFFF
        return "taken" if 0x900 <= offset < 0x1000 or offset >= 0x1800 else "raised"

    @property
    def masked(self) -> bool:
        """MSR[EE] is 0."""
        return not self.msr & _EE


def parse_registers(text: str) -> Registers:
    """Read the monitor's answer for one CPU: TB and DECR are decimal there, TB in two words; the rest is hexadecimal.

    Raises:
        ProtocolError: one of them is not in ``text``.
    """
    found = {name: pattern.search(text) for name, pattern in _PATTERNS.items()}
    for name, match in found.items():
        if match is None:
            raise ProtocolError("info registers", name, "not shown; is this a PowerPC machine of QEMU?")
    tb, decr, nip, msr = (match.groups() for match in found.values() if match)
    low = int(decr[0]) & _WORD
    return Registers(
        int(tb[0]) << 32 | int(tb[1]) & _WORD, low - (low >> 31 << 32), int(nip[0], 16), int(msr[0], 16)
    )


def every_cpu(text: str) -> list[Registers]:
    """Read the monitor's answer to ``info registers -a``.

    Raises:
        ProtocolError: it shows no CPU, or one without these registers.
    """
    cpus = [parse_registers(part) for part in _CPU.split(text)[1:]]
    if not cpus:
        raise ProtocolError("info registers", "CPU#", "not shown; is this a PowerPC machine of QEMU?")
    return cpus


_PATTERNS: Final = {"TB": _TB, "DECR": _DECR, "NIP": _NIP, "MSR": _MSR}


def parse_words(text: str) -> list[int]:
    """The words of the monitor's ``xp /NNxw ADDRESS``: ``ADDRESS: 0x… 0x…``, any number of lines."""
    return [int(word, 16) for line in text.splitlines() for word in line.partition(":")[2].split()]
