"""Some thousand lines of a log, read into columns as far as they are what the guest's timers leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from livemig.analysis.columns import Columns
from livemig.analysis.layout import ARMED, Column, Layout
from livemig.analysis.log import Event, Log, Place

_LAYOUTS: Final = 16
"""Of one length that are known at a time; what has another goes line by line."""
_LONGEST: Final = 1024


@dataclass(frozen=True, slots=True)
class Block(Columns):
    """Whole lines of a file: ``data``; ``ends``: where each of them ends, in bytes."""

    data: bytes
    ends: Column

    def lines(self, begin: int, end: int) -> bytes:
        return self.data[self.ends[begin - 1] if begin else 0 : self.ends[end - 1]]

    def event(self, line: int) -> Event:
        event: Event = orjson.loads(self.lines(line, line + 1))
        return event

    def told(self, log: Log, begin: int, end: int) -> Iterator[tuple[Event, Place]]:
        return log.events(enumerate(BytesIO(self.lines(begin, end)), self.first + begin))


class Reader:
    """Reads the blocks of one log; remembers the layouts that it meets.

    Args:
        side: whose lines are read into columns; None: anyone's.
    """

    def __init__(self, name: str, side: str | None) -> None:
        self._name, self._side = name, side
        self._layouts: dict[int, list[Layout]] = {}
        self._kinds: list[tuple[str, str]] = []

    def read(self, data: bytes, first: int) -> Block:
        """``data``: whole lines, not none; the last one need not end."""
        text = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(text == ord("\n")) + 1
        if not len(ends) or ends[-1] < len(data):
            ends = np.append(ends, len(data))
        starts = np.concatenate(([0], ends[:-1]))
        count = len(ends)
        t_ns, cpu, tb, deadline_ns = (np.zeros(count, np.int64) for _ in range(4))
        kind, armed = np.zeros(count, np.int32), np.zeros(count, np.bool_)
        block = Block(self._name, first, kind, self._kinds, armed, t_ns, cpu, tb, deadline_ns, data, ends)
        # An arm ends in "}, an interrupt in a digit and }: so most lines that agree in this have one layout.
        lengths = np.minimum(ends - starts, _LONGEST)
        shapes = 2 * lengths + (text[np.maximum(ends - 3, 0)] == ord('"'))
        for shape in np.flatnonzero(np.bincount(shapes)).tolist():
            if shape < 2 * _LONGEST:
                self._read_shape(block, starts, np.flatnonzero(shapes == shape), shape)
        return block

    def _read_shape(self, block: Block, starts: Column, left: Column, shape: int) -> None:
        """Read the lines ``left``, which are equally long, into the columns, layout by layout."""
        size = shape // 2
        # Every stretch of `size` bytes, as one item, overlapping: numpy copies an item at once.
        stretches = np.ndarray(len(block.data) - size + 1, f"V{size}", block.data, strides=(1,))
        lines = stretches[starts[left]].view(np.uint8).reshape(-1, size)
        layouts = self._layouts.setdefault(shape, [])
        for known in tuple(layouts):
            if not len(left):
                return
            left, lines = self._take(block, known, left, lines)
        for _ in range(_LAYOUTS):
            if not len(left):
                return
            layout = Layout.of(lines[0].tobytes())
            if layout is None or self._side not in (None, layout.side):
                left, lines = left[1:], lines[1:]
                continue
            layouts.insert(0, layout)
            del layouts[_LAYOUTS:]
            left, lines = self._take(block, layout, left, lines)

    def _take(
        self, block: Block, layout: Layout, left: Column, lines: NDArray[np.uint8]
    ) -> tuple[Column, NDArray[np.uint8]]:
        """Read those that have this layout; returns the others."""
        above, fits = layout.above(lines)
        if fits.all():
            at, rest = left, (left[:0], lines[:0])
        else:
            at, above, rest = left[fits], above[fits], (left[~fits], lines[~fits])
        if len(at):
            block.kind[at] = self._kind(layout)
            block.armed[at] = layout.event == ARMED
            for key, column in layout.columns(above):
                getattr(block, key)[at] = column
        return rest

    def _kind(self, layout: Layout) -> int:
        kind = layout.side, layout.timer
        if kind not in self._kinds:
            self._kinds.append(kind)
        return self._kinds.index(kind) + 1
