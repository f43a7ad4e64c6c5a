"""Source and destination as state machines: what they refuse, what happens to the guest when something fails.

A pair of pure machines; frames are handed over by the test, so each stage can be stopped at.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livemig.config.model import Config
from livemig.emulator import build
from livemig.errors import ProtocolError
from livemig.events.schema import DESTINATION, SOURCE
from livemig.machine import snapshot
from livemig.machine.ram import PAGE
from livemig.machine.runstate import RunState
from livemig.migration.destination import Destination
from livemig.migration.frames import Frame
from livemig.migration.source import Source
from livemig.migration.status import Status
from livemig.strategies.table import STRATEGIES

MS = 1_000_000


class Duo:
    """Both sides of one migration, and what they logged."""

    def __init__(self, downtime: str = "50ms", **guest: Any) -> None:
        self.config = Config.model_validate(
            {
                "run": {"duration": "5s"},
                "machine": {"cpus": 2, "ram": "1MiB"},
                "guest": guest,
                "migration": {"downtime": downtime, "downtime_limit": "1ms"},
            }
        )
        self.events: dict[str, list[dict[str, Any]]] = {SOURCE: [], DESTINATION: []}
        self.machines = {side: build.machine(self.config, side) for side in (SOURCE, DESTINATION)}
        self.source = Source(self.machines[SOURCE], STRATEGIES["tb-offset"], *self._parts(SOURCE))
        self.destination = Destination(self.machines[DESTINATION], *self._parts(DESTINATION))
        self.now = 0
        self.machines[SOURCE].boot(0)

    def _parts(self, side: str) -> tuple[Any, ...]:
        def emit(t_ns: int, event: str, /, **fields: Any) -> None:
            self.events[side].append({"t_ns": t_ns, "event": event, **fields})

        return build.host(self.config, side), build.link(self.config, side), build.settings(self.config), emit

    def go(self, t_ns: int) -> None:
        self.now = max(self.now, t_ns)
        for machine in self.machines.values():
            machine.run_to(self.now)

    def sent(self, side: Source | Destination) -> list[Frame]:
        frames, side.outbox = side.outbox, []
        return frames

    def until(self, kind: str) -> Frame:
        """Run the migration until a frame of ``kind`` has been sent; gives it, not delivered."""
        if self.source.status is Status.NONE:
            self.go(100 * MS)
            self.source.start(self.now)
        for _ in range(10_000):
            for sender, receiver in ((self.source, self.destination), (self.destination, self.source)):
                frames = self.sent(sender)
                for index, frame in enumerate(frames):
                    if frame.type == kind:
                        sender.outbox = frames[index + 1 :]
                        return frame
                    self.deliver(frame, receiver)
            for side in (self.source, self.destination):
                if side.due is not None:
                    self.go(side.due)
                    side.tick(self.now)
        raise AssertionError(f"{kind} was never sent")

    def deliver(self, frame: Frame, receiver: Source | Destination) -> None:
        self.go(frame.arrives_ns)
        if frame.type != "pages":
            receiver.receive(self.now, frame)
            return
        ours, theirs = self.machines[SOURCE].ram, self.machines[DESTINATION].ram
        for first, count in frame.fields["runs"]:
            where = slice(first * PAGE, (first + count) * PAGE)
            theirs.memory[where] = ours.memory[where]


def owner_count(duo: Duo) -> int:
    return sum(machine.running for machine in duo.machines.values())


def test_the_whole_way_one_side_runs_at_a_time_and_ram_is_the_same() -> None:
    duo = Duo()
    assert owner_count(duo) == 1
    duo.until("snapshot")
    assert owner_count(duo) == 0
    duo = Duo()
    resumed = duo.until("resumed")
    assert [machine.running for machine in duo.machines.values()] == [False, True]
    assert (duo.source.owner, duo.destination.owner) == ("none", "destination")
    duo.deliver(resumed, duo.source)
    assert (duo.source.status, duo.source.owner) == (Status.COMPLETED, "destination")
    assert duo.machines[SOURCE].state is RunState.POSTMIGRATE
    stopped = next(e for e in duo.events[SOURCE] if e["event"] == "machine_stopped")
    resumed_event = next(e for e in duo.events[DESTINATION] if e["event"] == "machine_resumed")
    assert resumed_event["t_ns"] - stopped["t_ns"] == 50 * MS
    assert stopped["ram_digest"] == resumed_event["ram_digest"]


def test_the_status_goes_as_qemu_says() -> None:
    duo = Duo()
    duo.deliver(duo.until("resumed"), duo.source)
    for side in (SOURCE, DESTINATION):
        said = [e["status"] for e in duo.events[side] if e["event"] == "migration_state"]
        assert said == ["setup", "active", "device", "completed"]


@pytest.mark.parametrize("stage", ["hello", "welcome", "pages", "snapshot", "loaded"])
def test_before_switchover_any_failure_leaves_the_guest_on_the_source(stage: str) -> None:
    duo = Duo()
    duo.until(stage)
    delivered = sum(cpu.delivered for cpu in duo.machines[SOURCE].cpus)
    duo.source.fail(duo.now, "the link broke")
    duo.destination.fail(duo.now, "the link broke")
    assert (duo.source.status, duo.source.owner) == (Status.FAILED, "source")
    assert [machine.running for machine in duo.machines.values()] == [True, False]
    duo.go(duo.now + 200 * MS)
    assert sum(cpu.delivered for cpu in duo.machines[SOURCE].cpus) > delivered + 50


def test_after_a_failure_in_the_blackout_the_guests_time_is_the_worlds() -> None:
    """Policy advance: TB at 16.6 MHz, counted from t = 0, is floor(t × 0.0166) however long the guest stood."""
    duo = Duo()
    duo.until("loaded")
    duo.go(duo.now + 33 * MS)
    duo.source.fail(duo.now, "the link broke")
    time = duo.machines[SOURCE].time_state(duo.now)
    assert time.tb() == duo.now * 16_600_000 // 1_000_000_000
    resumed = duo.events[SOURCE][-1]
    assert (resumed["event"], resumed["tb"]) == ("machine_resumed", time.tb())


def test_once_switchover_is_sent_a_broken_link_leaves_the_source_stopped() -> None:
    duo = Duo()
    duo.until("switchover")
    duo.source.fail(duo.now, "the link broke")
    assert (duo.source.status, duo.source.owner) == (Status.FAILED, "none")
    assert not duo.machines[SOURCE].running
    assert not duo.source.cancel(duo.now)


def test_the_destination_that_has_switchover_resumes_although_the_link_breaks() -> None:
    duo = Duo()
    duo.deliver(duo.until("switchover"), duo.destination)
    duo.destination.fail(duo.now, "the link broke")
    assert duo.destination.due is not None
    duo.go(duo.destination.due)
    duo.destination.tick(duo.now)
    assert duo.machines[DESTINATION].running


@pytest.mark.parametrize("stage", ["hello", "pages", "loaded"])
def test_cancel_lets_the_guest_go_on_and_tells_the_destination(stage: str) -> None:
    duo = Duo()
    duo.until(stage)
    assert duo.source.cancel(duo.now, "changed my mind")
    assert (duo.source.status, duo.machines[SOURCE].running) == (Status.CANCELLED, True)
    frame = duo.sent(duo.source)[-1]
    assert (frame.type, frame.fields) == ("cancel", {"reason": "changed my mind"})
    if stage != "hello":
        duo.deliver(frame, duo.destination)
        assert duo.destination.status is Status.CANCELLED


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 99}, "version: 99, but this side speaks 3"),
        ({"strategy": "prayer"}, "strategy: 'prayer' is not known here"),
        ({"machine": {"model": "mac99"}}, "machine.model: mac99, but here it is g3beige"),
        ({"machine": {"cpus": 3}}, "machine.cpus: 3, but here it is 2"),
        ({"machine": {"ram_bytes": 4096}}, "machine.ram_bytes: 4096, but here it is 1048576"),
        ({"machine": {"timebase_hz": 1}}, "machine.timebase_hz: 1, but here it is 16600000"),
        ({"machine": {"decrementer_bits": 56}}, "machine.decrementer_bits: 56, but here it is 32"),
        ({"machine": {"trigger": "level"}}, "machine.trigger: level, but here it is edge"),
    ],
)
def test_a_peer_that_differs_is_refused_at_hello_with_both_values(change: dict[str, Any], said: str) -> None:
    duo = Duo()
    hello = duo.until("hello")
    fields = {**hello.fields, **change}
    if "machine" in change:
        fields["machine"] = {**hello.fields["machine"], **change["machine"]}
    with pytest.raises(ProtocolError, match=said.replace("(", r"\(")):
        duo.deliver(replace(hello, fields=fields), duo.destination)
    refuse = duo.sent(duo.destination)[-1]
    assert refuse.type == "refuse"
    duo.deliver(refuse, duo.source)
    assert (duo.source.status, duo.machines[SOURCE].running) == (Status.FAILED, True)
    assert said in duo.source.reason


def spoiled(payload: bytes, spoil: str) -> bytes:
    value = msgpack.unpackb(payload)
    sections = value["sections"]
    match spoil:
        case "newer snapshot":
            value["version"] = 99
        case "newer section":
            sections[1][1] = 99
        case "no machine version":
            del value["machine_version"]
        case "newer machine version":
            value["machine_version"] = 4
        case "timers missing":
            del sections[1]
        case "newer subsection":
            sections[1][4].append(["timers/pending", 2, False, {"saved": {}}, []])
        case "subsection twice":
            sections[1][4] = [["timers/pending", 1, False, {"saved": {"pending": [-1] * 2, "line": [-1] * 2}}, []]] * 2
        case "unknown mandatory subsection":
            sections[1][4].append(["timers/luck", 1, True, {}, []])
        case "subsection elsewhere":
            sections[0][4].append(["timers/pending", 1, True, {"saved": {}}, []])
        case "cpu missing":
            del sections[2]
        case "memory missing":
            del sections[-1]
        case "cpus swapped":
            sections[2], sections[3] = sections[3], sections[2]
        case "cpu before timebase":
            sections[0], sections[2] = sections[2], sections[0]
        case "timers before timebase":
            sections[0], sections[1] = sections[1], sections[0]
        case "unknown mandatory":
            sections.append(["hypervisor", 1, True, {}, []])
        case "no field":
            del sections[2][3]["unmask_in"]
        case "wrong type":
            sections[2][3]["guest"] = 7
        case "other strategy":
            sections[0][3]["strategy"] = "none"
        case "malformed time":
            sections[1][3]["saved"]["zero_tb"] = [1]
        case "malformed pending":
            sections[1][4].append(["timers/pending", 1, False, {"saved": {"pending": "both"}}, []])
        case "other RAM":
            sections[-1][3]["digest"] = "0" * 32
        case "not a list":
            value["sections"] = 3
        case "not msgpack":
            return b"\xc1"
    return msgpack.packb(value)


@pytest.mark.parametrize(
    "spoil",
    [
        "newer snapshot", "newer section", "no machine version", "newer machine version", "timers missing",
        "newer subsection", "subsection twice", "unknown mandatory subsection", "subsection elsewhere", "cpu missing",
        "memory missing", "cpus swapped", "cpu before timebase", "timers before timebase", "unknown mandatory",
        "no field", "wrong type", "other strategy", "malformed time", "malformed pending", "other RAM", "not a list",
        "not msgpack",
    ],
)  # fmt: skip
def test_a_snapshot_that_is_not_right_is_refused_before_switchover_and_the_source_runs_on(spoil: str) -> None:
    duo = Duo()
    frame = duo.until("snapshot")
    with pytest.raises(ProtocolError):
        duo.deliver(replace(frame, payload=spoiled(frame.payload, spoil)), duo.destination)
    duo.destination.fail(duo.now, "refused")
    duo.deliver(duo.sent(duo.destination)[-1], duo.source)
    assert duo.source.status is Status.FAILED
    assert [machine.running for machine in duo.machines.values()] == [True, False]


def test_an_unknown_optional_section_is_skipped_and_that_is_logged() -> None:
    duo = Duo()
    frame = duo.until("snapshot")
    value = msgpack.unpackb(frame.payload)
    value["sections"].append(["lucky-number", 3, False, {"n": 7}, []])
    duo.deliver(replace(frame, payload=msgpack.packb(value)), duo.destination)
    assert duo.sent(duo.destination)[-1].type == "loaded"
    assert duo.events[DESTINATION][-1]["reason"] == "skipped: lucky-number"


@given(st.binary(max_size=200))
def test_no_payload_makes_the_reader_fail_in_another_way(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        snapshot.unpack(data, 2)


@pytest.mark.parametrize("kind", ["welcome", "loaded", "resumed", "switchover", "pass_end"])
def test_a_frame_out_of_turn_is_a_protocol_error(kind: str) -> None:
    duo = Duo()
    duo.until("hello")
    frame = Frame(kind, duo.now, duo.now, {"version": 1, "ram_digest": "", "pass": 1, "pages": 0, "resume_ns": 0})
    with pytest.raises(ProtocolError, match="type"):
        duo.destination.receive(duo.now, frame)
    if kind != "welcome":
        with pytest.raises(ProtocolError, match="not expected in status setup"):
            duo.source.receive(duo.now, frame)


def test_a_second_hello_is_refused() -> None:
    duo = Duo()
    hello = duo.until("hello")
    duo.deliver(hello, duo.destination)
    with pytest.raises(ProtocolError, match="not expected in status active"):
        duo.deliver(hello, duo.destination)


def test_passes_shrink_until_the_rest_fits_into_the_downtime_limit() -> None:
    """1 MiB of which half is not zero, dirtied at 20 MiB/s, over 125 MB/s: the rest shrinks by a factor of six a
    pass, and 1 ms is 125 kB."""
    duo = Duo(memory={"dirty_rate": "20MiB/s"})
    duo.until("snapshot")
    passes = [e for e in duo.events[SOURCE] if e["event"] == "migration_pass"]
    assert [e["pass"] for e in passes] == list(range(1, len(passes) + 1))
    before_stop = passes[-2]
    assert before_stop["remaining"] <= 125_000
    assert passes[-1]["dirty_pages"] * PAGE == before_stop["remaining"]
    assert 0 < passes[0]["zero_pages"] <= 128  # half of 256 pages, less those the guest had written


def test_a_guest_that_nobody_can_say_who_has_is_taken_back_by_whoever_knows() -> None:
    duo = Duo()
    duo.until("switchover")
    assert not duo.source.take_back(duo.now)  # nothing has gone wrong yet
    duo.source.fail(duo.now, "the link broke")
    duo.go(duo.now + 100 * MS)
    assert duo.source.take_back(duo.now)
    assert (duo.source.status, duo.source.owner, duo.machines[SOURCE].running) == (Status.FAILED, "source", True)
    assert duo.machines[SOURCE].time_state(duo.now).tb() == duo.now * 16_600_000 // 1_000_000_000
    assert not duo.source.take_back(duo.now)


def test_a_guest_that_was_heard_of_at_the_destination_is_not_taken_back() -> None:
    duo = Duo()
    duo.deliver(duo.until("resumed"), duo.source)
    assert not duo.source.take_back(duo.now)
    assert not duo.machines[SOURCE].running
