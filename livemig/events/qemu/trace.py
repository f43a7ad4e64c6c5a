"""QEMU's ``log`` trace backend, read in a stream: ``TID@SECONDS.MICROSECONDS:EVENT TEXT``, plain or gzipped; or one
file a thread, with ``%d`` in the path (:mod:`livemig.events.qemu.threads`)."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from heapq import heapify, heappop, heappushpop
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from livemig.errors import InputError
from livemig.events.qemu import threads

TB_LOAD, TB_STORE = "ppc_tb_load", "ppc_tb_store"
DECR_LOAD, DECR_STORE, DECR_EXCP = "ppc_decr_load", "ppc_decr_store", "ppc_decr_excp"
RUN_STATE, MIGRATION = "vm_state_notify", "migrate_set_state"

_EVENTS: Final = {
    TB_LOAD: rb"tb 0x(?P<ppc_tb_load>[0-9a-f]{16})",
    DECR_LOAD: rb"decr 0x(?P<ppc_decr_load>[0-9a-f]{16})",
    DECR_STORE: rb"(?P<bits>\d\d)-bit 0x(?P<old>[0-9a-f]{16}) => 0x(?P<ppc_decr_store>[0-9a-f]{16})",
    DECR_EXCP: rb"(?P<ppc_decr_excp>raise|lower) decrementer",
    TB_STORE: rb"tb 0x(?P<tb>[0-9a-f]{16}) offset 0x(?P<ppc_tb_store>[0-9a-f]{8,16})",
    RUN_STATE: rb"running (?P<runs>[01]) reason \d{1,3} \((?P<vm_state_notify>[a-z-]{1,32})\)",
    MIGRATION: rb"new state (?P<migrate_set_state>[a-z-]{1,32})",
}
_LINE: Final = re.compile(
    rb"(\d{1,10})@(\d{1,12})\.(\d{6}):(?:%b|(?P<other>ppc_decr_excp \w+ HV decrementer|(?!(?:%b)\b)\w+(?: .*)?))"
    % (b"|".join(b"%b %b" % (name.encode(), text) for name, text in _EVENTS.items()), "|".join(_EVENTS).encode())
)
_LONGEST: Final = 4096
"""Bytes in a line; what is longer is not QEMU's."""
_WINDOW: Final = 4096
"""How many lines late a line may be: a thread takes the time of an event before it gets to write the line."""
PLACES: Final = 5
"""How many places of lines that were not understood are kept."""


class Line(NamedTuple):
    """One trace event. Lines compare by time, then by place in the file.

    Args:
        t_us: host wall clock, in microseconds.
        number: of the line, from 1. tid: the host thread.
        event: the event's name.
        value: what was read or written (unsigned, 64 bits); of ``vm_state_notify``: whether it runs.
        old: of a store to DECR, what was there before; of one to TB, the offset to the virtual clock's ticks that it
            makes. bits: of a store to DECR, its width.
        word: ``raise``, ``lower``, a run state or a migration state.
    """

    t_us: int
    number: int
    tid: int
    event: str
    value: int = 0
    old: int = 0
    bits: int = 0
    word: str = ""


class TraceLog:
    """The trace events in a file, in the order of time. It may be read several times; each starts the counts anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self.events = 0
        """Trace events that are understood here; there may be others."""
        self.not_understood = 0
        """Lines that are no trace event, or a mangled one."""
        self.places: list[int] = []
        """The numbers of the first few of these."""
        self.out_of_order = 0
        """Lines whose time is before that of a line above them."""
        self.without_thread = 0
        """Of those not understood: lines that have a time and no thread."""

    def __iter__(self) -> Iterator[Line]:
        """Every event, at a time that is never before its predecessor's.

        A thread's own lines keep their order. Between threads the time decides, up to a window of some thousand
        lines; a line that comes later than that (the host's clock was set back) counts as just then.

        Raises:
            InputError: the file cannot be read.
        """
        window: list[Line] = []
        own_us: dict[int, int] = {}
        newest = now = 0
        for line in self._parsed():
            own = own_us.get(line.tid, 0)
            if line.t_us < newest:
                self.out_of_order += 1
                if line.t_us < own:
                    line = line._replace(t_us=own)
            else:
                newest = line.t_us
            own_us[line.tid] = line.t_us
            if len(window) < _WINDOW:
                window.append(line)
                if len(window) == _WINDOW:
                    heapify(window)
                continue
            line = heappushpop(window, line)
            now = max(now, line.t_us)
            yield line if line.t_us == now else line._replace(t_us=now)
        heapify(window)
        while window:
            line = heappop(window)
            now = max(now, line.t_us)
            yield line if line.t_us == now else line._replace(t_us=now)

    def _parsed(self) -> Iterator[Line]:
        self.lines = self.events = self.not_understood = self.out_of_order = self.without_thread = 0
        self.places = []
        with ExitStack() as stack:
            for text in self._whole(stack):
                self.lines += 1
                line = None
                if text.endswith(b"\n"):  # Else it was cut, and a number in it may be too.
                    line = parse(text, self.lines)
                if line is None:
                    self.without_thread += threads.stamped(text)
                    self._miss()
                elif line.event:
                    self.events += 1
                    yield line

    def _whole(self, stack: ExitStack) -> Iterator[bytes]:
        """Every line, of one file or of each thread's."""
        if not threads.split(self.path):
            return self._texts(stack.enter_context(_opened(self.path)))
        found = threads.files(self.path)
        if not found:
            raise InputError(str(self.path), "no such files; %d stands for the number of a thread")
        return threads.together((tid, self._texts(stack.enter_context(_opened(path)))) for tid, path in found)

    def _texts(self, file: BinaryIO) -> Iterator[bytes]:
        """Its lines; of one that is too long the first part without its end, and the rest not at all."""
        try:
            while text := file.readline(_LONGEST):
                yield text
                while not text.endswith(b"\n") and (text := file.readline(_LONGEST)):
                    pass
        except (EOFError, zlib.error, gzip.BadGzipFile):
            self.lines += 1  # The compressed file was cut, or is broken from here on.
            self._miss()
        except OSError as error:
            raise InputError(str(self.path), error.strerror or str(error)) from error

    def _miss(self) -> None:
        self.not_understood += 1
        if len(self.places) < PLACES:
            self.places.append(self.lines)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        if path.exists() and not path.is_file():
            raise InputError(str(path), "not a regular file, and it is read more than once")
        file = path.open("rb")
    except OSError as error:
        raise InputError(str(path), error.strerror or str(error)) from error
    with file:
        zipped = file.peek(2)[:2] == b"\x1f\x8b"
        yield gzip.GzipFile(fileobj=file) if zipped else file  # type: ignore[misc]


def parse(text: bytes, number: int) -> Line | None:
    """The trace event in one line; None if there is none, an empty ``event`` if it is another trace event."""
    found = _LINE.fullmatch(text.rstrip(b"\r\n"))
    if found is None:
        return None
    kind = found.lastgroup
    tid, seconds, micros = found.group(1, 2, 3)
    at = int(seconds) * 1_000_000 + int(micros), number, int(tid)
    if kind in (TB_LOAD, DECR_LOAD):
        return Line(*at, kind, int(found[kind], 16))
    if kind == DECR_STORE:
        return Line(*at, kind, int(found[kind], 16), int(found["old"], 16), int(found["bits"]))
    if kind == TB_STORE:
        return Line(*at, kind, int(found["tb"], 16), int(found[kind], 16))
    if kind == RUN_STATE:
        return Line(*at, kind, int(found["runs"]), word=found[kind].decode())
    if kind in (DECR_EXCP, MIGRATION):
        return Line(*at, kind, word=found[kind].decode())
    return Line(*at, "")
