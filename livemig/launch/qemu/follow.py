"""QEMU's trace log, read while QEMU writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from livemig.events.qemu import threads
from livemig.events.qemu.trace import DECR_EXCP, Line, parse

_POLL_S: Final = 0.05
_MOST: Final = 1 << 20
"""Bytes at once; the rest waits for the next time."""
_LONGEST: Final = 4096


class Following:
    """The log at ``path``, or with ``%d`` in it the logs of all threads. ``counts``: of each event, so far; ``raised``:
    of interrupts.

    Args:
        seen: told of every trace event, in the order of the file.
    """

    def __init__(self, path: Path, seen: Callable[[Line], None] = lambda line: None) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self.raised = 0
        self._seen = seen
        self._tails: dict[Path, _Tail] = {}

    def read(self) -> bool:
        """Take what is new, up to a bound; whether there was anything. A file that is not there yet has nothing."""
        places = threads.files(self.path) if threads.split(self.path) else [(0, self.path)]
        new = False
        for tid, path in places:
            tail = self._tails.setdefault(path, _Tail(path))
            lines = tail.read()
            new = new or lines is not None
            for number, text in lines or ():
                self._line(parse(threads.numbered(tid, text) if tid else text, number))
        return new

    def _line(self, line: Line | None) -> None:
        if line is not None and line.event:
            self.counts[line.event] += 1
            self.raised += line.event == DECR_EXCP and line.word == "raise"
            self._seen(line)

    async def follow(self) -> None:
        """Until cancelled. Read the rest with :meth:`read` then."""
        while True:
            if not self.read():
                await trio.sleep(_POLL_S)
            else:
                await trio.lowlevel.checkpoint()


class _Tail:
    """One file that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._lines = 0
        self._rest = b""

    def read(self) -> list[tuple[int, bytes]] | None:
        """What is new of it, up to a bound, as lines with their numbers; None if there is nothing new."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(_MOST)
        except FileNotFoundError:
            return None
        self._offset += len(data)
        return self.take(data) if data else None

    def take(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take what was appended to the file. A line counts when its end is there."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_LONGEST:]
        first = self._lines + 1
        self._lines += len(lines)
        return list(enumerate(lines, first))
