"""How late the host is by a capture's own logs: the noise of every instant in it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Final

from livemig.launch.capture import Capture
from livemig.launch.onward import Onward

_LEAST_NOISE_NS: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Noise:
    """The host's own, by the interrupts in both logs but the first of each CPU after the resume.

    Args:
        raises: how many there were. median_ns, worst_ns: their lateness, from DECR's write and value to the raise.
        answer_ns: the longest from a raise to the guest's handler.
    """

    raises: int
    median_ns: int
    worst_ns: int
    answer_ns: int

    @property
    def allowed_ns(self) -> int:
        """How far an instant of the host's clock may be off: twice the worst that was seen, 10 ms at least."""
        return max(_LEAST_NOISE_NS, 2 * self.worst_ns)

    def as_dict(self) -> dict[str, int]:
        return {
            "raises": self.raises,
            "median_us": self.median_ns // 1000,
            "worst_us": self.worst_ns // 1000,
            "answer_worst_us": self.answer_ns // 1000,
            "allowed_us": self.allowed_ns // 1000,
        }


def noise_of(capture: Capture, onward: Onward | None) -> Noise:
    sides = [capture.lateness] if onward is None else [capture.lateness, onward.lateness]
    raises = [late for side in sides for late in side.raises]
    answers = [late for side in sides for late in side.answers]
    if not raises:
        capture.notes.append("no interrupt in the logs tells how late the host is; 10 ms are allowed")
        return Noise(0, 0, 0, max(answers, default=0))
    return Noise(len(raises), int(median(raises)), max(map(abs, raises)), max(answers, default=0))
