"""JSON lines of many events at once, from columns of integers: byte for byte what orjson makes of each event.

The lines of one kind of event are the same text with other numbers in it. So they are printed as a table of
characters, every number right-aligned in a cell as wide as the widest in its column, and the table's rows are
copied into the output, each to where the lines before it end. Only where a number is narrower than its cell
must a row be copied in parts, from right to left: padding falls on text that is still to come.

    row      {"t_ns":17,"cpu":0500,"decr":012}
    parts    {"t_ns":17,"cpu":|0500,"decr":|012}     012} first, then 0500,"decr": over the padding of 012
    line     {"t_ns":17,"cpu":500,"decr":12}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

Column: TypeAlias = NDArray[np.int64] | NDArray[np.uint64]

# Below this many lines of a kind, numpy's cost per call exceeds that of formatting each line.
_FEW = 300
# Lines of a kind printed at a time: their characters fit a core's second-level cache.
_ROWS = 4096
_COLUMN = object()
# By k, the last k digits of 0 … 9999. Four digits at a time: few divisions, and a table that stays in cache.
_DIGITS = (np.arange(10_000)[:, np.newaxis] // [1000, 100, 10, 1] % 10 + ord("0")).astype(np.uint8)
_LAST = {k: np.ascontiguousarray(_DIGITS[:, 4 - k :]).view(f"V{k}")[:, 0] for k in (1, 2, 3, 4)}


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of one kind of event.

    Attributes:
        fields: keys in the order they are written; a value is a constant or a column, one integer a line.
            Events that differ in numbers only (their CPU, say) are best one kind with a column.
        order: where each line belongs among the lines of all kinds; ascending, and no two of all are equal.
    """

    fields: tuple[tuple[str, str | int | Column | None], ...]
    order: NDArray[np.int64]

    def columns(self) -> list[Column]:
        return [value for _, value in self.fields if isinstance(value, np.ndarray)]

    def texts(self) -> tuple[bytes, ...]:
        """What is the same in every line: the text before each column, and that after the last."""
        keys = tuple([key for key, _ in self.fields])
        return _texts(keys, tuple([_COLUMN if isinstance(value, np.ndarray) else value for _, value in self.fields]))

    def template(self) -> tuple[dict[str, Any], list[tuple[str, Column]]]:
        """A line as it is read but for its numbers, and the columns that these are in."""
        return dict(self.fields), [(key, value) for key, value in self.fields if isinstance(value, np.ndarray)]

    def events(self) -> Iterator[dict[str, Any]]:
        """All lines, as they are read."""
        alike, columns = self.template()
        for row in zip(*(column.tolist() for _, column in columns), strict=True):
            yield alike | dict(zip([key for key, _ in columns], row, strict=True))

    def between(self, start: int, stop: int) -> Lines:
        fields = ((key, v[start:stop] if isinstance(v, np.ndarray) else v) for key, v in self.fields)
        return Lines(tuple(fields), self.order[start:stop])


@lru_cache(4096)
def _texts(keys: tuple[str, ...], values: tuple[object, ...]) -> tuple[bytes, ...]:
    texts = [b"{"]
    for i, (key, value) in enumerate(zip(keys, values, strict=True)):
        texts[-1] += b"," * (i > 0) + orjson.dumps(key) + b":"
        if value is _COLUMN:
            texts.append(b"")
        else:
            texts[-1] += orjson.dumps(value)
    texts[-1] += b"}\n"
    return tuple(texts)


def render(kinds: Sequence[Lines]) -> bytes:
    """All lines of all kinds, ascending in ``order``."""
    return b"".join(pieces(kinds))


def pieces(kinds: Sequence[Lines]) -> Iterator[bytes | memoryview]:
    """What ``render`` joins, some thousand lines each: faster to write to a file, and of bounded size."""
    rows = _ROWS * max(1, sum(len(lines.order) >= _FEW for lines in kinds))
    stop = [len(lines.order) for lines in kinds]
    if sum(stop) <= rows:
        yield _piece(kinds)
        return
    cuts = np.sort(np.concatenate([lines.order for lines in kinds]))[rows::rows]
    start = [0] * len(kinds)
    for cut in [*np.transpose([lines.order.searchsorted(cuts) for lines in kinds]).tolist(), stop]:
        yield _piece([lines.between(*ends) for lines, *ends in zip(kinds, start, cut, strict=True)])
        start = cut


def _piece(kinds: Sequence[Lines]) -> bytes | memoryview:
    tables: list[_Table] = []
    singles: list[tuple[int, bytes]] = []
    for lines in kinds:
        table = _Table(lines) if len(lines.order) >= _FEW else None
        if table and table.keeps_padding_in_line():
            tables.append(table)
        else:
            singles += zip(lines.order.tolist(), _format_each(lines), strict=True)
    if not tables:
        return b"".join([line for _, line in sorted(singles)])

    single_order = np.array([order for order, _ in singles], np.int64)
    single_lengths = np.array([len(line) for _, line in singles], np.int64)
    order = np.concatenate([*(table.order for table in tables), single_order])
    lengths = np.concatenate([*(table.lengths for table in tables), single_lengths])
    ascending = order.argsort(kind="stable")
    ends = np.empty_like(lengths)
    ends[ascending] = lengths[ascending].cumsum()
    out = np.empty(int(lengths.sum()), np.uint8)
    for table in tables:
        table.copy(out, ends[: len(table.order)])
        ends = ends[len(table.order) :]
    for (_, line), end in zip(singles, ends.tolist(), strict=True):
        out.data[end - len(line) : end] = line
    return out.data


def _format_each(lines: Lines) -> list[bytes]:
    line = b"%d".join(text.replace(b"%", b"%%") for text in lines.texts())
    columns = [column.tolist() for column in lines.columns()]
    return [line % row for row in zip(*columns, strict=True)] if columns else [line % ()] * len(lines.order)


class _Cells:
    """A column to be printed in cells of one width, of which the first ``padding`` characters are void."""

    def __init__(self, column: Column) -> None:
        # |-2⁶³| wraps to itself, which read as unsigned is 2⁶³.
        self.magnitudes = np.abs(column).view(np.uint64)
        self.low, self.high = int(self.magnitudes.min()), int(self.magnitudes.max())
        self.width = len(str(self.high))
        self.padding = np.zeros(len(column), np.uint8)
        for digits in range(len(str(self.low)), self.width):
            self.padding += self.magnitudes < 10**digits
        negative = column < 0
        self.negative = negative.nonzero()[0]
        if len(self.negative):
            self.width += 1
            self.padding += ~negative
        self.most_padding = int(self.padding.max())

    def print(self, cells: NDArray[np.uint8]) -> None:
        """Write the numbers; ``cells`` come with the greatest magnitude in each, padded with zeros."""
        rest, low, high, end = self.magnitudes, self.low, self.high, self.width
        while low != high:  # else all rows have the same digits left of `end`
            quotient = rest // 10_000
            last = (rest - quotient * 10_000).view(np.int64)
            k = min(4, end)
            cells[:, end - k : end].view(f"V{k}")[:, 0] = _LAST[k][last]
            rest, low, high, end = quotient, low // 10_000, high // 10_000, end - k
        cells[self.negative, self.padding[self.negative]] = ord("-")


class _Table:
    """Lines of one kind, to be printed in cells."""

    def __init__(self, lines: Lines) -> None:
        self.order = lines.order
        self.columns = [_Cells(column) for column in lines.columns()]
        self.starts: list[int] = []
        row = b""
        *texts, last = lines.texts()
        for text, column in zip(texts, self.columns, strict=True):
            row += text
            self.starts.append(len(row))
            row += b"%0*d" % (column.width, column.high)
        self.row = np.frombuffer(row + last, np.uint8)
        self.lengths = np.full(len(self.order), len(self.row), np.int64)
        for column in self.columns:
            self.lengths -= column.padding

    def keeps_padding_in_line(self) -> bool:
        """Whether before every number there is, in any line, at least as much text as padding."""
        padding = np.cumsum([column.most_padding for column in self.columns])
        return bool(np.all(padding <= self.starts))

    def copy(self, out: NDArray[np.uint8], end: NDArray[np.int64]) -> None:
        """Print the lines and write them to ``out``, each so that it ends before ``end``."""
        rows = np.empty((len(end), len(self.row)), np.uint8)
        rows[:] = self.row
        for start, column in zip(self.starts, self.columns, strict=True):
            column.print(rows[:, start : start + column.width])
        right = len(self.row)
        for start, column in zip(reversed(self.starts), reversed(self.columns), strict=True):
            if column.most_padding:
                _place(rows[:, start:right], out, end)
                end = end - (right - start) + column.padding
                right = start
        _place(rows[:, :right], out, end)


def _place(rows: NDArray[np.uint8], out: NDArray[np.uint8], end: NDArray[np.int64]) -> None:
    size = rows.shape[1]
    # Every stretch of `size` bytes in `out`, as one item, overlapping: numpy copies an item at once.
    stretches = np.ndarray(len(out) - size + 1, f"V{size}", out, strides=(1,))
    stretches[end - size] = rows.view(f"V{size}")[:, 0]
