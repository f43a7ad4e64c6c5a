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


def read_config(args: argparse.Namespace) -> Config:
    """The configuration that ``args`` ask for.

    Raises:
        ConfigError: it is wrong.
    """
    overrides = list(args.overrides)
    if args.seed is not None:
        overrides.append(f"run.seed={args.seed}")
    if args.clock is not None:
        overrides.append(f"run.clock={args.clock}")
    return load(args.config, overrides)
