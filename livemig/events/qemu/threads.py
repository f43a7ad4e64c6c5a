"""The logs of a QEMU that names no thread in a line, QEMU 11 say: a file for each thread, by ``-d tid -D NAME.%d.log``.

What says which thread it was is the file's name; a line has the time as ISO 8601 has it. Told together they are the
log that earlier releases write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from heapq import merge
from pathlib import Path
from typing import Final

from livemig.errors import InputError

PLACE: Final = "%d"
"""In a file's name: where QEMU puts the number of the thread."""

_MOST: Final = 512
"""No QEMU has more threads."""
_STAMPED: Final = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?Z ((?:\w+ .*|\w+)\n?)", re.ASCII | re.DOTALL
)


def split(path: Path) -> bool:
    """Whether ``path`` stands for one file a thread."""
    return PLACE in path.name


def stamped(text: bytes) -> bool:
    """Whether it is a line that has its time, and no thread."""
    return _STAMPED.fullmatch(text) is not None


def files(pattern: Path) -> list[tuple[int, Path]]:
    """By the number of the thread."""
    before, _, after = pattern.name.partition(PLACE)
    name = re.compile(re.escape(before) + r"(\d{1,10})" + re.escape(after))
    directory = pattern.parent
    found = [(name.fullmatch(path.name), path) for path in directory.iterdir()] if directory.is_dir() else []
    numbered = sorted((int(match[1]), path) for match, path in found if match)
    if len(numbered) > _MOST:
        raise InputError(str(pattern), f"{len(numbered)} files: not the log of one QEMU")
    return numbered


def numbered(tid: int, text: bytes) -> bytes:
    """A line of that thread's file as earlier releases write it; what is no such line as it is."""
    found = _STAMPED.fullmatch(text)
    at = None if found is None else _seconds(found[1])
    if found is None or at is None:
        return text
    return b"%d@%d.%b:%b" % (tid, at, (found[2] or b"").ljust(6, b"0"), found[3])


@lru_cache(maxsize=64)
def _seconds(text: bytes) -> int | None:
    try:
        return int(datetime.fromisoformat(f"{text.decode()}+00:00").timestamp())
    except ValueError:
        return None


def together(threads: Iterable[tuple[int, Iterable[bytes]]]) -> Iterator[bytes]:
    """The lines of all threads, in the order of time; a line without one stays behind that before it."""
    timed = [_timed(tid, lines) for tid, lines in threads]
    for _, _, text in merge(*timed, key=lambda line: line[:2]):
        yield text


def _timed(tid: int, lines: Iterable[bytes]) -> Iterator[tuple[bytes, int, bytes]]:
    at = b""
    for line in lines:
        text = numbered(tid, line)
        stamp = text.partition(b":")[0].partition(b"@")[2]
        at = max(at, stamp) if re.fullmatch(rb"\d{10}\.\d{6}", stamp) else at
        yield at, tid, text
