"""How late the host was: from when an interrupt was due to when QEMU raised it, and to when the guest answered it.

QEMU raises a decrementer interrupt from a timer of its main loop, which the host wakes late by some microseconds, or
by milliseconds if it has other work. What a log shows of that is the noise of every instant in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from livemig.events.qemu.ticks import ns_up, signed

_SLACK_PART: Final = 1000
_SLACK_MOST_NS: Final = 100_000_000
_EARLY_NS: Final = 1_000_000
"""A raise this long before its deadline is still that deadline's: the line of a write may be late."""


def poll_slack_ns(wait_ns: int) -> int:
    """How late Linux may end a ``ppoll`` of so long: a thousandth of it, 100 ms at most (``select_estimate_accuracy``
    in ``fs/select.c``)."""
    return min(max(wait_ns, 0) // _SLACK_PART, _SLACK_MOST_NS)


@dataclass(slots=True)
class Lateness:
    """Of one log. A raise names no CPU: it is that of the CPU whose interrupt is due first."""

    hz: int
    raises: list[int] = field(default_factory=list)
    """Lateness of each, in ns, less the slack of its wait."""
    answers: list[int] = field(default_factory=list)
    """From the raise to the handler's first access to DECR, in ns."""
    _due: dict[int, tuple[int, int]] = field(default_factory=dict)
    """CPU → when its interrupt is due, and how long that is to wait for, in ns."""
    _raised: dict[int, int] = field(default_factory=dict)

    def armed(self, cpu: int, t_us: int, ticks: int) -> None:
        """Its interrupt is due in so many ticks."""
        wait_ns = ns_up(ticks, self.hz)
        self._due[cpu] = 1000 * t_us + wait_ns, wait_ns

    def written(self, cpu: int, t_us: int, value: int, bits: int) -> None:
        """The guest writes DECR: what was due before is not any more."""
        self.reset(cpu)
        if signed(value, bits) >= 0:
            self.armed(cpu, t_us, value)

    def reset(self, cpu: int) -> None:
        """Its interrupt is neither due nor raised any more."""
        self._due.pop(cpu, None)
        self._raised.pop(cpu, None)

    def raised(self, t_us: int) -> int | None:
        """QEMU raises; whose it is, None if nobody's is due that the log shows."""
        if not self._due:
            return None
        cpu = min(self._due, key=lambda index: self._due[index][0])
        due_ns, wait_ns = self._due[cpu]
        late_ns = 1000 * t_us - due_ns
        if late_ns < -_EARLY_NS:
            return None
        del self._due[cpu]
        self.raises.append(late_ns - poll_slack_ns(wait_ns) if late_ns > 0 else late_ns)
        self._raised[cpu] = t_us
        return cpu

    def read(self, cpu: int, t_us: int) -> None:
        """The guest reads DECR: its handler runs."""
        raised_us = self._raised.pop(cpu, None)
        if raised_us is not None:
            self.answers.append(1000 * (t_us - raised_us))

    def waits(self, cpu: int) -> bool:
        """It was raised, and the guest has not answered."""
        return cpu in self._raised
