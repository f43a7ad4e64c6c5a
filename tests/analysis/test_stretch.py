"""Judging in stretches comes to what judging event by event comes to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livemig.analysis import case as case_module
from livemig.analysis import stretch as stretch_module
from livemig.analysis.case import Case
from livemig.analysis.judge import result_of
from livemig.analysis.log import Log, merged
from livemig.analysis.manifest import Manifest
from livemig.analysis.stretch import Stretch, interleaved, stretches
from livemig.errors import InputError

from .histories import Event, arm, coalesced, ended, irq, masked, passed, resume, run_json, stop
from .tiny_guest import Guest, Handler

SOURCE, DESTINATION = "source", "destination"
Sides = dict[str, bytes]


def judged(manifest: dict[str, Any], logs: Sides, twin: bytes | None = None) -> dict[str, Any] | str:
    def log(side: str) -> Log:
        return Log(f"{side}.jsonl", side, BytesIO(logs[side]))

    beside = None if twin is None else Log("twin.jsonl", None, BytesIO(twin))
    try:
        return result_of(Case(Manifest.parse(manifest), log(SOURCE), log(DESTINATION), beside)).as_dict()
    except InputError as error:
        return str(error)


def one_by_one(*given: Any) -> dict[str, Any] | str:
    with patch.object(case_module, "stretches", iter):
        return judged(*given)


def in_stretches(short: int, octets: int, *given: Any) -> dict[str, Any] | str:
    with patch.multiple(stretch_module, SHORT=short, _BYTES=octets):
        return judged(*given)


def logs_of(events: list[Event], text: Callable[[Event], bytes] = orjson.dumps) -> Sides:
    of: dict[str, list[bytes]] = {SOURCE: [], DESTINATION: []}
    for event in events:
        of[event["side"]].append(text(event) + b"\n")
    return {side: b"".join(lines) for side, lines in of.items()}


class Teller:
    """Makes a history up, step by step, of a guest that is mostly well: ``tell`` is one step."""

    STEPS = (
        ("beat",) * 20 + ("write", "late", "lose", "early", "again", "mask", "coalesce", "pause", "cross", "cross",
        "trespass", "haunt", "reset", "restore", "watchdog", "watchdog", "never", "negative", "fall", "untold",
        "future", "pass", "stop", "resume")
    )  # fmt: skip

    def __init__(self, cpus: int) -> None:
        self.now, self.tb = 0, 0
        self.side, self.other = SOURCE, DESTINATION
        self.due = dict.fromkeys(range(cpus), 0)
        self.events: list[Event] = []
        for cpu in range(cpus):
            self.write(cpu, 5 + cpu)

    def write(self, cpu: int, value: int, **more: Any) -> None:
        self.due[cpu] = self.now + value
        self.events.append(arm(self.now, value, cpu, self.side, tb=self.now + self.tb, **more))

    def beat(self, cpu: int, value: int, off: int = 0) -> None:
        cpu = min(self.due, key=self.due.__getitem__) if not off else cpu
        self.now = max(self.now, self.due[cpu] + off)
        self.interrupt(cpu)
        self.write(cpu, value)

    def interrupt(self, cpu: int, event: Callable[..., Event] = irq, **more: Any) -> None:
        tb = self.now + self.tb
        self.events.append(event(self.now, cpu, tb=tb, **{"side": self.side, "deadline_ns": self.now} | more))

    def cross(self, cpu: int, value: int) -> None:
        tbs, decr = [self.now + self.tb] * len(self.due), [at - self.now for at in self.due.values()]
        for event, side, kept in ((stop, self.side, value), (resume, self.other, value >> 3)):
            pending = [["decrementer"] if kept & 1 << cpu else [] for cpu in self.due]
            self.events.append(event(self.now, side, cpu_tb=tbs, decr=decr, pending=pending, tb=self.now + self.tb))
            self.now += value if event is stop else 0
        self.side, self.other = self.other, self.side

    def pause(self, cpu: int, value: int) -> None:
        self.cross(cpu, value)
        self.side, self.other = self.other, self.side
        self.events[-1]["side"] = self.side

    def tell(self, step: str, cpu: int, value: int) -> None:
        more: dict[str, Callable[[], object]] = {
            "beat": lambda: self.beat(cpu, value),
            "write": lambda: self.write(cpu, 2 * value),
            "late": lambda: self.beat(cpu, value, off=1 + value // 4),
            "lose": lambda: (setattr(self, "now", max(self.now, self.due[cpu]) + value // 4), self.write(cpu, value)),
            "early": lambda: self.beat(cpu, value, off=-1),
            "again": lambda: self.interrupt(cpu, deadline_ns=None),
            "mask": lambda: self.interrupt(cpu, masked),
            "coalesce": lambda: self.interrupt(cpu, coalesced),
            "pause": lambda: self.pause(cpu, value),
            "cross": lambda: self.cross(cpu, value),
            "trespass": lambda: self.interrupt(cpu, side=self.other),
            "haunt": lambda: [self.interrupt(cpu, side=self.other) for _ in range(12)],
            "reset": lambda: self.write(cpu, value, cause="reset"),
            "restore": lambda: self.write(cpu, value, cause="restore"),
            "watchdog": lambda: (self.write(cpu, value, timer="watchdog"), self.interrupt(cpu, timer="watchdog")),
            "never": lambda: self.write(cpu, value, due=None),
            "negative": lambda: self.write(cpu, 0xFFFF_FFF0 + value, due=None),
            "fall": lambda: setattr(self, "tb", self.tb + 1000 - 3 * value * value),
            "untold": lambda: self.events.append(irq(self.now, cpu, self.side) | {"tb": None}),
            "future": lambda: self.events.append({"t_ns": self.now, "side": self.side, "event": "fault"}),
            "pass": lambda: self.events.append(passed(self.now, took=value)),
            "stop": lambda: self.events.append(stop(self.now, self.side)),
            "resume": lambda: self.events.append(resume(self.now, self.other)),
        }
        more[step]()


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    teller = Teller(draw(st.integers(1, 3)))
    for step in draw(st.lists(st.sampled_from(Teller.STEPS), max_size=60)):
        teller.tell(step, draw(st.integers(0, len(teller.due) - 1)), draw(st.integers(0, 40)))
    events = teller.events
    for mutation in draw(st.lists(st.sampled_from(["drop", "double", "swap"]), max_size=2)):
        at = draw(st.integers(0, len(events) - 1))
        if mutation == "drop" and len(events) > 1:
            del events[at]
        elif mutation == "double":
            events.insert(at, events[at])
        else:
            events[at : at + 2] = reversed(events[at : at + 2])
    return [*events, ended(teller.now, teller.side)]


MANIFESTS = st.fixed_dictionaries(
    {
        "cpus": st.just(3),
        "trigger": st.sampled_from(["edge", "level"]),
        "watchdog": st.booleans(),
        "time_policy": st.sampled_from(["advance", "freeze", None]),
        "late_tolerance_ns": st.sampled_from([0, 3]),
        "lost_after_ns": st.sampled_from([2, 30, 1000]),
        "clock": st.sampled_from(["virtual", "wall"]),
        "timebase_tolerance_ns": st.sampled_from([None, 500]),
    }
).map(lambda changes: run_json(**changes))
SHORTS = st.sampled_from([1, 1, 2, 5])
OCTETS = st.one_of(st.integers(1, 1500), st.just(1 << 20))


@settings(max_examples=600, deadline=None)
@given(MANIFESTS, histories(), SHORTS, OCTETS)
def test_a_history_judged_in_stretches_and_one_by_one(
    manifest: dict[str, Any], events: list[Event], short: int, octets: int
) -> None:
    logs = logs_of(events)
    assert in_stretches(short, octets, manifest, logs) == one_by_one(manifest, logs)


@settings(max_examples=50, deadline=None)
@given(MANIFESTS, histories(), st.one_of(st.none(), histories()), SHORTS, OCTETS)
def test_the_same_beside_a_twin(
    manifest: dict[str, Any], events: list[Event], others: list[Event] | None, short: int, octets: int
) -> None:
    twin = b"".join(logs_of(events if others is None else others).values())
    given_ = manifest, logs_of(events), twin
    assert in_stretches(short, octets, *given_) == one_by_one(*given_)


HANDLERS = st.builds(
    Handler,
    st.integers(0, 5).map(lambda n: 4 * n),
    st.lists(st.tuples(st.integers(0, 5).map(lambda n: 4 * n), st.integers(1, 20).map(lambda n: 4 * n)), max_size=3)
    .map(sorted),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    st.lists(HANDLERS, max_size=12), st.integers(0, 100), st.integers(0, 40),
    st.sampled_from(["tb-offset", "none", "absolute", "pending-dropped"]), st.booleans(), st.booleans(), SHORTS, OCTETS,
)  # fmt: skip
def test_a_tiny_guest_judged_both_ways(
    handlers: list[Handler], at: int, blackout: int, strategy: str, level: bool, freezes: bool, short: int, octets: int
) -> None:
    guest = Guest(handlers, 4 * at + 1, 4 * blackout + 1, 600, strategy, level, freezes).run()
    manifest = run_json(trigger="level" if level else "edge", time_policy="freeze" if freezes else "advance")
    logs = logs_of([event | {"deadline_ns": event.get("deadline_ns") or 0} for event in guest.events if event])
    assert in_stretches(short, octets, manifest, logs) == one_by_one(manifest, logs)


@given(histories(), OCTETS)
def test_stretches_interleave_as_events_merge(events: list[Event], octets: int) -> None:
    logs = logs_of(sorted(events, key=lambda event: event["t_ns"]))

    def both() -> list[Log]:
        return [Log(f"{side}.jsonl", side, BytesIO(logs[side])) for side in (SOURCE, DESTINATION)]

    with patch.object(stretch_module, "_BYTES", octets):
        items = list(interleaved(*map(stretches, both())))
    told = [entry for item in items for entry in (item if isinstance(item, Stretch) else [item])]
    assert told == list(merged(*both()))


def uneventful(count: int) -> list[Event]:
    return [event for n in range(count) for event in (irq(100 + 9 * n, deadline_ns=100 + 9 * n), arm(101 + 9 * n, 8))]


def beat(t: int, off: int = 0, side: str = SOURCE, tb: int | None = None, timer: str = "decrementer") -> list[Event]:
    """An arm due at ``t``, and its interrupt."""
    return [arm(t - 5, 5, side=side, timer=timer), irq(t + off, side=side, tb=tb, timer=timer, deadline_ns=t)]


def crossing(*after: Event) -> list[Event]:
    moments = [stop(50, decr=[7], pending=[["decrementer"]]), resume(60, decr=[7], pending=[[]])]
    return [*beat(10), *beat(20), *moments, *after]


@pytest.mark.parametrize(
    ("events", "manifest"),
    [
        ([*beat(10), *beat(20, off=3), *beat(30)], {"late_tolerance_ns": 3, "lost_after_ns": 2}),
        ([*beat(10), *beat(20, off=2), *beat(30)], {"late_tolerance_ns": 3, "lost_after_ns": 2}),
        ([*beat(10), *beat(20, tb=12), *beat(30)], {"timebase_tolerance_ns": 5}),
        ([*beat(10), *beat(20, tb=12), *beat(30)], {"timebase_tolerance_ns": 1}),
        (crossing(*(event for t in range(100, 200, 10) for event in beat(t, side=DESTINATION))), {}),
        (crossing(*(event for t in range(100, 200, 10) for event in beat(t, 1, DESTINATION, timer="watchdog"))),
         {"watchdog": True}),
        ([event for t in range(100, 200, 10) for event in beat(t, timer="watchdog")], {"watchdog": True}),
        ([*beat(10), irq(15, tb=(1 << 64) - 1), *beat(20)], {}),
        ([*beat(10), irq(15, tb=(1 << 63) + 1), *beat(20, tb=(1 << 60) - 1)], {}),
    ],
)  # fmt: skip
def test_what_is_rare_in_histories(events: list[Event], manifest: dict[str, Any]) -> None:
    given_ = run_json(**manifest), logs_of([*events, ended(900), ended(900, DESTINATION)])
    assert in_stretches(1, 1 << 20, *given_) == one_by_one(*given_)


def in_columns(lines: list[bytes]) -> int:
    items = stretches(Log("source.jsonl", SOURCE, lines))
    return sum(len(item) for item in items if isinstance(item, Stretch))


def test_what_the_guests_timers_leave_is_read_in_columns() -> None:
    lines = [orjson.dumps(event) + b"\n" for event in uneventful(500)]
    (only,) = stretches(Log("dir/source.jsonl", SOURCE, lines))
    assert isinstance(only, Stretch)
    assert (only.side, only.timer, len(only)) == (SOURCE, "decrementer", 1000)
    assert only.t_ns.tolist() == [orjson.loads(line)["t_ns"] for line in lines]
    assert only.tb.tolist() == only.t_ns.tolist()
    assert only.armed.tolist() == [False, True] * 500
    assert only.deadline_ns[1::2].tolist() == [109 + 9 * n for n in range(500)]
    assert only.event(3) == (orjson.loads(lines[3]), ("source.jsonl", 4))


@pytest.mark.parametrize("tb", [0, 7, 10, 999_999_999_999_999, 10**15, 123_456_789_012_345_678, 10**18 - 1])
def test_a_number_is_read_to_the_last_digit(tb: int) -> None:
    (stretch,) = stretches(Log("s", SOURCE, [orjson.dumps(irq(5, cpu=999, tb=tb)) + b"\n"]))
    assert isinstance(stretch, Stretch)
    assert (stretch.tb.tolist(), stretch.cpu.tolist()) == ([tb], [999])


LINE = b'{"t_ns":5,"side":"source","event":"timer_armed","cpu":0,"timer":"d","value":30,"tb":5,"deadline_ns":35,"cause":"guest"}\n'  # noqa: E501


@pytest.mark.parametrize(
    ("what", "other"),
    [
        (b'"value":30', b'"value":03'),
        (b'"value":30', b'"value":3.'),
        (b'"value":30', b'"value":3:'),
        (b'"value":30', b'"value"::0'),
        (b'"value":30', b'"value":"3'),
        (b'"tb":5,', b'"tb": ,'),
        (b'"tb":5,', b'"tb":-5,'),
        (b'"tb":5,', b'"tb":null,'),
        (b'"deadline_ns":35', b'"deadline_ns":null'),
        (b'"guest"', b'"reset"'),
        (b'"source"', b'"sourcf"'),
        (b'"side":"source","event":"timer_armed"', b'"event":"timer_armed","side":"source"'),
        (b'"cpu":0,"timer":"d"', b'"cpu":0,"cpu":1,"timer":"d"'),
        (b'"cpu":0', b'"cpu":1000'),
        (b"}\n", b"}"),
    ],
)
def test_what_is_written_otherwise_is_not(what: bytes, other: bytes) -> None:
    assert in_columns([LINE]) == 1
    with suppress(InputError):  # those that are no JSON
        assert in_columns([LINE, LINE.replace(what, other)]) == 1


@settings(max_examples=300)
@given(st.integers(0, len(LINE) - 2), st.integers(0, 255), st.sampled_from([1, 100]))
def test_no_byte_that_makes_it_another_line_is_overlooked(at: int, octet: int, before: int) -> None:
    damaged = LINE[:at] + bytes([octet]) + LINE[at + 1 :]
    logs = {SOURCE: LINE * before + damaged + LINE, DESTINATION: b""}
    assert in_stretches(1, 1 << 20, run_json(), logs) == one_by_one(run_json(), logs)
