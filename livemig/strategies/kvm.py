"""``kvm-raw-offset``, ``kvm-tbu40``, ``kvm-random-dec``: what KVM's registers made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

from livemig.guests.draws import draw
from livemig.machine.time_state import HostView, TimeState
from livemig.strategies.strategy import INT, INTERRUPT_FIELDS, PER_TIMER_TB, TB, Fields, Saved, save_interrupts
from livemig.strategies.tb_offset import TbOffset, save_zero_tb
from livemig.timers.decrementer import Decrementer
from livemig.timers.ticks import MASK64, ns_to_ticks
from livemig.timers.timebase import Timebase

TBU40: Final = 1 << 24


def host_timebase(host: HostView, hz: int) -> int:
    """The timebase of a host that has one, of the guest's frequency: it counts as long as the cycle counter has."""
    return host.ticks * hz // host.tick_hz


class KvmRawOffset(TbOffset):
    """The offset of the guest's TB to the host's own is sent as it is.

    Source: ``KVM_REG_PPC_TB_OFFSET`` copied with the registers; a tuple is "a migratable quantity, which raw tb_offset
    is not (even between ppc hosts)" (D. Gibson, the thread, #5). Predicted, for hosts that have been up for U_s and
    U_d: TB jumps by (U_d - U_s)·hz, DECR with it; by days, either way.
    """

    name = "kvm-raw-offset"
    fields: ClassVar[Fields] = {"clock_ns": INT, "tb_offset": TB, "zero_tb": PER_TIMER_TB, **INTERRUPT_FIELDS}

    def save(self, time: TimeState, host: HostView) -> Saved:
        offset = time.tb() - host_timebase(host, time.timebase.hz) & MASK64
        return {"clock_ns": time.clock_ns, "tb_offset": offset, **save_zero_tb(time), **save_interrupts(time)}

    def timebase(self, fresh: TimeState, saved: Saved, host: HostView) -> Timebase:
        hz = fresh.timebase.hz
        return Timebase(host_timebase(host, hz) + saved["tb_offset"] & MASK64, saved["clock_ns"], hz)


class KvmTbu40(TbOffset):
    """TB's offset to the clock it is made of is rounded up to 2^24 ticks, because only TBU40 can be written.

    Source: Linux 93b0f4dc29c5, "the timebase seen by the guest must not go backwards". Predicted: TB and DECR are
    from 0 to 2^24 - 1 ticks ahead, by what the offset wants to a multiple (32.8 ms at 512 MHz, 1 s at 16.6 MHz).
    """

    name = "kvm-tbu40"

    def timebase(self, fresh: TimeState, saved: Saved, host: HostView) -> Timebase:
        right = super().timebase(fresh, saved, host)
        clock_ns = saved["clock_ns"]
        offset = right.read(clock_ns) - ns_to_ticks(right.hz, clock_ns)
        return replace(right, value=right.value + -offset % TBU40 & MASK64)


class KvmRandomDec(TbOffset):
    """TB crosses as it should; the decrementer is whatever the destination's CPU had in it.

    Source: KVM before ``KVM_REG_PPC_DEC_EXPIRY`` (Linux 4.16): "some random value", 4 s away at most at 512 MHz and
    32 bits, 2.23 years with POWER9's 56. Predicted: DECR is the CPU's draw of SplitMix64, seeded with TB, below 2^31
    (2^(bits - 1)).
    """

    name = "kvm-random-dec"

    def restore(self, fresh: TimeState, saved: Saved, host: HostView) -> TimeState:
        time = super().restore(fresh, saved, host)
        timers = list(time.timers)
        for cpu in time.cpus:
            main = cpu * time.per_cpu
            found = draw(saved["tb_value"], cpu) % (1 << time.facility.main.bits - 1)
            timers[main] = replace(timers[main], count=Decrementer(time.ticks(cpu) + time.lag(cpu) + found, armed=True))
        return replace(time, timers=tuple(timers))
