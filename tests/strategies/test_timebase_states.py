"""The states of kvm-unit-tests' ``powerpc/timebase.c``, each migrated at the point where that test migrates.

What is expected is what that test expects of hardware; where QEMU's TCG is known to do otherwise, its rule. TB counts
at 512 MHz; a hop takes 3 ms, 1 536 000 ticks, in which TB and every decrementer go on (``tb-offset``, ``advance``).
"""

from __future__ import annotations

from typing import Any

import pytest

from livemig.guests.guest import Guest
from livemig.guests.memory import MemoryWorkload
from livemig.machine.machine import Machine, MachineSpec
from livemig.machine.ram import PAGE
from livemig.machine.runstate import RunState
from livemig.machine.time_state import Host
from livemig.strategies.table import STRATEGIES
from livemig.timers.book3s import Book3S
from livemig.timers.decrementer import DecrementerModel
from livemig.timers.ticks import NEVER

HZ = 512_000_000
HOP_NS = 3_000_000
HOP = HOP_NS * HZ // 1_000_000_000
MAX = 0x7FFF_FFFF
LEVEL, EDGE = DecrementerModel(level=True), DecrementerModel()


class Bare(Guest):
    """It does what the test does to it, and its handler leaves interrupts off for ever."""

    def boot(self) -> int:
        return NEVER

    def interrupted(self, timer: int) -> tuple[int, int]:
        return NEVER, NEVER

    def save(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None:
        pass


class Bench:
    """A guest of one CPU that is written to, waits, and is migrated."""

    def __init__(self, decrementer: DecrementerModel = LEVEL, hdecr: DecrementerModel | None = None) -> None:
        self.spec = MachineSpec("pseries", 1, PAGE, HZ, Book3S(decrementer, hdecr))
        self.now_ns = 1_000_000_000
        self.machine = self._made(RunState.PRELAUNCH)
        self.machine.boot(0)
        self.cpu.unmask_at = NEVER  # as the test begins: EE=0
        self.machine.run_to(self.now_ns)

    def _made(self, state: RunState) -> Machine:
        return Machine("x", self.spec, [Bare()], MemoryWorkload(0, 1, 0, "uniform", 1, 1, 0, 0), state=state)

    @property
    def cpu(self) -> Any:
        return self.machine.cpus[0]

    def write(self, register: str, value: int) -> None:
        """``mtspr``, now."""
        self.cpu.write(self.cpu.now, register, value)

    def read(self, register: str) -> int:
        """``mfspr``, now; signed."""
        return int(self.cpu.read(register, self.cpu.now))

    @property
    def tb(self) -> int:
        """``mftb``, now."""
        return int(self.cpu.timebase.value + self.cpu.now)

    def wait(self, ticks: int) -> None:
        """Some ticks go by."""
        self.now_ns += -(-ticks * 1_000_000_000 // HZ)
        self.machine.run_to(self.now_ns)

    def enable(self) -> int:
        """Interrupts on for a tick; gives how many came."""
        before = self.cpu.delivered
        self.cpu.unmask_at = self.cpu.own_unmask_at = self.cpu.now
        self.wait(2)
        self.cpu.unmask_at = NEVER
        return int(self.cpu.delivered - before)

    def migrate(self) -> None:
        """To a machine at reset, by ``tb-offset``."""
        strategy, host = STRATEGIES["tb-offset"], Host()
        old, stopped_ns = self.machine, self.now_ns
        old.stop(stopped_ns, RunState.PAUSED)
        saved = strategy.save(old.time_state(stopped_ns), host.at(stopped_ns))
        registers = self.cpu.registers()
        self.now_ns += HOP_NS
        self.machine = self._made(RunState.INMIGRATE)
        self.machine.load_time(strategy.restore(self.machine.time_state(self.now_ns), saved, host.at(self.now_ns)))
        self.cpu.load_registers(registers)
        self.machine.resume(self.now_ns)


def test_tb_is_monotonic_over_a_migration() -> None:
    bench = Bench()
    before = bench.tb
    bench.migrate()
    assert bench.tb - before == HOP


def test_an_underflow_that_is_pending_with_ee_off_is_pending_after_the_migration() -> None:
    bench = Bench()
    bench.write("decr", 100)
    bench.wait(200)
    assert bench.read("decr") == -100
    bench.migrate()
    assert bench.read("decr") == -100 - HOP
    assert bench.enable() == 1


def test_level_it_has_still_underflowed_after_a_second_migration_though_it_was_delivered() -> None:
    bench = Bench()
    bench.write("decr", 100)
    bench.wait(200)
    bench.migrate()
    assert bench.enable() == 1
    bench.migrate()
    assert bench.enable() == 1  # nobody wrote DECR: the line is up
    bench.write("decr", MAX)
    assert bench.enable() == 0


def test_edge_it_is_delivered_once_however_often_it_is_migrated() -> None:
    bench = Bench(EDGE)
    bench.write("decr", 100)
    bench.wait(200)
    bench.migrate()
    bench.migrate()
    assert [bench.enable(), bench.enable()] == [1, 0]
    bench.migrate()
    assert bench.enable() == 0


@pytest.mark.parametrize("model", [LEVEL, EDGE])
def test_decr_0_raises_and_crosses(model: DecrementerModel) -> None:
    bench = Bench(model)
    bench.write("decr", 0)
    bench.migrate()
    assert bench.enable() == 1


@pytest.mark.parametrize("model", [LEVEL, EDGE])
def test_a_written_sign_bit_raises_at_once_and_crosses(model: DecrementerModel) -> None:
    bench = Bench(model)
    bench.write("decr", MAX)
    bench.write("decr", 0x8000_0000)
    assert bench.read("decr") == -0x8000_0000
    bench.migrate()
    # it has gone below what 32 bits hold, and reads positive: the wrap that TCG does not act on
    assert bench.read("decr") == 0x8000_0000 - HOP
    assert bench.enable() == 1


def test_the_largest_value_is_quiet_and_minus_one_written_after_the_migration_raises() -> None:
    bench = Bench()
    bench.write("decr", MAX)
    assert bench.enable() == 0
    bench.migrate()
    assert bench.enable() == 0
    bench.write("decr", 0xFFFF_FFFF)
    assert bench.enable() == 1


def test_a_positive_value_written_over_an_underflow_drops_the_interrupt_on_either_side() -> None:
    bench = Bench()
    bench.write("decr", 0xFFFF_FFFF)
    bench.migrate()
    bench.write("decr", MAX)
    assert bench.enable() == 0
    bench.migrate()
    assert bench.enable() == 0


def hypervisor() -> Bench:
    bench = Bench(LEVEL, EDGE)
    bench.write("decr", MAX)
    bench.write("hdecr", MAX)  # at power-on it reads negative: no edge could come
    bench.cpu.own_unmask_at = NEVER
    return bench


def test_hdecr_that_has_underflowed_fires_once_after_the_migration_and_does_not_repeat() -> None:
    bench = hypervisor()
    bench.write("hdecr", 100)
    bench.wait(200)
    bench.migrate()
    assert bench.read("hdecr") == -100 - HOP
    assert bench.enable() == 1
    bench.cpu.own_unmask_at = NEVER
    bench.migrate()
    assert bench.enable() == 0


def test_hdecr_is_armed_again_by_a_positive_value_on_the_other_side() -> None:
    bench = hypervisor()
    bench.write("hdecr", 0xFFFF_FFFF)
    assert bench.enable() == 1
    bench.cpu.own_unmask_at = NEVER
    bench.migrate()
    bench.write("hdecr", 100)
    bench.migrate()  # longer than it counts
    assert bench.enable() == 1


def test_hdecr_written_negative_over_a_negative_value_is_no_edge() -> None:
    bench = hypervisor()
    bench.write("hdecr", 0xFFFF_FFFF)
    assert bench.enable() == 1
    bench.cpu.own_unmask_at = NEVER
    bench.migrate()
    bench.write("hdecr", 0xFFFF_FFFE)
    assert bench.enable() == 0
