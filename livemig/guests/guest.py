"""A guest: one CPU's operating system, as far as its timers go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Read = Callable[[str], int]
"""What a register of the CPU's timers reads, by its name."""

Write = tuple[str, int]
"""Register and value. ``ee`` and ``ce``, which are no timers', are 1 or 0: whether interrupts are let in."""


class Expectation(NamedTuple):
    """What a guest holds true at an instant: that of ``timer``, by number, ``what`` (``interrupts`` since it asked
    last, ``reads``) is from ``low`` to ``high``, None for without end. ``found``: what it is."""

    timer: int
    what: str
    low: int | None
    high: int | None
    found: int


MOST = 1 << 65
"""TB counts in 64 bits; a deadline may lie beyond its end."""


class Guest(ABC):
    """Decides what is written into the timers, and when, in ticks of the timebase.

    A *step* is an instant at which the guest reads TB and its timers and writes them: a handler's, or what it does at
    boot and of its own accord, which belongs to the main timer. At most one for each timer is outstanding.
    The guest's own state is small integers, so that it crosses in the snapshot (``save``, ``load``).

    A guest that uses the main timer alone has :meth:`step`; one that uses more has :meth:`act` instead.
    """

    main = "decr"
    """The main timer's name."""

    entry: tuple[int, int] | None = None
    """What a handler writes before its step, if anything: ticks after delivery, value."""

    @abstractmethod
    def boot(self) -> int:
        """Ticks from power-on to the first step."""

    @abstractmethod
    def interrupted(self, timer: int) -> tuple[int, int]:
        """An interrupt of ``timer`` is delivered: ticks until the handler's step, and until it lets interrupts in."""

    def step(self, tb: int, decr: int) -> tuple[int, int]:
        """Reads ``tb`` and the main timer (signed); gives the value to write, and the ticks to its next step or
        NEVER."""
        raise NotImplementedError

    def act(self, timer: int, tb: int, read: Read) -> tuple[Sequence[Write], int]:
        """The step that belongs to ``timer``: what to write, in order, and the ticks to its next step or NEVER."""
        value, following = self.step(tb, read(self.main))
        return ((self.main, value),), following

    has_thread = False
    """Beside its handlers it does one thing after the other (:meth:`proceed`), from the boot on."""

    def proceed(self, read: Read) -> tuple[Write | Expectation | None, int]:
        """The next thing that its thread does, and the ticks to the one after it: 0 for at once, or NEVER."""
        raise NotImplementedError

    @property
    def most(self) -> Mapping[str, Any]:
        """The greatest value, from 0, of each number that :meth:`save` gives: what :meth:`load` may be given.

        True for what is true or false; such a mapping for a guest within.
        """
        return {name: True if isinstance(value, bool) else MOST for name, value in self.save().items()}

    @abstractmethod
    def save(self) -> dict[str, Any]:
        """What must cross for it to go on elsewhere."""

    @abstractmethod
    def load(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`save` gave."""


class TickGuest(Guest):
    """A guest whose every handler makes its step ``arm_ticks`` after delivery and takes ``handler_ticks`` in all.

    ``memoryless``: what it writes depends on ``decr`` alone. A CPU that runs such a guest knows all its interrupts
    up to a barrier in closed form.
    """

    memoryless = False
    typical = 0
    """About how many ticks a step writes, if that is known."""

    def ahead(self, count: int) -> NDArray[np.int64] | None:
        """What the next ``count`` steps will write, whatever they read, and no further step follows; None if that
        cannot be said. :meth:`taken` says how many of them were made."""
        return None

    def taken(self, count: int) -> None:
        """So many steps of those that :meth:`ahead` told were made."""
        raise NotImplementedError

    def __init__(self, arm_ticks: int, handler_ticks: int, boot_ticks: int = 0) -> None:
        self.arm_ticks = arm_ticks
        self.handler_ticks = max(handler_ticks, arm_ticks)
        self._boot_ticks = boot_ticks

    def boot(self) -> int:
        return self._boot_ticks

    def interrupted(self, timer: int) -> tuple[int, int]:
        return self.arm_ticks, self.handler_ticks
