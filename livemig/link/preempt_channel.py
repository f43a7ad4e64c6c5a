"""A connection of their own for pages that a CPU waits for (QEMU: postcopy-preempt), beside the one for all else.

What goes by it does not wait behind what is pushed, in no buffer of either host or of the network. So it is not in step
with the rest, and need not be: each page of a postcopy is sent once, by one or the other, and whoever receives holds
them to that. In virtual time, where both sides go by what they have heard, `IN_STEP` puts a mark on the main
connection for each frame of the other; whoever receives then reads that where the mark is, and the order is that of
posting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from livemig.errors import ProtocolError
from livemig.link.bundle import Bundle
from livemig.link.channel import Channel, Ear
from livemig.link.faults.harm import NO_HARM, Harm
from livemig.machine.ram import PAGE, Watch
from livemig.migration.frames import Frame

NO_PREEMPT: Final = 0
AT_ONCE: Final = 1
IN_STEP: Final = 2
"""How such a connection is used: not at all; heard as soon as something comes; in the order of posting."""


class PreemptChannel(Bundle):
    """Takes over `bulk`, for all but the pages that are asked for, and `urgent`, which expects few."""

    def __init__(self, bulk: Channel, urgent: Channel, in_step: bool = False) -> None:
        super().__init__((bulk, urgent))
        self._bulk, self._urgent = bulk, urgent
        self._in_step = in_step
        self._marks = self._marked = 0
        self._due = False
        """The next frame is the other connection's."""

    @property
    def ears(self) -> Sequence[Ear]:
        return (self,) if self._in_step else (self._bulk, _Urgent(self._urgent))

    @property
    def ahead(self) -> int:
        return self._bulk.ahead

    def grant(self, memory: memoryview, watch: Watch | None = None) -> None:
        super().grant(memory, watch)
        self._urgent.restrict(np.zeros(len(memory) // PAGE, np.bool_))  # none before it is said which are missing

    def post(self, frame: Frame, *, not_before: float | None = None, harm: Harm = NO_HARM) -> None:
        if not frame.urgent:
            self._bulk.post(frame, not_before=not_before, harm=harm)
            return
        self._urgent.post(frame, not_before=not_before, harm=harm)
        if self._in_step:
            self._bulk.post(Frame("preempted", frame.sent_ns, frame.sent_ns, {"number": self._marks}))
            self._marks += 1

    async def receive(self) -> Frame:
        """In the order of posting; for those who must not wait for that there are `ears`."""
        while True:
            if self._due:
                frame = _checked(await self._urgent.receive())
                self._due = False
                return frame
            frame = await self._bulk.receive()
            if frame.type != "preempted":
                return frame
            if frame.fields["number"] != self._marked:
                raise ProtocolError(frame.type, "number", f"{frame.fields['number']} where {self._marked} is due")
            self._marked += 1
            self._due = True


class _Urgent(Ear):
    """The connection for pages that are asked for, to be listened to: nothing else may come by it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def signs(self) -> int:
        return self._channel.signs

    @property
    def signs_of_life(self) -> int:
        return self._channel.signs_of_life

    async def receive(self) -> Frame:
        return _checked(await self._channel.receive())


def _checked(frame: Frame) -> Frame:
    if not frame.urgent:
        raise ProtocolError(frame.type, "type", "not for a connection of pages that are asked for")
    return frame
