"""HDECR beside a guest that has the decrementer, on one CPU."""

from __future__ import annotations

from itertools import pairwise

import pytest

from livemig.guests.hypervisor import DECR, HDECR, Hypervisor
from livemig.guests.periodic import Periodic
from livemig.machine.cpu import Cpu
from livemig.machine.record import INTERRUPT
from livemig.machine.slot import Masking
from livemig.timers.book3s import Book3S
from livemig.timers.decrementer import DecrementerModel, Reset
from livemig.timers.timebase import Timebase

HZ = 1_000_000_000


def cpu(slice_ticks: int, nap_every: int = 0, masking: Masking | None = None, discards: bool = True) -> Cpu:
    inner = Periodic(1000, drift_free=True, arm_ticks=2, handler_ticks=5, boot_ticks=10)
    guest = Hypervisor(inner, slice_ticks, nap_every, arm_ticks=3, handler_ticks=7)
    hdecr = DecrementerModel(56, reset=Reset.ZERO)
    made = Cpu(0, Book3S(DecrementerModel(56, level=True), hdecr, discards), Timebase(0, 0, HZ), guest, masking)
    made.power_on(0)
    made.boot()
    return made


def delivered(made: Cpu, timer: int) -> list[int]:
    assert made.record is not None
    return [tick for _, tick, _, index in made.record.raised[INTERRUPT] if index == timer]


def test_slices_end_at_whole_multiples_and_the_guests_tick_goes_on() -> None:
    made = cpu(700)
    made.run(5000)
    assert delivered(made, HDECR) == [710, 1410, 2110, 2810, 3510, 4210, 4910]
    assert delivered(made, DECR) == [1010, 2010, 3010, 4010]


def test_ee_masks_the_guests_tick_and_not_the_hypervisors() -> None:
    made = cpu(700, masking=Masking(2000, 600))  # EE off from 2000 to 2600
    made.run(3000)
    assert delivered(made, DECR) == [1010, 2600]
    assert delivered(made, HDECR) == [710, 1410, 2110, 2810]


@pytest.mark.parametrize("discards", [True, False])
def test_in_a_nap_hdecr_is_discarded_as_in_qemu_or_not(discards: bool) -> None:
    """Every 2000 ticks: from the first step after TB 2000, at 2012, until that of the next interrupt, at 3012."""
    made = cpu(700, nap_every=2000, discards=discards)
    made.run(4500)
    taken = delivered(made, HDECR)
    naps = [(2012, 3012), (4012, 5012)]
    in_naps = [tick for tick in taken if any(low <= tick < high for low, high in naps)]
    assert (in_naps == []) == discards
    # after a nap it goes on in phase with its first slices
    assert all((tick - 710) % 700 == 0 for tick in taken)


def test_a_nap_is_a_disarm_and_a_wake_an_arm_so_that_the_log_promises_nothing_false() -> None:
    made = cpu(700, nap_every=2000)
    made.run(4500)
    assert made.record is not None
    arms = [(tick, due) for _, tick, _, due, _, timer in made.record.arms if timer == HDECR]
    raised = delivered(made, HDECR)
    for (tick, due), (following, _) in pairwise(arms):
        assert (due in raised) == (due != -1 and due < following), (tick, due)


def test_its_state_is_all_in_what_it_saves() -> None:
    whole, first = cpu(700, 2000), cpu(700, 2000)
    whole.run(6000)
    first.run(2500)
    second = cpu(700, 2000)
    second.load_time(first.timebase, first.time_state(), first.now)
    second.load_registers(first.registers())
    second.run(6000)
    for timer in (DECR, HDECR):
        assert [t for t in delivered(whole, timer) if t < 2500] == delivered(first, timer)
        assert [t for t in delivered(whole, timer) if t >= 2500] == delivered(second, timer)
