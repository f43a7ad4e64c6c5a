"""What is taken up again over QMP, in wall time: a postcopy that was paused, a migration that came to nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from test_control import EVENTS, told

from livemig.events.schema import DESTINATION, SOURCE
from livemig.link.uri import socket_address
from livemig.qmp.client import QmpClient, open_qmp

pytestmark = pytest.mark.wall

CONFIG = """
[run]
duration = "60s"
clock = "wall"
[machine]
cpus = 2
ram = "4MiB"
[guest]
kind = "periodic"
[guest.memory]
dirty_rate = "2MiB/s"
filled_percent = 100
[migration]
start = "1ms"
downtime = "20ms"
downtime_limit = "10ms"
connect_timeout = "20s"
[link]
bandwidth = "80Mbit/s"
"""
Body = Callable[[QmpClient, QmpClient], Awaitable[None]]


class Side:
    """A process of ``livemig source`` or ``destination``, that says what it is told over QMP."""

    def __init__(self, tmp_path: Path, name: str, *settings: str) -> None:
        self.socket = tmp_path / f"{name}.qmp"
        config = tmp_path / "config.toml"
        config.write_text(CONFIG)
        kind = name.rstrip("0123456789")
        more = ["--listen", f"unix:{tmp_path}/migrate"] if kind == DESTINATION else []
        command = [kind, str(config), *more, "--qmp", f"unix:{self.socket}", "--out", str(tmp_path / name)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "livemig", *command, *(f"--set={setting}" for setting in settings)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def qmp(self) -> Any:
        return open_qmp(str(self.socket), connect_timeout_ns=30 * 10**9)


def ended(*sides: Side) -> None:
    """Each by itself, and well."""
    for side in sides:
        _, said = side.process.communicate(timeout=30)
        assert side.process.returncode == 0
        assert "Traceback" not in said


@contextmanager
def sides(tmp_path: Path, *names: str, settings: tuple[str, ...] = ()) -> Iterator[Callable[[str], Side]]:
    """Starts them, and more later; none of them is left behind."""
    started: list[Side] = []

    def start(name: str) -> Side:
        started.append(Side(tmp_path, name, *settings))
        return started[-1]

    with ExitStack() as stack:

        @stack.callback
        def _end() -> None:
            for side in started:
                side.process.kill()
                side.process.communicate()

        yield start


async def ready(client: QmpClient, *capabilities: str) -> None:
    wanted = [{"capability": name, "state": True} for name in capabilities]
    await client.execute("migrate-set-capabilities", capabilities=[EVENTS, *wanted])


POSTCOPY = ("migration.postcopy_ram=true", "migration.postcopy_start=0", "migration.max_postcopy_bandwidth=1MiB/s")


@pytest.mark.parametrize("paused_by", [SOURCE, DESTINATION])
@pytest.mark.parametrize("preempt", [False, True])
def test_a_postcopy_that_is_paused_on_one_side_is_paused_on_both_and_goes_on_where_both_say_so(
    tmp_path: Path, preempt: bool, paused_by: str
) -> None:
    settings = (*POSTCOPY, f"migration.postcopy_preempt={str(preempt).lower()}")
    later = f"unix:{tmp_path}/later"

    async def main() -> None:
        with sides(tmp_path, settings=settings) as start, trio.fail_after(60):
            away, here = start(DESTINATION), start(SOURCE)
            async with here.qmp() as source, away.qmp() as destination:
                for client in (source, destination):
                    await ready(client)
                await source.execute("migrate", uri=f"unix:{tmp_path}/migrate")
                await told(destination, "MIGRATION", status="postcopy-active")
                await (source if paused_by == SOURCE else destination).execute("migrate-pause")
                for client in (source, destination):
                    await told(client, "MIGRATION", status="postcopy-paused")
                assert (await destination.execute("query-status"))["running"]
                await destination.execute("migrate-recover", uri=later)
                assert (await destination.execute("query-migrate"))["socket-address"] == [socket_address(later)]
                await source.execute("migrate", uri=later, resume=True)
                for status in ("postcopy-recover", "postcopy-active", "completed"):
                    await told(source, "MIGRATION", status=status)
                await told(destination, "MIGRATION", status="completed")
                assert (await destination.execute("query-migrate"))["status"] == "completed"
                for client in (source, destination):
                    await client.execute("quit")
            ended(here, away)

    trio.run(main)


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_after_a_migration_that_came_to_nothing_a_destination_that_listens_anew_takes_the_guest(
    tmp_path: Path, how: str
) -> None:
    """At the same address; the guest runs on at the source until then."""
    uri = f"unix:{tmp_path}/migrate"

    async def main() -> None:
        with sides(tmp_path) as start, trio.fail_after(60):
            first, here = start("destination1"), start(SOURCE)
            async with here.qmp() as source:
                await ready(source)
                async with first.qmp() as destination:
                    await ready(destination)
                    await source.execute("migrate-set-parameters", **{"max-bandwidth": 200_000})
                    await source.execute("migrate", uri=uri)
                    await told(source, "MIGRATION", status="active")
                    if how == "cancelled":
                        await source.execute("migrate_cancel")
                        await told(destination, "MIGRATION", status="cancelled")
                        await destination.execute("quit")
                    else:
                        first.process.kill()
                await told(source, "MIGRATION", status=how)
                first.process.wait(30)
                assert await source.execute("query-status") == {"status": "running", "running": True}
                await source.execute("migrate-set-parameters", **{"max-bandwidth": 0})
                second = start("destination2")
                async with second.qmp() as destination:
                    await ready(destination)
                    await source.execute("migrate", uri=uri)
                    await told(source, "MIGRATION", status="completed")
                    await told(destination, "RESUME")
                    assert (await destination.execute("query-status"))["running"]
                    for client in (source, destination):
                        await client.execute("quit")
            ended(here, second)

    trio.run(main)
