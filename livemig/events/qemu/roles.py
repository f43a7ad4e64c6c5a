"""Which of QEMU's threads is which. A trace line names its thread, and no CPU.

A vCPU's thread reads and writes its CPU's registers. The main thread raises the interrupt when a timer runs out; it
writes what QEMU itself writes at start and when it loads state, and reads what the monitor's ``info registers`` shows.
The migration thread reads every CPU's DECR, in their order, when it saves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from livemig.events.qemu.survey import Reading, Survey, Thread
from livemig.events.qemu.trace import DECR_STORE, TB_LOAD

_BURST_US = 5_000
"""Reads of one kind, of one CPU after the other, are this close together."""


@dataclass(slots=True)
class Roles:
    """The threads.

    Args:
        main: None where nothing shows it.
        vcpus: by thread number, which is the order of the CPUs.
        savers: those that only read DECR.
        loader: the one that writes what was saved; the main thread, or one that is done before the guest runs.
    """

    main: Thread | None = None
    vcpus: list[Thread] = field(default_factory=list)
    savers: list[Thread] = field(default_factory=list)
    loader: Thread | None = None

    @property
    def first_act_us(self) -> int | None:
        """When the guest, or a timer of its own, is first seen."""
        return min([thread.first_us for thread in self.vcpus] + self._raises(0), default=None)

    def starts(self, run_us: int | None) -> bool:
        """Whether the machine, whose first run is logged at ``run_us``, did not run before."""
        act_us = min((thread.first_us for thread in self.vcpus), default=None)
        return run_us is not None and (act_us is None or run_us <= act_us)

    @property
    def last_act_us(self) -> int | None:
        """When it is last seen."""
        return max([thread.last_us for thread in self.vcpus] + self._raises(-1), default=None)

    def _raises(self, which: int) -> list[int]:
        return [self.main.raises[which]] if self.main is not None and self.main.raises else []


def roles(found: Survey) -> Roles:
    """Tell the threads of one log apart."""
    threads = sorted(found.threads.values(), key=lambda thread: thread.tid)
    main = _main(threads)
    others = [thread for thread in threads if thread is not main]
    acting = [thread for thread in others if thread.acts]
    run_us = found.first_run_us or 0
    loader = next((thread for thread in acting if thread.last_us < run_us and not thread.counts[TB_LOAD]), None)
    vcpus = [thread for thread in acting if thread is not loader]
    return Roles(main, vcpus, [thread for thread in others if not thread.acts], loader or main)


def _main(threads: list[Thread]) -> Thread | None:
    for thread in threads:
        if thread.says_main:
            return thread
    for thread in threads:
        if thread.raises:
            return thread
    for thread in threads:
        if any(one.value == other.value for one, other in pairwise(thread.tb)):
            return thread  # The monitor, of a TB that stands still: a guest's reads are never that close together.
    # It made the others, so its number is the lowest; and it never writes DECR for the guest.
    return next((thread for thread in threads[:1] if not thread.counts[DECR_STORE]), None)


def last_burst(readings: Iterable[Reading]) -> list[Reading]:
    """The last of ``readings`` and those right before it, one a CPU."""
    burst: list[Reading] = []
    for before, after in pairwise([Reading(0, 0), *readings]):
        if after.t_us - before.t_us > _BURST_US:
            burst = []
        burst.append(after)
    return burst
