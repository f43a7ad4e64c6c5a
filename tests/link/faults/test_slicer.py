"""``slicer``: a frame of n slices is n - 1 pauses late."""

from __future__ import annotations

from livemig.link.faults.harm import Harm
from livemig.link.faults.passage import When
from livemig.link.faults.slicer import Slicer

from .passing import TRIP, US, passes


def test_a_frame_of_n_slices_is_n_less_one_pauses_late_and_so_is_the_line() -> None:
    for size, pauses in ((400, 0), (401, 1), (800, 1), (1000, 2)):
        frame = passes(Slicer(When(), 400, 7 * US), 0, size=size)
        assert (frame.free_ns, frame.arrives_ns) == (pauses * 7 * US, TRIP + pauses * 7 * US)
        assert frame.harm == Harm(slice_bytes=400, pause_ns=7 * US, pauses=pauses)
