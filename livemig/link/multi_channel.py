"""Several connections as one channel (QEMU: multifd): pages are spread over all but the first, which carries the rest.

The connections are not in step with one another, so a frame of the main one would overtake pages sent before it, and
an older copy of a page a newer one. Therefore every frame on the main connection is a fence: each of the others gets a
`sync` with its number, and whoever receives reads none of them any further until all of them have come to it. Between
two fences no page is sent twice; where it would be, a fence is put (`sync` on the main connection too).

Pages of a postcopy go by the main connection, as QEMU's do: somebody waits for them, and is told when they have come.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import trio
from numpy.typing import NDArray

from livemig.errors import LinkError, ProtocolError
from livemig.link.bundle import Bundle
from livemig.link.channel import Channel
from livemig.link.faults.harm import NO_HARM, Harm
from livemig.link.pages import pages_of
from livemig.machine.ram import PAGE, Watch
from livemig.migration.fields import as_runs
from livemig.migration.frames import Frame


class MultiChannel(Bundle):
    """Takes over `main` and `others`, whose RAM is `memory` at this end."""

    def __init__(self, main: Channel, others: Sequence[Channel], memory: memoryview | None = None) -> None:
        super().__init__([main, *others])
        self._main, self._others = main, list(others)
        self._turn = cycle(self._others)
        self._fences = 0
        self._awaited = 0
        self._come: list[Frame | Exception | None] = [None] * len(self._all)
        self._sent: NDArray[np.bool_] = np.zeros(0 if memory is None else len(memory) // PAGE, np.bool_)

    def grant(self, memory: memoryview, watch: Watch | None = None) -> None:
        super().grant(memory, watch)
        self._sent = np.zeros(len(memory) // PAGE, np.bool_)

    def post(self, frame: Frame, *, not_before: float | None = None, harm: Harm = NO_HARM) -> None:
        if "runs" in frame.fields and not frame.announced:
            self._post_pages(frame, not_before, harm)
        else:
            self._fence(frame, not_before, harm)

    async def receive(self) -> Frame:
        while True:
            frame = await self._next_fence()
            if frame.type != "sync":
                return frame

    def _post_pages(self, frame: Frame, not_before: float | None, harm: Harm) -> None:
        named = as_runs(frame.fields["runs"]), as_runs(frame.fields["zero"])
        pages = np.concatenate([pages_of(runs) for runs in named])
        known = pages[pages < len(self._sent)]  # others are the channel's to refuse
        if np.count_nonzero(self._sent[known]):
            self._fence(Frame("sync", frame.sent_ns, frame.arrives_ns, {"number": self._fences}), not_before)
        next(self._turn).post(frame, not_before=not_before, harm=harm)
        self._sent[known] = True

    def _fence(self, frame: Frame, not_before: float | None, harm: Harm = NO_HARM) -> None:
        self._main.post(frame, not_before=not_before, harm=harm)
        sync = Frame("sync", frame.sent_ns, frame.arrives_ns, {"number": self._fences})
        for channel in self._others:
            channel.post(sync)
        self._fences += 1
        self._sent[:] = False

    async def _next_fence(self) -> Frame:
        """The next frame of the main connection, when all others have come to its `sync`."""
        self._raise_failure()
        async with trio.open_nursery() as nursery:
            for index in range(len(self._all)):
                if self._come[index] is None:
                    nursery.start_soon(self._hear, index, nursery.cancel_scope)
        self._raise_failure()
        frame, *syncs = [come for come in self._come if isinstance(come, Frame)]
        try:
            for sync in (*syncs, *([frame] if frame.type == "sync" else [])):
                self._check(sync)
        except ProtocolError as error:
            self._come[0] = error
            raise
        self._awaited += 1
        self._come = [None] * len(self._all)
        return frame

    def _raise_failure(self) -> None:
        for come in self._come:
            if isinstance(come, Exception):
                raise come

    async def _hear(self, index: int, scope: trio.CancelScope) -> None:
        try:
            self._come[index] = await self._all[index].receive()
        except (LinkError, ProtocolError, trio.ClosedResourceError) as error:
            self._come[index] = error.with_traceback(None)  # it would keep hold of guest RAM
            scope.cancel()

    def _check(self, sync: Frame) -> None:
        if sync.type != "sync":
            raise ProtocolError(sync.type, "type", "not for a connection that carries pages")
        if sync.fields["number"] != self._awaited:
            raise ProtocolError("sync", "number", f"{sync.fields['number']} where {self._awaited} is due")
