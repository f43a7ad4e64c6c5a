"""Tiny literal trace logs. The timebase ticks at 1 MHz, so ticks and microseconds are the same number."""

from __future__ import annotations

from pathlib import Path

HZ = 1_000_000
MAIN, CPU0, CPU1, SAVER = 100, 103, 104, 109
SECOND = 1_700_000_000
"""Host time of microsecond 0."""


def line(t: int, text: str, tid: int) -> str:
    return f"{tid}@{SECOND + t // 1_000_000}.{t % 1_000_000:06}:{text}\n"


def tb(t: int, value: int, tid: int = CPU0) -> str:
    return line(t, f"ppc_tb_load tb 0x{value:016x}", tid)


def load(t: int, decr: int, tid: int = CPU0) -> str:
    return line(t, f"ppc_decr_load decr 0x{decr % (1 << 64):016x}", tid)


def store(t: int, old: int, new: int, tid: int = CPU0, bits: int = 32) -> str:
    return line(t, f"ppc_decr_store {bits}-bit 0x{old % (1 << 32):016x} => 0x{new % (1 << 32):016x}", tid)


def write(t: int, old: int, new: int, tid: int = CPU0) -> str:
    """``mtdec``, or what QEMU does when it loads state."""
    return load(t, old, tid) + store(t, old, new, tid)


def raised(t: int, tid: int = MAIN) -> str:
    return line(t, "ppc_decr_excp raise decrementer", tid)


def handler(t: int, at: int, decr: int, value: int, tid: int = CPU0) -> str:
    """What the bare-metal guest does: TB thrice from ``at``, DECR, then the next period; a microsecond each."""
    reads = "".join(tb(t + i, at + i, tid) for i in range(3))
    return reads + load(t + 3, decr, tid) + write(t + 4, decr - 1, value, tid)


def reset(t: int) -> str:
    """What QEMU 7.2 does at its own start."""
    return store(t, -1, -1, MAIN) + line(t, f"ppc_tb_store tb 0x{0:016x} offset 0x{0:08x}", MAIN)


def runs(t: int) -> str:
    return line(t, "vm_state_notify running 1 reason 9 (running)", MAIN)


def stops(t: int, tid: int = MAIN, state: str = "paused") -> str:
    return line(t, f"vm_state_notify running 0 reason 4 ({state})", tid)


def migration(t: int, state: str, tid: int = MAIN) -> str:
    return line(t, f"migrate_set_state new state {state}", tid)


def shown(t: int, decr: int, at: int) -> str:
    """The monitor's ``info registers`` of a machine that stands still."""
    return load(t, decr, MAIN) + tb(t + 1, at, MAIN) + tb(t + 2, at, MAIN)


def saved(path: Path, *texts: str) -> Path:
    """``texts`` in a file."""
    path.write_text("".join(texts))
    return path
