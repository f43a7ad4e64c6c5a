"""``livemig import qemu SOURCE.log DESTINATION.log``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from livemig.cli.options import time_policy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("what", choices=("qemu",), help="whose logs they are")
    parser.add_argument("source", type=Path, metavar="SOURCE.log", help="the source's trace log, plain or gzipped")
    parser.add_argument("destination", type=Path, metavar="DESTINATION.log", help="the destination's")
    parser.add_argument(
        "--timebase-hz", type=_frequency, required=True, metavar="N", help="of the guest's timebase; 25000000, or 25MHz"
    )
    parser.add_argument("--run-toml", type=Path, metavar="FILE", help="what else is known of the run")
    parser.add_argument(
        "--late-tolerance",
        type=_time,
        metavar="TIME",
        help="lateness that is the host's (as late as it was before the migration, 20ms at least)",
    )
    parser.add_argument(
        "--time-policy", type=time_policy, help="what guest time shall do over the blackout (either)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="the run directory, to be made")
    parser.add_argument("--json", action="store_true", help="print what became of the lines as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.events.qemu.importing import Wanted, import_qemu

    wanted = Wanted(args.timebase_hz, args.run_toml, args.late_tolerance, *(args.time_policy or ()))
    account = import_qemu(args.source, args.destination, args.out, wanted)["import"]
    if account["not_understood"]:
        first = ", ".join(account["first_places"])
        print(f"livemig: {account['not_understood']:,} lines not understood; first: {first}", file=sys.stderr)
    if args.json:
        import orjson

        print(orjson.dumps({"run_dir": str(args.out), **account}).decode())
    else:
        print(_summary(account, args.out, args.timebase_hz))
    return 0


def _summary(account: dict[str, Any], out: Path, timebase_hz: int) -> str:
    lines = [f"{account['lines']:,} lines of {len(account['cpus'])} CPUs; now: livemig analyze {out}"]
    for what in ("stopped", "resumed"):
        by = account[f"{what}_by"]
        lines.append(f"  {what}: {by or 'not in the logs'}")
    if (hz := account["destination_timebase_hz"]) != timebase_hz:
        lines.append(f"  the destination's timebase: {hz:,} Hz")
    for name in ("interrupts_unplaced", "interrupts_before_the_first_arm"):
        if account[name]:
            lines.append(f"  {name.replace('_', ' ')}: {account[name]:,}")
    lines += [f"  guessed: {what}" for what in account["guessed"]]
    return "\n".join(lines)


def _frequency(text: str) -> int:
    return _quantity("FREQUENCY", "1Hz", "10GHz", f"{text}Hz" if text.isdecimal() else text)


def _time(text: str) -> int:
    return _quantity("TIME", "0ns", "1h", text)


def _quantity(dimension: str, low: str, high: str, text: str) -> int:
    from livemig.config import units
    from livemig.config.quantity import Quantity

    try:
        return Quantity(getattr(units, dimension), low, high).parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
