"""Which QEMU: its program, where its data are, and its release."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from livemig.config.engine import Engine
from livemig.errors import UsageError
from livemig.launch.qemu_versions import MAC99_25MHZ, Version, level_triggered, start_up, timebase_hz

PACKAGE: Final = "qemu-system-ppc"
"""Debian's; it has both programs."""

_VERSION: Final = re.compile(r"QEMU emulator version (\d{1,4})\.(\d{1,4})\.(\d{1,4})(?: \(([^)\n]*)\))?")
_PATIENCE_S: Final = 20

MODELS: Final = ("g3beige", "mac99", "pseries")
"""The machines that livemig runs in QEMU."""


@dataclass(frozen=True, slots=True)
class Binary:
    """One QEMU program. ``options``, ``environment``: what it needs to find its data, modules and libraries."""

    path: str
    version: Version
    package: str = ""
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def release(self) -> str:
        """Its version as QEMU writes it."""
        return str(self.version)

    def timebase_hz(self, machine: str) -> int:
        """The frequency of ``machine``'s timebase in this release; ``machine`` is one of :data:`MODELS`."""
        hz = timebase_hz(machine, self.version)
        assert hz is not None
        return hz

    def reset_decrementer(self, machine: str) -> str:
        """What DECR is on ``machine`` before anything is loaded, as ``machine.reset_decrementer`` says it."""
        return start_up(machine, self.version, level_triggered(machine, None, program(machine))).value


def frequencies(machine: str) -> set[int]:
    """Those that ``machine`` has, or had, in QEMU."""
    before = MAC99_25MHZ.release._replace(major=MAC99_25MHZ.release.major - 1)
    found = (timebase_hz(machine, version) for version in (before, MAC99_25MHZ.release))
    return {hz for hz in found if hz is not None}


def program(machine: str) -> str:
    """The name of the program that has ``machine``."""
    return "qemu-system-ppc64" if machine == "pseries" else "qemu-system-ppc"


def binary_of(engine: Engine, side: str, machine: str) -> Binary:
    """The QEMU that ``engine`` asks for on ``side``.

    Raises:
        UsageError: it is not there, does not run, is no QEMU, or not of the release asked for.
    """
    source = side == "source"
    own, root = (
        (engine.source_binary, engine.source_root) if source else (engine.destination_binary, engine.destination_root)
    )
    wanted = engine.source_version if source else engine.destination_version
    found = find(own or engine.binary or program(machine), root or engine.qemu_root)
    if wanted and not f"{found.release}.".startswith(f"{wanted}."):
        raise UsageError(
            f"engine.{side}_version: this scenario is about QEMU {wanted}, and {found.path} is {found.release}; give "
            f"another one with --{side}-root or --qemu-root"
        )
    return found


def find(name: str, root: str = "") -> Binary:
    """The program ``name``, in ``root`` or, as a shell looks it up, on this machine. Raises UsageError."""
    options: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    if root:
        places = (Path(root, inner) for inner in ("", "usr", "usr/local"))
        base = next((at for at in places if (at / "bin").is_dir()), None)
        if base is None:
            raise UsageError(f"{root}: no bin/, usr/bin/ or usr/local/bin/ in it; no QEMU was unpacked there")
        path: str | None = str(base / "bin" / Path(name).name)
        options, environment = _of_root(base)
    else:
        path = shutil.which(name)
    if path is None or not os.access(path, os.X_OK):
        raise UsageError(f"{path or name}: not found; QEMU for PowerPC is in Debian's and Ubuntu's package {PACKAGE}")
    version, package = _version(path, environment)
    return Binary(path, version, package, options, environment)


def _of_root(base: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    options = ("-L", str(base / "share" / "qemu"))
    libraries = [base / "lib", *sorted(base.glob("lib/*-linux-gnu"))]
    environment = {}
    if shared := [str(at) for at in libraries if any(at.glob("*.so*"))]:
        environment["LD_LIBRARY_PATH"] = ":".join(shared)
    if modules := [str(at / "qemu") for at in libraries if (at / "qemu").is_dir()]:
        environment["QEMU_MODULE_DIR"] = modules[0]
    return options, environment


def _version(path: str, environment: dict[str, str]) -> tuple[Version, str]:
    try:
        done = subprocess.run(
            [path, "--version"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{path}: does not run: {error}") from error
    found = _VERSION.search(done.stdout)
    if found is None:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise UsageError(f"{path}: is not QEMU, or does not run: {said[-1]}")
    return Version(int(found[1]), int(found[2]), int(found[3])), found[4] or ""
