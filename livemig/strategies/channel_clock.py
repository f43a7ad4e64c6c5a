"""``channel-clock``: as ``tb-offset``, without trust in the hosts' times of day."""

from __future__ import annotations

from typing import ClassVar

from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import INT, Fields, Saved
from livemig.strategies.tb_offset import TbOffset

UNMEASURED = -1


class ChannelClock(TbOffset):
    """The blackout is told by the two hosts' clocks, less what the one is ahead of the other as measured on the
    migration channel; by how much that may be wrong, half the best round trip, travels with it.

    Source: ours; D. L. Mills, RFC 5905. Predicted, where the skew is s and was measured as o: TB and DECR are
    (s - o)·hz off, together, and |s - o| is within the bound, whatever the skew and however unequal the two directions
    of the link. Where nothing was measured the bound is -1, and the times of day are believed.
    """

    name = "channel-clock"
    fields: ClassVar[Fields] = {**TbOffset.fields, "offset_ns": INT, "bound_ns": INT}
    measures_peer = True

    def save(self, time: TimeState, host: HostView) -> Saved:
        peer = host.peer
        measured = (0, UNMEASURED) if peer is None else (peer.offset_ns, peer.bound_ns)
        return {**super().save(time, host), "offset_ns": measured[0], "bound_ns": measured[1]}

    def advance_ns(self, saved: Saved, host: HostView) -> int:
        then: int = saved["time_of_day_ns"] + saved["offset_ns"]
        return max(0, host.time_of_day_ns - then)
