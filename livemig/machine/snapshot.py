"""The snapshot: named, versioned sections in a fixed order, as one msgpack value.

The machine's timebase comes before any timer, and both before any CPU ("otherwise we'll be trying to restore it
before the timebase is restored", D. Gibson, the thread, #1). A section may have subsections, named ``section/part``
and with a version of their own, which are sent only where they say something (as QEMU's ``vmstate`` subsections): one
that is not there is fine. What is newer than understood is refused, and what is unknown too if it is marked mandatory;
the unknown rest is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

from livemig.errors import ProtocolError
from livemig.machine.cpu import Cpu
from livemig.machine.version import NEWEST, MachineVersion, version

VERSION = 2
PENDING = "timers/pending"

Kinds = Mapping[str, type]

# name → (newest version understood, the keys it must have with their types)
SECTIONS: Mapping[str, tuple[int, Kinds]] = {
    "timebase": (1, {"strategy": str, "saved": dict}),
    "timers": (1, {"saved": dict}),
    PENDING: (1, {"saved": dict}),
    "cpu": (
        1,
        {
            "index": int, "step_in": list, "entering": list, "unmask_in": list, "mask_in": int, "spr": list,
            "guest": dict,
        },
    ),
    "memory": (1, {"run_ns": int, "lags_ns": list, "digest": str}),
}


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a machine's state."""

    name: str
    fields: dict[str, Any]
    subsections: tuple[Section, ...] = ()
    version: int = 1
    mandatory: bool = True


@dataclass(frozen=True, slots=True)
class TimeParts:
    """What a strategy saved, as it is sent. None: not there.

    Args:
        timebase: of the machine and its CPUs. timers: of every timer. pending: of their interrupts.
    """

    timebase: dict[str, Any]
    timers: dict[str, Any] | None = None
    pending: dict[str, Any] | None = None

    def together(self) -> dict[str, Any]:
        """All there is, by name."""
        return {**self.timebase, **(self.timers or {}), **(self.pending or {})}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One that was read and checked. ``skipped``: names of what was not understood, and need not be."""

    form: MachineVersion
    strategy: str
    time: TimeParts
    cpus: list[dict[str, Any]]
    memory: dict[str, Any]
    skipped: list[str]


def sections_of(strategy: str, time: TimeParts, cpus: list[Cpu], memory: dict[str, Any]) -> list[Section]:
    """Everything that crosses, in order."""
    pending = () if time.pending is None else (Section(PENDING, {"saved": time.pending}, mandatory=False),)
    timers = [] if time.timers is None else [Section("timers", {"saved": time.timers}, pending)]
    return [
        Section("timebase", {"strategy": strategy, "saved": time.timebase}),
        *timers,
        *(Section("cpu", {"index": cpu.index, **cpu.registers()}) for cpu in cpus),
        Section("memory", memory),
    ]


def pack(sections: list[Section], form: MachineVersion = NEWEST) -> bytes:
    """The wire form."""
    body = [_entry(section) for section in sections]
    packed: bytes = msgpack.packb({"version": VERSION, "machine_version": form.number, "sections": body})
    return packed


def _entry(section: Section) -> list[Any]:
    parts = [_entry(part) for part in section.subsections]
    return [section.name, section.version, section.mandatory, section.fields, parts]


def unpack(data: bytes, cpus: int) -> Snapshot:
    """Read and check a snapshot for a machine of ``cpus`` CPUs.

    Raises:
        ProtocolError: malformed, newer than understood, a section missing, doubled or out of order.
    """
    value = _value(data)
    form = version(value.get("machine_version"))
    if form is None:
        told = f"{value.get('machine_version')} is not one of 1 to {NEWEST.number}, the newest understood"
        raise ProtocolError("snapshot", "machine_version", told)
    skipped: list[str] = []
    sections = _known(value["sections"], "", skipped)
    names = [section.name for section in sections]
    expected = ["timebase", *(["timers"] if form.timers else []), *["cpu"] * cpus, "memory"]
    for name in expected:
        if name not in names:
            raise ProtocolError("snapshot", name, f"missing, and mandatory in machine version {form.number}")
    of_cpus = [section.fields for section in sections if section.name == "cpu"]
    if names != expected or [fields["index"] for fields in of_cpus] != list(range(cpus)):
        raise ProtocolError("snapshot", "sections", f"{names} is not {expected}, CPUs in order")
    lags_ns = sections[-1].fields["lags_ns"]
    if len(lags_ns) != cpus or any(type(each) is not int or each < 0 for each in lags_ns):
        raise ProtocolError("snapshot", "memory.lags_ns", f"not {cpus} integers that are not negative")
    timers = sections[1] if form.timers else None
    parts = {part.name: part.fields["saved"] for part in timers.subsections} if timers else {}
    saved = sections[0].fields
    time = TimeParts(saved["saved"], timers.fields["saved"] if timers else None, parts.get(PENDING))
    return Snapshot(form, saved["strategy"], time, of_cpus, sections[-1].fields, skipped)


def _value(data: bytes) -> dict[str, Any]:
    try:
        value = msgpack.unpackb(data, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise ProtocolError("snapshot", "payload", f"not msgpack: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("sections"), list):
        raise ProtocolError("snapshot", "payload", "no list of sections")
    if (newest := value.get("version")) != VERSION:
        raise ProtocolError("snapshot", "version", f"{newest}, but {VERSION} is the one that is understood here")
    return value


def _known(entries: list[Any], within: str, skipped: list[str]) -> list[Section]:
    """The sections, or the subsections ``within`` one; the names of what can be skipped go to ``skipped``."""
    known = []
    for entry in entries:
        if not isinstance(entry, list) or [type(part) for part in entry] != [str, int, bool, dict, list]:
            problem = "an entry is not [name, version, mandatory, fields, subsections]"
            raise ProtocolError("snapshot", within or "sections", problem)
        name, number, mandatory, fields, parts = entry
        if name not in SECTIONS or name.rpartition("/")[0] != within:
            if mandatory:
                raise ProtocolError("snapshot", name, "an unknown section, and a mandatory one")
            skipped.append(name)
            continue
        _check(name, number, fields)
        known.append(Section(name, fields, tuple(_known(parts, name, skipped)), number, mandatory))
    if within and len({section.name for section in known}) != len(known):
        raise ProtocolError("snapshot", within, "a subsection is there twice")
    return known


def _check(name: str, number: int, fields: dict[str, Any]) -> None:
    newest, keys = SECTIONS[name]
    if number > newest:
        raise ProtocolError("snapshot", name, f"version {number}; {newest} is the newest understood")
    for key, kind in keys.items():
        if type(fields.get(key)) is not kind:
            raise ProtocolError("snapshot", f"{name}.{key}", f"missing, or not of type {kind.__name__}")
