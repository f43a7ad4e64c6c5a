"""What a link does to frames, as arithmetic: bandwidth, latency, jitter. Nothing here sends anything."""

from __future__ import annotations

from livemig.guests.draws import draw

_NS_PER_S = 1_000_000_000


class LinkModel:
    """One direction of a link.

    Args:
        bandwidth: bit/s at which bytes enter it. latency_ns: of every byte, one way. jitter_ns: further delay,
        even from 0 to this, drawn per frame; the order of frames stays. seed: of the draws. catch_up_ns: how much
        of the time that the line stood idle a late sender may make up for: none in virtual time, where nobody is
        late; in wall time a sender wakes late for every frame, and would never use the bandwidth there is.
    """

    def __init__(
        self, bandwidth: int, latency_ns: int, jitter_ns: int = 0, seed: int = 0, catch_up_ns: int = 0
    ) -> None:
        self._latency = latency_ns
        self._bandwidth, self._jitter, self._seed = bandwidth, jitter_ns, seed
        self._catch_up = catch_up_ns
        self._free = 0
        self._last_arrival = 0
        self._urgent_free = self._last_urgent = 0
        self._frames = 0

    def transmit(self, now: int, size: int, kind: str = "") -> tuple[int, int]:
        """Send ``size`` bytes at ``now``: when the line is free again, and when their last byte arrives (ns).

        ``kind``: of the frame; all are the same to it.
        """
        self._free = max(now - self._catch_up, self._free) + self._takes(size)
        self._last_arrival = max(self._last_arrival, max(self._free, now) + self._delay())
        return self._free, self._last_arrival

    def overtake(self, now: int, size: int, kind: str = "") -> tuple[int, int]:
        """The same for what goes by a connection of its own: at once, and what stands in line takes that much longer.

        A frame that is on the line already arrives when it was said to; those behind it are later by as much.
        """
        takes = self._takes(size)
        self._free = max(now - self._catch_up, self._free) + takes
        self._urgent_free = max(now - self._catch_up, self._urgent_free) + takes
        self._last_urgent = max(self._last_urgent, max(self._urgent_free, now) + self._delay())
        return self._free, self._last_urgent

    def _takes(self, size: int) -> int:
        return -(-size * 8 * _NS_PER_S // self._bandwidth)

    def _delay(self) -> int:
        self._frames += 1
        return self._latency + (draw(self._seed, self._frames - 1) % (self._jitter + 1) if self._jitter else 0)
