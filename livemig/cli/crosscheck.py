"""``livemig crosscheck CONFIG``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from livemig.cli.options import add_config, add_engine, add_output, read_config

if TYPE_CHECKING:
    from livemig.launch.qemu.crosscheck import Checked


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    add_config(parser)
    add_engine(parser)
    add_output(parser, "where the run directories go, two a downtime")
    parser.add_argument(
        "--downtimes", type=_times, metavar="TIME,…", help="once for each of these, in place of migration.downtime"
    )


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from livemig.launch.qemu.crosscheck import crosscheck

    def announce(what: str) -> None:
        print(what, file=sys.stderr)

    config = read_config(args)
    downtimes = args.downtimes or [config.migration.downtime]
    rows = list(crosscheck(config, args.config, downtimes, args.out, announce))
    if args.json:
        import orjson

        print(orjson.dumps({"crosscheck": [row.as_dict() for row in rows]}).decode())
    else:
        print("\n".join(_table(rows)))
    return 0 if all(row.agrees for row in rows) else 1


def _table(rows: list[Checked]) -> list[str]:
    lines = [
        f"{'downtime':>10}  {'blackout':>12}  cpu  {'TB at stop':>15}  {'DECR':>13}  "
        f"{'TB restored':>15}  {'off':>6}  {'DECR':>15}  {'off':>6}  QEMU     model"
    ]
    for row in rows:
        for each in row.differences:
            lines.append(
                f"{row.downtime_ns / 1e6:>7g} ms  {row.blackout_ns / 1e6:>9.3f} ms  {each.cpu:>3}  "
                f"{each.stopped.tb:>15,}  {each.stopped.decr:>13,}  {each.restored.tb:>15,}  {each.tb:>6,}  "
                f"{each.restored.decr:>15,}  {each.decr:>6,}  {row.qemu.verdict:<7}  {row.model.verdict}"
            )
    off = sum(not row.agrees for row in rows)
    said = f"{off} of them differ" if off else "QEMU and the model agree to the tick"
    lines.append(f"{len(rows)} blackouts, strategy {rows[0].strategy}: {said}")
    return lines


def _times(text: str) -> list[int]:
    from livemig.config.quantity import Quantity
    from livemig.config.units import TIME

    try:
        return [Quantity(TIME, "0ns", "1h").parse(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
