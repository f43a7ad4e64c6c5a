"""QEMU's trace log, read while QEMU writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from livemig.events.qemu.trace import DECR_EXCP, Line, parse

_POLL_S: Final = 0.05
_MOST: Final = 1 << 20
"""Bytes at once; the rest waits for the next time."""
_LONGEST: Final = 4096


class Following:
    """The log at ``path``. ``counts``: of each event, so far; ``raised``: of interrupts.

    Args:
        seen: told of every trace event, in the order of the file.
    """

    def __init__(self, path: Path, seen: Callable[[Line], None] = lambda line: None) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self.raised = 0
        self._seen = seen
        self._offset = 0
        self._lines = 0
        self._rest = b""

    def take(self, data: bytes) -> None:
        """Take what was appended to the file. A line counts when its end is there."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_LONGEST:]
        for text in lines:
            self._lines += 1
            line = parse(text, self._lines)
            if line is not None and line.event:
                self.counts[line.event] += 1
                self.raised += line.event == DECR_EXCP and line.word == "raise"
                self._seen(line)

    def read(self) -> bool:
        """Take what is new, up to a bound; whether there was anything. A file that is not there yet has nothing."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(_MOST)
        except FileNotFoundError:
            return False
        self._offset += len(data)
        self.take(data)
        return bool(data)

    async def follow(self) -> None:
        """Until cancelled. Read the rest with :meth:`read` then."""
        while True:
            if not self.read():
                await trio.sleep(_POLL_S)
            else:
                await trio.lowlevel.checkpoint()
