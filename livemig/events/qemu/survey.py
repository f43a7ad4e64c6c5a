"""What a whole log shows before its story is told: what every thread did, and the ends of it. Memory is bounded."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from livemig.errors import InputError
from livemig.events.qemu.trace import (
    DECR_EXCP,
    DECR_LOAD,
    DECR_STORE,
    MIGRATION,
    RUN_STATE,
    TB_LOAD,
    TB_STORE,
    Line,
    TraceLog,
)

_KEPT: Final = 256
"""Readings and writes kept of each thread at either end."""
_MOST_THREADS: Final = 4096
AT_ONCE_US: Final = 1_000_000
"""An interrupt that a write of a negative value raises comes within this time, however busy the host. Where the write
does not raise, no timer does earlier than half the range of DECR later, 21 s at 100 MHz."""
_QUIT: Final = "shutdown"
_RESET: Final = 0xFFFF_FFFF
"""What QEMU writes to DECR at its own start."""


class Write(NamedTuple):
    """A write to DECR. ``loaded``: it was read just before, as ``mtdec`` and QEMU's post_load do, and a reset not."""

    t_us: int
    old: int
    value: int
    loaded: bool


class Reading(NamedTuple):
    """Of TB, or of DECR."""

    t_us: int
    value: int


class Ends:
    """The first and the last few of a thread's readings."""

    def __init__(self) -> None:
        self._first: list[Reading] = []
        self._last: deque[Reading] = deque(maxlen=_KEPT)

    def __iter__(self) -> Iterator[Reading]:
        yield from self._first
        yield from self._last

    def add(self, reading: Reading) -> None:
        (self._first if len(self._first) < _KEPT else self._last).append(reading)

    def clear(self) -> None:
        self._first.clear()
        self._last.clear()

    def between(self, begin_us: int, end_us: int) -> list[Reading]:
        """Those kept from ``begin_us`` up to, but not at, ``end_us``."""
        return [reading for reading in self if begin_us <= reading.t_us < end_us]


class Thread:
    """What one host thread did."""

    def __init__(self, tid: int) -> None:
        self.tid = tid
        self.counts: Counter[str] = Counter()
        self.raises: list[int] = []
        """The first and the last time that it raised an interrupt, but for one that its own write raised."""
        self.says_main = False
        """It did what only QEMU's main thread does."""
        self.first_us = self.last_us = 0
        self.tb = Ends()
        self.decr = Ends()
        """Reads of DECR that no write follows."""
        self.writes: list[Write] = []
        """The first few."""
        self.last_write: Write | None = None
        self.first_decr: Reading | None = None
        """The first read, whether a write follows or not."""
        self.wrote_tb = False
        self._read: Reading | None = None
        self._wrote_us: int | None = None
        """When it wrote a negative value, if that was the last thing it did."""

    def see(self, line: Line) -> None:
        """Take one of its lines, in their order."""
        event = line.event
        self.counts[event] += 1
        self.first_us = self.first_us or line.t_us
        self.last_us = line.t_us
        wrote_us, self._wrote_us = self._wrote_us, None
        if event == TB_LOAD:
            self.tb.add(Reading(line.t_us, line.value))
        elif event == DECR_LOAD:
            self.settle()
            self._read = Reading(line.t_us, line.value)
            self.first_decr = self.first_decr or self._read
        elif event == DECR_STORE:
            self._write(line)
        elif event == DECR_EXCP and line.word == "raise":
            self._raise(line, wrote_us)
        elif event == TB_STORE:
            self.wrote_tb = True
            self.tb.clear()  # What was read before says nothing of TB now.
        elif (event == RUN_STATE and line.word != "finish-migrate") or (event == MIGRATION and line.word == "setup"):
            self.says_main = True

    def _write(self, line: Line) -> None:
        loaded = self._read is not None and self._read.value & 0xFFFF_FFFF == line.old & 0xFFFF_FFFF
        if loaded:
            self._read = None
        elif line.value == _RESET and line.old in (0, _RESET):
            self.says_main = True
        if line.value >> 31 & 1:
            self._wrote_us = line.t_us
        self.last_write = Write(line.t_us, line.old, line.value, loaded)
        if len(self.writes) < _KEPT:
            self.writes.append(self.last_write)

    def _raise(self, line: Line, wrote_us: int | None) -> None:
        if wrote_us is None or line.t_us - wrote_us > AT_ONCE_US:
            self.raises = [self.raises[0] if self.raises else line.t_us, line.t_us]

    def settle(self) -> None:
        """The last read of DECR, if there is one, was not followed by a write."""
        if self._read is not None:
            self.decr.add(self._read)
            self._read = None

    @property
    def acts(self) -> bool:
        """It does something that a guest may do."""
        return bool(self.counts[DECR_STORE] or self.counts[TB_LOAD] or self.counts[TB_STORE])


@dataclass(slots=True)
class Survey:
    """One log. Of ``vm_state_notify`` the first run, and the last stop that no run followed; None if there is none.
    That QEMU was told to quit is no such stop: nobody migrates a guest then."""

    threads: dict[int, Thread] = field(default_factory=dict)
    first_us: int = 0
    last_us: int = 0
    first_run_us: int | None = None
    last_stop_us: int | None = None
    next_stop_us: int | None = None
    """The first stop after the first run."""
    next_run_us: int | None = None
    """The first run after that stop."""
    completed_us: int | None = None
    """When the migration was last said to be completed."""


def survey(log: TraceLog) -> Survey:
    """Read ``log`` to its end.

    Raises:
        InputError: it cannot be read, or there is no trace event in it.
    """
    found = Survey()
    threads = found.threads
    for line in log:
        thread = threads.get(line.tid)
        if thread is None:
            if len(threads) == _MOST_THREADS:
                raise InputError(str(log.path), "too many threads: not the log of one QEMU", line.number)
            thread = threads[line.tid] = Thread(line.tid)
        thread.see(line)
        if line.event == RUN_STATE:
            _follow(found, line)
        elif line.event == MIGRATION and line.word == "completed":
            found.completed_us = line.t_us
        found.first_us = found.first_us or line.t_us
    if not threads and log.without_thread:
        raise InputError(
            str(log.path),
            f"no thread is named in {log.without_thread:,} of its lines, as in QEMU 11's; let it write one file a "
            "thread, by -d tid -D NAME.%d.log, and give NAME.%d.log",
        )
    if not threads:
        raise InputError(str(log.path), f"not one of QEMU's trace events in {log.lines:,} lines")
    for thread in threads.values():
        thread.settle()
    found.last_us = max(thread.last_us for thread in threads.values())
    return found


def _follow(found: Survey, line: Line) -> None:
    if line.value:
        if found.next_stop_us is not None and found.next_run_us is None:
            found.next_run_us = line.t_us
        found.first_run_us = line.t_us if found.first_run_us is None else found.first_run_us
        found.last_stop_us = None
        return
    if found.first_run_us is not None and found.next_stop_us is None:
        found.next_stop_us = line.t_us
    if line.word != _QUIT:
        found.last_stop_us = line.t_us if found.last_stop_us is None else found.last_stop_us
