"""Precopy as arithmetic on real numbers, without a line of livemig: two closed forms.

*Whole passes* (the textbook's: SimGrid, Akoush et al.): with dirty rate d and bandwidth b, pass k + 1 has what was
written during pass k, so its size is R (d/b)^k. The first that fits into b × limit is the last, the guest stopped.

*Early look* (QEMU's ``migration_iteration_run``): a pass need not be sent to its end: when what is left of it fits, the
bitmap is looked at at once, and what was written is added to what is left. With θ = b × limit sizes go down to θ as
θ + (R − θ) (d/b)^k, and the downtime is the limit itself, whatever the dirty rate.

Both are for a writer that does not come back to a page before it was sent.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Course(NamedTuple):
    """``passes``: with the last one, while the guest stands. Seconds, bytes."""

    passes: int
    downtime: float
    total: float
    sent: float


def whole_passes(ram: float, bandwidth: float, dirty_rate: float, limit: float) -> Course:
    """For d < b."""
    ratio = dirty_rate / bandwidth
    running = max(math.ceil(math.log(bandwidth * limit / ram) / math.log(ratio)), 1)
    sent = ram * (1 - ratio ** (running + 1)) / (1 - ratio)
    return Course(running + 1, ram * ratio**running / bandwidth, sent / bandwidth, sent)


def early_look(ram: float, bandwidth: float, dirty_rate: float, limit: float) -> Course:
    """The limit of small chunks, so `passes` says nothing; for d < b and R > θ."""
    rest = bandwidth * limit
    running = (ram - rest) / (1 - dirty_rate / bandwidth)
    return Course(0, limit, (running + rest) / bandwidth, running + rest)
