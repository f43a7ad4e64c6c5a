"""Which thread of the destination runs the CPU that which thread of the source ran."""

from __future__ import annotations

from collections.abc import Sequence

from livemig.events.qemu.standstill import Standstill
from livemig.events.qemu.survey import Thread
from livemig.events.qemu.ticks import ns_up, signed, ticks_down

_NEAR_NS = 20_000_000


def cpus_of(vcpus: Sequence[Thread], here: Standstill | None, hz: int, cpus: int) -> tuple[dict[int, int], list[int]]:
    """Thread → CPU, and the CPUs of which the values confirm it.

    A CPU goes on counting from the DECR that was loaded: the thread that first reads what that has come down to, runs
    it. Where nothing was loaded, or no thread reads what it should, the order of the threads decides.
    """
    left = list(range(cpus))
    mapping: dict[int, int] = {}
    if here is not None and here.before:
        for thread in vcpus:
            near = [cpu for cpu in left if _off_ns(thread, here.decr[cpu], here.t_us, hz) <= _NEAR_NS]
            if len(near) == 1:
                mapping[thread.tid] = near[0]
                left.remove(near[0])
    confirmed = sorted(mapping.values())
    for thread in vcpus:
        if thread.tid not in mapping and left:
            mapping[thread.tid] = left.pop(0)
    return mapping, confirmed


def _off_ns(thread: Thread, loaded: int | None, run_us: int, hz: int) -> int:
    """How far the thread's first read of DECR is from what was loaded, less the time since."""
    read = thread.first_decr
    if read is None or loaded is None:
        return 1 << 62
    since = ticks_down(1000 * (read.t_us - run_us), hz)
    return abs(ns_up(signed(loaded - since - read.value, 32), hz))
