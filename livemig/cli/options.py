"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from livemig.config.load import load
from livemig.config.model import Config


def add_config(parser: argparse.ArgumentParser) -> None:
    """``CONFIG``, ``--set``, ``--seed``, ``--clock``."""
    parser.add_argument("config", metavar="CONFIG", help="a TOML file; its keys are in docs/config.md")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override a key"
    )
    parser.add_argument("--seed", type=int, help="override run.seed")
    parser.add_argument("--clock", choices=("virtual", "wall"), help="override run.clock")


def add_output(parser: argparse.ArgumentParser, what: str) -> None:
    """``--out``, ``--json``."""
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"{what}; if it is there it must be empty")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on standard output")


def add_engine(parser: argparse.ArgumentParser) -> None:
    """``--engine`` and where its QEMU and its guest are."""
    parser.add_argument("--engine", choices=("emulator", "qemu"), help="override engine.kind")
    for name, what in _PLACES.items():
        parser.add_argument(f"--{name}", type=Path, metavar="PATH", help=what)


_PLACES = {
    "qemu-root": "override engine.qemu_root: an unpacked QEMU in place of the installed one",
    "source-root": "override engine.source_root",
    "destination-root": "override engine.destination_root",
    "kernel": "override engine.kernel: a guest of your own, run by a real QEMU",
    "initrd": "override engine.initrd",
}


def _engine_overrides(args: argparse.Namespace) -> list[str]:
    found = [f"engine.kind={args.engine}"] if getattr(args, "engine", None) else []
    for name in _PLACES:
        key = name.replace("-", "_")
        if (path := getattr(args, key, None)) is not None:
            found.append(f"engine.{key}='{path.absolute()}'")
    return found


def time_policy(text: str) -> tuple[str, int | None]:
    """A time policy, and by how much guest time goes on at most: of an option's value."""
    from livemig.config.migration import TIME_POLICY

    try:
        policy = TIME_POLICY.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error} (allowed: {TIME_POLICY.range})") from None
    return policy, TIME_POLICY.at_most_ns(policy)


def read_config(args: argparse.Namespace, *more: str) -> Config:
    """The configuration that ``args`` ask for; ``more``: overrides behind theirs.

    Raises:
        ConfigError: it is wrong.
    """
    overrides = list(args.overrides)
    if args.seed is not None:
        overrides.append(f"run.seed={args.seed}")
    if args.clock is not None:
        overrides.append(f"run.clock={args.clock}")
    return load(args.config, [*overrides, *_engine_overrides(args), *more])
