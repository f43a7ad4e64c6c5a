"""``slicer``: frames pass in slices."""

from __future__ import annotations

from livemig.link.faults.passage import LinkFault, Passage, When


class Slicer(LinkFault):
    """A frame of n slices is n - 1 pauses late; so is the line."""

    name = "slicer"

    def __init__(self, when: When, average_size: int, delay_ns: int) -> None:
        super().__init__(when)
        self._size, self._delay = average_size, delay_ns

    def apply(self, frame: Passage) -> None:
        pauses = (frame.size - 1) // self._size * self._delay
        frame.free_ns += pauses
        self._late(frame, pauses)
        frame.slice_bytes, frame.pause_ns = self._size, self._delay
