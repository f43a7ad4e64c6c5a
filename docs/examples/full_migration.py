#!/usr/bin/env python3
"""Migrate a guest over QMP, with qemu.qmp (``pip install qemu.qmp``): the same script for livemig and for a real QEMU.

    full_migration.py SOURCE DESTINATION URI

SOURCE and DESTINATION are the QMP sockets of a side that runs a guest and of one that waits for it with
its listening deferred; URI is where the guest is to cross, unix:PATH or tcp:HOST:PORT. Prints what it saw; exit code 1
where the guest does not run at the destination, and only there, at the end.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from qemu.qmp import ConnectError, ExecuteError, QMPClient

LONGEST_S = 60
CAPABILITIES = ("events", "pause-before-switchover")


class Side:
    """A QMP connection that notes the events which it hears."""

    def __init__(self, name: str, socket: str) -> None:
        self.name, self.socket = name, socket
        self.client = QMPClient(name)
        self.events: list[str] = []

    async def connect(self) -> None:
        end = time.monotonic() + LONGEST_S
        while True:
            try:
                await self.client.connect(self.socket)
                break
            except ConnectError:
                if time.monotonic() > end:
                    raise SystemExit(f"{self.name}: nobody at {self.socket}") from None
            await asyncio.sleep(0.05)
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self.client.events:
            if not event["event"].startswith("X_LIVEMIG"):
                data: Any = event.get("data", {})
                said = [str(data[key]) for key in ("status", "pass", "reason") if key in data]
                self.events.append(" ".join([event["event"], *said]))

    async def ask(self, command: str, **arguments: Any) -> Any:
        return await self.client.execute(command, {name.replace("_", "-"): value for name, value in arguments.items()})

    async def refused(self, command: str, **arguments: Any) -> str:
        """The words in which a command that must be refused is."""
        try:
            await self.ask(command, **arguments)
        except ExecuteError as error:
            return str(error.error.error.desc)
        raise SystemExit(f"{self.name}: {command} was not refused")

    async def until(self, *statuses: str) -> dict[str, Any]:
        """Poll ``query-migrate`` until its status is one of these."""
        end = time.monotonic() + LONGEST_S
        while time.monotonic() < end:
            said: dict[str, Any] = await self.ask("query-migrate")
            if said.get("status") in (*statuses, "failed"):
                return said
            await asyncio.sleep(0.01)
        raise SystemExit(f"{self.name}: not {' or '.join(statuses)} within {LONGEST_S} s")

    async def close(self) -> None:
        self._listening.cancel()
        await self.client.disconnect()


async def migrate(source: Side, destination: Side, uri: str) -> bool:
    version = (await source.ask("query-version"))["qemu"]
    cpus = await source.ask("query-cpus-fast")
    print(f"version {version['major']}.{version['minor']}, {len(cpus)} CPUs, {cpus[0]['target']}")
    for side in (source, destination):
        print(f"{side.name}: {(await side.ask('query-status'))['status']}")
        await side.ask(
            "migrate-set-capabilities", capabilities=[{"capability": name, "state": True} for name in CAPABILITIES]
        )
    await source.ask("migrate-set-parameters", max_bandwidth=100_000_000, downtime_limit=200)
    parameters = await source.ask("query-migrate-parameters")
    print(f"downtime-limit {parameters['downtime-limit']} ms, max-bandwidth {parameters['max-bandwidth']} bytes/s")
    print(f"refused: {await source.refused('migrate-set-parameters', downtime_limit=3_000_000)}")
    print(f"refused: {await source.refused('migrate-continue', state='pre-switchover')}")
    print(f"refused: {await source.refused('migrate-start-postcopy')}")

    await destination.ask("migrate-incoming", uri=uri)
    await source.ask("migrate", uri=uri)
    print(f"refused: {await source.refused('migrate', uri=uri)}")
    if (said := await source.until("pre-switchover"))["status"] == "failed":
        print(f"failed: {said.get('error-desc')}")
        return False
    print(f"source: {(await source.ask('query-status'))['status']}; {said['ram']['transferred']} bytes sent")
    print(f"refused: {await source.refused('cont')}")
    await source.ask("migrate-continue", state="pre-switchover")
    done = await source.until("completed")
    await destination.until("completed")
    print(f"{done['status']}: downtime {done.get('downtime')} ms, {done.get('ram', {}).get('dirty-sync-count')} passes")
    if done["status"] != "completed":
        return False
    print(f"refused: {await source.refused('migrate', uri=uri)}")
    states = [await side.ask("query-status") for side in (source, destination)]
    print(f"source: {states[0]['status']}, destination: {states[1]['status']}")
    await destination.ask("stop")
    print(await destination.ask("human-monitor-command", command_line="info registers"))
    await destination.ask("cont")
    return [state["status"] for state in states] == ["postmigrate", "running"]


async def main(source_socket: str, destination_socket: str, uri: str) -> int:
    source, destination = Side("source", source_socket), Side("destination", destination_socket)
    await source.connect()
    await destination.connect()
    crossed = await migrate(source, destination, uri)
    for side in (source, destination):
        await side.ask("quit")
        await asyncio.sleep(0.1)
        print(f"{side.name}: {', '.join(side.events)}")
        try:
            await side.close()
        except EOFError:  # told to quit, it was faster
            pass
    return 0 if crossed else 1


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(*sys.argv[1:])))
