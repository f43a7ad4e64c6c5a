"""A migration stream of QEMU that was saved to a file: its sections, one after the other.

QEMU ``migration/savevm.c`` and ``ram.c``, as of 7.2 and 10.0. Only RAM and the hash table of pseries say how long they
are; what a device saved has no length of its own. Its end is where the stream's description of itself (JSON, at the
end) says, and where its footer is; where there is no description, the footer alone is looked for.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from mmap import mmap
from typing import Final

MAGIC: Final = b"QEVM"
VERSION: Final = 3

EOF, START, PART, END, FULL, DESCRIPTION, CONFIGURATION, COMMAND, FOOTER = 0, 1, 2, 3, 4, 6, 7, 8, 0x7E
_NEXT: Final = bytes((EOF, START, PART, END, FULL, DESCRIPTION, COMMAND))
"""What may follow a footer."""
_ZERO, _MEM_SIZE, _PAGE, _EOS, _CONTINUE, _XBZRLE, _FLUSH = 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x200
_PAGE_SIZE: Final = 4096
_HPTE: Final = 16
_MOST_SECTIONS: Final = 100_000
_LONGEST_DESCRIPTION: Final = 64 << 20


class Broken(Exception):
    """The stream cannot be read on; says why, and at which byte."""


@dataclass(slots=True)
class Section:
    """One section, all of its parts. ``at``: where its content begins. ``size``: bytes of content."""

    number: int
    name: str
    instance: int
    version: int
    at: int
    size: int = 0
    parts: int = 0


@dataclass(slots=True)
class RamPages:
    """What was sent of RAM, by kind of page, and how large each block is."""

    blocks: dict[str, int] = field(default_factory=dict)
    normal: int = 0
    zero: int = 0
    xbzrle: int = 0


@dataclass(slots=True)
class Stream:
    """What was read. ``problem``: why no more was; empty if it is whole. ``description``: the JSON, if there is one."""

    machine: str = ""
    sections: list[Section] = field(default_factory=list)
    ram: RamPages = field(default_factory=RamPages)
    commands: int = 0
    description: bytes = b""
    size: int = 0
    problem: str = ""


def read_stream(data: bytes | mmap | memoryview) -> Stream:
    """Read ``data`` as far as it can be read; never fails, and reads nothing twice but to look for a footer."""
    reader = _Reader(data)
    stream = Stream(size=len(reader.data))
    try:
        _read(reader, stream)
    except Broken as broken:
        stream.problem = str(broken)
    return stream


class _Reader:
    """A place in the stream."""

    def __init__(self, data: bytes | mmap | memoryview) -> None:
        self.data = memoryview(data).cast("B")
        self.at = 0
        self.what = "the header"

    def broken(self, problem: str) -> Broken:
        return Broken(f"byte {self.at:,}, in {self.what}: {problem}")

    def skip(self, size: int) -> int:
        """Pass over ``size`` bytes; gives where they begin."""
        if size > len(self.data) - self.at:
            raise self.broken(f"the stream ends {size - (len(self.data) - self.at):,} bytes too soon")
        self.at += size
        return self.at - size

    def take(self, size: int) -> bytes:
        begin = self.skip(size)
        return bytes(self.data[begin : begin + size])

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self, size: int) -> str:
        return self.take(size).decode(errors="replace")

    def name(self) -> str:
        return self.text(self.number(1))


def _read(reader: _Reader, stream: Stream) -> None:
    if reader.take(4) != MAGIC:
        raise reader.broken("not a migration stream of QEMU")
    if (version := reader.number(4)) != VERSION:
        raise reader.broken(f"version {version}, and {VERSION} is known")
    known: dict[int, Section] = {}
    while True:
        reader.what = "what comes after a section"
        kind = reader.number(1)
        if kind == EOF:
            # the description comes after the end of the migration proper
            if reader.at < len(reader.data) and reader.data[reader.at] == DESCRIPTION:
                reader.at += 1
                _description(reader, stream)
            return
        if kind == CONFIGURATION:
            reader.what = "the configuration"
            stream.machine = reader.text(reader.number(4))
            _configuration_rest(reader)
        elif kind == COMMAND:
            reader.number(2)
            reader.skip(reader.number(2))
            stream.commands += 1
        elif kind == DESCRIPTION:
            _description(reader, stream)
            return
        elif kind in (START, PART, END, FULL):
            _section(reader, stream, known, kind)
        else:
            raise reader.broken(f"a section of the unknown kind {kind:#x}")


def _configuration_rest(reader: _Reader) -> None:
    """Its subsections: they have no length, and none is long. They end where a section may begin."""
    while reader.at < len(reader.data) and reader.data[reader.at] == 5:
        end = next(
            (at for at in range(reader.at + 1, min(len(reader.data), reader.at + 4096)) if _begins(reader, at)), None
        )
        if end is None:
            raise reader.broken("its subsections have no end")
        reader.at = end


def _begins(reader: _Reader, at: int) -> bool:
    """Whether the first section, RAM, or a command that comes before it, begins at ``at``."""
    data = reader.data
    if bytes(data[at : at + 1]) == bytes([START]):
        return bytes(data[at + 5 : at + 9]) == b"\x03ram"
    return bytes(data[at : at + 1]) == bytes([COMMAND]) and len(data) > at + 5 and data[at + 1] == 0


def _section(reader: _Reader, stream: Stream, known: dict[int, Section], kind: int) -> None:
    number = reader.number(4)
    if kind in (START, FULL):
        if len(known) >= _MOST_SECTIONS:
            raise reader.broken(f"more than {_MOST_SECTIONS:,} sections")
        reader.what = f"the head of section {number}"
        name, instance, version = reader.name(), reader.number(4), reader.number(4)
        if number in known:
            raise reader.broken("the number was another section's")
        known[number] = Section(number, name, instance, version, reader.at)
        stream.sections.append(known[number])
    section = known.get(number)
    if section is None:
        raise reader.broken(f"a part of section {number}, which was not begun")
    reader.what = f"section {section.name!r} {section.instance}"
    begin = reader.at
    section.parts += 1
    if kind == FULL:
        _find_footer(reader, number)
    elif section.name == "ram":
        _ram(reader, stream.ram)
    elif section.name == "spapr/htab":
        _htab(reader, kind == START)
    else:
        _find_footer(reader, number)
    section.size += reader.at - begin
    if reader.number(1) != FOOTER or reader.number(4) != number:
        raise reader.broken("its footer is missing")


def _find_footer(reader: _Reader, number: int) -> None:
    """Go to the first footer of ``number`` that something follows which may."""
    wanted = bytes([FOOTER]) + struct.pack(">I", number)
    at = reader.at
    while (at := _find(reader.data, wanted, at)) >= 0:
        if at + 5 < len(reader.data) and reader.data[at + 5] in _NEXT:
            reader.at = at
            return
        at += 1
    raise reader.broken("it has no end in the stream")


def _find(data: memoryview, wanted: bytes, begin: int) -> int:
    """As ``bytes.find``, piece by piece, so that little is copied."""
    piece = 1 << 20
    while begin < len(data):
        found = bytes(data[begin : begin + piece + len(wanted) - 1]).find(wanted)
        if found >= 0:
            return begin + found
        begin += piece
    return -1


def _ram(reader: _Reader, pages: RamPages) -> None:
    while True:
        word = reader.number(8)
        address, flags = word & ~0xFFF, word & 0xFFF
        kind = flags & ~_CONTINUE
        if kind == _EOS:
            return
        if kind == _MEM_SIZE:
            _blocks(reader, pages, address)
            continue
        if kind == _FLUSH:
            continue
        if kind not in (_ZERO, _PAGE, _XBZRLE):
            raise reader.broken(f"a record of RAM with the unknown flags {flags:#x}")
        if not flags & _CONTINUE:
            reader.name()
        if kind == _PAGE:
            reader.skip(_PAGE_SIZE)
            pages.normal += 1
        elif kind == _ZERO:
            reader.skip(1)
            pages.zero += 1
        else:
            reader.skip(1)
            reader.skip(reader.number(2))
            pages.xbzrle += 1


def _blocks(reader: _Reader, pages: RamPages, total: int) -> None:
    while total > 0:
        name, size = reader.name(), reader.number(8)
        if not 0 < size <= total:
            raise reader.broken(f"block {name!r} of RAM has {size:,} bytes, of {total:,}")
        pages.blocks[name] = size
        total -= size


def _htab(reader: _Reader, start: bool) -> None:
    """The page hash table: at the start its size; then runs of entries, to an empty one."""
    if start:
        reader.skip(4)
        return
    if reader.number(4) == 0xFFFF_FFFF:
        return
    while True:
        index, valid, invalid = reader.number(4), reader.number(2), reader.number(2)
        if not index and not valid and not invalid:
            return
        reader.skip(valid * _HPTE)


def _description(reader: _Reader, stream: Stream) -> None:
    reader.what = "the description"
    size = reader.number(4)
    if size > _LONGEST_DESCRIPTION:
        raise reader.broken(f"{size:,} bytes long")
    stream.description = reader.take(size)


