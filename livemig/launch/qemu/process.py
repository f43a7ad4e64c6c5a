"""One QEMU process: started, driven over QMP, and ended whatever happens."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import trio

from livemig.errors import ConnectTimeout, LivemigError, PeerLost, QmpError
from livemig.launch.qemu.guest import ENTRIES, RECORD, RING, STATUS, STATUS_WORDS, Record, interrupts, records
from livemig.launch.qemu.registers import Registers, every_cpu, parse_words
from livemig.qmp.client import QmpClient, open_qmp

_PATIENCE_S: Final = 5
"""How long a QEMU that was told to quit may take."""
_POLL_S: Final = 0.005
_SAID: Final = 4096

_LIBC: Final = ctypes.CDLL(None)
_PR_SET_PDEATHSIG: Final = 1


class QemuError(LivemigError):
    """A QEMU process did not do what it was asked."""


class Qemu:
    """A running QEMU; from :func:`running`."""

    def __init__(self, side: str, process: subprocess.Popen[bytes], client: QmpClient, private: Path) -> None:
        self.side, self.client = side, client
        self._process, self._private = process, private

    async def execute(self, command: str, arguments: Mapping[str, Any] | None = None, /, **more: Any) -> Any:
        """One QMP command; ``more`` are arguments too, ``_`` standing for ``-``.

        Raises:
            QmpError: QEMU's error.
            QemuError: the process has ended; with the last line it wrote.
        """
        try:
            return await self.client.execute(command, arguments, **more)
        except PeerLost as error:
            raise await _ended(self.side, self._process, self._private) from error

    async def monitor(self, line: str) -> str:
        """One command of the human monitor."""
        return str(await self.execute("human-monitor-command", command_line=line))

    async def registers(self) -> list[Registers]:
        """Of every CPU. In the trace this is a read of DECR and two of TB by the main thread."""
        return every_cpu(await self.monitor("info registers -a"))

    async def status(self) -> str:
        """The run state, by QEMU's name."""
        return str((await self.execute("query-status"))["status"])

    async def interrupts(self) -> int | None:
        """How many interrupts livemig's guest has written down; None if it is not ready yet."""
        return interrupts(parse_words(await self.monitor(f"xp /{STATUS_WORDS}xw {STATUS:#x}")))

    async def records(self) -> list[Record]:
        """What livemig's guest wrote down; empty if it never got ready."""
        count = await self.interrupts()
        if count is None:
            return []
        memory = self._private / f"{self.side}.memory"
        await self.execute("pmemsave", val=RING, size=ENTRIES * RECORD, filename=str(memory))
        return list(records(count, memory.read_bytes()))

    async def until_ready(self) -> None:
        """Until livemig's guest has begun."""
        while await self.interrupts() is None:
            await trio.sleep(_POLL_S)

    async def until_loaded(self) -> str:
        """Until an incoming migration has come in; gives the run state then."""
        while (status := await self.status()) == "inmigrate":
            await trio.sleep(_POLL_S)
        return status


@asynccontextmanager
async def running(
    side: str, command: Sequence[str], environment: dict[str, str], private: Path, start_timeout_ns: int
) -> AsyncIterator[Qemu]:
    """Start ``command``, whose QMP socket is ``private``/``side``.qmp. At the end it is told to quit, then killed.

    It dies with this process, whatever becomes of that. Not to be called in another thread than the main one.

    Raises:
        QemuError: it did not start; with the last line it wrote.
    """
    with (private / f"{side}.stderr").open("wb") as output:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
            process_group=0,  # Ctrl-C is for livemig, which ends it in order.
            preexec_fn=_die_with_parent,
        )
    try:
        socket = private / f"{side}.qmp"
        await _until_there(side, process, private, socket, start_timeout_ns)
        async with open_qmp(socket, start_timeout_ns) as client:
            yield Qemu(side, process, client, private)
            with trio.move_on_after(_PATIENCE_S), suppress(QmpError, PeerLost):
                await client.execute("quit")
                await _until_ended(process)
    except (PeerLost, ConnectTimeout) as error:
        raise await _ended(side, process, private) from error
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


async def _until_there(
    side: str, process: subprocess.Popen[bytes], private: Path, socket: Path, timeout_ns: int
) -> None:
    with trio.move_on_after(timeout_ns / 1e9):
        while process.poll() is None and not socket.exists():
            await trio.sleep(_POLL_S)
    if process.poll() is not None:
        raise await _ended(side, process, private)
    if not socket.exists():
        raise QemuError(f"{side}: QEMU did not listen for QMP within {timeout_ns / 1e9:g} s")


async def _until_ended(process: subprocess.Popen[bytes]) -> None:
    pidfd = os.pidfd_open(process.pid)
    try:
        await trio.lowlevel.wait_readable(pidfd)
    finally:
        os.close(pidfd)


async def _ended(side: str, process: subprocess.Popen[bytes], private: Path) -> QemuError:
    """That it has, and how."""
    with trio.move_on_after(_PATIENCE_S):
        while process.poll() is None:
            await trio.sleep(_POLL_S)
    code = process.returncode
    if code is None:
        how = "closed its QMP connection"
    elif code < 0:
        how = f"was ended by signal {-code} ({signal.strsignal(-code)})"
    else:
        how = f"ended with exit code {code}"
    lines = (private / f"{side}.stderr").read_bytes()[-_SAID:].decode(errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return QemuError(f"{side}: QEMU {how}" + (f": {said}" if said else ""))


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
