"""The thread that writes frames to a stream.

A thread, because awaiting every MiB as a trio stream does costs a fifth of TCP's bandwidth and more of unix sockets'.
What is small and finds the line free does not wait for it: whoever posts it writes it, as far as the socket takes it at
once. Somebody may be waiting for it, and to wake a thread takes longer than to write a page.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from livemig.link.buffers import Buffers, behind
from livemig.link.faults.harm import NO_HARM, Harm, harmed
from livemig.link.outbound import Outbound
from livemig.link.stream import Stream
from livemig.machine.ram import PAGE
from livemig.migration.fields import as_runs
from livemig.migration.frames import ALIVE, Frame


class Outgoing(NamedTuple):
    """A frame that waits to be written.

    Attributes:
        header: with its prefix.
        not_before: `time.monotonic()` (s). harm: what is done to its bytes.
    """

    header: bytes
    frame: Frame
    not_before: float
    harm: Harm = NO_HARM


class _Begun(NamedTuple):
    """A frame of which the socket has taken a part at once: what is left, and how long it is in all."""

    left: Buffers
    size: int


_SMALL: Final = 16 << 10
"""Bytes of a frame that is written at once."""

Mark = Callable[[], object]
"""Called from the thread when all that was put before is written, or never will be."""


class Sender:
    """Writes what it is given, in order.

    The stream belongs to the caller, who shuts it down before `stop`.

    Args:
        alive_every: seconds without anything to write after which it writes a sign of life; None: never.
    """

    def __init__(self, stream: Stream, outbound: Outbound, alive_every: float | None = None) -> None:
        self.failure: Exception | None = None
        """Why nothing is written any more."""
        self.written = 0
        """Bytes of frames."""
        self._queued = self._done = 0
        self._put_items = self._done_items = 0
        self._line = threading.Lock()
        """Held by whoever writes."""
        self._stream, self._outbound, self._alive_every = stream, outbound, alive_every
        self._queue: queue.SimpleQueue[Outgoing | _Begun | Mark | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._silent = False
        self._thread = threading.Thread(target=self._run, name="livemig-send", daemon=True)
        self._thread.start()

    @property
    def ahead(self) -> int:
        """Bytes of frames that are queued, of those that are begun all."""
        return self._queued - self._done

    def put(self, item: Outgoing | Mark) -> None:
        """Queue a frame or a mark; a small frame that needs not wait is written at once. From one thread only."""
        rest: Outgoing | _Begun | Mark | None = item
        if isinstance(item, Outgoing):
            size = _size(item)
            self._queued += size
            if size <= _SMALL and self._put_items == self._done_items and self._line.acquire(blocking=False):
                try:
                    rest = self._write_at_once(item)
                finally:
                    self._line.release()
        if rest is not None:
            self._put_items += 1
            self._queue.put(rest)

    def fall_silent(self) -> None:
        """Write nothing any more, not to the end of a frame; from any thread."""
        self._silent = True

    def stop(self, within: float | None = None) -> bool:
        """End the thread; frames that it has not written are dropped. False: it did not end ``within`` so many
        seconds, for its stream takes nothing."""
        self._stopped.set()
        self._queue.put(None)
        self._thread.join(within)
        return not self._thread.is_alive()

    def _write_at_once(self, item: Outgoing) -> Outgoing | _Begun | None:
        """As much as the socket takes; gives what is left to the thread."""
        if self._silent or self.failure is not None or item.harm != NO_HARM or item.not_before > time.monotonic():
            return item
        whole = [memoryview(item.header), *self._outbound.small(item.frame)]
        taken = self._stream.write_some(whole)
        if not taken:
            return item
        self.written += taken
        if left := behind(whole, taken):
            return _Begun(left, _size(item))
        self._done += _size(item)
        return None

    def _run(self) -> None:
        while (item := self._next()) is not None:
            if callable(item):
                item()
            elif self.failure is None:
                try:
                    with self._line:
                        self._write(item)
                except Exception as error:
                    self.failure = error.with_traceback(None)  # it would keep hold of guest RAM
                    if not isinstance(error, ConnectionError):  # else the peer is gone, and may have said why
                        self._stream.shut_down()  # whoever waits for an answer must learn of it
            self._done_items += not isinstance(item, bytes)

    def _next(self) -> Outgoing | _Begun | Mark | bytes | None:
        try:
            return self._queue.get(timeout=self._alive_every)
        except queue.Empty:
            return ALIVE

    def _write(self, item: Outgoing | _Begun | bytes) -> None:
        if isinstance(item, bytes):
            if not self._silent:
                self._stream.write(item)
            return
        if isinstance(item, _Begun):
            self._put(*item.left)
            self._done += item.size
            return
        self._wait(item.not_before, item.harm.silent)
        payload = self._outbound.payload(item.frame)
        if item.harm != NO_HARM:
            self._harm(item, payload)
            return
        header: tuple[bytes, ...] = (item.header,)
        for piece in payload:
            self._put(*header, *piece)
            header = ()
        if header:
            self._put(*header)
        self._done += _size(item)

    def _harm(self, item: Outgoing, payload: Iterator[Buffers]) -> None:
        for pauses, part in harmed(item.header, payload, item.harm):
            self._wait(item.not_before + pauses * item.harm.pause_ns / 1e9, item.harm.silent)
            self._put(part)
        self._silent |= item.harm.most is not None

    def _put(self, *buffers: bytes | memoryview) -> None:
        if not self._silent:
            self._stream.write(*buffers)
            self.written += sum(map(len, buffers))

    def _wait(self, instant: float, silent: bool = False) -> None:
        """Sleep until `instant`, with signs of life unless `silent`."""
        while instant and not self._stopped.is_set() and (left := instant - time.monotonic()) > 0:
            if self._silent or silent or self._alive_every is None or left <= self._alive_every:
                self._stopped.wait(left)
            else:
                self._stopped.wait(self._alive_every)
                self._stream.write(ALIVE)


def _size(item: Outgoing) -> int:
    frame = item.frame
    content = int(as_runs(frame.fields["runs"])[:, 1].sum()) * PAGE if frame.carries_pages else len(frame.payload)
    return len(item.header) + content
