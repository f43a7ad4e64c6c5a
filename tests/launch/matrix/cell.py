"""One cell: bring a pair to a state, let something go wrong there, see it to its end, and judge it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from livemig.analysis.judge import judge
from livemig.emulator import build
from livemig.launch import run_directory
from livemig.machine.ram import Ram
from livemig.migration.page_sums import digest, sums_of
from matrix.pair import SIDES, D, Pair, S
from matrix.proxy import SIGN_OF_LIFE, TO_DESTINATION, TO_SOURCE, URGENT, Hold, Proxy

JUMP_NS: Final = 7_000_000_000
STALL_S: Final = 0.4


@dataclass(frozen=True)
class Stage:
    """Where: the frame that is held, in which way of migrating; `recovers`: of a postcopy whose link was reset."""

    hold: tuple[str, str, int] | None = None
    migration: dict[str, Any] = field(default_factory=dict)
    recovers: str = ""


_POSTCOPY: Final = {"postcopy_ram": True, "postcopy_start": 0, "max_postcopy_bandwidth": "512KiB/s"}
STAGES: Final = {
    "none, none": Stage(),
    "setup, none": Stage((TO_DESTINATION, "hello", 1)),
    "setup, active": Stage((TO_SOURCE, "welcome", 1)),
    "active, active": Stage((TO_DESTINATION, "pages", 3)),
    "pre-switchover, active": Stage((TO_DESTINATION, SIGN_OF_LIFE, 1), {"pause_before_switchover": True}),
    "device, device": Stage((TO_SOURCE, "loaded", 1)),
    "device switched, device": Stage((TO_DESTINATION, "switchover", 1)),
    "device switched, completed": Stage((TO_SOURCE, "resumed", 1)),
    "completed, completed": Stage(),
    "device, device in postcopy": Stage((TO_SOURCE, "loaded", 1), _POSTCOPY),
    "postcopy-active, device": Stage((TO_DESTINATION, "switchover", 1), _POSTCOPY),
    "postcopy-active, postcopy-active": Stage((TO_DESTINATION, "postcopy_pages", 3), _POSTCOPY),
    "postcopy-active, postcopy-active by preempt": Stage(
        (TO_DESTINATION, URGENT, 1), {**_POSTCOPY, "postcopy_preempt": True}
    ),
    "postcopy-paused, postcopy-paused": Stage((TO_DESTINATION, "postcopy_pages", 3), _POSTCOPY, "paused"),
    "postcopy-recover-setup, postcopy-paused": Stage((TO_DESTINATION, "postcopy_pages", 3), _POSTCOPY, "setup"),
    "postcopy-recover, postcopy-paused": Stage((TO_DESTINATION, "postcopy_pages", 3), _POSTCOPY, "recover"),
    "postcopy-recover, postcopy-recover": Stage(
        (TO_DESTINATION, "postcopy_pages", 3), _POSTCOPY, "received_bitmap"
    ),
    "postcopy-recover, postcopy-active": Stage((TO_DESTINATION, "postcopy_pages", 3), _POSTCOPY, "resume_ack"),
}  # fmt: skip
FAULTS: Final = (
    "kill source", "kill destination", "reset", "half-open", "stall", "stop source", "stop destination", "truncated",
    "corrupted", "disk source", "disk destination", "clock source", "clock destination",
    "reset preempt", "half-open preempt",
)  # fmt: skip
_OF_LINK: Final = frozenset({"reset", "half-open", "stall", "truncated", "corrupted"})
_GIVEN_UP: Final = frozenset({"failed", "completed", "postcopy-paused"})
_NO_FRAME: Final = frozenset({"none, none", "completed, completed", "postcopy-paused, postcopy-paused",
                              "postcopy-recover-setup, postcopy-paused"})  # fmt: skip


def impossible(stage: str, fault: str) -> str:
    """Why there is no such cell; empty if there is."""
    if fault.endswith("preempt") and not STAGES[stage].migration.get("postcopy_preempt"):
        return "there is no such connection"
    return "there is no connection" if stage in _NO_FRAME and fault in _OF_LINK else ""


@dataclass
class Outcome:
    """How it ended. `ram`: what the owner has in memory is what the guest's writes make it; None: nobody has all.
    `statuses`: that the destination went through."""

    ending: tuple[str, str, str]
    ram: bool | None
    checks: dict[str, str]
    said: str
    seconds: float
    statuses: list[str]


class Cell:
    """`endings`: where nothing more happens by itself."""

    def __init__(
        self, stage: str, fault: str, transport: str, directory: Path, endings: set[tuple[str, str, str]]
    ) -> None:
        self._name, self._stage, self._fault, self._endings = stage, STAGES[stage], fault, endings
        self._pair = Pair(directory, transport, **self._stage.migration)
        hold = Hold(*self._stage.hold) if self._stage.hold else None
        self._proxy = Proxy(self._pair.uri, directory, hold)
        self._crossed = False

    def run(self) -> Outcome:
        began = time.monotonic()
        try:
            time.sleep(0.1)
            self._reach()
            self._break()
            ending = self._settle()
            self._look(ending)
        finally:
            self._pair.close()
        return self._judged(ending, time.monotonic() - began)

    def connected(self) -> bool:
        """Brought to its state, whether either side has a connection that could break; it goes no further."""
        try:
            time.sleep(0.1)
            self._reach()
            time.sleep(0.1)
            return any(self._pair.connected(side) for side in SIDES)
        finally:
            self._pair.close()

    # -- to the state -----------------------------------------------------------------------------------------------

    def _reach(self) -> None:
        if self._name == "none, none":
            return
        pair = self._pair
        pair.qmp[S]("migrate", uri=self._proxy.uri)
        if self._proxy.hold is None:
            pair.wait_for(lambda: pair.status(S) == pair.status(D) == "completed")
            return
        if self._stage.migration.get("pause_before_switchover"):
            pair.wait_for(lambda: pair.status(S) == "pre-switchover")
        self._wait_held()
        if self._stage.recovers:
            self._proxy.reset()
            pair.wait_for(lambda: pair.status(S) == pair.status(D) == "postcopy-paused")
            self._recover(self._stage.recovers)
        self._expect_state()
        if not pair.runs(S):  # that the log has it, in case it breaks off here
            pair.wait_for(lambda: self._seen(S, "machine_stopped"))

    def _wait_held(self) -> None:
        assert self._proxy.hold is not None
        self._pair.wait_for(self._proxy.hold.held.is_set)

    def _expect_state(self) -> None:
        """That it is the state that it is called."""
        source, destination = (part.split()[0] for part in self._name.split(", "))
        pair = self._pair
        pair.wait_for(lambda: (pair.status(S).split(",")[0], pair.status(D).split(",")[0]) == (source, destination))

    def _recover(self, until: str) -> None:
        pair = self._pair
        if until == "paused":
            return
        if until == "setup":
            pair.qmp[S]("migrate", uri=f"unix:{pair.directory}/later", resume=True)
            return
        place = pair.place(f"again{len(list(pair.directory.iterdir()))}")
        pair.qmp[D]("migrate-recover", uri=place)
        if not place.startswith("unix:"):
            place = place[:-1] + pair.qmp[D]("query-migrate")["socket-address"][0]["port"]
        towards = TO_DESTINATION if until == "recover" else TO_SOURCE
        self._proxy = Proxy(place, pair.directory, Hold(towards, until) if until else None)
        pair.qmp[S]("migrate", uri=self._proxy.uri, resume=True)
        if until:
            self._wait_held()

    # -- the fault --------------------------------------------------------------------------------------------------

    def _break(self) -> None:
        kind, _, side = self._fault.partition(" ")
        self._ending()
        act: dict[str, Callable[[], None]] = {
            "kill": lambda: self._pair.kill(side),
            "disk": lambda: self._pair.fill_disk(side),
            "clock": lambda: self._pair.jump(side, JUMP_NS),
            "stop": lambda: self._stop(side),
            "stall": lambda: time.sleep(STALL_S),
            "reset": lambda: self._proxy.reset(side == "preempt"),
            "half-open": lambda: self._proxy.vanish(side == "preempt"),
            "truncated": lambda: self._proxy.let("truncate"),
            "corrupted": lambda: self._proxy.let("corrupt"),
        }
        act[kind]()
        self._proxy.let()

    def _stop(self, side: str) -> None:
        """For longer than the other side waits."""
        pair, peer = self._pair, D if side == S else S
        pair.stop(side)
        self._proxy.let()
        ends = time.monotonic() + 2.5 * pair.config.migration.peer_timeout / 1e9
        while pair.status(peer).split(",")[0] not in _GIVEN_UP and time.monotonic() < ends:
            time.sleep(0.05)
        pair.go_on(side)

    # -- to the end -------------------------------------------------------------------------------------------------

    def _settle(self) -> tuple[str, str, str]:
        """Operate it until nothing more happens."""
        since, last, deadline = time.monotonic(), ("", "", ""), time.monotonic() + 40
        while time.monotonic() < deadline:
            self._proceed()
            now = self._ending()
            if now != last:
                since, last = time.monotonic(), now
            if now in self._endings and time.monotonic() - since > 0.3:
                return now
            time.sleep(0.05)
        return last

    def _proceed(self) -> None:
        """What whoever operates the pair does of his own accord."""
        pair = self._pair
        if pair.stopped:
            return
        source, destination = pair.status(S), pair.status(D)
        if source == "none" and self._name == "none, none":
            pair.qmp[S]("migrate", uri=self._proxy.uri)
        elif source == "pre-switchover":
            with contextlib.suppress(RuntimeError):  # it has failed meanwhile
                pair.qmp[S]("migrate-continue", state="pre-switchover")
        elif destination.startswith("postcopy-paused") and source == "postcopy-paused":
            with contextlib.suppress(RuntimeError):  # it has heard what was said to it before it was stopped
                self._recover("")
        elif destination == "postcopy-paused" and source == "postcopy-recover-setup":
            later = pair.directory / "later"
            if not later.exists():
                pair.qmp[D]("migrate-recover", uri=f"unix:{later}")

    def _ending(self) -> tuple[str, str, str]:
        pair = self._pair
        source, destination = pair.status(S), pair.status(D)
        return source, destination, self._guest(source, destination)

    def _guest(self, source: str, destination: str) -> str:
        pair = self._pair
        self._crossed |= source == "completed"
        if pair.runs(D):
            self._crossed = True
            if source == "dead" and destination == "postcopy-paused":
                return "what was missing died with the source"
            return "runs at the destination"
        if pair.runs(S):
            return "runs at the source"
        if destination == "dead" and self._crossed:
            return "the guest died with the destination"
        return "the guest died with the source" if source == "dead" else "paused and whole at the source"

    def _seen(self, side: str, *names: str) -> list[dict[str, Any]]:
        path = self._pair.directory / f"{side}.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [event for event in map(json.loads, lines) if event["event"] in names]

    # -- what became of it ------------------------------------------------------------------------------------------

    def _look(self, ending: tuple[str, str, str]) -> None:
        """Stop the guest where it runs: its log says then what is in its memory. One that is paused is taken back: it
        can be, and must go on as if it had never been stopped."""
        if ending[2] == "paused and whole at the source":
            self._pair.qmp[S]("cont")
        time.sleep(0.1)
        for side in SIDES:
            if self._pair.runs(side):
                self._pair.qmp[side]("stop")

    def _judged(self, ending: tuple[str, str, str], seconds: float) -> Outcome:
        directory, config = self._pair.directory, self._pair.config
        manifest = run_directory.manifest(config, "matrix")
        owner = D if "destination" in ending[2] and "died" not in ending[2] else S if "source" in ending[2] else "none"
        manifest["migration"] |= {"status": ending[0], "owner": owner if "died" not in ending[2] else "none"}
        manifest["migration"]["torn"] = [side for side, end in zip(SIDES, ending, strict=False) if end == "dead"]
        manifest["complete"] = True
        run_directory.write(directory, manifest)
        result = judge(directory)
        checks = {name: f"{check.word}: {check.reason}" for name, check in result.checks.items()}
        statuses = [event["status"] for event in self._seen(D, "migration_state")]
        return Outcome(ending, self._ram_is_right(ending[2]), checks, result.verdict, round(seconds, 1), statuses)

    def _ram_is_right(self, guest: str) -> bool | None:
        """Against what the workload's writes make of RAM, in the time for which the logs say the guest ran."""
        if "died" in guest:
            return None
        side = D if "destination" in guest else S
        last = self._seen(side, "machine_stopped")[-1]
        run_ns, lags = last["clock_ns"], [0] * self._pair.config.machine.cpus
        if side == D:
            (stopped, *_), (resumed, *_) = self._seen(S, "machine_stopped"), self._seen(D, "machine_resumed")
            run_ns += stopped["clock_ns"] - resumed["clock_ns"]
            for event in self._seen(D, "page_arrived"):
                lags[event["cpu"]] += event["wait_ns"]
        ram = _written(self._pair.config, run_ns, lags)
        return last["ram_digest"] in (ram.digest(), digest(sums_of(ram)))


def _written(config: Any, run_ns: int, lags: list[int]) -> Ram:
    """Write by write."""
    workload, ram = build._workload(config), Ram(config.machine.ram)
    workload.fill(ram.words)
    for cpu, lag in enumerate(lags):
        for number in range(cpu, workload.writes_before(run_ns - lag), workload.cpus):
            ram.words[int(workload.pages(number, 1)[0]), cpu * 8] = np.uint64(number + 1)
    return ram


def run(
    stage: str, fault: str, transport: str, directory: Path, endings: set[tuple[str, str, str]]
) -> dict[str, Any]:
    """Everything that is to be known of one cell, for JSON."""
    return asdict(Cell(stage, fault, transport, directory, endings).run())
