"""The snapshot: named, versioned sections in a fixed order, as one msgpack value.

The machine's timebase comes before any CPU ("otherwise we'll be trying to restore it before the timebase is
restored", D. Gibson, the thread, #1). A newer version or an unknown section that is marked mandatory is refused; an
unknown optional one is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

from livemig.errors import ProtocolError
from livemig.machine.cpu import Cpu

VERSION = 1

# name → (newest version understood, the keys it must have with their types)
SECTIONS: Mapping[str, tuple[int, Mapping[str, type]]] = {
    "timebase": (1, {"strategy": str, "saved": dict}),
    "cpu": (
        1,
        {
            "index": int, "step_in": list, "entering": list, "unmask_in": list, "mask_in": int, "spr": list,
            "guest": dict,
        },
    ),
    "memory": (1, {"writes": int, "run_ns": int, "digest": str}),
}


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a machine's state."""

    name: str
    fields: dict[str, Any]
    version: int = 1
    mandatory: bool = True


def sections_of(strategy: str, saved: dict[str, Any], cpus: list[Cpu], memory: dict[str, Any]) -> list[Section]:
    """Everything that crosses, in order."""
    return [
        Section("timebase", {"strategy": strategy, "saved": saved}),
        *(Section("cpu", {"index": cpu.index, **cpu.registers()}) for cpu in cpus),
        Section("memory", memory),
    ]


def pack(sections: list[Section]) -> bytes:
    """The wire form."""
    body = [[s.name, s.version, s.mandatory, s.fields] for s in sections]
    packed: bytes = msgpack.packb({"version": VERSION, "sections": body})
    return packed


def unpack(data: bytes, cpus: int) -> tuple[list[Section], list[str]]:
    """Read and check a snapshot for a machine of ``cpus`` CPUs; also gives what was skipped.

    Raises:
        ProtocolError: malformed, newer than understood, a section missing, doubled or out of order.
    """
    sections: list[Section] = []
    skipped: list[str] = []
    for entry in _entries(data):
        if not isinstance(entry, list) or [type(part) for part in entry] != [str, int, bool, dict]:
            raise ProtocolError("snapshot", "sections", "an entry is not [name, version, mandatory, fields]")
        section = Section(entry[0], entry[3], entry[1], entry[2])
        if section.name in SECTIONS:
            _check(section)
            sections.append(section)
        elif section.mandatory:
            raise ProtocolError("snapshot", section.name, "an unknown section, and a mandatory one")
        else:
            skipped.append(section.name)
    expected = ["timebase", *["cpu"] * cpus, "memory"]
    names = [section.name for section in sections]
    if names != expected or [s.fields["index"] for s in sections[1:-1]] != list(range(cpus)):
        raise ProtocolError("snapshot", "sections", f"{names} is not timebase, {cpus} × cpu in order, memory")
    return sections, skipped


def _entries(data: bytes) -> list[Any]:
    try:
        value = msgpack.unpackb(data, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise ProtocolError("snapshot", "payload", f"not msgpack: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("sections"), list):
        raise ProtocolError("snapshot", "payload", "no list of sections")
    version = value.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise ProtocolError("snapshot", "version", f"{version} is newer than {VERSION}, the newest understood")
    return list(value["sections"])


def _check(section: Section) -> None:
    newest, fields = SECTIONS[section.name]
    if section.version > newest:
        raise ProtocolError("snapshot", section.name, f"version {section.version}; {newest} is the newest understood")
    for name, kind in fields.items():
        if type(section.fields.get(name)) is not kind:
            raise ProtocolError("snapshot", f"{section.name}.{name}", f"missing, or not of type {kind.__name__}")
