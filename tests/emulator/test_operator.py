"""What an operator may do to a side beyond migrating: time step by step, faults, resets, the human monitor."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import trio
from test_control import drive, told

from livemig.errors import PeerLost, QmpError
from livemig.launch.qemu.registers import every_cpu
from livemig.qmp.client import QmpClient

MS = 1_000_000
HZ = 16_600_000
"""Of g3beige."""


async def leave(*clients: QmpClient) -> None:
    for client in clients:
        await client.execute("quit")


def events(tmp_path: Path, side: str, name: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (tmp_path / f"run/{side}.jsonl").open())
    return [event for event in lines if event["event"] == name]


def test_virtual_time_goes_on_as_far_as_it_is_told_and_stands(tmp_path: Path) -> None:
    """TB by hand: 16.6 ticks a microsecond."""

    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        while (seen := await source.execute("x-livemig-query-time"))["t-ns"] < 100 * MS:
            pass
        assert (seen["t-ns"], seen["held"], seen["clock"]) == (100 * MS, True, "virtual")
        assert [cpu["tb"] for cpu in seen["cpus"]] == [1_660_000] * 2
        for step in (0, 5 * MS, 1, 20 * MS):
            before = seen["t-ns"]
            assert await source.execute("x-livemig-advance", ns=step) == {"t-ns": before + step}
            seen = await source.execute("x-livemig-query-time")
            assert (seen["t-ns"], seen["held"]) == (before + step, True)
            assert seen["cpus"][0]["tb"] == seen["t-ns"] * HZ // 10**9
            assert seen["timer"] == {"worst-late-ns": seen["timer"]["worst-late-ns"], "lost": None, "tb-error-ticks": 0}
        for bad in (-1, 10**16):
            with pytest.raises(QmpError, match="Parameter 'ns' expects an integer in the range"):
                await source.execute("x-livemig-advance", ns=bad)
        await source.execute("migrate", uri=uri)
        await source.execute("x-livemig-advance", ns=1 * MS)
        assert (await source.execute("query-migrate"))["status"] in ("setup", "active")
        await source.execute("x-livemig-advance")
        await told(destination, "SHUTDOWN")
        await leave(source, destination)

    assert drive(tmp_path, "virtual", body) == (0, 0)
    assert events(tmp_path, "source", "migration_state")[0]["t_ns"] == 125 * MS + 1


def test_the_hosts_time_cannot_be_advanced(tmp_path: Path) -> None:
    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        with pytest.raises(QmpError, match="only virtual time"):
            await source.execute("x-livemig-advance", ns=1)
        await leave(source, destination)

    drive(tmp_path, "wall", body, "run.duration=60s")


@pytest.mark.parametrize(
    ("strategy", "lost", "error"), [("tb-offset", 0, 0), ("none", 2, 0), ("absolute-frozen-tb", 0, -830_000)]
)
def test_the_destination_tells_what_became_of_the_guests_time(
    strategy: str, lost: int, error: int, tmp_path: Path
) -> None:
    """A blackout of 50 ms is 830,000 ticks; `none` loses the decrementer of both CPUs, and nothing of TB, which it does
    not send: the destination's own counts from the same boot."""

    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        await source.execute("migrate", uri=uri)
        await told(destination, "SHUTDOWN")
        timer = (await destination.execute("query-migrate"))["timer"]
        assert timer["lost"] == lost
        if strategy != "none":
            assert abs(timer["tb-error-ticks"] - error) <= 1
            assert 40 * MS < timer["worst-late-ns"] <= 50 * MS + 100 or error
        await leave(source, destination)

    settings = (f"migration.strategy={strategy}", "checks.lost_after=100ms")
    assert drive(tmp_path, "virtual", body, *settings) == (0, 0)


def test_a_clock_that_is_set_back_puts_the_guest_ahead(tmp_path: Path) -> None:
    """tb-offset goes by the time of day: a source a second behind makes TB a second too high, 16.6 million ticks."""

    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        await source.execute("x-livemig-inject", fault="clock-step", value=-1000 * MS)
        await source.execute("migrate", uri=uri)
        await told(destination, "SHUTDOWN")
        timer = (await destination.execute("query-migrate"))["timer"]
        assert abs(timer["tb-error-ticks"] - HZ) <= 1
        await leave(source, destination)

    assert drive(tmp_path, "virtual", body) == (0, 0)
    assert [event["fault"] for event in events(tmp_path, "source", "fault_injected")] == ["clock_step"]


def test_a_clock_that_drifts_from_now_on_puts_the_guest_behind(tmp_path: Path) -> None:
    """By a tenth of the time from the operator's wish, at 100 ms, until the state is saved."""

    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        while (await source.execute("x-livemig-query-time"))["t-ns"] < 100 * MS:
            pass
        await source.execute("x-livemig-inject", fault="clock-drift", value=100_000)
        await source.execute("migrate", uri=uri)
        await told(destination, "SHUTDOWN")
        (saved,) = events(tmp_path, "source", "state_saved")
        error = (await destination.execute("query-migrate"))["timer"]["tb-error-ticks"]
        assert abs(error + (saved["t_ns"] - 100 * MS) * HZ // 10**10) <= 1
        assert error < -10_000
        await leave(source, destination)

    assert drive(tmp_path, "virtual", body) == (0, 0)


@pytest.mark.parametrize(("fault", "value", "first_ms", "later_ms"), [("latency", 30, 30, 30), ("stall", 40, 40, 0)])
def test_frames_are_late_by_the_operators_wish(
    fault: str, value: int, first_ms: int, later_ms: int, tmp_path: Path
) -> None:
    """``hello`` by so much, and ``switchover``, which comes when a stall is over; and the log says on which frame."""

    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        while (await source.execute("x-livemig-query-time"))["t-ns"] < 100 * MS:
            pass
        await source.execute("x-livemig-inject", fault=fault, value=value * MS)
        await source.execute("migrate", uri=uri)
        await told(destination, "SHUTDOWN")
        await leave(source, destination)

    assert drive(tmp_path, "virtual", body) == (0, 0)
    sent = events(tmp_path, "source", "migration_state")[0]
    came = events(tmp_path, "destination", "migration_state")[0]
    assert (sent["status"], came["status"]) == ("setup", "setup")
    assert first_ms * MS <= came["t_ns"] - sent["t_ns"] < (first_ms + 1) * MS
    (switched,) = events(tmp_path, "destination", "switchover")
    assert later_ms * MS < switched["t_ns"] - switched["sent_ns"] < (later_ms + 1) * MS
    told_of = [(event["fault"], event["on"]) for event in events(tmp_path, "source", "fault_injected")]
    assert told_of == [(fault, ""), (fault, "hello")]


def test_a_link_that_is_cut_or_slow_by_the_operators_wish(tmp_path: Path) -> None:
    """At 1 Mbit/s half of 1 MiB takes 4.2 s, and longer than the scenario; cut in the middle of it, the guest stays."""

    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        await source.execute("x-livemig-inject", fault="bandwidth", value=1_000_000)
        await source.execute("x-livemig-advance", ns=0)
        await source.execute("migrate", uri=uri)
        await source.execute("x-livemig-advance", ns=500 * MS)
        said = await source.execute("query-migrate")
        assert said["status"] == "active"
        assert said["ram"]["transferred"] * 8 <= 500_000 + (1 << 20) * 8  # what has been put in line
        await source.execute("x-livemig-inject", fault="link-cut")
        said = await source.execute("query-migrate")
        assert (said["status"], said["error-desc"]) == ("failed", "the link was cut by the operator")
        assert (await source.execute("query-status"))["status"] == "running"
        assert said["x-livemig-owner"] == "source"
        await told(destination, "X_LIVEMIG_ENDED")
        await leave(source, destination)

    assert drive(tmp_path, "virtual", body) == (3, 3)


def test_faults_that_there_are_not_and_the_one_that_ends_the_process(tmp_path: Path) -> None:
    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        for given, desc in (
            ({"fault": "flood"}, "Parameter 'fault' does not accept value 'flood'"),
            ({"fault": "latency"}, "Parameter 'value' is missing"),
            ({"fault": "kill", "value": 1}, "Parameter 'value' is unexpected"),
            ({"fault": "bandwidth", "value": 1}, "Parameter 'value' expects an integer in the range of 1000 to"),
        ):
            with pytest.raises(QmpError, match=desc):
                await source.execute("x-livemig-inject", given)
        with pytest.raises(PeerLost):
            await source.execute("x-livemig-inject", fault="kill")
        await leave(destination)

    assert drive(tmp_path, "virtual", body) == (-9, 3)


def test_a_reset_boots_the_guest_again_and_its_timebase_counts_on(tmp_path: Path) -> None:
    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        await source.execute("system_reset")
        assert (await told(source, "RESET"))["data"] == {"guest": False, "reason": "host-qmp-system-reset"}
        seen = await source.execute("x-livemig-query-time")
        assert seen["timer"]["tb-error-ticks"] == 0
        with pytest.raises(QmpError, match="No guest to be reset in run state 'inmigrate'"):
            await destination.execute("system_reset")
        await source.execute("migrate", uri=uri)
        await told(destination, "SHUTDOWN")
        with pytest.raises(QmpError, match="Resetting the Virtual Machine is required"):
            await destination.execute("cont")
        with pytest.raises(QmpError, match="here it would run a second time"):
            await source.execute("cont")
        with pytest.raises(QmpError, match="Can't migrate the vm that was paused due to previous migration"):
            await source.execute("migrate", uri=uri)
        await leave(source, destination)

    assert drive(tmp_path, "virtual", body) == (0, 0)
    assert events(tmp_path, "source", "machine_reset")[0]["reason"] == "command"


def test_a_migration_that_failed_may_be_tried_again(tmp_path: Path) -> None:
    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        await source.execute("migrate", uri=f"{uri}.none")
        await told(source, "MIGRATION", status="failed")
        address = {"transport": "socket", "type": "unix", "path": uri.removeprefix("unix:")}
        await source.execute("migrate", channels=[{"channel-type": "main", "addr": address}])
        await told(source, "MIGRATION", status="completed")
        await told(destination, "RESUME")
        await leave(source, destination)

    settings = ("run.duration=60s", "migration.connect_timeout=200ms")
    assert drive(tmp_path, "wall", body, *settings) == (0, 0)


def test_postcopy_begins_when_qmp_says_so_and_its_figures_are_qemus(tmp_path: Path) -> None:
    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        for client in (source, destination):
            wanted = [{"capability": name, "state": True} for name in ("postcopy-ram", "postcopy-blocktime")]
            await client.execute("migrate-set-capabilities", capabilities=wanted)
        await source.execute("migrate-set-parameters", max_bandwidth=100_000)
        await source.execute("migrate", uri=uri)
        await told(source, "MIGRATION", status="active")
        await source.execute("migrate-start-postcopy")
        await told(source, "MIGRATION", status="postcopy-active")
        await told(source, "MIGRATION", status="completed")
        said = await source.execute("query-migrate")
        ram = said["ram"]
        assert ram["postcopy-bytes"] > 0
        assert ram["transferred"] == ram["precopy-bytes"] + ram["downtime-bytes"] + ram["postcopy-bytes"]
        assert said["downtime"] <= said["total-time"]
        assert len(ram) == 17
        told_there = await destination.execute("query-migrate")
        assert len(told_there["postcopy-vcpu-blocktime"]) == 2
        await leave(source, destination)

    assert drive(tmp_path, "wall", body, "run.duration=60s") == (0, 0)


AS_QEMU_ANSWERS = {
    "info status": "VM status: running",
    "info uuid": "00000000-0000-0000-0000-000000000000",
    "info foo": "unknown command: 'info foo'",
    "foo": "unknown command: 'foo'",
    "cpu 3": "invalid CPU index",
    "info registers 3": "CPU#3 not available",
    "help nonsense": "unknown command: 'nonsense'",
    "migrate_set_parameter foo 5": "Error: invalid parameter value: foo",
    "migrate_set_capability foo on": "Error: invalid parameter value: foo",
    "migrate_set_parameter downtime-limit": "migrate_set_parameter: string expected",
    "migrate": "migrate: string expected",
    "stop now": "stop|s: extraneous characters at the end of line",
    "info status extra": "status: extraneous characters at the end of line",
    "migrate_set_capability events maybe": "Expected 'on' or 'off'",
    "migrate_pause": "Error: migrate-pause is currently only supported during postcopy-active",
    "migrate_incoming foo": "Error: ",
    "migrate_set_parameter max-bandwidth 10M": "",
    "migrate_set_capability xbzrle on": "",
    "stop": "",
    "c": "",
    "": "",
}
"""First lines, as QEMU 7.2 gave them (its CPU has no number 3 either)."""

MIGRATE = [
    "Migration status", "total time", "downtime", "setup", "transferred ram", "throughput", "remaining ram",
    "total ram", "duplicate", "normal", "normal bytes", "dirty sync count", "page size", "multifd bytes",
    "pages-per-second", "precopy ram", "downtime ram",
]  # fmt: skip
"""Of a migration that has completed, in QEMU's order; 7.2 has `skipped` as well."""


def test_the_human_monitor_speaks_as_qemus_does(tmp_path: Path) -> None:
    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        async def human(line: str, client: QmpClient = source, **more: Any) -> str:
            said: str = await client.execute("human-monitor-command", command_line=line, **more)
            return said

        for line, expected in AS_QEMU_ANSWERS.items():
            assert (await human(line)).split("\r\n")[0].startswith(expected), line
        with pytest.raises(QmpError, match="Parameter 'cpu-index' expects a CPU number"):
            await human("info status", cpu_index=7)
        assert "max-bandwidth: 10485760 bytes/second\r\n" in await human("info migrate_parameters")
        assert "xbzrle: on\r\n" in await human("info migrate_capabilities")
        await human("migrate_set_capability xbzrle off")
        seen = await source.execute("x-livemig-query-time")
        registers = every_cpu(await human("info registers -a"))
        assert [(each.tb, each.decr) for each in registers] == [(cpu["tb"], cpu["decr"]) for cpu in seen["cpus"]]
        assert len(every_cpu(await human("info registers", cpu_index=1))) == 1
        assert (await human("info cpus")).split("\r\n")[1].startswith("* CPU #1: thread_id=")
        listed = {line.split()[0].split("|")[0] for line in (await human("help")).split("\r\n") if line}
        assert {"info", "migrate", "migrate_set_parameter", "stop", "system_reset"} <= listed
        assert await human(f"migrate -d {uri}") == ""
        await told(destination, "SHUTDOWN")
        labels = [line.partition(":")[0] for line in (await human("info migrate")).split("\r\n")]
        assert labels[: len(MIGRATE)] == MIGRATE
        assert await human("info status", destination) == "VM status: paused (shutdown)\r\n"
        await leave(source, destination)

    assert drive(tmp_path, "virtual", body) == (0, 0)


def test_multifd_opens_as_many_connections_as_the_parameter_says_and_one(tmp_path: Path) -> None:
    """A destination of our own counts who comes: three for pages, and the main one."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{tmp_path}/count")
    listening.listen()
    listening.settimeout(10)

    async def body(source: QmpClient, destination: QmpClient, uri: str) -> None:
        await source.execute("migrate-set-parameters", multifd_channels=3)
        await source.execute("migrate-set-capabilities", capabilities=[{"capability": "multifd", "state": True}])
        with pytest.raises(QmpError, match="Migration requires multi-channel URIs"):
            await source.execute("migrate", uri=f"file:{tmp_path}/stream")
        await source.execute("migrate", uri=f"unix:{tmp_path}/count")
        came = [await trio.to_thread.run_sync(listening.accept) for _ in range(4)]
        listening.settimeout(0.3)
        with pytest.raises(TimeoutError):
            await trio.to_thread.run_sync(listening.accept)
        for sock, _ in came:
            sock.close()
        await told(source, "MIGRATION", status="failed")
        await leave(source, destination)

    with listening:
        assert drive(tmp_path, "virtual", body) == (3, 3)
