"""A log that was never text: its columns as its writer has them, where :mod:`block` reads them from lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemig.analysis.columns import Columns
from livemig.analysis.layout import ARMED, INTERRUPT, Column
from livemig.analysis.log import Event, Log, Place
from livemig.events.lines import Lines

_LARGE: Final = 10**18
"""What a number in a column is below."""


@dataclass(frozen=True, slots=True)
class Tables(Columns):
    """``templates``: of each table, :meth:`Lines.template`. ``table``: of each line, in which of them it is, and
    ``row``: where."""

    templates: Sequence[tuple[Event, Sequence[tuple[str, NDArray[Any]]]]]
    table: Column
    row: Column

    def event(self, line: int) -> Event:
        alike, columns = self.templates[self.table[line]]
        event: Event = alike.copy()
        row = self.row[line]
        for key, column in columns:
            event[key] = column.item(row)
        return event

    def told(self, log: Log, begin: int, end: int) -> Iterator[tuple[Event, Place]]:
        return log.told((self.event(line), self.first + line) for line in range(begin, end))


def in_order(tables: Sequence[Lines]) -> Iterator[Event]:
    """The events of a few lines."""
    rows = [row for lines in tables for row in zip(lines.order.tolist(), lines.events(), strict=True)]
    return (event for _, event in sorted(rows, key=lambda row: row[0]))


def columns_of(tables: Sequence[Lines], name: str, first: int, side: str | None) -> Tables:
    """The lines of ``tables`` in columns.

    Args:
        first: the number of the first line. side: whose lines are put into columns; None: anyone's.
    """
    sizes = [len(lines.order) for lines in tables]
    total = sum(sizes)
    kinds: list[tuple[str, str]] = []
    kind, armed = np.zeros(total, np.int32), np.zeros(total, np.bool_)
    numbers = {key: np.zeros(total, np.int64) for key in ("t_ns", "cpu", "tb", "deadline_ns")}
    end = 0
    for lines, size in zip(tables, sizes, strict=True):
        begin, end = end, end + size
        fields: dict[str, Any] = dict(lines.fields)
        numbers["t_ns"][begin:end] = fields["t_ns"]
        if (known := _kind(fields, side)) is not None:
            if known not in kinds:
                kinds.append(known)
            kind[begin:end] = kinds.index(known) + 1
            armed[begin:end] = is_arm = fields["event"] == ARMED
            for key in ("cpu", "tb", "deadline_ns") if is_arm else ("cpu", "tb"):
                numbers[key][begin:end] = fields[key]
    by_order = np.concatenate([lines.order for lines in tables]).argsort()
    table = np.repeat(np.arange(len(tables)), sizes)
    row = np.arange(total) - np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    t_ns, cpu, tb, deadline_ns = (column[by_order] for column in numbers.values())
    return Tables(
        name, first, kind[by_order], kinds, armed[by_order], t_ns, cpu, tb, deadline_ns,
        [lines.template() for lines in tables], table[by_order], row[by_order],
    )  # fmt: skip


def _kind(fields: Mapping[str, Any], side: str | None) -> tuple[str, str] | None:
    """The (side, timer) of a table that belongs into columns, as :class:`Layout` has them."""
    event = fields["event"]
    of_guest = event == INTERRUPT or (event == ARMED and fields["cause"] == "guest")
    if not of_guest or side not in (None, fields["side"]):
        return None
    for key in ("tb",) if event == INTERRUPT else ("tb", "deadline_ns"):
        value = fields[key]
        if not isinstance(value, np.ndarray) or value.min() < 0 or value.max() >= _LARGE:
            return None
    return fields["side"], fields["timer"]
