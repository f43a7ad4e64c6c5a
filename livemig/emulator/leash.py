"""How far virtual time may go by the operator's wish, who lets it go on bit by bit."""

from __future__ import annotations

import trio


class Leash:
    """``limit_ns``: where the clock stands until it is told to go on; None: it is not held."""

    def __init__(self) -> None:
        self.limit_ns: int | None = None
        self._waiting: list[trio.Event] = []

    def holds(self, now: int) -> bool:
        """Virtual time must not pass ``now``."""
        return self.limit_ns is not None and now >= self.limit_ns

    def let_go(self, now: int, ns: int | None) -> trio.Event:
        """Time may pass for ``ns`` more, or without a limit; gives what is set when it has, or need not any more."""
        self.limit_ns, there = None if ns is None else now + ns, trio.Event()
        self._waiting.append(there)
        if not ns:
            self.release()
        return there

    def come_to(self, now: int) -> None:
        """It is ``now``."""
        if self.holds(now):
            self.release()

    def release(self) -> None:
        """Nobody need wait any longer."""
        for there in self._waiting:
            there.set()
        self._waiting.clear()
