"""A run of livemig's, written as QEMU would have traced it: what its guest's threads, its main thread and its migration
thread did. For the tests: a run that is exported and imported again must be judged as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAIN, MIGRATION, FIRST_VCPU = 1000, 2000, 1001
EPOCH_US = 1_700_000_000 * 1_000_000
MASK = (1 << 64) - 1


def export(run: Path, out: Path) -> tuple[Path, Path]:
    """Write ``source.log`` and ``destination.log`` of the run directory ``run`` to ``out``."""
    logs = []
    for side in ("source", "destination"):
        path = out / f"{side}.log"
        with (run / f"{side}.jsonl").open() as events:
            path.write_text("".join(f"{line}\n" for line in _lines(side, map(json.loads, events))))
        logs.append(path)
    return logs[0], logs[1]


def _lines(side: str, events: Iterator[dict[str, Any]]) -> Iterator[str]:
    decr_at: dict[int, tuple[int, int]] = {}  # cpu → (TB at which DECR was written, what)
    runs_since = 0  # no timer runs out while the clock stands
    for event in events:
        now = event["t_ns"]
        match event["event"]:
            case "timer_armed" if event["cause"] == "guest":
                tid = FIRST_VCPU + event["cpu"]
                then, written = decr_at.get(event["cpu"], (event["tb"], -1))
                old = written - (event["tb"] - then)
                yield _line(tid, now, f"ppc_tb_load tb 0x{event['tb']:016x}")
                yield from _write(tid, now, old, event["value"])
                decr_at[event["cpu"]] = (event["tb"], event["value"])
            case "timer_armed" if event["cause"] == "restore":
                decr_at[event["cpu"]] = (event["tb"], _signed(event["value"]))
            case "interrupt":
                yield _line(MAIN, max(event["deadline_ns"], runs_since), "ppc_decr_excp raise decrementer")
                yield _line(FIRST_VCPU + event["cpu"], now, f"ppc_tb_load tb 0x{event['tb']:016x}")
                yield _line(FIRST_VCPU + event["cpu"], now, f"ppc_decr_load decr 0x{event['decr'] & MASK:016x}")
            case "machine_stopped":
                yield _line(MAIN, now, "vm_state_notify running 0 reason 7 (finish-migrate)")
                yield from _shown(now, event)
            case "state_saved" if event["strategy"] != "none":
                for decr in event["decr"]:
                    yield _line(MIGRATION, now, f"ppc_decr_load decr 0x{decr & MASK:016x}")
            case "state_restored" if event["strategy"] != "none":
                for before, after in zip(event["decr_before"], event["decr_after"], strict=True):
                    yield from _write(MAIN, now, before, after & 0xFFFFFFFF)
            case "machine_resumed" if side == "destination":
                runs_since = now
                yield from _shown(now, event)
                yield _line(MAIN, now, "vm_state_notify running 1 reason 9 (running)")
            case "migration_state" if event["status"] in ("setup", "active", "completed"):
                yield _line(MAIN, now, f"migrate_set_state new state {event['status']}")


def _line(tid: int, t_ns: int, text: str) -> str:
    t_us = EPOCH_US + t_ns // 1000
    return f"{tid}@{t_us // 1_000_000}.{t_us % 1_000_000:06}:{text}"


def _write(tid: int, t_ns: int, old: int, new: int) -> Iterator[str]:
    """``mtdec``: QEMU reads the old value first."""
    yield _line(tid, t_ns, f"ppc_decr_load decr 0x{old & MASK:016x}")
    yield _line(tid, t_ns, f"ppc_decr_store 32-bit 0x{old & 0xFFFFFFFF:016x} => 0x{new:016x}")


def _shown(t_ns: int, event: dict[str, Any]) -> Iterator[str]:
    """``info registers``."""
    yield _line(MAIN, t_ns, f"ppc_decr_load decr 0x{event['decr'][0] & MASK:016x}")
    for _ in range(2):
        yield _line(MAIN, t_ns, f"ppc_tb_load tb 0x{event['tb']:016x}")


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value
