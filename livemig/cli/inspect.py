"""``livemig inspect STREAM``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from livemig.launch.own_stream import OwnStream
    from livemig.launch.qemu.inspection import Inspection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument(
        "stream", type=Path, metavar="STREAM", help="a file that QEMU or livemig migrated to, plain or gzipped"
    )
    parser.add_argument("--timebase-hz", type=int, metavar="N", help="of the guest's timebase, where it is not QEMU's")
    parser.add_argument("--json", action="store_true", help="print it as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.launch.own_stream import OwnStream
    from livemig.launch.qemu.inspection import inspect_stream

    found = inspect_stream(args.stream, args.timebase_hz)
    if args.json:
        import orjson

        print(orjson.dumps(asdict(found) if isinstance(found, OwnStream) else found.as_dict()).decode())
    else:
        print("\n".join(_own_lines(found) if isinstance(found, OwnStream) else _lines(found)))
    problem = found.problem if isinstance(found, OwnStream) else found.stream.problem
    if problem:
        print(f"livemig: {args.stream}: {problem}", file=sys.stderr)
        return 2
    return 0


def _own_lines(found: OwnStream) -> Iterator[str]:
    from livemig.analysis.table import table

    yield f"livemig, strategy {_shown(found.strategy) or 'unknown'}, {found.size:,} bytes"
    for key, value in found.machine.items():
        yield f"  {_shown(str(key))}: {_shown(str(value))}"
    for key, value in found.saved.items():
        yield f"  saved {_shown(str(key))}: {_shown(str(value))}"
    yield ""
    rows = [["frame", "count", "header bytes", "payload bytes"]]
    rows += [[kind, f"{n.count:,}", f"{n.header:,}", f"{n.payload:,}"] for kind, n in found.frames.items()]
    yield from table(rows, left=(0,), indent=2)
    if found.sections:
        yield ""
        yield from table([["section", "version"], *([name, str(n)] for name, n in found.sections)], indent=2)


def _lines(found: Inspection) -> Iterator[str]:
    from livemig.analysis.table import table

    stream, time = found.stream, found.time
    yield f"QEMU, machine {_shown(stream.machine) or 'unknown'}, {stream.size:,} bytes, {len(stream.sections)} sections"
    ram = stream.ram
    for block, size in ram.blocks.items():
        yield f"  RAM {_shown(block)}: {size:,} bytes"
    yield f"  pages: {ram.normal:,} sent whole, {ram.zero:,} zero, {ram.xbzrle:,} as their difference"
    if time.clock_ns is not None:
        yield f"  virtual clock {time.clock_ns:,} ns"
        for hz, tb in found.timebases:
            yield f"    TB {tb:,} at {hz:,} Hz, if the guest did not set it"
    for cpu in time.cpus:
        yield f"  cpu {cpu.cpu}: DECR {cpu.decr:,}, NIP {cpu.nip:#x}, MSR {cpu.msr:#x}"
    if time.guest_timebase is not None:
        yield f"  spapr: guest_timebase {time.guest_timebase:,} at time of day {time.time_of_day_ns:,} ns (for KVM)"
    if found.undescribed:
        yield f"  TB and DECR: {found.undescribed}"
    yield ""
    rows: list[Any] = [["section", "instance", "version", "parts", "bytes", "at byte"]]
    for each in stream.sections:
        numbers = (each.version, each.parts, each.size, each.at)
        rows.append([_shown(each.name), str(each.instance), *(f"{number:,}" for number in numbers)])
    yield from table(rows, left=(0,), indent=2)


def _shown(name: str) -> str:
    """A name from a file is no text for a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)
