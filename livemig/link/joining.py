"""The connections of one migration, as one channel."""

from __future__ import annotations

from collections.abc import Sequence

from livemig.link.channel import Channel
from livemig.link.multi_channel import MultiChannel
from livemig.link.preempt_channel import IN_STEP, NO_PREEMPT, PreemptChannel
from livemig.link.socket_channel import SocketChannel


def joined(connections: Sequence[SocketChannel], preempt: int, memory: memoryview | None = None) -> Channel:
    """The first is the main one; with ``preempt`` the last is for pages that are asked for; the others carry pages.

    Args:
        memory: guest RAM at this end, if it is known.
    """
    main, *others = connections
    urgent = others.pop() if preempt != NO_PREEMPT else None
    bulk: Channel = MultiChannel(main, others, memory) if others else main
    if urgent is None:
        return bulk
    urgent.expect_few()
    return PreemptChannel(bulk, urgent, preempt == IN_STEP)
