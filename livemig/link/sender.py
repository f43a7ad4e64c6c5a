"""The thread that writes frames to a stream.

A thread, because awaiting every MiB as a trio stream does costs a fifth of TCP's bandwidth and more of unix sockets'.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from livemig.link.buffers import Buffers
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
        self._stream, self._outbound, self._alive_every = stream, outbound, alive_every
        self._queue: queue.SimpleQueue[Outgoing | Mark | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._silent = False
        self._thread = threading.Thread(target=self._run, name="livemig-send", daemon=True)
        self._thread.start()

    @property
    def ahead(self) -> int:
        """Bytes of frames that are queued, of those that are begun all."""
        return self._queued - self._done

    def put(self, item: Outgoing | Mark) -> None:
        """Queue a frame or a mark."""
        if isinstance(item, Outgoing):
            self._queued += _size(item)
        self._queue.put(item)

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

    def _run(self) -> None:
        while (item := self._next()) is not None:
            if callable(item):
                item()
            elif self.failure is None:
                try:
                    self._write(item)
                except Exception as error:
                    self.failure = error.with_traceback(None)  # it would keep hold of guest RAM
                    if not isinstance(error, ConnectionError):  # else the peer is gone, and may have said why
                        self._stream.shut_down()  # whoever waits for an answer must learn of it

    def _next(self) -> Outgoing | Mark | bytes | None:
        try:
            return self._queue.get(timeout=self._alive_every)
        except queue.Empty:
            return ALIVE

    def _write(self, item: Outgoing | bytes) -> None:
        if isinstance(item, bytes):
            if not self._silent:
                self._stream.write(item)
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
