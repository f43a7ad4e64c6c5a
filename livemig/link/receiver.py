"""The thread that reads frames from a stream, one whenever it is asked."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from livemig.link.inbound import Inbound
from livemig.link.stream import Stream
from livemig.migration.frames import Frame


class Receiver:
    """Reads and delivers a frame, or why there is none, each time it is asked; between, it touches nothing.

    The stream belongs to the caller, who shuts it down before `stop`.

    Args:
        deliver: called from the thread.
    """

    def __init__(self, stream: Stream, inbound: Inbound, deliver: Callable[[Frame | Exception], None]) -> None:
        self._stream, self._inbound, self._deliver = stream, inbound, deliver
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
            self._inbound.received(self._stream.read_into(self._inbound.wants))
        return frame
