"""A frame on its way, and what a fault of the link is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from livemig.guests.draws import draw
from livemig.link.faults.harm import Harm
from livemig.timers.ticks import NEVER

_PER_CENT = 100


@dataclass(slots=True)
class Passage:
    """One frame.

    Args:
        kind: its type. size: in bytes. sent_ns, free_ns, arrives_ns: when it was sent, when the line is free again,
        when it arrives; NEVER if it does not. damaged: it arrives, but not as it was. cut_ns: the connection is lost
        then, because of it; NEVER if not. cause: what cut it. slice_bytes, pause_ns: it leaves in slices with pauses
        between them. most: of its bytes leave before the connection is lost. silent: nothing else passes meanwhile.
    """

    kind: str
    size: int
    sent_ns: int
    free_ns: int
    arrives_ns: int
    damaged: bool = False
    cut_ns: int = NEVER
    cause: str = ""
    slice_bytes: int = 0
    pause_ns: int = 0
    most: int | None = None
    silent: bool = False

    @property
    def harm(self) -> Harm:
        """What is left to be done to its bytes."""
        pauses = (self.size - 1) // self.slice_bytes if self.slice_bytes else 0
        return Harm(self.damaged, self.slice_bytes, self.pause_ns, pauses, self.most, self.silent)


@dataclass(slots=True)
class When:
    """When a fault acts.

    Args:
        start_ns, stop_ns: from, until; NEVER for ever. before: not before the first frame of this type, if not empty.
        toxicity: per cent of the frames that it meets, drawn by ``seed``.
    """

    start_ns: int = 0
    stop_ns: int = NEVER
    before: str = ""
    toxicity: int = _PER_CENT
    seed: int = 0
    since_ns: int | None = field(default=None, init=False)
    """When it began; None: not yet."""
    _met: int = field(default=0, init=False)

    def meets(self, frame: Passage) -> bool:
        """Whether it acts on ``frame``."""
        if not self.start_ns <= frame.sent_ns < self.stop_ns:
            return False
        if self.since_ns is None:
            if self.before and frame.kind != self.before:
                return False
            self.since_ns = frame.sent_ns if self.before else self.start_ns
        self._met += 1
        return draw(self.seed, self._met) % _PER_CENT < self.toxicity


    def covers(self, at_ns: int) -> bool:
        """Whether it is there at ``at_ns``, as far as its frames have told."""
        if self.before and (self.since_ns is None or at_ns < self.since_ns):
            return False
        return self.start_ns <= at_ns < self.stop_ns and draw(self.seed, 0) % _PER_CENT < self.toxicity


class LinkFault(ABC):
    """Acts on the frames of one direction, one after the other."""

    name: str

    def __init__(self, when: When) -> None:
        self.when = when

    def begin_anew(self) -> None:  # noqa: B027
        """The connection was lost, and there is another one."""

    @property
    def certain_cut_ns(self) -> int:
        """When it cuts the connection although nothing is sent; NEVER if it does not."""
        return NEVER

    def closing_ns(self, at_ns: int) -> int:
        """How much later both sides are told of a cut at ``at_ns``."""
        return 0

    def act(self, frame: Passage) -> bool:
        """Let ``frame`` pass; True if this did something to it."""
        if not self.when.meets(frame):
            return False
        self.apply(frame)
        return True

    @abstractmethod
    def apply(self, frame: Passage) -> None:
        """What it does to a frame that it meets."""

    def _late(self, frame: Passage, ns: int) -> None:
        if frame.arrives_ns < NEVER:
            frame.arrives_ns += ns

    def _cut(self, frame: Passage, at_ns: int) -> None:
        """The connection is lost at ``at_ns``, or now if that is over; what would arrive later never does."""
        at_ns = max(at_ns, frame.sent_ns)
        if at_ns < frame.cut_ns:
            frame.cut_ns, frame.cause = at_ns, self.name
        if frame.arrives_ns >= at_ns:
            frame.arrives_ns = NEVER
