"""The run directory: what one run wrote, and the manifest that says whether it wrote all of it."""

from __future__ import annotations

import os
import platform
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson

from livemig import __version__
from livemig.config.model import Config
from livemig.config.script import parse
from livemig.emulator import build
from livemig.errors import OutputError
from livemig.events.schema import SCHEMA_VERSION
from livemig.timers.ticks import NS_PER_S

MANIFEST = "run.json"
_ANSWER = 1024
"""Bytes: more than any answer has."""


def create(out: Path | None, name: str) -> Path:
    """Make ``out``, or a new directory for ``name`` under ``runs/``.

    Raises:
        OutputError: it exists already and is not empty, or cannot be made.
    """
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            if any(out.iterdir()):
                raise OutputError(str(out), "exists and is not empty; a run needs a directory of its own")
            return out
        Path("runs").mkdir(exist_ok=True)
        stem = re.sub(r"[^\w.-]+", "-", name)
        when = time.strftime("%Y%m%d-%H%M%S")
        for number in range(1000):
            path = Path("runs") / (f"{stem}-{when}" + (f"-{number}" if number else ""))
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return path
        raise OutputError("runs", f"a thousand directories {stem}-{when}-* exist")
    except OSError as error:
        raise OutputError(str(out or "runs"), error.strerror or str(error)) from error


def make(path: Path) -> None:
    """A directory at ``path``, which may be there.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(str(path), error.strerror or str(error)) from error


def manifest(config: Config, config_file: str) -> dict[str, Any]:
    """``run.json`` as it is when a run begins: not ``complete``."""
    return {
        "schema": SCHEMA_VERSION,
        "complete": False,
        "livemig": __version__,
        "python": platform.python_version(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "engine": "emulator",
        "config_file": config_file,
        "config": config.as_toml_values(),
        **for_the_judge(config),
        "migration": {"status": "none", "owner": "source", "reason": "", "torn": []},
    }


def for_the_judge(config: Config) -> dict[str, Any]:
    """What of ``run.json`` a judge reads, but for how the run ended."""
    migration = config.migration
    settings = build.settings(config)
    return {
        "seed": config.run.seed,
        "strategy": migration.strategy,
        "machine": build.spec(config).as_fields(),
        "judge": {
            "time_policy": migration.time_policy,
            "advance_at_most_ns": settings.advance_at_most_ns,
            "clock": config.run.clock,
            "late_tolerance_ns": config.checks.late_tolerance,
            "lost_after_ns": config.checks.lost_after,
            "downtime_ns": migration.downtime,
            "hops": migration.hops,
            "downtime_limit_ns": settings.convergence.highest_ns,
            "answer_ns": _answer_ns(config),
            "expectations": _expectations(config),
        },
    }


def _answer_ns(config: Config) -> int:
    """How long a message without pages or state is on its way back, at most."""
    link = config.link
    return (link.return_latency or link.latency) + link.jitter - (-_ANSWER * 8 * NS_PER_S // link.bandwidth)


def ended(config: Config, migration: dict[str, Any]) -> dict[str, Any]:
    """A whole run, as far as a judge needs it, without a directory."""
    about = {"schema": SCHEMA_VERSION, "complete": True, "engine": "emulator", **for_the_judge(config)}
    return {**about, "migration": migration}


def _expectations(config: Config) -> int:
    script = config.guest.script.lines if config.guest.kind == "script" else ""
    return parse(script).expectations * config.machine.cpus


def write(directory: Path, value: dict[str, Any]) -> None:
    """Write ``run.json``, whole or not at all.

    Raises:
        OutputError: it cannot be written; what was there before is there still.
    """
    path = directory / MANIFEST
    name = ""
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".run-", delete=False) as file:
            name = file.name
            file.write(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        if name:
            Path(name).unlink(missing_ok=True)
        raise OutputError(str(path), error.strerror or str(error)) from error
