"""A guest that does what it is told, line by line (``livemig.config.script``), and says what it expects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from livemig.config.script import Line, Program, Verb
from livemig.guests.guest import Expectation, Guest, Read, Write
from livemig.timers.ticks import NEVER

MOST_SEEN: Final = 1 << 62


class ScriptGuest(Guest):
    """Args: ``timers``: their names, by number. ``ticks``: of so many ns. A handler acts ``arm_ticks`` after delivery
    and takes ``handler_ticks`` in all, for which the script stands still."""

    has_thread = True

    def __init__(
        self, program: Program, timers: Sequence[str], ticks: Callable[[int], int], arm_ticks: int, handler_ticks: int
    ) -> None:
        self.main = timers[0]
        self._main, self._handlers, self._timers, self._ticks = program.main, program.handlers, timers, ticks
        self._arm_ticks, self._handler_ticks = arm_ticks, max(handler_ticks, arm_ticks)
        self._line = 0
        self._seen = dict.fromkeys(timers, 0)
        """Interrupts since the last line that counted them."""

    def boot(self) -> int:
        self._line, self._seen = 0, dict.fromkeys(self._timers, 0)
        return 0

    def interrupted(self, timer: int) -> tuple[int, int]:
        name = self._timers[timer]
        self._seen[name] += 1
        return self._arm_ticks if name in self._handlers else NEVER, self._handler_ticks

    def act(self, timer: int, tb: int, read: Read) -> tuple[Sequence[Write], int]:
        return [(line.name, line.value) for line in self._handlers[self._timers[timer]]], NEVER

    def proceed(self, read: Read) -> tuple[Write | Expectation | None, int]:
        if self._line == len(self._main):
            return None, NEVER
        line = self._main[self._line]
        self._line += 1
        match line.verb:
            case Verb.WAIT_TICKS:
                return None, line.value
            case Verb.WAIT_NS:
                return None, self._ticks(line.value)
            case Verb.COUNT | Verb.READS:
                return self._expect(line, read), 0
            case _:
                return (line.name, line.value), 0

    def _expect(self, line: Line, read: Read) -> Expectation:
        if line.verb is Verb.READS:
            found = read(line.name)
        else:
            found, self._seen[line.name] = self._seen[line.name], 0
        return Expectation(self._timers.index(line.name), str(line.verb.value), line.low, line.high, found)

    @property
    def most(self) -> dict[str, Any]:
        return {"line": len(self._main), "seen": dict.fromkeys(self._timers, MOST_SEEN)}

    def save(self) -> dict[str, Any]:
        return {"line": self._line, "seen": dict(self._seen)}

    def load(self, state: dict[str, Any]) -> None:
        self._line, self._seen = state["line"], dict(state["seen"])
