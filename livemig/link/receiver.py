"""The thread that reads frames from a blocking socket, one whenever it is asked."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable

from livemig.link.inbound import Inbound
from livemig.migration.frames import Frame


class Receiver:
    """Reads and delivers a frame, or why there is none, each time it is asked; between, it touches nothing.

    The socket belongs to the caller, who shuts it down before `stop`.

    Args:
        deliver: called from the thread.
    """

    def __init__(self, sock: socket.socket, inbound: Inbound, deliver: Callable[[Frame | Exception], None]) -> None:
        self._sock, self._inbound, self._deliver = sock, inbound, deliver
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="livemig-receive", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Deliver one more."""
        self._asked.put(True)

    def stop(self) -> None:
        """End the thread."""
        self._asked.put(False)
        self._thread.join()

    def _run(self) -> None:
        while self._asked.get():
            try:
                self._deliver(self._next_frame())
            except Exception as error:
                self._deliver(error)

    def _next_frame(self) -> Frame:
        while (frame := self._inbound.next_frame()) is None:
            self._inbound.received(self._read())
        return frame

    def _read(self) -> int:
        try:
            return self._sock.recvmsg_into(self._inbound.wants, 0, socket.MSG_WAITALL)[0]
        except OSError:
            return 0  # reset, or shut down on this side: the end of the stream either way
