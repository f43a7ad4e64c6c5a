"""A pair driven over QMP by hand, as a user with two terminals and a QMP client would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from livemig.errors import QmpError
from livemig.qmp.client import QmpClient, open_qmp

CONFIG = """
[run]
duration = "800ms"
clock = "{clock}"
[machine]
cpus = 2
ram = "1MiB"
[migration]
start = "100ms"
downtime = "50ms"
"""

EVENTS = {"capability": "events", "state": True}
Body = Callable[[QmpClient, QmpClient, str], Awaitable[None]]


def drive(tmp_path: Path, clock: str, body: Body, *settings: str) -> tuple[int, int]:
    """Start both sides with QMP servers, run ``body``; gives their exit codes."""
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(clock=clock))
    uri = f"unix:{tmp_path}/migrate"
    common = ["--out", str(tmp_path / "run"), *(f"--set={setting}" for setting in settings)]
    commands = {
        "destination": ["destination", str(config), "--listen", uri, "--qmp", f"unix:{tmp_path}/d.qmp,server"],
        "source": ["source", str(config), "--qmp", f"unix:{tmp_path}/s.qmp"],
    }
    processes = {
        name: subprocess.Popen([sys.executable, "-m", "livemig", *command, *common], stdout=subprocess.DEVNULL)
        for name, command in commands.items()
    }

    async def main() -> None:
        with trio.fail_after(30):
            async with (
                open_qmp(f"{tmp_path}/s.qmp", connect_timeout_ns=10**10) as source,
                open_qmp(f"{tmp_path}/d.qmp", connect_timeout_ns=10**10) as destination,
            ):
                for client in (source, destination):
                    await client.execute("migrate-set-capabilities", capabilities=[EVENTS])
                await body(source, destination, uri)

    try:
        trio.run(main)
        return processes["source"].wait(10), processes["destination"].wait(10)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


async def told(client: QmpClient, name: str, **data: Any) -> dict[str, Any]:
    """Wait for the event ``name`` whose data has ``data``."""
    async for event in client.events:
        if event["event"] == name and data.items() <= event.get("data", {}).items():
            return event
    raise AssertionError(f"{name} never came")


def test_a_migration_by_hand_in_virtual_time_waits_for_the_command(tmp_path: Path) -> None:
    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        assert await source.execute("query-status") == {"status": "running", "running": True}
        assert await destination.execute("query-status") == {"status": "inmigrate", "running": False}
        assert "status" not in await source.execute("query-migrate")
        await trio.sleep(0.3)  # virtual time would be over long since; it stands at migration.start
        assert (await source.execute("query-status"))["running"]
        assert await source.execute("migrate", uri=uri) == {}
        with pytest.raises(QmpError, match="There's a migration process in progress"):
            await source.execute("migrate", uri=uri)
        await told(source, "STOP")
        await told(source, "MIGRATION", status="completed")
        await told(destination, "RESUME")
        await told(destination, "SHUTDOWN", guest=True, reason="guest-shutdown")
        assert await destination.execute("query-status") == {"status": "shutdown", "running": False}
        assert (await source.execute("query-status"))["status"] == "postmigrate"
        done = await source.execute("query-migrate")
        assert (done["status"], done["x-livemig-owner"]) == ("completed", "destination")
        assert done["ram"]["remaining"] == 0
        assert done["ram"]["total"] == 1 << 20
        assert done["ram"]["normal"] + done["ram"]["duplicate"] >= 256
        for client in (source, destination):
            assert await client.execute("quit") == {}

    assert drive(tmp_path, "virtual", body) == (0, 0)


def test_stop_and_cont_hold_guest_time_and_cancel_keeps_the_guest(tmp_path: Path) -> None:
    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        await source.execute("stop")
        await told(source, "STOP")
        assert await source.execute("query-status") == {"status": "paused", "running": False}
        await source.execute("cont")
        await told(source, "RESUME")
        assert (await source.execute("query-status"))["running"]
        assert await source.execute("migrate_cancel") == {}  # nothing to cancel: nothing changes
        with pytest.raises(QmpError, match="incoming"):
            await destination.execute("migrate", uri=uri)
        with pytest.raises(QmpError, match="need either 'uri' or 'channels' argument"):
            await source.execute("migrate")
        await source.execute("quit")
        await destination.execute("quit")

    assert drive(tmp_path, "wall", body, "run.duration=60s") == (3, 3)


def test_a_malformed_uri_is_an_error_and_the_guest_runs_on(tmp_path: Path) -> None:
    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        with pytest.raises(QmpError, match="unix:PATH"):
            await source.execute("migrate", uri="carrier-pigeon:home")
        assert (await source.execute("query-status"))["running"]
        await source.execute("migrate", uri=uri)
        await told(destination, "SHUTDOWN")
        await source.execute("quit")
        await destination.execute("quit")

    assert drive(tmp_path, "virtual", body) == (0, 0)


PAUSE = "migration.pause_before_switchover=true"


def test_at_pre_switchover_the_guest_stands_until_migrate_continue(tmp_path: Path) -> None:
    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        with pytest.raises(QmpError, match="Migration not in expected state: none"):
            await source.execute("migrate-continue", state="pre-switchover")
        await source.execute("migrate", uri=uri)
        await told(source, "MIGRATION", status="pre-switchover")
        assert await source.execute("query-status") == {"status": "finish-migrate", "running": False}
        said = await source.execute("query-migrate")
        assert said["status"] == "pre-switchover"
        assert {"total-time", "setup-time", "expected-downtime", "ram"} <= said.keys()
        assert "downtime" not in said
        with pytest.raises(QmpError, match="Migration not in expected state: pre-switchover"):
            await source.execute("migrate-continue", state="device")
        await source.execute("migrate-continue", state="pre-switchover")
        await told(source, "MIGRATION", status="device")
        await told(source, "MIGRATION", status="completed")
        done = await source.execute("query-migrate")
        assert {"total-time", "setup-time", "downtime", "ram"} <= done.keys()
        assert "expected-downtime" not in done
        assert done["downtime"] >= 50
        ram = done["ram"]
        assert ram["precopy-bytes"] + ram["downtime-bytes"] == ram["transferred"] == ram["normal-bytes"]
        await told(destination, "SHUTDOWN")
        for client in (source, destination):
            await client.execute("quit")

    assert drive(tmp_path, "virtual", body, PAUSE) == (0, 0)


@pytest.mark.parametrize("clock", ["virtual", "wall"])
def test_cancelled_at_pre_switchover_the_guest_goes_on_and_the_destination_ends(tmp_path: Path, clock: str) -> None:
    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        await source.execute("migrate", uri=uri)
        await told(source, "MIGRATION", status="pre-switchover")
        await source.execute("migrate_cancel")
        await told(source, "MIGRATION", status="cancelling")
        await told(source, "RESUME")
        await told(source, "MIGRATION", status="cancelled")
        assert (await source.execute("query-migrate")).keys() >= {"status", "error-desc", "x-livemig-owner"}
        await told(destination, "MIGRATION", status="cancelled")
        await told(source, "X_LIVEMIG_ENDED")
        for client in (source, destination):
            await client.execute("quit")

    assert drive(tmp_path, clock, body, PAUSE) == (3, 3)


def test_without_qmp_nobody_could_say_migrate_continue(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(clock="virtual"))
    command = [sys.executable, "-m", "livemig", "source", str(config), "--connect", "unix:/nowhere", "--set", PAUSE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "needs --qmp" in done.stderr
