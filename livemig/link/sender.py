"""The thread that writes frames to a blocking socket.

A thread, because a pass of precopy is millions of pages: awaiting every write costs a third of the bandwidth.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from livemig.link.buffers import Buffers, behind
from livemig.link.outbound import Outbound
from livemig.migration.frames import Frame

_MAX_BUFFERS: Final = 1024
"""In one `sendmsg` (IOV_MAX)."""

_MAX_FRAMES: Final = 4
"""In one `sendmsg`. TCP gets slower when it is given many MiB at once."""


class Outgoing(NamedTuple):
    """What waits to be written, and who wants to know when it is, or never will be.

    Attributes:
        header: of `frame`, with its prefix. Both are missing from a mere mark in the queue.
        not_before: `time.monotonic()` (s).
    """

    header: bytes = b""
    frame: Frame | None = None
    not_before: float = 0.0
    done: Callable[[], None] = lambda: None


class Sender:
    """Writes what it is given, in order, as many frames in one system call as it can.

    The socket belongs to the caller, who shuts it down before `stop`.
    """

    def __init__(self, sock: socket.socket, outbound: Outbound) -> None:
        self._sock, self._outbound = sock, outbound
        self._queue: deque[Outgoing] = deque()
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="livemig-send", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Nothing is written any more: the connection is gone, or `stop` was called."""
        return self._over

    def put(self, item: Outgoing) -> None:
        """Queue `item`. `done` is called from the thread, or at once if `over`."""
        with self._changed:
            if not self._over:
                self._queue.append(item)
                self._changed.notify()
                return
        item.done()

    def stop(self) -> None:
        """End the thread; what it has not written is dropped."""
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        batch: list[Outgoing] = []
        try:
            while batch := self._next_batch():
                self._write(batch)
                for item in batch:
                    item.done()
        except OSError:
            pass  # the connection is gone; `over` says so
        finally:
            with self._changed:
                self._over = True
            for item in (*batch, *self._queue):
                item.done()
            self._queue.clear()

    def _next_batch(self) -> list[Outgoing]:
        """What is due, at least one item and at most one system call's worth; empty: stop."""
        with self._changed:
            while not self._over:
                wait = self._queue[0].not_before - time.monotonic() if self._queue else None
                if wait is not None and wait <= 0:
                    return self._take_due()
                self._changed.wait(wait)
        return []

    def _take_due(self) -> list[Outgoing]:
        now = time.monotonic()
        batch: list[Outgoing] = []
        while self._queue and self._queue[0].not_before <= now and len(batch) < _MAX_FRAMES:
            batch.append(self._queue.popleft())
        return batch

    def _write(self, batch: list[Outgoing]) -> None:
        buffers: Buffers = []
        for header, frame, *_ in batch:
            if frame is not None:
                buffers += self._outbound.buffers(header, frame)
        while buffers:
            buffers = behind(buffers, self._sock.sendmsg(buffers[:_MAX_BUFFERS]))
