"""The restored state by hand, from what QEMU's own logs and the reference say."""

from __future__ import annotations

from livemig.launch.prediction import AtStop, CpuAtStop, CpuRestored, Rules, restored
from livemig.machine.machine import MachineSpec
from livemig.timers.book3s import Book3S
from livemig.timers.decrementer import DecrementerModel

MAC = MachineSpec("mac99", 1, 64 << 20, 100_000_000, Book3S())
PSERIES = MachineSpec("pseries", 2, 64 << 20, 512_000_000, Book3S(DecrementerModel(level=True)))
NONE = Rules("none", "none")


def test_without_a_restore_an_edge_cpu_waits_until_tb_has_counted_to_2_to_the_32_less_one() -> None:
    """QEMU 7.2's mac99, moved at TB 3,630,619,532: its next interrupt came when TB passed 4,294,967,295."""
    left = 4_294_967_295 - 3_630_619_532
    stop = AtStop(36_306_195_320, (CpuAtStop(3_630_619_532, 19_693_503),))
    assert restored(stop, MAC, MAC, NONE) == (CpuRestored(3_630_619_532, left, left, False, left),)


def test_without_a_restore_a_level_cpu_waits_for_ever() -> None:
    """QEMU 7.2's pseries: DECR reads -TB-1, and nothing was armed."""
    clock_ns = -(-1_539_235_393 * 1_000_000_000 // 512_000_000)
    stop = AtStop(clock_ns, (CpuAtStop(1_539_235_393, 48_322_288), CpuAtStop(1_539_235_393, -5, pending=True)))
    gone = CpuRestored(1_539_235_393, -1_539_235_394, -1_539_235_394, False, None)
    assert restored(stop, PSERIES, PSERIES, NONE) == (gone, gone)


def test_tb_offset_brings_at_the_resume_what_fell_due_in_the_blackout() -> None:
    stop = AtStop(1_000_000_000, (CpuAtStop(777, 30),))
    rules = Rules("tb-offset", "tb-offset")
    (after,) = restored(stop, MAC, MAC, rules, blackout_ns=1_000)
    assert after == CpuRestored(877, -70, -100_000_000 - 1, False, 0)


def test_decr_may_follow_one_rule_and_tb_another() -> None:
    """DECR of ``absolute``, which keeps it; TB of ``none``, which loses what the guest set and the blackout."""
    stop = AtStop(1_000_000_000, (CpuAtStop(777, 30),))
    (after,) = restored(stop, MAC, MAC, Rules("absolute", "none"), blackout_ns=1_000)
    assert (after.tb, after.decr, after.due_in) == (100_000_000, 30, 30)
