"""What a stream's own description says of it: the fields of a device, and with them the time that was saved.

QEMU writes it as JSON at the end (``vmdesc``): for each device its fields in the order of the stream, each with its
size and, if it is an array, how many of it there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from livemig.launch.qemu.stream import Section, Stream

_DECR: Final = 22
"""Number of the special purpose register."""
_MOST_FIELDS: Final = 1_000_000


class Undescribed(Exception):
    """The description does not say it, or is none; says what is wrong."""


@dataclass(frozen=True, slots=True)
class Place:
    """Of a field: ``at``, from the beginning of its section; ``size`` of one of ``count``."""

    at: int
    size: int
    count: int


@dataclass(frozen=True, slots=True)
class CpuSaved:
    """One CPU as saved. ``decr``: the register, signed; QEMU before 8.2 does not bring it up to date, it is 0."""

    cpu: int
    decr: int
    nip: int
    msr: int


@dataclass(slots=True)
class TimeSaved:
    """The time in a stream. ``clock_ns``: the virtual clock, of which TB is made. ``guest_timebase``,
    ``time_of_day_ns``: pseries' own, used by KVM alone."""

    clock_ns: int | None = None
    cpus: list[CpuSaved] = field(default_factory=list)
    guest_timebase: int | None = None
    time_of_day_ns: int | None = None


def devices(stream: Stream) -> dict[tuple[str, int], list[Any]]:
    """The fields of each device, by name and instance.

    Raises:
        Undescribed: there is no description, or it is not one.
    """
    if not stream.description:
        raise Undescribed("the stream has no description of itself")
    try:
        found = json.loads(stream.description)
        return {(str(each["name"]), int(each["instance_id"])): list(each["fields"]) for each in found["devices"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Undescribed(f"the stream's description of itself is malformed: {type(error).__name__}") from None


def places(fields: list[Any]) -> Iterator[tuple[str, Place, Any]]:
    """Each field: its name, where it is, and the description of what it is made of."""
    at = 0
    for number, each in enumerate(fields):
        try:
            name, size, count = str(each["name"]), each["size"], each.get("array_len", 1)
            inner = each.get("struct", {}).get("fields", [])
        except (KeyError, TypeError, AttributeError):
            raise Undescribed("the stream's description of itself has a field without name and size") from None
        if type(size) is not int or type(count) is not int or size < 0 or count < 0 or number > _MOST_FIELDS:
            raise Undescribed(f"the stream's description of itself has no size for {name!r}")
        yield name, Place(at, size, count), inner
        at += size * count


def time_saved(data: memoryview, stream: Stream) -> TimeSaved:
    """The time that was saved.

    Raises:
        Undescribed: the stream does not describe its sections, or not as they are.
    """
    described = devices(stream)
    found = TimeSaved()
    for section in stream.sections:
        fields = described.get((section.name, section.instance))
        if fields is None:
            continue
        reading = _Reading(data, section, fields)
        if section.name == "timer":
            found.clock_ns = reading.number("cpu_clock_offset", signed=True)
        elif section.name == "cpu":
            decr = reading.number("env.spr", _DECR) & 0xFFFF_FFFF
            nip, msr = reading.number("env.nip"), reading.number("env.msr")
            found.cpus.append(CpuSaved(section.instance, decr - (decr >> 31 << 32), nip, msr))
        elif section.name == "spapr" and (inner := reading.inner("tb")) is not None:
            found.guest_timebase = inner.number("guest_timebase")
            found.time_of_day_ns = inner.number("time_of_the_day_ns", signed=True)
    return found


class _Reading:
    """The numbers of one section, or of a structure in it."""

    def __init__(self, data: memoryview, section: Section, fields: list[Any], at: int = 0) -> None:
        self._data, self._section, self._at = data, section, at
        self._places = {name: (place, inner) for name, place, inner in places(fields)}

    def _place(self, name: str) -> Place:
        if name not in self._places:
            raise Undescribed(f"{self._section.name!r} has no field {name!r} in the stream's description of itself")
        return self._places[name][0]

    def number(self, name: str, index: int = 0, signed: bool = False) -> int:
        place = self._place(name)
        at = self._at + place.at + index * place.size
        if index >= place.count or place.size > 8 or at + place.size > self._section.size:
            raise Undescribed(f"{self._section.name!r} is not as the stream's description of itself says: {name!r}")
        begin = self._section.at + at
        return int.from_bytes(self._data[begin : begin + place.size], "big", signed=signed)

    def inner(self, name: str) -> _Reading | None:
        if name not in self._places:
            return None
        place, fields = self._places[name]
        return _Reading(self._data, self._section, fields, self._at + place.at)
