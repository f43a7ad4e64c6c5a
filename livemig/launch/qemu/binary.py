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
_TRACES: Final = Version(7, 2)
"""Every release from here on has the trace events of the timers; 5.2 has none."""
_TRACED: Final = "ppc_decr_load"
_NAMES_THREADS: Final = 10, 0
"""The last release that was seen to name the thread in each line of its log; 11.1 does not."""

MODELS: Final = ("g3beige", "mac99", "pseries")
"""The machines that livemig runs in QEMU."""


@dataclass(frozen=True, slots=True)
class Binary:
    """One QEMU program. ``options``, ``environment``, ``loader``: what it needs to find its data, modules and
    libraries; the loader, where it has one of its own, comes before the program's path."""

    path: str
    version: Version
    package: str = ""
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    loader: tuple[str, ...] = ()

    @property
    def release(self) -> str:
        """Its version as QEMU writes it."""
        return str(self.version)

    @property
    def names_no_thread(self) -> bool:
        """Its one log may not say which thread wrote a line; it is to write one for each."""
        return self.version[:2] > _NAMES_THREADS

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
    shared = "" if "/" in own else engine.qemu_root  # A side's own program is where its path says.
    found = find(own or engine.binary or program(machine), root or shared)
    if wanted and not f"{found.release}.".startswith(f"{wanted}."):
        raise UsageError(
            f"engine.{side}_version: this scenario is about QEMU {wanted}, and {found.path} is {found.release}; give "
            f"another one with --{side}-root or --qemu-root"
        )
    return found


def find(name: str, root: str = "") -> Binary:
    """The program ``name``, in ``root`` or, as a shell looks it up, on this machine. Raises UsageError."""
    path, options, environment, loader = _of_root(Path(root), name) if root else (shutil.which(name), (), {}, ())
    if path is None or not os.access(path, os.X_OK):
        raise UsageError(f"{path or name}: not found; QEMU for PowerPC is in Debian's and Ubuntu's package {PACKAGE}")
    version, package = _version([*loader, path], environment)
    if version < _TRACES and _TRACED not in _said([*loader, path, "-trace", "help"], environment).stdout:
        raise UsageError(f"{path}: QEMU {version} does not trace its timers, by which they are watched; needed: 7.2")
    return Binary(path, version, package, options, environment, loader)


def _of_root(root: Path, name: str) -> tuple[str, tuple[str, ...], dict[str, str], tuple[str, ...]]:
    """Path, options, environment and loader of what was unpacked there."""
    there = [at for at in (root / inner for inner in ("", "usr", "usr/local")) if (at / "bin").is_dir()]
    if not there:
        raise UsageError(f"{root}: no bin/, usr/bin/ or usr/local/bin/ in it; no QEMU was unpacked there")
    program = Path(name).name
    base = next((at for at in there if (at / "bin" / program).exists()), there[0])
    found = [*base.glob("lib"), *sorted(base.glob("lib/*-linux-gnu"))]
    if base == root / "usr":
        found += sorted(root.glob("lib/*-linux-gnu"))  # Of a release that keeps /lib apart.
    shared = [at for at in found if any(at.glob("*.so*"))]
    environment = {}
    if modules := [str(at / "qemu") for at in found if (at / "qemu").is_dir()]:
        environment["QEMU_MODULE_DIR"] = modules[0]
    libraries = ":".join(map(str, shared))
    loader = _loader(shared, libraries)
    if libraries and not loader:
        environment["LD_LIBRARY_PATH"] = libraries
    return str(base / "bin" / program), ("-L", str(base / "share" / "qemu")), environment, loader


def _loader(shared: list[Path], libraries: str) -> tuple[str, ...]:
    """Where a C library was unpacked as well, only the loader that belongs to it can load it."""
    if not any((at / "libc.so.6").exists() for at in shared):
        return ()
    found = next((each for at in shared for each in sorted(at.glob("ld-linux*.so.*"))), None)
    return () if found is None else (str(found), "--library-path", libraries)


def _version(command: list[str], environment: dict[str, str]) -> tuple[Version, str]:
    path = command[-1]
    done = _said([*command, "--version"], environment)
    found = _VERSION.search(done.stdout)
    if found is None:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise UsageError(f"{path}: is not QEMU, or does not run: {said[-1]}")
    return Version(int(found[1]), int(found[2]), int(found[3])), found[4] or ""


def _said(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{command[0]}: does not run: {error}") from error
