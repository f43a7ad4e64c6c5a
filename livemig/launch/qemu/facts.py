"""``run.toml``: the facts of a QEMU run that its logs do not tell, for the importer and for whoever comes later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from livemig.config.model import Config
from livemig.launch.qemu.pair import Crossing, Plan
from livemig.launch.qemu.registers import Registers

_NS_PER_S = 1_000_000_000


def facts(plan: Plan, crossing: Crossing, timebase_hz: int) -> dict[str, dict[str, Any]]:
    """By table. TB and DECR are those of CPU 0 where a machine stood."""
    return {
        "run": _run(plan, crossing, timebase_hz),
        "migration": _migration(plan.config, crossing),
        "query_migrate": _query(crossing),
        "measured": _measured(plan, crossing),
        "command": {side: " ".join(_short(word) for word in line) for side, line in crossing.commands.items()},
    }


def _run(plan: Plan, crossing: Crossing, timebase_hz: int) -> dict[str, Any]:
    orders, config = plan.load.orders, plan.config
    return {
        "machine": plan.load.machine,
        "qemu_version": plan.source.release,
        "qemu_package": plan.source.package,
        "destination_qemu_version": plan.destination.release,
        "destination_qemu_package": plan.destination.package,
        "accelerator": "tcg",
        "timebase_hz": timebase_hz,
        "timebase_hz_measured_on_source": crossing.timebase_hz or None,
        "destination_timebase_hz": plan.destination.timebase_hz(plan.load.machine),
        "vcpus": plan.load.cpus,
        "ram_mib": plan.load.ram_mib,
        "period_ticks": orders.period if orders else None,
        "rearm": config.guest.periodic.rearm if orders else None,
        "dirty_pages_by_interrupt": orders.dirty_pages if orders else None,
        "guest_masks_interrupts": bool(orders.masked_loops) if orders else None,
        "tb_set_by_guest_at_start": orders.set_timebase or None if orders else None,
        "ran_on_destination_after_s": _seconds(crossing.observed_ns) if crossing.restored else None,
    }


def _migration(config: Config, crossing: Crossing) -> dict[str, Any]:
    return {
        "how": "live" if config.engine.method == "live" else "stopcopy",
        "transport": config.migration.transport,
        "downtime_requested_s": _seconds(config.migration.downtime),
        "downtime_limit_ms": config.migration.downtime_limit / 1e6,
    }


def _query(crossing: Crossing) -> dict[str, Any]:
    query, ram = crossing.query, crossing.query.get("ram", {})
    names = ("transferred", "duplicate", "normal", "normal-bytes", "dirty-sync-count", "mbps", "page-size")
    return {
        "status": crossing.status,
        "total_time_ms": query.get("total-time"),
        "downtime_reported_ms": query.get("downtime") if crossing.restored else None,
        "setup_time_ms": query.get("setup-time"),
        **{f"ram_{name.replace('-', '_')}": ram.get(name) for name in names},
    }


def _measured(plan: Plan, crossing: Crossing) -> dict[str, Any]:
    stopped, restored, last = (_first(cpus) for cpus in (crossing.stopped, crossing.restored, crossing.last))
    own = plan.load.orders is not None
    states = {"none": "none", "raised": "raised, not taken", "taken": "taken, handler not finished"}
    return {
        "decr_interrupt_at_stop": states[stopped.interrupt] if stopped and own else None,
        "source_nip_at_stop": hex(stopped.nip) if stopped else None,
        "source_msr_ee_at_stop": int(not stopped.masked) if stopped else None,
        "source_tb_at_stop": stopped.tb if stopped else None,
        "source_decr_at_stop": stopped.decr if stopped else None,
        "destination_first_values_read_while": "stopped, before cont" if restored else None,
        "destination_tb_first": restored.tb if restored else None,
        "destination_decr_first": restored.decr if restored else None,
        "destination_tb_last": last.tb if last and restored else None,
        "destination_decr_last": last.decr if last and restored else None,
        "guest_records_total": crossing.records[-1].seq + 1 if crossing.records else None,
    }


def _first(cpus: list[Registers] | None) -> Registers | None:
    return cpus[0] if cpus else None


def _seconds(ns: int) -> float:
    return ns / _NS_PER_S


def _short(word: str) -> str:
    """Without the directories of this machine and this run."""
    path = word.removeprefix("unix:")
    return Path(path).name if path.startswith("/") else word


def write_facts(path: Path, tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Write them as TOML; what is None is left out."""
    lines = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {_toml(value)}" for key, value in table.items() if value is not None]
        lines.append("")
    path.write_text("\n".join(lines))


def _toml(value: Any) -> str:
    # JSON's scalars are TOML's, but for DEL, which TOML wants escaped
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
