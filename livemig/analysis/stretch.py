"""Many events of the guest's timers at once: consecutive lines of one log, in columns.

Observers that take a stretch in one step say in it what the step for each event says; the test is that both ways of
judging a history come to the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import BufferedIOBase
from itertools import chain, count, islice
from typing import Final, Literal, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from livemig.analysis.block import Reader
from livemig.analysis.columns import Columns
from livemig.analysis.layout import Column
from livemig.analysis.log import Event, Log, Place
from livemig.analysis.tables import columns_of, in_order
from livemig.events.entries import Entries

SHORT = 64
"""Below so many events, numpy's cost per call exceeds that of taking each by itself."""
_BYTES: Final = 1 << 20
"""Of a file read at a time: the columns of its lines fit a core's second-level cache."""
_LINES: Final = 1 << 13
_NEVER: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Stretch:
    """Lines [``begin``, ``end``) of ``block``: arms (cause ``guest``) and interrupts of one timer on one side, in
    which every number that the schema lets be null is there, ascending in ``t_ns``."""

    block: Columns
    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin

    def __iter__(self) -> Iterator[tuple[Event, Place]]:
        return self.events(range(len(self)))

    @property
    def side(self) -> str:
        return self.block.kinds[int(self.block.kind[self.begin]) - 1][0]

    @property
    def timer(self) -> str:
        return self.block.kinds[int(self.block.kind[self.begin]) - 1][1]

    @property
    def armed(self) -> NDArray[np.bool_]:
        """Which are arms; the others are interrupts."""
        return self.block.armed[self.begin : self.end]

    @property
    def t_ns(self) -> Column:
        return self.block.t_ns[self.begin : self.end]

    @property
    def cpu(self) -> Column:
        return self.block.cpu[self.begin : self.end]

    @property
    def tb(self) -> Column:
        return self.block.tb[self.begin : self.end]

    @property
    def deadline_ns(self) -> Column:
        """Of the arms; it means nothing elsewhere."""
        return self.block.deadline_ns[self.begin : self.end]

    def event(self, row: int) -> tuple[Event, Place]:
        line = self.begin + row
        return self.block.event(line), (self.block.name, self.block.first + line)

    def events(self, rows: Iterable[int]) -> Iterator[tuple[Event, Place]]:
        return map(self.event, rows)

    def cut(self, row: int) -> tuple[Stretch, Stretch]:
        """What comes before ``row``, and the rest."""
        at = self.begin + row
        return replace(self, end=at), replace(self, begin=at)


Item: TypeAlias = tuple[Event, Place] | Stretch


def stretches(log: Log) -> Iterator[Item]:
    """The events of ``log``, in stretches as far as they go, and else one by one; raises as iterating it does."""
    for block in _of_entries(log, log.lines) if isinstance(log.lines, Entries) else _of_text(log, log.lines):
        if not isinstance(block, Columns):
            yield block
            continue
        for begin, end in block.runs():
            if block.kind[begin] and block.t_ns[begin] >= (log.last_ns or 0):
                log.last_ns = int(block.t_ns[end - 1])
                yield Stretch(block, begin, end)
            else:
                yield from block.told(log, begin, end)


def _of_text(log: Log, lines: Iterable[bytes]) -> Iterator[Columns]:
    reader, first = Reader(log.name, log.side), 1
    for data in _blocks(lines):
        block = reader.read(data, first)
        yield block
        first += len(block.kind)


def _of_entries(log: Log, entries: Entries) -> Iterator[Columns | tuple[Event, Place]]:
    """Where there are few lines, they are told here."""
    first = 1
    for entry in entries.all:
        if isinstance(entry, bytes):
            size = 1
            yield from log.told([(orjson.loads(entry), first)])
        elif (size := sum(len(lines.order) for lines in entry)) < SHORT:
            yield from log.told(zip(in_order(entry), count(first), strict=False))
        else:
            yield columns_of(entry, log.name, first, log.side)
        first += size


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    if isinstance(lines, BufferedIOBase):
        while data := lines.read(_BYTES) + lines.readline():
            yield data
    else:
        rest = iter(lines)
        while data := b"".join(islice(rest, _LINES)):
            yield data


def interleaved(first: Iterable[Item], second: Iterable[Item]) -> Iterator[Item]:
    """As `merged`: a stretch is cut where an event of the other log comes between, and taken apart if it is short."""
    ones, others = iter(first), iter(second)
    one, other = next(ones, None), next(others, None)
    one_begins, other_begins = _begins(one), _begins(other)
    while one is not None and other is not None:
        if one_begins <= other_begins:
            if isinstance(one, Stretch):
                head, one = _cut(one, other_begins, "right")
                yield from _worthwhile(head)
            else:
                yield one
                one = None
            one = next(ones, None) if one is None else one
            one_begins = _begins(one)
        else:
            if isinstance(other, Stretch):
                head, other = _cut(other, one_begins, "left")
                yield from _worthwhile(head)
            else:
                yield other
                other = None
            other = next(others, None) if other is None else other
            other_begins = _begins(other)
    for rest, more in ((one, ones), (other, others)):
        if rest is not None:
            for item in chain((rest,), more):
                if isinstance(item, Stretch):
                    yield from _worthwhile(item)
                else:
                    yield item


def _begins(item: Item | None) -> int:
    if isinstance(item, Stretch):
        return int(item.block.t_ns[item.begin])
    t_ns: int = _NEVER if item is None else item[0]["t_ns"]
    return t_ns


def _cut(stretch: Stretch, t_ns: int, side: Literal["left", "right"]) -> tuple[Stretch, Stretch | None]:
    """What of it comes before ``t_ns``, and the rest, if there is any; ``side`` as for ``searchsorted``."""
    row = int(stretch.t_ns.searchsorted(min(t_ns, _NEVER), side))
    return stretch.cut(row) if row < len(stretch) else (stretch, None)


def _worthwhile(stretch: Stretch) -> Iterable[Item]:
    return stretch if len(stretch) < SHORT else (stretch,)
