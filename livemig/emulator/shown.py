"""What the human monitor shows of a machine and its migration, as QEMU prints it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from livemig.emulator.parameters import NUMBERS
from livemig.machine.cpu import Cpu
from livemig.machine.machine import Machine

_EE: Final = 1 << 15
_WORD: Final = 0xFFFF_FFFF


def registers(machine: Machine, cpus: Iterable[Cpu], now: int) -> list[str]:
    """``info registers``: what a guest of livemig's has of a CPU. MSR has the one bit that is modelled, EE; NIP is the
    decrementer's vector while its handler runs, else 0. TB and DECR are decimal, as QEMU's are."""
    lines = []
    for cpu in cpus:
        time = machine.time_state(now)
        tb, enabled = time.tb(cpu.index), cpu.unmask_at <= cpu.now
        vector = 0 if enabled else machine.spec.facility.timers[0].vector
        lines += [
            "",
            f"CPU#{cpu.index}",
            f"NIP {vector:08x}   LR 00000000 CTR 00000000 XER 00000000 CPU#{cpu.index}",
            f"MSR {_EE if enabled else 0:08x} HID0 00000000  HF 00000000 iidx 0 didx 0",
            f"TB {tb >> 32:08d} {tb & _WORD:08d} DECR {time.decr(cpu.index) & _WORD:08d}",
        ]
    return lines


def status(said: Mapping[str, Any]) -> str:
    """``info status``."""
    if said["running"]:
        return "VM status: running"
    return "VM status: paused" + ("" if said["status"] == "paused" else f" ({said['status']})")


def migration(said: Mapping[str, Any]) -> list[str]:
    """``info migrate``, of what ``query-migrate`` says; then what is livemig's own."""
    lines: list[str] = []
    if "status" in said:
        why = f" ({said['error-desc']})" if "error-desc" in said else ""
        lines.append(f"Migration status: {said['status']}{why}")
        lines.append(f"total time: {said.get('total-time', 0)} ms")
    for name, label in (("expected-downtime", "expected downtime"), ("downtime", "downtime"), ("setup-time", "setup")):
        if name in said:
            lines.append(f"{label}: {said[name]} ms")
    if "ram" in said:
        lines += _ram(said["ram"])
    if "xbzrle-cache" in said:
        lines += _cache(said["xbzrle-cache"])
    if "cpu-throttle-percentage" in said:
        lines.append(f"cpu throttle percentage: {said['cpu-throttle-percentage']}")
    if "postcopy-blocktime" in said:
        lines.append(f"postcopy blocktime: {said['postcopy-blocktime']}")
        lines.append(f"postcopy vcpu blocktime: {','.join(map(str, said['postcopy-vcpu-blocktime']))}")
    if "socket-address" in said:
        lines += ["socket address: [", *(f"\t{_uri(each)}" for each in said["socket-address"]), "]"]
    lines.append(f"guest owned by: {said['x-livemig-owner']}")
    if (timer := said.get("timer")) is not None:
        lines.append(f"latest interrupt: {timer['worst-late-ns']} ns")
        if timer["lost"] is not None:
            lines.append(f"interrupts lost: {timer['lost']}")
        if timer["tb-error-ticks"] is not None:
            lines.append(f"timebase error: {timer['tb-error-ticks']} ticks")
    return lines


def _ram(ram: Mapping[str, Any]) -> list[str]:
    lines = [
        f"transferred ram: {ram['transferred'] >> 10} kbytes",
        f"throughput: {ram['mbps']:.2f} mbps",
        f"remaining ram: {ram['remaining'] >> 10} kbytes",
        f"total ram: {ram['total'] >> 10} kbytes",
        f"duplicate: {ram['duplicate']} pages",
        f"normal: {ram['normal']} pages",
        f"normal bytes: {ram['normal-bytes'] >> 10} kbytes",
        f"dirty sync count: {ram['dirty-sync-count']}",
        f"page size: {ram['page-size'] >> 10} kbytes",
        f"multifd bytes: {ram['multifd-bytes'] >> 10} kbytes",
        f"pages-per-second: {ram['pages-per-second']}",
    ]
    if ram["dirty-pages-rate"]:
        lines.append(f"dirty pages rate: {ram['dirty-pages-rate']} pages")
    if ram["postcopy-requests"]:
        lines.append(f"postcopy request count: {ram['postcopy-requests']}")
    for name, label in (("precopy-bytes", "precopy"), ("downtime-bytes", "downtime"), ("postcopy-bytes", "postcopy")):
        if ram[name]:
            lines.append(f"{label} ram: {ram[name] >> 10} kbytes")
    return lines


def _cache(cache: Mapping[str, Any]) -> list[str]:
    return [
        f"cache size: {cache['cache-size']} bytes",
        f"xbzrle transferred: {cache['bytes'] >> 10} kbytes",
        f"xbzrle pages: {cache['pages']} pages",
        f"xbzrle cache miss: {cache['cache-miss']} pages",
        f"xbzrle cache miss rate: {cache['cache-miss-rate']:.2f}",
        f"xbzrle encoding rate: {cache['encoding-rate']:.2f}",
        f"xbzrle overflow: {cache['overflow']}",
    ]


def _uri(address: Mapping[str, str]) -> str:
    if address["type"] == "unix":
        return f"unix:{address['path']}"
    return f"tcp:{address['host']}:{address['port']}"


def parameters(said: Mapping[str, Any]) -> list[str]:
    """``info migrate_parameters``, of what ``query-migrate-parameters`` says."""
    units = {number.name: number.unit for number in NUMBERS}
    switches = {True: "on", False: "off"}
    return [
        f"{name}: {switches[value] if isinstance(value, bool) else value}{units.get(name, '')}"
        for name, value in said.items()
    ]


def capabilities(said: Iterable[Mapping[str, Any]]) -> list[str]:
    """``info migrate_capabilities``, of what ``query-migrate-capabilities`` says."""
    return [f"{each['capability']}: {'on' if each['state'] else 'off'}" for each in said]


def cpus(said: Iterable[Mapping[str, Any]], current: int) -> list[str]:
    """``info cpus``, of what ``query-cpus-fast`` says."""
    return [
        f"{'*' if each['cpu-index'] == current else ' '} CPU #{each['cpu-index']}: thread_id={each['thread-id']}"
        for each in said
    ]
