"""The thread that writes frames to a blocking socket.

A thread, because awaiting every MiB as a trio stream does costs a fifth of TCP's bandwidth and more of unix sockets'.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from livemig.link.outbound import Outbound
from livemig.migration.frames import Frame


class Outgoing(NamedTuple):
    """A frame that waits to be written.

    Attributes:
        header: with its prefix.
        not_before: `time.monotonic()` (s).
    """

    header: bytes
    frame: Frame
    not_before: float


Mark = Callable[[], object]
"""Called from the thread when all that was put before is written, or never will be."""


class Sender:
    """Writes what it is given, in order.

    The socket belongs to the caller, who shuts it down before `stop`.
    """

    def __init__(self, sock: socket.socket, outbound: Outbound) -> None:
        self.failure: Exception | None = None
        """Why nothing is written any more."""
        self._sock, self._outbound = sock, outbound
        self._queue: queue.SimpleQueue[Outgoing | Mark | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="livemig-send", daemon=True)
        self._thread.start()

    def put(self, item: Outgoing | Mark) -> None:
        """Queue a frame or a mark."""
        self._queue.put(item)

    def stop(self) -> None:
        """End the thread; frames that it has not written are dropped."""
        self._stopped.set()
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if not isinstance(item, Outgoing):
                item()
            elif self.failure is None:
                try:
                    self._write(item)
                except Exception as error:
                    self.failure = error.with_traceback(None)  # it would keep hold of guest RAM
                    with contextlib.suppress(OSError):  # whoever waits for an answer must learn of it
                        self._sock.shutdown(socket.SHUT_RDWR)

    def _write(self, item: Outgoing) -> None:
        wait = item.not_before and item.not_before - time.monotonic()
        if wait > 0:
            self._stopped.wait(wait)
        self._sock.sendall(item.header)
        for piece in self._outbound.payload(item.frame):
            self._sock.sendall(piece)
