"""A source and a destination, forked, each with its host's clock in the test's hand, driven over QMP."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import resource
import signal
import socket
import struct
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from livemig.config.model import Config
from livemig.emulator.process import run_destination, run_source
from livemig.launch.child import Child
from livemig.link.credentials import SERVER, context, make
from livemig.link.uri import listen
from livemig.machine.time_state import Host, HostView

S, D = "source", "destination"
SIDES = (S, D)
_ESTABLISHED = "01"
"""In /proc/net/tcp."""
PATIENCE_S = 30
"""How long anything may take on a busy machine before the cell is given up."""

CONFIG = {
    "run": {"duration": "600s", "clock": "wall"},
    "machine": {"cpus": 2, "ram": "1MiB"},
    "guest": {"memory": {"dirty_rate": "512KiB/s", "filled_percent": 100}},
    "migration": {
        "start": "0ns", "downtime": "50ms", "downtime_limit": "10ms", "peer_timeout": "3s",
        "connect_timeout": "30s",
    },
    "link": {"bandwidth": "80Mbit/s", "latency": "200us"},
    "checks": {"late_tolerance": "20ms", "lost_after": "60s"},
}  # fmt: skip
"""1 MiB at 10 MB/s: eleven frames of pages in the first pass."""


class Gone(Exception):
    """The process has ended."""


class Qmp:
    """A client that waits for its answers, and keeps the events that come between."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")
        self._line()
        self("qmp_capabilities")

    def __call__(self, command: str, **arguments: Any) -> Any:
        """Raises Gone, and RuntimeError for an error."""
        try:
            self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            while "event" in (said := self._line()):
                pass
        except OSError:
            raise Gone from None
        if "error" in said:
            raise RuntimeError(said["error"]["desc"])
        return said["return"]

    def _line(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise Gone
        answer: dict[str, Any] = json.loads(line)
        return answer


class Pair:
    """Both run when this has been made."""

    def __init__(self, directory: Path, transport: str, **migration: Any) -> None:
        secure = transport == "tls"
        more = {"transport": transport, "tls_dir": str(directory / "tls") if secure else "", **migration}
        values = {**CONFIG, "migration": {**CONFIG["migration"], **more}}  # type: ignore[dict-item]
        self.config = Config.model_validate(values)
        self.directory, self._transport = directory, transport
        if secure:
            make(directory / "tls")
        credentials = context(directory / "tls", SERVER) if secure else None
        self._offsets = mmap.mmap(-1, 16)
        listener, self.uri = listen(self.place("there"))
        config, log = self.config, directory
        runs = {
            D: lambda control: run_destination(config, log / "destination.jsonl", listener, control, credentials),
            S: lambda control: run_source(config, log / "source.jsonl", None, control),
        }
        epoch_ns = time.monotonic_ns()
        self.child: dict[str, Child] = {}
        self.stopped: set[str] = set()
        for index, (name, run) in enumerate(runs.items()):
            qmp = socket.socket(socket.AF_UNIX)
            qmp.bind(str(directory / name))
            qmp.listen()
            self.child[name] = Child(name, qmp, self._with_clock(index, run), epoch_ns)
        listener.close()
        self.qmp = {name: Qmp(directory / name) for name in SIDES}

    def place(self, name: str) -> str:
        """A URI at which a destination may listen."""
        return f"unix:{self.directory}/{name}" if self._transport == "unix" else f"{self._transport}:127.0.0.1:0"

    def _with_clock(self, index: int, run: Any) -> Any:
        offsets, right = self._offsets, Host.at

        def at(host: Host, t_ns: int) -> HostView:
            view = right(host, t_ns)
            (offset,) = struct.unpack_from("q", offsets, 8 * index)
            return replace(view, time_of_day_ns=view.time_of_day_ns + offset)

        def wrapped(control: Any) -> Any:
            Host.at = at  # type: ignore[method-assign]
            return run(control)

        return wrapped

    # -- what can go wrong ------------------------------------------------------------------------------------------

    def jump(self, side: str, ns: int) -> None:
        """Its host's time of day is set."""
        struct.pack_into("q", self._offsets, 8 * (side == S), ns)

    def kill(self, side: str) -> None:
        self._signal(side, signal.SIGKILL)
        self.child[side].wait(PATIENCE_S)

    def stop(self, side: str) -> None:
        self._signal(side, signal.SIGSTOP)
        self.stopped.add(side)

    def go_on(self, side: str) -> None:
        self._signal(side, signal.SIGCONT)
        self.stopped.discard(side)

    def fill_disk(self, side: str) -> None:
        """Not another byte into any file."""
        pid = self.child[side].pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, ((self.directory / f"{side}.jsonl").stat().st_size,) * 2)
        self.child[side].wait(0.5)  # or as soon as it writes again

    def _signal(self, side: str, number: int) -> None:
        if self.lives(side):
            os.kill(self.child[side].pid, number)

    # -- what it is -------------------------------------------------------------------------------------------------

    def lives(self, side: str) -> bool:
        return not self.child[side].wait(0)

    def status(self, side: str) -> str:
        """`dead`, or of its migration, in the words of docs/switchover.md."""
        told = self._ask(side, "query-migrate")
        if told is None:
            return "dead"
        status: str = told.get("status", "none")
        if side == D and status.startswith("postcopy") and told["x-livemig-owner"] == S:
            return f"{status}, not ours"
        return status

    def runs(self, side: str) -> bool:
        told = self._ask(side, "query-status")
        return told is not None and bool(told["running"])

    def _ask(self, side: str, command: str) -> Any:
        if side in self.stopped:
            return {"status": "stopped", "running": False, "x-livemig-owner": ""}
        try:
            return self.qmp[side](command)
        except Gone:
            self.child[side].wait(PATIENCE_S)
            return None

    def wait_for(self, what: Any) -> None:
        """Until `what()` is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.status(S)}, {self.status(D)}")
            time.sleep(0.02)

    def connected(self, side: str) -> bool:
        """Whether its process has a TCP connection whose other end is open too."""
        process = Path(f"/proc/{self.child[side].pid}")
        links = []
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                links.append(os.readlink(link))
        table = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
        return any(row[3] == _ESTABLISHED and f"socket:[{row[9]}]" in links for row in table)

    # -- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """No process is left."""
        for side in SIDES:
            with contextlib.suppress(Gone, RuntimeError):
                self.go_on(side)
                self.qmp[side]("quit")
        for child in self.child.values():
            child.let_go()
            if not child.wait(PATIENCE_S):
                child.kill()
            child.close()
