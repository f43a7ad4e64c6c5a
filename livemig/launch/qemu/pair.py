"""Two real QEMUs, and a guest that is migrated from one to the other."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio

from livemig.config.migration import Migration
from livemig.config.model import Config
from livemig.emulator.faults import of_direction
from livemig.errors import QmpError, plain
from livemig.events.qemu.threads import PLACE
from livemig.events.qemu.trace import RUN_STATE, Line
from livemig.events.schema import DESTINATION, SOURCE
from livemig.launch.qemu.binary import Binary
from livemig.launch.qemu.command import command, machine_option
from livemig.launch.qemu.follow import Following
from livemig.launch.qemu.guest import Record
from livemig.launch.qemu.process import Qemu, QemuError, running
from livemig.launch.qemu.proxy import in_flight, link_toxics, now_ns, serve
from livemig.launch.qemu.registers import Registers
from livemig.launch.qemu.workload import Workload
from livemig.link.faulty_stream import FaultyStream
from livemig.link.toxics import Toxic
from livemig.link.uri import listen

Progress = Callable[[str, dict[str, Any]], None]

_NS_PER_S: Final = 1_000_000_000
_POLL_S: Final = 0.005
_STEP_S: Final = 0.003
"""How long the guest runs on between two stops, where the stop must find it in a certain state."""
_TRIES: Final = 1000
TOO_SLOW: Final = "not complete by run.duration"
"""Why a migration was cancelled that took too long."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    config: Config
    load: Workload
    source: Binary
    destination: Binary
    logs: Path
    """Where QEMU's trace logs go."""
    private: Path
    """For sockets; no one else may look into it."""

    def binary(self, side: str) -> Binary:
        return self.source if side == SOURCE else self.destination

    def log(self, side: str) -> Path:
        """Where QEMU writes it."""
        return self.logs / (f"{side}.{PLACE}.log" if self.binary(side).names_no_thread else f"{side}.log")


@dataclass(slots=True)
class Crossing:
    """What became of it. Registers are by CPU, read where the machine stood; None: it never did. Times are ns of the
    host's clock, ``began_ns`` of the scenario's start."""

    status: str = "none"
    owner: str = SOURCE
    reason: str = ""
    stopped: list[Registers] | None = None
    restored: list[Registers] | None = None
    last: list[Registers] | None = None
    timebase_hz: int = 0
    """Measured on the source."""
    began_ns: int = 0
    stop_ns: int = 0
    resume_ns: int = 0
    observed_ns: int = 0
    """How long the guest was watched after it was resumed."""
    query: dict[str, Any] = field(default_factory=dict)
    """The last ``query-migrate`` of the source."""
    records: list[Record] = field(default_factory=list)
    """What livemig's guest wrote down."""
    commands: dict[str, list[str]] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)
    """Of the configuration, that acted on the stream: when for the first time, by the host's clock, and its name."""

    def tell(self, after_ns: int, fault: str) -> None:
        """It did, so long after the scenario's start."""
        if fault not in (name for _, name in self.faults):
            self.faults.append((self.began_ns + after_ns, fault))


def run_pair(plan: Plan, progress: Progress = lambda side, event: None) -> Crossing:
    """Start both sides, migrate, watch the guest to the end of the scenario; no process is left then.

    Raises:
        QemuError: a QEMU did not start, or ended before its time.
    """
    try:
        return trio.run(_run, plan, progress)
    except BaseExceptionGroup as group:
        raise plain(group) from group


async def _run(plan: Plan, progress: Progress) -> Crossing:
    crossing = Crossing()
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        followed = [_following(plan, side, progress) for side in (SOURCE, DESTINATION)]
        for each in followed:
            nursery.start_soon(each.follow)
        uri, incoming = _link(plan, crossing, nursery, stack)
        machine = machine_option(plan.load.machine, plan.source, plan.destination)
        sides: dict[str, Qemu] = {}
        for side, where in ((DESTINATION, incoming), (SOURCE, None)):
            binary = plan.binary(side)
            line = command(
                binary, plan.load, machine, plan.log(side), plan.private / f"{side}.qmp", where
            )
            crossing.commands[side] = line
            timeout = plan.config.engine.start_timeout
            sides[side] = await stack.enter_async_context(
                running(side, line, binary.environment, plan.private, timeout)
            )
        await _Drive(plan, crossing, sides[SOURCE], sides[DESTINATION], progress).scenario(uri)
        await stack.aclose()
        nursery.cancel_scope.cancel()
    for each in followed:
        while each.read():
            pass
    return crossing


def _following(plan: Plan, side: str, progress: Progress) -> Following:
    def seen(line: Line) -> None:
        if line.event == RUN_STATE:
            raised = following.raised
            progress(side, {"event": "TRACE", "data": {"running": bool(line.value), "raised": raised}})

    following = Following(plan.log(side), seen)
    return following


def _link(plan: Plan, crossing: Crossing, nursery: trio.Nursery, stack: AsyncExitStack) -> tuple[str, str]:
    """Lay the proxy between the two; gives where the source connects to, and where the destination listens."""
    link, late, seed = plan.config.link, plan.config.fault.latency, plan.config.run.seed
    if plan.config.migration.transport == "unix":
        near, far = f"unix:{plan.private}/link", f"unix:{plan.private}/incoming"
    else:
        near, far = "tcp:127.0.0.1:0", f"tcp:127.0.0.1:{_free_port()}"
    listener, uri = listen(near)
    stack.callback(listener.close)

    def faulty(towards: str) -> list[Toxic]:
        since_ns = now_ns() - (time.time_ns() - crossing.began_ns)
        faults = of_direction(plan.config, towards)
        return [FaultyStream(faults, since_ns, seed * 2 + len(towards), crossing.tell)] if faults else []

    async def proxy() -> None:
        await serve(
            listener,
            far,
            lambda: [*link_toxics(link.bandwidth, link.latency, link.jitter, 2 * seed), *faulty("to-destination")],
            lambda: [*link_toxics(link.bandwidth, link.latency, link.jitter, 2 * seed + 1), *faulty("to-source")],
            in_flight(link.bandwidth, link.latency + link.jitter + late.enabled * (late.latency + late.jitter)),
        )

    nursery.start_soon(proxy)
    return uri, far


def parameters(migration: Migration) -> dict[str, int | bool]:
    """QEMU's migration parameters, in its units: ms, bytes a second, per cent."""
    given: dict[str, int | bool] = {
        "downtime-limit": -(-migration.downtime_limit // 1_000_000),
        "max-bandwidth": migration.max_bandwidth,
    }
    if migration.avail_switchover_bandwidth:
        given["avail-switchover-bandwidth"] = migration.avail_switchover_bandwidth
    if migration.auto_converge:
        given |= {
            "throttle-trigger-threshold": migration.throttle_trigger_threshold,
            "cpu-throttle-initial": migration.cpu_throttle_initial,
            "cpu-throttle-increment": migration.cpu_throttle_increment,
            "cpu-throttle-tailslow": migration.cpu_throttle_tailslow,
            "max-cpu-throttle": migration.max_cpu_throttle,
        }
    return given


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class _Drive:
    """The scenario, step by step."""

    def __init__(
        self, plan: Plan, crossing: Crossing, source: Qemu, destination: Qemu, progress: Progress
    ) -> None:
        self.plan, self.crossing, self.source, self.destination = plan, crossing, source, destination
        self.progress = progress
        self.own = plan.load.orders is not None

    async def scenario(self, uri: str) -> None:
        config, crossing = self.plan.config, self.crossing
        if self.own:
            with trio.move_on_after(config.engine.start_timeout / _NS_PER_S) as ready:
                await self.source.until_ready()
            if ready.cancelled_caught:
                raise QemuError("source: the guest was not ready within engine.start_timeout")
        crossing.began_ns = time.time_ns()
        first_ns, first = time.monotonic_ns(), await self.source.registers()
        await self._until(config.migration.start)
        await self._migrate(uri)
        if crossing.status == "completed":
            await self._measure(first_ns, first[0].tb)
            await self._load()
        if crossing.status == "completed":
            await self._resume()
            await self._until(self.plan.config.run.duration)
            await self.destination.execute("stop")
            crossing.observed_ns = time.time_ns() - crossing.resume_ns
            crossing.last = await self.destination.registers()
            await self._records(self.destination)
        else:
            crossing.resume_ns = time.time_ns()
            if (await self.source.status()) != "running":
                await self.source.execute("cont")
            await self._until(self.plan.config.run.duration)
            await self._records(self.source)  # not stopped: in its log that would be the stop of a migration

    async def _load(self) -> None:
        """The source has sent everything, and calls that completed; but only the destination knows."""
        try:
            await self.destination.until_loaded()
            self.crossing.restored = await self.destination.registers()
        except QemuError as error:
            self.crossing.status, self.crossing.reason = "failed", str(error)

    async def _until(self, after_ns: int) -> None:
        """So long after the scenario's start."""
        await trio.sleep(max(0, self.crossing.began_ns + after_ns - time.time_ns()) / _NS_PER_S)

    async def _migrate(self, uri: str) -> None:
        config, crossing, source = self.plan.config, self.crossing, self.source
        if config.engine.method == "stop-and-copy":
            await self._stop()
        if config.migration.auto_converge:
            wanted = [{"capability": "auto-converge", "state": True}]
            await source.execute("migrate-set-capabilities", capabilities=wanted)
        await source.execute("migrate-set-parameters", parameters(config.migration))
        await source.execute("migrate", uri=uri)
        await self._until_over(config.migration.cancel_at)
        if crossing.status == "completed":
            crossing.stopped = await source.registers()
            crossing.stop_ns = crossing.stop_ns or self._stop_event_ns()

    async def _stop(self) -> None:
        """Stop the source, and again until its interrupt is in the state that is asked for."""
        wanted, source = self.plan.config.engine.at_stop, self.source
        for _ in range(_TRIES):
            await source.execute("stop")
            [registers, *_] = await source.registers()
            if wanted in ("any", registers.interrupt) and not (wanted == "raised" and not registers.masked):
                self.crossing.stop_ns = self._stop_event_ns()
                return
            await source.execute("cont")
            await trio.sleep(_STEP_S)
        raise QemuError(f"source: stopped {_TRIES} times, and never was the decrementer's interrupt {wanted!r}")

    def _stop_event_ns(self) -> int:
        """When the source last stopped, by its own account."""
        stopped = time.time_ns()
        while True:
            try:
                event = self.source.client.events.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                return stopped
            if event["event"] == "STOP":
                at = event["timestamp"]
                stopped = at["seconds"] * _NS_PER_S + at["microseconds"] * 1000

    async def _until_over(self, cancel_at: int) -> None:
        crossing, passes = self.crossing, 0
        reason, end = TOO_SLOW, self.plan.config.run.duration
        if 0 < cancel_at < end:
            reason, end = "cancelled at migration.cancel_at", cancel_at
        deadline: float = crossing.began_ns + end
        while True:
            query = await self.source.execute("query-migrate")
            crossing.query |= query  # of a migration that is cancelled only the status is left
            status = query.get("status", "none")
            synced = query.get("ram", {}).get("dirty-sync-count", 0)
            if synced > passes:
                passes = synced
                self.progress(SOURCE, {"event": "QUERY", "data": {"pass": passes, **query}})
            if status in ("completed", "failed", "cancelled"):
                break
            if time.time_ns() > deadline:
                crossing.reason = reason
                await self.source.execute("migrate_cancel")
                deadline = float("inf")
            await trio.sleep(_POLL_S)
        crossing.status = status
        crossing.reason = crossing.reason or query.get("error-desc", "")
        if status == "failed":
            crossing.reason = await self._why(crossing.reason)
        if status == "completed":
            for _ in range(100):  # right after the state changes the totals may still be zero
                if crossing.query.get("total-time"):
                    break
                await trio.sleep(_POLL_S)
                crossing.query |= await self.source.execute("query-migrate")

    async def _why(self, said: str) -> str:
        """The source's word, if it has one, and the destination's last."""
        try:
            await self.destination.status()
        except QemuError as error:
            return f"{said}; {error}" if said else str(error)
        return said or "QEMU gave no reason"

    async def _measure(self, first_ns: int, first_tb: int) -> None:
        crossing = self.crossing
        assert crossing.stopped is not None
        # the STOP event's time is of the time of day, the first reading's of both clocks
        ran_ns = crossing.stop_ns - (time.time_ns() - (time.monotonic_ns() - first_ns))
        crossing.timebase_hz = (crossing.stopped[0].tb - first_tb) * _NS_PER_S // max(1, ran_ns)

    async def _resume(self) -> None:
        crossing, destination = self.crossing, self.destination
        due = crossing.stop_ns + self.plan.config.migration.downtime
        await trio.sleep(max(0, due - time.time_ns()) / _NS_PER_S)
        crossing.resume_ns = time.time_ns()
        await destination.execute("cont")
        crossing.owner = DESTINATION

    async def _records(self, qemu: Qemu) -> None:
        if self.own:
            try:
                self.crossing.records = await qemu.records()
            except QmpError as error:
                raise QemuError(f"{qemu.side}: the guest's records cannot be read: {error}") from error
