"""The fault ``duplicate``: further sources that say hello to a destination which has one already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from livemig.errors import LinkError, LivemigError, ProtocolError
from livemig.link.inbound import Inbound
from livemig.link.opening import open_channel
from livemig.link.outbound import Outbound
from livemig.migration.frames import Frame
from livemig.migration.status import POSTCOPY, Status
from livemig.timers.ticks import NS_PER_S

if TYPE_CHECKING:
    import ssl

    from livemig.link.door import Gate

LET_IN: Final = (Status.ACTIVE, Status.PRE_SWITCHOVER, Status.DEVICE, *POSTCOPY)
"""Of a source: the destination has let it in, and it is not over."""

Answer = tuple[str, str]
"""The type of the frame that answered, or "", and the reason in it, or why there was none."""


async def say_hello(hello: Frame, uri: str, timeout_ns: int, credentials: ssl.SSLContext | None) -> Answer:
    """As one more source, over a connection of its own; gives what it was told."""
    try:
        with trio.fail_after(timeout_ns / NS_PER_S):
            async with await open_channel(uri, timeout_ns, credentials=credentials) as channel:
                channel.post(hello)
                return _told(await channel.receive())
    except trio.TooSlowError:
        return "", "no answer"
    except (LinkError, ProtocolError) as error:
        return "", str(error)


def hello_at(gate: Gate, hello: Frame) -> Answer:
    """The same where there is no connection: its bytes are read as a destination reads them, and asked of its gate."""
    try:
        answer = gate.admit(_carried(hello))
        return ("welcome", "") if answer is None else _told(_carried(answer))
    except LivemigError as error:
        return "", str(error)


def _told(answer: Frame) -> Answer:
    return answer.type, str(answer.fields.get("reason", ""))


def _carried(frame: Frame) -> Frame:
    inbound = Inbound(None)
    left = memoryview(Outbound(None).header(frame))
    while (read := inbound.next_frame()) is None:
        (wanted,) = inbound.wants
        wanted[:], left = left[: len(wanted)], left[len(wanted) :]
        inbound.received(len(wanted))
    return read
