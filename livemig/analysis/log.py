"""The logs of a run, read line by line and merged into one history.

The order: by ``t_ns``, then the source before the destination, then by line. Memory: one event a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import PurePath
from typing import Any

import orjson

from livemig.errors import InputError
from livemig.events.entries import Entries
from livemig.events.schema import EVENTS

Event = dict[str, Any]
Place = tuple[str, int]
"""File name and line, from 1."""


class Log:
    """The events of one side.

    Args:
        path: where the lines come from; its last component names the file in evidence.
        side: what every line must say; None: anything.
        lines: the lines, as a file opened in binary mode gives them; or those of a log that is no text yet.
    """

    def __init__(self, path: str, side: str | None, lines: Iterable[bytes] | Entries) -> None:
        self.path, self.side, self.name = path, side, PurePath(path).name
        self.last_ns: int | None = None
        """``t_ns`` of the last event read so far; None before the first."""
        self.lines = lines

    def __iter__(self) -> Iterator[tuple[Event, Place]]:
        """Raises InputError at a line that is not an event, goes back in time, or is another side's."""
        lines = BytesIO(self.lines.text()) if isinstance(self.lines, Entries) else self.lines
        return self.events(enumerate(lines, 1))

    def told(self, events: Iterable[tuple[Event, int]]) -> Iterator[tuple[Event, Place]]:
        """Events with their numbers, which come after the ones read so far; raises as iterating does."""
        name, side = self.name, self.side
        for event, number in events:
            if side not in (None, event["side"]) or event["t_ns"] < (self.last_ns or 0):
                raise InputError(self.path, _problem(event, side, self.last_ns or 0), number)
            self.last_ns = event["t_ns"]
            yield event, (name, number)

    def events(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[Event, Place]]:
        """Those of some numbered lines, which come after the ones read so far; raises as iterating does."""
        name, side, last = self.name, self.side, self.last_ns or 0
        for number, line in lines:
            try:
                event = orjson.loads(line)
                now = event["t_ns"]
                named = type(event["event"]) is str and side in (None, event["side"])
                if not named or type(now) is not int or now < last:
                    raise InputError(self.path, _problem(event, side, last), number)
            except orjson.JSONDecodeError as error:
                if not line.endswith(b"\n"):
                    return  # The writer died in the middle of it: the log ends with the line before.
                raise InputError(self.path, f"not JSON: {error}", number) from None
            except (KeyError, TypeError):
                raise InputError(self.path, "no event: t_ns, side and event are needed", number) from None
            self.last_ns = last = now
            yield event, (name, number)


def _problem(event: Event, side: str | None, last: int) -> str:
    if type(event["t_ns"]) is not int or type(event["event"]) is not str:
        return "no event: t_ns must be an integer, event a name"
    if side is not None and event["side"] != side:
        return f"side {event['side']!r} in the log of the {side}"
    return f"t_ns {event['t_ns']} after {last}: a log does not go back in time"


def merged(
    first: Iterable[tuple[Event, Place]], second: Iterable[tuple[Event, Place]]
) -> Iterator[tuple[Event, Place]]:
    """Both in the order of ``t_ns``; at the same instant ``first`` goes first."""
    ones, others = iter(first), iter(second)
    one, other = next(ones, None), next(others, None)
    while one is not None and other is not None:
        if one[0]["t_ns"] <= other[0]["t_ns"]:
            yield one
            one = next(ones, None)
        else:
            yield other
            other = next(others, None)
    for rest, more in ((one, ones), (other, others)):
        if rest is not None:
            yield rest
            yield from more


_LISTS: dict[str, type] = {"cpu_tb": int, "pending": list}
_INTEGERS = {"cpu", "value", "late_ns", "pass", "bytes", "duration_ns"}
_INTEGERS_OR_NULL = {"tb", "clock_ns", "deadline_ns"}


def malformed(event: Event) -> str | None:
    """What is wrong with ``event`` by the schema, None if nothing is. For when something stumbled over it."""
    name = event["event"]
    for key in EVENTS.get(name, ()):
        if key not in event:
            return f"{name} without {key!r}"
        value = event[key]
        if key in _INTEGERS and type(value) is not int:
            return f"{name}: {key} is {value!r}, an integer is needed"
        if key in _INTEGERS_OR_NULL and value is not None and type(value) is not int:
            return f"{name}: {key} is {value!r}, an integer or null is needed"
        if key in _LISTS and value is not None and not _one_each(value, _LISTS[key]):
            return f"{name}: {key} is {value!r}, a list with one entry a CPU is needed"
    return None


def _one_each(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, kind) or (entry is None and kind is int) for entry in value
    )
