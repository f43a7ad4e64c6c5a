"""Lines of a log that differ only in the digits of their numbers, read all at once.

Nearly every line of a long log is one of the two that the guest's timers leave, as livemig writes it. Those of one
*layout* have the same text, and numbers of the same lengths, in the same places:

    line      {"t_ns":1508675,"side":"source","event":"interrupt","cpu":0, …
    template  {"t_ns":1000000,"side":"source","event":"interrupt","cpu":0, …
    spread             8999999                                          9    (0 elsewhere)

A line has this layout if no character is below the template's, nor above it by more than the spread: that the
characters are digits, that none leads with 0, and that all else is equal, is one comparison. What they are above it,
times the powers of ten, and the template's own number, is the number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from livemig.events.schema import EVENTS

Bytes = NDArray[np.uint8]
Column = NDArray[np.int64]

ARMED: Final = "timer_armed"
INTERRUPT: Final = "interrupt"

_NUMBER = rb"0|[1-9][0-9]{0,17}"
_EXACT: Final = 15
"""Digits of which a float holds any number."""
_MANY: Final = 256
"""From so many lines on, numbers are read one after the other, each from its own characters."""
_ONES: Final = bytes.maketrans(b"0123456789", b"1" * 10)


def _pattern(event: str) -> re.Pattern[bytes]:
    """The lines of ``event`` that the guest caused, with a group for each number; what nobody asks for may be null."""
    of = {"cpu": rb"(?P<cpu>0|[1-9][0-9]{0,2})", "timer": rb'"(?P<timer>\w+)"', "cause": rb'"guest"'}
    of |= {"side": rb'"(?P<side>\w+)"', "event": b'"%b"' % event.encode()}
    fields = []
    for key in ("t_ns", "side", "event", *EVENTS[event]):
        name = key.encode()
        number = b"(?P<%b>%b)" % (name, _NUMBER)
        other = number if key in _WANTED[event] else b"(?:null|-?%b)" % number
        fields.append(b'"%b":%b' % (name, of.get(key, other)))
    return re.compile(rb"\{" + b",".join(fields) + rb"\}\n")


_WANTED: Final = {ARMED: ("t_ns", "cpu", "tb", "deadline_ns"), INTERRUPT: ("t_ns", "cpu", "tb")}
_PATTERNS: Final = {event: _pattern(event) for event in (ARMED, INTERRUPT)}


@dataclass(frozen=True, slots=True)
class Number:
    """A number in every line of a layout: where it stands, and what it is at least."""

    start: int
    stop: int
    least: int

    def read(self, above: Bytes) -> Column:
        """The numbers in lines of which ``above`` is what they are above the template."""
        value = np.full(len(above), self.least, np.int64)
        for stop in range(self.stop, self.start, -_EXACT):
            start = max(self.start, stop - _EXACT)
            digits = above[:, start:stop].astype(np.float64)
            part = (digits @ 10.0 ** np.arange(stop - start)[::-1]).astype(np.int64)
            value += part * 10 ** (self.stop - stop)
        return value


@dataclass(frozen=True, slots=True)
class Layout:
    """Of events ``event`` of ``timer`` on ``side``."""

    side: str
    event: str
    timer: str
    template: Bytes
    spread: Bytes
    numbers: dict[str, Number]
    weights: NDArray[np.float64] | None
    """A row a character, a column a number: what the character counts in it. None where a float would not be exact."""

    @staticmethod
    def of(line: bytes) -> Layout | None:
        """The layout of ``line``; None if it is another event, or not written as the schema has it.

        A number that begins with 0 is not so written, but is not told from others here; :meth:`above` does.
        """
        return _of(line.translate(_ONES))

    def columns(self, above: Bytes) -> Iterator[tuple[str, Column]]:
        """All the numbers, by name, as :meth:`Number.read` has each."""
        if len(above) >= _MANY or self.weights is None:
            for key, number in self.numbers.items():
                yield key, number.read(above)
            return
        values = (above @ self.weights).astype(np.int64)
        for column, (key, number) in zip(values.T, self.numbers.items(), strict=True):
            yield key, column + number.least

    def above(self, lines: Bytes) -> tuple[Bytes, NDArray[np.bool_]]:
        """What ``lines``, a row each and as long as the template, are above it, and which of them have this layout."""
        above = lines - self.template
        off = above > self.spread
        fits = ~np.any(off, axis=1, keepdims=False) if off.any() else np.ones(len(lines), np.bool_)
        return above, fits


@lru_cache(4096)
def _of(shape: bytes) -> Layout | None:
    """The layout of all lines that become ``shape`` when every digit becomes 1."""
    for event, pattern in _PATTERNS.items():
        if (match := pattern.fullmatch(shape)) is None:
            continue
        template, spread = bytearray(shape), bytearray(len(shape))
        for key in pattern.groupindex.keys() - {"side", "timer"}:
            start, stop = match.span(key)
            if start < 0:
                continue  # it is null
            alone = stop - start == 1
            template[start:stop] = b"0" if alone else b"1".ljust(stop - start, b"0")
            spread[start:stop] = b"\x09" if alone else b"\x08".ljust(stop - start, b"\x09")
        numbers = {key: Number(*match.span(key), int(template[slice(*match.span(key))])) for key in _WANTED[event]}
        side, timer = match["side"].decode(), match["timer"].decode()
        texts = np.frombuffer(template, np.uint8), np.frombuffer(spread, np.uint8)
        return Layout(side, event, timer, *texts, numbers, _weights(numbers, len(shape)))
    return None


def _weights(numbers: dict[str, Number], size: int) -> NDArray[np.float64] | None:
    if any(number.stop - number.start > _EXACT for number in numbers.values()):
        return None
    weights = np.zeros((size, len(numbers)))
    for column, number in enumerate(numbers.values()):
        weights[number.start : number.stop, column] = 10.0 ** np.arange(number.stop - number.start)[::-1]
    return weights
