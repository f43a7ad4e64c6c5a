"""A pair of QEMUs that do nothing but keep time and write trace logs, with arithmetic of their own.

Straight from the reference on QEMU's timers, sections 2, 3 and 7: DECR's end in ticks or in ns, the start-up values,
what is saved and loaded. Nothing of livemig is used, so that what it predicts is held against something else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

G = 1_000_000_000
SECOND = 1_700_000_000
M32, M64 = (1 << 32) - 1, (1 << 64) - 1
MAIN, SAVER = 100, 150
LATE_US = 25
"""The host wakes the main thread so much late, always."""
ANSWER_US = 15


@dataclass(frozen=True)
class Traits:
    """What a version of QEMU does."""

    version: str
    ticks: bool = True
    one_read: bool = True
    tb_reset: bool = True
    migrates: bool = True


OLD = Traits("7.2.1", ticks=False, one_read=False, tb_reset=False, migrates=False)
STABLE72 = Traits("7.2.22", one_read=False, tb_reset=False, migrates=False)
STABLE81 = Traits("8.1.3", migrates=False)
OLD81 = Traits("8.1.1", ticks=False, one_read=False, tb_reset=False, migrates=False)
NEW = Traits("10.0.2")
LATEST = Traits("11.1.3")
"""Under which every CPU of pseries goes on to take interrupts; 10.0 forgets all but the first."""
FIRST = Traits("8.2.0")


def signed(value: int) -> int:
    value &= M32
    return value - (1 << 32) if value >> 31 else value


@dataclass(frozen=True)
class Scenario:
    """``interrupt``: of CPU 0 at the stop: none, raised (and masked), taken. ``tb``: set by the guest, None: not.

    ``stop_us``: about when, after the source's start; ``blackout_us``, ``watch_us``: from there, from the resume.
    ``notified``: vm_state_notify and migrate_set_state are traced. ``shown``: the monitor shows DECR and TB.
    ``begin_us``: the source's log lost what was before. ``uptime_ns``: of the source's clock where its log begins.
    """

    source: Traits = NEW
    destination: Traits | None = None
    machine: str = "g3beige"
    hz: int = 16_600_000
    destination_hz: int = 0
    level: bool = False
    cpus: int = 1
    period: int = 166_000
    interrupt: str = "none"
    masked_us: int = 0
    tb: int | None = None
    stop_us: int = 400_000
    blackout_us: int = 500_000
    watch_us: int = 1_500_000
    notified: bool = True
    shown: bool = True
    begin_us: int = 0
    uptime_ns: int = 0
    live: bool = False

    @property
    def there(self) -> Traits:
        return self.destination or self.source


@dataclass
class Cpu:
    next: int = 0
    """decr_next: in ticks, or in ns."""
    fires_ns: int | None = None
    pending: bool = False
    offset: int = 0
    handler_us: int | None = None


@dataclass
class Qemu:
    """One process; ``now`` is host time in us."""

    it: Traits
    hz: int
    level: bool
    count: int
    now: int
    pid: int
    clock_ns: int = 0
    since: int | None = None
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cpus = [Cpu() for _ in range(self.count)]

    def say(self, text: str, tid: int) -> None:
        tid += self.pid
        self.log.append(f"{tid}@{SECOND + self.now // 1_000_000}.{self.now % 1_000_000:06}:{text}\n")

    @property
    def v(self) -> int:
        return self.clock_ns + (0 if self.since is None else 1000 * (self.now - self.since))

    @property
    def n(self) -> int:
        return self.v * self.hz // G

    def run(self) -> None:
        self.since = self.now

    def halt(self) -> None:
        self.clock_ns, self.since = self.v, None

    # -- registers --

    def decr(self, cpu: Cpu) -> int:
        if self.it.ticks:
            return cpu.next - self.n
        left = cpu.next - self.v
        return left * self.hz // G if left >= 0 else -(-left * self.hz // G)

    def store(self, cpu: Cpu, old: int, value: int) -> bool:
        """Whether it raises at once."""
        s, before = signed(value), signed(old)
        now = (self.level and s < 0) or (s < 0 and before >= 0)
        if not self.it.ticks:
            if value < 3 or now:
                return True
            cpu.next = self.v + (value & M32) * G // self.hz
            cpu.fires_ns = cpu.next
            return False
        cpu.next = self.n + (value & M32)
        if now:
            return True
        if self.level and s >= 0:
            cpu.pending = False
        cpu.fires_ns = -(-cpu.next * G // self.hz)
        return False

    def write(self, index: int, value: int, tid: int) -> None:
        """``mtdec``, or the load."""
        cpu = self.cpus[index]
        old = self.decr(cpu)
        self.say(f"ppc_decr_load decr 0x{old & M64:016x}", tid)
        if not self.it.one_read and self.since is not None:
            self.now += 2
        self.say(f"ppc_decr_store 32-bit 0x{old & M32:016x} => 0x{value & M32:016x}", tid)
        if self.store(cpu, old, value):
            cpu.fires_ns = None
            self.say("ppc_decr_excp raise decrementer", tid)
            cpu.pending = True

    def read_tb(self, index: int, tid: int) -> int:
        tb = self.n + self.cpus[index].offset & M64
        self.say(f"ppc_tb_load tb 0x{tb:016x}", tid)
        return tb

    def set_tb(self, index: int, value: int) -> None:
        self.cpus[index].offset = value - self.n
        self.say(f"ppc_tb_store tb 0x{value & M64:016x} offset 0x{self.cpus[index].offset & M64:08x}", 1 + index)

    def reset(self, machine: str) -> None:
        for cpu in self.cpus:
            if self.it.tb_reset:
                if machine == "mac99":
                    continue
                self.say(f"ppc_decr_store 64-bit 0x{0:016x} => 0x{M64 if self.level else M32:016x}", 0)
                cpu.next = M64 if self.level else M32
                cpu.pending = self.level
            else:
                self.say(f"ppc_decr_store 32-bit 0x{M32:016x} => 0x{M32:016x}", 0)
                if not self.level:
                    cpu.next = M32 if self.it.ticks else M32 * G // self.hz
                    cpu.fires_ns = -(-cpu.next * G // self.hz) if self.it.ticks else cpu.next
                elif self.it.ticks:
                    cpu.next = M32
            if self.level:
                self.say("ppc_decr_excp raise decrementer", 0)
            self.say(f"ppc_tb_store tb 0x{0:016x} offset 0x{0:08x}", 0)

    def show(self) -> None:
        """``info registers`` of the first CPU."""
        self.say(f"ppc_decr_load decr 0x{self.decr(self.cpus[0]) & M64:016x}", 0)
        self.read_tb(0, 0)
        self.read_tb(0, 0)

    # -- life --

    def live(self, end_us: int, period: int, masked_us: int, to_raise: bool = False) -> None:
        """The guest runs to ``end_us``, or to CPU 0's next raise: every handler writes what is left of its period."""
        order = count()
        queue: list[tuple[int, int, int | None, int]] = []

        def plan(index: int) -> None:
            cpu = self.cpus[index]
            if cpu.fires_ns is not None:
                wait_us = -(-(cpu.fires_ns - self.v) // 1000)
                heappush(queue, (self.now + max(wait_us, 0) + LATE_US, next(order), cpu.fires_ns, index))

        for index, cpu in enumerate(self.cpus):
            plan(index)
            if cpu.handler_us is None and cpu.pending:
                cpu.handler_us = ANSWER_US
            if cpu.handler_us is not None:
                heappush(queue, (self.now + cpu.handler_us, next(order), None, index))
        while queue and queue[0][0] <= end_us:
            self.now, _, fires_ns, index = heappop(queue)
            cpu = self.cpus[index]
            if fires_ns is not None:
                if cpu.fires_ns != fires_ns:
                    continue  # Written since.
                self.say("ppc_decr_excp raise decrementer", 0)
                cpu.fires_ns, cpu.pending = None, True
                cpu.handler_us = self.now + ANSWER_US + masked_us
                heappush(queue, (cpu.handler_us, next(order), None, index))
                if to_raise and index == 0:
                    end_us = self.now + 4
            else:
                cpu.handler_us = None
                self.handle(index, period)
                plan(index)
        for cpu in self.cpus:
            cpu.handler_us = None if cpu.handler_us is None else max(cpu.handler_us - end_us, 1)
        self.now = end_us

    def handle(self, index: int, period: int) -> None:
        cpu, tid = self.cpus[index], 1 + index
        cpu.pending = False
        for _ in range(3):
            self.read_tb(index, tid)
            self.now += 1
        late = -self.decr(cpu)
        self.say(f"ppc_decr_load decr 0x{-late & M64:016x}", tid)
        self.now += 1
        self.write(index, period - late % period if 0 <= late < 100 * period else period, tid)


def capture(scenario: Scenario, directory: Path, **facts: object) -> Path:
    """Run the pair, write its logs and its run.toml; gives the latter's path."""
    it = scenario
    source = Qemu(it.source, it.hz, it.level, it.cpus, 1_000_000, 1000)
    source.reset(it.machine)
    source.now += 5_000
    source.clock_ns = it.uptime_ns
    if it.notified:
        source.say("vm_state_notify running 1 reason 9 (running)", 0)
    source.run()
    for index in range(it.cpus):
        source.now += 300
        if it.tb is not None:
            source.set_tb(index, it.tb)
        source.write(index, it.period, 1 + index)
    begin = source.now
    masked = it.masked_us
    source.live(begin + it.stop_us, it.period, masked)
    if it.interrupt != "none":
        _run_into(source, it)
    taken = it.interrupt == "taken"
    stop_us = source.now
    source.halt()
    if it.notified:
        source.say(f"vm_state_notify running 0 reason {7 if it.live else 4} (paused)", SAVER if it.live else 0)
    if it.shown and not it.live:
        source.now += 400
        source.show()
    source.now += 900
    saved = []
    for cpu in source.cpus:
        saved.append(source.decr(cpu) if it.source.migrates else 0)
        if it.source.migrates:
            source.say(f"ppc_decr_load decr 0x{saved[-1] & M64:016x}", SAVER)
            source.now += 30
    if it.notified:
        source.say("migrate_set_state new state completed", SAVER)
    if it.shown and it.live:
        source.show()
    destination = _destination(it, source, saved, stop_us, taken)
    kept = [line for line in source.log if _us(line) >= it.begin_us]
    (directory / "source.log").write_text("".join(kept))
    (directory / "destination.log").write_text("".join(destination.log))
    return _run_toml(it, directory, stop_us, facts)


def _us(line: str) -> int:
    seconds, micros = line.split("@")[1].split(":")[0].split(".")
    return (int(seconds) - SECOND) * 1_000_000 + int(micros)


def _run_into(source: Qemu, it: Scenario) -> None:
    """On to where CPU 0's interrupt has been raised, and its handler not run."""
    source.live(source.now + 60_000_000, it.period, it.masked_us, to_raise=True)
    assert source.cpus[0].pending


def _destination(it: Scenario, source: Qemu, saved: list[int], stop_us: int, taken: bool) -> Qemu:
    hz = it.destination_hz or it.hz
    there = Qemu(it.there, hz, it.level, it.cpus, stop_us - 200_000 if it.live else stop_us + 100_000, 5000)
    there.reset(it.machine)
    run_us = stop_us + it.blackout_us
    there.now = run_us - 300 if it.live else stop_us + it.blackout_us // 2 + 60_000
    there.clock_ns = source.clock_ns
    for index, cpu in enumerate(there.cpus):
        if it.there.migrates:
            cpu.pending = cpu.pending and it.level
            there.write(index, saved[index], 0)
        # What runs on has its own progress; what was only pending has none.
        if source.cpus[index].handler_us is not None and (taken and index == 0):
            cpu.handler_us = source.cpus[index].handler_us
    if it.level and not it.there.tb_reset:
        for cpu in there.cpus:
            cpu.pending = False  # The reset of the CPU clears what its making had raised.
    if it.notified and not it.live:
        there.say("migrate_set_state new state completed", 0)
    if it.shown and not it.live:
        there.now += 100
        there.show()
    assert there.now < run_us
    there.now = run_us
    if it.notified:
        there.say("vm_state_notify running 1 reason 9 (running)", 0)
    there.run()
    if it.shown and it.live and it.watch_us > 20_000:
        there.live(run_us + 15_000, it.period, it.masked_us)
        there.show()
    there.live(run_us + it.watch_us, it.period, it.masked_us)
    there.halt()
    if it.notified:
        there.say("vm_state_notify running 0 reason 4 (paused)", 0)
    there.now += 300
    if it.shown:
        there.show()
    return there


def _run_toml(it: Scenario, directory: Path, stop_us: int, facts: dict[str, object]) -> Path:
    words = {"none": "none", "raised": "raised, not taken", "taken": "taken, handler not finished"}
    keys: dict[str, object] = {
        "machine": it.machine,
        "accelerator": "tcg",
        "qemu_version": it.source.version,
        "timebase_hz": it.hz,
        "vcpus": it.cpus,
        "how": "live" if it.live else "stopcopy",
        "decr_interrupt_at_stop": words[it.interrupt],
        "ran_on_destination_after_s": it.watch_us / 1e6,
    }
    if it.destination is not None:
        keys["destination_qemu_version"] = it.destination.version
    if it.level and it.machine == "mac99":
        keys["cpu"] = "970fx"
    if not it.notified:
        run_us = stop_us + it.blackout_us
        keys["stopped_at_host_s"] = f"{SECOND + stop_us // 1_000_000}.{stop_us % 1_000_000:06}"
        keys["resumed_at_host_s"] = f"{SECOND + run_us // 1_000_000}.{run_us % 1_000_000:06}"
    keys |= facts
    path = directory / "run.toml"
    path.write_text("".join(f"{key} = {_toml(key, value)}\n" for key, value in keys.items() if value is not None))
    return path


def _toml(key: str, value: object) -> str:
    if isinstance(value, str) and not key.endswith("_host_s"):
        return f'"{value}"'
    return str(value)
